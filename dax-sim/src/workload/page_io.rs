//! read(2) and write(2) of whole pages of one file: `write-disjoint`, `write-shared` and
//! `read-mostly`.
//!
//! All pages are written before the clock starts, so every write is an overwrite. Reads are judged
//! at once. What the writers left is read back and judged at the end.

use std::time::Duration;

use super::judge::Judge;
use super::runner::{self, Manner, Record};
use super::{PAGES_PER_THREAD, Point, SHARED_PAGES, Sample, Setup, Workload, WorkloadError};
use crate::check::{Covers, Oracle, Register, Verdict, pattern};
use crate::error::FsError;
use crate::file::File;
use crate::fs::FileSystem;
use crate::pmem::{BLOCK_SIZE, Device};
use crate::schedule::Schedule;

const PAGE: usize = BLOCK_SIZE as usize;
/// How many of a hundred operations of `read-mostly` write.
const WRITES_PERCENT: u8 = 5;

pub(super) fn run(
    point: &Point,
    setup: Setup,
    device: &Device,
    duration: Duration,
) -> Result<Sample, WorkloadError> {
    let Point { workload, variant, threads, media } = *point;
    let fs = FileSystem::format(device, variant).with_locks(setup.locks).with_media(media);
    let fs = fs.with_schedule(setup.checked(variant, Schedule::none()));
    let pages = match workload {
        Workload::WriteDisjoint => threads as u64 * PAGES_PER_THREAD,
        _ => SHARED_PAGES.min(device.blocks()),
    };
    let file = fs.create();
    let judge = Judge::new(pages, setup.checks);
    fill(&file, &judge, pages)?;
    let start = |index: usize| Thread {
        pages: match workload {
            Workload::WriteDisjoint => index as u64 * PAGES_PER_THREAD..(index as u64 + 1) * PAGES_PER_THREAD,
            _ => 0..pages,
        },
        buffer: vec![0; PAGE],
    };
    let body = |thread: &mut Thread, record: &mut Record| {
        let page = fastrand::u64(thread.pages.clone());
        if workload == Workload::ReadMostly && fastrand::u8(..100) >= WRITES_PERCENT {
            read(&file, &judge, page, &mut thread.buffer, record)
        } else {
            write(&file, &judge, page, &mut thread.buffer, record)
        }
    };
    // Without mappings, no read may be stale even in a variant that is not coherent.
    let manner = Manner { strict: setup.keeps_writes(variant), timed: setup.latency };
    let (mut sample, lost) = runner::run(threads, duration, manner, start, body)?;
    if let Some(oracle) = judge.oracle() {
        let (checked, stale) = read_back(&file, oracle, pages)?;
        sample.checked_reads += checked;
        sample.stale_reads += stale;
    }
    super::blame(point, setup, &sample, &judge, &file, pages, lost)?;
    Ok(sample)
}

struct Thread {
    pages: std::ops::Range<u64>,
    buffer: Vec<u8>,
}

fn write(
    file: &File<'_>,
    judge: &Judge,
    page: u64,
    buffer: &mut [u8],
    record: &mut Record,
) -> Result<(), FsError> {
    let write = judge.begin(page, Covers::Page);
    if let Some(write) = &write {
        pattern::fill(buffer, write.word());
    }
    record.begin();
    let result = file.write_at(buffer, page * BLOCK_SIZE);
    judge.end(write);
    record.op();
    result.map(|_| ())
}

fn read(
    file: &File<'_>,
    judge: &Judge,
    page: u64,
    buffer: &mut [u8],
    record: &mut Record,
) -> Result<(), FsError> {
    let floor = judge.floor(page, Register::Io);
    record.begin();
    file.read_at(buffer, page * BLOCK_SIZE)?;
    record.op();
    let verdict = floor.map(|(oracle, floor)| judge_page(oracle, page, floor, buffer));
    record.verdict(page, verdict, || judge.is_lost(file, page))
}

/// All words of a page must be of one write, and this write must not be an overwritten one.
fn judge_page(oracle: &Oracle, page: u64, floor: u32, bytes: &[u8]) -> Verdict {
    let first = pattern::word_at(bytes, 0);
    if pattern::is_uniform(bytes, Register::Stored.index()) && pattern::word_at(bytes, 1) == first {
        oracle.judge(page, floor, first)
    } else {
        Verdict::Foreign
    }
}

/// Fills a megabyte at a time, because each write takes the medium's time.
fn fill(file: &File<'_>, judge: &Judge, pages: u64) -> Result<(), FsError> {
    for (first, last) in megabytes(pages) {
        let writes: Vec<_> = (first..=last).map(|page| judge.begin(page, Covers::Page)).collect();
        let mut bytes = vec![0; writes.len() * PAGE];
        for (chunk, write) in bytes.chunks_exact_mut(PAGE).zip(&writes) {
            if let Some(write) = write {
                pattern::fill(chunk, write.word());
            }
        }
        let written = file.write_at(&bytes, first * BLOCK_SIZE)?;
        writes.into_iter().for_each(|write| judge.end(write));
        if written < bytes.len() {
            return Err(FsError::NoSpace);
        }
    }
    Ok(())
}

/// Returns how many pages were judged, and how many of them were wrong.
fn read_back(file: &File<'_>, oracle: &Oracle, pages: u64) -> Result<(u64, u64), FsError> {
    let mut wrong = 0;
    for (first, last) in megabytes(pages) {
        let mut bytes = vec![0; (last - first + 1) as usize * PAGE];
        file.read_at(&mut bytes, first * BLOCK_SIZE)?;
        for (chunk, page) in bytes.chunks_exact(PAGE).zip(first..) {
            let floor = oracle.floor(page, Register::Io);
            wrong += u64::from(judge_page(oracle, page, floor, chunk) != Verdict::Good);
        }
    }
    Ok((pages, wrong))
}

fn megabytes(pages: u64) -> impl Iterator<Item = (u64, u64)> {
    (0..pages)
        .step_by(PAGES_PER_THREAD as usize)
        .map(move |first| (first, pages.min(first + PAGES_PER_THREAD) - 1))
}
