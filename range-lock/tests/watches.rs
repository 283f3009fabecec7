//! Waiting until a range is free: what is waited for, and that no request is held up.

mod common;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use common::check_free;
use range_lock::{__private, Mode, RangeLock, RangeWriteGuard, Request};

const SOON: Duration = Duration::from_millis(1);

#[test]
fn each_mode_waits_for_those_it_conflicts_with() {
    let lock = RangeLock::new();
    for (held, waits) in [
        (Mode::Read, [false, false, true]),
        (Mode::Upgradable, [false, true, true]),
        (Mode::Write, [true, true, true]),
    ] {
        let request = match held {
            Mode::Read => Request::read(&lock, 0..10),
            Mode::Upgradable => Request::upgradable_read(&lock, 0..10),
            Mode::Write => Request::write(&lock, 0..10),
        };
        let _guard = RangeLock::acquire_many([request]);
        for (mode, waits) in [Mode::Read, Mode::Upgradable, Mode::Write].into_iter().zip(waits) {
            assert_eq!(lock.wait_until_free_for(5..7, mode, Duration::ZERO), !waits, "{held:?} {mode:?}");
            assert_eq!(lock.wait_until_free_for(5..7, mode, SOON), !waits, "{held:?} {mode:?}");
            assert!(lock.wait_until_free_for(10.., mode, SOON), "beside it");
        }
    }
    assert!(lock.wait_until_free_for(3..3, Mode::Write, Duration::ZERO));
    check_free(&lock);
}

#[test]
fn a_later_writer_is_neither_waited_for_nor_held_up() {
    let lock = RangeLock::new();
    let first = lock.write(0..10);
    let begun = AtomicBool::new(false);
    thread::scope(|scope| {
        let flush = scope.spawn(|| {
            begun.store(true, Ordering::Release);
            lock.wait_until_free(.., Mode::Read);
        });
        while !begun.load(Ordering::Acquire) {
            thread::yield_now();
        }
        drop(lock.write(10..20));
        drop(first);
        flush.join().expect("it has not panicked");
    });
    check_free(&lock);
}

/// Writers come all the time; each flush ends, and finds done what had been begun before.
#[test]
fn a_flush_ends_among_writers_who_never_cease() {
    let lock = RangeLock::builder().max_leaves(8).build();
    let n = if cfg!(miri) { 10 } else { 500 };
    let (begun, done) = ([const { AtomicUsize::new(0) }; 4], [const { AtomicUsize::new(0) }; 4]);
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        for at in 0..4 {
            let (lock, begun, done, over) = (&lock, &begun, &done, &over);
            scope.spawn(move || {
                let first = at as u64 * 10;
                while !over.load(Ordering::Relaxed) {
                    let guard = lock.write(first..first + 15);
                    begun[at].fetch_add(1, Ordering::SeqCst);
                    let _ = __private::cut(lock, first + 3) || __private::join(lock, first);
                    done[at].fetch_add(1, Ordering::SeqCst);
                    drop(guard);
                }
            });
        }
        for _ in 0..n {
            let before = begun.each_ref().map(|begun| begun.load(Ordering::SeqCst));
            lock.wait_until_free(.., Mode::Read);
            let after = done.each_ref().map(|done| done.load(Ordering::SeqCst));
            assert!(before.iter().zip(after).all(|(&before, after)| before <= after));
        }
        over.store(true, Ordering::Relaxed);
    });
    check_free(&lock);
}

#[test]
fn what_shrinks_away_is_not_waited_for() {
    let lock = RangeLock::new();
    let mut writer = lock.write(0..20);
    thread::scope(|scope| {
        let flush = scope.spawn(|| lock.wait_until_free_for(0..10, Mode::Read, Duration::from_secs(60)));
        RangeWriteGuard::shrink(&mut writer, 10..20);
        assert!(flush.join().expect("it has not panicked"));
        let reader = RangeWriteGuard::downgrade(writer);
        assert!(lock.wait_until_free_for(.., Mode::Read, Duration::ZERO));
        drop(reader);
    });
    check_free(&lock);
}

#[test]
fn all_parts_of_a_request_for_several_ranges_are_waited_for() {
    let lock = RangeLock::new();
    let many = RangeLock::acquire_many([Request::write(&lock, 0..5), Request::write(&lock, 20..25)]);
    __private::cut(&lock, 10);
    for range in [0..5, 20..25, 4..21] {
        assert!(!lock.wait_until_free_until(range, Mode::Read, Instant::now() + SOON));
    }
    thread::scope(|scope| {
        let flush = scope.spawn(|| lock.wait_until_free(.., Mode::Read));
        thread::yield_now();
        drop(many);
        flush.join().expect("it has not panicked");
    });
    check_free(&lock);
}
