//! What the memory management does with a fault, before and after it calls the file system.

use crate::dax::{FaultFor, VmFault};
use crate::error::FsError;
use crate::ext4::{PeSize, ext4_dax_huge_fault, ext4_dax_pfn_mkwrite};
use crate::fs::{FileSystem, Inode};
use crate::mm::Vma;
use crate::pmem::BLOCK_SIZE;

/// Handles the fault of an access to `page` of the file. The access is then tried again, and may
/// fault again.
///
/// Follows `handle_mm_fault` of Linux 4.12. 2 MiB come first, where there is no table of PTEs yet.
/// If they cannot be mapped, what is mapped of 2 MiB is split, and a page is tried. A store to a
/// page that is mapped for loads is `pfn_mkwrite` in a shared mapping and copy-on-write in a
/// private one. mmap_lock is held shared.
pub(super) fn handle_mm_fault(
    fs: &FileSystem<'_>,
    inode: &Inode,
    vma: &Vma,
    page: u64,
    write: bool,
) -> Result<(), FsError> {
    if write && !vma.flags.write {
        return Err(FsError::ReadOnlyMapping { offset: page * BLOCK_SIZE });
    }
    let _mmap_lock = vma.mm.read(&fs.schedule);
    let fault = match (write, vma.flags.shared) {
        (false, _) => FaultFor::Read,
        (true, true) => FaultFor::Write,
        (true, false) => FaultFor::Cow,
    };
    if vma.flags.huge && !vma.pages.has_table(page) {
        if vma.pages.pmd(page).allows(write) {
            return Ok(());
        }
        if ext4_dax_huge_fault(fs, inode, vma, page, fault, PeSize::Pmd)? != VmFault::Fallback {
            return Ok(());
        }
        vma.pages.split_pmd(page);
    }
    let mapped = vma.pages.translate(page);
    if mapped.allows(write) {
        return Ok(());
    }
    let is_first_store = mapped.is_present() && fault == FaultFor::Write;
    if is_first_store && ext4_dax_pfn_mkwrite(fs, inode, vma, page, mapped)? != VmFault::Fallback {
        return Ok(());
    }
    // Mapped or not: the access is tried again, and finds out.
    let _: VmFault = ext4_dax_huge_fault(fs, inode, vma, page, fault, PeSize::Pte)?;
    Ok(())
}
