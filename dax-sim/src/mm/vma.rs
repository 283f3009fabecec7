//! Mappings of a file: the range that each maps, its flags and its page table.

use std::sync::Arc;

use super::address_space::Mm;
use super::anonymous::AnonymousPages;
use super::grace;
use super::page_table::{EvenCows, PageTable};
use crate::pmem::BLOCK_SIZE;
use crate::schedule::{Schedule, SchedulePoint};

/// One mapping of a range of a file, with the page table below it.
#[derive(Debug)]
pub(crate) struct Vma {
    /// The first byte of the file that is mapped.
    pub(crate) start: u64,
    /// One past the last byte: the end of a page.
    pub(crate) end: u64,
    pub(crate) flags: VmFlags,
    /// Where `start` is in the address space.
    pub(crate) address: u64,
    pub(crate) mm: Arc<Mm>,
    pub(crate) pages: PageTable,
    /// What copy-on-write made.
    pub(crate) anonymous: AnonymousPages,
}

/// The properties of a mapping (`vm_flags`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct VmFlags {
    /// VM_SHARED. Otherwise the mapping is private, and a store copies the page first.
    pub(crate) shared: bool,
    /// VM_WRITE.
    pub(crate) write: bool,
    /// VM_SYNC: a store may reach a page only when the page's metadata are durable.
    pub(crate) sync: bool,
    /// VM_HUGEPAGE: faults try 2 MiB first.
    pub(crate) huge: bool,
}

impl Vma {
    /// Maps the bytes `start..end` of a file, and the rest of the last byte's page, at an address
    /// that was found free.
    pub(crate) fn new(mm: &Arc<Mm>, start: u64, end: u64, flags: VmFlags, address: u64) -> Self {
        let end = end.next_multiple_of(BLOCK_SIZE);
        let (pages, anonymous) = (PageTable::new(), AnonymousPages::default());
        Self { start, end, flags, address, mm: Arc::clone(mm), pages, anonymous }
    }

    /// Removes the translations of `first..=last`, waits until no access uses one, and frees the
    /// pages to which only they led (MADV_DONTNEED of all that is mapped there).
    pub(crate) fn zap(&self, first: u64, last: u64, schedule: &Schedule) {
        schedule.pass_in(SchedulePoint::Unmap, first, self);
        let frames = self.pages.clear(first, last, EvenCows::Yes);
        grace::synchronize(schedule);
        self.anonymous.free(frames);
    }
}
