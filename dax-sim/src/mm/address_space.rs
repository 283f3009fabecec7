//! Address spaces: where mappings lie, and mmap_lock.

use std::collections::BTreeMap;

use crossbeam_utils::sync::{ShardedLock, ShardedLockReadGuard, ShardedLockWriteGuard};

use crate::pmem::BLOCK_SIZE;
use crate::radix::HUGE;
use crate::schedule::{Held, LockClass, LockRequest, Schedule};

/// Bytes of a PMD.
pub(crate) const PMD_SIZE: u64 = HUGE * BLOCK_SIZE;

/// Where the first mapping goes: far from 0, which is never mapped.
const BASE: u64 = 1 << 32;

/// An address space (`mm_struct`), as one process has it. Several mappings, of several files, may
/// lie in it.
///
/// mmap_lock is held shared by page faults, and exclusively while mappings come and go, as in Linux
/// before there was a lock for each VMA (6.4). As with VMA locks, faults on different pages do not
/// write to one line: a shared holder writes to a line of its own thread. Finding the VMA of an
/// address is left out, since callers name their mapping. So are page tables that mappings share.
#[derive(Debug, Default)]
pub(crate) struct Mm {
    /// Where mappings begin and end.
    mmap_lock: ShardedLock<BTreeMap<u64, u64>>,
}

/// mmap_lock held shared.
#[must_use]
pub(crate) struct MmapLock<'a> {
    _mmap_lock: ShardedLockReadGuard<'a, BTreeMap<u64, u64>>,
    _held: Held,
}

impl Mm {
    /// Takes mmap_lock shared, for a fault.
    #[track_caller]
    pub(crate) fn read(&self, schedule: &Schedule) -> MmapLock<'_> {
        let asked = schedule.locking(|| LockRequest::whole(LockClass::MmapLock, self, false));
        MmapLock { _mmap_lock: schedule.read_sharded(&self.mmap_lock), _held: asked.granted() }
    }

    /// Takes mmap_lock exclusively, to map or unmap.
    #[track_caller]
    pub(crate) fn write<'a>(&'a self, schedule: &Schedule) -> MmapWriteLock<'a> {
        let asked = schedule.locking(|| LockRequest::whole(LockClass::MmapLock, self, true));
        MmapWriteLock { mappings: schedule.write_sharded(&self.mmap_lock), _held: asked.granted() }
    }
}

/// mmap_lock held exclusively.
#[must_use]
pub(crate) struct MmapWriteLock<'a> {
    mappings: ShardedLockWriteGuard<'a, BTreeMap<u64, u64>>,
    _held: Held,
}

impl MmapWriteLock<'_> {
    /// Finds room for the bytes `start..end` of a file. Takes `address`, if it is given and free
    /// (MAP_FIXED_NOREPLACE). Otherwise it takes a place where address and file offset are the same
    /// modulo 2 MiB, so that PMDs fit (`thp_get_unmapped_area`). Returns the address.
    pub(crate) fn map(&mut self, start: u64, end: u64, address: Option<u64>) -> Option<u64> {
        let mappings = &mut self.mappings;
        let len = end - start;
        let address = address.unwrap_or_else(|| {
            let past = mappings.last_key_value().map_or(BASE, |(_, end)| *end).next_multiple_of(PMD_SIZE);
            past + start % PMD_SIZE
        });
        let past = address.checked_add(len)?.next_multiple_of(BLOCK_SIZE);
        let before = mappings.range(..past).next_back();
        if before.is_some_and(|(_, end)| *end > address) {
            return None;
        }
        mappings.insert(address, past);
        Some(address)
    }

    /// munmap.
    pub(crate) fn unmap(&mut self, address: u64) {
        self.mappings.remove(&address);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Mm {
        /// Whether mmap_lock is held at this moment, and if so, whether exclusively.
        pub(crate) fn taken(&self) -> Option<bool> {
            let is_exclusive = self.mmap_lock.try_read().is_err();
            self.mmap_lock.try_write().is_err().then_some(is_exclusive)
        }
    }

    #[test]
    fn mappings_do_not_overlap_and_fit_pmds_unless_told_otherwise() {
        let space = Mm::default();
        let mut mm = space.write(&Schedule::none());
        let first = mm.map(0, 10, None).unwrap();
        let second = mm.map(PMD_SIZE + 4096, 9 * PMD_SIZE, None).unwrap();
        assert_eq!([first % PMD_SIZE, second % PMD_SIZE], [0, 4096]);
        assert_eq!(mm.map(0, 4096, Some(first + 4096)), Some(first + 4096));
        assert_eq!(mm.map(0, 4097, Some(first + 4096)), None);
        assert_eq!(mm.map(0, 4097, Some(second - 4096)), None);
        assert_eq!(mm.map(0, 4096, Some(u64::MAX - 4095)), None, "past the end of all addresses");
        mm.unmap(second);
        assert_eq!(mm.map(0, 4097, Some(second - 4096)), Some(second - 4096));
    }
}
