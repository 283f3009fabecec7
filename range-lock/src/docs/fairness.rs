//! The order in which the lock grants requests, the requests that may pass other requests, and the
//! cost of strict order.
//!
//! # The guarantee
//!
//! The lock grants conflicting requests first come, first served. While a request waits, the lock
//! grants no later conflicting request. Without [bounded bypass](#bounded-bypass) this rule has one
//! exception: an [upgrade](crate::RangeUpgradableReadGuard::upgrade) passes the waiting requests.
//! The caller of an upgrade already holds the range.
//!
//! Without upgrades and bypass, a request waits only for earlier requests. The request waits for
//! the earlier requests that conflict with the request. Each of these requests may itself wait for
//! still earlier conflicting requests, and so on. The request waits for at most one critical
//! section of each earlier request. If an earlier request upgrades, the request also waits for the
//! readers for which the upgrade waits. No request starves.
//!
//! Each part of the lock has an internal mutex, which threads hold for a short time. When a request
//! enters, its thread holds the mutexes of all parts that the request's ranges touch. So these
//! mutexes decide which of two conflicting requests came first. A thread may wait for a mutex while
//! requests of other threads enter:
//!
//! * A thread that finds a mutex taken joins the line of this mutex. If no thread is in line, the
//!   thread first spins for some microseconds and reads the mutex again. After about a millisecond
//!   in the line the thread sleeps. The thread sleeps earlier if other threads want its CPU. The
//!   number of requests that enter while a thread is in line has no bound.
//! * The wait of the first thread in line has a bound, from the moment at which this thread is
//!   awake. The first thread lets other threads use the mutex for about 500 pauses of the CPU at
//!   most. (On an AMD EPYC 500 pauses take about 13 µs.) Then the first thread asks for the mutex,
//!   and reads the mutex once more. If the mutex is still taken, at most two other threads take the
//!   mutex before the first thread. Before a thread asks, it has slept in line at most once.
//! * The lines of a process have places for 16,383 threads together. Each further thread reads the
//!   mutex again about every 20 µs, and its wait has no bound.
//!
//! A thread also takes a mutex when it releases, upgrades, downgrades, shrinks or splits a range,
//! calls a `try_` method, or polls a future for the first time. The thread may sleep while it waits
//! for a mutex, even if its request conflicts with no other request.
//!
//! # What it costs
//!
//! Strict order has a cost. If more threads than CPUs want the same range all the time, most
//! releases grant the range to a sleeping thread. The sleeping thread must first wake up. A lock
//! that allows barging lets a running thread take the range before the sleeping thread wakes up. So
//! a lock that allows barging often does more operations per second, but some of its threads wait
//! much longer.
//!
//! Davidlohr Bueso measured writers under his [range lock](crate::RangeLock#origin) and under the
//! rwsem, the reader/writer semaphore of the Linux kernel. Under the range lock the writers did up
//! to 40 % fewer operations per second than under the rwsem. The numbers of operations of the
//! writers differed much less under the range lock. In `RangeLock` without bypass, a waiting thread
//! spins for a tenth of a millisecond, or, if many wait, up to 1.4 ms before it sleeps. The
//! spinning helps if critical sections are short.
//!
//! # Bounded bypass
//!
//! [`Builder::bypass(n)`](crate::Builder::bypass) lets at most `n` later requests pass each request
//! that is asleep. These rules are part of the contract:
//!
//! * The lock grants a new request immediately if every request in its way is asleep and has been
//!   passed fewer than `n` times. Each conflicting range of a request of several ranges counts as
//!   one pass. This rule has three exceptions. A `try_` method that does not wait passes no
//!   request. A request of several locks passes a request only if all its locks allow the passing.
//!   A new request with more than 256 waiting [entries](super::internals#registrations) in its way
//!   passes no request.
//! * When no request keeps a sleeping request out any more, the lock wakes up the thread or task of
//!   this request. When the thread or task runs, it has the range, unless another request or an
//!   upgrade has passed the sleeping request by then.
//! * A new request never passes a held request, an upgrade, or a request whose thread or task is
//!   awake.
//!
//! So a request waits for the earlier requests that [the guarantee](#the-guarantee) names, and for
//! later requests that pass the request or one of the earlier requests. At most `n` requests pass
//! each request, apart from upgrades. Running threads use the range while the next sleeping thread
//! wakes up.
//!
//! # Neighbours that share a point
//!
//! Suppose that write requests for `0..=1`, `1..=2`, `2..=3` and so on enter in this order. These
//! requests form a chain, in which each request conflicts with the previous request. Sequential I/O
//! makes a chain of this kind if its ranges are unaligned and the program rounds the ranges to
//! pages. Under strict order the lock grants the requests one after the other. With
//! `Builder::bypass(1)` every second request passes the previous request, if the previous request
//! is asleep. So the lock grants half of the chain immediately. The lock grants each request of the
//! other half as soon as the neighbours of this request have been released.
//!
#![cfg_attr(feature = "async", doc = "```")]
#![cfg_attr(not(feature = "async"), doc = "```ignore")]
//! use std::pin::Pin;
//! use std::task::{Context, Poll, Waker};
//! use range_lock::RangeLock;
//!
//! /// How many of the chain are granted at once.
//! fn granted(lock: &RangeLock) -> usize {
//!     let mut cx = Context::from_waker(Waker::noop());
//!     let mut chain: Vec<_> = (0..64).map(|i| Box::pin(lock.write_async(i..=i + 1))).collect();
//!     let polled: Vec<Poll<_>> = chain.iter_mut().map(|f| Pin::new(f).poll(&mut cx)).collect();
//!     polled.iter().filter(|poll| poll.is_ready()).count()
//! }
//!
//! assert_eq!(granted(&RangeLock::new()), 1);
//! assert_eq!(granted(&RangeLock::builder().bypass(1).build()), 32);
//! ```
//!
//! # What callers must observe
//!
//! * While a thread holds a range, it must not block on another range of the same lock, not even on
//!   a disjoint or higher range. Another thread may wait for a third range that overlaps both
//!   ranges. Then the two threads wait for each other. Take both ranges at once with
//!   [`acquire_many`](crate::RangeLock::acquire_many), or take the second range with a `try_` or
//!   timed method. [Deadlocks](crate::RangeLock#deadlocks) has an example.
//! * The lock does not support recursive reading. A thread that holds a range for reading may ask
//!   for an overlapping range for reading. If an overlapping writer begins to wait between the two
//!   requests, the thread and the writer deadlock. The second request waits for the writer, and the
//!   writer waits for the first request.
//! * A `try_` method that asks for a range and has no timeout fails if an earlier conflicting
//!   request waits for a part of the range, even if no request *holds* this part.
