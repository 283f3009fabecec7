//! Who waits: the record of a request that could not be granted at once.
//!
//! A [`Waiter`] holds the request's *blocking count*, the number of earlier conflicting pairs of spans that are still in
//! the lock, and the place where its thread sleeps. Whoever takes such a pair away lowers the count; who lowers it to
//! zero has granted the request and wakes the waiter.
//!
//! Records are kept alive by reference counts and used again: an entry in a leaf holds one, so does the waiting thread,
//! and so does, until it has done so, whoever is about to wake it. Therefore
//!
//! * a record is taken into use only when nobody else holds it ([`Arc::get_mut`]), so that a late wake-up cannot reach the
//!   record's next user;
//! * after the count has reached zero the granter changes nothing in the record: it only wakes.
//!
//! # Memory ordering
//!
//! A granted waiter goes on without passing the leaf's mutex again, so the count itself must hand over what the previous
//! holders wrote: every decrement releases, and the look that finds zero acquires. Decrements in between keep the release
//! sequence going, so the waiter synchronises with all of them, not only with the last.

use crate::sync::{Arc, AtomicUsize, Backoff, Deadline, Ordering, Parked, Parker};

/// Set in the word while the waiter's thread sleeps, or is about to: who grants the request must unpark it.
const ASLEEP: usize = 1 << (usize::BITS - 1);

/// The rest of the word: the blocking count.
const COUNT: usize = ASLEEP - 1;

/// The record of a waiting request; see the [module](self).
#[derive(Debug)]
pub(crate) struct Waiter {
    word: AtomicUsize,
    parker: Parker,
}

/// What became of a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Waited {
    Granted,
    /// Not granted when last looked at. It may be by now: only under the leaves' mutexes is that certain.
    TimedOut,
}

/// What taking one pair away did to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Lowered {
    /// It still waits for others.
    Blocked,
    /// That was the last: the request is granted, and its thread awake to see it.
    Granted,
    /// The same, and its thread sleeps: it must be woken.
    GrantedAsleep,
}

/// The request has been granted meanwhile: it counts as held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AlreadyGranted;

impl Waiter {
    /// A record for a request with `blocking` pairs before it.
    pub(crate) fn new(blocking: usize) -> Self {
        let waiter = Waiter { word: AtomicUsize::new(0), parker: Parker::new() };
        waiter.reset(blocking);
        waiter
    }

    /// Makes a record that nobody else holds ready for a request with `blocking` pairs before it.
    ///
    /// # Panics
    ///
    /// If there are more than [`COUNT`] pairs, which takes a 32-bit machine.
    pub(crate) fn reset(&self, blocking: usize) {
        assert!(blocking <= COUNT, "a request can wait for at most {COUNT} conflicting spans");
        // Nobody else looks: the record gets to others through a leaf's mutex.
        self.word.store(blocking, Ordering::Relaxed);
    }

    /// Whether the count is zero. If it is, all that was done under the ranges waited for is visible.
    pub(crate) fn is_granted(&self) -> bool {
        self.word.load(Ordering::Acquire) & COUNT == 0
    }

    /// One conflicting pair less. To be called at most once for each pair that was counted.
    pub(crate) fn lower(&self) -> Lowered {
        let before = self.word.fetch_sub(1, Ordering::Release);
        debug_assert!(before & COUNT != 0, "a pair was taken away that had not been counted");
        match (before & COUNT, before & ASLEEP) {
            (1, 0) => Lowered::Granted,
            (1, _) => Lowered::GrantedAsleep,
            _ => Lowered::Blocked,
        }
    }

    /// One conflicting pair more, if the request still waits.
    ///
    /// A request that spans several leaves may be granted by somebody who holds another leaf's mutex than the caller;
    /// hence the compare-exchange from a count that is not zero.
    pub(crate) fn raise(&self) -> Result<(), AlreadyGranted> {
        self.word
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |word| match word & COUNT {
                0 => None,
                COUNT => panic!("a request can wait for at most {COUNT} conflicting spans"),
                _ => Some(word + 1),
            })
            .map(drop)
            .map_err(|_granted| AlreadyGranted)
    }

    /// Waits until the request is granted or the deadline comes: spins a little, then sleeps.
    pub(crate) fn wait(&self, deadline: Deadline) -> Waited {
        let backoff = Backoff::new();
        loop {
            if self.is_granted() {
                return Waited::Granted;
            }
            if backoff.is_completed() {
                break;
            }
            backoff.snooze();
        }
        loop {
            // From here on whoever grants the request sees that it must unpark. If that has happened, this acquires
            // what `is_granted` would have.
            if self.word.fetch_or(ASLEEP, Ordering::Acquire) & COUNT == 0 {
                return Waited::Granted;
            }
            // The granter lowers the count before it unparks, so it cannot slip in between the look and the sleep.
            let parked = self.parker.park(|| self.word.load(Ordering::Relaxed) & COUNT != 0, deadline);
            if self.is_granted() {
                return Waited::Granted;
            }
            if parked == Parked::TimedOut {
                return Waited::TimedOut;
            }
        }
    }

    fn wake(&self) {
        self.parker.unpark();
    }
}

/// How many wake-ups a [`WakeList`] notes without a buffer.
const INLINE: usize = 8;

/// The requests that a transition has granted, to be woken when the leaves' mutexes have been dropped.
///
/// Waking happens on drop, so declare the list before the mutexes are locked: locals are dropped in reverse.
#[derive(Debug, Default)]
pub(crate) struct WakeList {
    inline: [Option<Arc<Waiter>>; INLINE],
    len: usize,
    more: Vec<Arc<Waiter>>,
}

impl WakeList {
    pub(crate) fn push(&mut self, waiter: Arc<Waiter>) {
        match self.inline.get_mut(self.len) {
            Some(place) => *place = Some(waiter),
            None => self.more.push(waiter),
        }
        self.len += 1;
    }
}

impl Drop for WakeList {
    fn drop(&mut self) {
        for waiter in
            self.inline.iter_mut().take(self.len).filter_map(Option::take).chain(self.more.drain(..))
        {
            waiter.wake();
        }
    }
}
