//! What the models lock: one lock or two, and the data that their ranges guard.

use std::cell::Cell;

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use range_lock::{__private, RangeLock};

/// A lock and one cell that stands for the data of the points 0 to 9.
pub(crate) struct Guarded {
    pub(crate) lock: RangeLock,
    pub(crate) data: UnsafeCell<usize>,
}

// SAFETY: the models touch `data` only under a guard of `lock` for its range. loom's `UnsafeCell`
// reports where that does not suffice.
unsafe impl Sync for Guarded {}
// SAFETY: a `usize` may be sent.
unsafe impl Send for Guarded {}

impl Guarded {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Guarded { lock: new_lock(), data: UnsafeCell::new(0) })
    }

    pub(crate) fn get(&self) -> usize {
        // SAFETY: the caller holds the range for reading; checked by loom.
        self.data.with(|data| unsafe { *data })
    }

    pub(crate) fn add(&self, n: usize) {
        // SAFETY: the caller holds the range for writing; checked by loom.
        self.data.with_mut(|data| unsafe { *data += n });
    }

    /// Nothing is left behind: neither a request nor a count.
    pub(crate) fn check_free(&self) {
        assert!(self.lock.requests().is_empty(), "{:?}", self.lock);
        assert!(self.lock.try_write(..).is_some());
    }
}

/// Two locks, and a cell for the data of each.
pub(crate) struct Pair {
    pub(crate) locks: [RangeLock; 2],
    data: [UnsafeCell<usize>; 2],
}

// SAFETY: as `Guarded`: each cell is touched only under a guard of its lock.
unsafe impl Sync for Pair {}
// SAFETY: a `usize` may be sent.
unsafe impl Send for Pair {}

impl Pair {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Pair { locks: [new_lock(), new_lock()], data: [UnsafeCell::new(0), UnsafeCell::new(0)] })
    }

    pub(crate) fn get(&self, at: usize) -> usize {
        // SAFETY: the caller holds the range for reading; checked by loom.
        self.data[at].with(|data| unsafe { *data })
    }

    pub(crate) fn add(&self, at: usize, n: usize) {
        // SAFETY: the caller holds the range for writing; checked by loom.
        self.data[at].with_mut(|data| unsafe { *data += n });
    }

    pub(crate) fn check_free(&self) {
        for lock in &self.locks {
            assert!(lock.requests().is_empty(), "{lock:?}");
            assert!(lock.try_write(..).is_some());
        }
    }
}

thread_local! {
    /// Whether the locks of the model that is under way are cut in two. All threads of a model are
    /// one thread of the system.
    pub(crate) static CUT: Cell<bool> = const { Cell::new(false) };
}

/// A lock, cut in the middle of the points that the models use where that is the turn.
pub(crate) fn new_lock() -> RangeLock {
    cut_if_its_turn(RangeLock::builder().max_leaves(4).build())
}

/// Cuts a lock that the model has built, where that is the turn.
pub(crate) fn cut_if_its_turn(lock: RangeLock) -> RangeLock {
    assert!(!CUT.get() || __private::cut(&lock, 5));
    lock
}
