//! The record of a request that could not be granted at once, and how its thread or task waits. It
//! uses `sync` and `spin`, and knows neither leaves nor locks.
//!
//! A [`Waiter`] holds the request's *count*, which is the number of its entries that are kept out
//! (see [`leaf`](crate::leaf)). It also holds the place where its thread sleeps, or the waker of
//! its task. The thread that lowers the count to zero has granted the request, and wakes the
//! waiter.
//!
//! # One word
//!
//! The count and the state of the sleeper are one atomic word. So each event below is one
//! instruction, whichever mutexes the threads hold. `count` is the count. `A`, `W`, `O` stand for
//! [`ASLEEP`], [`WOKEN`], [`OFFERED`]. `p` is the number of requests that may still pass this one.
//! What a row does not name stays as it is.
//!
//! | event | from | to | result |
//! |---|---|---|---|
//! | [`keep_out`](Waiter::keep_out) | waits, held back by the caller | count + 1 | |
//! | [`raise`](Waiter::raise) | count > 0, or O | count + 1, no O | it waits |
//! | [`raise`](Waiter::raise) | count = 0, no O | the same | it has been granted |
//! | [`lower`](Waiter::lower) | count > 1 | count - 1 | |
//! | [`lower`](Waiter::lower) | count = 1, no A | count = 0 | granted; it will see for itself |
//! | [`lower`](Waiter::lower) | count = 1, A, p = 0 | count = 0 | granted, to be woken unless W |
//! | [`lower`](Waiter::lower) | count = 1, A, p > 0 | count = 0, O, W | offered, to be woken unless W before |
//! | [`pass`](Waiter::pass) | A, p > 0, and count > 0 or O | count + 1, p - 1, no O | it has been passed |
//! | [`pass`](Waiter::pass) | otherwise | the same | it cannot be passed |
//! | [`take_pass_back`](Waiter::take_pass_back) | p | p + 1, then as `lower` | |
//! | wake | p was ever > 0 | no W | its thread or task is woken |
//! | going to sleep | any | A | granted if count = 0 |
//! | [`rise`](Waiter::rise) | any | no A, no O | granted if count = 0 |
//!
//! # Invariants
//!
//! 1. **granted**: a request is granted when its count is zero and O is not set. That is final:
//!    nothing changes the count of a granted request.
//! 2. **offered**: O implies count = 0, A, and p > 0. The sleeper has the range when it rises,
//!    unless it has been passed, or an upgrade has been put before it, by then.
//! 3. **awake**: a waiter is passed only while A is set. A is set from before its last look at the
//!    count until it runs again, or its task is polled.
//! 4. **one list**: a waiter is in one [`WakeList`] at most. Where p was never > 0, a grant is
//!    final and is made once. Otherwise W is set from when the waiter is noted in a list to when it
//!    is taken out.
//! 5. **kept**: a thread that is about to wake holds the record, and so does the sleeper or the
//!    future, and each entry. A record is taken into use only when no other thread holds it
//!    ([`Arc::get_mut`]), so a late wake-up cannot reach its next user.
//! 6. **hands off**: the thread that lowers the count to zero afterwards touches only the record of
//!    the request, and only to wake.
//! 7. **no lock held**: wakers are woken, cloned and dropped with no lock held.
//!
//! # Memory ordering
//!
//! A granted waiter goes on without passing the leaf's mutex again, so the count must hand over
//! what the previous holders wrote. Every event that lowers the count releases, and every look that
//! can find it zero acquires (**handed over**). The events in between are read-modify-writes, which
//! keep the release sequences going. So the waiter synchronises with all threads that lowered the
//! count, not only with the last. The other events order nothing, and are relaxed.
//!
//! # Unwinding
//!
//! Only the user's code can unwind here: a waker. It is called when the word has been changed and
//! the waiter is in no list. See [`WakeList`].

use std::any::Any;
use std::mem;
use std::panic::{self, AssertUnwindSafe};
#[cfg(feature = "async")]
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Instant;

use crate::spin::{self, now};
use crate::sync::{
    self, Arc, AtomicHint, AtomicUsize, Deadline, Mutex, Ordering, Parked, Parker, SPARE_YIELDS,
    SPARE_YIELDS_A_TURN, SPIN_TURNS, TURNS_BETWEEN, YIELDS,
};

/// The waiter sleeps, or is about to ("awake").
const ASLEEP: usize = 1 << (usize::BITS - 1);
/// The waiter is in a [`WakeList`]. Set only where it might be passed ("one list").
const WOKEN: usize = 1 << (usize::BITS - 2);
/// The count is zero, and the range is the waiter's when it comes for it. `ASLEEP` is set too
/// ("offered").
const OFFERED: usize = 1 << (usize::BITS - 3);
/// How many requests may still pass it, in units of [`PASS`].
const PASSES: usize = OFFERED - PASS;
const PASS: usize = 1 << (usize::BITS - 14);
/// The rest of the word: the count.
const COUNT: usize = PASS - 1;

/// The record of a waiting request. See the [module](self).
#[derive(Debug)]
pub(crate) struct Waiter {
    word: AtomicUsize,
    /// Whether any may pass it, or might have passed it.
    may_be_passed: bool,
    /// How many turns away its own is, more or less: one more than that of the request with which
    /// one of its entries was last registered.
    distance: AtomicHint,
    parker: Parker,
    since: Option<Instant>,
    /// Set while a task waits.
    #[cfg(feature = "async")]
    waker: Mutex<Option<Waker>>,
    /// The next in the list of those to be woken. See [`WakeList`].
    next: Mutex<Option<Arc<Waiter>>>,
}

/// What became of a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Waited {
    Granted,
    /// Not granted when last looked at. It may be by now: only under the leaves' mutexes is that
    /// certain.
    TimedOut,
}

/// What the caller that took one share away has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Lowered {
    /// Nothing: the request waits for others, or the waiter will see for itself.
    Done,
    /// Wake the waiter: it sleeps, and has the range, or can have it.
    ToBeWoken,
}

/// How many ranges a request may have. Unit tests reach this limit and the next one.
pub(crate) const MOST_RANGES: usize = if cfg!(test) { 200 } else { COUNT / 4 };

/// How many shares of the count a request of several ranges may begin with: one for each range in
/// each leaf that the range touches. With 32 bits, leaves of several locks could fill the count.
/// Half is left to requests that pass it.
pub(crate) const MOST_SHARES: usize = if cfg!(test) { 300 } else { COUNT / 2 };

impl Waiter {
    /// A record for a request of which `blocking` entries are kept out, and which `passes` others
    /// may pass.
    pub(crate) fn new(blocking: usize, passes: usize) -> Self {
        let mut waiter = Waiter {
            word: AtomicUsize::new(0),
            may_be_passed: false,
            distance: AtomicHint::new(1),
            parker: Parker::new(),
            since: None,
            #[cfg(feature = "async")]
            waker: Mutex::new(None),
            next: Mutex::new(None),
        };
        waiter.reset(blocking, passes);
        waiter
    }

    /// Makes a record that no other thread holds ready for another such request.
    pub(crate) fn reset(&mut self, blocking: usize, passes: usize) {
        debug_assert!(blocking <= COUNT);
        debug_assert!(passes <= PASSES / PASS);
        self.may_be_passed = passes != 0;
        // Relaxed: no other thread looks ("kept"). The record gets to others through a leaf's
        // mutex.
        self.word.store(blocking + passes * PASS, Ordering::Relaxed);
        self.distance.set(1);
        self.since = now();
    }

    /// How many turns away its own is, more or less: one at least.
    pub(crate) fn turns_away(&self) -> u32 {
        u32::try_from(self.distance.get()).unwrap_or(u32::MAX).max(1)
    }

    pub(crate) fn set_distance(&self, distance: u64) {
        self.distance.set(distance);
    }

    /// The count.
    #[cfg(all(test, not(any(loom, shuttle))))]
    pub(crate) fn blocking(&self) -> usize {
        self.word.load(Ordering::Relaxed) & COUNT
    }

    /// Whether the range is offered: the sleeper has it when it comes for it, unless it is passed.
    #[cfg(all(test, not(any(loom, shuttle))))]
    pub(crate) fn is_offered(&self) -> bool {
        self.word.load(Ordering::Relaxed) & (COUNT | OFFERED) == OFFERED
    }

    /// When the wait began. `None` where there is no clock.
    pub(crate) fn since(&self) -> Option<Instant> {
        self.since
    }

    /// Whether the request has been granted. If so, all that was done under the ranges waited for
    /// is visible.
    pub(crate) fn is_granted(&self) -> bool {
        // Acquire: "handed over", and "granted" is final.
        self.word.load(Ordering::Acquire) & (COUNT | OFFERED) == 0
    }

    /// One entry less is kept out. To be called once for each share of the count.
    pub(crate) fn lower(&self) -> Lowered {
        let word = if self.may_be_passed {
            self.lower_to_offer()
        } else {
            // Release: "handed over". From here on "hands off".
            self.word.fetch_sub(1, Ordering::Release)
        };
        debug_assert!(word & COUNT != 0, "a share was taken away that had not been counted");
        if word & COUNT == 1 && word & (ASLEEP | WOKEN) == ASLEEP {
            Lowered::ToBeWoken
        } else {
            Lowered::Done
        }
    }

    /// The same, but a sleeper that may still be passed is offered the range that it would
    /// otherwise be granted. Returns the word as it was.
    fn lower_to_offer(&self) -> usize {
        // Release: "handed over". Both marks are set in the instruction that lowers: "offered",
        // "one list".
        let lowered = self.word.fetch_update(Ordering::Release, Ordering::Relaxed, |word| {
            let offered = word & COUNT == 1 && word & ASLEEP != 0 && word & PASSES != 0;
            let marks = if offered { OFFERED | WOKEN } else { 0 };
            Some(word.wrapping_sub(1) | marks)
        });
        let (Ok(word) | Err(word)) = lowered;
        word
    }

    /// One entry more is kept out. To be called under a mutex under which the request certainly
    /// waits: it is being entered, another share of the count belongs to an entry in the same leaf,
    /// or a passer holds it back.
    pub(crate) fn keep_out(&self) {
        // Relaxed: it lowers nothing ("handed over"), and the request waits, so it stays so
        // ("granted").
        self.word.fetch_add(1, Ordering::Relaxed);
    }

    /// One entry more is kept out, if the request still waits. `false` if it has been granted
    /// meanwhile, and counts as held.
    ///
    /// A request that spans several leaves may be granted by a thread that holds another leaf's
    /// mutex than the caller. Hence the compare-exchange from a word that is not granted.
    pub(crate) fn raise(&self) -> bool {
        self.raise_if(|word| word & (COUNT | OFFERED) != 0, 1)
    }

    /// Lets a request that came later pass this one, and holds this one back until the passer has
    /// entered. `false` if this one is awake, has been granted, or has been passed often enough.
    pub(crate) fn pass(&self) -> bool {
        let may = |word| {
            word & ASLEEP != 0
                && word & PASSES != 0
                && word & (COUNT | OFFERED) != 0
                && word & COUNT <= COUNT / 2
        };
        self.raise_if(may, 1usize.wrapping_sub(PASS))
    }

    /// Takes [`pass`](Self::pass) back.
    pub(crate) fn take_pass_back(&self) -> Lowered {
        // Relaxed: the share that `lower` takes keeps the count above zero until then ("handed
        // over").
        self.word.fetch_add(PASS, Ordering::Relaxed);
        self.lower()
    }

    /// Adds `difference`, which has one share more, if the word allows it.
    fn raise_if(&self, may: impl Fn(usize) -> bool, difference: usize) -> bool {
        // Relaxed: it lowers nothing ("handed over"). `may` keeps what is "granted" and "awake" as
        // it is.
        self.word
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |word| {
                let raised = (word & !OFFERED).wrapping_add(difference);
                may(word).then_some(raised)
            })
            .is_ok()
    }

    /// Wakes the waiter. The request may have been granted, and be gone by now; that the caller
    /// holds the record keeps it from being used for another.
    fn wake(&self) {
        if self.may_be_passed {
            // It is out of the list; from here on it can be put into another ("one list").
            self.word.fetch_and(!WOKEN, Ordering::Relaxed);
        }
        #[cfg(feature = "async")]
        {
            let waker = sync::lock(&self.waker).take();
            if let Some(waker) = waker {
                return waker.wake(); // With the mutex released.
            }
        }
        self.parker.unpark();
    }

    /// Waits until the request is granted or the deadline comes: spins a little, the longer the
    /// nearer its turn is, then sleeps.
    pub(crate) fn wait(&self, deadline: Deadline) -> Waited {
        let mut is_woken = false;
        loop {
            if self.spin(is_woken, deadline) {
                return Waited::Granted;
            }
            if deadline.has_passed() {
                return Waited::TimedOut;
            }
            // From here on the thread that grants the request sees that it must unpark ("awake").
            // If the request has been granted, this acquires what `is_granted` would have ("handed
            // over").
            if self.word.fetch_or(ASLEEP, Ordering::Acquire) & COUNT == 0 {
                return Waited::Granted;
            }
            // The thread that wakes this one changes the word before it unparks. So it does not
            // slip in between the look and the sleep, and the look orders nothing: `rise` does.
            let sleeps = || self.word.load(Ordering::Relaxed) & COUNT != 0;
            let parked = self.parker.park(sleeps, deadline);
            if self.rise() {
                return Waited::Granted;
            }
            is_woken = true;
            if parked == Parked::TimedOut {
                return Waited::TimedOut;
            }
        }
    }

    /// Looks for a while whether the request is granted: spins, the longer the nearer its turn is,
    /// and then lets others run, possibly those before it. While no other thread wants the CPU
    /// it spins on.
    ///
    /// One that may be passed goes to sleep instead, so that it can be, unless it has just been
    /// woken. One whose deadline has passed does neither: a yield may last for as long as the other
    /// threads want the CPU.
    fn spin(&self, is_woken: bool, deadline: Deadline) -> bool {
        /// One that is farther away yields no more often.
        const MOST_TURNS: u32 = 128;
        let (mut nearest, mut turns) = (u32::MAX, 0);
        let spare_for_turns = SPARE_YIELDS_A_TURN * self.turns_away().min(MOST_TURNS);
        let (mut yields, mut spare) = (YIELDS, SPARE_YIELDS + spare_for_turns);
        loop {
            let word = self.word.load(Ordering::Acquire); // "Handed over".
            let (count, may_be_passed) = (word & COUNT, word & PASSES != 0);
            if count == 0 {
                return true;
            }
            if may_be_passed && !is_woken || deadline.has_passed() {
                return false;
            }
            let distance = self.turns_away();
            if nearest == u32::MAX || distance == 1 && nearest != 1 {
                (nearest, turns) = (distance, SPIN_TURNS / distance);
            }
            if turns != 0 {
                // One that is next has nothing to wait for but this.
                let pause = if distance == 1 { 2 } else { 16 }.min(turns);
                turns -= pause;
                spin::pause(pause);
            } else if yields == 0 || may_be_passed {
                return false;
            } else if spin::yield_to_others() || spare == 0 {
                yields -= 1;
            } else {
                spare -= 1;
                turns = TURNS_BETWEEN;
            }
        }
    }

    /// The sleeper is awake. Returns whether it has the range, even if the range was only offered.
    fn rise(&self) -> bool {
        // Acquire: "handed over". One instruction takes the offer and is awake: "offered", "awake".
        self.word.fetch_and(!(ASLEEP | OFFERED), Ordering::Acquire) & COUNT == 0
    }

    /// The same for a task: ready if the request is granted. Otherwise `cx` is woken when it is.
    #[cfg(feature = "async")]
    pub(crate) fn poll_granted(&self, cx: &Context<'_>) -> Poll<()> {
        if self.rise() {
            return Poll::Ready(());
        }
        if !sync::lock(&self.waker).as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            let new = cx.waker().clone();
            let old = sync::lock(&self.waker).replace(new);
            drop(old); // With the mutex released: a waker's drop is code of the user's.
        }
        // As in `wait`: a granter either sees that there is a task to wake ("awake"), or has
        // lowered the count by now ("handed over").
        match self.word.fetch_or(ASLEEP, Ordering::Acquire) & COUNT {
            0 => Poll::Ready(()),
            _ => Poll::Pending,
        }
    }
}

/// A task's share of the record of its request. Dropped when the request has been granted or has
/// left, be it by a panic: a waker that stayed behind would be woken in place of the record's next
/// user.
#[cfg(feature = "async")]
#[derive(Debug)]
pub(crate) struct Registered(pub(crate) Arc<Waiter>);

#[cfg(feature = "async")]
impl Drop for Registered {
    fn drop(&mut self) {
        let waker = sync::lock(&self.0.waker).take();
        // With the mutex released.
        if waker.is_some() {
            let mut panics = FirstPanic::default();
            panics.catch(|| drop(waker));
            panics.resume();
        }
    }
}

/// Calls code of the user's that must not keep the lock from what it has to do afterwards, and
/// keeps the first panic of these calls.
#[derive(Default)]
struct FirstPanic(Option<Box<dyn Any + Send>>);

impl FirstPanic {
    fn catch(&mut self, call: impl FnOnce()) {
        let Err(panic) = panic::catch_unwind(AssertUnwindSafe(call)) else { return };
        match &self.0 {
            None => self.0 = Some(panic),
            Some(_) => discard(panic),
        }
    }

    /// Lets the first panic go on. A thread that unwinds already swallows it: a second panic that
    /// leaves a destructor would abort the process.
    fn resume(self) {
        match self.0 {
            None => {}
            Some(panic) if thread::panicking() => discard(panic),
            Some(panic) => panic::resume_unwind(panic),
        }
    }
}

/// Drops what a panic carried. Its destructor is code of the user's and may panic as well.
#[cold]
fn discard(panic: Box<dyn Any + Send>) {
    if let Err(another) = panic::catch_unwind(AssertUnwindSafe(|| drop(panic))) {
        mem::forget(another);
    }
}

/// The waiters whose requests a transition has granted, to be woken when the leaves' mutexes have
/// been dropped.
///
/// A list of records, each of which names the next, so that it allocates nothing however many there
/// are. Waking happens on drop, in the order of the grants: declare the list before the mutexes are
/// locked, since locals are dropped in reverse.
///
/// If wakers panic, the rest is woken nevertheless. Then the first panic goes on, unless the thread
/// is unwinding already. So the drop of a list can unwind: a request that was entered or changed
/// before it must have an owner by then.
#[derive(Debug, Default)]
pub(crate) struct WakeList {
    first: Option<Arc<Waiter>>,
    /// Set from when a second waiter is noted until the list is empty. Most lists have one waiter,
    /// and to share a record, or to look for the next one, takes locked instructions.
    last: Option<Arc<Waiter>>,
}

impl WakeList {
    /// Notes a waiter that is to be woken. Only the thread that has marked it does so, and only
    /// once.
    pub(crate) fn push(&mut self, waiter: &Arc<Waiter>) {
        let Some(first) = &self.first else {
            self.first = Some(Arc::clone(waiter));
            return;
        };
        let last = self.last.as_ref().unwrap_or(first);
        *sync::lock(&last.next) = Some(Arc::clone(waiter));
        self.last = Some(Arc::clone(waiter));
    }

    fn pop(&mut self) -> Option<Arc<Waiter>> {
        let first = self.first.take()?;
        if self.last.is_some() {
            self.first = sync::lock(&first.next).take();
            if self.first.is_none() {
                self.last = None;
            }
        }
        Some(first)
    }

    #[inline(never)]
    fn wake_all(&mut self) {
        let mut panics = FirstPanic::default();
        while let Some(waiter) = self.pop() {
            panics.catch(|| waiter.wake());
        }
        panics.resume();
    }
}

impl Drop for WakeList {
    #[inline]
    fn drop(&mut self) {
        if self.first.is_some() {
            self.wake_all();
        }
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
pub(crate) mod tests;
