//! The order in which requests are granted, the requests that may pass others, and the cost of
//! strict order.
//!
//! # The guarantee
//!
//! Conflicting requests are granted first come, first served. Once a request has entered, no later
//! request that conflicts with it is granted before it. By default there is one exception: an
//! [upgrade](crate::RangeUpgradableReadGuard::upgrade) passes the requests that wait. The caller of
//! an upgrade already holds the range, and asks for the exception by calling `upgrade`.
//!
//! Apart from upgrades, a request waits only for earlier requests: those that conflict with it,
//! those that conflict with one of these, and so on. It waits for at most one critical section of
//! each. No request starves.
//!
//! A short internal mutex decides which of two requests came first. Each part of the lock has its
//! own mutex. A request has its place in the order from the moment at which it has entered. Until
//! then its thread waits for the mutex, and requests that came later may enter first:
//!
//! * A thread that finds the mutex taken looks again for some microseconds. Then the thread stands
//!   in line, and sleeps there if other threads want its CPU. There is no bound on how many
//!   requests enter while a thread is in line.
//! * The wait of the first thread in line has a bound. It lets other threads use the mutex for
//!   about six microseconds at most. Then it asks for the mutex and looks once more. If the mutex
//!   is still taken, at most two other threads take it before this thread. By the time it asks, a
//!   thread has slept in line at most once.
//!
//! A thread that releases, downgrades, shrinks or splits takes the mutex too. So does a thread that
//! polls a future or calls a `try_` method. Each of these threads may sleep while it waits for the
//! mutex, even if its request conflicts with no other request.
//!
//! # What it costs
//!
//! Strict order has a cost. If many threads want the same range all the time, each release grants
//! the range to a sleeper, which must first wake up. A lock with barging lets a running thread take
//! the range ahead of the sleeper. Such a lock does more operations per second, and makes some
//! threads wait much longer.
//!
//! Bueso measured writers under his range lock and under the kernel's rwsem. Under the range lock
//! they did up to 40 % fewer operations per second than under the rwsem, at a far smaller spread.
//! In this lock a waiter spins briefly before it sleeps, which helps if critical sections are
//! short.
//!
//! # Bounded bypass
//!
//! [`Builder::bypass(n)`](crate::Builder::bypass) lets at most `n` requests pass a request that is
//! asleep. The bound is part of the contract:
//!
//! * A new request is granted immediately if every request in its way is asleep and has been passed
//!   fewer than `n` times.
//! * A sleeper whose turn has come is woken. It has the range when it runs, unless another request
//!   has passed it by then.
//! * No request passes a request whose thread is awake, a held request, or an upgrade.
//!
//! So a request waits for the requests before it, and for the requests that pass it or any of
//! these. Each request is passed at most `n` times. Running threads use the range while the next
//! sleeper wakes up.
//!
//! # Neighbours that share a point
//!
//! Suppose that requests for `0..=1`, `1..=2`, `2..=3` and so on enter in this order. They form a
//! chain, in which each request conflicts with the request before it. Unaligned sequential I/O,
//! rounded to pages, makes such a chain. Under strict order the requests run one after the other.
//! With `Builder::bypass(1)` every second request passes the sleeper before it, and the whole chain
//! runs in two turns.
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
//!   a disjoint or higher range. Another thread may wait for a range that spans both, and close a
//!   cycle. Take both ranges at once with [`acquire_many`](crate::RangeLock::acquire_many), or take
//!   the second range with a `try_` or timed method. [Deadlocks](crate::RangeLock#deadlocks) has an
//!   example.
//! * Recursive reading is not supported. A thread that holds a read range and asks for an
//!   overlapping read range can deadlock, if a writer begins to wait between the two requests. The
//!   second read waits for the writer, and the writer waits for the first read.
//! * A `try_` method also fails if no request *holds* the range, but an earlier conflicting request
//!   waits for a part of it.
