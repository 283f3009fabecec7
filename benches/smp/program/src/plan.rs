//! For how long points are run.

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

    /// The plan of a point. Warm-up and window end early when enough operations have been done, so
    /// the fastest locks, which cost the most to simulate, have the shortest windows.
    pub(crate) fn plan(self, workload: Workload, cpus: usize, check: bool) -> Plan {
        let (time, ops): (Ps, u64) = match self {
            Effort::Quick => (200 * US, 20_000),
            Effort::Standard => (1_000 * US, 150_000),
            Effort::Long => (5_000 * US, 1_000_000),
        };
        // Where threads sleep for 50 µs, little happens in a microsecond.
        let time = if workload.is_punctual() { 4 * time } else { time };
        // Many CPUs wait for one lock at a cost in proportion to their number.
        let time = if cpus > 64 { time / 2 } else { time };
        Plan { warm_up: time, warm_up_ops: ops, window: time, window_ops: ops, check }
    }
}
