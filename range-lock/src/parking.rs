//! Places where threads sleep in a queue: parking_lot_core's parking lot, or in a model a queue of
//! the model's. It uses `spin`.
//!
//! # Invariant of the unsafe code
//!
//! **own address**: the key under which a thread parks is the address of a [`Place`]. A thread
//! parks or unparks through a reference to that place. So the address belongs to this crate for as
//! long as a thread parks or unparks under it, as parking_lot_core requires of a key. No sleeper of
//! other code can be woken.

pub(crate) use imp::Place;

/// Why a thread that came to sleep goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Parked {
    /// It was unparked.
    Unparked,
    /// It did not sleep: under the place's lock there was nothing to sleep for.
    Declined,
    /// The deadline has come.
    TimedOut,
}

#[cfg(not(any(loom, shuttle)))]
mod imp {
    use std::time::Instant;

    use parking_lot_core::{DEFAULT_PARK_TOKEN, DEFAULT_UNPARK_TOKEN, ParkResult};

    use super::Parked;

    /// A place where threads sleep, and are woken in the order in which they came.
    #[derive(Debug)]
    pub(crate) struct Place {
        /// Not read or written: the place is its address, and a zero-sized one could share it.
        _address: u8,
    }

    impl Place {
        pub(crate) const fn new() -> Self {
            Place { _address: 0 }
        }

        fn key(&self) -> usize {
            std::ptr::from_ref(self).addr()
        }

        /// Sleeps until unparked or until `deadline`, unless `sleeps` reports that there is nothing
        /// to sleep for. `sleeps` is called once, under the place's lock, and must neither unwind
        /// nor park.
        pub(crate) fn park(&self, sleeps: impl FnOnce() -> bool, deadline: Option<Instant>) -> Parked {
            // SAFETY: the key is our own address ("own address"); `sleeps` does not unwind or park
            // by contract, and the two other callbacks do nothing.
            let result = unsafe {
                parking_lot_core::park(self.key(), sleeps, || {}, |_, _| {}, DEFAULT_PARK_TOKEN, deadline)
            };
            match result {
                ParkResult::Unparked(_) => Parked::Unparked,
                ParkResult::Invalid => Parked::Declined,
                ParkResult::TimedOut => Parked::TimedOut,
            }
        }

        /// Wakes the first thread that sleeps here. Calls `then`, under the place's lock, with
        /// whether there was such a thread. `then` must neither unwind nor park.
        pub(crate) fn unpark_one(&self, then: impl FnOnce(bool)) {
            // SAFETY: the key is our own address ("own address"); `then` does not unwind or park by
            // contract.
            unsafe {
                parking_lot_core::unpark_one(self.key(), |result| {
                    then(result.unparked_threads != 0);
                    DEFAULT_UNPARK_TOKEN
                });
            }
        }
    }
}

#[cfg(any(loom, shuttle))]
mod imp {
    use std::collections::VecDeque;
    use std::time::Instant;

    #[cfg(loom)]
    use loom::sync::{Arc, Condvar, Mutex};
    #[cfg(shuttle)]
    use shuttle::sync::{Arc, Condvar, Mutex};

    use super::Parked;
    use crate::spin::yield_now;

    #[derive(Debug)]
    pub(crate) struct Place {
        queue: Mutex<VecDeque<Arc<Sleeper>>>,
    }

    #[derive(Debug)]
    struct Sleeper {
        is_woken: Mutex<bool>,
        bell: Condvar,
    }

    impl Place {
        pub(crate) fn new() -> Self {
            Place { queue: Mutex::new(VecDeque::new()) }
        }

        /// With a deadline the thread sleeps for as long as the schedule chooses, which may be no
        /// time at all.
        pub(crate) fn park(&self, sleeps: impl FnOnce() -> bool, deadline: Option<Instant>) -> Parked {
            let me = Arc::new(Sleeper { is_woken: Mutex::new(false), bell: Condvar::new() });
            {
                let mut queue = self.queue.lock().unwrap();
                if !sleeps() {
                    return Parked::Declined;
                }
                queue.push_back(Arc::clone(&me));
            }
            if deadline.is_some() {
                yield_now();
                let mut queue = self.queue.lock().unwrap();
                let at = queue.iter().position(|sleeper| Arc::ptr_eq(sleeper, &me));
                return at.and_then(|at| queue.remove(at)).map_or(Parked::Unparked, |_me| Parked::TimedOut);
            }
            let mut is_woken = me.is_woken.lock().unwrap();
            while !*is_woken {
                is_woken = me.bell.wait(is_woken).unwrap();
            }
            Parked::Unparked
        }

        pub(crate) fn unpark_one(&self, then: impl FnOnce(bool)) {
            let mut queue = self.queue.lock().unwrap();
            let first = queue.pop_front();
            then(first.is_some());
            drop(queue);
            if let Some(sleeper) = first {
                *sleeper.is_woken.lock().unwrap() = true;
                sleeper.bell.notify_one();
            }
        }
    }
}
