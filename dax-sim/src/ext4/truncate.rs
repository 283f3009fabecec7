//! truncate: a new size.
//!
//! Follows `ext4_setattr`/`ext4_truncate` of Linux 4.12, in this order:
//!
//! 1. i_rwsem exclusive, i_mmap_sem exclusive;
//! 2. wait for pinned pages (4.19);
//! 3. a journal handle around the size;
//! 4. unmap, delete the entries, unmap again;
//! 5. a journal handle and i_data_sem around the extents;
//! 6. free the blocks, when nothing maps or pins them.
//!
//! Waiting for direct I/O on the file itself is left out, because the simulator has no direct I/O.

use super::{lock_unpinned, remove_pages, unshare_cut};
use crate::error::FsError;
use crate::fs::{FileSystem, Inode, page_start, zero_partial_page};
use crate::mm::EvenCows;
use crate::pmem::BLOCK_SIZE;

/// Sets the file's size. Bytes past a smaller size are gone. A larger size adds a hole.
pub(crate) fn ext4_truncate(fs: &FileSystem<'_>, inode: &Inode, size: u64) -> Result<(), FsError> {
    let (_i_rwsem, _i_mmap_sem) = loop {
        let old = inode.size();
        let first = old.min(size);
        let i_rwsem = inode.i_rwsem.write(first..u64::MAX, &fs.schedule);
        if inode.size() < first {
            // Another thread made the file smaller before this one held the lock, so the lock does
            // not reach down far enough.
            continue;
        }
        break (i_rwsem, lock_unpinned(fs, inode, page_start(first)..u64::MAX));
    };
    let old = inode.size();
    unshare_cut(fs, inode, old.min(size))?;
    if size >= old {
        zero_partial_page(fs, inode, old, size);
        if size > old {
            set_size(fs, inode, size);
        }
        return Ok(());
    }
    // This comes first: faults look at the size under i_mmap_sem, and must not bring back what is
    // about to go.
    set_size(fs, inode, size);
    // To the end of the page: a store may also have left something past the old end of the file.
    zero_partial_page(fs, inode, size, size.next_multiple_of(BLOCK_SIZE));
    remove_pages(fs, inode, size.div_ceil(BLOCK_SIZE)..=u64::MAX, EvenCows::Yes);
    Ok(())
}

/// The size is metadata: fsync commits each change of it, up or down.
fn set_size(fs: &FileSystem<'_>, inode: &Inode, size: u64) {
    let handle = fs.start_handle();
    inode.set_size(size, &handle, &fs.schedule);
}
