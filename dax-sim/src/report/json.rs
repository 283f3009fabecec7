//! Writes the results as one JSON object, for other programs.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Report;
use crate::compare::{self, BASE, Outcome, stats};
use crate::variant::LockKind;

/// Raised when a reader of the previous form would misunderstand the new one.
pub(super) const SCHEMA: u32 = 1;

#[derive(Serialize)]
struct Document<'a> {
    schema: u32,
    run: Run<'a>,
    host: Host<'a>,
    file: File<'a>,
    results: Vec<Entry>,
}

#[derive(Serialize)]
struct Run<'a> {
    date: &'a str,
    version: &'a str,
    commit: &'a str,
    command: &'a str,
    /// How many samples were taken and planned, if the run was stopped.
    #[serde(skip_serializing_if = "Option::is_none")]
    partial: Option<Partial>,
    /// The files that were written beside the page.
    files: Vec<String>,
}

#[derive(Serialize)]
struct Partial {
    done: usize,
    total: usize,
}

/// What else the machine did, as shares of its CPU time.
#[derive(Serialize)]
struct State {
    load_before: f64,
    others: f64,
    stolen: f64,
    busy: bool,
}

#[derive(Serialize)]
struct Host<'a> {
    hardware_threads: usize,
    cpu: Option<&'a str>,
    kernel: Option<&'a str>,
    governor: Option<&'a str>,
    state: Option<State>,
    load_model: &'static str,
    duration_ms: u128,
    shortest_duration_ms: u128,
    rounds: usize,
    /// Whether reads were judged.
    checks: bool,
    /// Only if options chose locks in place of the variants'.
    #[serde(skip_serializing_if = "Option::is_none")]
    i_rwsem: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    i_mmap_sem: Option<&'static str>,
}

#[derive(Serialize)]
struct File<'a> {
    path: Option<&'a str>,
    backing: &'a str,
    /// The instruction, on a DAX file.
    write_back: Option<&'static str>,
    /// Whether a DAX file was mapped by 4 KiB pages where 2 MiB were possible.
    small_pages: bool,
}

#[derive(Serialize)]
struct Entry {
    workload: &'static str,
    variant: &'static str,
    threads: usize,
    media_us: u128,
    ops_per_s: Rate,
    /// The median of `ratios` to `rwsem`.
    ratio_to_rwsem: Option<f64>,
    /// The ratios to all variants that were run at the point.
    ratios: BTreeMap<&'static str, Ratio>,
    wait_us: Wait,
    /// From call to return, measured in a separate round.
    latency_us: Option<Latency>,
    /// Operations of the slowest thread divided by those of the fastest.
    fairness: Option<f64>,
    stale_reads: u64,
    checked_reads: u64,
}

/// A rate in the form that all commands write.
#[derive(Serialize)]
pub(crate) struct Rate {
    median: f64,
    min: f64,
    max: f64,
}

impl From<stats::Spread> for Rate {
    fn from(stats::Spread { median, min, max }: stats::Spread) -> Rate {
        Rate { median, min, max }
    }
}

/// A ratio in the form that all commands write.
#[derive(Serialize)]
pub(crate) struct Ratio {
    median: f64,
    low: f64,
    high: f64,
    confidence: f64,
}

impl From<stats::Ratio> for Ratio {
    fn from(stats::Ratio { median, low, high, confidence }: stats::Ratio) -> Ratio {
        Ratio { median, low, high, confidence }
    }
}

#[derive(Serialize)]
struct Wait {
    p50: f64,
    p99: f64,
    max: f64,
}

#[derive(Serialize)]
struct Latency {
    p50: f64,
    p99: f64,
    p999: Option<f64>,
    max: f64,
}

impl Entry {
    fn of(report: &Report, outcome: &Outcome) -> Entry {
        let (rate, wait) = (outcome.ops_per_s, outcome.wait_us);
        let ratios = report.variants().into_iter().filter_map(|variant| {
            let ratio = report.ratio_to(outcome, variant)?;
            Some((variant.name(), ratio.into()))
        });
        Entry {
            workload: outcome.point.workload.name(),
            variant: outcome.point.variant.name(),
            threads: outcome.point.threads,
            media_us: outcome.point.media.as_micros(),
            ops_per_s: rate.into(),
            ratio_to_rwsem: report.ratio_to(outcome, BASE).map(|ratio| ratio.median),
            ratios: ratios.collect(),
            wait_us: Wait { p50: wait.p50, p99: wait.p99, max: wait.max },
            latency_us: outcome.latency_us.map(|compare::Latency { p50, p99, p999, max }| Latency {
                p50,
                p99,
                p999,
                max,
            }),
            fairness: outcome.fairness,
            stale_reads: outcome.stale_reads,
            checked_reads: outcome.checked_reads,
        }
    }
}

/// The whole report, indented, with a newline at its end.
pub(crate) fn render(report: &Report) -> Vec<u8> {
    let mut bytes = serde_json::to_vec_pretty(&document(report)).expect(PLAIN);
    bytes.push(b'\n');
    bytes
}

/// The same on one line, for a page.
pub(super) fn compact(report: &Report) -> String {
    serde_json::to_string(&document(report)).expect(PLAIN)
}

/// The files that a run wrote, from its JSON. Empty if the text is something else.
pub(crate) fn files(json: &[u8]) -> Vec<String> {
    let document: serde_json::Value = serde_json::from_slice(json).unwrap_or_default();
    let files = document["run"]["files"].as_array();
    files.into_iter().flatten().filter_map(|file| Some(file.as_str()?.to_owned())).collect()
}

const PLAIN: &str = "plain data has a JSON form";

fn document(report: &Report) -> Document<'_> {
    let (run, host) = (&report.run, &report.host);
    Document {
        schema: SCHEMA,
        run: Run {
            date: &run.date,
            version: run.version,
            commit: run.commit,
            command: &run.command,
            partial: report.partial.map(|super::Partial { done, total }| Partial { done, total }),
            files: report.files(),
        },
        host: Host {
            hardware_threads: host.hardware_threads,
            cpu: host.cpu.as_deref(),
            kernel: host.kernel.as_deref(),
            governor: host.governor.as_deref(),
            state: report.state.map(|state| State {
                load_before: state.load,
                others: state.others,
                stolen: state.stolen,
                busy: state.warning().is_some(),
            }),
            load_model: Report::LOAD_MODEL,
            duration_ms: report.duration.as_millis(),
            shortest_duration_ms: report.shortest.as_millis(),
            rounds: report.rounds,
            checks: report.setup.checks,
            i_rwsem: report.setup.locks.i_rwsem.map(LockKind::name),
            i_mmap_sem: report.setup.locks.i_mmap_sem.map(LockKind::name),
        },
        file: File {
            path: report.file.path.as_deref(),
            backing: &report.file.backing,
            write_back: report.file.write_back,
            small_pages: report.file.small_pages,
        },
        results: report.outcomes.iter().map(|outcome| Entry::of(report, outcome)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::fixture;
    use super::*;

    fn rendered(report: &Report) -> Value {
        serde_json::from_slice(&render(report)).unwrap()
    }

    #[test]
    fn the_schema_is_kept() {
        let report = fixture::report();
        let document = rendered(&report);
        assert_eq!(document["schema"], 1);
        assert_eq!(document["host"]["hardware_threads"], 2);
        assert_eq!(
            document["file"],
            json!({
                "path": "/dev/shm/dax-sim",
                "backing": "tmpfs",
                "write_back": null,
                "small_pages": false,
            })
        );
        assert_eq!(document["results"].as_array().unwrap().len(), report.outcomes.len());
        let mut first = document["results"][0].clone();
        let ratios = first.as_object_mut().unwrap().remove("ratios").unwrap();
        assert_eq!(ratios.as_object().unwrap().len(), report.variants().len());
        assert_eq!(
            ratios["linux-4.12"],
            json!({ "median": 1.0, "low": 1.0, "high": 1.0, "confidence": 0.96875 })
        );
        assert_eq!(ratios["rwsem"]["low"], 9_500.0 / 10_500.0);
        let mut run = document["run"].clone();
        let files = run.as_object_mut().unwrap().remove("files").unwrap();
        assert_eq!(files.as_array().unwrap().len(), report.panels().len());
        assert_eq!(
            run,
            json!({
                "date": "2026-11-28 22:00:00 UTC",
                "version": "0.1.0",
                "commit": "0123456789ab",
                "command": "dax-sim --rounds 6",
            })
        );
        assert_eq!(
            document["host"]["state"],
            json!({ "load_before": 0.25, "others": 0.01, "stolen": 0.001, "busy": false })
        );
        assert_eq!(
            first,
            json!({
                "workload": "write-disjoint",
                "variant": "linux-4.11",
                "threads": 1,
                "media_us": 0,
                "ops_per_s": { "median": 10_000.0, "min": 9_500.0, "max": 10_500.0 },
                "ratio_to_rwsem": 1.0,
                "wait_us": { "p50": 0.0, "p99": 52.0, "max": 1234.5 },
                "latency_us": { "p50": 1.25, "p99": 63.0, "p999": null, "max": 1300.0 },
                "fairness": null,
                "stale_reads": 0,
                "checked_reads": 0,
            })
        );
    }

    #[test]
    fn what_is_unknown_is_null() {
        let mut report = fixture::report();
        report.file.path = None;
        report.outcomes.retain(|outcome| outcome.point.variant != BASE);
        let document = rendered(&report);
        assert_eq!(document["file"]["path"], Value::Null);
        assert_eq!(document["results"][0]["ratio_to_rwsem"], Value::Null);
        assert!(document["results"][0]["ratios"].get("rwsem").is_none());
    }
}
