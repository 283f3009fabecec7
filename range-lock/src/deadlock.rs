//! A search for threads that wait for each other, over all range locks of the process (feature
//! `deadlock_detection`).
//!
//! [`check`] examines the threads that are blocked in [`RangeLock`]s at the time of the call.
//! `check` returns cycles in which these threads wait for each other, and threads that wait for
//! themselves. `check` changes nothing and never panics. The crate itself never calls `check`. Call
//! `check` from a watchdog thread, from a thread that handles signals, or from a test.
//!
//! ```
//! use range_lock::{RangeLock, deadlock};
//! use std::time::Duration;
//!
//! let lock = RangeLock::new();
//! let reader = lock.read(0..10);
//! std::thread::scope(|scope| {
//!     let watchdog = scope.spawn(|| loop {
//!         let found = deadlock::check();
//!         if !found.is_empty() || !lock.is_locked(0..10) {
//!             break found;
//!         }
//!         # std::thread::yield_now();
//!     });
//!     // By mistake: this thread reads there itself. It waits in vain until it gives up.
//!     assert!(lock.try_write_for(5..6, Duration::from_millis(100)).is_none());
//!     drop(reader);
//!     for deadlock in watchdog.join().unwrap() {
//!         assert_eq!(deadlock.kind(), deadlock::Kind::PossibleSelf);
//!         println!("{deadlock:#}"); // With backtraces.
//!     }
//! });
//! ```
//!
//! # What is found
//!
//! A waiting request waits for the requests that [`waits_for`](crate::RequestInfo::waits_for)
//! returns. These are the conflicting requests that are held, or that wait before the waiting
//! request. `check` copies, at one instant, all requests of the locks in which threads are blocked
//! (see [Lock order](#lock-order)). Then `check` searches the copy for cycles. So each reported
//! cycle is a real deadlock, and not only a possible deadlock, under the assumption below. A cycle
//! with a timed wait ends when the timed request gives up. Until then `check` reports the cycle.
//!
//! `check` assumes that **the thread that took a range** still has the guard of this range. But a
//! thread may send its guard to another thread. The other thread may not be blocked, and can
//! release the range. In a program that sends guards, every report holds only if no other thread
//! has the guard of a range that the report names. In a program that never sends guards, every
//! report holds without this condition. [`Kind::PossibleSelf`] is the kind of a deadlock of a
//! single thread, which waits for a range that the thread took itself.
//!
//! # What is not found
//!
//! * **Tasks.** A future belongs to no thread. `check` attributes a request that a future makes to
//!   "a task", regardless of the thread that polls the future. `check` does not report a cycle that
//!   leads through a task.
//! * **Other waits.** `check` does not find cycles that lead through locks of other kinds,
//!   channels, joins or calls of [`wait_until_free`](RangeLock::wait_until_free).
//! * **A thread that has just begun to wait.** The thread's request enters the lock a moment before
//!   the thread registers itself as blocked. In this moment `check` does not see the thread's wait.
//!
//! # Cost
//!
//! With this feature:
//!
//! * A thread that blocks captures a [`Backtrace`]. The capture takes from some microseconds to
//!   milliseconds. The backtrace resolves its symbols only when a program prints the backtrace.
//! * A thread that blocks takes a process-wide mutex before its wait, and again after its wait.
//! * Each acquisition looks up the id of its thread.
//! * A lock allocates once, when it is first used.
//! * While `check` copies requests, it blocks all users of the locks in which a thread waits.
//!
//! Without the feature the lock has none of these costs.
//!
//! # Origin
//!
//! parking_lot's module [`deadlock`](https://docs.rs/parking_lot/latest/parking_lot/deadlock/)
//! (feature `deadlock_detection`) finds the deadlocks of parking_lot's mutexes and rwlocks. Like
//! `check`, the search of parking_lot runs only when a program calls the search. A report of
//! `check` also shows which range keeps which thread out.
//!
//! # Lock order
//!
//! `check` first takes the mutex of the registry of blocked threads. Then `check` takes the mutexes
//! of leaves, in ascending order of their locks' addresses. Of one lock, `check` takes the mutexes
//! from left to right. [`acquire_many`](RangeLock::acquire_many) takes the mutexes of leaves in the
//! same order. A thread that blocks enters and leaves the registry while it holds no leaf's mutex.
//!
//! While `check` copies the requests, it holds *all* of these mutexes: the mutex of the registry,
//! and the mutexes of all leaves of every lock in which a registered thread waits. So all waits of
//! a cycle exist at the same instant, for two reasons:
//!
//! * A registered thread has not ended its wait. So no code has moved the locks of the thread's
//!   request, and the request is in these locks.
//! * A wait of one request for another request ends only when a thread changes the entries of one
//!   of the two requests. For this change the thread needs the mutex of a leaf, and `check` has
//!   this mutex. So no wait of a cycle ends during the copy.
//!
//! Therefore `check` copies the requests only once. The search of parking_lot has two passes. The
//! first pass locks one bucket of waiting threads at a time, so a cycle that the first pass finds
//! may not exist. The second pass locks all buckets.
//!
//! Then `check` searches the copy, and holds no mutex.

// It uses the registry of blocked threads and the leaves.

mod graph;

use std::backtrace::Backtrace;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::thread::Thread;

use self::graph::{At, Graph};
use crate::blocked::{Blocked, registry};
use crate::inspect::{RequestInfo, Snapshot};
#[cfg(doc)]
use crate::lock::RangeLock;
use crate::span::Span;

/// Threads that wait for each other, or one thread that waits for itself, as [`check`] found them.
///
/// `Display` prints a heading, and then a line for each thread. `{:#}` also prints the backtraces.
/// To print a deadlock in another form, use the methods of `Deadlock`:
///
/// ```
/// use range_lock::deadlock::{self, Deadlock, Kind};
///
/// fn report(deadlock: &Deadlock) -> String {
///     let certain = match deadlock.kind() {
///         Kind::Cycle => "deadlock",
///         Kind::PossibleSelf => "deadlock, unless the guard is elsewhere",
///         _ => "unknown kind of deadlock",
///     };
///     let mut report = certain.to_owned();
///     for participant in deadlock.participants() {
///         let name = participant.thread().name().unwrap_or("a thread");
///         for wanted in participant.waits_for() {
///             report += &format!("\n{name} waits for {} of lock {:#x}", wanted.request(), wanted.lock());
///         }
///         for had in participant.in_the_way() {
///             report += &format!("\n{name} has {} of lock {:#x}", had.request(), had.lock());
///         }
///         report += &format!("\n{}", participant.backtrace());
///     }
///     report
/// }
///
/// let reports: Vec<String> = deadlock::check().iter().map(report).collect();
/// ```
#[derive(Clone, Debug)]
pub struct Deadlock {
    kind: Kind,
    participants: Vec<Participant>,
}

/// In what way threads are deadlocked. [`Deadlock`] has an example.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// Two threads or more. Each thread of [`Deadlock::participants`] waits for the next thread,
    /// and the last thread waits for the first thread.
    Cycle,
    /// One thread that waits for a range that it took itself. Unless the thread has sent the guard
    /// of this range to another thread, the thread waits in vain. A wait without a time limit then
    /// never ends.
    PossibleSelf,
}

/// A thread that takes part in a [`Deadlock`]. The page of `Deadlock` has an example.
///
/// `Display` names the thread.
#[derive(Clone, Debug)]
pub struct Participant {
    thread: Thread,
    waits_for: Vec<Stake>,
    in_the_way: Vec<Stake>,
    /// Shared with the registry, which may have dropped its own by now.
    backtrace: Arc<Backtrace>,
}

/// A range that a [`Participant`] holds or waits for, with its lock. [`Deadlock`] has an example.
///
/// `Display` gives the request and the lock's address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stake {
    lock: usize,
    request: RequestInfo,
}

impl Deadlock {
    /// In what way the threads are deadlocked.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Returns the threads of the deadlock. Each thread waits for the next thread, and the last
    /// thread waits for the first thread. If there is only one thread, it waits for itself.
    pub fn participants(&self) -> &[Participant] {
        &self.participants
    }
}

impl Participant {
    /// The thread: its name and its id.
    pub fn thread(&self) -> &Thread {
        &self.thread
    }

    /// Returns the ranges of the request for which the thread waits. A request of
    /// [`acquire_many`](RangeLock::acquire_many) can have several ranges. Every other request has
    /// one range.
    pub fn waits_for(&self) -> &[Stake] {
        &self.waits_for
    }

    /// Returns the ranges of this thread for which the previous participant waits. This thread
    /// holds these ranges, or its request for these ranges waits before the request of the previous
    /// participant. The previous participant of the first participant is the last participant.
    pub fn in_the_way(&self) -> &[Stake] {
        &self.in_the_way
    }

    /// Returns the backtrace of the place where the thread waits. The thread captured the backtrace
    /// when it blocked. Printing the backtrace resolves its symbols, which takes time.
    pub fn backtrace(&self) -> &Backtrace {
        &self.backtrace
    }
}

impl Stake {
    /// The address of the [`RangeLock`], to be compared with `std::ptr::from_ref(&lock).addr()`.
    pub fn lock(&self) -> usize {
        self.lock
    }

    /// The request, as [`RangeLock::requests`] lists it.
    pub fn request(&self) -> &RequestInfo {
        &self.request
    }
}

/// Finds threads of the process that wait for each other in range locks at the time of the call.
///
/// The result begins with the threads that wait for themselves ([`Kind::PossibleSelf`]). Cycles of
/// several threads follow ([`Kind::Cycle`]). In a *group* of threads, each thread waits for every
/// other thread, directly or through other threads. `check` returns one cycle for each group: a
/// shortest cycle through the thread of the group that blocked first. The order of the cycles is
/// the order in which the first threads of the groups blocked.
///
/// A group can have other cycles. Some of these cycles may remain when a program breaks the
/// returned cycle. Later calls return the remaining cycles, again one cycle for each group. If
/// thread A waits for a thread of a group, but no thread of the group waits for A, A does not
/// belong to the group.
///
/// A watchdog thread can call `check` from time to time. A cycle with a timed wait ends by itself.
/// So the watchdog thread can call `check` a second time before it reports a deadlock.
///
/// ```
/// use range_lock::deadlock;
/// use std::time::Duration;
///
/// std::thread::spawn(|| loop {
///     std::thread::sleep(Duration::from_secs(10));
///     for deadlock in deadlock::check() {
///         eprintln!("{deadlock:#}");
///     }
/// });
/// ```
///
/// The [module](self) lists what `check` finds and what it does not find. Let n be the number of
/// requests in the locks in which a thread is blocked. `check` blocks the users of these locks only
/// while it copies the n requests. The search of the copy blocks no user of a lock. The search
/// takes O(n log n) steps, and at most O(n²) steps if threads hold many ranges and wait for many
/// ranges.
pub fn check() -> Vec<Deadlock> {
    let copied = Copied::new();
    let graph = Graph::new(copied.threads.iter().map(|blocked| &**blocked), &copied.locks);
    let selves = graph.waiting_for_themselves().map(|n| copied.deadlock(&graph, Kind::PossibleSelf, &[n]));
    selves.chain(graph.circles().iter().map(|circle| copied.deadlock(&graph, Kind::Cycle, circle))).collect()
}

/// What the search looks at.
struct Copied {
    /// The blocked threads, in the order in which they blocked.
    threads: Vec<Arc<Blocked>>,
    /// What is in the locks in which one of them is blocked, by the locks' addresses.
    locks: BTreeMap<usize, Arc<Snapshot>>,
}

impl Copied {
    fn new() -> Self {
        let registry = registry();
        let partitions: BTreeMap<_, _> = registry
            .iter()
            .flat_map(|blocked| &blocked.requests)
            .map(|at| (at.lock, &at.partition))
            .collect();
        // All are locked, in ascending order, before the first is unlocked.
        let locked: Vec<_> = partitions
            .into_iter()
            .map(|(lock, partition)| (lock, partition.look_over(Span::WHOLE)))
            .collect();
        let unsorted: Vec<_> =
            locked.iter().map(|(lock, leaves)| (*lock, Snapshot::copy(leaves, Span::WHOLE))).collect();
        drop(locked);
        let threads = registry.iter().map(Arc::clone).collect();
        drop(registry);
        let locks = unsorted.into_iter().map(|(lock, all)| (lock, Arc::new(Snapshot::of(all)))).collect();
        Copied { threads, locks }
    }

    fn stake(&self, at: At) -> Stake {
        Stake { lock: at.lock, request: self.locks[&at.lock].request(at.index) }
    }

    fn deadlock(&self, graph: &Graph<'_>, kind: Kind, circle: &[usize]) -> Deadlock {
        let participant = |(at, &n): (usize, &usize)| {
            let before = circle[at.checked_sub(1).unwrap_or(circle.len() - 1)];
            Participant {
                thread: self.threads[n].thread.clone(),
                waits_for: graph.wants(n).iter().map(|&at| self.stake(at)).collect(),
                in_the_way: graph.in_the_way(before, n).map(|at| self.stake(at)).collect(),
                backtrace: Arc::clone(&self.threads[n].backtrace),
            }
        };
        Deadlock { kind, participants: circle.iter().enumerate().map(participant).collect() }
    }
}

impl fmt::Display for Deadlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            Kind::Cycle => write!(f, "deadlock of {} threads", self.participants.len())?,
            Kind::PossibleSelf => write!(f, "possible self-deadlock")?,
        }
        let nexts = self.participants.iter().cycle().skip(1);
        for (participant, next) in self.participants.iter().zip(nexts) {
            write!(f, "\n{participant}: ")?;
            list(f, &participant.waits_for)?;
            write!(f, "; kept out by {next}: ")?;
            list(f, &next.in_the_way)?;
            if f.alternate() {
                write!(f, "\n{}", participant.backtrace)?;
            }
        }
        Ok(())
    }
}

fn list(f: &mut fmt::Formatter<'_>, stakes: &[Stake]) -> fmt::Result {
    stakes
        .iter()
        .enumerate()
        .try_for_each(|(n, stake)| write!(f, "{}{stake}", if n == 0 { "" } else { ", " }))
}

impl fmt::Display for Participant {
    /// Prints which thread it is.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.thread.name() {
            Some(name) => write!(f, "thread {name:?}"),
            None => write!(f, "thread {:?}", self.thread.id()),
        }
    }
}

impl fmt::Display for Stake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in lock {:#x}", self.request, self.lock)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::thread;

    use super::*;
    use crate::lock::RangeLock;
    use crate::many::Request;

    /// Returns when `n` threads are known to be blocked in `lock`.
    fn until_blocked(lock: &RangeLock, n: usize) {
        while registry().iter().filter(|blocked| is_blocked_in(blocked, lock)).count() != n {
            thread::yield_now();
        }
    }

    fn is_blocked_in(blocked: &Blocked, lock: &RangeLock) -> bool {
        blocked.requests.iter().any(|waiting| waiting.lock == lock.place().address())
    }

    #[test]
    fn to_wait_is_no_deadlock() {
        let (a, b) = (RangeLock::new(), RangeLock::new());
        let holders = (a.write(0..10), b.read(0..10));
        thread::scope(|scope| {
            // A chain over both locks, and a holder of something that no other wants.
            scope.spawn(|| drop((a.write(20..30), a.write(40..50), a.read(0..5))));
            until_blocked(&a, 1);
            scope.spawn(|| drop((b.write(20..30), a.write(0..25))));
            until_blocked(&a, 2);
            scope.spawn(|| {
                drop(RangeLock::acquire_many([Request::read(&a, 0..30), Request::write(&b, 0..30)]))
            });
            until_blocked(&a, 3);
            until_blocked(&b, 1);
            let copied = Copied::new();
            let graph = Graph::new(copied.threads.iter().map(|blocked| &**blocked), &copied.locks);
            let here: Vec<_> =
                (0..copied.threads.len()).filter(|&n| is_blocked_in(&copied.threads[n], &a)).collect();
            let edges = |&n: &usize| here.iter().map(|&to| graph.in_the_way(n, to).count()).sum::<usize>();
            assert_eq!(here.iter().map(edges).collect::<Vec<_>>(), [0, 2, 3]);
            let circles = graph.circles();
            assert!(circles.iter().flatten().all(|n| !here.contains(n)));
            assert!(graph.waiting_for_themselves().all(|n| !here.contains(&n)));
            drop(holders);
        });
        until_blocked(&a, 0);
        until_blocked(&b, 0);
    }

    /// With n threads that wait for one range there are n²/2 edges. The search visits O(n log n)
    /// nodes of trees.
    #[test]
    #[cfg(not(any(shuttle, miri)))]
    fn a_crowd_is_searched_with_few_looks() {
        use crate::interval_tree::VISITS;

        const CROWD: usize = 500;
        let lock = RangeLock::new();
        let held = lock.write(0..10);
        thread::scope(|scope| {
            for _ in 0..CROWD {
                let crowd = thread::Builder::new().stack_size(256 << 10);
                crowd.spawn_scoped(scope, || drop(lock.write(0..10))).unwrap();
            }
            until_blocked(&lock, CROWD);
            let copied = Copied::new();
            let graph = Graph::new(copied.threads.iter().map(|blocked| &**blocked), &copied.locks);
            let before = VISITS.get();
            let circles = graph.circles().len();
            let each = (VISITS.get() - before) as f64 / copied.threads.len() as f64;
            drop(held); // Before anything can panic: the scope waits for the threads.
            println!("{} threads, {circles} circles: {each:.1} looks for each", copied.threads.len());
            assert!(each <= 8.0 * (CROWD as f64).log2(), "{each:.1} looks for each of {CROWD} threads");
        });
        until_blocked(&lock, 0);
    }
}
