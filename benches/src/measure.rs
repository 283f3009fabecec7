//! Starts threads together, and counts what each has done by its own clock.

use std::sync::{Barrier, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use crate::placement;

/// How long a sample takes.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// How long everything runs before anything is counted.
    pub warm_up: Duration,
    /// How long operations are counted after the warm-up.
    pub duration: Duration,
}

impl Plan {
    /// The same plan, `factor` times as long.
    #[must_use]
    pub fn times(self, factor: u32) -> Plan {
        Plan { duration: self.duration * factor, ..self }
    }
}

/// What one thread did.
#[derive(Clone, Copy, Debug)]
pub struct Stint {
    /// How many operations it did.
    pub ops: u64,
    /// When the first operation began, by the thread's own clock.
    pub start: Instant,
    /// When the last operation ended.
    pub end: Instant,
}

/// Where threads wait for each other before they start.
#[derive(Debug)]
pub struct StartLine {
    barrier: Barrier,
    plan: Plan,
    window: OnceLock<[Instant; 2]>,
}

impl StartLine {
    /// A start line for `threads` threads.
    pub fn new(threads: usize, plan: Plan) -> Self {
        StartLine { barrier: Barrier::new(threads), plan, window: OnceLock::new() }
    }

    /// Waits for the other threads, and starts this thread's clock.
    pub fn wait(&self) -> Clock {
        if self.barrier.wait().is_leader() {
            let open = Instant::now() + self.plan.warm_up;
            self.window.get_or_init(|| [open, open + self.plan.duration]);
        }
        self.barrier.wait();
        let [open, close] = *self.window.get().expect("the leader has set it");
        let now = Instant::now();
        Clock { open, close, start: now, end: now, ops: 0 }
    }
}

/// One thread's clock and count.
#[derive(Debug)]
pub struct Clock {
    open: Instant,
    close: Instant,
    start: Instant,
    end: Instant,
    ops: u64,
}

impl Clock {
    /// Counts a batch. Call it after each batch, with the number of operations in it. Returns
    /// whether there is time for another batch.
    #[inline]
    pub fn lap(&mut self, ops: u64) -> bool {
        self.lap_at(Instant::now(), ops)
    }

    /// The same for callers that have just looked at the clock.
    #[inline]
    pub fn lap_at(&mut self, now: Instant, ops: u64) -> bool {
        if now < self.open {
            self.start = now;
            self.end = now;
            return true;
        }
        self.ops += ops;
        self.end = now;
        now < self.close
    }

    /// Whether operations are counted now.
    #[inline]
    pub fn counts(&self) -> bool {
        self.end >= self.open
    }

    /// What was done between the two ends of the window.
    pub fn stint(&self) -> Stint {
        Stint { ops: self.ops, start: self.start, end: self.end }
    }
}

/// Runs `work(thread, start line)` on `threads` threads, each on a CPU of its own if there are
/// enough. Returns what they return.
pub fn on_threads<T: Send>(
    threads: usize,
    plan: Plan,
    work: impl Fn(usize, &StartLine) -> T + Sync,
) -> Vec<T> {
    let start_line = StartLine::new(threads, plan);
    let cpus = placement::cpus();
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|thread| {
                let (start_line, work, cpus) = (&start_line, &work, &cpus);
                scope.spawn(move || {
                    if threads <= cpus.len() {
                        placement::pin(cpus[thread]);
                    }
                    work(thread, start_line)
                })
            })
            .collect();
        workers.into_iter().map(|worker| worker.join().expect("a worker does not panic")).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_lies_in_the_window_is_counted() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut clock = Clock { open: at(10), close: at(20), start, end: start, ops: 0 };
        assert!(clock.lap_at(at(5), 100));
        assert!(!clock.counts());
        assert!(clock.lap_at(at(9), 100));
        assert!(clock.lap_at(at(12), 30));
        assert!(clock.counts());
        assert!(!clock.lap_at(at(21), 90));
        let stint = clock.stint();
        assert_eq!((stint.ops, stint.start, stint.end), (120, at(9), at(21)));
    }
}
