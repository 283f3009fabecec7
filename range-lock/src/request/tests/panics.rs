//! A waker that panics while a request enters, or while a guard is dropped.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use super::MEANWHILE;
use super::histories::{Guard, Pending};
use super::wakers::{CALLS, PANICS, Timer, WOKEN, poll, unwinding, waker};
use crate::sync::Arc;
use crate::{
    ArcRangeUpgradableReadGuard, ManyGuard, RangeLock, RangeReadGuard, RangeRwLock,
    RangeRwLockUpgradableReadGuard, RangeUpgradableReadGuard, Request,
};

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

/// Any one call of user code panics in the poll that gives up the upgrade.
#[test]
fn an_upgrade_that_is_given_up_while_user_code_panics_releases_the_range() {
    let lock = Arc::new(RangeLock::new());
    let elements = RangeRwLock::new(vec![0; 10]);
    // The waker is cloned, the one before is dropped, then the timer, and the waker.
    for call in 0..4 {
        let readers = (lock.read(0..5), elements.read(0..5));
        let upgrades: [Pin<Box<dyn Future<Output = ()> + '_>>; 3] = [
            Box::pin(async {
                let guard = lock.upgradable_read(0..10);
                _ = RangeUpgradableReadGuard::try_upgrade_async(guard, Timer::default()).await;
            }),
            Box::pin(async {
                let guard = elements.upgradable_read(0..10);
                _ = RangeRwLockUpgradableReadGuard::try_upgrade_async(guard, Timer::default()).await;
            }),
            Box::pin(async {
                let guard = lock.upgradable_read_arc(0..10);
                _ = ArcRangeUpgradableReadGuard::try_upgrade_async(guard, Timer::default()).await;
            }),
        ];
        for mut upgrade in upgrades {
            assert!(poll(&mut upgrade).is_pending());
            CALLS.set(0);
            PANICS.set(call..call + 1);
            assert!(unwinding(|| poll(&mut upgrade)).is_none(), "call {call}");
            PANICS.set(0..0);
            drop(upgrade);
            let left = [&lock, elements.range_lock()].map(|lock| lock.requests().len());
            assert_eq!(left, [1, 1], "call {call}: only the readers are in");
        }
        drop(readers);
    }
    assert!(lock.try_write(..).is_some() && elements.try_write(..).is_some());
}

/// The upgrade is granted in the poll in which the timer's drop panics.
#[test]
fn an_upgrade_that_is_granted_while_its_timer_panics_releases_the_range() {
    let lock = RangeLock::new();
    let guard = lock.upgradable_read(0..10);
    let mut upgrade: Pin<Box<dyn Future<Output = _> + '_>> =
        Box::pin(RangeUpgradableReadGuard::try_upgrade_async(guard, Timer::default()));
    CALLS.set(0);
    PANICS.set(0..1);
    assert!(unwinding(|| poll(&mut upgrade)).is_none(), "the timer's drop panics");
    PANICS.set(0..0);
    drop(upgrade);
    assert!(lock.requests().is_empty());
    assert!(lock.try_write(..).is_some());
}

#[test]
fn a_guard_of_several_ranges_is_shrunk_whole_while_a_waker_panics() {
    let lock = RangeLock::new();
    let mut guard = RangeLock::acquire_many([Request::write(&lock, 0..100)]);
    let mut waiting = [0..5, 60..70].map(|range| {
        let future: Pin<Box<dyn Future<Output = _>>> = Box::pin(lock.write_async(range));
        future
    });
    waiting.iter_mut().for_each(|future| assert!(poll(future).is_pending()));
    CALLS.set(0);
    WOKEN.set(0);
    PANICS.set(0..usize::MAX);
    assert!(unwinding(|| ManyGuard::shrink(&mut guard, &lock, 40..50)).is_none(), "a waker panics");
    PANICS.set(0..0);
    assert_eq!(WOKEN.get(), 2);
    let held: Vec<_> = guard.ranges().map(|(_, range, _)| range).collect();
    assert_eq!(held, [40..=49]);
    drop((guard, waiting));
    assert!(lock.requests().is_empty());
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
