//! The range locks on crates.io. Both are exclusive, and need a vector to guard: here a vector of
//! elements without size.

use std::hint;
use std::ops::Range;
use std::sync::TryLockError;
use std::thread;

use range_lock_0_2::{VecRangeLock, VecRangeLockGuard};
use range_mutex::{RangeMutex, RangeMutexGuard};

use crate::rival::{DOMAIN, Rival, Scope, User};

/// As long as the domain, and no bytes.
fn nothing() -> Vec<()> {
    Vec::from([(); DOMAIN as usize])
}

#[inline]
fn indices(range: Range<u64>) -> Range<usize> {
    range.start as usize..range.end as usize
}

/// `range-lock` 0.2.4, which can only try. So a thread that waits tries again, a few times at once
/// and then after a yield.
#[derive(Debug)]
pub struct RangeLock02(VecRangeLock<()>);

impl Rival for RangeLock02 {
    const NAME: &'static str = "range-lock 0.2.4";
    const SCOPE: Scope = Scope::Exact;
    const SHARED: bool = false;
    type User<'a> = &'a RangeLock02;

    fn new() -> Self {
        RangeLock02(VecRangeLock::new(nothing()))
    }

    fn user(&self) -> &RangeLock02 {
        self
    }
}

impl<'l> User for &'l RangeLock02 {
    type Read<'a>
        = VecRangeLockGuard<'l, ()>
    where
        Self: 'a;
    type Write<'a>
        = VecRangeLockGuard<'l, ()>
    where
        Self: 'a;

    #[inline]
    fn read(&self, range: Range<u64>) -> VecRangeLockGuard<'l, ()> {
        self.write(range)
    }

    #[inline]
    fn write(&self, range: Range<u64>) -> VecRangeLockGuard<'l, ()> {
        const TRIES: u32 = 10;
        let mut tries = 0;
        loop {
            match self.0.try_lock(indices(range.clone())) {
                Ok(guard) => return guard,
                Err(TryLockError::Poisoned(_)) => panic!("nothing panics under the lock's own mutex"),
                Err(TryLockError::WouldBlock) if tries < TRIES => hint::spin_loop(),
                Err(TryLockError::WouldBlock) => thread::yield_now(),
            }
            tries += 1;
        }
    }

    #[inline]
    fn write_whole(&self) -> VecRangeLockGuard<'l, ()> {
        self.write(0..DOMAIN)
    }
}

/// `range-mutex` 0.1.7.
pub struct RangeMutex01(RangeMutex<(), Vec<()>>);

impl std::fmt::Debug for RangeMutex01 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RangeMutex01").finish_non_exhaustive()
    }
}

impl Rival for RangeMutex01 {
    const NAME: &'static str = "range-mutex 0.1.7";
    const SCOPE: Scope = Scope::Exact;
    const SHARED: bool = false;
    const MOST_HELD: usize = 20_000; // Taking 100,000 takes seconds.
    type User<'a> = &'a RangeMutex01;

    fn new() -> Self {
        RangeMutex01(RangeMutex::new(nothing()))
    }

    fn user(&self) -> &RangeMutex01 {
        self
    }
}

impl<'l> User for &'l RangeMutex01 {
    type Read<'a>
        = RangeMutexGuard<'l, ()>
    where
        Self: 'a;
    type Write<'a>
        = RangeMutexGuard<'l, ()>
    where
        Self: 'a;

    #[inline]
    fn read(&self, range: Range<u64>) -> RangeMutexGuard<'l, ()> {
        self.write(range)
    }

    #[inline]
    fn write(&self, range: Range<u64>) -> RangeMutexGuard<'l, ()> {
        self.0.lock(indices(range))
    }

    #[inline]
    fn write_whole(&self) -> RangeMutexGuard<'l, ()> {
        self.write(0..DOMAIN)
    }
}
