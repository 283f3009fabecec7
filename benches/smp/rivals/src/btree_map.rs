//! The first lock that comes to mind: a map of held ranges under a mutex, and a condition variable.
//!
//! Each release wakes up all threads that wait.

use std::collections::BTreeMap;
use std::ops::Range;

use parking_lot::{Condvar, Mutex};

use crate::lock::{Lock, Order, Setup};

/// `Mutex<BTreeMap>` and `Condvar`, of parking_lot.
#[derive(Debug, Default)]
pub struct BTreeMapLock {
    state: Mutex<State>,
    released: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// By start and number: the end, and whether it is a write.
    held: BTreeMap<(u64, u64), (u64, bool)>,
    /// The length of the longest held range.
    longest: u64,
    last_number: u64,
    waiting: usize,
}

impl State {
    fn conflicts(&self, range: &Range<u64>, write: bool) -> bool {
        let from = range.start.saturating_sub(self.longest);
        let mut near = self.held.range((from, 0)..(range.end, 0));
        near.any(|(_, &(end, writes))| end > range.start && (write || writes))
    }
}

impl BTreeMapLock {
    fn lock(&self, range: Range<u64>, write: bool) -> Guard<'_> {
        let mut state = self.state.lock();
        while state.conflicts(&range, write) {
            state.waiting += 1;
            self.released.wait(&mut state);
            state.waiting -= 1;
        }
        state.last_number += 1;
        let key = (range.start, state.last_number);
        state.longest = state.longest.max(range.end - range.start);
        state.held.insert(key, (range.end, write));
        Guard { lock: self, key }
    }
}

impl Lock for BTreeMapLock {
    const NAME: &'static str = "btree-map";
    const WHAT: &'static str = "Mutex<BTreeMap> and a Condvar, of parking_lot";
    const ORDER: Order = Order::Any;
    const SHARED: bool = true;
    const MOST_HELD: usize = usize::MAX;
    type Read<'a> = Guard<'a>;
    type Write<'a> = Guard<'a>;

    fn new(_: &Setup) -> Self {
        Self::default()
    }

    fn read(&self, _: usize, range: Range<u64>) -> Guard<'_> {
        self.lock(range, false)
    }

    fn write(&self, _: usize, range: Range<u64>) -> Guard<'_> {
        self.lock(range, true)
    }
}

/// Holds one range.
#[derive(Debug)]
pub struct Guard<'a> {
    lock: &'a BTreeMapLock,
    key: (u64, u64),
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        let mut state = self.lock.state.lock();
        state.held.remove(&self.key);
        if state.held.is_empty() {
            state.longest = 0;
        }
        let wakes = state.waiting > 0;
        drop(state);
        if wakes {
            self.lock.released.notify_all();
        }
    }
}
