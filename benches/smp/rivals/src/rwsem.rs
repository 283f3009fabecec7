//! One reader/writer lock for everything, as `i_rwsem` is for a file.

use std::ops::Range;

use parking_lot::{RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::lock::{Lock, Order, Setup};

/// `parking_lot::RwLock`.
#[derive(Debug)]
pub struct RwSem(RwLock<()>);

impl Lock for RwSem {
    const NAME: &'static str = "rwsem";
    const WHAT: &'static str = "parking_lot::RwLock for the whole domain";
    const ORDER: Order = Order::Any;
    const SHARED: bool = true;
    const MOST_HELD: usize = 1;
    type Read<'a> = RwLockReadGuard<'a, ()>;
    type Write<'a> = RwLockWriteGuard<'a, ()>;

    fn new(_: &Setup) -> Self {
        RwSem(RwLock::new(()))
    }

    #[inline]
    fn read(&self, _: usize, _: Range<u64>) -> RwLockReadGuard<'_, ()> {
        self.0.read()
    }

    #[inline]
    fn write(&self, _: usize, _: Range<u64>) -> RwLockWriteGuard<'_, ()> {
        self.0.write()
    }
}
