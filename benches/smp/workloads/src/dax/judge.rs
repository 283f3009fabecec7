//! Judges whether reads see what they must. It takes no virtual time.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use dax_sim::check::{Covers, Oracle, Register, Verdict, Write, pattern};
use dax_sim::schedule::{Schedule, SchedulePoint};
use smp_machine::{NS, Ps, aside, thread, work};

use crate::random::Random;

/// How many loads were judged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Judged {
    /// How many loads were judged.
    pub loads: u64,
    /// How many of these could have been stale. The fault that mapped their page was under way
    /// while a write of the page was, and the write had returned before they began.
    pub exposed: u64,
    /// How many loads saw what had been overwritten before they began, or what no thread wrote
    /// there.
    pub stale: u64,
}

/// Judges what loads see.
pub(super) struct Judge {
    oracle: Oracle,
    /// For each page: how many writes have begun, and how many have ended.
    writes: Vec<[AtomicU32; 2]>,
    counts: [AtomicU64; 3],
}

/// The page of a translation that a thread has just made.
pub(super) struct Mapped {
    page: u64,
    /// How many writes of the page had begun, if any was under way meanwhile.
    exposed_to: Option<u32>,
}

impl Judge {
    pub(super) fn new(pages: u64) -> Self {
        let writes = (0..pages).map(|_| Default::default()).collect();
        Judge { oracle: Oracle::new(pages), writes, counts: Default::default() }
    }

    fn writes(&self, page: u64) -> [u32; 2] {
        self.writes[page as usize].each_ref().map(|n| n.load(Relaxed))
    }

    /// Begins a write of a page, and fills its buffer.
    pub(super) fn begin(&self, page: u64, covers: Covers, buffer: Option<&mut [u8]>) -> Write {
        aside(|| {
            self.writes[page as usize][0].fetch_add(1, Relaxed);
            let write = self.oracle.begin(page, covers);
            if let Some(buffer) = buffer {
                pattern::fill(buffer, write.word());
            }
            write
        })
    }

    /// Ends the write.
    pub(super) fn end(&self, page: u64, write: Write) {
        aside(|| {
            self.oracle.end(write);
            self.writes[page as usize][1].fetch_add(1, Relaxed);
        });
    }

    /// Makes the first load of a page since its translation was dropped.
    pub(super) fn first_load(&self, page: u64, load: impl FnOnce() -> u64) -> Mapped {
        let (floor, [_, ended]) = aside(|| (self.oracle.floor(page, Register::Io), self.writes(page)));
        let seen = load();
        aside(|| {
            self.note(page, floor, seen, false);
            let [begun, _] = self.writes(page);
            Mapped { page, exposed_to: (begun != ended).then_some(begun) }
        })
    }

    /// Makes a later load.
    pub(super) fn load(&self, mapped: &Mapped, load: impl FnOnce() -> u64) {
        let page = mapped.page;
        let (floor, exposed) = aside(|| {
            let [_, ended] = self.writes(page);
            let exposed = mapped.exposed_to.is_some_and(|begun| ended.wrapping_sub(begun) as i32 >= 0);
            (self.oracle.floor(page, Register::Io), exposed)
        });
        let seen = load();
        aside(|| self.note(page, floor, seen, exposed));
    }

    fn note(&self, page: u64, floor: u32, seen: u64, exposed: bool) {
        let stale = self.oracle.judge(page, floor, seen) != Verdict::Good;
        for (count, n) in self.counts.iter().zip([true, exposed, stale]) {
            count.fetch_add(u64::from(n), Relaxed);
        }
    }

    pub(super) fn judged(&self) -> Judged {
        let [loads, exposed, stale] = self.counts.each_ref().map(|n| n.load(Relaxed));
        Judged { loads, exposed, stale }
    }
}

/// Draws how long a thread lingers.
struct Delays(Mutex<Vec<Random>>);

/// The longest delay.
pub(super) const LINGER: Ps = 20_000 * NS;

/// One in eight threads that pass between look-up and installation of a fault, or between the
/// publication of a block and its invalidation, lingers there for up to [`LINGER`]. The points are
/// the same in every variant, and the same as in `dax-sim compare`.
pub(super) fn lingering(seed: u64, threads: usize) -> Schedule {
    let delays = (0..threads).map(|thread| Random::with_seed(thread, seed ^ 0xD1A7)).collect();
    let delays = Delays(Mutex::new(delays));
    let schedule = Schedule::hook(move |point, _| {
        if !matches!(point, SchedulePoint::FaultLookedUp { .. } | SchedulePoint::WritePublished) {
            return;
        }
        let me = thread();
        let delay = aside(|| {
            let mut all = delays.0.lock().expect("no thread panics");
            let random = &mut all[me];
            if random.below(8) == 0 { (random.bits(24) * LINGER) >> 24 } else { 0 }
        });
        if delay != 0 {
            work(delay);
        }
    });
    schedule.with_checks(false)
}
