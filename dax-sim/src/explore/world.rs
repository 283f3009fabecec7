//! The files and mappings of a scenario, and what an operation does to them and to their history.

use std::cell::{Cell, RefCell};

use super::letter;
use super::scenario::{Op, Scenario};
use crate::check::history::{Effect, Event, History, Word};
use crate::check::{Finding, Invariant, check_invariants};
use crate::error::FsError;
use crate::file::{File, Mapping};
use crate::fs::FileSystem;
use crate::pmem::BLOCK_SIZE;
use crate::schedule::SchedulePoint;

/// What the threads of one schedule share.
pub(super) struct World<'w> {
    pub(super) scenario: &'static Scenario,
    pub(super) fs: &'w FileSystem<'w>,
    pub(super) files: &'w [File<'w>],
    pub(super) maps: &'w [Mapping<'w>],
    history: RefCell<History>,
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
                    history.watch(Word { file, offset }, 0);
                }
            }
        }
        Self {
            scenario,
            fs,
            files,
            maps,
            history: RefCell::new(history),
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
        let words = self.history.borrow().watched(file, 0, u64::MAX);
        let mut pages: Vec<u64> = words.iter().map(|word| word.offset / BLOCK_SIZE).collect();
        pages.dedup();
        pages
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

/// What a write has recorded, to be ended when it returns.
type Begun = Vec<(Word, usize)>;

impl Call<'_, '_> {
    /// What it returns, in words; nothing to say of most.
    fn perform(&self, op: Op, value: u64) -> Result<String, FsError> {
        let World { files, maps, scenario, .. } = self.world;
        let bytes = |pages: u64| pages * BLOCK_SIZE;
        match op {
            Op::Write { file, at, words } => {
                let data = value.to_le_bytes().repeat(words as usize);
                let begun = self.begin_write(file, at, at + words * 8, |_| Effect::Write(value));
                let written = files[file].write_at(&data, at);
                self.end_write(begun);
                written.map(|_| format!("returns, {value:#x} written"))
            }
            Op::WriteFrom { file, at, words, map, from } => {
                let source = scenario.maps[map].file;
                let begun = self.begin_write(file, at, at + words * 8, |offset| {
                    Effect::Copy(Word { file: source, offset: offset - at + from })
                });
                let buffer = maps[map].buffer(from..from + words * 8)?;
                let written = files[file].write_vectored_at(&[buffer], at);
                self.end_write(begun);
                written.map(|len| format!("returns {len}"))
            }
            Op::Read { file, at, words } => {
                let mut data = vec![0; words as usize * 8];
                let len = files[file].read_at(&mut data, at)?;
                let seen: Vec<u64> = data[..len].chunks_exact(8).map(word_of).collect();
                for (index, &seen) in seen.iter().enumerate() {
                    self.saw(Word { file, offset: at + index as u64 * 8 }, Effect::Read(seen));
                }
                let seen: Vec<String> = seen.iter().map(|seen| format!("{seen:#x}")).collect();
                Ok(format!("sees {}", seen.join(" ")))
            }
            Op::ReadInto { file, at, words, map, to } => {
                let target = scenario.maps[map].file;
                let begun = self.begin_write(target, to, to + words * 8, |offset| {
                    Effect::Copy(Word { file, offset: offset - to + at })
                });
                let buffer = maps[map].buffer(to..to + words * 8)?;
                let read = files[file].read_vectored_at(&[buffer], at);
                self.end_write(begun);
                read.map(|len| format!("returns {len}"))
            }
            Op::Load { map, at } if scenario.maps[map].private => {
                // It may be the mapping's own; that what is stored there is seen nowhere else is judged there.
                Ok(format!("sees {:#x}", maps[map].load_u64(at)?))
            }
            Op::Store { map, at } if scenario.maps[map].private => {
                maps[map].store_u64(at, value)?;
                Ok(format!("has stored {value:#x} for itself"))
            }
            Op::Load { map, at } => {
                let seen = maps[map].load_u64(at)?;
                self.saw(Word { file: scenario.maps[map].file, offset: at }, Effect::Read(seen));
                Ok(format!("sees {seen:#x}"))
            }
            Op::Store { map, at } => {
                let begun = self.begin_write(scenario.maps[map].file, at, at + 8, |_| Effect::Write(value));
                let stored = maps[map].store_u64(at, value);
                // One that failed has stored nothing; as a write that may have left what was there it is harmless.
                self.end_write(begun);
                if stored.is_ok() && scenario.maps[map].sync {
                    self.is_findable(scenario.maps[map].file);
                }
                stored.map(|()| format!("has stored {value:#x}"))
            }
            Op::DirectWrite { map, at } => {
                let begun = self.begin_write(scenario.maps[map].file, at, at + 8, |_| Effect::Write(value));
                let pin = maps[map].pin(at..at + 8, true)?;
                self.world.fs.schedule.pass(SchedulePoint::Copy, at / BLOCK_SIZE);
                pin.write(0, &value.to_le_bytes());
                drop(pin);
                self.end_write(begun);
                Ok(format!("has written {value:#x}"))
            }
            Op::DontNeed { map, page } => {
                maps[map].dont_need(bytes(page)..bytes(page + 1));
                Ok(String::new())
            }
            Op::Fsync { file } => {
                files[file].fsync()?;
                self.is_durable(file);
                Ok("returns".into())
            }
            Op::Truncate { file, size } => {
                let begun = self.begin_write(file, size, u64::MAX, |_| Effect::Write(0));
                files[file].truncate(size)?;
                self.end_write(begun);
                Ok("returns".into())
            }
            Op::Fallocate { file, page, pages } => {
                files[file].fallocate(bytes(page), bytes(pages))?;
                Ok("returns".into())
            }
            Op::Punch { file, page, pages } => {
                let begun = self.begin_write(file, bytes(page), bytes(page + pages), |_| Effect::Write(0));
                files[file].punch_hole(bytes(page), bytes(pages))?;
                self.end_write(begun);
                Ok("returns".into())
            }
            Op::Zero { file, page, pages } => {
                let begun = self.begin_write(file, bytes(page), bytes(page + pages), |_| Effect::Write(0));
                files[file].zero_range(bytes(page), bytes(pages))?;
                self.end_write(begun);
                Ok("returns".into())
            }
            Op::Collapse { file, page } => {
                let begun = self.begin_write(file, bytes(page), u64::MAX, |offset| {
                    Effect::Copy(Word { file, offset: offset + BLOCK_SIZE })
                });
                files[file].collapse_range(bytes(page), BLOCK_SIZE)?;
                self.end_write(begun);
                Ok("returns".into())
            }
            Op::Insert { file, page } => {
                let begun = self.begin_write(file, bytes(page), u64::MAX, |offset| {
                    if offset < bytes(page + 1) {
                        Effect::Write(0)
                    } else {
                        Effect::Copy(Word { file, offset: offset - BLOCK_SIZE })
                    }
                });
                files[file].insert_range(bytes(page), BLOCK_SIZE)?;
                self.end_write(begun);
                Ok("returns".into())
            }
            Op::Clone { file, source } => {
                let begun =
                    self.begin_write(file, 0, u64::MAX, |offset| Effect::Copy(Word { file: source, offset }));
                files[file].clone_range(&files[source], 0, 0, 0)?;
                self.end_write(begun);
                Ok("returns".into())
            }
        }
    }

    /// The watched words of `first..end` are about to be written.
    fn begin_write(&self, file: usize, first: u64, end: u64, effect: impl Fn(u64) -> Effect) -> Begun {
        let words = self.world.history.borrow().watched(file, first, end);
        let begin = |word: Word| {
            let effect = effect(word.offset);
            let event = Event { effect, start: self.start, end: u32::MAX, who: self.who.clone() };
            (word, self.world.history.borrow_mut().record(word, event))
        };
        words.into_iter().map(begin).collect()
    }

    fn end_write(&self, begun: Begun) {
        let mut history = self.world.history.borrow_mut();
        let end = history.tick();
        for (word, at) in begun {
            history.end(word, at, end);
        }
    }

    fn saw(&self, word: Word, effect: Effect) {
        let mut history = self.world.history.borrow_mut();
        let end = history.tick();
        let event = Event { effect, start: self.start, end, who: self.who.clone() };
        history.record(word, event);
    }

    /// A store through MAP_SYNC has returned: a crash would not lose the block that it went to.
    fn is_findable(&self, file: usize) {
        if self.world.files[file].inode().is_datasync_dirty(&self.world.fs.journal) {
            let text = format!("after {} through MAP_SYNC the file's metadata are not durable", self.who);
            self.world.findings.borrow_mut().push(Finding::new(Invariant::Durability, text));
        }
    }

    /// What a crash would leave of the file's watched words is what somebody could have read while the fsync was
    /// under way.
    fn is_durable(&self, file: usize) {
        let words = self.world.history.borrow().watched(file, 0, u64::MAX);
        for word in words {
            if let Some(left) = self.world.files[file].durable_word(word.offset) {
                self.saw(word, Effect::Left(left));
            }
        }
    }
}

fn word_of(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(bytes.try_into().expect("eight bytes"))
}
