//! Simulated beside measured: what `benches/` measured on a machine of two CPUs, near and far.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use clap::Args;
use serde::Deserialize;
use smp_machine::Machine;
use smp_workloads::{Failed, Point};

use crate::plan::Effort;
use crate::point::fix_addresses;
use crate::table::{align, digits, new_table};
use crate::{Error, names};

/// The arguments of `smp validate`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Measurements: the file of `scaling --json` of benches
    #[arg(value_name = "FILE")]
    measured: PathBuf,
    /// How long to run
    #[arg(long, value_enum, default_value = "standard")]
    effort: Effort,
    /// Workloads
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "W1/write,W1/read,W2,W2r,W3,W4,W7,W8",
        value_name = "NAMES"
    )]
    workloads: Vec<String>,
}

/// The file of `scaling --json`, as far as it is used here.
#[derive(Deserialize)]
struct Measured {
    host: Host,
    samples: Vec<Sample>,
}

#[derive(Deserialize)]
struct Host {
    hardware_threads: usize,
}

#[derive(Deserialize)]
struct Sample {
    workload: String,
    threads: usize,
    rival: String,
    hand_over_ns: Option<[f64; 2]>,
    ops_per_s: f64,
}

/// Names there and here.
const LOCKS: [(&str, &str); 6] = [
    ("range-lock", "range-lock"),
    ("range-lock (one leaf)", "one-leaf"),
    ("range-lock (bypass)", "bypass"),
    ("parking_lot::RwLock", "rwsem"),
    ("page locks (padded)", "page-locks"),
    ("range-mutex 0.1.7", "range-mutex"),
];

/// What divides near from far in the measurements, as in benches.
const BORDER_NS: f64 = 100.0;

/// One row: what was measured, and what was simulated.
struct Row {
    workload: String,
    threads: usize,
    near: bool,
    lock: &'static str,
    measured: f64,
    simulated: f64,
    /// More threads than CPUs.
    oversubscribed: bool,
}

impl Row {
    /// By which part the simulated rate is off.
    fn error(&self) -> f64 {
        (self.simulated / self.measured - 1.0).abs()
    }
}

/// Workload, threads, whether near, and place of the lock in [`LOCKS`].
type Key = (String, usize, bool, usize);

pub(crate) fn run(options: &Options) -> Result<(), Error> {
    let path = options.measured.display();
    let text = fs::read_to_string(&options.measured).map_err(|error| {
        Error::Input(format!("{path}: {error}; write it by `scaling --json {path}` in benches"))
    })?;
    let measured: Measured = serde_json::from_str(&text)
        .map_err(|error| Error::Input(format!("{path}: {error}; is it of `scaling --json`?")))?;
    let wanted =
        options.workloads.iter().map(|name| names::workloads(name)).collect::<Result<Vec<_>, _>>()?;
    let wanted: Vec<String> = wanted.concat().into_iter().map(|workload| workload.name()).collect();
    fix_addresses()?;
    let mut rows = Vec::new();
    for ((workload, threads, near, lock), rates) in cells(&measured.samples, &wanted) {
        let cpus = measured.host.hardware_threads.clamp(1, 2);
        let preset = if near { "near" } else { "far" };
        let machine = names::topology(preset)?.with_cpus(cpus.min(threads)).with_threads(threads);
        let lock = LOCKS[lock].1;
        let Some(simulated) = simulate(lock, &workload, machine, options.effort)? else { continue };
        rows.push(Row {
            workload,
            threads,
            near,
            lock,
            measured: median(rates) / 1e6,
            simulated,
            oversubscribed: threads > cpus,
        });
    }
    if rows.is_empty() {
        return Err(Error::Input(format!("{path}: it has no sample of {}", wanted.join(", "))));
    }
    print(&rows);
    Ok(())
}

/// The rates of each cell of which both sides know the names. Samples whose placement changed
/// meanwhile are left out.
fn cells(samples: &[Sample], wanted: &[String]) -> BTreeMap<Key, Vec<f64>> {
    let mut cells: BTreeMap<Key, Vec<f64>> = BTreeMap::new();
    for sample in samples {
        let Some(lock) = LOCKS.iter().position(|names| names.0 == sample.rival) else { continue };
        let near = match sample.hand_over_ns.map(|times| times.map(|ns| ns < BORDER_NS)) {
            Some([before, after]) if before != after => continue,
            Some([near, _]) => near,
            None => true,
        };
        if wanted.contains(&sample.workload) {
            let key = (sample.workload.clone(), sample.threads, near, lock);
            cells.entry(key).or_default().push(sample.ops_per_s);
        }
    }
    cells
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_unstable_by(f64::total_cmp);
    rates[rates.len() / 2]
}

/// Millions of operations a second; `None` if the lock cannot run the workload.
fn simulate(lock: &str, workload: &str, machine: Machine, effort: Effort) -> Result<Option<f64>, Error> {
    let workload = names::workload(workload)?;
    let plan = effort.plan(workload, false);
    let point = Point { lock: lock.to_owned(), workload, machine, plan };
    match smp_workloads::run(&point) {
        Ok(ran) => Ok(Some(ran.outcome.mops())),
        Err(Failed::CannotRun(_)) => Ok(None),
        Err(failed) => Err(Error::Run(format!("{lock} {}: {failed}", workload.name()))),
    }
}

fn print(rows: &[Row]) {
    let mut table = new_table();
    table.load_style(comfy_table::presets::ASCII_MARKDOWN);
    table.set_header(["workload", "threads", "CPUs are", "lock", "measured M/s", "simulated M/s", "off by"]);
    for row in rows {
        table.add_row([
            row.workload.clone(),
            row.threads.to_string(),
            if row.near { "near" } else { "far" }.to_owned(),
            row.lock.to_owned(),
            digits(row.measured),
            digits(row.simulated),
            format!("{:+.0} %", 100.0 * (row.simulated / row.measured - 1.0)),
        ]);
    }
    align(&mut table);
    println!("{table}\n");
    let share = |rows: &[&Row], within: f64| {
        let inside = rows.iter().filter(|row| row.error() <= within).count();
        format!("{inside} of {}", rows.len())
    };
    let far: Vec<&Row> = rows.iter().filter(|row| !row.near && !row.oversubscribed).collect();
    println!("Far, within 20 %: {}; within 35 %: {}", share(&far, 0.20), share(&far, 0.35));
    let over: Vec<&Row> = rows.iter().filter(|row| !row.near && row.oversubscribed).collect();
    println!("Far, more threads than CPUs, within 40 %: {}", share(&over, 0.40));
    let (right, pairs) = order(rows.iter().filter(|row| !row.near));
    println!("Far, order of rivals that differ by more than 15 %: {right} of {pairs} right");
}

/// Pairs of locks whose measured rates differ by more than 15 %, and how many of them are in the
/// same order when simulated.
fn order<'a>(rows: impl Iterator<Item = &'a Row>) -> (usize, usize) {
    let rows: Vec<&Row> = rows.collect();
    let (mut right, mut pairs) = (0, 0);
    for (i, one) in rows.iter().enumerate() {
        for other in &rows[i + 1..] {
            let comparable = (&one.workload, one.threads) == (&other.workload, other.threads);
            let (slow, fast) = (one.measured.min(other.measured), one.measured.max(other.measured));
            if comparable && fast > 1.15 * slow {
                pairs += 1;
                right += usize::from((one.measured < other.measured) == (one.simulated < other.simulated));
            }
        }
    }
    (right, pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(lock: &'static str, measured: f64, simulated: f64) -> Row {
        Row {
            workload: "W3".into(),
            threads: 2,
            near: false,
            lock,
            measured,
            simulated,
            oversubscribed: false,
        }
    }

    #[test]
    fn only_pairs_that_differ_count() {
        let rows = [row("a", 10.0, 5.0), row("b", 11.0, 4.0), row("c", 20.0, 6.0), row("d", 40.0, 5.5)];
        assert_eq!(order(rows.iter()), (4, 5));
        assert!((rows[0].error() - 0.5).abs() < 1e-9);
    }

    #[test]
    fn samples_of_an_unsteady_placement_and_of_unknown_locks_are_left_out() {
        let sample = |rival: &str, hand_over_ns| Sample {
            workload: "W3".into(),
            threads: 2,
            rival: rival.into(),
            hand_over_ns: Some(hand_over_ns),
            ops_per_s: 1e6,
        };
        let samples = [
            sample("range-lock", [200.0, 210.0]),
            sample("range-lock", [40.0, 210.0]),
            sample("std::sync::RwLock", [200.0, 210.0]),
        ];
        let cells = cells(&samples, &["W3".to_owned()]);
        assert_eq!(cells.into_iter().collect::<Vec<_>>(), [(("W3".to_owned(), 2, false, 0), vec![1e6])]);
    }
}
