//! Atomics, mutexes and parking for all layers above the internal mutex. In a normal build they
//! come from the standard library, from that [mutex](crate::mutex) and from parking_lot_core. In a
//! model they come from loom (`--cfg loom`) or shuttle (`--cfg shuttle`). It uses `mutex`,
//! `parking` and `spin`.
//!
//! loom tries every schedule of a few steps under the C11 memory model. shuttle tries random
//! schedules of many steps, sequentially consistent.
//!
//! # Invariants of the unsafe code
//!
//! **kept**: between [`keep`] and [`unlock_kept`] the mutex is locked, and its guard was given up.
//! Only the thread that kept the mutex reaches the value, by [`kept`].

pub(crate) use imp::*;

use std::time::{Duration, Instant};

/// A number that any thread reads and writes at any time, and that orders nothing. In a model of
/// loom it is also one of the standard library's, because each modelled step makes the search
/// longer. A thread sees all of a change to several of them or nothing. shuttle switches threads in
/// between.
#[derive(Debug)]
pub(crate) struct AtomicHint(
    #[cfg(shuttle)] shuttle::sync::atomic::AtomicU64,
    #[cfg(all(target_has_atomic = "64", not(shuttle)))] std::sync::atomic::AtomicU64,
    #[cfg(not(any(target_has_atomic = "64", shuttle)))] crossbeam_utils::atomic::AtomicCell<u64>,
);

#[cfg(any(target_has_atomic = "64", shuttle))]
impl AtomicHint {
    #[cfg(not(shuttle))]
    pub(crate) const fn new(value: u64) -> Self {
        AtomicHint(std::sync::atomic::AtomicU64::new(value))
    }

    #[cfg(shuttle)]
    pub(crate) fn new(value: u64) -> Self {
        AtomicHint(value.into())
    }

    #[inline]
    pub(crate) fn get(&self) -> u64 {
        self.0.load(std::sync::atomic::Ordering::Relaxed)
    }

    pub(crate) fn set(&self, value: u64) {
        self.0.store(value, std::sync::atomic::Ordering::Relaxed);
    }
}

#[cfg(not(any(target_has_atomic = "64", shuttle)))]
impl AtomicHint {
    pub(crate) const fn new(value: u64) -> Self {
        AtomicHint(crossbeam_utils::atomic::AtomicCell::new(value))
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load()
    }

    pub(crate) fn set(&self, value: u64) {
        self.0.store(value);
    }
}

/// An index that any thread may read at any time. A thread that reads it sees what was done before
/// it was written. In a model of loom it is one of the standard library's, as an [`AtomicHint`] is.
#[derive(Debug)]
pub(crate) struct AtomicIndex(
    #[cfg(shuttle)] shuttle::sync::atomic::AtomicU16,
    #[cfg(not(shuttle))] std::sync::atomic::AtomicU16,
);

impl AtomicIndex {
    pub(crate) fn new(index: u16) -> Self {
        AtomicIndex(index.into())
    }

    #[inline]
    pub(crate) fn get(&self) -> u16 {
        self.0.load(std::sync::atomic::Ordering::Acquire)
    }

    pub(crate) fn set(&self, index: u16) {
        self.0.store(index, std::sync::atomic::Ordering::Release);
    }
}

/// When a waiter gives up.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Deadline {
    /// Never.
    Never,
    /// At this instant. In a model, where time does not pass, the model decides when: see its
    /// `Parker`.
    At(Instant),
}

impl Deadline {
    /// Whether it has come. In a model it has not.
    pub(crate) fn has_passed(self) -> bool {
        match self {
            Deadline::Never => false,
            Deadline::At(instant) => !cfg!(any(loom, shuttle)) && instant <= Instant::now(),
        }
    }

    /// After `timeout` from now. Never if that is past what the clock can tell.
    pub(crate) fn after(timeout: Duration) -> Deadline {
        Instant::now().checked_add(timeout).map_or(Deadline::Never, Deadline::At)
    }
}

/// Why a parked thread goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Parked {
    /// The thread was unparked, or did not need to sleep, or there is no reason. It has to look
    /// again.
    LookAgain,
    /// The deadline has come.
    TimedOut,
}

#[cfg(not(any(loom, shuttle)))]
mod imp {
    pub(crate) use std::sync::Arc;
    pub(crate) use std::sync::atomic::{AtomicUsize, Ordering};

    use super::{Deadline, Parked};
    pub(crate) use crate::mutex::{Mutex, MutexGuard};
    use crate::parking::{self, Place};

    /// For how many turns a waiter pauses before it yields, if its turn is next.
    pub(crate) const SPIN_TURNS: u32 = 450;
    /// How often the waiter then lets other threads run, before it sleeps.
    pub(crate) const YIELDS: u32 = 16;
    /// How often the waiter also yields while no other thread wants the CPU.
    pub(crate) const SPARE_YIELDS: u32 = 200;
    /// How often besides for each turn that its own is away, up to 128: for as long as a turn takes
    /// if each thread has to be woken. So the threads stop sleeping if turns are that short.
    pub(crate) const SPARE_YIELDS_A_TURN: u32 = 20;
    /// For how many turns the waiter pauses between these yields.
    pub(crate) const TURNS_BETWEEN: u32 = 8;

    /// Locks a mutex that guards the lock's own state. No code of the user's runs under one.
    #[inline]
    pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
        mutex.lock()
    }

    /// The same for a thread that has just found it taken, and is to look again `soon`.
    pub(crate) fn lock_taken<T>(mutex: &Mutex<T>, soon: bool) -> MutexGuard<'_, T> {
        mutex.lock_taken(soon)
    }

    /// The same, if no thread has it.
    #[inline]
    pub(crate) fn try_lock<T>(mutex: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
        mutex.try_lock()
    }

    /// The same for a thread that has just found it taken.
    pub(crate) fn try_lock_again<T>(mutex: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
        mutex.try_lock_again()
    }

    /// Unlocks it. The thread has entered a request, and comes again to release that request.
    #[inline]
    pub(crate) fn leave_for_now<T>(guard: MutexGuard<'_, T>) {
        Mutex::leave_for_now(guard);
    }

    /// Leaves the mutex locked.
    #[inline]
    pub(crate) fn keep<T>(guard: MutexGuard<'_, T>) {
        std::mem::forget(guard);
    }

    /// The value of a mutex: to be touched only while its lock is kept.
    #[inline]
    pub(crate) fn kept<T>(mutex: &Mutex<T>) -> *mut T {
        mutex.data_ptr()
    }

    /// Unlocks what was kept.
    ///
    /// # Safety
    ///
    /// The lock must be kept ("kept"), and the value not be used after this.
    #[inline]
    pub(crate) unsafe fn unlock_kept<T>(mutex: &Mutex<T>) {
        // SAFETY: by contract.
        unsafe { mutex.force_unlock() }
    }

    /// A place where one thread sleeps.
    #[derive(Debug)]
    pub(crate) struct Parker(Place);

    impl Parker {
        pub(crate) fn new() -> Self {
            Parker(Place::new())
        }

        /// Sleeps until unparked, unless `asleep` reports that there is nothing to sleep for.
        /// `asleep` is called under the lock that [`unpark`](Self::unpark) takes too. It must
        /// neither unwind nor park.
        pub(crate) fn park(&self, asleep: impl Fn() -> bool, deadline: Deadline) -> Parked {
            let deadline = match deadline {
                Deadline::Never => None,
                Deadline::At(instant) => Some(instant),
            };
            match self.0.park(asleep, deadline) {
                parking::Parked::TimedOut => Parked::TimedOut,
                parking::Parked::Unparked | parking::Parked::Declined => Parked::LookAgain,
            }
        }

        /// Wakes the thread that sleeps here, if one does.
        pub(crate) fn unpark(&self) {
            self.0.unpark_one(|_| {});
        }
    }
}

#[cfg(any(loom, shuttle))]
mod imp {
    pub(crate) use super::model::{
        Mutex, MutexGuard, Parker, SPARE_YIELDS, SPARE_YIELDS_A_TURN, SPIN_TURNS, TURNS_BETWEEN, YIELDS,
        keep, kept, leave_for_now, lock, lock_taken, try_lock, try_lock as try_lock_again, unlock_kept,
    };
    pub(crate) use super::primitives::{Arc, AtomicUsize, Ordering};
}

#[cfg(loom)]
mod primitives {
    pub(crate) use loom::sync::Arc;
    pub(crate) use loom::sync::atomic::{AtomicUsize, Ordering};
    pub(super) use loom::sync::{Condvar, Mutex as Inner, MutexGuard as InnerGuard};

    /// For how many turns of the other threads a timed park lasts. With none, the deadline is now:
    /// every schedule in which it comes at another moment is one in which the thread was slow to
    /// come here.
    pub(super) fn turns_until_the_deadline() -> usize {
        0
    }
}

#[cfg(shuttle)]
mod primitives {
    pub(crate) use shuttle::sync::Arc;
    pub(crate) use shuttle::sync::atomic::{AtomicUsize, Ordering};
    pub(super) use shuttle::sync::{Condvar, Mutex as Inner, MutexGuard as InnerGuard};

    /// For how many turns of the other threads a timed park lasts: the schedule chooses.
    pub(super) fn turns_until_the_deadline() -> usize {
        use shuttle::rand::{Rng, thread_rng};
        thread_rng().gen_range(0..8)
    }
}

/// What a model has in place of spinning and parking.
#[cfg(any(loom, shuttle))]
mod model {
    use std::cell::UnsafeCell;
    use std::mem;

    use super::primitives::{Condvar, Inner, InnerGuard, turns_until_the_deadline};
    use super::{Deadline, Parked};
    use crate::spin::yield_now;

    /// A mutex of the model, which can keep its own guard.
    #[derive(Debug)]
    pub(crate) struct Mutex<T: 'static> {
        inner: Inner<T>,
        /// Touched only by the thread that has locked the mutex.
        kept: UnsafeCell<Option<InnerGuard<'static, T>>>,
    }

    // SAFETY: as for the inner one; only the thread that has locked the mutex reaches a kept guard
    // ("kept").
    unsafe impl<T: Send> Sync for Mutex<T> {}
    // SAFETY: as above.
    unsafe impl<T: Send> Send for Mutex<T> {}

    #[derive(Debug)]
    pub(crate) struct MutexGuard<'a, T: 'static> {
        inner: InnerGuard<'a, T>,
        mutex: &'a Mutex<T>,
    }

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Mutex { inner: Inner::new(value), kept: UnsafeCell::new(None) }
        }
    }

    impl<T> std::ops::Deref for MutexGuard<'_, T> {
        type Target = T;

        fn deref(&self) -> &T {
            &self.inner
        }
    }

    impl<T> std::ops::DerefMut for MutexGuard<'_, T> {
        fn deref_mut(&mut self) -> &mut T {
            &mut self.inner
        }
    }

    /// Locks a mutex that guards the lock's own state.
    pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
        MutexGuard { inner: mutex.inner.lock().unwrap(), mutex }
    }

    /// The same, whenever the thread is to look.
    pub(crate) fn lock_taken<T>(mutex: &Mutex<T>, _: bool) -> MutexGuard<'_, T> {
        lock(mutex)
    }

    /// The same, if no thread has it.
    pub(crate) fn try_lock<T>(mutex: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
        Some(MutexGuard { inner: mutex.inner.try_lock().ok()?, mutex })
    }

    /// Unlocks it.
    pub(crate) fn leave_for_now<T>(guard: MutexGuard<'_, T>) {
        drop(guard);
    }

    /// Leaves the mutex locked.
    pub(crate) fn keep<T>(guard: MutexGuard<'_, T>) {
        let MutexGuard { inner, mutex } = guard;
        // SAFETY: the guard lies in its own mutex from now on, and so does not outlive it.
        let inner = unsafe { mem::transmute::<InnerGuard<'_, T>, InnerGuard<'static, T>>(inner) };
        // SAFETY: the mutex is locked by the caller, and was not kept before ("kept").
        unsafe { *mutex.kept.get() = Some(inner) };
    }

    /// The value of a mutex: to be touched only while its lock is kept.
    pub(crate) fn kept<T>(mutex: &Mutex<T>) -> *mut T {
        // SAFETY: by contract the caller has kept the lock ("kept").
        let guard = unsafe { (*mutex.kept.get()).as_mut() };
        &raw mut **guard.expect("kept")
    }

    /// Unlocks what was kept.
    ///
    /// # Safety
    ///
    /// The lock must be kept ("kept"), and the value not be used after this.
    pub(crate) unsafe fn unlock_kept<T>(mutex: &Mutex<T>) {
        // SAFETY: by contract.
        let guard = unsafe { (*mutex.kept.get()).take() };
        drop(guard);
    }

    /// Spinning in a model: not at all, since a schedule in which the thread is slow to sleep sees
    /// the same.
    pub(crate) const SPIN_TURNS: u32 = 0;
    pub(crate) const YIELDS: u32 = 0;
    pub(crate) const SPARE_YIELDS: u32 = 0;
    pub(crate) const SPARE_YIELDS_A_TURN: u32 = 0;
    pub(crate) const TURNS_BETWEEN: u32 = 0;

    /// A place where one thread sleeps.
    #[derive(Debug)]
    pub(crate) struct Parker {
        lock: Inner<()>,
        woken: Condvar,
    }

    impl Parker {
        pub(crate) fn new() -> Self {
            Parker { lock: Inner::new(()), woken: Condvar::new() }
        }

        /// Sleeps until unparked. With a deadline, sleeps for as many turns of the other threads as
        /// the model chooses.
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
            let queue = self.lock.lock().unwrap();
            if asleep() {
                drop(self.woken.wait(queue));
            }
            Parked::LookAgain
        }

        pub(crate) fn unpark(&self) {
            let _queue = self.lock.lock().unwrap();
            self.woken.notify_one();
        }
    }
}
