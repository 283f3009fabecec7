//! Doing what a log says to a file of its own.

use super::BadLine;
use super::log::{Operation, Verb};
use crate::error::FsError;
use crate::file::{File, Mapping};
use crate::fs::{Deduped, FileSystem};
use crate::pmem::{BLOCK_SIZE, Device, DeviceError, DeviceOptions, MIN_DEVICE_SIZE};
use crate::schedule::Schedule;
use crate::variant::Mix;

/// Why a replay ends early.
#[derive(Debug)]
pub(crate) enum ReplayError {
    /// The operation would have been refused by Linux as well, so fsx cannot have recorded it.
    Line(BadLine),
    /// There is no device to replay on.
    Device(DeviceError),
    /// The simulator could not do it.
    Failed {
        /// The line.
        number: u64,
        error: FsError,
    },
}

/// Does `operations` to an empty file on a device in memory; returns what the file holds in the end.
pub(crate) fn run(operations: &[Operation], mix: Mix, size_max: u64) -> Result<Vec<u8>, ReplayError> {
    let size = device_size(operations, size_max);
    let device = Device::open(&DeviceOptions { path: None, size, overwrite: false });
    let device = device.map_err(ReplayError::Device)?;
    // A wrong order of locks, as `entry-lock-outside` has it by design, does one thread no harm.
    let schedule = Schedule::none().with_checks(false);
    let fs = FileSystem::format(&device, mix.variant).with_locks(mix.locks);
    let fs = fs.with_schedule(schedule).with_huge_pages();
    let file = fs.create();
    let map = || file.mmap(0..size_max.next_multiple_of(BLOCK_SIZE));
    let mut mapping = map();
    for operation in operations {
        apply(operation, &file, &mapping, size_max).map_err(|error| report(operation, error))?;
        if operation.close_open {
            // A file is open as long as it exists here; what a close takes away are the translations.
            mapping = map();
        }
    }
    let mut contents = vec![0; file.size() as usize];
    let read = file.read_at(&mut contents, 0);
    debug_assert_eq!(read, Ok(contents.len()));
    Ok(contents)
}

/// Room for all that the log can make of the file. What was reserved past its end may be moved by
/// insertions, and then be reserved once more; so it may hold twice its size.
fn device_size(operations: &[Operation], size_max: u64) -> u64 {
    let inserted: u64 = operations.iter().filter(|o| o.verb == Verb::InsertRange).map(|o| o.len).sum();
    let last = operations.iter().map(Operation::end).max().flatten().unwrap_or(0);
    let largest = last.saturating_add(inserted).min(size_max);
    MIN_DEVICE_SIZE + 2 * largest.next_multiple_of(BLOCK_SIZE)
}

/// What Linux refuses is the log's fault, and the rest is not.
fn report(operation: &Operation, error: FsError) -> ReplayError {
    let number = operation.number;
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
) -> Result<(), FsError> {
    let &Operation { verb, offset, len, dest, keep_size, unshare, .. } = operation;
    if len == 0 && needs_a_length(verb) {
        return Err(FsError::Invalid("the length must not be 0"));
    }
    match verb {
        Verb::Read => drop(file.read_at(&mut vec![0; len as usize], offset)?),
        Verb::Write => write(operation, file)?,
        Verb::MapRead => mapping.load(offset, &mut vec![0; len as usize])?,
        Verb::MapWrite => {
            if offset + len > file.size() {
                file.truncate(offset + len)?;
            }
            mapping.store(offset, &bytes(operation))?;
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
            return Err(FsError::TooBig { end: file.size() + len, max: size_max });
        }
        Verb::InsertRange => file.insert_range(offset, len)?,
        Verb::CloneRange => file.clone_range(file, offset, dest, len)?,
        // Whether they were the same or not, the bytes stay.
        Verb::DedupeRange => {
            let _: Deduped = file.dedupe_range(file, offset, dest, len)?;
        }
        Verb::CopyRange => {
            let wanted = len.min(file.size().saturating_sub(offset));
            if file.copy_range(file, offset, dest, len)? < wanted {
                return Err(FsError::NoSpace);
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

fn write(operation: &Operation, file: &File<'_>) -> Result<(), FsError> {
    let bytes = bytes(operation);
    if file.write_at(&bytes, operation.offset)? < bytes.len() { Err(FsError::NoSpace) } else { Ok(()) }
}

/// What the operation writes: from its number and the place in the file, so that it is known without fsx'
/// random numbers.
fn bytes(operation: &Operation) -> Vec<u8> {
    let Operation { number, offset, len, .. } = *operation;
    (offset..offset + len).map(|at| (number.wrapping_mul(31).wrapping_add(at) % 251) as u8).collect()
}

#[cfg(test)]
mod tests {
    use super::super::log::parse;
    use super::*;
    use crate::variant::Variant;

    const SIZE_MAX: u64 = 1 << 20;

    fn replay(log: &str) -> Result<Vec<u8>, ReplayError> {
        run(&parse(log, SIZE_MAX).expect("the log can be read"), Variant::RangeLock.into(), SIZE_MAX)
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
