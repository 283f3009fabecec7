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
    /// `range` in `mode`. Locks nothing.
    ///
    /// A flush uses this method to wait until the writes that are under way are done, without
    /// delaying later writes. With [`Mode::Read`] the call waits for writers. With
    /// [`Mode::Upgradable`] it waits for writers and upgradable readers, and with [`Mode::Write`]
    /// for all requests.
    ///
    /// The call waits for each conflicting request that was held *or waited* when the call began.
    /// It stops waiting for a request that is released, or that gives up. It also stops waiting for
    /// a request that no longer conflicts, because it was [shrunk](crate::RangeWriteGuard::shrink)
    /// or [downgraded](crate::RangeWriteGuard::downgrade). The call does not wait for requests that
    /// enter later, nor for an upgrade that begins later.
    ///
    /// When the call returns, the caller sees all that other threads did while they held the
    /// awaited ranges. By then new requests may have locked these ranges again. To keep other
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
    /// The call delays no other request, not even one that waits. `try_` methods ignore the call,
    /// [`requests`](Self::requests) does not list it, and [`is_locked`](Self::is_locked) does not
    /// count it. The call returns when the requests that it found have left, however many requests
    /// come later.
    ///
    /// # Deadlocks
    ///
    /// The caller waits for itself if it holds a conflicting range, or a range that one of the
    /// awaited requests waits for. Feature `deadlock_detection` does not look at calls of this
    /// method.
    ///
    /// # Cost
    ///
    /// If the call waits for m requests, it takes O(m log m) steps under the internal mutexes, and
    /// allocates memory for each of the m requests. The release of each of these takes O(log m)
    /// additional steps. If the call waits for no request, it allocates nothing and takes O(log n)
    /// steps, with n requests in the lock. The `Stats` of feature `stats` do not count these calls.
    ///
    /// # Origin
    ///
    /// CockroachDB's latch manager has this operation. Its name there is `WaitFor`, and it acquires
    /// no latch. Block layers wait for all writes before a flush.
    #[track_caller]
    pub fn wait_until_free(&self, range: impl RangeBounds<u64>, mode: Mode) {
        let free = self.free_by(&range, mode, Deadline::Never);
        debug_assert!(free, "a wait without a deadline ends when the range is free");
    }

    /// Like [`wait_until_free`](Self::wait_until_free), but gives up after `timeout`. Returns
    /// whether all awaited requests have left.
    ///
    /// With a timeout of zero the call does not wait. Then it returns `true` if no conflicting
    /// request is held or waits at this moment. A timeout that is too long for the clock is the
    /// same as no timeout.
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
    /// Other requests are served as with [`wait_until_free`](Self::wait_until_free). A call that
    /// gives up leaves nothing behind. If the last awaited request leaves in the moment in which
    /// the call would give up, the call returns `true`.
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
