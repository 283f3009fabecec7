//! Runs a point: one lock, one workload, one machine.

use std::error::Error;
use std::fmt::{self, Display};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use smp_machine::{Machine, Ps, Report, Stuck};
use smp_rivals::{Lock, Visitor, each};

use crate::harness::{Outcome, Plan, Shared};
use crate::pattern::page;
use crate::workload::Workload;
use crate::{many, short, sleeping, whole};

/// What a point runs.
#[derive(Clone, Debug)]
pub struct Point {
    /// The name of the lock.
    pub lock: String,
    /// What the threads do.
    pub workload: Workload,
    /// The machine on which it runs.
    pub machine: Machine,
    /// How long it runs.
    pub plan: Plan,
}

/// The result of a run.
#[derive(Clone, Debug)]
pub struct Ran {
    /// What the threads did.
    pub outcome: Outcome,
    /// What the machine saw.
    pub report: Report,
}

/// Why a point has no result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failed {
    /// There is no such lock.
    NoSuchLock,
    /// The lock cannot hold as many ranges in one thread as the workload needs, or the workload
    /// needs more threads.
    CannotRun(String),
    /// The run did not end.
    Stuck(Stuck),
}

impl Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failed::NoSuchLock => f.write_str("there is no such lock"),
            Failed::CannotRun(why) => f.write_str(why),
            Failed::Stuck(stuck) => Display::fmt(stuck, f),
        }
    }
}

impl Error for Failed {}

/// Runs a point.
///
/// # Errors
///
/// If there is no such lock, or it cannot run the workload. Also if the run does not end: all
/// threads sleep, or the run takes longer than the machine's limits, or much longer than the plan
/// in virtual time.
pub fn run(point: &Point) -> Result<Ran, Failed> {
    struct Run<'a>(&'a Point, Result<Ran, Failed>);
    impl Visitor for Run<'_> {
        fn visit<L: Lock>(&mut self) {
            if L::NAME == self.0.lock {
                self.1 = run_with::<L>(self.0);
            }
        }
    }
    let mut run = Run(point, Err(Failed::NoSuchLock));
    each(&mut run);
    run.1
}

fn run_with<L: Lock>(point: &Point) -> Result<Ran, Failed> {
    let Point { workload, plan, .. } = *point;
    let mut machine = point.machine.clone();
    let threads = machine.threads;
    let setup = workload.setup(threads);
    let held = setup.held.max(setup.held_before);
    if held > L::MOST_HELD {
        let name = L::NAME;
        return Err(Failed::CannotRun(format!(
            "{name} holds at most {} ranges in a thread, and {} needs {held}",
            L::MOST_HELD,
            workload.name()
        )));
    }
    if threads < workload.least_threads() {
        return Err(Failed::CannotRun(format!(
            "{} needs {} threads, not {threads}",
            workload.name(),
            workload.least_threads()
        )));
    }
    if workload.is_punctual() {
        machine.costs.timer_slack = machine.costs.timer_latency;
    }
    let limit = plan.time_limit(threads.div_ceil(machine.cpus.max(1)));
    machine.limits.virtual_time = machine.limits.virtual_time.min(limit);
    let (shared, state) = machine.setup(|| {
        let shared = Arc::new(Shared::new(L::new(&setup), plan, machine.seed, threads));
        (shared, Arc::new((AtomicU64::new(0), short::slots())))
    });
    let held: Vec<_> = machine.setup(|| match workload {
        Workload::Among { held } => {
            let hold = |at| {
                shared.note_held(page(at));
                shared.lock.0.write(threads, page(at))
            };
            many::held_pages(held).into_iter().map(hold).collect()
        }
        _ => Vec::new(),
    });
    let used = Arc::clone(&shared);
    let clock = machine.costs.clock;
    let report = smp_machine::run(&machine, move |me| {
        body(workload, &used, me, &state.0, &state.1, clock);
    });
    let report = report.map_err(|stuck| {
        // The threads are stopped, so none of them uses the lock.
        machine.setup(|| shared.lock.0.parts(&mut smp_machine::name));
        Failed::Stuck(stuck)
    })?;
    machine.setup(|| drop(held));
    Ok(Ran { outcome: shared.outcome(), report })
}

fn body<L: Lock>(
    workload: Workload,
    shared: &Shared<L>,
    me: usize,
    count: &AtomicU64,
    slots: &[short::Slot],
    clock: Ps,
) {
    let inside = workload.section();
    match workload {
        Workload::Write => short::moving_on(shared, me, true),
        Workload::Read => short::moving_on(shared, me, false),
        Workload::DisjointWrites => short::disjoint_writes(shared, me),
        Workload::RandomReads => short::random_reads(shared, me),
        Workload::ReadMostly => short::read_mostly(shared, me),
        Workload::SameBlockReads => short::same_block_reads(shared, me),
        Workload::Among { held } => many::among(shared, me, held),
        Workload::Whole => whole::alone(shared, me),
        Workload::WholeAfterMeeting => whole::after_meeting(shared, me),
        Workload::WholePerThousand => whole::per_thousand(shared, me, count),
        Workload::HandOver => short::hand_over(shared, me, inside, clock),
        Workload::Sleep => sleeping::writes(shared, me),
        Workload::Hundred { interleaved } => many::hundred(shared, me, interleaved),
        Workload::Array { reads } => short::array(shared, me, reads, slots),
        Workload::WriterAmongReaders => sleeping::writer_among_readers(shared, me),
        Workload::Dwom => short::random_writes(shared, me, inside),
        Workload::Append => short::append(shared, me, inside, count),
        Workload::Tail => short::tail(shared, me, inside, count),
        Workload::WholeBeside => whole::beside(shared, me),
        Workload::Neighbours => short::neighbours(shared, me),
        Workload::HotSpot => short::hot_spot(shared, me),
    }
}
