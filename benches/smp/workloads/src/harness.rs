//! Runs a workload in virtual time: warm-up, window, and what each thread did in the window.

use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use smp_machine::{Ps, US, aside, counts, now, work};
use smp_rivals::Lock;

use crate::check::{Held, Oracle};
use crate::pattern::Random;

/// How long a point runs. Warm-up and window each end after a time, after a number of operations of
/// all threads, or when their simulation has cost enough, whichever comes first. The cost counts
/// accesses. A change of the simulated thread costs [`SWITCH`]. So a run is the same on each
/// machine that simulates it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The longest warm-up.
    pub warm_up: Ps,
    /// The most operations in the warm-up.
    pub warm_up_ops: u64,
    /// The longest window.
    pub window: Ps,
    /// The most operations in the window.
    pub window_ops: u64,
    /// The highest cost of the warm-up, and of the window.
    pub cost: u64,
    /// Whether each section is checked.
    pub check: bool,
}

impl Plan {
    /// The same plan. If operations use up pages, they use at most three quarters of them, a third
    /// of these in the warm-up.
    pub(crate) fn within(self, pages: Option<u64>) -> Plan {
        let Some(pages) = pages else { return self };
        let [warm_up_ops, window_ops] = [pages / 4, pages / 2];
        Plan {
            warm_up_ops: self.warm_up_ops.min(warm_up_ops),
            window_ops: self.window_ops.min(window_ops),
            ..self
        }
    }

    /// The virtual time after which a run is stopped, with `threads_per_cpu` threads for each CPU.
    /// Threads end their last operation after the window, one after the other if they need the same
    /// range. Where they share CPUs, each hand-over may take a time slice.
    pub(crate) fn time_limit(&self, threads_per_cpu: usize) -> Ps {
        const FOR_EACH: Ps = 1_000_000 * US;
        2 * (self.warm_up + self.window) + threads_per_cpu as u64 * FOR_EACH
    }
}

/// The cost of a change of the simulated thread, in accesses.
const SWITCH: u64 = 12;

/// The cost of the run so far.
fn cost() -> u64 {
    let counts = counts();
    counts.accesses + SWITCH * counts.switches
}

/// What all threads did in the window.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// The length of the window.
    pub window: Ps,
    /// How many operations each thread did, for threads with operations that count.
    pub ops: Vec<u64>,
    /// How many operations the whole run had.
    pub all_ops: u64,
    /// The longest wait of a request. Its wait ended in the window or went on behind it.
    pub longest_wait: Ps,
    /// The median wait of the writer of the whole domain.
    pub whole_median: Option<Ps>,
    /// How many sections were checked.
    pub checked: u64,
    /// The first few findings of the check.
    pub violations: Vec<String>,
}

impl Outcome {
    /// Millions of operations per second.
    pub fn mops(&self) -> f64 {
        if self.window == 0 {
            return 0.0;
        }
        // One operation per picosecond is 10^12 per second.
        self.ops.iter().sum::<u64>() as f64 / self.window as f64 * 1e6
    }

    /// The operations of the slowest thread divided by those of the fastest.
    pub fn slowest_to_fastest(&self) -> f64 {
        match (self.ops.iter().min(), self.ops.iter().max()) {
            (Some(&min), Some(&max)) if max > 0 => min as f64 / max as f64,
            _ => 0.0,
        }
    }
}

/// The phases of a run. Used in `aside` only.
#[derive(Debug)]
pub(crate) struct Phases {
    plan: Plan,
    /// When the window begins and ends. Both come earlier if there are enough operations before.
    pub(crate) start: AtomicU64,
    pub(crate) end: AtomicU64,
    warm_up_ops: AtomicU64,
    ops: AtomicU64,
    pub(crate) all_ops: AtomicU64,
    /// The cost before the first operation in the window. 0 until then.
    cost: AtomicU64,
}

impl Phases {
    pub(crate) fn new(plan: Plan) -> Self {
        Phases {
            plan,
            start: AtomicU64::new(plan.warm_up),
            end: AtomicU64::new(plan.warm_up + plan.window),
            warm_up_ops: AtomicU64::new(0),
            ops: AtomicU64::new(0),
            all_ops: AtomicU64::new(0),
            cost: AtomicU64::new(0),
        }
    }

    /// Ends the window now, if it has not ended before.
    pub(crate) fn stop(&self, at: Ps) {
        self.end.fetch_min(at, Relaxed);
    }

    /// How long the window was. `None` if it has ended before it began.
    pub(crate) fn window(&self) -> Option<Ps> {
        self.end.load(Relaxed).checked_sub(self.start.load(Relaxed)).filter(|window| *window != 0)
    }

    /// Records `n` operations that ended at `at`.
    pub(crate) fn note(&self, at: Ps, n: u64) {
        self.all_ops.fetch_add(n, Relaxed);
        let plan = &self.plan;
        if at >= self.end.load(Relaxed) {
            return;
        }
        if at < self.start.load(Relaxed) {
            let ops = self.warm_up_ops.fetch_add(n, Relaxed) + n;
            let cost = cost();
            if ops >= plan.warm_up_ops || cost >= plan.cost {
                self.start.store(at, Relaxed);
                // A thread whose clock is ahead may have stopped the run before.
                self.end.fetch_min(at + plan.window, Relaxed);
            }
        } else {
            let ops = self.ops.fetch_add(n, Relaxed) + n;
            let cost = cost();
            let first = self.cost.load(Relaxed);
            if first == 0 {
                self.cost.store(cost, Relaxed);
            } else if ops >= plan.window_ops || cost - first >= plan.cost {
                self.end.store(at, Relaxed);
            }
        }
    }
}

/// What one thread did.
#[derive(Debug, Default)]
struct Stint {
    counts: bool,
    ops: u64,
    longest_wait: Ps,
}

/// What the threads of a run share. The lock lies on lines of its own.
#[derive(Debug)]
pub(crate) struct Shared<L> {
    pub(crate) lock: Box<Alone<L>>,
    phases: Phases,
    oracle: Option<Mutex<Oracle>>,
    stints: Mutex<Vec<Stint>>,
    whole: Mutex<Vec<Ps>>,
    pub(crate) seed: u64,
    pub(crate) threads: usize,
}

#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct Alone<L>(pub(crate) L);

impl<L: Lock> Shared<L> {
    pub(crate) fn new(lock: L, plan: Plan, seed: u64, threads: usize) -> Self {
        Shared {
            lock: Box::new(Alone(lock)),
            phases: Phases::new(plan),
            oracle: plan.check.then(Mutex::default),
            stints: Mutex::default(),
            whole: Mutex::default(),
            seed,
            threads,
        }
    }

    /// Records a range that the thread that built the lock holds throughout.
    pub(crate) fn note_held(&self, range: Range<u64>) {
        if let Some(oracle) = &self.oracle {
            oracle.lock().expect("no check panics").enter(usize::MAX, range, true);
        }
    }

    pub(crate) fn outcome(&self) -> Outcome {
        let stints = self.stints.lock().expect("no check panics");
        let mut whole = self.whole.lock().expect("no check panics").clone();
        whole.sort_unstable();
        let (start, end) = (self.phases.start.load(Relaxed), self.phases.end.load(Relaxed));
        let (checked, violations) = match &self.oracle {
            Some(oracle) => oracle.lock().expect("no check panics").result(),
            None => (0, Vec::new()),
        };
        Outcome {
            window: end - start,
            ops: stints.iter().filter(|stint| stint.counts).map(|stint| stint.ops).collect(),
            all_ops: self.phases.all_ops.load(Relaxed),
            longest_wait: stints.iter().map(|stint| stint.longest_wait).max().unwrap_or(0),
            whole_median: whole.get(whole.len() / 2).copied(),
            checked,
            violations,
        }
    }
}

/// One thread of a run.
#[derive(Debug)]
pub(crate) struct Worker<'a, L> {
    shared: &'a Shared<L>,
    pub(crate) me: usize,
    pub(crate) random: Random,
    stint: Stint,
}

/// A range that a worker holds.
pub(crate) struct Section<G> {
    guard: G,
    held: Option<Held>,
}

impl<'a, L: Lock> Worker<'a, L> {
    pub(crate) fn new(shared: &'a Shared<L>, me: usize) -> Self {
        Worker {
            shared,
            me,
            random: Random::with_seed(me, shared.seed),
            stint: Stint { counts: true, ..Stint::default() },
        }
    }

    /// Marks its operations as not counted.
    pub(crate) fn does_not_count(&mut self) {
        self.stint.counts = false;
    }

    #[inline]
    fn lock(&self) -> &'a L {
        &self.shared.lock.0
    }

    /// Records a wait, and enters a section that must be checked.
    #[inline]
    fn enter(&mut self, asked: Ps, range: Range<u64>, write: bool) -> Option<Held> {
        let got = now();
        let (shared, longest) = (self.shared, &mut self.stint.longest_wait);
        let me = self.me;
        aside(|| {
            let start = shared.phases.start.load(Relaxed);
            let end = shared.phases.end.load(Relaxed);
            if got >= start && asked < end {
                *longest = (*longest).max(got - asked);
            }
            let oracle = shared.oracle.as_ref()?;
            Some(oracle.lock().expect("no check panics").enter(me, range, write))
        })
    }

    /// Locks for reading.
    #[inline]
    pub(crate) fn read(&mut self, range: Range<u64>) -> Section<L::Read<'a>> {
        let asked = now();
        let guard = self.lock().read(self.me, range.clone());
        Section { guard, held: self.enter(asked, range, false) }
    }

    /// Locks for writing.
    #[inline]
    pub(crate) fn write(&mut self, range: Range<u64>) -> Section<L::Write<'a>> {
        let asked = now();
        let guard = self.lock().write(self.me, range.clone());
        Section { guard, held: self.enter(asked, range, true) }
    }

    /// Locks the whole domain for writing, and records how long it took.
    pub(crate) fn write_whole(&mut self) -> Section<L::Write<'a>> {
        let asked = now();
        let section = self.write(0..WHOLE);
        let (got, shared) = (now(), self.shared);
        aside(|| {
            if got >= shared.phases.start.load(Relaxed) && asked < shared.phases.end.load(Relaxed) {
                shared.whole.lock().expect("no check panics").push(got - asked);
            }
        });
        section
    }

    /// Releases.
    #[inline]
    pub(crate) fn release<G>(&mut self, section: Section<G>) {
        let Section { guard, held } = section;
        if let Some(held) = held {
            let oracle = self.shared.oracle.as_ref().expect("what was entered was checked");
            aside(|| oracle.lock().expect("no check panics").leave(held));
        }
        drop(guard);
    }

    /// Reads, works inside for this time, and releases.
    #[inline]
    pub(crate) fn read_for(&mut self, range: Range<u64>, inside: Ps) {
        let section = self.read(range);
        work(inside);
        self.release(section);
    }

    /// Writes, works inside for this time, and releases.
    #[inline]
    pub(crate) fn write_for(&mut self, range: Range<u64>, inside: Ps) {
        let section = self.write(range);
        work(inside);
        self.release(section);
    }

    /// Counts `n` operations. Returns whether the run goes on.
    #[inline]
    pub(crate) fn lap(&mut self, n: u64) -> bool {
        let at = now();
        let shared = self.shared;
        let stint = &mut self.stint;
        aside(|| {
            let phases = &shared.phases;
            if stint.counts {
                if at >= phases.start.load(Relaxed) && at < phases.end.load(Relaxed) {
                    stint.ops += n;
                }
                phases.note(at, n);
            }
            at < phases.end.load(Relaxed)
        })
    }

    /// Whether the warm-up is over.
    pub(crate) fn is_warm(&self) -> bool {
        let (at, shared) = (now(), self.shared);
        aside(|| at >= shared.phases.start.load(Relaxed))
    }

    /// Whether the run is over.
    pub(crate) fn is_over(&self) -> bool {
        let (at, shared) = (now(), self.shared);
        aside(|| at >= shared.phases.end.load(Relaxed))
    }

    /// Adds its results to those of the run. The last thread to do so names the parts of the lock.
    pub(crate) fn finish(self) {
        let Worker { shared, stint, .. } = self;
        aside(|| {
            let mut stints = shared.stints.lock().expect("no check panics");
            stints.push(stint);
            if stints.len() == shared.threads {
                shared.lock.0.parts(&mut smp_machine::name);
            }
        });
    }
}

/// Where the whole domain ends.
const WHOLE: u64 = 1 << 48;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_that_ends_before_it_begins_is_none() {
        let plan = Plan { warm_up: 20, warm_up_ops: 9, window: 5, window_ops: 9, cost: 9, check: false };
        assert_eq!(Phases::new(plan).window(), Some(5));
        let ended = |at| {
            let phases = Phases::new(plan);
            phases.stop(at);
            phases.window()
        };
        assert_eq!([19, 20, 23, 30].map(ended), [None, None, Some(3), Some(5)]);
    }

    #[test]
    fn a_run_that_was_stopped_does_not_go_on() {
        let plan = Plan { warm_up: 20, warm_up_ops: 9, window: 5, window_ops: 9, cost: 9, check: false };
        for (stopped, window) in [(9, None), (10, None), (11, Some(1)), (15, Some(5)), (16, Some(5))] {
            let phases = Phases::new(plan);
            phases.stop(stopped);
            phases.note(10, 9);
            assert_eq!(phases.window(), window, "stopped at {stopped}");
        }
    }
}
