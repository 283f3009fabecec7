//! truncate, punch hole and preallocation: what takes blocks from a file, or promises it some.
//!
//! Follows `ext4_setattr`/`ext4_truncate` and `ext4_punch_hole` of Linux 4.12: i_rwsem exclusive, i_mmap_sem
//! exclusive, unmap, delete the entries, unmap again, then journal handle and i_data_sem around the extents;
//! the blocks are freed last, when nothing maps them. Left out: waiting for direct I/O, and breaking the
//! layouts of pinned pages (4.19).

use std::ops::RangeInclusive;

use super::{Extent, FileSystem, Inode};
use crate::dax::truncate_inode_pages_range;
use crate::error::FsError;
use crate::pmem::BLOCK_SIZE;

/// Sets the file's size. Bytes past a smaller size are gone; a larger size adds a hole.
pub(crate) fn ext4_truncate(fs: &FileSystem<'_>, inode: &Inode, size: u64) {
    let (_i_rwsem, _i_mmap_sem) = loop {
        let old = inode.size();
        let first = old.min(size);
        let i_rwsem = inode.i_rwsem.write(first..=u64::MAX, &fs.schedule);
        if inode.size() < first {
            // Somebody else made it smaller before the lock was held: it does not reach down far enough.
            continue;
        }
        let i_mmap_sem = inode.i_mmap_sem.write(page_start(first)..=u64::MAX, &fs.schedule);
        break (i_rwsem, i_mmap_sem);
    };
    let old = inode.size();
    if size >= old {
        zero_partial_page(fs, inode, old, size);
        inode.set_size(size);
        return;
    }
    // First of all: faults look at the size under i_mmap_sem, and must not bring back what is about to go.
    inode.set_size(size);
    zero_partial_page(fs, inode, size, old);
    remove_pages(fs, inode, size.div_ceil(BLOCK_SIZE)..=u64::MAX);
}

/// Makes the bytes of `offset..end` read as zeros, and frees the blocks that lie wholly inside. The size
/// stays.
pub(crate) fn ext4_punch_hole(fs: &FileSystem<'_>, inode: &Inode, offset: u64, end: u64) {
    let _i_rwsem = inode.i_rwsem.write(offset..=end - 1, &fs.schedule);
    let _i_mmap_sem = inode.i_mmap_sem.write(pages_around(offset, end), &fs.schedule);
    let (first, past) = (offset.div_ceil(BLOCK_SIZE), end / BLOCK_SIZE);
    if first > past {
        // All in the middle of one page.
        zero_partial_page(fs, inode, offset, end);
        return;
    }
    zero_partial_page(fs, inode, offset, first * BLOCK_SIZE);
    zero_partial_page(fs, inode, past * BLOCK_SIZE, end);
    if first < past {
        remove_pages(fs, inode, first..=past - 1);
    }
}

/// Reserves unwritten blocks for the holes of `offset..end`, and raises the size to `end` (fallocate's mode
/// 0).
pub(crate) fn ext4_fallocate(
    fs: &FileSystem<'_>,
    inode: &Inode,
    offset: u64,
    end: u64,
) -> Result<(), FsError> {
    let _i_rwsem = inode.lock_for_write(offset, end, &fs.schedule);
    let handle = fs.journal.start();
    let mut reserved = Vec::new();
    let mut map = inode.extents.write();
    for page in offset / BLOCK_SIZE..end.div_ceil(BLOCK_SIZE) {
        if map.look_up(page) == Extent::Hole {
            match fs.blocks.allocate() {
                Some(block) => {
                    map.publish(page, Extent::Unwritten(block));
                    reserved.push((page, block));
                }
                None => {
                    // All or nothing: what was reserved is still unwritten, for a write needs i_data_sem to
                    // change that.
                    for &(page, _) in &reserved {
                        map.publish(page, Extent::Hole);
                    }
                    fs.blocks.free(reserved.into_iter().map(|(_, block)| block).collect());
                    return Err(FsError::NoSpace);
                }
            }
        }
    }
    drop(map);
    let old = inode.size();
    if end > old {
        zero_partial_page(fs, inode, old, end);
        inode.raise_size(end);
    }
    drop(handle);
    Ok(())
}

/// Zeroes the bytes from `from` to the end of its page, or to `to` if that comes first, where the page has a
/// written block (`ext4_block_zero_page_range`). A store through a mapping may have left bytes there, past
/// the end of the file.
pub(crate) fn zero_partial_page(fs: &FileSystem<'_>, inode: &Inode, from: u64, to: u64) {
    let end = to.min((from / BLOCK_SIZE + 1) * BLOCK_SIZE);
    if let (true, Extent::Written(block)) = (from < end, inode.extents.look_up(from / BLOCK_SIZE)) {
        fs.device.zero(block * BLOCK_SIZE + from % BLOCK_SIZE, end - from);
        fs.device.flush(block * BLOCK_SIZE + from % BLOCK_SIZE, end - from);
    }
}

/// The bytes of all pages that `start..end` touches.
pub(crate) fn pages_around(start: u64, end: u64) -> RangeInclusive<u64> {
    page_start(start)..=end.next_multiple_of(BLOCK_SIZE) - 1
}

/// Frees whole pages. The caller holds i_rwsem and i_mmap_sem exclusively over them.
fn remove_pages(fs: &FileSystem<'_>, inode: &Inode, pages: RangeInclusive<u64>) {
    truncate_inode_pages_range(fs, inode, *pages.start(), *pages.end());
    let removed = {
        let _handle = fs.journal.start();
        inode.extents.write().remove(*pages.start(), *pages.end())
    };
    fs.blocks.free(removed);
}

fn page_start(offset: u64) -> u64 {
    offset - offset % BLOCK_SIZE
}
