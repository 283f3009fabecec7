//! Zeroes a range without giving its blocks back.
//!
//! Follows `ext4_zero_range` of Linux 4.12, in the order of truncate: parts of pages are zeroed,
//! whole pages become unwritten. Here, unlike in Linux, all blocks are found before anything is
//! changed.

use std::ops::Range;

use super::fallocate::{locked_for_allocation, reserve};
use super::punch::zero_edges;
use super::{Size, lock_unpinned, unshare_cut};
use crate::dax::truncate_inode_pages_range;
use crate::error::FsError;
use crate::fs::{
    Extent, FileSystem, Handle, Inode, ext4_should_retry_alloc, pages_around, zero_partial_page,
};
use crate::mm::EvenCows;
use crate::pmem::BLOCK_SIZE;

/// Makes the bytes of `offset..end` read as zeros, and reserves blocks for all of them
/// (FALLOC_FL_ZERO_RANGE).
pub(crate) fn ext4_zero_range(
    fs: &FileSystem<'_>,
    inode: &Inode,
    offset: u64,
    end: u64,
    size: Size,
) -> Result<(), FsError> {
    locked_for_allocation(fs, inode, offset, end, size, || zero_locked(fs, inode, offset, end, size))
}

/// The same with i_rwsem held.
fn zero_locked(fs: &FileSystem<'_>, inode: &Inode, offset: u64, end: u64, size: Size) -> Result<(), FsError> {
    let old = inode.size();
    let grows = size == Size::Grows && end > old;
    let start = if grows { offset.min(old) } else { offset };
    let _i_mmap_sem = lock_unpinned(fs, inode, pages_around(start, end));
    for cut in [start, offset, end] {
        unshare_cut(fs, inode, cut)?;
    }
    let whole = offset.div_ceil(BLOCK_SIZE)..end / BLOCK_SIZE;
    let mut retries = 0;
    let substitutes = loop {
        match allocate(fs, inode, offset, end, &whole) {
            Err(FsError::NoSpace) if ext4_should_retry_alloc(fs, &mut retries) => {}
            substitutes => break substitutes?,
        }
    };
    if grows {
        zero_partial_page(fs, inode, old, end);
    }
    if !zero_edges(fs, inode, offset, end).is_empty() {
        truncate_inode_pages_range(fs, inode, whole.start, whole.end - 1, EvenCows::No);
    }
    let handle = fs.start_handle();
    fs.free(make_unwritten(fs, inode, &handle, whole, substitutes));
    if grows {
        inode.raise_size(end, &handle, &fs.schedule);
    }
    Ok(())
}

/// Allocates unwritten blocks for the holes of `offset..end`, and a block for each page of `whole`
/// that has a shared one: all of them or none.
fn allocate(
    fs: &FileSystem<'_>,
    inode: &Inode,
    offset: u64,
    end: u64,
    whole: &Range<u64>,
) -> Result<Vec<u64>, FsError> {
    let handle = fs.start_handle();
    let substitutes = allocate_for_shared(fs, inode, whole.start, whole.end)?;
    match reserve(fs, inode, &handle, offset / BLOCK_SIZE..end.div_ceil(BLOCK_SIZE)) {
        Ok(()) => Ok(substitutes),
        Err(error) => {
            fs.blocks.free(substitutes);
            Err(error)
        }
    }
}

/// Allocates a block for each page of `first..past` that has a shared one.
fn allocate_for_shared(
    fs: &FileSystem<'_>,
    inode: &Inode,
    first: u64,
    past: u64,
) -> Result<Vec<u64>, FsError> {
    if first >= past {
        return Ok(Vec::new());
    }
    let reader = inode.extents.read(&fs.schedule);
    let shared = reader.allocated(first, past - 1).filter(|(_, extent)| matches!(extent, Extent::Shared(_)));
    let mut blocks = Vec::new();
    for _ in shared {
        match fs.allocate_block() {
            Some(block) => blocks.push(block),
            None => {
                fs.blocks.free(blocks);
                return Err(FsError::NoSpace);
            }
        }
    }
    Ok(blocks)
}

/// Makes `pages` unwritten. A page that shares its block gets one of `substitutes`. Returns the
/// substitutes that are left over.
#[must_use = "blocks that are not freed are lost"]
fn make_unwritten(
    fs: &FileSystem<'_>,
    inode: &Inode,
    handle: &Handle<'_>,
    pages: Range<u64>,
    mut substitutes: Vec<u64>,
) -> Vec<Extent> {
    let mut given_up = Vec::new();
    if !pages.is_empty() {
        let mut map = inode.change_extents(handle, &fs.schedule);
        for (page, extent) in map.allocated(pages.start, pages.end - 1) {
            match extent {
                Extent::Hole | Extent::Unwritten(_) => {}
                Extent::Written(block) => map.publish(page, Extent::Unwritten(block)),
                Extent::Shared(_) => {
                    // In a variant that serialises nothing, more pages may have become shared
                    // since. They become holes.
                    map.publish(page, substitutes.pop().map_or(Extent::Hole, Extent::Unwritten));
                    given_up.push(extent);
                }
            }
        }
    }
    given_up.extend(substitutes.into_iter().map(Extent::Unwritten));
    given_up
}
