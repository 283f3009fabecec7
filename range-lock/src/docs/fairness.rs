//! In which order requests are granted, which requests may pass others, and what strict order
//! costs.
//!
//! # The guarantee
//!
//! Conflicting requests are granted first come, first served. Once a request has entered, no later
//! request that conflicts with it is granted before it. By default there is one exception: an
//! [upgrade](crate::RangeUpgradableReadGuard::upgrade) passes the requests that wait. The caller of
//! an upgrade already holds the range, and asks for the exception by name. So a request waits only
//! for earlier requests: those that conflict with it, those that conflict with one of these earlier
//! requests, and so on. It waits for at most one critical section of each. No request starves.
//!
//! Which of two requests came first is decided under a short internal mutex. Each part of the lock
//! has a mutex of its own. The order holds from the moment at which a request has entered. Before
//! that moment, while the request's thread waits for the mutex, later requests may enter first:
//!
//! * A thread that finds the mutex taken looks again for some microseconds. Then the thread stands
//!   in line, and sleeps there if other threads want its CPU. Nothing bounds how many requests
//!   enter meanwhile. But a thread that has been first in line for six microseconds has the mutex
//!   next, and then the line moves by one.
//! * The thread that is first in line asks for the mutex and looks once more. If the mutex is still
//!   taken, it is handed to this thread after at most two other threads have taken it. Before it
//!   asks, a thread has slept at most once.
//!
//! A thread that releases, downgrades, shrinks or splits takes the mutex too. So does a thread that
//! polls a future or calls a `try_` verb. Each of these threads may sleep while it waits for the
//! mutex, whatever its request conflicts with.
//!
//! # What it costs
//!
//! Strict order is not free. If many threads want the same range all the time, each release hands
//! the range to a sleeper, which has to wake up first. A lock that lets a running thread barge in
//! ahead of the sleeper does more operations per second, and makes some threads wait much longer.
//! Bueso measured that writers under his range lock did up to 40 % fewer operations per second than
//! under the kernel's rwsem, at a far smaller spread. In this lock a waiter spins a little before
//! it sleeps, which helps if critical sections are short.
//!
//! # Bounded bypass
//!
//! [`Builder::bypass`](crate::Builder::bypass) sets how many requests may pass a request that is
//! asleep. The bound is part of the contract. A new request is granted immediately if every request
//! in its way is asleep and has been passed fewer than `n` times. A sleeper whose turn has come has
//! the range when it runs, unless another request has passed it by then. A request whose thread is
//! awake is never passed. Neither is a held request, or an upgrade.
//!
//! So a request waits for the requests before it, and for up to `n` others that pass it or any of
//! these. The range stays with threads that run while the next sleeper wakes up.
//!
//! # Neighbours that share a point
//!
//! Requests for `0..=1`, `1..=2`, `2..=3` and so on that enter in this order form a chain. Each
//! request conflicts with the request before it, which waits. Under strict order they run one after
//! the other. Unaligned sequential I/O, rounded to pages, makes such a chain. With
//! `Builder::bypass(1)` every second request passes the sleeper before it, and the chain takes two
//! turns.
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
//!   a disjoint or higher one. A waiter whose range spans both ranges closes the cycle. Take both
//!   ranges at once with [`acquire_many`](crate::RangeLock::acquire_many), or use a `try_` or timed
//!   verb. [Deadlocks](crate::RangeLock#deadlocks) has an example.
//! * Recursive reading is not supported. A thread that holds a read range and asks for an
//!   overlapping read range can deadlock, if a writer has come to wait in between. The second read
//!   waits for the writer, and the writer waits for the first read.
//! * A `try_` verb may fail although no request *holds* the range, because an earlier request waits
//!   for the range.
