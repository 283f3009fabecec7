//! Gives pages blocks of their own before something other than write(2) or a write fault changes
//! them.
//!
//! Follows `xfs_reflink_unshare` of Linux 6.0.

use crate::dax::settle_allocation;
use crate::error::FsError;
use crate::fs::{Extent, FileSystem, Inode, IomapFor, iomap_begin, pages_around, zero_partial_page};
use crate::pmem::BLOCK_SIZE;

/// Gives the pages of `offset..end` that have shared blocks copies of them
/// (FALLOC_FL_UNSHARE_RANGE).
pub(crate) fn xfs_reflink_unshare(
    fs: &FileSystem<'_>,
    inode: &Inode,
    offset: u64,
    end: u64,
) -> Result<(), FsError> {
    let _i_rwsem = inode.i_rwsem.write(offset..end, &fs.schedule);
    let _i_mmap_sem = inode.i_mmap_sem.write(pages_around(offset, end), &fs.schedule);
    let (first, last) = (offset / BLOCK_SIZE, (end - 1) / BLOCK_SIZE);
    let allocated: Vec<_> = inode.extents.read(&fs.schedule).allocated(first, last).collect();
    allocated.into_iter().try_for_each(|(page, _)| unshare_page(fs, inode, page))
}

/// Gives the page that `offset` cuts in two, if any, a block of its own, so that a part of the page
/// can be zeroed. The caller holds i_rwsem and i_mmap_sem exclusively over the page.
pub(crate) fn unshare_cut(fs: &FileSystem<'_>, inode: &Inode, offset: u64) -> Result<(), FsError> {
    if offset.is_multiple_of(BLOCK_SIZE) { Ok(()) } else { unshare_page(fs, inode, offset / BLOCK_SIZE) }
}

/// Zeroes what may lie past the old end of the file, `size`, before the file grows to reach past
/// `to`. The caller holds i_rwsem exclusively from the old end on, and does not hold i_mmap_sem.
/// As in write(2), this function takes i_mmap_sem where a block must be allocated and option 2 of
/// [Kara's 2017 e-mail] asks for it.
///
/// [Kara's 2017 e-mail]: https://lore.kernel.org/r/20170426085235.GA21738@quack2.suse.cz
pub(crate) fn zero_past_end(fs: &FileSystem<'_>, inode: &Inode, size: u64, to: u64) -> Result<(), FsError> {
    if is_shared(inode, size / BLOCK_SIZE) {
        let _i_mmap_sem = fs
            .rules
            .exclusive_allocation
            .then(|| inode.i_mmap_sem.write(pages_around(size, size + 1), &fs.schedule));
        unshare_cut(fs, inode, size)?;
    }
    zero_partial_page(fs, inode, size, to);
    Ok(())
}

fn unshare_page(fs: &FileSystem<'_>, inode: &Inode, page: u64) -> Result<(), FsError> {
    if is_shared(inode, page) {
        let iomap = iomap_begin(fs, inode, page, page, IomapFor::Write, None)?;
        settle_allocation(fs, inode, &iomap);
    }
    Ok(())
}

fn is_shared(inode: &Inode, page: u64) -> bool {
    matches!(inode.extents.look_up(page), Extent::Shared(_))
}
