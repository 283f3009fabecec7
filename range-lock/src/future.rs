//! Futures that acquire (feature `async`).
//!
//! The futures work with any executor. Tasks and blocked threads may use the same lock. A future
//! enters the lock when it is first polled, not when it is made. From then on its request has a
//! place in the queue.
//!
//! ```
//! use range_lock::RangeLock;
//!
//! async fn update(lock: &RangeLock) {
//!     let block = lock.write_async(4096..8192).await; // Other tasks run meanwhile.
//!     // ...
//!     drop(block);
//! }
//! # let lock = RangeLock::new();
//! # let mut future = std::pin::pin!(update(&lock));
//! # let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
//! # assert!(future.as_mut().poll(&mut cx).is_ready());
//! ```
//!
//! There are no timed futures. Let a timer of the executor drop the future, as in
//! `tokio::time::timeout(soon, lock.write_async(..))`.
//!
//! # Cancel safety
//!
//! A future may be dropped at any time. If the future waits, its request is withdrawn, and requests
//! that waited for this request alone are let in. If the future has been granted and not yet
//! polled, the range is released to the next request. The place in the queue is lost: a new future
//! enters behind all requests that wait.
//!
//! # A granted future that is not polled
//!
//! The release that lets a waiting future in also grants it the range, before the next poll. From
//! then on the future holds the range, also while it is not polled. A task must not keep such a
//! future alive while it awaits something that needs the range. Such a task waits for itself.
//! `select!` on `&mut future` easily leads to this. Poll the future to its end, or drop it.
//!
//! ```
//! # let lock = range_lock::RangeLock::new();
//! # let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
//! let holder = lock.write(0..10);
//! let mut future = Box::pin(lock.write_async(0..10));
//! assert!(future.as_mut().poll(&mut cx).is_pending());
//! drop(holder); // Grants the future its range.
//! assert!(lock.try_read(0..10).is_none()); // Held, although the future is not polled.
//! drop(future);
//! assert!(lock.try_read(0..10).is_some());
//! ```
//!
//! # Wakers
//!
//! The lock wakes, clones and drops wakers while it holds none of its own mutexes, so wakers may
//! call back into the lock. A waker should not *wait* for a range. One release wakes the requests
//! that it lets in one after the other. A waker that waits for one of these requests keeps that
//! request asleep.
//!
//! A waker may panic when it is woken, cloned or dropped. Every request keeps its owner then. No
//! range is left locked, and every other task that the same call lets in is woken. Afterwards the
//! panic goes on in the thread that made the call. The call may be a release, a time-out, or the
//! entry of another request. If several wakers panic in one call, the first panic goes on. If the
//! thread is unwinding already, a release swallows the panics.
//!
//! For other threads, a call that unwinds has done its work. A request that was entering is
//! withdrawn. A guard that was passed by value is released. A guard that was passed by reference
//! holds what it would hold after the call.

// It hands on the futures of `futures` and of `data`.
pub use crate::data::{
    ReadElements, ReadElementsArc, UpgradableReadElements, UpgradableReadElementsArc, UpgradeElements,
    UpgradeElementsArc, WriteElements, WriteElementsArc,
};
pub use crate::futures::{
    AcquireMany, AcquireManyArc, Read, ReadArc, UpgradableRead, UpgradableReadArc, UpgradeRead,
    UpgradeReadArc, WaitUntilFree, Write, WriteArc,
};
