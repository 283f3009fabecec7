//! Taking answers back: before a write into new blocks, and when pages go.

use super::DaxEntry;
use crate::fs::{FileSystem, Inode};

/// Forgets what is known of the pages `first..=last`, so that the next access faults and looks up again.
///
/// As in Linux 4.12: deletes the entries, *then* unmaps the whole range once. Unmapping first would not do, because a page could
/// be mapped again before its entry is deleted, and nobody would notice (cd656375f946). Waits for locked entries
/// (`__dax_invalidate_mapping_entry` in its synchronous form). A dirty entry stays: it can only be the answer of a write fault
/// that came after the allocation, and so is right.
pub(crate) fn invalidate_inode_pages2_range(fs: &FileSystem<'_>, inode: &Inode, first: u64, last: u64) {
    delete_entries(fs, inode, first, last, |entry| !entry.is_dirty());
    inode.i_mmap.unmap(first, last);
}

/// Forgets the pages `first..=last` for good: unmap, delete the entries, dirty or not, unmap again
/// (`truncate_inode_pages_range` between two `unmap_mapping_range`). The caller keeps faults out.
pub(crate) fn truncate_inode_pages_range(fs: &FileSystem<'_>, inode: &Inode, first: u64, last: u64) {
    inode.i_mmap.unmap(first, last);
    delete_entries(fs, inode, first, last, |_| true);
    inode.i_mmap.unmap(first, last);
}

fn delete_entries(
    fs: &FileSystem<'_>,
    inode: &Inode,
    first: u64,
    last: u64,
    which: impl Fn(DaxEntry) -> bool,
) {
    for (page, _) in inode.entries.present(first, last) {
        if let Some(entry) = inode.entries.lock_existing(page, &fs.schedule)
            && which(entry.get())
        {
            entry.delete();
        }
    }
}
