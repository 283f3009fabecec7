//! W1 to W4: nothing is done under the lock, so the figures show its own cost.

use crate::measure::{Plan, Stint, on_threads};
use crate::rival::{Rival, User, page};
use crate::workload::op;
use crate::workload::pattern::Random;

/// How many operations a thread does between two looks at the clock.
pub(super) const BATCH: u64 = 64;

/// Runs `op(user, thread, random)` in batches on each thread.
fn batches<R: Rival>(
    lock: &R,
    threads: usize,
    plan: Plan,
    op: impl Fn(&R::User<'_>, u64, &mut Random) + Sync,
) -> Vec<Stint> {
    on_threads(threads, plan, |thread, start_line| {
        let (user, mut random) = (lock.user(), Random::new(thread));
        let mut clock = start_line.wait();
        loop {
            for _ in 0..BATCH {
                op(&user, thread as u64, &mut random);
            }
            if !clock.lap(BATCH) {
                return clock.stint();
            }
        }
    })
}

/// Blocks that move on, page by page, through 1 GiB.
pub(super) fn moving_on<R: Rival, const WRITE: bool>(lock: &R, threads: usize, plan: Plan) -> Vec<Stint> {
    on_threads(threads, plan, |_, start_line| {
        let user = lock.user();
        let mut at = 0;
        let mut clock = start_line.wait();
        loop {
            for _ in 0..BATCH {
                at = (at + 1) % (1 << 18);
                if WRITE {
                    drop(user.write(page(at)));
                } else {
                    drop(user.read(page(at)));
                }
            }
            if !clock.lap(BATCH) {
                return clock.stint();
            }
        }
    })
}

pub(super) fn disjoint_writes<R: Rival>(lock: &R, threads: usize, plan: Plan) -> Vec<Stint> {
    batches(lock, threads, plan, |user, thread, random| op::disjoint_write(user, thread, random))
}

pub(super) fn random_reads<R: Rival>(lock: &R, threads: usize, plan: Plan) -> Vec<Stint> {
    batches(lock, threads, plan, |user, _, random| op::random_read(user, random))
}

pub(super) fn read_mostly<R: Rival>(lock: &R, threads: usize, plan: Plan) -> Vec<Stint> {
    batches(lock, threads, plan, |user, _, random| op::mostly_read(user, random))
}

pub(super) fn same_block_reads<R: Rival>(lock: &R, threads: usize, plan: Plan) -> Vec<Stint> {
    batches(lock, threads, plan, |user, _, _| op::same_block_read(user))
}
