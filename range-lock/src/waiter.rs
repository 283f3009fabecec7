//! Who waits: the record of a request that could not be granted at once.
//!
//! A [`Waiter`] holds the request's *blocking count*, the number of earlier conflicting pairs of spans that are still in
//! the lock, and the place where its thread sleeps or the waker of its task. Whoever takes such a pair away lowers the
//! count; who lowers it to zero has granted the request and wakes the waiter.
//!
//! Records are kept alive by reference counts and used again: each entry of the request in a leaf holds its record, so do
//! the waiting thread or future, and whoever is about to wake it, until that is done. Therefore
//!
//! * a record is taken into use only when nobody else holds it ([`Arc::get_mut`]), so that a late wake-up cannot reach the
//!   record's next user;
//! * a granter that has lowered the count to zero touches nothing of the request any more, only the record, and only to wake;
//! * wakers are woken, cloned and dropped with no lock held.
//!
//! # Memory ordering
//!
//! A granted waiter goes on without passing the leaf's mutex again, so the count itself must hand over what the previous
//! holders wrote: every decrement releases, and the look that finds zero acquires. Decrements in between keep the release
//! sequence going, so the waiter synchronises with all of them, not only with the last.

#[cfg(feature = "async")]
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use crate::sync::{self, Arc, AtomicUsize, Backoff, Deadline, Mutex, Ordering, Parked, Parker};

/// Set in the word while the waiter sleeps, or is about to: who grants the request must wake it.
const ASLEEP: usize = 1 << (usize::BITS - 1);

/// The rest of the word: the blocking count.
const COUNT: usize = ASLEEP - 1;

/// The record of a waiting request; see the [module](self).
#[derive(Debug)]
pub(crate) struct Waiter {
    word: AtomicUsize,
    parker: Parker,
    since: Option<Instant>,
    /// Set while a task waits.
    #[cfg(feature = "async")]
    waker: Mutex<Option<Waker>>,
    /// The next in the list of those to be woken; see [`WakeList`].
    next: Mutex<Option<Arc<Waiter>>>,
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
        let mut waiter = Waiter {
            word: AtomicUsize::new(0),
            parker: Parker::new(),
            since: None,
            #[cfg(feature = "async")]
            waker: Mutex::new(None),
            next: Mutex::new(None),
        };
        waiter.reset(blocking);
        waiter
    }

    /// Makes a record that nobody else holds ready for a request with `blocking` pairs before it.
    ///
    /// # Panics
    ///
    /// If there are more than [`COUNT`] pairs, which takes a 32-bit machine.
    pub(crate) fn reset(&mut self, blocking: usize) {
        assert!(blocking <= COUNT, "a request can wait for at most {COUNT} conflicting spans");
        // Nobody else looks: the record gets to others through a leaf's mutex.
        self.word.store(blocking, Ordering::Relaxed);
        self.since = now();
    }

    /// The blocking count.
    #[cfg(all(test, not(loom)))]
    pub(crate) fn blocking(&self) -> usize {
        self.word.load(Ordering::Relaxed) & COUNT
    }

    /// When the wait began; `None` where there is no clock.
    pub(crate) fn since(&self) -> Option<Instant> {
        self.since
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

    /// Wakes who waits. The request has been granted, and may be gone by now; that the caller holds the record keeps it from
    /// being used for another.
    fn wake(&self) {
        #[cfg(feature = "async")]
        {
            let waker = sync::lock(&self.waker).take();
            if let Some(waker) = waker {
                return waker.wake(); // With the mutex released.
            }
        }
        self.parker.unpark();
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

    /// The same for a task: ready if the request is granted, else `cx` is woken when it is.
    #[cfg(feature = "async")]
    pub(crate) fn poll_granted(&self, cx: &Context<'_>) -> Poll<()> {
        if self.is_granted() {
            return Poll::Ready(());
        }
        if !sync::lock(&self.waker).as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            let new = cx.waker().clone();
            let old = sync::lock(&self.waker).replace(new);
            drop(old); // With the mutex released: a waker's drop is code of the user's.
        }
        // As in `wait`: a granter either sees that there is somebody to wake, or has lowered the count by now.
        match self.word.fetch_or(ASLEEP, Ordering::Acquire) & COUNT {
            0 => Poll::Ready(()),
            _ => Poll::Pending,
        }
    }
}

/// A task's share of the record of its request. Dropped when the request has been granted or has left, be it by a panic: a
/// waker that stayed behind would be woken in place of the record's next user.
#[cfg(feature = "async")]
#[derive(Debug)]
pub(crate) struct Registered(pub(crate) Arc<Waiter>);

#[cfg(feature = "async")]
impl Drop for Registered {
    fn drop(&mut self) {
        let waker = sync::lock(&self.0.waker).take();
        drop(waker); // With the mutex released.
    }
}

/// The time, where it can be told: in a browser's module tasks may wait, but std has no clock.
fn now() -> Option<Instant> {
    let no_clock = cfg!(all(target_family = "wasm", target_os = "unknown"));
    (!no_clock).then(Instant::now)
}

/// Those whom a transition has granted their requests, to be woken when the leaves' mutexes have been dropped.
///
/// A list of records, each of which names the next, so that it allocates nothing however many there are. Waking happens on
/// drop, in the order of the grants: declare the list before the mutexes are locked, since locals are dropped in reverse.
#[derive(Debug, Default)]
pub(crate) struct WakeList {
    first: Option<Arc<Waiter>>,
    last: Option<Arc<Waiter>>,
}

impl WakeList {
    /// Notes the waiter of a request that has been granted and sleeps: only its granter does, and only once.
    pub(crate) fn push(&mut self, waiter: &Arc<Waiter>) {
        match self.last.replace(Arc::clone(waiter)) {
            Some(before) => *sync::lock(&before.next) = Some(Arc::clone(waiter)),
            None => self.first = Some(Arc::clone(waiter)),
        }
    }

    fn pop(&mut self) -> Option<Arc<Waiter>> {
        let first = self.first.take()?;
        self.first = sync::lock(&first.next).take();
        if self.first.is_none() {
            self.last = None;
        }
        Some(first)
    }
}

impl Drop for WakeList {
    fn drop(&mut self) {
        /// Wakes the rest even if a waker panics.
        struct Rest<'a>(&'a mut WakeList);

        impl Drop for Rest<'_> {
            fn drop(&mut self) {
                while let Some(waiter) = self.0.pop() {
                    waiter.wake();
                }
            }
        }

        let rest = Rest(self);
        while let Some(waiter) = rest.0.pop() {
            waiter.wake();
        }
    }
}
