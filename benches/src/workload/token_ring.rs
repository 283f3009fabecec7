//! The reference of W7: threads that pass 200 ns of work round in a ring.
//!
//! It shows how fast a fixed order is if threads wait by yields or by futexes: each thread knows
//! which thread has the next turn, and nothing is decided. A lock whose threads wait in another way
//! can be faster.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, Thread};
use std::time::Instant;

use crossbeam_utils::CachePadded;

use super::contended::{self, Histogram};
use super::{Cell, Contender, Outcome, WhyNot, Workload};
use crate::measure::{Plan, on_threads};
use crate::rival::Scope;
use crate::sample::Footprint;

/// Runs W7 with yields and with futexes, each for the time of a sample, and returns the better of
/// the two.
pub(super) struct TokenRing;

impl Contender for TokenRing {
    fn name(&self) -> &'static str {
        super::TOKEN_RING
    }

    fn scope(&self) -> Scope {
        Scope::Reference
    }

    fn shared(&self) -> bool {
        true
    }

    fn why_not(&self, workload: Workload) -> Option<WhyNot> {
        (workload != Workload::HandOver).then_some(WhyNot::Reference)
    }

    fn run(&self, cell: Cell, plan: Plan) -> Outcome {
        let plan = plan.times(cell.workload.patience(cell.threads));
        let [yields, futexes] = [Wait::Yield, Wait::Park].map(|wait| hand_round(wait, cell.threads, plan));
        if yields.ops_per_s() > futexes.ops_per_s() { yields } else { futexes }
    }

    fn footprint(&self) -> Option<Footprint> {
        None
    }
}

/// What a thread does until its turn comes.
#[derive(Clone, Copy)]
enum Wait {
    Yield,
    /// Looks a hundred times, as std's mutex does, then parks, which is a futex on Linux.
    Park,
}

struct Ring {
    turn: CachePadded<AtomicUsize>,
    over: AtomicBool,
    threads: Vec<OnceLock<Thread>>,
}

fn hand_round(wait: Wait, threads: usize, plan: Plan) -> Outcome {
    let ring = Ring {
        turn: CachePadded::new(AtomicUsize::new(0)),
        over: AtomicBool::new(false),
        threads: (0..threads).map(|_| OnceLock::new()).collect(),
    };
    let results = on_threads(threads, plan, |me, start_line| {
        contended::prepare_work();
        ring.threads[me].get_or_init(thread::current);
        let mut waits = Histogram::new();
        let mut clock = start_line.wait();
        let mut asked = Instant::now();
        while ring.wait_for_turn(me, wait) {
            let got = Instant::now();
            contended::work();
            ring.pass_on(me, wait);
            let wait = got - asked;
            asked = Instant::now();
            let more = clock.lap_at(asked, 1);
            if clock.counts() {
                waits.record(wait);
            }
            if !more {
                ring.end();
            }
        }
        (clock.stint(), waits)
    });
    Outcome::of_waits(results)
}

impl Ring {
    /// Waits for this thread's turn. Returns false when the other threads have ended.
    fn wait_for_turn(&self, me: usize, wait: Wait) -> bool {
        let mut looks = 0;
        while self.turn.load(Ordering::Acquire) != me {
            if self.over.load(Ordering::Relaxed) {
                return false;
            }
            looks += 1;
            match wait {
                Wait::Yield => thread::yield_now(),
                Wait::Park if looks <= 100 => std::hint::spin_loop(),
                Wait::Park => thread::park(),
            }
        }
        !self.over.load(Ordering::Relaxed)
    }

    fn pass_on(&self, me: usize, wait: Wait) {
        let next = (me + 1) % self.threads.len();
        self.turn.store(next, Ordering::Release);
        if matches!(wait, Wait::Park) {
            self.unpark(next);
        }
    }

    fn end(&self) {
        self.over.store(true, Ordering::Relaxed);
        (0..self.threads.len()).for_each(|thread| self.unpark(thread));
    }

    fn unpark(&self, thread: usize) {
        self.threads[thread].get().expect("all are there before the first turn").unpark();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn every_thread_has_its_turn_and_all_end() {
        let plan = Plan { warm_up: Duration::from_millis(1), duration: Duration::from_millis(10) };
        for wait in [Wait::Yield, Wait::Park] {
            for threads in [1, 2, 8] {
                let outcome = hand_round(wait, threads, plan);
                assert_eq!(outcome.stints.len(), threads);
                let ops = || outcome.stints.iter().map(|stint| stint.ops);
                // Strict order: no thread is more than one turn ahead. The place where the window
                // opens may add one.
                assert!(ops().max().unwrap() - ops().min().unwrap() <= 2, "{:?}", ops().collect::<Vec<_>>());
            }
        }
    }
}
