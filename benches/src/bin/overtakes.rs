//! Measures how often an operation is overtaken, and how often its thread sleeps, while it waits
//! for the lock's internal mutex. The range lock is set beside `std::sync::Mutex`, which is used
//! the same way.
//!
//! ```text
//! cargo run --release -p rivals --bin overtakes
//! ```
//!
//! One thread, the victim, takes and releases a range of its own in a loop. The other threads do
//! the same with theirs. All ranges are disjoint and lie in one part of the lock, so the threads
//! meet on its mutex only. An operation of the victim is overtaken by each operation that another
//! thread completes meanwhile.
//!
//! The control takes a `std::sync::Mutex` twice in each operation, with sections of the same
//! length: the range lock takes its mutex once to acquire a request and once to release it.
//! Sections are short or long. In the long ones a request has 64 ranges, all of which are entered
//! in one section.
//!
//! Operations in which the victim lost its CPU are left out: during them other threads go first by
//! the scheduler's choice. The machine should have nothing else to do, since a busy one takes
//! longer to wake a thread.

use std::hint::black_box;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Barrier, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use clap::Parser;
use comfy_table::Table;
use comfy_table::presets::UTF8_HORIZONTAL_ONLY;
use crossbeam_utils::CachePadded;
use range_lock::{RangeLock, Request};

/// How often an operation is overtaken while it waits for the internal mutex, beside std's
#[derive(Parser)]
#[command(name = "overtakes")]
struct Options {
    /// Runs of each lock at each of the four points; the locks take turns
    #[arg(long, default_value_t = 31, value_parser = clap::value_parser!(u16).range(1..=1000))]
    runs: u16,

    /// How long each run lasts, in milliseconds: with the usual runs 75 s in all
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..=60_000))]
    millis: u64,

    /// Exit with 1 if a figure of the range lock is more than 4 times std's at the 99.99th
    /// percentile, or if one of its operations is overtaken more than 1,000 times
    #[arg(long)]
    judge: bool,
}

/// A lock to be measured.
trait Lock: Sync {
    /// One operation of this thread.
    fn operate(&self, thread: u64);
}

struct Ranges {
    lock: RangeLock,
    /// How many ranges a request has.
    ranges: u64,
}

impl Lock for Ranges {
    fn operate(&self, thread: u64) {
        let range = |n: u64| 1000 * thread + 10 * n..1000 * thread + 10 * n + 5;
        if self.ranges == 1 {
            drop(self.lock.write(range(0)));
        } else {
            let all = (0..self.ranges).map(|n| Request::write(&self.lock, range(n)));
            drop(RangeLock::acquire_many(all));
        }
    }
}

struct Std {
    mutex: Mutex<()>,
    steps: u64,
}

impl Lock for Std {
    fn operate(&self, _: u64) {
        for _ in 0..2 {
            let guard = self.mutex.lock().expect("no thread panics");
            work(self.steps);
            drop(guard);
        }
    }
}

fn work(steps: u64) {
    for step in 0..steps {
        black_box(step);
    }
}

/// One operation of the victim.
#[derive(Clone, Copy)]
struct Row {
    overtaken: u64,
    slept: u64,
    preempted: bool,
}

/// How often this thread has given up its CPU to sleep, and how often it has lost it.
fn switches() -> [u64; 2] {
    // SAFETY: all bytes zero are a valid `rusage`, which the call writes whole.
    let usage = unsafe {
        let mut usage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_THREAD, &raw mut usage);
        usage
    };
    [usage.ru_nvcsw, usage.ru_nivcsw].map(|n| u64::try_from(n).unwrap_or(0))
}

fn run(lock: &dyn Lock, threads: usize, duration: Duration) -> Vec<Row> {
    let operations: Vec<_> = (1..threads).map(|_| CachePadded::new(AtomicU64::new(0))).collect();
    let (over, start) = (AtomicBool::new(false), Barrier::new(threads));
    let all = || operations.iter().map(|count| count.load(Ordering::Relaxed)).sum::<u64>();
    thread::scope(|scope| {
        for (thread, count) in operations.iter().enumerate() {
            let (over, start) = (&over, &start);
            scope.spawn(move || {
                start.wait();
                let mut done = 0;
                while !over.load(Ordering::Relaxed) {
                    lock.operate(thread as u64 + 1);
                    done += 1;
                    count.store(done, Ordering::Relaxed);
                }
            });
        }
        start.wait();
        let end = Instant::now() + duration;
        let mut rows = Vec::new();
        while Instant::now() < end {
            let (done, before) = (all(), switches());
            lock.operate(0);
            let (after, overtaken) = (switches(), all() - done);
            rows.push(Row { overtaken, slept: after[0] - before[0], preempted: after[1] != before[1] });
        }
        over.store(true, Ordering::Relaxed);
        rows
    })
}

/// The results of the runs of one lock.
#[derive(Default)]
struct Figures {
    overtaken: Vec<u64>,
    slept: Vec<u64>,
    /// The largest value of each run.
    most: Vec<u64>,
}

impl Figures {
    fn add(&mut self, rows: &[Row]) {
        let rows = || rows.iter().filter(|row| !row.preempted);
        self.overtaken.extend(rows().map(|row| row.overtaken));
        self.slept.extend(rows().map(|row| row.slept));
        self.most.push(rows().map(|row| row.overtaken).max().unwrap_or(0));
    }

    fn sorted(mut self) -> Self {
        for all in [&mut self.overtaken, &mut self.slept, &mut self.most] {
            all.sort_unstable();
        }
        self
    }
}

/// The value below which this share of all values lies.
fn quantile(sorted: &[u64], share: f64) -> u64 {
    let at = (sorted.len().saturating_sub(1) as f64 * share).round() as usize;
    sorted.get(at).copied().unwrap_or(0)
}

/// How many steps of `work` take as long as half of an operation of the range lock, when no other
/// thread uses the lock.
fn steps(lock: &Ranges) -> u64 {
    const TIMES: u32 = 2000;
    let time = |f: &dyn Fn()| {
        let once = || {
            let start = Instant::now();
            (0..TIMES).for_each(|_| f());
            start.elapsed()
        };
        (0..5).map(|_| once()).min().unwrap_or_default()
    };
    let (operation, step) = (time(&|| lock.operate(0)), time(&|| work(1000)));
    (500.0 * operation.as_secs_f64() / step.as_secs_f64().max(1e-9)) as u64
}

fn main() -> ExitCode {
    let options = Options::parse();
    let duration = Duration::from_millis(options.millis);
    let mut table = Table::new();
    table.load_style(UTF8_HORIZONTAL_ONLY);
    table.set_header([
        "sections",
        "threads",
        "lock",
        "operations",
        "overtaken p99",
        "p99.99",
        "sleeps p99.99",
        "most overtaken: median run",
        "worst run",
    ]);
    let mut is_worse = false;
    for (sections, ranges) in [("short", 1), ("long", 64)] {
        for threads in [2, 4] {
            let ranges = Ranges { lock: RangeLock::builder().max_leaves(1).build(), ranges };
            let std = Std { mutex: Mutex::new(()), steps: steps(&ranges) };
            let mut figures = [Figures::default(), Figures::default()];
            for _ in 0..options.runs {
                figures[0].add(&run(&ranges, threads, duration));
                figures[1].add(&run(&std, threads, duration));
            }
            let figures = figures.map(Figures::sorted);
            for (name, of) in ["range-lock", "std::sync::Mutex"].into_iter().zip(&figures) {
                table.add_row([
                    sections.to_owned(),
                    threads.to_string(),
                    name.to_owned(),
                    of.overtaken.len().to_string(),
                    quantile(&of.overtaken, 0.99).to_string(),
                    quantile(&of.overtaken, 0.9999).to_string(),
                    quantile(&of.slept, 0.9999).to_string(),
                    quantile(&of.most, 0.5).to_string(),
                    quantile(&of.most, 1.0).to_string(),
                ]);
            }
            let [ours, theirs] = &figures;
            let too_many = |of: &[u64], std: &[u64]| quantile(of, 0.9999) > 4 * quantile(std, 0.9999).max(1);
            is_worse |= too_many(&ours.overtaken, &theirs.overtaken) || too_many(&ours.slept, &theirs.slept);
            is_worse |= quantile(&ours.most, 1.0) > 1000;
        }
    }
    println!("{table}");
    ExitCode::from(u8::from(options.judge && is_worse))
}
