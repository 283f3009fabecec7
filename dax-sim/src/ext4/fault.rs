//! The file system's part of a page fault: its locks around those that `dax` takes.

use std::ops::Range;

use super::ext4_sync_file;
use crate::dax::{
    FaultFor, VmFault, dax_finish_sync_fault, dax_iomap_pmd_fault, dax_iomap_pte_fault, dax_pfn_mkwrite,
};
use crate::error::FsError;
use crate::fs::{FileSystem, Inode, ext4_should_retry_alloc};
use crate::mm::{PMD_SIZE, Pte, Vma};
use crate::pmem::BLOCK_SIZE;
use crate::schedule::{Held, LockClass, LockRequest};
use crate::variant::FaultOrder;

/// How much a fault is to map (`enum page_entry_size`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PeSize {
    /// A page.
    Pte,
    /// 2 MiB.
    Pmd,
}

/// Handles a fault at `page` of the file, in `vma` (`ext4_dax_huge_fault`).
///
/// It holds i_mmap_sem shared, or exclusively for a write fault under option 2 of
/// [Kara's 2017 e-mail]. From 4.12 on a write fault starts its transaction here, before the entry
/// lock. Up to 4.11 `iomap_begin` starts it when it allocates. A fault that finds no block is tried
/// again after a commit. If the mapping is MAP_SYNC and the metadata are not durable, they are made
/// durable when the handle has stopped (4.15).
///
/// Only a write fault of a shared mapping counts as a write fault: a copy-on-write does not touch
/// the file. Freezing is left out, except for its place in the order of locks. So is the update of
/// times.
///
/// [Kara's 2017 e-mail]: https://lore.kernel.org/r/20170426085235.GA21738@quack2.suse.cz
pub(crate) fn ext4_dax_huge_fault(
    fs: &FileSystem<'_>,
    inode: &Inode,
    vma: &Vma,
    page: u64,
    fault: FaultFor,
    size: PeSize,
) -> Result<VmFault, FsError> {
    let write = fault == FaultFor::Write;
    let _sb_start_pagefault = write.then(|| start_pagefault(fs));
    let _i_mmap_sem = if write && fs.rules.exclusive_allocation {
        inode.i_mmap_sem.write(bytes(page, size), &fs.schedule)
    } else {
        inode.i_mmap_sem.read(bytes(page, size), &fs.schedule)
    };
    let mut retries = 0;
    let result = loop {
        let transaction = fs.rules.fault_order == FaultOrder::LockThenLookUp && write;
        let handle = transaction.then(|| fs.start_handle());
        let result = match size {
            PeSize::Pte => dax_iomap_pte_fault(fs, inode, vma, page, fault, handle.as_ref()),
            PeSize::Pmd => dax_iomap_pmd_fault(fs, inode, vma, page, fault, handle.as_ref()),
        };
        let may_wait = handle.is_some();
        drop(handle);
        match result {
            Err(FsError::NoSpace) if may_wait && ext4_should_retry_alloc(fs, &mut retries) => {}
            result => break result?,
        }
    };
    match result {
        VmFault::NeedDsync => {
            dax_finish_sync_fault(fs, inode, vma, page, size == PeSize::Pmd, ext4_sync_file)
        }
        result => Ok(result),
    }
}

/// Handles the first store to a page that `mapped` maps for loads (`ext4_dax_pfn_mkwrite` of 4.12).
pub(crate) fn ext4_dax_pfn_mkwrite(
    fs: &FileSystem<'_>,
    inode: &Inode,
    vma: &Vma,
    page: u64,
    mapped: Pte,
) -> Result<VmFault, FsError> {
    let _sb_start_pagefault = start_pagefault(fs);
    let bytes = bytes(page, PeSize::Pte);
    let _i_mmap_sem = if fs.rules.exclusive_allocation {
        inode.i_mmap_sem.write(bytes, &fs.schedule)
    } else {
        inode.i_mmap_sem.read(bytes, &fs.schedule)
    };
    dax_pfn_mkwrite(fs, inode, vma, page, mapped)
}

/// `sb_start_pagefault`.
fn start_pagefault(fs: &FileSystem<'_>) -> Held {
    fs.schedule.entering(|| LockRequest::whole(LockClass::PageFault, fs, false)).granted()
}

fn bytes(page: u64, size: PeSize) -> Range<u64> {
    let len = match size {
        PeSize::Pte => BLOCK_SIZE,
        PeSize::Pmd => PMD_SIZE,
    };
    let start = page * BLOCK_SIZE / len * len;
    start..start + len
}
