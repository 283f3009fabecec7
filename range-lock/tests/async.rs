//! Futures: under tokio, under an executor that polls spuriously and moves tasks between threads,
//! and with wakers that do what wakers should not.

mod common;

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::task::{Context, Poll, RawWaker, RawWakerVTable, Wake, Waker};
use std::thread;
use std::time::Duration;

use common::{check_free, requests};
use range_lock::{
    ArcRangeUpgradableReadGuard, ArcRangeWriteGuard, RangeLock, RangeUpgradableReadGuard, RangeWriteGuard,
    Request,
};

/// Fewer under Miri, which is slow.
const fn few_if_miri(n: usize) -> usize {
    if cfg!(miri) { n / 50 + 1 } else { n }
}

/// A waker that counts.
#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Woken {
    fn times(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

fn poll<F: Future + ?Sized>(future: &mut Pin<&mut F>, waker: &Waker) -> Poll<F::Output> {
    future.as_mut().poll(&mut Context::from_waker(waker))
}

/// Ten points, each of which counts its users: `(1 << 32)` for a writer, one for a reader.
#[derive(Default)]
struct Oracle([AtomicUsize; 10]);

impl Oracle {
    const WRITER: usize = 1 << 32;

    /// Uses `points`, over a point at which the task may be moved or be polled in vain.
    async fn visit(&self, points: std::ops::Range<usize>, writes: bool) {
        let one = if writes { Oracle::WRITER } else { 1 };
        for point in &self.0[points.clone()] {
            let before = point.fetch_add(one, Ordering::Relaxed);
            assert!(if writes { before == 0 } else { before < Oracle::WRITER }, "beside {before:#x}");
        }
        yield_once().await;
        for point in &self.0[points] {
            point.fetch_sub(one, Ordering::Relaxed);
        }
    }
}

/// Ready when polled again.
async fn yield_once() {
    let mut yielded = false;
    std::future::poll_fn(|cx| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// A task that uses two locks in every way there is.
async fn user(locks: Arc<[Arc<RangeLock>; 2]>, oracle: Arc<Oracle>, seed: usize, rounds: usize) {
    let [lock, other] = &*locks;
    for round in 0..rounds {
        let (first, last) = ((seed + round) % 5, 5 + (seed * round) % 5);
        let points = first as u64..last as u64;
        match (seed + round * 7) % 6 {
            0 => {
                let _guard = lock.read_async(points).await;
                oracle.visit(first..last, false).await;
            }
            1 => {
                let guard = lock.write_async(points).await;
                oracle.visit(first..last, true).await;
                let _guard = RangeWriteGuard::downgrade(guard);
                oracle.visit(first..last, false).await;
            }
            2 => {
                let guard = lock.upgradable_read_arc_async(points).await;
                oracle.visit(first..last, false).await;
                let _guard = ArcRangeUpgradableReadGuard::upgrade_async(guard).await;
                oracle.visit(first..last, true).await;
            }
            3 => {
                let two = [Request::write(lock, points), Request::read(other, ..)];
                let _guard = RangeLock::acquire_many_async(two).await;
                oracle.visit(first..last, true).await;
            }
            4 => {
                // Given up after a poll or two; granted, it is released.
                let mut future = pin!(lock.write_async(points));
                let mut polls = 0;
                std::future::poll_fn(|cx| {
                    polls += 1;
                    match future.as_mut().poll(cx) {
                        Poll::Pending if polls <= round % 2 => {
                            cx.waker().wake_by_ref();
                            Poll::Pending
                        }
                        _ => Poll::Ready(()),
                    }
                })
                .await;
            }
            _ => {
                let guard = lock.write_arc_async(points).await;
                oracle.visit(first..last, true).await;
                let (left, right) = ArcRangeWriteGuard::split_at(guard, first as u64 + 1);
                drop(left);
                oracle.visit(first + 1..last, true).await;
                drop(right);
            }
        }
    }
}

fn new_locks() -> Arc<[Arc<RangeLock>; 2]> {
    Arc::new([(); 2].map(|()| Arc::new(RangeLock::new())))
}

#[test]
#[cfg_attr(
    miri,
    ignore = "tokio's threads are slow there; `the_executor` runs the same tasks, and does run under Miri"
)]
fn under_tokio() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(3).build().unwrap();
    let (locks, oracle) = (new_locks(), Arc::new(Oracle::default()));
    runtime.block_on(async {
        let users = (0..20).map(|seed| tokio::spawn(user(locks.clone(), oracle.clone(), seed, 500)));
        for user in Vec::from_iter(users) {
            user.await.unwrap();
        }
    });
    locks.iter().for_each(|lock| check_free(lock));
}

#[test]
#[cfg_attr(miri, ignore = "as `under_tokio`")]
fn a_tokio_time_out_leaves_the_queue() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let lock = Arc::new(RangeLock::new());
    runtime.block_on(async {
        let holder = lock.read_async(..).await;
        let soon = std::time::Duration::from_millis(1);
        assert!(tokio::time::timeout(soon, lock.write_async(..)).await.is_err());
        assert_eq!(requests(&lock), [format!("read 0..={} held", u64::MAX)]);
        // A request that would have waited behind it does not.
        drop(lock.read_async(..).await);
        let writer = tokio::spawn(lock.write_arc_async(..));
        drop(holder);
        drop(writer.await.unwrap());
    });
    check_free(&lock);
}

/// An executor of the worst kind: several threads take tasks from one queue, poll each with a new
/// waker twice over, and put it back for another thread every other time, woken or not.
struct Executor {
    queue: Mutex<Vec<Arc<Task>>>,
    changed: Condvar,
    unfinished: AtomicUsize,
}

struct Task {
    future: Mutex<Option<Pin<Box<dyn Future<Output = ()> + Send>>>>,
    executor: Arc<Executor>,
}

/// A waker for one poll.
struct Schedule(Arc<Task>);

impl Wake for Schedule {
    fn wake(self: Arc<Self>) {
        self.0.executor.schedule(&self.0);
    }
}

impl Executor {
    fn schedule(&self, task: &Arc<Task>) {
        self.queue.lock().unwrap().push(Arc::clone(task));
        self.changed.notify_one();
    }

    fn spawn(self: &Arc<Self>, future: impl Future<Output = ()> + Send + 'static) {
        self.unfinished.fetch_add(1, Ordering::SeqCst);
        let task = Task { future: Mutex::new(Some(Box::pin(future))), executor: Arc::clone(self) };
        self.schedule(&Arc::new(task));
    }

    fn work(&self) {
        let mut turn = 0;
        while self.unfinished.load(Ordering::SeqCst) > 0 {
            let mut queue = self.queue.lock().unwrap();
            let Some(task) = queue.pop() else {
                drop(self.changed.wait_timeout(queue, std::time::Duration::from_millis(1)).unwrap());
                continue;
            };
            drop(queue);
            let mut future = task.future.lock().unwrap();
            for _ in 0..2 {
                let waker = Waker::from(Arc::new(Schedule(Arc::clone(&task))));
                let Some(running) = future.as_mut() else { break };
                if poll(&mut running.as_mut(), &waker).is_ready() {
                    *future = None;
                    self.unfinished.fetch_sub(1, Ordering::SeqCst);
                }
            }
            turn += 1;
            if turn % 2 == 0 && future.is_some() {
                self.schedule(&task); // Nobody has asked for it.
            }
        }
        self.changed.notify_all();
    }
}

#[test]
fn under_an_executor_that_polls_spuriously_and_moves_tasks() {
    let executor = Arc::new(Executor {
        queue: Mutex::default(),
        changed: Condvar::new(),
        unfinished: AtomicUsize::new(0),
    });
    let (locks, oracle) = (new_locks(), Arc::new(Oracle::default()));
    for seed in 0..if cfg!(miri) { 3 } else { 12 } {
        executor.spawn(user(locks.clone(), oracle.clone(), seed, few_if_miri(300)));
    }
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| executor.work());
        }
    });
    locks.iter().for_each(|lock| check_free(lock));
}

/// What a [`meddler`] does whenever anything happens to it.
type Meddling = Arc<dyn Fn() + Send + Sync>;

/// A waker that calls back when it is woken, cloned and dropped.
fn meddler(meddling: Meddling) -> Waker {
    const VTABLE: RawWakerVTable = RawWakerVTable::new(
        |data| {
            // SAFETY: `data` is a `Box<Meddling>` that is alive, as long as its waker.
            let meddling = unsafe { &*data.cast::<Meddling>() };
            meddling();
            RawWaker::new(Box::into_raw(Box::new(meddling.clone())).cast(), &VTABLE)
        },
        |data| {
            // SAFETY: as above; the waker is used up.
            let meddling = unsafe { Box::from_raw(data.cast::<Meddling>().cast_mut()) };
            meddling();
        },
        |data| {
            // SAFETY: as above.
            let meddling = unsafe { &*data.cast::<Meddling>() };
            meddling();
        },
        |data| {
            // SAFETY: as above; the waker is used up.
            let meddling = unsafe { Box::from_raw(data.cast::<Meddling>().cast_mut()) };
            meddling();
        },
    );
    let data = Box::into_raw(Box::new(meddling));
    // SAFETY: the functions above are a waker's for a boxed `Arc` of something that is `Send` and
    // `Sync`.
    unsafe { Waker::from_raw(RawWaker::new(data.cast(), &VTABLE)) }
}

/// Waking under the lock's own mutex deadlocks here: this test then hangs.
#[test]
fn a_waker_may_call_back_into_the_lock() {
    let locks = new_locks();
    let calls = Arc::new(AtomicUsize::new(0));
    let meddling: Meddling = {
        let (locks, calls) = (locks.clone(), calls.clone());
        Arc::new(move || {
            calls.fetch_add(1, Ordering::SeqCst);
            for lock in &*locks {
                drop(lock.requests());
                drop(lock.try_write(1000..));
                drop(lock.write(1000..));
                drop(RangeLock::acquire_many([Request::write(lock, 2000..), Request::read(lock, 1000..)]));
            }
        })
    };
    let waker = || meddler(meddling.clone());
    let [lock, other] = &*locks;

    // Cloned when it registers, dropped when another takes its place, woken by each way of letting
    // in.
    let two_polls = |future: &mut Pin<&mut dyn Future<Output = ()>>| {
        for _ in 0..2 {
            assert!(poll(future, &waker()).is_pending());
        }
    };
    macro_rules! waits {
        ($future:expr, $let_in:expr) => {{
            let before = calls.load(Ordering::SeqCst);
            let mut future = pin!(async { drop($future.await) });
            two_polls(&mut (future.as_mut() as Pin<&mut dyn Future<Output = ()>>));
            let registered = calls.load(Ordering::SeqCst);
            $let_in;
            assert!(before < registered && registered < calls.load(Ordering::SeqCst));
            assert!(poll(&mut future, &waker()).is_ready());
        }};
    }
    let holder = lock.write(0..10);
    waits!(lock.read_async(0..10), drop(holder));
    let mut holder = lock.write(0..10);
    waits!(lock.write_async(5..10), RangeWriteGuard::shrink(&mut holder, 0..5));
    drop(holder);
    let holder = lock.write(0..10);
    waits!(lock.read_arc_async(0..10), drop(RangeWriteGuard::downgrade(holder)));
    let (upgradable, reader) = (lock.upgradable_read(0..10), lock.read(0..10));
    waits!(RangeUpgradableReadGuard::upgrade_async(upgradable), drop(reader));
    let both = || [Request::write(lock, 0..10), Request::write(other, 0..10)];
    let holder = RangeLock::acquire_many(both());
    waits!(RangeLock::acquire_many_async(both()), drop(holder));
    let reader = lock.read(0..10);
    {
        let mut writer = Box::pin(lock.write_async(0..10));
        assert!(poll(&mut writer.as_mut(), &waker()).is_pending());
        waits!(lock.read_async(0..10), drop(writer));
    }
    let mut upgrade = Box::pin(RangeUpgradableReadGuard::upgrade_async(lock.upgradable_read(0..10)));
    assert!(poll(&mut upgrade.as_mut(), &waker()).is_pending());
    waits!(lock.read_async(0..10), drop(upgrade));
    drop(reader);

    drop(meddling);
    locks.iter().for_each(|lock| check_free(lock));
    assert_eq!(Arc::strong_count(&calls), 1, "a waker was left behind");
}

#[test]
fn a_thousand_dropped_futures_leave_nothing() {
    let lock = Arc::new(RangeLock::new());
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(woken.clone());
    let before = Arc::strong_count(&woken);
    let holder = lock.write(0..10);
    for n in 0..few_if_miri(1000) {
        let mut future = pin!(lock.read_async(0..10));
        let mut owned = pin!(lock.write_arc_async(5..10));
        let mut many = pin!(RangeLock::acquire_many_async([Request::write(&lock, 0..1)]));
        for _ in 0..=n % 3 {
            assert!(poll(&mut future, &waker).is_pending());
            assert!(poll(&mut owned, &waker).is_pending());
            assert!(poll(&mut many, &waker).is_pending());
        }
    }
    assert_eq!(requests(&lock), ["write 0..=9 held"]);
    assert_eq!(Arc::strong_count(&woken), before);
    drop(holder);
    assert_eq!(woken.times(), 0, "nobody was left to be woken");

    // And dropped at the same time, with somebody behind them.
    let holder = lock.read(0..10);
    let mut futures: Vec<_> = (0..few_if_miri(1000)).map(|_| Box::pin(lock.write_async(0..10))).collect();
    for future in &mut futures {
        assert!(poll(&mut future.as_mut(), &waker).is_pending());
    }
    let mut behind = pin!(lock.read_async(0..10));
    assert!(poll(&mut behind, &waker).is_pending());
    drop(futures);
    assert_eq!(woken.times(), 1, "the one behind");
    assert!(poll(&mut behind, &waker).is_ready());
    drop(holder);
    assert_eq!(Arc::strong_count(&woken), before);
    assert_eq!(Arc::strong_count(&lock), 1);
    check_free(&lock);
}

/// The upgrade counts in a reader that waits, and is taken back: the reader waits for the writer
/// before it, and for no other.
#[test]
fn a_timed_upgrade_that_gives_up_keeps_no_waiting_reader_out() {
    let lock = RangeLock::new();
    let (reader, looking) = (lock.read(0..10), lock.upgradable_read(0..10));
    let (mut writer, mut late) = (pin!(lock.write_async(5..15)), pin!(lock.read_async(5..10)));
    assert!(poll(&mut writer, Waker::noop()).is_pending());
    assert!(poll(&mut late, Waker::noop()).is_pending());
    let looking = RangeUpgradableReadGuard::try_upgrade_for(looking, Duration::from_micros(100)).unwrap_err();
    drop((looking, reader));
    let Poll::Ready(writing) = poll(&mut writer, Waker::noop()) else { panic!("the writer is next") };
    assert!(poll(&mut late, Waker::noop()).is_pending());
    drop(writing);
    assert!(poll(&mut late, Waker::noop()).is_ready(), "it waits for an upgrade that was taken back");
    check_free(&lock);
}

/// The same for one that does not wait: it too raises the readers that wait before it fails.
#[test]
fn a_try_upgrade_that_fails_keeps_no_waiting_reader_out() {
    let lock = RangeLock::new();
    let (reader, looking) = (lock.read(0..10), lock.upgradable_read(0..10));
    let (mut writer, mut late) = (pin!(lock.write_async(5..15)), pin!(lock.read_async(5..10)));
    assert!(poll(&mut writer, Waker::noop()).is_pending());
    assert!(poll(&mut late, Waker::noop()).is_pending());
    let looking = RangeUpgradableReadGuard::try_upgrade(looking).unwrap_err();
    drop((looking, reader));
    let Poll::Ready(writing) = poll(&mut writer, Waker::noop()) else { panic!("the writer is next") };
    assert!(poll(&mut late, Waker::noop()).is_pending());
    drop(writing);
    assert!(poll(&mut late, Waker::noop()).is_ready(), "it waits for an upgrade that failed");
    check_free(&lock);
}

#[test]
fn a_future_that_is_never_polled_enters_nothing() {
    let lock = RangeLock::new();
    drop((lock.write_async(..), RangeLock::acquire_many_async([Request::write(&lock, ..)])));
    let upgrade = RangeUpgradableReadGuard::upgrade_async(lock.upgradable_read(0..10));
    assert_eq!(requests(&lock), ["upgradable read 0..=9 held"]);
    assert!(lock.try_read(..).is_some());
    drop(upgrade);
    check_free(&lock);
}

/// A waker that panics when it is woken.
struct Panics;

impl Wake for Panics {
    fn wake(self: Arc<Self>) {
        panic!("a waker of the tests");
    }
}

/// Whichever transition wakes them: the others are woken, and nothing that is held is lost.
#[test]
fn a_waker_that_panics_keeps_nobody_asleep() {
    let lock = RangeLock::new();
    let panicking = Arc::new(Panics);
    let woken = Arc::new(Woken::default());
    // Three wait for `range`, the second of them with a waker that panics; `let_in` lets them in.
    let wake_all = |range: std::ops::Range<u64>, let_in: &mut dyn FnMut()| {
        let before = woken.times();
        let mut futures = [(); 3].map(|()| Box::pin(lock.read_async(range.clone())));
        let wakers = [woken.clone().into(), panicking.clone().into(), Waker::from(woken.clone())];
        for (future, waker) in futures.iter_mut().zip(&wakers) {
            assert!(poll(&mut future.as_mut(), waker).is_pending());
        }
        assert!(catch_unwind(AssertUnwindSafe(let_in)).is_err());
        assert_eq!(woken.times() - before, 2);
        for (future, waker) in futures.iter_mut().zip(&wakers) {
            assert!(poll(&mut future.as_mut(), waker).is_ready());
        }
    };

    let mut holder = Some(lock.write(0..10));
    wake_all(0..10, &mut || drop(holder.take()));
    let mut holder = Some(lock.write(0..10));
    wake_all(0..10, &mut || drop(holder.take().map(RangeWriteGuard::downgrade)));
    let mut holder = lock.write(0..10);
    wake_all(5..10, &mut || RangeWriteGuard::shrink(&mut holder, 0..5));
    assert_eq!(requests(&lock), ["write 0..=4 held"], "what the shrunk guard keeps");
    assert_eq!(holder.range(), 0..=4);
    drop(holder);

    // A future that is dropped wakes others, and takes its own waker with it.
    let reader = lock.read(0..10);
    let own = Arc::new(Woken::default());
    let mut writer = Some(Box::pin(lock.write_async(0..10)));
    let own_waker = Waker::from(own.clone());
    assert!(poll(&mut writer.as_mut().unwrap().as_mut(), &own_waker).is_pending());
    wake_all(0..10, &mut || drop(writer.take()));
    drop(own_waker);
    assert_eq!(Arc::strong_count(&own), 1);
    drop(reader);
    check_free(&lock);
}

/// A guard that shrinks to nothing, and unwinds because of a waker, has nothing left to release.
#[test]
fn a_waker_that_panics_at_a_shrink_to_nothing_lets_the_range_be_released_once() {
    let lock = RangeLock::new();
    let waker = Waker::from(Arc::new(Panics));
    let mut holder = lock.write(0..10);
    let mut behind = pin!(lock.write_async(0..10));
    assert!(poll(&mut behind, &waker).is_pending());
    let shrinks = || RangeWriteGuard::shrink(&mut holder, 0..0);
    assert!(catch_unwind(AssertUnwindSafe(shrinks)).is_err());
    let left = holder.range();
    // Were anything left, its release would panic while the failed test unwinds, and abort it.
    std::mem::forget(holder);
    assert!(left.is_empty(), "{left:?} would be released again");
    drop(poll(&mut behind, &waker));
    check_free(&lock);
}

/// Nor does one that panics when it is dropped lose the range.
#[test]
fn a_waker_whose_drop_panics_loses_no_range() {
    struct Bomb;
    impl Wake for Bomb {
        fn wake(self: Arc<Self>) {
            std::mem::forget(self);
        }
    }
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("a waker of the tests");
        }
    }

    let lock = RangeLock::new();
    let holder = lock.write(0..10);
    // The only share of the bomb is the lock's: it explodes when the future registers another, or
    // is dropped.
    let armed = || {
        let mut future = Box::pin(lock.write_async(0..10));
        assert!(poll(&mut future.as_mut(), &Waker::from(Arc::new(Bomb))).is_pending());
        future
    };
    let mut waiting = armed();
    assert!(catch_unwind(AssertUnwindSafe(|| drop(poll(&mut waiting.as_mut(), Waker::noop())))).is_err());
    let dropped = armed();
    assert!(catch_unwind(AssertUnwindSafe(|| drop(dropped))).is_err());
    assert_eq!(lock.requests().len(), 2);
    drop(holder);
    assert!(poll(&mut waiting.as_mut(), Waker::noop()).is_ready());
    check_free(&lock);
}

/// Nor where the waker is still there when the task finds its grant: it is polled after the grant
/// and before it is woken.
#[test]
fn a_waker_whose_drop_panics_at_the_grant_loses_no_range() {
    type Late = Mutex<Option<Box<dyn FnOnce() + Send>>>;

    /// Calls what it is given when it is woken.
    struct Calls(Late);
    impl Wake for Calls {
        fn wake(self: Arc<Self>) {
            if let Some(call) = self.0.lock().unwrap().take() {
                call();
            }
        }
    }

    struct Bomb;
    impl Wake for Bomb {
        fn wake(self: Arc<Self>) {
            std::mem::forget(self);
        }
    }
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("a waker of the tests");
        }
    }

    /// Has `armed` granted right behind a task whose waker polls it.
    fn check<F: Future<Output: Sized> + Send + 'static>(
        lock: &'static RangeLock,
        holder: impl Sized,
        mut armed: Pin<Box<F>>,
    ) {
        let calls = Arc::new(Calls(Mutex::new(None)));
        let mut first = Box::pin(lock.read_async(..));
        assert!(poll(&mut first.as_mut(), &Waker::from(calls.clone())).is_pending());
        assert!(poll(&mut armed.as_mut(), &Waker::from(Arc::new(Bomb))).is_pending());
        *calls.0.lock().unwrap() = Some(Box::new(move || {
            let poll = AssertUnwindSafe(|| drop(poll(&mut armed.as_mut(), Waker::noop())));
            assert!(catch_unwind(poll).is_err());
        }));
        drop(holder);
        assert!(poll(&mut first.as_mut(), Waker::noop()).is_ready());
        check_free(lock);
    }

    static LOCK: RangeLock = RangeLock::new();
    check(&LOCK, LOCK.write(..), Box::pin(LOCK.read_async(..)));
    check(&LOCK, LOCK.write(..), Box::pin(RangeLock::acquire_many_async([Request::read(&LOCK, ..)])));
}

#[test]
fn an_upgrade_that_is_given_up_gives_the_guard_back() {
    let lock = RangeLock::new();
    let mut cx = Context::from_waker(Waker::noop());
    let (looking, reader) = (lock.upgradable_read(0..10), lock.read(5..15));
    let mut later = pin!(lock.read_async(0..3));
    let (given_up, wait) = tokio::sync::oneshot::channel::<()>();
    let give_up = async { wait.await.expect("it is sent") };
    let mut upgrading = pin!(RangeUpgradableReadGuard::try_upgrade_async(looking, give_up));
    assert!(upgrading.as_mut().poll(&mut cx).is_pending());
    assert!(later.as_mut().poll(&mut cx).is_pending()); // It waits for the upgrade.
    given_up.send(()).expect("somebody waits for it");
    let Poll::Ready(Err(looking)) = upgrading.as_mut().poll(&mut cx) else { panic!("a reader is in") };
    assert!(later.as_mut().poll(&mut cx).is_ready());
    drop(reader);

    // Granted at once, also where both come at once.
    let upgraded = RangeUpgradableReadGuard::try_upgrade_async(looking, std::future::ready(()));
    let Poll::Ready(Ok(writer)) = pin!(upgraded).poll(&mut cx) else { panic!("no reader is in") };
    drop(writer);
    assert!(!lock.is_locked(..));
}

#[test]
fn an_upgrade_that_is_granted_while_it_is_given_up_is_kept() {
    let lock = Arc::new(RangeLock::new());
    let mut cx = Context::from_waker(Waker::noop());
    let (looking, reader) = (lock.upgradable_read_arc(0..10), lock.read(5..15));
    // The reader leaves while the upgrade gives up.
    let mut reader = Some(reader);
    let give_up = std::future::poll_fn(move |_| {
        drop(reader.take());
        Poll::Ready(())
    });
    let upgraded = ArcRangeUpgradableReadGuard::try_upgrade_async(looking, give_up);
    let Poll::Ready(Ok(writer)) = pin!(upgraded).poll(&mut cx) else { panic!("it was granted") };
    assert!(lock.try_read(9..10).is_none());
    drop(writer);
    assert!(!lock.is_locked(..));
}
