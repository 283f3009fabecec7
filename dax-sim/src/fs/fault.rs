//! The file system's part of a page fault: the locks around `dax_iomap_pte_fault`.

use super::{FileSystem, Inode};
use crate::dax::dax_iomap_pte_fault;
use crate::error::FsError;
use crate::mm::Vma;
use crate::pmem::BLOCK_SIZE;
use crate::schedule::{LockClass, LockRequest};
use crate::variant::FaultOrder;

/// Handles a fault at `page` of the file, in `vma` (`ext4_dax_fault`).
///
/// i_mmap_sem is held shared; exclusively for a write fault under option 2 of the mail. From 4.12 on a write
/// fault starts its transaction here, before the entry lock; up to 4.11 `iomap_begin` does when it allocates.
/// Left out: freeze protection, update of times, the retry after ENOSPC (which waits for a commit to free
/// blocks; here blocks are free at once).
pub(crate) fn ext4_dax_fault(
    fs: &FileSystem<'_>,
    inode: &Inode,
    vma: &Vma,
    page: u64,
    write: bool,
) -> Result<(), FsError> {
    let _mmap_lock = fs.schedule.locking(|| LockRequest::whole(LockClass::MmapLock, vma, false));
    let _sb_start_pagefault = fs.schedule.locking(|| LockRequest::whole(LockClass::PageFault, fs, false));
    let bytes = page * BLOCK_SIZE..=page * BLOCK_SIZE + (BLOCK_SIZE - 1);
    let _i_mmap_sem = if write && fs.rules.exclusive_allocation {
        inode.i_mmap_sem.write(bytes, &fs.schedule)
    } else {
        inode.i_mmap_sem.read(bytes, &fs.schedule)
    };
    let transaction = fs.rules.fault_order == FaultOrder::LockThenLookUp && write;
    let handle = transaction.then(|| fs.journal.start(&fs.schedule));
    dax_iomap_pte_fault(fs, inode, vma, page, write, handle.as_ref())
}
