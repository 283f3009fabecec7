//! Loads and stores through a mapping, beside write(2) into holes.
//!
//! Every thread does both, in turn and always in the same proportion. So operations per second can
//! be compared between variants. If only some threads wrote, a variant that delays its writers
//! would look fast because of what the other threads do meanwhile.
//!
//! As a writer a thread punches its few pages, writes into the holes, and loads what it wrote. Then
//! it takes pages of any thread at random. It drops their translations (MADV_DONTNEED), so that
//! there are faults to be overtaken, and loads and stores. It writes through one mapping and loads
//! through another, as two processes would. So a writer's own faults do not repair what a stale
//! fault spoiled.
//!
//! # Where the schedule points linger
//!
//! With two threads or more, one in eight threads that pass a point lingers there for up to 20 µs,
//! drawn at random. A fault lingers between look-up and installation. write(2) lingers between the
//! publication of a block and the invalidation. The points and the delays are the same in every
//! variant. They decide how often the windows are hit, not whether there are any.

use std::ops::Range;
use std::time::Duration;

use super::judge::Judge;
use super::runner::{self, Manner, Record};
use super::{Point, Sample, Setup, WorkloadError};
use crate::check::{Covers, Register, Write, pattern};
use crate::error::FsError;
use crate::file::{File, Mapping};
use crate::fs::FileSystem;
use crate::pmem::{BLOCK_SIZE, Device};
use crate::schedule::Schedule;

/// Few, so that threads meet.
const PAGES_PER_THREAD: u64 = 4;
/// How often each judged word of a page is loaded after its translation was dropped.
const LOADS: usize = 4;
const LINGER_ONE_IN: u32 = 8;
const LINGER: Duration = Duration::from_micros(20);

pub(super) fn run(
    point: &Point,
    setup: Setup,
    device: &Device,
    duration: Duration,
) -> Result<Sample, WorkloadError> {
    let linger = point.threads > 1;
    let schedule = if linger { Schedule::widen(LINGER_ONE_IN, LINGER) } else { Schedule::none() };
    run_in(point, setup, device, duration, schedule)
}

fn run_in(
    point: &Point,
    setup: Setup,
    device: &Device,
    duration: Duration,
    schedule: Schedule,
) -> Result<Sample, WorkloadError> {
    let Point { variant, threads, media, .. } = *point;
    let fs = FileSystem::format(device, variant).with_locks(setup.locks).with_media(media);
    let fs = fs.with_schedule(setup.checked(variant, schedule));
    let pages = threads as u64 * PAGES_PER_THREAD;
    let file = fs.create();
    file.truncate(pages * BLOCK_SIZE)?;
    let shared = Shared {
        writers: file.mmap(0..pages * BLOCK_SIZE),
        others: file.mmap(0..pages * BLOCK_SIZE),
        file: &file,
        judge: Judge::new(pages, setup.checks),
        pages,
    };
    let start = |index: usize| Thread {
        own: index as u64 * PAGES_PER_THREAD..(index as u64 + 1) * PAGES_PER_THREAD,
        buffer: vec![0; BLOCK_SIZE as usize],
    };
    let body = |thread: &mut Thread, record: &mut Record| {
        shared.write_into_holes(thread.own.clone(), &mut thread.buffer, record)?;
        for _ in thread.own.clone() {
            shared.load_and_store(fastrand::u64(..shared.pages), record)?;
        }
        Ok(())
    };
    let manner = Manner { strict: variant.is_coherent(), timed: setup.latency };
    let (sample, lost) = runner::run(threads, duration, manner, start, body)?;
    super::blame(point, setup, &sample, &shared.judge, &file, pages, lost)?;
    Ok(sample)
}

struct Thread {
    /// The pages that only this thread punches and writes.
    own: Range<u64>,
    buffer: Vec<u8>,
}

struct Shared<'a> {
    file: &'a File<'a>,
    writers: Mapping<'a>,
    others: Mapping<'a>,
    judge: Judge,
    pages: u64,
}

impl Shared<'_> {
    /// All of the writer's pages are punched before the first is written, so that other threads
    /// find holes to fault on while the writer is at work.
    fn write_into_holes(
        &self,
        pages: Range<u64>,
        buffer: &mut [u8],
        record: &mut Record,
    ) -> Result<(), FsError> {
        for page in pages.clone() {
            if record.halted() {
                return Ok(());
            }
            let punch = self.judge.begin(page, Covers::PageWithZeros);
            record.begin();
            let result = self.file.punch_hole(page * BLOCK_SIZE, BLOCK_SIZE);
            self.judge.end(punch);
            record.op();
            result?;
        }
        for page in pages {
            // What is there must be looked at unchanged.
            if record.halted() {
                return Ok(());
            }
            let write = self.judge.begin(page, Covers::Page);
            if let Some(write) = &write {
                pattern::fill(buffer, write.word());
            }
            record.begin();
            let result = self.file.write_at(buffer, page * BLOCK_SIZE);
            self.judge.end(write);
            record.op();
            result?;
            self.load(&self.writers, page, Register::Io, record)?;
        }
        Ok(())
    }

    fn load_and_store(&self, page: u64, record: &mut Record) -> Result<(), FsError> {
        record.begin();
        self.others.dont_need(page * BLOCK_SIZE..(page + 1) * BLOCK_SIZE);
        record.op();
        // The first load faults, perhaps beside a write, and may see either state. The next loads
        // come after it, and show what was installed.
        for _ in 0..LOADS {
            self.load(&self.others, page, Register::Io, record)?;
            self.load(&self.others, page, Register::Stored, record)?;
        }
        if fastrand::u8(..4) == 0 {
            let store = self.judge.begin(page, Covers::StoredWord);
            let word = store.as_ref().map_or(1, Write::word);
            record.begin();
            let result = self.others.store_u64(Register::Stored.offset(page), word);
            self.judge.end(store);
            record.op();
            result?;
            self.load(&self.others, page, Register::Stored, record)?;
        }
        Ok(())
    }

    fn load(
        &self,
        mapping: &Mapping<'_>,
        page: u64,
        register: Register,
        record: &mut Record,
    ) -> Result<(), FsError> {
        let floor = self.judge.floor(page, register);
        record.begin();
        let seen = mapping.load_u64(register.offset(page))?;
        record.op();
        let verdict = floor.map(|(oracle, floor)| oracle.judge(page, floor, seen));
        record.verdict(page, verdict, || self.judge.is_lost(self.file, page))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

    use super::super::Workload::{FaultVsWrite, ReadMostly};
    use super::super::run_with;
    use super::*;
    use crate::pmem::DeviceOptions;
    use crate::schedule::PlantedFault;
    use crate::variant::{LockKind, Locks, Variant};

    fn device() -> Device {
        Device::open(&DeviceOptions { path: None, size: 4 << 20, overwrite: false }).unwrap()
    }

    fn point(variant: Variant) -> Point {
        Point { workload: FaultVsWrite, variant, threads: 2, media: Duration::ZERO }
    }

    /// A fault of the variant is reported as the variant's, and stops the run at once.
    #[test]
    fn a_planted_stale_read_is_the_variants_fault() {
        for variant in [Variant::Linux412, Variant::Rwsem, Variant::RangeLock] {
            for _ in 0..2 {
                let schedule = Schedule::widen(LINGER_ONE_IN, LINGER);
                let schedule = schedule.with_fault(Some(PlantedFault::SkipInvalidation));
                let long = Duration::from_secs(600);
                let run = run_in(&point(variant), Setup::default(), &device(), long, schedule);
                let sample = run.expect("the device holds what was written");
                assert!(sample.stale_reads > 0 && sample.elapsed < long);
            }
        }
    }

    /// Runs `run` while another process zeroes the whole device, again and again, because the place
    /// of a thread's blocks depends on how many threads there were before it.
    fn beside_zeros<R>(device: &Device, run: impl FnOnce() -> R) -> R {
        let ended = AtomicBool::new(false);
        std::thread::scope(|s| {
            s.spawn(|| {
                while !ended.load(Relaxed) {
                    device.zero(0, device.size());
                }
            });
            let result = run();
            ended.store(true, Relaxed);
            result
        })
    }

    #[test]
    fn zeros_from_outside_are_not_the_variants_fault() {
        let coherent = [Variant::Linux412, Variant::Rwsem, Variant::RangeLock].map(|v| (FaultVsWrite, v));
        let others = [Variant::Linux411, Variant::InvalidateTwice].map(|v| (ReadMostly, v));
        for (workload, variant) in coherent.into_iter().chain(others) {
            let (device, point) = (device(), Point { workload, ..point(variant) });
            let long = Duration::from_secs(600);
            let run = beside_zeros(&device, || run_with(&point, Setup::default(), &device, long));
            // A sample is a page of numbers, so it is not printed.
            let error = run.map(drop).expect_err("the device lacks what was written");
            assert!(matches!(error, WorkloadError::DataLost { .. }), "{workload} in {variant}: {error}");
        }
    }

    /// Where reads may be stale the run goes on, and the next write repairs the page. So the zeros
    /// are found only if they come last.
    #[test]
    fn zeros_from_outside_are_found_at_the_end_of_a_sample_that_may_have_stale_reads() {
        for variant in [Variant::Linux411, Variant::InvalidateTwice] {
            let (device, point) = (device(), point(variant));
            let short = Duration::from_micros(100);
            let error = beside_zeros(&device, || {
                (0..100_000).find_map(|_| run(&point, Setup::default(), &device, short).err())
            });
            assert!(matches!(error, Some(WorkloadError::DataLost { .. })), "{variant}: {error:?}");
        }
    }

    /// The zero page that a stale fault installs is no block, so no write is lost.
    #[test]
    fn stale_reads_of_a_variant_are_blamed_on_no_other_process() {
        for variant in [Variant::Linux411, Variant::InvalidateTwice] {
            let (mut stale, mut runs) = (0, 0);
            while stale == 0 || runs < 20 {
                let schedule = Schedule::widen(2, Duration::from_micros(200));
                let length = Duration::from_millis(10);
                let run = run_in(&point(variant), Setup::default(), &device(), length, schedule);
                stale += run.expect("the device holds what was written").stale_reads;
                runs += 1;
                assert!(runs < 10_000, "{variant} has no stale reads");
            }
        }
    }

    /// Without a lock the run's own calls may have lost what the device lacks.
    #[test]
    fn where_a_lock_is_none_no_other_process_is_blamed() {
        let none = Some(LockKind::None);
        for locks in [Locks { i_rwsem: none, i_mmap_sem: None }, Locks { i_rwsem: None, i_mmap_sem: none }] {
            for workload in [FaultVsWrite, ReadMostly] {
                let (device, point) = (device(), Point { workload, ..point(Variant::Linux412) });
                let setup = Setup { locks, ..Setup::default() };
                let short = Duration::from_millis(5);
                let stale = beside_zeros(&device, || {
                    (0..10_000).any(|_| {
                        let run = run_with(&point, setup, &device, short);
                        run.expect("no write is promised to be kept").stale_reads > 0
                    })
                });
                assert!(stale, "the zeros are never read");
            }
        }
    }
}
