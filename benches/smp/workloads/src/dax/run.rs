//! Runs a point: builds the file system, lets the threads work, and counts.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::Ordering::Relaxed;

use dax_sim::file::{AddressSpace, File, MapOptions, Mapping};
use dax_sim::fs::{self, FileSystem};
use dax_sim::pmem::{BLOCK_SIZE, Device, DeviceOptions};
use dax_sim::schedule::Schedule;
use smp_machine::{NS, Ps, Report, aside, now};

use super::judge::{Judge, Judged, lingering};
use super::workload::{HUGE, Thread};
use super::{Point, Workload};
use crate::Outcome;
use crate::harness::Phases;
use crate::point::Failed;
use crate::random::Random;

/// The result of a run.
#[derive(Clone, Debug)]
pub struct Ran {
    /// What the threads did.
    pub outcome: Outcome,
    /// What the machine saw.
    pub report: Report,
    /// How long operations in the window waited for i_rwsem and i_mmap_sem: median, 99th percentile
    /// and longest. Most operations do not wait.
    pub waits: [Ps; 3],
    /// What the judge saw, if there was one.
    pub judged: Judged,
}

/// What one thread did in the window.
#[derive(Debug, Default)]
struct Stint {
    ops: u64,
    longest: Ps,
    /// Waits for locks.
    waits: Vec<Ps>,
}

struct World {
    workload: Workload,
    file: &'static File<'static>,
    mappings: Vec<Mapping<'static>>,
    part: u64,
    pages: u64,
    seed: u64,
    phases: Phases,
    stints: Mutex<Vec<Stint>>,
    judge: Option<Judge>,
}

/// Runs a point. What it builds is leaked: a process runs only one point.
///
/// # Errors
///
/// If the device cannot be opened, the run does not end, or a thread has used all pages of its own
/// before the window began.
pub fn run(point: &Point) -> Result<Ran, Failed> {
    let Point { workload, ref plan, ref machine, .. } = *point;
    let threads = machine.threads;
    let part = workload.part(threads);
    let pages = part * threads as u64;
    // Room for blocks that wait for a commit, and for those of a region that threads share.
    let size = (pages + pages / 4 + 8 * HUGE).next_multiple_of(HUGE) * BLOCK_SIZE;
    let options = DeviceOptions { path: None, size, overwrite: false };
    let device = Device::open(&options).map_err(|error| Failed::CannotRun(error.to_string()))?;
    let device: &'static Device = Box::leak(Box::new(device));
    let world = machine.setup(|| Arc::new(build(point, device, part, pages)));
    let (running, mut machine) = (Arc::clone(&world), machine.clone());
    machine.limits.virtual_time = machine.limits.virtual_time.min(plan.time_limit(1));
    let report = smp_machine::run(&machine, move |me| running.work(me)).map_err(Failed::Stuck)?;
    let Some(window) = world.phases.window() else {
        return Err(Failed::CannotRun("a thread has used all pages of its own before the window".to_owned()));
    };
    let (outcome, waits) = (world.outcome(window), world.waits());
    let judged = world.judge.as_ref().map_or_else(Judged::default, Judge::judged);
    // Nothing is torn down.
    std::mem::forget(world);
    Ok(Ran { outcome, report, waits, judged })
}

fn build(point: &Point, device: &'static Device, part: u64, pages: u64) -> World {
    let Point { variant, level, workload, ref plan, ref machine, judge } = *point;
    let fs = FileSystem::format(device, variant).with_locks(level.locks(variant));
    let fs = fs.with_schedule(match judge {
        true => lingering(machine.seed, machine.threads),
        false => Schedule::none().with_checks(false),
    });
    let fs = if workload.is_huge() { fs.with_huge_pages() } else { fs };
    let fs: &'static FileSystem<'static> = Box::leak(Box::new(fs));
    let file: &'static File<'static> = Box::leak(Box::new(fs.create()));
    file.truncate(pages * BLOCK_SIZE).expect("it is not too big");
    let options = MapOptions::new().huge_pages(workload.is_huge());
    let options = if workload.is_sync() { options.sync() } else { options };
    let map = |n: u64| {
        let range = if workload.maps_all() { 0..pages } else { n * part..(n + 1) * part };
        file.mmap_in(&AddressSpace::new(), range.start * BLOCK_SIZE..range.end * BLOCK_SIZE, options)
    };
    let mappings: Vec<Mapping<'static>> =
        (0..if workload.has_one_mapping() { 1 } else { machine.threads as u64 }).map(map).collect();
    if workload.is_filled() {
        let page = vec![7; BLOCK_SIZE as usize];
        for n in 0..pages {
            if workload.is_huge() {
                let mapping = &mappings[(n / part) as usize];
                if n % HUGE == 0 {
                    mapping.store_u64(n * BLOCK_SIZE, 1).expect("there are blocks");
                }
            } else {
                file.write_at(&page, n * BLOCK_SIZE).expect("there are blocks");
            }
        }
    }
    World {
        workload,
        file,
        mappings,
        part,
        pages,
        seed: machine.seed,
        phases: Phases::new(plan.within(workload.uses_up().then_some(pages))),
        stints: Mutex::default(),
        judge: judge.then(|| Judge::new(pages)),
    }
}

impl World {
    fn work(&self, me: usize) {
        let mut thread = Thread {
            workload: self.workload,
            file: self.file,
            mapping: &self.mappings[me % self.mappings.len()],
            first: me as u64 * self.part,
            part: self.part,
            pages: self.pages,
            done: 0,
            buffer: vec![me as u8; BLOCK_SIZE as usize],
            random: Random::with_seed(me, self.seed),
            judge: self.judge.as_ref(),
        };
        let mut stint = Stint::default();
        let mut from = now();
        loop {
            let goes_on = thread.act();
            let at = now();
            if !aside(|| self.lap(&mut stint, from, at, goes_on)) {
                break;
            }
            from = at;
        }
        aside(|| self.stints.lock().expect("no thread panics").push(stint));
        std::mem::forget(thread.buffer);
    }

    /// Records an operation. Returns whether the thread goes on.
    fn lap(&self, stint: &mut Stint, from: Ps, at: Ps, goes_on: bool) -> bool {
        let phases = &self.phases;
        let waited = fs::waited().as_nanos() as Ps * NS;
        if !goes_on {
            phases.stop(at);
            return false;
        }
        if at >= phases.start.load(Relaxed) && from < phases.end.load(Relaxed) {
            stint.longest = stint.longest.max(at - from);
        }
        if at >= phases.start.load(Relaxed) && at < phases.end.load(Relaxed) {
            stint.ops += 1;
            stint.waits.push(waited);
        }
        phases.note(at, 1);
        at < phases.end.load(Relaxed)
    }

    fn waits(&self) -> [Ps; 3] {
        let stints = self.stints.lock().expect("no thread panics");
        let mut waits: Vec<Ps> = stints.iter().flat_map(|stint| stint.waits.iter().copied()).collect();
        waits.sort_unstable();
        let part = |percent: usize| {
            let at = (waits.len() * percent / 100).min(waits.len().saturating_sub(1));
            waits.get(at).copied().unwrap_or(0)
        };
        [part(50), part(99), part(100)]
    }

    fn outcome(&self, window: Ps) -> Outcome {
        let stints = self.stints.lock().expect("no thread panics");
        let phases = &self.phases;
        Outcome {
            window,
            ops: stints.iter().map(|stint| stint.ops).collect(),
            all_ops: phases.all_ops.load(Relaxed),
            longest_wait: stints.iter().map(|stint| stint.longest).max().unwrap_or(0),
            ..Outcome::default()
        }
    }
}
