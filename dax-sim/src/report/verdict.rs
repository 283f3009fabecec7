//! What the figures say, in plain words, and nothing that they do not.

use std::time::Duration;

use super::{Report, number};
use crate::variant::Variant;
use crate::workload::Point;

/// One sentence of the verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) kind: Kind,
    /// What it is about.
    pub(crate) subject: String,
    /// What is to be said of that.
    pub(crate) text: String,
}

/// How a finding is to be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A figure, good or bad.
    Figure,
    /// Reads were checked and none was stale.
    Clean,
    /// Stale reads in a variant that is there to show them.
    Race,
    /// Stale reads in a variant that must not have any.
    Fault,
}

/// Every finding, the most telling first.
pub(crate) fn findings(report: &Report) -> Vec<Finding> {
    let mut findings = scaling(report);
    findings.extend(stale(report));
    findings
}

/// `range-lock` against the baseline where it may gain (many threads) and where it can only lose
/// (one thread).
fn scaling(report: &Report) -> Vec<Finding> {
    let (threads, media) = (report.threads(), report.media());
    let (Some(&fewest), Some(&most)) = (threads.first(), threads.last()) else { return Vec::new() };
    let mut settings = Vec::new();
    settings.extend(media.iter().rev().map(|&media| (most, media)));
    if fewest == 1 && most > 1 {
        settings.extend(media.iter().filter(|media| media.is_zero()).map(|&media| (fewest, media)));
    }
    settings.into_iter().filter_map(|(threads, media)| against_baseline(report, threads, media)).collect()
}

fn against_baseline(report: &Report, threads: usize, media: Duration) -> Option<Finding> {
    if report.baseline == Variant::RangeLock {
        return None;
    }
    let mut ratios: Vec<(f64, String)> = report
        .workloads()
        .into_iter()
        .filter_map(|workload| {
            let point = Point { workload, variant: Variant::RangeLock, threads, media };
            let ratio = report.ratio(report.outcome(point)?)?;
            let doubt = if ratio.differs() { "" } else { " (within the spread)" };
            let figure = number::ratio(Some(ratio));
            Some((ratio.median, format!("{figure} in {}{doubt}", workload.name())))
        })
        .collect();
    ratios.sort_by(|a, b| b.0.total_cmp(&a.0));
    let list: Vec<String> = ratios.into_iter().map(|(_, text)| text).collect();
    let unit = if threads == 1 { "thread" } else { "threads" };
    (!list.is_empty()).then(|| Finding {
        kind: Kind::Figure,
        subject: format!("{} {unit}, {}", report.marked_threads(threads), number::media(media)),
        text: format!("{} against {}: {}", Variant::RangeLock, report.baseline, list.join(", ")),
    })
}

/// What became of the reads that were checked, variant by variant.
fn stale(report: &Report) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut clean = Vec::new();
    for variant in report.variants() {
        let tally = StaleTally::of(report, variant);
        if tally.checked == 0 {
            continue;
        }
        if tally.stale == 0 && variant.is_coherent() {
            clean.push(format!("{variant} ({} checked)", number::count(tally.checked)));
        } else {
            findings.push(tally.finding(variant));
        }
    }
    if !clean.is_empty() {
        let subject = "no stale read".to_owned();
        findings.push(Finding { kind: Kind::Clean, subject, text: clean.join(", ") });
    }
    findings
}

/// The stale reads of one variant, over all points.
struct StaleTally {
    stale: u64,
    checked: u64,
    /// The workloads in which there were any.
    places: Vec<&'static str>,
}

impl StaleTally {
    fn of(report: &Report, variant: Variant) -> StaleTally {
        let mut tally = StaleTally { stale: 0, checked: 0, places: Vec::new() };
        for outcome in report.outcomes.iter().filter(|outcome| outcome.point.variant == variant) {
            tally.stale += outcome.stale_reads;
            tally.checked += outcome.checked_reads;
            let place = outcome.point.workload.name();
            if outcome.stale_reads > 0 && !tally.places.contains(&place) {
                tally.places.push(place);
            }
        }
        tally
    }

    fn finding(&self, variant: Variant) -> Finding {
        let checked = number::count(self.checked);
        if self.stale == 0 {
            let text =
                format!("no stale read seen in {checked} checked, which does not prove it free of races");
            return Finding { kind: Kind::Figure, subject: variant.to_string(), text };
        }
        let (kind, remark) = match variant {
            Variant::Unserialised => (Kind::Race, " (incorrect: upper bound only)"),
            _ if !variant.is_coherent() => (Kind::Race, ""),
            _ => (Kind::Fault, ", where there must be none"),
        };
        let text = format!(
            "{} stale read{} of {checked} checked, in {}{remark}",
            number::count(self.stale),
            if self.stale == 1 { "" } else { "s" },
            self.places.join(", "),
        );
        Finding { kind, subject: variant.to_string(), text }
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;

    fn texts(report: &Report) -> Vec<String> {
        findings(report).into_iter().map(|finding| format!("{}: {}", finding.subject, finding.text)).collect()
    }

    #[test]
    fn findings_in_plain_words() {
        assert_eq!(
            texts(&fixture::report()),
            [
                "16* threads, 50 µs media: range-lock against rwsem: 16.0× in write-disjoint, 16.0× in fault-vs-write",
                "16* threads, CPU-bound: range-lock against rwsem: 0.95× in write-disjoint (within the spread), \
                 0.95× in fault-vs-write (within the spread)",
                "1 thread, CPU-bound: range-lock against rwsem: 0.95× in write-disjoint (within the spread), \
                 0.95× in fault-vs-write (within the spread)",
                "linux-4.11: 42 stale reads of 6,000 checked, in fault-vs-write",
                "unserialised: no stale read seen in 6,000 checked, which does not prove it free of races",
                "no stale read: linux-4.12 (6,000 checked), rwsem (6,000 checked), range-lock (6,000 checked)",
            ]
        );
    }

    #[test]
    fn another_baseline_gives_other_ratios() {
        let mut report = fixture::report();
        report.baseline = Variant::Linux412;
        assert_eq!(
            texts(&report)[1],
            "16* threads, CPU-bound: range-lock against linux-4.12: 0.95× in write-disjoint, 0.95× in fault-vs-write",
            "both were fast and slow in the same rounds"
        );
        report.baseline = Variant::RangeLock;
        assert!(texts(&report)[0].starts_with("linux-4.11: "), "nothing is set against itself");
    }

    #[test]
    fn a_stale_read_where_none_may_be_is_a_fault() {
        let mut report = fixture::report();
        let outcome =
            report.outcomes.iter_mut().find(|outcome| outcome.point.variant == Variant::RangeLock).unwrap();
        (outcome.stale_reads, outcome.checked_reads) = (1, 5);
        let findings = findings(&report);
        let fault = findings.iter().find(|finding| finding.kind == Kind::Fault).unwrap();
        assert_eq!(fault.text, "1 stale read of 6,005 checked, in write-disjoint, where there must be none");
        assert!(
            !findings
                .iter()
                .any(|finding| finding.kind == Kind::Clean && finding.text.contains("range-lock"))
        );
    }

    #[test]
    fn nothing_is_said_of_what_was_not_run() {
        let mut report = fixture::report();
        report
            .outcomes
            .retain(|outcome| outcome.point.variant == Variant::Linux412 && outcome.checked_reads == 0);
        assert_eq!(texts(&report), Vec::<String>::new());
    }
}
