//! What it costs, where it loses, and how to keep it cheap.
//!
//! # What it costs
//!
//! Acquiring and releasing a free range take an internal mutex once each, and write one cache line.
//! With no other thread there that is about 1.2 times the cost of one uncontended
//! `parking_lot::RwLock`. With n requests in the same part of the lock it takes O(log n) steps.
//! Releasing also looks again at the requests that are registered with the one that leaves: at one
//! if writers wait for one range, at all that the release lets in if readers do. After warm-up (the
//! partition is stable) nothing is allocated, as long as there are at most 256 requests at a time
//! in each part. A part that had more gives back what they needed when it is empty.
//!
//! Where threads meet on that mutex, the lock cuts its domain into parts with a mutex each (see
//! [`internals`](super::internals)), so that threads in different places do not meet again. Two
//! threads that read random blocks of one file do about twice as many operations as under one
//! shared `RwLock`. In parts of their own they do as many as with an array of page locks.
//!
//! What pays most is what the sections overlap. If a section sleeps, does I/O, or copies pages,
//! threads in disjoint ranges do that at the same time, and the lock's own cost does not matter.
//!
//! # Where it loses
//!
//! * **Nearly always the whole.** A lock taken for `..` is an expensive `RwLock`, and more so once
//!   it has been cut: it takes the mutex of every part. If no other thread comes in between, they
//!   are joined again.
//! * **One hot range.** Strict order hands it from sleeper to sleeper: see
//!   [`fairness`](super::fairness), also for how to bound that.
//! * **A release that lets thousands in.** It visits each of them under the internal mutex.
//! * **Memory after a peak.** A part keeps what it needs for its requests until it is empty, and
//!   then what 256 at a time need: records and tree nodes. The lock keeps 1 MiB of records besides.
//!   [`shrink_to_fit`](crate::RangeLock::shrink_to_fit) frees all that. A lock that has been cut
//!   keeps at most 40 bytes for each part that it may have (see
//!   [`max_leaves`](crate::Builder::max_leaves)), and 128 bytes for each that it has had, until it
//!   is dropped.
//! * **Wide ranges in random places.** They cross most parts, and overlap most others: nothing can
//!   be done at the same time.
//! * **Fixed blocks, of which each user takes one.** An array of locks is a little faster, and
//!   smaller, if false conflicts do not matter.
//! * **CPUs far apart.** Two threads in random places fetch a line from each other at every second
//!   operation. Where that takes 200 ns, one `RwLock`, whose line stays with a thread for several
//!   operations in a row, does about as many.
//!
//! `docs/benchmarks.md` in the repository has the figures, beside ten rivals.
//!
//! # Keeping it cheap
//!
//! * Lock what you touch. A range rounded up to more than needed meets neighbours that it need not.
//! * [`shrink`](crate::RangeWriteGuard::shrink) as soon as you know less will do,
//!   [`downgrade`](crate::RangeWriteGuard::downgrade) as soon as you have written.
//! * A lock is 256 bytes and allocates nothing before threads meet in it: have one for each file,
//!   not one for all.
//! * Locks that are known to be used by few threads can be held to [fewer
//!   parts](crate::Builder::max_leaves), or to one.
