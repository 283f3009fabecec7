//! The first lock that comes to mind: a map of the held ranges under a mutex, and a condition
//! variable for the threads that wait.
//!
//! It is exact, with shared readers, and without any order among the threads that wait: each
//! release wakes them all.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::rival::{DOMAIN, Rival, Scope, User};

/// `Mutex<BTreeMap>` and `Condvar`.
#[derive(Debug, Default)]
pub struct NaiveRangeLock {
    state: Mutex<State>,
    released: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// By where the range begins. The second part tells readers apart that begin at the same place.
    held: BTreeMap<(u64, u64), Held>,
    /// The length of the longest held range. So whatever overlaps `range` begins less than this
    /// before it.
    longest: u64,
    last_id: u64,
    waiting: usize,
}

#[derive(Debug)]
struct Held {
    end: u64,
    write: bool,
}

impl State {
    fn conflicts(&self, range: &Range<u64>, write: bool) -> bool {
        let from = range.start.saturating_sub(self.longest);
        self.held
            .range((from, 0)..(range.end, 0))
            .any(|(_, held)| held.end > range.start && (write || held.write))
    }
}

impl NaiveRangeLock {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self, range: Range<u64>, write: bool) -> Guard<'_> {
        let mut state = self.state();
        while state.conflicts(&range, write) {
            state.waiting += 1;
            state = self.released.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.waiting -= 1;
        }
        state.last_id += 1;
        let key = (range.start, state.last_id);
        state.longest = state.longest.max(range.end - range.start);
        state.held.insert(key, Held { end: range.end, write });
        Guard { lock: self, key }
    }
}

impl Rival for NaiveRangeLock {
    const NAME: &'static str = "Mutex<BTreeMap>";
    const SCOPE: Scope = Scope::Exact;
    const SHARED: bool = true;
    type User<'a> = &'a NaiveRangeLock;

    fn new() -> Self {
        Self::default()
    }

    fn user(&self) -> &NaiveRangeLock {
        self
    }
}

impl<'l> User for &'l NaiveRangeLock {
    type Read<'a>
        = Guard<'l>
    where
        Self: 'a;
    type Write<'a>
        = Guard<'l>
    where
        Self: 'a;

    #[inline]
    fn read(&self, range: Range<u64>) -> Guard<'l> {
        self.lock(range, false)
    }

    #[inline]
    fn write(&self, range: Range<u64>) -> Guard<'l> {
        self.lock(range, true)
    }

    #[inline]
    fn write_whole(&self) -> Guard<'l> {
        self.lock(0..DOMAIN, true)
    }
}

/// Holds one range.
#[derive(Debug)]
pub struct Guard<'l> {
    lock: &'l NaiveRangeLock,
    key: (u64, u64),
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        let mut state = self.lock.state();
        state.held.remove(&self.key);
        if state.held.is_empty() {
            state.longest = 0;
        }
        let wake = state.waiting > 0;
        drop(state);
        if wake {
            self.lock.released.notify_all();
        }
    }
}
