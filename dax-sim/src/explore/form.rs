//! Reads and prints the text form of scenarios: one operation a line (docs/scenarios.md).
//!
//! A printed scenario reads as the same scenario.

mod print;
#[cfg(test)]
mod tests;
mod words;

use std::fmt;
use std::str::FromStr;

use self::words::Words;
use super::letter;
use super::scenario::{Map, Op, Scenario, Span};
use crate::check::Invariant;
use crate::pmem::BLOCK_SIZE;
use crate::radix::HUGE;
use crate::text::quoted;
use crate::variant::Variant;

/// Length of the longest text, in bytes.
pub const LONGEST_SCENARIO: usize = 64 << 10;
const MOST_FILES: u64 = 4;
const MOST_MAPS: usize = 8;
const MOST_THREADS: usize = 3;
/// How many operations a thread may have, and how many may come before and after all threads
/// together: each of them writes a value of its own.
const MOST_OPS: usize = 15;
/// How many bytes one operation may move, each of which has a history of its own.
const MOST_DATA: u64 = 4 << 10;

/// An error in the text of a scenario. The error names the line and what is wrong in the line, and
/// usually also what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormError {
    /// The line, counted from 1.
    pub line: u64,
    /// What is wrong, and usually what to write instead, in one line.
    pub text: String,
}

impl fmt::Display for FormError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.text)
    }
}

impl std::error::Error for FormError {}

/// Operations, and how each is written. The first word is the key.
const OPERATIONS: &[&str] = &[
    "pwrite F0 AT LEN [from M0 AT]",
    "pread F0 AT LEN [into M0 AT]",
    "load M0 AT [LEN]",
    "store M0 AT [LEN]",
    "pin-write M0 AT [LEN]",
    "persist M0 AT [LEN]",
    "madvise M0 AT LEN dontneed",
    "msync M0 AT LEN",
    "mmap M0",
    "munmap M0",
    "fsync F0",
    "ftruncate F0 SIZE",
    "fallocate F0 AT LEN [keep-size|punch|zero|collapse|insert|unshare]",
    "clone F1 AT LEN from F0 AT",
    "dedupe F1 AT LEN from F0 AT",
    "copy F1 AT LEN from F0 AT",
];

/// The lines outside of blocks, and how each is written.
const HEADS: &[&str] = &[
    "about TEXT",
    "files NUMBER",
    "pages NUMBER",
    "huge",
    "map M0 F0 [private] [sync] [small] [later] [at ADDRESS]",
    "setup:",
    "thread A:",
    "finally:",
    "expect VARIANT INVARIANT...",
];

fn first_word(usage: &str) -> &str {
    usage.split(' ').next().expect("it is not empty")
}

fn usage(of: &[&'static str], word: &str) -> Option<&'static str> {
    of.iter().copied().find(|usage| first_word(usage).trim_end_matches(':') == word)
}

fn known(of: &[&'static str]) -> String {
    of.iter().map(|usage| first_word(usage)).collect::<Vec<_>>().join(", ")
}

/// The block that a line is in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Block {
    None,
    Setup,
    Thread(usize),
    Finally,
}

/// Reads a scenario from text, and gives it this name.
///
/// # Errors
///
/// The first line that is wrong.
pub fn parse(name: &str, text: &str) -> Result<Scenario, FormError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = Reader {
        scenario: Scenario {
            name: name.into(),
            about: String::new(),
            files: 1,
            pages: 1,
            huge: false,
            maps: Vec::new(),
            setup: Vec::new(),
            threads: Vec::new(),
            finally: Vec::new(),
            broken_in: Vec::new(),
        },
        block: Block::None,
        begun: false,
        had: Vec::new(),
        lines: Vec::new(),
    };
    let mut last = 1;
    if text.len() > LONGEST_SCENARIO {
        let text = format!("the text is longer than {LONGEST_SCENARIO} bytes; a scenario is a few lines");
        return Err(FormError { line: 1, text });
    }
    for (number, line) in (1..).zip(text.lines()) {
        last = number;
        reader.line(number, line).map_err(|text| FormError { line: number, text })?;
    }
    reader.end(last)
}

struct Reader {
    scenario: Scenario,
    block: Block,
    /// Whether a block has begun: then files and mappings are known.
    begun: bool,
    /// The heads that may come once and have come.
    had: Vec<&'static str>,
    /// Where each operation stands, and in which block.
    lines: Vec<(u64, Block, Op)>,
}

impl Reader {
    fn line(&mut self, number: u64, line: &str) -> Result<(), String> {
        if let Some(c) = line.chars().find(|c| c.is_control() && *c != '\t') {
            let shown = quoted(&c.to_string());
            return Err(format!("{shown} is a control character; a scenario is plain text in UTF-8"));
        }
        let mut words: Vec<&str> = line.split_whitespace().collect();
        if words.first() == Some(&"about") {
            words.truncate(1);
        } else if let Some(comment) = words.iter().position(|word| word.starts_with('#')) {
            words.truncate(comment);
        }
        let Some(&first) = words.first() else { return Ok(()) };
        if let Some(usage) = usage(OPERATIONS, first) {
            let op = self.op(&mut Words::new(&words[1..], usage), first)?;
            return self.add(number, op);
        }
        let key = first.trim_end_matches(':');
        let Some(usage) = usage(HEADS, key) else {
            return Err(format!(
                "{} is not known; operations are {}; besides these there are {}",
                quoted(first),
                known(OPERATIONS),
                known(HEADS)
            ));
        };
        let is_block = matches!(key, "setup" | "thread" | "finally");
        if !is_block && key != first {
            return Err(format!("{} begins no block; write it as `{usage}`", quoted(first)));
        }
        let mut words = Words::new(&words[1..], usage);
        if is_block {
            return self.begin(key, first.ends_with(':'), &mut words);
        }
        if key == "expect" {
            self.block = Block::None;
            return self.expect(&mut words);
        }
        if self.begun {
            return Err(format!("{} comes before the first block; move it up", quoted(first)));
        }
        if key != "map" {
            if self.had.contains(&usage) {
                return Err(format!("{} stands here a second time; once is enough", quoted(first)));
            }
            self.had.push(usage);
        }
        match key {
            "about" => {
                self.scenario.about = line.trim_start()["about".len()..].trim().into();
                return Ok(());
            }
            "files" => {
                if !self.scenario.maps.is_empty() {
                    return Err("`files` comes before the mappings; move it up".into());
                }
                self.scenario.files = words.count("files", MOST_FILES)? as usize;
            }
            "pages" => self.scenario.pages = words.count("pages", HUGE)?,
            "huge" => self.scenario.huge = true,
            _ => self.map(&mut words)?,
        }
        words.end()
    }

    fn map(&mut self, words: &mut Words<'_>) -> Result<(), String> {
        let wanted = format!("M{}", self.scenario.maps.len());
        if self.scenario.maps.len() == MOST_MAPS {
            return Err(format!(
                "there are {MOST_MAPS} mappings already, which is the most; remove this one"
            ));
        }
        words.expect(&wanted)?;
        let mut map = Map::of(words.name('F', self.scenario.files)?);
        while let Some(word) = words.pop() {
            match word {
                "private" => map.private = true,
                "sync" => map.sync = true,
                "small" => map.small = true,
                "later" => map.later = true,
                "at" => map.address = Some(words.address()?),
                _ => return Err(words.wrong(format_args!("{} is no option of `map`", quoted(word)))),
            }
        }
        if map.private && map.sync {
            return Err("`private` and `sync` exclude each other; remove one".into());
        }
        self.scenario.maps.push(map);
        Ok(())
    }

    /// A line that begins a block.
    fn begin(&mut self, key: &str, closed: bool, words: &mut Words<'_>) -> Result<(), String> {
        let block = match key {
            "thread" => {
                let threads = self.scenario.threads.len();
                if threads == MOST_THREADS {
                    return Err(format!("there are {MOST_THREADS} threads already, which is the most"));
                }
                words.expect(&format!("{}:", letter(threads)))?;
                self.scenario.threads.push(Vec::new());
                Block::Thread(threads)
            }
            _ if !closed => return Err(words.wrong(format_args!("{} lacks a colon", quoted(key)))),
            "setup" => Block::Setup,
            _ => Block::Finally,
        };
        if key != "thread" {
            if self.had.contains(&words.usage()) {
                return Err(format!("`{key}:` stands here a second time; join the two blocks"));
            }
            self.had.push(words.usage());
        }
        self.begun = true;
        self.block = block;
        words.end()
    }

    fn expect(&mut self, words: &mut Words<'_>) -> Result<(), String> {
        let word = words.next("a variant")?;
        let variant = Variant::from_str(word)?;
        if variant.is_correct() || variant == Variant::Unserialised {
            let why =
                if variant.is_correct() { "promises that nothing goes wrong" } else { "promises nothing" };
            return Err(format!("{variant} {why}; remove this line"));
        }
        if self.scenario.broken_in.iter().any(|(other, _)| *other == variant) {
            return Err(format!("{variant} has an `expect` already; join the two lines"));
        }
        let mut among = Vec::new();
        while let Some(word) = words.pop() {
            let Some(invariant) = INVARIANTS.into_iter().find(|invariant| invariant.name() == word) else {
                let known: Vec<&str> = INVARIANTS.iter().map(|invariant| invariant.name()).collect();
                return Err(format!("{} is no invariant; known ones: {}", quoted(word), known.join(", ")));
            };
            if among.contains(&invariant) {
                return Err(format!("{} stands here twice; once is enough", quoted(word)));
            }
            among.push(invariant);
        }
        if among.is_empty() {
            return Err(words.wrong("an invariant is missing at the end of the line"));
        }
        self.scenario.broken_in.push((variant, among));
        Ok(())
    }

    fn op(&self, words: &mut Words<'_>, key: &str) -> Result<Op, String> {
        let (files, maps) = (self.scenario.files, self.scenario.maps.len());
        let op = match key {
            "pwrite" | "pread" => {
                let span = words.span('F', files)?;
                let buffer = if words.is_at_end() {
                    None
                } else {
                    words.expect(if key == "pwrite" { "from" } else { "into" })?;
                    Some(words.place('M', maps)?)
                };
                match (key, buffer) {
                    ("pwrite", None) => Op::Write(span),
                    ("pwrite", Some(from)) => Op::WriteFrom(span, from),
                    (_, None) => Op::Read(span),
                    (_, Some(to)) => Op::ReadInto(span, to),
                }
            }
            "load" => Op::Load(words.access(maps)?),
            "store" => Op::Store(words.access(maps)?),
            "pin-write" => Op::DirectWrite(words.access(maps)?),
            "persist" => Op::Persist(words.access(maps)?),
            "madvise" => {
                let span = words.span('M', maps)?;
                words.expect("dontneed")?;
                Op::DontNeed(span)
            }
            "msync" => Op::Msync(words.span('M', maps)?),
            "mmap" => Op::Mmap { map: words.name('M', maps)? },
            "munmap" => Op::Munmap { map: words.name('M', maps)? },
            "fsync" => Op::Fsync { file: words.name('F', files)? },
            "ftruncate" => Op::Truncate { file: words.name('F', files)?, size: words.number("a size")? },
            "fallocate" => {
                let span = words.span('F', files)?;
                match words.pop() {
                    None => Op::Fallocate(span),
                    Some("keep-size") => Op::KeepSize(span),
                    Some("punch") => Op::Punch(span),
                    Some("zero") => Op::Zero(span),
                    Some("collapse") => Op::Collapse(span),
                    Some("insert") => Op::Insert(span),
                    Some("unshare") => Op::Unshare(span),
                    Some(word) => return Err(words.wrong(format_args!("{} is no mode", quoted(word)))),
                }
            }
            _ => {
                let span = words.span('F', files)?;
                words.expect("from")?;
                let from = words.place('F', files)?;
                match key {
                    "clone" => Op::Clone(span, from),
                    "dedupe" => Op::Dedupe(span, from),
                    _ => Op::Copy(span, from),
                }
            }
        };
        words.end()?;
        self.check(op)?;
        Ok(op)
    }

    /// Whether the operation can be done and judged.
    fn check(&self, op: Op) -> Result<(), String> {
        let Scenario { maps, pages, .. } = &self.scenario;
        let mapped = pages * BLOCK_SIZE;
        if let Some(Span { len, .. }) = op.of_file().or(op.of_map())
            && !(1..=MOST_DATA).contains(&len)
        {
            return Err(format!("{len} bytes cannot be judged one by one; move 1 to {MOST_DATA} at a time"));
        }
        let in_map = match op {
            Op::DontNeed(span) | Op::Msync(span) => Some(span),
            _ => op.of_map(),
        };
        if let Some(span) = in_map
            && span.end() > mapped
        {
            return Err(format!(
                "[{}, {}) does not lie in M{}, which maps {mapped} bytes; say `pages NUMBER` above for more",
                span.at,
                span.end(),
                span.of
            ));
        }
        let (sound, why) = match op {
            Op::Load(span) | Op::Store(span) => (
                span.at / BLOCK_SIZE == (span.end() - 1) / BLOCK_SIZE,
                "a load or a store lies in one page; split it at the multiple of 4K",
            ),
            Op::WriteFrom(..) | Op::ReadInto(..) | Op::DirectWrite(_) => {
                let map = op.of_map().expect("it names a mapping").of;
                (
                    !maps[map].private,
                    "the bytes of a private mapping are only loaded and stored; map it shared",
                )
            }
            Op::Persist(Span { of, .. }) => (
                maps[of].sync,
                "only a MAP_SYNC mapping can be persisted by its user; say `sync` at its `map`",
            ),
            Op::Collapse(span) | Op::Insert(span) => (
                span.len > 0 && span.at.is_multiple_of(BLOCK_SIZE) && span.len.is_multiple_of(BLOCK_SIZE),
                "whole pages are collapsed and inserted; give multiples of 4K",
            ),
            Op::Fallocate(span)
            | Op::KeepSize(span)
            | Op::Punch(span)
            | Op::Zero(span)
            | Op::Unshare(span) => (span.len > 0, "the length is 0; give at least 1"),
            Op::Copy(span, _) => (span.len <= 64 << 10, "at most 64K are copied at a time; give less"),
            _ => (true, ""),
        };
        if sound { Ok(()) } else { Err(why.into()) }
    }

    fn add(&mut self, line: u64, op: Op) -> Result<(), String> {
        let Scenario { setup, threads, finally, .. } = &mut self.scenario;
        let alone = setup.len() + finally.len();
        let (list, count) = match self.block {
            Block::None => {
                return Err(
                    "it is in no block; begin one above, with `setup:`, `thread A:` or `finally:`".into()
                );
            }
            Block::Setup => (setup, alone),
            Block::Finally => (finally, alone),
            Block::Thread(thread) => {
                let list = &mut threads[thread];
                let count = list.len();
                (list, count)
            }
        };
        if count == MOST_OPS {
            return Err(format!(
                "it is one too many: a thread does at most {MOST_OPS} operations, setup and finally together too"
            ));
        }
        list.push(op);
        self.lines.push((line, self.block, op));
        Ok(())
    }

    /// Checks the scenario as a whole.
    fn end(self, last: u64) -> Result<Scenario, FormError> {
        let error = |line: u64, text: String| Err(FormError { line, text });
        let scenario = self.scenario;
        if scenario.threads.len() < 2 {
            let next = letter(scenario.threads.len());
            return error(last, format!("a race takes two threads; add a block `thread {next}:`"));
        }
        if let Some(idle) = scenario.threads.iter().position(Vec::is_empty) {
            return error(last, format!("thread {} does nothing; give it an operation", letter(idle)));
        }
        // munmap would have to wait for accesses of other threads, and Linux has no lock for that.
        let of_thread = |map: usize, thread: usize| {
            self.lines.iter().find(|(_, block, op)| {
                matches!(block, Block::Thread(other) if *other != thread) && op.mapping() == Some(map)
            })
        };
        for (line, block, op) in &self.lines {
            if let (Block::Thread(thread), Op::Mmap { map } | Op::Munmap { map }) = (*block, *op)
                && let Some((other, ..)) = of_thread(map, thread)
            {
                let text = format!(
                    "M{map} comes or goes here, and another thread uses it in line {other}; give each thread a \
                     mapping of its own"
                );
                return error(*line, text);
            }
        }
        Ok(scenario)
    }
}

/// The invariants that a variant may break.
const INVARIANTS: [Invariant; 8] = [
    Invariant::Coherence,
    Invariant::Mapping,
    Invariant::Protection,
    Invariant::Freeing,
    Invariant::Size,
    Invariant::Durability,
    Invariant::Liveness,
    Invariant::LockOrder,
];
