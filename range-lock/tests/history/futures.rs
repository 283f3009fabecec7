//! Wakers, and futures that are dropped.

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

/// The bug of `linux_reader_cancel_keeps_other_readers`, without a clock: the first of two that
/// wait is dropped. The other one still waits for the writer, has not been woken, and is granted
/// when the writer leaves.
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

/// The same, with the other one in front: it never counted the dropped one.
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

/// OCF #556: the callback of a request that is resumed is called with the lock of the list of those
/// that wait held, and takes it again. Here the callback takes and releases ranges of the same
/// lock, the one that it was woken for among them.
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

/// range-mutex 0.1.7: wakers are called under the internal mutex, so that one that looks at the
/// lock deadlocks. By whichever transition it is woken.
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

/// range-mutex 0.1.7: a thousand cancelled futures leave a thousand wakers, all of them woken by
/// one unlock, and each poll adds another.
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
