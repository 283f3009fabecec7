//! `range-mutex` 0.1.7 of crates.io. It is exclusive and guards a vector, here a vector of no
//! bytes.

use std::fmt;
use std::ops::Range;

use range_mutex::{RangeMutex, RangeMutexGuard};

use crate::lock::{Lock, Order, Setup};

/// `range-mutex` 0.1.7.
pub struct RangeMutex01(RangeMutex<(), Vec<()>>);

impl fmt::Debug for RangeMutex01 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RangeMutex01")
    }
}

const DOMAIN: usize = 1 << 48;

impl Lock for RangeMutex01 {
    const NAME: &'static str = "range-mutex";
    const WHAT: &'static str = "range-mutex 0.1.7 of crates.io, exclusive";
    const ORDER: Order = Order::Any;
    const SHARED: bool = false;
    const MOST_HELD: usize = 20_000;
    type Read<'a> = RangeMutexGuard<'a, ()>;
    type Write<'a> = RangeMutexGuard<'a, ()>;

    fn new(_: &Setup) -> Self {
        RangeMutex01(RangeMutex::new(Vec::from([(); DOMAIN])))
    }

    fn read(&self, me: usize, range: Range<u64>) -> RangeMutexGuard<'_, ()> {
        self.write(me, range)
    }

    fn write(&self, _: usize, range: Range<u64>) -> RangeMutexGuard<'_, ()> {
        self.0.lock(range.start as usize..(range.end as usize).min(DOMAIN))
    }
}
