//! What exactly conflicts, what is granted when, and what each verb promises.
//!
//! # Spans
//!
//! A range is any `RangeBounds<u64>`. The lock turns a range into a *span*, a closed interval
//! `first..=last`. So `..` is the whole domain, with `u64::MAX` in it. The caller decides what a
//! point stands for (a byte, a page, a key), and how to round. Lock all that you touch, and not
//! much more.
//!
//! * An empty range (`5..5`, `5..=4`) has no span. It is granted at once, conflicts with nothing
//!   and releases nothing.
//! * An inverted range (`7..3`) panics, as it does for slices. The message has both ends.
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
//! share a point and their modes do not go together. Readers go together with readers and with an
//! upgradable reader. All other pairs of modes conflict. There are no false conflicts: whether two
//! requests conflict depends on their spans and their modes alone. A thread that holds a range must
//! not block on another range of the same lock: see [Deadlocks](crate::RangeLock#deadlocks).
//!
//! # Admission
//!
//! **A request is granted when no earlier conflicting request is held or waits.** A request is
//! earlier if it entered earlier. The rest follows:
//!
//! * A request that conflicts with nothing in the lock is granted as soon as it has entered.
//!   (Entering takes a short internal mutex. [`fairness`](super::fairness) has the bound of the
//!   wait for the mutex.)
//! * Conflicting requests are granted first come, first served.
//! * A waiting writer keeps later readers out of its whole range, also where no request holds a
//!   part of the range yet.
//! * Disjoint requests never wait for each other directly. They can wait for each other through a
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
//! # The verbs
//!
//! | verb | promise |
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
//! Each verb takes a short internal mutex. So does dropping a guard. The thread may sleep while it
//! waits for the mutex, whatever the verb. [`fairness`](super::fairness#the-guarantee) has the
//! bound.
//!
//! No verb widens a held range, because two neighbours that both widen their ranges could deadlock.
//! Release the range and ask again, or ask for the larger range first.
//!
//! # Giving up
//!
//! A request that times out, or whose future is dropped, is withdrawn. It no longer keeps out the
//! later requests that conflict with it, and nothing else changes. A request may be granted in the
//! moment in which it gives up. Then a timed verb keeps the grant and returns the guard, and a
//! dropped future releases the range to the next request. The grant is never lost.
//!
//! # Guards
//!
//! A guard is the only way to unlock, and releases exactly what it holds. Two readers of the same
//! range have two requests. When one of them leaves, the other still holds the range. Guards are
//! `Send`: an I/O completion on another thread may drop them. There is no poisoning: a panic drops
//! the guard and so unlocks the range.
//!
//! `let _ = lock.write(0..10)` drops the guard and so unlocks at once, and the compiler does not
//! warn. `let _guard =` keeps the range locked until the end of the block. The same holds for what
//! a `try_` verb returns.
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
//! [`undo_leak`](crate::RangeLock::undo_leak) forgets the request of a leaked guard.
//!
//! # Not offered
//!
//! This lock lacks the following features, which users of other range locks have asked for. Each
//! item gives the reason, and what to use instead.
//!
//! * **Owners** whose requests do not conflict with each other (POSIX and SMB locks, a
//!   transaction). The lock would have to compare owners whenever it looks at an entry. Keep a
//!   table of what each owner holds beside the lock. The owner looks there before it asks the lock.
//! * **Group modes**, such as writers that share with writers. The lock looks for conflicts by
//!   three fixed modes. If one of two groups is exclusive, let `write` stand for that group, and
//!   `read` for the other.
//! * **Keys that are byte strings**, or that are not numbers for another reason. A leaf compares
//!   two words where it would have to compare two allocations. Number the keys in order. Or lock a
//!   hash of each key with [`point`](crate::point), and accept that keys with the same hash
//!   conflict.
//! * **Bounded memory, or escalation** to larger ranges. Only the caller knows which ranges may be
//!   made one. Count the guards, and ask for the larger range anew.
//! * **A verb that fails if a reader is in and waits if a writer is in.** A request has one place
//!   in one queue. `try_write`, with [`wait_until_free`](crate::RangeLock::wait_until_free) in mode
//!   `Read` before the next try, comes near.
//! * **An empty range that conflicts** with what surrounds it, as in SMB. An empty range has no
//!   point in common with any other range. Lock one point instead.
//! * **Finding cycles that lead through tasks**, in module `deadlock`. The lock does not know
//!   which task holds a guard that was moved. Use timers.
//! * **An empty guard**, to be filled later. An `Option` of a guard serves. A range `n..n` also
//!   gives a guard of nothing.
//! * **The lock in a guard**, `guard.lock()`. A guard of data must not lend what its lock lends.
//!   Keep both the lock and the guard.
//! * **Keys or offsets with a type of their own.** Every caller would then have to name the type of
//!   its points in the type of its locks. Use `u64` for all such types.
//! * **A C interface.** Guards without destructors would need an unlock by range, which this lock
//!   does not have.
