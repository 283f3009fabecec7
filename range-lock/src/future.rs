//! Futures that acquire (feature `async`).
//!
//! The futures work with any executor. Tasks and blocked threads may use the same lock. The request
//! of a future enters the lock when the future is first polled. From then on the request has a
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
//! A future and its guard borrow the lock. A task that owns a share of the lock, such as an
//! `Arc<RangeLock>` that it captured, may use both. If the guard goes to another task or thread, as
//! into `spawn_blocking`, use the forms with `arc`, such as
//! [`write_arc_async`](crate::RangeLock::write_arc_async).
//!
//! The crate has no timed futures. Instead, a timer of the executor can drop the future, as in
//! `tokio::time::timeout(soon, lock.write_async(..))`.
//!
//! # Cancel safety
//!
//! A future may be dropped at any time:
//!
//! * If the future waits, its request is withdrawn, and the requests that waited only for this
//!   request are granted.
//! * If the request has been granted and the future has not been polled since, the range is
//!   released to the next request.
//!
//! In both cases the request loses its place in the queue. A new future enters behind all waiting
//! requests.
//!
//! # A granted future that is not polled
//!
//! A release grants a waiting future its range immediately, before the executor polls the future.
//! From then on the future holds the range, even if it is not polled. A task must not keep a
//! granted future alive while the task awaits an event that needs the range. Otherwise the task
//! waits for itself. `select!` on `&mut future` easily leads to this deadlock. Poll the future to
//! its end, or drop the future.
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
//! The lock wakes, clones and drops wakers while it holds none of its own mutexes. So wakers may
//! call back into the lock. A waker should not *wait* for a range. If a release grants several
//! requests, it wakes them up one after the other. If a waker waits for one of these requests, the
//! waker keeps this request asleep.
//!
//! A waker may panic when it is woken, cloned or dropped. Such a panic leaves no range locked
//! without an owner. If a waker panics in a call, the call still wakes up all other tasks that it
//! has granted. Then the call resumes the panic. The call may be a release, a timeout, or the entry
//! of another request. If several wakers panic in one call, the call resumes the first panic. If
//! the thread is already unwinding, a release swallows the panics.
//!
//! If a call unwinds because a waker has panicked, the call has still completed its work. Other
//! threads find this state:
//!
//! * A request that was entering is withdrawn.
//! * A guard that was passed by value is released.
//! * A guard that was passed by reference holds the same range as after a call without a panic.

// It hands on the futures of `futures` and of `data`.
pub use crate::data::{
    ReadElements, ReadElementsArc, UpgradableReadElements, UpgradableReadElementsArc, UpgradeElements,
    UpgradeElementsArc, WriteElements, WriteElementsArc,
};
pub use crate::futures::{
    AcquireMany, AcquireManyArc, Read, ReadArc, UpgradableRead, UpgradableReadArc, UpgradeRead,
    UpgradeReadArc, WaitUntilFree, Write, WriteArc,
};
