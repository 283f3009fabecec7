//! Runs the threads of a point, and counts operations and time.

use std::num::NonZeroU64;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use parking_lot::{Condvar, Mutex, RwLock};

use super::{Sample, WorkloadError};
use crate::check::Verdict;
use crate::error::FsError;
use crate::fs;

/// How to run the threads.
#[derive(Clone, Copy, Debug)]
pub(super) struct Manner {
    /// Whether the first read that is not good stops all threads ([`Alarm`]).
    pub(super) strict: bool,
    /// Whether each operation is timed.
    pub(super) timed: bool,
}

/// Runs `body` in `threads` threads at once, each with its index, until about `duration` has
/// passed, at least once.
///
/// The body is called again and again, and does a few operations each time. The threads look at one
/// flag that is not written meanwhile, so no operation pays for a clock.
///
/// Returns the sample, and the page that the device was found to have lost, if any
/// ([`Manner::strict`]).
pub(super) fn run<S>(
    threads: usize,
    duration: Duration,
    Manner { strict, timed }: Manner,
    start: impl Fn(usize) -> S + Sync,
    body: impl Fn(&mut S, &mut Record) -> Result<(), FsError> + Sync,
) -> Result<(Sample, Option<u64>), WorkloadError> {
    let alarm = Alarm::new(strict);
    // With a barrier the threads that have come would wait for ever if the system provides no more
    // threads.
    let (stop, start_line) = (AtomicBool::new(false), RwLock::new(()));
    let (ready, arrivals) = mpsc::channel();
    let thread = |index| {
        sleep_precisely();
        let mut state = start(index);
        let mut record = Record::new(Arc::clone(&alarm), timed);
        // The receiver is gone if another thread could not be started.
        let _ = ready.send(());
        drop(start_line.read());
        let from = Instant::now();
        // Once in any case: a busy machine may let a thread run for the first time when the other
        // threads are done.
        let mut result = body(&mut state, &mut record);
        while result.is_ok() && !stop.load(Relaxed) && !record.halted() {
            result = body(&mut state, &mut record);
        }
        if result.is_err() {
            stop.store(true, Relaxed);
        }
        record.ran = Some((from, Instant::now()));
        result.map(|()| record)
    };
    let records: Result<Vec<Record>, WorkloadError> = thread::scope(|s| {
        let closed = start_line.write();
        let mut started = Vec::with_capacity(threads);
        for index in 0..threads {
            match thread::Builder::new().spawn_scoped(s, move_index(&thread, index)) {
                Ok(thread) => started.push(thread),
                Err(e) => {
                    // The threads that were started find the run over when they are released.
                    stop.store(true, Relaxed);
                    return Err(WorkloadError::TooManyThreads { threads, kind: e.kind() });
                }
            }
        }
        arrivals.iter().take(threads).for_each(drop);
        drop(closed);
        alarm.wait(duration);
        stop.store(true, Relaxed);
        started
            .into_iter()
            .map(|t| t.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .map(|record| Ok(record?))
            .collect()
    });
    Ok((Record::merge(records?), alarm.lost()))
}

fn move_index<R>(thread: &(impl Fn(usize) -> R + Sync), index: usize) -> impl FnOnce() -> R + Send {
    move || thread(index)
}

/// The kernel rounds sleeps up by a thread's timer slack, 50 µs by default, which is as much as the
/// medium takes.
fn sleep_precisely() {
    // A kernel that refuses only makes the medium slower, for all variants alike.
    let _ = rustix::thread::set_current_timer_slack(NonZeroU64::new(1));
}

/// Stops all threads at once.
#[derive(Debug)]
pub(super) struct Alarm {
    strict: bool,
    raised: AtomicBool,
    /// A page that the device was found to have lost.
    lost: Mutex<Option<u64>>,
    raise: Condvar,
}

impl Alarm {
    fn new(strict: bool) -> Arc<Alarm> {
        let (raised, lost, raise) = (AtomicBool::new(false), Mutex::new(None), Condvar::new());
        Arc::new(Alarm { strict, raised, lost, raise })
    }

    fn raise(&self, lost: Option<u64>) {
        let mut page = self.lost.lock();
        *page = page.or(lost);
        self.raised.store(true, Relaxed);
        self.raise.notify_all();
    }

    /// Waits for `duration`, or until the alarm is raised.
    fn wait(&self, duration: Duration) {
        let until = Instant::now() + duration;
        let mut page = self.lost.lock();
        while !self.raised.load(Relaxed) {
            if self.raise.wait_until(&mut page, until).timed_out() {
                break;
            }
        }
    }

    fn lost(&self) -> Option<u64> {
        *self.lost.lock()
    }
}

/// What one thread has counted.
#[derive(Debug)]
pub(super) struct Record {
    ops: u64,
    /// How many of these did not wait. They are added to the histogram at the end, all at once.
    unhindered: u64,
    wait: Histogram<u64>,
    /// Empty unless operations are timed.
    latency: Option<Histogram<u64>>,
    began: Option<Instant>,
    stale: u64,
    checked: u64,
    ran: Option<(Instant, Instant)>,
    alarm: Arc<Alarm>,
}

impl Record {
    fn new(alarm: Arc<Alarm>, timed: bool) -> Self {
        let latency = timed.then(histogram);
        let (wait, began, ran) = (histogram(), None, None);
        Self { ops: 0, unhindered: 0, wait, latency, began, stale: 0, checked: 0, ran, alarm }
    }

    /// Whether the thread is to end before its next operation.
    pub(super) fn halted(&self) -> bool {
        self.alarm.raised.load(Relaxed)
    }

    /// Called when an operation is about to be called.
    pub(super) fn begin(&mut self) {
        if self.latency.is_some() {
            self.began = Some(Instant::now());
        }
    }

    /// Called when the operation that began last has returned.
    pub(super) fn op(&mut self) {
        if let (Some(latency), Some(began)) = (&mut self.latency, self.began.take()) {
            latency.saturating_record(nanos(began.elapsed()));
        }
        self.ops += 1;
        let waited = fs::waited();
        if waited.is_zero() {
            self.unhindered += 1;
        } else {
            self.wait.saturating_record(nanos(waited));
        }
    }

    /// Called when a read has been judged, if there is a judge. In a run where every read must be
    /// good, it asks `lost` whether the device has lost the page, and all threads stop.
    pub(super) fn verdict(
        &mut self,
        page: u64,
        verdict: Option<Verdict>,
        lost: impl FnOnce() -> Result<bool, FsError>,
    ) -> Result<(), FsError> {
        let Some(verdict) = verdict else { return Ok(()) };
        self.checked += 1;
        if verdict != Verdict::Good {
            self.stale += 1;
            if self.alarm.strict {
                // First raise the alarm: the fewer writes follow, the more is left to be seen.
                self.alarm.raise(None);
                self.alarm.raise(lost()?.then_some(page));
            }
        }
        Ok(())
    }

    fn merge(records: Vec<Record>) -> Sample {
        let ran = || records.iter().filter_map(|record| record.ran);
        let elapsed = match (ran().map(|(from, _)| from).min(), ran().map(|(_, to)| to).max()) {
            (Some(from), Some(to)) => to - from,
            _ => Duration::ZERO,
        };
        let mut sample = Sample {
            ops: 0,
            elapsed,
            wait: histogram(),
            latency: histogram(),
            ops_by_thread: records.iter().map(|record| record.ops).collect(),
            stale_reads: 0,
            checked_reads: 0,
        };
        for record in records {
            sample.ops += record.ops;
            sample.stale_reads += record.stale;
            sample.checked_reads += record.checked;
            sample.wait.add(&record.wait).expect("all histograms have the same bounds");
            sample.wait.record_n(0, record.unhindered).expect("0 is within the bounds");
            if let Some(latency) = &record.latency {
                sample.latency.add(latency).expect("all histograms have the same bounds");
            }
        }
        sample
    }
}

/// Up to a minute, with three digits.
fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 60_000_000_000, 3).expect("these bounds are valid")
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
