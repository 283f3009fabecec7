//! The workloads, by name.

use smp_machine::{NS, Ps, US};
use smp_rivals::Setup;

use crate::pattern::{GIB_BITS, PAGE};
use crate::short::PART_BITS;

/// What the threads do under and around a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Workload {
    /// Writes of a page that move on, each thread in its part of 1 GiB.
    Write,
    /// The same with reads.
    Read,
    /// Random page writes, each thread in 64 MiB of its own.
    DisjointWrites,
    /// Random page reads, all threads in the same 128 MiB.
    RandomReads,
    /// Random pages of 1 GiB, 95 % reads.
    ReadMostly,
    /// Reads of one page.
    SameBlockReads,
    /// Writes of a free page among `held` held pages.
    Among {
        /// How many pages are held.
        held: usize,
    },
    /// Writes of the whole domain.
    Whole,
    /// Writes of the whole domain by one thread, after all threads have met all over it.
    WholeAfterMeeting,
    /// Small writes of all threads except one. This one takes the whole domain once for each 1000
    /// of them. Only small writes count.
    WholePerThousand,
    /// One page, written for 200 ns, taken again at once.
    HandOver,
    /// Random page writes in 1 GiB, 50 µs of sleep inside.
    Sleep,
    /// Each thread locks a hundred pages, then unlocks them. An operation is one of the hundred.
    Hundred {
        /// Whether the pages of the threads alternate; otherwise each thread has its own part.
        interleaved: bool,
    },
    /// An array of 256 slots. Random ranges of it are read or written, slot by slot: ArrBench of
    /// Kogan, Dice and Issa (EuroSys 2020).
    Array {
        /// How many of a hundred operations read.
        reads: u32,
    },
    /// A writer of the whole domain, with pauses of 200 µs, among readers of random pages that
    /// sleep 50 µs inside. Only reads count.
    WriterAmongReaders,
    /// Random page writes in 1 GiB, 100 ns inside: DWOM of FxMark.
    Dwom,
    /// Each thread writes the next page of one file, 100 ns inside.
    Append,
    /// Each thread writes from the end of the file on, 100 ns inside.
    Tail,
    /// Disjoint random page writes, beside one writer of the whole domain with pauses of 100 µs.
    /// Only small writes count.
    WholeBeside,
    /// Each thread reads four pages. Each of its neighbours also reads two of them.
    Neighbours,
    /// Random page writes. 90 % of them go to 1 MiB, which moves on every 100 µs.
    HotSpot,
}

impl Workload {
    /// All workloads, in the order of the tables.
    pub const ALL: [Workload; 26] = [
        Workload::Write,
        Workload::Read,
        Workload::DisjointWrites,
        Workload::RandomReads,
        Workload::ReadMostly,
        Workload::SameBlockReads,
        Workload::Among { held: 0 },
        Workload::Among { held: 100 },
        Workload::Among { held: 10_000 },
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
        Workload::Dwom,
        Workload::Append,
        Workload::Tail,
        Workload::WholeBeside,
        Workload::Neighbours,
        Workload::HotSpot,
    ];

    /// Its name in tables and on the command line.
    pub fn name(self) -> String {
        match self {
            Workload::Write => "W1/write".into(),
            Workload::Read => "W1/read".into(),
            Workload::DisjointWrites => "W2".into(),
            Workload::RandomReads => "W2r".into(),
            Workload::ReadMostly => "W3".into(),
            Workload::SameBlockReads => "W4".into(),
            Workload::Among { held } => format!("W5/{held}"),
            Workload::Whole => "W6/alone".into(),
            Workload::WholeAfterMeeting => "W6/met".into(),
            Workload::WholePerThousand => "W6/mixed".into(),
            Workload::HandOver => "W7".into(),
            Workload::Sleep => "W8".into(),
            Workload::Hundred { interleaved: false } => "W10/apart".into(),
            Workload::Hundred { interleaved: true } => "W10/interleaved".into(),
            Workload::Array { reads } => format!("W11/{reads}"),
            Workload::WriterAmongReaders => "W12".into(),
            Workload::Dwom => "DWOM".into(),
            Workload::Append => "append".into(),
            Workload::Tail => "tail".into(),
            Workload::WholeBeside => "whole".into(),
            Workload::Neighbours => "readers".into(),
            Workload::HotSpot => "hot".into(),
        }
    }

    /// A description in one line.
    pub fn what(self) -> String {
        match self {
            Workload::Write => "page writes that move on, each thread in its part of 1 GiB".into(),
            Workload::Read => "page reads that move on, each thread in its part of 1 GiB".into(),
            Workload::DisjointWrites => "random page writes, each thread in 64 MiB of its own".into(),
            Workload::RandomReads => "random page reads in 128 MiB".into(),
            Workload::ReadMostly => "random pages of 1 GiB, 95 % reads".into(),
            Workload::SameBlockReads => "reads of one page".into(),
            Workload::Among { held } => format!("writes of a free page among {held} held pages"),
            Workload::Whole => "writes of the whole domain".into(),
            Workload::WholeAfterMeeting => {
                "writes of the whole domain by one thread after a run of W3".into()
            }
            Workload::WholePerThousand => "small writes; one thread takes all once per 1000 of them".into(),
            Workload::HandOver => "one page, written for 200 ns, taken again at once".into(),
            Workload::Sleep => "random page writes in 1 GiB, 50 µs of sleep inside".into(),
            Workload::Hundred { interleaved: false } => "a hundred pages a thread, in its own part".into(),
            Workload::Hundred { interleaved: true } => "a hundred pages a thread, interleaved".into(),
            Workload::Array { reads } => format!("random ranges of 256 slots, {reads} % reads"),
            Workload::WriterAmongReaders => "a whole-domain writer among readers that sleep 50 µs".into(),
            Workload::Dwom => "random page writes in 1 GiB, 100 ns inside".into(),
            Workload::Append => "each thread writes the next page of one file, 100 ns inside".into(),
            Workload::Tail => "each thread writes from the end of the file on, 100 ns inside".into(),
            Workload::WholeBeside => "disjoint writes beside a whole-domain writer every 100 µs".into(),
            Workload::Neighbours => "each thread reads 4 pages, 2 of them shared with a neighbour".into(),
            Workload::HotSpot => "page writes, 90 % in 1 MiB that moves on every 100 µs".into(),
        }
    }

    /// How long a section lasts, besides its accesses.
    pub fn section(self) -> Ps {
        match self {
            Workload::HandOver => 200 * NS,
            Workload::Sleep | Workload::WriterAmongReaders => 50 * US,
            Workload::Dwom | Workload::Append | Workload::Tail => 100 * NS,
            _ => 0,
        }
    }

    /// Whether its threads set their timer slack to the smallest value, so that sleeps end in time.
    pub fn is_punctual(self) -> bool {
        matches!(self, Workload::Sleep | Workload::WriterAmongReaders)
    }

    /// The least number of threads it needs.
    pub fn least_threads(self) -> usize {
        match self {
            Workload::WholePerThousand | Workload::WriterAmongReaders | Workload::WholeBeside => 2,
            _ => 1,
        }
    }

    /// The parameters of a lock for this workload.
    pub(crate) fn setup(self, threads: usize) -> Setup {
        let (held, held_before) = match self {
            Workload::Among { held } => (1, held),
            Workload::Hundred { .. } => (100, 0),
            _ => (1, 0),
        };
        let parts = threads as u64 * (PAGE << PART_BITS);
        let domain = match self {
            Workload::DisjointWrites | Workload::WholeBeside | Workload::WholePerThousand => parts,
            Workload::RandomReads => PAGE << (PART_BITS + 1),
            Workload::SameBlockReads | Workload::HandOver | Workload::Tail => PAGE * 2,
            Workload::Among { held } => 2 * PAGE * held.max(1024) as u64,
            Workload::Hundred { interleaved: false } => parts,
            Workload::Hundred { interleaved: true } => 2 * PAGE * 100 * threads as u64,
            Workload::Array { .. } => PAGE << 8,
            Workload::Neighbours => 2 * PAGE * (threads as u64 + 1),
            _ => PAGE << GIB_BITS,
        };
        Setup { threads, held, held_before, domain }
    }
}
