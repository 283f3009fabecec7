//! Reads what `benches/` measured on this machine or on another one, near and far.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

use crate::Error;

/// The parts of the file of `rivals --json` that are used here.
#[derive(Deserialize)]
struct Record {
    host: Host,
    samples: Vec<Sample>,
}

#[derive(Deserialize)]
struct Host {
    hardware_threads: usize,
    cpu: String,
}

#[derive(Clone, Debug, Deserialize)]
struct Sample {
    workload: String,
    threads: usize,
    rival: String,
    hand_over_ns: Option<[f64; 2]>,
    ops_per_s: f64,
}

/// Names of locks in `benches/` and here.
pub(super) const LOCKS: [(&str, &str); 6] = [
    ("range-lock", "range-lock"),
    ("range-lock (one leaf)", "one-leaf"),
    ("range-lock (bypass)", "bypass"),
    ("parking_lot::RwLock", "rwsem"),
    ("page locks (padded)", "page-locks"),
    ("range-mutex 0.1.7", "range-mutex"),
];

/// The largest time at which two CPUs count as near, if only one state was seen.
const NEAR_NS: f64 = 50.0;
/// By which factor a hand-over may differ from the usual time of its state.
const STEADY: f64 = 1.35;

/// Workload, threads, and place of the lock in [`LOCKS`].
pub(super) type Cell = (String, usize, usize);

/// Millions of operations per second of one cell, far and near.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Rates {
    pub(super) far: Vec<f64>,
    pub(super) near: Vec<f64>,
}

/// All that was measured.
#[derive(Clone, Debug, Default)]
pub(super) struct Measured {
    /// The processor and its number of threads.
    pub(super) host: String,
    pub(super) cpus: usize,
    pub(super) cells: BTreeMap<Cell, Rates>,
    /// The time in which a line changes hands, far and near.
    pub(super) hand_over_ns: [Option<f64>; 2],
}

/// The least number of samples of a figure.
const LEAST: usize = 3;

/// The median, or `None` if there are too few values.
pub(super) fn median(values: &[f64]) -> Option<f64> {
    let mut values = values.to_vec();
    values.sort_unstable_by(f64::total_cmp);
    (values.len() >= LEAST).then(|| values[values.len() / 2])
}

impl Measured {
    /// Reads files of `rivals --json`.
    pub(super) fn read(files: &[PathBuf]) -> Result<Self, Error> {
        let mut all = Measured::default();
        let mut samples = Vec::new();
        for file in files {
            let path = file.display();
            let wrong = |error: &dyn std::fmt::Display| {
                Error::Input(format!("{path}: {error}; write it by `cargo run -p rivals -- --json {path}`"))
            };
            let text = fs::read_to_string(file).map_err(|error| wrong(&error))?;
            let record: Record = serde_json::from_str(&text).map_err(|error| wrong(&error))?;
            all.host = format!("{}, {} hardware threads", record.host.cpu, record.host.hardware_threads);
            all.cpus = record.host.hardware_threads.clamp(1, 2);
            samples.extend(record.samples);
        }
        all.hand_over_ns =
            states(samples.iter().filter_map(|sample| sample.hand_over_ns).flatten().collect());
        samples.iter().for_each(|sample| all.add(sample));
        Ok(all)
    }

    /// Adds a sample of a lock that both programs have, if the placement was steady.
    fn add(&mut self, sample: &Sample) {
        let Some(lock) = LOCKS.iter().position(|names| names.0 == sample.rival) else { return };
        if sample.threads > self.cpus && !["W4", "W7", "W8"].contains(&sample.workload.as_str()) {
            return;
        }
        let rates = self.cells.entry((sample.workload.clone(), sample.threads, lock)).or_default();
        let [far, near] = self.hand_over_ns.map(|state| sample.is_in(state));
        let rates = match (far, near) {
            (true, _) => &mut rates.far,
            (_, true) => &mut rates.near,
            _ => return,
        };
        rates.push(sample.ops_per_s / 1e6);
    }
}

impl Sample {
    /// Whether a line changed hands in about this time, before and after.
    fn is_in(&self, state: Option<f64>) -> bool {
        let (Some(usual), Some(times)) = (state, self.hand_over_ns) else { return false };
        times.iter().all(|&ns| ns < STEADY * usual && usual < STEADY * ns)
    }
}

/// The usual time of a hand-over far and near: two means of its logarithm. The slowest tenth is
/// left out, because the CPUs did something else then.
fn states(mut times: Vec<f64>) -> [Option<f64>; 2] {
    /// Centres that are closer are one state.
    const APART: f64 = 1.7;
    times.retain(|&ns| ns > 0.0);
    times.sort_unstable_by(f64::total_cmp);
    times.truncate(times.len() - times.len() / 10);
    let (Some(&first), Some(&last)) = (times.first(), times.last()) else { return [None; 2] };
    let mean = |part: &[f64]| (part.iter().map(|ns| ns.ln()).sum::<f64>() / part.len() as f64).exp();
    let (mut low, mut high, mut border) = (first, last, 0);
    for _ in 0..20 {
        border = times.partition_point(|&ns| ns * ns < low * high);
        if border == 0 || border == times.len() {
            break;
        }
        (low, high) = (mean(&times[..border]), mean(&times[border..]));
    }
    if high / low < APART {
        let usual = median(&times);
        return if usual.is_some_and(|ns| ns < NEAR_NS) { [None, usual] } else { [usual, None] };
    }
    [median(&times[border..]), median(&times[..border])]
}

/// Workloads and threads to measure: one thread and two, then more threads than CPUs.
const RUNS: [[&str; 4]; 2] =
    [["--only", "W1,W2,W2r,W3,W4", "--threads", "1,2"], ["--only", "W4,W7,W8", "--with-threads", "4,8,16"]];

/// Measures by the program `rivals` of benches, which it builds first. Writes two files beside
/// `json`.
pub(super) fn measure(rounds: usize, json: &Path) -> Result<Vec<PathBuf>, Error> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..");
    let mut files = Vec::new();
    for (n, run) in RUNS.iter().enumerate() {
        let file = json.with_extension(format!("{n}.json"));
        let names: Vec<&str> = LOCKS.iter().map(|names| names.0).collect();
        let mut command = Command::new("cargo");
        command.current_dir(&root);
        // The variables that `smp` has set for this workspace are wrong for that one.
        for variable in ["RUSTC_WRAPPER", "RUSTFLAGS", "CARGO_TARGET_DIR"] {
            command.env_remove(variable);
        }
        command.args(["run", "--release", "--quiet", "--package", "rivals", "--bin", "rivals", "--"]);
        command.args(run).args(["--rounds", &rounds.to_string(), "--rivals", &names.join(",")]);
        command.arg("--json").arg(&file);
        command.stdout(std::process::Stdio::null());
        eprintln!("measuring {} of 2: {rounds} rounds of {}", n + 1, run[1]);
        let status = command.status().map_err(|error| Error::Run(format!("cargo: {error}")))?;
        if !status.success() {
            return Err(Error::Run(format!("{command:?}: {status}")));
        }
        files.push(file);
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(rival: &str, hand_over_ns: [f64; 2]) -> Sample {
        let (workload, threads, ops_per_s) = ("W3".into(), 2, 1e6);
        Sample { workload, threads, rival: rival.into(), hand_over_ns: Some(hand_over_ns), ops_per_s }
    }

    #[test]
    fn samples_of_an_unsteady_placement_and_of_unknown_locks_are_left_out() {
        let hand_over_ns = [Some(200.0), Some(40.0)];
        let mut all = Measured { cpus: 2, hand_over_ns, ..Measured::default() };
        all.add(&sample("range-lock", [200.0, 210.0]));
        all.add(&sample("range-lock", [40.0, 210.0]));
        all.add(&sample("range-lock", [200.0, 400.0]));
        all.add(&sample("std::sync::RwLock", [200.0, 210.0]));
        let rates = Rates { far: vec![1.0], near: Vec::new() };
        assert_eq!(all.cells.into_iter().collect::<Vec<_>>(), [(("W3".to_owned(), 2, 0), rates)]);
    }

    #[test]
    fn states_are_told_apart_and_disturbed_samples_are_not_a_state() {
        let some = |far: [f64; 5], near: [f64; 5]| [far, far, far, near, near].concat();
        let two = some([200.0, 201.0, 199.0, 210.0, 190.0], [40.0, 41.0, 39.0, 42.0, 38.0]);
        assert_eq!(states(two), [Some(200.0), Some(40.0)]);
        let far = [80.0, 88.0, 89.0, 90.0, 90.0, 91.0, 95.0, 99.0, 100.0, 900.0];
        assert_eq!(states(far.to_vec()), [Some(90.0), None]);
        assert_eq!(states(vec![26.0, 25.0, 27.0]), [None, Some(26.0)]);
        assert_eq!(states(Vec::new()), [None; 2]);
    }

    #[test]
    fn a_figure_has_three_samples() {
        assert_eq!(median(&[1.0, 2.0]), None);
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
    }
}
