//! Several ranges at once, of one lock or of several, queued as one request: the verbs and the guard.
//! It uses `RangeLock` and the transitions.

use std::fmt;
use std::ops::{RangeBounds, RangeInclusive};
use std::time::{Duration, Instant};

use crate::claim::{Claim, claim};
use crate::lock::RangeLock;
use crate::mode::Mode;
use crate::request::Parts;
use crate::sync::Deadline;

/// One of the ranges that [`RangeLock::acquire_many`] takes at once, which has an example.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    lock: &'a RangeLock,
    claim: Option<Claim>,
}

impl<'a> Request<'a> {
    /// `range` of `lock`, for reading.
    ///
    /// ```
    /// # use range_lock::{RangeLock, Request};
    /// # let lock = RangeLock::new();
    /// let guard = RangeLock::acquire_many([Request::read(&lock, 0..10), Request::read(&lock, 90..100)]);
    /// assert!(lock.try_read(..).is_some());
    /// # drop(guard);
    /// ```
    ///
    /// # Panics
    ///
    /// If the range is inverted.
    #[track_caller]
    pub fn read(lock: &'a RangeLock, range: impl RangeBounds<u64>) -> Self {
        Request { lock, claim: claim(&range, Mode::Read) }
    }

    /// `range` of `lock`, for writing.
    ///
    /// ```
    /// # use range_lock::{RangeLock, Request};
    /// # let lock = RangeLock::new();
    /// let guard = RangeLock::acquire_many([Request::write(&lock, 0..10), Request::write(&lock, 90..100)]);
    /// assert!(lock.try_write(10..90).is_some());
    /// # drop(guard);
    /// ```
    ///
    /// # Panics
    ///
    /// If the range is inverted.
    #[track_caller]
    pub fn write(lock: &'a RangeLock, range: impl RangeBounds<u64>) -> Self {
        Request { lock, claim: claim(&range, Mode::Write) }
    }
}

impl fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.claim {
            Some(Claim { span, mode }) => write!(f, "Request({mode:?} {span:?})"),
            None => write!(f, "Request(empty)"),
        }
    }
}

/// Several ranges that are held at once; made by [`RangeLock::acquire_many`], which has an example.
/// Releases all of them when dropped, in one step, on any thread. Bind it to a name: `let _ =`
/// drops it, and so unlocks, at once.
#[must_use = "if unused the ranges are unlocked at once"]
pub struct ManyGuard<'a> {
    parts: Parts<'a, &'a RangeLock>,
}

impl<'a> ManyGuard<'a> {
    #[cfg(feature = "async")]
    pub(crate) fn new(parts: Parts<'a, &'a RangeLock>) -> Self {
        ManyGuard { parts }
    }

    /// The ranges that are held, with their locks and modes: disjoint, ordered by the locks' addresses and then by where they
    /// begin. Where ranges of one lock that were asked for overlapped, or touched in the same mode, they may be others than
    /// those, but make up the same.
    ///
    /// ```
    /// # use range_lock::{Mode, RangeLock, Request};
    /// # let lock = RangeLock::new();
    /// let guard = RangeLock::acquire_many([Request::read(&lock, 0..10), Request::write(&lock, 5..8)]);
    /// let held: Vec<_> = guard.ranges().map(|(_, range, mode)| (range, mode)).collect();
    /// assert_eq!(held, [(0..=4, Mode::Read), (5..=7, Mode::Write), (8..=9, Mode::Read)]);
    /// ```
    pub fn ranges(&self) -> impl Iterator<Item = (&'a RangeLock, RangeInclusive<u64>, Mode)> {
        self.parts.iter().map(|part| (part.lock, part.claim.span.into(), part.claim.mode))
    }
}

impl Drop for ManyGuard<'_> {
    fn drop(&mut self) {
        self.parts.release();
    }
}

impl fmt::Debug for ManyGuard<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.parts.iter().map(|part| part.claim)).finish()
    }
}

/// Verbs that acquire several ranges at once.
impl RangeLock {
    /// Locks several ranges, of one lock or of several, as one request; waits until all of them are granted.
    ///
    /// If every thread that uses the locks takes all it needs in one such request, and holds
    /// nothing when it asks, no deadlock is possible, in whatever order the ranges are named. One
    /// thread that blocks while it holds a range is enough for a deadlock, and requests of threads
    /// that hold nothing can be part of it: see [Deadlocks](Self#deadlocks). Where ranges of one
    /// lock overlap, the stronger mode wins there: the same range twice is one range, and reading
    /// 0..10 next to writing 5..8 is reading 0..5 and 8..10, and writing 5..8.
    ///
    /// ```
    /// use range_lock::{RangeLock, Request};
    ///
    /// // copy_file_range: from one file to another, or within one.
    /// let (from, to) = (RangeLock::new(), RangeLock::new());
    /// let both = RangeLock::acquire_many([Request::read(&from, 0..4096), Request::write(&to, 512..4608)]);
    /// assert!(from.try_read(..).is_some());
    /// assert!(to.try_read(..).is_none());
    /// drop(both);
    /// assert!(to.try_read(..).is_some());
    /// ```
    ///
    /// # Fairness
    ///
    /// As for one range: it waits for the conflicting requests that came before, for any of its ranges, and those that come
    /// later wait for it, for any of them, also while it waits for another.
    ///
    /// # Cost
    ///
    /// The locks' internal mutexes are taken together. Up to four ranges allocate nothing, if they are no more than four too
    /// as [`ManyGuard::ranges`] lists them: where some overlap in different modes, they are cut into more.
    ///
    /// # Panics
    ///
    /// If it has more than 65535 ranges on a 32-bit machine, after ranges that overlap or touch have
    /// been joined. Nothing is locked then. On a 64-bit machine the bound is out of reach.
    pub fn acquire_many<'a>(requests: impl IntoIterator<Item = Request<'a>>) -> ManyGuard<'a> {
        let mut parts = parts(requests);
        let granted = parts.acquire(Deadline::Never);
        debug_assert!(granted, "a wait without a deadline ends with the grant");
        ManyGuard { parts }
    }

    /// Locks several ranges as one request if all can be granted at once. As
    /// [`acquire_many`](Self::acquire_many).
    ///
    /// ```
    /// # use range_lock::{RangeLock, Request};
    /// # let (from, to) = (RangeLock::new(), RangeLock::new());
    /// let reader = to.read(100..101);
    /// let both = [Request::read(&from, 0..4096), Request::write(&to, 0..4096)];
    /// assert!(RangeLock::try_acquire_many(both).is_none());
    /// assert!(!from.is_locked(..)); // All or nothing.
    /// # drop(reader);
    /// ```
    pub fn try_acquire_many<'a>(requests: impl IntoIterator<Item = Request<'a>>) -> Option<ManyGuard<'a>> {
        let mut parts = parts(requests);
        parts.try_enter().then(|| ManyGuard { parts })
    }

    /// Locks several ranges as one request; gives up after `timeout`. As [`acquire_many`](Self::acquire_many).
    ///
    /// ```
    /// # use range_lock::{RangeLock, Request};
    /// # use std::time::Duration;
    /// # let (from, to) = (RangeLock::new(), RangeLock::new());
    /// let reader = to.read(100..101);
    /// let both = [Request::read(&from, 0..4096), Request::write(&to, 0..4096)];
    /// assert!(RangeLock::try_acquire_many_for(both, Duration::from_millis(1)).is_none());
    /// assert!(!from.is_locked(..)); // All or nothing.
    /// # drop(reader);
    /// ```
    ///
    /// # Fairness and cancel safety
    ///
    /// As for one range: while it waits it has its place in all the queues, and giving up leaves no trace in any.
    /// With a timeout of zero it does not wait, as [`try_acquire_many`](Self::try_acquire_many).
    ///
    /// # Panics
    ///
    /// If it has more than 65535 ranges on a 32-bit machine, after ranges that overlap or touch have
    /// been joined. Nothing is locked then. On a 64-bit machine the bound is out of reach.
    pub fn try_acquire_many_for<'a>(
        requests: impl IntoIterator<Item = Request<'a>>,
        timeout: Duration,
    ) -> Option<ManyGuard<'a>> {
        let mut parts = parts(requests);
        parts.acquire(Deadline::after(timeout)).then(|| ManyGuard { parts })
    }

    /// Locks several ranges as one request; gives up at `deadline`. As
    /// [`try_acquire_many_for`](Self::try_acquire_many_for).
    ///
    /// ```
    /// # use range_lock::{RangeLock, Request};
    /// # use std::time::Instant;
    /// # let lock = RangeLock::new();
    /// let two = [Request::read(&lock, 0..10), Request::write(&lock, 90..100)];
    /// assert!(RangeLock::try_acquire_many_until(two, Instant::now()).is_some()); // Free: it need not wait.
    /// ```
    ///
    /// # Panics
    ///
    /// If it has more than 65535 ranges on a 32-bit machine, after ranges that overlap or touch have
    /// been joined. Nothing is locked then. On a 64-bit machine the bound is out of reach.
    pub fn try_acquire_many_until<'a>(
        requests: impl IntoIterator<Item = Request<'a>>,
        deadline: Instant,
    ) -> Option<ManyGuard<'a>> {
        let mut parts = parts(requests);
        parts.acquire(Deadline::At(deadline)).then(|| ManyGuard { parts })
    }
}

/// The ranges of a request; empty ones are in no lock.
pub(crate) fn parts<'a>(requests: impl IntoIterator<Item = Request<'a>>) -> Parts<'a, &'a RangeLock> {
    Parts::new(requests.into_iter().filter_map(|Request { lock, claim }| Some((lock.place(), lock, claim?))))
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn touching_ranges_of_one_mode_are_one() {
        let lock = RangeLock::new();
        let both = RangeLock::acquire_many([Request::read(&lock, 5..9), Request::read(&lock, 0..5)]);
        assert_eq!(both.ranges().map(|(_, range, _)| range).collect::<Vec<_>>(), [0..=8]);
    }
}
