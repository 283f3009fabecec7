//! Page faults: look up where the page is, and install the answer in the entry and the page table.

use super::DaxEntry;
use super::entry::LockedEntry;
use crate::error::FsError;
use crate::fs::{Extent, FileSystem, Handle, Inode, Iomap, IomapFor, IomapType, Origin, iomap_begin};
use crate::mm::{Pte, Vma};
use crate::pmem::BLOCK_SIZE;
use crate::schedule::{PlantedFault, SchedulePoint};
use crate::variant::FaultOrder;

/// Maps `page` of the file in `vma`, for loads or, if `write`, for stores.
///
/// The two orders of [`FaultOrder`] are all that Linux changed between 4.11 and 4.12 to answer the mail. In
/// the first the answer of `iomap_begin` may be out of date by the time the entry is locked; in the second
/// the entry lock keeps out the invalidation that follows every allocation. Left out: 2 MiB faults,
/// copy-on-write, MAP_SYNC's second half.
///
/// One step is taken earlier than in Linux 4.12: a write fault that finds a zero page, or a shared block,
/// unmaps it *before* it looks up, and so allocates, and not after. Else a write(2) that comes in between finds the block, has
/// nothing new to invalidate, and returns while the zero page is mapped still: a third, passing race, which
/// the mail does not mention.
///
/// A write fault on a shared block maps a copy of it, which `iomap_begin` makes.
///
/// # Errors
///
/// [`FsError::BusError`] past the end of the file, [`FsError::NoSpace`] if a store needs a block and none is
/// free.
pub(crate) fn dax_iomap_pte_fault(
    fs: &FileSystem<'_>,
    inode: &Inode,
    vma: &Vma,
    page: u64,
    write: bool,
    handle: Option<&Handle<'_>>,
) -> Result<(), FsError> {
    if page >= inode.size_in_pages() {
        return Err(FsError::BusError { offset: page * BLOCK_SIZE, size: inode.size() });
    }
    let look_up = || {
        let purpose = if write { IomapFor::Write } else { IomapFor::Read };
        let iomap = iomap_begin(fs, inode, page, page, purpose, handle)?;
        fs.schedule.pass(SchedulePoint::FaultLookedUp { write }, page);
        Ok::<Iomap, FsError>(iomap)
    };
    let (iomap, mut entry) = match fs.rules.fault_order {
        FaultOrder::LookUpThenLock => {
            let iomap = look_up()?;
            (iomap, inode.entries.grab(page, &fs.schedule))
        }
        FaultOrder::LockThenLookUp => {
            let mut entry = inode.entries.grab(page, &fs.schedule);
            if write && gives_way(inode, page, entry.get()) {
                unmap_everywhere(fs, inode, page, &mut entry);
            }
            (look_up()?, entry)
        }
    };
    match iomap.kind {
        IomapType::Mapped { block } => {
            dax_insert_mapping_entry(fs, inode, page, &mut entry, DaxEntry::Block { block, dirty: write });
            fs.schedule.pass(SchedulePoint::Install, page);
            if write || fs.schedule.has(PlantedFault::MapWritableWhenClean) {
                vma.pages.make_writable(page, Pte::writable(block));
            } else {
                vma.pages.insert(page, Pte::read_only(block));
            }
        }
        IomapType::Hole | IomapType::Unwritten => dax_load_hole(fs, inode, vma, page, &mut entry),
    }
    if let Origin::Copied(block) = iomap.origin {
        fs.release(block.into());
    }
    Ok(())
}

/// Records the answer in the locked entry.
///
/// A zero page that gives way to a block, or a shared block that gave way to a copy, is unmapped everywhere
/// *before* the entry is swapped. A block's entry is else left alone, but for the dirty tag, which only
/// write-back clears: truncate and punch delete the entry.
fn dax_insert_mapping_entry(
    fs: &FileSystem<'_>,
    inode: &Inode,
    page: u64,
    entry: &mut LockedEntry<'_>,
    answer: DaxEntry,
) {
    match (entry.get(), answer) {
        (DaxEntry::ZeroPage, DaxEntry::Block { .. }) => {
            unmap_everywhere(fs, inode, page, entry);
            entry.set(answer);
        }
        (DaxEntry::Block { block: old, .. }, DaxEntry::Block { block: new, .. }) if old != new => {
            unmap_everywhere(fs, inode, page, entry);
            entry.set(answer);
        }
        (DaxEntry::Empty, _) => entry.set(answer),
        (DaxEntry::Block { block, dirty: false }, DaxEntry::Block { dirty: true, .. }) => {
            entry.set(DaxEntry::Block { block, dirty: true });
        }
        _ => {}
    }
}

/// Whether what is mapped is about to be replaced by a write fault.
fn gives_way(inode: &Inode, page: u64, mapped: DaxEntry) -> bool {
    match mapped {
        DaxEntry::Empty => false,
        DaxEntry::ZeroPage => true,
        DaxEntry::Block { .. } => matches!(inode.extents.look_up(page), Extent::Shared(_)),
    }
}

fn unmap_everywhere(fs: &FileSystem<'_>, inode: &Inode, page: u64, entry: &mut LockedEntry<'_>) {
    inode.i_mmap.unmap(page, page, &fs.schedule);
    entry.set(DaxEntry::Empty);
}

/// Maps the zero page.
///
/// From 4.12 on a block's entry would stay as it is; but then none can be found there. Up to 4.11 the hole
/// page took the place of whatever entry it found, its dirty tag included: the second race of the mail.
fn dax_load_hole(fs: &FileSystem<'_>, inode: &Inode, vma: &Vma, page: u64, entry: &mut LockedEntry<'_>) {
    if fs.rules.hole_replaces_any_entry {
        entry.set(DaxEntry::ZeroPage);
    } else {
        dax_insert_mapping_entry(fs, inode, page, entry, DaxEntry::ZeroPage);
    }
    fs.schedule.pass(SchedulePoint::Install, page);
    vma.pages.insert(page, Pte::ZERO);
}
