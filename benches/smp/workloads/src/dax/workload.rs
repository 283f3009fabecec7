//! The workloads of dax-sim: what the threads do, one operation at a time.

use dax_sim::check::{Covers, Register};
use dax_sim::file::{File, Mapping};
use dax_sim::pmem::BLOCK_SIZE;

use smp_machine::work;

use super::judge::{Judge, LINGER};
use crate::random::Random;

/// What the threads do. Each thread is a process with a mapping of its own, unless stated
/// otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Workload {
    /// Stores to pages of the thread's own part of one file that have no block yet: each store is a
    /// write fault that allocates. FxMark's DWAL, by a mapping in place of write(2).
    NewPages,
    /// The same, and the thread punches its part when it has filled 16 pages of it. FxMark's DWTL,
    /// by a mapping.
    NewPagesPunched,
    /// The same as `NewPages` by MAP_SYNC: each fault ends with a commit of the journal.
    MapSync,
    /// Stores to pages that have blocks and no translation: write faults that allocate nothing. The
    /// thread first drops the translation of its page.
    Refaults,
    /// The same in pages of 2 MiB.
    HugeRefaults,
    /// Each operation writes a page into a hole of the thread's own part by write(2), drops the
    /// translation of a random page of the file and loads from it: read faults beside allocating
    /// writes. All threads are of one process, with one mapping. A part is punched whole when it is
    /// full.
    ReadFaults,
    /// Overwrites random pages of one file by write(2), and loads four words of random pages
    /// through a mapping beside each: FxMark's DWOM with loads.
    Overwrites,
    /// Stores to random mapped pages of the thread's own part: no lock at all.
    Stores,
    /// Stores to random pages of one file, most of them mapped. One operation in 64 first punches
    /// four pages. All threads are of one process.
    NowAndThen,
    /// Overwrites random pages of the thread's own part by write(2), as in `compare`.
    WriteDisjoint,
    /// Overwrites random pages of one file by write(2), as in `compare`.
    WriteShared,
    /// Reads random pages of one file by read(2). 5 % are overwrites, as in `compare`.
    ReadMostly,
}

impl Workload {
    /// All workloads.
    pub const ALL: [Workload; 12] = [
        Workload::NewPages,
        Workload::NewPagesPunched,
        Workload::MapSync,
        Workload::Refaults,
        Workload::HugeRefaults,
        Workload::ReadFaults,
        Workload::Overwrites,
        Workload::Stores,
        Workload::NowAndThen,
        Workload::WriteDisjoint,
        Workload::WriteShared,
        Workload::ReadMostly,
    ];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        self.text().0
    }

    /// A description in one line.
    pub fn what(self) -> &'static str {
        self.text().1
    }

    fn text(self) -> (&'static str, &'static str) {
        match self {
            Workload::NewPages => {
                ("new-pages", "write faults of new pages, own parts of one file (DWAL, mapped)")
            }
            Workload::NewPagesPunched => {
                ("new-pages-punched", "the same, and each punches its 16 pages (DWTL, mapped)")
            }
            Workload::MapSync => ("map-sync", "the same by MAP_SYNC: a commit for each fault"),
            Workload::Refaults => ("refaults", "write faults of pages that have blocks"),
            Workload::HugeRefaults => ("huge-refaults", "the same in pages of 2 MiB"),
            Workload::ReadFaults => {
                ("read-faults", "a write(2) into a hole and a read fault of a random page, in turn")
            }
            Workload::Overwrites => {
                ("overwrites", "write(2) of random pages of one file (DWOM), 4 mapped loads beside each")
            }
            Workload::Stores => ("stores", "stores to mapped pages: the ceiling"),
            Workload::NowAndThen => ("now-and-then", "stores to random pages, one in 64 punches four pages"),
            Workload::WriteDisjoint => {
                ("write-disjoint", "write(2) of random pages of own parts, as in compare")
            }
            Workload::WriteShared => ("write-shared", "write(2) of random pages of one file, as in compare"),
            Workload::ReadMostly => ("read-mostly", "read(2) of random pages, 5 % write(2), as in compare"),
        }
    }

    /// Whether pages are used up. Then the run ends when a thread has none left.
    pub(super) fn uses_up(self) -> bool {
        matches!(self, Workload::NewPages | Workload::MapSync)
    }

    /// Whether all threads use one mapping.
    pub(super) fn has_one_mapping(self) -> bool {
        matches!(
            self,
            Workload::ReadFaults
                | Workload::NowAndThen
                | Workload::WriteDisjoint
                | Workload::WriteShared
                | Workload::ReadMostly
        )
    }

    /// Whether a mapping covers the whole file.
    pub(super) fn maps_all(self) -> bool {
        self.has_one_mapping() || self == Workload::Overwrites
    }

    /// Whether all pages have blocks before the run.
    pub(super) fn is_filled(self) -> bool {
        !matches!(
            self,
            Workload::NewPages | Workload::NewPagesPunched | Workload::MapSync | Workload::ReadFaults
        )
    }

    pub(super) fn is_huge(self) -> bool {
        self == Workload::HugeRefaults
    }

    pub(super) fn is_sync(self) -> bool {
        self == Workload::MapSync
    }

    /// The number of pages of a thread's own part, with `threads` threads.
    pub(super) fn part(self, threads: usize) -> u64 {
        let threads = threads as u64;
        match self {
            Workload::NewPages => (MOST_PAGES / threads).min(4096),
            Workload::MapSync => (MOST_PAGES / 4 / threads).min(1024),
            Workload::NewPagesPunched | Workload::ReadFaults => 16,
            Workload::Refaults | Workload::Stores => 64,
            Workload::HugeRefaults => HUGE * (MOST_PAGES / HUGE / threads).clamp(1, 8),
            Workload::WriteDisjoint => (SHARED_PAGES * 2 / threads).min(256),
            Workload::Overwrites | Workload::NowAndThen | Workload::WriteShared | Workload::ReadMostly => {
                (SHARED_PAGES / threads).max(16)
            }
        }
    }
}

/// The number of pages of the largest file: 256 MiB.
const MOST_PAGES: u64 = 65_536;
/// The number of pages of a file that all threads share.
const SHARED_PAGES: u64 = 4096;
/// The number of pages in 2 MiB.
pub(super) const HUGE: u64 = 512;
/// After how many pages a thread punches its own.
const FILLED: u64 = 16;

/// What one thread works on.
pub(super) struct Thread<'a> {
    pub(super) workload: Workload,
    pub(super) file: &'a File<'a>,
    pub(super) mapping: &'a Mapping<'a>,
    /// The first page of its part, and the number of pages of the part.
    pub(super) first: u64,
    pub(super) part: u64,
    /// The number of pages of the file.
    pub(super) pages: u64,
    /// The number of operations so far.
    pub(super) done: u64,
    pub(super) buffer: Vec<u8>,
    pub(super) random: Random,
    /// Judges the loads of `ReadFaults`.
    pub(super) judge: Option<&'a Judge>,
}

fn offset(page: u64) -> u64 {
    page * BLOCK_SIZE
}

impl Thread<'_> {
    /// Does one operation. Returns `false` if the thread has no page left.
    #[inline]
    pub(super) fn act(&mut self) -> bool {
        let n = self.done;
        self.done += 1;
        match self.workload {
            Workload::NewPages | Workload::MapSync => {
                if n == self.part {
                    return false;
                }
                self.store(self.first + n);
            }
            Workload::NewPagesPunched => {
                self.store(self.first + n % FILLED);
                if n % FILLED == FILLED - 1 {
                    self.punch(self.first, FILLED);
                }
            }
            Workload::Refaults => {
                let page = self.own();
                self.forget(page, 1);
                self.store(page);
            }
            Workload::HugeRefaults => {
                let page = self.own() / HUGE * HUGE;
                self.forget(page, HUGE);
                self.store(page);
            }
            Workload::ReadFaults => {
                let page = self.any();
                match self.judge {
                    None => {
                        self.write(self.first + n % FILLED);
                        self.forget(page, 1);
                        self.load(page);
                    }
                    Some(judge) => return self.act_judged(judge, n, page),
                }
                if n % FILLED == FILLED - 1 {
                    self.punch(self.first, FILLED);
                }
            }
            Workload::Overwrites => {
                let page = self.any();
                self.write(page);
                for _ in 0..4 {
                    let page = self.any();
                    self.load(page);
                }
            }
            Workload::Stores => {
                let page = self.own();
                self.store(page);
            }
            Workload::NowAndThen => {
                if n % 64 == 63 {
                    let page = self.any().min(self.pages - 4);
                    self.punch(page, 4);
                }
                let page = self.any();
                self.store(page);
            }
            Workload::WriteDisjoint => {
                let page = self.own();
                self.write(page);
            }
            Workload::WriteShared => {
                let page = self.any();
                self.write(page);
            }
            Workload::ReadMostly => {
                let page = self.any();
                if self.random.below(100) < 5 { self.write(page) } else { self.read(page) }
            }
        }
        true
    }

    /// The same with a judge. After the load that faults the thread waits for as long as a write
    /// may linger, and loads again.
    fn act_judged(&mut self, judge: &Judge, n: u64, page: u64) -> bool {
        let own = self.first + n % FILLED;
        let write = judge.begin(own, Covers::Page, Some(&mut self.buffer));
        self.write(own);
        judge.end(own, write);
        self.forget(page, 1);
        let load = || {
            let word = self.mapping.load_u64(Register::Io.offset(page));
            word.expect("the page is mapped")
        };
        let mapped = judge.first_load(page, load);
        for _ in 0..3 {
            work(LINGER / 4);
            judge.load(&mapped, load);
        }
        if n % FILLED == FILLED - 1 {
            let pages = self.first..self.first + FILLED;
            let writes: Vec<_> =
                pages.map(|page| (page, judge.begin(page, Covers::PageWithZeros, None))).collect();
            self.punch(self.first, FILLED);
            writes.into_iter().for_each(|(page, write)| judge.end(page, write));
        }
        true
    }

    fn own(&mut self) -> u64 {
        self.first + self.random.below(self.part)
    }

    fn any(&mut self) -> u64 {
        self.random.below(self.pages)
    }

    fn store(&self, page: u64) {
        self.mapping.store_u64(offset(page), self.done).expect("the page is mapped, and there are blocks");
    }

    fn load(&self, page: u64) {
        let _: u64 = self.mapping.load_u64(offset(page)).expect("the page is mapped");
    }

    fn write(&self, page: u64) {
        self.file.write_at(&self.buffer, offset(page)).expect("there are blocks");
    }

    fn read(&mut self, page: u64) {
        self.file.read_at(&mut self.buffer, offset(page)).expect("it does not fail");
    }

    fn punch(&self, page: u64, pages: u64) {
        self.file.punch_hole(offset(page), offset(pages)).expect("it does not fail");
    }

    fn forget(&self, page: u64, pages: u64) {
        self.mapping.dont_need(offset(page)..offset(page + pages));
    }
}
