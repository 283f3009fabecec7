//! Takes a range out of a file: what lies behind the range moves up to where the range began.
//!
//! Follows `ext4_collapse_range` of Linux 4.12, in the order of truncate: everything from the range
//! on is locked, written back and forgotten, since all of it moves.

use super::lock_unpinned_from;
use crate::dax::{dax_writeback_mapping_range, truncate_inode_pages_range};
use crate::error::FsError;
use crate::fs::{FileSystem, Inode};
use crate::mm::EvenCows;
use crate::pmem::BLOCK_SIZE;

/// Removes the bytes of `offset..end`, whole blocks inside the file, and closes the gap
/// (FALLOC_FL_COLLAPSE_RANGE).
pub(crate) fn ext4_collapse_range(
    fs: &FileSystem<'_>,
    inode: &Inode,
    offset: u64,
    end: u64,
) -> Result<(), FsError> {
    if !offset.is_multiple_of(BLOCK_SIZE) || !end.is_multiple_of(BLOCK_SIZE) {
        return Err(FsError::Invalid("a range to be collapsed must begin and end at a multiple of 4096"));
    }
    let _i_rwsem = inode.i_rwsem.write(offset..u64::MAX, &fs.schedule);
    let size = inode.size();
    if end >= size {
        return Err(FsError::Invalid("a range to be collapsed must end before the end of the file"));
    }
    let _i_mmap_sem = lock_unpinned_from(fs, inode, offset);
    let (first, past) = (offset / BLOCK_SIZE, end / BLOCK_SIZE);
    dax_writeback_mapping_range(fs, inode, past, u64::MAX)?;
    truncate_inode_pages_range(fs, inode, first, u64::MAX, EvenCows::Yes);
    let removed = {
        let handle = fs.start_handle();
        let mut map = inode.change_extents(&handle, &fs.schedule);
        let removed = map.remove(first, past - 1);
        map.shift_down(past, past - first);
        inode.set_size(size - (end - offset), &handle, &fs.schedule);
        removed
    };
    fs.free(removed);
    Ok(())
}
