//! Workloads of short sections.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use smp_machine::{Ps, US, aside, now, touch, work};
use smp_rivals::Lock;

use crate::harness::{Shared, Worker};
use crate::pattern::{GIB_BITS, PAGE, page};

/// The number of pages in the part of one thread: 64 MiB.
pub(crate) const PART_BITS: u32 = 14;

/// Runs `op(worker)` until the run is over.
fn repeat<L: Lock>(shared: &Shared<L>, me: usize, op: impl Fn(&mut Worker<'_, L>)) {
    let mut worker = Worker::new(shared, me);
    while {
        op(&mut worker);
        worker.lap(1)
    } {}
    worker.finish();
}

pub(crate) fn moving_on<L: Lock>(shared: &Shared<L>, me: usize, write: bool) {
    let pages = 1 << GIB_BITS;
    let first = me as u64 * (pages / shared.threads as u64);
    let at = std::cell::Cell::new(first);
    repeat(shared, me, |worker| {
        at.set((at.get() + 1) % pages);
        if write { worker.write_for(page(at.get()), 0) } else { worker.read_for(page(at.get()), 0) }
    });
}

pub(crate) fn disjoint_writes<L: Lock>(shared: &Shared<L>, me: usize) {
    repeat(shared, me, |worker| {
        let at = ((me as u64) << PART_BITS) + worker.random.bits(PART_BITS);
        worker.write_for(page(at), 0);
    });
}

pub(crate) fn random_reads<L: Lock>(shared: &Shared<L>, me: usize) {
    repeat(shared, me, |worker| {
        let at = worker.random.bits(PART_BITS + 1);
        worker.read_for(page(at), 0);
    });
}

pub(crate) fn read_mostly<L: Lock>(shared: &Shared<L>, me: usize) {
    repeat(shared, me, read_mostly_once);
}

pub(crate) fn read_mostly_once<L: Lock>(worker: &mut Worker<'_, L>) {
    match worker.random.bits_and_chance(GIB_BITS, 95) {
        (at, true) => worker.read_for(page(at), 0),
        (at, false) => worker.write_for(page(at), 0),
    }
}

pub(crate) fn same_block_reads<L: Lock>(shared: &Shared<L>, me: usize) {
    repeat(shared, me, |worker| worker.read_for(page(1), 0));
}

/// As in `benches/`, where the threads read the clock in each section and behind it.
pub(crate) fn hand_over<L: Lock>(shared: &Shared<L>, me: usize, inside: Ps, clock: Ps) {
    repeat(shared, me, |worker| {
        worker.write_for(page(0), clock + inside);
        work(clock);
    });
}

pub(crate) fn random_writes<L: Lock>(shared: &Shared<L>, me: usize, inside: Ps) {
    repeat(shared, me, |worker| {
        let at = worker.random.bits(GIB_BITS);
        worker.write_for(page(at), inside);
    });
}

/// Each thread knows the end of the file at once: the contention is that of the lock.
pub(crate) fn append<L: Lock>(shared: &Shared<L>, me: usize, inside: Ps, end: &AtomicU64) {
    repeat(shared, me, |worker| {
        let at = aside(|| end.fetch_add(1, Relaxed));
        worker.write_for(page(at % (1 << 30)), inside);
    });
}

/// From the end of the file on, to the end of the domain.
pub(crate) fn tail<L: Lock>(shared: &Shared<L>, me: usize, inside: Ps, end: &AtomicU64) {
    repeat(shared, me, |worker| {
        let at = aside(|| end.load(Relaxed));
        let section = worker.write(at * PAGE..1 << 48);
        work(inside);
        aside(|| end.fetch_max(at + 1, Relaxed));
        worker.release(section);
    });
}

/// Thread `n` reads pages `2n` to `2n + 3`.
pub(crate) fn neighbours<L: Lock>(shared: &Shared<L>, me: usize) {
    let first = 2 * me as u64;
    repeat(shared, me, |worker| worker.read_for(first * PAGE..(first + 4) * PAGE, 0));
}

pub(crate) fn hot_spot<L: Lock>(shared: &Shared<L>, me: usize) {
    const HOT_BITS: u32 = 8;
    const STAYS: Ps = 100 * US;
    repeat(shared, me, |worker| {
        let (at, hot) = worker.random.bits_and_chance(GIB_BITS, 90);
        // The place of the spot: each place is far from the one before.
        let spot = ((now() / STAYS).wrapping_mul(0x9E37_79B9) << HOT_BITS) % (1 << GIB_BITS);
        let at = if hot { spot + at % (1 << HOT_BITS) } else { at };
        worker.write_for(page(at), 0);
    });
}

/// A line of its own for each slot.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Slot(AtomicU64);

pub(crate) fn array<L: Lock>(shared: &Shared<L>, me: usize, reads: u32, slots: &[Slot]) {
    const SLOTS_BITS: u32 = 8;
    repeat(shared, me, |worker| {
        let (one, reads) = worker.random.bits_and_chance(SLOTS_BITS, reads);
        let other = worker.random.bits(SLOTS_BITS);
        let (first, last) = (one.min(other), one.max(other));
        let range = first * PAGE..(last + 1) * PAGE;
        let slots = &slots[first as usize..=last as usize];
        if reads {
            let section = worker.read(range);
            slots.iter().for_each(|slot| touch(slot.0.as_ptr().addr(), false));
            worker.release(section);
        } else {
            let section = worker.write(range);
            for slot in slots {
                slot.0.store(slot.0.load(Relaxed) + 1, Relaxed);
            }
            worker.release(section);
        }
    });
}

/// 2^8 slots.
pub(crate) fn slots() -> Box<[Slot]> {
    (0..1 << 8).map(|_| Slot::default()).collect()
}
