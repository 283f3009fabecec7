//! [`RangeLock`]: the verbs that acquire. It uses the transitions (`request`) and all layers below.
//! The files of this folder may use each other.

use std::fmt;
use std::ops::RangeBounds;
use std::sync::Arc;
use std::time::{Duration, Instant};

mod builder;
mod free;
mod guard;
mod home;

pub use builder::Builder;
pub(crate) use guard::Held;
pub use guard::{
    ArcRangeReadGuard, ArcRangeUpgradableReadGuard, ArcRangeWriteGuard, RangeReadGuard,
    RangeUpgradableReadGuard, RangeWriteGuard,
};
use home::Home;

use crate::claim::claim;
use crate::inspect::{Printed, RequestInfo, Snapshot};
use crate::leaf::Leaf;
use crate::mode::Mode;
use crate::partition::{Partition, Place};
use crate::request::Lock;
use crate::span::Span;
use crate::sync::Deadline;

/// A reader/writer lock of ranges. A thread locks the range that it uses. Other threads can lock
/// other ranges.
///
/// The *domain* of the lock is all numbers of type `u64`. Each number is a *point*. A point can
/// stand for a byte of a file, a page, a key or anything else. A call that locks a range makes a
/// *request*, which has the range (any [`RangeBounds<u64>`]) and a [mode](Mode). Two requests
/// *conflict* when their ranges overlap and their modes are not compatible. A `RangeLock` contains
/// no data. A [`RangeRwLock`](crate::RangeRwLock) also owns the data.
///
/// ```
/// use range_lock::RangeLock;
///
/// static LOCK: RangeLock = RangeLock::new();
///
/// let header = LOCK.read(0..4096);
/// let page = LOCK.write(4096..8192); // Disjoint: does not wait.
/// assert!(LOCK.try_write(..).is_none()); // Overlaps both.
/// drop((header, page));
/// assert!(LOCK.try_write(..).is_some());
/// ```
///
/// # Overview
///
/// | to lock | waits | at once or not | gives up | with an owned guard | for tasks (feature `async`) |
/// |---|---|---|---|---|---|
/// | a range for reading | [`read`] | [`try_read`] | [`try_read_for`], [`…_until`](Self::try_read_until) | [`read_arc`], [`try_read_arc`], … | `read_async`, `read_arc_async` |
/// | with the right to upgrade | [`upgradable_read`] | [`try_upgradable_read`] | [`try_upgradable_read_for`], [`…_until`](Self::try_upgradable_read_until) | [`upgradable_read_arc`], … | `upgradable_read_async`, … |
/// | for writing | [`write`] | [`try_write`] | [`try_write_for`], [`…_until`](Self::try_write_until) | [`write_arc`], [`try_write_arc`], … | `write_async`, `write_arc_async` |
/// | several ranges of several locks | [`acquire_many`] | [`try_acquire_many`] | [`try_acquire_many_for`], [`…_until`](Self::try_acquire_many_until) | [`acquire_many_arc`], … | `acquire_many_async`, … |
/// | nothing, but wait for what is there | [`wait_until_free`] | [`wait_until_free_for`] zero | [`wait_until_free_for`], [`…_until`](Self::wait_until_free_until) | | `wait_until_free_async` |
///
/// | to make or look | |
/// |---|---|
/// | make | [`new`], [`builder`] |
/// | look | [`is_locked`], [`requests`], [`requests_over`], `stats` (feature `stats`) |
/// | clean up | [`undo_leak`], [`shrink_to_fit`] |
/// | change what is held | the guards' associated functions: [`downgrade`], [`downgrade_to_upgradable`], [`upgrade`], [`try_upgrade`], [`…_for`](RangeUpgradableReadGuard::try_upgrade_for), [`…_until`](RangeUpgradableReadGuard::try_upgrade_until), `upgrade_async`, `try_upgrade_async`, [`shrink`], [`split_at`] |
/// | change several that are held | [`ManyGuard`](crate::ManyGuard)'s associated functions: `release`, `shrink`, `downgrade`, `try_upgrade` |
///
/// [`acquire_many_arc`]: Self::acquire_many_arc
/// [`acquire_many`]: Self::acquire_many
/// [`builder`]: Self::builder
/// [`downgrade_to_upgradable`]: RangeWriteGuard::downgrade_to_upgradable
/// [`downgrade`]: RangeWriteGuard::downgrade
/// [`is_locked`]: Self::is_locked
/// [`new`]: Self::new
/// [`read_arc`]: Self::read_arc
/// [`read`]: Self::read
/// [`requests_over`]: Self::requests_over
/// [`requests`]: Self::requests
/// [`shrink_to_fit`]: Self::shrink_to_fit
/// [`shrink`]: RangeWriteGuard::shrink
/// [`split_at`]: RangeWriteGuard::split_at
/// [`try_acquire_many_for`]: Self::try_acquire_many_for
/// [`try_acquire_many`]: Self::try_acquire_many
/// [`try_read_arc`]: Self::try_read_arc
/// [`try_read_for`]: Self::try_read_for
/// [`try_read`]: Self::try_read
/// [`try_upgrade`]: RangeUpgradableReadGuard::try_upgrade
/// [`try_upgradable_read_for`]: Self::try_upgradable_read_for
/// [`try_upgradable_read`]: Self::try_upgradable_read
/// [`try_write_arc`]: Self::try_write_arc
/// [`try_write_for`]: Self::try_write_for
/// [`try_write`]: Self::try_write
/// [`undo_leak`]: Self::undo_leak
/// [`upgradable_read_arc`]: Self::upgradable_read_arc
/// [`upgradable_read`]: Self::upgradable_read
/// [`upgrade`]: RangeUpgradableReadGuard::upgrade
/// [`wait_until_free_for`]: Self::wait_until_free_for
/// [`wait_until_free`]: Self::wait_until_free
/// [`write_arc`]: Self::write_arc
/// [`write`]: Self::write
///
/// Method `stats` needs feature `stats`, and methods with `async` in their names need feature
/// `async`. If the needed feature is off, the compiler does not find the method, and does not name
/// the feature.
///
/// The ends of a range are `u64`. So a caller must cast a `usize`: `0..len as u64`. A range of one
/// point is [`point(p)`](crate::point) or `p..=p`. Both forms also work if `p` is `u64::MAX`. In
/// this case `p + 1` would overflow.
///
/// To choose the mode at run time, call [`acquire_many`](Self::acquire_many) with one
/// [`Request`](crate::Request). The guard has one type for all modes:
///
/// ```
/// use range_lock::{ManyGuard, Mode, RangeLock, Request, point};
///
/// fn latch(pages: &RangeLock, page: u64, mode: Mode) -> ManyGuard<'_> {
///     RangeLock::acquire_many([Request::new(pages, point(page), mode)])
/// }
/// # let pages = RangeLock::new();
/// # drop((latch(&pages, 1, Mode::Write), latch(&pages, 2, Mode::Read)));
/// ```
///
/// The range is locked as long as the guard lives. `let _guard = lock.write(0..10)` keeps the guard
/// until the end of the block. `let _ = lock.write(0..10)` drops the guard at once, which unlocks
/// the range. By default the compiler does not warn about `let _`:
///
/// ```
/// # let lock = range_lock::RangeLock::new();
/// let _ = lock.write(0..10);
/// assert!(!lock.is_locked(0..10)); // Unlocked already.
/// let _guard = lock.write(0..10);
/// assert!(lock.is_locked(0..10));
/// ```
///
/// # Fairness
///
/// The lock grants conflicting requests first come, first served. The lock grants a request when no
/// earlier conflicting request is held or waits. Of two requests, the request that entered the lock
/// first is the earlier request.
///
/// * Once a request has entered, the lock grants no later conflicting request before this request,
///   with two exceptions. An [`upgrade`] passes the requests that wait. [`Builder::bypass`] lets a
///   bounded number of requests pass a sleeping request. Even with these exceptions, no request
///   starves.
/// * The lock grants a request that conflicts with no other request as soon as the request has
///   entered. To enter, the thread of the request takes one or more internal mutexes for a short
///   time. [`fairness`](crate::docs::fairness) describes the wait for a mutex.
/// * Without [`Builder::bypass`], a reader waits for an earlier overlapping writer, even if the
///   writer still waits and only readers hold the range.
/// * A method that locks a range at once or not at all, such as [`try_write`](Self::try_write),
///   passes no request. The method fails only if a conflicting request is held or waits.
///
/// # Deadlocks
///
/// **A thread or task that holds a range must not wait for another range of the same lock without a
/// time limit**, not even for a disjoint range or a higher range. A second thread may wait for a
/// third range that overlaps both ranges. The second thread waits for the held range, and the first
/// thread waits for the earlier request of the second thread. So neither thread can continue. This
/// deadlock is possible even if all threads take their ranges in ascending order.
///
/// ```
/// use std::time::Duration;
/// # use range_lock::RangeLock;
/// # let lock = RangeLock::new();
/// let parent = lock.write(0..10);
/// std::thread::scope(|scope| {
///     let whole = scope.spawn(|| drop(lock.write(0..100))); // Waits for `parent`.
///     while lock.requests().len() < 2 {
///         std::thread::yield_now();
///     }
///     // No thread holds the child, but `whole` waits for it. `write` would never return here.
///     assert!(lock.try_write_for(50..60, Duration::from_millis(1)).is_none());
///     drop(parent);
///     whole.join().unwrap();
/// });
/// ```
///
/// There are three remedies:
///
/// * Take all ranges as one request, with [`acquire_many`](Self::acquire_many).
/// * Ask for the second range with a `try_` or timed method. If the method fails, release the first
///   range and start again.
/// * Release the first range, and then ask for the second range.
///
/// [Lock coupling](crate::docs::patterns#lock-coupling-b-trees) uses the first two remedies. The
/// rule in bold type also applies if the second range overlaps the held range. A thread may block
/// on a `RangeLock` while it holds a range of another `RangeLock`, or a lock of another kind. A
/// program with a thread of this kind needs an order in which all threads take these locks. With
/// feature `deadlock_detection`, `deadlock::check` reports threads that wait for each other.
///
/// # fork and signal handlers
///
/// In a process of several threads, one thread may `fork` while another thread uses a lock. Then an
/// internal mutex of the lock may stay locked in the child. A call that takes this mutex waits for
/// ever in the child, even a call of a `try_` or timed method. So the child of a process of several
/// threads must not use the lock. POSIX allows this child to call only async-signal-safe functions,
/// such as `execve`. [`Command`](std::process::Command) does only that:
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// let lock = range_lock::RangeLock::new();
/// let guard = lock.write(0..10);
/// // The child uses no lock before it executes the program.
/// assert!(std::process::Command::new("true").status()?.success());
/// drop(guard);
/// # Ok(())
/// # }
/// ```
///
/// No method of the lock and no drop of a guard is async-signal-safe. In a signal handler even a
/// `try_` method can wait for an internal mutex that the interrupted thread holds. Let the handler
/// set a flag. A thread that looks at the flag then takes the range:
///
/// ```
/// use range_lock::RangeLock;
/// use std::sync::atomic::{AtomicBool, Ordering};
///
/// static ASKED: AtomicBool = AtomicBool::new(false);
///
/// /// The handler: to be installed with `sigaction`.
/// extern "C" fn on_signal(_: i32) {
///     ASKED.store(true, Ordering::Relaxed);
/// }
///
/// let lock = RangeLock::new();
/// # on_signal(10);
/// // In the loop of a thread:
/// if ASKED.swap(false, Ordering::Relaxed) {
///     let _whole = lock.write(..);
///     // Write a snapshot.
/// }
/// ```
///
/// # Platforms
///
/// The project tests the lock on Linux on x86-64. The [crate's page](crate#platforms) lists the
/// known facts about other platforms.
///
/// # Guards
///
/// A method that acquires a range returns a guard, or an `Option` or a future of a guard. The drop
/// of the guard, on any thread, releases the range. Only [`undo_leak`](Self::undo_leak) unlocks
/// ranges without their guards: it releases the ranges of leaked guards. The lock has no poisoning:
/// if a panic drops a guard, the guard releases its range as usual. A leaked guard (`mem::forget`)
/// keeps its range locked, and locks no other range.
///
/// # Empty ranges
///
/// The ranges `n..n` and `n..=n - 1` are empty, because they contain no point. A request for an
/// empty range conflicts with no request, and the lock grants this request immediately. The guard
/// of an empty range releases nothing. A range whose end lies further back, such as `7..3`, is
/// *inverted*. If a caller passes an inverted range, the method panics, as indexing a slice with
/// this range does.
///
/// # Cost
///
/// A new lock has one part, with one internal mutex. If threads contend for the mutex of a part,
/// the lock can cut this part in two. The thread of a request takes the mutexes of all parts that
/// the range touches. See [`Builder::max_leaves`].
///
/// A new lock allocates nothing. After warm-up, a thread that acquires or releases a range
/// allocates nothing, with five exceptions. A lock has warmed up when its partition into parts is
/// stable, and each part has had its peak number of concurrent requests. The exceptions are:
///
/// * A thread allocates when it first sleeps, and when it first waits for an internal mutex.
/// * A part that becomes empty keeps memory for at most 256 requests. If more than 256 requests
///   come again at the same time, the part allocates again.
/// * A request for more than four ranges allocates: see [`acquire_many`](Self::acquire_many).
/// * If a call of [`wait_until_free`](Self::wait_until_free) waits for a range, the thread that
///   releases the range allocates.
/// * With feature `deadlock_detection`, a thread whose request waits captures a backtrace.
///
/// With n requests in the lock, an acquisition takes O(log n) steps under the mutex of each part
/// that the range touches. A request also takes O(log n) steps for each request that it
/// [passes](Builder::bypass). A release takes O(log n) steps in each of these parts, and O(log n)
/// more for each request that is [registered](crate::docs::internals#registrations) with the
/// released request. A registered request is a request that the released request has kept out.
///
/// # Origin
///
/// The lock follows two earlier range locks. Linux merged neither of them:
///
/// * Jan Kara, ["Mapping range
///   lock"](https://lore.kernel.org/r/1359668994-13433-1-git-send-email-jack@suse.cz)
///   (linux-fsdevel, 31 January 2013);
/// * Davidlohr Bueso, ["Introduce range reader/writer
///   lock"](https://lore.kernel.org/r/20190521045242.24378-3-dave@stgolabs.net) (linux-mm, 20 May
///   2019).
#[repr(transparent)] // Its address is that of its home.
pub struct RangeLock {
    home: Home,
}

impl RangeLock {
    /// Where the requests are.
    #[inline]
    pub(crate) fn partition(&self) -> &Partition {
        self.home.partition()
    }

    /// The same, as the transitions that may block take it.
    #[inline]
    pub(crate) fn place(&self) -> Place<'_> {
        self.home.place()
    }

    /// Returns whether some request *holds* a part of `range`, in any mode. Requests that wait for
    /// their ranges do not count. For an empty range the result is `false`.
    ///
    /// Another thread may lock or release a part of the range before the caller uses the result. So
    /// a caller that needs the range must lock it, for example with a `try_` method.
    ///
    /// ```
    /// # let lock = range_lock::RangeLock::new();
    /// let _edges = (lock.read(0..10), lock.write(90..100));
    /// assert!(lock.is_locked(5..6));
    /// assert!(!lock.is_locked(10..90)); // The hole between two holders is free.
    /// ```
    ///
    /// # Panics
    ///
    /// If the range is inverted.
    #[track_caller]
    pub fn is_locked(&self, range: impl RangeBounds<u64>) -> bool {
        Span::new(&range)
            .is_some_and(|span| self.partition().look_over(span).iter().any(|leaf| leaf.is_locked(span)))
    }

    /// Lists the requests that are held or wait at the time of the call, in ascending order of the
    /// first points of their ranges.
    ///
    /// The list contains a request for several ranges once for each of its ranges in this lock,
    /// each time with the same [id](RequestInfo::id).
    ///
    /// Use the list for printing and logging. The `Debug` form of the lock prints the beginning of
    /// the list. The call allocates memory. With n requests, the call first copies the requests in
    /// O(n) steps, if a request counts once for each part that it touches. During these steps the
    /// call holds the mutexes of all parts, and so blocks other users of the lock. Then the call
    /// sorts the copies, in O(n log n) steps. The call does not compute which requests a request
    /// waits for. [`RequestInfo::waits_for`] computes these requests.
    ///
    /// ```
    /// # let lock = range_lock::RangeLock::new();
    /// let _page = lock.write(0..4096);
    /// let requests = lock.requests();
    /// assert_eq!(requests[0].range(), 0..=4095);
    /// assert_eq!(requests[0].to_string(), "write 0..=4095 held");
    /// assert_eq!(format!("{lock:?}"), "RangeLock { requests: [#1 write 0..=4095 held] }");
    /// ```
    pub fn requests(&self) -> Vec<RequestInfo> {
        self.snapshot(Span::WHOLE).requests().collect()
    }

    /// Lists the requests whose ranges overlap `range`, in the same form as
    /// [`requests`](Self::requests). The call blocks only users of the parts of the lock that
    /// `range` touches.
    ///
    /// [`RequestInfo::waits_for`] of a listed request returns only the ids of requests that also
    /// overlap `range`.
    ///
    /// # Panics
    ///
    /// If the range is inverted.
    ///
    /// ```
    /// # let lock = range_lock::RangeLock::new();
    /// let guards = (lock.write(0..10), lock.write(20..30));
    /// let requests = lock.requests_over(5..15);
    /// assert_eq!(requests.len(), 1);
    /// assert_eq!(requests[0].range(), 0..=9);
    /// assert!(lock.requests_over(10..20).is_empty());
    /// # drop(guards);
    /// ```
    #[track_caller]
    pub fn requests_over(&self, range: impl RangeBounds<u64>) -> Vec<RequestInfo> {
        Span::new(&range).map_or_else(Vec::new, |span| self.snapshot(span).requests().collect())
    }

    fn snapshot(&self, span: Span) -> Arc<Snapshot> {
        Snapshot::new(self.partition().look_over(span), span)
    }

    /// Forgets all requests in the lock. The caller borrows the lock exclusively. So the guards and
    /// futures of all these requests have leaked. A guard or future that has not leaked borrows the
    /// lock, or owns an `Arc` of the lock, and so prevents the exclusive borrow.
    ///
    /// ```
    /// let mut lock = range_lock::RangeLock::new();
    /// std::mem::forget(lock.write(0..10));
    /// assert!(lock.try_read(0..10).is_none());
    /// lock.undo_leak();
    /// assert!(lock.try_read(0..10).is_some());
    /// ```
    pub fn undo_leak(&mut self) {
        self.partition().lock_over(Span::WHOLE).iter_mut().for_each(Leaf::clear);
    }

    /// Frees the memory that the lock keeps for future requests.
    ///
    /// A part of the lock that has no requests keeps memory for at most 256 requests. In addition
    /// the lock keeps up to 1 MiB of unused [records](crate::docs::internals#waiting) for requests
    /// that will wait. This method frees both kinds of memory. The method does not free the parts
    /// themselves, nor the table of the parts, nor the trees of parts that have requests.
    ///
    /// ```
    /// let mut lock = range_lock::RangeLock::new();
    /// drop((0..100).map(|n| lock.read(n..n + 1)).collect::<Vec<_>>());
    /// lock.shrink_to_fit();
    /// ```
    pub fn shrink_to_fit(&mut self) {
        self.partition().shrink_to_fit();
    }
}

/// The four verbs of one mode, for borrowed and for owned guards.
macro_rules! acquire {
    (
        $mode:expr, $what:literal, $Guard:ident, $ArcGuard:ident,
        $wait:ident, $try:ident, $try_for:ident, $try_until:ident,
        $wait_arc:ident, $try_arc:ident, $try_arc_for:ident, $try_arc_until:ident,
        $example:literal
    ) => {
        /// Methods that acquire
        #[doc = concat!($what, ".")]
        impl RangeLock {
            #[doc = concat!("Locks `range` ", $what, ". Waits until the request is granted.")]
            ///
            /// Bind the guard to a name, because `let _ =` drops the guard at once, which unlocks
            /// the range.
            ///
            /// ```
            /// # let lock = range_lock::RangeLock::new();
            #[doc = $example]
            /// ```
            ///
            /// # Panics
            ///
            /// If the range is inverted.
            ///
            /// # Fairness
            ///
            /// The request waits only for earlier conflicting requests. Later conflicting requests
            /// wait for this request. [Fairness](Self#fairness) has the two exceptions.
            ///
            /// # Deadlocks
            ///
            /// The caller must not hold another range of this lock: see
            /// [Deadlocks](Self#deadlocks).
            #[inline(always)]
            #[track_caller]
            pub fn $wait(&self, range: impl RangeBounds<u64>) -> $Guard<'_> {
                $Guard { held: Held::acquire(self, claim(&range, $mode)) }
            }

            #[doc = concat!("Locks `range` ", $what, " if the request can be granted at once.")]
            ///
            /// Returns `None` if a conflicting request is held or waits. This method passes no
            /// request, even in a lock with [`Builder::bypass`]. A caller that holds another range
            /// of this lock may call this method. `let _ =` drops the guard at once, which unlocks
            /// the range.
            ///
            /// ```
            /// # let lock = range_lock::RangeLock::new();
            /// let holder = lock.write(0..10);
            #[doc = concat!("assert!(lock.", stringify!($try), "(5..15).is_none());")]
            #[doc = concat!("assert!(lock.", stringify!($try), "(10..20).is_some());")]
            /// ```
            ///
            /// # Panics
            ///
            /// If the range is inverted.
            #[inline(always)]
            #[track_caller]
            pub fn $try(&self, range: impl RangeBounds<u64>) -> Option<$Guard<'_>> {
                Some($Guard { held: Held::try_acquire(self, claim(&range, $mode))? })
            }

            #[doc = concat!("Locks `range` ", $what, ". Gives up after `timeout`.")]
            ///
            /// If the timeout is too long for the clock, the method waits without a time limit.
            /// With a timeout of zero the method waits for no request.
            ///
            /// ```
            /// # use std::time::Duration;
            /// # let lock = range_lock::RangeLock::new();
            /// let holder = lock.write(0..10);
            #[doc = concat!(
                "assert!(lock.", stringify!($try_for), "(5..15, Duration::from_millis(1)).is_none());"
            )]
            /// drop(holder);
            #[doc = concat!(
                "assert!(lock.", stringify!($try_for), "(5..15, Duration::from_millis(1)).is_some());"
            )]
            /// ```
            ///
            /// # Panics
            ///
            /// If the range is inverted.
            ///
            /// # Fairness and cancel safety
            ///
            /// While the request waits, later conflicting requests wait for this request, with the
            /// exceptions of [Fairness](Self#fairness). If the request gives up, the lock grants
            /// the requests that waited only for this request, and changes nothing else. If the
            /// lock grants the request before the request has given up, the method returns the
            /// guard, even after the timeout.
            #[track_caller]
            pub fn $try_for(
                &self,
                range: impl RangeBounds<u64>,
                timeout: Duration,
            ) -> Option<$Guard<'_>> {
                let claim = claim(&range, $mode);
                Some($Guard { held: Held::acquire_until(self, claim, Deadline::after(timeout))? })
            }

            #[doc = concat!("Locks `range` ", $what, ". Gives up at `deadline`.")]
            ///
            #[doc = concat!("Like [`", stringify!($try_for), "`](Self::", stringify!($try_for), "), which also describes fairness and")]
            /// cancel safety. If the deadline has passed before the call, the method waits for no
            /// request. A method that fails in this case has kept no other request out.
            ///
            /// ```
            /// # use std::time::{Duration, Instant};
            /// # let lock = range_lock::RangeLock::new();
            /// let holder = lock.write(0..10);
            /// let deadline = Instant::now() + Duration::from_millis(1);
            #[doc = concat!("assert!(lock.", stringify!($try_until), "(5..15, deadline).is_none());")]
            #[doc = concat!("assert!(lock.", stringify!($try_until), "(10..15, deadline).is_some()); // Free: it need not wait.")]
            /// ```
            ///
            /// # Panics
            ///
            /// If the range is inverted.
            #[track_caller]
            pub fn $try_until(
                &self,
                range: impl RangeBounds<u64>,
                deadline: Instant,
            ) -> Option<$Guard<'_>> {
                let claim = claim(&range, $mode);
                Some($Guard { held: Held::acquire_until(self, claim, Deadline::At(deadline))? })
            }

            #[doc = concat!("Like [`", stringify!($wait), "`](Self::", stringify!($wait), "), but the guard owns")]
            /// an `Arc` of the lock, and so has no lifetime.
            ///
            /// ```
            /// # use std::sync::Arc;
            /// let lock = Arc::new(range_lock::RangeLock::new());
            #[doc = concat!("let guard = lock.", stringify!($wait_arc), "(0..10);")]
            /// std::thread::spawn(move || drop(guard)).join().unwrap(); // Released over there.
            /// assert!(!lock.is_locked(..));
            /// ```
            ///
            /// # Panics
            ///
            /// If the range is inverted.
            #[inline]
            #[track_caller]
            pub fn $wait_arc(self: &Arc<Self>, range: impl RangeBounds<u64>) -> $ArcGuard {
                $ArcGuard { held: Held::acquire(Arc::clone(self), claim(&range, $mode)) }
            }

            #[doc = concat!("Like [`", stringify!($try), "`](Self::", stringify!($try), "), but the guard owns")]
            /// an `Arc` of the lock.
            ///
            /// ```
            /// # use std::sync::Arc;
            /// let lock = Arc::new(range_lock::RangeLock::new());
            /// let holder = lock.write_arc(0..10);
            #[doc = concat!("assert!(lock.", stringify!($try_arc), "(5..15).is_none());")]
            #[doc = concat!("assert!(lock.", stringify!($try_arc), "(10..20).is_some());")]
            /// ```
            ///
            /// # Panics
            ///
            /// If the range is inverted.
            #[inline]
            #[track_caller]
            pub fn $try_arc(self: &Arc<Self>, range: impl RangeBounds<u64>) -> Option<$ArcGuard> {
                Some($ArcGuard { held: Held::try_acquire(Arc::clone(self), claim(&range, $mode))? })
            }

            #[doc = concat!(
                "Like [`", stringify!($try_for), "`](Self::", stringify!($try_for), "), but the guard owns"
            )]
            /// an `Arc` of the lock.
            ///
            /// ```
            /// # use std::{sync::Arc, time::Duration};
            /// let lock = Arc::new(range_lock::RangeLock::new());
            /// let (holder, soon) = (lock.write_arc(0..10), Duration::from_millis(1));
            #[doc = concat!("assert!(lock.", stringify!($try_arc_for), "(5..15, soon).is_none());")]
            #[doc = concat!("assert!(lock.", stringify!($try_arc_for), "(10..20, soon).is_some());")]
            /// ```
            ///
            /// # Panics
            ///
            /// If the range is inverted.
            #[track_caller]
            pub fn $try_arc_for(
                self: &Arc<Self>,
                range: impl RangeBounds<u64>,
                timeout: Duration,
            ) -> Option<$ArcGuard> {
                let claim = claim(&range, $mode);
                Some($ArcGuard {
                    held: Held::acquire_until(Arc::clone(self), claim, Deadline::after(timeout))?,
                })
            }

            #[doc = concat!(
                "Like [`", stringify!($try_until), "`](Self::", stringify!($try_until), "), but the guard owns"
            )]
            /// an `Arc` of the lock.
            ///
            /// ```
            /// # use std::{sync::Arc, time::{Duration, Instant}};
            /// let lock = Arc::new(range_lock::RangeLock::new());
            /// let (holder, deadline) = (lock.write_arc(0..10), Instant::now() + Duration::from_millis(1));
            #[doc = concat!("assert!(lock.", stringify!($try_arc_until), "(5..15, deadline).is_none());")]
            #[doc = concat!("assert!(lock.", stringify!($try_arc_until), "(10..20, deadline).is_some());")]
            /// ```
            ///
            /// # Panics
            ///
            /// If the range is inverted.
            #[track_caller]
            pub fn $try_arc_until(
                self: &Arc<Self>,
                range: impl RangeBounds<u64>,
                deadline: Instant,
            ) -> Option<$ArcGuard> {
                let claim = claim(&range, $mode);
                Some($ArcGuard {
                    held: Held::acquire_until(Arc::clone(self), claim, Deadline::At(deadline))?,
                })
            }
        }
    };
}

acquire! {
    Mode::Read, "for reading, shared with all but writers", RangeReadGuard, ArcRangeReadGuard,
    read, try_read, try_read_for, try_read_until,
    read_arc, try_read_arc, try_read_arc_for, try_read_arc_until,
    "let a = lock.read(0..100);
let b = lock.read(50..150); // Readers share.
assert!(lock.try_write(75..80).is_none());"
}

acquire! {
    Mode::Upgradable, "for reading with the right to upgrade, shared with plain readers",
    RangeUpgradableReadGuard, ArcRangeUpgradableReadGuard,
    upgradable_read, try_upgradable_read, try_upgradable_read_for, try_upgradable_read_until,
    upgradable_read_arc, try_upgradable_read_arc, try_upgradable_read_arc_for, try_upgradable_read_arc_until,
    "# use range_lock::RangeUpgradableReadGuard;
let looking = lock.upgradable_read(0..10);
assert!(lock.try_read(0..10).is_some());
assert!(lock.try_upgradable_read(0..10).is_none()); // One at a time.
let changing = RangeUpgradableReadGuard::upgrade(looking);
assert!(lock.try_read(0..10).is_none());"
}

acquire! {
    Mode::Write, "for writing, shared with no other request", RangeWriteGuard, ArcRangeWriteGuard,
    write, try_write, try_write_for, try_write_until,
    write_arc, try_write_arc, try_write_arc_for, try_write_arc_until,
    "let page = lock.write(4096..8192);
assert!(lock.try_read(8191..8200).is_none());
assert!(lock.try_read(8192..).is_some());"
}

impl Lock for &RangeLock {
    fn place(&self) -> Place<'_> {
        RangeLock::place(self)
    }
}

impl Lock for Arc<RangeLock> {
    fn place(&self) -> Place<'_> {
        RangeLock::place(self)
    }
}

impl Default for RangeLock {
    /// [`RangeLock::new`].
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for RangeLock {
    /// Prints the first 64 of the [`requests`](RangeLock::requests), and how many more there are.
    /// Of the requests that one of these waits for, it names 8 and counts up to 256. It copies no
    /// more requests than that. With `{:#?}` it prints one request a line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let requests = Printed::new(&self.partition().look_over(Span::WHOLE));
        f.debug_struct("RangeLock").field("requests", &requests).finish()
    }
}
