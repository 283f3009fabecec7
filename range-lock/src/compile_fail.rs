//! What must not compile: misuse that the types and lifetimes rule out. Only `rustdoc` looks at it,
//! and runs each as a test. The error that is expected is named, so that none passes for another
//! reason; the nightly `rustdoc` checks that too.
//!
//! A guard borrows the lock, and cannot outlive it.
//!
//! ```compile_fail,E0597
//! let guard = {
//!     let lock = range_lock::RangeLock::new();
//!     lock.read(..)
//! };
//! drop(guard);
//! ```
//!
//! ```compile_fail,E0597
//! let both = {
//!     let lock = range_lock::RangeLock::new();
//!     range_lock::RangeLock::acquire_many([range_lock::Request::read(&lock, ..)])
//! };
//! drop(both);
//! ```
//!
//! A thread that may outlive the lock cannot have a guard that borrows it.
//!
//! ```compile_fail,E0597
//! let lock = range_lock::RangeLock::new();
//! let guard = lock.write(..);
//! std::thread::spawn(move || drop(guard));
//! ```
//!
//! Nothing is forgotten while a guard is alive.
//!
//! ```compile_fail,E0502
//! let mut lock = range_lock::RangeLock::new();
//! let guard = lock.read(..);
//! lock.undo_leak();
//! drop(guard);
//! ```
//!
//! A guard that has been changed is used up.
//!
//! ```compile_fail,E0382
//! let lock = range_lock::RangeLock::new();
//! let writer = lock.write(..);
//! let reader = range_lock::RangeWriteGuard::downgrade(writer);
//! drop(writer);
//! ```
//!
//! A plain reader cannot be upgraded. Only an upgradable reader can.
//!
//! ```compile_fail,E0308
//! let lock = range_lock::RangeLock::new();
//! range_lock::RangeUpgradableReadGuard::upgrade(lock.read(..));
//! ```
//!
//! A try that failed gives nothing to unlock (OpenZFS 0daa0320e9), and there is no unlock by range
//! (PhotonLibOS issue 1626).
//!
//! ```compile_fail,E0308
//! let lock = range_lock::RangeLock::new();
//! range_lock::RangeWriteGuard::downgrade(lock.try_write(0..1)); // An `Option` is not a guard.
//! ```
//!
//! ```compile_fail,E0599
//! range_lock::RangeLock::new().unlock(0..1);
//! ```
//!
//! A guard cannot be made or copied by hand.
//!
//! ```compile_fail,E0599
//! let lock = range_lock::RangeLock::new();
//! let guard = lock.write(..);
//! let other = guard.clone();
//! ```
//!
//! # The lock that owns the data
//!
//! The data is not given back, nor reached without locking, while a guard is alive.
//!
//! ```compile_fail,E0505
//! let lock = range_lock::RangeRwLock::new(vec![1, 2, 3]);
//! let guard = lock.read(..);
//! lock.into_inner();
//! drop(guard);
//! ```
//!
//! ```compile_fail,E0502
//! let mut lock = range_lock::RangeRwLock::new(vec![1, 2, 3]);
//! let guard = lock.read(..);
//! lock.get_mut();
//! drop(guard);
//! ```
//!
//! The slice that a guard gives does not outlive the guard.
//!
//! ```compile_fail,E0505
//! let lock = range_lock::RangeRwLock::new(vec![1, 2, 3]);
//! let guard = lock.read(..);
//! let slice: &[i32] = &guard;
//! drop(guard);
//! assert_eq!(slice[0], 1);
//! ```
//!
//! ```compile_fail,E0505
//! let lock = range_lock::RangeRwLock::new(vec![1, 2, 3]);
//! let mut guard = lock.write(..);
//! let slice: &mut [i32] = &mut guard;
//! drop(guard);
//! slice[0] = 1;
//! ```
//!
//! Nor does the storage outlive what it borrows.
//!
//! ```compile_fail,E0597
//! let lock = {
//!     let mut array = [1, 2, 3];
//!     range_lock::RangeRwLock::new(&mut array[..])
//! };
//! lock.read(..);
//! ```
//!
//! Readers do not write.
//!
//! ```compile_fail,E0594
//! let lock = range_lock::RangeRwLock::new(vec![1, 2, 3]);
//! lock.read(..)[0] = 4;
//! ```
//!
//! ```compile_fail,E0594
//! let lock = range_lock::RangeRwLock::new(vec![1, 2, 3]);
//! lock.upgradable_read(..)[0] = 4;
//! ```
//!
//! What may not be sent is not sent by being locked.
//!
//! ```compile_fail,E0277
//! let lock = range_lock::RangeRwLock::new(vec![std::rc::Rc::new(1)]);
//! std::thread::spawn(move || drop(lock));
//! ```
//!
//! ```compile_fail,E0277
//! let lock = range_lock::RangeRwLock::new(vec![std::rc::Rc::new(1)]);
//! std::thread::scope(|scope| {
//!     scope.spawn(|| drop(lock.read(..)));
//! });
//! ```
//!
//! Elements that must not be shared can be locked for writing, by a guard that may be sent, but not
//! for reading.
//!
//! ```compile_fail,E0277
//! use std::cell::Cell;
//!
//! let lock = range_lock::RangeRwLock::new(vec![Cell::new(1)]);
//! lock.read(..);
//! ```
//!
//! Nor does a writer that is sent away become a reader there.
//!
//! ```compile_fail,E0277
//! use std::cell::Cell;
//! use range_lock::{RangeRwLock, RangeRwLockWriteGuard};
//!
//! let lock = RangeRwLock::new(vec![Cell::new(1)]);
//! let writer = lock.write(..);
//! std::thread::scope(|scope| {
//!     scope.spawn(move || RangeRwLockWriteGuard::downgrade(writer)[0].set(2));
//! });
//! ```
//!
//! A part that a guard was mapped to does not outlive the guard.
//!
//! ```compile_fail,E0505
//! use range_lock::{RangeRwLock, RangeRwLockReadGuard};
//!
//! let lock = RangeRwLock::new(vec![1, 2, 3]);
//! let guard = RangeRwLockReadGuard::map(lock.read(..), |elements| &elements[0]);
//! let part: &i32 = &guard;
//! drop(guard);
//! assert_eq!(*part, 1);
//! ```
//!
//! What the storage borrows is not used while a guard is alive.
//!
//! ```compile_fail,E0506
//! let mut array = [1, 2, 3];
//! let lock = range_lock::RangeRwLock::new(&mut array);
//! let guard = lock.read(..);
//! array[0] = 2;
//! drop(guard);
//! ```
