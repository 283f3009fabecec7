//! Futures that acquire (feature `async`).
//!
//! The futures of this module work with any executor. Tasks and blocked threads may use the same
//! lock. The request of a future that acquires enters the lock at the first poll of the future.
//! Requests that enter later and conflict with this request wait for this request, with the
//! exceptions of [Fairness](crate::RangeLock#fairness).
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
//! An `…_async` method of [`RangeLock`](crate::RangeLock) without `arc` in its name, such as
//! [`write_async`](crate::RangeLock::write_async), returns a future that borrows the lock. If this
//! future returns a guard, the guard also borrows the lock. A task that owns an `Arc<RangeLock>`
//! may use this future and this guard. To send a guard to a task or thread that may outlive the
//! borrow, for example into `spawn_blocking`, use an `…_async` method with `arc` in its name, such
//! as [`write_arc_async`](crate::RangeLock::write_arc_async).
//!
//! The crate has no timed futures. Instead, let a timer of the executor drop the future, as in
//! `tokio::time::timeout(soon, lock.write_async(..))`. To end the wait of an upgrade and keep the
//! guard, use [`try_upgrade_async`](crate::RangeUpgradableReadGuard::try_upgrade_async) with a
//! timer.
//!
//! # Cancel safety
//!
//! A task may drop a future at any time. If the future acquires a range, the effect of the drop
//! depends on the future's request:
//!
//! * If the request has not entered, because no task has polled the future, the drop changes
//!   nothing in the lock.
//!
//! * If the request waits, the drop withdraws the request, and grants the requests that waited only
//!   for this request.
//! * If the lock has granted the request since the last poll, the drop releases the range, and
//!   grants the requests that waited only for this range.
//!
//! After the drop the request is not in the lock. If the task makes and polls a new future, the
//! request of the new future enters as the latest request. The drop of the future of an upgrade
//! releases the range that the guard held.
//!
//! # A granted future that is not polled
//!
//! A call that ends the wait of a future, such as a release, grants the future its range
//! immediately, before the executor polls the future. From then on the future holds the range, even
//! if no task polls the future. [`Builder::bypass`](crate::Builder::bypass) is an exception: with a
//! bypass, an upgrade or a limited number of requests may still pass the future before its next
//! poll.
//!
//! A task must not keep a granted future alive while the task awaits an event that needs the range.
//! Otherwise the task waits for itself. `select!` on `&mut future` easily leads to this deadlock.
//! Poll the future to its end, or drop the future.
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
//! A thread that wakes, clones or drops a waker for the lock holds none of the lock's mutexes. So a
//! waker may call methods of the lock. A waker should not *wait* for a range. If a release grants
//! several requests, the release wakes up their threads and tasks one after the other. If one of
//! the wakers waits, the release wakes up the remaining threads and tasks only after this wait.
//!
//! A waker may panic when a call wakes, clones or drops the waker. The panic leaves no range locked
//! without an owner. The call still wakes up the threads and tasks of all other requests that the
//! call has granted. Then the call resumes the panic. The call may be, for example, a release, a
//! timeout, or the entry of another request. If several wakers panic in one call, the call resumes
//! the first panic. If the thread is already unwinding, a release swallows the panics.
//!
//! A call that unwinds because a waker has panicked leaves this state:
//!
//! * If the call was entering a request, and the waker of another request has panicked, the
//!   entering request is no longer in the lock.
//! * If the call was a poll, and the waker of the polled task has panicked, no range of the future
//!   stays locked after the drop of the future.
//! * If the caller passed a guard by value, the range of the guard has been released. This is also
//!   true if the poll or the drop of `give_up`, which a task passes to `try_upgrade_async`, panics.
//! * If the caller passed a guard by reference, the guard holds the same range as after a call
//!   without a panic.

// It hands on the futures of `futures` and of `data`.
pub use crate::data::{
    ReadElements, ReadElementsArc, UpgradableReadElements, UpgradableReadElementsArc, UpgradeElements,
    UpgradeElementsArc, WriteElements, WriteElementsArc,
};
pub use crate::futures::{
    AcquireMany, AcquireManyArc, Read, ReadArc, UpgradableRead, UpgradableReadArc, UpgradeRead,
    UpgradeReadArc, WaitUntilFree, Write, WriteArc,
};
