//! Takes answers back: before a write into new blocks, and when pages go.

use crate::entries::{DaxEntry, LockedEntry};
use crate::fs::{Extent, FileSystem, Inode, Iomap, Origin};
use crate::mm::EvenCows;
use crate::pmem::BLOCK_SIZE;
use crate::schedule::{PlantedFault, SchedulePoint};

/// Does what must follow an `iomap_begin` for a write before the write goes on. It invalidates the
/// pages that got new blocks, and gives up the shared block that a new block replaced.
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

/// Forgets what is known of the pages `first..=last`, so that the next access faults and looks up
/// again.
///
/// It waits for locked entries (`__dax_invalidate_mapping_entry` in its synchronous form). A dirty
/// entry of a page stays: only a write fault that came after the allocation can have left it, so it
/// is right. An entry of 2 MiB may be dirty because of another page, and stays only if it is right.
/// A page without an entry is not mapped.
///
/// Linux 4.12 deletes the entries, *then* unmaps the whole range once. The other order would not
/// do: a page could be mapped again before its entry is deleted, and no thread would notice
/// (cd656375f946). Between the two steps a store in one address space can fault and complete while
/// another address space still maps the zero page. Here the entries stay locked until the range is
/// unmapped, which closes both gaps. Only an invalidation waits for an entry's lock while it holds
/// another one, and it locks entries in ascending order.
pub(super) fn invalidate_inode_pages2_range(fs: &FileSystem<'_>, inode: &Inode, first: u64, last: u64) {
    if fs.schedule.has(PlantedFault::SkipInvalidation) {
        return;
    }
    let locked = inode.entries.lock_all(first, last, |_| true, &fs.schedule);
    let outdated: Vec<_> = locked.filter(|entry| !stays(inode, entry, first, last)).collect();
    if let (Some(lowest), Some(highest)) = (outdated.first(), outdated.last()) {
        // An entry of 2 MiB is unmapped as a whole.
        inode.i_mmap.unmap(first.min(lowest.first()), last.max(highest.last()), EvenCows::No, &fs.schedule);
        outdated.into_iter().for_each(|entry| delete_unmapped(fs, entry));
    }
}

fn stays(inode: &Inode, entry: &LockedEntry<'_>, first: u64, last: u64) -> bool {
    let is_right =
        |page| matches!(inode.extents.look_up(page), Extent::Written(b) if entry.block_of(page) == Some(b));
    entry.get().is_dirty()
        && (!entry.is_pmd() || (entry.first().max(first)..=entry.last().min(last)).all(is_right))
}

/// Forgets the pages `first..=last` for good: unmaps them, deletes their entries, dirty or not, and
/// unmaps them again (`truncate_inode_pages_range` between two `unmap_mapping_range`). The caller
/// keeps faults out. Pages that private mappings have copied go only with the end of the file
/// ([`EvenCows::Yes`]).
///
/// This differs from Linux where only a part of an entry of 2 MiB goes. If the entry is dirty, its
/// other pages are written back first; Linux forgets them. They are also unmapped everywhere, so
/// that nothing is mapped without an entry.
pub(crate) fn truncate_inode_pages_range(
    fs: &FileSystem<'_>,
    inode: &Inode,
    first: u64,
    last: u64,
    even_cows: EvenCows,
) {
    inode.i_mmap.unmap(first, last, even_cows, &fs.schedule);
    for entry in inode.entries.lock_all(first, last, |_| true, &fs.schedule) {
        if entry.first() < first || entry.last() > last {
            split_entry(fs, inode, entry);
        } else {
            entry.delete();
        }
    }
    inode.i_mmap.unmap(first, last, even_cows, &fs.schedule);
}

/// Returns a block of the pages `first..=last` that is pinned. The pages are unmapped first. So a
/// thread that pins one at the same time has either pinned it before, and its pin is seen, or finds
/// no translation. Then its fault waits for i_mmap_sem (`dax_layout_busy_page_range`), which the
/// caller holds exclusively.
pub(crate) fn dax_layout_busy_page(fs: &FileSystem<'_>, inode: &Inode, first: u64, last: u64) -> Option<u64> {
    inode.i_mmap.unmap(first, last, EvenCows::No, &fs.schedule);
    let blocks = inode.entries.present(first, last).filter_map(|seen| match seen.entry {
        DaxEntry::Block { block, .. } => Some(block..=block + (seen.last - seen.first)),
        DaxEntry::Empty | DaxEntry::ZeroPage => None,
    });
    fs.pins.find_pinned(blocks.flatten())
}

/// Gives an entry of 2 MiB up, so that its pages get entries of their own. It unmaps them
/// everywhere, and writes them back if necessary.
pub(super) fn split_entry(fs: &FileSystem<'_>, inode: &Inode, entry: LockedEntry<'_>) {
    inode.i_mmap.unmap(entry.first(), entry.last(), EvenCows::No, &fs.schedule);
    delete_unmapped(fs, entry);
}

/// Deletes an entry that nothing maps any more. An entry of 2 MiB takes along the tag that says
/// that its other pages need write-back, so they are written back now.
fn delete_unmapped(fs: &FileSystem<'_>, entry: LockedEntry<'_>) {
    if let (DaxEntry::Block { block, dirty: true }, true) = (entry.get(), entry.is_pmd()) {
        fs.schedule.pass(SchedulePoint::Flush, entry.first());
        fs.flush(block * BLOCK_SIZE, (entry.last() - entry.first() + 1) * BLOCK_SIZE);
    }
    entry.delete();
}
