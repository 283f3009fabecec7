//! W6 and W12: the whole domain, alone, beside small operations, and among sleeping readers.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_utils::CachePadded;

use crate::measure::{Plan, Stint, on_threads};
use crate::rival::{Rival, User, page};
use crate::sample::Waits;
use crate::workload::contended::Histogram;
use crate::workload::pattern::Random;
use crate::workload::short::{self, BATCH};
use crate::workload::{Outcome, sleeping};

pub(super) fn alone<R: Rival>(lock: &R, threads: usize, plan: Plan) -> Vec<Stint> {
    on_threads(threads, plan, |_, start_line| {
        let user = lock.user();
        let mut clock = start_line.wait();
        loop {
            for _ in 0..BATCH {
                drop(user.write_whole());
            }
            if !clock.lap(BATCH) {
                return clock.stint();
            }
        }
    })
}

/// A lock that adapts to where its users meet has done so by the time the whole domain is taken. It
/// has had no quiet time yet to undo it. So there is no warm-up, and the window is short.
pub(super) fn after_meeting<R: Rival>(lock: &R, threads: usize, plan: Plan) -> Vec<Stint> {
    let meeting = Plan { warm_up: Duration::ZERO, duration: Duration::from_millis(100) };
    short::read_mostly(lock, 2, meeting);
    alone(
        lock,
        threads,
        Plan { warm_up: Duration::ZERO, duration: plan.duration.min(Duration::from_millis(10)) },
    )
}

/// One thread's small writes in batches of 1000. After each batch the other thread takes the whole
/// domain once.
pub(super) fn per_thousand<R: Rival>(lock: &R, plan: Plan) -> Outcome {
    const SMALL: u64 = 1000;
    let batches = CachePadded::new(AtomicU64::new(0));
    let done = AtomicBool::new(false);
    let mut results = on_threads(2, plan, |thread, start_line| {
        let (user, mut random) = (lock.user(), Random::new(thread));
        let mut clock = start_line.wait();
        if thread == 0 {
            loop {
                for _ in 0..SMALL {
                    drop(user.write(page(random.bits(14))));
                }
                batches.fetch_add(1, Ordering::Relaxed);
                if !clock.lap(SMALL) {
                    done.store(true, Ordering::Relaxed);
                    return (Some(clock.stint()), None);
                }
            }
        }
        let mut waits = Histogram::new();
        let mut taken = 0;
        while !done.load(Ordering::Relaxed) {
            if batches.load(Ordering::Relaxed) > taken {
                taken += 1;
                let asked = Instant::now();
                let guard = user.write_whole();
                let got = Instant::now();
                drop(guard);
                clock.lap_at(got, 1);
                if clock.counts() {
                    waits.record(got - asked);
                }
            }
        }
        (None, Some(waits.waits()))
    });
    let waits = results.pop().and_then(|(_, waits)| waits);
    Outcome { stints: results.into_iter().filter_map(|(stint, _)| stint).collect(), waits }
}

/// `readers` threads hold random blocks of 1 GiB for reading and sleep. One more thread asks for
/// the whole domain, again and again with pauses of 200 µs.
pub(super) fn among_readers<R: Rival>(lock: &R, readers: usize, plan: Plan) -> Outcome {
    let mut results = on_threads(readers + 1, plan, |thread, start_line| {
        sleeping::punctually();
        let (user, mut random) = (lock.user(), Random::new(thread));
        let mut clock = start_line.wait();
        if thread < readers {
            loop {
                let guard = user.read(page(random.bits(18)));
                thread::sleep(sleeping::MEDIA);
                drop(guard);
                if !clock.lap(1) {
                    return (Some(clock.stint()), None);
                }
            }
        }
        let mut waits = Histogram::new();
        loop {
            thread::sleep(Duration::from_micros(200));
            let asked = Instant::now();
            let guard = user.write_whole();
            let got = Instant::now();
            drop(guard);
            let more = clock.lap_at(got, 1);
            if clock.counts() {
                waits.record(got - asked);
            }
            if !more {
                return (None, Some(waits.waits()));
            }
        }
    });
    let waits: Option<Waits> = results.pop().and_then(|(_, waits)| waits);
    Outcome { stints: results.into_iter().filter_map(|(stint, _)| stint).collect(), waits }
}
