//! A verb that would make a request wait for too many others panics, and changes nothing.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;

use super::SOON;
use super::wakers::poll;
use crate::__private;
use crate::{RangeLock, RangeUpgradableReadGuard, RangeWriteGuard, Request};

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
