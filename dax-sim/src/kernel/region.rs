//! Maps several files at addresses one behind the other.
//!
//! # Invariants
//!
//! The unsafe code of this module relies on these:
//!
//! * **Reserved**: `[start, start + len)` belongs to the region until it is dropped: only
//!   [`Region::map`] maps anything there.
//! * **In bounds**: every address comes from [`Region::at`], which panics unless the bytes lie in
//!   the region.
//! * **Disjoint**: a thread stores to bytes of its own part, or holds the lock of the bytes. All
//!   other shared bytes are words that are loaded and stored atomically (`race`).
//! * **Long enough**: a file has its full length while its mapping is touched. Another process that
//!   cuts it ends the program (`cli/signal.rs`).

use std::fs::File;
use std::io;
use std::marker::PhantomData;
use std::ops::Range;
use std::ptr::{self, NonNull};

use range_lock::Storage;
use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap, mmap_anonymous, munmap};

/// Where a file begins, so that the kernel may map it by 2 MiB pages.
pub(super) const ALIGNMENT: usize = 2 << 20;

/// The addresses.
#[derive(Debug)]
pub(crate) struct Region {
    reserved: *mut u8,
    reserved_len: usize,
    start: *mut u8,
    len: usize,
}

// SAFETY: the addresses are the process', not a thread's; *Disjoint* for what is at them.
unsafe impl Send for Region {}
// SAFETY: as above.
unsafe impl Sync for Region {}

impl Region {
    /// Reserves addresses, at which nothing is mapped yet.
    pub(crate) fn reserve(len: usize) -> io::Result<Region> {
        let reserved_len = len + ALIGNMENT;
        // SAFETY: a fresh mapping at an address that the kernel picks overlaps nothing.
        let reserved = unsafe {
            mmap_anonymous(
                ptr::null_mut(),
                reserved_len,
                ProtFlags::empty(),
                MapFlags::PRIVATE | MapFlags::NORESERVE,
            )?
        }
        .cast::<u8>();
        let start = reserved.wrapping_add(reserved.align_offset(ALIGNMENT));
        Ok(Region { reserved, reserved_len, start, len })
    }

    /// Maps the first `len` bytes of the file at `place`.
    pub(super) fn map(&self, file: &File, place: usize, len: usize, sync: bool) -> io::Result<()> {
        let kind = if sync { MapFlags::SHARED_VALIDATE | MapFlags::SYNC } else { MapFlags::SHARED };
        // SAFETY: *In bounds* and *Reserved*: what is replaced is the region's own, and unused.
        unsafe {
            mmap(
                self.at(place, len).cast(),
                len,
                ProtFlags::READ | ProtFlags::WRITE,
                kind | MapFlags::FIXED,
                file,
                0,
            )?;
        }
        Ok(())
    }

    pub(crate) fn addresses(&self) -> Range<usize> {
        self.start.addr()..self.start.addr() + self.len
    }

    /// The address of `len` bytes.
    pub(super) fn at(&self, place: usize, len: usize) -> *mut u8 {
        assert!(place <= self.len && len <= self.len - place, "{len} bytes at {place} of {}", self.len);
        self.start.wrapping_add(place)
    }

    /// Takes the write faults of the pages in advance.
    pub(super) fn fault_in(&self, place: usize, len: usize) -> io::Result<()> {
        let start = self.at(place, len);
        // SAFETY: *In bounds*; the advice changes no bytes.
        match unsafe { madvise(start.cast(), len, Advice::LinuxPopulateWrite) } {
            Ok(()) => Ok(()),
            // Linux has it from 5.14 on: without it, the first stores take the faults. A page that
            // the file no longer has fails at the first store, with the right message.
            Err(rustix::io::Errno::INVAL | rustix::io::Errno::FAULT) => Ok(()),
            Err(e) => Err(e.into()),
        }
    }

    /// The bytes in a form that a lock can own, while the region is borrowed.
    ///
    /// # Safety
    ///
    /// A file is mapped there. As long as the window lives, only it reaches the bytes.
    pub(super) unsafe fn window(&self, place: usize, len: usize) -> Window<'_> {
        let start = NonNull::new(self.at(place, len)).expect("a mapping is not at address 0");
        Window { bytes: NonNull::slice_from_raw_parts(start, len), region: PhantomData }
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: *Reserved*; what is borrowed from the region is gone. Failing to unmap would cost
        // addresses, and is no reason to fail.
        let _ = unsafe { munmap(self.reserved.cast(), self.reserved_len) };
    }
}

/// A part of the region that a lock owns.
#[derive(Debug)]
pub(super) struct Window<'a> {
    bytes: NonNull<[u8]>,
    region: PhantomData<&'a Region>,
}

// SAFETY: it is the only way to its bytes, by the contract of `Region::window`.
unsafe impl Send for Window<'_> {}

// SAFETY: the mapping stays where it is while the region is borrowed, its bytes are initialised as
// those of a file are, and there is no other way to them by the contract of `Region::window`.
unsafe impl Storage for Window<'_> {
    type Item = u8;
    type Raw = Self;

    fn into_raw(self) -> Self {
        self
    }

    unsafe fn slice(raw: *mut Self) -> NonNull<[u8]> {
        // SAFETY: `raw` may be read, by contract.
        unsafe { (*raw).bytes }
    }

    unsafe fn from_raw(raw: Self) -> Self {
        raw
    }
}
