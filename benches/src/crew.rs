//! Threads that stay, for benchmarks that ask again and again for a number of operations.
//!
//! A criterion benchmark calls its routine once for each sample, with a number of iterations. Here
//! one iteration is one operation of each thread. The threads are started once, before the first
//! sample, and meet at a barrier before each sample.

use std::fmt;
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Barrier, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::placement;

/// A number of threads, as the parameter of a benchmark.
///
/// The number has two digits, so that reports list the points in order. A number above that of the
/// CPUs is marked: such a point shows what waiting and preemption cost, and nothing about scaling.
///
/// ```
/// use range_lock_benches::crew::Threads;
///
/// assert_eq!(Threads(1).to_string(), "01 thread");
/// assert_eq!(Threads(5000).to_string(), "5000 oversubscribed");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Threads(pub usize);

impl fmt::Display for Threads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Short, because charts cut names that are long.
        let what = match self.0 {
            threads if threads > placement::cpus().len() => "oversubscribed",
            1 => "thread",
            _ => "threads",
        };
        write!(f, "{:02} {what}", self.0)
    }
}

/// Threads that each do the same number of operations on request.
///
/// ```
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicU64, Ordering};
///
/// use range_lock_benches::crew::Crew;
///
/// let done = Arc::new(AtomicU64::new(0));
/// let count = Arc::clone(&done);
/// let mut crew = Crew::new(2, move |_, turns| turns.each(|| _ = count.fetch_add(1, Ordering::Relaxed)));
/// crew.run(10);
/// crew.run(100);
/// assert_eq!(done.load(Ordering::Relaxed), 220);
/// ```
#[derive(Debug)]
pub struct Crew<W> {
    threads: usize,
    work: Arc<W>,
    at_work: Option<AtWork>,
}

#[derive(Debug)]
struct AtWork {
    shared: Arc<Shared>,
    handles: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    /// How many iterations each thread does. 0 ends the crew.
    iterations: AtomicU64,
    /// Where the threads and the caller meet.
    begin: Barrier,
    end: Barrier,
    /// From the first thread's start to the last one's end.
    span: Mutex<Option<[Instant; 2]>>,
}

impl<W: Fn(usize, Turns) + Send + Sync + 'static> Crew<W> {
    /// A crew of `threads` threads, at least 1. Each calls `work` once, with its index and the
    /// turns that it has to take. What `work` does before its turns is not timed.
    ///
    /// [`prepare`](Self::prepare) or the first [`run`](Self::run) starts the threads. So a
    /// benchmark that is filtered out costs nothing.
    pub fn new(threads: usize, work: W) -> Self {
        Crew { threads: threads.max(1), work: Arc::new(work), at_work: None }
    }

    /// Starts the threads and lets each do one operation, unless they have run before. Call it
    /// outside criterion's routine. Criterion counts all the time of the routine as warm-up, so
    /// what `work` does before its turns could leave criterion one operation from which to plan the
    /// samples.
    pub fn prepare(&mut self) {
        if self.at_work.is_none() {
            self.run(1);
        }
    }

    /// Lets each thread do `iterations` operations, at least 1. Returns the time from the first
    /// thread's start to the last one's end.
    ///
    /// If an operation panics, the process is aborted, because the other threads would wait for
    /// ever.
    pub fn run(&mut self, iterations: u64) -> Duration {
        let AtWork { shared, .. } = self.at_work.get_or_insert_with(|| start(self.threads, &self.work));
        shared.iterations.store(iterations.max(1), Ordering::Relaxed);
        shared.begin.wait();
        shared.end.wait();
        let span = shared.span.lock().unwrap_or_else(PoisonError::into_inner).take();
        span.map_or(Duration::ZERO, |[start, end]| end - start)
    }
}

impl<W> Drop for Crew<W> {
    fn drop(&mut self) {
        if let Some(AtWork { shared, handles }) = self.at_work.take() {
            shared.iterations.store(0, Ordering::Relaxed);
            shared.begin.wait();
            for handle in handles {
                // A thread that panics aborts the process.
                let _ = handle.join();
            }
        }
    }
}

/// Each thread on a CPU of its own if there are enough.
fn start<W: Fn(usize, Turns) + Send + Sync + 'static>(threads: usize, work: &Arc<W>) -> AtWork {
    let shared = Arc::new(Shared {
        iterations: AtomicU64::new(0),
        begin: Barrier::new(threads + 1),
        end: Barrier::new(threads + 1),
        span: Mutex::new(None),
    });
    let cpus = placement::cpus();
    let handles = (0..threads).map(|thread| {
        let (work, turns) = (Arc::clone(work), Turns(Arc::clone(&shared)));
        let cpu = (threads <= cpus.len()).then(|| cpus[thread]);
        thread::spawn(move || {
            let _abort = AbortOnPanic;
            cpu.into_iter().for_each(placement::pin);
            work(thread, turns);
        })
    });
    let handles = handles.collect();
    AtWork { shared, handles }
}

struct AbortOnPanic;

impl Drop for AbortOnPanic {
    fn drop(&mut self) {
        if thread::panicking() {
            process::abort();
        }
    }
}

/// The turns of one thread of a [`Crew`].
#[derive(Debug)]
pub struct Turns(Arc<Shared>);

impl Turns {
    /// Does `op` as often as the crew requests, until the crew is dropped.
    pub fn each(self, mut op: impl FnMut()) {
        let shared = &*self.0;
        loop {
            shared.begin.wait();
            let iterations = shared.iterations.load(Ordering::Relaxed);
            if iterations == 0 {
                return;
            }
            let from = Instant::now();
            for _ in 0..iterations {
                op();
            }
            let to = Instant::now();
            let mut span = shared.span.lock().unwrap_or_else(PoisonError::into_inner);
            *span = Some(span.map_or([from, to], |[first, last]| [first.min(from), last.max(to)]));
            drop(span);
            shared.end.wait();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_thread_does_as_many_operations_as_asked() {
        let done: Arc<[AtomicU64; 3]> = Arc::default();
        let counts = Arc::clone(&done);
        let mut crew = Crew::new(3, move |thread, turns| {
            turns.each(|| _ = counts[thread].fetch_add(1, Ordering::Relaxed));
        });
        crew.run(5);
        crew.run(2);
        assert!(done.iter().all(|count| count.load(Ordering::Relaxed) == 7));
    }

    #[test]
    fn a_crew_is_prepared_once_by_one_operation_of_each_thread() {
        let done: Arc<AtomicU64> = Arc::default();
        let count = Arc::clone(&done);
        let mut crew = Crew::new(2, move |_, turns| turns.each(|| _ = count.fetch_add(1, Ordering::Relaxed)));
        crew.prepare();
        crew.prepare();
        assert_eq!(done.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn a_crew_that_never_ran_has_no_threads() {
        drop(Crew::new(2, |_, _| panic!("nothing asked for this")));
    }

    #[test]
    fn more_threads_than_cpus_are_marked() {
        let cpus = placement::cpus().len();
        assert!(!Threads(cpus).to_string().contains("oversubscribed"));
        assert!(Threads(cpus + 1).to_string().ends_with("oversubscribed"));
    }
}
