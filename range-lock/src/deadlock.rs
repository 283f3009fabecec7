//! Who waits for whom, over all range locks of the process (feature `deadlock_detection`).
//!
//! [`check`] looks at every thread that is blocked in a [`RangeLock`] at this moment, and returns the circles in which they wait
//! for each other. It changes nothing, panics for nothing, and is never called by the crate itself: call it from a watchdog
//! thread, a signal's handler thread, a test.
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
//! A request waits for every request that it [counts](crate::RequestInfo::waits_for): those that hold, and those that wait before
//! it. So each circle is a deadlock, not only a danger of one; it is looked for while nothing can change, see below. It ends
//! when one of its members gives up, so a circle of timed waits is reported too, until then.
//!
//! One reservation: what is held is booked to **the thread that took it**. Guards may be sent to other threads, and what was
//! sent away may be released by somebody who is not blocked. A program that never sends guards has no such case; one that does
//! must read every report as "unless one of these guards is elsewhere". The plainest case is listed as a kind of its own,
//! [`Kind::PossibleSelf`]: a thread that waits for what it took itself.
//!
//! # What is not found
//!
//! * **Tasks.** A future has no thread; what it has acquired is booked to "a task", whichever thread polled it, and so is what it
//!   waits for. A circle that leads through a task is not reported.
//! * Circles that lead through other kinds of locks, channels or joins.
//! * A thread that has only just begun to wait: its request is in the lock a moment before the thread is known to be blocked.
//!
//! # Cost
//!
//! With the feature on, each thread that blocks captures a [`Backtrace`] (some microseconds up to milliseconds; it is resolved
//! only when printed) and takes a process-wide mutex before and after; each acquisition looks up its thread's id; a lock
//! allocates once, when first used. `check` holds up all locks in which a thread is blocked while it looks. Without the feature
//! nothing of this is there.
//!
//! # Origin
//!
//! parking_lot's module [`deadlock`](https://docs.rs/parking_lot/latest/parking_lot/deadlock/)
//! (feature `deadlock_detection`), which does the same for its mutexes and rwlocks: there, too, the
//! graph is made when somebody asks. Here the reported circle shows what is in whose way, since
//! ranges do not say that by themselves.
//!
//! # Lock order
//!
//! The registry of blocked threads comes first, then the leaves in ascending order of their locks' addresses, the order in which
//! [`acquire_many`](RangeLock::acquire_many) takes them. A thread enters and leaves the registry with no leaf's mutex held.
//!
//! `check` holds *all* of these mutexes at once: the registry's, and that of each leaf in which a registered thread waits. A
//! thread that is registered is inside the wait, so its lock is where it was, its request is in the lock, and neither can it
//! be granted nor can anything that it counts leave: for that one of these leaves would have to be changed. So nothing has to
//! be looked at again, as parking_lot does: all edges of a circle exist at one moment.

// It uses the registry of blocked threads and the leaves.

use std::backtrace::Backtrace;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::thread::Thread;

use crate::blocked::{Blocked, Waiting, registry};
use crate::inspect::RequestInfo;
use crate::leaf::{Entry, Leaf};
#[cfg(doc)]
use crate::lock::RangeLock;
use crate::owner::Owner;
use crate::partition::Locked;
use crate::span::Span;

/// Threads that wait for each other, or for themselves, as [`check`] found them.
///
/// `Display` gives a line to each; with `{:#}` also the backtraces. Who wants it otherwise puts it together from the parts:
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

/// In what way threads are deadlocked; [`Deadlock`] has an example.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// Two threads or more, each of which waits for the next, and the last for the first.
    Cycle,
    /// One thread that waits for what it took itself. Unless it has sent the guard to another thread, it waits for ever.
    PossibleSelf,
}

/// A thread that has part in a [`Deadlock`], which has an example.
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

/// A range that a [`Participant`] has or wants, and in which lock; [`Deadlock`] has an example.
///
/// `Display` gives the request and the lock's address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stake {
    lock: usize,
    request: RequestInfo,
}

impl Deadlock {
    /// In what way they are deadlocked.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Who: each waits for the next, the last for the first.
    pub fn participants(&self) -> &[Participant] {
        &self.participants
    }
}

impl Participant {
    /// The thread: its name and its id.
    pub fn thread(&self) -> &Thread {
        &self.thread
    }

    /// What it waits for: one range, or, in [`acquire_many`](RangeLock::acquire_many), all ranges of the request.
    pub fn waits_for(&self) -> &[Stake] {
        &self.waits_for
    }

    /// What it has that the participant before it waits for: what it holds, or a place in the queue ahead of that participant.
    pub fn in_the_way(&self) -> &[Stake] {
        &self.in_the_way
    }

    /// Where it waits: captured when it blocked. Resolved, at some cost, when it is printed.
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

/// Finds the threads that are deadlocked in range locks at this moment, anywhere in the process.
///
/// Each thread that waits in a circle is in at least one of those returned, but not every circle is: of those that lead through
/// a thread, a shortest one. Threads that wait for a deadlocked one without being waited for are in none. Those that blocked
/// first come first.
///
/// A watchdog thread looks once in a while, and twice before it believes what it sees: a circle of timed waits dissolves.
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
/// See the [module](self) for what is found and what is not, and for what it costs: with n blocked threads and e pairs of which one
/// waits for the other, O(n (n + e)) steps at most, while the locks concerned are held up.
pub fn check() -> Vec<Deadlock> {
    with_graph(|graph| graph.deadlocks())
}

/// Calls `f` with the graph as it is, and as it stays meanwhile.
fn with_graph<T>(f: impl FnOnce(&Graph<'_>) -> T) -> T {
    let registry = registry();
    let partitions: BTreeMap<_, _> =
        registry.iter().flat_map(|blocked| &blocked.requests).map(|at| (at.lock, &at.partition)).collect();
    // In ascending order.
    let locks = partitions.into_iter().map(|(lock, partition)| (lock, partition.look_over(Span::WHOLE)));
    f(&Graph::new(&registry, &locks.collect()))
}

/// One span of one request, in its lock.
#[derive(Clone, Copy)]
struct At<'a> {
    lock: usize,
    leaves: &'a Locked<'a>,
    entry: Entry<'a>,
}

impl At<'_> {
    fn stake(&self) -> Stake {
        Stake { lock: self.lock, request: RequestInfo::new(self.leaves, self.entry) }
    }
}

/// That one blocked thread waits for another, or for itself.
struct Edge<'a> {
    to: usize,
    /// What belongs to `to` and is in the way.
    in_the_way: At<'a>,
}

/// The wait-for graph. Its nodes are the blocked threads, known by their places in the registry.
struct Graph<'a> {
    threads: &'a [Arc<Blocked>],
    /// What each of them waits for.
    wants: Vec<Vec<At<'a>>>,
    edges: Vec<Vec<Edge<'a>>>,
}

impl<'a> Graph<'a> {
    /// Of what is in the leaves of all locks in which a thread of the registry waits.
    fn new(threads: &'a [Arc<Blocked>], locks: &'a BTreeMap<usize, Locked<'_>>) -> Self {
        let index: HashMap<_, _> =
            threads.iter().enumerate().map(|(n, blocked)| (blocked.thread.id(), n)).collect();
        let wants: Vec<Vec<_>> = threads.iter().map(|blocked| wants(blocked, locks)).collect();
        let edges = wants.iter().map(|wants| {
            let counted = wants.iter().flat_map(|want| {
                let in_the_way = want.leaves.iter().flat_map(|leaf| leaf.counted_by(want.entry));
                in_the_way.map(|entry| At { entry, ..*want })
            });
            let edge = |in_the_way: At<'a>| match in_the_way.entry.owner {
                Owner::Thread(id) => Some(Edge { to: *index.get(&id)?, in_the_way }),
                Owner::Task => None,
            };
            counted.filter_map(edge).collect()
        });
        let edges = edges.collect();
        Graph { threads, wants, edges }
    }

    fn deadlocks(&self) -> Vec<Deadlock> {
        let to_itself = |n: &usize| self.edges[*n].iter().any(|edge| edge.to == *n);
        let selves =
            (0..self.threads.len()).filter(to_itself).map(|n| self.deadlock(Kind::PossibleSelf, &[n]));
        let mut deadlocks: Vec<_> = selves.collect();
        let mut known: Vec<Vec<usize>> = Vec::new();
        for n in 0..self.threads.len() {
            let Some(cycle) = self.shortest_cycle(n) else { continue };
            let mut members = cycle.clone();
            members.sort_unstable();
            if !known.contains(&members) {
                deadlocks.push(self.deadlock(Kind::Cycle, &cycle));
                known.push(members);
            }
        }
        deadlocks
    }

    /// A shortest way from `start` back to it through others: breadth first.
    fn shortest_cycle(&self, start: usize) -> Option<Vec<usize>> {
        let mut came_from = vec![None; self.threads.len()];
        let mut queue = VecDeque::from([start]);
        while let Some(n) = queue.pop_front() {
            for to in self.edges[n].iter().map(|edge| edge.to).filter(|to| *to != n) {
                if to == start {
                    let mut cycle: Vec<_> = std::iter::successors(Some(n), |&n| came_from[n]).collect();
                    cycle.reverse();
                    return Some(cycle);
                }
                if came_from[to].is_none() {
                    came_from[to] = Some(n);
                    queue.push_back(to);
                }
            }
        }
        None
    }

    fn deadlock(&self, kind: Kind, cycle: &[usize]) -> Deadlock {
        let participant = |(at, &n): (usize, &usize)| {
            let before = cycle[at.checked_sub(1).unwrap_or(cycle.len() - 1)];
            // By several of its own ranges it may count the same one.
            let mut in_the_way = Vec::new();
            for edge in self.edges[before].iter().filter(|edge| edge.to == n) {
                let stake = edge.in_the_way.stake();
                if !in_the_way.contains(&stake) {
                    in_the_way.push(stake);
                }
            }
            Participant {
                thread: self.threads[n].thread.clone(),
                waits_for: self.wants[n].iter().map(At::stake).collect(),
                in_the_way,
                backtrace: Arc::clone(&self.threads[n].backtrace),
            }
        };
        Deadlock { kind, participants: cycle.iter().enumerate().map(participant).collect() }
    }
}

/// What a thread waits for: nothing if it has been granted that and has not yet run to see it.
fn wants<'a>(blocked: &Blocked, locks: &'a BTreeMap<usize, Locked<'_>>) -> Vec<At<'a>> {
    let spans = blocked.requests.iter().flat_map(|&Waiting { lock, id, .. }| {
        let leaves: &Locked<'_> = &locks[&lock];
        let entries = leaves.iter().flat_map(Leaf::beginning_here);
        entries.filter(move |entry| entry.id == id && entry.waits()).map(move |entry| At {
            lock,
            leaves,
            entry,
        })
    });
    spans.collect()
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
            // A chain over both locks, and who holds something that nobody wants.
            scope.spawn(|| drop((a.write(20..30), a.write(40..50), a.read(0..5))));
            until_blocked(&a, 1);
            scope.spawn(|| drop((b.write(20..30), a.write(0..25))));
            until_blocked(&a, 2);
            scope.spawn(|| {
                drop(RangeLock::acquire_many([Request::read(&a, 0..30), Request::write(&b, 0..30)]))
            });
            until_blocked(&a, 3);
            until_blocked(&b, 1);
            let edges = with_graph(|graph| {
                assert!(graph.deadlocks().is_empty());
                let here = (0..graph.threads.len()).filter(|n| is_blocked_in(&graph.threads[*n], &a));
                here.map(|n| graph.edges[n].len()).collect::<Vec<_>>()
            });
            assert_eq!(edges, [0, 2, 3]);
            drop(holders);
        });
        until_blocked(&a, 0);
        until_blocked(&b, 0);
    }
}
