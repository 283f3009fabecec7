//! Memory at fixed addresses: the stacks of coroutines, the stacks of the threads that lend their
//! thread-locals, and the arena from which simulated code allocates.
//!
//! Each area is reserved once, at its first use, and never given back.
//!
//! Invariants:
//! * M1. An area is mapped readable and writable from its first to its last byte, except for the
//!   guard page at the low end of each stack.
//! * M2. Only the thread that holds the right to simulate (see `cpus`) calls `Arena::alloc` and
//!   `Arena::free`.
//! * M3. A block of the arena belongs to one class, which depends only on its layout.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::{Cell, UnsafeCell};
use std::num::NonZeroUsize;
use std::ptr;
use std::sync::{Mutex, PoisonError};

use corosensei::stack::{Stack, StackPointer};

use crate::cpus;
use crate::machine::MOST_THREADS;

/// A range of addresses.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Area {
    start: usize,
    bytes: usize,
}

const PAGE: usize = 4096;
const STACK: usize = 256 << 10;
const LENDER: usize = 128 << 10;

/// The arena.
pub(crate) const ARENA: Area = Area { start: 0x1000_0000_0000, bytes: 64 << 30 };
/// The stacks of coroutines.
pub(crate) const STACKS: Area = Area { start: 0x1100_0000_0000, bytes: MOST_THREADS * STACK };
/// The stacks of the threads that lend their thread-locals.
const LENDERS: Area = Area { start: 0x1200_0000_0000, bytes: MOST_THREADS * LENDER };

impl Area {
    #[inline]
    pub(crate) const fn contains(self, address: usize) -> bool {
        address.wrapping_sub(self.start) < self.bytes
    }

    /// Reserves the addresses of the area.
    ///
    /// # Panics
    ///
    /// If something else is mapped there.
    fn map(self) {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_FIXED_NOREPLACE;
        // SAFETY: MAP_FIXED_NOREPLACE replaces no other mapping.
        let got = unsafe {
            libc::mmap(ptr::without_provenance_mut(self.start), self.bytes, protection, flags, -1, 0)
        };
        assert!(
            got.addr() == self.start,
            "cannot reserve {} MiB at {:#x}: {}; raise the limit of address space (ulimit -v)",
            self.bytes >> 20,
            self.start,
            std::io::Error::last_os_error()
        );
    }
}

/// Hands out the parts of an area, all of one size.
#[derive(Debug)]
struct Parts {
    area: Area,
    bytes: usize,
    /// How many parts were handed out, and the parts that were given back.
    state: Mutex<(usize, Vec<usize>)>,
}

impl Parts {
    const fn new(area: Area, bytes: usize) -> Self {
        Parts { area, bytes, state: Mutex::new((0, Vec::new())) }
    }

    /// Takes a part, with a guard page at its low end.
    fn take(&self) -> usize {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (used, free) = &mut *state;
        if let Some(start) = free.pop() {
            return start;
        }
        if *used == 0 {
            self.area.map();
        }
        assert!(*used < MOST_THREADS, "more than {MOST_THREADS} simulated threads in one process");
        let start = self.area.start + *used * self.bytes;
        *used += 1;
        // SAFETY: by M1 the page is mapped, and no part that is in use contains it.
        let r = unsafe { libc::mprotect(ptr::without_provenance_mut(start), PAGE, libc::PROT_NONE) };
        assert!(r == 0, "cannot protect a guard page: {}", std::io::Error::last_os_error());
        start
    }

    fn give_back(&self, start: usize) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).1.push(start);
    }
}

static STACK_PARTS: Parts = Parts::new(STACKS, STACK);
static LENDER_PARTS: Parts = Parts::new(LENDERS, LENDER);

/// A stack of a coroutine, at a fixed address.
#[derive(Debug)]
pub(crate) struct FixedStack {
    start: usize,
}

impl FixedStack {
    pub(crate) fn new() -> Self {
        FixedStack { start: STACK_PARTS.take() }
    }

    /// Its lowest address and its size.
    pub(crate) fn range(&self) -> (usize, usize) {
        (self.start, STACK)
    }
}

impl Drop for FixedStack {
    fn drop(&mut self) {
        STACK_PARTS.give_back(self.start);
    }
}

// SAFETY: by M1 the stack is mapped, and its lowest page is a guard.
unsafe impl Stack for FixedStack {
    fn base(&self) -> StackPointer {
        NonZeroUsize::new(self.start + STACK).expect("the area does not begin at 0")
    }

    fn limit(&self) -> StackPointer {
        NonZeroUsize::new(self.start).expect("the area does not begin at 0")
    }
}

/// A stack for a thread that lends its thread-locals.
#[derive(Debug)]
pub(crate) struct LenderStack {
    part: usize,
}

impl LenderStack {
    pub(crate) fn new() -> Self {
        LenderStack { part: LENDER_PARTS.take() }
    }

    /// Its lowest address, behind the guard page, and its size.
    pub(crate) fn range(&self) -> (usize, usize) {
        (self.part + PAGE, LENDER - PAGE)
    }
}

impl Drop for LenderStack {
    fn drop(&mut self) {
        LENDER_PARTS.give_back(self.part);
    }
}

/// Sizes up to here are rounded up to 16 bytes, others to a power of two.
const FINE: usize = 1024;
/// How much a thread takes from the arena at a time.
const CHUNK: usize = 64 << 10;
/// Larger blocks are taken from the arena one by one.
const LARGE: usize = CHUNK / 4;

/// Free blocks and the current chunk of one simulated thread.
#[derive(Debug)]
struct Cache {
    fine: [*mut u8; FINE / 16 + 1],
    powers: [*mut u8; 64],
    next: usize,
    end: usize,
}

impl Cache {
    const EMPTY: Cache =
        Cache { fine: [ptr::null_mut(); FINE / 16 + 1], powers: [ptr::null_mut(); 64], next: 0, end: 0 };

    /// The list of free blocks of this size.
    fn list(&mut self, class: Class) -> &mut *mut u8 {
        match class {
            Class::Fine(n) => &mut self.fine[n],
            Class::Power(n) => &mut self.powers[n],
        }
    }
}

/// The class of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    /// This many times 16 bytes.
    Fine(usize),
    /// Two to this power, aligned to its size (to a page, if it is larger).
    Power(usize),
}

impl Class {
    fn of(layout: Layout) -> Class {
        if layout.align() <= 16 && layout.size() <= FINE {
            Class::Fine(layout.size().div_ceil(16).max(1))
        } else {
            Class::Power(layout.size().max(layout.align()).next_power_of_two().trailing_zeros() as usize)
        }
    }

    /// Its size and its alignment.
    fn layout(self) -> (usize, usize) {
        match self {
            Class::Fine(n) => (16 * n, 16),
            Class::Power(n) => (1 << n, 1 << n),
        }
    }
}

/// The arena: each simulated thread has a cache of blocks, as in common allocators, so that threads
/// share no line by accident.
#[derive(Debug)]
struct Arena {
    caches: UnsafeCell<[Cache; CACHES]>,
    next: Cell<usize>,
}

const CACHES: usize = 1025;

// SAFETY: by M2 one thread at a time uses it.
unsafe impl Sync for Arena {}

static THE_ARENA: Arena =
    Arena { caches: UnsafeCell::new([const { Cache::EMPTY }; CACHES]), next: Cell::new(0) };

impl Arena {
    /// Takes `bytes` bytes behind what was used so far.
    fn take(&self, bytes: usize, align: usize) -> usize {
        if self.next.get() == 0 {
            ARENA.map();
            self.next.set(ARENA.start);
        }
        let start = self.next.get().next_multiple_of(align.max(PAGE));
        let end = start.saturating_add(bytes);
        if end > ARENA.start + ARENA.bytes {
            return 0;
        }
        self.next.set(end);
        start
    }

    /// # Safety
    ///
    /// The caller holds the right to simulate (M2).
    unsafe fn alloc(&self, thread: usize, layout: Layout) -> *mut u8 {
        // SAFETY: by M2 no other reference exists.
        let cache = unsafe { &mut (*self.caches.get())[thread % CACHES] };
        let class = Class::of(layout);
        let (size, align) = class.layout();
        let list = cache.list(class);
        if !list.is_null() {
            let block = *list;
            // SAFETY: a free block holds the address of the next one in its first bytes.
            *list = unsafe { block.cast::<*mut u8>().read() };
            return block;
        }
        if size > LARGE {
            return ptr::with_exposed_provenance_mut(self.take(size, align));
        }
        let mut start = cache.next.next_multiple_of(align);
        if cache.next == 0 || start + size > cache.end {
            start = self.take(CHUNK, PAGE);
            if start == 0 {
                return ptr::null_mut();
            }
            cache.end = start + CHUNK;
            start = start.next_multiple_of(align);
        }
        cache.next = start + size;
        ptr::with_exposed_provenance_mut(start)
    }

    /// # Safety
    ///
    /// The caller holds the right to simulate (M2), and owns the block, of this layout.
    unsafe fn free(&self, thread: usize, block: *mut u8, layout: Layout) {
        // SAFETY: by M2 no other reference exists.
        let cache = unsafe { &mut (*self.caches.get())[thread % CACHES] };
        let list = cache.list(Class::of(layout));
        // SAFETY: by M3 the block has at least 16 bytes, and is free.
        unsafe { block.cast::<*mut u8>().write(*list) };
        *list = block;
    }
}

/// Allocates from the arena for simulated code, and from the system for all other code. A block of
/// the arena that other code frees is not used again.
#[derive(Debug)]
struct Allocator;

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

// SAFETY: blocks are of the arena or of the system, told apart by their addresses; each allocator
// gets back its own. The arena's blocks have at least the size and the alignment of their layout.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match cpus::allocates_from_arena() {
            // SAFETY: simulated code, and code in `Machine::setup`, holds the right to simulate.
            Some(thread) => unsafe { THE_ARENA.alloc(thread, layout) },
            // SAFETY: the caller's promise.
            None => unsafe { System.alloc(layout) },
        }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if !ARENA.contains(block.addr()) {
            // SAFETY: the caller's promise; the block is not of the arena.
            unsafe { System.dealloc(block, layout) };
        } else if let Some(thread) = cpus::allocates_from_arena() {
            // SAFETY: as in `alloc`; the caller owns the block.
            unsafe { THE_ARENA.free(thread, block, layout) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_fits_its_layout() {
        for size in [1, 8, 16, 17, 100, 1024, 1025, 5000, 70_000] {
            for align in [1, 8, 16, 64, 128, 4096] {
                let layout = Layout::from_size_align(size, align).unwrap();
                let (got, got_align) = Class::of(layout).layout();
                assert!(got >= size && got_align >= align, "{layout:?}");
                assert!(got < 2 * size.max(align) + 16, "{layout:?}");
            }
        }
    }
}
