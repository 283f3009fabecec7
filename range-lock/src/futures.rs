//! The futures of [`RangeLock`] (feature `async`), which [`future`](mod@crate::future) describes.
//! It uses `RangeLock`, `many` and the transitions.

use std::fmt;
use std::future::{Future, poll_fn};
use std::ops::{Deref, RangeBounds};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use crate::claim::{Claim, Hold, claim};
use crate::lock::{
    ArcRangeReadGuard, ArcRangeUpgradableReadGuard, ArcRangeWriteGuard, Held, RangeLock, RangeReadGuard,
    RangeUpgradableReadGuard, RangeWriteGuard,
};
use crate::many::{ArcManyGuard, ArcRequest, ManyGuard, Request, arc_parts, parts};
use crate::mode::Mode;
use crate::owner::by_task;
use crate::request::{self, Entered, Lock, Parts};
use crate::waiter::Registered;

/// What all acquiring futures are: a claim on its way to be [`Held`].
pub(crate) struct Acquire<L: Deref<Target = RangeLock>> {
    /// `None` once the guard has been given out.
    lock: Option<L>,
    claim: Option<Claim>,
    /// Set while the request waits.
    waiting: Option<(Hold, Registered)>,
}

impl<L: Deref<Target = RangeLock>> Acquire<L> {
    pub(crate) fn new(lock: L, claim: Option<Claim>) -> Self {
        Acquire { lock: Some(lock), claim, waiting: None }
    }

    pub(crate) fn is_waiting(&self) -> bool {
        self.waiting.is_some()
    }

    pub(crate) fn poll(&mut self, cx: &Context<'_>) -> Poll<Held<L>> {
        let lock = self.lock.as_ref().expect("a future must not be polled after it has completed");
        let Some(claim) = self.claim else { return Poll::Ready(self.complete(None)) };
        if self.waiting.is_none() {
            match by_task(|| request::enter(lock.partition(), claim)) {
                Entered::Granted(hold) => return Poll::Ready(self.complete(Some(hold))),
                Entered::Waiting(hold, waiter) => self.waiting = Some((hold, Registered(waiter))),
            }
        }
        if let Some((_, registered)) = &self.waiting {
            ready!(registered.0.poll_granted(cx));
            request::note_waited(lock.partition(), claim.mode, &registered.0, true);
        }
        let (hold, registered) = self.waiting.take().unzip();
        let held = self.complete(hold);
        drop(registered); // Last: should the waker's drop panic, the range is released.
        Poll::Ready(held)
    }

    fn complete(&mut self, hold: Option<Hold>) -> Held<L> {
        Held::new(self.lock.take().expect("completes once"), hold)
    }
}

impl<L: Deref<Target = RangeLock>> Drop for Acquire<L> {
    fn drop(&mut self) {
        if let (Some(lock), Some(claim), Some((hold, registered))) =
            (&self.lock, self.claim, self.waiting.take())
        {
            request::withdraw(lock.partition(), hold);
            request::note_waited(lock.partition(), claim.mode, &registered.0, false);
        }
    }
}

/// What all upgrading futures are: a hold on its way from upgradable to write.
pub(crate) struct Upgrade<L: Deref<Target = RangeLock>> {
    /// `None` once the guard has been given out. Dropped while the upgrade waits, it is released,
    /// and the upgrade with it.
    held: Option<Held<L>>,
    begun: bool,
    /// Set while the upgrade waits. Dropped after the release.
    waiting: Option<Registered>,
}

impl<L: Deref<Target = RangeLock>> Upgrade<L> {
    pub(crate) fn new(held: Held<L>) -> Self {
        Upgrade { held: Some(held), begun: false, waiting: None }
    }

    pub(crate) fn is_waiting(&self) -> bool {
        self.waiting.is_some()
    }

    /// Takes the upgrade back. What is held is a writer's if the upgrade was granted before.
    ///
    /// To be called before it has completed.
    pub(crate) fn give_up(mut self) -> Result<Held<L>, Held<L>> {
        let held = self.held.take().expect("it has not completed");
        let Some(registered) = self.waiting.take() else {
            return if self.begun { Ok(held) } else { Err(held) };
        };
        let granted = held.cancel_upgrade();
        held.note_upgrade_waited(&registered.0, granted);
        // Before the result is made: should the waker's drop panic, the range is released.
        drop(registered);
        if granted { Ok(held) } else { Err(held) }
    }

    pub(crate) fn poll(&mut self, cx: &Context<'_>) -> Poll<Held<L>> {
        let held = self.held.as_ref().expect("a future must not be polled after it has completed");
        if !self.begun {
            // Afterwards: if it unwinds, the upgrade has not begun.
            self.waiting = held.begin_upgrade().map(Registered);
            self.begun = true;
        }
        if let Some(registered) = &self.waiting {
            ready!(registered.0.poll_granted(cx));
            held.note_upgrade_waited(&registered.0, true);
            self.waiting = None;
        }
        Poll::Ready(self.held.take().expect("completes once"))
    }
}

impl<L: Deref<Target = RangeLock>> Drop for Upgrade<L> {
    fn drop(&mut self) {
        if let (Some(held), Some(registered)) = (&self.held, &self.waiting) {
            held.note_upgrade_waited(&registered.0, false);
        }
    }
}

/// Polls an upgrade and, while it waits, `give_up`. `None` if `give_up` completes first.
pub(crate) async fn upgrade_unless<U: Future + Unpin>(
    upgrading: &mut U,
    give_up: impl Future<Output = ()>,
) -> Option<U::Output> {
    let upgraded;
    {
        let mut give_up = pin!(give_up);
        upgraded = poll_fn(|cx| match Pin::new(&mut *upgrading).poll(cx) {
            Poll::Ready(upgraded) => Poll::Ready(Some(upgraded)),
            Poll::Pending => give_up.as_mut().poll(cx).map(|()| None),
        })
        .await;
        // Here `give_up` is dropped. Should that panic, the guard in `upgraded` is dropped, too.
        // The result of a function or a block would not be.
    }
    upgraded
}

/// What the futures of several ranges are.
struct AcquireParts<L: Lock> {
    /// `None` once they have been given out.
    parts: Option<Parts<L>>,
    begun: bool,
    /// Set while the request waits.
    waiting: Option<Registered>,
}

impl<L: Lock> AcquireParts<L> {
    fn new(parts: Parts<L>) -> Self {
        AcquireParts { parts: Some(parts), begun: false, waiting: None }
    }

    /// Gives out the parts, and what is to be dropped last: should the waker's drop panic, the
    /// ranges are released.
    fn poll(&mut self, cx: &Context<'_>) -> Poll<(Parts<L>, Option<Registered>)> {
        let parts = self.parts.as_mut().expect("a future must not be polled after it has completed");
        if !self.begun {
            // Afterwards: if entering unwinds, nothing has entered.
            self.waiting = by_task(|| parts.enter()).map(Registered);
            self.begun = true;
        }
        if let Some(registered) = &self.waiting {
            ready!(registered.0.poll_granted(cx));
            parts.note_waited(&registered.0, true);
        }
        let registered = self.waiting.take();
        Poll::Ready((self.parts.take().expect("completes once"), registered))
    }
}

impl<L: Lock> Drop for AcquireParts<L> {
    fn drop(&mut self) {
        if let (Some(parts), Some(registered)) = (&mut self.parts, self.waiting.take()) {
            parts.withdraw();
            parts.note_waited(&registered.0, false);
        }
    }
}

/// A named future around [`AcquireParts`].
macro_rules! acquire_many {
    ($Future:ident [$($lifetime:lifetime)?] $lock:ty => $Guard:ty, $verb:literal) => {
        #[doc = concat!("The future of [`RangeLock::", $verb, "`]. Any thread may poll this future, and may drop")]
        /// this future at any time.
        #[must_use = "futures do nothing unless polled"]
        pub struct $Future$(<$lifetime>)? {
            inner: AcquireParts<$lock>,
        }

        impl$(<$lifetime>)? Future for $Future$(<$lifetime>)? {
            type Output = $Guard;

            /// # Panics
            ///
            /// If the future is polled again after it has completed, or as
            /// [`acquire_many`](RangeLock::acquire_many) does on a 32-bit machine.
            fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
                let (parts, registered) = ready!(self.get_mut().inner.poll(cx));
                let guard = <$Guard>::new(parts);
                drop(registered); // Last.
                Poll::Ready(guard)
            }
        }

        impl$(<$lifetime>)? fmt::Debug for $Future$(<$lifetime>)? {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($Future))
                    .field("waiting", &self.inner.waiting.is_some())
                    .finish_non_exhaustive()
            }
        }
    };
}

acquire_many! { AcquireMany ['a] &'a RangeLock => ManyGuard<'a>, "acquire_many_async" }
acquire_many! { AcquireManyArc [] Arc<RangeLock> => ArcManyGuard, "acquire_many_arc_async" }

impl RangeLock {
    /// Locks several ranges as one request. The task waits until the request is granted. This
    /// method is the form of [`acquire_many`](Self::acquire_many) for tasks (feature `async`).
    ///
    /// ```
    /// use range_lock::{RangeLock, Request};
    ///
    /// async fn copy(from: &RangeLock, to: &RangeLock) {
    ///     let both = [Request::read(from, 0..4096), Request::write(to, 0..4096)];
    ///     let _guard = RangeLock::acquire_many_async(both).await;
    ///     // ...
    /// }
    /// # let (from, to) = (RangeLock::new(), RangeLock::new());
    /// # let mut future = std::pin::pin!(copy(&from, &to));
    /// # let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    /// # assert!(future.as_mut().poll(&mut cx).is_ready());
    /// ```
    ///
    /// # Fairness and cancel safety
    ///
    /// The request enters at the first poll of the future. A task may drop the future at any time:
    /// see [Cancel safety](crate::future#cancel-safety).
    pub fn acquire_many_async<'a>(requests: impl IntoIterator<Item = Request<'a>>) -> AcquireMany<'a> {
        AcquireMany { inner: AcquireParts::new(parts(requests)) }
    }

    /// Like [`acquire_many_async`](Self::acquire_many_async), but the guard and the future own an
    /// `Arc` of each lock, and so have no lifetime.
    ///
    /// ```
    /// use range_lock::{ArcRequest, RangeLock};
    /// use std::sync::Arc;
    ///
    /// async fn copy(from: Arc<RangeLock>, to: Arc<RangeLock>) {
    ///     let both = [ArcRequest::read(&from, 0..4096), ArcRequest::write(&to, 0..4096)];
    ///     let guard = RangeLock::acquire_many_arc_async(both).await;
    ///     // The guard may go into another task, or to a thread that blocks.
    ///     drop(guard);
    /// }
    /// # let (from, to) = (Arc::new(RangeLock::new()), Arc::new(RangeLock::new()));
    /// # let mut future = std::pin::pin!(copy(from, to));
    /// # let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    /// # assert!(future.as_mut().poll(&mut cx).is_ready());
    /// ```
    pub fn acquire_many_arc_async(requests: impl IntoIterator<Item = ArcRequest>) -> AcquireManyArc {
        AcquireManyArc { inner: AcquireParts::new(arc_parts(requests)) }
    }
}

/// The future of [`RangeLock::wait_until_free_async`]. Any thread may poll this future, and may
/// drop this future at any time.
#[must_use = "futures do nothing unless polled"]
pub struct WaitUntilFree<'a> {
    /// `None` once it has completed.
    lock: Option<&'a RangeLock>,
    claim: Option<Claim>,
    /// Set while it waits.
    waiting: Option<(request::Watch, Registered)>,
}

impl Future for WaitUntilFree<'_> {
    type Output = ();

    /// # Panics
    ///
    /// If the future is polled again after it has completed.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        let lock = this.lock.expect("a future must not be polled after it has completed");
        if this.waiting.is_none() {
            let watch = this.claim.and_then(|claim| request::watch(lock.partition(), claim));
            this.waiting = watch.map(|watch| {
                let registered = Registered(watch.waiter.clone());
                (watch, registered)
            });
        }
        if let Some((_, registered)) = &this.waiting {
            ready!(registered.0.poll_granted(cx));
        }
        (this.lock, this.waiting) = (None, None);
        Poll::Ready(())
    }
}

impl Drop for WaitUntilFree<'_> {
    fn drop(&mut self) {
        if let (Some(lock), Some((watch, registered))) = (self.lock, self.waiting.take()) {
            request::unwatch(lock.partition(), &watch);
            drop(registered);
        }
    }
}

impl fmt::Debug for WaitUntilFree<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WaitUntilFree").field("waiting", &self.waiting.is_some()).finish_non_exhaustive()
    }
}

impl RangeLock {
    /// Waits for every request that is in the lock at the first poll and conflicts with a request
    /// for `range` in `mode`. The future locks nothing. This method is the form of
    /// [`wait_until_free`](Self::wait_until_free) for tasks.
    ///
    /// No form of this method returns a future that owns an `Arc` of the lock. A task that owns an
    /// `Arc` of the lock can lend the lock to the future, as in the example. The future returns no
    /// guard that could outlive the task.
    ///
    /// ```
    /// use range_lock::{Mode, RangeLock};
    /// use std::sync::Arc;
    ///
    /// async fn flush(lock: Arc<RangeLock>) {
    ///     lock.wait_until_free_async(.., Mode::Read).await;
    ///     // All that was being written is written.
    /// }
    /// # let lock = Arc::new(RangeLock::new());
    /// # let mut future = std::pin::pin!(flush(Arc::clone(&lock)));
    /// # let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    /// # let writer = lock.write(0..10);
    /// # assert!(future.as_mut().poll(&mut cx).is_pending());
    /// # drop(writer);
    /// # assert!(future.as_mut().poll(&mut cx).is_ready());
    /// ```
    ///
    /// # Panics
    ///
    /// If the range is inverted, the method panics, even if no task polls the future.
    ///
    /// # Fairness and cancel safety
    ///
    /// No request waits for the future. A task may drop the future at any time. A dropped future
    /// leaves nothing in the lock.
    #[track_caller]
    pub fn wait_until_free_async(&self, range: impl RangeBounds<u64>, mode: Mode) -> WaitUntilFree<'_> {
        WaitUntilFree { lock: Some(self), claim: claim(&range, mode), waiting: None }
    }
}

/// A named future around [`Acquire`] or [`Upgrade`].
macro_rules! future {
    ($(#[$doc:meta])* $Future:ident [$($lifetime:lifetime)?] $inner:ty => $Guard:ty) => {
        $(#[$doc])*
        #[must_use = "futures do nothing unless polled"]
        pub struct $Future$(<$lifetime>)? {
            inner: $inner,
        }

        impl$(<$lifetime>)? Future for $Future$(<$lifetime>)? {
            type Output = $Guard;

            /// # Panics
            ///
            /// If the future is polled again after it has completed.
            fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
                let held = ready!(self.get_mut().inner.poll(cx));
                Poll::Ready(<$Guard>::from_held(held))
            }
        }

        impl$(<$lifetime>)? fmt::Debug for $Future$(<$lifetime>)? {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($Future))
                    .field("waiting", &self.inner.is_waiting())
                    .finish_non_exhaustive()
            }
        }
    };
}

/// The futures of one mode and the verbs that make them.
macro_rules! acquire_async {
    (
        $mode:expr, $what:literal,
        $verb:ident, $blocking:literal, $Future:ident, $Guard:ident,
        $verb_arc:ident, $FutureArc:ident, $ArcGuard:ident
    ) => {
        future! {
            #[doc = concat!("The future of [`RangeLock::", stringify!($verb), "`]. Any thread may poll this future, and may drop this future at any time.")]
            $Future ['a] Acquire<&'a RangeLock> => $Guard<'a>
        }

        future! {
            #[doc = concat!("The future of [`RangeLock::", stringify!($verb_arc), "`]. Any thread may poll this future, and may drop this future at any time.")]
            $FutureArc [] Acquire<Arc<RangeLock>> => $ArcGuard
        }

        /// Futures that lock
        #[doc = concat!($what, " (feature `async`).")]
        impl RangeLock {
            #[doc = concat!("Locks `range` ", $what, ". The task waits until the request is granted. Like")]
            #[doc = concat!("[`", $blocking, "`](Self::", $blocking, "), but for tasks.")]
            ///
            /// ```
            /// # futures_lite_block_on(async {
            /// let lock = range_lock::RangeLock::new();
            #[doc = concat!("let guard = lock.", stringify!($verb), "(0..10).await;")]
            /// assert_eq!(guard.range(), 0..=9);
            /// # });
            /// # fn futures_lite_block_on(f: impl Future<Output = ()>) {
            /// #     let waker = std::task::Waker::noop();
            /// #     let mut f = std::pin::pin!(f);
            /// #     while f.as_mut().poll(&mut std::task::Context::from_waker(waker)).is_pending() {}
            /// # }
            /// ```
            ///
            /// # Panics
            ///
            /// If the range is inverted, the method panics, even if no task polls the future.
            ///
            /// # Fairness and cancel safety
            ///
            /// The request enters at the first poll of the future. A task may drop the future at
            /// any time: see [Cancel safety](crate::future#cancel-safety).
            ///
            /// # Deadlocks
            ///
            /// A task that awaits the future must not hold another range of this lock: see
            /// [Deadlocks](Self#deadlocks). A granted future holds its range even while [no task
            /// polls the future](crate::future#a-granted-future-that-is-not-polled).
            #[track_caller]
            pub fn $verb(&self, range: impl RangeBounds<u64>) -> $Future<'_> {
                $Future { inner: Acquire::new(self, claim(&range, $mode)) }
            }

            #[doc = concat!("Like [`", stringify!($verb), "`](Self::", stringify!($verb), "), but the guard and the future own")]
            /// an `Arc` of the lock, and so have no lifetime. The caller may send the guard or the
            /// future to a task that outlives the caller.
            ///
            /// ```
            #[doc = concat!("use range_lock::{", stringify!($ArcGuard), ", RangeLock};")]
            /// use std::sync::Arc;
            ///
            #[doc = concat!("async fn whole(lock: Arc<RangeLock>) -> ", stringify!($ArcGuard), " {")]
            #[doc = concat!("    lock.", stringify!($verb_arc), "(..).await")]
            /// }
            /// # let lock = Arc::new(RangeLock::new());
            /// # let mut future = std::pin::pin!(whole(Arc::clone(&lock)));
            /// # let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
            /// # assert!(future.as_mut().poll(&mut cx).is_ready());
            /// ```
            ///
            /// # Panics
            ///
            /// If the range is inverted, the method panics, even if no task polls the future.
            #[track_caller]
            pub fn $verb_arc(self: &Arc<Self>, range: impl RangeBounds<u64>) -> $FutureArc {
                $FutureArc { inner: Acquire::new(Arc::clone(self), claim(&range, $mode)) }
            }
        }
    };
}

acquire_async! {
    Mode::Read, "for reading, shared with all but writers",
    read_async, "read", Read, RangeReadGuard,
    read_arc_async, ReadArc, ArcRangeReadGuard
}

acquire_async! {
    Mode::Upgradable, "for reading with the right to upgrade, shared with plain readers",
    upgradable_read_async, "upgradable_read", UpgradableRead, RangeUpgradableReadGuard,
    upgradable_read_arc_async, UpgradableReadArc, ArcRangeUpgradableReadGuard
}

acquire_async! {
    Mode::Write, "for writing, shared with no other request",
    write_async, "write", Write, RangeWriteGuard,
    write_arc_async, WriteArc, ArcRangeWriteGuard
}

/// The future of one kind of upgradable guard and the function that makes it.
macro_rules! upgrade_async {
    (
        $Future:ident [$($lifetime:lifetime)?] $lock:ty, $Upgradable:ty => $Guard:ty,
        $link:literal, $anonymous:literal, $acquire:literal
    ) => {
        future! {
            #[doc = concat!("The future of [`", $link, "::upgrade_async`](crate::", $link, "::upgrade_async). Any thread may poll this future.")]
            /// If a task drops the future before the future has completed, the drop releases the
            /// range.
            $Future [$($lifetime)?] Upgrade<$lock> => $Guard
        }

        /// The upgrade for tasks (feature `async`).
        impl$(<$lifetime>)? $Upgradable {
            /// Waits until no other reader holds a part of the range. Then turns the guard into a
            /// write guard. This function is the form of [`upgrade`](Self::upgrade) for tasks.
            ///
            /// ```
            #[doc = concat!("use range_lock::", $link, ";")]
            ///
            #[doc = concat!("async fn change(looking: ", $link, $anonymous, ") {")]
            #[doc = concat!("    let changing = ", $link, "::upgrade_async(looking).await;")]
            ///     // What was read is still true.
            ///     drop(changing);
            /// }
            /// # let lock = std::sync::Arc::new(range_lock::RangeLock::new());
            #[doc = concat!("# let mut future = std::pin::pin!(change(lock.", $acquire, "(..)));")]
            /// # let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
            /// # assert!(future.as_mut().poll(&mut cx).is_ready());
            /// ```
            ///
            /// # Fairness
            ///
            /// The upgrade begins at the first poll of the future. The upgrade passes the waiting
            /// requests that conflict with the upgrade. No request passes the upgrade.
            ///
            /// # Cancel safety
            ///
            /// The future owns the guard. If a task drops the future before the future has
            /// completed, the drop withdraws the upgrade and releases the range.
            /// [`try_upgrade_async`](Self::try_upgrade_async) can give up and return the guard.
            pub fn upgrade_async(guard: Self) -> $Future$(<$lifetime>)? {
                $Future { inner: Upgrade::new(guard.held) }
            }

            /// Turns the guard into a write guard, unless the future `give_up` completes first.
            /// `give_up` can be a timer of the executor. This function is the form of
            /// [`try_upgrade_for`](Self::try_upgrade_for) for tasks.
            ///
            /// ```
            #[doc = concat!("use range_lock::", $link, ";")]
            ///
            #[doc = concat!("async fn change(looking: ", $link, $anonymous, ", timer: impl Future<Output = ()>) {")]
            #[doc = concat!("    match ", $link, "::try_upgrade_async(looking, timer).await {")]
            ///         Ok(changing) => drop(changing),
            ///         Err(looking) => drop(looking), // Upgradable as before.
            ///     }
            /// }
            /// # let lock = std::sync::Arc::new(range_lock::RangeLock::new());
            /// # let reader = lock.read(..);
            #[doc = concat!("# let looking = lock.", $acquire, "(..);")]
            /// # let mut future = std::pin::pin!(change(looking, std::future::ready(())));
            /// # let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
            /// # assert!(future.as_mut().poll(&mut cx).is_ready());
            /// ```
            ///
            /// # Errors
            ///
            /// Returns the guard, upgradable as before, if `give_up` completed first.
            ///
            /// # Fairness
            ///
            /// The upgrade passes waiting requests, like the upgrade of
            /// [`upgrade_async`](Self::upgrade_async). If the lock grants the upgrade while
            /// `give_up` completes, the function returns the write guard.
            ///
            /// # Cancel safety
            ///
            /// If the upgrade gives up, the lock grants the readers that waited only for the
            /// upgrade, and changes nothing else. If a task drops the future of this function
            /// before the future has completed, the drop releases the range.
            pub async fn try_upgrade_async(
                guard: Self,
                give_up: impl Future<Output = ()>,
            ) -> Result<$Guard, Self> {
                let mut upgrading = Self::upgrade_async(guard);
                if let Some(upgraded) = upgrade_unless(&mut upgrading, give_up).await {
                    return Ok(upgraded);
                }
                upgrading.inner.give_up().map(<$Guard>::from_held).map_err(Self::from_held)
            }
        }
    };
}

upgrade_async! {
    UpgradeRead ['a] &'a RangeLock, RangeUpgradableReadGuard<'a> => RangeWriteGuard<'a>,
    "RangeUpgradableReadGuard", "<'_>", "upgradable_read"
}

upgrade_async! {
    UpgradeReadArc [] Arc<RangeLock>, ArcRangeUpgradableReadGuard => ArcRangeWriteGuard,
    "ArcRangeUpgradableReadGuard", "", "upgradable_read_arc"
}
