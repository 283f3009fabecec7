//! Gives the right to store to a page that is mapped for loads: at the first store, and as the
//! second half of MAP_SYNC.

use super::{VmFault, check_size};
use crate::entries::DaxEntry;
use crate::error::FsError;
use crate::fs::{Extent, FileSystem, Inode};
use crate::mm::{Pte, Target, Vma};
use crate::radix::HUGE;
use crate::schedule::SchedulePoint;

/// Handles a store to `page`, which `mapped` maps for loads. It tags the entry and lets stores
/// through, if the entry is still there and says the same.
///
/// Follows `dax_pfn_mkwrite` of 4.12. From 4.14 on Linux runs the whole write fault instead. The
/// caller does so after [`VmFault::Fallback`], which is returned for the zero page, for a shared
/// block, and for MAP_SYNC.
///
/// # Errors
///
/// [`FsError::BusError`] past the end of the file.
pub(crate) fn dax_pfn_mkwrite(
    fs: &FileSystem<'_>,
    inode: &Inode,
    vma: &Vma,
    page: u64,
    mapped: Pte,
) -> Result<VmFault, FsError> {
    check_size(inode, page)?;
    let Target::Block(block) = mapped.target() else { return Ok(VmFault::Fallback) };
    if vma.flags.sync {
        return Ok(VmFault::Fallback);
    }
    let has_block = |entry| matches!(entry, DaxEntry::Block { .. });
    let Some(mut entry) = inode.entries.lock_if(page, has_block, &fs.schedule) else {
        // The thread that took the entry away takes the translation away as well.
        return Ok(VmFault::Fallback);
    };
    if entry.block_of(page) != Some(block) || inode.extents.look_up(page) != Extent::Written(block) {
        return Ok(VmFault::Fallback);
    }
    fs.schedule.pass(SchedulePoint::PfnMkwrite, page);
    let first = block - (page - entry.first());
    entry.set(DaxEntry::Block { block: first, dirty: true });
    fs.schedule.pass(SchedulePoint::Install, page);
    vma.pages.mkwrite(page, mapped, Pte::writable(block));
    Ok(VmFault::NoPage)
}

/// The second half of a fault that needs durable metadata before stores reach the page. It calls
/// `sync_file` with the first and the last page. Then it maps the page for stores, if the entry is
/// still the one that the first half left. Follows `dax_finish_sync_fault` and
/// `dax_insert_pfn_mkwrite` of Linux 4.15.
///
/// The caller holds i_mmap_sem. It no longer holds a handle, because the sync may commit.
///
/// # Errors
///
/// The errors of the sync.
pub(crate) fn dax_finish_sync_fault(
    fs: &FileSystem<'_>,
    inode: &Inode,
    vma: &Vma,
    page: u64,
    is_pmd: bool,
    sync_file: impl FnOnce(&FileSystem<'_>, &Inode, u64, u64) -> Result<(), FsError>,
) -> Result<VmFault, FsError> {
    let first = if is_pmd { page - page % HUGE } else { page };
    let last = if is_pmd { first + HUGE - 1 } else { page };
    sync_file(fs, inode, first, last)?;
    let has_block = |entry| matches!(entry, DaxEntry::Block { .. });
    let Some(mut entry) = inode.entries.lock_if(page, has_block, &fs.schedule) else {
        return Ok(VmFault::NoPage);
    };
    let block = entry.block_of(first).expect("it has blocks");
    // Another thread may have split or replaced the entry, or shared its block. Then the access is
    // tried again.
    if entry.is_pmd() == is_pmd && inode.extents.look_up(page) == Extent::Written(block + (page - first)) {
        entry.set(DaxEntry::Block { block, dirty: true });
        fs.schedule.pass(SchedulePoint::Install, first);
        if is_pmd {
            vma.pages.make_pmd_writable(first, Pte::writable(block));
        } else {
            vma.pages.make_writable(page, Pte::writable(block));
        }
    }
    Ok(VmFault::NoPage)
}
