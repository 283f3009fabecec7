//! truncate: a new size.
//!
//! Follows `ext4_setattr`/`ext4_truncate` of Linux 4.12: i_rwsem exclusive, i_mmap_sem exclusive, wait for pinned
//! pages (4.19), unmap, delete the entries, unmap again, then journal handle and i_data_sem around the extents;
//! the blocks are freed last, when nothing maps or pins them. Left out: waiting for direct I/O on the file
//! itself, which there is none of.

use super::{FileSystem, Inode, lock_unpinned, page_start, remove_pages, unshare_cut, zero_partial_page};
use crate::error::FsError;
use crate::mm::EvenCows;
use crate::pmem::BLOCK_SIZE;

/// Sets the file's size. Bytes past a smaller size are gone; a larger size adds a hole.
pub(crate) fn ext4_truncate(fs: &FileSystem<'_>, inode: &Inode, size: u64) -> Result<(), FsError> {
    let (_i_rwsem, _i_mmap_sem) = loop {
        let old = inode.size();
        let first = old.min(size);
        let i_rwsem = inode.i_rwsem.write(first..u64::MAX, &fs.schedule);
        if inode.size() < first {
            // Somebody else made it smaller before the lock was held: it does not reach down far enough.
            continue;
        }
        break (i_rwsem, lock_unpinned(fs, inode, page_start(first)..u64::MAX));
    };
    let old = inode.size();
    unshare_cut(fs, inode, old.min(size))?;
    if size >= old {
        zero_partial_page(fs, inode, old, size);
        inode.set_size(size, &fs.schedule);
        return Ok(());
    }
    // First of all: faults look at the size under i_mmap_sem, and must not bring back what is about to go.
    inode.set_size(size, &fs.schedule);
    zero_partial_page(fs, inode, size, old);
    remove_pages(fs, inode, size.div_ceil(BLOCK_SIZE)..=u64::MAX, EvenCows::Yes);
    Ok(())
}

/// A write of the bytes up to `end` came out short: gives back what was allocated for it past the end of the
/// file (`ext4_truncate_failed_write`). The caller holds i_rwsem exclusively from the old size on, or `end` is
/// not past it.
#[cold]
pub(crate) fn ext4_truncate_failed_write(fs: &FileSystem<'_>, inode: &Inode, end: u64) {
    let (first, past) = (inode.size_in_pages(), end.div_ceil(BLOCK_SIZE));
    if first < past {
        let _i_mmap_sem = inode.i_mmap_sem.write(first * BLOCK_SIZE..past * BLOCK_SIZE, &fs.schedule);
        remove_pages(fs, inode, first..=past - 1, EvenCows::Yes);
    }
}
