//! Several ranges of one lock or of several, queued as one request: the verbs and the guards. It
//! uses `RangeLock` and the transitions.

use std::fmt;
use std::ops::{RangeBounds, RangeInclusive};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::claim::{Claim, claim};
use crate::ids::RequestId;
use crate::lock::RangeLock;
use crate::mode::Mode;
use crate::request::Parts;
use crate::span::Span;
use crate::sync::Deadline;

/// A range of a request for several, and what makes it.
macro_rules! request {
    (
        $(#[$doc:meta])*
        $Request:ident [$($lifetime:lifetime)?] $lock:ty, from $given:ty, by $share:expr,
        $setup:literal, $verb:literal
    ) => {
        $(#[$doc])*
        #[derive(Clone)]
        pub struct $Request$(<$lifetime>)? {
            lock: $lock,
            claim: Option<Claim>,
        }

        impl$(<$lifetime>)? $Request$(<$lifetime>)? {
            /// Makes a request for `range` of `lock` in `mode`, which the program can choose at run
            /// time.
            ///
            /// ```
            #[doc = concat!("use range_lock::{", stringify!($Request), ", Mode, RangeLock};")]
            ///
            #[doc = $setup]
            /// let mode = if std::env::args().len() > 1 { Mode::Write } else { Mode::Read };
            #[doc = concat!("let guard = RangeLock::", $verb, "([", stringify!($Request), "::new(&lock, 0..10, mode)]);")]
            /// assert!(guard.ranges().all(|(_, range, held)| range == (0..=9) && held == mode));
            /// ```
            ///
            /// # Panics
            ///
            /// If the range is inverted.
            #[track_caller]
            pub fn new(lock: $given, range: impl RangeBounds<u64>, mode: Mode) -> Self {
                $Request { lock: $share(lock), claim: claim(&range, mode) }
            }

            /// Makes a request for reading `range` of `lock`.
            ///
            /// ```
            #[doc = concat!("# use range_lock::{RangeLock, ", stringify!($Request), "};")]
            #[doc = $setup]
            #[doc = concat!("let ranges = [", stringify!($Request), "::read(&lock, 0..10), ", stringify!($Request), "::read(&lock, 90..100)];")]
            #[doc = concat!("let guard = RangeLock::", $verb, "(ranges);")]
            /// assert!(lock.try_read(..).is_some());
            /// # drop(guard);
            /// ```
            ///
            /// # Panics
            ///
            /// If the range is inverted.
            #[track_caller]
            pub fn read(lock: $given, range: impl RangeBounds<u64>) -> Self {
                $Request { lock: $share(lock), claim: claim(&range, Mode::Read) }
            }

            /// Makes a request for reading `range` of `lock` with the right to upgrade.
            ///
            /// ```
            #[doc = concat!("# use range_lock::{RangeLock, ", stringify!($Request), "};")]
            #[doc = $setup]
            #[doc = concat!("let ranges = [", stringify!($Request), "::upgradable_read(&lock, 0..10)];")]
            #[doc = concat!("let guard = RangeLock::", $verb, "(ranges);")]
            /// assert!(lock.try_read(..).is_some());
            /// assert!(lock.try_upgradable_read(..).is_none());
            /// # drop(guard);
            /// ```
            ///
            /// # Panics
            ///
            /// If the range is inverted.
            #[track_caller]
            pub fn upgradable_read(lock: $given, range: impl RangeBounds<u64>) -> Self {
                $Request { lock: $share(lock), claim: claim(&range, Mode::Upgradable) }
            }

            /// Makes a request for writing `range` of `lock`.
            ///
            /// ```
            #[doc = concat!("# use range_lock::{RangeLock, ", stringify!($Request), "};")]
            #[doc = $setup]
            #[doc = concat!("let ranges = [", stringify!($Request), "::write(&lock, 0..10), ", stringify!($Request), "::write(&lock, 90..100)];")]
            #[doc = concat!("let guard = RangeLock::", $verb, "(ranges);")]
            /// assert!(lock.try_write(10..90).is_some());
            /// # drop(guard);
            /// ```
            ///
            /// # Panics
            ///
            /// If the range is inverted.
            #[track_caller]
            pub fn write(lock: $given, range: impl RangeBounds<u64>) -> Self {
                $Request { lock: $share(lock), claim: claim(&range, Mode::Write) }
            }
        }

        impl$(<$lifetime>)? fmt::Debug for $Request$(<$lifetime>)? {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self.claim {
                    Some(Claim { span, mode }) => write!(f, "{}({mode:?} {span:?})", stringify!($Request)),
                    None => write!(f, "{}(empty)", stringify!($Request)),
                }
            }
        }
    };
}

request! {
    /// One of the ranges that [`RangeLock::acquire_many`] locks together. That method has an
    /// example.
    #[derive(Copy)]
    Request ['a] &'a RangeLock, from &'a RangeLock, by std::convert::identity,
    "# let lock = RangeLock::new();", "acquire_many"
}

request! {
    /// One of the ranges that [`RangeLock::acquire_many_arc`] locks together. An `ArcRequest` owns
    /// an `Arc` of its lock.
    ArcRequest [] Arc<RangeLock>, from &Arc<RangeLock>, by Arc::clone,
    "# let lock = std::sync::Arc::new(RangeLock::new());", "acquire_many_arc"
}

/// The guard of several ranges, and what it can do.
macro_rules! many_guard {
    (
        $(#[$doc:meta])*
        $Guard:ident [$($lifetime:lifetime)?] $lock:ty, of $Request:ident, gives $given:ty, by $share:expr,
        $setup:literal, $verb:literal
    ) => {
        $(#[$doc])*
        /// The drop of the guard, on any thread, releases all its ranges in one step. Bind the
        /// guard to a name, because `let _ =` drops the guard at once, which unlocks the ranges.
        #[must_use = "if unused the ranges are unlocked at once"]
        pub struct $Guard$(<$lifetime>)? {
            parts: Parts<$lock>,
        }

        impl$(<$lifetime>)? $Guard$(<$lifetime>)? {
            #[cfg(feature = "async")] // For the futures.
            pub(crate) fn new(parts: Parts<$lock>) -> Self {
                $Guard { parts }
            }

            /// Returns the held ranges, with their locks and modes. The ranges are in the order of
            /// the addresses of their locks. The ranges of one lock are disjoint, and in ascending
            /// order. The returned ranges may differ from the ranges that the caller named. The
            /// request joins named ranges of one lock that overlap or touch in the same mode. If
            /// named ranges of one lock overlap in different modes, the guard holds the overlapping
            /// part in the stronger mode.
            ///
            /// ```
            #[doc = concat!("# use range_lock::{Mode, RangeLock, ", stringify!($Request), "};")]
            #[doc = $setup]
            #[doc = concat!("let asked = [", stringify!($Request), "::read(&lock, 0..10), ", stringify!($Request), "::write(&lock, 5..8)];")]
            #[doc = concat!("let guard = RangeLock::", $verb, "(asked);")]
            /// let held: Vec<_> = guard.ranges().map(|(_, range, mode)| (range, mode)).collect();
            /// assert_eq!(held, [(0..=4, Mode::Read), (5..=7, Mode::Write), (8..=9, Mode::Read)]);
            /// ```
            pub fn ranges(&self) -> impl Iterator<Item = ($given, RangeInclusive<u64>, Mode)> {
                self.parts.iter().map(|part| ($share(&part.lock), part.claim.span.into(), part.claim.mode))
            }

            /// Returns the id of the guard's request among `lock`'s
            /// [`requests`](RangeLock::requests). Returns `None` if the guard holds nothing in
            /// `lock`.
            ///
            /// ```
            #[doc = concat!("# use range_lock::{RangeLock, ", stringify!($Request), "};")]
            #[doc = $setup]
            #[doc = concat!("let guard = RangeLock::", $verb, "([", stringify!($Request), "::read(&lock, 0..10)]);")]
            /// assert_eq!(guard.id(&lock), Some(lock.requests()[0].id()));
            /// assert_eq!(guard.id(&RangeLock::new()), None);
            /// ```
            pub fn id(&self, lock: &RangeLock) -> Option<RequestId> {
                self.parts.id_in(lock.place().address())
            }

            /// Releases the points of `range` that the guard holds in `lock`, in any mode and in
            /// one step. Grants the requests that waited only for these points. The guard keeps its
            /// other points.
            ///
            /// Suppose that a guard holds the source and the target of a copy within one lock. If
            /// `range` overlaps the source and the target, the call releases points of both. So a
            /// caller that wants to release points of the source must choose a `range` without
            /// points of the target.
            ///
            /// No function that changes a guard has a `self` parameter.
            ///
            /// ```
            #[doc = concat!("# use range_lock::{RangeLock, ", stringify!($Guard), ", ", stringify!($Request), "};")]
            #[doc = $setup]
            #[doc = concat!("let mut guard = RangeLock::", $verb, "([", stringify!($Request), "::write(&lock, 0..10)]);")]
            #[doc = concat!(stringify!($Guard), "::release(&mut guard, &lock, 4..6);")]
            /// let held: Vec<_> = guard.ranges().map(|(_, range, _)| range).collect();
            /// assert_eq!(held, [0..=3, 6..=9]);
            /// assert!(lock.try_write(4..6).is_some());
            /// ```
            ///
            /// # Panics
            ///
            /// If the range is inverted. The guard stays as it was.
            #[track_caller]
            pub fn release(guard: &mut Self, lock: &RangeLock, range: impl RangeBounds<u64>) {
                if let Some(span) = Span::new(&range) {
                    guard.parts.weaken(lock.place().address(), span, None);
                }
            }

            /// Releases all points that the guard holds in `lock` outside of `range`. Grants the
            /// requests that waited only for the released points. The guard keeps its ranges in
            /// other locks.
            ///
            /// ```
            #[doc = concat!("# use range_lock::{RangeLock, ", stringify!($Guard), ", ", stringify!($Request), "};")]
            #[doc = $setup]
            #[doc = concat!("let mut guard = RangeLock::", $verb, "([", stringify!($Request), "::write(&lock, 0..10)]);")]
            #[doc = concat!(stringify!($Guard), "::shrink(&mut guard, &lock, 4..6);")]
            /// let held: Vec<_> = guard.ranges().map(|(_, range, _)| range).collect();
            /// assert_eq!(held, [4..=5]);
            /// ```
            ///
            /// # Panics
            ///
            /// If the range is inverted. The guard stays as it was.
            #[track_caller]
            pub fn shrink(guard: &mut Self, lock: &RangeLock, range: impl RangeBounds<u64>) {
                let address = lock.place().address();
                match Span::new(&range) {
                    Some(span) => guard.parts.shrink(address, span),
                    None => guard.parts.weaken(address, Span::WHOLE, None),
                }
            }

            /// Changes the mode of the points of `range` that the guard holds in `lock` to
            /// [`Mode::Read`]. These points stay held during the change. The call grants the
            /// waiting readers, plain or upgradable, that no other request keeps out. The mode of
            /// the guard's other points stays the same.
            ///
            /// ```
            #[doc = concat!("# use range_lock::{RangeLock, ", stringify!($Guard), ", ", stringify!($Request), "};")]
            #[doc = $setup]
            #[doc = concat!("let mut guard = RangeLock::", $verb, "([", stringify!($Request), "::write(&lock, 0..10)]);")]
            #[doc = concat!(stringify!($Guard), "::downgrade(&mut guard, &lock, ..5);")]
            /// assert!(lock.try_read(0..5).is_some());
            /// assert!(lock.try_read(5..10).is_none());
            /// ```
            ///
            /// # Panics
            ///
            /// If the range is inverted. The guard stays as it was.
            #[track_caller]
            pub fn downgrade(guard: &mut Self, lock: &RangeLock, range: impl RangeBounds<u64>) {
                if let Some(span) = Span::new(&range) {
                    guard.parts.weaken(lock.place().address(), span, Some(Mode::Read));
                }
            }

            /// Turns all upgradable ranges of the guard into write ranges together, and returns
            /// `true`, if no other reader holds a part of any of these ranges. Otherwise returns
            /// `false`, and the guard holds the same ranges and modes as before.
            ///
            /// ```
            #[doc = concat!("# use range_lock::{RangeLock, ", stringify!($Guard), ", ", stringify!($Request), "};")]
            #[doc = $setup]
            #[doc = concat!("let asked = [", stringify!($Request), "::upgradable_read(&lock, 0..10)];")]
            #[doc = concat!("let mut guard = RangeLock::", $verb, "(asked);")]
            /// let reader = lock.read(5..6);
            #[doc = concat!("assert!(!", stringify!($Guard), "::try_upgrade(&mut guard));")]
            /// drop(reader);
            #[doc = concat!("assert!(", stringify!($Guard), "::try_upgrade(&mut guard));")]
            /// assert!(lock.try_read(5..6).is_none());
            /// ```
            #[must_use = "it may have failed"]
            pub fn try_upgrade(guard: &mut Self) -> bool {
                // A deadline that has passed.
                guard.parts.upgrade(Deadline::after(Duration::ZERO))
            }

            /// Like [`try_upgrade`](Self::try_upgrade), but waits for the other readers that hold a
            /// part of the upgradable ranges. Gives up after `timeout`.
            ///
            /// This guard has no function `upgrade`, which would wait without a time limit. Suppose
            /// that each of two guards holds for reading a range that the other guard wants to
            /// upgrade. Without a time limit, the two upgrades would wait for each other for ever.
            ///
            /// ```
            /// # use std::time::Duration;
            #[doc = concat!("# use range_lock::{RangeLock, ", stringify!($Guard), ", ", stringify!($Request), "};")]
            #[doc = $setup]
            #[doc = concat!("let asked = [", stringify!($Request), "::upgradable_read(&lock, 0..10)];")]
            #[doc = concat!("let mut guard = RangeLock::", $verb, "(asked);")]
            /// let reader = lock.read(5..6);
            #[doc = concat!("assert!(!", stringify!($Guard), "::try_upgrade_for(&mut guard, Duration::from_millis(1)));")]
            /// # drop(reader);
            /// ```
            ///
            /// # Fairness and cancel safety
            ///
            /// The upgrade passes waiting requests, like
            /// [`RangeUpgradableReadGuard::upgrade`](crate::RangeUpgradableReadGuard::upgrade). If
            /// the upgrade gives up, the lock grants the readers that waited only for the upgrade,
            /// and changes nothing else.
            #[must_use = "it may have failed"]
            pub fn try_upgrade_for(guard: &mut Self, timeout: Duration) -> bool {
                guard.parts.upgrade(Deadline::after(timeout))
            }

            /// Like [`try_upgrade_for`](Self::try_upgrade_for), but gives up at `deadline`.
            ///
            /// ```
            /// # use std::time::{Duration, Instant};
            #[doc = concat!("# use range_lock::{RangeLock, ", stringify!($Guard), ", ", stringify!($Request), "};")]
            #[doc = $setup]
            #[doc = concat!("let asked = [", stringify!($Request), "::upgradable_read(&lock, 0..10)];")]
            #[doc = concat!("let mut guard = RangeLock::", $verb, "(asked);")]
            /// let reader = lock.read(5..6);
            /// let soon = Instant::now() + Duration::from_millis(1);
            #[doc = concat!("assert!(!", stringify!($Guard), "::try_upgrade_until(&mut guard, soon));")]
            /// # drop(reader);
            /// ```
            #[must_use = "it may have failed"]
            pub fn try_upgrade_until(guard: &mut Self, deadline: Instant) -> bool {
                guard.parts.upgrade(Deadline::At(deadline))
            }
        }

        impl$(<$lifetime>)? Drop for $Guard$(<$lifetime>)? {
            fn drop(&mut self) {
                self.parts.release();
            }
        }

        impl$(<$lifetime>)? fmt::Debug for $Guard$(<$lifetime>)? {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_list().entries(self.parts.iter().map(|part| part.claim)).finish()
            }
        }
    };
}

many_guard! {
    /// Several ranges that are held at once. [`RangeLock::acquire_many`] makes this guard, and has
    /// an example.
    ManyGuard ['a] &'a RangeLock, of Request, gives &'a RangeLock, by |lock: &&'a RangeLock| *lock,
    "# let lock = RangeLock::new();", "acquire_many"
}

many_guard! {
    /// Several ranges that are held at once, by a guard that owns an `Arc` of each lock and so has
    /// no lifetime. [`RangeLock::acquire_many_arc`] makes this guard, and has an example.
    ArcManyGuard [] Arc<RangeLock>, of ArcRequest, gives &Arc<RangeLock>, by std::convert::identity,
    "# let lock = std::sync::Arc::new(RangeLock::new());", "acquire_many_arc"
}

/// Methods that acquire several ranges at once.
impl RangeLock {
    /// Locks several ranges, of one lock or of several locks, as one request. Waits until the
    /// request is granted.
    ///
    /// The requests of several threads cannot deadlock under one condition: every thread that uses
    /// the locks takes all its ranges in one request, and holds no range of these locks when it
    /// asks. The order of the ranges in the request does not matter. One thread that blocks while
    /// it holds a range can cause a deadlock. This deadlock can include threads that held nothing
    /// when they asked: see [Deadlocks](Self#deadlocks).
    ///
    /// If ranges of one lock overlap, the overlapping part gets the stronger mode. A range that the
    /// caller names twice counts once. For example, a request to read 0..10 and to write 5..8 locks
    /// 0..5 and 8..10 for reading, and 5..8 for writing.
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
    /// The request waits for the earlier requests that conflict with any of its ranges. Later
    /// requests that conflict with any of its ranges wait for this request, even while this request
    /// waits for another of its ranges. [Fairness](Self#fairness) has the two exceptions.
    ///
    /// # Cost
    ///
    /// To enter, the thread of the request holds internal mutexes of all locks of the request
    /// together. In each lock the thread holds the mutexes of all parts from the first range to the
    /// last range. The request allocates no memory for its ranges if the caller names at most four
    /// ranges, and [`ManyGuard::ranges`] returns at most four ranges.
    ///
    /// # Panics
    ///
    /// On a 32-bit machine the method panics in two cases. The panic leaves nothing locked.
    ///
    /// * The request has more than 65535 ranges. The number of ranges is the number that
    ///   [`ManyGuard::ranges`] would return.
    /// * The request must wait, and its ranges lie in more than 131071 parts of its locks. A part
    ///   counts once for each range in the part.
    ///   [`Builder::max_leaves`](crate::Builder::max_leaves) bounds the number of parts of a lock.
    ///
    /// On a 64-bit machine both bounds are so large that no request can reach them.
    pub fn acquire_many<'a>(requests: impl IntoIterator<Item = Request<'a>>) -> ManyGuard<'a> {
        let mut parts = parts(requests);
        let granted = parts.acquire(Deadline::Never);
        debug_assert!(granted, "a wait without a deadline ends with the grant");
        ManyGuard { parts }
    }

    /// Like [`acquire_many`](Self::acquire_many), but passes no request, and returns `None` if a
    /// request that conflicts with one of the ranges is held or waits.
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

    /// Like [`acquire_many`](Self::acquire_many), but gives up after `timeout` and returns `None`.
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
    /// While the request waits, later conflicting requests in all its locks wait for this request,
    /// with the exceptions of [Fairness](Self#fairness). If the request gives up, the locks grant
    /// the requests that waited only for this request, and nothing else changes in the locks. With
    /// a timeout of zero the method waits for no request, like
    /// [`try_acquire_many`](Self::try_acquire_many).
    ///
    /// # Panics
    ///
    /// If `timeout` is not zero, like [`acquire_many`](Self::acquire_many).
    pub fn try_acquire_many_for<'a>(
        requests: impl IntoIterator<Item = Request<'a>>,
        timeout: Duration,
    ) -> Option<ManyGuard<'a>> {
        let mut parts = parts(requests);
        parts.acquire(Deadline::after(timeout)).then(|| ManyGuard { parts })
    }

    /// Like [`try_acquire_many_for`](Self::try_acquire_many_for), but gives up at `deadline`.
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
    /// If `deadline` lies in the future, like [`acquire_many`](Self::acquire_many).
    pub fn try_acquire_many_until<'a>(
        requests: impl IntoIterator<Item = Request<'a>>,
        deadline: Instant,
    ) -> Option<ManyGuard<'a>> {
        let mut parts = parts(requests);
        parts.acquire(Deadline::At(deadline)).then(|| ManyGuard { parts })
    }

    /// Like [`acquire_many`](Self::acquire_many), but the guard owns an `Arc` of each lock, and so
    /// has no lifetime. An I/O request or a task can hold this guard.
    ///
    /// ```
    /// use range_lock::{ArcRequest, RangeLock};
    /// use std::sync::Arc;
    ///
    /// let (from, to) = (Arc::new(RangeLock::new()), Arc::new(RangeLock::new()));
    /// let both = [ArcRequest::read(&from, 0..4096), ArcRequest::write(&to, 512..4608)];
    /// let guard = RangeLock::acquire_many_arc(both);
    /// let copying = std::thread::spawn(move || {
    ///     // copy_file_range, and then:
    ///     drop(guard);
    /// });
    /// # copying.join().unwrap();
    /// assert!(!to.is_locked(..));
    /// ```
    ///
    /// # Panics
    ///
    /// Like [`acquire_many`](Self::acquire_many).
    pub fn acquire_many_arc(requests: impl IntoIterator<Item = ArcRequest>) -> ArcManyGuard {
        let mut parts = arc_parts(requests);
        let granted = parts.acquire(Deadline::Never);
        debug_assert!(granted, "a wait without a deadline ends with the grant");
        ArcManyGuard { parts }
    }

    /// Like [`try_acquire_many`](Self::try_acquire_many), but the guard owns an `Arc` of each lock.
    ///
    /// ```
    /// # use range_lock::{ArcRequest, RangeLock};
    /// # let lock = std::sync::Arc::new(RangeLock::new());
    /// let reader = lock.read(100..101);
    /// assert!(RangeLock::try_acquire_many_arc([ArcRequest::write(&lock, ..)]).is_none());
    /// # drop(reader);
    /// ```
    pub fn try_acquire_many_arc(requests: impl IntoIterator<Item = ArcRequest>) -> Option<ArcManyGuard> {
        let mut parts = arc_parts(requests);
        parts.try_enter().then(|| ArcManyGuard { parts })
    }

    /// Like [`try_acquire_many_for`](Self::try_acquire_many_for), but the guard owns an `Arc` of
    /// each lock.
    ///
    /// ```
    /// # use range_lock::{ArcRequest, RangeLock};
    /// # let lock = std::sync::Arc::new(RangeLock::new());
    /// let (reader, soon) = (lock.read(100..101), std::time::Duration::from_millis(1));
    /// assert!(RangeLock::try_acquire_many_arc_for([ArcRequest::write(&lock, ..)], soon).is_none());
    /// # drop(reader);
    /// ```
    ///
    /// # Panics
    ///
    /// Like [`acquire_many`](Self::acquire_many).
    pub fn try_acquire_many_arc_for(
        requests: impl IntoIterator<Item = ArcRequest>,
        timeout: Duration,
    ) -> Option<ArcManyGuard> {
        let mut parts = arc_parts(requests);
        parts.acquire(Deadline::after(timeout)).then(|| ArcManyGuard { parts })
    }

    /// Like [`try_acquire_many_until`](Self::try_acquire_many_until), but the guard owns an `Arc`
    /// of each lock.
    ///
    /// # Panics
    ///
    /// Like [`acquire_many`](Self::acquire_many).
    pub fn try_acquire_many_arc_until(
        requests: impl IntoIterator<Item = ArcRequest>,
        deadline: Instant,
    ) -> Option<ArcManyGuard> {
        let mut parts = arc_parts(requests);
        parts.acquire(Deadline::At(deadline)).then(|| ArcManyGuard { parts })
    }
}

/// The ranges of a request. Empty ranges are in no lock.
pub(crate) fn parts<'a>(requests: impl IntoIterator<Item = Request<'a>>) -> Parts<&'a RangeLock> {
    Parts::new(requests.into_iter().filter_map(|Request { lock, claim }| Some((lock, claim?))))
}

/// The same.
pub(crate) fn arc_parts(requests: impl IntoIterator<Item = ArcRequest>) -> Parts<Arc<RangeLock>> {
    Parts::new(requests.into_iter().filter_map(|ArcRequest { lock, claim }| Some((lock, claim?))))
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
