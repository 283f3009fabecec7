//! The fault of a page: maps it to a block or to the zero page.

use super::super::invalidate::split_entry;
use super::super::read_extent;
use super::{
    FaultFor, VmFault, check_size, dax_insert_mapping_entry, grab_mapping_entry, grab_to_look_up,
    insert_zero_page, needs_dsync,
};
use crate::entries::DaxEntry;
use crate::error::FsError;
use crate::fs::{FileSystem, Handle, Inode, Iomap, IomapFor, IomapType, Origin, iomap_begin};
use crate::mm::{Pte, Vma};
use crate::pmem::BLOCK_SIZE;
use crate::schedule::{PlantedFault, SchedulePoint};
use crate::variant::FaultOrder;

/// Maps `page` of the file in `vma`.
///
/// The first two orders of [`FaultOrder`] are all that Linux changed between 4.11 and 4.12 to
/// answer [Kara's 2017 e-mail]. In the first order the answer of `iomap_begin` may be out of date
/// by the time the entry is locked. In the second the entry lock keeps out the invalidation that
/// follows every allocation. MAP_SYNC works as in 4.15. Poisoned pages and counts of mapped folios
/// (6.15) are left out.
///
/// One step comes earlier than in Linux 4.12. A write fault that finds a zero page, or a shared
/// block, unmaps it *before* it looks up and allocates. Linux unmaps it afterwards. Then a write(2)
/// that comes in between finds the block, has nothing new to invalidate, and returns while the zero
/// page is still mapped. This is a third, transient race, which the e-mail does not mention.
///
/// A write fault on a shared block maps a copy of it, which `iomap_begin` makes. An entry of 2 MiB
/// serves the page as long as it has the right block for it. Otherwise the entry gives way, and the
/// access is tried again.
///
/// # Errors
///
/// [`FsError::BusError`] past the end of the file, [`FsError::NoSpace`] if a store needs a block
/// and none is free.
///
/// [Kara's 2017 e-mail]: https://lore.kernel.org/r/20170426085235.GA21738@quack2.suse.cz
pub(crate) fn dax_iomap_pte_fault(
    fs: &FileSystem<'_>,
    inode: &Inode,
    vma: &Vma,
    page: u64,
    fault: FaultFor,
    handle: Option<&Handle<'_>>,
) -> Result<VmFault, FsError> {
    check_size(inode, page)?;
    let write = fault == FaultFor::Write;
    let look_up = || {
        let purpose = if write { IomapFor::Write } else { IomapFor::Read };
        let iomap = iomap_begin(fs, inode, page, page, purpose, handle)?;
        fs.schedule.pass(SchedulePoint::FaultLookedUp { write }, page);
        Ok::<Iomap, FsError>(iomap)
    };
    let (iomap, mut entry) = match fs.rules.fault_order {
        FaultOrder::LookUpThenLock => {
            let iomap = look_up()?;
            (iomap, grab_mapping_entry(fs, inode, page))
        }
        FaultOrder::LockThenLookUp | FaultOrder::LockThenTransaction => {
            let entry = grab_to_look_up(fs, inode, page, write);
            (look_up()?, entry)
        }
    };
    if entry.is_pmd() && entry.block_of(page) != iomap.block() {
        split_entry(fs, inode, entry);
        settle(fs, &iomap);
        return Ok(VmFault::NoPage);
    }
    if vma.pages.pmd(page).is_present() && !fs.schedule.has(PlantedFault::PteUnderPmd) {
        // Another thread has mapped the 2 MiB around the page meanwhile (d0f0931de936).
        return Ok(VmFault::NoPage);
    }
    let mut result = VmFault::NoPage;
    match (iomap.kind, fault) {
        // Another thread may have had the same fault, and stored to its copy since (`pte_none` in
        // `finish_fault`).
        (_, FaultFor::Cow)
            if vma.pages.translate(page).is_anonymous() && !fs.schedule.has(PlantedFault::CopyTwice) => {}
        (_, FaultFor::Cow) => {
            let mut copy = [0; BLOCK_SIZE as usize];
            read_extent(fs, &iomap, page * BLOCK_SIZE, &mut copy);
            fs.schedule.pass(SchedulePoint::Install, page);
            vma.pages.make_writable(page, Pte::anonymous(vma.anonymous.allocate(&copy)));
        }
        (IomapType::Mapped { block }, _) => {
            let needs_dsync = needs_dsync(fs, inode, vma, fault);
            // An entry of 2 MiB records the block of its first page.
            let first = block - (page - entry.first());
            let dirty = write && !needs_dsync;
            dax_insert_mapping_entry(fs, inode, &mut entry, DaxEntry::Block { block: first, dirty });
            fs.schedule.pass(SchedulePoint::Install, page);
            if needs_dsync {
                result = VmFault::NeedDsync;
            } else if write || fs.schedule.has(PlantedFault::MapWritableWhenClean) {
                vma.pages.make_writable(page, Pte::writable(block));
            } else {
                vma.pages.insert(page, Pte::read_only(block));
            }
        }
        (IomapType::Hole | IomapType::Unwritten, _) => {
            insert_zero_page(fs, inode, &mut entry);
            fs.schedule.pass(SchedulePoint::Install, page);
            vma.pages.insert(page, Pte::ZERO);
        }
    }
    settle(fs, &iomap);
    Ok(result)
}

/// Gives up a shared block whose place a copy has taken, once the entry says so.
fn settle(fs: &FileSystem<'_>, iomap: &Iomap) {
    if let Origin::Copied(block) = iomap.origin {
        fs.release(block.into());
    }
}
