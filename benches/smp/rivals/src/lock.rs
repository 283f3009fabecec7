//! What a lock has to offer to be simulated.

use std::ops::Range;

/// In which order a lock grants requests that conflict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// First come, first served: of two requests that conflict, the earlier one is granted first.
    Fifo,
    /// The lock promises no order.
    Any,
}

/// The parameters for which a lock is built.
#[derive(Clone, Debug)]
pub struct Setup {
    /// How many threads use the lock, numbered from 0. The thread that builds it has the next
    /// number.
    pub threads: usize,
    /// How many ranges one thread holds at a time at most.
    pub held: usize,
    /// How many ranges the thread that builds the lock holds.
    pub held_before: usize,
    /// Where the domain of the workload ends, in bytes.
    pub domain: u64,
}

/// A lock, or what stands in for one. All verbs take the number of the calling thread.
///
/// A thread holds several ranges at a time only if these do not conflict, and at most
/// [`Setup::held`] of them.
pub trait Lock: Send + Sync + Sized + 'static {
    /// Its name in tables and on the command line.
    const NAME: &'static str;
    /// What it is, in one line.
    const WHAT: &'static str;
    /// The order of grants.
    const ORDER: Order;
    /// Whether readers let each other in.
    const SHARED: bool;
    /// How many ranges one thread may hold at a time at most.
    const MOST_HELD: usize;
    /// Whether it is there to fail a check.
    const CONTROL: bool = false;
    /// The names of what it counts in the notes of the machine's report.
    const NOTES: &'static [&'static str] = &[];

    /// Releases its range when it is dropped.
    type Read<'a>;
    /// Releases its range when it is dropped.
    type Write<'a>;

    /// Builds a lock in which nothing is locked.
    fn new(setup: &Setup) -> Self;

    /// Locks a range for reading.
    fn read(&self, me: usize, range: Range<u64>) -> Self::Read<'_>;

    /// Locks a range for writing.
    fn write(&self, me: usize, range: Range<u64>) -> Self::Write<'_>;

    /// Calls `visit` with the start and the bytes of each part, its name and its number, for the
    /// profile. It is called when no thread uses the lock, or all threads that do are stopped for
    /// good.
    fn parts(&self, visit: &mut dyn FnMut(usize, usize, &'static str, usize)) {
        visit(std::ptr::from_ref(self).addr(), size_of::<Self>(), "the lock's word", 0);
    }
}

/// A page, the unit of all workloads, in bytes.
pub(crate) const PAGE: u64 = 4096;
