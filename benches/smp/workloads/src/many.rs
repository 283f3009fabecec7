//! Workloads with many ranges held at a time.

use smp_rivals::Lock;

use crate::harness::{Shared, Worker};
use crate::pattern::page;
use crate::short::PART_BITS;

/// Locks a free page at a random place between `held` others.
pub(crate) fn among<L: Lock>(shared: &Shared<L>, me: usize, held: usize) {
    let mut worker = Worker::new(shared, me);
    let between = if held == 0 { 1024 } else { held as u64 };
    while {
        let at = worker.random.below(between);
        worker.write_for(page(2 * at + 1), 0);
        worker.lap(1)
    } {}
    worker.finish();
}

/// The pages that are held throughout: every second one, in no order.
pub(crate) fn held_pages(held: usize) -> Vec<u64> {
    let mut places: Vec<u64> = (0..held as u64).map(|at| 2 * at).collect();
    let mut random = crate::pattern::Random::with_seed(0, 7);
    for last in (1..places.len()).rev() {
        places.swap(last, random.below(last as u64 + 1) as usize);
    }
    places
}

/// Locks a hundred pages per thread, as in Dave Chinner's test of 2019
/// (<https://lore.kernel.org/r/20190503041727.GL29573@dread.disaster.area>).
pub(crate) fn hundred<L: Lock>(shared: &Shared<L>, me: usize, interleaved: bool) {
    const RANGES: u64 = 100;
    let (first, step) = match interleaved {
        true => (2 * me as u64, 2 * shared.threads as u64),
        false => ((me as u64) << PART_BITS, 2),
    };
    let mut worker = Worker::new(shared, me);
    let mut sections = Vec::with_capacity(RANGES as usize);
    while {
        for i in 0..RANGES {
            sections.push(worker.write(page(first + i * step)));
        }
        for section in sections.drain(..) {
            worker.release(section);
        }
        worker.lap(RANGES)
    } {}
    worker.finish();
}
