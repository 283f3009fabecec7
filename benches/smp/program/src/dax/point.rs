//! `smp dax-point`: runs one point in this process, and prints it as a line of JSON.

use clap::Args;
use dax_sim::variant::Variant;
use smp_machine::US;
use smp_workloads::dax::{Level, Point, Ran, Workload};
use smp_workloads::{Failed, Outcome, Plan};

use crate::job::Task;
use crate::plan::Effort;
use crate::point::{MachineOptions, fix_addresses, us};
use crate::record::{DaxPart, PointLine, Sample};
use crate::symbols::Symbols;
use crate::{Error, names};

/// The arguments of `smp dax-point`.
#[derive(Clone, Debug, Args)]
pub(crate) struct Options {
    /// The variant
    #[arg(long)]
    variant: String,
    /// Which levels of locking use the variant's own kind of lock
    #[arg(long, default_value = "both")]
    level: String,
    /// The workload
    #[arg(long)]
    workload: String,
    /// What lies behind the device
    #[arg(long, default_value = "dram")]
    medium: String,
    /// CPUs
    #[arg(long)]
    cpus: usize,
    #[command(flatten)]
    machine: MachineOptions,
    /// How long to run
    #[arg(long, value_enum, default_value = "standard")]
    effort: Effort,
    /// Judges what is read; threads linger at schedule points
    #[arg(long)]
    judge: bool,
}

/// The arguments of one process.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(crate) variant: Variant,
    pub(crate) level: Level,
    pub(crate) workload: Workload,
    pub(crate) medium: &'static str,
    pub(crate) cpus: usize,
    pub(crate) machine: MachineOptions,
    pub(crate) effort: Effort,
    pub(crate) judge: bool,
}

/// The name in a table of a variant with its own locks at some level.
pub(crate) fn label(variant: Variant, level: Level) -> String {
    match level {
        Level::Both => variant.name().to_owned(),
        level => format!("{variant}/{}", level.name()),
    }
}

impl Task for Job {
    fn arguments(&self) -> Vec<String> {
        let Job { variant, level, workload, medium, cpus, machine, effort, judge } = self;
        let named = [
            ("--variant", variant.name().to_owned()),
            ("--level", level.name().to_owned()),
            ("--workload", workload.name().to_owned()),
            ("--medium", (*medium).to_owned()),
            ("--cpus", cpus.to_string()),
            ("--effort", effort.name().to_owned()),
        ];
        let named = named.into_iter().chain(machine.arguments());
        let named = named.flat_map(|(name, value)| [name.to_owned(), value]);
        let judge = judge.then(|| "--judge".to_owned());
        std::iter::once("dax-point".to_owned()).chain(named).chain(judge).collect()
    }

    fn name(&self) -> String {
        let Job { variant, level, workload, medium, cpus, .. } = self;
        format!("{} {}, {medium}, {cpus} CPUs", label(*variant, *level), workload.name())
    }

    fn machine(&self) -> &MachineOptions {
        &self.machine
    }
}

/// How long a point runs.
pub(super) fn plan(effort: Effort) -> Plan {
    let (warm_up, window, ops, cost) = match effort {
        Effort::Quick => (2_000 * US, 1_000 * US, 20_000, 4_000_000),
        Effort::Standard => (10_000 * US, 4_000 * US, 100_000, 20_000_000),
        Effort::Long => (20_000 * US, 10_000 * US, 400_000, 100_000_000),
    };
    Plan { warm_up, warm_up_ops: 2 * ops, window, window_ops: ops, cost, check: false }
}

impl Options {
    pub(super) fn point(&self) -> Result<Point, Error> {
        let cpus = names::cpus(self.cpus)?;
        Ok(Point {
            variant: super::variant(&self.variant)?,
            level: super::level(&self.level)?,
            workload: super::workload(&self.workload)?,
            machine: self.machine.machine()?.with_cpus(cpus).with_medium(super::medium(&self.medium)?),
            plan: plan(self.effort),
            judge: self.judge,
        })
    }
}

/// Runs a point.
pub(super) fn ran(point: &Point) -> Result<Ran, Error> {
    let mut symbols = Symbols::default();
    smp_workloads::dax::run(point).map_err(|failed| match failed {
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

/// The result of a point, for the tables.
fn line(point: &Point, machine: &MachineOptions, ran: &Ran) -> PointLine {
    let Ran { outcome, report, waits, judged } = ran;
    let Outcome { longest_wait, window, ref ops, .. } = *outcome;
    let counts = &report.counts;
    PointLine {
        result: Sample {
            lock: label(point.variant, point.level),
            workload: format!("{}, {}", point.workload.name(), point.machine.medium.name),
            cpus: point.machine.cpus,
            threads: point.machine.threads,
            topology: machine.topology.clone(),
            directory: machine.directory.clone(),
            overlap: machine.overlap.clone(),
            section_ns: 0,
            mops: outcome.mops(),
            slowest_to_fastest: outcome.slowest_to_fastest(),
            longest_wait_us: us(longest_wait),
            seed: point.machine.seed,
        },
        whole_median_wait_us: None,
        ops: ops.iter().sum(),
        window_us: us(window),
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
        dax: Some(DaxPart {
            variant: point.variant.name().to_owned(),
            level: point.level.name().to_owned(),
            workload: point.workload.name().to_owned(),
            medium: point.machine.medium.name.to_owned(),
            waits_us: waits.map(us),
            judged: [judged.loads, judged.exposed, judged.stale],
        }),
    }
}
