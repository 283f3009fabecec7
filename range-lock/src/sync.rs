//! The only door to atomics, mutexes, spinning and parking: the standard library, crossbeam-utils and parking_lot_core
//! in a normal build, loom (`--cfg loom`) or shuttle (`--cfg shuttle`) in a model.
//!
//! loom tries every schedule of a few steps under the C11 memory model; shuttle tries random schedules of many steps,
//! sequentially consistent.
//!
//! # Invariant of the unsafe code
//!
//! **own address**: the key under which a thread parks is the address of a [`Parker`], and whoever parks or unparks
//! does so through a reference to that parker. So the address belongs to this crate for as long as anybody parks or
//! unparks under it, which is what parking_lot_core asks of a key, and nobody else's sleeper can be woken.

pub(crate) use imp::*;

use std::time::{Duration, Instant};

/// When a waiter gives up.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Deadline {
    /// It does not.
    Never,
    /// At this instant. In a model, where time does not pass, it is when the model says: see its `Parker`.
    At(Instant),
}

impl Deadline {
    /// In so much time from now; never if that is past what the clock can tell.
    pub(crate) fn after(timeout: Duration) -> Deadline {
        Instant::now().checked_add(timeout).map_or(Deadline::Never, Deadline::At)
    }
}

/// Why a parked thread goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Parked {
    /// It was unparked, or did not need to sleep, or for no reason: look again.
    LookAgain,
    /// The deadline has come.
    TimedOut,
}

#[cfg(not(any(loom, shuttle)))]
mod imp {
    pub(crate) use std::sync::Arc;
    pub(crate) use std::sync::atomic::{AtomicUsize, Ordering};

    pub(crate) use crossbeam_utils::Backoff;
    use parking_lot_core::{DEFAULT_PARK_TOKEN, DEFAULT_UNPARK_TOKEN, ParkResult};

    use super::{Deadline, Parked};
    pub(crate) use crate::mutex::{Mutex, MutexGuard};

    /// Locks a mutex that guards the lock's own state. No code of the user's runs under one.
    #[inline]
    pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
        mutex.lock()
    }

    /// A place where one thread sleeps.
    #[derive(Debug)]
    pub(crate) struct Parker {
        /// Not read or written: the parker is its address, and a zero-sized one could share it.
        _address: u8,
    }

    impl Parker {
        pub(crate) fn new() -> Self {
            Parker { _address: 0 }
        }

        fn key(&self) -> usize {
            std::ptr::from_ref(self).addr()
        }

        /// Sleeps until unparked, unless `asleep` says, under the lock that [`unpark`](Self::unpark) takes too, that
        /// there is nothing to sleep for. `asleep` must neither unwind nor park.
        pub(crate) fn park(&self, asleep: impl Fn() -> bool, deadline: Deadline) -> Parked {
            let timeout = match deadline {
                Deadline::Never => None,
                Deadline::At(instant) => Some(instant),
            };
            // SAFETY: the key is our own address ("own address"); `asleep` does not unwind or park by contract, and the
            // two other callbacks do nothing.
            let result = unsafe {
                parking_lot_core::park(self.key(), asleep, || {}, |_, _| {}, DEFAULT_PARK_TOKEN, timeout)
            };
            match result {
                ParkResult::TimedOut => Parked::TimedOut,
                ParkResult::Unparked(_) | ParkResult::Invalid => Parked::LookAgain,
            }
        }

        /// Wakes the thread that sleeps here, if one does.
        pub(crate) fn unpark(&self) {
            // SAFETY: the key is our own address ("own address"); the callback does nothing.
            unsafe { parking_lot_core::unpark_one(self.key(), |_| DEFAULT_UNPARK_TOKEN) };
        }
    }
}

#[cfg(loom)]
mod imp {
    pub(super) use loom::sync::Condvar;
    pub(crate) use loom::sync::atomic::{AtomicUsize, Ordering};
    pub(crate) use loom::sync::{Arc, Mutex, MutexGuard};
    pub(super) use loom::thread::yield_now;

    pub(crate) use super::model::{Backoff, Parker, lock};

    /// For how many turns of the other threads a timed park lasts. With none, the deadline is now: every schedule in which it
    /// comes at another moment is one in which the thread was slow to come here.
    pub(super) fn turns_until_the_deadline() -> usize {
        0
    }
}

#[cfg(shuttle)]
mod imp {
    pub(super) use shuttle::sync::Condvar;
    pub(crate) use shuttle::sync::atomic::{AtomicUsize, Ordering};
    pub(crate) use shuttle::sync::{Arc, Mutex, MutexGuard};
    pub(super) use shuttle::thread::yield_now;

    pub(crate) use super::model::{Backoff, Parker, lock};

    /// For how many turns of the other threads a timed park lasts: the schedule chooses.
    pub(super) fn turns_until_the_deadline() -> usize {
        use shuttle::rand::{Rng, thread_rng};
        thread_rng().gen_range(0..8)
    }
}

/// What a model has in place of spinning and parking.
#[cfg(any(loom, shuttle))]
mod model {
    use super::imp::{Condvar, Mutex, MutexGuard, turns_until_the_deadline, yield_now};
    use super::{Deadline, Parked};

    /// Locks a mutex that guards the lock's own state.
    pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
        mutex.lock().unwrap()
    }

    /// Spinning in a model: not at all, since a schedule in which the thread is slow to sleep sees the same.
    #[derive(Debug)]
    pub(crate) struct Backoff;

    impl Backoff {
        pub(crate) fn new() -> Self {
            Backoff
        }

        pub(crate) fn snooze(&self) {
            yield_now();
        }

        pub(crate) fn is_completed(&self) -> bool {
            true
        }
    }

    /// A place where one thread sleeps.
    #[derive(Debug)]
    pub(crate) struct Parker {
        lock: Mutex<()>,
        woken: Condvar,
    }

    impl Parker {
        pub(crate) fn new() -> Self {
            Parker { lock: Mutex::new(()), woken: Condvar::new() }
        }

        /// Sleeps until unparked; with a deadline, for so many turns of the others as the model says.
        pub(crate) fn park(&self, asleep: impl Fn() -> bool, deadline: Deadline) -> Parked {
            if let Deadline::At(_instant) = deadline {
                for _ in 0..turns_until_the_deadline() {
                    yield_now();
                    if !asleep() {
                        return Parked::LookAgain;
                    }
                }
                yield_now();
                return Parked::TimedOut;
            }
            let queue = super::lock(&self.lock);
            if asleep() {
                drop(self.woken.wait(queue));
            }
            Parked::LookAgain
        }

        pub(crate) fn unpark(&self) {
            let _queue = super::lock(&self.lock);
            self.woken.notify_one();
        }
    }
}
