//! [`RangeLock::wait_until_free`] and its timed forms, which wait for the requests in a range and
//! lock nothing.

use std::ops::RangeBounds;
use std::time::{Duration, Instant};

use super::RangeLock;
use crate::claim::claim;
use crate::mode::Mode;
use crate::request;
use crate::sync::Deadline;

/// Methods that wait and lock nothing.
impl RangeLock {
    /// Waits for every request that entered before the call and conflicts with a request for
    /// `range` in `mode`. The call locks nothing.
    ///
    /// With this method a flush can wait until the current writes are done, without delaying later
    /// writes. With [`Mode::Read`] the call waits for writers. With [`Mode::Upgradable`] the call
    /// waits for writers and upgradable readers. With [`Mode::Write`] it waits for all requests.
    ///
    /// The call waits for each conflicting request that was held *or waited* when the call began.
    /// The wait for a request ends when the request is released or gives up. The wait also ends
    /// when the request no longer conflicts, because the request was
    /// [shrunk](crate::RangeWriteGuard::shrink) or [downgraded](crate::RangeWriteGuard::downgrade).
    /// The call does not wait for requests that enter later, nor for an upgrade that begins later.
    ///
    /// When the call returns, the caller sees every write that other threads made while they held
    /// the awaited ranges. By then new requests may have locked these ranges again. To keep other
    /// requests out, lock the range.
    ///
    /// ```
    /// use range_lock::{Mode, RangeLock};
    ///
    /// let lock = RangeLock::new();
    /// let write = lock.write(0..4096);
    /// std::thread::scope(|scope| {
    ///     scope.spawn(|| lock.wait_until_free(.., Mode::Read)); // Waits for `write`,
    ///     let later = lock.write(4096..8192); // and keeps no request out.
    ///     drop((write, later));
    /// });
    /// lock.wait_until_free(.., Mode::Read); // Where nothing is in the way it waits for nothing.
    /// ```
    ///
    /// # Panics
    ///
    /// If the range is inverted. An empty range is always free.
    ///
    /// # Fairness
    ///
    /// The call delays no other request, not even a waiting request. `try_` methods ignore the
    /// call. [`requests`](Self::requests) does not list the call, and
    /// [`is_locked`](Self::is_locked) does not count it. The call returns when the requests that it
    /// found at its begin have left, even if new requests keep coming.
    ///
    /// # Deadlocks
    ///
    /// The caller waits for itself if it holds a conflicting range, or if one of the awaited
    /// requests waits for a range of the caller. Feature `deadlock_detection` does not examine
    /// calls of this method.
    ///
    /// # Cost
    ///
    /// If the call waits for m requests, it takes O(m log m) steps under the internal mutexes, and
    /// allocates memory for each of the m requests. The release of each of these requests takes
    /// O(log m) additional steps. If the call waits for no request, it allocates nothing and takes
    /// O(log n) steps, with n requests in the lock. The `Stats` of feature `stats` do not count
    /// these calls.
    ///
    /// # Origin
    ///
    /// The latch manager of CockroachDB has this operation, under the name `WaitFor`. In
    /// CockroachDB, too, the operation acquires no latch. Block layers also wait for all writes
    /// before a flush.
    #[track_caller]
    pub fn wait_until_free(&self, range: impl RangeBounds<u64>, mode: Mode) {
        let free = self.free_by(&range, mode, Deadline::Never);
        debug_assert!(free, "a wait without a deadline ends when the range is free");
    }

    /// Like [`wait_until_free`](Self::wait_until_free), but gives up after `timeout`. Returns
    /// whether all awaited requests have left.
    ///
    /// With a timeout of zero the call does not wait. Then the call returns `true` if no
    /// conflicting request is held or waits at this moment. A timeout that is too long for the
    /// clock has the same effect as no timeout.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use range_lock::{Mode, RangeLock};
    /// # let lock = RangeLock::new();
    /// let reader = lock.read(0..10);
    /// assert!(lock.wait_until_free_for(.., Mode::Read, Duration::ZERO)); // For readers it is free.
    /// assert!(!lock.wait_until_free_for(.., Mode::Write, Duration::from_millis(1)));
    /// # drop(reader);
    /// ```
    ///
    /// # Panics
    ///
    /// If the range is inverted.
    ///
    /// # Fairness and cancel safety
    ///
    /// The call delays no other request, like [`wait_until_free`](Self::wait_until_free). A call
    /// that gives up leaves nothing in the lock. If the last awaited request leaves at the moment
    /// of the timeout, the call returns `true`.
    #[track_caller]
    pub fn wait_until_free_for(&self, range: impl RangeBounds<u64>, mode: Mode, timeout: Duration) -> bool {
        self.free_by(&range, mode, Deadline::after(timeout))
    }

    /// Like [`wait_until_free_for`](Self::wait_until_free_for), but gives up at `deadline`.
    ///
    /// ```
    /// # use std::time::Instant;
    /// # use range_lock::{Mode, RangeLock};
    /// # let lock = RangeLock::new();
    /// let writer = lock.write(0..10);
    /// assert!(!lock.wait_until_free_until(5..6, Mode::Read, Instant::now()));
    /// assert!(lock.wait_until_free_until(10..20, Mode::Read, Instant::now()));
    /// # drop(writer);
    /// ```
    ///
    /// # Panics
    ///
    /// If the range is inverted.
    #[track_caller]
    pub fn wait_until_free_until(&self, range: impl RangeBounds<u64>, mode: Mode, deadline: Instant) -> bool {
        self.free_by(&range, mode, Deadline::At(deadline))
    }

    #[track_caller]
    fn free_by(&self, range: &impl RangeBounds<u64>, mode: Mode, deadline: Deadline) -> bool {
        let claim = claim(range, mode);
        claim.is_none_or(|claim| request::wait_until_free(self.partition(), claim, deadline))
    }
}
