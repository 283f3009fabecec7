//! Punches holes: frees the blocks inside a range, which then reads as zeros.
//!
//! Follows `ext4_punch_hole` of Linux 4.12, in the order of truncate, with the wait for pinned
//! pages of 4.19.

use super::{lock_unpinned, remove_pages, unshare_cut};
use crate::error::FsError;
use crate::fs::{FileSystem, Inode, pages_around, zero_partial_page};
use crate::mm::EvenCows;
use crate::pmem::BLOCK_SIZE;

/// Makes the bytes of `offset..end` read as zeros, and frees the blocks that lie wholly inside. The
/// size stays.
pub(crate) fn ext4_punch_hole(
    fs: &FileSystem<'_>,
    inode: &Inode,
    offset: u64,
    end: u64,
) -> Result<(), FsError> {
    let _i_rwsem = inode.i_rwsem.write(offset..end, &fs.schedule);
    let _i_mmap_sem = lock_unpinned(fs, inode, pages_around(offset, end));
    unshare_cut(fs, inode, offset)?;
    unshare_cut(fs, inode, end)?;
    let whole = zero_edges(fs, inode, offset, end);
    if !whole.is_empty() {
        remove_pages(fs, inode, whole.start..=whole.end - 1, EvenCows::No);
    }
    Ok(())
}

/// Zeroes the parts of pages at the two ends of `offset..end`. Returns the whole pages between
/// them.
pub(crate) fn zero_edges(fs: &FileSystem<'_>, inode: &Inode, offset: u64, end: u64) -> std::ops::Range<u64> {
    let (first, past) = (offset.div_ceil(BLOCK_SIZE), end / BLOCK_SIZE);
    if first > past {
        // The whole range is in the middle of one page.
        zero_partial_page(fs, inode, offset, end);
        return first..first;
    }
    zero_partial_page(fs, inode, offset, first * BLOCK_SIZE);
    zero_partial_page(fs, inode, past * BLOCK_SIZE, end);
    first..past
}
