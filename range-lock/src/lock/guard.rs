//! The guards: what a request holds, borrowed from the lock or owning a share of it.
//!
//! A guard is an entry in the lock and the way back to that entry. All six types wrap [`Held`]. The
//! type names the mode, so what a mode cannot do does not compile.

use std::fmt;
use std::ops::{Deref, RangeBounds, RangeInclusive};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::RangeLock;
use crate::claim::{Claim, Hold};
use crate::ids::RequestId;
use crate::mode::Mode;
use crate::request;
use crate::span::Span;
use crate::sync::Deadline;
#[cfg(feature = "async")]
use crate::{sync, waiter::Waiter};

/// A granted request and the lock that it is in, which `L` borrows or owns a share of.
///
/// Released when dropped. An owned share of the lock is dropped after that, so it outlasts the
/// wake-ups.
pub(crate) struct Held<L: Deref<Target = RangeLock>> {
    lock: L,
    /// `None` if the range is empty.
    hold: Option<Hold>,
}

// Always inline where it acquires, so that a guard is made where it is to lie; see
// [`request::try_acquire`].
impl<L: Deref<Target = RangeLock>> Held<L> {
    #[inline(always)]
    pub(crate) fn acquire(lock: L, claim: Option<Claim>) -> Self {
        // A closure given to `map` is not always inlined.
        let hold = match claim {
            Some(Claim { span, mode }) => {
                let key = request::acquire(lock.place(), span, mode, Deadline::Never);
                Some(Hold { span, key: key.expect("a wait without a deadline ends with the grant") })
            }
            None => None,
        };
        Held { lock, hold }
    }

    #[inline(always)]
    pub(crate) fn try_acquire(lock: L, claim: Option<Claim>) -> Option<Self> {
        let hold = match claim {
            Some(Claim { span, mode }) => {
                Some(Hold { span, key: request::try_acquire(lock.partition(), span, mode)? })
            }
            None => None,
        };
        Some(Held { lock, hold })
    }

    pub(crate) fn acquire_until(lock: L, claim: Option<Claim>, deadline: Deadline) -> Option<Self> {
        let hold = match claim {
            Some(Claim { span, mode }) => {
                Some(Hold { span, key: request::acquire(lock.place(), span, mode, deadline)? })
            }
            None => None,
        };
        Some(Held { lock, hold })
    }

    /// What a future has acquired.
    #[cfg(feature = "async")]
    pub(crate) fn new(lock: L, hold: Option<Hold>) -> Self {
        Held { lock, hold }
    }

    /// Claims an upgrade. Returns the record to wait with, if there is anything to wait for.
    #[cfg(feature = "async")]
    pub(crate) fn begin_upgrade(&self) -> Option<sync::Arc<Waiter>> {
        request::begin_upgrade(self.lock.partition(), self.hold.as_ref()?)
    }

    /// Takes an upgrade back. `true` if it was granted before.
    #[cfg(feature = "async")]
    pub(crate) fn cancel_upgrade(&self) -> bool {
        self.hold.as_ref().is_none_or(|hold| request::cancel_upgrade(self.lock.partition(), hold))
    }

    /// An upgrade that waited with `waiter` has been granted or has given up.
    #[cfg(feature = "async")]
    pub(crate) fn note_upgrade_waited(&self, waiter: &Waiter, granted: bool) {
        request::note_waited(self.lock.partition(), Mode::Write, waiter, granted);
    }

    /// The lock.
    #[cfg(all(any(feature = "file", all(test, feature = "async")), any(test, not(any(loom, shuttle)))))]
    pub(crate) fn lock(&self) -> &L {
        &self.lock
    }

    /// Leaks what is held.
    #[cfg(all(feature = "file", any(test, not(any(loom, shuttle)))))]
    pub(crate) fn leak(&mut self) {
        self.hold = None;
    }

    pub(crate) fn range(&self) -> RangeInclusive<u64> {
        match &self.hold {
            Some(hold) => hold.span.into(),
            #[expect(clippy::reversed_empty_ranges, reason = "an empty closed range has no other form")]
            None => 1..=0,
        }
    }

    /// `None` if the range is empty.
    #[cfg(all(feature = "file", any(test, not(any(loom, shuttle)))))]
    pub(crate) fn span(&self) -> Option<Span> {
        self.hold.as_ref().map(|hold| hold.span)
    }

    /// `None` if the range is empty: then there is no request.
    pub(crate) fn id(&self) -> Option<RequestId> {
        self.hold.as_ref().map(|hold| hold.key.id)
    }

    pub(crate) fn downgrade(self, to: Mode) -> Self {
        self.weaken(to);
        self
    }

    pub(crate) fn weaken(&self, to: Mode) {
        if let Some(hold) = &self.hold {
            request::downgrade(self.lock.partition(), hold, to);
        }
    }

    pub(crate) fn try_upgrade(&self) -> bool {
        self.hold.as_ref().is_none_or(|hold| request::try_upgrade(self.lock.partition(), hold))
    }

    pub(crate) fn upgrade_until(&self, deadline: Deadline) -> bool {
        self.hold.as_ref().is_none_or(|hold| request::upgrade(self.lock.place(), hold, deadline))
    }

    pub(crate) fn release(&mut self) {
        if let Some(hold) = self.hold.take() {
            request::release(self.lock.partition(), &hold);
        }
    }

    #[track_caller]
    pub(crate) fn shrink(&mut self, range: &impl RangeBounds<u64>) {
        let Some(span) = Span::new(range) else { return self.release() };
        match &mut self.hold {
            Some(hold) if hold.span.covers(span) => request::shrink(self.lock.partition(), hold, span),
            _ => panic!("range {span:?} is not part of the range held, {:?}", self.range()),
        }
    }
}

impl<L: Deref<Target = RangeLock> + Clone> Held<L> {
    #[track_caller]
    pub(crate) fn split_at(mut self, mid: u64) -> (Self, Self) {
        let lock = self.lock.clone();
        let Some(hold) = &self.hold else { return (self, Held { lock, hold: None }) };
        let Span { first, last } = hold.span;
        if mid == first {
            return (Held { lock, hold: None }, self);
        }
        if Some(mid) == last.checked_add(1) {
            return (self, Held { lock, hold: None });
        }
        // If these unwind, `self` releases the range.
        assert!(hold.span.contains(mid), "cannot split at {mid}: the range held is {:?}", hold.span);
        let (left, right) = request::split(lock.partition(), hold, mid);
        self.hold = Some(left);
        (self, Held { lock, hold: Some(right) })
    }
}

impl<L: Deref<Target = RangeLock>> Drop for Held<L> {
    #[inline]
    fn drop(&mut self) {
        if let Some(hold) = &self.hold {
            request::release(self.lock.partition(), hold);
        }
    }
}

/// A guard's type and what all guards can do.
macro_rules! guard {
    (
        $(#[$doc:meta])*
        $Guard:ident [$($lifetime:lifetime)?] $lock:ty,
        $setup:literal, $acquire:literal
    ) => {
        $(#[$doc])*
        ///
        /// ```
        #[doc = $setup]
        #[doc = concat!("let guard = lock.", $acquire, "(0..10);")]
        /// assert!(lock.try_write(9..20).is_none());
        /// drop(guard);
        /// assert!(lock.try_write(9..20).is_some());
        /// ```
        ///
        /// Bind the guard to a name, because `let _ =` drops the guard at once, which unlocks the
        /// range.
        #[must_use = "if unused the range is unlocked at once"]
        pub struct $Guard$(<$lifetime>)? {
            pub(crate) held: Held<$lock>,
        }

        impl$(<$lifetime>)? $Guard$(<$lifetime>)? {
            #[cfg(feature = "async")]
            pub(crate) fn from_held(held: Held<$lock>) -> Self {
                Self { held }
            }

            /// Returns the held range. For the guard of an empty range the result is `1..=0`.
            ///
            /// ```
            #[doc = $setup]
            #[doc = concat!("assert_eq!(lock.", $acquire, "(3..7).range(), 3..=6);")]
            #[doc = concat!("assert!(lock.", $acquire, "(3..3).range().is_empty());")]
            /// ```
            pub fn range(&self) -> RangeInclusive<u64> {
                self.held.range()
            }

            /// Returns the id of the guard's request among the lock's
            /// [`requests`](RangeLock::requests). Returns `None` if the range is empty, because the
            /// list of requests contains no empty range.
            ///
            /// [`RequestInfo::id`](crate::RequestInfo::id) of the guard's request returns the same
            /// id. If another request in this list waits for the guard's request,
            /// [`RequestInfo::waits_for`](crate::RequestInfo::waits_for) of the other request
            /// contains the id.
            ///
            /// ```
            #[doc = $setup]
            #[doc = concat!("let guard = lock.", $acquire, "(0..10);")]
            /// assert_eq!(guard.id(), Some(lock.requests()[0].id()));
            #[doc = concat!("assert_eq!(lock.", $acquire, "(3..3).id(), None);")]
            /// ```
            pub fn id(&self) -> Option<RequestId> {
                self.held.id()
            }

            /// Keeps `range` and releases the rest of the held range in one step. Grants the
            /// requests that waited only for the rest.
            ///
            /// No function that changes a guard has a `self` parameter. So a caller must name the
            /// type of the guard, as in the example.
            ///
            /// ```
            #[doc = concat!("# use range_lock::", stringify!($Guard), ";")]
            #[doc = $setup]
            #[doc = concat!("let mut guard = lock.", $acquire, "(0..100);")]
            #[doc = concat!(stringify!($Guard), "::shrink(&mut guard, 10..20);")]
            /// assert_eq!(guard.range(), 10..=19);
            /// assert!(!lock.is_locked(20..));
            /// ```
            ///
            /// # Panics
            ///
            /// If `range` is inverted, or is not a part of the held range, the function panics.
            /// After the panic the guard holds the same range as before. An empty `range` counts as
            /// a part of every range. So `shrink` to an empty range releases the whole held range.
            #[track_caller]
            pub fn shrink(guard: &mut Self, range: impl RangeBounds<u64>) {
                guard.held.shrink(&range);
            }

            /// Splits the guard into two guards. The first guard holds the points of the range
            /// before `mid`. The second guard holds the other points of the range. `mid` is a point
            /// of the lock's domain, not an offset in the range. The call releases nothing and
            /// grants no request.
            ///
            /// ```
            #[doc = concat!("# use range_lock::", stringify!($Guard), ";")]
            #[doc = $setup]
            #[doc = concat!("let guard = lock.", $acquire, "(0..100);")]
            #[doc = concat!("let (left, right) = ", stringify!($Guard), "::split_at(guard, 30);")]
            /// assert_eq!((left.range(), right.range()), (0..=29, 30..=99));
            /// drop(left);
            /// assert!(!lock.is_locked(..30));
            /// assert!(lock.is_locked(30..));
            /// ```
            ///
            /// # Panics
            ///
            /// If the held range is `first..=last`, and `mid` is smaller than `first` or larger
            /// than `last + 1`, the function panics. The panic drops the guard, which releases the
            /// range. If `mid` is `first` or `last + 1`, one of the two guards is empty. A caller
            /// can split the guard of an empty range at every `mid`.
            #[track_caller]
            pub fn split_at(guard: Self, mid: u64) -> (Self, Self) {
                let (left, right) = guard.held.split_at(mid);
                (Self { held: left }, Self { held: right })
            }
        }

        impl$(<$lifetime>)? fmt::Debug for $Guard$(<$lifetime>)? {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($Guard)).field("range", &self.range()).finish_non_exhaustive()
            }
        }
    };
}

/// The three guards of one family, borrowed or owned, and the ways between them.
macro_rules! guards {
    (
        [$($lifetime:lifetime)?] $lock:ty, $kind:literal, $setup:literal,
        $Read:ident, $read:literal,
        $Upgradable:ident, $upgradable:literal,
        $Write:ident, $write:literal
    ) => {
        guard! {
            #[doc = concat!("A range that is locked for reading, by a guard that ", $kind, ".")]
            ///
            #[doc = concat!("Made by [`RangeLock::", $read, "`] and its `try_` forms. Releases the range when dropped, on")]
            /// any thread.
            $Read [$($lifetime)?] $lock, $setup, $read
        }

        guard! {
            #[doc = concat!("A range that is locked for reading and can be upgraded, by a guard that ", $kind, ".")]
            ///
            #[doc = concat!("Made by [`RangeLock::", $upgradable, "`] and its `try_` forms. Releases the range when dropped,")]
            /// on any thread.
            $Upgradable [$($lifetime)?] $lock, $setup, $upgradable
        }

        guard! {
            #[doc = concat!("A range that is locked for writing, by a guard that ", $kind, ".")]
            ///
            #[doc = concat!("Made by [`RangeLock::", $write, "`] and its `try_` forms. Releases the range when dropped, on")]
            /// any thread.
            $Write [$($lifetime)?] $lock, $setup, $write
        }

        impl$(<$lifetime>)? $Write$(<$lifetime>)? {
            /// Turns the guard into a read guard. The range stays held during the change. The call
            /// grants the waiting readers, plain or upgradable, that no other request keeps out.
            /// The call grants no request for writing a part of the range.
            ///
            /// ```
            #[doc = concat!("# use range_lock::", stringify!($Write), ";")]
            #[doc = $setup]
            #[doc = concat!("let writer = lock.", $write, "(0..10);")]
            #[doc = concat!("let reader = ", stringify!($Write), "::downgrade(writer);")]
            /// assert!(lock.try_read(0..10).is_some());
            /// assert!(lock.try_write(0..10).is_none());
            /// ```
            pub fn downgrade(guard: Self) -> $Read$(<$lifetime>)? {
                $Read { held: guard.held.downgrade(Mode::Read) }
            }

            /// Turns the guard into an upgradable read guard. The range stays held during the
            /// change. The call grants the waiting plain readers that no other request keeps out.
            /// The call grants no request that waits for a part of the range in mode
            /// [`Upgradable`](Mode::Upgradable) or [`Write`](Mode::Write).
            ///
            /// ```
            #[doc = concat!("# use range_lock::", stringify!($Write), ";")]
            #[doc = $setup]
            #[doc = concat!("let writer = lock.", $write, "(0..10);")]
            #[doc = concat!("let looking = ", stringify!($Write), "::downgrade_to_upgradable(writer);")]
            /// assert!(lock.try_read(0..10).is_some());
            /// assert!(lock.try_upgradable_read(0..10).is_none());
            /// # drop(looking);
            /// ```
            pub fn downgrade_to_upgradable(guard: Self) -> $Upgradable$(<$lifetime>)? {
                $Upgradable { held: guard.held.downgrade(Mode::Upgradable) }
            }
        }

        impl$(<$lifetime>)? $Upgradable$(<$lifetime>)? {
            /// Waits until no other reader holds a part of the range. Then turns the guard into a
            /// write guard.
            ///
            /// The data that the caller has read under the guard are still valid after the upgrade,
            /// because the lock grants no other writer a part of the range in between.
            ///
            /// ```
            #[doc = concat!("# use range_lock::", stringify!($Upgradable), ";")]
            #[doc = $setup]
            #[doc = concat!("let looking = lock.", $upgradable, "(0..10);")]
            #[doc = concat!("let changing = ", stringify!($Upgradable), "::upgrade(looking);")]
            /// assert!(lock.try_read(0..10).is_none());
            /// ```
            ///
            /// # Fairness
            ///
            /// The upgrade passes the waiting requests that conflict with the upgrade. From then on
            /// these requests also wait for the upgrade. No request passes the upgrade.
            ///
            /// # Deadlocks
            ///
            /// A caller that also holds an overlapping read guard waits for itself.
            pub fn upgrade(guard: Self) -> $Write$(<$lifetime>)? {
                let upgraded = guard.held.upgrade_until(Deadline::Never);
                debug_assert!(upgraded, "a wait without a deadline ends with the grant");
                $Write { held: guard.held }
            }

            /// Turns the guard into a write guard if no other reader holds a part of the range.
            /// Otherwise returns the guard unchanged.
            ///
            /// ```
            #[doc = concat!("# use range_lock::", stringify!($Upgradable), ";")]
            #[doc = $setup]
            #[doc = concat!("let looking = lock.", $upgradable, "(0..10);")]
            /// let reader = lock.read(5..15);
            #[doc = concat!("let looking = ", stringify!($Upgradable), "::try_upgrade(looking).unwrap_err();")]
            /// drop(reader);
            #[doc = concat!("let writer = ", stringify!($Upgradable), "::try_upgrade(looking).unwrap();")]
            /// ```
            ///
            /// # Errors
            ///
            /// Returns the guard, still upgradable, if another reader holds a part of the range. A
            /// request that waits for its range does not prevent the upgrade.
            pub fn try_upgrade(guard: Self) -> Result<$Write$(<$lifetime>)?, Self> {
                if guard.held.try_upgrade() { Ok($Write { held: guard.held }) } else { Err(guard) }
            }

            /// Turns the guard into a write guard, like [`upgrade`](Self::upgrade), but gives up
            /// after `timeout`.
            ///
            /// ```
            /// # use std::time::Duration;
            #[doc = concat!("# use range_lock::", stringify!($Upgradable), ";")]
            #[doc = $setup]
            #[doc = concat!("let looking = lock.", $upgradable, "(0..10);")]
            /// let reader = lock.read(5..15);
            /// let soon = Duration::from_millis(1);
            #[doc = concat!("let looking = ", stringify!($Upgradable), "::try_upgrade_for(looking, soon).unwrap_err();")]
            /// assert!(lock.try_read(0..10).is_some()); // As if nothing had been asked.
            /// # drop((looking, reader));
            /// ```
            ///
            /// # Errors
            ///
            /// Returns the guard, still upgradable, if another reader still holds a part of the
            /// range after `timeout`.
            ///
            /// # Cancel safety
            ///
            /// If the upgrade gives up, the lock grants the readers that waited only for the
            /// upgrade, and changes nothing else. With a timeout of zero the call waits for no
            /// reader, like [`try_upgrade`](Self::try_upgrade).
            pub fn try_upgrade_for(
                guard: Self,
                timeout: Duration,
            ) -> Result<$Write$(<$lifetime>)?, Self> {
                guard.upgrade_until(Deadline::after(timeout))
            }

            /// Like [`try_upgrade_for`](Self::try_upgrade_for), but gives the guard back at
            /// `deadline`.
            ///
            /// ```
            /// # use std::time::Instant;
            #[doc = concat!("# use range_lock::", stringify!($Upgradable), ";")]
            #[doc = $setup]
            #[doc = concat!("let looking = lock.", $upgradable, "(0..10);")]
            /// let reader = lock.read(5..15);
            #[doc = concat!("let looking = ", stringify!($Upgradable), "::try_upgrade_until(looking, Instant::now());")]
            /// assert!(looking.is_err());
            /// # drop((looking, reader));
            /// ```
            ///
            /// # Errors
            ///
            /// Returns the guard, upgradable as before, if the deadline came first.
            pub fn try_upgrade_until(
                guard: Self,
                deadline: Instant,
            ) -> Result<$Write$(<$lifetime>)?, Self> {
                guard.upgrade_until(Deadline::At(deadline))
            }

            fn upgrade_until(self, deadline: Deadline) -> Result<$Write$(<$lifetime>)?, Self> {
                if self.held.upgrade_until(deadline) { Ok($Write { held: self.held }) } else { Err(self) }
            }

            /// Turns the guard into a plain read guard. The range stays held during the change. The
            /// call grants the waiting upgradable readers that no other request keeps out. The call
            /// grants no request for writing a part of the range.
            ///
            /// ```
            #[doc = concat!("# use range_lock::", stringify!($Upgradable), ";")]
            #[doc = $setup]
            #[doc = concat!("let looking = lock.", $upgradable, "(0..10);")]
            #[doc = concat!("let reading = ", stringify!($Upgradable), "::downgrade(looking);")]
            /// assert!(lock.try_upgradable_read(0..10).is_some());
            /// # drop(reading);
            /// ```
            pub fn downgrade(guard: Self) -> $Read$(<$lifetime>)? {
                $Read { held: guard.held.downgrade(Mode::Read) }
            }
        }
    };
}

guards! {
    ['a] &'a RangeLock, "borrows the lock", "# let lock = range_lock::RangeLock::new();",
    RangeReadGuard, "read",
    RangeUpgradableReadGuard, "upgradable_read",
    RangeWriteGuard, "write"
}

guards! {
    [] Arc<RangeLock>, "owns a share of the lock",
    "# let lock = std::sync::Arc::new(range_lock::RangeLock::new());",
    ArcRangeReadGuard, "read_arc",
    ArcRangeUpgradableReadGuard, "upgradable_read_arc",
    ArcRangeWriteGuard, "write_arc"
}
