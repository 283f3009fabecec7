//! Waits for pinned pages before their blocks go or move.
//!
//! Follows `ext4_break_layouts` and `ext4_wait_dax_page` of Linux 4.19, and
//! `dax_layout_busy_page_range` of 5.10. In Linux a signal can end the wait. There are no signals
//! here.

use std::ops::Range;

use crate::dax::dax_layout_busy_page;
use crate::fs::{FileSystem, Inode, SemGuard};
use crate::pmem::BLOCK_SIZE;
use crate::schedule::{PlantedFault, SchedulePoint};

/// Takes i_mmap_sem exclusively over `bytes` when none of their pages is pinned, and unmaps the
/// pages. So no thread can pin one while the caller holds i_mmap_sem. While the function waits for
/// a pin it holds i_rwsem, but not i_mmap_sem.
pub(crate) fn lock_unpinned<'a>(fs: &FileSystem<'_>, inode: &'a Inode, bytes: Range<u64>) -> SemGuard<'a> {
    loop {
        let i_mmap_sem = inode.i_mmap_sem.write(bytes.clone(), &fs.schedule);
        if fs.schedule.has(PlantedFault::FreeBeforeUnmap) {
            return i_mmap_sem;
        }
        let (first, last) = (bytes.start / BLOCK_SIZE, (bytes.end - 1) / BLOCK_SIZE);
        let busy = dax_layout_busy_page(fs, inode, first, last);
        let busy = busy.filter(|_| !fs.schedule.has(PlantedFault::FreePinned));
        let Some(busy) = busy else { return i_mmap_sem };
        drop(i_mmap_sem);
        wait_for_page(fs, first, busy);
    }
}

/// The same for everything from `offset` on, all of which moves.
pub(crate) fn lock_unpinned_from<'a>(fs: &FileSystem<'_>, inode: &'a Inode, offset: u64) -> SemGuard<'a> {
    let end = if fs.schedule.has(PlantedFault::LockFirstPageOnly) { offset + BLOCK_SIZE } else { u64::MAX };
    lock_unpinned(fs, inode, offset..end)
}

/// Sleeps until a block is not pinned. The caller has released i_mmap_sem.
pub(crate) fn wait_for_page(fs: &FileSystem<'_>, page: u64, block: u64) {
    fs.schedule.pass(SchedulePoint::LayoutBusy, page);
    fs.pins.wait(block, &fs.schedule);
}
