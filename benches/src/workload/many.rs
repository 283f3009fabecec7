//! W5 and W10: many ranges held at a time.

use crate::measure::{Plan, Stint, on_threads};
use crate::rival::{Rival, User, page};
use crate::workload::pattern::Random;
use crate::workload::short::BATCH;

/// Takes a free page at a random place among `held` other pages, which are every second page of the
/// range that they need.
pub(super) fn among<R: Rival>(lock: &R, held: usize, threads: usize, plan: Plan) -> Vec<Stint> {
    let holder = lock.user();
    // The pages are held in no order, so they lie in memory in no order.
    let mut places: Vec<u64> = (0..held as u64).collect();
    fastrand::Rng::with_seed(7).shuffle(&mut places);
    let guards: Vec<_> = places.into_iter().map(|at| holder.write(page(2 * at))).collect();
    let between = if held == 0 { 1024 } else { held as u64 };
    let stints = on_threads(threads, plan, |thread, start_line| {
        let (user, mut random) = (lock.user(), Random::new(thread));
        let mut clock = start_line.wait();
        loop {
            for _ in 0..BATCH {
                let at = (random.bits(24) * between) >> 24;
                drop(user.write(page(2 * at + 1)));
            }
            if !clock.lap(BATCH) {
                return clock.stint();
            }
        }
    });
    drop(guards);
    stints
}

/// Dave Chinner's test of 2019
/// (<https://lore.kernel.org/r/20190503041727.GL29573@dread.disaster.area>): a hundred ranges a
/// thread.
pub(super) fn hundred<R: Rival>(lock: &R, interleaved: bool, threads: usize, plan: Plan) -> Vec<Stint> {
    const RANGES: u64 = 100;
    on_threads(threads, plan, |thread, start_line| {
        let user = lock.user();
        let (first, step) = match interleaved {
            true => (2 * thread as u64, 2 * threads as u64),
            false => ((thread as u64) << 14, 2),
        };
        let mut guards = Vec::with_capacity(RANGES as usize);
        let mut clock = start_line.wait();
        loop {
            guards.extend((0..RANGES).map(|i| user.write(page(first + i * step))));
            guards.clear();
            if !clock.lap(RANGES) {
                return clock.stint();
            }
        }
    })
}
