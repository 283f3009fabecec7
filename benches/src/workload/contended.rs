//! W7: all threads want one block.

use std::hint::black_box;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram as Hdr;

use crate::measure::{Plan, Stint, on_threads};
use crate::rival::{Rival, User, page};
use crate::sample::Waits;
use crate::workload::Outcome;

/// Takes the block, works for 200 ns, leaves it, and asks for it again at once.
pub(super) fn hand_over<R: Rival>(lock: &R, threads: usize, plan: Plan) -> Outcome {
    prepare_work();
    let results = on_threads(threads, plan, |_, start_line| {
        let user = lock.user();
        let mut waits = Histogram::new();
        let mut clock = start_line.wait();
        let mut asked = Instant::now();
        loop {
            let guard = user.write(page(0));
            let got = Instant::now();
            work();
            drop(guard);
            let wait = got - asked;
            asked = Instant::now();
            let more = clock.lap_at(asked, 1);
            if clock.counts() {
                waits.record(wait);
            }
            if !more {
                return (clock.stint(), waits);
            }
        }
    });
    Outcome::of_waits(results)
}

impl Outcome {
    /// What the threads did and how long they waited.
    pub(super) fn of_waits(results: Vec<(Stint, Histogram)>) -> Self {
        let mut all = Histogram::new();
        let (stints, waits): (Vec<_>, Vec<_>) = results.into_iter().unzip();
        waits.iter().for_each(|waits| all.add(waits));
        Outcome { stints, waits: Some(all.waits()) }
    }
}

/// Finds out how much work takes 200 ns, before anything is timed.
pub fn prepare_work() {
    LazyLock::force(&STEPS);
}

const SECTION: Duration = Duration::from_nanos(200);

/// Steps of `steps` that take as long as the section.
static STEPS: LazyLock<u64> = LazyLock::new(|| {
    const TRIAL: u64 = 100_000;
    let once = || {
        let start = Instant::now();
        steps(TRIAL);
        start.elapsed()
    };
    let fastest = (0..20).map(|_| once()).min().unwrap_or(SECTION);
    (TRIAL as f64 * SECTION.as_secs_f64() / fastest.as_secs_f64()).ceil() as u64
});

/// Works for as long as the section takes, in registers.
#[inline]
pub(super) fn work() {
    steps(*STEPS);
}

#[inline(never)]
fn steps(count: u64) {
    let mut at = black_box(1_u64);
    for _ in 0..count {
        at = black_box(at.wrapping_mul(6_364_136_223_846_793_005));
    }
}

/// Waits, to a resolution of a sixteenth.
pub(super) struct Histogram(Hdr<u32>);

impl Histogram {
    pub(super) fn new() -> Self {
        Histogram(Hdr::new_with_bounds(1, 100_000_000_000, 1).expect("the bounds are in order"))
    }

    pub(super) fn record(&mut self, wait: Duration) {
        self.0.saturating_record(wait.as_nanos() as u64);
    }

    fn add(&mut self, other: &Histogram) {
        self.0.add(&other.0).expect("both have the same bounds");
    }

    pub(super) fn waits(&self) -> Waits {
        let us = |ns: u64| ns as f64 / 1000.0;
        Waits {
            p50: us(self.0.value_at_quantile(0.5)),
            p99: us(self.0.value_at_quantile(0.99)),
            max: us(self.0.max()),
        }
    }
}
