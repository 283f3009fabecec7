//! The files and mappings of a scenario, and what an operation does to them and to their history.

use std::cell::{Cell, RefCell};

use super::letter;
use super::scenario::{Op, Scenario};
use crate::check::history::{Effect, Event, History, OF_FILE, Owner, Word};
use crate::check::{Committed, Finding, Invariant, check_invariants};
use crate::error::FsError;
use crate::file::{File, Mapping};
use crate::fs::FileSystem;
use crate::pmem::BLOCK_SIZE;
use crate::schedule::SchedulePoint;
use std::ops::Range;

/// What the threads of one schedule share.
pub(super) struct World<'w> {
    pub(super) scenario: &'static Scenario,
    pub(super) fs: &'w FileSystem<'w>,
    pub(super) files: &'w [File<'w>],
    pub(super) maps: &'w [Mapping<'w>],
    history: RefCell<History>,
    /// By file.
    committed: RefCell<Vec<Committed>>,
    /// Operations that are under way.
    active: Cell<usize>,
    findings: RefCell<Vec<Finding>>,
    /// What threads say of their operations, where somebody listens.
    notes: Option<RefCell<Vec<String>>>,
}

impl<'w> World<'w> {
    pub(super) fn new(
        scenario: &'static Scenario,
        fs: &'w FileSystem<'w>,
        files: &'w [File<'w>],
        maps: &'w [Mapping<'w>],
        talks: bool,
    ) -> Self {
        let mut history = History::default();
        let ops = || {
            scenario.setup.iter().chain(scenario.threads.iter().copied().flatten()).chain(scenario.finally)
        };
        for op in ops() {
            let mapped = op.mapped_words().map(|(map, at, words)| (scenario.maps[map].file, at, words));
            for (file, at, words) in op.words().into_iter().chain(mapped) {
                for offset in (at..at + words * 8).step_by(8) {
                    history.watch(Word::of_file(file, offset), 0);
                }
            }
            if let Some((map, at, words)) = op.mapped_words().filter(|(map, ..)| scenario.maps[*map].private)
            {
                for offset in (at..at + words * 8).step_by(8) {
                    history.watch(Word { owner: Owner::Mapping(map), offset }, OF_FILE);
                }
            }
        }
        Self {
            scenario,
            fs,
            files,
            maps,
            history: RefCell::new(history),
            committed: RefCell::new(vec![Committed::default(); files.len()]),
            active: Cell::new(0),
            findings: RefCell::default(),
            notes: talks.then(RefCell::default),
        }
    }

    /// Does operation `number` of a thread; `None` for what comes before and after all threads.
    pub(super) fn perform(&self, thread: Option<usize>, number: usize, op: Op) {
        self.note(|| op.to_string());
        let value = self.value(thread, number);
        let call = Call { world: self, who: who(thread, op), start: self.history.borrow_mut().tick() };
        self.active.set(self.active.get() + 1);
        let said = call.perform(op, value);
        self.active.set(self.active.get() - 1);
        self.note(|| said.unwrap_or_else(|error| format!("fails: {error}")));
        if self.active.get() == 0 {
            self.findings.borrow_mut().extend(check_invariants(self.fs, self.files));
        }
    }

    /// A value that nothing else writes; its letter and number are those of the operation.
    fn value(&self, thread: Option<usize>, number: usize) -> u64 {
        let thread = thread.map_or(1, |thread| 0xa + thread as u64);
        thread << 4 | (number as u64 + 1)
    }

    /// The pages of a file that somebody names.
    pub(super) fn pages(&self, file: usize) -> Vec<u64> {
        let words = self.history.borrow().watched(Owner::File(file), ALL);
        let mut pages: Vec<u64> = words.iter().map(|word| word.offset / BLOCK_SIZE).collect();
        pages.dedup();
        pages
    }

    /// A commit is about to end: what its transaction knows of, and nothing else, is durable as it
    /// is now.
    pub(super) fn commit(&self) {
        for (file, committed) in self.files.iter().zip(self.committed.borrow_mut().iter_mut()) {
            if file.inode().is_datasync_dirty(&self.fs.journal) {
                *committed = Committed::now(file.inode());
            }
        }
    }

    fn note(&self, text: impl FnOnce() -> String) {
        if let Some(notes) = &self.notes {
            let text = text();
            if !text.is_empty() {
                notes.borrow_mut().push(text);
            }
        }
    }

    /// What was said since this was asked last.
    pub(super) fn notes(&self) -> Vec<String> {
        self.notes.as_ref().map(RefCell::take).unwrap_or_default()
    }

    /// All that is wrong. Coherence is not judged where somebody did not come to an end.
    pub(super) fn findings(&self, complete: bool) -> Vec<Finding> {
        let mut findings = self.findings.take();
        if complete {
            findings.extend(self.history.borrow().judge());
        }
        findings
    }
}

fn who(thread: Option<usize>, op: Op) -> String {
    let call = match op {
        Op::Write { .. } | Op::WriteFrom { .. } => "write(2)",
        Op::Read { .. } | Op::ReadInto { .. } => "read(2)",
        Op::Load { .. } => "load",
        Op::Store { .. } => "store",
        Op::DirectWrite { .. } => "direct write",
        Op::Fsync { .. } => "fsync",
        Op::Truncate { .. } => "truncate",
        Op::Punch { .. } => "punch",
        _ => "call",
    };
    match thread {
        Some(thread) => format!("{}'s {call}", letter(thread)),
        None => format!("the last {call}"),
    }
}

/// An operation that is under way.
struct Call<'a, 'w> {
    world: &'a World<'w>,
    who: String,
    start: u32,
}

/// All bytes.
const ALL: Range<u64> = 0..u64::MAX;

impl Call<'_, '_> {
    /// What it returns, in words; nothing to say of most.
    fn perform(&self, op: Op, value: u64) -> Result<String, FsError> {
        let World { files, maps, scenario, .. } = self.world;
        let bytes = |page: u64, pages: u64| page * BLOCK_SIZE..(page + pages) * BLOCK_SIZE;
        match op {
            Op::Write { file, at, words } => {
                let size = files[file].size();
                let data = value.to_le_bytes().repeat(words as usize);
                let len = files[file].write_at(&data, at)? as u64;
                self.zeroed(file, size..at);
                self.wrote(Owner::File(file), at..at + len, |_| Effect::Write(value));
                Ok(format!("returns, {value:#x} written"))
            }
            Op::WriteFrom { file, at, words, map, from } => {
                let size = files[file].size();
                let buffer = maps[map].buffer(from..from + words * 8)?;
                let len = files[file].write_vectored_at(&[buffer], at)? as u64;
                let source = scenario.maps[map].file;
                self.zeroed(file, size..at);
                self.wrote(Owner::File(file), at..at + len, |offset| {
                    Effect::Copy(Word::of_file(source, offset - at + from))
                });
                Ok(format!("returns {len}"))
            }
            Op::Read { file, at, words } => {
                let mut data = vec![0; words as usize * 8];
                let len = files[file].read_at(&mut data, at)?;
                let seen: Vec<u64> = data[..len].chunks_exact(8).map(word_of).collect();
                for (index, &seen) in seen.iter().enumerate() {
                    self.did(Word::of_file(file, at + index as u64 * 8), Effect::Read(seen));
                }
                let seen: Vec<String> = seen.iter().map(|seen| format!("{seen:#x}")).collect();
                Ok(format!("sees {}", seen.join(" ")))
            }
            Op::ReadInto { file, at, words, map, to } => {
                let buffer = maps[map].buffer(to..to + words * 8)?;
                let len = files[file].read_vectored_at(&[buffer], at)? as u64;
                let target = scenario.maps[map].file;
                self.wrote(Owner::File(target), to..to + len, |offset| {
                    Effect::Copy(Word::of_file(file, offset - to + at))
                });
                Ok(format!("returns {len}"))
            }
            Op::Load { map, at } => {
                let seen = maps[map].load_u64(at)?;
                let of_file = Word::of_file(scenario.maps[map].file, at);
                if scenario.maps[map].private {
                    let own = Word { owner: Owner::Mapping(map), offset: at };
                    self.did(own, Effect::ReadThrough(seen, of_file));
                } else {
                    self.did(of_file, Effect::Read(seen));
                }
                Ok(format!("sees {seen:#x}"))
            }
            Op::Store { map, at } if scenario.maps[map].private => {
                maps[map].store_u64(at, value)?;
                self.did(Word { owner: Owner::Mapping(map), offset: at }, Effect::Write(value));
                Ok(format!("has stored {value:#x} for itself"))
            }
            Op::Store { map, at } => {
                maps[map].store_u64(at, value)?;
                self.did(Word::of_file(scenario.maps[map].file, at), Effect::Write(value));
                if scenario.maps[map].sync {
                    self.is_findable(scenario.maps[map].file, at);
                }
                Ok(format!("has stored {value:#x}"))
            }
            Op::DirectWrite { map, at } => {
                let pin = maps[map].pin(at..at + 8, true)?;
                self.world.fs.schedule.pass(SchedulePoint::Copy, at / BLOCK_SIZE);
                pin.write(0, &value.to_le_bytes());
                drop(pin);
                self.did(Word::of_file(scenario.maps[map].file, at), Effect::Write(value));
                Ok(format!("has written {value:#x}"))
            }
            Op::DontNeed { map, page } => {
                maps[map].dont_need(bytes(page, 1));
                self.wrote(Owner::Mapping(map), bytes(page, 1), |_| Effect::Write(OF_FILE));
                Ok(String::new())
            }
            Op::Fsync { file } => {
                files[file].fsync()?;
                self.is_durable(file);
                Ok("returns".into())
            }
            Op::Truncate { file, size } => {
                let old = files[file].size();
                files[file].truncate(size)?;
                if size < old {
                    self.zeroed(file, size..u64::MAX);
                    self.forgot_copies(file, size);
                } else {
                    self.zeroed(file, old..size);
                }
                Ok("returns".into())
            }
            Op::Fallocate { file, page, pages } => {
                let size = files[file].size();
                let bytes = bytes(page, pages);
                files[file].fallocate(bytes.start, bytes.end - bytes.start)?;
                self.zeroed(file, size..bytes.end);
                Ok("returns".into())
            }
            Op::Punch { file, at, len } => {
                files[file].punch_hole(at, len)?;
                self.zeroed(file, at..at + len);
                Ok("returns".into())
            }
            Op::Zero { file, at, len } => {
                let size = files[file].size();
                files[file].zero_range(at, len)?;
                self.zeroed(file, at.min(size)..at + len);
                Ok("returns".into())
            }
            Op::Collapse { file, page } => {
                let start = bytes(page, 1).start;
                files[file].collapse_range(start, BLOCK_SIZE)?;
                self.wrote(Owner::File(file), start..u64::MAX, |offset| {
                    Effect::Copy(Word::of_file(file, offset + BLOCK_SIZE))
                });
                self.forgot_copies(file, start);
                Ok("returns".into())
            }
            Op::Insert { file, page } => {
                let hole = bytes(page, 1);
                files[file].insert_range(hole.start, BLOCK_SIZE)?;
                self.zeroed(file, hole.clone());
                self.wrote(Owner::File(file), hole.end..u64::MAX, |offset| {
                    Effect::Copy(Word::of_file(file, offset - BLOCK_SIZE))
                });
                self.forgot_copies(file, hole.start);
                Ok("returns".into())
            }
            Op::Clone { file, source } => {
                files[file].clone_range(&files[source], 0, 0, 0)?;
                self.wrote(Owner::File(file), ALL, |offset| Effect::Copy(Word::of_file(source, offset)));
                Ok("returns".into())
            }
        }
    }

    /// It has done something to the watched words of `bytes`. What failed has done nothing, and is
    /// not told here.
    fn wrote(&self, owner: Owner, bytes: Range<u64>, effect: impl Fn(u64) -> Effect) {
        let words = self.world.history.borrow().watched(owner, bytes);
        words.into_iter().for_each(|word| self.did(word, effect(word.offset)));
    }

    fn zeroed(&self, file: usize, bytes: Range<u64>) {
        self.wrote(Owner::File(file), bytes, |_| Effect::Write(0));
    }

    /// What private mappings have copied from `from` on is gone, with its place in the file.
    fn forgot_copies(&self, file: usize, from: u64) {
        let maps = self.world.scenario.maps.iter().enumerate().filter(|(_, map)| map.file == file);
        maps.for_each(|(map, _)| {
            self.wrote(Owner::Mapping(map), from.next_multiple_of(BLOCK_SIZE)..u64::MAX, |_| {
                Effect::Write(OF_FILE)
            });
        });
    }

    fn did(&self, word: Word, effect: Effect) {
        let mut history = self.world.history.borrow_mut();
        let end = history.tick();
        history.record(word, Event { effect, start: self.start, end, who: self.who.clone() });
    }

    /// A store through MAP_SYNC has returned: a crash would not lose the block that it went to.
    fn is_findable(&self, file: usize, at: u64) {
        let inode = self.world.files[file].inode();
        if !self.world.committed.borrow()[file].finds(inode, at) {
            let text =
                format!("after {} through MAP_SYNC a crash would lose the place of byte {at}", self.who);
            self.world.findings.borrow_mut().push(Finding::new(Invariant::Durability, text));
        }
    }

    /// What a crash would leave of the file's watched words is what somebody could have read while
    /// the fsync was under way.
    fn is_durable(&self, file: usize) {
        let World { fs, files, history, committed, .. } = self.world;
        let words = history.borrow().watched(Owner::File(file), 0..files[file].size());
        for word in words {
            let left = committed.borrow()[file].word(fs, word.offset);
            self.did(word, Effect::Left(left));
        }
    }
}

fn word_of(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(bytes.try_into().expect("eight bytes"))
}
