//! Models of tasks: a waker takes the place of the parked thread.

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Wake, Waker};

use loom::sync::{Condvar, Mutex};

use super::several::a_writer_of_each;
use super::*;

/// A flag that is set by being woken.
pub(crate) struct Signal {
    woken: Mutex<bool>,
    changed: Condvar,
}

impl Signal {
    pub(crate) fn new() -> std::sync::Arc<Self> {
        std::sync::Arc::new(Signal { woken: Mutex::new(false), changed: Condvar::new() })
    }

    pub(crate) fn wait(&self) {
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

pub(crate) fn poll<F: Future>(future: &mut Pin<&mut F>, signal: &std::sync::Arc<Signal>) -> Poll<F::Output> {
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
        let holders = a_writer_of_each(&p);
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
