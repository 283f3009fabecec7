//! Writes results in the form of `dax-sim --json`, marked as simulated. A round is a seed.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::record::{DaxPart, PointLine};

#[derive(Serialize)]
struct Document {
    schema: u32,
    simulated: bool,
    host: Host,
    file: File,
    results: Vec<Entry>,
}

#[derive(Serialize)]
struct Host {
    hardware_threads: usize,
    cpu: &'static str,
    kernel: Option<&'static str>,
    load_model: &'static str,
    /// The longest and the shortest window, in virtual time.
    duration_ms: f64,
    shortest_duration_ms: f64,
    rounds: usize,
    checks: bool,
}

#[derive(Serialize)]
struct File {
    path: Option<&'static str>,
    backing: &'static str,
}

#[derive(Serialize)]
struct Entry {
    workload: String,
    variant: String,
    threads: usize,
    media_us: u64,
    ops_per_s: Rate,
    ratio_to_rwsem: Option<f64>,
    /// The ratios to all variants that were run at the point.
    ratios: BTreeMap<String, Ratio>,
    wait_us: Wait,
    stale_reads: u64,
    checked_reads: u64,
    // Fields that only a simulated machine has.
    medium: String,
    levels: String,
    topology: String,
    directory: String,
    overlap: String,
}

#[derive(Serialize)]
struct Rate {
    median: f64,
    min: f64,
    max: f64,
}

#[derive(Serialize)]
struct Ratio {
    median: f64,
    low: f64,
    high: f64,
    confidence: f64,
}

#[derive(Serialize)]
struct Wait {
    p50: f64,
    p99: f64,
    max: f64,
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}

fn least(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::INFINITY, f64::min)
}

fn most(values: &[f64]) -> f64 {
    values.iter().copied().fold(0.0, f64::max)
}

/// What an entry belongs to, apart from its variant and levels.
fn place(line: &PointLine) -> (String, usize, String, String, String) {
    let of = &line.result;
    (of.workload.clone(), of.cpus, of.topology.clone(), of.directory.clone(), of.overlap.clone())
}

/// The ratios of the rates of one place, seed by seed.
fn ratios(all: &[PointLine], of: &[&PointLine]) -> BTreeMap<String, Ratio> {
    let mut by_variant: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for line in of {
        for other in all.iter().filter(|o| place(o) == place(line) && o.result.seed == line.result.seed) {
            let ratio = line.result.mops / other.result.mops;
            by_variant.entry(other.result.lock.clone()).or_default().push(ratio);
        }
    }
    let ratio = |values: Vec<f64>| {
        // The range of n ratios holds their median with this probability.
        let confidence = 1.0 - 0.5_f64.powi(values.len() as i32 - 1);
        Ratio { low: least(&values), high: most(&values), confidence, median: median(values) }
    };
    by_variant.into_iter().map(|(name, values)| (name, ratio(values))).collect()
}

/// The contents of the file.
pub(crate) fn render(lines: &[PointLine], judged: bool) -> String {
    let mut groups: Vec<Vec<&PointLine>> = Vec::new();
    for line in lines {
        let same = |group: &&mut Vec<&PointLine>| {
            place(group[0]) == place(line) && group[0].result.lock == line.result.lock
        };
        match groups.iter_mut().find(same) {
            Some(group) => group.push(line),
            None => groups.push(vec![line]),
        }
    }
    let entry = |group: &Vec<&PointLine>| -> Option<Entry> {
        let parts: Vec<&DaxPart> = group.iter().filter_map(|line| line.dax.as_ref()).collect();
        let (part, of) = (*parts.first()?, &group[0].result);
        let rates: Vec<f64> = group.iter().map(|line| line.result.mops * 1e6).collect();
        let wait = |n: usize| parts.iter().map(|part| part.waits_us[n]).collect::<Vec<_>>();
        let sum = |n: usize| parts.iter().map(|part| part.judged[n]).sum();
        let ratios = ratios(lines, group);
        Some(Entry {
            workload: part.workload.clone(),
            variant: of.lock.clone(),
            threads: of.threads,
            media_us: 0,
            ops_per_s: Rate { min: least(&rates), max: most(&rates), median: median(rates) },
            ratio_to_rwsem: ratios.get("rwsem").map(|ratio| ratio.median),
            ratios,
            wait_us: Wait { p50: median(wait(0)), p99: median(wait(1)), max: most(&wait(2)) },
            stale_reads: sum(2),
            checked_reads: sum(0),
            medium: part.medium.clone(),
            levels: part.level.clone(),
            topology: of.topology.clone(),
            directory: of.directory.clone(),
            overlap: of.overlap.clone(),
        })
    };
    let windows: Vec<f64> = lines.iter().map(|line| line.window_us / 1000.0).collect();
    let document = Document {
        schema: 1,
        simulated: true,
        host: Host {
            hardware_threads: lines.iter().map(|line| line.result.cpus).max().unwrap_or(0),
            cpu: "simulated",
            kernel: None,
            load_model: "closed loop",
            duration_ms: most(&windows),
            shortest_duration_ms: least(&windows).min(most(&windows)),
            rounds: groups.iter().map(Vec::len).max().unwrap_or(0),
            checks: judged,
        },
        file: File { path: None, backing: "simulated" },
        results: groups.iter().filter_map(entry).collect(),
    };
    serde_json::to_string_pretty(&document).expect("plain data has a JSON form") + "\n"
}
