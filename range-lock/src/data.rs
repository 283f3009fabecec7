//! [`RangeRwLock`]: a lock that owns a slice and guards the slice's ranges. It uses `RangeLock`,
//! and with feature `async` the futures of `RangeLock`.
//!
//! # Invariants of the unsafe code
//!
//! * **own memory**: from [`Storage::into_raw`] until [`Storage::from_raw`] or the lock's last use,
//!   the elements belong to the lock alone. They stay where they are for that time, and are reached
//!   in no other way ([`Storage`]'s contract).
//! * **shared only if `Sync`**: a `&[T]` beside which another thread may have a `&[T]` comes only
//!   from verbs that ask for `Item: Sync`.
//! * **in bounds**: a guard's slice is a part of the elements. `indices` has checked this as slices
//!   do.
//! * **range held**: a guard's slice is the part of the elements whose range its [`RangeLock`]
//!   guard holds, in the guard's mode. So while a `&mut [T]` exists there is no other reference to
//!   these elements. While a `&[T]` exists there is no `&mut` to them.
//! * **pointer, not reference**: a guard keeps a pointer. It makes a reference of the pointer only
//!   when it is dereferenced. A reference kept in the guard would have to be valid until the
//!   function that drops the guard returns, which is after the release.

use std::cell::UnsafeCell;
use std::fmt;
use std::ops::{Bound, Range, RangeBounds};
use std::ptr::NonNull;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::claim::claim;
use crate::lock::{Held, RangeLock};
use crate::mode::Mode;
use crate::sync::Deadline;

// The first, because rustdoc lists methods in the order of the modules.
mod make;

#[cfg(feature = "async")]
mod futures;
mod guard;
mod storage;

#[cfg(feature = "async")]
pub use futures::{
    ReadElements, ReadElementsArc, UpgradableReadElements, UpgradableReadElementsArc, UpgradeElements,
    UpgradeElementsArc, WriteElements, WriteElementsArc,
};
pub use guard::{
    ArcRangeRwLockReadGuard, ArcRangeRwLockUpgradableReadGuard, ArcRangeRwLockWriteGuard,
    MappedRangeRwLockReadGuard, MappedRangeRwLockWriteGuard, RangeRwLockReadGuard,
    RangeRwLockUpgradableReadGuard, RangeRwLockWriteGuard,
};
use guard::{Elements, Share};
pub use storage::Storage;

/// A reader/writer lock that owns the elements of a slice. Each thread locks the range of elements
/// that it uses. `S` is the type of the storage of the slice, such as `Vec<T>`.
///
/// The methods that lock work like the methods of [`RangeLock`] with the same names. The points are
/// the indices of the elements. The guard that a method returns gives access to the elements of its
/// range. The guard dereferences to `[T]`, and a write guard also has `DerefMut`. A method checks
/// its range as a slice does. A call with an inverted range, or with a range that reaches past the
/// last element, panics before it locks anything.
///
/// A range is any [`RangeBounds<usize>`](RangeBounds). The range of element `n` alone is `n..=n`.
/// An index into a guard counts from the guard's first element, as an index into a part of a slice
/// does:
///
/// ```
/// let table = range_lock::RangeRwLock::new(vec![0; 100]);
/// let mut guard = table.write(50..=50);
/// guard[0] = 7; // Element 50 of the table.
/// # drop(guard);
/// # assert_eq!(table.into_inner()[50], 7);
/// ```
///
/// ```
/// use range_lock::RangeRwLock;
///
/// let table = RangeRwLock::new(vec![0; 100]);
/// std::thread::scope(|scope| {
///     for part in 0..4 {
///         let table = &table;
///         scope.spawn(move || table.write(part * 25..(part + 1) * 25).fill(part)); // At the same time.
///     }
/// });
/// assert_eq!(table.read(..)[24..26], [0, 1]);
/// assert_eq!(table.into_inner().len(), 100);
/// ```
///
/// The elements may be `Send` and not `Sync`, as `Cell`s are. Threads can share a lock of `Cell`s,
/// and lock the `Cell`s for writing. The methods that lock for reading require that the elements
/// are `Sync`.
///
/// ```
/// use range_lock::RangeRwLock;
/// use std::cell::Cell;
///
/// let counters = RangeRwLock::new([const { Cell::new(0) }; 8]);
/// std::thread::scope(|scope| {
///     for n in 0..8 {
///         let counters = &counters;
///         scope.spawn(move || counters.write(n / 2..5)[0].set(n));
///     }
/// });
/// ```
///
/// The storage may borrow the elements, as `&mut [T]` does. The owner of the borrowed elements can
/// use them again when no code uses the lock or its guards any more.
///
/// The page of [`RangeLock`] describes fairness, deadlocks, leaked guards, `let _ =` and cost. The
/// description also holds for `RangeRwLock`. To wait until a range is free without locking the
/// range, call [`RangeLock::wait_until_free`] on the lock that [`range_lock`](Self::range_lock)
/// returns.
pub struct RangeRwLock<S: Storage> {
    lock: RangeLock,
    /// The storage, taken apart.
    raw: UnsafeCell<S::Raw>,
}

// SAFETY: the lock owns the storage ("own memory"); sending the lock sends the storage.
unsafe impl<S: Storage + Send> Send for RangeRwLock<S> {}
// SAFETY: what a shared lock gives is `&mut [Item]` to one thread at a time ("range held"), or, if
// `Item` is `Sync`, `&[Item]` to several ("shared only if `Sync`"); the storage itself it does not
// give. `slice` may be called from several threads.
unsafe impl<S: Storage> Sync for RangeRwLock<S> where S::Item: Send {}

impl<S: Storage> RangeRwLock<S> {
    /// Returns the number of elements. The number never changes, so the method locks nothing.
    ///
    /// ```
    /// assert_eq!(range_lock::RangeRwLock::new([1, 2, 3]).len(), 3);
    /// ```
    pub fn len(&self) -> usize {
        self.slice().len()
    }

    /// Whether there are no elements.
    ///
    /// ```
    /// assert!(range_lock::RangeRwLock::new(Vec::<u8>::new()).is_empty());
    /// ```
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns all elements, and locks nothing. The exclusive borrow of the lock proves that no
    /// guard is alive. The ranges of leaked guards stay locked until [`undo_leak`](Self::undo_leak)
    /// releases these ranges.
    ///
    /// ```
    /// let mut lock = range_lock::RangeRwLock::new(vec![3, 1, 2]);
    /// lock.get_mut().sort();
    /// assert_eq!(lock.read(..)[..], [1, 2, 3]);
    /// ```
    pub fn get_mut(&mut self) -> &mut [S::Item] {
        // SAFETY: "own memory", and no guard is alive, since a guard borrows the lock or owns a
        // share of it.
        unsafe { self.slice().as_mut() }
    }

    /// Releases the ranges of leaked guards, as [`RangeLock::undo_leak`] does.
    ///
    /// ```
    /// let mut lock = range_lock::RangeRwLock::new([1, 2, 3]);
    /// std::mem::forget(lock.write(..2));
    /// lock.undo_leak();
    /// assert_eq!(lock.read(..)[..], [1, 2, 3]);
    /// ```
    pub fn undo_leak(&mut self) {
        self.lock.undo_leak();
    }

    /// Returns the storage that the lock owns, with the present values of the elements. A `Vec`
    /// still has its spare capacity. The method takes the lock by value, so no guard can be alive.
    ///
    /// ```
    /// let lock = range_lock::RangeRwLock::new(vec![1, 2, 3]);
    /// lock.write(..2).fill(7);
    /// assert_eq!(lock.into_inner(), [7, 7, 3]);
    /// ```
    pub fn into_inner(self) -> S {
        // SAFETY: `raw` comes from `into_raw`, and no guard is alive, since a guard borrows the
        // lock or owns a share of it.
        unsafe { S::from_raw(self.raw.into_inner()) }
    }

    /// Returns the [`RangeLock`] whose points are the indices of the elements. A caller can list
    /// the [requests](RangeLock::requests) of the `RangeLock`, or lock indices through the
    /// `RangeLock`. A guard of the `RangeLock` keeps conflicting requests out, but gives no access
    /// to the elements.
    ///
    /// ```
    /// let lock = range_lock::RangeRwLock::new([1, 2, 3]);
    /// let guard = lock.write(1..);
    /// assert_eq!(lock.range_lock().requests()[0].to_string(), "write 1..=2 held");
    /// ```
    pub fn range_lock(&self) -> &RangeLock {
        &self.lock
    }

    fn slice(&self) -> NonNull<[S::Item]> {
        // SAFETY: the field comes from `into_raw`, and it does not change until `self` is taken
        // apart.
        unsafe { S::slice(self.raw.get()) }
    }

    /// The elements of `indices`. To be dereferenced only while their range is held.
    fn part(&self, indices: &Range<usize>) -> NonNull<[S::Item]> {
        let all = self.slice();
        debug_assert!(indices.start <= indices.end && indices.end <= all.len());
        // SAFETY: `indices` lie within the elements ("in bounds"), which are one object.
        let start = unsafe { all.cast::<S::Item>().add(indices.start) };
        NonNull::slice_from_raw_parts(start, indices.len())
    }
}

/// Checks a range of indices as slices do.
#[track_caller]
fn indices(range: &impl RangeBounds<usize>, len: usize) -> Range<usize> {
    let start = match range.start_bound() {
        Bound::Included(&start) => Some(start),
        Bound::Excluded(&before) => before.checked_add(1),
        Bound::Unbounded => Some(0),
    };
    let end = match range.end_bound() {
        Bound::Included(&last) => last.checked_add(1),
        Bound::Excluded(&end) => Some(end),
        Bound::Unbounded => Some(len),
    };
    let (Some(start), Some(end)) = (start, end) else { panic!("range index {} + 1 overflows", usize::MAX) };
    assert!(start <= end, "range index starts at {start} but ends at {end}");
    assert!(end <= len, "range end index {end} out of range for {len} elements");
    start..end
}

/// The points that stand for a range of indices.
fn points(indices: &Range<usize>) -> Range<u64> {
    indices.start as u64..indices.end as u64
}

impl<S: Storage + Default> Default for RangeRwLock<S> {
    fn default() -> Self {
        Self::new(S::default())
    }
}

impl<S: Storage> From<S> for RangeRwLock<S> {
    fn from(storage: S) -> Self {
        Self::new(storage)
    }
}

impl<S: Storage> fmt::Debug for RangeRwLock<S> {
    /// Prints the number of elements and the lock. Does not print the elements, because they may be
    /// in use.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RangeRwLock").field("len", &self.len()).field("lock", &self.lock).finish()
    }
}

/// The verbs of one mode, for borrowed and for owned guards.
macro_rules! acquire {
    (
        $mode:expr, $Guard:ident, $ArcGuard:ident $(, where $shared:ident)?;
        $wait:ident, $try:ident, $try_for:ident, $try_until:ident;
        $wait_arc:ident, $try_arc:ident, $try_arc_for:ident, $try_arc_until:ident
    ) => {
        /// Like the methods of [`RangeLock`] with the same names.
        impl<S: Storage> RangeRwLock<S> {
            #[doc = concat!("Locks the elements of `range`. Waits until the request is granted. Like [`RangeLock::", stringify!($wait), "`].")]
            ///
            /// ```
            /// # let lock = range_lock::RangeRwLock::new([1, 2, 3, 4]);
            #[doc = concat!("let guard = lock.", stringify!($wait), "(1..3);")]
            /// assert_eq!(guard[..], [2, 3]);
            /// assert!(lock.try_write(2..).is_none());
            /// ```
            ///
            /// # Panics
            ///
            /// If the range is inverted, or reaches past the last element.
            #[track_caller]
            pub fn $wait(&self, range: impl RangeBounds<usize>) -> $Guard<'_, S::Item>
            $(where S::Item: $shared)?
            {
                let indices = indices(&range, self.len());
                let held = Held::acquire(&self.lock, claim(&points(&indices), $mode));
                $Guard::new(Elements { slice: self.part(&indices), held })
            }

            #[doc = concat!("Locks the elements of `range` if the request can be granted at once. Like [`RangeLock::", stringify!($try), "`].")]
            ///
            /// ```
            /// # let lock = range_lock::RangeRwLock::new([1, 2, 3, 4]);
            /// let writer = lock.write(..2);
            #[doc = concat!("assert!(lock.", stringify!($try), "(1..3).is_none());")]
            #[doc = concat!("assert_eq!(lock.", stringify!($try), "(2..).unwrap()[..], [3, 4]);")]
            /// ```
            ///
            /// # Panics
            ///
            /// If the range is inverted, or reaches past the last element.
            #[track_caller]
            pub fn $try(&self, range: impl RangeBounds<usize>) -> Option<$Guard<'_, S::Item>>
            $(where S::Item: $shared)?
            {
                let indices = indices(&range, self.len());
                let held = Held::try_acquire(&self.lock, claim(&points(&indices), $mode))?;
                Some($Guard::new(Elements { slice: self.part(&indices), held }))
            }

            #[doc = concat!("Locks the elements of `range`. Gives up after `timeout`. Like [`RangeLock::", stringify!($try_for), "`],")]
            /// which also describes fairness and cancel safety.
            ///
            /// ```
            /// # use std::time::Duration;
            /// # let lock = range_lock::RangeRwLock::new([1, 2, 3, 4]);
            /// let writer = lock.write(..2);
            /// let soon = Duration::from_millis(1);
            #[doc = concat!("assert!(lock.", stringify!($try_for), "(1..3, soon).is_none());")]
            #[doc = concat!("assert_eq!(lock.", stringify!($try_for), "(2.., soon).unwrap()[..], [3, 4]);")]
            /// ```
            ///
            /// # Panics
            ///
            /// If the range is inverted, or reaches past the last element.
            #[track_caller]
            pub fn $try_for(
                &self,
                range: impl RangeBounds<usize>,
                timeout: Duration,
            ) -> Option<$Guard<'_, S::Item>>
            $(where S::Item: $shared)?
            {
                let indices = indices(&range, self.len());
                let claim = claim(&points(&indices), $mode);
                let held = Held::acquire_until(&self.lock, claim, Deadline::after(timeout))?;
                Some($Guard::new(Elements { slice: self.part(&indices), held }))
            }

            #[doc = concat!("Locks the elements of `range`. Gives up at `deadline`. Like [`RangeLock::", stringify!($try_until), "`].")]
            ///
            /// ```
            /// # use std::time::{Duration, Instant};
            /// # let lock = range_lock::RangeRwLock::new([1, 2, 3, 4]);
            /// let writer = lock.write(..2);
            /// let deadline = Instant::now() + Duration::from_millis(1);
            #[doc = concat!("assert!(lock.", stringify!($try_until), "(1..3, deadline).is_none());")]
            #[doc = concat!("assert_eq!(lock.", stringify!($try_until), "(2.., deadline).unwrap()[..], [3, 4]);")]
            /// ```
            ///
            /// # Panics
            ///
            /// If the range is inverted, or reaches past the last element.
            #[track_caller]
            pub fn $try_until(
                &self,
                range: impl RangeBounds<usize>,
                deadline: Instant,
            ) -> Option<$Guard<'_, S::Item>>
            $(where S::Item: $shared)?
            {
                let indices = indices(&range, self.len());
                let claim = claim(&points(&indices), $mode);
                let held = Held::acquire_until(&self.lock, claim, Deadline::At(deadline))?;
                Some($Guard::new(Elements { slice: self.part(&indices), held }))
            }

            #[doc = concat!("Like [`", stringify!($wait), "`](Self::", stringify!($wait), "), but the guard owns")]
            /// a share of the lock and so has no lifetime.
            ///
            /// ```
            /// # use std::sync::Arc;
            /// let lock = Arc::new(range_lock::RangeRwLock::new([1, 2, 3, 4]));
            #[doc = concat!("let guard = lock.", stringify!($wait_arc), "(1..3);")]
            /// std::thread::spawn(move || assert_eq!(guard[..], [2, 3])).join().unwrap();
            /// ```
            ///
            /// # Panics
            ///
            /// If the range is inverted, or reaches past the last element.
            #[track_caller]
            pub fn $wait_arc(self: &Arc<Self>, range: impl RangeBounds<usize>) -> $ArcGuard<S>
            $(where S::Item: $shared)?
            {
                let indices = indices(&range, self.len());
                let held = Held::acquire(Share::of(self), claim(&points(&indices), $mode));
                $ArcGuard::new(Elements { slice: self.part(&indices), held })
            }

            #[doc = concat!("Like [`", stringify!($try), "`](Self::", stringify!($try), "), but the guard owns")]
            /// a share of the lock.
            ///
            /// ```
            /// # use std::sync::Arc;
            /// let lock = Arc::new(range_lock::RangeRwLock::new([1, 2, 3, 4]));
            /// let writer = lock.write_arc(..2);
            #[doc = concat!("assert!(lock.", stringify!($try_arc), "(1..3).is_none());")]
            #[doc = concat!("assert_eq!(lock.", stringify!($try_arc), "(2..).unwrap()[..], [3, 4]);")]
            /// ```
            ///
            /// # Panics
            ///
            /// If the range is inverted, or reaches past the last element.
            #[track_caller]
            pub fn $try_arc(self: &Arc<Self>, range: impl RangeBounds<usize>) -> Option<$ArcGuard<S>>
            $(where S::Item: $shared)?
            {
                let indices = indices(&range, self.len());
                let held = Held::try_acquire(Share::of(self), claim(&points(&indices), $mode))?;
                Some($ArcGuard::new(Elements { slice: self.part(&indices), held }))
            }

            #[doc = concat!(
                "Like [`", stringify!($try_for), "`](Self::", stringify!($try_for), "), but the guard owns"
            )]
            /// a share of the lock.
            ///
            /// ```
            /// # use std::{sync::Arc, time::Duration};
            /// let lock = Arc::new(range_lock::RangeRwLock::new([1, 2, 3, 4]));
            /// let (writer, soon) = (lock.write_arc(..2), Duration::from_millis(1));
            #[doc = concat!("assert!(lock.", stringify!($try_arc_for), "(1..3, soon).is_none());")]
            /// ```
            ///
            /// # Panics
            ///
            /// If the range is inverted, or reaches past the last element.
            #[track_caller]
            pub fn $try_arc_for(
                self: &Arc<Self>,
                range: impl RangeBounds<usize>,
                timeout: Duration,
            ) -> Option<$ArcGuard<S>>
            $(where S::Item: $shared)?
            {
                let indices = indices(&range, self.len());
                let claim = claim(&points(&indices), $mode);
                let held = Held::acquire_until(Share::of(self), claim, Deadline::after(timeout))?;
                Some($ArcGuard::new(Elements { slice: self.part(&indices), held }))
            }

            #[doc = concat!(
                "Like [`", stringify!($try_until), "`](Self::", stringify!($try_until), "), but the guard owns"
            )]
            /// a share of the lock.
            ///
            /// ```
            /// # use std::{sync::Arc, time::Instant};
            /// let lock = Arc::new(range_lock::RangeRwLock::new([1, 2, 3, 4]));
            /// let (writer, now) = (lock.write_arc(..2), Instant::now());
            #[doc = concat!("assert!(lock.", stringify!($try_arc_until), "(1..3, now).is_none());")]
            /// ```
            ///
            /// # Panics
            ///
            /// If the range is inverted, or reaches past the last element.
            #[track_caller]
            pub fn $try_arc_until(
                self: &Arc<Self>,
                range: impl RangeBounds<usize>,
                deadline: Instant,
            ) -> Option<$ArcGuard<S>>
            $(where S::Item: $shared)?
            {
                let indices = indices(&range, self.len());
                let claim = claim(&points(&indices), $mode);
                let held = Held::acquire_until(Share::of(self), claim, Deadline::At(deadline))?;
                Some($ArcGuard::new(Elements { slice: self.part(&indices), held }))
            }
        }
    };
}

acquire! {
    Mode::Read, RangeRwLockReadGuard, ArcRangeRwLockReadGuard, where Sync;
    read, try_read, try_read_for, try_read_until;
    read_arc, try_read_arc, try_read_arc_for, try_read_arc_until
}

acquire! {
    Mode::Upgradable, RangeRwLockUpgradableReadGuard, ArcRangeRwLockUpgradableReadGuard, where Sync;
    upgradable_read, try_upgradable_read, try_upgradable_read_for, try_upgradable_read_until;
    upgradable_read_arc, try_upgradable_read_arc, try_upgradable_read_arc_for, try_upgradable_read_arc_until
}

acquire! {
    Mode::Write, RangeRwLockWriteGuard, ArcRangeRwLockWriteGuard;
    write, try_write, try_write_for, try_write_until;
    write_arc, try_write_arc, try_write_arc_for, try_write_arc_until
}
