//! Puts a hole into a file: what lies behind it moves down.
//!
//! Follows `ext4_insert_range` of Linux 4.12, in the order of truncate: everything from the hole on
//! is locked, written back and forgotten, since all of it moves.

use super::lock_unpinned_from;
use crate::dax::{dax_writeback_mapping_range, truncate_inode_pages_range};
use crate::error::FsError;
use crate::fs::{FileSystem, Inode, MAX_FILE_SIZE};
use crate::mm::EvenCows;
use crate::pmem::BLOCK_SIZE;

/// Puts a hole of `len` bytes, whole blocks, before the byte at `offset` (FALLOC_FL_INSERT_RANGE).
pub(crate) fn ext4_insert_range(
    fs: &FileSystem<'_>,
    inode: &Inode,
    offset: u64,
    len: u64,
) -> Result<(), FsError> {
    if !offset.is_multiple_of(BLOCK_SIZE) || !len.is_multiple_of(BLOCK_SIZE) {
        return Err(FsError::Invalid("a range to be inserted must begin and end at a multiple of 4096"));
    }
    let _i_rwsem = inode.i_rwsem.write(offset..u64::MAX, &fs.schedule);
    let size = inode.size();
    let too_big = FsError::TooBig { end: size.saturating_add(len), max: MAX_FILE_SIZE };
    if len > MAX_FILE_SIZE - size {
        return Err(too_big);
    }
    if offset >= size {
        return Err(FsError::Invalid("a range must be inserted before the end of the file"));
    }
    let _i_mmap_sem = lock_unpinned_from(fs, inode, offset);
    let (first, pages) = (offset / BLOCK_SIZE, len / BLOCK_SIZE);
    dax_writeback_mapping_range(fs, inode, first, u64::MAX)?;
    truncate_inode_pages_range(fs, inode, first, u64::MAX, EvenCows::Yes);
    let handle = fs.start_handle();
    // Blocks that were reserved past the end of the file move as well, and may find no room.
    if !inode.change_extents(&handle, &fs.schedule).shift_up(first, pages) {
        return Err(too_big);
    }
    inode.set_size(size + len, &handle, &fs.schedule);
    Ok(())
}
