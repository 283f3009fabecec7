//! How a lock that owns its data is made.

use std::cell::UnsafeCell;

use super::{RangeRwLock, Storage};
use crate::lock::RangeLock;

impl<S: Storage> RangeRwLock<S> {
    /// Makes a lock that owns `storage`. No element of the new lock is locked. The call allocates
    /// nothing.
    ///
    /// ```
    /// use range_lock::RangeRwLock;
    ///
    /// let array = RangeRwLock::new([0; 16]);
    /// let mut elsewhere = vec![0; 16];
    /// let borrowed = RangeRwLock::new(&mut elsewhere[..]);
    /// borrowed.write(0..8).copy_from_slice(&array.read(8..));
    /// ```
    pub fn new(storage: S) -> Self {
        Self::with_lock(storage, RangeLock::new())
    }

    /// Makes a lock that owns `storage`, and that locks the indices of the elements with `lock`.
    /// `lock` may have [non-default settings](RangeLock::builder).
    ///
    /// The ranges of leaked guards of `lock` stay locked until [`undo_leak`](Self::undo_leak)
    /// releases these ranges.
    ///
    /// ```
    /// use range_lock::{RangeLock, RangeRwLock};
    ///
    /// let table = RangeRwLock::with_lock(vec![0; 100], RangeLock::builder().bypass(1).build());
    /// table.write(..10).fill(1);
    /// ```
    pub fn with_lock(storage: S, lock: RangeLock) -> Self {
        RangeRwLock { lock, raw: UnsafeCell::new(storage.into_raw()) }
    }
}
