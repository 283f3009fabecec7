//! The results as one JSON object, for other programs.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Report;
use crate::compare::{BASE, Outcome, stats};
use crate::variant::LockKind;

/// Raised when a reader of the previous form would misunderstand the new one.
const SCHEMA: u32 = 1;

#[derive(Serialize)]
struct Document<'a> {
    schema: u32,
    host: Host<'a>,
    file: File<'a>,
    results: Vec<Entry>,
}

#[derive(Serialize)]
struct Host<'a> {
    hardware_threads: usize,
    cpu: Option<&'a str>,
    kernel: Option<&'a str>,
    load_model: &'static str,
    duration_ms: u128,
    shortest_duration_ms: u128,
    rounds: usize,
    /// Whether reads were judged.
    checks: bool,
    /// Only where they were not left to the variants.
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
    /// To each variant that was run at the point.
    ratios: BTreeMap<&'static str, Ratio>,
    wait_us: Wait,
    stale_reads: u64,
    checked_reads: u64,
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

impl Entry {
    fn of(report: &Report, outcome: &Outcome) -> Entry {
        let (rate, wait) = (outcome.ops_per_s, outcome.wait_us);
        let ratios = report.variants().into_iter().filter_map(|variant| {
            let ratio = report.ratio_to(outcome, variant)?;
            let stats::Ratio { median, low, high, confidence } = ratio;
            Some((variant.name(), Ratio { median, low, high, confidence }))
        });
        Entry {
            workload: outcome.point.workload.name(),
            variant: outcome.point.variant.name(),
            threads: outcome.point.threads,
            media_us: outcome.point.media.as_micros(),
            ops_per_s: Rate { median: rate.median, min: rate.min, max: rate.max },
            ratio_to_rwsem: report.ratio_to(outcome, BASE).map(|ratio| ratio.median),
            ratios: ratios.collect(),
            wait_us: Wait { p50: wait.p50, p99: wait.p99, max: wait.max },
            stale_reads: outcome.stale_reads,
            checked_reads: outcome.checked_reads,
        }
    }
}

/// The whole report, indented, with a newline at its end.
pub(crate) fn render(report: &Report) -> Vec<u8> {
    let document = Document {
        schema: SCHEMA,
        host: Host {
            hardware_threads: report.host.hardware_threads,
            cpu: report.host.cpu.as_deref(),
            kernel: report.host.kernel.as_deref(),
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
    };
    let mut bytes = serde_json::to_vec_pretty(&document).expect("plain data has a JSON form");
    bytes.push(b'\n');
    bytes
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
            json!({ "median": 1.0, "low": 1.0, "high": 1.0, "confidence": 0.75 })
        );
        assert_eq!(ratios["rwsem"]["low"], 9_500.0 / 10_500.0);
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
