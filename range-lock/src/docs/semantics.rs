//! The rules by which requests conflict, the rule by which the lock grants requests, and the
//! promises of the methods.
//!
//! # Spans
//!
//! A range is any `RangeBounds<u64>`. The numbers of type `u64` are the *points* of the lock's
//! domain. The lock turns a range that contains a point into a *span*, a closed interval
//! `first..=last`. The span of `..` is the whole domain, `0..=u64::MAX`. The caller decides what a
//! point stands for (a byte, a page, a key), and how to round offsets to points. Lock all points
//! that you use, and few other points.
//!
//! * An empty range (`5..5`, `5..=4`) has no span. The lock grants a request for an empty range
//!   immediately, and the request conflicts with no request. The guard of an empty range releases
//!   nothing.
//! * A call with an inverted range (`7..3`) panics, as indexing a slice with this range does. The
//!   message of the panic names both ends of the range.
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
//! A request for one range has a span and a [`Mode`](crate::Mode). Two requests *conflict* when
//! their spans share a point and their modes are not compatible. Mode `Read` is compatible with
//! `Read` and with `Upgradable`. No other pair of modes is compatible. A request for several ranges
//! has several spans, each with a mode. This request conflicts with another request if any of these
//! spans does. The lock has no false conflicts: only the spans and the modes of two requests decide
//! whether the requests conflict.
//!
//! A thread that holds a range must not block on another range of the same lock: see
//! [Deadlocks](crate::RangeLock#deadlocks).
//!
//! # Admission
//!
//! **The lock grants a request when no earlier conflicting request is held or waits.** Of two
//! requests, the request that entered first is the earlier request. Upgrades and
//! [`Builder::bypass`](crate::Builder::bypass) are the exceptions to this rule: see
//! [`fairness`](super::fairness). With a bypass, a new request passes waiting requests only if at
//! most 256 waiting [entries](super::internals#registrations) are in its way. Apart from these
//! exceptions, the rule has four consequences:
//!
//! * The lock grants a request that conflicts with no other request as soon as the request has
//!   entered. To enter, the thread of the request takes one or more internal mutexes for a short
//!   time. [`fairness`](super::fairness#the-guarantee) describes the wait for a mutex.
//! * The lock grants conflicting requests first come, first served.
//! * A waiting writer keeps later readers out of its whole range, even out of parts that no request
//!   holds yet.
//! * A request never waits directly for a disjoint request. A request can wait for a disjoint
//!   request through a third request, which waits and conflicts with both requests. So a thread
//!   that holds one range and blocks on a disjoint range can deadlock: see
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
//! In each of these methods except the `…_async` methods, a thread may take one or more internal
//! mutexes for a short time. A thread may also take the mutexes when it polls or drops a future,
//! and when it drops a guard. The thread may sleep while it waits for a mutex, even in a method
//! that waits for no request. [`fairness`](super::fairness#the-guarantee) describes the wait for a
//! mutex.
//!
//! No method widens a held range, because two threads with neighbouring ranges could deadlock if
//! both threads widened their ranges. Either release the range and then ask for the larger range,
//! or ask for the larger range from the start.
//!
//! # Giving up
//!
//! If a waiting request for a range times out, or a task drops the future of this request, the lock
//! withdraws the request. A withdrawn request no longer keeps out later requests, and nothing else
//! changes. The lock may grant a request at the moment when the request gives up. In this case a
//! timed method returns the guard, and the drop of a future releases the range. So no grant is
//! lost. The drop of the future of an upgrade also releases the range that the guard held.
//!
//! # Guards
//!
//! The lock has no unlock by range: a guard unlocks exactly what it holds. Two readers of the same
//! range have two guards. When a thread drops one guard, the other guard still holds the range. The
//! guards of a `RangeLock` are `Send`. So an I/O completion on another thread may drop a guard. The
//! lock has no poisoning: if a panic drops a guard, the guard unlocks its range as usual.
//!
//! `let _ = lock.write(0..10)` drops the guard at once, which unlocks the range. By default the
//! compiler does not warn. `let _guard = lock.write(0..10)` keeps the range locked until the end of
//! the block. `let _ =` also drops the guard in the result of a `try_` method at once:
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
//! A leaked guard keeps its range locked, and locks no other range.
//! [`undo_leak`](crate::RangeLock::undo_leak) releases the ranges of leaked guards.
//!
//! # Not offered
//!
//! Users of other range locks have asked for the features below. This lock does not have these
//! features. Each item has the reason, or a replacement, or both.
//!
//! * **Owners.** The requests of one owner, such as a transaction or a process (as in POSIX record
//!   locks), would not conflict with each other. The lock would have to compare owners whenever it
//!   compares two requests. Instead, keep a table of the ranges of each owner. An owner that needs
//!   a range looks in this table first, and then asks the lock.
//! * **Group modes**, such as writers that share with writers. The lock has three fixed modes. If
//!   there are two groups, and the requests of one group exclude each other, use `write` for this
//!   group and `read` for the other group.
//! * **Keys that are not numbers**, such as byte strings. Each step of a search in the lock
//!   compares two numbers. With byte strings the step would have to compare two allocations.
//!   Instead, number the keys in order. Or lock a hash of each key with [`point`](crate::point),
//!   and accept that keys with the same hash conflict.
//! * **Bounded memory, or escalation** to larger ranges. Only the caller knows which ranges may
//!   become one range. Instead, count the guards. At a limit, release the guards, and ask for one
//!   range that contains their ranges.
//! * **A method that waits for writers but fails if a reader holds the range.** A request waits for
//!   all earlier conflicting requests, of readers and of writers. Instead, call `try_write`, and
//!   call [`wait_until_free`](crate::RangeLock::wait_until_free) in mode `Read` before the next
//!   try.
//! * **An empty range that conflicts** with the ranges around it, as in SMB. An empty range shares
//!   no point with any other range. Lock one point instead.
//! * **Cycles through tasks**, in module `deadlock`. The lock does not know which task has a guard
//!   that a program has moved. Use timers instead.
//! * **An empty guard**, which a caller fills later. Use an `Option` of a guard. A request for
//!   `n..n` also returns a guard that holds nothing.
//! * **A guard that returns its lock**, `guard.lock()`. If the elements of a
//!   [`RangeRwLock`](crate::RangeRwLock) are `Sync` and not `Send`, threads may share a guard but
//!   not the lock. So a guard must not give access to its lock. Keep both the lock and the guard.
//! * **Keys or offsets of a separate type.** The type of each lock would have to name the type of
//!   its points. Use `u64` for all points.
//! * **Several ranges of a [`RangeRwLock`](crate::RangeRwLock)** as one request. The guard would
//!   give several slices. Instead, lock the smallest range that contains all these ranges, and
//!   split the slice. Or lock the first range, and lock the other ranges with `try_` methods: see
//!   [lock coupling](crate::docs::patterns#lock-coupling-b-trees).
//! * **A C interface.** C has no destructors, which would drop the guards. So a C interface would
//!   need a function that unlocks a range. This lock has no function of this kind.
