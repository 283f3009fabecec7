//! Code of the user's that panics, at every call into it: no request is left without an owner.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::future::Future;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, RawWaker, RawWakerVTable, Waker};
use std::time::Duration;

use super::{Claim, Entered, Mode};
use crate::__private;
use crate::request;
use crate::span::Span;
use crate::sync::Arc;
use crate::{
    ArcRangeReadGuard, ArcRangeUpgradableReadGuard, ArcRangeWriteGuard, ManyGuard, RangeLock, RangeReadGuard,
    RangeRwLock, RangeRwLockReadGuard, RangeRwLockUpgradableReadGuard, RangeRwLockWriteGuard,
    RangeUpgradableReadGuard, RangeWriteGuard, Request,
};

/// Long enough to be queued: a deadline that has passed is not.
const SOON: Duration = Duration::from_micros(100);

thread_local! {
    /// How many calls there were into wakers.
    static CALLS: Cell<usize> = const { Cell::new(0) };
    /// Which of them panic.
    static PANICS: RefCell<Range<usize>> = const { RefCell::new(0..0) };
    /// How often a waker was woken.
    static WOKEN: Cell<usize> = const { Cell::new(0) };
    /// What another thread does while a request takes its passes back.
    static MEANWHILE: RefCell<Option<Box<dyn Any>>> = const { RefCell::new(None) };
}

/// See [`pass`](super::pass): in between, another thread may release what it holds in other leaves.
pub(super) fn before_passes_are_taken_back() {
    if let Some(guard) = MEANWHILE.take() {
        // The panic would be one of the other thread.
        _ = catch_unwind(AssertUnwindSafe(|| drop(guard)));
    }
}

fn user_code() {
    let call = CALLS.replace(CALLS.get() + 1);
    if PANICS.with_borrow(|panics| panics.contains(&call)) {
        // Not `panic!`, which would print.
        resume_unwind(Box::new("a waker of the tests"));
    }
}

/// A waker that panics when it is its turn. Each has an address of its own.
fn waker() -> Waker {
    static VTABLE: RawWakerVTable = RawWakerVTable::new(clone, wake, wake, drop_it);
    fn clone(data: *const ()) -> RawWaker {
        user_code();
        RawWaker::new(data, &VTABLE)
    }
    fn wake(_: *const ()) {
        WOKEN.set(WOKEN.get() + 1);
        user_code();
    }
    fn drop_it(_: *const ()) {
        user_code();
    }
    let number = CALLS.get() + 1;
    // SAFETY: the functions look at no data, so any pointer will do.
    unsafe { Waker::from_raw(RawWaker::new(std::ptr::without_provenance(number), &VTABLE)) }
}

/// Runs `f`, in which calls may panic; `None` if it unwinds.
fn unwinding<T>(f: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(f)).ok()
}

fn poll<T>(future: &mut Pin<Box<dyn Future<Output = T> + '_>>) -> Poll<T> {
    // The test's own waker is not dropped: it could panic while the poll unwinds.
    let waker = std::mem::ManuallyDrop::new(waker());
    future.as_mut().poll(&mut Context::from_waker(&waker))
}

/// xorshift64.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 20) % n
    }

    fn range(&mut self) -> Range<u64> {
        let (a, b) = (self.below(8), self.below(8));
        10 * a.min(b)..10 * a.max(b) + 5
    }
}

enum Guard<'a> {
    Read(RangeReadGuard<'a>),
    Upgradable(RangeUpgradableReadGuard<'a>),
    Write(RangeWriteGuard<'a>),
    ReadArc(ArcRangeReadGuard),
    UpgradableArc(ArcRangeUpgradableReadGuard),
    WriteArc(ArcRangeWriteGuard),
    Many(#[expect(dead_code, reason = "held only to be dropped")] Box<ManyGuard<'a>>),
    ReadElements(#[expect(dead_code, reason = "held only to be dropped")] RangeRwLockReadGuard<'a, u8>),
    UpgradableElements(RangeRwLockUpgradableReadGuard<'a, u8>),
    WriteElements(RangeRwLockWriteGuard<'a, u8>),
}

type Pending<'a> = Pin<Box<dyn Future<Output = Guard<'a>> + 'a>>;

struct Locks {
    locks: [Arc<RangeLock>; 2],
    elements: RangeRwLock<Vec<u8>>,
}

/// What a history has at hand.
struct History<'a> {
    locks: &'a Locks,
    random: Random,
    guards: Vec<Guard<'a>>,
    pending: Vec<Pending<'a>>,
}

impl<'a> History<'a> {
    fn any_guard(&mut self) -> Option<Guard<'a>> {
        let n = self.guards.len() as u64;
        (n != 0).then(|| self.guards.swap_remove(self.random.below(n) as usize))
    }

    fn future(&mut self) -> Pending<'a> {
        let (range, which) = (self.random.range(), self.random.below(2) as usize);
        let (lock, other) = (&self.locks.locks[which], &self.locks.locks[1 - which]);
        let indices = range.start as usize..range.end as usize;
        let elements = &self.locks.elements;
        match self.random.below(12) {
            0 => Box::pin(async move { Guard::Read(lock.read_async(range).await) }),
            1 => Box::pin(async move { Guard::Upgradable(lock.upgradable_read_async(range).await) }),
            2 | 3 => Box::pin(async move { Guard::Write(lock.write_async(range).await) }),
            4 => Box::pin(async move { Guard::ReadArc(lock.read_arc_async(range).await) }),
            5 => Box::pin(async move { Guard::UpgradableArc(lock.upgradable_read_arc_async(range).await) }),
            6 => Box::pin(async move { Guard::WriteArc(lock.write_arc_async(range).await) }),
            7 => Box::pin(async move { Guard::ReadElements(elements.read_async(indices).await) }),
            8 => Box::pin(
                async move { Guard::UpgradableElements(elements.upgradable_read_async(indices).await) },
            ),
            9 => Box::pin(async move { Guard::WriteElements(elements.write_async(indices).await) }),
            _ => {
                let second = self.random.range();
                let two = [Request::write(lock, range), Request::read(other, second.clone())];
                let third = Request::write(lock, second);
                Box::pin(async move {
                    let [one, two] = two;
                    Guard::Many(Box::new(RangeLock::acquire_many_async([one, two, third]).await))
                })
            }
        }
    }

    fn changed(&mut self, guard: Guard<'a>) {
        let mid = self.random.below(3);
        // A range of what is held, if there is one.
        fn inner(range: std::ops::RangeInclusive<u64>) -> std::ops::RangeInclusive<u64> {
            *range.start() + 1..=*range.end()
        }
        // Others cannot be split or shrunk so: that would panic.
        let is_long = |range: std::ops::RangeInclusive<u64>| range.count() > 2;
        match (guard, mid) {
            (Guard::Read(mut guard), 0) if is_long(guard.range()) => {
                let to = inner(guard.range());
                unwinding(|| RangeReadGuard::shrink(&mut guard, to));
                self.guards.push(Guard::Read(guard));
            }
            (Guard::WriteArc(mut guard), 0) if is_long(guard.range()) => {
                let to = inner(guard.range());
                unwinding(|| ArcRangeWriteGuard::shrink(&mut guard, to));
                self.guards.push(Guard::WriteArc(guard));
            }
            (Guard::WriteElements(mut guard), 0) if guard.len() > 2 => {
                unwinding(|| RangeRwLockWriteGuard::shrink(&mut guard, 1..2));
                self.guards.push(Guard::WriteElements(guard));
            }
            (Guard::Read(guard), _) if is_long(guard.range()) => {
                let at = guard.range().start() + 2;
                if let Some((left, right)) = unwinding(|| RangeReadGuard::split_at(guard, at)) {
                    self.guards.extend([Guard::Read(left), Guard::Read(right)]);
                }
            }
            (Guard::WriteArc(guard), _) if is_long(guard.range()) => {
                let at = guard.range().start() + 2;
                if let Some((left, right)) = unwinding(|| ArcRangeWriteGuard::split_at(guard, at)) {
                    self.guards.extend([Guard::WriteArc(left), Guard::WriteArc(right)]);
                }
            }
            (Guard::Write(guard), 0) => {
                let guard = unwinding(|| RangeWriteGuard::downgrade(guard));
                self.guards.extend(guard.map(Guard::Read));
            }
            (Guard::Write(guard), _) => {
                let guard = unwinding(|| RangeWriteGuard::downgrade_to_upgradable(guard));
                self.guards.extend(guard.map(Guard::Upgradable));
            }
            (Guard::WriteElements(guard), _) => {
                let guard = unwinding(|| RangeRwLockWriteGuard::downgrade(guard));
                self.guards.extend(guard.map(Guard::ReadElements));
            }
            (Guard::Upgradable(guard), 0) if self.random.below(8) != 0 => {
                let guard = unwinding(|| match RangeUpgradableReadGuard::try_upgrade(guard) {
                    Ok(guard) => Guard::Write(guard),
                    Err(guard) => Guard::Upgradable(guard),
                });
                self.guards.extend(guard);
            }
            (Guard::Upgradable(guard), 1..) => {
                let upgrade = Box::pin(RangeUpgradableReadGuard::upgrade_async(guard));
                self.pending.push(Box::pin(async move { Guard::Write(upgrade.await) }));
            }
            (Guard::Upgradable(guard), _) => {
                let guard = unwinding(|| match RangeUpgradableReadGuard::try_upgrade_for(guard, SOON) {
                    Ok(guard) => Guard::Write(guard),
                    Err(guard) => Guard::Upgradable(guard),
                });
                self.guards.extend(guard);
            }
            (Guard::UpgradableArc(guard), _) => {
                let upgrade = Box::pin(ArcRangeUpgradableReadGuard::upgrade_async(guard));
                self.pending.push(Box::pin(async move { Guard::WriteArc(upgrade.await) }));
            }
            (Guard::UpgradableElements(guard), _) => {
                let upgrade = Box::pin(RangeRwLockUpgradableReadGuard::upgrade_async(guard));
                self.pending.push(Box::pin(async move { Guard::WriteElements(upgrade.await) }));
            }
            (guard, _) => _ = unwinding(|| drop(guard)),
        }
    }

    fn poll_one(&mut self, at: usize) {
        match unwinding(|| poll(&mut self.pending[at])) {
            Some(Poll::Pending) => {}
            Some(Poll::Ready(guard)) => {
                // The future may still have something to drop.
                let future = self.pending.swap_remove(at);
                unwinding(|| drop(future));
                self.guards.push(guard);
            }
            // An `async` block that has panicked cannot be polled again.
            None => {
                let future = self.pending.swap_remove(at);
                unwinding(|| drop(future));
            }
        }
    }

    /// The beginning of some histories: a request enters that passes a sleeper, whose last obstacle
    /// leaves meanwhile, and then meets a holder.
    fn wake_while_it_enters(&mut self) {
        let [lock, other] = &self.locks.locks;
        let range = self.random.range();
        // The sleeper comes before the holder in the tree, since others fill the slots.
        let slots = [85, 86, 87].map(|at| Guard::Read(lock.read(at..=at)));
        self.guards.extend(slots);
        let obstacle = other.write_arc(range.clone());
        let both = [Request::write(lock, range.clone()), Request::write(other, range)];
        self.pending
            .push(Box::pin(async move { Guard::Many(Box::new(RangeLock::acquire_many_async(both).await)) }));
        self.poll_one(0);
        self.guards.push(Guard::Write(lock.write(80..85)));
        MEANWHILE.set(Some(Box::new(obstacle)));
        self.pending.push(if self.random.below(2) == 0 {
            Box::pin(async move { Guard::Write(lock.write_async(0..85).await) })
        } else {
            let one = Request::write(lock, 0..85);
            Box::pin(async move { Guard::Many(Box::new(RangeLock::acquire_many_async([one]).await)) })
        });
        self.poll_one(self.pending.len() - 1);
        if let Some(guard) = MEANWHILE.take() {
            unwinding(|| drop(guard));
        }
    }

    fn step(&mut self) {
        match self.random.below(16) {
            0..6 => {
                let future = self.future();
                self.pending.push(future);
                self.poll_one(self.pending.len() - 1);
            }
            6..8 => {
                // The same, and another thread lets go of something meanwhile.
                let at = self.guards.iter().position(|guard| {
                    matches!(guard, Guard::WriteArc(_) | Guard::ReadArc(_) | Guard::UpgradableArc(_))
                });
                let Some(guard) = at.map(|at| self.guards.swap_remove(at)) else { return };
                let (guard, in_first): (Box<dyn Any>, bool) = {
                    let is_first = |lock: &Arc<RangeLock>| Arc::ptr_eq(lock, &self.locks.locks[0]);
                    match guard {
                        Guard::WriteArc(guard) => (is_first(guard.held.lock()), guard).into_any(),
                        Guard::ReadArc(guard) => (is_first(guard.held.lock()), guard).into_any(),
                        Guard::UpgradableArc(guard) => (is_first(guard.held.lock()), guard).into_any(),
                        _ => unreachable!(),
                    }
                };
                // It holds in one lock; a request enters the other one.
                let other = &self.locks.locks[usize::from(in_first)];
                MEANWHILE.set(Some(guard));
                let (range, second) = (self.random.range(), self.random.range());
                self.pending.push(if self.random.below(2) == 0 {
                    Box::pin(async move { Guard::Write(other.write_async(range).await) })
                } else {
                    let two = [Request::write(other, range), Request::read(other, second)];
                    Box::pin(async move { Guard::Many(Box::new(RangeLock::acquire_many_async(two).await)) })
                });
                self.poll_one(self.pending.len() - 1);
                if let Some(guard) = MEANWHILE.take() {
                    unwinding(|| drop(guard));
                }
            }
            8..10 => {
                let n = self.pending.len() as u64;
                if n != 0 {
                    let at = self.random.below(n) as usize;
                    self.poll_one(at);
                }
            }
            10 => {
                let n = self.pending.len() as u64;
                if n != 0 {
                    let future = self.pending.swap_remove(self.random.below(n) as usize);
                    unwinding(|| drop(future));
                }
            }
            11 => {
                // Given up at once. Timed ones yield, which takes long on a busy machine, so they
                // are rare.
                let (range, which) = (self.random.range(), self.random.below(2) as usize);
                let lock = &self.locks.locks[which];
                let guard = if self.random.below(16) != 0 {
                    unwinding(|| lock.try_write(range).map(Guard::Write))
                } else {
                    unwinding(|| lock.try_write_for(range, SOON).map(Guard::Write))
                };
                self.guards.extend(guard.flatten());
            }
            12..14 => {
                if let Some(guard) = self.any_guard() {
                    self.changed(guard);
                }
            }
            _ => {
                if let Some(guard) = self.any_guard() {
                    unwinding(|| drop(guard));
                }
            }
        }
    }
}

/// For brevity above.
trait IntoAny {
    fn into_any(self) -> (Box<dyn Any>, bool);
}

impl<G: Any> IntoAny for (bool, G) {
    fn into_any(self) -> (Box<dyn Any>, bool) {
        (Box::new(self.1), self.0)
    }
}

/// Runs the history of `seed`, in which the calls `panics` into wakers panic. Returns how many
/// calls there were.
fn run(seed: u64, bypass: usize, panics: Range<usize>) -> usize {
    let new = |_| Arc::new(RangeLock::builder().bypass(bypass).build());
    let locks = Locks { locks: std::array::from_fn(new), elements: RangeRwLock::new(vec![0; 80]) };
    if seed % 2 == 0 {
        assert!(__private::cut(&locks.locks[0], 40) && __private::cut(locks.elements.range_lock(), 30));
    }
    CALLS.set(0);
    PANICS.set(panics.clone());
    let random = Random(0x9e37_79b9_7f4a_7c15 ^ (seed + 1).wrapping_mul(0xbf58_476d_1ce4_e5b9));
    let mut history = History { locks: &locks, random, guards: Vec::new(), pending: Vec::new() };
    if bypass != 0 && seed % 2 == 1 {
        history.wake_while_it_enters();
    }
    (0..40).for_each(|_| history.step());
    let History { guards, pending, .. } = history;
    // Guards first in every other history, so that what waits is granted and dropped unpolled.
    if seed % 4 < 2 {
        guards.into_iter().for_each(|guard| _ = unwinding(|| drop(guard)));
        pending.into_iter().for_each(|future| _ = unwinding(|| drop(future)));
    } else {
        pending.into_iter().for_each(|future| _ = unwinding(|| drop(future)));
        guards.into_iter().for_each(|guard| _ = unwinding(|| drop(guard)));
    }
    PANICS.set(0..0);
    let [a, b] = &locks.locks;
    for lock in [&**a, &**b, locks.elements.range_lock()] {
        let left = lock.requests();
        assert!(left.is_empty(), "seed {seed}, bypass {bypass}, panics in {panics:?}: {left:?} is left");
        assert!(lock.try_write(..).is_some());
    }
    CALLS.get()
}

#[test]
fn a_panic_at_any_call_into_wakers_leaves_no_request_behind() {
    for seed in 0..if cfg!(miri) { 2 } else { 40 } {
        for bypass in [0, 1, 3] {
            for several in [1, 2, usize::MAX] {
                let mut at = 0;
                while run(seed, bypass, at..at.saturating_add(several)) > at {
                    at += 1;
                }
            }
        }
    }
}

/// A request that wakes another while it enters: it has passed a sleeper, whose last obstacle
/// leaves meanwhile, and then meets a holder.
fn wakes_while_it_enters(enter: impl for<'a> FnOnce(&'a RangeLock, &'a RangeLock) -> Pending<'a>) {
    let new = || Arc::new(RangeLock::builder().bypass(8).build());
    let (lock, other, third) = (new(), new(), new());
    CALLS.set(0);
    WOKEN.set(0);
    // The sleeper comes before the holder, which lies in the tree, since others fill the slots.
    let slots = [50, 51, 52].map(|at| lock.read(at..=at));
    let obstacle = other.write_arc(0..10);
    let both = [Request::write(&lock, 0..10), Request::write(&other, 0..10)];
    let mut sleeper: Pending<'_> =
        Box::pin(async { Guard::Many(Box::new(RangeLock::acquire_many_async(both).await)) });
    assert!(poll(&mut sleeper).is_pending());
    let holder = lock.write(20..30);
    MEANWHILE.set(Some(Box::new(obstacle)));
    let mut entering = enter(&lock, &third);
    PANICS.set(0..usize::MAX);
    assert!(unwinding(|| poll(&mut entering)).is_none(), "a waker panics while the request enters");
    PANICS.set(0..0);
    assert_eq!(WOKEN.get(), 1);
    let left = [&lock, &third].map(|lock| lock.requests().len());
    assert_eq!(left, [5, 0], "the request is withdrawn: {lock:?}, {third:?}");
    drop((holder, slots, sleeper, entering));
    for lock in [&lock, &other, &third] {
        assert!(lock.requests().is_empty(), "{lock:?}");
        assert!(lock.try_write(..).is_some());
    }
}

#[test]
fn a_request_that_unwinds_while_it_enters_is_withdrawn() {
    wakes_while_it_enters(|lock, _| Box::pin(async { Guard::Write(lock.write_async(0..30).await) }));
}

#[test]
fn a_request_for_several_ranges_that_unwinds_while_it_enters_is_withdrawn() {
    wakes_while_it_enters(|lock, third| {
        let two = [Request::write(lock, 0..30), Request::write(third, 0..30)];
        Box::pin(async move { Guard::Many(Box::new(RangeLock::acquire_many_async(two).await)) })
    });
}

/// Polled again after that, it enters anew and gives out nothing that it does not hold.
#[test]
fn a_future_that_unwound_while_it_entered_can_be_polled_again() {
    let new = || Arc::new(RangeLock::builder().bypass(8).build());
    let (lock, other, third) = (new(), new(), new());
    let slots = [50, 51, 52].map(|at| lock.read(at..=at));
    let obstacle = other.write_arc(0..10);
    let mut sleeper = Box::pin(RangeLock::acquire_many_async([
        Request::write(&lock, 0..10),
        Request::write(&other, 0..10),
    ]));
    let waker = std::mem::ManuallyDrop::new(waker());
    let mut cx = Context::from_waker(&waker);
    assert!(sleeper.as_mut().poll(&mut cx).is_pending());
    let holder = lock.write(20..30);
    MEANWHILE.set(Some(Box::new(obstacle)));
    let two = [Request::write(&lock, 0..30), Request::write(&third, 0..30)];
    let mut entering = Box::pin(RangeLock::acquire_many_async(two));
    CALLS.set(0);
    PANICS.set(0..1);
    assert!(unwinding(|| entering.as_mut().poll(&mut cx)).is_none());
    PANICS.set(0..0);
    assert!(entering.as_mut().poll(&mut cx).is_pending(), "a holder is in its way");
    drop((holder, slots, sleeper));
    let Poll::Ready(guard) = entering.as_mut().poll(&mut cx) else { panic!("it is next") };
    assert_eq!(lock.requests().len(), 1);
    drop(guard);
    assert!(lock.try_write(..).is_some() && third.try_write(..).is_some());
}

/// Two that wait for `lock`, with wakers that panic.
fn two_waiting(lock: &RangeLock) -> [Pin<Box<dyn Future<Output = RangeReadGuard<'_>> + '_>>; 2] {
    CALLS.set(0);
    WOKEN.set(0);
    [0..10, 0..10].map(|range| {
        let mut future: Pin<Box<dyn Future<Output = _>>> = Box::pin(lock.read_async(range));
        assert!(poll(&mut future).is_pending());
        future
    })
}

#[test]
fn of_several_wakers_that_panic_the_first_goes_on_and_all_are_woken() {
    let lock = RangeLock::new();
    let holder = lock.write(0..10);
    let waiting = two_waiting(&lock);
    PANICS.set(0..usize::MAX);
    assert!(unwinding(|| drop(holder)).is_none(), "the first panic goes on");
    PANICS.set(0..0);
    assert_eq!(WOKEN.get(), 2);
    drop(waiting);
    assert!(lock.try_write(..).is_some());
}

#[test]
fn wakers_that_panic_while_a_guard_is_dropped_by_unwinding_are_swallowed() {
    let lock = RangeLock::new();
    let holder = lock.write(0..10);
    let waiting = two_waiting(&lock);
    PANICS.set(0..usize::MAX);
    let panic = catch_unwind(AssertUnwindSafe(|| {
        let _holder = holder;
        resume_unwind(Box::new("the section"));
    }));
    PANICS.set(0..0);
    assert_eq!(panic.unwrap_err().downcast_ref::<&str>(), Some(&"the section"));
    assert_eq!(WOKEN.get(), 2);
    drop(waiting);
    assert!(lock.try_write(..).is_some());
}

/// A panic whose payload panics when it is dropped.
#[test]
fn what_a_swallowed_panic_carried_may_panic_too() {
    struct Payload;

    impl Drop for Payload {
        fn drop(&mut self) {
            resume_unwind(Box::new("a payload of the tests"));
        }
    }

    struct Panics;

    impl std::task::Wake for Panics {
        fn wake(self: std::sync::Arc<Self>) {
            std::panic::panic_any(Payload);
        }
    }

    let lock = RangeLock::new();
    let holder = lock.write(0..10);
    let wakers = [(); 2].map(|()| Waker::from(std::sync::Arc::new(Panics)));
    let waiting = wakers.map(|waker| {
        let mut future = Box::pin(lock.read_async(0..10));
        assert!(future.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        future
    });
    let panic = catch_unwind(AssertUnwindSafe(|| drop(holder)));
    std::mem::forget(panic.expect_err("the first one goes on"));
    drop(waiting);
    assert!(lock.try_write(..).is_some());
}

/// Calls `verb` while a request can wait for `most` pairs, and checks that it panics for that
/// reason.
fn exceeds<T>(most: usize, verb: impl FnOnce() -> T) {
    crate::waiter::tests::MAX_PAIRS.set(most);
    let panic = catch_unwind(AssertUnwindSafe(|| drop(verb())));
    crate::waiter::tests::MAX_PAIRS.set(usize::MAX);
    let message = panic.expect_err("it panics");
    let message = message.downcast_ref::<String>().expect("a message");
    assert!(message.contains("can wait for at most"), "{message}");
}

#[test]
fn a_request_that_would_wait_for_too_many_changes_nothing() {
    let (lock, other) = (RangeLock::builder().bypass(2).build(), RangeLock::new());
    let readers = [0..10, 5..15, 10..20].map(|range| lock.read(range));
    let before = lock.requests().len();
    exceeds(2, || lock.write(0..20));
    exceeds(2, || lock.try_write_for(0..20, SOON));
    exceeds(2, || poll(&mut (Box::pin(lock.write_async(0..20)) as Pin<Box<dyn Future<Output = _>>>)));
    let two = || [Request::write(&lock, 0..20), Request::write(&other, ..)];
    exceeds(2, || RangeLock::acquire_many(two()));
    exceeds(2, || RangeLock::try_acquire_many_for(two(), SOON));
    assert_eq!((lock.requests().len(), other.requests().len()), (before, 0));
    crate::waiter::tests::MAX_PAIRS.set(3);
    assert!(lock.try_write_for(0..20, SOON).is_none(), "three it can wait for");
    crate::waiter::tests::MAX_PAIRS.set(usize::MAX);
    drop(readers);
    assert!(lock.try_write(..).is_some());
}

#[test]
fn a_change_that_would_let_others_wait_for_too_many_changes_nothing() {
    for cut in [false, true] {
        let lock = RangeLock::new();
        assert!(!cut || __private::cut(&lock, 10));
        // Two readers wait for a writer each; the second one, which comes later, for two.
        let looking = || lock.upgradable_read(0..30);
        let guard = looking();
        let held = [lock.read(0..1), lock.read(29..30)];
        let mut writers = [1..2, 28..29, 28..29].map(|range| {
            let mut writer: Pin<Box<dyn Future<Output = _>>> = Box::pin(lock.write_async(range));
            assert!(poll(&mut writer).is_pending());
            writer
        });
        let mut readers = [1..2, 28..29].map(|range| {
            let mut reader: Pin<Box<dyn Future<Output = _>>> = Box::pin(lock.read_async(range));
            assert!(poll(&mut reader).is_pending());
            reader
        });
        // The first reader would wait for two, the second for three.
        exceeds(2, || RangeUpgradableReadGuard::try_upgrade(guard));
        // The guard was released by unwinding; all who waited for it are let in in their turns.
        assert!(poll(&mut writers[0]).is_ready() && poll(&mut readers[0]).is_ready());
        assert!(poll(&mut writers[1]).is_ready() && poll(&mut writers[2]).is_ready());
        assert!(poll(&mut readers[1]).is_ready());
        drop(held);

        let guard = looking();
        let held = [0, 29].map(|at| lock.read(at..=at));
        exceeds(1, || RangeUpgradableReadGuard::upgrade(guard));
        drop(held);

        // A split: the first waits for the guard alone, the second for the first as well.
        let guard = lock.write(0..30);
        let mut waiting = [5..15, 5..15].map(|range| {
            let mut writer: Pin<Box<dyn Future<Output = _>>> = Box::pin(lock.write_async(range));
            assert!(poll(&mut writer).is_pending());
            writer
        });
        exceeds(2, || RangeWriteGuard::split_at(guard, 10));
        assert!(poll(&mut waiting[0]).is_ready() && poll(&mut waiting[1]).is_ready());
        drop((writers, readers, waiting));
        assert!(lock.requests().is_empty() && lock.try_write(..).is_some());
    }
}

/// One that has passed neither spins nor yields, and no other request finds it in its way.
#[test]
fn a_deadline_that_has_passed_is_not_waited_for() {
    use std::time::Instant;

    for cut in [false, true] {
        let (lock, other) = (RangeLock::new(), RangeLock::new());
        assert!(!cut || __private::cut(&lock, 10));
        let holder = lock.write(5..15);
        let looking = RangeLock::upgradable_read(&other, ..);
        let reader = other.read(0..1);
        let before = (lock.requests().len(), other.requests().len());
        let mut looking = Some(looking);
        let waits = crate::spin::counted::waits_in(|| {
            for past in [Instant::now(), Instant::now() - Duration::from_secs(1)] {
                assert!(lock.try_read_until(0..20, past).is_none());
                assert!(lock.try_upgradable_read_until(14..16, past).is_none());
                assert!(lock.try_write_until(14..16, past).is_none());
                assert!(lock.try_write_for(0..=9, Duration::ZERO).is_none());
                let two = [Request::read(&lock, 0..6), Request::read(&other, ..)];
                assert!(RangeLock::try_acquire_many_until(two, past).is_none());
                let held = looking.take().unwrap();
                looking = RangeUpgradableReadGuard::try_upgrade_until(held, past).err();
                // What is free is granted nevertheless.
                assert!(lock.try_write_until(15..30, past).is_some());
                assert!(RangeLock::try_acquire_many_until([Request::write(&lock, 0..5)], past).is_some());
            }
        });
        assert_eq!(waits, [], "pauses and yields");
        assert_eq!((lock.requests().len(), other.requests().len()), before);
        drop((holder, looking, reader));
        assert!(lock.try_write(..).is_some() && other.try_write(..).is_some());
    }
}

/// A yield may take as long as the others want the CPU.
#[test]
fn a_deadline_that_passes_during_a_yield_is_the_last_one() {
    use std::time::Instant;

    use crate::spin::counted::{Wait, waits_in_with};

    thread_local! {
        static DEADLINE: Cell<Option<Instant>> = const { Cell::new(None) };
    }
    let lock = RangeLock::new();
    let _holder = lock.write(0..10);
    let deadline = Instant::now() + Duration::from_millis(300);
    DEADLINE.set(Some(deadline));
    let others_run = || while Instant::now() < DEADLINE.get().unwrap() {};
    let waits = waits_in_with(others_run, || assert!(lock.try_write_until(0..10, deadline).is_none()));
    assert_eq!(waits.iter().filter(|wait| **wait == Wait::Yield).count(), 1);
}

/// A request that is queued has an id, which no later one has.
#[test]
fn a_request_whose_deadline_has_passed_is_not_queued() {
    use std::time::Instant;

    let lock = RangeLock::new();
    let holder = lock.write(0..10);
    let next_id = || {
        let _probe = lock.write(90..91);
        lock.requests().last().expect("the probe is listed").id().get()
    };
    let before = next_id();
    let past = Instant::now();
    assert!(lock.try_read_until(5..20, past).is_none());
    assert!(lock.try_write_for(0..1, Duration::ZERO).is_none());
    let two = [Request::write(&lock, 5..6), Request::read(&lock, 50..60)];
    assert!(RangeLock::try_acquire_many_until(two, past).is_none());
    assert_eq!(next_id(), before + 1);
    drop(holder);
}

/// The deadline of an upgrade comes, then the last reader leaves, and only then is the upgrade to
/// be taken back: it stays.
#[test]
fn an_upgrade_that_is_granted_before_it_is_taken_back_is_kept() {
    for cut in [None, Some(5)] {
        let lock = RangeLock::builder().max_leaves(2).build();
        assert!(cut.is_none_or(|cut| __private::cut(&lock, cut)));
        let reader = lock.read(0..10);
        let claim = Claim { span: Span { first: 0, last: 9 }, mode: Mode::Upgradable };
        let Entered::Granted(hold) = request::enter(lock.partition(), claim) else {
            panic!("nothing is in its way")
        };
        let waiter = request::begin_upgrade(lock.partition(), &hold).expect("a reader is in");
        drop(reader);
        assert!(waiter.is_granted());
        assert!(request::cancel_upgrade(lock.partition(), &hold), "it was granted");
        assert_eq!(lock.requests()[0].to_string(), "write 0..=9 held");
        assert!(lock.try_read(0..10).is_none());
        request::release(lock.partition(), &hold);
        assert!(lock.try_write(..).is_some());
    }
}
