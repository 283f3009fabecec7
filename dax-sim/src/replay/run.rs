//! Does the operations of a log to a file of its own.

use std::path::Path;

use super::BadLine;
use super::log::{Operation, Verb, initial_size};
use super::trim::trim;
use crate::error::FsError;
use crate::file::{File, Mapping};
use crate::fs::{Deduped, FileSystem};
use crate::pmem::{BLOCK_SIZE, Device, DeviceError, DeviceOptions, MIN_DEVICE_SIZE};
use crate::radix::HUGE;
use crate::schedule::Schedule;
use crate::variant::Mix;

/// Why a replay ends early.
#[derive(Debug)]
pub(crate) enum ReplayError {
    /// The operation would have been refused by Linux as well, so fsx cannot have recorded it.
    Line(BadLine),
    /// The caller asked it to end.
    Ended,
    /// The simulator could not do it.
    Failed {
        /// The line.
        number: u64,
        error: FsError,
    },
}

/// How a log is replayed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    pub(crate) mix: Mix,
    /// The largest size that the file may have.
    pub(crate) size_max: u64,
    /// Whether ranges are trimmed to the file, as fsx does.
    pub(crate) trims: bool,
}

/// A line before which the log gives the file another size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OtherSize {
    /// The line.
    pub(crate) number: u64,
    pub(crate) says: u64,
    pub(crate) has: u64,
}

/// How many lines were not done as they stand in the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Trimmed {
    pub(crate) trimmed: u64,
    pub(crate) passed_over: u64,
}

/// A device with room for whatever `operations` do: the user's file, or a temporary one.
pub(crate) fn device(
    operations: &[Operation],
    size_max: u64,
    file: Option<&Path>,
    overwrite: bool,
) -> Result<Device, DeviceError> {
    let size = MIN_DEVICE_SIZE + BLOCK_SIZE * blocks_needed(operations, size_max);
    Device::open(&DeviceOptions { path: file.map(Path::to_path_buf), size, overwrite })
}

/// Does `operations` to a file on the [`device`], which begins as one hole of [`initial_size`]
/// bytes. It calls `differs` at each line before which the file has another size than the log
/// gives. It ends early if `differs` fails, or `ended` is true, also inside a long operation.
/// Returns what `look` sees in the file in the end.
pub(crate) fn run<R>(
    device: &Device,
    operations: &[Operation],
    options: Options,
    ended: impl Fn() -> bool,
    mut differs: impl FnMut(OtherSize) -> Result<(), BadLine>,
    look: impl FnOnce(&File<'_>) -> R,
) -> Result<(R, Trimmed), ReplayError> {
    let Options { mix, size_max, trims } = options;
    // A wrong order of locks, which `entry-lock-outside` has by design, does one thread no harm.
    let schedule = Schedule::none().with_checks(false);
    let fs = FileSystem::format(device, mix.variant).with_locks(mix.locks);
    let fs = fs.with_schedule(schedule).with_huge_pages();
    let file = fs.create();
    let begin = |error| ReplayError::Failed { number: operations.first().map_or(1, |o| o.number), error };
    file.truncate(initial_size(operations)).map_err(begin)?;
    let map = || file.mmap(0..size_max.next_multiple_of(BLOCK_SIZE));
    let mut mapping = map();
    let mut trimmed = Trimmed::default();
    for operation in operations {
        if ended() {
            return Err(ReplayError::Ended);
        }
        let has = file.size();
        if operation.size_before != has {
            let other = OtherSize { number: operation.number, says: operation.size_before, has };
            differs(other).map_err(ReplayError::Line)?;
        }
        let left = if trims { trim(operation, has, size_max) } else { Some(*operation) };
        match &left {
            Some(left) => {
                apply(left, &file, &mapping, size_max, &ended).map_err(|error| report(operation, error))?;
                trimmed.trimmed += u64::from(left != operation);
            }
            None => trimmed.passed_over += 1,
        }
        if operation.close_open {
            // A file is open as long as it exists here. So a close only takes away the
            // translations.
            mapping = map();
        }
    }
    Ok((look(&file), trimmed))
}

/// How many blocks are in use at most while the log is replayed, except for a few.
///
/// Let M be the largest size of the file in blocks, its initial size included. Then at most 3 M are
/// in use at once:
///
/// * Pages that have a block lie below 2 M. No operation names a byte past M, so one that reserves
///   past the end of the file reaches M. From there insertions move a page on, by D in all since it
///   was reserved. D is never more than the size of the file, and so never more than M. An
///   insertion adds to both. A collapse takes from both. A truncate that makes the file smaller
///   leaves no page behind its new size. Every other change of the size makes it larger.
/// * A page has one block, and a block that pages share is one: 2 M.
/// * Before zero_range gives up shared blocks it has another block for each page of its range that
///   has one: M.
/// * Everything else holds at most one block that no page has. Such a block is a copy that replaces
///   a shared block, or one that was asked for and does not follow the one before.
///
/// A log may be too short to reach this bound, so that the file is sparse. The blocks in use were
/// allocated, and no operation allocates more than [`most_allocated`] says.
fn blocks_needed(operations: &[Operation], size_max: u64) -> u64 {
    let inserted = operations.iter().filter(|o| o.verb == Verb::InsertRange).map(|o| o.len);
    let named = operations.iter().map(|operation| match operation.verb {
        // To the end of the file, however long the file is.
        Verb::CloneRange if operation.len == 0 => size_max,
        _ => operation.end().unwrap_or(size_max),
    });
    let largest = named.fold(initial_size(operations), u64::max);
    let largest = inserted.fold(largest, u64::saturating_add).min(size_max);
    let allocated = operations.iter().map(most_allocated).fold(0, u64::saturating_add);
    allocated.min(3 * largest.div_ceil(BLOCK_SIZE))
}

/// How many blocks an operation allocates at most. It allocates one for each page that it fills if
/// the page is a hole or has a shared block. It also allocates one for each shared block that its
/// ends, or the end of the file, cut in two.
fn most_allocated(operation: &Operation) -> u64 {
    const CUT: u64 = 4;
    let pages = operation.len.div_ceil(BLOCK_SIZE) + 1;
    CUT + match operation.verb {
        Verb::Write | Verb::Fallocate | Verb::ZeroRange | Verb::CopyRange => pages,
        // Its faults get 2 MiB at once where possible.
        Verb::MapWrite => (pages.div_ceil(HUGE) + 1) * HUGE,
        Verb::Read
        | Verb::MapRead
        | Verb::Truncate
        | Verb::PunchHole
        | Verb::CollapseRange
        | Verb::InsertRange
        | Verb::CloneRange
        | Verb::DedupeRange
        | Verb::Fsync => 0,
    }
}

/// Calls `act` with what the file holds, piece by piece from the start, so that a large sparse file
/// fits in memory.
pub(crate) fn each_piece<E: From<FsError>>(
    file: &File<'_>,
    mut act: impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), E> {
    let mut piece = vec![0; PIECE];
    let mut at = 0;
    while at < file.size() {
        let len = file.read_at(&mut piece, at)?;
        act(&piece[..len])?;
        at += len as u64;
    }
    Ok(())
}

const PIECE: usize = 1 << 20;

/// Why an operation was not done, or not to its end.
enum Undone {
    /// The caller asked the replay to end.
    Ended,
    Failed(FsError),
}

impl From<FsError> for Undone {
    fn from(error: FsError) -> Self {
        Undone::Failed(error)
    }
}

/// What Linux refuses is the log's fault. Everything else is not.
fn report(operation: &Operation, undone: Undone) -> ReplayError {
    let number = operation.number;
    let Undone::Failed(error) = undone else { return ReplayError::Ended };
    match error {
        FsError::NoSpace | FsError::Device(_) => ReplayError::Failed { number, error },
        _ => ReplayError::Line(BadLine {
            number,
            expected: format!("expected a `{}` that can be done: {error}", operation.verb.name()),
        }),
    }
}

fn apply(
    operation: &Operation,
    file: &File<'_>,
    mapping: &Mapping<'_>,
    size_max: u64,
    ended: &dyn Fn() -> bool,
) -> Result<(), Undone> {
    let in_pieces = |offset, len, act: &mut Piecewise<'_>| {
        each_part(offset, len, |at, piece| {
            if ended() {
                return Err(Undone::Ended);
            }
            Ok(act(at, piece)?)
        })
    };
    let &Operation { number, verb, offset, len, dest, keep_size, unshare, .. } = operation;
    if len == 0 && needs_a_length(verb) {
        return Err(FsError::Invalid("the length must not be 0").into());
    }
    match verb {
        Verb::Read => {
            let len = len.min(file.size().saturating_sub(offset));
            in_pieces(offset, len, &mut |at, piece| file.read_at(piece, at).map(drop))?;
        }
        Verb::Write => in_pieces(offset, len, &mut |at, piece| {
            fill(piece, number, at);
            if file.write_at(piece, at)? < piece.len() { Err(FsError::NoSpace) } else { Ok(()) }
        })?,
        // A piece that lies past the end of the file fails.
        Verb::MapRead => in_pieces(offset, len, &mut |at, piece| mapping.load(at, piece))?,
        Verb::MapWrite => {
            if offset + len > file.size() {
                file.truncate(offset + len)?;
            }
            in_pieces(offset, len, &mut |at, piece| {
                fill(piece, number, at);
                mapping.store(at, piece)
            })?;
            file.fsync()?;
        }
        Verb::Truncate => file.truncate(len)?,
        Verb::Fallocate => {
            if unshare {
                file.unshare_range(offset, len)?;
            }
            if keep_size { file.fallocate_keep_size(offset, len)? } else { file.fallocate(offset, len)? }
        }
        Verb::PunchHole => file.punch_hole(offset, len)?,
        Verb::ZeroRange if keep_size => file.zero_range_keep_size(offset, len)?,
        Verb::ZeroRange => file.zero_range(offset, len)?,
        Verb::CollapseRange => file.collapse_range(offset, len)?,
        Verb::InsertRange if len > size_max - file.size() => {
            return Err(FsError::TooBig { end: file.size() + len, max: size_max }.into());
        }
        Verb::InsertRange => file.insert_range(offset, len)?,
        // With no length, up to the end of the file.
        Verb::CloneRange if len == 0 && file.size().saturating_sub(offset) > size_max - dest => {
            return Err(FsError::TooBig { end: dest + (file.size() - offset), max: size_max }.into());
        }
        Verb::CloneRange => file.clone_range(file, offset, dest, len)?,
        // Whether the bytes were the same or not, they stay.
        Verb::DedupeRange => {
            let _: Deduped = file.dedupe_range(file, offset, dest, len)?;
        }
        Verb::CopyRange => {
            let wanted = len.min(file.size().saturating_sub(offset));
            if file.copy_range(file, offset, dest, len)? < wanted {
                return Err(FsError::NoSpace.into());
            }
        }
        Verb::Fsync => file.fsync()?,
    }
    Ok(())
}

/// Whether Linux answers a length of 0 with EINVAL: mmap and fallocate do.
fn needs_a_length(verb: Verb) -> bool {
    matches!(
        verb,
        Verb::MapRead
            | Verb::MapWrite
            | Verb::Fallocate
            | Verb::PunchHole
            | Verb::ZeroRange
            | Verb::CollapseRange
            | Verb::InsertRange
    )
}

/// What an operation does to a piece, given its offset and a buffer of its length.
type Piecewise<'a> = dyn FnMut(u64, &mut [u8]) -> Result<(), FsError> + 'a;

/// Calls `act` with a range in pieces, and a buffer for each: a log may name any length.
fn each_part(
    offset: u64,
    len: u64,
    mut act: impl FnMut(u64, &mut [u8]) -> Result<(), Undone>,
) -> Result<(), Undone> {
    let mut buffer = vec![0; len.min(PIECE as u64) as usize];
    let mut done = 0;
    while done < len {
        let part = (len - done).min(PIECE as u64);
        act(offset + done, &mut buffer[..part as usize])?;
        done += part;
    }
    Ok(())
}

/// What the operation of line `number` writes at `offset`. It depends on the number and the place
/// in the file, so it is known without fsx' random numbers.
fn fill(piece: &mut [u8], number: u64, offset: u64) {
    for (at, byte) in (offset..).zip(piece) {
        *byte = (number.wrapping_mul(31).wrapping_add(at) % 251) as u8;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::variant::Variant;

    const SIZE_MAX: u64 = 1 << 20;

    fn parse(log: &str, size_max: u64) -> Result<Vec<Operation>, BadLine> {
        super::super::log::parse(log, size_max, false)
    }

    fn replay(log: &str) -> Result<Vec<u8>, ReplayError> {
        replay_with(log, false).map(|(contents, _, _)| contents)
    }

    type Replayed = (Vec<u8>, Trimmed, Vec<OtherSize>);

    fn replay_with(log: &str, trims: bool) -> Result<Replayed, ReplayError> {
        let operations = super::super::log::parse(log, SIZE_MAX, trims).expect("the log can be read");
        let options = Options { mix: Variant::RangeLock.into(), size_max: SIZE_MAX, trims };
        let mut others = Vec::new();
        let differs = |other| {
            others.push(other);
            Ok(())
        };
        let device = device(&operations, SIZE_MAX, None, false).expect("there is room in memory");
        let replayed = run(
            &device,
            &operations,
            options,
            || false,
            differs,
            |file| {
                let mut contents = Vec::new();
                let mut pieces = 0;
                let read = each_piece(file, |piece| {
                    contents.extend_from_slice(piece);
                    pieces += 1;
                    Ok::<(), FsError>(())
                });
                assert!(read.is_ok() && pieces == contents.len().div_ceil(PIECE));
                contents
            },
        );
        replayed.map(|(contents, trimmed)| (contents, trimmed, others))
    }

    #[test]
    fn a_tail_begins_with_a_hole_of_the_size_that_its_first_line_names() {
        assert_eq!(replay("skip read 0x0 0x0 0x77\nread 0x0 0x1 0x55").unwrap(), [0; 0x55]);
        let contents = replay("collapse_range 0x1000 0x1000 0x8000\nwrite 0x6fff 0x1 0x7000").unwrap();
        assert_eq!((contents.len(), contents[0x6fff]), (0x7000, ((2 * 31 + 0x6fff) % 251) as u8));
        let operations = parse("fallocate 0x0 0x100000 0x80000 keep_size", SIZE_MAX).unwrap();
        assert!(blocks_needed(&operations, SIZE_MAX) >= 0x100);
        // What is inserted moves blocks on.
        let log = "fallocate 0xff000 0x1000 0x1000 keep_size\ninsert_range 0x0 0xff000 0x1000\n\
                   write 0x0 0x100000 0x100000\n";
        assert_eq!(replay(log).unwrap().len() as u64, SIZE_MAX);
    }

    #[test]
    fn other_sizes_than_the_log_says_are_noticed() {
        let log = "write 0x0 0x10 0x9999\nread 0x0 0x10 0x7777\ntruncate 0x0 0x5 0x9999\nfsync 0x0 0x0 0x0\n";
        let (contents, _, others) = replay_with(log, false).unwrap();
        assert_eq!(contents.len(), 5);
        let expected = [(2, 0x7777, 0x9999), (4, 0, 5)];
        assert_eq!(others, expected.map(|(number, says, has)| OtherSize { number, says, has }));
    }

    /// The log that xfstests' generic/499 publishes, which was edited by hand.
    #[test]
    fn generic_499_is_replayed_with_trimmed_ranges() {
        const LOG: &str = "fallocate 0x77e2 0x5f06 0x269a2 keep_size\n\
            mapwrite 0x2e7fc 0x42ba 0x3f989\n\
            write 0x67a9 0x714e 0x3f989\n\
            write 0x39f96 0x185a 0x3f989\n\
            collapse_range 0x36000 0x8000 0x3f989\n\
            mapread 0x74c0 0x1bb3 0x3e2d0\n\
            truncate 0x0 0x8aa2 0x3e2d0\n\
            zero_range 0x1265 0x783 0x8aa2\n\
            mapread 0x7bd8 0xeeb 0x8aa2\n";
        let ReplayError::Line(BadLine { number: 5, .. }) = replay(LOG).unwrap_err() else { panic!() };
        let (contents, trimmed, others) = replay_with(LOG, true).unwrap();
        assert_eq!(trimmed, Trimmed { trimmed: 2, passed_over: 0 });
        assert_eq!((contents.len(), others[0].number), (0x8aa2, 2));
        let byte = |at: usize| if (0x67a9..0x8aa2).contains(&at) { ((3 * 31 + at) % 251) as u8 } else { 0 };
        assert!(contents.iter().enumerate().all(|(at, found)| *found == byte(at)));
    }

    #[test]
    fn what_has_nothing_left_is_passed_over() {
        let log = "read 0x5 0x5 0x0\nclone_range 0x0 0x1000 0x1000 0x0 close_open\nwrite 0x100001 0x2 0x0\n";
        let (contents, trimmed, others) = replay_with(log, true).unwrap();
        assert_eq!(contents, [0, 3 * 31 + 1, 3 * 31 + 2]);
        assert_eq!((trimmed, others.len()), (Trimmed { trimmed: 1, passed_over: 2 }, 0));
    }

    /// Everything that a log can do to have blocks at once: reserve past the end, move the
    /// reservation on, reserve again, share what there is, and have zero_range find other blocks
    /// for it.
    #[test]
    fn the_device_has_room_for_whatever_the_log_does() {
        let half = SIZE_MAX / 2;
        let log = format!(
            "write 0x0 0x1000 0x0\n\
             fallocate 0x0 {SIZE_MAX:#x} 0x1000 keep_size\n\
             insert_range 0x0 {most:#x} 0x1000\n\
             write 0x0 {half:#x} {SIZE_MAX:#x}\n\
             clone_range 0x0 {half:#x} {half:#x} {SIZE_MAX:#x}\n\
             fallocate 0x0 {SIZE_MAX:#x} {SIZE_MAX:#x} unshare\n\
             clone_range 0x0 {half:#x} {half:#x} {SIZE_MAX:#x}\n\
             mapwrite {half:#x} {half:#x} {SIZE_MAX:#x}\n\
             zero_range 0x0 {SIZE_MAX:#x} {SIZE_MAX:#x}\n",
            most = SIZE_MAX - 0x1000,
        );
        assert!(replay(&log).unwrap().iter().all(|byte| *byte == 0));
        let operations = parse(&log, SIZE_MAX).unwrap();
        assert_eq!(blocks_needed(&operations, SIZE_MAX), 3 * SIZE_MAX / BLOCK_SIZE);
    }

    #[test]
    fn a_sparse_file_needs_blocks_for_what_is_written_only() {
        let most = 1 << 39;
        let needed = |log: &str| blocks_needed(&parse(log, most).unwrap(), most);
        assert!(needed("truncate 0x0 0x8000000000 0x0\nread 0x0 0x8000000000 0x8000000000") < 16);
        assert!(needed("write 0x7ffffff000 0x1000 0x0\npunch_hole 0x0 0x7000000000 0x8000000000") < 16);
        assert_eq!(needed("fallocate 0x0 0x8000000000 0x0"), 4 + 1 + most / BLOCK_SIZE);
        assert_eq!(needed("truncate 0x0 0x1 0x0\nclone_range 0x0 0x0 0x0 0x1"), 8);
        assert_eq!(needed("write 0x0 0x1 0x0"), 3, "no more than three for each of its pages");
    }

    #[test]
    fn a_clone_up_to_the_end_is_held_to_the_largest_size_too() {
        let log = "truncate 0x0 0x80000 0x0\nclone_range 0x0 0x0 0x80000 0x80000\n";
        assert_eq!(replay(log).unwrap().len() as u64, SIZE_MAX);
        let error = replay(&format!("{log}clone_range 0x0 0x0 0x1000 0x100000\n")).unwrap_err();
        let ReplayError::Line(BadLine { number: 3, expected }) = error else { panic!("{error:?}") };
        assert!(expected.contains("exceeds"), "{expected}");
    }

    #[test]
    fn the_bytes_are_those_of_the_line_and_the_place() {
        let contents =
            replay("# one\nwrite 0x3 0x2 0x0\nskip write 0x0 0x9 0x5\nmapwrite 0x4 0x2 0x5\n").unwrap();
        assert_eq!(contents, [0, 0, 0, 2 * 31 + 3, 4 * 31 + 4, 4 * 31 + 5]);
        assert!(replay("").unwrap().is_empty());
    }

    #[test]
    fn keep_size_keeps_the_size_and_nothing_else_does() {
        for (line, size) in [
            ("fallocate 0x100 0x100 0x0", 0x200),
            ("fallocate 0x100 0x100 0x0 keep_size", 0),
            ("fallocate 0x100 0x100 0x0 unshare", 0x200),
            ("zero_range 0x100 0x100 0x0", 0x200),
            ("zero_range 0x100 0x100 0x0 keep_size", 0),
            ("mapwrite 0x100 0x100 0x0 close_open", 0x200),
            ("truncate 0x0 0x123 0x0", 0x123),
            ("punch_hole 0x0 0x1000 0x0", 0),
            ("read 0x0 0x1000 0x0", 0),
            ("copy_range 0x0 0x1000 0x2000 0x0", 0),
        ] {
            assert_eq!(replay(line).unwrap().len(), size, "{line}");
        }
    }

    #[test]
    fn what_linux_refuses_is_a_bad_line() {
        for (line, part) in [
            ("collapse_range 0x100 0x1000 0x3000", "4096"),
            ("collapse_range 0x1000 0x2000 0x3000", "before the end"),
            ("insert_range 0x1000 0x100 0x3000", "4096"),
            ("insert_range 0x3000 0x1000 0x3000", "before the end"),
            ("insert_range 0x0 0xff000 0x3000", "exceeds"),
            ("clone_range 0x100 0x1000 0x2000 0x3000", "multiples of 4096"),
            ("clone_range 0x0 0x800 0x2000 0x3000", "whole blocks"),
            ("clone_range 0x0 0x2000 0x1000 0x3000", "overlap"),
            ("clone_range 0x2000 0x2000 0x5000 0x3000", "end by the end"),
            ("dedupe_range 0x0 0x1000 0x3000 0x3000", "end by the end"),
            ("copy_range 0x0 0x11 0x10 0x3000", "overlap"),
            ("mapread 0x2fff 0x2 0x3000", "SIGBUS"),
            ("punch_hole 0x0 0x0 0x3000", "must not be 0"),
        ] {
            let error = replay(&format!("write 0x0 0x3000 0x0\n{line}\n")).unwrap_err();
            let ReplayError::Line(BadLine { number: 2, expected }) = error else {
                panic!("{line}: {error:?}");
            };
            let name = line.split(' ').next().unwrap();
            assert!(expected.contains(part) && expected.contains(name), "{line}: {expected}");
        }
    }
}
