//! Futures that acquire (feature `async`).
//!
//! They belong to no runtime: any executor will do, and so will a mixture of tasks and blocked
//! threads on the same lock. A future enters the lock when it is first polled, not when it is made.
//! From then on it has its place among those that wait.
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
//! There are no timed futures: let the executor's own timer drop the future,
//! `tokio::time::timeout(soon, lock.write_async(..))` say.
//!
//! # Cancel safety
//!
//! A future may be dropped at any time. If it waits, its request is withdrawn, and those that
//! waited for it, and for nothing else, are let in; if it has been granted and not yet polled, the
//! range is handed on. The place in the queue is lost: a future made anew enters behind all that
//! wait.
//!
//! # A granted future that is not polled
//!
//! A future that waits is granted its range by the release that lets it in, not by the next poll.
//! From then on it holds the range, also while it is not polled. A task that keeps such a future
//! alive and awaits something else that needs the range waits for itself. `select!` on `&mut
//! future` does so easily. Poll the future to its end, or drop it.
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
//! Wakers are woken, cloned and dropped with none of the lock's own locks held, so they may call
//! back into the lock. They should not *wait* for a range. One release wakes the requests that it
//! lets in one after the other. A waker that waits for one of them keeps it asleep.
//!
//! A waker may panic when it is woken, cloned or dropped. Every request keeps its owner then: no
//! range is left locked, and every other task that the same call lets in is woken. Afterwards the
//! panic goes on in the thread whose call it was, which may be a release, a time-out, or the entry
//! of another request. If several wakers panic in one call, the first panic goes on. If the thread
//! is unwinding already, a release swallows the panics.
//!
//! A call that unwinds has done its work as far as others see. A request that was entering is
//! withdrawn, a guard that was passed by value is released, and a guard that was passed by
//! reference holds what the call was to leave it.

// It hands on the futures of `futures` and of `data`.
pub use crate::data::{
    ReadElements, ReadElementsArc, UpgradableReadElements, UpgradableReadElementsArc, UpgradeElements,
    UpgradeElementsArc, WriteElements, WriteElementsArc,
};
pub use crate::futures::{
    AcquireMany, AcquireManyArc, Read, ReadArc, UpgradableRead, UpgradableReadArc, UpgradeRead,
    UpgradeReadArc, WaitUntilFree, Write, WriteArc,
};
