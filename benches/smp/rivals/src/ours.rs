//! `range-lock`, in the shapes that its builder gives it.

use std::marker::PhantomData;
use std::ops::Range;

use range_lock::{__private, RangeLock, RangeReadGuard, RangeWriteGuard};

use crate::lock::{Lock, Order, PAGE, Setup};

/// How the lock is built.
pub trait Shape: Send + Sync + 'static {
    /// The lock's name in this shape.
    const NAME: &'static str;
    /// What it is, in one line.
    const WHAT: &'static str;
    /// The order of grants.
    const ORDER: Order = Order::Fifo;
    /// Builds the lock.
    fn build(setup: &Setup) -> RangeLock;
}

/// `RangeLock::new()`.
#[derive(Debug)]
pub struct AsItComes;

impl Shape for AsItComes {
    const NAME: &'static str = "range-lock";
    const WHAT: &'static str = "RangeLock::new(), which starts as one leaf";
    fn build(_: &Setup) -> RangeLock {
        RangeLock::new()
    }
}

/// `RangeLock::new()`, split evenly into as many leaves as it may have.
#[derive(Debug)]
pub struct Cut;

impl Shape for Cut {
    const NAME: &'static str = "range-lock+cut";
    const WHAT: &'static str = "the same, cut evenly over the workload's domain before it starts";
    fn build(setup: &Setup) -> RangeLock {
        let lock = RangeLock::new();
        let pages = (setup.domain / PAGE).max(1);
        let mut parts = 1;
        // Twice as many parts each time. A split that finds all leaves in use adds none.
        while parts < pages {
            for n in 0..parts {
                let before = __private::parts(&lock);
                __private::cut(&lock, (pages * (2 * n + 1) / (2 * parts)) * PAGE);
                if __private::parts(&lock) == before {
                    return lock;
                }
            }
            parts *= 2;
        }
        lock
    }
}

/// Never split: one leaf under one mutex.
#[derive(Debug)]
pub struct OneLeaf;

impl Shape for OneLeaf {
    const NAME: &'static str = "one-leaf";
    const WHAT: &'static str = "range-lock with max_leaves(1): one tree under one mutex";
    fn build(_: &Setup) -> RangeLock {
        RangeLock::builder().max_leaves(1).build()
    }
}

/// Newcomers may pass sleeping requests, each of them up to 1024 times.
#[derive(Debug)]
pub struct Bypass;

impl Shape for Bypass {
    const NAME: &'static str = "bypass";
    const WHAT: &'static str = "range-lock with bypass(1024)";
    const ORDER: Order = Order::Any;
    fn build(_: &Setup) -> RangeLock {
        RangeLock::builder().bypass(1024).build()
    }
}

/// `range-lock` in one of its shapes.
#[derive(Debug)]
pub struct Ours<S>(RangeLock, PhantomData<S>);

impl<S: Shape> Lock for Ours<S> {
    const NAME: &'static str = S::NAME;
    const WHAT: &'static str = S::WHAT;
    const ORDER: Order = S::ORDER;
    const SHARED: bool = true;
    const MOST_HELD: usize = usize::MAX;
    const NOTES: &'static [&'static str] = &[
        "cuts of a leaf",
        "joins of leaves by a request that crosses them",
        "joins of leaves for the cut of another",
    ];
    type Read<'a> = RangeReadGuard<'a>;
    type Write<'a> = RangeWriteGuard<'a>;

    fn new(setup: &Setup) -> Self {
        Ours(S::build(setup), PhantomData)
    }

    #[inline]
    fn read(&self, _: usize, range: Range<u64>) -> RangeReadGuard<'_> {
        self.0.read(range)
    }

    #[inline]
    fn write(&self, _: usize, range: Range<u64>) -> RangeWriteGuard<'_> {
        self.0.write(range)
    }

    #[cfg(range_lock_smp)]
    fn parts(&self, visit: &mut dyn FnMut(usize, usize, &'static str, usize)) {
        __private::smp::layout(&self.0, visit);
    }
}
