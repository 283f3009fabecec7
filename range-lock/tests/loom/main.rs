//! Models: every schedule of a few threads, under the C11 memory model. Run with
//!
//! ```text
//! RUSTFLAGS="--cfg loom" cargo test --release -p range-lock --features async --test loom
//! ```
//!
//! # Bounds
//!
//! Models of two threads, and small ones of three, are exhaustive: all their schedules are tried ([`exhaustive`]). The others,
//! of three threads, would not end; they try the schedules with at most three preemptions ([`model`]). With two, an upgrade
//! that misses a reader whom another lock lets in is not found. A switch to another thread where one blocks or ends is no preemption. `LOOM_MAX_PREEMPTIONS` sets another
//! bound, for all of them.
//!
//! Each model is run twice: with locks that are whole, and with locks that are cut in the middle of the points it uses, so that spans
//! lie in two leaves. What is special about cutting and joining is in [`partition`].
//!
//! The data that a range guards is a loom `UnsafeCell`, so that loom itself reports two users who are in at once, and a
//! user who does not see what the one before wrote. A timed wait in a model gives up as soon as it would sleep: in some
//! schedules that is before the grant, in some at the same time, in some after it.
#![cfg(loom)]

mod bypass;
mod held;
mod partition;
mod restructuring;

use std::cell::Cell;
use std::time::Duration;

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use loom::thread;
use range_lock::{__private, RangeLock, RangeReadGuard, RangeUpgradableReadGuard, RangeWriteGuard, Request};

/// A lock and one cell that stands for the data of the points 0 to 9.
struct Guarded {
    lock: RangeLock,
    data: UnsafeCell<usize>,
}

// SAFETY: the tests touch `data` only under a guard of `lock` for its range; that this suffices is what they show, and
// loom's `UnsafeCell` reports where it does not.
unsafe impl Sync for Guarded {}
// SAFETY: a `usize` may be sent.
unsafe impl Send for Guarded {}

thread_local! {
    /// Whether the locks of the model that is under way are cut in two. All threads of a model are one thread of the system.
    static CUT: Cell<bool> = const { Cell::new(false) };
}

/// A lock, cut in the middle of the points that the models use where that is the turn.
fn new_lock() -> RangeLock {
    cut_if_its_turn(RangeLock::builder().max_leaves(4).build())
}

fn cut_if_its_turn(lock: RangeLock) -> RangeLock {
    assert!(!CUT.get() || __private::cut(&lock, 5));
    lock
}

impl Guarded {
    fn new() -> Arc<Self> {
        Arc::new(Guarded { lock: new_lock(), data: UnsafeCell::new(0) })
    }

    fn get(&self) -> usize {
        // SAFETY: the caller holds the range for reading; checked by loom.
        self.data.with(|data| unsafe { *data })
    }

    fn add(&self, n: usize) {
        // SAFETY: the caller holds the range for writing; checked by loom.
        self.data.with_mut(|data| unsafe { *data += n });
    }

    /// Nothing is left behind: neither a request nor a count.
    fn check_free(&self) {
        assert!(self.lock.requests().is_empty(), "{:?}", self.lock);
        assert!(self.lock.try_write(..).is_some());
    }
}

fn spawn<S: 'static, T: 'static>(
    shared: &Arc<S>,
    f: impl FnOnce(&S) -> T + 'static,
) -> thread::JoinHandle<T> {
    let shared = Arc::clone(shared);
    thread::spawn(move || f(&shared))
}

/// Tries the schedules with at most three preemptions, or `LOOM_MAX_PREEMPTIONS`: with locks that are whole, then with locks that
/// are cut.
fn model(f: impl Fn() + Send + Sync + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = model.preemption_bound.or(Some(3));
    check_whole_and_cut(&model, &model, f);
}

/// The same for a model that with locks that are cut has too many schedules: with them at most two
/// preemptions.
fn model_of_many_schedules(f: impl Fn() + Send + Sync + 'static) {
    let [whole, cut] = [3, 2].map(|bound| {
        let mut model = loom::model::Builder::new();
        model.preemption_bound = model.preemption_bound.or(Some(bound));
        model
    });
    check_whole_and_cut(&whole, &cut, f);
}

/// Tries all schedules, unless `LOOM_MAX_PREEMPTIONS` says otherwise; likewise.
fn exhaustive(f: impl Fn() + Send + Sync + 'static) {
    let model = loom::model::Builder::new();
    check_whole_and_cut(&model, &model, f);
}

fn check_whole_and_cut(
    whole: &loom::model::Builder,
    cut: &loom::model::Builder,
    f: impl Fn() + Send + Sync + 'static,
) {
    let f = std::sync::Arc::new(f);
    for (model, is_cut) in [(whole, false), (cut, true)] {
        CUT.set(is_cut);
        let f = std::sync::Arc::clone(&f);
        model.check(move || f());
    }
}

/// Long enough to be queued: a deadline that has passed is not.
const SOON: Duration = Duration::from_micros(100);

#[test]
fn two_writers_exclude() {
    exhaustive(|| {
        let g = Guarded::new();
        let other = spawn(&g, |g| {
            let _guard = g.lock.write(0..6);
            g.add(1);
        });
        {
            let _guard = g.lock.write(4..10);
            g.add(1);
        }
        other.join().unwrap();
        assert_eq!(g.get(), 2);
        g.check_free();
    });
}

#[test]
fn three_writers_exclude() {
    model(|| {
        let g = Guarded::new();
        let others = [(0..6), (3..8)].map(|range| {
            spawn(&g, move |g| {
                let _guard = g.lock.write(range);
                g.add(1);
            })
        });
        {
            let _guard = g.lock.write(5..10);
            g.add(1);
        }
        for other in others {
            other.join().unwrap();
        }
        assert_eq!(g.get(), 3);
        g.check_free();
    });
}

#[test]
fn readers_share() {
    exhaustive(|| {
        let g = Guarded::new();
        let inside = Arc::new(AtomicUsize::new(0));
        let mine = g.lock.read(0..10);
        // Joined while the own guard is alive: were it kept out, the model would be stuck, which loom reports.
        let theirs = Arc::clone(&inside);
        spawn(&g, move |g| {
            let _guard = g.lock.read(5..15);
            theirs.store(1 + g.get(), SeqCst);
        })
        .join()
        .unwrap();
        assert_eq!(inside.load(SeqCst), 1);
        drop(mine);
        g.check_free();
    });
}

#[test]
fn a_reader_sees_what_the_writer_wrote() {
    exhaustive(|| {
        let g = Guarded::new();
        let writer = spawn(&g, |g| {
            let _guard = g.lock.write(0..10);
            g.add(1);
            g.add(1);
        });
        {
            let _guard = g.lock.read(9..20);
            assert!(matches!(g.get(), 0 | 2));
        }
        writer.join().unwrap();
        g.check_free();
    });
}

#[test]
fn disjoint_ranges_do_not_meet() {
    exhaustive(|| {
        let g = Guarded::new();
        let mine = g.lock.write(0..5);
        spawn(&g, |g| drop(g.lock.write(5..10))).join().unwrap();
        drop(mine);
        g.check_free();
    });
}

#[test]
fn downgrade_lets_a_waiting_reader_in_and_no_writer() {
    model(|| {
        let g = Guarded::new();
        let writer = g.lock.write(0..10);
        g.add(1);
        let reader = spawn(&g, |g| {
            let _guard = g.lock.read(0..10);
            g.get()
        });
        let second_writer = spawn(&g, |g| {
            let _guard = g.lock.write(0..10);
            g.add(10);
        });
        let downgraded = RangeWriteGuard::downgrade(writer);
        // No gap: the second writer cannot have been in.
        assert_eq!(g.get(), 1);
        drop(downgraded);
        assert!(matches!(reader.join().unwrap(), 1 | 11));
        second_writer.join().unwrap();
        assert_eq!(g.get(), 11);
        g.check_free();
    });
}

#[test]
fn a_reader_that_waits_is_let_in_by_the_downgrade_alone() {
    exhaustive(|| {
        let g = Guarded::new();
        let writer = g.lock.write(0..10);
        let reader = spawn(&g, |g| drop(g.lock.read(0..10)));
        let downgraded = RangeWriteGuard::downgrade(writer);
        // Joined before the release: only the downgrade can have let it in.
        reader.join().unwrap();
        drop(downgraded);
        g.check_free();
    });
}

#[test]
fn a_time_out_that_races_a_grant_loses_nothing() {
    exhaustive(|| {
        let g = Guarded::new();
        let holder = g.lock.write(0..10);
        let timed = spawn(&g, |g| g.lock.try_write_for(0..10, SOON).map(|_guard| g.add(1)).is_some());
        g.add(1);
        drop(holder);
        let granted = timed.join().unwrap();
        assert_eq!(g.get(), 1 + usize::from(granted));
        g.check_free();
    });
}

#[test]
fn a_time_out_lets_in_who_waited_behind_it() {
    exhaustive(|| {
        let g = Guarded::new();
        let holder = g.lock.read(0..10);
        let timed = spawn(&g, |g| drop(g.lock.try_write_for(0..10, SOON)));
        // May wait behind the writer; the holder is not released, so only the time-out can let it in.
        drop(g.lock.read(0..10));
        timed.join().unwrap();
        drop(holder);
        g.check_free();
    });
}

#[test]
fn a_timed_out_reader_releases_only_who_counted_it() {
    model(|| {
        let g = Guarded::new();
        let holder = g.lock.write(0..10);
        let timed = spawn(&g, |g| g.lock.try_read_for(0..10, SOON).map(|_guard| g.get()));
        let reader = spawn(&g, |g| {
            let _guard = g.lock.read(0..10);
            g.get()
        });
        g.add(1);
        drop(holder);
        assert!(matches!(timed.join().unwrap(), None | Some(1)));
        assert!(matches!(reader.join().unwrap(), 0 | 1));
        g.check_free();
    });
}

#[test]
fn a_time_out_lets_nobody_in_who_came_before_it() {
    exhaustive(|| {
        let g = Guarded::new();
        let holder = g.lock.read(0..10);
        let writer = spawn(&g, |g| {
            let _guard = g.lock.write(0..10);
            g.add(1);
        });
        // Behind the writer, or before it: in neither case may giving up let the writer in beside the reader.
        drop(g.lock.try_write_for(0..10, SOON));
        assert!(matches!(g.get(), 0));
        drop(holder);
        writer.join().unwrap();
        g.check_free();
    });
}

#[test]
fn conflicting_requests_are_served_in_order() {
    model(|| {
        let g = Guarded::new();
        let holder = g.lock.read(0..10);
        let writer = spawn(&g, |g| {
            let _guard = g.lock.write(0..10);
            g.add(1);
        });
        // Enters before or after the writer. If the writer waits already, it comes first.
        let writer_waits = g.lock.requests().len() == 2;
        let reader = spawn(&g, |g| {
            let _guard = g.lock.read(0..10);
            g.get()
        });
        drop(holder);
        let seen = reader.join().unwrap();
        assert!(seen == 1 || !writer_waits, "a reader passed a writer that waited");
        writer.join().unwrap();
        g.check_free();
    });
}

#[test]
fn an_upgrade_waits_for_the_reader_and_is_passed_by_nobody() {
    model(|| {
        let g = Guarded::new();
        let looking = g.lock.upgradable_read(0..10);
        let reader = spawn(&g, |g| {
            let _guard = g.lock.read(0..10);
            g.get()
        });
        let writer = spawn(&g, |g| {
            let _guard = g.lock.write(0..10);
            g.add(10);
        });
        let before = g.get();
        let changing = RangeUpgradableReadGuard::upgrade(looking);
        assert_eq!(g.get(), before, "a writer came between looking and changing");
        g.add(1);
        drop(changing);
        assert!(matches!(reader.join().unwrap(), 0 | 1 | 11));
        writer.join().unwrap();
        assert_eq!(g.get(), 11);
        g.check_free();
    });
}

#[test]
fn a_timed_upgrade_that_gives_up_is_upgradable_as_before() {
    exhaustive(|| {
        let g = Guarded::new();
        let looking = g.lock.upgradable_read(0..10);
        let reader = spawn(&g, |g| {
            let _guard = g.lock.read(0..10);
            g.get()
        });
        match RangeUpgradableReadGuard::try_upgrade_for(looking, SOON) {
            Ok(changing) => {
                g.add(1);
                drop(changing);
            }
            Err(looking) => {
                // The reader is not kept out by what was taken back.
                reader.join().unwrap();
                drop(looking);
                g.check_free();
                return;
            }
        }
        reader.join().unwrap();
        g.check_free();
    });
}

#[test]
fn shrink_lets_in_who_waited_for_the_rest() {
    exhaustive(|| {
        let g = Guarded::new();
        let mut holder = g.lock.write(0..20);
        let other = spawn(&g, |g| {
            let _guard = g.lock.write(0..10);
            g.add(1);
        });
        RangeWriteGuard::shrink(&mut holder, 10..20);
        other.join().unwrap();
        drop(holder);
        g.check_free();
    });
}

#[test]
fn who_waits_for_both_halves_of_a_split_waits_for_both() {
    exhaustive(|| {
        let g = Guarded::new();
        let holder = g.lock.write(0..10);
        let other = spawn(&g, |g| {
            let _guard = g.lock.write(0..10);
            g.add(1);
        });
        let (left, right) = RangeWriteGuard::split_at(holder, 5);
        drop(left);
        g.add(1); // Still alone on the right half.
        drop(right);
        other.join().unwrap();
        assert_eq!(g.get(), 2);
        g.check_free();
    });
}

#[test]
fn an_owned_guard_is_released_on_another_thread_that_outlives_the_lock() {
    exhaustive(|| {
        let lock = std::sync::Arc::new(new_lock());
        let guard = lock.write_arc(0..10);
        let waiter = {
            let lock = std::sync::Arc::clone(&lock);
            thread::spawn(move || drop(lock.read_arc(5..6)))
        };
        drop(lock);
        let releaser = thread::spawn(move || drop(guard));
        waiter.join().unwrap();
        releaser.join().unwrap();
    });
}

#[test]
fn a_guard_of_readers_hands_over_to_a_writer_what_all_of_them_did() {
    model(|| {
        let g = Guarded::new();
        let readers = [0, 1].map(|_| {
            spawn(&g, |g| {
                let guard = g.lock.read(0..10);
                let seen = g.get();
                drop::<RangeReadGuard<'_>>(guard);
                seen
            })
        });
        {
            let _guard = g.lock.write(0..10);
            g.add(1); // loom reports a race with a reader that has not been waited for.
        }
        for reader in readers {
            reader.join().unwrap();
        }
        g.check_free();
    });
}

/// Two locks, and a cell for the data of each.
struct Pair {
    locks: [RangeLock; 2],
    data: [UnsafeCell<usize>; 2],
}

// SAFETY: as `Guarded`: each cell is touched only under a guard of its lock.
unsafe impl Sync for Pair {}
// SAFETY: a `usize` may be sent.
unsafe impl Send for Pair {}

impl Pair {
    fn new() -> Arc<Self> {
        Arc::new(Pair { locks: [new_lock(), new_lock()], data: [UnsafeCell::new(0), UnsafeCell::new(0)] })
    }

    fn get(&self, at: usize) -> usize {
        // SAFETY: the caller holds the range for reading; checked by loom.
        self.data[at].with(|data| unsafe { *data })
    }

    fn add(&self, at: usize, n: usize) {
        // SAFETY: the caller holds the range for writing; checked by loom.
        self.data[at].with_mut(|data| unsafe { *data += n });
    }

    fn check_free(&self) {
        for lock in &self.locks {
            assert!(lock.requests().is_empty(), "{lock:?}");
            assert!(lock.try_write(..).is_some());
        }
    }
}

#[test]
fn requests_for_two_locks_in_opposite_orders_do_not_deadlock() {
    exhaustive(|| {
        let p = Pair::new();
        let other = spawn(&p, |p| {
            let both = [Request::write(&p.locks[1], 0..10), Request::write(&p.locks[0], 0..10)];
            let _guard = RangeLock::acquire_many(both);
            p.add(0, 1);
            p.add(1, 1);
        });
        {
            let both = [Request::write(&p.locks[0], 5..15), Request::write(&p.locks[1], 5..15)];
            let _guard = RangeLock::acquire_many(both);
            p.add(1, 1);
            p.add(0, 1);
        }
        other.join().unwrap();
        assert_eq!((p.get(0), p.get(1)), (2, 2));
        p.check_free();
    });
}

#[test]
fn a_request_for_two_locks_waits_for_the_holders_of_both() {
    model(|| {
        let p = Pair::new();
        let holders = [0, 1].map(|at| {
            spawn(&p, move |p| {
                let _guard = p.locks[at].write(0..10);
                p.add(at, 1);
            })
        });
        {
            let both = [Request::read(&p.locks[0], 0..10), Request::write(&p.locks[1], 0..10)];
            let _guard = RangeLock::acquire_many(both);
            p.get(0);
            p.add(1, 1); // loom reports a race with a holder that has not been waited for.
        }
        for holder in holders {
            holder.join().unwrap();
        }
        assert_eq!((p.get(0), p.get(1)), (1, 2));
        p.check_free();
    });
}

#[test]
fn a_request_for_two_spans_of_one_lock_waits_for_the_holders_of_both() {
    model(|| {
        let g = Guarded::new();
        let holders = [0..2, 8..10].map(|range| {
            spawn(&g, move |g| {
                let _guard = g.lock.read(range);
                g.get()
            })
        });
        {
            let both = [Request::write(&g.lock, 0..2), Request::write(&g.lock, 8..10)];
            let _guard = RangeLock::acquire_many(both);
            g.add(1);
        }
        for holder in holders {
            holder.join().unwrap();
        }
        g.check_free();
    });
}

#[test]
fn a_time_out_of_two_locks_races_the_grants_of_both() {
    model(|| {
        let p = Pair::new();
        let holders = [0, 1].map(|at| {
            spawn(&p, move |p| {
                let _guard = p.locks[at].write(0..10);
                p.add(at, 1);
            })
        });
        {
            let both = [Request::write(&p.locks[0], 0..10), Request::write(&p.locks[1], 0..10)];
            if let Some(_guard) = RangeLock::try_acquire_many_for(both, SOON) {
                p.add(0, 1);
                p.add(1, 1);
            }
        }
        for holder in holders {
            holder.join().unwrap();
        }
        p.check_free();
    });
}

/// The readers whom an upgrade counts wait, or are in; one that waits in another lock too can be let in there, by somebody who
/// holds only that lock's mutex, while the upgrade looks.
#[test]
fn an_upgrade_counts_a_reader_who_is_let_in_by_another_lock() {
    model(|| {
        let p = Pair::new();
        let looking = p.locks[1].upgradable_read(0..10);
        let holder = spawn(&p, |p| drop(p.locks[0].write(0..10)));
        let reader = spawn(&p, |p| {
            let both = [Request::read(&p.locks[0], 0..10), Request::read(&p.locks[1], 0..10)];
            let _guard = RangeLock::acquire_many(both);
            p.get(1)
        });
        let changing = RangeUpgradableReadGuard::upgrade(looking);
        p.add(1, 1); // loom reports a race with a reader who is in.
        drop(changing);
        holder.join().unwrap();
        reader.join().unwrap();
        p.check_free();
    });
}

#[test]
fn a_try_upgrade_fails_for_a_reader_who_is_let_in_by_another_lock() {
    model(|| {
        let p = Pair::new();
        let looking = p.locks[1].upgradable_read(0..10);
        let holder = spawn(&p, |p| drop(p.locks[0].write(0..10)));
        let reader = spawn(&p, |p| {
            let both = [Request::read(&p.locks[0], 0..10), Request::read(&p.locks[1], 0..10)];
            let _guard = RangeLock::acquire_many(both);
            p.get(1)
        });
        match RangeUpgradableReadGuard::try_upgrade(looking) {
            Ok(_changing) => p.add(1, 1),
            Err(looking) => {
                // The reader is not kept out by what was taken back.
                reader.join().unwrap();
                drop(looking);
                holder.join().unwrap();
                return p.check_free();
            }
        }
        holder.join().unwrap();
        reader.join().unwrap();
        p.check_free();
    });
}

#[test]
fn a_try_upgrade_races_a_reader_who_leaves_and_one_who_comes() {
    model(|| {
        let g = Guarded::new();
        let looking = g.lock.upgradable_read(0..10);
        let readers = [0..5, 5..10].map(|range| {
            spawn(&g, move |g| {
                let _guard = g.lock.read(range);
                g.get()
            })
        });
        match RangeUpgradableReadGuard::try_upgrade(looking) {
            Ok(changing) => {
                g.add(1);
                drop(changing);
            }
            Err(looking) => drop(looking),
        }
        for reader in readers {
            reader.join().unwrap();
        }
        g.check_free();
    });
}

#[test]
fn an_owned_guard_that_another_thread_drops_wakes_who_waits_here() {
    exhaustive(|| {
        let lock = std::sync::Arc::new(new_lock());
        let data = Arc::new(UnsafeCell::new(0));
        let guard = lock.write_arc(0..10);
        let releaser = {
            let data = Arc::clone(&data);
            thread::spawn(move || {
                // SAFETY: `guard` holds the range that stands for `data`; checked by loom.
                data.with_mut(|data| unsafe { *data += 1 });
                drop(guard);
            })
        };
        let mine = lock.read_arc(5..6);
        // SAFETY: as above.
        assert_eq!(data.with(|data| unsafe { *data }), 1);
        drop(mine);
        releaser.join().unwrap();
        assert!(lock.requests().is_empty());
    });
}

#[test]
fn a_leaked_guard_leaves_the_rest_working() {
    exhaustive(|| {
        let g = Guarded::new();
        std::mem::forget(g.lock.write(10..20));
        let other = spawn(&g, |g| {
            let _guard = g.lock.write(0..10);
            g.add(1);
        });
        {
            let _guard = g.lock.write(5..10);
            g.add(1);
        }
        other.join().unwrap();
        assert_eq!(g.lock.requests().len(), 1);
        assert!(g.lock.try_write(..10).is_some());
    });
}

/// Tasks: the waker takes the place of the parked thread.
#[cfg(feature = "async")]
mod tasks {
    use std::future::Future;
    use std::pin::{Pin, pin};
    use std::task::{Context, Poll, Wake, Waker};

    use loom::sync::{Condvar, Mutex};

    use super::*;

    /// A flag that is set by being woken.
    pub(super) struct Signal {
        woken: Mutex<bool>,
        changed: Condvar,
    }

    impl Signal {
        pub(super) fn new() -> std::sync::Arc<Self> {
            std::sync::Arc::new(Signal { woken: Mutex::new(false), changed: Condvar::new() })
        }

        pub(super) fn wait(&self) {
            let mut woken = self.woken.lock().unwrap();
            while !*woken {
                woken = self.changed.wait(woken).unwrap();
            }
            *woken = false;
        }
    }

    impl Wake for Signal {
        fn wake(self: std::sync::Arc<Self>) {
            *self.woken.lock().unwrap() = true;
            self.changed.notify_one();
        }
    }

    pub(super) fn poll<F: Future>(
        future: &mut Pin<&mut F>,
        signal: &std::sync::Arc<Signal>,
    ) -> Poll<F::Output> {
        let waker = Waker::from(std::sync::Arc::clone(signal));
        future.as_mut().poll(&mut Context::from_waker(&waker))
    }

    fn block_on<F: Future>(future: F) -> F::Output {
        let signal = Signal::new();
        let mut future = pin!(future);
        loop {
            match poll(&mut future, &signal) {
                Poll::Ready(output) => return output,
                Poll::Pending => signal.wait(),
            }
        }
    }

    #[test]
    fn a_task_is_woken_whenever_it_registers() {
        exhaustive(|| {
            let g = Guarded::new();
            let holder = g.lock.write(0..10);
            let task = spawn(&g, |g| {
                let _guard = block_on(g.lock.write_async(0..10));
                g.add(1);
            });
            g.add(1);
            drop(holder);
            task.join().unwrap();
            assert_eq!(g.get(), 2);
            g.check_free();
        });
    }

    #[test]
    fn a_task_that_changes_its_waker_is_woken_by_the_last() {
        exhaustive(|| {
            let g = Guarded::new();
            let holder = g.lock.write(0..10);
            let task = spawn(&g, |g| {
                let mut future = pin!(g.lock.read_async(0..10));
                let (stale, last) = (Signal::new(), Signal::new());
                if poll(&mut future, &stale).is_ready() || poll(&mut future, &last).is_ready() {
                    return;
                }
                last.wait();
                assert!(poll(&mut future, &last).is_ready(), "woken, and not granted");
            });
            drop(holder);
            task.join().unwrap();
            g.check_free();
        });
    }

    #[test]
    fn a_task_and_a_thread_exclude() {
        model(|| {
            let g = Guarded::new();
            let others = [true, false].map(|task| {
                spawn(&g, move |g| {
                    let _guard = if task { block_on(g.lock.write_async(0..6)) } else { g.lock.write(4..10) };
                    g.add(1);
                })
            });
            {
                let _guard = block_on(g.lock.read_async(..));
                g.get();
            }
            for other in others {
                other.join().unwrap();
            }
            assert_eq!(g.get(), 2);
            g.check_free();
        });
    }

    #[test]
    fn a_future_that_is_dropped_while_it_is_granted_hands_the_range_on() {
        model(|| {
            let g = Guarded::new();
            let holder = g.lock.write(0..10);
            let dropper = spawn(&g, |g| {
                let mut future = Box::pin(g.lock.write_async(0..10));
                drop(poll(&mut future.as_mut(), &Signal::new()));
                drop(future);
            });
            let behind = spawn(&g, |g| {
                let _guard = g.lock.read(0..10);
                g.get()
            });
            g.add(1);
            drop(holder);
            dropper.join().unwrap();
            behind.join().unwrap();
            g.check_free();
        });
    }

    #[test]
    fn a_dropped_future_of_a_reader_releases_only_who_counted_it() {
        model(|| {
            let g = Guarded::new();
            let holder = g.lock.write(0..10);
            let dropper = spawn(&g, |g| {
                let mut future = Box::pin(g.lock.read_async(0..10));
                drop(poll(&mut future.as_mut(), &Signal::new()));
                drop(future);
            });
            let reader = spawn(&g, |g| {
                let _guard = g.lock.read(0..10);
                g.get()
            });
            g.add(1);
            drop(holder);
            dropper.join().unwrap();
            assert!(matches!(reader.join().unwrap(), 0 | 1));
            g.check_free();
        });
    }

    #[test]
    fn a_dropped_future_of_two_locks_races_the_grants_of_both() {
        model(|| {
            let p = Pair::new();
            let holders = [0, 1].map(|at| {
                spawn(&p, move |p| {
                    let _guard = p.locks[at].write(0..10);
                    p.add(at, 1);
                })
            });
            {
                let both = [Request::write(&p.locks[0], 0..10), Request::write(&p.locks[1], 0..10)];
                let mut future = Box::pin(RangeLock::acquire_many_async(both));
                drop(poll(&mut future.as_mut(), &Signal::new()));
                drop(future);
            }
            for holder in holders {
                holder.join().unwrap();
            }
            p.check_free();
        });
    }

    #[test]
    fn an_upgrade_of_a_task_waits_for_the_reader() {
        exhaustive(|| {
            let g = Guarded::new();
            let looking = g.lock.upgradable_read(0..10);
            let reader = spawn(&g, |g| {
                let _guard = g.lock.read(0..10);
                g.get()
            });
            let changing = block_on(RangeUpgradableReadGuard::upgrade_async(looking));
            g.add(1);
            drop(changing);
            reader.join().unwrap();
            g.check_free();
        });
    }

    #[test]
    fn an_upgrade_that_is_dropped_lets_in_the_readers_that_it_kept_out() {
        model(|| {
            let g = Guarded::new();
            let looking = g.lock.upgradable_read(0..10);
            let reader = spawn(&g, |g| {
                let _guard = g.lock.read(0..10);
                g.get()
            });
            let late = spawn(&g, |g| {
                let _guard = g.lock.read(5..10);
                g.get()
            });
            let mut future = Box::pin(RangeUpgradableReadGuard::upgrade_async(looking));
            drop(poll(&mut future.as_mut(), &Signal::new()));
            drop(future);
            reader.join().unwrap();
            late.join().unwrap();
            g.check_free();
        });
    }
}
