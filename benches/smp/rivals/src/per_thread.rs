//! Records of requests. Each thread has its own records, on lines of their own.
//!
//! Invariant P1: only thread `me` uses the free list of thread `me`.

use std::cell::UnsafeCell;

use crossbeam_utils::CachePadded;

use crate::lock::Setup;

/// The same number of records for each thread. An index names a record.
#[derive(Debug)]
pub(crate) struct PerThread<T> {
    records: Box<[CachePadded<T>]>,
    free: Box<[CachePadded<UnsafeCell<Vec<u32>>>]>,
}

// SAFETY: a free list is used by one thread (P1); records are shared as `T` allows.
unsafe impl<T: Send + Sync> Sync for PerThread<T> {}

impl<T: Default> PerThread<T> {
    pub(crate) fn new(setup: &Setup) -> Self {
        let mut next = 0;
        let mut free = |held: usize| {
            let first = next;
            next += held as u32;
            CachePadded::new(UnsafeCell::new((first..next).rev().collect()))
        };
        let mut lists: Vec<_> = (0..setup.threads).map(|_| free(setup.held.max(1))).collect();
        lists.push(free(setup.held_before));
        PerThread { records: (0..next).map(|_| CachePadded::default()).collect(), free: lists.into() }
    }

    /// Takes a record that is not in use.
    ///
    /// # Panics
    ///
    /// If the thread holds all of its records.
    #[inline]
    pub(crate) fn take(&self, me: usize) -> u32 {
        // SAFETY: P1, since callers pass their own number.
        let free = unsafe { &mut *self.free[me].get() };
        free.pop().expect("a thread holds as many ranges as it said at most")
    }

    /// Gives a record of the calling thread back.
    #[inline]
    pub(crate) fn give_back(&self, me: usize, index: u32) {
        // SAFETY: P1, since callers pass their own number.
        unsafe { &mut *self.free[me].get() }.push(index);
    }

    #[inline]
    pub(crate) fn get(&self, index: u32) -> &T {
        &self.records[index as usize]
    }

    pub(crate) fn parts(&self, what: &'static str, visit: &mut dyn FnMut(usize, usize, &'static str, usize)) {
        for (i, record) in self.records.iter().enumerate() {
            visit(std::ptr::from_ref(record).addr(), size_of_val(record), what, i);
        }
        for (i, list) in self.free.iter().enumerate() {
            visit(std::ptr::from_ref(list).addr(), size_of_val(list), "free records of a thread", i);
        }
    }
}
