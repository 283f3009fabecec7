//! Write-back: what fsync does to the pages that were stored to through mappings.

use crate::entries::DaxEntry;
use crate::error::FsError;
use crate::fs::{FileSystem, Inode};
use crate::pmem::BLOCK_SIZE;
use crate::schedule::{PlantedFault, SchedulePoint};

/// Makes durable what was stored to the pages `first..=last` before the call. An entry of 2 MiB is
/// written back as a whole.
///
/// Follows Linux 4.12: dirty entries are tagged TOWRITE first, and only entries with the tag are
/// written back. So a writer that is faster than the write-back does not keep it busy. Errors of
/// the medium are left out.
///
/// # Errors
///
/// [`FsError::Device`] if the device could not write the bytes back.
pub(crate) fn dax_writeback_mapping_range(
    fs: &FileSystem<'_>,
    inode: &Inode,
    first: u64,
    last: u64,
) -> Result<(), FsError> {
    fs.schedule.pass(SchedulePoint::Tag, first);
    inode.entries.tag_for_writeback(first, last);
    for seen in inode.entries.present(first, last).filter(|seen| seen.to_write) {
        dax_writeback_one(fs, inode, seen.first);
    }
    fs.device.fence().map_err(|e| FsError::Device(e.kind()))
}

/// Under the entry lock: takes the TOWRITE tag, write-protects every mapping, flushes, and clears
/// the dirty tag. No store can slip in after the flush, since the next store faults, and its fault
/// waits for the entry. A thread that waited for the lock and finds nothing to write back any more
/// hands the wake-up on.
fn dax_writeback_one(fs: &FileSystem<'_>, inode: &Inode, page: u64) {
    let Some(mut entry) = inode.entries.lock_if(page, DaxEntry::is_dirty, &fs.schedule) else { return };
    if let (DaxEntry::Block { block, .. }, true) = (entry.get(), entry.take_to_write()) {
        if fs.schedule.has(PlantedFault::CleanBeforeFlush) {
            entry.set(DaxEntry::Block { block, dirty: false });
        }
        inode.i_mmap.make_clean(entry.first(), entry.last(), &fs.schedule);
        fs.schedule.pass(SchedulePoint::Flush, entry.first());
        let only_first = fs.schedule.has(PlantedFault::FlushFirstPageOnly);
        let pages = if only_first { 1 } else { entry.last() - entry.first() + 1 };
        fs.flush(block * BLOCK_SIZE, pages * BLOCK_SIZE);
        entry.set(DaxEntry::Block { block, dirty: false });
    }
}
