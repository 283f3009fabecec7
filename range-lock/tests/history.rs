//! Every bug that range locks are known to have had and that could be had here, as a test named after it.
//!
//! Each test names its source and says what went wrong there. Those that are about the order of
//! memory accesses or of threads are models and stand in `loom.rs`, under the names given here.
//! Hashes are commits of openzfs/zfs, spdk/spdk, facebook/rocksdb and lustre/lustre-release on
//! GitHub. The models:
//!
//! * thuaduc/concurrent-range-locking v2 marks a node with a plain load and store, and loses what is inserted behind it
//!   meanwhile: `three_writers_exclude`.
//! * A completion flag without ordering, found in several hand-over schemes: `a_reader_sees_what_the_writer_wrote`,
//!   `a_time_out_that_races_a_grant_loses_nothing`.
//! * OpenZFS 8926ab7a50 and 450dc149bd, where a condition variable was freed with sleepers on it, SPDK f79e44c3d3 (unlock
//!   against unregister) and TiKV #19957 (a guard's drop frees what it stands on):
//!   `an_owned_guard_is_released_on_another_thread_that_outlives_the_lock`.
//!
//! # What cannot be had here
//!
//! * Requests are read and changed under mutexes only, and what they lie in is freed only under them. So nobody meets the node of
//!   a failed try that is being freed (FreeBSD, `RL_TRYLOCK_FAILED_MARKED`), a list that is reclaimed during a walk (Odinfs), or
//!   an iterator that has been erased (flstar/RangeLock); and the tree is in safe code.
//! * There are no reader slots that a writer must revoke (Odinfs, `BRAVO_NO_REVOCATION`).
//! * What users of range locks did wrong is not the lock's to prevent: locks taken in two orders (OpenZFS a140dc5469), ranges
//!   narrower than what is touched (OpenZFS f763c3d1df), endless retries under a range (OpenZFS 54828b3aa2), a copy that faults on
//!   the range held (Jan Kara, linux-fsdevel, 27 September 2013). The second of two orders is found by feature
//!   `deadlock_detection`; the others concern `dax-sim`.

mod common;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use common::{ask, check_free, requests, until_waiting, waiting};
use range_lock::{
    ArcRangeWriteGuard, Mode, RangeLock, RangeReadGuard, RangeUpgradableReadGuard, RangeWriteGuard,
};

/// Longer than any test takes: for waits that must not end by it.
const LONG: Duration = Duration::from_secs(3600);
/// Long enough to be queued: a deadline that has passed is not.
const SOON: Duration = Duration::from_micros(100);

/// Linux, all versions of Bueso's lock that were posted ("Introduce range reader/writer lock", linux-mm, 20 May 2019, and
/// the copy in parallelNOVA): the cancel path clears the request's own reader mark before it asks whether both are readers,
/// and so takes itself out of the count of younger readers, who never counted it. They are then let in beside the writer.
#[test]
fn linux_reader_cancel_keeps_other_readers() {
    for cancelled in [Mode::Read, Mode::Write] {
        for other in [Mode::Read, Mode::Write] {
            linux_cancel(cancelled, other);
        }
    }
}

fn linux_cancel(cancelled: Mode, other: Mode) {
    let lock = RangeLock::new();
    // The time-out must find both in the queue; where the machine is too slow for that, try with more time.
    for attempt in 1.. {
        let holder = lock.write(0..=100);
        let both_queued = thread::scope(|scope| {
            let timeout = Duration::from_millis(10 * attempt);
            let lock = &lock;
            let first = scope.spawn(move || match cancelled {
                Mode::Write => lock.try_write_for(0..=100, timeout).is_some(),
                _ => lock.try_read_for(0..=100, timeout).is_some(),
            });
            while waiting(lock) != 1 && !first.is_finished() {
                thread::yield_now();
            }
            let second = ask(scope, move || match other {
                Mode::Write => drop(lock.write(0..=100)),
                _ => drop(lock.read(0..=100)),
            });
            let mut both_queued = false;
            while !first.is_finished() {
                both_queued |= waiting(lock) == 2;
                thread::yield_now();
            }
            assert!(!first.join().unwrap());
            until_waiting(lock, 1); // The other one still waits for the writer ...
            assert!(second.try_recv().is_err());
            drop(holder);
            second.recv().unwrap(); // ... and is let in when it leaves.
            both_queued
        });
        check_free(&lock);
        if both_queued {
            return;
        }
    }
}

/// Linux, versions 1 and 2 of Bueso's lock: the task pointer is stored after the reader mark was set in its lowest bit, and
/// erases it, so that readers who wait look like writers to later readers.
#[test]
fn linux_waiting_reader_stays_a_reader() {
    let lock = RangeLock::new();
    let holder = lock.write(0..10);
    thread::scope(|scope| {
        let readers: Vec<_> = (1..=3)
            .map(|n| {
                let reader = ask(scope, || lock.read(0..10));
                until_waiting(&lock, n);
                reader
            })
            .collect();
        drop(holder);
        assert_eq!(requests(&lock), ["read 0..=9 held"; 3], "one release lets all of them in");
        readers.into_iter().for_each(|reader| drop(reader.recv().unwrap()));
    });
    check_free(&lock);
}

/// Linux, `range_write_trylock` and `range_is_locked`: they compare with the hull of all ranges in the tree, so a hole between
/// two holders counts as locked.
#[test]
fn linux_try_write_in_a_hole_between_holders() {
    let lock = RangeLock::new();
    let edges = (lock.write(0..10), lock.write(90..100));
    assert!(!lock.is_locked(40..50));
    assert!(lock.try_write(40..50).is_some());
    assert!(lock.try_write(10..90).is_some());
    assert!(lock.try_write(9..90).is_none());
    assert!(lock.try_read(10..91).is_none());
    drop(edges);
    check_free(&lock);
}

/// Linux 2018, `range_is_locked` again: true for ranges that somebody merely waits for. Ours says "held" and means it.
#[test]
fn linux_is_locked_does_not_count_waiters() {
    let lock = RangeLock::new();
    let holder = lock.read(0..10);
    thread::scope(|scope| {
        let writer = ask(scope, || lock.write(0..100));
        until_waiting(&lock, 1);
        assert!(lock.is_locked(0..10));
        assert!(!lock.is_locked(10..100));
        drop(holder);
        drop(writer.recv().unwrap());
    });
    check_free(&lock);
}

/// Odinfs, the list-based lock: a reader that validates stops at the first overlapping reader, so that a short reader in
/// front hides a writer behind it.
#[test]
fn odinfs_reader_does_not_hide_a_writer() {
    let lock = RangeLock::new();
    let holders = (lock.read(2..3), lock.write(5..8));
    assert!(lock.try_read(0..10).is_none());
    thread::scope(|scope| {
        let reader = ask(scope, || lock.read(0..10));
        until_waiting(&lock, 1);
        drop(holders.0);
        assert_eq!(waiting(&lock), 1);
        drop(holders.1);
        drop(reader.recv().unwrap());
    });
    check_free(&lock);
}

/// Odinfs, `range_write_upgrade`: locks `[0, start - 2]` instead of the range.
#[test]
fn odinfs_upgrade_keeps_to_its_range() {
    let lock = RangeLock::new();
    let upgraded = RangeUpgradableReadGuard::upgrade(lock.upgradable_read(1000..2000));
    assert_eq!(upgraded.range(), 1000..=1999);
    assert!(lock.try_write(..1000).is_some());
    assert!(lock.try_write(2000..).is_some());
    for inside in [1000, 1500, 1999] {
        assert!(lock.try_read(inside..=inside).is_none());
    }
    drop(upgraded);
    check_free(&lock);
}

/// Odinfs: after 10^9 turns of a spin loop the lock is taken as granted.
#[test]
fn odinfs_giving_up_is_not_success() {
    let lock = RangeLock::new();
    let holder = lock.write(0..10);
    assert!(lock.try_write_for(0..10, SOON).is_none());
    assert!(lock.try_read_until(0..10, Instant::now()).is_none());
    drop(holder);
    check_free(&lock);
}

/// Odinfs: resizing the table of segments frees the one in use. Ours grows its arena.
#[test]
fn odinfs_growing_keeps_held_and_waiting_requests() {
    let lock = RangeLock::new();
    let holder = lock.write(0..1);
    thread::scope(|scope| {
        let waiter = ask(scope, || lock.write(0..1));
        until_waiting(&lock, 1);
        let many: Vec<_> = (1..=1000).map(|n| lock.write(n..n + 1)).collect();
        drop(holder);
        drop(waiter.recv().unwrap());
        drop(many);
    });
    check_free(&lock);
}

/// raphaelsc/byte-range-lock-cpp: a range whose end lies inside a block leaves that block unlocked.
#[test]
fn raphaelsc_last_unaligned_part_is_locked() {
    let lock = RangeLock::new();
    let holder = lock.write(1023..1025);
    assert!(lock.try_write(1024..1025).is_none());
    assert!(lock.try_write(1023..1024).is_none());
    assert!(lock.try_write(1025..1026).is_some());
    assert!(lock.try_write(1022..1023).is_some());
    drop(holder);
    check_free(&lock);
}

/// raphaelsc/byte-range-lock-cpp, `try_lock`: one that fails half-way leaves an entry behind.
#[test]
fn raphaelsc_failed_try_leaves_nothing() {
    let lock = RangeLock::new();
    let holder = lock.write(50..60);
    for _ in 0..100 {
        assert!(lock.try_write(0..100).is_none());
        assert!(lock.try_read(0..100).is_none());
        assert!(lock.try_upgradable_read(0..100).is_none());
    }
    assert_eq!(requests(&lock), ["write 50..=59 held"]);
    drop(holder);
    check_free(&lock);
}

/// FreeBSD, `rangelock_may_recurse`: in its first mode the lock is one word, and a thread that takes two disjoint ranges
/// waits for itself.
#[test]
fn freebsd_one_thread_takes_two_ranges() {
    let lock = RangeLock::new();
    let first = lock.write(0..10);
    let second = lock.write(20..30);
    let third = lock.read(10..20);
    assert_eq!(lock.requests().len(), 3);
    drop((first, second, third));
    check_free(&lock);
}

/// OpenZFS #8379 and 9abbee4912: a range of length zero corrupts the tree.
#[test]
fn zfs_zero_length_range() {
    let lock = RangeLock::new();
    let holder = lock.write(0..10);
    let empty = (lock.write(5..5), lock.read(5..5), lock.try_write(0..0).unwrap());
    assert!(empty.0.range().is_empty());
    assert_eq!(requests(&lock), ["write 0..=9 held"], "an empty range never enters");
    drop(holder);
    assert!(lock.try_write(..).is_some(), "and conflicts with nothing");
    assert!(!lock.is_locked(5..5));
    let (left, right) = RangeWriteGuard::split_at(empty.0, 77);
    drop(RangeWriteGuard::downgrade(left));
    drop((right, empty.1, empty.2));
    check_free(&lock);
}

/// OpenZFS #8379, the other end: ranges that reach the largest offset there is.
#[test]
fn zfs_range_up_to_the_maximum() {
    let lock = RangeLock::new();
    for range in [0..=u64::MAX, u64::MAX..=u64::MAX, 1 << 63..=u64::MAX] {
        let holder = lock.write(range);
        assert!(lock.try_read(u64::MAX..).is_none());
        assert!(lock.try_read(u64::MAX - 1..=u64::MAX).is_none());
        drop(holder);
        check_free(&lock);
    }
    let holder = lock.write(..u64::MAX);
    assert!(lock.try_write(u64::MAX..).is_some());
    drop(holder);
    check_free(&lock);
}

/// OpenZFS 0daa0320e9: unlocking what a failed try returned. Here that does not compile, and neither does unlocking by range
/// (PhotonLibOS issue 1626; see below): `src/compile_fail.rs`.
#[test]
fn zfs_a_failed_try_gives_nothing_to_unlock() {
    let lock = RangeLock::new();
    let holder = lock.write(0..1);
    let failed: Option<RangeWriteGuard<'_>> = lock.try_write(0..1);
    drop(failed);
    assert!(lock.is_locked(0..1));
    drop(holder);
    check_free(&lock);
}

/// OpenZFS 7ff329ac2e: a range wider than needed serialises everything. Two disjoint writers must be able to meet inside.
#[test]
fn zfs_disjoint_writers_meet_inside() {
    let lock = RangeLock::new();
    let inside = Barrier::new(2);
    thread::scope(|scope| {
        for range in [0..4096, 4096..8192] {
            let (lock, inside) = (&lock, &inside);
            scope.spawn(move || {
                let _guard = lock.write(range);
                inside.wait();
            });
        }
    });
    check_free(&lock);
}

/// Lustre LU-15994 and LU-8735: any signal ends the wait. Here: an unpark that is none of the lock's.
#[test]
fn lustre_a_stray_wake_up_is_not_a_grant() {
    let lock = RangeLock::new();
    let holder = lock.write(0..10);
    let granted = AtomicUsize::new(0);
    thread::scope(|scope| {
        let sleeper = scope.spawn(|| {
            drop(lock.write(0..10));
            granted.store(1, Ordering::SeqCst);
        });
        until_waiting(&lock, 1);
        for _ in 0..100 {
            sleeper.thread().unpark();
            thread::yield_now();
        }
        assert_eq!(requests(&lock), ["write 0..=9 held", "write 0..=9 waiting"]);
        assert_eq!(granted.load(Ordering::SeqCst), 0);
        drop(holder);
    });
    check_free(&lock);
}

/// Lustre f785bca0a9: a split that is wrong after the data structure changed. The parts are disjoint and make up the whole,
/// and who waited for both halves waits for both.
#[test]
fn lustre_split_keeps_waiters_out() {
    let lock = RangeLock::new();
    let holder = lock.write(0..100);
    thread::scope(|scope| {
        let left_only = ask(scope, || lock.write(0..50));
        until_waiting(&lock, 1);
        let right_only = ask(scope, || lock.write(50..100));
        until_waiting(&lock, 2);
        let middle = ask(scope, || lock.write(49..=50));
        until_waiting(&lock, 3);
        let (left, right) = RangeWriteGuard::split_at(holder, 50);
        assert_eq!((left.range(), right.range()), (0..=49, 50..=99));
        assert_eq!(waiting(&lock), 3, "a split lets nobody in");
        drop(left);
        let left_only = left_only.recv().unwrap();
        assert_eq!(waiting(&lock), 2);
        drop(right);
        let right_only = right_only.recv().unwrap();
        assert_eq!(waiting(&lock), 1, "the one in the middle waits for both of them");
        drop(left_only);
        assert_eq!(waiting(&lock), 1);
        drop(right_only);
        drop(middle.recv().unwrap());
    });
    check_free(&lock);
}

/// SPDK cc4335f442: a child of a split I/O queues behind the request that its parent keeps out. Parts inherit the hold.
#[test]
fn spdk_split_parts_inherit_the_hold() {
    let lock = RangeLock::new();
    let parent = lock.write(0..100);
    thread::scope(|scope| {
        let whole = ask(scope, || lock.write(..));
        until_waiting(&lock, 1);
        let (first, rest) = RangeWriteGuard::split_at(parent, 30);
        let (second, third) = RangeWriteGuard::split_at(rest, 60);
        thread::scope(|scope| {
            for part in [first, second, third] {
                scope.spawn(move || drop(part));
            }
        });
        drop(whole.recv().unwrap());
    });
    check_free(&lock);
}

/// RocksDB c9878baa87: the request's own shared lock counts as a blocker of its upgrade.
#[test]
fn rocksdb_own_read_does_not_block_the_upgrade() {
    let lock = RangeLock::new();
    let looking = lock.upgradable_read(0..10);
    let changing = RangeUpgradableReadGuard::try_upgrade(looking).expect("nobody else is in");
    let looking = RangeWriteGuard::downgrade_to_upgradable(changing);
    let reader = lock.read(5..15);
    let looking = RangeUpgradableReadGuard::try_upgrade(looking).expect_err("a reader is in");
    let looking = RangeUpgradableReadGuard::try_upgrade_for(looking, SOON).expect_err("a reader is in");
    drop(lock.try_read(0..10).expect("an upgrade that was given up keeps no reader out"));
    thread::scope(|scope| {
        let changing = ask(scope, || RangeUpgradableReadGuard::upgrade(looking));
        until_waiting(&lock, 1);
        assert!(lock.try_read(0..1).is_none(), "nobody passes an upgrade");
        drop(reader);
        drop(changing.recv().unwrap());
    });
    check_free(&lock);
}

/// RocksDB d9d456de49: the owner of a lock is freed while another one's record says that it waits for it, and the report made of
/// that reads freed memory. A report here owns what it says.
#[test]
fn rocksdb_a_report_outlives_whom_it_names() {
    let lock = RangeLock::new();
    let holder = lock.write(0..10);
    let report = thread::scope(|scope| {
        let waiter = ask(scope, || lock.read(0..10));
        until_waiting(&lock, 1);
        let report = lock.requests();
        drop(holder);
        drop(waiter.recv().unwrap());
        report
    });
    check_free(&lock);
    drop(lock);
    let [holder, waiter] = &report[..] else { panic!("{report:?}") };
    assert_eq!(waiter.waits_for(), [holder.id()]);
    assert!(format!("{waiter:?}").starts_with("#2 read 0..=9 waiting for #1 for "));
}

/// Asterinas #3283: each restart of a wait leaves a waiter behind.
#[test]
fn asterinas_a_thousand_retries_leave_nothing() {
    let lock = RangeLock::new();
    let holder = lock.write(0..10);
    for _ in 0..if cfg!(miri) { 20 } else { 1000 } {
        assert!(lock.try_write_for(0..10, SOON).is_none());
    }
    assert_eq!(requests(&lock), ["write 0..=9 held"]);
    drop(holder);
    check_free(&lock);
}

/// Asterinas #1217 and #1474, MatrixOne #24632: a waiter whose condition is never looked at again after what it waits for has
/// changed its shape. Here it shrinks, from either end, and is downgraded.
#[test]
fn matrixone_waiter_is_granted_when_the_range_changes_shape() {
    let lock = RangeLock::new();
    let mut holder = lock.write(0..100);
    thread::scope(|scope| {
        let front = ask(scope, || lock.write(0..10));
        until_waiting(&lock, 1);
        let back = ask(scope, || lock.write(90..100));
        until_waiting(&lock, 2);
        let middle = ask(scope, || lock.read(40..60));
        until_waiting(&lock, 3);
        RangeWriteGuard::shrink(&mut holder, 10..100);
        drop(front.recv().unwrap());
        assert_eq!(waiting(&lock), 2);
        RangeWriteGuard::shrink(&mut holder, 10..90);
        drop(back.recv().unwrap());
        assert_eq!(waiting(&lock), 1);
        let holder = RangeWriteGuard::downgrade(holder);
        drop(middle.recv().unwrap());
        drop(holder);
    });
    check_free(&lock);
}

/// Sanglok99/lock-free-range-lock: readers wait for writers that they do not overlap.
#[test]
fn sanglok_reader_ignores_a_disjoint_writer() {
    let lock = RangeLock::new();
    let writer = lock.write(20..30);
    drop(lock.read(0..10));
    drop(lock.read(30..40));
    drop(writer);
    check_free(&lock);
}

/// classicsong/Range-Lock: the key is the start shifted left by one, and loses its highest bit.
#[test]
fn song_high_offsets_are_distinct() {
    let lock = RangeLock::new();
    let high = lock.write(1 << 63..(1 << 63) + 10);
    assert!(lock.try_write(0..10).is_some());
    assert!(lock.try_write(1 << 63..=1 << 63).is_none());
    assert!(lock.try_write((1 << 63) + 10..).is_some());
    drop(high);
    check_free(&lock);
}

/// PhotonLibOS issue 1626 and thuaduc v0: unlocking by offset and length takes out the ranges of other holders too.
#[test]
fn photon_one_of_two_equal_readers_leaves() {
    let lock = RangeLock::new();
    let (one, other) = (lock.read(0..10), lock.read(0..10));
    drop::<RangeReadGuard<'_>>(one);
    assert!(lock.try_write(0..10).is_none());
    drop(other);
    check_free(&lock);
}

/// TiKV's `RangeLatch`: later requests pass earlier ones, without end. Conflicting requests are granted in their order.
#[test]
fn tikv_nobody_jumps_the_queue() {
    let lock = RangeLock::new();
    let holder = lock.write(0..10);
    let (granted, order) = mpsc::channel();
    thread::scope(|scope| {
        for n in 0..5 {
            let (lock, granted) = (&lock, granted.clone());
            scope.spawn(move || {
                let guard = lock.write(0..10);
                granted.send(n).unwrap();
                drop(guard);
            });
            until_waiting(lock, n + 1);
        }
        assert!(lock.try_read(5..6).is_none(), "a try does not pass those who wait either");
        drop(holder);
    });
    drop(granted);
    assert_eq!(order.iter().collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
    check_free(&lock);
}

/// Zijlstra's question to Bueso (linux-kernel, 15 May 2017): does a request wait for ever behind a stream of others? A writer
/// that waits keeps later readers out, also where only it, and nobody who holds, overlaps them.
#[test]
fn zijlstra_a_waiting_writer_is_not_starved() {
    let lock = RangeLock::new();
    let reader = lock.read(0..10);
    thread::scope(|scope| {
        let writer = ask(scope, || lock.write(5..96));
        until_waiting(&lock, 1);
        assert!(lock.try_read(0..10).is_none(), "a later reader waits behind the writer");
        assert!(lock.try_read(0..5).is_some(), "where it does not overlap it, it does not");
        assert!(lock.try_read(90..100).is_none(), "where nobody holds anything, it does");
        drop(reader);
        drop(writer.recv().unwrap());
    });
    check_free(&lock);
}

/// Btrfs, "lock extents as we map them in DIO": an asynchronous read that comes back short leaves its tail locked. An owned
/// guard goes with the completion, and releases all that was locked.
#[test]
fn btrfs_short_completion_releases_everything() {
    let lock = Arc::new(RangeLock::new());
    let (submit, completions) = mpsc::channel::<(ArcRangeWriteGuard, usize)>();
    let device = thread::spawn(move || {
        for (mut guard, transferred) in completions {
            // What has been transferred is let go of first, the rest with the guard.
            let (first, last) = guard.range().into_inner();
            ArcRangeWriteGuard::shrink(&mut guard, first + transferred as u64..=last);
        }
    });
    submit.send((lock.write_arc(0..8192), 512)).unwrap();
    drop(submit);
    drop(lock.write(0..8192));
    device.join().unwrap();
    check_free(&lock);
}

/// Kirill Shutemov, "dax: use range_lock instead of i_mmap_lock" (linux-fsdevel, 10 August 2015): an early return leaves the range
/// locked, and one path unlocks where it should lock. Whichever way a section is left, its guard goes with it.
#[test]
fn shutemov_an_early_return_unlocks() {
    let lock = RangeLock::new();
    let fault = |sigbus: bool| -> Result<(), &str> {
        let _guard = lock.read(0..10);
        if sigbus {
            return Err("SIGBUS");
        }
        panic!("in the middle of the section");
    };
    assert_eq!(fault(true), Err("SIGBUS"));
    check_free(&lock);
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| fault(false))).is_err());
    check_free(&lock);
}

/// huhlig/rangelock and range-mutex: a leaked guard. Its range stays locked, the rest works, and `undo_leak` frees it.
#[test]
fn a_leaked_guard_leaks_its_range_and_nothing_else() {
    let mut lock = RangeLock::new();
    std::mem::forget(lock.write(0..10));
    assert!(lock.try_read_for(5..15, SOON).is_none());
    drop(lock.write(10..));
    lock.undo_leak();
    check_free(&lock);
}

/// A time-out that is too long for the clock is no time-out, and no panic.
#[test]
fn a_time_out_past_the_clock_is_none() {
    let lock = RangeLock::new();
    let holder = lock.write(0..10);
    thread::scope(|scope| {
        let waiter = ask(scope, || lock.try_write_for(0..10, Duration::MAX).is_some());
        let other = ask(scope, || lock.try_read_for(0..10, LONG).is_some());
        until_waiting(&lock, 2);
        drop(holder);
        assert!(waiter.recv().unwrap() && other.recv().unwrap());
    });
    check_free(&lock);
}

/// Bugs of wakers and of futures that are dropped.
#[cfg(feature = "async")]
mod futures {
    use std::future::Future;
    use std::pin::Pin;
    use std::task::{Context, Poll, Wake, Waker};

    use super::*;

    /// Counts its wake-ups, and does something at each.
    struct Callback<F> {
        woken: AtomicUsize,
        call: F,
    }

    impl<F: Fn() + Send + Sync> Callback<F> {
        fn new(call: F) -> Arc<Self> {
            Arc::new(Callback { woken: AtomicUsize::new(0), call })
        }

        fn times(&self) -> usize {
            self.woken.load(Ordering::SeqCst)
        }
    }

    impl<F: Fn() + Send + Sync> Wake for Callback<F> {
        fn wake(self: Arc<Self>) {
            self.woken.fetch_add(1, Ordering::SeqCst);
            (self.call)();
        }
    }

    /// A request for 0..=100, whose guard is dropped at once.
    fn ask(lock: &RangeLock, mode: Mode) -> Pin<Box<dyn Future<Output = ()> + '_>> {
        match mode {
            Mode::Read => Box::pin(async { drop(lock.read_async(0..=100).await) }),
            Mode::Upgradable => Box::pin(async { drop(lock.upgradable_read_async(0..=100).await) }),
            Mode::Write => Box::pin(async { drop(lock.write_async(0..=100).await) }),
        }
    }

    fn poll(future: &mut Pin<Box<dyn Future<Output = ()> + '_>>, waker: &Waker) -> Poll<()> {
        future.as_mut().poll(&mut Context::from_waker(waker))
    }

    const MODES: [Mode; 3] = [Mode::Read, Mode::Upgradable, Mode::Write];

    /// The bug of [`linux_reader_cancel_keeps_other_readers`], without a clock: the first of two that wait is dropped. The other
    /// one still waits for the writer, has not been woken, and is granted when the writer leaves.
    #[test]
    fn linux_reader_cancel_by_a_dropped_future() {
        for cancelled in MODES {
            for other in MODES {
                let lock = RangeLock::new();
                let woken = Callback::new(|| ());
                let waker = Waker::from(woken.clone());
                let holder = lock.write(0..=100);
                let (mut first, mut second) = (ask(&lock, cancelled), ask(&lock, other));
                assert!(poll(&mut first, &waker).is_pending());
                assert!(poll(&mut second, &waker).is_pending());
                drop(first);
                assert_eq!((waiting(&lock), woken.times()), (1, 0), "{cancelled:?} before {other:?}");
                assert!(poll(&mut second, &waker).is_pending());
                drop(holder);
                assert_eq!(woken.times(), 1);
                assert!(poll(&mut second, &waker).is_ready());
                check_free(&lock);
            }
        }
    }

    /// The same, with the other one in front: it never counted who is dropped.
    #[test]
    fn linux_cancel_keeps_earlier_requests() {
        for cancelled in MODES {
            for other in MODES {
                let lock = RangeLock::new();
                let woken = Callback::new(|| ());
                let waker = Waker::from(woken.clone());
                let holder = lock.write(0..=100);
                let (mut first, mut second) = (ask(&lock, other), ask(&lock, cancelled));
                assert!(poll(&mut first, &waker).is_pending());
                assert!(poll(&mut second, &waker).is_pending());
                drop(second);
                assert_eq!((waiting(&lock), woken.times()), (1, 0), "{cancelled:?} behind {other:?}");
                drop(holder);
                assert!(poll(&mut first, &waker).is_ready());
                check_free(&lock);
            }
        }
    }

    /// OCF #556: the callback of a request that is resumed is called with the lock of the list of those who wait held, and takes it
    /// again. Here the callback takes and releases ranges of the same lock, the one that it was woken for among them.
    #[test]
    fn ocf_a_wake_up_may_lock_again() {
        let lock = Arc::new(RangeLock::new());
        let woken = {
            let lock = Arc::clone(&lock);
            Callback::new(move || {
                drop(lock.write(1000..2000));
                assert!(lock.try_write(0..=100).is_none(), "granted to the one that is woken");
            })
        };
        let holder = lock.write(0..=100);
        let mut future = ask(&lock, Mode::Write);
        assert!(poll(&mut future, &Waker::from(woken.clone())).is_pending());
        drop(holder);
        assert_eq!(woken.times(), 1);
        assert!(poll(&mut future, Waker::noop()).is_ready());
        check_free(&lock);
    }

    /// range-mutex 0.1.7: wakers are called under the internal mutex, so that one that looks at the lock deadlocks. By whichever
    /// transition it is woken.
    #[test]
    fn range_mutex_wakers_may_touch_the_lock() {
        let lock = Arc::new(RangeLock::new());
        let woken = {
            let lock = Arc::clone(&lock);
            Callback::new(move || {
                drop(lock.try_read(..));
                drop(lock.requests());
                assert!(lock.is_locked(0..=100));
            })
        };
        let waker = Waker::from(woken.clone());
        let mut holder = lock.write(0..=100);
        let mut reader = ask(&lock, Mode::Read);
        assert!(poll(&mut reader, &waker).is_pending());
        let downgraded = RangeWriteGuard::downgrade(holder);
        assert_eq!(woken.times(), 1);
        assert!(poll(&mut reader, &waker).is_ready());
        drop(downgraded);

        holder = lock.write(0..=200);
        let mut writer = ask(&lock, Mode::Write);
        assert!(poll(&mut writer, &waker).is_pending());
        RangeWriteGuard::shrink(&mut holder, 101..=200);
        assert_eq!(woken.times(), 2);
        assert!(poll(&mut writer, &waker).is_ready());
        drop(holder);

        let holder = lock.read(0..=100);
        let mut writer = ask(&lock, Mode::Write);
        let mut reader = ask(&lock, Mode::Read);
        assert!(poll(&mut writer, &waker).is_pending());
        assert!(poll(&mut reader, &waker).is_pending());
        drop(writer);
        assert_eq!(woken.times(), 3);
        drop((reader, holder));
        check_free(&lock);
    }

    /// range-mutex 0.1.7: a thousand cancelled futures leave a thousand wakers, all of them woken by one unlock, and each poll adds
    /// another.
    #[test]
    fn range_mutex_cancelled_futures_leave_no_waiters() {
        let lock = RangeLock::new();
        let woken = Callback::new(|| ());
        let waker = Waker::from(woken.clone());
        let before = Arc::strong_count(&woken);
        let holder = lock.write(0..=100);
        for _ in 0..if cfg!(miri) { 20 } else { 1000 } {
            assert!(poll(&mut ask(&lock, Mode::Write), &waker).is_pending());
        }
        let mut polled_often = ask(&lock, Mode::Read);
        for _ in 0..10 {
            assert!(poll(&mut polled_often, &waker).is_pending());
        }
        assert_eq!(requests(&lock), ["write 0..=100 held", "read 0..=100 waiting"]);
        drop(holder);
        assert_eq!(woken.times(), 1);
        assert!(poll(&mut polled_often, &waker).is_ready());
        drop(polled_often);
        assert_eq!(Arc::strong_count(&woken), before);
        check_free(&lock);
    }
}
