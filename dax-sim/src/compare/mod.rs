//! Runs a comparison: every variant at every point, interleaved, several times over. It uses
//! `workload` and the modules below.
//!
//! A machine drifts while it is measured (its clock, its neighbours). So the variants of one
//! setting run directly one after the other, in an order that rotates. The whole is repeated in
//! rounds. Two variants are compared within the same round, and only the quotients are gathered
//! over rounds ([`stats::Ratio`]).
//!
//! These rounds do not read the clock for each operation. One more round does, in longer samples,
//! and gives the latencies.

pub(crate) mod pace;
pub(crate) mod plan;
pub(crate) mod stats;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::variant::Variant;
use crate::workload::{Point, Sample};
use plan::{LATENCY_LENGTH, Plan};
use stats::Spread;

/// The default variant to which all others are compared.
pub(crate) const BASE: Variant = Variant::Rwsem;

/// Two significant digits. A histogram is kept for every point until the end, and finer histograms
/// would fill the caches.
const DIGITS: u8 = 2;

/// The results of all rounds of one point.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Outcome {
    pub(crate) point: Point,
    pub(crate) ops_per_s: Spread,
    /// Operations per second, round by round. Ratios are taken of these.
    pub(crate) rates: Vec<f64>,
    pub(crate) wait_us: Wait,
    /// Present where the latency was measured.
    pub(crate) latency_us: Option<Latency>,
    /// Operations of the slowest thread divided by those of the fastest, the median over rounds.
    /// `None` for one thread.
    pub(crate) fairness: Option<f64>,
    pub(crate) stale_reads: u64,
    pub(crate) checked_reads: u64,
}

/// How long operations waited for their locks, in microseconds, over all rounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Wait {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) max: f64,
}

/// How long operations took from call to return, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Latency {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    /// `None` if there were fewer than 1000 operations.
    pub(crate) p999: Option<f64>,
    pub(crate) max: f64,
}

/// A whole comparison.
#[derive(Clone, Debug)]
pub(crate) struct Measured {
    pub(crate) outcomes: Vec<Outcome>,
    /// The shortest duration that a sample was given. It is less than planned where preparing
    /// samples took long.
    pub(crate) shortest: Duration,
    /// How many samples were taken. It is less than `total` if the run was stopped.
    pub(crate) done: usize,
    pub(crate) total: usize,
}

/// The progress of a comparison.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    pub(crate) done: usize,
    pub(crate) total: usize,
    pub(crate) elapsed: Duration,
    /// The point just sampled.
    pub(crate) point: Point,
}

/// How to take a sample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Order {
    pub(crate) point: Point,
    pub(crate) duration: Duration,
    /// Whether each operation is timed.
    pub(crate) latency: bool,
}

/// Runs the whole plan. `sample` takes one sample, or stops the run by returning none. `observe` is
/// called after every step.
pub(crate) fn run<E>(
    plan: &Plan,
    mut sample: impl FnMut(Order) -> Result<Option<Sample>, E>,
    mut observe: impl FnMut(Step),
) -> Result<Measured, E> {
    let start = Instant::now();
    let (total, lengths) = (plan.samples(), plan.lengths());
    let (mut done, mut lengths_done) = (0, 0);
    let mut measured = Duration::ZERO;
    let mut shortest = plan.pace.planned();
    let mut tallies: HashMap<Point, Tally> = HashMap::new();
    let throughput = (0..plan.rounds).flat_map(|round| {
        plan.settings().enumerate().map(move |(turn, setting)| (round + turn, setting, false))
    });
    let latency = plan.latency_settings().enumerate().map(|(turn, setting)| (turn, setting, true));
    'run: for (turn, setting, latency) in throughput.chain(latency) {
        // One duration for all variants of a setting, so that they differ in nothing else.
        let mut duration = plan.pace.next(start.elapsed(), measured, done, lengths - lengths_done);
        shortest = shortest.min(duration);
        let length = if latency { LATENCY_LENGTH } else { 1 };
        duration *= length;
        for variant in rotated(&plan.variants, turn) {
            let point = setting.in_variant(variant);
            let Some(outcome) = sample(Order { point, duration, latency })? else { break 'run };
            tallies.entry(point).or_default().add(&outcome, latency);
            measured += duration;
            done += 1;
            lengths_done += length as usize;
            observe(Step { done, total, elapsed: start.elapsed(), point });
        }
    }
    let outcomes = plan.points().filter_map(|point| outcome(point, &tallies)).collect();
    Ok(Measured { outcomes, shortest, done, total })
}

/// `items` in order, beginning with another one each turn.
fn rotated<T: Copy>(items: &[T], turn: usize) -> impl Iterator<Item = T> + '_ {
    (0..items.len()).map(move |i| items[(i + turn) % items.len()])
}

fn outcome(point: Point, tallies: &HashMap<Point, Tally>) -> Option<Outcome> {
    let tally = tallies.get(&point)?;
    Some(Outcome {
        point,
        ops_per_s: Spread::of(&tally.rates)?,
        rates: tally.rates.clone(),
        wait_us: tally.wait_us(),
        latency_us: tally.latency_us(),
        fairness: stats::median(&tally.fairness),
        stale_reads: tally.stale_reads,
        checked_reads: tally.checked_reads,
    })
}

/// The sums over the rounds of one point.
struct Tally {
    /// Operations per second, round by round.
    rates: Vec<f64>,
    wait: Histogram<u64>,
    /// Kept beside the histogram, because the histogram rounds.
    longest_wait: u64,
    latency: Histogram<u64>,
    longest_latency: u64,
    /// Round by round.
    fairness: Vec<f64>,
    stale_reads: u64,
    checked_reads: u64,
}

impl Default for Tally {
    fn default() -> Self {
        let histogram = || Histogram::new(DIGITS).expect("between 0 and 5 digits are allowed");
        Tally {
            rates: Vec::new(),
            wait: histogram(),
            longest_wait: 0,
            latency: histogram(),
            longest_latency: 0,
            fairness: Vec::new(),
            stale_reads: 0,
            checked_reads: 0,
        }
    }
}

impl Tally {
    fn add(&mut self, sample: &Sample, latency: bool) {
        const GROWS: &str = "a histogram that grows by itself takes any value";
        self.stale_reads += sample.stale_reads;
        self.checked_reads += sample.checked_reads;
        if latency {
            self.latency.add(&sample.latency).expect(GROWS);
            self.longest_latency = self.longest_latency.max(sample.latency.max());
            return;
        }
        let seconds = sample.elapsed.as_secs_f64();
        self.rates.push(if seconds > 0.0 { sample.ops as f64 / seconds } else { 0.0 });
        self.wait.add(&sample.wait).expect(GROWS);
        self.longest_wait = self.longest_wait.max(sample.wait.max());
        if let (Some(&fewest), Some(&most @ 1..)) =
            (sample.ops_by_thread.iter().min(), sample.ops_by_thread.iter().max())
            && sample.ops_by_thread.len() > 1
        {
            self.fairness.push(fewest as f64 / most as f64);
        }
    }

    fn latency_us(&self) -> Option<Latency> {
        if self.latency.is_empty() {
            return None;
        }
        let us = |ns: u64| ns as f64 / 1e3;
        let quantile = |q| us(self.latency.value_at_quantile(q).min(self.longest_latency));
        Some(Latency {
            p50: quantile(0.5),
            p99: quantile(0.99),
            p999: (self.latency.len() >= 1000).then(|| quantile(0.999)),
            max: us(self.longest_latency),
        })
    }

    fn wait_us(&self) -> Wait {
        let us = |ns: u64| ns as f64 / 1e3;
        // A bucket is quoted by its upper end, which may lie above anything that was recorded in
        // it.
        let quantile = |q| us(self.wait.value_at_quantile(q).min(self.longest_wait));
        Wait { p50: quantile(0.5), p99: quantile(0.99), max: us(self.longest_wait) }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::pace::Pace;
    use super::*;
    use crate::workload::Workload;

    fn plan(variants: &[Variant], rounds: usize) -> Plan {
        Plan {
            workloads: vec![Workload::WriteDisjoint, Workload::ReadMostly],
            variants: variants.to_vec(),
            threads: vec![1, 4],
            media: vec![Duration::ZERO, Duration::from_micros(50)],
            rounds,
            pace: Pace::fixed(Duration::from_millis(1)),
        }
    }

    fn sample(ops: u64, waits: &[u64]) -> Sample {
        let mut wait = Histogram::new(3).unwrap();
        waits.iter().for_each(|&ns| wait.record(ns).unwrap());
        let mut latency = Histogram::new(3).unwrap();
        latency.record_n(2_000, 1000).unwrap();
        latency.record(7_654_321).unwrap();
        Sample {
            ops,
            elapsed: Duration::from_secs(1),
            wait,
            latency,
            ops_by_thread: vec![ops, 2 * ops],
            stale_reads: 1,
            checked_reads: 10,
        }
    }

    #[test]
    fn every_point_runs_once_a_round_with_its_variants_side_by_side() {
        let plan = plan(&Variant::COMPARED, 3);
        let (mut visited, mut timed) = (Vec::new(), Vec::<Order>::new());
        let mut steps = Vec::new();
        let run = run(
            &plan,
            |order| {
                if order.latency {
                    timed.push(order);
                } else {
                    assert!(timed.is_empty(), "latencies come last");
                    visited.push(order.point);
                }
                Ok::<_, Infallible>(Some(sample(1, &[])))
            },
            |step| steps.push(step.done),
        );
        let Ok(measured) = run;
        assert_eq!(visited.len(), plan.points().count() * plan.rounds);
        assert_eq!(timed.len(), 2 * 2 * 2 * Variant::COMPARED.len(), "both numbers of threads");
        assert!(timed.iter().all(|order| order.duration == Duration::from_millis(3)));
        assert_eq!(steps, (1..=plan.samples()).collect::<Vec<_>>());
        assert_eq!(measured.outcomes.len(), plan.points().count());
        for side_by_side in visited.chunks(Variant::COMPARED.len()) {
            let setting = |point: &Point| (point.workload, point.threads, point.media);
            assert!(side_by_side.iter().all(|point| setting(point) == setting(&side_by_side[0])));
            let mut variants: Vec<_> = side_by_side.iter().map(|point| point.variant).collect();
            variants.sort();
            assert_eq!(variants, Variant::COMPARED);
        }
        // The same setting begins with another variant in the next round.
        let a_round = plan.points().count();
        assert_ne!(visited[0].variant, visited[a_round].variant);
    }

    #[test]
    fn rates_are_kept_round_by_round() {
        let plan = plan(&[Variant::Rwsem, Variant::RangeLock], 3);
        let mut calls = 0;
        let Ok(measured) = run(
            &plan,
            |order| {
                let round = calls / plan.points().count();
                calls += 1;
                let speed = if order.point.variant == BASE { 100 } else { 300 };
                Ok::<_, Infallible>(Some(sample(speed * (1 + round as u64), &[])))
            },
            |_| (),
        );
        for outcome in &measured.outcomes {
            let expected = if outcome.point.variant == BASE { 100.0 } else { 300.0 };
            assert_eq!(
                outcome.rates,
                [1.0, 2.0, 3.0].map(|round| round * expected),
                "in the order of rounds"
            );
        }
        let range_lock = &measured.outcomes[1];
        assert_eq!(range_lock.ops_per_s, Spread { median: 600.0, min: 300.0, max: 900.0 });
        assert_eq!(range_lock.fairness, Some(0.5));
        let latency = range_lock.latency_us.unwrap();
        assert!((1.9..2.1).contains(&latency.p50), "{latency:?}");
        assert_eq!((latency.p999.unwrap().round(), latency.max.round()), (2.0, 7_655.0));
    }

    #[test]
    fn waits_are_merged_and_reads_added_up() {
        let mut round = 0;
        let Ok(measured) = run(
            &Plan { threads: vec![1], ..plan(&[Variant::Rwsem], 2) },
            |Order { point, .. }| {
                let first = point.workload == Workload::WriteDisjoint && point.media.is_zero();
                round += usize::from(first);
                let waits = if round == 1 { [0, 0, 1_000] } else { [0, 0, 123_456] };
                Ok::<_, Infallible>(Some(sample(1, &waits)))
            },
            |_| (),
        );
        let outcome = &measured.outcomes[0];
        assert_eq!(outcome.wait_us, Wait { p50: 0.0, p99: outcome.wait_us.max, max: outcome.wait_us.max });
        assert!((123.456..124.0).contains(&outcome.wait_us.max), "{:?}", outcome.wait_us);
        assert_eq!((outcome.stale_reads, outcome.checked_reads), (3, 30), "also those of the timed round");
    }

    #[test]
    fn the_first_error_ends_the_run() {
        let mut calls = 0;
        let run = run(
            &plan(&Variant::COMPARED, 1),
            |_| {
                calls += 1;
                if calls == 3 { Err("broken") } else { Ok(Some(sample(1, &[]))) }
            },
            |_| (),
        );
        assert_eq!(run.unwrap_err(), "broken");
        assert_eq!(calls, 3);
    }
    #[test]
    fn a_run_that_is_stopped_keeps_what_it_has() {
        let plan = plan(&[Variant::Rwsem, Variant::RangeLock], 2);
        let mut calls = 0;
        let Ok(measured) = run(
            &plan,
            |_| {
                calls += 1;
                Ok::<_, Infallible>((calls <= 3).then(|| sample(1, &[])))
            },
            |_| (),
        );
        assert_eq!((measured.done, measured.total), (3, plan.samples()));
        assert_eq!(measured.outcomes.len(), 3);
        assert!(measured.outcomes.iter().all(|outcome| outcome.latency_us.is_none()));
    }
}
