//! Checks the bounds that the lock must meet: ratios to rivals of the same round.

use crate::placement::Placement;
use crate::rival::Rival;
use crate::rivals::{AsItComes, Bypass, NaiveRangeLock, PackedPageLocks, ParkingLotRwLock, Shape, Stripe};
use crate::sample::{CellName, Record, Sample, Spread};
use crate::workload::TOKEN_RING;

const OURS: &str = AsItComes::NAME;
const BYPASS: &str = Bypass::NAME;
const RWSEM: &str = ParkingLotRwLock::NAME;
const PAGES: &str = PackedPageLocks::NAME;
const NAIVE: &str = NaiveRangeLock::NAME;

/// One bound that the lock must meet.
#[derive(Clone, Copy, Debug)]
pub struct Bound {
    /// What the bound compares.
    pub what: &'static str,
    /// The limit of the figure.
    pub limit: Limit,
    quotient: Quotient,
}

/// A limit of a figure.
#[derive(Clone, Copy, Debug)]
pub enum Limit {
    /// The figure must be no smaller.
    AtLeast(f64),
    /// The figure must be no larger.
    AtMost(f64),
}

impl Limit {
    /// Whether the figure meets the limit.
    pub fn is_met(self, figure: f64) -> bool {
        match self {
            Limit::AtLeast(least) => figure >= least,
            Limit::AtMost(most) => figure <= most,
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Quotient {
    /// One side's operations per second, divided by the other's.
    Rates(Side, Side),
    /// One side's time per operation, divided by the other's.
    Times(Side, Side),
    /// The slowest thread's operations divided by the fastest one's.
    Fairness(Side),
    /// One side's fairness, divided by the other's.
    Fairnesses(Side, Side),
    /// One side's longest wait, divided by the other's.
    LongestWaits(Side, Side),
}

/// Workload, threads, rival.
type Side = (&'static str, usize, &'static str);

const fn rates(what: &'static str, limit: Limit, one: Side, other: Side) -> Bound {
    Bound { what, limit, quotient: Quotient::Rates(one, other) }
}

const fn times(what: &'static str, limit: Limit, one: Side, other: Side) -> Bound {
    Bound { what, limit, quotient: Quotient::Times(one, other) }
}

use Limit::{AtLeast, AtMost};

/// All bounds.
pub const BOUNDS: [Bound; 26] = [
    times("W1 write, time, to the rwsem", AtMost(1.25), ("W1/write", 1, OURS), ("W1/write", 1, RWSEM)),
    times("W1 read, time, to the rwsem", AtMost(1.25), ("W1/read", 1, OURS), ("W1/read", 1, RWSEM)),
    rates("W2, 2 threads, to one of its own", AtLeast(1.5), ("W2", 2, OURS), ("W2", 1, OURS)),
    rates("W2, 2 threads, to the rwsem", AtLeast(1.2), ("W2", 2, OURS), ("W2", 2, RWSEM)),
    rates("W2, 2 threads, to the page locks", AtLeast(0.95), ("W2", 2, OURS), ("W2", 2, PAGES)),
    rates("W2r, 2 threads, to the rwsem", AtLeast(1.5), ("W2r", 2, OURS), ("W2r", 2, RWSEM)),
    rates("W3, 2 threads, to the rwsem", AtLeast(1.5), ("W3", 2, OURS), ("W3", 2, RWSEM)),
    rates("W4, 2 threads, to the rwsem", AtLeast(0.6), ("W4", 2, OURS), ("W4", 2, RWSEM)),
    rates("W5, 100 held, to Mutex<BTreeMap>", AtLeast(1.0), ("W5/100", 1, OURS), ("W5/100", 1, NAIVE)),
    rates("W5, 10,000 held, to Mutex<BTreeMap>", AtLeast(1.0), ("W5/10000", 1, OURS), ("W5/10000", 1, NAIVE)),
    rates(
        "W5, 100,000 held, to Mutex<BTreeMap>",
        AtLeast(1.0),
        ("W5/100000", 1, OURS),
        ("W5/100000", 1, NAIVE),
    ),
    times("W5, time, 100,000 held to 100", AtMost(8.0), ("W5/100000", 1, OURS), ("W5/100", 1, OURS)),
    times("W6 whole domain, time, to W1", AtMost(2.0), ("W6/alone", 1, OURS), ("W1/write", 1, OURS)),
    times(
        "W6 after threads have met, time, to the page locks",
        AtMost(0.5),
        ("W6/met", 1, OURS),
        ("W6/met", 1, PAGES),
    ),
    rates("W6 mixed, to the page locks", AtLeast(1.0), ("W6/mixed", 2, OURS), ("W6/mixed", 2, PAGES)),
    Bound {
        what: "W7, 2 threads, slowest to fastest",
        limit: AtLeast(0.97),
        quotient: Quotient::Fairness(("W7", 2, OURS)),
    },
    Bound {
        what: "W7, 8 threads, slowest to fastest",
        limit: AtLeast(0.97),
        quotient: Quotient::Fairness(("W7", 8, OURS)),
    },
    // Linux' lock did 0.16 M/s where the rwsem did 3.8.
    rates("W7, 8 threads, to the rwsem", AtLeast(2.0 * 0.16 / 3.8), ("W7", 8, OURS), ("W7", 8, RWSEM)),
    rates("W7, 8 threads, to the token ring", AtLeast(0.9), ("W7", 8, OURS), ("W7", 8, TOKEN_RING)),
    rates("W7, 8 threads, bypass, to the rwsem", AtLeast(0.8), ("W7", 8, BYPASS), ("W7", 8, RWSEM)),
    Bound {
        what: "W7, 8 threads, bypass, slowest to fastest, to the rwsem",
        limit: AtLeast(1.0),
        quotient: Quotient::Fairnesses(("W7", 8, BYPASS), ("W7", 8, RWSEM)),
    },
    Bound {
        what: "W7, 8 threads, bypass, longest wait, to the rwsem",
        limit: AtMost(1.0),
        quotient: Quotient::LongestWaits(("W7", 8, BYPASS), ("W7", 8, RWSEM)),
    },
    rates("W8, to the page locks", AtLeast(0.9), ("W8", 16, OURS), ("W8", 16, PAGES)),
    rates("W8, to the rwsem", AtLeast(10.0), ("W8", 16, OURS), ("W8", 16, RWSEM)),
    rates(
        "W11, 60 % reads, 2 threads, to the rwsem",
        AtLeast(1.0),
        ("W11/60", 2, OURS),
        ("W11/60", 2, RWSEM),
    ),
    rates(
        "W11, 100 % reads, 2 threads, to the rwsem",
        AtLeast(1.0),
        ("W11/100", 2, OURS),
        ("W11/100", 2, RWSEM),
    ),
];

impl Bound {
    /// The figure: the median over rounds, with the extremes.
    pub fn figure(&self, record: &Record, placement: Placement) -> Option<Spread> {
        let side = |(workload, threads, rival)| (CellName { workload, threads, placement }, rival);
        match self.quotient {
            Quotient::Rates(one, other) => {
                record.ratio(side(one), side(other), |sample| Some(sample.ops_per_s))
            }
            Quotient::Times(one, other) => {
                record.ratio(side(one), side(other), |sample| Some(1.0 / sample.ops_per_s))
            }
            Quotient::Fairnesses(one, other) => {
                record.ratio(side(one), side(other), |sample| Some(sample.fairness))
            }
            Quotient::LongestWaits(one, other) => {
                record.ratio(side(one), side(other), |sample| Some(sample.wait_us?.max))
            }
            Quotient::Fairness(of) => {
                let (cell, rival) = side(of);
                record.spread(cell, rival, |sample: &Sample| Some(sample.fairness))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::{Cell, contenders};

    /// A bound whose sides are not run has no figure, and no row.
    #[test]
    fn both_sides_of_each_bound_are_run() {
        let (cells, contenders) = (Cell::all(), contenders());
        for bound in &BOUNDS {
            let sides = match bound.quotient {
                Quotient::Fairness(of) => [of, of],
                Quotient::Rates(one, other)
                | Quotient::Times(one, other)
                | Quotient::Fairnesses(one, other)
                | Quotient::LongestWaits(one, other) => [one, other],
            };
            for (workload, threads, rival) in sides {
                let is_run =
                    cells.iter().any(|cell| cell.workload.name() == workload && cell.threads == threads);
                assert!(is_run, "{}: {workload} with {threads} threads is not run", bound.what);
                let is_there = contenders.iter().any(|contender| contender.name() == rival);
                assert!(is_there, "{}: there is no rival {rival}", bound.what);
            }
        }
    }
}
