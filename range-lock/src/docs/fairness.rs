//! The order in which requests are granted, the requests that may pass other requests, and the cost
//! of strict order.
//!
//! # The guarantee
//!
//! Conflicting requests are granted first come, first served. Once a request has entered, no later
//! request that conflicts with it is granted before it. By default there is one exception: an
//! [upgrade](crate::RangeUpgradableReadGuard::upgrade) passes the waiting requests. The caller of
//! an upgrade already holds the range.
//!
//! Except for upgrades, a request waits only for earlier requests. These are the requests that
//! conflict with it, the requests that conflict with one of these, and so on. The request waits for
//! at most one critical section of each of them. No request starves.
//!
//! A short internal mutex decides which of two requests came first. Each part of the lock has its
//! own mutex. A request gets its place in the order when it enters. Before the request enters, its
//! thread may wait for the mutex, while requests of other threads enter:
//!
//! * A thread that finds the mutex taken reads the mutex again for some microseconds. Then the
//!   thread joins a line. After a millisecond in the line the thread sleeps. It sleeps earlier if
//!   other threads want its CPU. The number of requests that enter while a thread is in line has no
//!   bound.
//! * The wait of the first thread in line has a bound. This thread lets other threads use the mutex
//!   for about six microseconds at most. Then the first thread asks for the mutex, and reads the
//!   mutex once more. If the mutex is still taken, at most two other threads take it before the
//!   first thread. Before it asks, a thread has slept in line at most once.
//!
//! A thread that releases, downgrades, shrinks or splits also takes the mutex. A thread that polls
//! a future or calls a `try_` method takes it, too. Each of these threads may sleep while it waits
//! for the mutex, even if its request conflicts with no other request.
//!
//! # What it costs
//!
//! Strict order has a cost. If many threads want the same range all the time, each release grants
//! the range to a sleeping thread, which must first wake up. A lock that allows barging lets a
//! running thread take the range before the sleeping thread. A lock of this kind does more
//! operations per second, but some threads wait much longer.
//!
//! Bueso measured writers under his range lock and under the kernel's rwsem. Under the range lock
//! the writers did up to 40 % fewer operations per second than under the rwsem. The spread between
//! the writers was much smaller under the range lock. In `RangeLock` a waiting thread spins briefly
//! before it sleeps. The spinning helps if critical sections are short.
//!
//! # Bounded bypass
//!
//! [`Builder::bypass(n)`](crate::Builder::bypass) lets at most `n` requests pass a request that is
//! asleep. The bound is part of the contract:
//!
//! * A new request is granted immediately if every request in its way is asleep and has been passed
//!   fewer than `n` times.
//! * When the turn of a sleeping request has come, the lock wakes up its thread. The thread has the
//!   range when it runs, unless another request has passed the sleeping request by then.
//! * No request passes a request whose thread is awake, a held request, or an upgrade.
//!
//! So a request waits for the requests before it, and for the requests that pass it or one of
//! these. At most `n` requests pass each request. Running threads use the range while the next
//! sleeping thread wakes up.
//!
//! # Neighbours that share a point
//!
//! Suppose that requests for `0..=1`, `1..=2`, `2..=3` and so on enter in this order. These
//! requests form a chain, in which each request conflicts with the previous request. Unaligned
//! sequential I/O, rounded to pages, makes a chain of this kind. Under strict order the requests
//! run one after the other. With `Builder::bypass(1)` every second request passes the sleeping
//! request before it. So the whole chain runs in two turns.
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
//!   ranges, and close a cycle. Take both ranges at once with
//!   [`acquire_many`](crate::RangeLock::acquire_many), or take the second range with a `try_` or
//!   timed method. [Deadlocks](crate::RangeLock#deadlocks) has an example.
//! * Recursive reading is not supported. A thread that holds a read range and asks for an
//!   overlapping read range can deadlock, if a writer begins to wait between the two requests. The
//!   second read waits for the writer, and the writer waits for the first read.
//! * A `try_` method also fails if no request *holds* the range, but an earlier conflicting request
//!   waits for a part of the range.
