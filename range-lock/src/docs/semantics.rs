//! The rules by which requests conflict and are granted, and the promises of each method.
//!
//! # Spans
//!
//! A range is any `RangeBounds<u64>`. The lock turns a range into a *span*, a closed interval
//! `first..=last`. So `..` is the whole domain, which includes `u64::MAX`. The caller decides what
//! a point stands for (a byte, a page, a key), and how to round offsets to points. Lock all points
//! that you use, and few others.
//!
//! * An empty range (`5..5`, `5..=4`) has no span. A request for an empty range is granted
//!   immediately, and conflicts with no request. The guard of an empty range releases nothing.
//! * A call with an inverted range (`7..3`) panics, as indexing a slice with this range does. The
//!   message names both ends.
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
//! A request has a span and a [`Mode`](crate::Mode). Two requests *conflict* when their spans share
//! a point and their modes are not compatible. Readers are compatible with readers and with an
//! upgradable reader. All other pairs of modes conflict. The lock has no false conflicts: only the
//! spans and the modes of two requests decide whether the requests conflict.
//!
//! A thread that holds a range must not block on another range of the same lock: see
//! [Deadlocks](crate::RangeLock#deadlocks).
//!
//! # Admission
//!
//! **A request is granted when no earlier conflicting request is held or waits.** The request that
//! entered first is the earlier request. Four properties follow from this rule:
//!
//! * A request that conflicts with no request in the lock is granted as soon as it has entered. To
//!   enter, its thread takes a short internal mutex. [`fairness`](super::fairness) has the bound of
//!   the wait for the mutex.
//! * Conflicting requests are granted first come, first served.
//! * A waiting writer keeps later readers out of its whole range, even out of parts that no request
//!   holds yet.
//! * Disjoint requests never wait for each other directly. A request can wait for a disjoint
//!   request through a third request, which overlaps both and waits. So a thread that holds one
//!   range and blocks on a disjoint range can deadlock: see
//!   [Deadlocks](crate::RangeLock#deadlocks).
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
//! Each of these methods takes a short internal mutex. Dropping a guard also takes the mutex. The
//! thread may sleep while it waits for the mutex, even in a method that waits for no request.
//! [`fairness`](super::fairness#the-guarantee) has the bound of the wait.
//!
//! No method widens a held range, because two threads with neighbouring ranges could deadlock if
//! both threads widened their ranges. Release the range and ask for the larger range, or ask for
//! the larger range first.
//!
//! # Giving up
//!
//! A request that times out, or whose future is dropped, is withdrawn. A withdrawn request no
//! longer keeps out later requests, and nothing else changes. A request may be granted at the
//! moment when it gives up. Then a timed method keeps the grant and returns the guard. A dropped
//! future releases the range to the next request. The grant is never lost.
//!
//! # Guards
//!
//! Only a guard can unlock. A guard releases exactly the range that it holds. Two readers of the
//! same range have two guards. When one guard is dropped, the other guard still holds the range.
//! Guards are `Send`. So an I/O completion on another thread may drop a guard. The lock has no
//! poisoning: a panic drops the guard, which unlocks the range.
//!
//! `let _ = lock.write(0..10)` drops the guard at once, which unlocks the range. The compiler does
//! not warn. `let _guard =` keeps the range locked until the end of the block. The same rule holds
//! for the result of a `try_` method.
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
//! A leaked guard keeps its range locked, and has no other effect.
//! [`undo_leak`](crate::RangeLock::undo_leak) releases the ranges of leaked guards.
//!
//! # Not offered
//!
//! Users of other range locks have asked for features that this lock does not have. Each item has
//! the reason, and a replacement.
//!
//! * **Owners.** The requests of one owner, such as a process in POSIX and SMB locks or a
//!   transaction, would not conflict with each other. The lock would have to compare owners
//!   whenever it examines an entry. Instead, keep a table of the ranges of each owner. An owner
//!   looks in this table before it asks the lock.
//! * **Group modes**, such as writers that share with writers. The lock has three fixed modes. If
//!   there are two groups, and one of them is exclusive, use `write` for the exclusive group and
//!   `read` for the other group.
//! * **Keys that are not numbers**, such as byte strings. A search in a leaf compares two words.
//!   With byte strings the search would have to compare two allocations. Instead, number the keys
//!   in order. Or lock a hash of each key with [`point`](crate::point), and accept that keys with
//!   the same hash conflict.
//! * **Bounded memory, or escalation** to larger ranges. Only the caller knows which ranges may
//!   become one range. Instead, count the guards. At a limit, release the guards and ask for the
//!   larger range.
//! * **A method that waits for writers but fails if a reader holds the range.** A request has one
//!   place in one queue, and waits in this queue for all earlier conflicting requests. Instead,
//!   call `try_write`, and call [`wait_until_free`](crate::RangeLock::wait_until_free) in mode
//!   `Read` before the next try.
//! * **An empty range that conflicts** with the ranges around it, as in SMB. An empty range shares
//!   no point with any other range. Lock one point instead.
//! * **Cycles through tasks**, in module `deadlock`. The lock does not know which task holds a
//!   guard that was moved. Use timers instead.
//! * **An empty guard**, to be filled later. Use an `Option` of a guard. A request for `n..n` also
//!   returns a guard that holds nothing.
//! * **A guard that returns its lock**, `guard.lock()`. If the elements of a
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
