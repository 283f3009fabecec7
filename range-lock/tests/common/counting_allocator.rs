//! An allocator that counts: for tests and benchmarks of what is allocated, each of which is a
//! program of its own.
#![allow(dead_code, reason = "each program uses what it needs")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};

struct Counting;

thread_local! {
    /// Whether this thread's allocations count.
    static COUNTS: Cell<bool> = const { Cell::new(false) };
}

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);
static LIVE: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

/// How often the threads that say so have allocated.
pub(crate) fn allocations() -> usize {
    ALLOCATIONS.load(Ordering::Relaxed)
}

/// Whether this thread's allocations count from now on: those of the test harness do not.
pub(crate) fn count_mine(count: bool) {
    COUNTS.set(count);
}

/// The number of allocations that this thread makes in `f`, and others that count theirs.
pub(crate) fn counted(f: impl FnOnce()) -> usize {
    let before = allocations();
    count_mine(true);
    f();
    count_mine(false);
    allocations() - before
}

/// How many bytes are allocated, by all threads.
pub(crate) fn live_bytes() -> usize {
    LIVE.load(Ordering::Relaxed)
}

/// The most bytes that are allocated at a time while `f` runs, beyond those before.
pub(crate) fn most_bytes<T>(f: impl FnOnce() -> T) -> (T, usize) {
    let before = live_bytes();
    MOST.store(before, Ordering::Relaxed);
    let value = f();
    (value, MOST.load(Ordering::Relaxed).saturating_sub(before))
}

fn count(bytes: usize) {
    let live = LIVE.fetch_add(bytes, Ordering::Relaxed) + bytes;
    MOST.fetch_max(live, Ordering::Relaxed);
    // A thread that ends has no thread-locals any more.
    if COUNTS.try_with(Cell::get).unwrap_or(false) {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
    }
}

// SAFETY: everything is handed to the system's allocator; `count` does not allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        count(new_size);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.realloc(at, layout, new_size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;
