//! Guards at their edges: what panics, and what is held afterwards; what is empty; what they print.

mod common;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::{check_free, requests};
use range_lock::{
    __private, ArcRangeReadGuard, ArcRangeUpgradableReadGuard, ArcRangeWriteGuard, Mode, RangeLock,
    RangeReadGuard, RangeUpgradableReadGuard, RangeWriteGuard, Request, RequestState,
};

/// What `f` panics with.
fn panics(f: impl FnOnce()) -> String {
    let panic = catch_unwind(AssertUnwindSafe(f)).expect_err("it panics");
    match panic.downcast::<String>() {
        Ok(message) => *message,
        Err(panic) => (*panic.downcast::<&str>().unwrap()).to_owned(),
    }
}

#[test]
fn shrinking_to_what_is_not_held_panics_and_changes_nothing() {
    let lock = RangeLock::new();
    let mut guard = lock.write(10..20);
    for outside in [9..15, 15..21, 0..5, 5..30] {
        let message = panics(|| RangeWriteGuard::shrink(&mut guard, outside));
        assert!(message.ends_with("is not part of the range held, 10..=19"), "{message}");
        assert_eq!(requests(&lock), ["write 10..=19 held"]);
    }
    RangeWriteGuard::shrink(&mut guard, 10..20);
    assert_eq!(guard.range(), 10..=19);
    // What is empty is part of anything, and holds nothing to shrink to.
    RangeWriteGuard::shrink(&mut guard, 500..500);
    assert!(guard.range().is_empty());
    let message = panics(|| RangeWriteGuard::shrink(&mut guard, 10..11));
    assert_eq!(message, "range 10..=10 is not part of the range held, 1..=0");
    check_free(&lock);
}

#[test]
fn splitting_outside_panics_and_releases() {
    let lock = RangeLock::new();
    for mid in [0, 9, 21, u64::MAX] {
        let message = panics(|| drop(RangeReadGuard::split_at(lock.read(10..20), mid)));
        assert_eq!(message, format!("cannot split at {mid}: the range held is 10..=19"));
        check_free(&lock);
    }
    let (empty, all) = RangeReadGuard::split_at(lock.read(10..20), 10);
    assert_eq!((empty.range().is_empty(), all.range()), (true, 10..=19));
    let (all, empty) = RangeReadGuard::split_at(all, 20);
    assert_eq!((all.range(), empty.range().is_empty()), (10..=19, true));
    let (last, none) = RangeReadGuard::split_at(lock.read(..), u64::MAX);
    assert_eq!((last.range(), none.range()), (0..=u64::MAX - 1, u64::MAX..=u64::MAX));
}

#[test]
fn timed_verbs_of_all_kinds_succeed_and_give_up() {
    let lock = Arc::new(RangeLock::new());
    let (soon, now) = (Duration::ZERO, Instant::now());
    let tries = |range: std::ops::Range<u64>| {
        [
            lock.try_read_for(range.clone(), soon).map(|guard| guard.range()),
            lock.try_read_until(range.clone(), now).map(|guard| guard.range()),
            lock.try_read_arc_for(range.clone(), soon).map(|guard| guard.range()),
            lock.try_read_arc_until(range.clone(), now).map(|guard| guard.range()),
            lock.try_upgradable_read_for(range.clone(), soon).map(|guard| guard.range()),
            lock.try_upgradable_read_until(range.clone(), now).map(|guard| guard.range()),
            lock.try_upgradable_read_arc_for(range.clone(), soon).map(|guard| guard.range()),
            lock.try_upgradable_read_arc_until(range.clone(), now).map(|guard| guard.range()),
            lock.try_write_for(range.clone(), soon).map(|guard| guard.range()),
            lock.try_write_until(range.clone(), now).map(|guard| guard.range()),
            lock.try_write_arc_for(range.clone(), soon).map(|guard| guard.range()),
            lock.try_write_arc_until(range.clone(), now).map(|guard| guard.range()),
            RangeLock::try_acquire_many_for([Request::write(&lock, range.clone())], soon)
                .map(|guard| guard.ranges().next().unwrap().1),
            RangeLock::try_acquire_many_until([Request::write(&lock, range.clone())], now)
                .map(|guard| guard.ranges().next().unwrap().1),
        ]
    };
    assert_eq!(tries(3..7), [const { Some(3..=6) }; 14]);
    let holder = lock.write(6..7);
    assert_eq!(tries(3..7), [const { None }; 14]);
    assert_eq!(tries(3..6), [const { Some(3..=5) }; 14]);
    drop(holder);

    let reader = lock.read(0..1);
    let looking = lock.upgradable_read(0..10);
    let looking = RangeUpgradableReadGuard::try_upgrade_until(looking, now).unwrap_err();
    drop(reader);
    drop(RangeUpgradableReadGuard::try_upgrade_until(looking, now).unwrap());
    let looking = lock.upgradable_read_arc(0..10);
    drop(ArcRangeUpgradableReadGuard::try_upgrade_for(looking, soon).unwrap());
    check_free(&lock);
}

#[test]
fn owned_guards_change_as_borrowed_ones_do() {
    let lock = Arc::new(RangeLock::new());
    let (left, mut right) = ArcRangeWriteGuard::split_at(lock.write_arc(0..10), 5);
    ArcRangeWriteGuard::shrink(&mut right, 7..8);
    let left = ArcRangeWriteGuard::downgrade(left);
    let right = ArcRangeWriteGuard::downgrade_to_upgradable(right);
    assert_eq!(requests(&lock), ["read 0..=4 held", "upgradable read 7..=7 held"]);
    let right = ArcRangeUpgradableReadGuard::upgrade(right);
    assert_eq!(requests(&lock), ["read 0..=4 held", "write 7..=7 held"]);
    let (a, b) = ArcRangeReadGuard::split_at(left, 1);
    drop((a, right));
    assert_eq!(requests(&lock), ["read 1..=4 held"]);
    drop(b);
    assert_eq!(Arc::strong_count(&lock), 1);
    check_free(&lock);
}

#[test]
fn what_is_printed() {
    let lock = Arc::new(RangeLock::new());
    assert_eq!(format!("{:?}", lock.read(0..1)), "RangeReadGuard { range: 0..=0, .. }");
    assert_eq!(format!("{:?}", lock.write_arc(0..1)), "ArcRangeWriteGuard { range: 0..=0, .. }");
    let many = RangeLock::acquire_many([Request::write(&lock, 0..1), Request::read(&lock, 5..=9)]);
    assert_eq!(
        format!("{many:?}"),
        "[Claim { span: 0..=0, mode: Write }, Claim { span: 5..=9, mode: Read }]"
    );
    let request = &lock.requests()[1];
    assert_eq!((request.range(), request.mode(), request.state()), (5..=9, Mode::Read, RequestState::Held));
    assert_eq!(format!("{:?}", Request::write(&lock, 0..1)), "Request(Write 0..=0)");
    assert_eq!(format!("{:?}", Request::write(&lock, 0..0)), "Request(empty)");
}

#[test]
fn leaks_are_undone_in_all_parts() {
    let mut lock = RangeLock::builder().max_leaves(4).build();
    assert!(__private::cut(&lock, 50) && __private::cut(&lock, 70));
    for range in [0..10, 40..60, 80..90] {
        std::mem::forget(lock.write(range));
    }
    assert_eq!(requests(&lock).len(), 3);
    lock.undo_leak();
    check_free(&lock);
    assert_eq!(__private::parts(&lock), 3, "it is cut as before");
}

#[cfg(feature = "async")]
#[test]
fn what_futures_print() {
    use std::pin::Pin;
    use std::task::{Context, Waker};

    let lock = RangeLock::new();
    let holder = lock.write(..);
    let mut cx = Context::from_waker(Waker::noop());
    let mut one = lock.read_async(..);
    assert_eq!(format!("{one:?}"), "Read { waiting: false, .. }");
    assert!(Pin::new(&mut one).poll(&mut cx).is_pending());
    assert_eq!(format!("{one:?}"), "Read { waiting: true, .. }");
    let mut many = RangeLock::acquire_many_async([Request::read(&lock, ..)]);
    assert_eq!(format!("{many:?}"), "AcquireMany { waiting: false, .. }");
    assert!(Pin::new(&mut many).poll(&mut cx).is_pending());
    assert_eq!(format!("{many:?}"), "AcquireMany { waiting: true, .. }");
    drop((one, many, holder));
    check_free(&lock);
}
