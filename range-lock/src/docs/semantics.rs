//! Which requests conflict, when a request is granted, and what each method promises.
//!
//! # Spans
//!
//! A range is any `RangeBounds<u64>`. The lock turns a range into a *span*, a closed interval
//! `first..=last`. So `..` is the whole domain, which includes `u64::MAX`. The caller decides what
//! a point stands for (a byte, a page, a key), and how to round offsets to points. Lock all points
//! that you touch, and few others.
//!
//! * An empty range (`5..5`, `5..=4`) has no span. A request for it is granted immediately and
//!   conflicts with no request. Its guard releases nothing.
//! * An inverted range (`7..3`) panics, as an inverted range of a slice does. The message names
//!   both ends.
//!
//! ```
//! # let lock = range_lock::RangeLock::new();
//! let whole = lock.write(..);
//! assert_eq!(whole.range(), 0..=u64::MAX);
//! assert!(lock.try_write(5..5).is_some()); // Empty: conflicts with nothing.
//! ```
//!
//! # Modes
//!
//! A request asks for a span in a [`Mode`](crate::Mode). Two requests *conflict* when their spans
//! share a point and their modes are not compatible. Readers are compatible with readers and with
//! an upgradable reader. All other pairs of modes conflict. There are no false conflicts: only the
//! spans and the modes of two requests decide whether the requests conflict.
//!
//! A thread that holds a range must not block on another range of the same lock: see
//! [Deadlocks](crate::RangeLock#deadlocks).
//!
//! # Admission
//!
//! **A request is granted when no earlier conflicting request is held or waits.** The request that
//! entered first is the earlier one. Four properties follow:
//!
//! * A request that conflicts with no request in the lock is granted as soon as it has entered. To
//!   enter, its thread takes a short internal mutex. [`fairness`](super::fairness) has the bound of
//!   the wait for the mutex.
//! * Conflicting requests are granted first come, first served.
//! * A waiting writer keeps later readers out of its whole range, even out of parts that no request
//!   holds yet.
//! * Disjoint requests never wait for each other directly. One can wait for the other through a
//!   third request, which overlaps both and waits. So a thread that holds one range and blocks on a
//!   disjoint range can deadlock: see [Deadlocks](crate::RangeLock#deadlocks).
//!
//! ```
//! # use range_lock::RangeLock;
//! # let lock = RangeLock::new();
//! let reader = lock.read(0..10);
//! std::thread::scope(|scope| {
//!     let writer = scope.spawn(|| drop(lock.write(5..96)));
//!     while lock.requests().len() < 2 {
//!         std::thread::yield_now();
//!     }
//!     assert!(lock.try_read(0..5).is_some()); // Does not overlap the writer.
//!     assert!(lock.try_read(90..100).is_none()); // Does: a late reader does not pass it.
//!     drop(reader);
//!     writer.join().unwrap();
//! });
//! ```
//!
//! # The methods
//!
//! | method | promise |
//! |---|---|
//! | `read`, `write`, `upgradable_read` | returns when granted |
//! | `try_…` | grants or fails without waiting for a request, by the same rule: fails only if a conflicting request is held or waits |
//! | `try_…_for`, `try_…_until` | as the first row, with a time limit. Giving up leaves no trace. With a deadline that has passed, as `try_…` |
//! | `…_async` | as the first row, for tasks. Enters when first polled, may be dropped at any time |
//! | `acquire_many` | several ranges of several locks as one request |
//! | `wait_until_free` | returns when the conflicting requests that it found have left. Locks nothing, delays no request |
//! | `downgrade`, `downgrade_to_upgradable` | waits for no request, holds the range throughout, lets in readers and no writers |
//! | `upgrade` | waits for the readers that hold the range, passes requests that wait, is passed by no request |
//! | `shrink` | waits for no request, releases the rest |
//! | `split_at` | waits for no request, lets in no request |
//!
//! Each of these methods takes a short internal mutex, and so does dropping a guard. The thread may
//! sleep while it waits for the mutex, even in a method that waits for no request.
//! [`fairness`](super::fairness#the-guarantee) has the bound of the wait.
//!
//! No method widens a held range, because two threads with neighbouring ranges could deadlock if
//! both widened them. Release the range and ask for the larger range, or ask for the larger range
//! first.
//!
//! # Giving up
//!
//! A request that times out, or whose future is dropped, is withdrawn. It no longer keeps out later
//! requests, and nothing else changes. A request may be granted in the moment in which it gives up.
//! Then a timed method keeps the grant and returns the guard. A dropped future releases the range
//! to the next request. The grant is never lost.
//!
//! # Guards
//!
//! Only a guard can unlock, and it releases exactly what it holds. Two readers of the same range
//! have two guards. When one of them is dropped, the other still holds the range. Guards are
//! `Send`, so an I/O completion on another thread may drop them. There is no poisoning: a panic
//! drops the guard, which unlocks the range.
//!
//! `let _ = lock.write(0..10)` drops the guard at once, which unlocks the range. The compiler does
//! not warn. `let _guard =` keeps the range locked until the end of the block. The same is true of
//! the result of a `try_` method.
//!
//! ```
//! # let lock = range_lock::RangeLock::new();
//! if let Some(_guard) = lock.try_write(0..10) {
//!     assert!(lock.is_locked(0..10));
//! }
//! let _ = lock.try_write(0..10);
//! assert!(!lock.is_locked(0..10)); // Unlocked already.
//! ```
//!
//! A leaked guard keeps its range locked, and does no other harm.
//! [`undo_leak`](crate::RangeLock::undo_leak) forgets the requests of leaked guards.
//!
//! # Not offered
//!
//! Users of other range locks have asked for features that this lock does not have. Each item gives
//! the reason, and what to use instead.
//!
//! * **Owners.** The requests of one owner, such as a process in POSIX and SMB locks or a
//!   transaction, would not conflict with each other. The lock would have to compare owners
//!   whenever it looks at an entry. Keep a table beside the lock, of what each owner holds. An
//!   owner looks there before it asks the lock.
//! * **Group modes**, such as writers that share with writers. The lock has three fixed modes. If
//!   there are two groups, and one of them is exclusive, use `write` for the exclusive group and
//!   `read` for the other group.
//! * **Keys that are not numbers**, such as byte strings. A leaf compares two words. With byte
//!   strings it would have to compare two allocations. Number the keys in order. Or lock a hash of
//!   each key with [`point`](crate::point), and accept that keys with the same hash conflict.
//! * **Bounded memory, or escalation** to larger ranges. Only the caller knows which ranges may
//!   become one. Count the guards, release them at a limit, and ask for the larger range.
//! * **A method that waits for writers but fails if a reader holds the range.** A request has one
//!   place in one queue, and waits there for all earlier conflicting requests. Instead, call
//!   `try_write`, and call [`wait_until_free`](crate::RangeLock::wait_until_free) in mode `Read`
//!   before the next try.
//! * **An empty range that conflicts** with the ranges around it, as in SMB. An empty range shares
//!   no point with any other range. Lock one point instead.
//! * **Cycles through tasks**, in module `deadlock`. The lock does not know which task holds a
//!   guard that was moved. Use timers.
//! * **An empty guard**, to be filled later. Use an `Option` of a guard. A request for `n..n` also
//!   returns a guard that holds nothing.
//! * **The lock in a guard**, `guard.lock()`. If the elements of a
//!   [`RangeRwLock`](crate::RangeRwLock) are `Sync` and not `Send`, threads may share a guard but
//!   not the lock. So a guard must not give access to its lock. Keep both the lock and the guard.
//! * **Keys or offsets of a separate type.** The type of each lock would have to name the type of
//!   its points. Use `u64` for all points.
//! * **Several ranges of a [`RangeRwLock`](crate::RangeRwLock)** as one request. The guard would
//!   give several slices. Lock the smallest range that holds all of them, and split the slice. Or
//!   lock the first range, and try the others: see
//!   [lock coupling](crate::docs::patterns#lock-coupling-b-trees).
//! * **A C interface.** C has no destructors for guards, so a C interface would need an unlock by
//!   range. This lock has no unlock by range.
