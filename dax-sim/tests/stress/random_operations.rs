//! Eight threads that do anything to one file.
//!
//! Every operation that changes a page tells the oracle what it is about to leave there, and every look at a
//! page is judged: by load, read(2), read(2) into a mapping, and through a clone. Sizes go up and down
//! meanwhile, so a page that lies past the end of the file counts as zeros, which is what it must read as if
//! it comes back. What moves pages is in `clones`; what cuts them, in `slots` and the tests against a model.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use dax_sim::check::{Covers, Oracle, Register, Verdict, Write, pattern};
use dax_sim::error::FsError;
use dax_sim::file::{File, Mapping};
use dax_sim::fs::FileSystem;
use dax_sim::pmem::BLOCK_SIZE;
use dax_sim::variant::Variant;
use fastrand::Rng;

use super::{correct, device, time, widened};

const THREADS: u64 = 8;
/// Few, so that threads meet.
const PAGES: u64 = 12;
const PAGE: usize = BLOCK_SIZE as usize;
/// Both registers.
const WORDS: usize = 16;

#[test]
fn eight_threads_do_anything_to_one_file_and_everything_seen_is_right() {
    for variant in correct() {
        let found = run(variant, time(), false);
        assert_eq!(found.first_wrong, None, "{variant}, after {} looks: {found:?}", found.looks);
        assert!(found.looks > 1000, "{variant}: {found:?}");
    }
}

/// The same run in a variant that has the races.
#[test]
fn the_same_run_finds_the_races_of_linux_4_11() {
    // A moment is nearly always enough; a machine that runs one thread at a time for long may need more.
    let found = run(Variant::Linux411, time().max(Duration::from_secs(30)), true);
    assert!(found.first_wrong.is_some(), "{found:?}");
}

#[test]
fn the_same_run_finds_that_nothing_is_serialised_and_loses_no_block() {
    let found = run(Variant::Unserialised, time().max(Duration::from_secs(30)), true);
    assert!(found.first_wrong.is_some(), "{found:?}");
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
fn run(variant: Variant, time: Duration, until_wrong: bool) -> Found {
    let device = device(4 << 20);
    let fs = widened(&device, variant);
    let found = {
        let shared = Shared {
            fs: &fs,
            file: fs.create(),
            aside: fs.create(),
            buffers: fs.create(),
            oracle: Oracle::new(PAGES),
            looks: AtomicU64::new(0),
            over: AtomicBool::new(false),
            first_wrong: Mutex::new(None),
        };
        shared.buffers.write_at(&vec![1; THREADS as usize * PAGE], 0).unwrap();
        let start = Instant::now();
        thread::scope(|s| {
            for thread in 0..THREADS {
                let shared = &shared;
                s.spawn(move || {
                    let mut worker = Worker::new(shared, thread);
                    while !shared.over.load(Relaxed) && start.elapsed() < time {
                        worker.step();
                        if until_wrong && shared.first_wrong.lock().unwrap().is_some() {
                            shared.over.store(true, Relaxed);
                        }
                    }
                });
            }
        });
        shared.file.fsync().unwrap();
        let mut reader = Worker::new(&shared, THREADS);
        (0..PAGES).for_each(|page| {
            reader.load(page);
            reader.read(page);
        });
        drop(reader);
        Found { looks: shared.looks.into_inner(), first_wrong: shared.first_wrong.into_inner().unwrap() }
    };
    // Blocks that a commit must free first.
    fs.create().fsync().unwrap();
    assert_eq!((fs.free_blocks(), fs.shared_blocks()), (device.blocks(), 0), "{variant} has lost blocks");
    found
}

struct Shared<'a> {
    fs: &'a FileSystem<'a>,
    file: File<'a>,
    /// Pages of the file are cloned to where they are in it, so all that it may hold is theirs.
    aside: File<'a>,
    /// A page for each thread, whose mapping is the buffer of its reads and writes.
    buffers: File<'a>,
    oracle: Oracle,
    looks: AtomicU64,
    over: AtomicBool,
    first_wrong: Mutex<Option<String>>,
}

struct Worker<'a> {
    shared: &'a Shared<'a>,
    thread: u64,
    random: Rng,
    mapping: Mapping<'a>,
    buffer: Mapping<'a>,
}

impl<'a> Worker<'a> {
    fn new(shared: &'a Shared<'a>, thread: u64) -> Self {
        let own = thread % THREADS * BLOCK_SIZE;
        Self {
            shared,
            thread,
            random: Rng::with_seed(thread),
            mapping: shared.file.mmap(0..PAGES * BLOCK_SIZE),
            buffer: shared.buffers.mmap(own..own + BLOCK_SIZE),
        }
    }

    fn step(&mut self) {
        let Shared { file, aside, .. } = self.shared;
        let page = self.random.u64(..PAGES);
        let (at, pages) = (page * BLOCK_SIZE, self.random.u64(1..=(PAGES - page).min(3)));
        let len = pages * BLOCK_SIZE;
        match self.random.u8(..100) {
            0..18 => self.write(page, pages),
            18..22 => self.write_from_a_mapping(page),
            22..34 => self.store(page),
            34..58 => self.load(page),
            58..68 => self.read(page),
            68..71 => self.read_into_a_mapping(page),
            71..77 => self.zero(page, pages, || file.punch_hole(at, len)),
            77..80 => self.zero(page, pages, || file.zero_range(at, len)),
            80..84 => self.truncate(page),
            84..86 => file.fallocate(at, len).unwrap(),
            86..87 => file.fallocate_keep_size(at, len).unwrap(),
            87..89 => file.fsync().unwrap(),
            89..93 => self.mapping.dont_need(at..at + len),
            // These find the file too short now and then.
            93..95 => drop(aside.clone_range(file, at, at, len)),
            95..96 => drop(file.dedupe_range(aside, at, at, len)),
            96..97 => drop(file.unshare_range(at, len)),
            97..99 => self.read_aside(page),
            _ => self.mapping = file.mmap(0..PAGES * BLOCK_SIZE),
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
        let written = self.shared.file.write_at(&bytes, page * BLOCK_SIZE);
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
        let written = self.shared.file.write_vectored_at(&[buffer], page * BLOCK_SIZE);
        self.end(vec![write], written.map(|written| written == WORDS));
    }

    fn store(&mut self, page: u64) {
        let store = self.begin(page, Covers::StoredWord);
        let stored = self.mapping.store_u64(Register::Stored.offset(page), store.word());
        self.end(vec![store], stored.map(|()| true));
    }

    /// Of whole pages, be they in the file or not.
    fn zero(&mut self, page: u64, pages: u64, act: impl FnOnce() -> Result<(), FsError>) {
        let writes = (page..page + pages).map(|page| self.begin(page, Covers::PageWithZeros)).collect();
        let zeroed = act();
        self.end(writes, zeroed.map(|()| true));
    }

    /// To the start of a page, or to somewhere behind its registers: what lies behind is zeros from then on.
    fn truncate(&mut self, page: u64) {
        let part = if self.random.bool() { 0 } else { self.random.u64(WORDS as u64..BLOCK_SIZE) };
        let size = page * BLOCK_SIZE + part;
        let first = size.div_ceil(BLOCK_SIZE);
        let file = &self.shared.file;
        self.zero(first, PAGES - first, || file.truncate(size));
    }

    fn load(&mut self, page: u64) {
        for register in [Register::Io, Register::Stored] {
            let load = || or_past_the_end(self.mapping.load_u64(register.offset(page)));
            self.look("load", page, register, load);
        }
    }

    fn read(&mut self, page: u64) {
        for register in [Register::Io, Register::Stored] {
            self.look("read(2)", page, register, || word_of(&self.shared.file, register.offset(page)));
        }
    }

    fn read_into_a_mapping(&mut self, page: u64) {
        let own = self.thread % THREADS * BLOCK_SIZE;
        for register in [Register::Io, Register::Stored] {
            let place = own + self.random.u64(2..512) * 8;
            self.look("read(2) into a mapping", page, register, || {
                let buffer = self.buffer.buffer(place..place + 8)?;
                match self.shared.file.read_vectored_at(&[buffer], register.offset(page))? {
                    0 => Ok(0),
                    _ => self.buffer.load_u64(place),
                }
            });
        }
    }

    /// A clone may be as old as it likes, but holds nothing of another page.
    fn read_aside(&mut self, page: u64) {
        let word = word_of(&self.shared.aside, page * BLOCK_SIZE).unwrap();
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
            let mut first = self.shared.first_wrong.lock().unwrap();
            first.get_or_insert_with(|| format!("{verdict:?}: {how} of {register:?} of page {page}"));
        }
    }
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
