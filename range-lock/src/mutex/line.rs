//! The line of threads that wait for a mutex. Each thread has a seat, on a cache line of its own.
//! It uses `atomics`, `parking` and `spin`.
//!
//! A seat has a number, so that a mutex names it in two bytes. A thread takes a seat when it first
//! waits for a mutex, and keeps it until the thread ends. But a thread that leaves the line while
//! the next thread is joining it [abandons](Taken::abandon) its seat. A thread waits for one mutex
//! at a time, so one seat is enough. Seats are never freed. A thread that wakes another one up may
//! be late, and then wakes the seat's next user, which looks and waits on.

use std::time::{Duration, Instant};

use crate::atomics::{AtomicU8, AtomicU16, Ordering};
use crate::parking::{Parked, Place};
use crate::spin;

/// No seat.
pub(super) const NOBODY: u16 = 0;
/// Above all numbers of seats.
pub(super) const MOST: u16 = 1 << 14;
/// In place of the next in line: the thread has left the line and the seat.
const LEFT: u16 = u16::MAX;

/// How many turns a thread pauses before it looks at its seat again.
const TURNS: u32 = 4;
/// How often it looks in a moment.
const MOMENT: u32 = if cfg!(any(loom, shuttle)) { 0 } else { 4 };
/// How often it looks at most before it looks at the mutex and yields.
const LOOKS: u32 = 16;
/// How often it does so before it sleeps, if no yield shows that another thread wants the CPU: for
/// about a millisecond. In a model not at all: a schedule in which the thread comes later shows the
/// same.
const ROUNDS: u32 = if cfg!(any(loom, shuttle)) { 0 } else { 500 };

/// What a thread in line knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum State {
    /// Others are before it.
    Behind,
    /// It is the head of the line.
    First,
    /// It was the head, and has been handed the mutex.
    Handed,
}

/// Beside a state: the thread sleeps, or is about to.
const SLEEPS: u8 = 1 << 7;

/// A place in a line.
#[derive(Debug)]
#[repr(align(128))] // Two lines: CPUs fetch neighbours in pairs.
pub(super) struct Seat {
    state: AtomicU8,
    /// The seat of the next in line, once that thread has stored it, or `LEFT`.
    next: AtomicU16,
    /// One more than that of the thread before it in line.
    position: AtomicU16,
    place: Place,
}

impl Seat {
    fn new() -> Self {
        Seat {
            state: AtomicU8::new(State::Behind as u8),
            next: AtomicU16::new(NOBODY),
            position: AtomicU16::new(0),
            place: Place::new(),
        }
    }

    /// Gets it ready for a line.
    pub(super) fn begin(&self) {
        self.state.store(State::Behind as u8, Ordering::Relaxed);
        self.next.store(NOBODY, Ordering::Relaxed);
    }

    /// The thread at `before` learns that this seat, whose number is `number`, is next in line.
    /// `false` if it has left the line by then. Then this seat is the head.
    pub(super) fn stand_behind(&self, before: u16, number: u16) -> bool {
        let seat = seat(before);
        self.position.store(seat.position.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
        let has_left = seat.next.swap(number, Ordering::AcqRel) == LEFT;
        if has_left {
            seats::give_back(before);
        }
        !has_left
    }

    /// Leaves the line, in which another thread stands behind. Returns its seat. `None` if it has
    /// not told it yet. Then that thread gives this seat back.
    pub(super) fn leave(&self) -> Option<u16> {
        Some(self.next.swap(LEFT, Ordering::AcqRel)).filter(|next| *next != NOBODY)
    }

    /// How many threads stand behind this one, if `last` is the last in line.
    pub(super) fn behind(&self, last: &Seat) -> u16 {
        let (first, last) = (&self.position, &last.position);
        last.load(Ordering::Relaxed).wrapping_sub(first.load(Ordering::Relaxed))
    }

    /// Tells the thread that stands here, and wakes it up if it sleeps.
    pub(super) fn tell(&self, state: State) {
        if self.state.swap(state as u8, Ordering::AcqRel) & SLEEPS != 0 {
            self.place.unpark_one(|_| {});
        }
    }

    /// Whether the thread that stands here has been told more than `state`.
    fn knows_more(&self, state: State) -> bool {
        self.state.load(Ordering::Acquire) != state as u8
    }

    /// Waits for a moment. Returns whether it has been told more than `state`.
    pub(super) fn wait_for_moment(&self, state: State) -> bool {
        for _ in 0..MOMENT {
            spin::pause(TURNS);
            if self.knows_more(state) {
                return true;
            }
        }
        false
    }

    /// Waits until told more than `state`, or until `look` succeeds, which it calls now and then:
    /// at least every `bound` where there is one.
    pub(super) fn wait(&self, state: State, bound: Option<Duration>, look: impl Fn() -> bool) {
        let mut looks = 1;
        for _ in 0..ROUNDS {
            for _ in 0..looks {
                spin::pause(TURNS);
                if self.knows_more(state) {
                    return;
                }
            }
            if look() {
                return;
            }
            if looks < LOOKS {
                looks *= 2;
            } else if spin::yield_to_others() {
                break;
            }
        }
        self.sleep(state as u8, bound, look);
    }

    fn sleep(&self, state: u8, bound: Option<Duration>, look: impl Fn() -> bool) {
        let change = |from, to| self.state.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire);
        while change(state, state | SLEEPS).is_ok() {
            let sleeps = || self.state.load(Ordering::Acquire) == state | SLEEPS;
            let deadline = bound.and_then(|bound| Instant::now().checked_add(bound));
            while sleeps() && self.place.park(sleeps, deadline) != Parked::TimedOut {}
            if change(state | SLEEPS, state).is_err() || look() {
                return;
            }
        }
    }
}

/// The seat with this number.
pub(super) fn seat(number: u16) -> &'static Seat {
    seats::seat(number)
}

/// A seat for this thread. `None` if all that there may be are taken.
pub(super) fn take() -> Option<Taken> {
    seats::take()
}

/// Gives this thread the seat that it would take when it first waits.
#[cfg(not(any(loom, shuttle)))]
pub(super) fn prepare() {
    if let Some(taken) = take() {
        seat(taken.number());
    }
}

/// A seat that a thread has taken.
#[derive(Debug)]
pub(super) struct Taken {
    number: u16,
    /// Whether the thread keeps it.
    is_kept: bool,
}

impl Taken {
    pub(super) fn number(&self) -> u16 {
        self.number
    }

    /// Leaves it to the thread that gives it back.
    pub(super) fn abandon(mut self) {
        if self.is_kept {
            seats::forget();
        }
        self.is_kept = true;
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        if !self.is_kept {
            seats::give_back(self.number);
        }
    }
}

#[cfg(not(any(loom, shuttle)))]
mod seats {
    use std::array;
    use std::cell::Cell;
    use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

    use super::{MOST, NOBODY, Ordering, Seat, Taken};

    /// How many seats are made at a time.
    const BLOCK: usize = 64;

    static BLOCKS: [OnceLock<Box<[Seat; BLOCK]>>; MOST as usize / BLOCK] =
        [const { OnceLock::new() }; MOST as usize / BLOCK];
    static FREE: Mutex<Free> = Mutex::new(Free { first: NOBODY, made: NOBODY });

    /// Those that no thread has: a list by way of `next`.
    struct Free {
        first: u16,
        made: u16,
    }

    thread_local! {
        static MINE: Mine = const { Mine(Cell::new(NOBODY)) };
    }

    /// The seat of this thread.
    struct Mine(Cell<u16>);

    impl Drop for Mine {
        fn drop(&mut self) {
            match self.0.get() {
                NOBODY => {}
                number => give_back(number),
            }
        }
    }

    /// The seat of this thread. `None` if all there are have been taken.
    pub(super) fn take() -> Option<Taken> {
        let kept = MINE.try_with(|mine| {
            if mine.0.get() == NOBODY {
                mine.0.set(take_any()?);
            }
            Some(mine.0.get())
        });
        match kept {
            Ok(number) => Some(Taken { number: number?, is_kept: true }),
            // The thread ends.
            Err(_) => Some(Taken { number: take_any()?, is_kept: false }),
        }
    }

    /// The thread has no seat any more.
    pub(super) fn forget() {
        _ = MINE.try_with(|mine| mine.0.set(NOBODY));
    }

    fn take_any() -> Option<u16> {
        let mut free = free();
        match free.first {
            NOBODY if free.made + 1 == MOST => None,
            NOBODY => {
                free.made += 1;
                Some(free.made)
            }
            number => {
                free.first = seat(number).next.load(Ordering::Relaxed);
                Some(number)
            }
        }
    }

    pub(super) fn give_back(number: u16) {
        let mut free = free();
        seat(number).next.store(free.first, Ordering::Relaxed);
        free.first = number;
    }

    fn free() -> MutexGuard<'static, Free> {
        FREE.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn seat(number: u16) -> &'static Seat {
        let (block, at) = (usize::from(number) / BLOCK, usize::from(number) % BLOCK);
        &BLOCKS[block].get_or_init(|| Box::new(array::from_fn(|_| Seat::new())))[at]
    }
}

/// A seat for each thread of a model. None is used twice, since a model is short.
#[cfg(any(loom, shuttle))]
mod seats {
    use std::cell::Cell;
    use std::sync::atomic::{AtomicU16 as Count, Ordering};

    #[cfg(loom)]
    use loom::{lazy_static, thread_local};
    #[cfg(shuttle)]
    use shuttle::{lazy_static, thread_local};

    use super::{NOBODY, Seat, Taken};

    const SEATS: u16 = if cfg!(loom) { 6 } else { 128 };

    struct Seats {
        all: Vec<Seat>,
        taken: Count,
    }

    lazy_static! {
        static ref ALL: Seats =
            Seats { all: (0..SEATS).map(|_| Seat::new()).collect(), taken: Count::new(NOBODY) };
    }

    thread_local! {
        static MINE: Cell<u16> = Cell::new(NOBODY);
    }

    pub(super) fn take() -> Option<Taken> {
        let number = MINE.with(|mine| {
            if mine.get() == NOBODY {
                mine.set(ALL.taken.fetch_add(1, Ordering::Relaxed) + 1);
            }
            mine.get()
        });
        Some(Taken { number, is_kept: true })
    }

    pub(super) fn forget() {
        MINE.with(|mine| mine.set(NOBODY));
    }

    pub(super) fn give_back(_: u16) {}

    pub(super) fn seat(number: u16) -> &'static Seat {
        &ALL.all[usize::from(number) - 1]
    }
}
