//! W11: ArrBench of Kogan, Dice and Issa ("Scalable Range Locks for Scalable Address Spaces and
//! Beyond", EuroSys 2020, <https://doi.org/10.1145/3342195.3387533>). Threads read or write random
//! ranges of an array.

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam_utils::CachePadded;

use crate::measure::{Plan, Stint, on_threads};
use crate::rival::{PAGE, Rival, User};
use crate::workload::pattern::Random;

const SLOTS_BITS: u32 = 8;

pub(super) fn accesses<R: Rival>(lock: &R, reads: u32, threads: usize, plan: Plan) -> Vec<Stint> {
    let slots: Vec<CachePadded<AtomicU64>> = (0..1 << SLOTS_BITS).map(|_| CachePadded::default()).collect();
    on_threads(threads, plan, |thread, start_line| {
        /// A section takes so long that looks at the clock do not matter much.
        const BATCH: u64 = 8;
        let (user, mut random) = (lock.user(), Random::new(thread));
        let mut clock = start_line.wait();
        loop {
            for _ in 0..BATCH {
                let (one, reads) = random.bits_and_chance(SLOTS_BITS, reads);
                let other = random.bits(SLOTS_BITS);
                let (first, last) = (one.min(other), one.max(other));
                let range = first * PAGE..(last + 1) * PAGE;
                let slots = &slots[first as usize..=last as usize];
                if reads {
                    let _guard = user.read(range);
                    black_box(slots.iter().map(|slot| slot.load(Ordering::Relaxed)).sum::<u64>());
                } else {
                    let _guard = user.write(range);
                    for slot in slots {
                        slot.store(slot.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
                    }
                }
            }
            if !clock.lap(BATCH) {
                return clock.stint();
            }
        }
    })
}
