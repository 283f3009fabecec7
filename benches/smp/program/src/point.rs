//! `smp point`: runs one point in this process, and prints it as a line of JSON.

use std::time::Duration;

use clap::builder::RangedU64ValueParser;
use clap::{Args, value_parser};
use smp_machine::{Limits, Machine, NS, Ps, US};
use smp_workloads::{Failed, Plan, Point, Ran};

use crate::names;
use crate::plan::Effort;
use crate::record::{PointLine, Sample};
use crate::symbols::Symbols;
use crate::{BAD_INPUT, Error};

/// The arguments of `smp point`.
#[derive(Clone, Debug, Args)]
pub(crate) struct Options {
    /// The lock
    #[arg(long)]
    pub(crate) lock: String,
    /// The workload
    #[arg(long)]
    pub(crate) workload: String,
    /// CPUs
    #[arg(long)]
    pub(crate) cpus: usize,
    /// Number of threads [default: as many as CPUs]
    #[arg(long)]
    pub(crate) threads: Option<usize>,
    #[command(flatten)]
    pub(crate) machine: MachineOptions,
    /// How long to run
    #[arg(long, value_enum, default_value = "standard")]
    pub(crate) effort: Effort,
    /// Begins the window after this virtual time, however many operations come before
    #[arg(long, requires = "window_us", value_name = "MICROSECONDS", value_parser = virtual_time())]
    pub(crate) warm_up_us: Option<u64>,
    /// Ends the window after this virtual time, however many operations are in it
    #[arg(long, requires = "warm_up_us", value_name = "MICROSECONDS", value_parser = virtual_time())]
    pub(crate) window_us: Option<u64>,
    /// Checks the exclusion of each section
    #[arg(long)]
    pub(crate) check: bool,
}

/// From a microsecond to a second.
fn virtual_time() -> RangedU64ValueParser {
    value_parser!(u64).range(1..=1_000_000)
}

/// The options of the machine.
#[derive(Clone, Debug, Args)]
pub(crate) struct MachineOptions {
    /// The topology, by its name in `smp list`
    #[arg(long, default_value = "s64", value_name = "NAME")]
    pub(crate) topology: String,
    /// Requests for one line: blocking or pipelined
    #[arg(long, default_value = "blocking", value_name = "NAME")]
    pub(crate) directory: String,
    /// Accesses of one CPU: in-order, overlapping or ahead
    #[arg(long, default_value = "in-order", value_name = "NAME")]
    pub(crate) overlap: String,
    /// Seed of jitter and random numbers
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Changes a cost: NAME=NANOSECONDS, or the unit of that cost; may be given several times
    #[arg(long, value_name = "NAME=VALUE")]
    pub(crate) set: Vec<String>,
    /// Seconds of real time after which a point is given up, with what each CPU waits for
    #[arg(long, default_value_t = LIMIT, value_name = "SECONDS")]
    pub(crate) limit: u64,
}

/// Machines with every combination of these names.
#[derive(Clone, Copy)]
pub(crate) struct Models<'a> {
    pub(crate) topologies: &'a [String],
    pub(crate) directories: &'a [String],
    pub(crate) overlaps: &'a [String],
    /// The costs to change in all of them, as in [`MachineOptions`].
    pub(crate) set: &'a [String],
    pub(crate) limit: u64,
}

impl Models<'_> {
    /// The machines, each with each seed. Fails if a name is unknown.
    pub(crate) fn machines(&self, seeds: &[u64]) -> Result<Vec<MachineOptions>, Error> {
        let mut machines = Vec::new();
        for topology in self.topologies {
            for directory in self.directories {
                for overlap in self.overlaps {
                    for &seed in seeds {
                        machines.push(MachineOptions {
                            topology: topology.clone(),
                            directory: directory.clone(),
                            overlap: overlap.clone(),
                            seed,
                            set: self.set.to_vec(),
                            limit: self.limit,
                        });
                    }
                }
            }
        }
        machines.iter().try_for_each(|machine| machine.machine().map(drop))?;
        Ok(machines)
    }
}

/// The default limit of real time of a point.
pub(crate) const LIMIT: u64 = 300;

impl MachineOptions {
    /// The options as arguments, by name.
    pub(crate) fn arguments(&self) -> impl Iterator<Item = (&'static str, String)> {
        let MachineOptions { topology, directory, overlap, seed, set, limit } = self.clone();
        let named = [
            ("--topology", topology),
            ("--directory", directory),
            ("--overlap", overlap),
            ("--seed", seed.to_string()),
            ("--limit", limit.to_string()),
        ];
        named.into_iter().chain(set.into_iter().map(|set| ("--set", set)))
    }

    /// The machine, with its preset's number of CPUs.
    pub(crate) fn machine(&self) -> Result<Machine, Error> {
        let real_time = Duration::from_secs(self.limit);
        let mut machine = names::topology(&self.topology)?
            .with_limits(Limits { real_time, ..Limits::default() })
            .with_directory(names::directory(&self.directory)?)
            .with_overlap(names::overlap(&self.overlap)?)
            .with_seed(self.seed);
        for set in &self.set {
            let (name, value) = named_value(set)?;
            let wrong = |why: String| Error::Input(format!("--set {set}: {why}"));
            machine.costs = machine.costs.with(name, value).map_err(wrong)?;
        }
        Ok(machine)
    }
}

/// The name and the number of an argument of `--set`.
pub(crate) fn named_value(set: &str) -> Result<(&str, f64), Error> {
    let parsed = set.split_once('=').and_then(|(name, value)| Some((name, value.parse().ok()?)));
    parsed.ok_or_else(|| Error::Input(format!("--set {set}: give it as NAME=NUMBER")))
}

impl Options {
    /// The point.
    pub(crate) fn point(&self) -> Result<Point, Error> {
        let workload = names::workload(&self.workload)?;
        let cpus = names::cpus(self.cpus)?;
        let threads = names::threads(self.threads.unwrap_or(cpus))?;
        let mut plan = self.effort.plan(workload, self.check);
        if let (Some(warm_up), Some(window)) = (self.warm_up_us, self.window_us) {
            let [warm_up, window] = [warm_up * US, window * US];
            plan =
                Plan { warm_up, window, warm_up_ops: u64::MAX, window_ops: u64::MAX, cost: u64::MAX, ..plan };
        }
        Ok(Point {
            lock: names::lock(&self.lock)?.to_owned(),
            workload,
            machine: self.machine.machine()?.with_cpus(cpus).with_threads(threads),
            plan,
        })
    }
}

/// Makes all addresses the same as in other processes.
pub(crate) fn fix_addresses() -> Result<(), Error> {
    smp_machine::fix_addresses().map_err(|error| {
        Error::Run(format!(
            "cannot switch address randomisation off: {error}; allow personality(ADDR_NO_RANDOMIZE)"
        ))
    })
}

/// Runs a point.
pub(crate) fn ran(point: &Point) -> Result<Ran, Error> {
    let mut symbols = Symbols::default();
    smp_workloads::run(point).map_err(|failed| match failed {
        Failed::CannotRun(_) | Failed::NoSuchLock => Error::Input(failed.to_string()),
        Failed::Stuck(stuck) => Error::Run(stuck.describe(|pc| symbols.name(pc))),
    })
}

pub(crate) fn run(options: &Options) -> Result<(), Error> {
    let point = options.point()?;
    fix_addresses()?;
    let line = line(&point, &options.machine, &ran(&point)?);
    println!("{}", serde_json::to_string(&line).map_err(|error| Error::Run(error.to_string()))?);
    Ok(())
}

/// The exit code of a point that this lock or this number of threads cannot run.
pub(crate) const CANNOT_RUN: i32 = BAD_INPUT as i32;

pub(crate) fn us(ps: Ps) -> f64 {
    (ps / NS) as f64 / (US / NS) as f64
}

/// The result of a point, for the sweep.
pub(crate) fn line(point: &Point, machine: &MachineOptions, ran: &Ran) -> PointLine {
    let Ran { outcome, report } = ran;
    let counts = &report.counts;
    PointLine {
        result: Sample {
            lock: point.lock.clone(),
            workload: point.workload.name(),
            cpus: point.machine.cpus,
            threads: point.machine.threads,
            topology: machine.topology.clone(),
            directory: machine.directory.clone(),
            overlap: machine.overlap.clone(),
            section_ns: point.workload.section() / NS,
            mops: outcome.mops(),
            slowest_to_fastest: outcome.slowest_to_fastest(),
            longest_wait_us: us(outcome.longest_wait),
            seed: point.machine.seed,
        },
        whole_median_wait_us: outcome.whole_median.map(us),
        ops: outcome.ops.iter().sum(),
        window_us: us(outcome.window),
        notes: counts.notes,
        accesses: counts.accesses,
        switches: counts.switches,
        misses: counts.misses,
        sleeps: counts.sleeps,
        wakes: counts.wakes,
        naps: counts.naps,
        yields: counts.yields,
        preemptions: counts.preemptions,
        checked: outcome.checked,
        violations: outcome.violations.clone(),
        dax: None,
    }
}
