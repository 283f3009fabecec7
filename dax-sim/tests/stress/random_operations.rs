//! Eight threads that do anything to one file.
//!
//! Every operation that changes a page tells the oracle what it is about to leave there, and every
//! look at a page is judged: by load, read(2), read(2) into a mapping, and through a clone. Sizes
//! go up and down meanwhile, so a page that lies past the end of the file counts as zeros, which is
//! what it must read as if it comes back. What moves pages is in `clones`; what cuts them, in
//! `slots` and the tests against a model.
//!
//! Every now and then all of them stop, and the invariants are checked: what entries, translations,
//! the block map and the allocator say of each other.
//!
//! In one kind of file the pages are its first ones. In the other they lie on both sides of a
//! border between two parts of 2 MiB. These parts are filled, punched and mapped in one piece now
//! and then, and freed blocks wait for a commit.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use dax_sim::check::{Covers, Oracle, Register, Verdict, Write, check_invariants, pattern};
use dax_sim::error::FsError;
use dax_sim::file::{AddressSpace, File, MapOptions, Mapping};
use dax_sim::fs::{DataMode, FileSystem};
use dax_sim::pmem::BLOCK_SIZE;
use dax_sim::schedule::PlantedFault;
use dax_sim::variant::{LockKind, Locks, Mix, Variant};
use fastrand::Rng;

use super::{correct, device, schedule, time};

const THREADS: u64 = 8;
/// Few, so that threads meet.
const PAGES: u64 = 12;
const PAGE: usize = BLOCK_SIZE as usize;
/// Between two looks at the invariants.
const BURST: Duration = Duration::from_millis(50);
/// Both registers.
const WORDS: usize = 16;

/// What file it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Small,
    Huge,
}

impl Kind {
    const HUGE: u64 = 2 << 20;

    /// Where the pages begin.
    fn base(self) -> u64 {
        match self {
            Kind::Small => 0,
            Kind::Huge => Self::HUGE - PAGES / 2 * BLOCK_SIZE,
        }
    }

    /// One past what is mapped.
    fn end(self) -> u64 {
        match self {
            Kind::Small => PAGES * BLOCK_SIZE,
            Kind::Huge => 2 * Self::HUGE,
        }
    }
}

#[test]
fn eight_threads_do_anything_to_one_file_and_everything_seen_is_right() {
    finds_nothing(Kind::Small);
}

#[test]
fn the_same_with_2_mib_pages_and_blocks_that_a_commit_frees() {
    finds_nothing(Kind::Huge);
}

/// In each correct variant, with the other kind of lock at one level, and at both.
#[test]
fn the_same_with_other_locks_than_the_variants_own() {
    for variant in correct() {
        let other = |own| if own == LockKind::Rwsem { LockKind::RangeLock } else { LockKind::Rwsem };
        let rules = variant.rules();
        let (i_rwsem, i_mmap_sem) = (Some(other(rules.i_rwsem)), Some(other(rules.i_mmap_sem)));
        for (i_rwsem, i_mmap_sem) in [(i_rwsem, None), (None, i_mmap_sem), (i_rwsem, i_mmap_sem)] {
            let mix = Mix { variant, locks: Locks { i_rwsem, i_mmap_sem } };
            let found = run(mix, Kind::Small, None, time() / 6, false);
            assert_eq!(found.first_wrong, None, "{mix:?}, after {} looks", found.looks);
            assert!(found.looks > 10, "{mix:?}: {found:?}");
        }
    }
}

fn finds_nothing(kind: Kind) {
    for variant in correct() {
        let found = run(variant, kind, None, time(), false);
        assert_eq!(found.first_wrong, None, "{variant}, after {} looks", found.looks);
        assert!(found.looks > 100, "{variant}: {found:?}");
    }
}

/// The same run in variants that have the races, or that serialise nothing, and with faults that
/// were planted.
#[test]
fn the_same_run_finds_what_is_wrong() {
    let planted = [PlantedFault::SkipInvalidation, PlantedFault::SkipTlbFlush];
    let wrong =
        [Variant::Linux411, Variant::InvalidateTwice, Variant::Unserialised].map(|variant| (variant, None));
    for (variant, fault) in wrong.into_iter().chain(planted.map(|fault| (Variant::Linux412, Some(fault)))) {
        // A moment is nearly always enough; a machine that runs one thread at a time for long may
        // need more.
        let found = run(variant, Kind::Small, fault, time().max(Duration::from_secs(60)), true);
        assert!(found.first_wrong.is_some(), "{variant}, {fault:?}: nothing in {} looks", found.looks);
    }
}

/// What a run has shown.
#[derive(Debug)]
struct Found {
    /// How often what was seen was judged.
    looks: u64,
    /// The first wrong thing that was seen.
    first_wrong: Option<String>,
}

/// Until the time is over or, if asked, something wrong has been seen.
fn run(
    mix: impl Into<Mix>,
    kind: Kind,
    fault: Option<PlantedFault>,
    time: Duration,
    until_wrong: bool,
) -> Found {
    // A small device gives a block that was freed to another page soon.
    let device = device(if kind == Kind::Small { 1 << 20 } else { 16 << 20 });
    let Mix { variant, locks } = mix.into();
    let fs = FileSystem::format(&device, variant).with_locks(locks);
    let fs = fs.with_schedule(schedule().with_fault(fault));
    let fs = match kind {
        Kind::Small => fs,
        Kind::Huge => fs.with_huge_pages().with_data_mode(DataMode::Ordered),
    };
    let found = {
        let files = [fs.create(), fs.create(), fs.create()];
        let [file, aside, buffers] = &files;
        let shared = Shared {
            fs: &fs,
            kind,
            file,
            aside,
            buffers,
            oracle: Oracle::new(PAGES),
            looks: AtomicU64::new(0),
            first_wrong: Mutex::new(None),
        };
        shared.buffers.write_at(&vec![1; THREADS as usize * PAGE], 0).unwrap();
        let mut workers: Vec<_> = (0..THREADS).map(|thread| Worker::new(&shared, thread)).collect();
        let start = Instant::now();
        while start.elapsed() < time && !(until_wrong && shared.is_wrong()) {
            let burst = Instant::now();
            thread::scope(|s| {
                for worker in &mut workers {
                    s.spawn(|| {
                        while burst.elapsed() < BURST && !(until_wrong && worker.shared.is_wrong()) {
                            worker.step();
                        }
                    });
                }
            });
            for finding in check_invariants(&fs, &files) {
                shared.wrong(finding.to_string());
            }
        }
        shared.file.fsync().unwrap();
        let mut reader = Worker::new(&shared, THREADS);
        (0..PAGES).for_each(|page| {
            reader.load(page);
            reader.read(page);
        });
        drop((reader, workers));
        Found { looks: shared.looks.into_inner(), first_wrong: shared.first_wrong.into_inner().unwrap() }
    };
    assert_eq!((fs.free_blocks(), fs.shared_blocks()), (device.blocks(), 0), "{variant} has lost blocks");
    found
}

struct Shared<'a> {
    fs: &'a FileSystem<'a>,
    kind: Kind,
    file: &'a File<'a>,
    /// Pages of the file are cloned to where they are in it, so all that it may hold is theirs.
    aside: &'a File<'a>,
    /// A page for each thread, whose mapping is the buffer of its reads and writes.
    buffers: &'a File<'a>,
    oracle: Oracle,
    looks: AtomicU64,
    first_wrong: Mutex<Option<String>>,
}

impl Shared<'_> {
    fn wrong(&self, what: String) {
        self.first_wrong.lock().unwrap().get_or_insert(what);
    }

    fn is_wrong(&self) -> bool {
        self.first_wrong.lock().unwrap().is_some()
    }
}

struct Worker<'a> {
    shared: &'a Shared<'a>,
    thread: u64,
    random: Rng,
    /// Shared, for loads and stores.
    mapping: Mapping<'a>,
    /// Private, for loads only: it copies nothing, and so shows the file.
    private: Mapping<'a>,
    buffer: Mapping<'a>,
}

impl<'a> Worker<'a> {
    fn new(shared: &'a Shared<'a>, thread: u64) -> Self {
        let own = thread % THREADS * BLOCK_SIZE;
        Self {
            shared,
            thread,
            random: Rng::with_seed(thread),
            mapping: map(shared, MapOptions::new()),
            private: map(shared, MapOptions::new().private().read_only()),
            buffer: shared.buffers.mmap(own..own + BLOCK_SIZE),
        }
    }

    fn step(&mut self) {
        let Shared { file, aside, .. } = self.shared;
        let page = self.random.u64(..PAGES);
        let (at, pages) = (self.place(page), self.random.u64(1..=(PAGES - page).min(3)));
        let len = pages * BLOCK_SIZE;
        match self.random.u8(..100) {
            0..16 => self.write(page, pages),
            16..20 => self.write_from_a_mapping(page),
            20..31 => self.store(page),
            31..33 => self.write_by_dma(page),
            33..56 => self.load(page),
            56..66 => self.read(page),
            66..69 => self.read_into_a_mapping(page),
            69..75 => self.zero(page, pages, || file.punch_hole(at, len)),
            75..78 => self.zero(page, pages, || file.zero_range(at, len)),
            78..82 => self.truncate(page),
            82..84 => file.fallocate(at, len).unwrap(),
            84..85 => file.fallocate_keep_size(at, len).unwrap(),
            85..87 => file.fsync().unwrap(),
            87..88 => self.mapping.msync(at..at + len).unwrap(),
            88..92 => self.mapping.dont_need(at..at + len),
            // These find the file too short now and then.
            92..94 => drop(aside.clone_range(file, at, at, len)),
            94..95 => drop(file.dedupe_range(aside, at, at, len)),
            95..96 => drop(file.unshare_range(at, len)),
            96..98 => self.read_aside(page),
            98..99 => self.map_again(),
            _ => self.make_room_for_2_mib(),
        }
    }

    /// Where a page begins in the file.
    fn place(&self, page: u64) -> u64 {
        self.shared.kind.base() + page * BLOCK_SIZE
    }

    fn register(&self, register: Register, page: u64) -> u64 {
        self.shared.kind.base() + register.offset(page)
    }

    fn map_again(&mut self) {
        let options = MapOptions::new();
        let options = if self.random.bool() { options.sync() } else { options };
        self.mapping = map(self.shared, options);
        self.private = map(self.shared, MapOptions::new().private().read_only());
    }

    /// All pages become zeros and lie in blocks, or holes, of 2 MiB.
    fn make_room_for_2_mib(&mut self) {
        let Shared { file, kind, .. } = self.shared;
        if *kind == Kind::Huge {
            let blocks = self.random.bool();
            self.zero(0, PAGES, || {
                file.punch_hole(0, kind.end())?;
                if blocks { file.fallocate(0, kind.end()) } else { file.truncate(kind.end()) }
            });
        }
    }

    fn write(&mut self, page: u64, pages: u64) {
        let writes: Vec<_> = (page..page + pages).map(|page| self.begin(page, Covers::Page)).collect();
        let mut bytes = vec![0; pages as usize * PAGE];
        for (chunk, write) in bytes.chunks_exact_mut(PAGE).zip(&writes) {
            pattern::fill(chunk, write.word());
        }
        // Both registers of the last page, and perhaps no more of it.
        let cut = if self.random.bool() { 0 } else { self.random.usize(..=PAGE - WORDS) };
        bytes.truncate(bytes.len() - cut);
        let written = self.shared.file.write_at(&bytes, self.place(page));
        self.end(writes, written.map(|written| written == bytes.len()));
    }

    fn write_from_a_mapping(&mut self, page: u64) {
        let own = self.thread % THREADS * BLOCK_SIZE;
        let write = self.begin(page, Covers::Page);
        for word in 0..2 {
            self.buffer.store_u64(own + word * 8, write.word()).unwrap();
        }
        if self.random.bool() {
            self.buffer.dont_need(own..own + BLOCK_SIZE);
        }
        let buffer = self.buffer.buffer(own..own + WORDS as u64).unwrap();
        let written = self.shared.file.write_vectored_at(&[buffer], self.place(page));
        self.end(vec![write], written.map(|written| written == WORDS));
    }

    fn store(&mut self, page: u64) {
        let store = self.begin(page, Covers::StoredWord);
        let stored = self.mapping.store_u64(self.register(Register::Stored, page), store.word());
        self.end(vec![store], stored.map(|()| true));
    }

    /// A device stores to the page, which is pinned meanwhile.
    fn write_by_dma(&mut self, page: u64) {
        let store = self.begin(page, Covers::StoredWord);
        let at = self.register(Register::Stored, page);
        let stored = self.mapping.pin(at..at + 8, true).map(|pin| pin.write(0, &store.word().to_le_bytes()));
        self.end(vec![store], stored.map(|()| true));
    }

    /// Of whole pages, be they in the file or not.
    fn zero(&mut self, page: u64, pages: u64, act: impl FnOnce() -> Result<(), FsError>) {
        let writes = (page..page + pages).map(|page| self.begin(page, Covers::PageWithZeros)).collect();
        let zeroed = act();
        self.end(writes, zeroed.map(|()| true));
    }

    /// To the start of a page, or to somewhere behind its registers: what lies behind is zeros from
    /// then on.
    fn truncate(&mut self, page: u64) {
        let part = if self.random.bool() { 0 } else { self.random.u64(WORDS as u64..BLOCK_SIZE) };
        let size = self.place(page) + part;
        let first = if part == 0 { page } else { page + 1 };
        let file = self.shared.file;
        self.zero(first, PAGES - first, || file.truncate(size));
    }

    fn load(&mut self, page: u64) {
        let private = self.random.u8(..4) == 0;
        let (how, mapping) = if private { ("load, private", &self.private) } else { ("load", &self.mapping) };
        for register in [Register::Io, Register::Stored] {
            let load = || or_past_the_end(mapping.load_u64(self.register(register, page)));
            self.look(how, page, register, load);
        }
    }

    fn read(&mut self, page: u64) {
        for register in [Register::Io, Register::Stored] {
            self.look("read(2)", page, register, || word_of(self.shared.file, self.register(register, page)));
        }
    }

    fn read_into_a_mapping(&mut self, page: u64) {
        let own = self.thread % THREADS * BLOCK_SIZE;
        for register in [Register::Io, Register::Stored] {
            let place = own + self.random.u64(2..512) * 8;
            self.look("read(2) into a mapping", page, register, || {
                let buffer = self.buffer.buffer(place..place + 8)?;
                match self.shared.file.read_vectored_at(&[buffer], self.register(register, page))? {
                    0 => Ok(0),
                    _ => self.buffer.load_u64(place),
                }
            });
        }
    }

    /// A clone may be as old as it likes, but holds nothing of another page.
    fn read_aside(&mut self, page: u64) {
        let word = word_of(self.shared.aside, self.place(page)).unwrap();
        let verdict = self.shared.oracle.judge(page, 0, word);
        self.judged("read(2) of a clone", page, Register::Io, verdict);
    }

    fn begin(&self, page: u64, covers: Covers) -> Write {
        self.shared.oracle.begin(page, covers)
    }

    /// An operation has returned; whether it did all that it was to do.
    fn end(&self, writes: Vec<Write>, done: Result<bool, FsError>) {
        for write in writes {
            match done {
                Ok(true) => self.shared.oracle.end(write),
                // Past the end of the file there is nothing to store to.
                Ok(false) | Err(FsError::BusError { .. }) => self.shared.oracle.fail(write),
                Err(e) => panic!("{}: {write:?}: {e}", self.shared.fs.variant()),
            }
        }
    }

    fn look(&self, how: &str, page: u64, register: Register, look: impl FnOnce() -> Result<u64, FsError>) {
        let verdict = self.shared.oracle.check(page, register, look).unwrap();
        self.judged(how, page, register, verdict);
    }

    fn judged(&self, how: &str, page: u64, register: Register, verdict: Verdict) {
        self.shared.looks.fetch_add(1, Relaxed);
        if verdict != Verdict::Good {
            self.shared.wrong(format!("{verdict:?}: {how} of {register:?} of page {page}"));
        }
    }
}

fn map<'a>(shared: &'a Shared<'a>, options: MapOptions) -> Mapping<'a> {
    shared.file.mmap_in(&AddressSpace::new(), 0..shared.kind.end(), options)
}

fn or_past_the_end(loaded: Result<u64, FsError>) -> Result<u64, FsError> {
    match loaded {
        Err(FsError::BusError { .. }) => Ok(0),
        loaded => loaded,
    }
}

/// A word of the file by read(2); zeros past its end.
fn word_of(file: &File<'_>, offset: u64) -> Result<u64, FsError> {
    let mut word = [0; 8];
    file.read_at(&mut word, offset)?;
    Ok(u64::from_le_bytes(word))
}
