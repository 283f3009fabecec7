//! The mutex of a leaf: taken by one locked instruction, and left by none.
//! It uses `atomics`, `parking` and `spin`.
//!
//! An uncontended pair of lock and unlock is most of what an uncontended range costs, twice: once
//! to acquire it, once to release it. A mutex that wakes a sleeper whenever it is left must be left
//! by an exchange. This mutex is left by a load and a plain release store, at a third of the cost.
//!
//! A thread that finds the mutex taken looks again for a while, and then stands in line. Threads in
//! line leave the mutex alone: each looks at a seat of its own (`line.rs`). The first in line is
//! the *head*. The head leaves the mutex to threads that run, which use it many times while its
//! cache line stays with one CPU. Then the head asks for the mutex, and the next thread that leaves
//! the mutex hands it over. The head leaves the line. The thread behind it becomes the head when
//! the mutex is left the next time. So threads take turns, each of which is worth the hand-over.
//! The more threads are in line, the shorter are the turns.
//!
//! A thread in line yields now and then. If another thread runs then, or if the thread has waited
//! for a millisecond, it sleeps. While a new head wakes up, the mutex goes to threads that run.
//!
//! A thread that has entered a request comes again to release it. If the thread were sent to the
//! end of the line in between, the leaf would fill with requests that wait to be released. So such
//! a thread may keep the mutex from the head, once ([`leave_for_now`](Mutex::leave_for_now)).
//!
//! # What bounds a wait
//!
//! `asked` is [`NOBODY`], a seat, a seat with [`KEPT`], or a seat with [`TELL`].
//!
//! | event | `asked` before | after | `locked` |
//! |---|---|---|---|
//! | the head asks | `NOBODY` | its seat | any |
//! | a thread leaves the mutex | `NOBODY` | unchanged | cleared |
//! | a thread leaves it for now, and the head has asked | a seat | with `KEPT` | cleared |
//! | a thread leaves it for good, and the head has asked | a seat | `NOBODY` | stays set, for the head, which is told |
//! | a thread leaves it, and the head has asked | a seat, `KEPT` | `NOBODY` | the same |
//! | a thread leaves it, and a new head is to be told | a seat, `TELL` | `NOBODY` | cleared; then the head is told |
//! | the head has the mutex, and leaves the line | not `TELL` | `TELL` and the next, if there is one, otherwise `NOBODY` | set |
//!
//! One thread at a time writes `asked`: the thread that has the mutex, or, where `asked` is
//! `NOBODY`, the head. There is no head from when the head has the mutex to when the next head is
//! told.
//!
//! The thread that has the mutex when the head asks may have loaded `NOBODY` before. Then it frees
//! the mutex, and does not tell the head. So a head sleeps for a bounded time, and looks again. A
//! thread that takes the mutex in between loads the seat. Its look at `locked` comes after the
//! head's look, and the head's look comes after the store of its seat, in the one order of all
//! sequentially consistent operations. That thread may leave the mutex for now. The thread after it
//! hands the mutex over. So at most two threads take the mutex between a look in vain of a head
//! that has asked, and the head. By then the head has slept at most once, behind others in line.
//!
//! # Invariants of the unsafe code
//!
//! **exclusive**: a [`MutexGuard`] begins with the exchange that sets `locked`, or with being
//! handed the mutex. It ends with the store that clears `locked`, or with handing over. The drop of
//! the guard makes these, or, where the guard was forgotten, [`Mutex::force_unlock`]. Only a thread
//! that finds `locked` clear sets it, and a mutex is handed to one thread. So there is one guard at
//! most. What one thread did under it is visible to the next, because the store releases and the
//! exchange acquires. A thread that is handed the mutex acquires what the thread that hands it over
//! releases when it tells it.

mod line;

use std::cell::{Cell, UnsafeCell};
use std::fmt;
use std::marker::PhantomData;
use std::mem;
use std::ops::{Deref, DerefMut};
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::ptr;
use std::time::Duration;

use crate::atomics::{AtomicU16, Flag, Ordering};
use crate::spin;
use line::{NOBODY, Seat, State};

/// How many turns a thread pauses before it looks again: long enough for another thread to use the
/// lock several times with its lines in the cache. Two threads that look again at once take the
/// lines from each other at every step. Together they do half of what one does alone.
const TURNS: u32 = 64;
/// The same where two threads seldom meet on one mutex, and leaving the mutex to the other thread
/// gains nothing.
const FEW_TURNS: u32 = 4;
/// How many times in a row a thread finds one mutex taken until it leaves it to others for longer.
/// Before, the leaf may well be cut.
const MANY_TIMES: u32 = 16;
/// For how many turns the head leaves the mutex to others at least, before it asks for it.
const LEAST: u32 = 40;
/// For how many turns a head alone in line does, if nothing shows that the mutex is hot. It looks
/// again and again.
const MOST: u32 = 240;
/// For how many turns it does twice, if it has found the mutex taken many times in a row. It looks
/// seldom: each look takes the cache line, and may find the mutex free between two operations of
/// the other thread.
const HOT: u32 = 240;
/// After how many turns it looks again if a look has found the hot mutex free.
const GONE: u32 = 8;
/// For how many turns all heads do together, until the last of those in line is one.
const ALL: u32 = 2400;
/// How long the head sleeps before it looks again.
const BOUND: Duration = Duration::from_millis(1);
/// How long a thread naps that finds no seat.
const NAP: Duration = Duration::from_micros(20);

/// In `asked`, beside the number of a seat: the thread there is to be told that it is the head. It
/// has not asked.
const TELL: u16 = 1 << 15;
/// In `asked`, beside the seat of the head, which has asked: a thread that comes again soon has
/// left the mutex and kept it from the head.
const KEPT: u16 = 1 << 14;
const _: () = assert!(line::MOST <= KEPT);

/// Allocates now what this thread allocates when it first waits for a mutex, if it does at all.
#[cfg(not(any(loom, shuttle)))]
pub(crate) fn prepare_to_wait() {
    line::prepare();
}

/// What a thread that finds a mutex taken knows about it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Known {
    Nothing,
    /// Threads seldom meet on it, or the thread is to look again soon in any case.
    Cold,
    /// The thread has found it taken many times in a row.
    Hot,
}

impl Known {
    /// How many turns the thread pauses before it first looks again.
    fn turns(self) -> u32 {
        if self == Known::Cold { FEW_TURNS } else { TURNS }
    }
}

thread_local! {
    /// The mutex that this thread last [found taken](Mutex::lock_taken), and how many times in a
    /// row. The mutex may be gone, and is only compared.
    static MET_ON: Cell<(*const (), u32)> = const { Cell::new((ptr::null(), 0)) };
}

/// See the [module](self).
#[repr(C)] // What is used first lies next to the word.
pub(crate) struct Mutex<T> {
    locked: Flag,
    /// What the thread that leaves the mutex has to do besides. `NOBODY`: nothing. The seat of the
    /// head: the head asks for it. [`TELL`] and a seat: the thread there is the next head.
    asked: AtomicU16,
    /// The seat of the last in line.
    last: AtomicU16,
    value: UnsafeCell<T>,
}

// SAFETY: the value is reached through a guard only, by one thread at a time ("exclusive"); so it
// is as if it were sent.
unsafe impl<T: Send> Sync for Mutex<T> {}

// No user code runs under it, and what could panic is checked before the first change.
impl<T> UnwindSafe for Mutex<T> {}
impl<T> RefUnwindSafe for Mutex<T> {}

/// Access to the value of a [`Mutex`] until dropped.
pub(crate) struct MutexGuard<'a, T> {
    mutex: &'a Mutex<T>,
    /// It may be shared, or sent, where a `&mut T` may: the mutex alone would let a guard be shared
    /// whose `T` may not.
    _value: PhantomData<&'a mut T>,
}

impl<T> Mutex<T> {
    #[cfg(not(any(loom, shuttle)))]
    pub(crate) const fn new(value: T) -> Self {
        Mutex {
            locked: Flag::new(),
            asked: AtomicU16::new(NOBODY),
            last: AtomicU16::new(NOBODY),
            value: UnsafeCell::new(value),
        }
    }

    /// Not `const`: the atomics of a model cannot be made in one.
    #[cfg(any(loom, shuttle))]
    pub(crate) fn new(value: T) -> Self {
        Mutex {
            locked: Flag::new(),
            asked: AtomicU16::new(NOBODY),
            last: AtomicU16::new(NOBODY),
            value: UnsafeCell::new(value),
        }
    }

    /// Waits until no other thread has it.
    #[inline]
    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        if !self.try_set() {
            self.wait(Known::Nothing);
        }
        MutexGuard { mutex: self, _value: PhantomData }
    }

    /// The same for a thread that has just found the mutex taken. It looks again soon, and then
    /// less and less often, unless it has found this mutex taken many times in a row. Looking soon
    /// is better where the mutex is seldom used, or where the thread has a range that others wait
    /// for: then it is to look again `soon` in any case. It is worse where the mutex is used all
    /// the time: see [`wait`](Self::wait).
    pub(crate) fn lock_taken(&self, soon: bool) -> MutexGuard<'_, T> {
        let this = ptr::from_ref(self).cast();
        let (before, times) = MET_ON.get();
        let times = if before == this { times.saturating_add(1) } else { 0 };
        MET_ON.set((this, times));
        self.wait(if times >= MANY_TIMES && !soon { Known::Hot } else { Known::Cold });
        MutexGuard { mutex: self, _value: PhantomData }
    }

    /// Gives it up. The thread has entered a request, and comes again to release it: if it did that
    /// with the head's operations in between, the leaf would be full of requests that wait to be
    /// released. So the head waits for one more thread to leave the mutex.
    #[inline]
    pub(crate) fn leave_for_now(guard: MutexGuard<'_, T>) {
        let mutex = guard.mutex;
        mem::forget(guard);
        match mutex.asked.load(Ordering::SeqCst) {
            NOBODY => mutex.locked.clear(Ordering::Release),
            asked => mutex.leave_to(asked, true),
        }
    }

    /// Takes it if no other thread has it.
    #[inline]
    pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        self.try_set().then(|| MutexGuard { mutex: self, _value: PhantomData })
    }

    /// The same for a thread that most often has just found the mutex taken: if it still is, its
    /// cache line stays with the thread that has it.
    pub(crate) fn try_lock_again(&self) -> Option<MutexGuard<'_, T>> {
        self.look().then(|| MutexGuard { mutex: self, _value: PhantomData })
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
        match self.asked.load(Ordering::SeqCst) {
            NOBODY => self.locked.clear(Ordering::Release),
            asked => self.leave_to(asked, false),
        }
    }

    #[inline]
    fn try_set(&self) -> bool {
        self.locked.set(Ordering::SeqCst)
    }

    /// Takes it if it is free, and leaves its line to the thread that has it otherwise.
    ///
    /// Sequentially consistent: the head looks after the store of its seat, and not before.
    fn look(&self) -> bool {
        !self.locked.is_set(Ordering::SeqCst) && self.try_set()
    }

    /// Takes it if two looks find it free: the thread that had it has probably stopped using it.
    fn look_twice(&self) -> bool {
        if self.locked.is_set(Ordering::Relaxed) {
            return false;
        }
        spin::pause(GONE);
        self.look()
    }

    /// Pauses for [some turns](Known::turns) before it looks again, then for twice as many, up to
    /// [`TURNS`]; then it stands in line, as it does at once where others stand there.
    #[cold]
    fn wait(&self, known: Known) {
        let mut pause = known.turns();
        while pause <= TURNS && self.last.load(Ordering::Relaxed) == NOBODY {
            spin::pause(pause);
            if self.look() {
                return;
            }
            pause *= 2;
        }
        self.wait_in_line(known);
    }

    /// Waits until it is handed the mutex, or, at the head, finds it free.
    fn wait_in_line(&self, known: Known) {
        self.wait_in_line_noting(known, || {});
    }

    /// The same, but calls `asks` when it is the head, has asked for the mutex, and looked in vain.
    fn wait_in_line_noting(&self, known: Known, asks: impl FnOnce()) {
        let Some(mine) = line::take() else { return self.nap() };
        let seat = line::seat(mine.number());
        seat.begin();
        let before = self.last.swap(mine.number(), Ordering::AcqRel);
        if before != NOBODY && seat.stand_behind(before, mine.number()) {
            seat.wait(State::Behind, None, || false);
        } else {
            seat.tell(State::First);
        }
        if !self.is_patient(seat, known) {
            self.ask(seat, mine.number(), asks);
        }
        self.leave_line(mine);
    }

    /// Lets other threads use the mutex for a while. Returns whether it has taken the mutex.
    ///
    /// With others behind it the head does not look. The threads that run would leave the mutex for
    /// a moment, and lose it to the head between a request and its release. Without others behind
    /// it when it comes to the head, it takes a mutex that it finds free, or, if the mutex is hot,
    /// finds free twice.
    fn is_patient(&self, head: &Seat, known: Known) -> bool {
        if cfg!(any(loom, shuttle)) {
            return false;
        }
        let behind = head.behind(line::seat(self.last.load(Ordering::Relaxed)));
        if behind != 0 {
            let behind = u32::from(behind);
            let turn = if known == Known::Cold { LEAST } else { (ALL / behind).clamp(LEAST, TURNS) };
            // Among hundreds of CPUs a hand-over takes longer. (A thread that has just come may not
            // have noted its position yet, so there may seem to be very many.)
            let turn = turn.max((behind / 2).min(2 * TURNS));
            spin::pause(turn);
            return false;
        }
        if known == Known::Hot {
            for _ in 0..2 {
                spin::pause(HOT);
                if self.look_twice() {
                    return true;
                }
            }
            return false;
        }
        let (mut patience, mut turns) = (MOST, known.turns());
        while patience != 0 {
            let pause = patience.min(turns);
            spin::pause(pause);
            if self.look() {
                return true;
            }
            patience -= pause;
            turns = (2 * turns).min(TURNS);
        }
        false
    }

    fn ask(&self, head: &Seat, number: u16, asks: impl FnOnce()) {
        self.asked.store(number, Ordering::SeqCst);
        if !head.wait_for_moment(State::First) && !self.look() {
            asks();
            head.wait(State::First, Some(BOUND), || self.look());
        }
    }

    /// Has the mutex, and leaves the line. The next in line is told when the mutex is left.
    fn leave_line(&self, mine: line::Taken) {
        // Before another thread can be the head, and ask.
        self.asked.store(NOBODY, Ordering::Relaxed);
        let left = self.last.compare_exchange(mine.number(), NOBODY, Ordering::AcqRel, Ordering::Relaxed);
        if left.is_err() {
            match line::seat(mine.number()).leave() {
                Some(next) => self.asked.store(TELL | next, Ordering::Relaxed),
                None => mine.abandon(),
            }
        }
    }

    /// Hands the mutex over to the head, which has asked for it. Frees it if the head is to be told
    /// first, or if this thread `comes_again`.
    #[cold]
    #[inline(never)]
    fn leave_to(&self, asked: u16, comes_again: bool) {
        if asked & TELL != 0 {
            self.asked.store(NOBODY, Ordering::Relaxed);
            self.locked.clear(Ordering::Release);
            line::seat(asked & !TELL).tell(State::First);
        } else if comes_again && asked & KEPT == 0 {
            self.asked.store(asked | KEPT, Ordering::Relaxed);
            self.locked.clear(Ordering::Release);
        } else {
            self.asked.store(NOBODY, Ordering::Relaxed);
            line::seat(asked & !KEPT).tell(State::Handed);
        }
    }

    /// Waits where there are more threads that wait than there are seats.
    fn nap(&self) {
        while !self.look() {
            spin::nap(NAP);
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
mod tests;
