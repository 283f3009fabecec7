//! Mappings of a file, and the list of them that the file keeps.

use std::sync::Arc;

use parking_lot::RwLock;

use super::grace;
use super::page_table::PageTable;
use crate::schedule::{Held, LockClass, LockRequest, Schedule, SchedulePoint};

/// One shared mapping of a range of a file, with the page table of the address space that it is in.
#[derive(Debug)]
pub(crate) struct Vma {
    /// The first byte of the file that is mapped.
    pub(crate) start: u64,
    /// One past the last.
    pub(crate) end: u64,
    pub(crate) pages: PageTable,
}

impl Vma {
    pub(crate) fn new(start: u64, end: u64) -> Self {
        Self { start, end, pages: PageTable::new() }
    }
}

/// All mappings of one file (`i_mmap`, under i_mmap_rwsem).
#[derive(Debug)]
pub(crate) struct IMmap {
    vmas: RwLock<Vec<Arc<Vma>>>,
}

impl IMmap {
    pub(crate) fn new() -> Self {
        Self { vmas: RwLock::new(Vec::new()) }
    }

    #[track_caller]
    pub(crate) fn insert(&self, vma: Arc<Vma>, schedule: &Schedule) {
        let _held = self.locking(true, schedule);
        schedule.write(&self.vmas).push(vma);
    }

    #[track_caller]
    pub(crate) fn remove(&self, vma: &Arc<Vma>, schedule: &Schedule) {
        let _held = self.locking(true, schedule);
        schedule.write(&self.vmas).retain(|other| !Arc::ptr_eq(other, vma));
    }

    /// Removes every translation of the pages `first..=last`, and waits until no access uses one
    /// (`unmap_mapping_range`).
    ///
    /// It waits even if it found none: somebody else may have just removed them, and be waiting still.
    #[track_caller]
    pub(crate) fn unmap(&self, first: u64, last: u64, schedule: &Schedule) {
        self.walk(schedule, |vma| {
            schedule.pass(SchedulePoint::Unmap, first);
            vma.pages.clear(first, last);
        });
    }

    /// Write-protects every translation of `page`, and waits until no store uses a writable one
    /// (`page_mkclean`).
    #[track_caller]
    pub(crate) fn make_clean(&self, page: u64, schedule: &Schedule) {
        self.walk(schedule, |vma| {
            schedule.pass(SchedulePoint::WriteProtect, page);
            vma.pages.write_protect(page);
        });
    }

    #[track_caller]
    fn walk(&self, schedule: &Schedule, change: impl Fn(&Vma)) {
        let held = self.locking(false, schedule);
        let vmas = schedule.read(&self.vmas);
        if !vmas.is_empty() {
            vmas.iter().for_each(|vma| change(vma));
            drop((vmas, held));
            grace::synchronize(schedule);
        }
    }

    #[track_caller]
    fn locking(&self, exclusive: bool, schedule: &Schedule) -> Held {
        schedule.locking(|| LockRequest::whole(LockClass::IMmap, self, exclusive))
    }
}
