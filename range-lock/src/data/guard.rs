//! The guards of [`RangeRwLock`](super::RangeRwLock), borrowed from the lock or owning a share of
//! the lock. It uses the lock, and the invariants of the module above.
//!
//! All guards wrap [`Elements`]. The type of a guard names its mode.

use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut, Range, RangeBounds};
use std::ptr::NonNull;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{RangeRwLock, Storage, indices, points};
use crate::ids::RequestId;
use crate::lock::{Held, RangeLock};
use crate::mode::Mode;
use crate::sync::Deadline;

/// A share of a lock that owns its data.
pub(super) struct Share<S: Storage>(Arc<RangeRwLock<S>>);

impl<S: Storage> Share<S> {
    pub(super) fn of(lock: &Arc<RangeRwLock<S>>) -> Self {
        Share(Arc::clone(lock))
    }
}

impl<S: Storage> Clone for Share<S> {
    fn clone(&self) -> Self {
        Share::of(&self.0)
    }
}

impl<S: Storage> Deref for Share<S> {
    type Target = RangeLock;

    fn deref(&self) -> &RangeLock {
        &self.0.lock
    }
}

/// Elements, and what holds their range ("range held").
pub(super) struct Elements<T, L: Deref<Target = RangeLock>> {
    pub(super) slice: NonNull<[T]>,
    pub(super) held: Held<L>,
}

impl<T, L: Deref<Target = RangeLock>> Elements<T, L> {
    fn range(&self) -> Range<usize> {
        if self.slice.is_empty() {
            return 0..0;
        }
        let (first, last) = self.held.range().into_inner();
        first as usize..last as usize + 1
    }

    #[track_caller]
    fn shrink(&mut self, range: &impl RangeBounds<usize>) {
        let keep = indices(range, self.slice.len());
        if self.slice.is_empty() {
            return;
        }
        let first = *self.held.range().start();
        // SAFETY: `keep` lies within the slice.
        let start = unsafe { self.slice.cast::<T>().add(keep.start) };
        // Before the release, since that may unwind (a waker's panic): never more than what is
        // held.
        self.slice = NonNull::slice_from_raw_parts(start, keep.len());
        let points = points(&keep);
        self.held.shrink(&(first + points.start..first + points.end));
    }

    fn downgrade(self, to: Mode) -> Self {
        Elements { slice: self.slice, held: self.held.downgrade(to) }
    }
}

impl<T, L: Deref<Target = RangeLock> + Clone> Elements<T, L> {
    #[track_caller]
    fn split_at(self, mid: usize) -> (Self, Self) {
        let Elements { slice, held } = self;
        let len = slice.len();
        assert!(mid <= len, "mid {mid} is greater than {len}, the number of elements");
        let at = if len == 0 { 0 } else { *held.range().start() + mid as u64 };
        let (left, right) = held.split_at(at);
        let start = slice.cast::<T>();
        // SAFETY: `mid` lies within the slice.
        let middle = unsafe { start.add(mid) };
        let part = |start, len, held| Elements { slice: NonNull::slice_from_raw_parts(start, len), held };
        (part(start, mid, left), part(middle, len - mid, right))
    }
}

/// A guard's type and what all guards can do.
macro_rules! guard {
    (
        $(#[$doc:meta])*
        $Guard:ident [$($generics:tt)*] [$($arguments:tt)*] of $T:ty, by $lock:ty, borrows $borrows:ty,
        Send where [$($send:tt)*], Sync where [$($sync:tt)*],
        $setup:literal, $end:literal, $acquire:literal
    ) => {
        $(#[$doc])*
        ///
        /// The guard dereferences to the elements. The drop of the guard, on any thread, releases
        /// the range of the elements.
        #[must_use = "if unused the range is unlocked at once"]
        pub struct $Guard<$($generics)*> {
            elements: Elements<$T, $lock>,
            _borrows: PhantomData<$borrows>,
        }

        // SAFETY: a guard stands for the references that it gives ("range held"), also after it has
        // been upgraded or downgraded. The range may be released on any thread, and so may a share
        // of the lock.
        unsafe impl<$($generics)*> Send for $Guard<$($arguments)*> where $($send)* {}
        // SAFETY: through `&self` it gives `&[T]`.
        unsafe impl<$($generics)*> Sync for $Guard<$($arguments)*> where $($sync)* {}

        impl<$($generics)*> Deref for $Guard<$($arguments)*> {
            type Target = [$T];

            fn deref(&self) -> &[$T] {
                // SAFETY: the range is held at least for reading ("range held").
                unsafe { self.elements.slice.as_ref() }
            }
        }

        impl<$($generics)*> $Guard<$($arguments)*> {
            pub(super) fn new(elements: Elements<$T, $lock>) -> Self {
                $Guard { elements, _borrows: PhantomData }
            }

            /// Returns the held indices, or `0..0` if the guard has no elements. All functions of a
            /// guard are associated functions and not methods, because `Deref` gives the guard the
            /// methods of slices.
            ///
            /// ```
            #[doc = concat!("use range_lock::{RangeRwLock, ", stringify!($Guard), "};")]
            ///
            #[doc = concat!($setup, "[0; 10]", $end)]
            #[doc = concat!("assert_eq!(", stringify!($Guard), "::range(&lock.", $acquire, "(3..7)), 3..7);")]
            /// ```
            pub fn range(guard: &Self) -> Range<usize> {
                guard.elements.range()
            }

            /// Returns the id of the guard's request in the [lock](RangeRwLock::range_lock).
            /// Returns `None` if the guard has no elements, because an empty range has no request.
            ///
            /// ```
            #[doc = concat!("use range_lock::{RangeRwLock, ", stringify!($Guard), "};")]
            ///
            #[doc = concat!($setup, "[0; 10]", $end)]
            #[doc = concat!("let guard = lock.", $acquire, "(3..7);")]
            /// let listed = lock.range_lock().requests()[0].id();
            #[doc = concat!("assert_eq!(", stringify!($Guard), "::id(&guard), Some(listed));")]
            /// ```
            pub fn id(guard: &Self) -> Option<RequestId> {
                guard.elements.held.id()
            }

            /// Splits the guard into two guards. The first guard holds the first `mid` elements.
            /// The second guard holds the other elements. The call releases no element.
            ///
            /// ```
            #[doc = concat!("use range_lock::{RangeRwLock, ", stringify!($Guard), "};")]
            ///
            #[doc = concat!($setup, "[0, 1, 2, 3, 4]", $end)]
            #[doc = concat!("let guard = lock.", $acquire, "(1..);")]
            #[doc = concat!("let (left, right) = ", stringify!($Guard), "::split_at(guard, 3);")]
            /// assert_eq!((&left[..], &right[..]), (&[1, 2, 3][..], &[4][..]));
            /// drop(left);
            /// assert!(lock.try_write(..4).is_some());
            /// ```
            ///
            /// # Panics
            ///
            /// If the guard has fewer than `mid` elements. The panic drops the guard, and so
            /// releases the range.
            #[track_caller]
            pub fn split_at(guard: Self, mid: usize) -> (Self, Self) {
                let (left, right) = guard.elements.split_at(mid);
                (Self::new(left), Self::new(right))
            }

            /// Keeps the elements of `range` and releases the other elements in one step. Grants
            /// the requests that waited only for the released elements. The function is like
            /// [`shrink`](crate::RangeWriteGuard::shrink) of the guards of [`RangeLock`], except
            /// that `range` counts from the first element of the guard.
            ///
            /// ```
            #[doc = concat!("use range_lock::{RangeRwLock, ", stringify!($Guard), "};")]
            ///
            #[doc = concat!($setup, "[0, 1, 2, 3, 4]", $end)]
            #[doc = concat!("let mut guard = lock.", $acquire, "(1..5);")]
            #[doc = concat!(stringify!($Guard), "::shrink(&mut guard, 1..3);")]
            /// assert_eq!(guard[..], [2, 3]);
            /// assert!(lock.try_write(4..).is_some());
            /// ```
            ///
            /// # Panics
            ///
            /// If the range is inverted, or reaches past the guard's last element. After the panic
            /// the guard holds the same elements as before.
            #[track_caller]
            pub fn shrink(guard: &mut Self, range: impl RangeBounds<usize>) {
                guard.elements.shrink(&range);
            }
        }

        impl<$($generics)*> fmt::Debug for $Guard<$($arguments)*>
        where
            $T: fmt::Debug,
        {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&**self, f)
            }
        }
    };
}

/// The three guards of one family, borrowed or owned, and the ways between them.
macro_rules! guards {
    (
        [$($generics:tt)*] [$($arguments:tt)*] of $T:ty, by $lock:ty, borrows $borrows:ty,
        Send if [$($owns:tt)*], $kind:literal, $setup:literal, $end:literal,
        $Read:ident, $read:literal,
        $Upgradable:ident, $upgradable:literal,
        $Write:ident, $write:literal
    ) => {
        guard! {
            #[doc = concat!("Elements of a [`RangeRwLock`] that are locked for reading, by a guard that ", $kind, ".")]
            $Read [$($generics)*] [$($arguments)*] of $T, by $lock, borrows $borrows,
            Send where [$T: Sync, $($owns)*], Sync where [$T: Sync],
            $setup, $end, $read
        }

        guard! {
            #[doc = concat!(
                "Elements of a [`RangeRwLock`] that are locked for reading and can be upgraded, by a guard that ",
                $kind, "."
            )]
            // `Send` asks for both: it gives `&[T]` beside that of readers, and `&mut [T]` once
            // upgraded.
            $Upgradable [$($generics)*] [$($arguments)*] of $T, by $lock, borrows $borrows,
            Send where [$T: Send + Sync, $($owns)*], Sync where [$T: Sync],
            $setup, $end, $upgradable
        }

        guard! {
            #[doc = concat!("Elements of a [`RangeRwLock`] that are locked for writing, by a guard that ", $kind, ".")]
            // `Send` asks for `Send` alone: it gives `&mut [T]`, and can be downgraded only if `T`
            // is `Sync`.
            $Write [$($generics)*] [$($arguments)*] of $T, by $lock, borrows $borrows,
            Send where [$T: Send, $($owns)*], Sync where [$T: Sync],
            $setup, $end, $write
        }

        impl<$($generics)*> DerefMut for $Write<$($arguments)*> {
            fn deref_mut(&mut self) -> &mut [$T] {
                // SAFETY: the range is held for writing ("range held").
                unsafe { self.elements.slice.as_mut() }
            }
        }

        impl<$($generics)*> $Write<$($arguments)*> {
            /// Turns the guard into a read guard. The elements stay held during the change. See
            /// [`RangeWriteGuard::downgrade`](crate::RangeWriteGuard::downgrade).
            ///
            /// ```
            #[doc = concat!("use range_lock::{RangeRwLock, ", stringify!($Write), "};")]
            ///
            #[doc = concat!($setup, "[0; 4]", $end)]
            #[doc = concat!("let mut writer = lock.", $write, "(..2);")]
            /// writer.fill(7);
            #[doc = concat!("let reader = ", stringify!($Write), "::downgrade(writer);")]
            /// assert_eq!(lock.read(..)[..], [7, 7, 0, 0]);
            /// # drop(reader);
            /// ```
            pub fn downgrade(guard: Self) -> $Read<$($arguments)*>
            where
                $T: Sync,
            {
                $Read::new(guard.elements.downgrade(Mode::Read))
            }

            /// Turns the guard into an upgradable read guard. The elements stay held during the
            /// change. See
            /// [`RangeWriteGuard::downgrade_to_upgradable`](crate::RangeWriteGuard::downgrade_to_upgradable).
            ///
            /// ```
            #[doc = concat!("use range_lock::{RangeRwLock, ", stringify!($Upgradable), ", ", stringify!($Write), "};")]
            ///
            #[doc = concat!($setup, "[0; 4]", $end)]
            #[doc = concat!("let looking = ", stringify!($Write), "::downgrade_to_upgradable(lock.", $write, "(..2));")]
            /// drop(lock.read(..)); // Readers come in,
            /// assert!(lock.try_upgradable_read(..).is_none()); // and no other that could write.
            #[doc = concat!(stringify!($Upgradable), "::upgrade(looking).fill(7);")]
            /// ```
            pub fn downgrade_to_upgradable(guard: Self) -> $Upgradable<$($arguments)*>
            where
                $T: Sync,
            {
                $Upgradable::new(guard.elements.downgrade(Mode::Upgradable))
            }
        }

        impl<$($generics)*> $Upgradable<$($arguments)*> {
            /// Waits until all other readers that hold any of the elements have released these
            /// elements. Then turns the guard into a write guard. The lock grants no other writer
            /// in between. So values that only writers change are the same after the upgrade as
            /// when the caller read them. See
            /// [`RangeUpgradableReadGuard::upgrade`](crate::RangeUpgradableReadGuard::upgrade).
            ///
            /// ```
            #[doc = concat!("use range_lock::{RangeRwLock, ", stringify!($Upgradable), "};")]
            ///
            #[doc = concat!($setup, "[3, 1, 2]", $end)]
            #[doc = concat!("let looking = lock.", $upgradable, "(..);")]
            /// if !looking.is_sorted() {
            #[doc = concat!("    ", stringify!($Upgradable), "::upgrade(looking).sort();")]
            /// }
            /// assert_eq!(lock.read(..)[..], [1, 2, 3]);
            /// ```
            ///
            /// # Deadlocks
            ///
            /// A caller that also holds an overlapping read guard waits for itself.
            pub fn upgrade(guard: Self) -> $Write<$($arguments)*> {
                let granted = guard.elements.held.upgrade_until(Deadline::Never);
                debug_assert!(granted, "a wait without a deadline ends with the grant");
                $Write::new(guard.elements)
            }

            /// Turns the guard into a write guard if no other reader holds any of the elements. See
            /// [`RangeUpgradableReadGuard::try_upgrade`](crate::RangeUpgradableReadGuard::try_upgrade).
            ///
            /// ```
            #[doc = concat!("use range_lock::{RangeRwLock, ", stringify!($Upgradable), "};")]
            ///
            #[doc = concat!($setup, "[1, 2, 3]", $end)]
            #[doc = concat!("let looking = lock.", $upgradable, "(..2);")]
            /// let reader = lock.read(1..);
            #[doc = concat!("let looking = ", stringify!($Upgradable), "::try_upgrade(looking).unwrap_err();")]
            /// drop(reader);
            #[doc = concat!(stringify!($Upgradable), "::try_upgrade(looking).unwrap().fill(7);")]
            /// ```
            ///
            /// # Errors
            ///
            /// Returns the guard, still upgradable, if another reader holds any of the elements.
            /// Waiting requests do not count.
            pub fn try_upgrade(guard: Self) -> Result<$Write<$($arguments)*>, Self> {
                if guard.elements.held.try_upgrade() { Ok($Write::new(guard.elements)) } else { Err(guard) }
            }

            /// Waits like [`upgrade`](Self::upgrade), and turns the guard into a write guard. Gives
            /// up after `timeout`, and returns the guard unchanged. See
            /// [`RangeUpgradableReadGuard::try_upgrade_for`](crate::RangeUpgradableReadGuard::try_upgrade_for).
            ///
            /// ```
            #[doc = concat!("use range_lock::{RangeRwLock, ", stringify!($Upgradable), "};")]
            /// use std::time::Duration;
            ///
            #[doc = concat!($setup, "[1, 2, 3]", $end)]
            /// let reader = lock.read(1..);
            #[doc = concat!("let (looking, soon) = (lock.", $upgradable, "(..2), Duration::from_millis(1));")]
            #[doc = concat!("let looking = ", stringify!($Upgradable), "::try_upgrade_for(looking, soon).unwrap_err();")]
            /// assert_eq!(looking[..], [1, 2]);
            /// # drop(reader);
            /// ```
            ///
            /// # Errors
            ///
            /// Returns the guard, still upgradable, if another reader still holds any of the
            /// elements when the timeout ends.
            ///
            /// # Cancel safety
            ///
            /// If the upgrade gives up, the lock grants the readers that waited only for the
            /// upgrade, and nothing else changes.
            pub fn try_upgrade_for(guard: Self, timeout: Duration) -> Result<$Write<$($arguments)*>, Self> {
                guard.upgrade_until(Deadline::after(timeout))
            }

            /// Like [`try_upgrade_for`](Self::try_upgrade_for), but gives the guard back at
            /// `deadline`.
            ///
            /// ```
            #[doc = concat!("use range_lock::{RangeRwLock, ", stringify!($Upgradable), "};")]
            /// use std::time::Instant;
            ///
            #[doc = concat!($setup, "[1, 2, 3]", $end)]
            /// let reader = lock.read(1..);
            #[doc = concat!("let looking = lock.", $upgradable, "(..2);")]
            #[doc = concat!("assert!(", stringify!($Upgradable), "::try_upgrade_until(looking, Instant::now()).is_err());")]
            /// # drop(reader);
            /// ```
            ///
            /// # Errors
            ///
            /// Returns the guard, upgradable as before, if the deadline came first.
            pub fn try_upgrade_until(guard: Self, deadline: Instant) -> Result<$Write<$($arguments)*>, Self> {
                guard.upgrade_until(Deadline::At(deadline))
            }

            fn upgrade_until(self, deadline: Deadline) -> Result<$Write<$($arguments)*>, Self> {
                let granted = self.elements.held.upgrade_until(deadline);
                if granted { Ok($Write::new(self.elements)) } else { Err(self) }
            }

            #[cfg(feature = "async")]
            pub(super) fn into_elements(self) -> Elements<$T, $lock> {
                self.elements
            }

            /// Turns the guard into a plain read guard. The elements stay held during the change.
            /// The call may grant waiting upgradable readers. See
            /// [`RangeUpgradableReadGuard::downgrade`](crate::RangeUpgradableReadGuard::downgrade).
            ///
            /// ```
            #[doc = concat!("use range_lock::{RangeRwLock, ", stringify!($Upgradable), "};")]
            ///
            #[doc = concat!($setup, "[1, 2, 3]", $end)]
            #[doc = concat!("let reader = ", stringify!($Upgradable), "::downgrade(lock.", $upgradable, "(..));")]
            /// assert!(lock.try_upgradable_read(..).is_some());
            /// assert_eq!(reader[..], [1, 2, 3]);
            /// ```
            pub fn downgrade(guard: Self) -> $Read<$($arguments)*> {
                $Read::new(guard.elements.downgrade(Mode::Read))
            }
        }
    };
}

guards! {
    ['a, T] ['a, T] of T, by &'a RangeLock, borrows &'a mut [T],
    Send if [], "borrows the lock", "let lock = RangeRwLock::new(", ");",
    RangeRwLockReadGuard, "read",
    RangeRwLockUpgradableReadGuard, "upgradable_read",
    RangeRwLockWriteGuard, "write"
}

guards! {
    [S: Storage] [S] of S::Item, by Share<S>, borrows S,
    Send if [S: Send, S::Item: Send], "owns a share of the lock",
    "let lock = std::sync::Arc::new(RangeRwLock::new(", "));",
    ArcRangeRwLockReadGuard, "read_arc",
    ArcRangeRwLockUpgradableReadGuard, "upgradable_read_arc",
    ArcRangeRwLockWriteGuard, "write_arc"
}

/// A guard of one thing in the elements, and how it is made.
macro_rules! mapped {
    (
        $(#[$doc:meta])*
        $Mapped:ident from $Guard:ident by $verb:literal $(, as $mut:tt)?;
        borrows $borrows:ty, Send where $($send:ident),+
    ) => {
        $(#[$doc])*
        ///
        /// The guard dereferences to the part. The drop of the guard, on any thread, releases the
        /// whole range of the guard that the caller passed to `map`.
        #[must_use = "if unused the range is unlocked at once"]
        pub struct $Mapped<'a, U: ?Sized> {
            part: NonNull<U>,
            held: Held<&'a RangeLock>,
            _borrows: PhantomData<$borrows>,
        }

        // SAFETY: it stands for the reference that it gives ("range held"); the range may be
        // released on any thread.
        unsafe impl<U: ?Sized $(+ $send)+> Send for $Mapped<'_, U> {}
        // SAFETY: through `&self` it gives `&U`.
        unsafe impl<U: ?Sized + Sync> Sync for $Mapped<'_, U> {}

        impl<U: ?Sized> Deref for $Mapped<'_, U> {
            type Target = U;

            fn deref(&self) -> &U {
                // SAFETY: `part` lies in elements whose range is held ("range held"), or may be
                // referred to for ever.
                unsafe { self.part.as_ref() }
            }
        }

        impl<'a, T> $Guard<'a, T> {
            /// Turns the guard into a guard of a part of the elements, or of data to which the
            /// elements refer. The new guard holds the whole range of the old guard.
            ///
            /// If `f` panics, the panic drops the guard, and so releases the range.
            ///
            /// ```
            #[doc = concat!("use range_lock::{RangeRwLock, ", stringify!($Guard), "};")]
            ///
            /// let names = RangeRwLock::new(["a".to_owned(), "bc".to_owned()]);
            #[doc = concat!("let guard = names.", $verb, "(1..);")]
            #[doc = concat!(
                "let name = ", stringify!($Guard), "::map(guard, |names| &", $(stringify!($mut), " ",)? "names[0]);"
            )]
            /// assert_eq!(*name, "bc");
            /// assert!(names.try_write(1..).is_none());
            /// ```
            pub fn map<U: ?Sized>(
                guard: Self,
                f: impl FnOnce(& $($mut)? [T]) -> & $($mut)? U,
            ) -> $Mapped<'a, U> {
                #[allow(unused_mut, reason = "one of the two changes it")]
                let mut guard = guard;
                let part = NonNull::from(f(& $($mut)? guard));
                $Mapped { part, held: guard.elements.held, _borrows: PhantomData }
            }
        }

        impl<'a, U: ?Sized> $Mapped<'a, U> {
            /// Turns the guard into a guard of a smaller part.
            ///
            /// If `f` panics, the panic drops the guard, and so releases the range.
            pub fn map<V: ?Sized>(
                guard: Self,
                f: impl FnOnce(& $($mut)? U) -> & $($mut)? V,
            ) -> $Mapped<'a, V> {
                #[allow(unused_mut, reason = "one of the two changes it")]
                let mut guard = guard;
                let part = NonNull::from(f(& $($mut)? *guard));
                $Mapped { part, held: guard.held, _borrows: PhantomData }
            }

            /// Returns the id of the guard's request in the [lock](RangeRwLock::range_lock).
            /// Returns `None` if the range of the guard is empty, because an empty range has no
            /// request.
            pub fn id(guard: &Self) -> Option<RequestId> {
                guard.held.id()
            }
        }

        impl<U: ?Sized + fmt::Debug> fmt::Debug for $Mapped<'_, U> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&**self, f)
            }
        }
    };
}

mapped! {
    /// A part of elements that are locked for reading. [`RangeRwLockReadGuard::map`] makes this
    /// guard.
    MappedRangeRwLockReadGuard from RangeRwLockReadGuard by "read";
    borrows &'a U, Send where Sync
}

mapped! {
    /// A part of elements that are locked for writing. [`RangeRwLockWriteGuard::map`] makes this
    /// guard.
    MappedRangeRwLockWriteGuard from RangeRwLockWriteGuard by "write", as mut;
    borrows &'a mut U, Send where Send
}

impl<U: ?Sized> DerefMut for MappedRangeRwLockWriteGuard<'_, U> {
    fn deref_mut(&mut self) -> &mut U {
        // SAFETY: `part` lies in elements whose range is held for writing ("range held"), or is
        // this guard's alone for another reason: `f` had it by `&mut`.
        unsafe { self.part.as_mut() }
    }
}
