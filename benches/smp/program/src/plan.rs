//! Plans how long points run.

use clap::ValueEnum;
use smp_machine::{Ps, US};
use smp_workloads::{Plan, Workload};

/// How much time a sweep may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Effort {
    /// Short windows: a look.
    Quick,
    /// Windows for figures.
    Standard,
    /// Long windows, for rare events.
    Long,
}

impl Effort {
    /// Its name on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Effort::Quick => "quick",
            Effort::Standard => "standard",
            Effort::Long => "long",
        }
    }

    /// The plan of a point. A lock that adapts itself needs some milliseconds of warm-up. The
    /// fastest locks need less. Locks that spin cost too much to simulate for as long.
    pub(crate) fn plan(self, workload: Workload, check: bool) -> Plan {
        let (warm_up, window, ops, cost): (Ps, Ps, u64, u64) = match self {
            Effort::Quick => (4_000 * US, 1_000 * US, 100_000, 8_000_000),
            Effort::Standard => (20_000 * US, 5_000 * US, 400_000, 40_000_000),
            Effort::Long => (40_000 * US, 20_000 * US, 2_000_000, 400_000_000),
        };
        // Where threads sleep for 50 µs, a window must be longer.
        let times = if workload.is_punctual() { 4 } else { 1 };
        // Small writes are so many that without this, the writer of the whole domain would not come
        // twice in a window.
        let ops_times = if workload == Workload::WholeBeside { 8 } else { 1 };
        Plan {
            warm_up: times * warm_up,
            warm_up_ops: 2 * ops_times * ops,
            window: times * window,
            window_ops: ops_times * ops,
            cost: ops_times * cost,
            check,
        }
    }
}
