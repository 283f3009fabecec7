//! The files and mappings of a scenario, and what an operation does to them and to their history.

use std::cell::{Cell, RefCell};
use std::ops::Range;
use std::rc::Rc;

use super::letter;
use super::registers::Registers;
use super::scenario::{Map, Op, Scenario, Span, value};
use crate::check::history::{Effect, Event, History, OF_FILE, Owner, Word};
use crate::check::{Committed, Finding, Invariant, check_invariants};
use crate::error::FsError;
use crate::file::{AddressSpace, File, Mapping};
use crate::fs::{Deduped, FileSystem, pages_around};
use crate::pmem::BLOCK_SIZE;
use crate::schedule::SchedulePoint;

/// What the threads of one schedule share.
pub(super) struct World<'w> {
    pub(super) scenario: &'static Scenario,
    pub(super) fs: &'w FileSystem<'w>,
    pub(super) files: &'w [File<'w>],
    registers: &'w Registers,
    /// By number. `None` before mmap and after munmap.
    maps: RefCell<Vec<Option<Rc<Mapping<'w>>>>>,
    history: RefCell<History>,
    /// What is committed, by file.
    committed: RefCell<Vec<Committed>>,
    /// How many operations are under way.
    active: Cell<usize>,
    findings: RefCell<Vec<Finding>>,
    /// Notes of threads on their operations, if an observer is there.
    notes: Option<RefCell<Vec<String>>>,
}

impl<'w> World<'w> {
    pub(super) fn new(
        scenario: &'static Scenario,
        registers: &'w Registers,
        fs: &'w FileSystem<'w>,
        files: &'w [File<'w>],
        talks: bool,
    ) -> Self {
        let mut history = History::default();
        registers.initial.iter().for_each(|(word, initial)| history.watch(*word, *initial));
        let world = Self {
            scenario,
            registers,
            fs,
            files,
            maps: RefCell::default(),
            history: RefCell::new(history),
            committed: RefCell::new(vec![Committed::default(); files.len()]),
            active: Cell::new(0),
            findings: RefCell::default(),
            notes: talks.then(RefCell::default),
        };
        let maps = scenario.maps.iter().map(|map| (!map.later).then(|| Rc::new(world.mapped(map))));
        world.maps.replace(maps.collect());
        world
    }

    fn mapped(&self, map: &Map) -> Mapping<'w> {
        let bytes = 0..self.scenario.pages * BLOCK_SIZE;
        self.files[map.file].mmap_in(&AddressSpace::new(), bytes, map.options())
    }

    /// A mapping, if it is there.
    pub(super) fn map(&self, map: usize) -> Option<Rc<Mapping<'w>>> {
        self.maps.borrow()[map].clone()
    }

    /// The mappings that are there, with their numbers.
    pub(super) fn maps(&self) -> Vec<(usize, Rc<Mapping<'w>>)> {
        let maps = self.maps.borrow();
        let there = maps.iter().enumerate().filter_map(|(index, map)| Some((index, map.clone()?)));
        there.collect()
    }

    /// Does operation `number` of a thread. `None` stands for what comes before and after all
    /// threads.
    pub(super) fn perform(&self, thread: Option<usize>, number: usize, op: Op) {
        self.note(|| op.to_string());
        let value = value(thread, number);
        let call = Call {
            world: self,
            who: who(thread, op).into(),
            start: self.history.borrow_mut().tick(),
            end: Cell::new(None),
        };
        self.active.set(self.active.get() + 1);
        let said = call.perform(op, value);
        self.active.set(self.active.get() - 1);
        self.note(|| said.unwrap_or_else(|error| format!("fails: {error}")));
        if self.active.get() == 0 {
            self.findings.borrow_mut().extend(check_invariants(self.fs, self.files));
        }
    }

    /// The pages of a file that an operation names.
    pub(super) fn pages(&self, file: usize) -> Vec<u64> {
        let words = self.history.borrow().watched(Owner::File(file), ALL);
        let mut pages: Vec<u64> = words.iter().map(|word| word.offset / BLOCK_SIZE).collect();
        pages.dedup();
        pages
    }

    /// Called when a commit is about to end. What its transaction knows of becomes durable as it is
    /// now, and nothing else does. A crash afterwards leaves in each place what an operation writes
    /// there, or zeros.
    pub(super) fn commit(&self) {
        for (number, file) in self.files.iter().enumerate() {
            if !file.inode().is_datasync_dirty(&self.fs.journal) {
                continue;
            }
            let committed = Committed::now(file.inode());
            for &word in self.registers.initial.keys().filter(|word| word.owner == Owner::File(number)) {
                let left = committed.value(self.fs, word.offset, self.registers.grain);
                if !self.registers.may_hold(word, left) {
                    let text = format!(
                        "after a commit a crash would leave {left:#x} at {word}, which no operation writes there"
                    );
                    self.findings.borrow_mut().push(Finding::new(Invariant::Durability, text));
                }
            }
            self.committed.borrow_mut()[number] = committed;
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

    /// The notes since the last call.
    pub(super) fn notes(&self) -> Vec<String> {
        self.notes.as_ref().map(RefCell::take).unwrap_or_default()
    }

    /// All that is wrong. Coherence is not judged if an operation did not come to an end.
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
        Op::Write(_) | Op::WriteFrom(..) => "write(2)",
        Op::Read(_) | Op::ReadInto(..) => "read(2)",
        Op::Load(_) => "load",
        Op::Store(_) => "store",
        Op::DirectWrite(_) => "direct write",
        Op::Persist(_) => "write-back of lines",
        Op::Msync(_) => "msync",
        Op::Fsync { .. } => "fsync",
        Op::Truncate { .. } => "truncate",
        Op::Punch(_) => "punch",
        Op::Copy(..) => "copy",
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
    who: Rc<str>,
    start: u32,
    /// When the operation returned: one moment for all that it did.
    end: Cell<Option<u32>>,
}

/// All bytes.
const ALL: Range<u64> = 0..u64::MAX;

impl Call<'_, '_> {
    /// Does the operation. Returns its result in words, which are empty for most operations.
    fn perform(&self, op: Op, value: u64) -> Result<String, FsError> {
        let World { files, scenario, registers, .. } = self.world;
        let grain = registers.grain;
        let map = |map: usize| self.world.map(map).ok_or(FsError::Invalid("nothing is mapped there"));
        let file_of = |map: usize| scenario.maps[map].file;
        // One byte is enough for any of the values.
        let data = |len: u64| match grain {
            1 => vec![value as u8; len as usize],
            _ => value.to_le_bytes().repeat((len / 8) as usize),
        };
        let done = || Ok("returns".into());
        match op {
            Op::Write(Span { of: file, at, len }) => {
                let size = files[file].size();
                let len = files[file].write_at(&data(len), at)? as u64;
                self.zeroed(file, size..at);
                self.wrote(Owner::File(file), at..at + len, |_| Effect::Write(value));
                Ok(format!("returns, {value:#x} written"))
            }
            Op::WriteFrom(Span { of: file, at, len }, from) => {
                let size = files[file].size();
                let map = map(from.of)?;
                let buffer = map.buffer(from.at..from.at + len)?;
                let len = files[file].write_vectored_at(&[buffer], at)? as u64;
                self.zeroed(file, size..at);
                self.copied(file, at..at + len, file_of(from.of), from.at);
                Ok(format!("returns {len}"))
            }
            Op::Read(Span { of: file, at, len }) => {
                let mut data = vec![0; len as usize];
                let len = files[file].read_at(&mut data, at)?;
                let seen = values(&data[..len], grain);
                for (offset, &seen) in (at..).step_by(grain as usize).zip(&seen) {
                    self.did(Word::of_file(file, offset), Effect::Read(seen));
                }
                Ok(format!("sees {}", shown(&seen, grain)))
            }
            Op::ReadInto(Span { of: file, at, len }, to) => {
                let map = map(to.of)?;
                let buffer = map.buffer(to.at..to.at + len)?;
                let len = files[file].read_vectored_at(&[buffer], at)? as u64;
                self.copied(file_of(to.of), to.at..to.at + len, file, at);
                Ok(format!("returns {len}"))
            }
            Op::Load(Span { of, at, len }) => {
                let map = map(of)?;
                let seen = if is_word(at, len) {
                    values(&map.load_u64(at)?.to_le_bytes(), grain)
                } else {
                    let mut data = vec![0; len as usize];
                    map.load(at, &mut data)?;
                    values(&data, grain)
                };
                for (offset, &seen) in (at..).step_by(grain as usize).zip(&seen) {
                    let of_file = Word::of_file(file_of(of), offset);
                    if scenario.maps[of].private {
                        let own = Word { owner: Owner::Mapping(of), offset };
                        self.did(own, Effect::ReadThrough(seen, of_file));
                    } else {
                        self.did(of_file, Effect::Read(seen));
                    }
                }
                Ok(format!("sees {}", shown(&seen, grain)))
            }
            Op::Store(Span { of, at, len }) => {
                let map = map(of)?;
                if is_word(at, len) {
                    let word = data(8).try_into().expect("eight bytes");
                    map.store_u64(at, u64::from_le_bytes(word))?;
                } else {
                    map.store(at, &data(len))?;
                }
                if scenario.maps[of].private {
                    self.wrote(Owner::Mapping(of), at..at + len, |_| Effect::Write(value));
                    return Ok(format!("has stored {value:#x} for itself"));
                }
                self.wrote(Owner::File(file_of(of)), at..at + len, |_| Effect::Write(value));
                if scenario.maps[of].sync {
                    self.is_findable(file_of(of), at);
                }
                Ok(format!("has stored {value:#x}"))
            }
            Op::DirectWrite(Span { of, at, len }) => {
                let map = map(of)?;
                let pin = map.pin(at..at + len, true)?;
                self.world.fs.schedule.pass(SchedulePoint::Copy, at / BLOCK_SIZE);
                pin.write(0, &data(len));
                drop(pin);
                self.wrote(Owner::File(file_of(of)), at..at + len, |_| Effect::Write(value));
                Ok(format!("has written {value:#x}"))
            }
            Op::Persist(Span { of, at, len }) => {
                map(of)?.persist(at..at + len)?;
                self.is_durable(file_of(of), at..at + len);
                done()
            }
            Op::DontNeed(Span { of, at, len }) => {
                map(of)?.dont_need(at..at + len);
                self.wrote(Owner::Mapping(of), pages_around(at, at + len), |_| Effect::Write(OF_FILE));
                Ok(String::new())
            }
            Op::Msync(Span { of, at, len }) => {
                map(of)?.msync(at..at + len)?;
                if !scenario.maps[of].private && len > 0 {
                    self.is_durable(file_of(of), pages_around(at, at + len));
                }
                done()
            }
            Op::Mmap { map } => {
                if self.world.map(map).is_some() {
                    return Err(FsError::Invalid("it is mapped already"));
                }
                let mapped = self.world.mapped(&scenario.maps[map]);
                self.world.maps.borrow_mut()[map] = Some(Rc::new(mapped));
                done()
            }
            Op::Munmap { map: number } => {
                let map = map(number)?;
                self.world.maps.borrow_mut()[number] = None;
                // This is the last reference: no other thread uses a mapping that goes.
                drop(map);
                self.wrote(Owner::Mapping(number), ALL, |_| Effect::Write(OF_FILE));
                done()
            }
            Op::Fsync { file } => {
                files[file].fsync()?;
                self.is_durable(file, ALL);
                done()
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
                done()
            }
            Op::Fallocate(Span { of: file, at, len }) => {
                let size = files[file].size();
                files[file].fallocate(at, len)?;
                self.zeroed(file, size..at + len);
                done()
            }
            Op::KeepSize(Span { of: file, at, len }) => {
                files[file].fallocate_keep_size(at, len)?;
                done()
            }
            Op::Punch(Span { of: file, at, len }) => {
                files[file].punch_hole(at, len)?;
                self.zeroed(file, at..at + len);
                done()
            }
            Op::Zero(Span { of: file, at, len }) => {
                let size = files[file].size();
                files[file].zero_range(at, len)?;
                self.zeroed(file, at.min(size)..at + len);
                done()
            }
            Op::Collapse(span) => {
                files[span.of].collapse_range(span.at, span.len)?;
                self.copied(span.of, span.at..u64::MAX, span.of, span.end());
                self.forgot_copies(span.of, span.at);
                done()
            }
            Op::Insert(span) => {
                files[span.of].insert_range(span.at, span.len)?;
                self.zeroed(span.of, span.at..span.end());
                self.copied(span.of, span.end()..u64::MAX, span.of, span.at);
                self.forgot_copies(span.of, span.at);
                done()
            }
            Op::Unshare(Span { of: file, at, len }) => {
                files[file].unshare_range(at, len)?;
                done()
            }
            Op::Clone(Span { of: file, at, len }, from) => {
                let (size, of_source) = (files[file].size(), files[from.of].size());
                files[file].clone_range(&files[from.of], from.at, at, len)?;
                let all = of_source.max(files[from.of].size()).saturating_sub(from.at);
                self.zeroed(file, size..at);
                self.copied(file, at..at + if len == 0 { all } else { len }, from.of, from.at);
                done()
            }
            Op::Dedupe(Span { of: file, at, len }, from) => {
                let said = match files[file].dedupe_range(&files[from.of], from.at, at, len)? {
                    Deduped::Same(len) => format!("returns {len}"),
                    Deduped::Differs => "returns, the bytes differ".into(),
                };
                Ok(said)
            }
            Op::Copy(Span { of: file, at, len }, from) => {
                let size = files[file].size();
                let len = files[file].copy_range(&files[from.of], from.at, at, len)?;
                self.zeroed(file, size..at);
                self.copied(file, at..at + len, from.of, from.at);
                Ok(format!("returns {len}"))
            }
        }
    }

    /// Records that the operation has put into these bytes of a file what it found from `origin`
    /// on.
    fn copied(&self, file: usize, bytes: Range<u64>, from: usize, origin: u64) {
        let start = bytes.start;
        self.wrote(Owner::File(file), bytes, |offset| {
            Effect::Copy(Word::of_file(from, offset - start + origin))
        });
    }

    /// Records that the operation has done something to the watched words of `bytes`. A failed
    /// operation has done nothing, and is not recorded.
    fn wrote(&self, owner: Owner, bytes: Range<u64>, effect: impl Fn(u64) -> Effect) {
        let words = self.world.history.borrow().watched(owner, bytes);
        words.into_iter().for_each(|word| self.did(word, effect(word.offset)));
    }

    fn zeroed(&self, file: usize, bytes: Range<u64>) {
        self.wrote(Owner::File(file), bytes, |_| Effect::Write(0));
    }

    /// Records that what private mappings have copied from `from` on is gone, with its place in the
    /// file.
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
        let end = self.end.get().unwrap_or_else(|| history.tick());
        self.end.set(Some(end));
        history.record(word, Event { effect, start: self.start, end, who: Rc::clone(&self.who) });
    }

    /// Checks after a store through MAP_SYNC: a crash would not lose the block that it went to.
    fn is_findable(&self, file: usize, at: u64) {
        let inode = self.world.files[file].inode();
        if !self.world.committed.borrow()[file].finds(inode, at) {
            let text =
                format!("after {} through MAP_SYNC a crash would lose the place of byte {at}", self.who);
            self.world.findings.borrow_mut().push(Finding::new(Invariant::Durability, text));
        }
    }

    /// Checks that a crash would leave in the file's watched bytes what a read could have seen
    /// while the call was under way.
    fn is_durable(&self, file: usize, bytes: Range<u64>) {
        let World { fs, files, history, committed, registers, .. } = self.world;
        let bytes = bytes.start..bytes.end.min(files[file].size());
        let words = history.borrow().watched(Owner::File(file), bytes);
        for word in words {
            let left = committed.borrow()[file].value(fs, word.offset, registers.grain);
            self.did(word, Effect::Left(left));
        }
    }
}

/// Whether the access moves in one piece.
fn is_word(at: u64, len: u64) -> bool {
    len == 8 && at.is_multiple_of(8)
}

/// The value of each register of these bytes.
fn values(bytes: &[u8], grain: u64) -> Vec<u64> {
    if grain == 1 {
        return bytes.iter().copied().map(u64::from).collect();
    }
    bytes.chunks_exact(8).map(|word| u64::from_le_bytes(word.try_into().expect("eight bytes"))).collect()
}

/// Shows words one by one, and equal bytes together.
fn shown(values: &[u64], grain: u64) -> String {
    let words =
        |values: &[u64]| values.iter().map(|value| format!("{value:#x}")).collect::<Vec<_>>().join(" ");
    if grain == 8 {
        return words(values);
    }
    let run = |run: &[u64]| {
        if run.len() == 1 { words(run) } else { format!("{} bytes of {:#x}", run.len(), run[0]) }
    };
    values.chunk_by(|one, next| one == next).map(run).collect::<Vec<_>>().join(", ")
}
