//! Finds out where the threads run, and how far apart their CPUs are.
//!
//! On a virtual machine two CPUs may be neighbours in one core now, and far from each other a
//! minute later. A cache line then changes hands in tens of ns or in some 200. What two threads
//! achieve differs up to three times, in both directions. So this time is measured before and after
//! each sample, and samples are never pooled across states.

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use crossbeam_utils::CachePadded;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// How far two CPUs are from each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Placement {
    /// A cache line changes hands in less than [`BORDER_NS`].
    Near,
    /// A cache line takes longer to change hands.
    Far,
}

/// The border between near and far, in nanoseconds: in the middle, on a scale of ratios, between
/// the two observed states.
pub const BORDER_NS: f64 = 100.0;

impl Placement {
    /// Both states, in the order in which they are reported.
    pub const ALL: [Placement; 2] = [Placement::Near, Placement::Far];

    /// The state in which a line takes `hand_over_ns` to change hands.
    pub fn of(hand_over_ns: f64) -> Placement {
        if hand_over_ns < BORDER_NS { Placement::Near } else { Placement::Far }
    }

    /// `near` or `far`.
    pub fn name(self) -> &'static str {
        match self {
            Placement::Near => "near",
            Placement::Far => "far",
        }
    }
}

/// The CPUs that this process may use.
pub fn cpus() -> Vec<usize> {
    let allowed = sched_getaffinity(None).unwrap_or_default();
    (0..CpuSet::MAX_CPU).filter(|&cpu| allowed.is_set(cpu)).collect()
}

/// Keeps the current thread on one CPU.
pub fn pin(cpu: usize) {
    let mut only = CpuSet::new();
    only.set(cpu);
    // If the kernel refuses, the figures are less steady, not wrong.
    let _ = sched_setaffinity(None, &only);
}

/// The time in which a cache line goes from one CPU to the other, in nanoseconds: half a round
/// trip, the best of several attempts of a few hundred microseconds each. `None` if there is only
/// one CPU.
pub fn hand_over_ns() -> Option<f64> {
    const ROUND_TRIPS: u64 = 1000;
    const BATCHES: u64 = 5;
    let &[one, other, ..] = cpus().as_slice() else { return None };
    let line = CachePadded::new(AtomicU64::new(0));
    let wait_for = |turn| while line.load(Ordering::Acquire) != turn {};
    thread::scope(|scope| {
        scope.spawn(|| {
            pin(other);
            for trip in 0..BATCHES * ROUND_TRIPS {
                wait_for(2 * trip + 1);
                line.store(2 * trip + 2, Ordering::Release);
            }
        });
        let times = scope.spawn(|| {
            pin(one);
            let batch = |batch| {
                let start = Instant::now();
                for trip in batch * ROUND_TRIPS..(batch + 1) * ROUND_TRIPS {
                    line.store(2 * trip + 1, Ordering::Release);
                    wait_for(2 * trip + 2);
                }
                black_box(start.elapsed().as_nanos() as f64 / (2 * ROUND_TRIPS) as f64)
            };
            (0..BATCHES).map(batch).fold(f64::INFINITY, f64::min)
        });
        times.join().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_states_that_were_seen_lie_on_different_sides() {
        assert_eq!([40.0, 240.0].map(Placement::of), Placement::ALL);
    }

    #[test]
    fn a_hand_over_takes_some_time_where_there_are_two_cpus() {
        assert_eq!(hand_over_ns().is_some_and(|ns| ns > 0.0), cpus().len() > 1);
    }
}
