//! [`RangeLock::wait_until_free`] and its timed forms: waiting for what is there, and locking
//! nothing.

use std::ops::RangeBounds;
use std::time::{Duration, Instant};

use super::RangeLock;
use crate::claim::claim;
use crate::mode::Mode;
use crate::request;
use crate::sync::Deadline;

/// Verbs that wait and lock nothing.
impl RangeLock {
    /// Waits until every request in `range` that conflicts with `mode`, and that entered before the
    /// call, has left.
    ///
    /// This is what a flush needs: "all writes that were under way are done", without holding up
    /// those that come. `mode` chooses the requests: a call with [`Mode::Read`] waits for writers,
    /// one with [`Mode::Write`] for all. A request that held *or waited* at the time of the call is
    /// waited for until it is released, gives up, or is [shrunk](crate::RangeWriteGuard::shrink) or
    /// [downgraded](crate::RangeWriteGuard::downgrade) so that it does not conflict any more.
    /// Requests that enter later are not waited for, and neither is an upgrade that is claimed
    /// later.
    ///
    /// When it returns, the caller sees all that was done under the ranges that it has waited for.
    /// They may be locked again by then: to keep others out, lock the range.
    ///
    /// ```
    /// use range_lock::{Mode, RangeLock};
    ///
    /// let lock = RangeLock::new();
    /// let write = lock.write(0..4096);
    /// std::thread::scope(|scope| {
    ///     scope.spawn(|| lock.wait_until_free(.., Mode::Read)); // Waits for `write`,
    ///     let later = lock.write(4096..8192); // and keeps nobody out.
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
    /// It delays no request, not even one that waits, and `try_` verbs do not see it. So it is not
    /// among the [`requests`](Self::requests), and [`is_locked`](Self::is_locked) does not count
    /// it. The wait ends when the requests that it found have left, however many come later.
    ///
    /// # Deadlocks
    ///
    /// A thread that holds a conflicting range, or a range that a request it finds waits for, waits
    /// for itself. Feature `deadlock_detection` does not look at calls of this verb.
    ///
    /// # Cost
    ///
    /// If m requests are in the way, O(m log m) under the internal mutexes, and memory for each. A
    /// release of one of them then takes O(log m) more. Where nothing is in the way it allocates
    /// nothing and takes O(log n). [`Stats`](crate::docs::performance) do not count it.
    ///
    /// # Origin
    ///
    /// CockroachDB's latch manager has it as `WaitFor`, and lays no latch for it; block layers
    /// drain writes before a flush.
    #[track_caller]
    pub fn wait_until_free(&self, range: impl RangeBounds<u64>, mode: Mode) {
        let free = self.free_by(&range, mode, Deadline::Never);
        debug_assert!(free, "a wait without a deadline ends when the range is free");
    }

    /// The same, but gives up after `timeout`. Returns whether all that was in the way has left.
    ///
    /// With a timeout of zero it does not wait. It returns `true` if no conflicting request is held
    /// or waits at this moment. A timeout too long for the clock is no timeout.
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
    /// As [`wait_until_free`](Self::wait_until_free). Giving up leaves no trace. If the last
    /// request leaves in the moment in which it would have given up, the answer is `true`.
    #[track_caller]
    pub fn wait_until_free_for(&self, range: impl RangeBounds<u64>, mode: Mode, timeout: Duration) -> bool {
        self.free_by(&range, mode, Deadline::after(timeout))
    }

    /// The same, but gives up at `deadline`. As [`wait_until_free_for`](Self::wait_until_free_for).
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
