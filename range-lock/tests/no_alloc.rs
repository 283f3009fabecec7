//! In the steady state acquiring and releasing allocate nothing: a counting allocator, and a
//! million pairs of all verbs.
//!
//! Warm-up is having had as many requests in the lock at a time as there ever will be, up to 256:
//! an empty part of the lock keeps memory for no more. What is counted are the allocations of the
//! threads that say so, while they say so: those of the test harness are none of ours.
//!
//! Not for Miri, which would take minutes to count what it counts no better.
#![cfg(not(miri))]

mod common;
#[path = "common/counting_allocator.rs"]
mod counting_allocator;

use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use common::{check_free, until_waiting};
use counting_allocator::{allocations, count_mine, counted};
use range_lock::{
    __private, ArcRangeReadGuard, ArcRangeUpgradableReadGuard, ArcRangeWriteGuard, RangeLock, RangeReadGuard,
    RangeUpgradableReadGuard, RangeWriteGuard, Request,
};

/// One test, so that no other allocates meanwhile.
#[test]
#[cfg_attr(
    feature = "deadlock_detection",
    ignore = "who blocks takes a backtrace; the tests without features run this"
)]
fn nothing_is_allocated_in_the_steady_state() {
    // Whatever the thread itself needs once, for sleeping say, is not the lock's.
    let locks = [(); 2].map(|()| Arc::new(RangeLock::new()));
    sleep_once();
    all_verbs(&locks, 1, LONG);
    let rounds = if cfg!(feature = "async") { 30_000 } else { 60_000 };
    let mut pairs = 0;
    assert_eq!(counted(|| pairs = all_verbs(&locks, rounds, SOON)), 0, "by all verbs of one thread");
    #[cfg(feature = "async")]
    {
        futures::all_verbs(&locks, 1);
        assert_eq!(counted(|| pairs += futures::all_verbs(&locks, rounds)), 0, "by futures");
    }
    assert!(pairs >= 1_000_000, "{pairs} pairs");
    locks.iter().for_each(|lock| check_free(lock));

    hand_over();
    wake_many();
    #[cfg(feature = "async")]
    futures::wake_many();
}

/// Every verb that a thread can use alone, contended ones (which fail, or time out) among them.
/// Returns the number of acquisitions.
fn all_verbs(locks: &[Arc<RangeLock>; 2], rounds: usize, long: Duration) -> usize {
    let [lock, other] = locks;
    let mut pairs = 0;
    let mut pair = |n| pairs += n;
    for round in 0..rounds {
        let now = Instant::now();
        // A deadline that has passed is not waited for. To wait for one takes long, so not every
        // round does.
        let soon = if round % 256 == 0 { long } else { Duration::ZERO };
        drop((lock.read(0..10), lock.read(5..15), lock.write(20..30), lock.upgradable_read(0..10)));
        drop((lock.try_read(0..1), lock.try_upgradable_read(0..1), lock.try_write(1..2)));
        drop((lock.try_read_for(.., soon), lock.try_upgradable_read_until(.., now)));
        drop(lock.try_write_for(.., soon));
        pair(10);

        let holder = lock.write_arc(0..100);
        assert!(lock.try_read(50..).is_none());
        assert!(lock.try_read_for(50.., soon).is_none());
        assert!(lock.try_upgradable_read_arc_until(50.., now).is_none());
        assert!(lock.try_write_arc_for(50.., soon).is_none());
        let (left, mut right) = ArcRangeWriteGuard::split_at(holder, 50);
        ArcRangeWriteGuard::shrink(&mut right, 60..70);
        let left = ArcRangeWriteGuard::downgrade_to_upgradable(left);
        let reader = lock.read_arc(0..10);
        let left = ArcRangeUpgradableReadGuard::try_upgrade(left).unwrap_err();
        let left = ArcRangeUpgradableReadGuard::try_upgrade_for(left, soon).unwrap_err();
        drop(reader);
        let left = ArcRangeUpgradableReadGuard::upgrade(left);
        let (mut left, right) = (ArcRangeWriteGuard::downgrade(left), ArcRangeWriteGuard::downgrade(right));
        ArcRangeReadGuard::shrink(&mut left, 0..0);
        drop((left, right));
        pair(2);

        let (left, mut right) = RangeWriteGuard::split_at(lock.write(..), 1 << 63);
        RangeWriteGuard::shrink(&mut right, 1 << 63..=1 << 63);
        let (a, b) = RangeReadGuard::split_at(RangeWriteGuard::downgrade(left), 1);
        drop((a, right, b));
        let looking = lock.upgradable_read(0..10);
        let changing = RangeUpgradableReadGuard::try_upgrade(looking).unwrap();
        drop(RangeUpgradableReadGuard::downgrade(RangeWriteGuard::downgrade_to_upgradable(changing)));
        pair(2);

        let four = [
            Request::read(lock, 0..10),
            Request::write(other, 10..20),
            Request::write(lock, 20..30),
            Request::read(other, 30..40),
        ];
        drop(RangeLock::acquire_many(four));
        drop(RangeLock::try_acquire_many(four));
        let holder = other.read(15..16);
        assert!(RangeLock::try_acquire_many(four).is_none());
        assert!(RangeLock::try_acquire_many_for(four, soon).is_none());
        drop(holder);
        drop(RangeLock::try_acquire_many_until(four, now));
        pair(4);
    }
    pairs
}

/// Long enough to be queued and to sleep, however busy the machine is: for what must not be missed.
const LONG: Duration = Duration::from_millis(20);
/// Long enough to be queued, most times.
const SOON: Duration = Duration::from_micros(100);

/// Threads that take the same ranges from each other, and sleep for them.
fn hand_over() {
    const THREADS: usize = 4;
    // Held to one part: what it takes to cut a lock, or to join its parts, is not part of the
    // steady state.
    let locks = [(); 2].map(|()| RangeLock::builder().max_leaves(1).build());
    warm_up(&locks, 8 * THREADS);
    let rounds = 500;
    let (ready, done) = (Barrier::new(THREADS), Barrier::new(THREADS));
    let before = allocations();
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (locks, ready, done) = (&locks, &ready, &done);
            scope.spawn(move || {
                let [lock, other] = locks;
                let round = |n: usize| match (n + thread) % 6 {
                    0 => drop(lock.read(0..10)),
                    1 => drop(lock.write(5..15)),
                    2 => {
                        let looking = lock.upgradable_read(0..15);
                        thread::yield_now();
                        drop(RangeUpgradableReadGuard::upgrade(looking));
                    }
                    3 => {
                        let (left, right) = RangeWriteGuard::split_at(lock.write(0..15), 10);
                        drop(RangeWriteGuard::downgrade(left));
                        thread::yield_now();
                        drop(right);
                    }
                    4 => {
                        let two = [Request::write(lock, 0..5), Request::write(other, 0..5)];
                        let _guard = RangeLock::acquire_many(two);
                        thread::yield_now();
                    }
                    _ => drop(lock.try_write_for(0..10, SOON)),
                };
                ready.wait();
                (0..100).for_each(round);
                sleep_once();
                ready.wait();
                count_mine(true);
                (0..rounds).for_each(round);
                count_mine(false);
                done.wait();
            });
        }
    });
    assert_eq!(allocations() - before, 0, "by handing over");
    locks.iter().for_each(check_free);
}

/// Makes a thread sleep in a lock of its own: what that takes the first time belongs to the thread.
/// So does what it needs to wait for a mutex, which may be seldom.
/// Where requests may be passed a thread sleeps at once, and does not yield until its time is over.
fn sleep_once() {
    let lock = RangeLock::builder().bypass(1).build();
    let holder = lock.write(..);
    assert!(lock.try_write_for(.., LONG).is_none());
    drop(holder);
    __private::prepare_to_wait();
}

/// Has `n` requests wait in each lock, and be granted.
fn warm_up(locks: &[RangeLock], n: usize) {
    for lock in locks {
        let holder = lock.write(..);
        thread::scope(|scope| {
            for _ in 0..n {
                scope.spawn(|| drop(lock.read(..)));
            }
            until_waiting(lock, n);
            drop(holder);
        });
    }
}

/// A hundred threads that are woken by one release.
fn wake_many() {
    let readers = 100;
    let lock = RangeLock::new();
    let rounds = 4;
    let start = Barrier::new(readers + 1);
    let before = allocations();
    thread::scope(|scope| {
        for _ in 0..readers {
            let (lock, start) = (&lock, &start);
            scope.spawn(move || {
                sleep_once(); // It may be granted before it sleeps, as long as it is not counted.
                for round in 0..rounds {
                    start.wait();
                    count_mine(round > 0);
                    drop(lock.read(..));
                    count_mine(false);
                    start.wait();
                }
            });
        }
        for round in 0..rounds {
            let holder = lock.write(..);
            start.wait();
            until_waiting(&lock, readers);
            count_mine(round > 0);
            drop(holder);
            count_mine(false);
            start.wait();
        }
    });
    assert_eq!(allocations() - before, 0, "by waking many");
    check_free(&lock);
}

#[cfg(feature = "async")]
mod futures {
    use std::future::Future;
    use std::pin::{Pin, pin};
    use std::task::{Context, Poll, Waker};

    use range_lock::future;

    use super::*;

    fn poll<F: Future>(future: &mut Pin<&mut F>) -> Poll<F::Output> {
        future.as_mut().poll(&mut Context::from_waker(Waker::noop()))
    }

    fn ready<F: Future>(future: F) -> F::Output {
        match poll(&mut pin!(future)) {
            Poll::Ready(output) => output,
            Poll::Pending => panic!("not granted at once"),
        }
    }

    /// Takes what `holder` holds: waits, is granted when that leaves, and leaves too.
    fn after<G>(holder: impl Sized, future: impl Future<Output = G>) -> G {
        let mut future = pin!(future);
        assert!(poll(&mut future).is_pending());
        drop(holder);
        match poll(&mut future) {
            Poll::Ready(guard) => guard,
            Poll::Pending => panic!("not granted when the holder left"),
        }
    }

    /// Every verb for tasks, contended and not. Returns the number of acquisitions.
    pub(super) fn all_verbs(locks: &[Arc<RangeLock>; 2], rounds: usize) -> usize {
        let [lock, other] = locks;
        for _ in 0..rounds {
            drop((ready(lock.read_async(0..10)), ready(lock.upgradable_read_async(0..10))));
            drop((ready(lock.write_async(10..20)), ready(lock.write_arc_async(20..30))));
            let guard = after(ready(lock.write_async(..)), lock.read_async(..));
            drop(guard);
            let guard = after(lock.read_arc(..), lock.write_arc_async(..));
            let guard = after(guard, lock.upgradable_read_async(..));
            let reader = lock.read(..);
            drop(after(reader, RangeUpgradableReadGuard::upgrade_async(guard)));
            let guard = after(lock.write(0..10), lock.upgradable_read_arc_async(..));
            let reader = lock.read(0..1);
            drop(after(reader, ArcRangeUpgradableReadGuard::upgrade_async(guard)));

            // Dropped while they wait, and dropped when granted.
            let holder = lock.write(..);
            {
                let mut waits = pin!(lock.read_async(..));
                assert!(poll(&mut waits).is_pending());
            }
            {
                let mut granted = pin!(lock.read_arc_async(..));
                assert!(poll(&mut granted).is_pending());
                drop(holder);
            }

            let four = [
                Request::read(lock, 0..10),
                Request::write(other, 10..20),
                Request::write(lock, 20..30),
                Request::read(other, 30..40),
            ];
            drop(ready(RangeLock::acquire_many_async(four)));
            drop(after(other.write(0..100), RangeLock::acquire_many_async(four)));
            drop(after((lock.write(..), other.write(..)), RangeLock::acquire_many_async(four)));
        }
        17 * rounds
    }

    /// A hundred tasks that are woken by one release.
    pub(super) fn wake_many() {
        let lock = RangeLock::new();
        let mut tasks: Vec<future::Read<'_>> = Vec::with_capacity(100);
        for round in 0..20 {
            let allocated = counted(|| {
                let holder = lock.write(..);
                tasks.extend((0..100).map(|_| lock.read_async(..)));
                tasks.iter_mut().for_each(|task| assert!(poll(&mut Pin::new(task)).is_pending()));
                drop(holder);
                tasks.iter_mut().for_each(|task| assert!(poll(&mut Pin::new(task)).is_ready()));
                tasks.clear();
            });
            assert!(allocated == 0 || round == 0, "{allocated} by waking many tasks");
        }
        check_free(&lock);
    }
}
