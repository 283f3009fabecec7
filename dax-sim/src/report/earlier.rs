//! Reads an earlier run from its JSON, and compares it with this one.
//!
//! It compares ratios, not rates: a machine that is faster today is faster with every variant.

use std::collections::HashMap;

use serde::Deserialize;

use super::{Report, json, number};
use crate::compare::stats::{CERTAIN, Ratio};
use crate::compare::{BASE, Outcome};
use crate::variant::Variant;

/// The parts of an earlier run's JSON that are read.
#[derive(Clone, Debug)]
pub(crate) struct Earlier {
    /// The file, as it was named.
    pub(crate) name: String,
    document: Document,
    ratios: HashMap<(String, String, usize, u64), HashMap<String, Bounds>>,
}

#[derive(Clone, Debug, Deserialize)]
struct Document {
    schema: u32,
    host: Host,
    #[serde(default)]
    run: Option<Run>,
    results: Vec<Entry>,
}

#[derive(Clone, Debug, Deserialize)]
struct Host {
    cpu: Option<String>,
    hardware_threads: usize,
    checks: bool,
    #[serde(default)]
    i_rwsem: Option<String>,
    #[serde(default)]
    i_mmap_sem: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
struct Run {
    date: String,
    commit: String,
}

#[derive(Clone, Debug, Deserialize)]
struct Entry {
    workload: String,
    variant: String,
    threads: usize,
    media_us: u64,
    ratios: HashMap<String, Bounds>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
struct Bounds {
    median: f64,
    low: f64,
    high: f64,
    confidence: f64,
}

/// How a ratio compares with that of the earlier run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Up,
    Down,
}

impl Change {
    pub(crate) fn mark(self) -> &'static str {
        match self {
            Change::Up => "▲",
            Change::Down => "▼",
        }
    }
}

impl Earlier {
    /// Reads the JSON of an earlier run. An error says what is wrong with it.
    pub(crate) fn parse(name: &str, text: &[u8]) -> Result<Earlier, String> {
        let mut document: Document = serde_json::from_slice(text)
            .map_err(|error| format!("it is not what `dax-sim compare --json` writes: {error}"))?;
        if document.schema != json::SCHEMA {
            return Err(format!(
                "its schema is {}, and this program reads {}",
                document.schema,
                json::SCHEMA
            ));
        }
        let ratios = std::mem::take(&mut document.results)
            .into_iter()
            .map(|entry| ((entry.workload, entry.variant, entry.threads, entry.media_us), entry.ratios));
        Ok(Earlier { name: name.to_owned(), ratios: ratios.collect(), document })
    }

    fn ratio(&self, outcome: &Outcome, base: Variant) -> Option<Ratio> {
        let point = outcome.point;
        let media = u64::try_from(point.media.as_micros()).ok()?;
        let key = (point.workload.name().to_owned(), point.variant.name().to_owned(), point.threads, media);
        let &Bounds { median, low, high, confidence } = self.ratios.get(&key)?.get(base.name())?;
        Some(Ratio { median, low, high, confidence })
    }

    /// Whether the outcome's ratio has changed: the intervals of the two runs have 95 %, and do not
    /// overlap.
    pub(crate) fn change(&self, report: &Report, outcome: &Outcome) -> Option<(Change, Ratio)> {
        let then = self.ratio(outcome, report.baseline)?;
        let now = report.ratio(outcome)?;
        if outcome.point.variant == report.baseline || then.confidence < CERTAIN || !now.is_certain() {
            return None;
        }
        if now.low > then.high {
            Some((Change::Up, then))
        } else if now.high < then.low {
            Some((Change::Down, then))
        } else {
            None
        }
    }

    /// When the earlier run was made, and by which program.
    pub(crate) fn describe(&self) -> String {
        match &self.document.run {
            Some(Run { date, commit }) => format!("{} ({date}, commit {commit})", self.name),
            None => self.name.clone(),
        }
    }

    /// What makes the two runs hard to compare, if anything.
    pub(crate) fn difference(&self, report: &Report) -> Option<String> {
        let (then, locks) = (&self.document.host, report.setup.locks);
        let name = |kind: Option<crate::variant::LockKind>| kind.map(|kind| kind.name().to_owned());
        let mut differences = Vec::new();
        if (&then.cpu, then.hardware_threads) != (&report.host.cpu, report.host.hardware_threads) {
            differences.push("another machine");
        }
        if then.checks != report.setup.checks {
            differences.push("other checks");
        }
        if (&then.i_rwsem, &then.i_mmap_sem) != (&name(locks.i_rwsem), &name(locks.i_mmap_sem)) {
            differences.push("other locks");
        }
        (!differences.is_empty()).then(|| format!("The earlier run had {}.", differences.join(" and ")))
    }

    /// A line for each ratio that has changed.
    pub(crate) fn changes(&self, report: &Report) -> Vec<String> {
        let mut lines = Vec::new();
        for outcome in &report.outcomes {
            if let (Some((change, then)), Some(now)) = (self.change(report, outcome), report.ratio(outcome)) {
                let point = outcome.point;
                lines.push(format!(
                    "{} {}, {}, {}, {}: {}, was {}",
                    change.mark(),
                    point.workload,
                    number::media(point.media),
                    number::threads(point.threads),
                    point.variant,
                    number::with_interval(now),
                    number::with_interval(then)
                ));
            }
        }
        lines
    }

    /// A summary in one sentence.
    pub(crate) fn summary(&self, report: &Report) -> String {
        let compared = report.outcomes.iter().filter(|outcome| {
            outcome.point.variant != report.baseline && self.ratio(outcome, report.baseline).is_some()
        });
        let compared = compared.count();
        let changed = self.changes(report).len();
        let few = if report.ratios_are_certain() { "" } else { "; fewer than 6 rounds show no change" };
        format!(
            "Against {}: {changed} of {compared} ratios to {} have changed beyond their intervals{few}.",
            self.describe(),
            if self.ratios.values().any(|ratios| ratios.contains_key(report.baseline.name())) {
                report.baseline
            } else {
                BASE
            }
        )
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;

    fn earlier(report: &Report) -> Earlier {
        Earlier::parse("old.json", &json::render(report)).unwrap()
    }

    #[test]
    fn a_run_has_not_changed_against_itself() {
        let report = fixture::report();
        let earlier = earlier(&report);
        assert_eq!(earlier.changes(&report), Vec::<String>::new());
        assert_eq!(earlier.difference(&report), None);
        assert_eq!(
            earlier.summary(&report),
            "Against old.json (2026-11-28 22:00:00 UTC, commit 0123456789ab): 0 of 48 ratios to rwsem have changed \
             beyond their intervals."
        );
    }

    #[test]
    fn what_changed_beyond_its_interval_is_told() {
        let (mut then, now) = (fixture::report(), fixture::report());
        let changed = then.outcomes.iter_mut().find(|outcome| outcome.point.variant == Variant::RangeLock);
        for rate in &mut changed.unwrap().rates {
            *rate *= 2.0;
        }
        then.host.cpu = Some("another".to_owned());
        then.setup.checks = false;
        let earlier = earlier(&then);
        assert_eq!(
            earlier.changes(&now),
            ["▼ write-disjoint, CPU-bound, 1 thread, range-lock: 0.95× (0.86–1.05), was 1.90× (1.72–2.10)"]
        );
        assert_eq!(
            earlier.difference(&now).unwrap(),
            "The earlier run had another machine and other checks."
        );
        let mut few = now;
        for outcome in &mut few.outcomes {
            outcome.rates.truncate(5);
        }
        assert!(earlier.changes(&few).is_empty(), "five rounds give no interval of 95 %");
    }

    #[test]
    fn what_is_no_earlier_run_is_refused() {
        for (text, says) in [
            ("", "--json"),
            ("{}", "--json"),
            ("[1]", "--json"),
            (
                "{\"schema\": 99, \"host\": {\"hardware_threads\": 1, \"checks\": true}, \"results\": []}",
                "schema is 99",
            ),
        ] {
            let error = Earlier::parse("old.json", text.as_bytes()).unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
