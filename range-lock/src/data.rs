//! [`RangeRwLock`]: a lock that owns the slice whose ranges it guards.
//! It uses `RangeLock`, and with feature `async` the futures of it.
//!
//! # Invariants of the unsafe code
//!
//! * **own memory**: from [`Storage::into_raw`] to [`Storage::from_raw`] the elements belong to the lock alone, stay where they
//!   are while it does, and are reached by no other way ([`Storage`]'s contract).
//! * **in bounds**: a guard's slice is a part of the elements: `indices` has checked it as slices check theirs.
//! * **range held**: a guard's slice is the part of the elements whose range its [`RangeLock`] guard holds, in the guard's
//!   mode. So while a `&mut [T]` exists there is no other reference to these elements, and while a `&[T]` does, no `&mut`.
//! * **pointer, not reference**: a guard keeps a pointer and makes a reference of it only when it is dereferenced. A reference
//!   kept in it would have to be valid until a function that drops the guard returns, which is after the release.

use std::cell::UnsafeCell;
use std::fmt;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ops::{Bound, Deref, DerefMut, Range, RangeBounds};
use std::ptr::NonNull;
use std::time::{Duration, Instant};

use crate::lock::{RangeLock, RangeReadGuard, RangeUpgradableReadGuard, RangeWriteGuard};

#[cfg(feature = "async")]
mod futures;
mod storage;

#[cfg(feature = "async")]
pub use futures::{ReadElements, UpgradableReadElements, UpgradeElements, WriteElements};
pub use storage::Storage;

/// A reader/writer lock that owns the elements of `S` and locks ranges of them.
///
/// As [`RangeLock`], with indices in place of points, and guards that give the elements: `Deref` to `[T]`, and for writers
/// `DerefMut`. Ranges are checked as those of slices are: one that is inverted or reaches past the end panics, before
/// anything is locked.
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
/// Fairness, deadlocks, leaked guards, `let _ =` and cost are those of [`RangeLock`].
pub struct RangeRwLock<S: Storage> {
    lock: RangeLock,
    /// Taken apart (`ManuallyDrop`: put together again when dropped).
    raw: ManuallyDrop<UnsafeCell<S::Raw>>,
}

// SAFETY: the lock owns the storage ("own memory"); sending the lock sends the storage.
unsafe impl<S: Storage + Send> Send for RangeRwLock<S> {}
// SAFETY: what a shared lock gives is `&[Item]` to several threads, or `&mut [Item]` to one at a time on any thread ("range
// held"); the storage itself it does not give. `slice` may be called from several threads.
unsafe impl<S: Storage> Sync for RangeRwLock<S> where S::Item: Send + Sync {}

impl<S: Storage> RangeRwLock<S> {
    /// A lock around `storage` in which nothing is locked. Allocates nothing.
    ///
    /// ```
    /// use range_lock::RangeRwLock;
    ///
    /// let array = RangeRwLock::new([0; 16]);
    /// let mut elsewhere = vec![0; 16];
    /// let borrowed = RangeRwLock::new(&mut elsewhere[..]);
    /// borrowed.write(0..8).copy_from_slice(&array.read(8..));
    /// ```
    pub fn new(storage: S) -> Self {
        RangeRwLock { lock: RangeLock::new(), raw: ManuallyDrop::new(UnsafeCell::new(storage.into_raw())) }
    }

    /// The number of elements. It does not change, so no lock is needed to ask for it.
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

    /// All elements, without locking: the exclusive borrow proves that no guard is alive. What leaked guards hold
    /// stays locked, until [`undo_leak`](Self::undo_leak).
    ///
    /// ```
    /// let mut lock = range_lock::RangeRwLock::new(vec![3, 1, 2]);
    /// lock.get_mut().sort();
    /// assert_eq!(lock.read(..)[..], [1, 2, 3]);
    /// ```
    pub fn get_mut(&mut self) -> &mut [S::Item] {
        // SAFETY: "own memory", and no guard is alive, since a guard borrows the lock.
        unsafe { self.slice().as_mut() }
    }

    /// Forgets what leaked guards hold, as [`RangeLock::undo_leak`].
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

    /// Gives the storage back, as it was given in: a `Vec` with its spare capacity. That it takes the lock proves that no
    /// guard is alive.
    ///
    /// ```
    /// let lock = range_lock::RangeRwLock::new(vec![1, 2, 3]);
    /// lock.write(..2).fill(7);
    /// assert_eq!(lock.into_inner(), [7, 7, 3]);
    /// ```
    pub fn into_inner(self) -> S {
        let mut this = ManuallyDrop::new(self);
        // SAFETY: `this` is not used again, not even dropped.
        let raw = unsafe { ManuallyDrop::take(&mut this.raw) };
        // SAFETY: as above.
        drop(unsafe { std::ptr::read(&this.lock) });
        // SAFETY: `raw` comes from `into_raw`, and no guard is alive, since a guard borrows the lock.
        unsafe { S::from_raw(raw.into_inner()) }
    }

    /// The lock itself: to look at its [requests](RangeLock::requests), say. What it locks are indices; a guard taken from it
    /// directly gives no access to the elements, but keeps others out.
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
        // SAFETY: the field comes from `into_raw`, and nobody changes it until `self` is taken apart.
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

impl<S: Storage> Drop for RangeRwLock<S> {
    fn drop(&mut self) {
        // SAFETY: `raw` is not used again.
        let raw = unsafe { ManuallyDrop::take(&mut self.raw) };
        // SAFETY: `raw` comes from `into_raw`, and no guard is alive, since a guard borrows the lock.
        drop(unsafe { S::from_raw(raw.into_inner()) });
    }
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
    /// Prints the number of elements and the lock, not the elements: they may be in use.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RangeRwLock").field("len", &self.len()).field("lock", &self.lock).finish()
    }
}

/// A guard around one of [`RangeLock`]'s, and the verbs that make it.
macro_rules! guard {
    (
        $(#[$doc:meta])*
        $Guard:ident around $Held:ident, Send where $($send:ident),+;
        $wait:ident, $try:ident, $try_for:ident, $try_until:ident
    ) => {
        $(#[$doc])*
        ///
        /// Dereferences to the elements. Releases their range when dropped, on any thread.
        #[must_use = "if unused the range is unlocked at once"]
        pub struct $Guard<'a, T> {
            /// The elements whose range `held` holds.
            slice: NonNull<[T]>,
            held: $Held<'a>,
            _borrows: PhantomData<&'a mut [T]>,
        }

        // SAFETY: a guard stands for the references that it gives ("range held"), also after it has been upgraded or downgraded;
        // the range may be released on any thread.
        unsafe impl<T: $($send +)+> Send for $Guard<'_, T> {}
        // SAFETY: through `&self` it gives `&[T]`.
        unsafe impl<T: Sync> Sync for $Guard<'_, T> {}

        impl<T> Deref for $Guard<'_, T> {
            type Target = [T];

            fn deref(&self) -> &[T] {
                // SAFETY: the range is held at least for reading ("range held").
                unsafe { self.slice.as_ref() }
            }
        }

        impl<'a, T> $Guard<'a, T> {
            /// The indices that are held; `0..0` if there are none. An associated function, as are all of a guard's: `Deref`
            /// gives the methods of slices.
            ///
            /// ```
            #[doc = concat!("use range_lock::{RangeRwLock, ", stringify!($Guard), "};")]
            ///
            /// let lock = RangeRwLock::new([0; 10]);
            #[doc = concat!("assert_eq!(", stringify!($Guard), "::range(&lock.", stringify!($wait), "(3..7)), 3..7);")]
            /// ```
            pub fn range(guard: &Self) -> Range<usize> {
                if guard.is_empty() {
                    return 0..0;
                }
                let (first, last) = guard.held.range().into_inner();
                first as usize..last as usize + 1
            }

            /// Makes two guards of one: the first holds the first `mid` elements, the second the rest. Nothing is released.
            ///
            /// ```
            #[doc = concat!("use range_lock::{RangeRwLock, ", stringify!($Guard), "};")]
            ///
            /// let lock = RangeRwLock::new([0, 1, 2, 3, 4]);
            #[doc = concat!("let guard = lock.", stringify!($wait), "(1..);")]
            #[doc = concat!("let (left, right) = ", stringify!($Guard), "::split_at(guard, 3);")]
            /// assert_eq!((&left[..], &right[..]), (&[1, 2, 3][..], &[4][..]));
            /// drop(left);
            /// assert!(lock.try_write(..4).is_some());
            /// ```
            ///
            /// # Panics
            ///
            /// If there are fewer than `mid` elements, or a waiting request would have to wait for
            /// too many ranges (see [`RangeWriteGuard::split_at`]); the range is released then.
            #[track_caller]
            pub fn split_at(guard: Self, mid: usize) -> (Self, Self) {
                let $Guard { slice, held, .. } = guard;
                let len = slice.len();
                assert!(mid <= len, "mid {mid} is greater than {len}, the number of elements");
                let first = *held.range().start();
                let (left, right) = if len == 0 {
                    $Held::split_at(held, 0)
                } else {
                    $Held::split_at(held, first + mid as u64)
                };
                let start = slice.cast::<T>();
                // SAFETY: `mid` lies within the slice.
                let middle = unsafe { start.add(mid) };
                let part = |start, len, held| $Guard {
                    slice: NonNull::slice_from_raw_parts(start, len),
                    held,
                    _borrows: PhantomData,
                };
                (part(start, mid, left), part(middle, len - mid, right))
            }

            /// Releases all but the elements of `range`, counted from the guard's first, at once, and lets in those who waited
            /// for the rest. As [`shrink`](RangeWriteGuard::shrink) of the other guards, but with indices of the guard's slice.
            ///
            /// ```
            #[doc = concat!("use range_lock::{RangeRwLock, ", stringify!($Guard), "};")]
            ///
            /// let lock = RangeRwLock::new([0, 1, 2, 3, 4]);
            #[doc = concat!("let mut guard = lock.", stringify!($wait), "(1..5);")]
            #[doc = concat!(stringify!($Guard), "::shrink(&mut guard, 1..3);")]
            /// assert_eq!(guard[..], [2, 3]);
            /// assert!(lock.try_write(4..).is_some());
            /// ```
            ///
            /// # Panics
            ///
            /// If the range is inverted or reaches past the guard's end; the guard stays as it was.
            #[track_caller]
            pub fn shrink(guard: &mut Self, range: impl RangeBounds<usize>) {
                let keep = indices(&range, guard.len());
                if guard.is_empty() {
                    return;
                }
                let first = *guard.held.range().start();
                // SAFETY: `keep` lies within the slice.
                let start = unsafe { guard.slice.cast::<T>().add(keep.start) };
                // Before the release, since that may unwind (a waker's panic): never more than what is held.
                guard.slice = NonNull::slice_from_raw_parts(start, keep.len());
                let points = points(&keep);
                $Held::shrink(&mut guard.held, first + points.start..first + points.end);
            }
        }

        impl<T: fmt::Debug> fmt::Debug for $Guard<'_, T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&**self, f)
            }
        }

        /// As the verbs of [`RangeLock`] of the same names.
        impl<S: Storage> RangeRwLock<S> {
            #[doc = concat!("Locks the elements of `range`; waits until that is granted. As [`RangeLock::", stringify!($wait), "`].")]
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
            /// If the range is inverted or reaches past the end, or if it would have to wait for too
            /// many ranges, as [`RangeLock`]'s verb of the same name.
            #[track_caller]
            pub fn $wait(&self, range: impl RangeBounds<usize>) -> $Guard<'_, S::Item> {
                let indices = indices(&range, self.len());
                let held = self.lock.$wait(points(&indices));
                $Guard { slice: self.part(&indices), held, _borrows: PhantomData }
            }

            #[doc = concat!("Locks the elements of `range` if that can be granted at once. As [`RangeLock::", stringify!($try), "`].")]
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
            /// If the range is inverted or reaches past the end.
            #[track_caller]
            pub fn $try(&self, range: impl RangeBounds<usize>) -> Option<$Guard<'_, S::Item>> {
                let indices = indices(&range, self.len());
                let held = self.lock.$try(points(&indices))?;
                Some($Guard { slice: self.part(&indices), held, _borrows: PhantomData })
            }

            #[doc = concat!("Locks the elements of `range`; gives up after `timeout`. As [`RangeLock::", stringify!($try_for), "`],")]
            /// which also says how fair that is, and what giving up leaves behind: nothing.
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
            /// If the range is inverted or reaches past the end, or if it would have to wait for too
            /// many ranges, as [`RangeLock`]'s verb of the same name.
            #[track_caller]
            pub fn $try_for(
                &self,
                range: impl RangeBounds<usize>,
                timeout: Duration,
            ) -> Option<$Guard<'_, S::Item>> {
                let indices = indices(&range, self.len());
                let held = self.lock.$try_for(points(&indices), timeout)?;
                Some($Guard { slice: self.part(&indices), held, _borrows: PhantomData })
            }

            #[doc = concat!("Locks the elements of `range`; gives up at `deadline`. As [`RangeLock::", stringify!($try_until), "`].")]
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
            /// If the range is inverted or reaches past the end, or if it would have to wait for too
            /// many ranges, as [`RangeLock`]'s verb of the same name.
            #[track_caller]
            pub fn $try_until(
                &self,
                range: impl RangeBounds<usize>,
                deadline: Instant,
            ) -> Option<$Guard<'_, S::Item>> {
                let indices = indices(&range, self.len());
                let held = self.lock.$try_until(points(&indices), deadline)?;
                Some($Guard { slice: self.part(&indices), held, _borrows: PhantomData })
            }
        }
    };
}

guard! {
    /// Elements of a [`RangeRwLock`] that are locked for reading.
    RangeRwLockReadGuard around RangeReadGuard, Send where Sync;
    read, try_read, try_read_for, try_read_until
}

guard! {
    /// Elements of a [`RangeRwLock`] that are locked for reading and can be upgraded.
    // `Send` asks for both: it gives `&[T]` beside that of readers, and `&mut [T]` once upgraded.
    RangeRwLockUpgradableReadGuard around RangeUpgradableReadGuard, Send where Send, Sync;
    upgradable_read, try_upgradable_read, try_upgradable_read_for, try_upgradable_read_until
}

guard! {
    /// Elements of a [`RangeRwLock`] that are locked for writing.
    // `Send` asks for both: it gives `&mut [T]`, and, once downgraded, `&[T]` beside that of readers on other threads.
    RangeRwLockWriteGuard around RangeWriteGuard, Send where Send, Sync;
    write, try_write, try_write_for, try_write_until
}

impl<T> DerefMut for RangeRwLockWriteGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: the range is held for writing ("range held").
        unsafe { self.slice.as_mut() }
    }
}

impl<'a, T> RangeRwLockWriteGuard<'a, T> {
    /// Goes on as a reader, without a moment in which the elements are not held: as [`RangeWriteGuard::downgrade`].
    ///
    /// ```
    /// use range_lock::{RangeRwLock, RangeRwLockWriteGuard};
    ///
    /// let lock = RangeRwLock::new([0; 4]);
    /// let mut writer = lock.write(..2);
    /// writer.fill(7);
    /// let reader = RangeRwLockWriteGuard::downgrade(writer);
    /// assert_eq!(lock.read(..)[..], [7, 7, 0, 0]);
    /// # drop(reader);
    /// ```
    pub fn downgrade(guard: Self) -> RangeRwLockReadGuard<'a, T> {
        let held = RangeWriteGuard::downgrade(guard.held);
        RangeRwLockReadGuard { slice: guard.slice, held, _borrows: PhantomData }
    }

    /// Goes on as an upgradable reader, without a moment in which the elements are not held: as
    /// [`RangeWriteGuard::downgrade_to_upgradable`].
    ///
    /// ```
    /// use range_lock::{RangeRwLock, RangeRwLockUpgradableReadGuard, RangeRwLockWriteGuard};
    ///
    /// let lock = RangeRwLock::new([0; 4]);
    /// let looking = RangeRwLockWriteGuard::downgrade_to_upgradable(lock.write(..2));
    /// drop(lock.read(..)); // Readers come in,
    /// assert!(lock.try_upgradable_read(..).is_none()); // and nobody who could write.
    /// RangeRwLockUpgradableReadGuard::upgrade(looking).fill(7);
    /// ```
    pub fn downgrade_to_upgradable(guard: Self) -> RangeRwLockUpgradableReadGuard<'a, T> {
        let held = RangeWriteGuard::downgrade_to_upgradable(guard.held);
        RangeRwLockUpgradableReadGuard { slice: guard.slice, held, _borrows: PhantomData }
    }
}

impl<'a, T> RangeRwLockUpgradableReadGuard<'a, T> {
    /// Becomes a writer, when the readers that are in have left; what was read stays true. As
    /// [`RangeUpgradableReadGuard::upgrade`].
    ///
    /// ```
    /// use range_lock::{RangeRwLock, RangeRwLockUpgradableReadGuard};
    ///
    /// let lock = RangeRwLock::new([3, 1, 2]);
    /// let looking = lock.upgradable_read(..);
    /// if !looking.is_sorted() {
    ///     RangeRwLockUpgradableReadGuard::upgrade(looking).sort();
    /// }
    /// assert_eq!(lock.read(..)[..], [1, 2, 3]);
    /// ```
    ///
    /// # Deadlocks
    ///
    /// If the caller also holds an overlapping read guard, it waits for itself.
    ///
    /// # Panics
    ///
    /// If it, or a reader that waits, would have to wait for too many ranges, as
    /// [`RangeUpgradableReadGuard::upgrade`]. The elements are released then.
    pub fn upgrade(guard: Self) -> RangeRwLockWriteGuard<'a, T> {
        let held = RangeUpgradableReadGuard::upgrade(guard.held);
        RangeRwLockWriteGuard { slice: guard.slice, held, _borrows: PhantomData }
    }

    /// Becomes a writer if no reader is in, as [`RangeUpgradableReadGuard::try_upgrade`].
    ///
    /// ```
    /// use range_lock::{RangeRwLock, RangeRwLockUpgradableReadGuard};
    ///
    /// let lock = RangeRwLock::new([1, 2, 3]);
    /// let looking = lock.upgradable_read(..2);
    /// let reader = lock.read(1..);
    /// let looking = RangeRwLockUpgradableReadGuard::try_upgrade(looking).unwrap_err();
    /// drop(reader);
    /// RangeRwLockUpgradableReadGuard::try_upgrade(looking).unwrap().fill(7);
    /// ```
    ///
    /// # Errors
    ///
    /// The guard, upgradable as before, if a reader is in. Requests that only wait do not count.
    ///
    /// # Panics
    ///
    /// If it, or a reader that waits, would have to wait for too many ranges, as
    /// [`RangeUpgradableReadGuard::upgrade`]. The elements are released then.
    pub fn try_upgrade(guard: Self) -> Result<RangeRwLockWriteGuard<'a, T>, Self> {
        Self::upgraded(guard.slice, RangeUpgradableReadGuard::try_upgrade(guard.held))
    }

    /// Becomes a writer; gives the guard back if that takes longer than `timeout`. As
    /// [`RangeUpgradableReadGuard::try_upgrade_for`].
    ///
    /// ```
    /// use range_lock::{RangeRwLock, RangeRwLockUpgradableReadGuard};
    /// use std::time::Duration;
    ///
    /// let lock = RangeRwLock::new([1, 2, 3]);
    /// let reader = lock.read(1..);
    /// let (looking, soon) = (lock.upgradable_read(..2), Duration::from_millis(1));
    /// let looking = RangeRwLockUpgradableReadGuard::try_upgrade_for(looking, soon).unwrap_err();
    /// assert_eq!(looking[..], [1, 2]);
    /// # drop(reader);
    /// ```
    ///
    /// # Errors
    ///
    /// The guard, upgradable as before, if the time was up first.
    ///
    /// # Cancel safety
    ///
    /// Giving up leaves no trace: readers that came meanwhile, and waited for nothing else, are let in.
    ///
    /// # Panics
    ///
    /// If it, or a reader that waits, would have to wait for too many ranges, as
    /// [`RangeUpgradableReadGuard::upgrade`]. The elements are released then.
    pub fn try_upgrade_for(guard: Self, timeout: Duration) -> Result<RangeRwLockWriteGuard<'a, T>, Self> {
        Self::upgraded(guard.slice, RangeUpgradableReadGuard::try_upgrade_for(guard.held, timeout))
    }

    /// Becomes a writer; gives the guard back if that takes until `deadline`. As [`try_upgrade_for`](Self::try_upgrade_for).
    ///
    /// ```
    /// use range_lock::{RangeRwLock, RangeRwLockUpgradableReadGuard};
    /// use std::time::Instant;
    ///
    /// let lock = RangeRwLock::new([1, 2, 3]);
    /// let reader = lock.read(1..);
    /// let looking = lock.upgradable_read(..2);
    /// assert!(RangeRwLockUpgradableReadGuard::try_upgrade_until(looking, Instant::now()).is_err());
    /// # drop(reader);
    /// ```
    ///
    /// # Errors
    ///
    /// The guard, upgradable as before, if the deadline came first.
    ///
    /// # Panics
    ///
    /// If it, or a reader that waits, would have to wait for too many ranges, as
    /// [`RangeUpgradableReadGuard::upgrade`]. The elements are released then.
    pub fn try_upgrade_until(guard: Self, deadline: Instant) -> Result<RangeRwLockWriteGuard<'a, T>, Self> {
        Self::upgraded(guard.slice, RangeUpgradableReadGuard::try_upgrade_until(guard.held, deadline))
    }

    fn upgraded(
        slice: NonNull<[T]>,
        held: Result<RangeWriteGuard<'a>, RangeUpgradableReadGuard<'a>>,
    ) -> Result<RangeRwLockWriteGuard<'a, T>, Self> {
        match held {
            Ok(held) => Ok(RangeRwLockWriteGuard { slice, held, _borrows: PhantomData }),
            Err(held) => Err(RangeRwLockUpgradableReadGuard { slice, held, _borrows: PhantomData }),
        }
    }

    /// Goes on as a plain reader, as [`RangeUpgradableReadGuard::downgrade`]: another upgradable reader may come in.
    ///
    /// ```
    /// use range_lock::{RangeRwLock, RangeRwLockUpgradableReadGuard};
    ///
    /// let lock = RangeRwLock::new([1, 2, 3]);
    /// let reader = RangeRwLockUpgradableReadGuard::downgrade(lock.upgradable_read(..));
    /// assert!(lock.try_upgradable_read(..).is_some());
    /// assert_eq!(reader[..], [1, 2, 3]);
    /// ```
    pub fn downgrade(guard: Self) -> RangeRwLockReadGuard<'a, T> {
        let held = RangeUpgradableReadGuard::downgrade(guard.held);
        RangeRwLockReadGuard { slice: guard.slice, held, _borrows: PhantomData }
    }
}
