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
    /// Waits for the requests that are in the lock when the call begins, and that conflict with a
    /// request for `range` in `mode`. The call locks nothing.
    ///
    /// A flush can call this method to wait until the current writes are done. Later writes do not
    /// wait for the flush. With [`Mode::Read`] the call waits for writers. With
    /// [`Mode::Upgradable`] the call waits for writers and upgradable readers. With [`Mode::Write`]
    /// the call waits for requests in all modes.
    ///
    /// The call waits for conflicting requests that are held, *and* for conflicting requests that
    /// wait. The wait for a request ends when the request is released, gives up, or no longer
    /// conflicts. A request can cease to conflict when its holder
    /// [shrinks](crate::RangeWriteGuard::shrink) or [downgrades](crate::RangeWriteGuard::downgrade)
    /// the guard. The call waits neither for requests that enter later, nor for requests that
    /// conflict only because of a later upgrade.
    ///
    /// When the call returns, the caller sees every write that other threads made while they held
    /// the ranges of the awaited requests. By then new requests may have locked `range` again. A
    /// caller that must keep other requests out must lock `range`.
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
    /// If the range is inverted, the method panics. For an empty range the method returns
    /// immediately.
    ///
    /// # Fairness
    ///
    /// No request waits for the call, and no `try_` method fails because of the call.
    /// [`requests`](Self::requests) does not list the call, and [`is_locked`](Self::is_locked)
    /// ignores the call. The call does not wait for new requests. But with
    /// [`Builder::bypass`](crate::Builder::bypass), new requests that pass an awaited request can
    /// prolong the call.
    ///
    /// # Deadlocks
    ///
    /// A caller that holds a conflicting range waits for itself. A caller also waits for itself if
    /// an awaited request waits for a range that the caller holds. Feature `deadlock_detection`
    /// does not examine calls of this method.
    ///
    /// # Cost
    ///
    /// With n requests in the lock, a call that waits for no request takes O(log n) steps in each
    /// part of the lock that `range` touches, and allocates nothing.
    ///
    /// A call that waits examines all requests that overlap `range`, even requests that do not
    /// conflict. If r requests overlap `range`, the call takes O(r log n) steps under the internal
    /// mutexes. The call allocates memory for each request for which it waits. The release of each
    /// of these requests takes O(log n) additional steps. The `Stats` of feature `stats` do not
    /// count calls of this method.
    ///
    /// # Origin
    ///
    /// The latch manager of CockroachDB has this operation, under the name `WaitFor`
    /// (`pkg/kv/kvserver/spanlatch`). In CockroachDB, too, the operation acquires no latch. Some
    /// block drivers, such as xen-blkback in Linux (`xen_blk_drain_io`), also wait for the requests
    /// in flight before they flush.
    #[track_caller]
    pub fn wait_until_free(&self, range: impl RangeBounds<u64>, mode: Mode) {
        let free = self.free_by(&range, mode, Deadline::Never);
        debug_assert!(free, "a wait without a deadline ends when the range is free");
    }

    /// Like [`wait_until_free`](Self::wait_until_free), but gives up after `timeout`. Returns
    /// `true` if all awaited requests have left or no longer conflict, and `false` if the call gave
    /// up.
    ///
    /// With a timeout of zero the call waits for no request, and returns whether the lock has no
    /// conflicting request, held or waiting. If the timeout is too long for the clock, the call
    /// waits without a time limit.
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
    /// As with [`wait_until_free`](Self::wait_until_free), no request waits for the call. A call
    /// that gives up leaves nothing in the lock. If the last awaited request leaves or ceases to
    /// conflict before the call has given up, the call returns `true`, even after the timeout.
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
