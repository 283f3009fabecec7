//! The list of its mappings that a file keeps.

use std::sync::{Arc, PoisonError};

use crossbeam_utils::sync::ShardedLock;

use super::grace;
use super::page_table::EvenCows;
use super::vma::Vma;
use crate::schedule::{Asked, LockClass, LockRequest, Schedule, SchedulePoint};

/// All mappings of one file (`i_mmap`, under i_mmap_rwsem).
///
/// In Linux every walk writes to the one word of i_mmap_rwsem. Here walks write to nothing that
/// they share. So a comparison of variants compares i_mmap_sem and i_rwsem.
#[derive(Debug)]
pub(crate) struct IMmap {
    vmas: ShardedLock<Vec<Arc<Vma>>>,
}

impl IMmap {
    pub(crate) fn new() -> Self {
        Self { vmas: ShardedLock::new(Vec::new()) }
    }

    #[track_caller]
    pub(crate) fn insert(&self, vma: Arc<Vma>, schedule: &Schedule) {
        let asked = self.locking(true, schedule);
        let mut vmas = schedule.write_sharded(&self.vmas);
        let _held = asked.granted();
        vmas.push(vma);
    }

    #[track_caller]
    pub(crate) fn remove(&self, vma: &Arc<Vma>, schedule: &Schedule) {
        let asked = self.locking(true, schedule);
        let mut vmas = schedule.write_sharded(&self.vmas);
        let _held = asked.granted();
        vmas.retain(|other| !Arc::ptr_eq(other, vma));
    }

    /// Removes every translation of the pages `first..=last`, and waits until no access uses one
    /// (`unmap_mapping_range`).
    ///
    /// It waits even if it found none: another thread may have just removed them, and may still be
    /// waiting.
    #[track_caller]
    pub(crate) fn unmap(&self, first: u64, last: u64, even_cows: EvenCows, schedule: &Schedule) {
        let mut freed = Vec::new();
        self.walk(schedule, |vma| {
            schedule.pass_in(SchedulePoint::Unmap, first, &**vma);
            let frames = vma.pages.clear(first, last, even_cows);
            if !frames.is_empty() {
                freed.push((Arc::clone(vma), frames));
            }
        });
        freed.into_iter().for_each(|(vma, frames)| vma.anonymous.free(frames));
    }

    /// Write-protects every translation of the pages `first..=last`, and waits until no store uses
    /// a writable one (`dax_mapping_entry_mkclean`).
    #[track_caller]
    pub(crate) fn make_clean(&self, first: u64, last: u64, schedule: &Schedule) {
        self.walk(schedule, |vma| {
            schedule.pass_in(SchedulePoint::WriteProtect, first, &**vma);
            vma.pages.write_protect(first, last);
        });
    }

    /// All mappings at this moment.
    pub(crate) fn all(&self) -> Vec<Arc<Vma>> {
        self.vmas.read().unwrap_or_else(PoisonError::into_inner).to_vec()
    }

    #[track_caller]
    fn walk(&self, schedule: &Schedule, change: impl FnMut(&Arc<Vma>)) {
        let asked = self.locking(false, schedule);
        let vmas = schedule.read_sharded(&self.vmas);
        let held = asked.granted();
        if !vmas.is_empty() {
            vmas.iter().for_each(change);
            drop((vmas, held));
            grace::synchronize(schedule);
        }
    }

    #[track_caller]
    fn locking(&self, exclusive: bool, schedule: &Schedule) -> Asked {
        schedule.locking(|| LockRequest::whole(LockClass::IMmap, self, exclusive))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl IMmap {
        /// Whether i_mmap_rwsem is held at this moment, and if so, whether exclusively.
        pub(crate) fn taken(&self) -> Option<bool> {
            let is_exclusive = self.vmas.try_read().is_err();
            self.vmas.try_write().is_err().then_some(is_exclusive)
        }
    }
}
