//! The text form of scenarios: one operation a line (docs/scenarios.md).
//!
//! A scenario is read from text and printed as text. What is printed reads as the same scenario.

use std::fmt;
use std::str::FromStr;

use super::letter;
use super::scenario::{Map, Op, Place, Scenario, Span};
use crate::check::Invariant;
use crate::pmem::BLOCK_SIZE;
use crate::radix::HUGE;
use crate::text::quoted;
use crate::variant::Variant;

/// Bytes of the longest text.
pub const LONGEST_SCENARIO: usize = 64 << 10;
const MOST_FILES: u64 = 4;
const MOST_MAPS: usize = 8;
const MOST_THREADS: usize = 3;
/// Of a thread, and of all that comes before and after the threads: each writes a value of its own.
pub(super) const MOST_OPS: usize = 15;
/// The last place and the longest range, in bytes: two pages of 2 MiB.
const LAST_BYTE: u64 = 4 << 20;
/// Bytes that one operation moves, each of which has a history of its own.
const MOST_DATA: u64 = 4 << 10;

/// What is wrong with the text of a scenario, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormError {
    /// The line, from 1 on.
    pub line: u64,
    /// In one line.
    pub text: String,
}

impl fmt::Display for FormError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.text)
    }
}

impl std::error::Error for FormError {}

/// Operations, with how each is written. The first word is the key.
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

/// What stands outside of blocks, and how.
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

/// Reads a scenario, which is to have this name.
///
/// # Errors
///
/// The first line that is not as it should be.
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
    /// A block has begun: files and mappings are known.
    begun: bool,
    /// The heads that may come once, and came.
    had: Vec<&'static str>,
    /// Where each operation stands, and in which block.
    lines: Vec<(u64, Block, Op)>,
}

/// The words of one line, taken one by one.
struct Words<'t> {
    words: std::vec::IntoIter<&'t str>,
    usage: &'static str,
}

impl<'t> Words<'t> {
    fn wrong(&self, what: impl fmt::Display) -> String {
        format!("{what}; write it as `{}`", self.usage)
    }

    fn next(&mut self, what: &str) -> Result<&'t str, String> {
        self.words.next().ok_or_else(|| self.wrong(format_args!("{what} is missing at the end of the line")))
    }

    fn end(&mut self) -> Result<(), String> {
        match self.words.next() {
            Some(word) => Err(self.wrong(format_args!("{} is one word too many", quoted(word)))),
            None => Ok(()),
        }
    }

    /// The number in `F0` or `M0`.
    fn name(&mut self, letter: char, count: usize) -> Result<usize, String> {
        let what = if letter == 'F' { "a file" } else { "a mapping" };
        let word = self.next(what)?;
        let number = word.strip_prefix(letter).and_then(|digits| plain(digits, 99));
        let Some(number) = number else {
            let text = format!("{} is not {what}, whose names are {letter}0, {letter}1, ...", quoted(word));
            return Err(self.wrong(text));
        };
        if (number as usize) < count {
            return Ok(number as usize);
        }
        let remedy = match (letter, count) {
            ('F', 1) => "there is one file, F0; say `files 2` above for two".into(),
            ('F', _) => format!("there are {count} files; say `files NUMBER` above for more"),
            (_, 0) => "there is no mapping; say `map M0 F0` above".into(),
            _ => format!("there are {count} mappings, from M0 on; say `map M{count} F0` above for one more"),
        };
        Err(format!("there is no {}: {remedy}", quoted(word)))
    }

    fn number(&mut self, what: &str) -> Result<u64, String> {
        let word = self.next(what)?;
        bytes(word, LAST_BYTE).map_err(|text| self.wrong(text))
    }

    /// A length, which is 8 if there is none.
    fn len(&mut self) -> Result<u64, String> {
        if self.words.as_slice().is_empty() { Ok(8) } else { self.number("a length") }
    }

    fn expect(&mut self, wanted: &str) -> Result<(), String> {
        let word = self.next(&format!("`{wanted}`"))?;
        if word == wanted {
            Ok(())
        } else {
            Err(self.wrong(format_args!("{} stands where `{wanted}` belongs", quoted(word))))
        }
    }
}

/// A number in digits.
fn plain(word: &str, most: u64) -> Option<u64> {
    let (digits, radix) = word.strip_prefix("0x").map_or((word, 10), |digits| (digits, 16));
    let all = !digits.is_empty() && digits.chars().all(|c| c.is_digit(radix));
    if !all {
        return None;
    }
    u64::from_str_radix(digits, radix).ok().filter(|number| *number <= most)
}

/// A sum of numbers, each with K or M behind it, or not.
fn bytes(word: &str, most: u64) -> Result<u64, String> {
    let mut sum = 0_u64;
    for term in word.split('+') {
        let (digits, unit) = match term.strip_suffix('K') {
            Some(digits) => (digits, 1 << 10),
            None => term.strip_suffix('M').map_or((term, 1), |digits| (digits, 1 << 20)),
        };
        let is_number = plain(digits, u64::MAX).is_some() || is_long(digits);
        if !is_number {
            return Err(format!("{} is not a number like 8, 0x40, 4K or 4K+8", quoted(word)));
        }
        let term = plain(digits, u64::MAX).and_then(|number| number.checked_mul(unit));
        let total = term.and_then(|term| sum.checked_add(term)).filter(|total| *total <= most);
        sum = total.ok_or_else(|| format!("{} is more than {}", quoted(word), number(most)))?;
    }
    Ok(sum)
}

/// Digits, however many.
fn is_long(digits: &str) -> bool {
    !digits.is_empty() && digits.chars().all(|c| c.is_ascii_digit())
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
            let op = self.op(&mut Words { words: words[1..].to_vec().into_iter(), usage }, first)?;
            return self.add(number, op);
        }
        let key = first.trim_end_matches(':');
        let Some(usage) = usage(HEADS, key) else {
            return Err(format!(
                "{} is not known; operations are {}, and else there are {}",
                quoted(first),
                known(OPERATIONS),
                known(HEADS)
            ));
        };
        let is_block = matches!(key, "setup" | "thread" | "finally");
        if !is_block && key != first {
            return Err(format!("{} begins no block; write it as `{usage}`", quoted(first)));
        }
        let mut words = Words { words: words[1..].to_vec().into_iter(), usage };
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
                self.scenario.files = count(&mut words, "files", MOST_FILES)? as usize;
            }
            "pages" => self.scenario.pages = count(&mut words, "pages", HUGE)?,
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
        while let Some(word) = words.words.next() {
            match word {
                "private" => map.private = true,
                "sync" => map.sync = true,
                "small" => map.small = true,
                "later" => map.later = true,
                "at" => {
                    let word = words.next("an address")?;
                    let address = plain(word, 1 << 46);
                    let fits = |address: &u64| *address > 0 && address.is_multiple_of(BLOCK_SIZE);
                    map.address = Some(address.filter(fits).ok_or_else(|| {
                        words.wrong(format_args!(
                            "{} is no address; one is a multiple of {BLOCK_SIZE} up to 0x400000000000",
                            quoted(word)
                        ))
                    })?);
                }
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
            if self.had.contains(&words.usage) {
                return Err(format!("`{key}:` stands here a second time; join the two blocks"));
            }
            self.had.push(words.usage);
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
        for word in words.words.by_ref() {
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
                let span = Span {
                    of: words.name('F', files)?,
                    at: words.number("a place")?,
                    len: words.number("a length")?,
                };
                let with = if key == "pwrite" { "from" } else { "into" };
                let other = if words.words.as_slice().is_empty() {
                    None
                } else {
                    words.expect(with)?;
                    Some(Place { of: words.name('M', maps)?, at: words.number("a place")? })
                };
                match (key, other) {
                    ("pwrite", None) => Op::Write(span),
                    ("pwrite", Some(from)) => Op::WriteFrom(span, from),
                    (_, None) => Op::Read(span),
                    (_, Some(to)) => Op::ReadInto(span, to),
                }
            }
            "load" | "store" | "pin-write" | "persist" => {
                let of = words.name('M', maps)?;
                let span = Span { of, at: words.number("a place")?, len: words.len()? };
                match key {
                    "load" => Op::Load(span),
                    "store" => Op::Store(span),
                    "pin-write" => Op::DirectWrite(span),
                    _ => Op::Persist(span),
                }
            }
            "madvise" | "msync" => {
                let of = words.name('M', maps)?;
                let span = Span { of, at: words.number("a place")?, len: words.number("a length")? };
                if key == "msync" {
                    Op::Msync(span)
                } else {
                    words.expect("dontneed")?;
                    Op::DontNeed(span)
                }
            }
            "mmap" => Op::Mmap { map: words.name('M', maps)? },
            "munmap" => Op::Munmap { map: words.name('M', maps)? },
            "fsync" => Op::Fsync { file: words.name('F', files)? },
            "ftruncate" => Op::Truncate { file: words.name('F', files)?, size: words.number("a size")? },
            "fallocate" => {
                let span = Span {
                    of: words.name('F', files)?,
                    at: words.number("a place")?,
                    len: words.number("a length")?,
                };
                match words.words.next() {
                    None => Op::Fallocate(span),
                    Some("keep-size") => Op::KeepSize(span),
                    Some("punch") => Op::Punch(span),
                    Some("zero") => Op::Zero(span),
                    Some("collapse") => Op::Collapse(span),
                    Some("insert") => Op::Insert(span),
                    Some("unshare") => Op::Unshare(span),
                    Some(word) => {
                        return Err(words.wrong(format_args!("{} is no mode", quoted(word))));
                    }
                }
            }
            _ => {
                let span = Span {
                    of: words.name('F', files)?,
                    at: words.number("a place")?,
                    len: words.number("a length")?,
                };
                words.expect("from")?;
                let from = Place { of: words.name('F', files)?, at: words.number("a place")? };
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

    /// Looks at the whole.
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
        // Else the end of a mapping would have to wait for accesses that no lock of Linux names.
        let of_thread = |map: usize, thread: usize| {
            self.lines.iter().find(|(_, block, op)| {
                matches!(block, Block::Thread(other) if *other != thread) && names(*op, map)
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

/// Whether the operation uses the mapping.
fn names(op: Op, wanted: usize) -> bool {
    match op {
        Op::Mmap { map } | Op::Munmap { map } => map == wanted,
        Op::DontNeed(span) | Op::Msync(span) => span.of == wanted,
        _ => op.of_map().is_some_and(|span| span.of == wanted),
    }
}

fn count(words: &mut Words<'_>, what: &str, most: u64) -> Result<u64, String> {
    let word = words.next("a number")?;
    let number = plain(word, most).filter(|number| *number > 0);
    number.ok_or_else(|| format!("{} is no number of {what}; say 1 to {most}", quoted(word)))
}

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

/// A number of bytes as it is read.
fn number(bytes: u64) -> String {
    const M: u64 = 1 << 20;
    let rest = bytes % BLOCK_SIZE;
    let pages = bytes - rest;
    match (pages, rest) {
        (0, rest) => rest.to_string(),
        (pages, 0) if pages.is_multiple_of(M) => format!("{}M", pages / M),
        (pages, 0) => format!("{}K", pages >> 10),
        (pages, rest) => format!("{}+{rest}", number(pages)),
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "about {}\n", self.about)?;
        if self.files != 1 {
            writeln!(f, "files {}", self.files)?;
        }
        if self.pages != 1 {
            writeln!(f, "pages {}", self.pages)?;
        }
        if self.huge {
            writeln!(f, "huge")?;
        }
        for (index, map) in self.maps.iter().enumerate() {
            let address = map.address.map_or_else(String::new, |address| format!(" at {address:#x}"));
            let flag = |set: bool, word: &'static str| if set { word } else { "" };
            let flags = [
                flag(map.private, " private"),
                flag(map.sync, " sync"),
                flag(map.small, " small"),
                flag(map.later, " later"),
            ];
            writeln!(f, "map M{index} F{}{}{address}", map.file, flags.concat())?;
        }
        let mut block = |name: String, ops: &[Op]| {
            if ops.is_empty() {
                return Ok(());
            }
            writeln!(f, "\n{name}:")?;
            ops.iter().try_for_each(|op| writeln!(f, "    {}", written(*op)))
        };
        block("setup".into(), &self.setup)?;
        for (thread, ops) in self.threads.iter().enumerate() {
            block(format!("thread {}", letter(thread)), ops)?;
        }
        block("finally".into(), &self.finally)?;
        for (index, (variant, among)) in self.broken_in.iter().enumerate() {
            let among: Vec<&str> = among.iter().map(|invariant| invariant.name()).collect();
            writeln!(f, "{}expect {variant} {}", if index == 0 { "\n" } else { "" }, among.join(" "))?;
        }
        Ok(())
    }
}

/// An operation as it is read.
fn written(op: Op) -> String {
    let span =
        |letter: char, Span { of, at, len }: Span| format!("{letter}{of} {} {}", number(at), number(len));
    // A word's length is left out.
    let short = |Span { of, at, len }: Span| {
        if len == 8 { format!("M{of} {}", number(at)) } else { span('M', Span { of, at, len }) }
    };
    let place = |letter: char, Place { of, at }: Place| format!("{letter}{of} {}", number(at));
    match op {
        Op::Write(bytes) => format!("pwrite {}", span('F', bytes)),
        Op::WriteFrom(bytes, from) => format!("pwrite {} from {}", span('F', bytes), place('M', from)),
        Op::Read(bytes) => format!("pread {}", span('F', bytes)),
        Op::ReadInto(bytes, to) => format!("pread {} into {}", span('F', bytes), place('M', to)),
        Op::Load(bytes) => format!("load {}", short(bytes)),
        Op::Store(bytes) => format!("store {}", short(bytes)),
        Op::DirectWrite(bytes) => format!("pin-write {}", short(bytes)),
        Op::Persist(bytes) => format!("persist {}", short(bytes)),
        Op::DontNeed(bytes) => format!("madvise {} dontneed", span('M', bytes)),
        Op::Msync(bytes) => format!("msync {}", span('M', bytes)),
        Op::Mmap { map } => format!("mmap M{map}"),
        Op::Munmap { map } => format!("munmap M{map}"),
        Op::Fsync { file } => format!("fsync F{file}"),
        Op::Truncate { file, size } => format!("ftruncate F{file} {}", number(size)),
        Op::Fallocate(bytes) => format!("fallocate {}", span('F', bytes)),
        Op::KeepSize(bytes) => format!("fallocate {} keep-size", span('F', bytes)),
        Op::Punch(bytes) => format!("fallocate {} punch", span('F', bytes)),
        Op::Zero(bytes) => format!("fallocate {} zero", span('F', bytes)),
        Op::Collapse(bytes) => format!("fallocate {} collapse", span('F', bytes)),
        Op::Insert(bytes) => format!("fallocate {} insert", span('F', bytes)),
        Op::Unshare(bytes) => format!("fallocate {} unshare", span('F', bytes)),
        Op::Clone(bytes, from) => format!("clone {} from {}", span('F', bytes), place('F', from)),
        Op::Dedupe(bytes, from) => format!("dedupe {} from {}", span('F', bytes), place('F', from)),
        Op::Copy(bytes, from) => format!("copy {} from {}", span('F', bytes), place('F', from)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Two threads, and a line before and after their blocks' beginning.
    fn with(head: &str, op: &str) -> Result<Scenario, FormError> {
        let text = format!("files 2\nmap M0 F0\n{head}\nthread A:\n{op}\nthread B:\nload M0 0\n");
        parse("test", &text)
    }

    #[track_caller]
    fn refused(head: &str, op: &str, line: u64, parts: &[&str]) {
        let error = with(head, op).expect_err("it is not sound");
        assert_eq!(error.line, line, "{error}");
        for part in parts {
            assert!(error.text.contains(part), "no {part:?} in {error}");
        }
    }

    #[test]
    fn what_is_wrong_is_told_with_line_word_and_remedy() {
        refused("", "pwrit F0 0 8", 5, &["`pwrit` is not known", "pwrite", "thread"]);
        refused(
            "",
            "pwrite F0 0",
            5,
            &["a length is missing", "write it as `pwrite F0 AT LEN [from M0 AT]`"],
        );
        refused("", "pwrite F2 0 8", 5, &["there is no `F2`", "say `files NUMBER` above"]);
        refused("", "pwrite G0 0 8", 5, &["`G0` is not a file", "F0, F1"]);
        refused("", "load M1 0", 5, &["there is no `M1`", "say `map M1 F0` above"]);
        refused("", "load M0 0 8 9", 5, &["`9` is one word too many"]);
        refused("", "load M0 4092", 5, &["[4092, 4100) does not lie in M0", "4096", "say `pages NUMBER`"]);
        refused("", "load M0 8x", 5, &["`8x` is not a number", "4K+8"]);
        refused("", "load M0 99999999999999999999999", 5, &["is more than 4M"]);
        refused("", "pread F0 0 4K+1", 5, &["4097 bytes", "1 to 4096"]);
        refused("", "pread F0 0 0", 5, &["0 bytes", "1 to 4096"]);
        refused("", "persist M0 0", 5, &["say `sync`"]);
        refused("", "fallocate F0 8 4K insert", 5, &["multiples of 4K"]);
        refused("", "fallocate F0 8 4K squeeze", 5, &["`squeeze` is no mode", "punch"]);
        refused("", "clone F1 0 0 into F0 0", 5, &["`into` stands where `from` belongs"]);
        refused("", "fsync F0\nfiles 3", 6, &["`files` comes before the first block", "move it up"]);
        refused("files 2", "fsync F0", 3, &["`files` comes before the mappings"]);
        refused("load M0 0", "fsync F0", 3, &["in no block", "`setup:`"]);
        refused("map M2 F0", "fsync F0", 3, &["`M2` stands where `M1` belongs"]);
        refused("map M1 F0 private sync", "fsync F0", 3, &["exclude each other"]);
        refused("map M1 F0 at 7", "fsync F0", 3, &["`7` is no address", "multiple of 4096"]);
        refused("setup", "fsync F0", 3, &["`setup` lacks a colon"]);
        refused("setup:\nsetup:", "fsync F0", 4, &["a second time"]);
        refused("expect range-lock I1", "fsync F0", 3, &["promises that nothing goes wrong"]);
        refused("expect linux-4.11 I9", "fsync F0", 3, &["`I9` is no invariant", "I1, I2"]);
        refused("expect linux-4.13 I1", "fsync F0", 3, &["linux-4.12"]);
        refused("", "munmap M0", 5, &["another thread uses it in line 7", "a mapping of its own"]);
        refused("", &"fsync F0\n".repeat(16), 20, &["at most 15"]);
        refused("", "fsync F0 \u{1b}[31m", 5, &["`\\u{1b}` is a control character"]);
        refused("", "", 7, &["thread A does nothing"]);
        let one = parse("test", "thread A:\nfsync F0").expect_err("one is no race");
        assert!(one.text.contains("add a block `thread B:`"), "{one}");
        assert!(parse("test", "").is_err() && parse("test", &"\n".repeat(1 << 17)).is_err());
        // A private mapping is no buffer.
        refused("map M1 F0 private", "pwrite F0 0 8 from M1 0", 5, &["map it shared"]);
    }

    #[test]
    fn long_words_are_quoted_cut() {
        let long = "x".repeat(50_000);
        for line in [
            &long,
            &format!("load {long}"),
            &format!("load M0 {long}"),
            &format!("load M0 {}", "9".repeat(50_000)),
        ] {
            let error = with("", line).expect_err("it is not known");
            assert!(error.text.len() < 600 && error.text.contains("characters more"), "{error}");
        }
    }

    #[test]
    fn comments_line_ends_and_a_byte_order_mark_are_passed_over() {
        let text = "\u{feff}about a # stays\r\n\r\nmap M0 F0 # of file 0\r\n\tthread A:\r\nload M0 0#\r\n";
        let error = parse("test", text).expect_err("0# is no number");
        assert_eq!(error.line, 5);
        let text = text.replace("0#", "0 #") + "thread B:\nstore M0 0x10 0x3";
        let scenario = parse("test", &text).unwrap();
        assert_eq!(scenario.about, "a # stays");
        assert_eq!(scenario.threads[1], [Op::Store(Span { of: 0, at: 16, len: 3 })]);
        assert_eq!((scenario.grain(), with("", "fsync F0").unwrap().grain()), (1, 8));
    }

    #[test]
    fn numbers_are_printed_as_they_are_read() {
        for bytes_of in [0, 8, 4095, 4096, 4104, 28 << 10, 1 << 20, (1 << 20) + 4096, (2 << 20) + 8] {
            assert_eq!(bytes(&number(bytes_of), LAST_BYTE), Ok(bytes_of), "{}", number(bytes_of));
        }
    }

    /// Words that lead deep into the parser, and others.
    fn word() -> impl Strategy<Value = String> {
        let known: Vec<String> = OPERATIONS
            .iter()
            .chain(HEADS)
            .flat_map(|usage| usage.split([' ', '[', ']', '|']))
            .chain([
                "F0",
                "F1",
                "M0",
                "M1",
                "0",
                "8",
                "4K",
                "4K+8",
                "-1",
                "0x",
                "K",
                "+",
                "#",
                ":",
                "A:",
                "B:",
                "C:",
                "linux-4.11",
                "I1",
            ])
            .map(str::to_owned)
            .collect();
        prop_oneof![6 => prop::sample::select(known), 1 => ".{0,60}", 1 => "[0-9]{1,40}[KM+]?"]
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "(?s).{0,400}") {
            let _ = parse("test", &text);
        }

        /// And what is read is printed so that it reads the same; a message is one line.
        #[test]
        fn no_words_make_it_panic(
            lines in prop::collection::vec(prop::collection::vec(word(), 0..7), 0..30),
            sound in any::<bool>(),
        ) {
            let mut text = if sound { "files 2\nmap M0 F0\nmap M1 F1 sync\nthread A:\nfsync F0\nthread B:\nfsync F0\n".to_owned() } else { String::new() };
            for line in lines {
                let with_it = format!("{text}{}\n", line.join(" "));
                match parse("test", &with_it) {
                    // A line that fits in is kept, and so texts that are sound grow.
                    Ok(scenario) => {
                        prop_assert_eq!(parse("test", &scenario.to_string()), Ok(scenario));
                        text = with_it;
                    }
                    Err(error) => {
                        prop_assert!(!error.text.contains('\n') && error.text.len() < 1000, "{}", error);
                        if !sound {
                            text = with_it;
                        }
                    }
                }
            }
        }
    }
}
