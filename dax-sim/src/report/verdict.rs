//! States what the figures show in three sentences, and nothing that they do not show.
//!
//! Each sentence has at most [`MOST_WORDS`] words. It names its condition, its factors with their
//! intervals, and the variants. Names of variants stand in backquotes, which the page turns into
//! links.

use std::time::Duration;

use super::number::{self, Direction};
use super::{Report, words};
use crate::compare::stats::Ratio;
use crate::variant::Variant;
use crate::workload::Point;

/// How many words a reader takes in at once.
#[cfg(test)]
const MOST_WORDS: usize = 25;

/// One sentence of the verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sentence {
    pub(crate) kind: Kind,
    pub(crate) text: String,
}

/// How to read a sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `range-lock` is faster at all points that the sentence covers.
    Gain,
    /// `range-lock` is slower at all of them.
    Loss,
    /// Neither, or both. Also if nothing was checked.
    Neutral,
    /// Reads were checked, and none saw old data.
    Clean,
    /// Old data in a variant that is there to show it.
    Race,
    /// Old data in a variant that must not return any.
    Fault,
}

/// The verdict: calls that sleep, calls that do not, and old data.
pub(crate) fn sentences(report: &Report) -> Vec<Sentence> {
    [sleeping(report), computing(report), old_data(report)].into_iter().flatten().collect()
}

/// The text without the marks of names.
pub(crate) fn plain(text: &str) -> String {
    text.replace('`', "")
}

/// The longest sleep at the most threads, where waiting can overlap.
fn sleeping(report: &Report) -> Option<Sentence> {
    let media = report.media().into_iter().rev().find(|media| !media.is_zero())?;
    let most = report.most_threads();
    let whose = if most == 1 { "1 thread whose".to_owned() } else { format!("{most} threads whose") };
    let condition = format!("With {whose} calls sleep {} µs", media.as_micros());
    compared(report, condition, &[most], media)
}

/// No sleep, and no more threads than the machine runs at once, if any such point was run.
fn computing(report: &Report) -> Option<Sentence> {
    let media = report.media().into_iter().find(Duration::is_zero)?;
    let all = report.threads();
    let fitting: Vec<usize> =
        all.iter().copied().filter(|&threads| !report.is_oversubscribed(threads)).collect();
    let (threads, place) = if fitting.is_empty() {
        (all, format!(" on {} CPU{}", report.host.hardware_threads, plural(report.host.hardware_threads)))
    } else {
        (fitting, String::new())
    };
    let range = match threads[..] {
        [only] => number::threads(only),
        _ => format!("{} to {} threads", threads.first()?, threads.last()?),
    };
    compared(report, format!("With {range}{place} and no sleep"), &threads, media)
}

fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}

/// Compares `range-lock` with the baseline at some numbers of threads, over all workloads.
fn compared(report: &Report, condition: String, threads: &[usize], media: Duration) -> Option<Sentence> {
    let (variant, base) = (Variant::RangeLock, report.baseline);
    if base == variant {
        return None;
    }
    let mut ratios: Vec<Ratio> = Vec::new();
    let workloads = report.workloads();
    for &workload in &workloads {
        for &threads in threads {
            let outcome = report.outcome(Point { workload, variant, threads, media });
            ratios.extend(outcome.and_then(|outcome| report.ratio(outcome)));
        }
    }
    ratios.sort_by(|a, b| a.median.total_cmp(&b.median));
    let (lowest, highest) = (*ratios.first()?, *ratios.last()?);
    let direction = Direction::of(lowest);
    let is_same = ratios.iter().all(|&ratio| Direction::of(ratio) == direction);
    let by = match (workloads.len(), threads.len()) {
        _ if ratios.len() == 1 => "",
        (1, _) => ", by threads",
        (_, 1) => ", by workload",
        _ => ", by workload and threads",
    };
    let factors = match ratios.len() {
        1 => number::with_interval(lowest),
        _ => format!("{} to {}", number::with_interval(lowest), number::with_interval(highest)),
    };
    let (kind, text) = match direction {
        Direction::Faster if is_same => {
            (Kind::Gain, format!("`{variant}` is faster than `{base}`: {factors}{by}"))
        }
        Direction::Slower if is_same => {
            (Kind::Loss, format!("`{variant}` is slower than `{base}`: {factors}{by}"))
        }
        Direction::Unclear if is_same => {
            (Kind::Neutral, format!("`{variant}` and `{base}` show no clear difference: {factors}{by}"))
        }
        _ => {
            let judged = |ratio: Ratio| {
                let direction = match Direction::of(ratio) {
                    Direction::Faster => "faster",
                    Direction::Slower => "slower",
                    Direction::Unclear => "unclear",
                };
                format!("{}, {direction}", number::with_interval(ratio))
            };
            let text = format!(
                "`{variant}` against `{base}` goes from {}, to {}{by}",
                judged(lowest),
                judged(highest)
            );
            (Kind::Neutral, text)
        }
    };
    Some(Sentence { kind, text: format!("{condition}, {text}.") })
}

/// Reads of one variant that were checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Reads {
    old: u64,
    checked: u64,
}

impl Reads {
    fn of(report: &Report, variants: impl Fn(Variant) -> bool, places: &[&str]) -> Reads {
        let mut reads = Reads::default();
        for outcome in &report.outcomes {
            let point = outcome.point;
            if variants(point.variant) && (places.is_empty() || places.contains(&point.workload.name())) {
                reads.old += outcome.stale_reads;
                reads.checked += outcome.checked_reads;
            }
        }
        reads
    }

    /// An interval of 95 % of the share that was old (Wilson's), if reads are independent.
    fn interval(self) -> (f64, f64) {
        const Z: f64 = 1.96;
        let n = self.checked as f64;
        let share = self.old as f64 / n;
        let middle = share + Z * Z / (2.0 * n);
        let half = Z * (share * (1.0 - share) / n + Z * Z / (4.0 * n * n)).sqrt();
        let bound = |end: f64| (end / (1.0 + Z * Z / n)).clamp(0.0, 1.0);
        (bound(middle - half), bound(middle + half))
    }

    fn share(self) -> String {
        let (low, high) = self.interval();
        let percent = number::percent;
        match self.old {
            0 => format!("none of {} (below {} %)", number::count(self.checked), percent(high)),
            old => {
                let share = percent(old as f64 / self.checked as f64);
                format!("{share} % ({}–{})", percent(low), percent(high))
            }
        }
    }
}

/// The sentence on stale reads: first those that must not be, then those that a variant is there to
/// show.
fn old_data(report: &Report) -> Option<Sentence> {
    if let Some(unchecked) = report.unchecked() {
        return Some(Sentence { kind: Kind::Neutral, text: format!("{unchecked}.") });
    }
    let variants = report.variants();
    let of = |variant| Reads::of(report, |other| other == variant, &[]);
    if let Some(&fault) = variants.iter().find(|&&variant| variant.is_coherent() && of(variant).old > 0) {
        let Reads { old, checked } = of(fault);
        let text = format!(
            "`{fault}` returned old data in {} of {} checked reads, {}, where there must be none.",
            number::count(old),
            number::count(checked),
            of(fault).share()
        );
        return Some(Sentence { kind: Kind::Fault, text });
    }
    // A variant without locks is expected to have stale reads.
    let most = |variant: &&Variant| (**variant != Variant::Unserialised, of(**variant).old);
    let racing = variants.iter().filter(|&&variant| of(variant).old > 0).max_by_key(most);
    let Some(&racing) = racing else {
        let all = Reads::of(report, |_| true, &[]);
        let text = format!("Checked reads returned no old data with any variant: {}.", all.share());
        return (all.checked > 0).then_some(Sentence { kind: Kind::Clean, text });
    };
    let mut places: Vec<&str> = Vec::new();
    for outcome in report.outcomes.iter().filter(|outcome| outcome.point.variant == racing) {
        let name = outcome.point.workload.name();
        if outcome.stale_reads > 0 && !places.contains(&name) {
            places.push(name);
        }
    }
    let here = Reads::of(report, |variant| variant == racing, &places);
    let place = match places[..] {
        [place] => words::place(place),
        _ => "In some workloads",
    };
    let shown = variants.contains(&Variant::RangeLock).then_some(Variant::RangeLock);
    let shown = shown.or_else(|| variants.iter().copied().find(|variant| variant.is_coherent()));
    let clean = shown.map_or_else(String::new, |clean| {
        let reads = Reads::of(report, |variant| variant == clean, &places);
        format!(", `{clean}` in {}", reads.share())
    });
    let text = format!("{place}, `{racing}` returned old data in {} of reads{clean}.", here.share());
    Some(Sentence { kind: Kind::Race, text })
}

/// The finding that must fail the run, if any.
pub(crate) fn fault(report: &Report) -> Option<String> {
    let fault = old_data(report).filter(|sentence| sentence.kind == Kind::Fault)?;
    Some(plain(&fault.text))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::fixture;
    use super::*;

    fn texts(report: &Report) -> Vec<String> {
        sentences(report).iter().map(|sentence| plain(&sentence.text)).collect()
    }

    fn kinds(report: &Report) -> Vec<Kind> {
        sentences(report).iter().map(|sentence| sentence.kind).collect()
    }

    /// `range-lock` at `factor` times the speed of `rwsem`, everywhere.
    fn at(factor: f64) -> Report {
        let mut report = fixture::report();
        let rounds = [1.0, 1.02, 0.98, 1.01, 0.99, 1.03];
        for outcome in &mut report.outcomes {
            let speed = if outcome.point.variant == Variant::RangeLock { factor } else { 1.0 };
            outcome.rates = match outcome.point.variant {
                Variant::RangeLock => rounds.iter().map(|round| 1e4 * speed * round).collect(),
                _ => vec![1e4; 6],
            };
        }
        report
    }

    #[test]
    fn gain_no_difference_and_stale_reads() {
        assert_eq!(
            texts(&fixture::report()),
            [
                "With 16 threads whose calls sleep 50 µs, range-lock is faster than rwsem: \
                 14.4× (13.0–15.9) to 16.0× (14.5–17.7), by workload.",
                "With 1 to 2 threads and no sleep, range-lock and rwsem show no clear difference: \
                 0.95× (0.86–1.05) to 0.95× (0.86–1.05), by workload and threads.",
                "Where page faults meet writes, linux-4.11 returned old data in 0.70 % (0.52–0.94) of reads, \
                 range-lock in none of 6,000 (below 0.064 %).",
            ]
        );
        assert_eq!(kinds(&fixture::report()), [Kind::Gain, Kind::Neutral, Kind::Race]);
    }

    #[test]
    fn loss() {
        let report = at(0.5);
        assert_eq!(
            texts(&report)[..2],
            [
                "With 16 threads whose calls sleep 50 µs, range-lock is slower than rwsem: \
                 0.50× (0.49–0.52) to 0.50× (0.49–0.52), by workload.",
                "With 1 to 2 threads and no sleep, range-lock is slower than rwsem: \
                 0.50× (0.49–0.52) to 0.50× (0.49–0.52), by workload and threads.",
            ]
        );
        assert_eq!(kinds(&report)[..2], [Kind::Loss, Kind::Loss]);
    }

    #[test]
    fn some_of_each() {
        let mut report = at(2.0);
        for outcome in report.outcomes.iter_mut().filter(|outcome| outcome.point.threads == 1) {
            if outcome.point.variant == Variant::RangeLock {
                outcome.rates = [9e3, 9.1e3, 9.2e3, 9.3e3, 9.4e3, 1e4].to_vec();
            }
        }
        assert_eq!(
            texts(&report)[1],
            "With 1 to 2 threads and no sleep, range-lock against rwsem goes from 0.93× (0.90–1.00), unclear, \
             to 2.01× (1.96–2.06), faster, by workload and threads."
        );
        report.outcomes.iter_mut().for_each(|outcome| outcome.rates.truncate(5));
        assert!(texts(&report)[1].contains("show no clear difference"), "five rounds: {}", texts(&report)[1]);
    }

    #[test]
    fn more_threads_than_cpus_are_named_where_nothing_sleeps() {
        let mut report = fixture::report();
        report.outcomes.retain(|outcome| outcome.point.threads == 16);
        let said = &texts(&report)[1];
        assert!(
            said.starts_with("With 16 threads on 2 CPUs and no sleep, range-lock and rwsem show"),
            "{said}"
        );
    }

    #[test]
    fn old_data_where_there_must_be_none_is_a_fault() {
        let mut report = fixture::report();
        assert_eq!(fault(&report), None);
        let outcome =
            report.outcomes.iter_mut().find(|outcome| outcome.point.variant == Variant::RangeLock).unwrap();
        (outcome.stale_reads, outcome.checked_reads) = (1, 5);
        let said = "range-lock returned old data in 1 of 6,005 checked reads, 0.017 % (0.0029–0.094), where there must \
                    be none.";
        assert_eq!(texts(&report)[2], said);
        assert_eq!(fault(&report).as_deref(), Some(said));
    }

    #[test]
    fn no_old_data_and_none_looked_for() {
        let mut report = fixture::report();
        report.outcomes.iter_mut().for_each(|outcome| outcome.stale_reads = 0);
        assert_eq!(
            texts(&report)[2],
            "Checked reads returned no old data with any variant: none of 30,000 (below 0.013 %)."
        );
        report.setup.checks = false;
        assert_eq!(texts(&report)[2], "No read was checked (--no-checks), so nothing is said of old data.");
    }

    #[test]
    fn another_baseline_gives_other_factors_and_itself_none() {
        let mut report = fixture::report();
        report.baseline = Variant::Linux412;
        assert!(
            texts(&report)[1].contains("range-lock is slower than linux-4.12: 0.95× (0.95–0.95)"),
            "{:?}",
            texts(&report)
        );
        report.baseline = Variant::RangeLock;
        assert_eq!(texts(&report).len(), 1, "nothing is compared with itself");
        report.outcomes.retain(|outcome| outcome.checked_reads == 0);
        assert_eq!(texts(&report), Vec::<String>::new());
    }

    proptest! {
        #[test]
        fn a_sentence_is_short_and_claims_only_what_its_factors_show(
            low in 0.01..100.0_f64, high in 0.01..100.0_f64, noise in 0.0..0.5_f64, stale in 0..1000_u64,
            threads in 1..2000_usize,
        ) {
            let mut report = fixture::report();
            report.host.hardware_threads = threads;
            for (index, outcome) in report.outcomes.iter_mut().enumerate() {
                if outcome.point.variant == Variant::RangeLock {
                    let factor = if index % 2 == 0 { low } else { high };
                    let rounds = [1.0, 1.0 + noise, 1.0 - noise, 1.0, 1.0 + noise / 2.0, 1.0];
                    outcome.rates = rounds.map(|round| 1e4 * factor * round).to_vec();
                }
                if outcome.point.variant == Variant::Linux411 {
                    outcome.stale_reads = stale.min(outcome.checked_reads);
                }
            }
            for Sentence { text, kind } in sentences(&report) {
                prop_assert!(text.split_whitespace().count() <= MOST_WORDS, "{text}");
                if !text.contains("range-lock") || !text.contains('×') {
                    continue; // It has no factors.
                }
                // Each interval, and what is said of it alone: "2.01× (1.96–2.06), faster, by".
                let intervals: Vec<(f64, f64, &str)> = text
                    .split('(')
                    .skip(1)
                    .map(|part| {
                        let (interval, said) = part.split_once(')').expect("it is closed");
                        let (low, high) = interval.split_once('–').expect("two bounds");
                        let bounds = [low, high].map(|bound| bound.parse().expect("a number"));
                        (bounds[0], bounds[1], said)
                    })
                    .collect();
                prop_assert!((1..=2).contains(&intervals.len()), "{text}");
                for (low, high, said) in intervals {
                    let faster = kind == Kind::Gain || said.starts_with(", faster");
                    let slower = kind == Kind::Loss || said.starts_with(", slower");
                    prop_assert_eq!((faster, slower), (low > 1.0, high < 1.0), "{}", text);
                }
            }
        }
    }
}
