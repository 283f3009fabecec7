//! The cost of the lock, the cases in which other locks are faster, and ways to keep the cost low.
//!
//! # What it costs
//!
//! To acquire and release a free range, a thread takes an internal mutex twice and writes one cache
//! line. In a range lock that has not been cut, and that no other thread uses, the acquire and
//! release take 0.8 to 1.2 times as long as a lock and unlock of one uncontended
//! `parking_lot::RwLock`.
//!
//! With n requests in the same part, acquiring and releasing take O(log n) steps each. A release
//! also looks again at the requests that are [registered](super::internals#registrations) with the
//! released request. If writers wait for the range, only the first writer is registered with the
//! released request. If readers wait, all readers that the release grants are registered with the
//! released request.
//!
//! After warm-up (the partition is stable) the lock allocates nothing, as long as each part has at
//! most 256 requests at a time. A part that has had more requests frees the additional memory when
//! it becomes empty.
//!
//! If threads contend for the internal mutex, the lock cuts its domain into parts. Each part has
//! its own mutex (see [`internals`](super::internals)). Then threads in different parts no longer
//! contend.
//!
//! In a lock that has been cut, a request searches for its part. The search takes 5 ns (two parts)
//! to 16 ns (64 parts). Without the search, an uncontended acquire and release take 5 ns. So with
//! empty critical sections a cut gains little. The table is for two threads on two CPUs, with 4 KiB
//! blocks of one file. The table has the operations per second under the range lock, divided by the
//! operations per second under one shared `RwLock`:
//!
//! | two threads | near CPUs | far CPUs |
//! |---|---|---|
//! | write in different places | 1.0 | 1.5 |
//! | mostly read random blocks | 1.2 | 0.4 |
//! | read one block | 1.6 | 1.15 |
//!
//! The largest gain comes from critical sections that overlap in time. If a section sleeps, does
//! I/O or copies pages, threads in disjoint ranges run their sections in parallel. Then the cost of
//! the lock itself is negligible.
//!
//! # Where other locks are faster
//!
//! * **Nearly always the whole domain.** For requests of `..`, one `RwLock` costs less than a range
//!   lock. In a lock that has been cut, a request for `..` costs more, because it takes the mutex
//!   of every part. If no other requests come in between, the lock joins the parts again.
//! * **One hot range.** In strict order each release grants the range to a sleeping thread.
//!   [`fairness`](super::fairness) describes the cost, and the option that limits the cost.
//! * **A release that grants thousands of requests.** The release visits each of them under the
//!   internal mutex.
//! * **Memory after a peak.** As long as a part has requests, it keeps the records and tree nodes
//!   of its peak. An empty part keeps the records and nodes for at most 256 requests, and the lock
//!   keeps up to 1 MiB of records in addition. [`shrink_to_fit`](crate::RangeLock::shrink_to_fit)
//!   frees all of this memory, except the trees of parts that have requests. A lock that has been
//!   cut also has at most 40 bytes for each part that it may have (see
//!   [`max_leaves`](crate::Builder::max_leaves)). In addition it has 128 bytes for each part that
//!   it has had. The drop of the lock frees these bytes.
//! * **Wide ranges in random places.** Wide ranges touch most parts, and overlap most other ranges.
//!   So critical sections in wide ranges cannot run in parallel.
//! * **Fixed blocks, where each request is for one block.** If false conflicts do not matter, an
//!   array of locks is a little faster and smaller than a range lock.
//! * **CPUs far apart**, where a cache line takes 150 ns or more to move from one CPU to the other.
//!   With a range lock, two threads in random places fetch a line from each other at every second
//!   operation. With one `RwLock`, the lock's line stays with a thread for several operations in a
//!   row. So two threads in random places do 2.3 to 2.6 times as many operations with the `RwLock`
//!   as with the range lock.
//!
//! `docs/benchmarks.md` in the repository has the figures of this lock and of ten rivals.
//!
//! # Keeping it cheap
//!
//! * Lock only the points that you use. A range that is rounded up too far conflicts with its
//!   neighbours without need.
//! * [`shrink`](crate::RangeWriteGuard::shrink) a range as soon as a smaller range suffices.
//!   [`downgrade`](crate::RangeWriteGuard::downgrade) a range when you have finished writing.
//! * Use one lock for each file, not one lock for all files. A lock has 256 bytes. A new lock
//!   allocates nothing before it is used.
//! * If few threads use a lock, [`max_leaves`](crate::Builder::max_leaves) can limit the lock to
//!   fewer parts, or to one part.
