//! The only door to atomics, mutexes, spinning and parking: the standard library, crossbeam-utils and parking_lot_core
//! in a normal build, loom in a model (`--cfg loom`).
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
    /// At this instant. In a model, where time does not pass, it may be now: every schedule in which the deadline comes
    /// at another moment is one in which the thread was slow to run.
    At(#[cfg_attr(loom, expect(dead_code, reason = "in a model the deadline is always now"))] Instant),
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

#[cfg(not(loom))]
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
    pub(crate) use loom::sync::atomic::{AtomicUsize, Ordering};
    pub(crate) use loom::sync::{Arc, Mutex, MutexGuard};

    use super::{Deadline, Parked};

    /// Locks a mutex that guards the lock's own state.
    pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
        mutex.lock().unwrap()
    }

    /// Spinning in a model: one yield, since another turn would see the same.
    #[derive(Debug)]
    pub(crate) struct Backoff;

    impl Backoff {
        pub(crate) fn new() -> Self {
            Backoff
        }

        pub(crate) fn snooze(&self) {
            loom::thread::yield_now();
        }

        pub(crate) fn is_completed(&self) -> bool {
            true
        }
    }

    /// A place where one thread sleeps.
    #[derive(Debug)]
    pub(crate) struct Parker {
        lock: loom::sync::Mutex<()>,
        woken: loom::sync::Condvar,
    }

    impl Parker {
        pub(crate) fn new() -> Self {
            Parker { lock: loom::sync::Mutex::new(()), woken: loom::sync::Condvar::new() }
        }

        pub(crate) fn park(&self, asleep: impl Fn() -> bool, deadline: Deadline) -> Parked {
            if let Deadline::At(_instant) = deadline {
                loom::thread::yield_now();
                return Parked::TimedOut;
            }
            let queue = self.lock.lock().unwrap();
            if asleep() {
                drop(self.woken.wait(queue).unwrap());
            }
            Parked::LookAgain
        }

        pub(crate) fn unpark(&self) {
            let _queue = self.lock.lock().unwrap();
            self.woken.notify_one();
        }
    }
}
