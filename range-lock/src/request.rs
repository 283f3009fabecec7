//! A request: what it asks for, how it is granted, waits, gives up and leaves.
//!
//! Each function here is one transition of the lock: it takes the mutex, changes the leaf, and, when the mutex has been
//! dropped, wakes those whom the change has let in.

use std::fmt;
use std::num::NonZeroU64;

use crate::leaf::Leaf;
use crate::lock::RangeLock;
use crate::span::Span;
use crate::sync::{self, Arc, Deadline, MutexGuard};
use crate::waiter::{Waited, Waiter, WakeList};
use crate::watch;

/// How a request means to use its range.
///
/// Two requests *conflict* when their ranges overlap and their modes do not go together:
///
/// | | `Read` | `Upgradable` | `Write` |
/// |---|---|---|---|
/// | `Read` | together | together | conflict |
/// | `Upgradable` | together | conflict | conflict |
/// | `Write` | conflict | conflict | conflict |
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mode {
    /// Shared with all but writers.
    Read,
    /// Shared with readers; one at a time, so that it can become a writer without meeting another on the way.
    Upgradable,
    /// Shared with nobody.
    Write,
}

impl Mode {
    /// Whether requests in these two modes cannot hold overlapping ranges at the same time.
    #[inline]
    pub const fn conflicts(self, other: Mode) -> bool {
        // Two upgradable ones (1 + 1) conflict as a reader and a writer (0 + 2) do.
        self as u8 + other as u8 >= 2
    }
}

/// Names a request within its lock, for as long as the lock exists: later requests have larger ones, and none is given
/// twice.
///
/// A request for several ranges has one in each lock that it concerns. A guard that is shrunk, downgraded or upgraded keeps
/// the one of its request; of the two that a split makes, the left one does, and the right one has a new one. Printed as `#7`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(NonZeroU64);

impl RequestId {
    /// The id that comes after so many others.
    #[inline]
    pub(crate) fn after(others: u64) -> Self {
        let next = others.checked_add(1).and_then(NonZeroU64::new);
        RequestId(next.expect("2^64 requests take centuries"))
    }

    /// The number.
    pub const fn get(self) -> u64 {
        self.0.get()
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Claim {
    pub(crate) span: Span,
    pub(crate) mode: Mode,
}

/// A request's entry in the lock: what its owner needs in order to change it or take it out. Not `Clone`, since each entry
/// is taken out once.
#[derive(Debug)]
pub(crate) struct Hold {
    pub(crate) span: Span,
    pub(crate) key: Key,
}

/// Where an entry is, and whose it is. As it is returned in two registers, the way from the leaf to the guard leads past no
/// memory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key {
    /// Tells the request from all others of the lock, also from later ones in the same place.
    pub(crate) id: RequestId,
    /// Where the leaf keeps the entry.
    pub(crate) slot: u32,
}

/// What came of entering a request.
#[cfg(any(feature = "async", test))]
#[derive(Debug)]
#[must_use]
pub(crate) enum Entered {
    Granted(Hold),
    Waiting(Hold, Arc<Waiter>),
}

impl RangeLock {
    /// Grants `claim` if nothing conflicts with it, held or waiting.
    #[inline]
    pub(crate) fn try_acquire(&self, claim: Claim) -> Option<Hold> {
        let mut leaf = sync::lock(&self.leaf);
        (leaf.blocking(claim) == 0).then(|| {
            leaf.note_granted(claim.mode);
            Hold { span: claim.span, key: leaf.insert_granted(claim) }
        })
    }

    /// Grants `claim` when all that conflicts with it and came before has left; `None` if the deadline comes first.
    #[inline]
    pub(crate) fn acquire(&self, claim: Claim, deadline: Deadline) -> Option<Hold> {
        let mut leaf = sync::lock(&self.leaf);
        let key = match leaf.blocking(claim) {
            0 => {
                leaf.note_granted(claim.mode);
                leaf.insert_granted(claim)
            }
            blocking => self.wait(leaf, claim, blocking, deadline)?,
        };
        Some(Hold { span: claim.span, key })
    }

    #[cold]
    #[inline(never)]
    fn wait(
        &self,
        leaf: MutexGuard<'_, Leaf>,
        claim: Claim,
        blocking: usize,
        deadline: Deadline,
    ) -> Option<Key> {
        let (hold, waiter) = queue(leaf, claim, blocking);
        let key = match watch::blocked([(self, hold.key.id)], || waiter.wait(deadline)) {
            Waited::Granted => Some(hold.key),
            Waited::TimedOut => self.cancel(hold).map(|hold| hold.key),
        };
        self.note_waited(claim.mode, &waiter, key.is_some());
        key
    }

    /// Enters `claim`: granted at once, or counted by all that conflict with it and come later.
    #[cfg(any(feature = "async", test))]
    pub(crate) fn enter(&self, claim: Claim) -> Entered {
        let mut leaf = sync::lock(&self.leaf);
        match leaf.blocking(claim) {
            0 => {
                leaf.note_granted(claim.mode);
                Entered::Granted(Hold { span: claim.span, key: leaf.insert_granted(claim) })
            }
            blocking => {
                let (hold, waiter) = queue(leaf, claim, blocking);
                Entered::Waiting(hold, waiter)
            }
        }
    }

    /// Withdraws a request that has been waiting. Returns it if it was granted before it could be withdrawn: then it is
    /// held, and whoever cancelled decides whether to keep it or to hand it back.
    #[must_use]
    pub(crate) fn cancel(&self, hold: Hold) -> Option<Hold> {
        let mut wakes = WakeList::default();
        let mut leaf = sync::lock(&self.leaf);
        // Under the mutex nobody lowers the count: the request is granted by now, or will not be.
        if !leaf.entry(&hold).waits() {
            return Some(hold);
        }
        leaf.cancel(&hold, &mut wakes);
        None
    }

    /// Releases what is held; `hold` is of no use any more.
    ///
    /// Takes it by reference since it comes from a guard that has just been written, and to copy it would stall.
    #[inline]
    pub(crate) fn release(&self, hold: &Hold) {
        let mut leaf = sync::lock(&self.leaf);
        if leaf.has_queued() {
            release_and_wake(leaf, hold);
        } else {
            leaf.remove_quietly(hold);
        }
    }

    /// Weakens a held request to mode `to`, without a moment in which it is not held.
    pub(crate) fn downgrade(&self, hold: &Hold, to: Mode) {
        let mut wakes = WakeList::default();
        sync::lock(&self.leaf).downgrade(hold, to, &mut wakes);
    }

    /// Leaves a held request only `span` of what it has. `hold` is the new one when others are woken: a waker may panic.
    pub(crate) fn shrink(&self, hold: &mut Hold, span: Span) {
        let mut wakes = WakeList::default();
        *hold = sync::lock(&self.leaf).shrink(hold, span, &mut wakes);
    }

    /// Makes two held requests of one, the second from `mid` on.
    pub(crate) fn split(&self, hold: Hold, mid: u64) -> (Hold, Hold) {
        sync::lock(&self.leaf).split(&hold, mid)
    }

    /// Makes a writer of an upgradable request if no reader is in.
    #[must_use]
    pub(crate) fn try_upgrade(&self, hold: &Hold) -> bool {
        let mut wakes = WakeList::default();
        let mut leaf = sync::lock(&self.leaf);
        let upgraded = leaf.begin_upgrade(hold) == 0;
        if upgraded {
            leaf.note_granted(Mode::Write);
        } else {
            leaf.downgrade(hold, Mode::Upgradable, &mut wakes);
        }
        upgraded
    }

    /// Makes a writer of an upgradable request when the readers that are in have left; `false` if the deadline comes first,
    /// and then it is upgradable as before.
    #[must_use]
    pub(crate) fn upgrade(&self, hold: &Hold, deadline: Deadline) -> bool {
        match self.begin_upgrade(hold) {
            None => true,
            Some(waiter) => {
                let granted = match watch::blocked([(self, hold.key.id)], || waiter.wait(deadline)) {
                    Waited::Granted => true,
                    Waited::TimedOut => self.cancel_upgrade(hold),
                };
                self.note_waited(Mode::Write, &waiter, granted);
                granted
            }
        }
    }

    /// Claims the upgrade; returns whom to wait with, if there are readers in.
    pub(crate) fn begin_upgrade(&self, hold: &Hold) -> Option<Arc<Waiter>> {
        let mut leaf = sync::lock(&self.leaf);
        let blocking = leaf.begin_upgrade(hold);
        if blocking == 0 {
            leaf.note_granted(Mode::Write);
            return None;
        }
        Some(leaf.queue_upgrade(hold, blocking))
    }

    /// Takes an upgrade back; `true` if it was granted before.
    fn cancel_upgrade(&self, hold: &Hold) -> bool {
        let mut wakes = WakeList::default();
        let mut leaf = sync::lock(&self.leaf);
        let granted = !leaf.entry(hold).waits();
        if !granted {
            leaf.cancel_upgrade(hold, &mut wakes);
        }
        granted
    }
}

/// Enters a request with `blocking` pairs before it.
fn queue(mut leaf: MutexGuard<'_, Leaf>, claim: Claim, blocking: usize) -> (Hold, Arc<Waiter>) {
    let queued = leaf.queue(blocking);
    let waiter = Arc::clone(&queued.waiter);
    let key = leaf.insert_waiting(claim, queued);
    (Hold { span: claim.span, key }, waiter)
}

#[cold]
fn release_and_wake(mut leaf: MutexGuard<'_, Leaf>, hold: &Hold) {
    let mut wakes = WakeList::default();
    leaf.release(hold, &mut wakes);
    drop(leaf);
    drop(wakes);
}
