//! Workloads of the whole domain: alone, after others, and beside small operations.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use smp_machine::{NS, US, aside, work};
use smp_rivals::Lock;

use crate::harness::{Shared, Worker};
use crate::pattern::page;
use crate::short::{PART_BITS, read_mostly_once};

pub(crate) fn alone<L: Lock>(shared: &Shared<L>, me: usize) {
    let mut worker = Worker::new(shared, me);
    while {
        let section = worker.write_whole();
        worker.release(section);
        worker.lap(1)
    } {}
    worker.finish();
}

/// All threads meet in the warm-up. Then only the first one goes on.
pub(crate) fn after_meeting<L: Lock>(shared: &Shared<L>, me: usize) {
    let mut worker = Worker::new(shared, me);
    while !worker.is_warm() {
        read_mostly_once(&mut worker);
        worker.lap(1);
    }
    if me == 0 {
        while {
            let section = worker.write_whole();
            worker.release(section);
            worker.lap(1)
        } {}
    } else {
        worker.does_not_count();
    }
    worker.finish();
}

fn small_writes<L: Lock>(worker: &mut Worker<'_, L>, done: Option<&AtomicU64>) {
    while {
        let at = ((worker.me as u64) << PART_BITS) + worker.random.bits(PART_BITS);
        worker.write_for(page(at), 0);
        if let Some(done) = done {
            aside(|| done.fetch_add(1, Relaxed));
        }
        worker.lap(1)
    } {}
}

/// The last thread takes the whole domain once for each thousand small writes of the other threads.
pub(crate) fn per_thousand<L: Lock>(shared: &Shared<L>, me: usize, done: &AtomicU64) {
    let mut worker = Worker::new(shared, me);
    if me + 1 == shared.threads {
        worker.does_not_count();
        let mut taken = 0;
        while !worker.is_over() {
            if aside(|| done.load(Relaxed)) / 1000 > taken {
                taken += 1;
                let section = worker.write_whole();
                worker.release(section);
            } else {
                work(100 * NS);
            }
        }
    } else {
        small_writes(&mut worker, Some(done));
    }
    worker.finish();
}

/// The last thread takes the whole domain, with pauses of 100 µs.
pub(crate) fn beside<L: Lock>(shared: &Shared<L>, me: usize) {
    let mut worker = Worker::new(shared, me);
    if me + 1 == shared.threads {
        worker.does_not_count();
        while !worker.is_over() {
            work(100 * US);
            let section = worker.write_whole();
            worker.release(section);
        }
    } else {
        small_writes(&mut worker, None);
    }
    worker.finish();
}
