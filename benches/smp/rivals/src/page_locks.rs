//! 1024 reader/writer locks. The hash of a page selects its lock.
//!
//! A range of several pages takes the locks of all its pages in ascending order. From 1024 pages on
//! it takes all locks.
//!
//! Invariant L1: a [`Guard`] holds, in its mode, each lock that `each` names for its pages.

use std::mem;
use std::ops::Range;

use crossbeam_utils::CachePadded;
use parking_lot::RwLock;

use crate::lock::{Lock, Order, PAGE, Setup};

const STRIPES: usize = 1024;
type Set = [u64; STRIPES / 64];

/// The padded locks.
#[derive(Debug)]
pub struct PageLocks(Box<[CachePadded<RwLock<()>>]>);

/// First and last page.
type Pages = (u64, u64);

/// The lock of a page, by Fibonacci hashing.
#[inline]
fn stripe(page: u64) -> usize {
    (page.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (64 - STRIPES.ilog2())) as usize
}

impl PageLocks {
    /// Calls `visit` for the lock of each page, once for each lock, in ascending order.
    #[inline]
    fn each(&self, (first, last): Pages, mut visit: impl FnMut(&RwLock<()>)) {
        if first == last {
            return visit(&self.0[stripe(first)]);
        }
        if last - first >= STRIPES as u64 - 1 {
            return self.0.iter().for_each(|lock| visit(lock));
        }
        let mut set = Set::default();
        for page in first..=last {
            let at = stripe(page);
            set[at / 64] |= 1 << (at % 64);
        }
        for (word, mut bits) in set.into_iter().enumerate() {
            while bits != 0 {
                visit(&self.0[word * 64 + bits.trailing_zeros() as usize]);
                bits &= bits - 1;
            }
        }
    }
}

impl Lock for PageLocks {
    const NAME: &'static str = "page-locks";
    const WHAT: &'static str = "1024 padded parking_lot::RwLocks, one for each page by its hash";
    const ORDER: Order = Order::Any;
    const SHARED: bool = true;
    const MOST_HELD: usize = 1;
    type Read<'a> = Guard<'a, false>;
    type Write<'a> = Guard<'a, true>;

    fn new(_: &Setup) -> Self {
        PageLocks((0..STRIPES).map(|_| CachePadded::default()).collect())
    }

    #[inline]
    fn read(&self, _: usize, range: Range<u64>) -> Guard<'_, false> {
        Guard::new(self, range)
    }

    #[inline]
    fn write(&self, _: usize, range: Range<u64>) -> Guard<'_, true> {
        Guard::new(self, range)
    }

    fn parts(&self, visit: &mut dyn FnMut(usize, usize, &'static str, usize)) {
        for (i, lock) in self.0.iter().enumerate() {
            visit(std::ptr::from_ref(lock).addr(), size_of_val(lock), "page lock", i);
        }
    }
}

/// Holds the locks of some pages in one mode. `drop` computes again which locks these are.
#[derive(Debug)]
pub struct Guard<'a, const WRITE: bool> {
    locks: &'a PageLocks,
    pages: Pages,
}

impl<'a, const WRITE: bool> Guard<'a, WRITE> {
    #[inline]
    fn new(locks: &'a PageLocks, range: Range<u64>) -> Self {
        let pages = (range.start / PAGE, (range.end - 1) / PAGE);
        locks.each(pages, |lock| if WRITE { mem::forget(lock.write()) } else { mem::forget(lock.read()) });
        Guard { locks, pages }
    }
}

impl<const WRITE: bool> Drop for Guard<'_, WRITE> {
    #[inline]
    fn drop(&mut self) {
        self.locks.each(self.pages, |lock| {
            if WRITE {
                // SAFETY: L1.
                unsafe { lock.force_unlock_write() }
            } else {
                // SAFETY: L1.
                unsafe { lock.force_unlock_read() }
            }
        });
    }
}
