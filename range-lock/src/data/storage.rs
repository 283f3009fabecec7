//! [`Storage`]: what a [`RangeRwLock`](super::RangeRwLock) can own. Its contract is the invariant
//! **own memory** of the module above. The unsafe code here relies on this contract alone.

use std::mem::ManuallyDrop;
use std::ptr::NonNull;

/// A value that a [`RangeRwLock`](crate::RangeRwLock) can own. The value provides a slice, which
/// stays at one place in memory.
///
/// The trait is implemented for arrays, `Box<[T]>`, `Vec<T>`, `&mut [T]` and `&mut [T; N]`. With
/// feature `memmap2` the trait is also implemented for `memmap2::MmapMut`. You can implement the
/// trait for other kinds of memory:
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
/// * The pointer that [`slice`](Self::slice) returns is valid for reads and writes of all its
///   elements. All elements are initialised. Until [`from_raw`](Self::from_raw), each call of
///   `slice` returns the same number of elements. As long as the `Raw` is not moved, each call also
///   returns the same memory.
/// * Until `from_raw`, no code accesses the elements in any other way than through the pointer that
///   `slice` returns.
/// * Several threads may call `slice` at the same time. `slice` makes no reference to the elements.
/// * If `Self` may be sent to another thread, `Raw` may be sent to another thread, too. The other
///   thread may pass the `Raw` to `from_raw`, or drop the `Raw`.
/// * A `Raw` may be dropped instead of passed to `from_raw`, if nothing refers to the elements any
///   more. Dropping the `Raw` has the same effect as dropping the storage.
pub unsafe trait Storage: Sized {
    /// An element of the slice.
    type Item;

    /// The storage taken apart, so that no reference claims the elements. A `Vec` or a `Box`
    /// asserts that it alone reaches its elements whenever it is moved or borrowed.
    ///
    /// Dropping a `Raw` drops the storage. Some types of `Raw` have no destructor, such as the
    /// `Raw` of `&mut [T]`. Then the owner can use the borrowed memory again after the lock's last
    /// use, before the lock is dropped.
    type Raw;

    /// Takes the storage apart.
    fn into_raw(self) -> Self::Raw;

    /// All elements.
    ///
    /// # Safety
    ///
    /// `raw` points to a value that [`into_raw`](Self::into_raw) has returned. The value does not
    /// change during the call.
    unsafe fn slice(raw: *mut Self::Raw) -> NonNull<[Self::Item]>;

    /// Puts the storage together again.
    ///
    /// # Safety
    ///
    /// `raw` is a value that [`into_raw`](Self::into_raw) has returned. The caller passes the value
    /// only once. Nothing refers to the elements any more.
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
