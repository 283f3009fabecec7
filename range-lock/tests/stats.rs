//! Statistics: every way to acquire counts, in the right mode and once.

mod common;

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use common::{ask, check_free, requests, until_waiting};
use range_lock::{
    __private, ManyGuard, Mode, RangeLock, RangeReadGuard, RangeUpgradableReadGuard, RangeWriteGuard,
    Request, Stats,
};

/// (acquisitions, contended, gave up) for reading, upgradable reading and writing.
fn counts(stats: &Stats) -> [(u64, u64, u64); 3] {
    [Mode::Read, Mode::Upgradable, Mode::Write].map(|mode| {
        let stats = stats.of(mode);
        (stats.acquisitions(), stats.contended(), stats.gave_up())
    })
}

const NONE: (u64, u64, u64) = (0, 0, 0);
const LONG: Duration = Duration::from_secs(3600);
const SOON: Duration = Duration::from_millis(1);
/// Longer than any wait of a test.
const A_WHILE: Duration = Duration::from_secs(60);

#[test]
fn granted_at_once() {
    let lock = Arc::new(RangeLock::new());
    let soon = || Instant::now() + LONG;
    drop(lock.read(0..10));
    drop(lock.try_read(0..10).unwrap());
    drop(lock.try_read_for(0..10, LONG).unwrap());
    drop(lock.try_read_until(0..10, soon()).unwrap());
    drop(lock.upgradable_read(0..10));
    drop(lock.try_upgradable_read(0..10).unwrap());
    drop(lock.write_arc(0..10));
    drop(lock.try_write_arc(0..10).unwrap());
    drop(lock.try_write_arc_for(0..10, LONG).unwrap());
    drop(lock.try_write_arc_until(0..10, soon()).unwrap());
    assert_eq!(counts(&lock.stats()), [(4, 0, 0), (2, 0, 0), (4, 0, 0)]);
    assert_eq!(lock.stats().all().waits().longest(), Duration::ZERO);
}

#[test]
fn what_does_not_enter_does_not_count() {
    let lock = RangeLock::new();
    let holder = lock.write(0..10);
    let before = lock.stats();
    assert!(lock.try_read(5..15).is_none());
    assert!(RangeLock::try_acquire_many([Request::write(&lock, 5..15)]).is_none());
    drop((lock.write(3..3), lock.try_read(20..20), RangeLock::acquire_many([])));
    let (left, mut right) = RangeWriteGuard::split_at(holder, 5);
    RangeWriteGuard::shrink(&mut right, 5..7);
    drop(RangeWriteGuard::downgrade(left));
    assert_eq!(lock.stats() - before, Stats::default());
}

#[test]
fn a_wait_counts_when_it_is_over() {
    let lock = RangeLock::new();
    let holder = lock.write(0..10);
    let mut longest = Duration::ZERO;
    let begun = Instant::now();
    thread::scope(|scope| {
        let reader = ask(scope, || lock.read(0..5));
        let timed = ask(scope, || lock.try_upgradable_read_for(5..10, LONG));
        until_waiting(&lock, 2);
        assert_eq!(counts(&lock.stats()), [NONE, NONE, (1, 0, 0)]);
        let waited = lock.requests().iter().filter_map(|r| r.since()).min().unwrap().elapsed();
        drop(holder);
        drop((reader.recv().unwrap(), timed.recv().unwrap().unwrap()));
        longest = longest.max(waited);
    });
    let stats = lock.stats();
    assert_eq!(counts(&stats), [(1, 1, 0), (1, 1, 0), (1, 0, 0)]);
    let all = stats.all();
    assert_eq!((all.acquisitions(), all.contended(), all.gave_up()), (3, 2, 0));
    assert!(longest <= all.waits().longest() && all.waits().longest() <= begun.elapsed());
    assert!(all.waits().longest() <= all.waits().total());
    check_free(&lock);
}

#[test]
fn giving_up_counts() {
    let lock = RangeLock::new();
    let holder = lock.read(0..10);
    assert!(lock.try_write_for(0..10, SOON).is_none());
    assert!(lock.try_write_until(0..10, Instant::now() + SOON).is_none());
    assert!(lock.try_write_until(0..10, Instant::now()).is_none(), "did not wait, and is not counted");
    assert!(RangeLock::try_acquire_many_for([Request::write(&lock, 0..10)], SOON).is_none());
    let upgradable = lock.upgradable_read(5..6);
    let upgradable = RangeUpgradableReadGuard::try_upgrade_for(upgradable, SOON).unwrap_err();
    assert_eq!(counts(&lock.stats()), [(1, 0, 0), (1, 0, 0), (0, 0, 4)]);
    assert_eq!(lock.stats().all().waits().count(), 0);
    drop((holder, upgradable));
}

#[test]
fn an_upgrade_is_a_request_for_writing() {
    let lock = RangeLock::new();
    drop(RangeUpgradableReadGuard::upgrade(lock.upgradable_read(0..10)));
    drop(RangeUpgradableReadGuard::try_upgrade(lock.upgradable_read(0..10)).unwrap());
    assert_eq!(counts(&lock.stats()), [NONE, (2, 0, 0), (2, 0, 0)]);
    let reader = lock.read(0..10);
    let upgradable = lock.upgradable_read(0..10);
    let Err(upgradable) = RangeUpgradableReadGuard::try_upgrade(upgradable) else { panic!() };
    thread::scope(|scope| {
        let writer = ask(scope, || RangeUpgradableReadGuard::upgrade(upgradable));
        until_waiting(&lock, 1);
        drop(reader);
        drop(writer.recv().unwrap());
    });
    assert_eq!(counts(&lock.stats()), [(1, 0, 0), (3, 0, 0), (3, 1, 0)]);
}

#[test]
fn several_ranges_count_once_in_each_lock() {
    let (a, b) = (RangeLock::new(), RangeLock::new());
    let ranges = || {
        [
            Request::read(&a, 0..10),
            Request::write(&a, 20..30),
            Request::read(&b, 0..10),
            Request::read(&b, 20..30),
        ]
    };
    drop(RangeLock::acquire_many(ranges()));
    drop(RangeLock::try_acquire_many(ranges()).unwrap());
    assert_eq!(counts(&a.stats()), [NONE, NONE, (2, 0, 0)]);
    assert_eq!(counts(&b.stats()), [(2, 0, 0), NONE, NONE]);

    let holder = b.write(5..6);
    assert!(RangeLock::try_acquire_many_for(ranges(), SOON).is_none());
    thread::scope(|scope| {
        let many = ask(scope, || RangeLock::acquire_many(ranges()));
        until_waiting(&b, 2);
        drop(holder);
        drop(many.recv().unwrap());
    });
    assert_eq!(counts(&a.stats()), [NONE, NONE, (3, 1, 1)]);
    assert_eq!(counts(&b.stats()), [(3, 1, 1), NONE, (1, 0, 0)]);
}

#[test]
fn an_upgrade_of_several_ranges_counts_in_the_locks_of_upgradable_ones() {
    let (a, b) = (RangeLock::new(), RangeLock::new());
    let upgradable = || {
        let ranges = [
            Request::read(&a, 0..5), // The one that begins first is not upgradable.
            Request::upgradable_read(&a, 5..10),
            Request::upgradable_read(&a, 20..30),
            Request::read(&b, 0..10),
        ];
        RangeLock::acquire_many(ranges)
    };
    let mut guard = upgradable();
    assert!(ManyGuard::try_upgrade_for(&mut guard, A_WHILE));
    drop(guard);
    let mut guard = upgradable();
    assert!(ManyGuard::try_upgrade(&mut guard));
    drop(guard);
    assert_eq!(counts(&a.stats()), [NONE, (2, 0, 0), (2, 0, 0)]);
    assert_eq!(counts(&b.stats()), [(2, 0, 0), NONE, NONE]);
    let reader = a.read(0..10);
    let mut guard = upgradable();
    assert!(!ManyGuard::try_upgrade(&mut guard));
    assert!(!ManyGuard::try_upgrade_for(&mut guard, SOON));
    thread::scope(|scope| {
        let writer = ask(scope, move || {
            assert!(ManyGuard::try_upgrade_for(&mut guard, A_WHILE));
            guard
        });
        until_waiting(&a, 2);
        drop(reader);
        drop(writer.recv().unwrap());
    });
    assert_eq!(counts(&a.stats()), [(1, 0, 0), (3, 0, 0), (3, 1, 1)]);
    assert_eq!(counts(&b.stats()), [(3, 0, 0), NONE, NONE]);
}

#[test]
fn what_a_part_has_counted_outlasts_its_join() {
    let lock = RangeLock::builder().max_leaves(4).build();
    assert!(__private::cut(&lock, 50));
    drop((lock.write(0..10), lock.read(60..70), lock.read(60..70)));
    let expected = [(2, 0, 0), NONE, (1, 0, 0)];
    assert_eq!(counts(&lock.stats()), expected);
    assert!(__private::join(&lock, 0));
    assert_eq!(counts(&lock.stats()), expected, "joined");
    assert!(__private::cut(&lock, 60));
    assert_eq!(counts(&lock.stats()), expected, "counted once, also when the part is used again");
}

#[test]
fn leaked_requests_have_counted() {
    let mut lock = RangeLock::new();
    std::mem::forget(lock.write(0..10));
    lock.undo_leak();
    drop(RangeReadGuard::split_at(lock.read(0..10), 5));
    assert_eq!(counts(&lock.stats()), [(1, 0, 0), NONE, (1, 0, 0)]);
    assert_eq!(requests(&lock), [""; 0]);
}

/// Tasks count as threads do.
#[cfg(feature = "async")]
mod tasks {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    fn poll<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
        pin!(future).poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn granted_waiting_and_dropped() {
        let lock = Arc::new(RangeLock::new());
        let Poll::Ready(writer) = poll(&mut lock.write_async(0..10)) else { panic!() };
        let (mut read, mut dropped, mut late) =
            (lock.read_async(0..10), lock.read_arc_async(0..10), lock.write_async(0..10));
        for future in
            [poll(&mut read).is_pending(), poll(&mut dropped).is_pending(), poll(&mut late).is_pending()]
        {
            assert!(future);
        }
        drop(lock.read_async(0..10)); // Never polled: never entered.
        assert_eq!(counts(&lock.stats()), [NONE, NONE, (1, 0, 0)]);
        drop(dropped);
        assert_eq!(counts(&lock.stats()), [(0, 0, 1), NONE, (1, 0, 0)]);
        drop(writer);
        let Poll::Ready(reader) = poll(&mut read) else { panic!() };
        assert_eq!(counts(&lock.stats()), [(1, 1, 1), NONE, (1, 0, 0)]);
        drop(reader);
        drop(late); // Granted, but nobody saw it: handed on.
        assert_eq!(counts(&lock.stats()), [(1, 1, 1), NONE, (1, 0, 1)]);
        assert!(!lock.is_locked(..));
    }

    #[test]
    fn upgrades() {
        let lock = RangeLock::new();
        let reader = lock.read(0..10);
        let mut upgrade = RangeUpgradableReadGuard::upgrade_async(lock.upgradable_read(0..10));
        assert!(poll(&mut upgrade).is_pending());
        drop(upgrade);
        assert_eq!(counts(&lock.stats()), [(1, 0, 0), (1, 0, 0), (0, 0, 1)]);
        let mut upgrade = RangeUpgradableReadGuard::upgrade_async(lock.upgradable_read(0..10));
        assert!(poll(&mut upgrade).is_pending());
        drop(reader);
        assert!(poll(&mut upgrade).is_ready());
        let mut upgrade = RangeUpgradableReadGuard::upgrade_async(lock.upgradable_read(0..10));
        assert!(poll(&mut upgrade).is_ready());
        assert_eq!(counts(&lock.stats()), [(1, 0, 0), (3, 0, 0), (2, 1, 1)]);
    }

    #[test]
    fn several_ranges() {
        let (a, b) = (RangeLock::new(), RangeLock::new());
        let ranges = || [Request::write(&a, 0..10), Request::read(&b, 0..10)];
        let holder = a.read(5..6);
        let (mut dropped, mut waits) =
            (RangeLock::acquire_many_async(ranges()), RangeLock::acquire_many_async(ranges()));
        assert!(poll(&mut dropped).is_pending() && poll(&mut waits).is_pending());
        drop((dropped, holder));
        assert!(poll(&mut waits).is_ready());
        assert_eq!(counts(&a.stats()), [(1, 0, 0), NONE, (1, 1, 1)]);
        assert_eq!(counts(&b.stats()), [(1, 1, 1), NONE, NONE]);
    }
}
