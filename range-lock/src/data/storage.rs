//! [`Storage`]: what a [`RangeRwLock`](super::RangeRwLock) can own. Its contract is the invariant
//! **own memory** of the module above. The unsafe code here relies on this contract alone.

use std::mem::ManuallyDrop;
use std::ptr::NonNull;

/// A value that a [`RangeRwLock`](crate::RangeRwLock) can own. The value provides a slice of
/// elements. As long as no code moves the lock, the slice stays at one place in memory.
///
/// The crate implements the trait for arrays, `Box<[T]>`, `Vec<T>`, `&mut [T]` and `&mut [T; N]`.
/// With feature `memmap2` the crate also implements the trait for `memmap2::MmapMut`. You can
/// implement the trait for a type of your own:
///
/// ```
/// use std::ptr::NonNull;
/// use range_lock::{RangeRwLock, Storage};
///
/// /// Memory that lasts as long as the program runs, such as a device's.
/// struct Window(NonNull<[u8]>);
///
/// // SAFETY: the maker of a `Window` vouches for the memory: no other code reaches it, and it does not move.
/// unsafe impl Storage for Window {
///     type Item = u8;
///     type Raw = NonNull<[u8]>;
///
///     fn into_raw(self) -> NonNull<[u8]> {
///         self.0
///     }
///
///     unsafe fn slice(raw: *mut NonNull<[u8]>) -> NonNull<[u8]> {
///         // SAFETY: `raw` may be read, by contract.
///         unsafe { *raw }
///     }
///
///     unsafe fn from_raw(raw: NonNull<[u8]>) -> Window {
///         Window(raw)
///     }
/// }
///
/// let lock = RangeRwLock::new(Window(NonNull::from(Vec::leak(vec![0; 4096]))));
/// lock.write(..512).fill(1);
/// assert_eq!(lock.read(511..)[..2], [1, 0]);
/// ```
///
/// # Safety
///
/// * The pointer that [`slice`](Self::slice) returns is valid for reads and writes of the elements
///   of the slice, and all these elements are initialised. Until a call of
///   [`from_raw`](Self::from_raw), each call of `slice` returns a slice of the same length. As long
///   as no code moves the `Raw`, each call of `slice` also returns the same address.
/// * Until a call of `from_raw`, code accesses the elements only through the pointer that `slice`
///   returns.
/// * Several threads may call `slice` at the same time. `slice` makes no reference to the elements.
/// * If `Self` may be sent to another thread, `Raw` may be sent to another thread, too. The other
///   thread may pass the `Raw` to `from_raw`, or drop the `Raw`.
/// * If nothing refers to the elements any more, the owner of a `Raw` may drop the `Raw` instead of
///   passing it to `from_raw`. Dropping the `Raw` has the same effect as dropping the storage.
pub unsafe trait Storage: Sized {
    /// An element of the slice.
    type Item;

    /// The parts of the storage, in a form that does not claim exclusive access to the elements. A
    /// `Vec` or a `Box` claims exclusive access to its elements whenever code moves or borrows the
    /// `Vec` or the `Box`.
    ///
    /// Dropping a `Raw` drops the storage. The `Raw` of `&mut [T]` has no destructor. So the owner
    /// of the borrowed elements can use them again after the last use of the lock, even before the
    /// lock is dropped.
    type Raw;

    /// Takes the storage apart.
    fn into_raw(self) -> Self::Raw;

    /// All elements.
    ///
    /// # Safety
    ///
    /// `raw` points to a value that [`into_raw`](Self::into_raw) has returned. No code changes the
    /// value during the call.
    unsafe fn slice(raw: *mut Self::Raw) -> NonNull<[Self::Item]>;

    /// Puts the storage together again.
    ///
    /// # Safety
    ///
    /// `raw` is a value that [`into_raw`](Self::into_raw) has returned. No other call of `from_raw`
    /// receives the same value. Nothing refers to the elements any more.
    unsafe fn from_raw(raw: Self::Raw) -> Self;
}

// SAFETY: the array lies in the `UnsafeCell` of the lock, which owns it.
unsafe impl<T, const N: usize> Storage for [T; N] {
    type Item = T;
    type Raw = [T; N];

    fn into_raw(self) -> [T; N] {
        self
    }

    unsafe fn slice(raw: *mut [T; N]) -> NonNull<[T]> {
        NonNull::slice_from_raw_parts(NonNull::new(raw).expect("not null: a field of the lock").cast(), N)
    }

    unsafe fn from_raw(raw: [T; N]) -> Self {
        raw
    }
}

/// A `Vec` taken apart. It owns the elements.
#[derive(Debug)]
pub struct RawVec<T> {
    slice: NonNull<[T]>,
    capacity: usize,
}

impl<T> RawVec<T> {
    /// # Safety
    ///
    /// `self` must not be used again, not even dropped.
    unsafe fn take(&mut self) -> Vec<T> {
        // SAFETY: the parts come from a vector of this type, and are taken once, by contract.
        unsafe { Vec::from_raw_parts(self.slice.cast().as_ptr(), self.slice.len(), self.capacity) }
    }
}

impl<T> Drop for RawVec<T> {
    fn drop(&mut self) {
        // SAFETY: `self` is being dropped.
        drop(unsafe { self.take() });
    }
}

// SAFETY: no other value owns the allocation until `from_raw`, and it does not move.
unsafe impl<T> Storage for Vec<T> {
    type Item = T;
    type Raw = RawVec<T>;

    fn into_raw(self) -> RawVec<T> {
        let mut vec = ManuallyDrop::new(self);
        let start = NonNull::new(vec.as_mut_ptr()).expect("a vector's pointer is not null");
        RawVec { slice: NonNull::slice_from_raw_parts(start, vec.len()), capacity: vec.capacity() }
    }

    unsafe fn slice(raw: *mut RawVec<T>) -> NonNull<[T]> {
        // SAFETY: `raw` may be read, by contract.
        unsafe { (*raw).slice }
    }

    unsafe fn from_raw(raw: RawVec<T>) -> Self {
        // SAFETY: `raw` is not used again, not even dropped.
        unsafe { ManuallyDrop::new(raw).take() }
    }
}

/// A `Box` taken apart. It owns the elements.
#[derive(Debug)]
pub struct RawBox<T>(NonNull<[T]>);

impl<T> RawBox<T> {
    /// # Safety
    ///
    /// `self` must not be used again, not even dropped.
    unsafe fn take(&mut self) -> Box<[T]> {
        // SAFETY: the pointer comes from `Box::into_raw`, and is taken once, by contract.
        unsafe { Box::from_raw(self.0.as_ptr()) }
    }
}

impl<T> Drop for RawBox<T> {
    fn drop(&mut self) {
        // SAFETY: `self` is being dropped.
        drop(unsafe { self.take() });
    }
}

// SAFETY: no other value owns the allocation until `from_raw`, and it does not move.
unsafe impl<T> Storage for Box<[T]> {
    type Item = T;
    type Raw = RawBox<T>;

    fn into_raw(self) -> RawBox<T> {
        RawBox(NonNull::new(Box::into_raw(self)).expect("a box's pointer is not null"))
    }

    unsafe fn slice(raw: *mut RawBox<T>) -> NonNull<[T]> {
        // SAFETY: `raw` may be read, by contract.
        unsafe { (*raw).0 }
    }

    unsafe fn from_raw(raw: RawBox<T>) -> Self {
        // SAFETY: `raw` is not used again, not even dropped.
        unsafe { ManuallyDrop::new(raw).take() }
    }
}

// SAFETY: the exclusive borrow is the lock's until `from_raw`, and what is borrowed does not move.
unsafe impl<T> Storage for &mut [T] {
    type Item = T;
    type Raw = NonNull<[T]>;

    fn into_raw(self) -> NonNull<[T]> {
        NonNull::from(self)
    }

    unsafe fn slice(raw: *mut NonNull<[T]>) -> NonNull<[T]> {
        // SAFETY: `raw` may be read, by contract.
        unsafe { *raw }
    }

    unsafe fn from_raw(mut raw: NonNull<[T]>) -> Self {
        // SAFETY: the borrow that was taken apart, once, by contract.
        unsafe { raw.as_mut() }
    }
}

// SAFETY: the exclusive borrow is the lock's until `from_raw`, and what is borrowed does not move.
unsafe impl<T, const N: usize> Storage for &mut [T; N] {
    type Item = T;
    type Raw = NonNull<[T; N]>;

    fn into_raw(self) -> NonNull<[T; N]> {
        NonNull::from(self)
    }

    unsafe fn slice(raw: *mut NonNull<[T; N]>) -> NonNull<[T]> {
        // SAFETY: `raw` may be read, by contract.
        NonNull::slice_from_raw_parts(unsafe { *raw }.cast(), N)
    }

    unsafe fn from_raw(mut raw: NonNull<[T; N]>) -> Self {
        // SAFETY: the borrow that was taken apart, once, by contract.
        unsafe { raw.as_mut() }
    }
}

#[cfg(feature = "memmap2")]
mod mmap {
    use std::ptr::NonNull;

    use memmap2::MmapMut;

    use super::Storage;

    /// A mapping, and where it lies.
    #[derive(Debug)]
    pub struct RawMmap {
        slice: NonNull<[u8]>,
        mapping: MmapMut,
    }

    // SAFETY: the mapping stays where it is until it is dropped, and its pointer is a plain
    // pointer: moving an `MmapMut` claims nothing about what it points to. The caller of `map_mut`
    // has vouched that no other process changes the file meanwhile.
    unsafe impl Storage for MmapMut {
        type Item = u8;
        type Raw = RawMmap;

        fn into_raw(mut self) -> RawMmap {
            let start = NonNull::new(self.as_mut_ptr()).expect("a mapping's pointer is not null");
            RawMmap { slice: NonNull::slice_from_raw_parts(start, self.len()), mapping: self }
        }

        unsafe fn slice(raw: *mut RawMmap) -> NonNull<[u8]> {
            // SAFETY: `raw` may be read, by contract.
            unsafe { (*raw).slice }
        }

        unsafe fn from_raw(raw: RawMmap) -> Self {
            raw.mapping
        }
    }
}
