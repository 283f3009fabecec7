//! The report of a run.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::{self, Display, Write};
use std::time::Duration;

use crate::costs::US;
use crate::names::names_at;
use crate::{Named, Ps};

/// The events of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// When the last thread ended.
    pub end: Ps,
    /// All lines that missed or were locked, by the time that threads waited for them, most first.
    pub lines: Vec<LineReport>,
    /// How each thread spent its time.
    pub per_thread: Vec<ThreadReport>,
    /// The counts of events.
    pub counts: Counts,
}

/// The events of one line of 64 bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LineReport {
    /// The address of its first byte.
    pub address: u64,
    /// The names that [`name`](crate::name) gave to what lies there. If there are several names,
    /// threads that use different parts wait for each other.
    pub what: Vec<Named>,
    /// How many accesses had to fetch it.
    pub misses: u64,
    /// How many locked instructions it had.
    pub locked: u64,
    /// How long all threads together waited for it.
    pub waited: Ps,
    /// Misses by the address of the instruction behind the access, most first.
    pub by_function: Vec<(u64, u64)>,
}

/// How one thread spent its time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ThreadReport {
    /// It ran, and waited for no line.
    pub busy: Ps,
    /// It ran, and waited for a line.
    pub waiting_for_lines: Ps,
    /// It slept, in a futex or until a time.
    pub asleep: Ps,
    /// It could have run, and another thread had its CPU.
    pub preempted: Ps,
    /// How many of its accesses had to fetch a line.
    pub misses: u64,
}

/// Counts of events in a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Loads, stores and locked instructions.
    pub accesses: u64,
    /// How many of these had to fetch a line.
    pub misses: u64,
    /// Changes from one coroutine to another.
    pub switches: u64,
    /// Futex waits that slept.
    pub sleeps: u64,
    /// Threads woken up by a futex.
    pub wakes: u64,
    /// Sleeps until a time.
    pub naps: u64,
    /// Calls of `sched_yield`.
    pub yields: u64,
    /// Threads that lost their CPU to another thread.
    pub preemptions: u64,
    /// The counts that the code under test makes by `range_lock_smp_note`.
    pub notes: [u64; 3],
}

/// A run that did not end: its threads wait for each other, or go on for longer than
/// [`Limits`](crate::Limits) allow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stuck {
    /// How the machine noticed it.
    pub why: Why,
    /// The virtual time then.
    pub at: Ps,
    /// The threads that have not ended.
    pub threads: Vec<StuckThread>,
}

/// How the machine noticed that a run does not end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// All remaining threads sleep, and nothing will wake them up.
    Deadlock,
    /// The run took longer than this, in virtual time.
    VirtualTime(Ps),
    /// The run took longer than this, in real time.
    RealTime(Duration),
}

/// A thread that has not ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StuckThread {
    /// Its number.
    pub thread: usize,
    /// Its CPU.
    pub cpu: usize,
    /// What the thread does.
    pub doing: Doing,
    /// The address of its last atomic access, or of its last access that fetched a line.
    pub address: usize,
    /// The address of the instruction behind that access.
    pub pc: u64,
}

/// What a thread that has not ended does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Doing {
    /// It sleeps until another thread wakes it up.
    Sleeps,
    /// It sleeps until a time.
    Naps,
    /// It runs.
    Runs,
    /// It could run, and waits for a CPU.
    WaitsForCpu,
}

impl Display for Doing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Doing::Sleeps => "sleep",
            Doing::Naps => "nap",
            Doing::Runs => "run",
            Doing::WaitsForCpu => "wait for a CPU",
        })
    }
}

impl Stuck {
    /// What each thread waits for, with the names of its functions: one line for all threads that
    /// wait for the same.
    pub fn describe(&self, mut function: impl FnMut(u64) -> String) -> String {
        let mut alike: BTreeMap<(Doing, String, String), Vec<&StuckThread>> = BTreeMap::new();
        for thread in &self.threads {
            let names = names_at(thread.address).into_iter().map(|(what, n)| format!("{what} {n}"));
            let names = names.collect::<Vec<_>>().join(" + ");
            let what = if names.is_empty() { "memory without a name".to_owned() } else { names };
            alike.entry((thread.doing, what, function(thread.pc))).or_default().push(thread);
        }
        let mut text = format!("{} after {} µs of virtual time", self.why, self.at / US);
        for ((doing, what, function), threads) in alike {
            let cpus = numbers(threads.iter().map(|thread| thread.cpu));
            let names = numbers(threads.iter().map(|thread| thread.thread));
            let _ = write!(text, "\n  CPU {cpus}: thread {names}: {doing}, at {what}, in {function}");
        }
        text
    }
}

impl Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Why::Deadlock => f.write_str("deadlock"),
            Why::VirtualTime(limit) => {
                write!(f, "no end within {} µs of virtual time (a livelock?): stopped", limit / US)
            }
            Why::RealTime(limit) => write!(f, "no end within {} s: stopped", limit.as_secs_f32()),
        }
    }
}

impl Display for Stuck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.describe(|pc| format!("{pc:#x}")))
    }
}

impl Error for Stuck {}

/// Numbers in ascending order, with consecutive ones as `1-5`.
fn numbers(all: impl Iterator<Item = usize>) -> String {
    let mut all: Vec<usize> = all.collect();
    all.sort_unstable();
    all.dedup();
    let mut parts: Vec<(usize, usize)> = Vec::new();
    for n in all {
        match parts.last_mut() {
            Some((_, last)) if *last + 1 == n => *last = n,
            _ => parts.push((n, n)),
        }
    }
    let text = |(first, last)| if first == last { format!("{first}") } else { format!("{first}-{last}") };
    parts.into_iter().map(text).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_follow_each_other_are_a_range() {
        assert_eq!(numbers([3, 1, 2, 2, 7, 9, 10].into_iter()), "1-3,7,9-10");
        assert_eq!(numbers([].into_iter()), "");
    }

    #[test]
    fn threads_that_wait_for_the_same_share_a_line() {
        let thread = |thread, pc| StuckThread { thread, cpu: thread, doing: Doing::Runs, address: 640, pc };
        let threads = vec![thread(0, 1), thread(1, 1), thread(2, 1), thread(3, 2)];
        let stuck = Stuck { why: Why::VirtualTime(5 * US), at: 6 * US, threads };
        assert_eq!(
            stuck.to_string(),
            "no end within 5 µs of virtual time (a livelock?): stopped after 6 µs of virtual time\n  \
             CPU 0-2: thread 0-2: run, at memory without a name, in 0x1\n  \
             CPU 3: thread 3: run, at memory without a name, in 0x2"
        );
    }
}
