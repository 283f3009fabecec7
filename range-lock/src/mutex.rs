//! The mutex of a leaf: one word, taken by one locked instruction and left by none.
//!
//! An uncontended pair of lock and unlock is most of what an uncontended range costs, twice: once to acquire it, once to
//! release it. A mutex that can wake a sleeper must be left by an exchange, which tells whether there is one. This one is left
//! by a plain release store, at a third of the cost, and so cannot know: those who wait for it spin, then yield, then sleep for
//! bounded times and look again. That suits sections as short as these, in which nobody waits and no code of a user's runs;
//! one that is long is so because its thread was preempted, and then the best that a waiter can do is to leave the CPU.
//!
//! # Invariant of the unsafe code
//!
//! **exclusive**: a [`MutexGuard`] exists only from the exchange that set `locked` to the store that clears it, which its drop
//! makes, or, where it was forgotten, [`Mutex::force_unlock`]; and only who finds `locked` clear sets it. So there is one at most, and what one thread did under it is visible to the
//! next, since the store releases and the exchange acquires.

use std::cell::UnsafeCell;
use std::fmt;
use std::hint;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// How many turns a thread waits before it looks again: long enough for the other to use the lock several times
/// with its lines in the cache. Where two threads look again at once they take the lines from each other at every step,
/// and together do half of what one does alone.
const TURNS: u32 = 64;
/// The same where two threads seldom meet on one mutex, and so nothing is won by leaving it to the other.
const FEW_TURNS: u32 = 4;

/// See the [module](self).
#[repr(C)] // What is used first lies next to the word.
pub(crate) struct Mutex<T> {
    locked: AtomicBool,
    value: UnsafeCell<T>,
}

// SAFETY: the value is reached through a guard only, by one thread at a time ("exclusive"); so it is as if it were sent.
unsafe impl<T: Send> Sync for Mutex<T> {}

// What can panic under it does so where a request would have more than 2^50 others before it, or 2^18 on a 32-bit machine; else nobody
// finds the value half changed.
impl<T> UnwindSafe for Mutex<T> {}
impl<T> RefUnwindSafe for Mutex<T> {}

/// Access to the value of a [`Mutex`] until dropped.
pub(crate) struct MutexGuard<'a, T> {
    mutex: &'a Mutex<T>,
    /// It may be shared, or sent, where a `&mut T` may: the mutex alone would let a guard be shared whose `T` may not.
    _value: PhantomData<&'a mut T>,
}

impl<T> Mutex<T> {
    pub(crate) const fn new(value: T) -> Self {
        Mutex { locked: AtomicBool::new(false), value: UnsafeCell::new(value) }
    }

    /// Waits until nobody else has it.
    #[inline]
    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.lock_after(TURNS)
    }

    /// The same, but looks again soon, and then less and less often. Better where nobody uses the mutex often, and worse where
    /// somebody does: see [`wait`](Self::wait).
    #[inline]
    pub(crate) fn lock_eagerly(&self) -> MutexGuard<'_, T> {
        self.lock_after(FEW_TURNS)
    }

    #[inline]
    fn lock_after(&self, turns: u32) -> MutexGuard<'_, T> {
        if !self.try_set() {
            self.wait(turns);
        }
        MutexGuard { mutex: self, _value: PhantomData }
    }

    /// Takes it if nobody else has it.
    #[inline]
    pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        self.try_set().then(|| MutexGuard { mutex: self, _value: PhantomData })
    }

    /// Where the value is: to be touched only by who has the mutex.
    #[inline]
    pub(crate) fn data_ptr(&self) -> *mut T {
        self.value.get()
    }

    /// Gives the mutex up, on behalf of a guard that was forgotten.
    ///
    /// # Safety
    ///
    /// The guard must have been forgotten, and nobody use the value by it any more.
    #[inline]
    pub(crate) unsafe fn force_unlock(&self) {
        self.locked.store(false, Ordering::Release);
    }

    #[inline]
    fn try_set(&self) -> bool {
        self.locked.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    /// Waits for so many turns before it looks again, then for twice as many, up to [`TURNS`]; then it lets others run, and then sleeps.
    #[cold]
    fn wait(&self, mut turns: u32) {
        /// How often it then lets others run, in case one of them has the mutex.
        const YIELDS: u32 = 2;
        /// The first sleep; each further one is twice as long, up to the last.
        const FIRST_SLEEP: Duration = Duration::from_micros(20);
        const LAST_SLEEP: Duration = Duration::from_millis(1);

        loop {
            (0..turns).for_each(|_| hint::spin_loop());
            if !self.locked.load(Ordering::Relaxed) && self.try_set() {
                return;
            }
            turns *= 2;
            if turns > TURNS {
                break;
            }
        }
        for _ in 0..YIELDS {
            thread::yield_now();
            if self.try_set() {
                return;
            }
        }
        let mut sleep = FIRST_SLEEP;
        loop {
            thread::sleep(sleep);
            if self.try_set() {
                return;
            }
            sleep = (2 * sleep).min(LAST_SLEEP);
        }
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: this is the only guard ("exclusive").
        unsafe { &*self.mutex.value.get() }
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: this is the only guard ("exclusive"), and borrowed exclusively.
        unsafe { &mut *self.mutex.value.get() }
    }
}

impl<T> Drop for MutexGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: this guard ends here, as if it had been forgotten before.
        unsafe { self.mutex.force_unlock() };
    }
}

impl<T> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mutex").finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MutexGuard").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_right_with_more_threads_than_cpus() {
        let n = if cfg!(miri) { 10 } else { 10_000 };
        let count = Mutex::new(0);
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| (0..n).for_each(|_| *count.lock() += 1));
            }
        });
        assert_eq!(*count.lock(), 8 * n);
    }

    #[test]
    fn who_must_sleep_gets_it_in_the_end() {
        let mutex = Mutex::new(0);
        let held = mutex.lock();
        let waiting = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                waiting.store(true, Ordering::Release);
                *mutex.lock() += 1;
            });
            while !waiting.load(Ordering::Acquire) {
                thread::yield_now();
            }
            // Long enough for it to spin and yield through, on most machines; if not, the test shows less.
            (0..10_000).for_each(|_| thread::yield_now());
            drop(held);
        });
        assert_eq!(*mutex.lock(), 1);
    }
}
