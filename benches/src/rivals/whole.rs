//! One lock for everything, as `i_rwsem` is for a file: the lock that a range lock is meant to
//! replace.

use std::hint::black_box;
use std::ops::Range;
use std::sync::PoisonError;

use crate::rival::{Rival, Scope, User};

macro_rules! whole_lock {
    ($(#[$doc:meta])* $adapter:ident, $name:literal, shared: $shared:literal, $lock:ty, $read:ty, $write:ty,
     |$this:ident| $do_read:expr, $do_write:expr) => {
        $(#[$doc])*
        #[derive(Debug, Default)]
        pub struct $adapter($lock);

        impl Rival for $adapter {
            const NAME: &'static str = $name;
            const SCOPE: Scope = Scope::Whole;
            const SHARED: bool = $shared;
            type User<'a> = &'a $adapter;

            fn new() -> Self {
                Self::default()
            }

            fn user(&self) -> &$adapter {
                self
            }
        }

        impl<'l> User for &'l $adapter {
            type Read<'a>
                = $read
            where
                Self: 'a;
            type Write<'a>
                = $write
            where
                Self: 'a;

            #[inline]
            fn read(&self, range: Range<u64>) -> $read {
                black_box(range); // It is computed for all alike.
                let $this = &self.0;
                $do_read
            }

            #[inline]
            fn write(&self, range: Range<u64>) -> $write {
                black_box(range);
                self.write_whole()
            }

            #[inline]
            fn write_whole(&self) -> $write {
                let $this = &self.0;
                $do_write
            }
        }
    };
}

whole_lock!(
    /// `parking_lot::RwLock`, to which ratios are taken.
    ParkingLotRwLock, "parking_lot::RwLock", shared: true, parking_lot::RwLock<()>,
    parking_lot::RwLockReadGuard<'l, ()>, parking_lot::RwLockWriteGuard<'l, ()>, |lock| lock.read(), lock.write()
);

whole_lock!(
    /// `std::sync::RwLock`.
    StdRwLock, "std::sync::RwLock", shared: true, std::sync::RwLock<()>,
    std::sync::RwLockReadGuard<'l, ()>, std::sync::RwLockWriteGuard<'l, ()>,
    |lock| lock.read().unwrap_or_else(PoisonError::into_inner), lock.write().unwrap_or_else(PoisonError::into_inner)
);

whole_lock!(
    /// `parking_lot::Mutex`.
    ParkingLotMutex, "parking_lot::Mutex", shared: false, parking_lot::Mutex<()>,
    parking_lot::MutexGuard<'l, ()>, parking_lot::MutexGuard<'l, ()>, |lock| lock.lock(), lock.lock()
);
