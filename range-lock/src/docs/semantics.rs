//! What exactly conflicts, what is granted when, and what each verb promises.
//!
//! # Spans
//!
//! A range is any `RangeBounds<u64>`; inside it is a *span*, a closed interval `first..=last`, so
//! that `..` is the whole domain with `u64::MAX` in it. What a point stands for (a byte, a page, a
//! key) is the caller's business, and so is rounding: lock as much as you touch, no less, and not
//! much more.
//!
//! * An empty range (`5..5`, `5..=4`) has no span. It is granted at once, conflicts with nothing
//!   and releases nothing.
//! * An inverted range (`7..3`) panics, with both ends in the message, as it does for slices.
//!
//! ```
//! # let lock = range_lock::RangeLock::new();
//! let whole = lock.write(..);
//! assert_eq!(whole.range(), 0..=u64::MAX);
//! assert!(lock.try_write(5..5).is_some()); // Empty: in nobody's way.
//! ```
//!
//! # Modes
//!
//! A request asks for a span in a [`Mode`](crate::Mode). Two requests *conflict* when their spans
//! share a point and their modes do not go together: readers go together with readers and with an
//! upgradable reader, everything else conflicts. There are no false conflicts: it does not matter
//! how the spans lie in memory, in which block, or which thread asks. A thread that holds a range
//! must not block on another one of the same lock: see [Deadlocks](crate::RangeLock#deadlocks).
//!
//! # Admission
//!
//! **A request is granted when no earlier conflicting request is held or waits.** A request is
//! earlier if it entered earlier. All else follows:
//!
//! * A request that conflicts with nothing in the lock is granted as soon as it has entered.
//!   (Entering takes a short internal mutex. [`fairness`](super::fairness) has the bound of the
//!   wait for it.)
//! * Among those that conflict the order is first come, first served.
//! * A waiting writer keeps later readers out of its whole range, also where nothing is held
//!   yet.
//! * Disjoint requests never wait for each other directly. They can do so through a third that
//!   overlaps both and waits. So a thread that holds one range and blocks on a disjoint one can
//!   deadlock: see [Deadlocks](crate::RangeLock#deadlocks).
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
//! | `try_…` | grants or fails without waiting for a request, by the same rule: fails only if something that conflicts is held or waits |
//! | `try_…_for`, `try_…_until` | as the first, with an end; giving up leaves no trace. With a deadline that has passed, as `try_…` |
//! | `…_async` | as the first, for tasks; enters when first polled; may be dropped at any time |
//! | `acquire_many` | several ranges of several locks as one request |
//! | `wait_until_free` | returns when the conflicting requests that it found have left; locks nothing, delays nobody |
//! | `downgrade`, `downgrade_to_upgradable` | waits for no request, never lets go: readers are let in, writers are not |
//! | `upgrade` | waits for the readers that are in; passes those who wait; nobody passes it |
//! | `shrink` | waits for no request; lets go of the rest |
//! | `split_at` | waits for no request, lets nobody in |
//!
//! Each verb takes a short internal mutex, and dropping a guard does too. A thread may sleep there,
//! whatever the verb: [`fairness`](super::fairness#the-guarantee) says for how long.
//!
//! Widening a held range is not offered: it can deadlock with a neighbour that does the same. Let
//! go and ask anew, or ask for the larger range first.
//!
//! # Giving up
//!
//! A request that times out, or whose future is dropped, leaves the counts of exactly those that
//! counted it: the later ones that conflict. If it was granted in the moment in which it gave up, a
//! timed verb keeps the grant and returns the guard, and a dropped future hands it on. It is never
//! lost.
//!
//! # Guards
//!
//! A guard is the only way to unlock, and releases just what it holds: two readers of the same
//! range have two requests, and one of them leaving does not unlock the other. Guards are `Send`:
//! an I/O completion on another thread may drop them. There is no poisoning: a panic drops the
//! guard and so unlocks.
//!
//! `let _ = lock.write(0..10)` drops the guard, and so unlocks, at once, and the compiler does not
//! warn. `let _guard =` keeps the range until the end of the block. The same holds for what a
//! `try_` verb returns.
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
//! A leaked guard keeps its range locked, nothing worse; [`undo_leak`](crate::RangeLock::undo_leak)
//! forgets it.
//!
//! # Not offered
//!
//! What users of other range locks have asked for, and this one does not have:
//!
//! * **Owners**, whose requests do not conflict with each other (POSIX and SMB locks, a
//!   transaction): not offered, because every entry would have to be told from those of its own
//!   owner at each look. A table of what an owner holds, kept beside the lock, decides before it
//!   asks.
//! * **Group modes**, such as writers that share with writers: not offered, because the lock looks
//!   for conflicts by three fixed modes. Let `read` stand for the one group and `write` for the
//!   other if one of the two is exclusive.
//! * **Keys that are byte strings**, or no numbers: not offered, because a leaf compares two words
//!   where it would compare two allocations. Number the keys in order, or lock by a hash of each
//!   with [`point`](crate::point), and accept that keys with one hash conflict.
//! * **Bounded memory, or escalation** to larger ranges: not offered, because only the caller knows
//!   which ranges may be made one. Count the guards, and ask for the larger range anew.
//! * **To fail if a reader is in and wait if a writer is**: not offered, because a request has one
//!   place in one queue. `try_write`, with [`wait_until_free`](crate::RangeLock::wait_until_free)
//!   in mode `Read` before the next try, comes near.
//! * **An empty range that conflicts** with what surrounds it, as in SMB: not offered, because an
//!   empty range has no point in common with any other. Lock one point for it.
//! * **Circles that lead through tasks**: not found by `deadlock`, because the lock does not know
//!   which task holds a guard that was moved. Use timers.
//! * **An empty guard**, to be filled later: not offered, because `Option` of a guard serves. A
//!   range `n..n` also gives a guard of nothing.
//! * **The lock in a guard**, `guard.lock()`: not offered, because a guard of data must not lend
//!   what its lock lends. Keep both.
//! * **Keys or offsets with a type of their own**: not offered, because every caller would then
//!   name the type of its points in the type of its locks. `u64` takes them all.
//! * **A C interface**: not offered, because guards without destructors would be unlocked by range,
//!   which this lock does not have.
