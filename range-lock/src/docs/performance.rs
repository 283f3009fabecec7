//! The cost of the lock, the cases in which other locks are faster, and ways to keep the cost low.
//!
//! # What it costs
//!
//! To acquire and release a free range in an otherwise empty part of the lock, a thread takes an
//! internal mutex twice and writes one cache line. In a range lock that has not been cut, and that
//! no other thread uses, the acquire and release have about 95 instructions, two of them locked. A
//! lock and unlock of one uncontended `parking_lot::RwLock` have about 20, two of them locked. The
//! ratio of the times depends on the CPU. On an AMD EPYC (CPU family 25, model 1) the range lock
//! takes 1.5 to 1.7 times as long as the `RwLock`. On two other AMD EPYCs earlier versions took 0.8
//! to 0.9 and 1.2 times as long. (These figures are medians of one thread.)
//!
//! With n requests in the same part, acquiring and releasing take O(log n) steps each. A release
//! also looks again at the requests that are [registered](super::internals#registrations) with the
//! released request. If writers wait for the same range, only the first of these writers is
//! registered with the released request. If readers wait, all readers that the release grants are
//! registered with the released request.
//!
//! After warm-up, acquiring and releasing do not allocate, as long as each part has at most 256
//! requests at a time. [Cost](crate::RangeLock#cost) defines the warm-up, and lists the exceptions.
//! When a part that has had more than 256 requests becomes empty, the lock frees the additional
//! memory, except for up to 1 MiB of records.
//!
//! If threads contend for the internal mutex, the lock cuts its domain into parts where a cut
//! helps. Each part has its own mutex (see [`internals`](super::internals)). Threads in different
//! parts do not contend for a mutex.
//!
//! In a lock that has been cut, a thread first looks for the part of its request. In a lock that
//! has one part again, the look takes 5 to 8 ns. In a lock that has not been cut, an uncontended
//! acquire and release take 10 to 12 ns.
//!
//! With empty critical sections, two threads that write in different places do 1.2 to 1.4 times the
//! operations that they do in a lock of one part. They do 1.0 to 1.2 times the operations of one
//! thread in a lock that has not been cut. Two threads that read random blocks are slower in a lock
//! that has been cut. They do 0.7 times (near) or 0.3 to 0.4 times (far) the operations that they
//! do in a lock of one part.
//!
//! The table is for two threads with empty critical sections, which lock 4 KiB blocks of one file.
//! The table has the operations per second under the range lock, divided by the operations per
//! second under one shared `parking_lot::RwLock`. A cache line moves from one of the two CPUs to
//! the other in 48 ns (near) or in 209 ns (far). The quotients are medians. All figures are from
//! the first of these EPYCs, with two hardware threads:
//!
//! | two threads | near CPUs | far CPUs |
//! |---|---|---|
//! | write in different places | 0.9 | 1.3 |
//! | mostly read random blocks | 1.5 | 0.5 |
//! | read one block | 2.6 | 1.6 |
//!
//! The largest gain comes from critical sections that overlap in time, because threads in disjoint
//! ranges run their sections in parallel. If the sections sleep, do I/O or copy pages, the cost of
//! the lock itself is negligible.
//!
//! # Where other locks are faster
//!
//! * **Nearly always the whole domain.** In a lock that has been cut, a request for `..` costs more
//!   than with one `RwLock`, because its thread takes the mutex of every part. If no other requests
//!   come in between, the lock joins the parts again. After that, an uncontended acquire and
//!   release of `..` take 14 to 20 ns with the range lock, and 6 ns with one `parking_lot::RwLock`
//!   (on an AMD EPYC).
//! * **One hot range.** In strict order, a release often grants the range to a sleeping thread,
//!   which must first wake up. [`fairness`](super::fairness#what-it-costs) describes this cost, and
//!   the option that limits this cost.
//! * **A release that grants thousands of requests.** The releasing thread visits each of these
//!   requests while it holds the internal mutex.
//! * **Memory after a peak.** As long as a part has requests, it keeps the records and tree nodes
//!   of its peak. An empty part keeps the records and nodes for at most 256 requests, and the lock
//!   keeps up to 1 MiB of records in addition. [`shrink_to_fit`](crate::RangeLock::shrink_to_fit)
//!   frees all of this memory, except the trees of parts that have requests.
//! * **Memory of the parts.** A lock that has been cut once takes 3.0 KiB if it may have 64 parts,
//!   8.7 KiB if it may have 512 parts, and 55 KiB if it may have 4096 parts (see
//!   [`max_leaves`](crate::Builder::max_leaves)). Every four further parts take 640 bytes together.
//!   Each of them takes 448 bytes more when a cut first uses it. The table and the grid of the
//!   parts grow by 30 to 70 bytes for each part that the lock uses. So a lock that uses 64 to 4096
//!   parts, and may have no more, takes 655 to 685 bytes for each of them. A part that the lock has
//!   joined to its neighbour keeps 608 bytes. Only the drop of the lock frees this memory. These
//!   figures are for x86-64, without feature `stats`.
//! * **Wide ranges in random places.** Wide ranges touch most parts, and overlap most other ranges.
//!   So few critical sections run in parallel, except for sections that only read.
//! * **Fixed blocks, where each request is for one block.** If false conflicts do not matter, an
//!   array of locks is often faster than a range lock. An example is two threads on an AMD EPYC
//!   that only or mostly read random blocks. With an array of 1024 `parking_lot::RwLock`s of 8
//!   bytes each, the threads do 2.4 to 3.0 times as many operations as with a range lock. If the
//!   two threads write in different places, they do 0.5 times (near CPUs) or 1.6 times (far CPUs)
//!   as many operations with the range lock as with the array.
//! * **CPUs far apart**, where a cache line takes 150 ns or more to move from one CPU to the other.
//!   With a range lock that has been cut, two threads that read random places fetch a line from
//!   each other at about every second operation. With one `RwLock`, the lock's line stays with a
//!   thread for several operations in a row. So two threads that only or mostly read random places
//!   do 1.9 to 2.5 times as many operations with one `parking_lot::RwLock` as with the range lock
//!   (on an AMD EPYC).
//!
//! `docs/benchmarks.md` in the repository has the figures of this lock and of nine other locks.
//!
//! # Keeping it cheap
//!
//! * Lock only the points that you use. A range that a program has rounded too far conflicts with
//!   neighbouring ranges without need.
//! * [`shrink`](crate::RangeWriteGuard::shrink) a range as soon as a smaller range suffices.
//!   [`downgrade`](crate::RangeWriteGuard::downgrade) a range when you have finished writing.
//! * Use one lock for each file, not one lock for all files. A lock has 256 bytes on x86-64,
//!   without the features `stats` and `deadlock_detection`. A new lock allocates nothing before a
//!   thread uses the lock.
//! * If few threads use a lock, [`max_leaves`](crate::Builder::max_leaves) can limit the lock to
//!   fewer parts, or to one part.
