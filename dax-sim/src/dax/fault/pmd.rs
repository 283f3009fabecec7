//! The fault of 2 MiB: maps them in one piece, or falls back to a page.

use super::super::settle_allocation;
use super::{
    FaultFor, VmFault, check_size, dax_insert_mapping_entry, insert_zero_page, needs_dsync, unmap_everywhere,
};
use crate::entries::{DaxEntry, LockedEntry};
use crate::error::FsError;
use crate::fs::{FileSystem, Handle, Inode, IomapFor, IomapType, Origin, iomap_begin};
use crate::mm::{PMD_SIZE, Pte, Vma};
use crate::pmem::BLOCK_SIZE;
use crate::radix::HUGE;
use crate::schedule::{PlantedFault, SchedulePoint};
use crate::variant::FaultOrder;

/// Maps the 2 MiB around `page` in one piece, if that can be done.
///
/// It returns [`VmFault::Fallback`], and the caller tries the page,
///
/// * for a store to a private mapping;
/// * where the 2 MiB do not lie wholly inside the mapping and the file;
/// * where the mapping puts them at an address that is not a multiple of 2 MiB (the *colour*:
///   fffa281b48a9);
/// * where one of their pages has an entry already, or a table of PTEs;
/// * where their blocks are not one aligned extent.
///
/// The order of steps is the variant's, as in [`dax_iomap_pte_fault`](super::dax_iomap_pte_fault):
/// Linux changed it for 2 MiB in the same release (876f29460cbd). A load from holes, or from
/// unwritten blocks, maps the huge zero page.
///
/// # Errors
///
/// [`FsError::BusError`] past the end of the file. Never ENOSPC: without room for 2 MiB it falls
/// back.
pub(crate) fn dax_iomap_pmd_fault(
    fs: &FileSystem<'_>,
    inode: &Inode,
    vma: &Vma,
    page: u64,
    fault: FaultFor,
    handle: Option<&Handle<'_>>,
) -> Result<VmFault, FsError> {
    check_size(inode, page)?;
    let first = page - page % HUGE;
    let last = first + HUGE - 1;
    let fits = fits(vma, first) || fs.schedule.has(PlantedFault::IgnoreColour);
    if fault == FaultFor::Cow || !fits || last >= inode.size_in_pages() {
        return Ok(VmFault::Fallback);
    }
    let write = fault == FaultFor::Write;
    let look_up = || {
        let purpose = if write { IomapFor::WriteHuge } else { IomapFor::Read };
        let iomap = iomap_begin(fs, inode, first, last, purpose, handle)?;
        fs.schedule.pass(SchedulePoint::FaultLookedUp { write }, first);
        Ok::<_, FsError>(iomap)
    };
    let (iomap, entry) = match fs.rules.fault_order {
        FaultOrder::LookUpThenLock => {
            let iomap = look_up()?;
            (iomap, inode.entries.grab_pmd(page, &fs.schedule))
        }
        FaultOrder::LockThenLookUp | FaultOrder::LockThenTransaction => {
            let Some(mut entry) = inode.entries.grab_pmd(page, &fs.schedule) else {
                return Ok(VmFault::Fallback);
            };
            if write {
                give_zero_page_up(fs, inode, &mut entry);
            }
            (look_up()?, Some(entry))
        }
    };
    let Some(mut entry) = entry else {
        // The fault of a page, which is tried next, settles only its own page.
        settle_allocation(fs, inode, &iomap);
        return Ok(VmFault::Fallback);
    };
    if iomap.origin == Origin::New {
        give_zero_page_up(fs, inode, &mut entry);
    }
    if vma.pages.has_table(first) && !fs.schedule.has(PlantedFault::PmdOverTable) {
        // Another thread has mapped a page of it meanwhile, so the next try maps a page.
        return Ok(VmFault::NoPage);
    }
    match iomap.kind {
        _ if iomap.pages < HUGE || (write && iomap.origin == Origin::Shared) => Ok(VmFault::Fallback),
        IomapType::Mapped { block } if block.is_multiple_of(HUGE) => {
            let needs_dsync = needs_dsync(fs, inode, vma, fault);
            let dirty = write && !needs_dsync;
            dax_insert_mapping_entry(fs, inode, &mut entry, DaxEntry::Block { block, dirty });
            if needs_dsync {
                return Ok(VmFault::NeedDsync);
            }
            fs.schedule.pass(SchedulePoint::Install, first);
            if write {
                vma.pages.make_pmd_writable(first, Pte::writable(block));
            } else {
                vma.pages.insert_pmd(first, Pte::read_only(block));
            }
            Ok(VmFault::NoPage)
        }
        IomapType::Hole | IomapType::Unwritten if !write => {
            insert_zero_page(fs, inode, &mut entry);
            fs.schedule.pass(SchedulePoint::Install, first);
            vma.pages.insert_pmd(first, Pte::ZERO);
            Ok(VmFault::NoPage)
        }
        _ => Ok(VmFault::Fallback),
    }
}

/// Whether the 2 MiB from page `first` on lie wholly in the mapping, at a multiple of 2 MiB.
fn fits(vma: &Vma, first: u64) -> bool {
    let start = first * BLOCK_SIZE;
    start >= vma.start
        && start + PMD_SIZE <= vma.end
        && (vma.address + (start - vma.start)).is_multiple_of(PMD_SIZE)
}

/// Unmaps the huge zero page everywhere before blocks take its place, or once they have.
fn give_zero_page_up(fs: &FileSystem<'_>, inode: &Inode, entry: &mut LockedEntry<'_>) {
    if entry.get() == DaxEntry::ZeroPage {
        unmap_everywhere(fs, inode, entry);
    }
}
