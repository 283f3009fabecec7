//! Ranges of bytes and the pages that they touch.

use std::ops::Range;

use super::{Extent, FileSystem, Inode};
use crate::pmem::BLOCK_SIZE;
use crate::schedule::{PlantedFault, SchedulePoint};

/// The bytes of all pages that `start..end` touches.
pub(crate) fn pages_around(start: u64, end: u64) -> Range<u64> {
    page_start(start)..end.next_multiple_of(BLOCK_SIZE)
}

/// The first byte of the page of `offset`.
pub(crate) fn page_start(offset: u64) -> u64 {
    offset - offset % BLOCK_SIZE
}

/// Zeroes the bytes from `from` to the end of its page, or to `to` if `to` comes first, where the
/// page has a written block (`ext4_block_zero_page_range`). The block must be the page's own. The
/// caller ensures it with [`unshare_cut`](crate::ext4::unshare_cut). A store through a mapping may
/// have left bytes there, past the end of the file.
pub(crate) fn zero_partial_page(fs: &FileSystem<'_>, inode: &Inode, from: u64, to: u64) {
    let end = to.min((from / BLOCK_SIZE + 1) * BLOCK_SIZE);
    if fs.schedule.has(PlantedFault::KeepWhatIsCut) {
        return;
    }
    if let (true, Extent::Written(block)) = (from < end, inode.extents.look_up(from / BLOCK_SIZE)) {
        fs.schedule.pass(SchedulePoint::Zero, from / BLOCK_SIZE);
        fs.device.zero(block * BLOCK_SIZE + from % BLOCK_SIZE, end - from);
        fs.flush(block * BLOCK_SIZE + from % BLOCK_SIZE, end - from);
    }
}
