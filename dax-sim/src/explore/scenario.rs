//! What a scenario is: a few files and mappings, and what two or three threads do to them.

use std::fmt;

use crate::check::Invariant;
use crate::file::MapOptions;
use crate::pmem::BLOCK_SIZE;
use crate::variant::Variant;

/// A few operations whose every order is to be tried.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it is about, in one line.
    pub about: &'static str,
    /// How many files there are.
    pub(super) files: usize,
    /// How many pages of each file are mapped.
    pub(super) pages: u64,
    /// Whether faults map 2 MiB where they can.
    pub(super) huge: bool,
    /// What is mapped, each in an address space of its own.
    pub(super) maps: &'static [Map],
    /// Done before the threads begin.
    pub(super) setup: &'static [Op],
    /// What the threads do.
    pub(super) threads: &'static [&'static [Op]],
    /// Done when all threads have ended.
    pub(super) finally: &'static [Op],
    /// In which variants it goes wrong, and what may be found broken there: the first of it is,
    /// however short the search. Not for `unserialised`, of which nothing is expected.
    pub(super) broken_in: &'static [(Variant, &'static [Invariant])],
}

/// A mapping of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Map {
    pub(super) file: usize,
    /// MAP_PRIVATE.
    pub(super) private: bool,
    /// MAP_SYNC.
    pub(super) sync: bool,
    /// Pages only, whatever the file system does.
    pub(super) small: bool,
    /// Where it lies; where it fits 2 MiB if this is not given.
    pub(super) address: Option<u64>,
}

impl Map {
    pub(super) const fn of(file: usize) -> Map {
        Map { file, private: false, sync: false, small: false, address: None }
    }

    pub(super) fn options(self) -> MapOptions {
        let mut options = MapOptions::new();
        if self.private {
            options = options.private();
        }
        if self.sync {
            options = options.sync();
        }
        if self.small {
            options = options.huge_pages(false);
        }
        self.address.map_or(options, |address| options.address(address))
    }
}

/// One call of a thread. Places are in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Op {
    /// write(2) of so many words.
    Write { file: usize, at: u64, words: u64 },
    /// write(2) of so many words from a mapping.
    WriteFrom { file: usize, at: u64, words: u64, map: usize, from: u64 },
    /// read(2) of so many words.
    Read { file: usize, at: u64, words: u64 },
    /// read(2) of so many words into a mapping.
    ReadInto { file: usize, at: u64, words: u64, map: usize, to: u64 },
    /// A load of a word.
    Load { map: usize, at: u64 },
    /// A store of a word.
    Store { map: usize, at: u64 },
    /// A direct read from elsewhere into a mapping of a word: pin, write, unpin.
    DirectWrite { map: usize, at: u64 },
    /// MADV_DONTNEED of a page.
    DontNeed { map: usize, page: u64 },
    /// fsync(2).
    Fsync { file: usize },
    /// ftruncate(2).
    Truncate { file: usize, size: u64 },
    /// fallocate(2) of pages.
    Fallocate { file: usize, page: u64, pages: u64 },
    /// FALLOC_FL_PUNCH_HOLE of whole words.
    Punch { file: usize, at: u64, len: u64 },
    /// FALLOC_FL_ZERO_RANGE of whole words.
    Zero { file: usize, at: u64, len: u64 },
    /// FALLOC_FL_COLLAPSE_RANGE of a page.
    Collapse { file: usize, page: u64 },
    /// FALLOC_FL_INSERT_RANGE of a page.
    Insert { file: usize, page: u64 },
    /// FICLONERANGE of all of another file.
    Clone { file: usize, source: usize },
}

/// A word in a page, in bytes from the start of the file.
pub(super) const fn word(page: u64, word: u64) -> u64 {
    page * BLOCK_SIZE + word * 8
}

impl Op {
    /// The words that it names: file, first byte, how many.
    pub(super) fn words(self) -> Option<(usize, u64, u64)> {
        match self {
            Op::Write { file, at, words }
            | Op::WriteFrom { file, at, words, .. }
            | Op::Read { file, at, words }
            | Op::ReadInto { file, at, words, .. } => Some((file, at, words)),
            _ => None,
        }
    }

    /// The words of mappings that it names: mapping, first byte, how many.
    pub(super) fn mapped_words(self) -> Option<(usize, u64, u64)> {
        match self {
            Op::Load { map, at } | Op::Store { map, at } | Op::DirectWrite { map, at } => Some((map, at, 1)),
            Op::WriteFrom { map, from, words, .. } => Some((map, from, words)),
            Op::ReadInto { map, to, words, .. } => Some((map, to, words)),
            _ => None,
        }
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = |file: usize| if file == 0 { String::new() } else { format!(" of file {file}") };
        let through = |map: usize| format!(" through M{map}");
        match *self {
            Op::Write { file, at, words } => write!(f, "write(2) of {} bytes at {at}{}", words * 8, of(file)),
            Op::WriteFrom { file, at, words, map, from } => {
                write!(f, "write(2) of {} bytes at {at}{}, from M{map} at {from}", words * 8, of(file))
            }
            Op::Read { file, at, words } => write!(f, "read(2) of {} bytes at {at}{}", words * 8, of(file)),
            Op::ReadInto { file, at, words, map, to } => {
                write!(f, "read(2) of {} bytes at {at}{}, into M{map} at {to}", words * 8, of(file))
            }
            Op::Load { map, at } => write!(f, "load at {at}{}", through(map)),
            Op::Store { map, at } => write!(f, "store at {at}{}", through(map)),
            Op::DirectWrite { map, at } => write!(f, "pinned write at {at}{}", through(map)),
            Op::DontNeed { map, page } => write!(f, "MADV_DONTNEED of page {page}{}", through(map)),
            Op::Fsync { file } => write!(f, "fsync{}", of(file)),
            Op::Truncate { file, size } => write!(f, "truncate to {size}{}", of(file)),
            Op::Fallocate { file, page, pages } => write!(f, "fallocate {}{}", span(page, pages), of(file)),
            Op::Punch { file, at, len } => write!(f, "punch {}{}", part(at, len), of(file)),
            Op::Zero { file, at, len } => write!(f, "zero {}{}", part(at, len), of(file)),
            Op::Collapse { file, page } => write!(f, "collapse page {page}{}", of(file)),
            Op::Insert { file, page } => write!(f, "insert page {page}{}", of(file)),
            Op::Clone { file, source } => write!(f, "clone file {source} to file {file}"),
        }
    }
}

/// In pages, if they are whole.
fn part(at: u64, len: u64) -> String {
    if at.is_multiple_of(BLOCK_SIZE) && len.is_multiple_of(BLOCK_SIZE) {
        span(at / BLOCK_SIZE, len / BLOCK_SIZE)
    } else {
        format!("[{at}, {})", at + len)
    }
}

fn span(page: u64, pages: u64) -> String {
    if pages == 1 { format!("page {page}") } else { format!("pages {page} to {}", page + pages - 1) }
}
