//! The comparison itself: every variant at every point, interleaved, several times over; it uses
//! `workload` and the rooms below.
//!
//! A machine drifts while it is measured (its clock, its neighbours). So the variants of one
//! setting run directly one after the other, in an order that rotates. The whole is repeated in
//! rounds. Two variants are compared within the same round, and only the quotients are gathered
//! over rounds ([`stats::Ratio`]).

pub(crate) mod pace;
pub(crate) mod plan;
pub(crate) mod stats;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::variant::Variant;
use crate::workload::{Point, Sample};
use plan::Plan;
use stats::Spread;

/// The variant that all others are quoted against unless another one is named.
pub(crate) const BASE: Variant = Variant::Rwsem;

/// Two significant digits: a histogram is kept for every point until the end, and finer ones would
/// fill the caches.
const WAIT_DIGITS: u8 = 2;

/// What all rounds of one point showed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Outcome {
    pub(crate) point: Point,
    pub(crate) ops_per_s: Spread,
    /// Operations per second, round by round: what ratios are taken of.
    pub(crate) rates: Vec<f64>,
    pub(crate) wait_us: Wait,
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

/// A whole comparison.
#[derive(Clone, Debug)]
pub(crate) struct Measured {
    pub(crate) outcomes: Vec<Outcome>,
    /// The shortest duration that a sample was given; less than planned where preparing samples
    /// took long.
    pub(crate) shortest: Duration,
}

/// How far a comparison has come.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    pub(crate) done: usize,
    pub(crate) total: usize,
    pub(crate) elapsed: Duration,
    /// The point just sampled.
    pub(crate) point: Point,
}

/// Runs the whole plan: `sample` runs one point for so long, `observe` hears of every step.
pub(crate) fn run<E>(
    plan: &Plan,
    mut sample: impl FnMut(&Point, Duration) -> Result<Sample, E>,
    mut observe: impl FnMut(Step),
) -> Result<Measured, E> {
    let start = Instant::now();
    let total = plan.samples();
    let mut done = 0;
    let mut measured = Duration::ZERO;
    let mut shortest = plan.pace.planned();
    let mut tallies: HashMap<Point, Tally> = HashMap::new();
    for round in 0..plan.rounds {
        for (turn, setting) in plan.settings().enumerate() {
            // One duration for all variants of a setting, so that they differ in nothing else.
            let duration = plan.pace.next(start.elapsed(), measured, done, total - done);
            shortest = shortest.min(duration);
            for variant in rotated(&plan.variants, round + turn) {
                let point = setting.in_variant(variant);
                let outcome = sample(&point, duration)?;
                tallies.entry(point).or_default().add(&outcome);
                measured += duration;
                done += 1;
                observe(Step { done, total, elapsed: start.elapsed(), point });
            }
        }
    }
    let outcomes = plan.points().filter_map(|point| outcome(point, &tallies)).collect();
    Ok(Measured { outcomes, shortest })
}

/// `items`, beginning with another one each turn.
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
        stale_reads: tally.stale_reads,
        checked_reads: tally.checked_reads,
    })
}

/// What the rounds of one point add up to.
struct Tally {
    /// Operations per second, round by round.
    rates: Vec<f64>,
    wait: Histogram<u64>,
    /// Kept beside the histogram, which rounds.
    longest_wait: u64,
    stale_reads: u64,
    checked_reads: u64,
}

impl Default for Tally {
    fn default() -> Self {
        Tally {
            rates: Vec::new(),
            wait: Histogram::new(WAIT_DIGITS).expect("between 0 and 5 digits are allowed"),
            longest_wait: 0,
            stale_reads: 0,
            checked_reads: 0,
        }
    }
}

impl Tally {
    fn add(&mut self, sample: &Sample) {
        let seconds = sample.elapsed.as_secs_f64();
        self.rates.push(if seconds > 0.0 { sample.ops as f64 / seconds } else { 0.0 });
        self.wait.add(&sample.wait).expect("a histogram that grows by itself takes any value");
        self.longest_wait = self.longest_wait.max(sample.wait.max());
        self.stale_reads += sample.stale_reads;
        self.checked_reads += sample.checked_reads;
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
        Sample { ops, elapsed: Duration::from_secs(1), wait, stale_reads: 1, checked_reads: 10 }
    }

    #[test]
    fn every_point_runs_once_a_round_with_its_variants_side_by_side() {
        let plan = plan(&Variant::COMPARED, 3);
        let mut visited = Vec::new();
        let mut steps = Vec::new();
        let run = run(
            &plan,
            |point, _| {
                visited.push(*point);
                Ok::<_, Infallible>(sample(1, &[]))
            },
            |step| steps.push(step.done),
        );
        let Ok(measured) = run;
        assert_eq!(visited.len(), plan.samples());
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
        let a_round = plan.samples() / plan.rounds;
        assert_ne!(visited[0].variant, visited[a_round].variant);
    }

    #[test]
    fn rates_are_kept_round_by_round() {
        let plan = plan(&[Variant::Rwsem, Variant::RangeLock], 3);
        let mut calls = 0;
        let Ok(measured) = run(
            &plan,
            |point, _| {
                let round = calls / (plan.samples() / plan.rounds);
                calls += 1;
                let speed = if point.variant == BASE { 100 } else { 300 };
                Ok::<_, Infallible>(sample(speed * (1 + round as u64), &[]))
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
    }

    #[test]
    fn waits_are_merged_and_reads_added_up() {
        let mut round = 0;
        let Ok(measured) = run(
            &Plan { threads: vec![1], ..plan(&[Variant::Rwsem], 2) },
            |point, _| {
                let first = point.workload == Workload::WriteDisjoint && point.media.is_zero();
                round += usize::from(first);
                Ok::<_, Infallible>(sample(1, if round == 1 { &[0, 0, 1_000] } else { &[0, 0, 123_456] }))
            },
            |_| (),
        );
        let outcome = &measured.outcomes[0];
        assert_eq!(outcome.wait_us, Wait { p50: 0.0, p99: outcome.wait_us.max, max: outcome.wait_us.max });
        assert!((123.456..124.0).contains(&outcome.wait_us.max), "{:?}", outcome.wait_us);
        assert_eq!((outcome.stale_reads, outcome.checked_reads), (2, 20));
    }

    #[test]
    fn the_first_error_ends_the_run() {
        let mut calls = 0;
        let run = run(
            &plan(&Variant::COMPARED, 1),
            |_, _| {
                calls += 1;
                if calls == 3 { Err("broken") } else { Ok(sample(1, &[])) }
            },
            |_| (),
        );
        assert_eq!(run.unwrap_err(), "broken");
        assert_eq!(calls, 3);
    }
}
