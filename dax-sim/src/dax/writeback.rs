//! Write-back: what fsync does to the pages that were stored to through mappings.

use super::DaxEntry;
use crate::error::FsError;
use crate::fs::{FileSystem, Inode};
use crate::pmem::BLOCK_SIZE;
use crate::schedule::{PlantedFault, SchedulePoint};

/// Makes durable what was stored to the pages `first..=last` before the call.
///
/// Left out: the TOWRITE tag, which in Linux keeps a writer that is faster than the write-back from keeping
/// it busy; here each page is visited once in any case.
pub(crate) fn dax_writeback_mapping_range(
    fs: &FileSystem<'_>,
    inode: &Inode,
    first: u64,
    last: u64,
) -> Result<(), FsError> {
    for (page, entry) in inode.entries.present(first, last) {
        if entry.is_dirty() {
            dax_writeback_one(fs, inode, page);
        }
    }
    fs.device.fence().map_err(|e| FsError::Device(e.kind()))
}

/// Under the entry lock: write-protect every mapping, then flush, then clear the dirty tag. No store can slip
/// in after the flush, since the next one faults, and its fault waits for the entry.
fn dax_writeback_one(fs: &FileSystem<'_>, inode: &Inode, page: u64) {
    let Some(mut entry) = inode.entries.lock_if(page, DaxEntry::is_dirty, &fs.schedule) else { return };
    if let DaxEntry::Block { block, dirty: true } = entry.get() {
        if fs.schedule.has(PlantedFault::CleanBeforeFlush) {
            entry.set(DaxEntry::Block { block, dirty: false });
        }
        inode.i_mmap.make_clean(page, &fs.schedule);
        fs.schedule.pass(SchedulePoint::Flush, page);
        fs.device.flush(block * BLOCK_SIZE, BLOCK_SIZE);
        entry.set(DaxEntry::Block { block, dirty: false });
    }
}
