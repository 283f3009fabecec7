//! The control: no lock. It shows what the loop itself costs, and what a test of exclusion must
//! detect.

use std::hint::black_box;
use std::ops::Range;

use crate::rival::{Rival, Scope, User};

/// Excludes nothing.
#[derive(Debug)]
pub struct NoLock;

impl Rival for NoLock {
    const NAME: &'static str = "no lock";
    const SCOPE: Scope = Scope::Nothing;
    const SHARED: bool = true;
    type User<'a> = &'a NoLock;

    fn new() -> Self {
        NoLock
    }

    fn user(&self) -> &NoLock {
        self
    }
}

impl User for &NoLock {
    type Read<'a>
        = ()
    where
        Self: 'a;
    type Write<'a>
        = ()
    where
        Self: 'a;

    #[inline]
    fn read(&self, range: Range<u64>) {
        black_box(range);
    }

    #[inline]
    fn write(&self, range: Range<u64>) {
        black_box(range);
    }

    #[inline]
    fn write_whole(&self) {
        black_box(..);
    }
}
