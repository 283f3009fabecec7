//! Models: every schedule of a few threads, under the C11 memory model. Run with
//!
//! ```text
//! RUSTFLAGS="--cfg loom" cargo test --release -p range-lock --features async --test loom
//! ```
//!
//! # Bounds
//!
//! Models of two threads, and small ones of three, are exhaustive: all their schedules are tried
//! ([`exhaustive`]). The other models of three threads would not end. They try the schedules with
//! at most three preemptions ([`model`]). With two, an upgrade that misses a reader whom another
//! lock lets in is not found. A switch to another thread where one blocks or ends is no preemption.
//! `LOOM_MAX_PREEMPTIONS` sets another bound, for all of them.
//!
//! Most models run twice: with locks that are whole, and with locks that are cut in the middle of
//! the points that the model uses, so that spans lie in two leaves. Models of cuts and joins run
//! once. They are in [`partition`], and in [`restructuring`] where the lock cuts by itself.
//!
//! The data that a range guards is a loom `UnsafeCell`. So loom itself reports two users that are
//! in at once, and a user that does not see what the one before wrote. A timed wait in a model
//! gives up as soon as it would sleep: in some schedules that is before the grant, in some at the
//! same time, in some after it.
#![cfg(loom)]

mod bypass;
mod changes;
mod exclusion;
mod guarded;
mod guards;
mod held;
mod partition;
mod registrations;
mod restructuring;
mod schedules;
mod several;
#[cfg(feature = "async")]
mod tasks;
mod time_outs;
mod upgrades;
mod watches;

use std::time::Duration;

use guarded::{Guarded, Pair, cut_if_its_turn, new_lock};
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use loom::thread;
use range_lock::{__private, RangeLock, RangeReadGuard, RangeUpgradableReadGuard, RangeWriteGuard, Request};
use schedules::{exhaustive, model, model_of_many_schedules};

/// Long enough to be queued: a deadline that has passed is not.
const SOON: Duration = Duration::from_micros(100);

/// Calls `f` on a thread of its own.
fn spawn<S: 'static, T: 'static>(
    shared: &Arc<S>,
    f: impl FnOnce(&S) -> T + 'static,
) -> thread::JoinHandle<T> {
    let shared = Arc::clone(shared);
    thread::spawn(move || f(&shared))
}
