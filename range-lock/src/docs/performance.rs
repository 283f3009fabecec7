//! What the lock costs, where other locks are faster, and how to keep the cost low.
//!
//! # What it costs
//!
//! To acquire and release a free range, a thread takes an internal mutex twice and writes one cache
//! line. If no other thread uses that part of the lock, this costs about 1.2 times as much as to
//! lock and unlock one uncontended `parking_lot::RwLock`. With n requests in the same part, each of
//! the two operations takes O(log n) steps. A release also looks again at the requests that are
//! registered with the request that leaves. If writers wait for one range, the release looks at one
//! request. If readers wait, it looks at every reader that it lets in.
//!
//! After warm-up (the partition is stable) the lock allocates nothing, as long as each part has at
//! most 256 requests at a time. A part that had more requests frees their memory when it is empty.
//!
//! Where threads meet on the internal mutex, the lock cuts its domain into parts, each of which has
//! a mutex of its own (see [`internals`](super::internals)). Then threads in different parts do not
//! meet again. Two threads that read random blocks of one file do about twice as many operations
//! per second as under one shared `RwLock`. In parts of their own, they do as many as with an array
//! of page locks.
//!
//! The largest gain comes from critical sections that overlap in time. If a section sleeps, does
//! I/O or copies pages, threads in disjoint ranges do so in parallel. Then the lock's own cost does
//! not matter.
//!
//! # Where other locks are faster
//!
//! * **Nearly always the whole.** For `..`, a range lock is an expensive `RwLock`. A lock that has
//!   been cut is more expensive, because a request for `..` takes the mutex of every part. If no
//!   other request comes in between, the lock joins the parts again.
//! * **One hot range.** Strict order hands the range from sleeper to sleeper.
//!   [`fairness`](super::fairness) has the cost, and the option that limits it.
//! * **A release that lets thousands of requests in.** The release visits each of them under the
//!   internal mutex.
//! * **Memory after a peak.** Until a part is empty, it keeps the records and tree nodes of its
//!   requests. An empty part keeps those that 256 requests need. The lock keeps 1 MiB of records
//!   in addition. [`shrink_to_fit`](crate::RangeLock::shrink_to_fit) frees all this memory. A lock
//!   that has been cut also keeps at most 40 bytes for each part that it may have (see
//!   [`max_leaves`](crate::Builder::max_leaves)), and 128 bytes for each part that it has had. It
//!   keeps these bytes until it is dropped.
//! * **Wide ranges in random places.** They cross most parts, and overlap most other ranges. So
//!   their critical sections cannot run in parallel.
//! * **Fixed blocks, of which each user takes one.** An array of locks is a little faster, and
//!   smaller, if false conflicts do not matter.
//! * **CPUs far apart.** Two threads in random places fetch a cache line from each other at every
//!   second operation. The line of one `RwLock` stays with a thread for several operations in a
//!   row. So where a fetch takes 200 ns, the `RwLock` does about as many operations as the range
//!   lock.
//!
//! `docs/benchmarks.md` in the repository has the figures of this lock and of ten rivals.
//!
//! # Keeping it cheap
//!
//! * Lock what you touch. A range that is rounded up too far conflicts with neighbours that it does
//!   not touch.
//! * [`shrink`](crate::RangeWriteGuard::shrink) a range as soon as you know that a smaller range
//!   suffices. [`downgrade`](crate::RangeWriteGuard::downgrade) a range as soon as you have
//!   written.
//! * A lock is 256 bytes, and allocates nothing before threads meet in it. Use one lock for each
//!   file, not one for all files.
//! * If few threads use a lock, it can be limited to [fewer parts](crate::Builder::max_leaves), or
//!   to one part.
