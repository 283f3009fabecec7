//! 1024 reader/writer locks, which is common practice today. The hash of a page selects its lock.
//!
//! A range of several pages takes the locks of all its pages, in ascending order. From 1024 pages
//! on it takes all locks.

use std::fmt::Debug;
use std::mem;
use std::ops::Range;

use parking_lot::RwLock;

use crate::rival::{PAGE, Rival, Scope, User};

const STRIPES: usize = 1024;
/// The set of the locks that a range needs.
type Set = [u64; STRIPES / 64];

/// One of the locks, with or without room around it.
pub trait Stripe: Debug + Default + Send + Sync + 'static {
    /// The name of the set of locks.
    const NAME: &'static str;
    /// The lock in the stripe.
    fn lock(&self) -> &RwLock<()>;
}

/// Eight bytes each: eight on a cache line.
#[derive(Debug, Default)]
pub struct PackedPageLocks(RwLock<()>);

impl Stripe for PackedPageLocks {
    const NAME: &'static str = "page locks";
    #[inline]
    fn lock(&self) -> &RwLock<()> {
        &self.0
    }
}

/// A cache line each.
#[derive(Debug, Default)]
#[repr(align(64))]
pub struct PaddedPageLocks(RwLock<()>);

impl Stripe for PaddedPageLocks {
    const NAME: &'static str = "page locks (padded)";
    #[inline]
    fn lock(&self) -> &RwLock<()> {
        &self.0
    }
}

/// All 1024 locks.
#[derive(Debug)]
pub struct PageLocks<S>(Box<[S]>);

impl<S: Stripe> Rival for PageLocks<S> {
    const NAME: &'static str = S::NAME;
    const SCOPE: Scope = Scope::Hashed;
    const SHARED: bool = true;
    type User<'a> = &'a PageLocks<S>;

    fn new() -> Self {
        PageLocks((0..STRIPES).map(|_| S::default()).collect())
    }

    fn user(&self) -> &PageLocks<S> {
        self
    }
}

impl<S: Stripe> PageLocks<S> {
    /// The lock of a page, by Fibonacci hashing.
    #[inline]
    fn stripe(&self, page: u64) -> &RwLock<()> {
        self.0[index(page)].lock()
    }

    /// Calls `visit` for the lock of each of `pages`, once for each lock, in ascending order.
    fn each(&self, pages: Pages, mut visit: impl FnMut(&RwLock<()>)) {
        if pages.last - pages.first >= STRIPES as u64 - 1 {
            return self.0.iter().for_each(|stripe| visit(stripe.lock()));
        }
        let mut set = Set::default();
        for page in pages.first..=pages.last {
            let at = index(page);
            set[at / 64] |= 1 << (at % 64);
        }
        for (word, mut bits) in set.into_iter().enumerate() {
            while bits != 0 {
                visit(self.0[word * 64 + bits.trailing_zeros() as usize].lock());
                bits &= bits - 1;
            }
        }
    }
}

#[inline]
fn index(page: u64) -> usize {
    (page.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (64 - STRIPES.ilog2())) as usize
}

#[derive(Clone, Copy, Debug)]
struct Pages {
    first: u64,
    last: u64,
}

impl Pages {
    const ALL: Pages = Pages { first: 0, last: u64::MAX };

    #[inline]
    fn of(range: &Range<u64>) -> Pages {
        Pages { first: range.start / PAGE, last: (range.end - 1) / PAGE }
    }

    #[inline]
    fn is_one(self) -> bool {
        self.first == self.last
    }
}

impl<'l, S: Stripe> User for &'l PageLocks<S> {
    type Read<'a>
        = Guard<'l, S, false>
    where
        Self: 'a;
    type Write<'a>
        = Guard<'l, S, true>
    where
        Self: 'a;

    #[inline]
    fn read(&self, range: Range<u64>) -> Guard<'l, S, false> {
        Guard::new(self, Pages::of(&range))
    }

    #[inline]
    fn write(&self, range: Range<u64>) -> Guard<'l, S, true> {
        Guard::new(self, Pages::of(&range))
    }

    #[inline]
    fn write_whole(&self) -> Guard<'l, S, true> {
        Guard::new(self, Pages::ALL)
    }
}

/// Holds the locks of some pages, all of them in one mode. When it is dropped it computes once more
/// which locks these are, rather than keeping them.
///
/// Invariant: it holds, in its mode, each lock that `each` names for its pages.
#[derive(Debug)]
pub struct Guard<'l, S: Stripe, const WRITE: bool> {
    locks: &'l PageLocks<S>,
    pages: Pages,
}

impl<'l, S: Stripe, const WRITE: bool> Guard<'l, S, WRITE> {
    #[inline]
    fn new(locks: &'l PageLocks<S>, pages: Pages) -> Self {
        let take = |lock: &RwLock<()>| {
            if WRITE {
                mem::forget(lock.write());
            } else {
                mem::forget(lock.read());
            }
        };
        if pages.is_one() {
            take(locks.stripe(pages.first));
        } else {
            locks.each(pages, take);
        }
        Guard { locks, pages }
    }
}

impl<S: Stripe, const WRITE: bool> Drop for Guard<'_, S, WRITE> {
    #[inline]
    fn drop(&mut self) {
        let leave = |lock: &RwLock<()>| {
            if WRITE {
                // SAFETY: by the invariant of `Guard` this lock is held for writing, by this guard
                // only.
                unsafe { lock.force_unlock_write() }
            } else {
                // SAFETY: by the invariant of `Guard` this lock is held for reading, once by this
                // guard.
                unsafe { lock.force_unlock_read() }
            }
        };
        if self.pages.is_one() {
            leave(self.locks.stripe(self.pages.first));
        } else {
            self.locks.each(self.pages, leave);
        }
    }
}
