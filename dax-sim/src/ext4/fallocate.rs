//! Preallocation: blocks that are promised to a file.
//!
//! Follows `ext4_fallocate` and `ext4_alloc_file_blocks` of Linux 4.12.

use std::ops::Range;

use super::zero_past_end;
use crate::error::FsError;
use crate::fs::{Extent, FileSystem, Handle, Inode, ext4_should_retry_alloc, reserve_huge};
use crate::pmem::BLOCK_SIZE;
use crate::radix::HUGE;

/// What happens to the size where a range reaches past the end of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Size {
    /// The file grows to reach the end of the range.
    Grows,
    /// FALLOC_FL_KEEP_SIZE.
    Kept,
}

/// Reserves unwritten blocks for the holes of `offset..end` (fallocate's mode 0, or
/// FALLOC_FL_KEEP_SIZE).
pub(crate) fn ext4_fallocate(
    fs: &FileSystem<'_>,
    inode: &Inode,
    offset: u64,
    end: u64,
    size: Size,
) -> Result<(), FsError> {
    locked_for_allocation(fs, inode, offset, end, size, || {
        let old = inode.size();
        let grows = size == Size::Grows && end > old;
        if grows {
            zero_past_end(fs, inode, old, end)?;
        }
        let mut retries = 0;
        loop {
            let handle = fs.start_handle();
            match reserve(fs, inode, &handle, offset / BLOCK_SIZE..end.div_ceil(BLOCK_SIZE)) {
                Err(FsError::NoSpace) => {}
                reserved => {
                    reserved?;
                    if grows {
                        inode.raise_size(end, &handle, &fs.schedule);
                    }
                    return Ok(());
                }
            }
            drop(handle);
            if !ext4_should_retry_alloc(fs, &mut retries) {
                return Err(FsError::NoSpace);
            }
        }
    })
}

/// Does `act` with i_rwsem held as a write of the range holds it. Where the size stays, i_rwsem is
/// held over the range alone.
pub(crate) fn locked_for_allocation<R>(
    fs: &FileSystem<'_>,
    inode: &Inode,
    offset: u64,
    end: u64,
    size: Size,
    act: impl FnOnce() -> R,
) -> R {
    match size {
        Size::Grows => inode.locked_for_write(offset, end, &fs.schedule, act),
        Size::Kept => {
            let _i_rwsem = inode.i_rwsem.write(offset..end, &fs.schedule);
            act()
        }
    }
}

/// Gives the holes among `pages` unwritten blocks: all of them or none.
pub(crate) fn reserve(
    fs: &FileSystem<'_>,
    inode: &Inode,
    handle: &Handle<'_>,
    pages: Range<u64>,
) -> Result<(), FsError> {
    let mut reserved = Vec::new();
    let mut map = inode.change_extents(handle, &fs.schedule);
    let mut page = pages.start;
    while page < pages.end {
        if map.look_up(page) == Extent::Hole {
            if pages.end - page >= HUGE
                && let Some(first) = reserve_huge(fs, &mut map, page)
            {
                reserved.extend((0..HUGE).map(|i| (page + i, first + i)));
                page += HUGE;
                continue;
            }
            match fs.allocate_block() {
                Some(block) => {
                    map.publish(page, Extent::Unwritten(block));
                    reserved.push((page, block));
                }
                None => {
                    // Still unwritten: a write needs i_data_sem to change an extent.
                    for &(page, _) in &reserved {
                        map.publish(page, Extent::Hole);
                    }
                    fs.blocks.free(reserved.into_iter().map(|(_, block)| block).collect());
                    return Err(FsError::NoSpace);
                }
            }
        }
        page += 1;
    }
    Ok(())
}
