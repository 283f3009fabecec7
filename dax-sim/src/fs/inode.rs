//! The inode: size, locks, block map, DAX entries, mappings.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use crossbeam_utils::CachePadded;

use super::extent::{ExtentMap, ExtentWriter};
use super::{Handle, Journal, Sem};
use crate::entries::DaxEntries;
use crate::mm::IMmap;
use crate::pmem::BLOCK_SIZE;
use crate::schedule::{LockClass, PlantedFault, Schedule, SchedulePoint};
use crate::variant::Rules;

/// A file, as the kernel has it. Its locks are taken in the order of [`LockClass`], with mmap_lock
/// between i_rwsem and i_mmap_sem. Page tables have no locks.
#[derive(Debug)]
pub(crate) struct Inode {
    /// A thread raises and lowers it with i_rwsem held exclusively from the smaller of the two
    /// sizes to the end of the domain. It is read without a lock.
    i_size: CachePadded<AtomicU64>,
    pub(crate) i_rwsem: CachePadded<Sem>,
    pub(crate) i_mmap_sem: CachePadded<Sem>,
    pub(crate) extents: ExtentMap,
    pub(crate) entries: DaxEntries,
    pub(crate) i_mmap: IMmap,
}

impl Inode {
    pub(crate) fn new(rules: &Rules, schedule: &Schedule) -> Self {
        Self {
            i_size: CachePadded::default(),
            i_rwsem: CachePadded::new(Sem::new(rules.i_rwsem, LockClass::IRwsem, schedule)),
            i_mmap_sem: CachePadded::new(Sem::new(rules.i_mmap_sem, LockClass::IMmapSem, schedule)),
            extents: ExtentMap::new(),
            entries: DaxEntries::new(),
            i_mmap: IMmap::new(),
        }
    }

    /// The file's size in bytes.
    pub(crate) fn size(&self) -> u64 {
        self.i_size.load(SeqCst)
    }

    /// Pages that the file's bytes reach into.
    pub(crate) fn size_in_pages(&self) -> u64 {
        self.size().div_ceil(BLOCK_SIZE)
    }

    /// Sets the size (truncate).
    pub(crate) fn set_size(&self, size: u64, handle: &Handle<'_>, schedule: &Schedule) {
        if !schedule.has(PlantedFault::ResizeUnknown) {
            self.mark_datasync_dirty(handle);
        }
        schedule.pass(SchedulePoint::Resize, size / BLOCK_SIZE);
        self.i_size.store(size, SeqCst);
    }

    /// Raises the size to at least `size` (write(2)). In a variant that does not serialise writers
    /// the larger size wins.
    pub(crate) fn raise_size(&self, size: u64, handle: &Handle<'_>, schedule: &Schedule) {
        self.mark_datasync_dirty(handle);
        schedule.pass(SchedulePoint::Resize, size / BLOCK_SIZE);
        self.i_size.fetch_max(size, SeqCst);
    }

    /// The block map, for changes in the handle's transaction.
    #[track_caller]
    pub(crate) fn change_extents<'a>(
        &'a self,
        handle: &Handle<'_>,
        schedule: &'a Schedule,
    ) -> ExtentWriter<'a> {
        let map = self.extents.write(schedule);
        // Only now: the line is also i_data_sem's.
        self.mark_datasync_dirty(handle);
        map
    }

    /// Records that the handle's transaction changes blocks or size.
    fn mark_datasync_dirty(&self, handle: &Handle<'_>) {
        let (running, datasync_tid) = (handle.transaction(), self.extents.datasync_tid());
        // Many changes of one transaction come here, and the first one's store is enough.
        if datasync_tid.load(SeqCst) < running {
            datasync_tid.fetch_max(running, SeqCst);
        }
    }

    /// Whether blocks or size have changed since the last commit (`ext4_inode_datasync_dirty`).
    pub(crate) fn is_datasync_dirty(&self, journal: &Journal) -> bool {
        self.extents.datasync_tid().load(SeqCst) > journal.committed()
    }

    /// Does `act` with i_rwsem held exclusively for a write of the bytes `start..end`. A write
    /// inside the file holds these bytes alone. A write that makes the file larger holds everything
    /// from `start`, or from the old end of the file if that comes first, to the end of the domain.
    ///
    /// The guard stays where it was made. A returned guard would be stored in parts and loaded
    /// whole. Such a load waits until the parts have left the CPU, which takes longer than the
    /// lock.
    #[inline]
    #[track_caller]
    pub(crate) fn locked_for_write<R>(
        &self,
        start: u64,
        end: u64,
        schedule: &Schedule,
        act: impl FnOnce() -> R,
    ) -> R {
        loop {
            let size = self.size();
            let bytes = if end > size { start.min(size)..u64::MAX } else { start..end };
            let _i_rwsem = self.i_rwsem.write(bytes.clone(), schedule);
            // The size may have changed before the lock was held. Every change that matters
            // conflicts with what is held now.
            let size = self.size();
            if end <= size || (bytes.end == u64::MAX && bytes.start <= size) {
                return act();
            }
        }
    }
}
