//! The workloads: one [`Point`] is one workload in one variant with a number of threads. The module
//! uses `check` and the modules below.

mod fault_vs_write;
mod judge;
mod page_io;
mod runner;

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::error::FsError;
use crate::pmem::{BLOCK_SIZE, Device};
use crate::schedule::Schedule;
use crate::text::unknown;
use crate::variant::{Locks, Mix, Variant};

/// What the threads do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Workload {
    /// Each thread overwrites random pages of its own part of one file, 4 KiB at a time (FxMark's
    /// DWOM without shared pages;
    /// <https://www.usenix.org/conference/atc16/technical-sessions/presentation/min>).
    WriteDisjoint,
    /// All threads overwrite random pages of one file, 4 KiB at a time.
    WriteShared,
    /// Every thread punches holes into its own pages and writes into the holes. Then the thread
    /// loads and stores through a mapping, in random pages of all threads.
    FaultVsWrite,
    /// All threads read (95 % of the operations) or overwrite (5 %) random pages of one file, 4 KiB
    /// at a time.
    ReadMostly,
}

impl Workload {
    /// All workloads, in the order in which tables list them.
    pub const ALL: [Workload; 4] =
        [Workload::WriteDisjoint, Workload::WriteShared, Workload::FaultVsWrite, Workload::ReadMostly];

    /// The name on the command line, in tables and in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Workload::WriteDisjoint => "write-disjoint",
            Workload::WriteShared => "write-shared",
            Workload::FaultVsWrite => "fault-vs-write",
            Workload::ReadMostly => "read-mostly",
        }
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Workload {
    type Err = String;
    fn from_str(name: &str) -> Result<Self, String> {
        let known = Workload::ALL.into_iter().find(|w| w.name() == name);
        known.ok_or_else(|| unknown("workload", name, &Workload::ALL.map(Workload::name)))
    }
}

/// One point of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Point {
    /// What the threads do.
    pub workload: Workload,
    /// How faults and I/O are serialised.
    pub variant: Variant,
    /// How many threads run, at least 1.
    pub threads: usize,
    /// How long each read(2) and write(2) sleeps, like a call that waits for a slow device. During
    /// the sleep the call holds i_rwsem, if the variant has an i_rwsem.
    pub media: Duration,
}

/// How points are run, beyond what the variant determines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setup {
    /// The kinds of lock that replace the variant's own locks.
    pub locks: Locks,
    /// Whether the run judges the reads. If `checks` is false, the run checks nothing, not even the
    /// order of locks. So the measured time contains no checks.
    pub checks: bool,
    /// Whether the run times each operation ([`Sample::latency`]). To time an operation, the thread
    /// reads the clock twice. So measure throughput without this timing.
    pub latency: bool,
}

impl Default for Setup {
    /// The locks of the variant, with checks and without timing of each operation.
    fn default() -> Self {
        Self { locks: Locks::default(), checks: true, latency: false }
    }
}

impl Setup {
    /// The order of locks is left unchecked where nothing is checked, or where the variant violates
    /// it by design.
    fn checked(self, variant: Variant, schedule: Schedule) -> Schedule {
        if self.checks && variant.is_in_order() { schedule } else { schedule.with_checks(false) }
    }

    /// See [`Mix::keeps_writes`].
    fn keeps_writes(self, variant: Variant) -> bool {
        Mix { variant, locks: self.locks }.keeps_writes()
    }
}

/// The results of one run of a point.
#[derive(Clone, Debug)]
pub struct Sample {
    /// The number of calls: reads, writes, punches, loads, stores and calls of `dont_need`.
    pub ops: u64,
    /// The time from the start of the first thread to the end of the last thread.
    pub elapsed: Duration,
    /// How long operations waited for i_rwsem and i_mmap_sem, in nanoseconds. An operation that did
    /// not wait has the time 0.
    pub wait: Histogram<u64>,
    /// How long operations took from call to return, in nanoseconds. The histogram is empty unless
    /// [`Setup::latency`] is set.
    pub latency: Histogram<u64>,
    /// How many operations each thread did, in no particular order.
    pub ops_by_thread: Vec<u64>,
    /// How many reads saw a wrong value: a value that a write had replaced before the read began, a
    /// torn value, or a value of another page.
    pub stale_reads: u64,
    /// How many reads were judged.
    pub checked_reads: u64,
}

/// Why a point could not be run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WorkloadError {
    /// There is no thread to run the workload.
    #[error("0 threads cannot run anything; ask for at least 1")]
    NoThreads,
    /// The device cannot hold the files of `threads` threads.
    #[error(
        "a device of {size} bytes is too small for {threads} threads; ask for at least {needed} bytes, or fewer threads"
    )]
    DeviceTooSmall {
        /// The size of the device in bytes.
        size: u64,
        /// The requested number of threads.
        threads: usize,
        /// The smallest sufficient size, in bytes.
        needed: u64,
    },
    /// The system provides no more threads.
    #[error("{threads} threads cannot be started ({kind}); ask for fewer, or raise the limit (ulimit -u)")]
    TooManyThreads {
        /// The requested number of threads.
        threads: usize,
        /// The kind of the system's error.
        kind: std::io::ErrorKind,
    },
    /// The device does not hold the bytes of the last write to a page. So the reads show nothing
    /// about the variant.
    #[error(
        "the mapped file was changed by another process, or its medium lost data: {workload} in {variant} wrote \
         page {page} and does not find it; figures are void"
    )]
    DataLost {
        /// The workload that ran.
        workload: Workload,
        /// The variant in which it ran.
        variant: Variant,
        /// The first such page of the simulated file.
        page: u64,
    },
    /// An operation failed.
    #[error("an operation of the workload failed: {0}")]
    Fs(#[from] FsError),
}

/// How many pages a thread's own part of a file has.
const PAGES_PER_THREAD: u64 = 256;
/// How many pages a file that all threads share has, if the device has enough.
const SHARED_PAGES: u64 = 4096;

/// Returns the size in bytes of the smallest device on which every workload can run with `threads`
/// threads.
pub fn min_device_size(threads: usize) -> u64 {
    (threads as u64).saturating_add(1).saturating_mul(PAGES_PER_THREAD * BLOCK_SIZE)
}

/// Runs one point for about `duration` on a freshly formatted device.
///
/// In [`Workload::FaultVsWrite`] with more than one thread, the run also delays threads at two
/// points, by [`Schedule::widen`](crate::schedule::Schedule::widen). The run delays a passing
/// thread with a probability of 1 in 8, until a random time of at most 20 µs is over. The
/// probability and the limit of 20 µs are the same in every variant.
///
/// # Errors
///
/// See [`WorkloadError`]. After an error nothing is left running.
pub fn run(point: &Point, device: &Device, duration: Duration) -> Result<Sample, WorkloadError> {
    run_with(point, Setup::default(), device, duration)
}

/// Like [`run`], with a different setup.
///
/// # Errors
///
/// The errors of [`run`].
pub fn run_with(
    point: &Point,
    setup: Setup,
    device: &Device,
    duration: Duration,
) -> Result<Sample, WorkloadError> {
    let Point { workload, threads, .. } = *point;
    if threads == 0 {
        return Err(WorkloadError::NoThreads);
    }
    let (size, needed) = (device.size(), min_device_size(threads));
    if size < needed {
        return Err(WorkloadError::DeviceTooSmall { size, threads, needed });
    }
    match workload {
        Workload::WriteDisjoint | Workload::WriteShared | Workload::ReadMostly => {
            page_io::run(point, setup, device, duration)
        }
        Workload::FaultVsWrite => fault_vs_write::run(point, setup, device, duration),
    }
}

/// Called after a run. If reads were stale, and the device lacks what was written last, returns an
/// error, because the reads show nothing about the variant. It returns none where the calls of the
/// run may have lost what was written.
fn blame(
    point: &Point,
    setup: Setup,
    sample: &Sample,
    judge: &judge::Judge,
    file: &crate::file::File<'_>,
    pages: u64,
    lost: Option<u64>,
) -> Result<(), WorkloadError> {
    if sample.stale_reads == 0 || !setup.keeps_writes(point.variant) {
        return Ok(());
    }
    let lost = match lost {
        Some(page) => Some(page),
        None => judge.first_lost(file, pages)?,
    };
    let Point { workload, variant, .. } = *point;
    lost.map_or(Ok(()), |page| Err(WorkloadError::DataLost { workload, variant, page }))
}
