//! Trims ranges to the file, as fsx does when it replays a log.
//!
//! fsx has one function for operations that it draws at random and for operations that it reads
//! from a log. So it trims a range of a log like a drawn one. It takes the offset modulo the size
//! of the file, or of the largest file for operations that may make the file larger. It cuts the
//! length where the file ends, and passes over an operation with nothing left. Clone, dedupe and
//! copy are not trimmed. They are only passed over where they begin behind the end.

use super::log::{Operation, Verb};
use crate::pmem::BLOCK_SIZE;

/// What is left of `operation` in a file of `size` bytes, which may have `size_max`. `None` if
/// nothing is left.
pub(super) fn trim(operation: &Operation, size: u64, size_max: u64) -> Option<Operation> {
    let Operation { verb, offset, len, dest, .. } = *operation;
    let (offset, len) = match verb {
        Verb::Truncate | Verb::Fsync => return Some(*operation),
        Verb::Read | Verb::MapRead | Verb::PunchHole => cut(offset, len, size),
        Verb::Write | Verb::MapWrite | Verb::Fallocate | Verb::ZeroRange => cut(offset, len, size_max),
        // The last byte stays: a collapse ends before the end of the file.
        Verb::CollapseRange => whole_blocks(cut(offset, len, size.saturating_sub(1))),
        Verb::InsertRange => {
            let (offset, _) = cut(offset, 0, size);
            whole_blocks((offset, len.min(size_max - size)))
        }
        Verb::CloneRange | Verb::DedupeRange | Verb::CopyRange => {
            let fits = dest.checked_add(len).is_some_and(|end| end <= size_max);
            (offset, if fits { len } else { 0 })
        }
    };
    let begins_inside = match verb {
        Verb::InsertRange | Verb::CloneRange | Verb::DedupeRange | Verb::CopyRange => offset < size,
        _ => true,
    };
    (len > 0 && begins_inside).then_some(Operation { offset, len, ..*operation })
}

fn cut(offset: u64, len: u64, limit: u64) -> (u64, u64) {
    let offset = offset.checked_rem(limit).unwrap_or(0);
    (offset, len.min(limit - offset))
}

fn whole_blocks((offset, len): (u64, u64)) -> (u64, u64) {
    (offset - offset % BLOCK_SIZE, len - len % BLOCK_SIZE)
}

#[cfg(test)]
mod tests {
    use super::super::log::parse;
    use super::*;

    const SIZE_MAX: u64 = 0x10000;

    /// Offset and length after trimming to a file of `size` bytes.
    fn trimmed(line: &str, size: u64) -> Option<(u64, u64)> {
        let operations = parse(&format!("{line} 0x0"), SIZE_MAX, true).unwrap();
        trim(&operations[0], size, SIZE_MAX).map(|operation| (operation.offset, operation.len))
    }

    #[test]
    fn ranges_are_trimmed_as_fsx_does() {
        for (line, size, expected) in [
            ("read 0x3000 0x1000", 0x2800, Some((0x800, 0x1000))),
            ("read 0x2000 0x1000", 0x2800, Some((0x2000, 0x800))),
            ("mapread 0x0 0xffffffffffffffff", 0x7, Some((0, 7))),
            ("mapread 0x5 0x1", 0, None),
            ("punch_hole 0x1000 0x1000", 0, None),
            ("punch_hole 0x1000 0x0", 0x2000, None),
            ("write 0x12000 0x1", 0, Some((0x2000, 1))),
            ("mapwrite 0xf000 0x2000", 0, Some((0xf000, 0x1000))),
            ("fallocate 0xffffffffffffffff 0x9", 0, Some((0xffff, 1))),
            ("zero_range 0x9000 0x100", 0x2000, Some((0x9000, 0x100))),
            ("collapse_range 0x1000 0x1000", 0, None),
            ("collapse_range 0x1000 0x1000", 0x8000, Some((0x1000, 0x1000))),
            ("collapse_range 0x1000 0x1000", 0x2000, None),
            ("collapse_range 0x1800 0x1fff", 0x8000, Some((0x1000, 0x1000))),
            ("collapse_range 0x36000 0x8000", 0x3b7f0, Some((0x36000, 0x5000))),
            ("insert_range 0x5000 0x1000", 0x4000, Some((0x1000, 0x1000))),
            ("insert_range 0x1000 0xf000", 0x4800, Some((0x1000, 0xb000))),
            ("insert_range 0x1000 0x1000", 0, None),
            ("insert_range 0x1000 0x1000", SIZE_MAX, None),
            ("clone_range 0x2000 0x2000 0x5000", 0x3000, Some((0x2000, 0x2000))),
            ("clone_range 0x3000 0x2000 0x5000", 0x3000, None),
            ("clone_range 0x0 0x2000 0xf000", 0x3000, None),
            ("clone_range 0x0 0x0 0x0", 0x3000, None),
            ("dedupe_range 0x3000 0x1 0x0", 0x3000, None),
            ("copy_range 0x3000 0x1 0x0", 0x3000, None),
            ("copy_range 0x0 0xffffffffffffffff 0x1", 0x3000, None),
            ("truncate 0x0 0x9000", 0x3000, Some((0, 0x9000))),
            ("fsync 0x0 0x0", 0, Some((0, 0))),
        ] {
            assert_eq!(trimmed(line, size), expected, "{line} in {size:#x} bytes");
        }
    }
}
