//! What a run leaves behind.

use std::error::Error;
use std::fmt::{self, Display};

use crate::Ps;

/// What happened in a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// When the last thread ended.
    pub end: Ps,
    /// All lines that missed or were locked, by the time that was waited for them, most first.
    pub lines: Vec<LineReport>,
    /// What each thread did with its time.
    pub per_thread: Vec<ThreadReport>,
    /// How often what happened.
    pub counts: Counts,
}

/// What happened to one line of 64 bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LineReport {
    /// Its first byte.
    pub address: u64,
    /// What [`name`](crate::name) said lies there.
    pub what: Option<(&'static str, usize)>,
    /// Accesses that had to fetch it.
    pub misses: u64,
    /// Locked instructions on it.
    pub locked: u64,
    /// How long all threads together waited for it.
    pub waited: Ps,
    /// Misses by the address of the instruction behind the access, most first.
    pub by_function: Vec<(u64, u64)>,
}

/// What one thread did with its time.
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
    /// Its accesses that had to fetch a line.
    pub misses: u64,
}

/// How often what happened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Loads, stores and locked instructions.
    pub accesses: u64,
    /// Of these, those that had to fetch a line.
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
}

/// All threads that were left slept, and nothing was to wake them up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deadlock {
    /// When the last one went to sleep.
    pub at: Ps,
    /// The threads, and the address of the futex each slept on.
    pub asleep: Vec<(usize, usize)>,
}

impl Display for Deadlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "deadlock after {} ns: asleep without an alarm are", self.at / 1000)?;
        for (i, (thread, address)) in self.asleep.iter().enumerate() {
            write!(f, "{} thread {thread} (futex {address:#x})", if i == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

impl Error for Deadlock {}
