//! Taking answers back: before a write into new blocks, and when pages go.

use super::DaxEntry;
use super::entry::LockedEntry;
use crate::fs::{FileSystem, Inode, Iomap, Origin};
use crate::schedule::{PlantedFault, SchedulePoint};

/// Does what must follow an `iomap_begin` for a write before the write may go on: invalidates the pages whose
/// blocks are new, and gives up the shared block that one of them replaced.
#[inline]
pub(crate) fn settle_allocation(fs: &FileSystem<'_>, inode: &Inode, iomap: &Iomap) {
    if matches!(iomap.origin, Origin::New | Origin::Copied(_)) {
        settle_new(fs, inode, iomap);
    }
}

fn settle_new(fs: &FileSystem<'_>, inode: &Inode, iomap: &Iomap) {
    fs.schedule.pass(SchedulePoint::WritePublished, iomap.first_page);
    invalidate_inode_pages2_range(fs, inode, iomap.first_page, iomap.last_page());
    if let Origin::Copied(block) = iomap.origin {
        fs.release(block.into());
    }
}

/// Forgets what is known of the pages `first..=last`, so that the next access faults and looks up again.
///
/// Waits for locked entries (`__dax_invalidate_mapping_entry` in its synchronous form). A dirty entry stays:
/// it can only be the answer of a write fault that came after the allocation, and so is right. A page without
/// an entry is not mapped.
///
/// Linux 4.12 deletes the entries, *then* unmaps the whole range once; unmapping first would not do, because
/// a page could be mapped again before its entry is deleted, and nobody would notice (cd656375f946). Between
/// the two a store in one address space can fault and be done while another still maps the zero page. Here
/// the entries stay locked until the range is unmapped, which closes both gaps; nobody who holds one entry's
/// lock waits for another's, but those who invalidate, and they go upwards.
fn invalidate_inode_pages2_range(fs: &FileSystem<'_>, inode: &Inode, first: u64, last: u64) {
    if fs.schedule.has(PlantedFault::SkipInvalidation) {
        return;
    }
    let is_clean = |entry: DaxEntry| !entry.is_dirty();
    let entries = inode.entries.present(first, last);
    let outdated: Vec<_> =
        entries.filter_map(|(page, _)| inode.entries.lock_if(page, is_clean, &fs.schedule)).collect();
    if !outdated.is_empty() {
        inode.i_mmap.unmap(first, last, &fs.schedule);
        outdated.into_iter().for_each(LockedEntry::delete);
    }
}

/// Forgets the pages `first..=last` for good: unmap, delete the entries, dirty or not, unmap again
/// (`truncate_inode_pages_range` between two `unmap_mapping_range`). The caller keeps faults out.
pub(crate) fn truncate_inode_pages_range(fs: &FileSystem<'_>, inode: &Inode, first: u64, last: u64) {
    inode.i_mmap.unmap(first, last, &fs.schedule);
    for (page, _) in inode.entries.present(first, last) {
        if let Some(entry) = inode.entries.lock_if(page, |_| true, &fs.schedule) {
            entry.delete();
        }
    }
    inode.i_mmap.unmap(first, last, &fs.schedule);
}
