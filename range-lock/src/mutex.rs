//! The mutex of a leaf: taken by one locked instruction, and left by none.
//! It uses `atomics`, `parking` and `spin`.
//!
//! An uncontended pair of lock and unlock is most of what an uncontended range costs, twice: once
//! to acquire it, once to release it. A mutex that wakes a sleeper whenever it is left must be left
//! by an exchange. This one is left by a load and a plain release store, at a third of the cost.
//!
//! A thread that finds it taken looks again for a while, between pauses and yields, and then naps
//! once. That suits sections as short as these, in which no user code runs. A section that lasts
//! longer belongs to a thread that was preempted, and then the best that a waiting thread can do is
//! to leave the CPU.
//!
//! A thread that has napped in vain stands in line. The first thread in line is the *head*. A head
//! that looks in vain waits awake for a while, and a thread that leaves the mutex hands it over to
//! the head and does not free it. The next in line is woken, and the mutex is freed as ever until it
//! has come. So threads that run are not held up by threads that wake up, and the line moves by one
//! whenever a thread has woken up.
//!
//! # What bounds a wait
//!
//! `head` has one of four values: [`NONE`], [`COMES`], [`WAITS`] and [`HANDED`].
//!
//! | event | `head` before | after | `locked` |
//! |---|---|---|---|
//! | a thread comes to an empty line | `NONE` | `COMES` | any |
//! | the head looks, and the mutex is taken | `COMES` | `WAITS` | set when it looked |
//! | a thread leaves the mutex | `NONE`, `COMES` | unchanged | cleared |
//! | a thread leaves it, and the head is asleep | `WAITS` | `WAITS` | stays set, for the head, which wakes up |
//! | a thread leaves it, and the head is awake | `WAITS` | `HANDED` | stays set, for the head, which looks |
//! | the head has it, and another thread is in line | any but `NONE` | `COMES` | set |
//! | the head has it, and the line is empty | any but `NONE` | `NONE` | set |
//!
//! The thread that has the mutex when `WAITS` is set may have loaded `NONE` or `COMES` before. It
//! frees the mutex then, and does not wake the head; so a head sleeps for a bounded time, and looks
//! again. One other thread may take the mutex in between, and that thread loads `WAITS`: its look at
//! `locked` comes after the head's, and the head's after the store of `WAITS`, in the one order of
//! all sequentially consistent operations. So at most two operations pass a thread once it has
//! looked in vain at the head. Such a thread has slept twice at most before: its nap, and in line.
//!
//! # Invariants of the unsafe code
//!
//! **exclusive**: a [`MutexGuard`] exists only from the exchange that set `locked`, or from being
//! handed the mutex, to the store that clears `locked` or to handing over. Both are made by the
//! drop of the guard, or, where it was forgotten, by [`Mutex::force_unlock`]. Only a thread that
//! finds `locked` clear sets it, and a mutex is handed to one thread. So there is one guard at
//! most. What one thread did under it is visible to the next: the store releases and the exchange
//! acquires. A thread that is handed the mutex acquires what the thread that hands it over releases
//! by the store of `HANDED`, or passes the lock of a parking place after it.

use std::cell::UnsafeCell;
use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::time::{Duration, Instant};

use crate::atomics::{AtomicU8, Flag, Ordering};
use crate::parking::{Parked, Place};
use crate::spin;

/// How many turns a thread pauses before it looks again: long enough for another thread to use the
/// lock several times with its lines in the cache. Where two threads look again at once they take
/// the lines from each other at every step, and together do half of what one does alone.
const TURNS: u32 = 64;
/// The same where two threads seldom meet on one mutex, and so nothing is won by leaving it to the other.
const FEW_TURNS: u32 = 4;
/// How often a thread yields and pauses before it naps. In a model not at all: a schedule in which
/// the thread comes later shows the same.
const ROUNDS: u32 = if cfg!(any(loom, shuttle)) { 0 } else { 1 };
/// The same where two threads seldom meet on one mutex, and so the other is about to leave it for
/// long.
const MORE_ROUNDS: u32 = if cfg!(any(loom, shuttle)) { 0 } else { 4 };
/// How often it yields in each of these rounds.
const YIELDS: u32 = 2;
/// How long the nap is at least. Linux makes it longer by 50 µs.
const NAP: Duration = Duration::from_micros(20);
/// How often the head looks before it sleeps, after pauses twice as long each time.
const LOOKS_OF_THE_HEAD: u32 = if cfg!(any(loom, shuttle)) { 1 } else { 6 };
/// How long the head sleeps before it looks again.
const BOUND: Duration = Duration::from_millis(1);

/// No thread is in line.
const NONE: u8 = 0;
/// A thread is on its way to the head of the line.
const COMES: u8 = 1;
/// A thread is the head, and is to be handed the mutex.
const WAITS: u8 = 2;
/// The head has been handed the mutex.
const HANDED: u8 = 3;

/// See the [module](self).
#[repr(C)] // What is used first lies next to the word.
pub(crate) struct Mutex<T> {
    locked: Flag,
    head: AtomicU8,
    /// Where the head sleeps.
    at_the_head: Place,
    /// Where the others in line sleep.
    in_line: Place,
    value: UnsafeCell<T>,
}

// SAFETY: the value is reached through a guard only, by one thread at a time ("exclusive"); so it is as if it were sent.
unsafe impl<T: Send> Sync for Mutex<T> {}

// No user code runs under it, and what could panic is checked before the first change.
impl<T> UnwindSafe for Mutex<T> {}
impl<T> RefUnwindSafe for Mutex<T> {}

/// Access to the value of a [`Mutex`] until dropped.
pub(crate) struct MutexGuard<'a, T> {
    mutex: &'a Mutex<T>,
    /// It may be shared, or sent, where a `&mut T` may: the mutex alone would let a guard be shared whose `T` may not.
    _value: PhantomData<&'a mut T>,
}

impl<T> Mutex<T> {
    #[cfg(not(any(loom, shuttle)))]
    pub(crate) const fn new(value: T) -> Self {
        Mutex {
            locked: Flag::new(),
            head: AtomicU8::new(NONE),
            at_the_head: Place::new(),
            in_line: Place::new(),
            value: UnsafeCell::new(value),
        }
    }

    /// Not `const`: the atomics of a model cannot be made in one.
    #[cfg(any(loom, shuttle))]
    pub(crate) fn new(value: T) -> Self {
        Mutex {
            locked: Flag::new(),
            head: AtomicU8::new(NONE),
            at_the_head: Place::new(),
            in_line: Place::new(),
            value: UnsafeCell::new(value),
        }
    }

    /// Waits until no other thread has it.
    #[inline]
    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.lock_after(TURNS, ROUNDS)
    }

    /// The same, but looks again soon, and then less and less often. Better where the mutex is
    /// seldom used, and worse where it is used all the time: see [`wait`](Self::wait).
    #[inline]
    pub(crate) fn lock_eagerly(&self) -> MutexGuard<'_, T> {
        self.lock_after(FEW_TURNS, MORE_ROUNDS)
    }

    #[inline]
    fn lock_after(&self, turns: u32, rounds: u32) -> MutexGuard<'_, T> {
        if !self.try_set() {
            self.wait(turns, rounds);
        }
        MutexGuard { mutex: self, _value: PhantomData }
    }

    /// Takes it if no other thread has it.
    #[inline]
    pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        self.try_set().then(|| MutexGuard { mutex: self, _value: PhantomData })
    }

    /// Where the value is: to be touched only by the thread that has the mutex.
    #[inline]
    pub(crate) fn data_ptr(&self) -> *mut T {
        self.value.get()
    }

    /// Gives the mutex up, on behalf of a guard that was forgotten.
    ///
    /// # Safety
    ///
    /// The guard must have been forgotten, and the value not be used by it any more.
    #[inline]
    pub(crate) unsafe fn force_unlock(&self) {
        if self.head.load(Ordering::SeqCst) < WAITS {
            self.locked.clear(Ordering::Release);
        } else {
            self.hand_over();
        }
    }

    #[inline]
    fn try_set(&self) -> bool {
        self.locked.set(Ordering::SeqCst)
    }

    /// Takes it if it is free, and leaves its line to the thread that has it otherwise.
    fn look(&self) -> bool {
        !self.locked.is_set() && self.try_set()
    }

    /// Pauses for so many turns before it looks again, then for twice as many, up to [`TURNS`];
    /// then it lets other threads run, then it naps, and then it stands in line.
    #[cold]
    fn wait(&self, mut turns: u32, rounds: u32) {
        while turns <= TURNS {
            spin::pause(turns);
            if self.look() {
                return;
            }
            turns *= 2;
        }
        for _ in 0..rounds {
            for _ in 0..YIELDS {
                spin::yield_now();
                if self.look() {
                    return;
                }
            }
            spin::pause(TURNS);
            if self.look() {
                return;
            }
        }
        spin::nap(NAP);
        if !self.look() {
            self.wait_in_line();
        }
    }

    /// Waits until it is handed the mutex, or, at the head, finds it free.
    fn wait_in_line(&self) {
        self.wait_in_line_noting(|| {});
    }

    /// The same; calls `waits` when it is the head and has looked in vain.
    fn wait_in_line_noting(&self, waits: impl FnOnce()) {
        let is_behind_others = || {
            // Under the lock of `in_line`, as all changes between `NONE` and the others.
            let behind = self.head.load(Ordering::Relaxed) != NONE;
            if !behind {
                self.head.store(COMES, Ordering::Relaxed);
            }
            behind
        };
        // Either way it is the first in line now.
        let _ = self.in_line.park(is_behind_others, None);
        if !self.look() {
            self.head.store(WAITS, Ordering::SeqCst);
            waits();
            self.wait_as_head();
        }
        self.in_line.unpark_one(|woken| {
            self.head.store(if woken { COMES } else { NONE }, Ordering::SeqCst);
        });
    }

    /// Awake for a while, since the thread that has the mutex is about to leave it.
    fn wait_as_head(&self) {
        for look in 0..LOOKS_OF_THE_HEAD {
            spin::pause(FEW_TURNS << look);
            if self.head.load(Ordering::Acquire) == HANDED || self.look() {
                return;
            }
        }
        let sleeps = || self.head.load(Ordering::Relaxed) != HANDED && !self.try_set();
        while self.at_the_head.park(sleeps, Instant::now().checked_add(BOUND)) == Parked::TimedOut {}
    }

    /// Leaves the mutex to the head, which waits.
    #[cold]
    #[inline(never)]
    fn hand_over(&self) {
        self.at_the_head.unpark_one(|was_asleep| {
            if !was_asleep {
                self.head.store(HANDED, Ordering::Release); // It looks before it sleeps.
            }
        });
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
mod tests;
