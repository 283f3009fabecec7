//! Page faults: look up where the page is, and install the answer in the entry and the page table.
//!
//! The paths follow `fs/dax.c`. This file has the code that they share.
//!
//! * [`dax_iomap_pte_fault`] maps a page.
//! * [`dax_iomap_pmd_fault`] maps 2 MiB.
//! * [`dax_pfn_mkwrite`] is the first store to a page that is mapped for loads.
//! * [`dax_finish_sync_fault`] is the second half of a MAP_SYNC fault.

mod mkwrite;
mod pmd;
mod pte;

pub(crate) use mkwrite::{dax_finish_sync_fault, dax_pfn_mkwrite};
pub(crate) use pmd::dax_iomap_pmd_fault;
pub(crate) use pte::dax_iomap_pte_fault;

use super::invalidate::split_entry;
use crate::entries::{DaxEntry, LockedEntry};
use crate::error::FsError;
use crate::fs::{Extent, FileSystem, Inode};
use crate::mm::{EvenCows, Vma};
use crate::pmem::BLOCK_SIZE;
use crate::schedule::PlantedFault;

/// The access that a fault is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FaultFor {
    /// A load.
    Read,
    /// A store to a shared mapping.
    Write,
    /// A store to a private mapping: the page is copied.
    Cow,
}

/// The result of a fault that did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum VmFault {
    /// VM_FAULT_NOPAGE: the page is mapped, or the access is to be tried again.
    NoPage,
    /// VM_FAULT_FALLBACK: the fault cannot map 2 MiB.
    Fallback,
    /// VM_FAULT_NEEDDSYNC: the entry is there, but the page may be mapped for stores only when the
    /// metadata are durable.
    NeedDsync,
}

/// Past the end of the file nothing can be mapped (VM_FAULT_SIGBUS). The caller holds i_mmap_sem,
/// so that the file does not become smaller meanwhile.
fn check_size(inode: &Inode, page: u64) -> Result<(), FsError> {
    let size = inode.size();
    if page < size.div_ceil(BLOCK_SIZE) {
        Ok(())
    } else {
        Err(FsError::BusError { offset: page * BLOCK_SIZE, size })
    }
}

/// Locks the entry that is to answer for `page` (`grab_mapping_entry`).
///
/// An entry of 2 MiB that has no blocks gives way (a *downgrade*). It is unmapped if the huge zero
/// page is mapped, then deleted, and all its waiters are woken. An entry with blocks is kept, and
/// serves the page as well.
fn grab_mapping_entry<'a>(fs: &'a FileSystem<'_>, inode: &'a Inode, page: u64) -> LockedEntry<'a> {
    loop {
        let entry = inode.entries.grab(page, &fs.schedule);
        if entry.is_pmd() && entry.block_of(page).is_none() {
            split_entry(fs, inode, entry);
        } else {
            return entry;
        }
    }
}

/// The same before the look-up: what a write fault will replace is unmapped, and its entry is
/// EMPTY.
fn grab_to_look_up<'a>(fs: &'a FileSystem<'_>, inode: &'a Inode, page: u64, write: bool) -> LockedEntry<'a> {
    loop {
        let mut entry = grab_mapping_entry(fs, inode, page);
        if !write
            || !gives_way(inode, page, entry.get())
            || fs.schedule.has(PlantedFault::AllocateUnderZeroPage)
        {
            return entry;
        }
        if !entry.is_pmd() {
            unmap_everywhere(fs, inode, &mut entry);
            return entry;
        }
        split_entry(fs, inode, entry);
    }
}

/// Records the answer in the locked entry.
///
/// A zero page that gives way to a block, or a shared block that gave way to a copy, is unmapped
/// everywhere *before* the entry is swapped. Otherwise a block's entry gets at most the dirty tag,
/// which only write-back clears: truncate and punch delete the entry.
fn dax_insert_mapping_entry(
    fs: &FileSystem<'_>,
    inode: &Inode,
    entry: &mut LockedEntry<'_>,
    answer: DaxEntry,
) {
    match (entry.get(), answer) {
        (DaxEntry::ZeroPage, DaxEntry::Block { .. }) => {
            unmap_everywhere(fs, inode, entry);
            entry.set(answer);
        }
        (DaxEntry::Block { block: old, .. }, DaxEntry::Block { block: new, .. }) if old != new => {
            unmap_everywhere(fs, inode, entry);
            entry.set(answer);
        }
        (DaxEntry::Empty, _) => entry.set(answer),
        (DaxEntry::Block { block, dirty: false }, DaxEntry::Block { dirty: true, .. }) => {
            entry.set(DaxEntry::Block { block, dirty: true });
        }
        _ => {}
    }
}

/// Whether a write fault is about to replace what is mapped at `page`.
fn gives_way(inode: &Inode, page: u64, mapped: DaxEntry) -> bool {
    match mapped {
        DaxEntry::Empty => false,
        DaxEntry::ZeroPage => true,
        DaxEntry::Block { .. } => matches!(inode.extents.look_up(page), Extent::Shared(_)),
    }
}

fn unmap_everywhere(fs: &FileSystem<'_>, inode: &Inode, entry: &mut LockedEntry<'_>) {
    inode.i_mmap.unmap(entry.first(), entry.last(), EvenCows::No, &fs.schedule);
    entry.set(DaxEntry::Empty);
}

/// Records that the zero page is mapped.
///
/// From 4.12 on a block's entry would be kept, but the order of that version never finds one here.
/// Up to 4.11 the hole page took the place of whatever entry it found, its dirty tag included. This
/// is the second race of [Kara's 2017 e-mail].
///
/// [Kara's 2017 e-mail]: https://lore.kernel.org/r/20170426085235.GA21738@quack2.suse.cz
fn insert_zero_page(fs: &FileSystem<'_>, inode: &Inode, entry: &mut LockedEntry<'_>) {
    if fs.rules.hole_replaces_any_entry {
        entry.set(DaxEntry::ZeroPage);
    } else {
        dax_insert_mapping_entry(fs, inode, entry, DaxEntry::ZeroPage);
    }
}

/// Whether stores must wait before they reach the pages: the mapping is MAP_SYNC and the file's
/// metadata are not durable (VM_SYNC and IOMAP_F_DIRTY).
fn needs_dsync(fs: &FileSystem<'_>, inode: &Inode, vma: &Vma, fault: FaultFor) -> bool {
    fault == FaultFor::Write
        && vma.flags.sync
        && inode.is_datasync_dirty(&fs.journal)
        && !fs.schedule.has(PlantedFault::MapSyncWithoutSync)
}
