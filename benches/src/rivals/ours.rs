//! Our lock, in the shapes that its builder gives it.

use std::marker::PhantomData;
use std::ops::Range;

use range_lock::{RangeLock, RangeReadGuard, RangeWriteGuard};

use crate::rival::{Rival, Scope, User};

/// How our lock is built.
pub trait Shape: Send + Sync + 'static {
    /// The lock's name in this shape.
    const NAME: &'static str;
    /// Builds the lock.
    fn build() -> RangeLock;
}

/// `RangeLock::new()`.
#[derive(Debug)]
pub struct AsItComes;

impl Shape for AsItComes {
    const NAME: &'static str = "range-lock";
    fn build() -> RangeLock {
        RangeLock::new()
    }
}

/// Never split: one leaf under one mutex.
#[derive(Debug)]
pub struct OneLeaf;

impl Shape for OneLeaf {
    const NAME: &'static str = "range-lock (one leaf)";
    fn build() -> RangeLock {
        RangeLock::builder().max_leaves(1).build()
    }
}

/// Newcomers may pass sleeping requests, each of them up to 1024 times.
#[derive(Debug)]
pub struct Bypass;

impl Shape for Bypass {
    const NAME: &'static str = "range-lock (bypass)";
    fn build() -> RangeLock {
        RangeLock::builder().bypass(1024).build()
    }
}

/// Our lock in one of its shapes.
#[derive(Debug)]
pub struct Ours<S>(RangeLock, PhantomData<S>);

impl<S: Shape> Rival for Ours<S> {
    const NAME: &'static str = S::NAME;
    const SCOPE: Scope = Scope::Exact;
    const SHARED: bool = true;
    type User<'a> = &'a RangeLock;

    fn new() -> Self {
        Ours(S::build(), PhantomData)
    }

    fn user(&self) -> &RangeLock {
        &self.0
    }
}

impl<'l> User for &'l RangeLock {
    type Read<'a>
        = RangeReadGuard<'l>
    where
        Self: 'a;
    type Write<'a>
        = RangeWriteGuard<'l>
    where
        Self: 'a;

    #[inline]
    fn read(&self, range: Range<u64>) -> RangeReadGuard<'l> {
        RangeLock::read(self, range)
    }

    #[inline]
    fn write(&self, range: Range<u64>) -> RangeWriteGuard<'l> {
        RangeLock::write(self, range)
    }

    #[inline]
    fn write_whole(&self) -> RangeWriteGuard<'l> {
        RangeLock::write(self, ..)
    }
}
