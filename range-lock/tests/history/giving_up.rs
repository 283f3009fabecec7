//! Time-outs and tries that fail: what gives up leaves nothing behind, and takes nothing from the
//! others.

use super::*;

/// Linux, all versions of Bueso's lock that were posted ("Introduce range reader/writer lock",
/// linux-mm, 20 May 2019, and the copy in parallelNOVA). The cancel path clears the request's own
/// reader mark before it asks whether both are readers. So it takes itself out of the count of
/// younger readers, which never counted it. They are then let in beside the writer.
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
    // The time-out must find both in the queue; where the machine is too slow for that, try with
    // more time.
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

/// OpenZFS 0daa0320e9: unlocking what a failed try returned. Here that does not compile, and
/// neither does unlocking by range (PhotonLibOS issue 1626; see `releases.rs`):
/// `src/compile_fail.rs`.
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
