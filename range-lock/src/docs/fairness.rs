//! In which order requests are granted, which may pass others, and what that costs.
//!
//! # The guarantee
//!
//! First come, first served among requests that conflict. Once a request has entered, no later
//! request that conflicts with it is granted before it. There is one exception, which is asked for
//! by name: an [upgrade](crate::RangeUpgradableReadGuard::upgrade), whose owner is in already,
//! passes those that wait. A request therefore waits at most as long as the sections of those that
//! came before it, and those that they wait for. None starves.
//!
//! "Came before" is decided under a short internal mutex, one for each part of the lock. The order
//! holds from the moment at which a request has entered. Before that, while its thread waits for
//! the mutex, later requests may enter first:
//!
//! * A thread that finds the mutex taken looks again for some microseconds. Then it stands in line,
//!   and sleeps there if other threads want its CPU. Nothing bounds how many requests enter
//!   meanwhile, but each thread that has been the first in line for six microseconds has the mutex
//!   next, and the line moves by one.
//! * The first in line asks for the mutex and looks once more. If it looks in vain, the mutex is
//!   handed to it, and at most two others take it first. Such a thread has slept at most once
//!   before.
//!
//! The same holds for a thread that releases, downgrades, shrinks or splits, and for a task that is
//! polled: each takes the mutex, and may sleep there, whatever it conflicts with. A `try_` verb
//! does too.
//!
//! # What it costs
//!
//! Strict order is not free. Where many threads want the same range all the time, each release
//! hands the range to a sleeper, which must be woken first. A lock that lets a running thread barge
//! in ahead of the sleeper does more operations per second, and makes some threads wait much
//! longer. Bueso measured up to 40 % less for writers than with the kernel's rwsem, at a far
//! smaller spread. Waiters here spin a little before they sleep, which helps where sections are
//! short.
//!
//! # Bounded bypass
//!
//! [`Builder::bypass`](crate::Builder::bypass) sets how many requests may pass one that is asleep:
//! a middle way, with the bound as part of the contract. A new request is granted immediately if
//! every request in its way is asleep and has been passed fewer than `n` times. A sleeper whose
//! turn has come has the range when it runs, unless it has been passed once more. A thread that is
//! awake is never passed, nor is a holder, or an upgrade. So each request waits for those before
//! it, and for up to `n` others that pass it or any of these; and the range stays with threads that
//! run while the next one wakes up.
//!
//! # Neighbours that share a point
//!
//! Under strict order requests for `0..=1`, `1..=2`, `2..=3` and so on, entered in this order, run
//! one after the other: each conflicts with the one before, which waits. Unaligned sequential I/O,
//! rounded to pages, is such a chain. `Builder::bypass(1)` cures it: every second request passes
//! the sleeper before it, and the chain takes two turns.
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
//! # What it asks of you
//!
//! * While a thread holds a range, it must not block on another range of the same lock, not even on
//!   a disjoint or higher one. A waiter that spans both closes the circle. Take both at once with
//!   [`acquire_many`](crate::RangeLock::acquire_many), or use a `try_` or timed verb:
//!   [Deadlocks](crate::RangeLock#deadlocks) has an example.
//! * Recursive reading is not supported. A thread that holds a read range and asks for an
//!   overlapping one can deadlock, if a writer has come to wait in between. The second read waits
//!   for the writer, and the writer waits for the first read.
//! * A `try_` verb may fail although no request *holds* the range: a request that came earlier
//!   waits for it.
