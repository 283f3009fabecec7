//! Models: every schedule of a few threads (with at most so many preemptions as `LOOM_MAX_PREEMPTIONS` allows), under the
//! C11 memory model. Run with
//!
//! ```text
//! RUSTFLAGS="--cfg loom" LOOM_MAX_PREEMPTIONS=2 cargo test --release -p range-lock --test loom
//! ```
//!
//! The data that a range guards is a loom `UnsafeCell`, so that loom itself reports two users who are in at once, and a
//! user who does not see what the one before wrote. A timed wait in a model gives up as soon as it would sleep: in some
//! schedules that is before the grant, in some at the same time, in some after it.
#![cfg(loom)]

use std::time::Duration;

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use loom::thread;
use range_lock::{RangeLock, RangeReadGuard, RangeUpgradableReadGuard, RangeWriteGuard};

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

impl Guarded {
    fn new() -> Arc<Self> {
        Arc::new(Guarded { lock: RangeLock::new(), data: UnsafeCell::new(0) })
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

fn spawn<T: 'static>(
    guarded: &Arc<Guarded>,
    f: impl FnOnce(&Guarded) -> T + 'static,
) -> thread::JoinHandle<T> {
    let guarded = Arc::clone(guarded);
    thread::spawn(move || f(&guarded))
}

const SOON: Duration = Duration::ZERO;

#[test]
fn two_writers_exclude() {
    loom::model(|| {
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
    loom::model(|| {
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
    loom::model(|| {
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
    loom::model(|| {
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
    loom::model(|| {
        let g = Guarded::new();
        let mine = g.lock.write(0..5);
        spawn(&g, |g| drop(g.lock.write(5..10))).join().unwrap();
        drop(mine);
        g.check_free();
    });
}

#[test]
fn downgrade_lets_a_waiting_reader_in_and_no_writer() {
    loom::model(|| {
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
    loom::model(|| {
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
    loom::model(|| {
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
    loom::model(|| {
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
    loom::model(|| {
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
    loom::model(|| {
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
    loom::model(|| {
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
    loom::model(|| {
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
    loom::model(|| {
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
    loom::model(|| {
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
    loom::model(|| {
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
    loom::model(|| {
        let lock = std::sync::Arc::new(RangeLock::new());
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
    loom::model(|| {
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
