//! The workloads that measure the locks.
//!
//! A [`Workload`] with a number of threads is a *cell*. A [`Contender`] runs it on a new lock and
//! reports operations per second. An operation is an acquisition and its release, unless the
//! workload says otherwise.

mod array;
pub mod bytes;
mod contended;
mod many;
pub mod op;
pub mod pattern;
mod short;
mod sleeping;
mod token_ring;
mod whole;

use std::marker::PhantomData;

use crossbeam_utils::CachePadded;

use crate::measure::{Plan, Stint};
use crate::rival::{Rival, Scope};
use crate::rivals::{self, Visitor};
use crate::sample::{Footprint, Waits};

/// The name of W7's reference, whose threads pass the work round in a fixed order.
pub const TOKEN_RING: &str = "token ring";

/// What is done under and around a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Workload {
    /// W1: writes of 4 KiB that move on.
    Write,
    /// W1: reads of 4 KiB that move on.
    Read,
    /// W2: random 4 KiB writes, each thread in 64 MiB of its own.
    DisjointWrites,
    /// W2r: random 4 KiB reads, all threads in the same 128 MiB.
    RandomReads,
    /// W3: random 4 KiB in 1 GiB, 95 % reads: few ranges are held at a time, and nearly all shared.
    ReadMostly,
    /// W4: reads of one block by all threads.
    SameBlockReads,
    /// W5: a free range, while `held` others are held.
    Among {
        /// How many others are held.
        held: usize,
    },
    /// W6: the whole domain, by one thread.
    Whole,
    /// W6: the same after two threads have met all over the domain.
    WholeAfterMeeting,
    /// W6: one thread's small writes, while another takes the whole domain once per 1000 of them.
    /// Only the small writes are counted.
    WholePerThousand,
    /// W7: one block, 200 ns inside, taken again at once.
    HandOver,
    /// W8: random 4 KiB writes in 1 GiB, 50 µs of sleep inside.
    Sleep,
    /// W10: each thread locks a hundred ranges, then unlocks them. An operation is one of the
    /// hundred.
    Hundred {
        /// Whether the threads' ranges alternate, or each thread has its own part of the domain.
        interleaved: bool,
    },
    /// W11: an array of 256 slots. Random ranges of it are read or written, slot by slot.
    Array {
        /// How many of a hundred operations read.
        reads: u32,
    },
    /// W12: a writer of the whole domain among threads that hold random blocks for reading and
    /// sleep 50 µs. The workload counts the reads, and measures how long the writer waits.
    WriterAmongReaders,
}

/// A workload with a number of threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    /// What the threads do.
    pub workload: Workload,
    /// How many threads there are.
    pub threads: usize,
}

impl Workload {
    /// All workloads.
    pub const ALL: [Workload; 21] = [
        Workload::Write,
        Workload::Read,
        Workload::DisjointWrites,
        Workload::RandomReads,
        Workload::ReadMostly,
        Workload::SameBlockReads,
        Workload::Among { held: 0 },
        Workload::Among { held: 100 },
        Workload::Among { held: 10_000 },
        Workload::Among { held: 100_000 },
        Workload::Whole,
        Workload::WholeAfterMeeting,
        Workload::WholePerThousand,
        Workload::HandOver,
        Workload::Sleep,
        Workload::Hundred { interleaved: false },
        Workload::Hundred { interleaved: true },
        Workload::Array { reads: 60 },
        Workload::Array { reads: 95 },
        Workload::Array { reads: 100 },
        Workload::WriterAmongReaders,
    ];

    /// The workload's name in files, in tables and on the command line.
    pub fn name(self) -> String {
        match self {
            Workload::Write => "W1/write".to_owned(),
            Workload::Read => "W1/read".to_owned(),
            Workload::DisjointWrites => "W2".to_owned(),
            Workload::RandomReads => "W2r".to_owned(),
            Workload::ReadMostly => "W3".to_owned(),
            Workload::SameBlockReads => "W4".to_owned(),
            Workload::Among { held } => format!("W5/{held}"),
            Workload::Whole => "W6/alone".to_owned(),
            Workload::WholeAfterMeeting => "W6/met".to_owned(),
            Workload::WholePerThousand => "W6/mixed".to_owned(),
            Workload::HandOver => "W7".to_owned(),
            Workload::Sleep => "W8".to_owned(),
            Workload::Hundred { interleaved: false } => "W10/apart".to_owned(),
            Workload::Hundred { interleaved: true } => "W10/interleaved".to_owned(),
            Workload::Array { reads } => format!("W11/{reads}"),
            Workload::WriterAmongReaders => "W12".to_owned(),
        }
    }

    /// The numbers of threads with which it is run.
    pub fn threads(self) -> &'static [usize] {
        match self {
            Workload::Write | Workload::Read | Workload::Among { .. } => &[1],
            Workload::Whole | Workload::WholeAfterMeeting => &[1],
            Workload::DisjointWrites
            | Workload::RandomReads
            | Workload::ReadMostly
            | Workload::SameBlockReads => &[1, 2, 4, 8],
            Workload::WholePerThousand => &[2],
            Workload::HandOver => &[2, 8],
            Workload::Sleep => &[16],
            Workload::Hundred { .. } | Workload::Array { .. } => &[1, 2],
            Workload::WriterAmongReaders => &[9],
        }
    }

    /// Whether it can be run with any number of threads.
    fn takes_any_threads(self) -> bool {
        matches!(
            self,
            Workload::DisjointWrites
                | Workload::RandomReads
                | Workload::ReadMostly
                | Workload::SameBlockReads
                | Workload::HandOver
                | Workload::Sleep
        )
    }

    /// How many times longer than others it must run to give a useful figure: where threads sleep,
    /// or outnumber the CPUs.
    fn patience(self, threads: usize) -> u32 {
        match self {
            Workload::HandOver | Workload::WriterAmongReaders => 6,
            Workload::Sleep => 3,
            _ if threads > 2 => 2,
            _ => 1,
        }
    }

    /// Whether one thread holds several ranges at a time, and how many in all.
    fn holds(self) -> usize {
        match self {
            Workload::Among { held } => held,
            Workload::Hundred { .. } => 100,
            _ => 0,
        }
    }
}

impl Cell {
    /// All cells, in the order in which they are run.
    pub fn all() -> Vec<Cell> {
        let of =
            |workload: Workload| workload.threads().iter().map(move |&threads| Cell { workload, threads });
        Workload::ALL.into_iter().flat_map(of).collect()
    }

    /// All cells, with these numbers of threads in workloads that can be run with any number.
    pub fn all_with(numbers: &[usize]) -> Vec<Cell> {
        let of = |workload: Workload| {
            let numbers = if workload.takes_any_threads() { numbers } else { workload.threads() };
            numbers.iter().map(move |&threads| Cell { workload, threads })
        };
        Workload::ALL.into_iter().flat_map(of).collect()
    }
}

/// The result of one run of one cell.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The stints of the threads with counted operations.
    pub stints: Vec<Stint>,
    /// How long requests waited, if the workload measures it.
    pub waits: Option<Waits>,
}

impl Outcome {
    /// All operations, divided by the time from the first thread's start to the last one's end.
    pub fn ops_per_s(&self) -> f64 {
        let ops: u64 = self.stints.iter().map(|stint| stint.ops).sum();
        let start = self.stints.iter().map(|stint| stint.start).min();
        let end = self.stints.iter().map(|stint| stint.end).max();
        let time = start.zip(end).map_or(0.0, |(start, end)| (end - start).as_secs_f64());
        if time > 0.0 { ops as f64 / time } else { 0.0 }
    }

    /// The operations of the slowest thread divided by those of the fastest.
    pub fn fairness(&self) -> f64 {
        let ops = || self.stints.iter().map(|stint| stint.ops);
        match (ops().min(), ops().max()) {
            (Some(min), Some(max)) if max > 0 => min as f64 / max as f64,
            _ => 0.0,
        }
    }
}

impl From<Vec<Stint>> for Outcome {
    fn from(stints: Vec<Stint>) -> Self {
        Outcome { stints, waits: None }
    }
}

/// Why a rival does not run a workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhyNot {
    /// A thread that holds one range of the rival may block on itself when it asks for another.
    BlocksOnItself,
    /// The rival takes seconds to take as many ranges.
    TakesSeconds,
    /// The rival is the reference of another workload.
    Reference,
}

/// A rival, chosen at run time. Its loops are compiled for its type.
pub trait Contender: Sync {
    /// [`Rival::NAME`].
    fn name(&self) -> &'static str;
    /// [`Rival::SCOPE`].
    fn scope(&self) -> Scope;
    /// [`Rival::SHARED`].
    fn shared(&self) -> bool;
    /// Why the rival does not run this workload. `None` if it does.
    fn why_not(&self, workload: Workload) -> Option<WhyNot>;
    /// Runs the cell on a new lock.
    fn run(&self, cell: Cell, plan: Plan) -> Outcome;
    /// The rival's size, if it is a lock.
    fn footprint(&self) -> Option<Footprint>;
}

/// All rivals, in the order of the tables, followed by the reference of W7.
pub fn contenders() -> Vec<Box<dyn Contender>> {
    struct Collect(Vec<Box<dyn Contender>>);
    impl Visitor for Collect {
        fn visit<R: Rival + 'static>(&mut self) {
            self.0.push(Box::new(Of::<R>(PhantomData)));
        }
    }
    let mut all = Collect(Vec::new());
    rivals::each(&mut all);
    all.0.push(Box::new(token_ring::TokenRing));
    all.0
}

struct Of<R>(PhantomData<fn() -> R>);

impl<R: Rival> Contender for Of<R> {
    fn name(&self) -> &'static str {
        R::NAME
    }

    fn scope(&self) -> Scope {
        R::SCOPE
    }

    fn shared(&self) -> bool {
        R::SHARED
    }

    fn why_not(&self, workload: Workload) -> Option<WhyNot> {
        let why = if R::MOST_HELD == 0 { WhyNot::BlocksOnItself } else { WhyNot::TakesSeconds };
        (workload.holds() > R::MOST_HELD).then_some(why)
    }

    fn run(&self, cell: Cell, plan: Plan) -> Outcome {
        let Cell { workload, threads } = cell;
        let plan = plan.times(workload.patience(threads));
        // On lines of its own, in a new place each time.
        let lock = Box::new(CachePadded::new(R::new()));
        let lock: &R = &lock;
        match workload {
            Workload::Write => short::moving_on::<R, true>(lock, threads, plan).into(),
            Workload::Read => short::moving_on::<R, false>(lock, threads, plan).into(),
            Workload::DisjointWrites => short::disjoint_writes(lock, threads, plan).into(),
            Workload::RandomReads => short::random_reads(lock, threads, plan).into(),
            Workload::ReadMostly => short::read_mostly(lock, threads, plan).into(),
            Workload::SameBlockReads => short::same_block_reads(lock, threads, plan).into(),
            Workload::Among { held } => many::among(lock, held, threads, plan).into(),
            Workload::Whole => whole::alone(lock, threads, plan).into(),
            Workload::WholeAfterMeeting => whole::after_meeting(lock, threads, plan).into(),
            Workload::WholePerThousand => whole::per_thousand(lock, plan),
            Workload::HandOver => contended::hand_over(lock, threads, plan),
            Workload::Sleep => sleeping::writes(lock, threads, plan).into(),
            Workload::Hundred { interleaved } => many::hundred(lock, interleaved, threads, plan).into(),
            Workload::Array { reads } => array::accesses(lock, reads, threads, plan).into(),
            Workload::WriterAmongReaders => whole::among_readers(lock, threads - 1, plan),
        }
    }

    fn footprint(&self) -> Option<Footprint> {
        Some(bytes::footprint::<R>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique() {
        let mut names: Vec<String> = Workload::ALL.map(Workload::name).into();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), Workload::ALL.len());
        let mut names: Vec<&str> = contenders().iter().map(|contender| contender.name()).collect();
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all);
    }
}
