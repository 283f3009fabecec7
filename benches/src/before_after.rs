//! Compares two versions of this project by runs that were taken in turns.
//!
//! Each run gives one value for each [`Row`]. Run `i` of the old version is paired with run `i` of
//! the new one, because a machine that drifts drifts for both. The figure of a row is the median of
//! the pairs' ratios, with an interval from a bootstrap over the pairs. A row is worse only if the
//! whole interval lies below the row's floor.

use std::collections::BTreeMap;

use fastrand::Rng;
use serde::Serialize;
use serde_json::Value;

use crate::placement::Placement;
use crate::rivals::{AsItComes, Bypass, OneLeaf, Shape};
use crate::sample::{Record, Sample, Spread, Waits};

/// The range lock in all shapes that are compared.
pub const LOCKS: [&str; 3] = [AsItComes::NAME, OneLeaf::NAME, Bypass::NAME];

/// Rows with fewer pairs are printed and not judged: they say too little about a median.
pub const FEWEST_PAIRS: usize = 5;

/// The measures that are judged. Fairness and waits are only printed: they scatter by more than the
/// floors allow.
const JUDGED: [&str; 3] = ["rate", "1/cost", "gain"];

const RESAMPLES: usize = 10_000;
const SEED: u64 = 0x6265_666f_7265;

/// What a row compares.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Row {
    /// The workload, with its parameters.
    pub workload: String,
    /// The name of the lock or the variant.
    pub subject: String,
    /// The number of threads.
    pub threads: usize,
    /// `near`, `far`, or `changed` if the CPUs were near at one end of the run and far at the
    /// other.
    pub state: &'static str,
    /// `rate`, `fairness`, ...
    pub measure: &'static str,
}

/// The values of one run. In all of them higher is better: a time is kept as its inverse.
pub type Run = BTreeMap<Row, f64>;

/// The verdict on one row.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The interval reaches the floor.
    NotWorse,
    /// The interval lies below the floor.
    Worse,
    /// More threads than CPUs, a state that changed, too few pairs, or a measure that is not a
    /// speed.
    NotJudged,
}

/// One row of the comparison.
#[derive(Clone, Debug, Serialize)]
pub struct Compared {
    /// What was compared.
    #[serde(flatten)]
    pub row: Row,
    /// How many pairs of runs have a value.
    pub pairs: usize,
    /// The median of new / old. Above 1 the new version is better.
    pub ratio: f64,
    /// The bootstrap interval of 95 %.
    pub interval: [f64; 2],
    /// The least ratio that counts as not worse.
    pub floor: f64,
    /// The verdict.
    pub verdict: Verdict,
}

/// The least ratio that counts as not worse. W7, W8 and W12 depend on how the kernel schedules, and
/// scatter more.
pub fn floor(workload: &str) -> f64 {
    if ["W7", "W8", "W12"].contains(&workload) { 0.90 } else { 0.97 }
}

/// Compares run `i` of `old` with run `i` of `new`, on a machine with `cpus` CPUs.
pub fn compare(old: &[Run], new: &[Run], cpus: usize) -> Vec<Compared> {
    let mut ratios = BTreeMap::<&Row, Vec<f64>>::new();
    for (old, new) in old.iter().zip(new) {
        for (row, &after) in new {
            if let Some(&before) = old.get(row)
                && before > 0.0
            {
                ratios.entry(row).or_default().push(after / before);
            }
        }
    }
    let compared = |(row, ratios): (&Row, Vec<f64>)| {
        let (pairs, floor) = (ratios.len(), floor(&row.workload));
        let (ratio, interval) = (Spread::of(ratios.clone())?.median, interval(&ratios)?);
        let judged = pairs >= FEWEST_PAIRS
            && row.threads <= cpus
            && row.state != CHANGED
            && JUDGED.contains(&row.measure);
        let verdict = match judged {
            false => Verdict::NotJudged,
            true if interval[1] < floor => Verdict::Worse,
            true => Verdict::NotWorse,
        };
        Some(Compared { row: row.clone(), pairs, ratio, interval, floor, verdict })
    };
    ratios.into_iter().filter_map(compared).collect()
}

/// The interval that holds 95 % of the medians of values drawn from `values` with replacement.
/// `None` if there are no values.
pub fn interval(values: &[f64]) -> Option<[f64; 2]> {
    let mut random = Rng::with_seed(SEED);
    let mut draw = || {
        let drawn = values.iter().map(|_| values[random.usize(..values.len())]).collect();
        Some(Spread::of(drawn)?.median)
    };
    let mut medians = (0..RESAMPLES).map(|_| draw()).collect::<Option<Vec<f64>>>()?;
    medians.sort_by(f64::total_cmp);
    Some([medians[RESAMPLES / 40], medians[RESAMPLES - 1 - RESAMPLES / 40]])
}

const CHANGED: &str = "changed";

/// The state of the CPUs during a run, from the time in which a cache line changed hands before and
/// after it.
pub fn state(before: Option<f64>, after: Option<f64>) -> &'static str {
    let of = |ns: Option<f64>| ns.map_or(Placement::Near, Placement::of);
    if of(before) == of(after) { of(before).name() } else { CHANGED }
}

/// The values of one run of `rivals`: for each row the median over its samples.
pub fn of_rivals(record: &Record) -> Run {
    let mut samples = BTreeMap::<Row, Vec<f64>>::new();
    for sample in record.samples.iter().filter(|sample| LOCKS.contains(&sample.rival.as_str())) {
        let Some(placement) = sample.placement() else { continue };
        for (measure, value) in measures(sample) {
            let row = Row {
                workload: sample.workload.clone(),
                subject: sample.rival.clone(),
                threads: sample.threads,
                state: placement.name(),
                measure,
            };
            samples.entry(row).or_default().push(value);
        }
    }
    samples.into_iter().filter_map(|(row, values)| Some((row, Spread::of(values)?.median))).collect()
}

fn measures(sample: &Sample) -> Vec<(&'static str, f64)> {
    let mut measures = vec![("rate", sample.ops_per_s)];
    if sample.threads > 1 {
        measures.push(("fairness", sample.fairness));
    }
    if let Some(Waits { p50, p99, max }) = sample.wait_us {
        let waits = [("1/wait p50", p50), ("1/wait p99", p99), ("1/wait longest", max)];
        measures.extend(waits.into_iter().filter(|wait| wait.1 > 0.0).map(|(name, wait)| (name, 1.0 / wait)));
    }
    measures
}

/// The values of one run of `dax-sim compare --json`. `None` if the document is something else.
pub fn of_dax_sim(document: &Value, state: &'static str) -> Option<Run> {
    let entry = |entry: &Value| {
        let row = Row {
            workload: format!("{}, {} us", entry["workload"].as_str()?, entry["media_us"].as_u64()?),
            subject: entry["variant"].as_str()?.to_owned(),
            threads: entry["threads"].as_u64()?.try_into().ok()?,
            state,
            measure: "rate",
        };
        Some((row, entry["ops_per_s"]["median"].as_f64()?))
    };
    document["results"].as_array()?.iter().map(entry).collect()
}

/// The values that the benchmark `simulator_overhead` prints: the cost of one call beside a plain
/// one, and the gain of a second thread.
pub fn of_overhead(text: &str, state: &'static str) -> Run {
    let mut run = Run::new();
    let mut add = |workload: &str, subject: &str, threads, measure, value: Option<f64>| {
        let row = Row { workload: workload.to_owned(), subject: subject.to_owned(), threads, state, measure };
        run.extend(value.filter(|value| *value > 0.0).map(|value| (row, value)));
    };
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            [call @ .., variant, _, "ns", _, "ns", ratio] => {
                let ratio = ratio.parse::<f64>().ok().map(|ratio| 1.0 / ratio);
                add(&call.join(" "), variant, 1, "1/cost", ratio);
            }
            // A gain of two threads on one file, on a file each, and on the bare device, which is
            // always present.
            [name @ .., one, own, bare] if line.starts_with("  ") && bare.parse::<f64>().is_ok() => {
                let name = name.join(" ");
                add(&name, "one file", 2, "gain", one.parse().ok());
                add(&name, "own files", 2, "gain", own.parse().ok());
            }
            _ => {}
        }
    }
    run
}

/// The instructions of each benchmark, from the output of gungraun.
pub fn instructions(text: &str) -> BTreeMap<String, u64> {
    let (mut counts, mut name) = (BTreeMap::new(), None);
    for line in text.lines() {
        if let Some((_, rest)) = line.split_once("short_path::") {
            name = rest.split_whitespace().next().map(str::to_owned);
        } else if let Some(rest) = line.trim_start().strip_prefix("Instructions:") {
            let digits = rest.trim_start().split(|c: char| !c.is_ascii_digit()).next();
            if let (Some(name), Some(count)) = (name.take(), digits.and_then(|digits| digits.parse().ok())) {
                counts.insert(name, count);
            }
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(workload: &str, threads: usize) -> Row {
        let (workload, subject) = (workload.to_owned(), AsItComes::NAME.to_owned());
        Row { workload, subject, threads, state: "near", measure: "rate" }
    }

    /// Ten runs as `rivals` keeps them, of a version with this speed, with a noise of 5 % either
    /// way.
    fn runs(seed: u64, w3: f64) -> Vec<Run> {
        let mut random = Rng::with_seed(seed);
        let mut run = || {
            let mut noisy = |speed: f64| speed * (0.95 + 0.1 * random.f64());
            let mut sample = |workload: &str, threads: usize, speed: f64, round| {
                format!(
                    r#"{{"workload":"{workload}","threads":{threads},"rival":"range-lock","round":{round},
                    "hand_over_ns":[40.0,41.0],"ops_per_s":{},"fairness":1.0,"wait_us":null}}"#,
                    noisy(speed)
                )
            };
            let samples: Vec<String> = (0..3)
                .flat_map(|round| {
                    [("W2", 2, 1e6), ("W3", 2, w3), ("W3", 8, w3)].map(|(w, t, s)| sample(w, t, s, round))
                })
                .collect();
            let json = format!(
                r#"{{"host":{{"hardware_threads":2,"cpu":"x","kernel":"y"}},"millis":40,"samples":[{}],"footprints":[]}}"#,
                samples.join(",")
            );
            of_rivals(&serde_json::from_str(&json).unwrap())
        };
        (0..10).map(|_| run()).collect()
    }

    fn verdicts(old: &[Run], new: &[Run]) -> BTreeMap<Row, Verdict> {
        let rates = compare(old, new, 2).into_iter().filter(|of| of.row.measure == "rate");
        rates.map(|of| (of.row, of.verdict)).collect()
    }

    #[test]
    fn a_tenth_slower_is_found_among_noise_of_a_twentieth() {
        let verdicts = verdicts(&runs(1, 1e6), &runs(2, 0.9e6));
        assert_eq!(verdicts[&row("W3", 2)], Verdict::Worse);
        assert_eq!(verdicts[&row("W2", 2)], Verdict::NotWorse);
        assert_eq!(verdicts[&row("W3", 8)], Verdict::NotJudged, "more threads than CPUs");
    }

    #[test]
    fn what_is_equal_is_not_worse() {
        for seed in 0..20 {
            let verdicts = verdicts(&runs(seed, 1e6), &runs(seed + 100, 1e6));
            assert!(
                !verdicts.values().any(|verdict| *verdict == Verdict::Worse),
                "seed {seed}: {verdicts:?}"
            );
        }
    }

    #[test]
    fn too_few_pairs_are_not_judged() {
        let verdicts = verdicts(&runs(1, 1e6)[..4], &runs(2, 0.5e6));
        assert!(verdicts.values().all(|verdict| *verdict == Verdict::NotJudged), "{verdicts:?}");
    }

    #[test]
    fn states_are_not_paired_with_each_other() {
        let far = |run: &Run| {
            let far = |(row, value): (&Row, &f64)| (Row { state: "far", ..row.clone() }, *value);
            run.iter().map(far).collect::<Run>()
        };
        let (old, new) = (runs(1, 1e6), runs(2, 1e6));
        assert!(compare(&old, &new.iter().map(far).collect::<Vec<_>>(), 2).is_empty());
        assert_eq!([state(Some(40.0), Some(240.0)), state(None, None)], ["changed", "near"]);
    }

    /// Of five values, the median of five draws is the least one if three draws or more are: with
    /// probability 10·0.2³·0.8² + 5·0.2⁴·0.8 + 0.2⁵ = 0.058, more than 1/40. So the interval
    /// reaches from the least to the greatest. Of nine, five draws of nine are the least one with
    /// probability 0.0014, and the two least with 0.030.
    #[test]
    fn the_interval_is_that_of_the_binomial_distribution() {
        let to = |n: u32| (1..=n).map(f64::from).collect::<Vec<_>>();
        assert_eq!(interval(&to(5)), Some([1.0, 5.0]));
        assert_eq!(interval(&to(9)), Some([2.0, 8.0]));
        assert_eq!(interval(&[0.5; 10]), Some([0.5; 2]));
        assert_eq!(interval(&[]), None);
    }

    #[test]
    fn a_time_is_inverted_and_w7_has_room() {
        let waits = Some(Waits { p50: 2.0, p99: 4.0, max: 8.0 });
        let sample = Sample {
            workload: "W7".to_owned(),
            threads: 2,
            rival: AsItComes::NAME.to_owned(),
            round: 0,
            hand_over_ns: None,
            ops_per_s: 10.0,
            fairness: 1.0,
            wait_us: waits,
        };
        let run = of_rivals(&Record { samples: vec![sample], ..Record::default() });
        assert_eq!(run.get(&Row { measure: "1/wait p99", ..row("W7", 2) }), Some(&0.25));
        assert_eq!([floor("W7"), floor("W12"), floor("W1/read")], [0.90, 0.90, 0.97]);
    }

    #[test]
    fn what_the_simulator_prints_is_read() {
        let text = "one thread, 1 MiB   variant        simulated  plain   ratio\n\
                    write_at of 4 KiB   rwsem           400.0 ns 100.0 ns   4.00\n\
                    two threads over one, of 2 hardware threads, in unserialised\n\
                    \x20                        one file  own files  bare device\n\
                    \x20 read, 5 % write            1.80          -         1.90\n";
        let run = of_overhead(text, "far");
        let of = |workload: &str, subject: &str, threads, measure| Row {
            workload: workload.to_owned(),
            subject: subject.to_owned(),
            threads,
            state: "far",
            measure,
        };
        let expected = [
            (of("write_at of 4 KiB", "rwsem", 1, "1/cost"), 0.25),
            (of("read, 5 % write", "one file", 2, "gain"), 1.8),
        ];
        assert_eq!(run, expected.into_iter().collect());
        let json = serde_json::json!({ "results": [{ "workload": "random", "variant": "rwsem", "threads": 2,
            "media_us": 50, "ops_per_s": { "median": 7.0, "min": 6.0, "max": 8.0 } }] });
        let expected = (of("random, 50 us", "rwsem", 2, "rate"), 7.0);
        assert_eq!(of_dax_sim(&json, "far"), Some([expected].into_iter().collect()));
    }

    #[test]
    fn what_gungraun_prints_is_read() {
        let text = "instructions::short_path::write one:used()\n  Instructions:          123|125   (-1.6%)\n\
                    instructions::short_path::read one:used()\n  Instructions:          99|N/A  (*)\n";
        let expected = [("read".to_owned(), 99), ("write".to_owned(), 123)];
        assert_eq!(instructions(text), expected.into_iter().collect());
    }
}
