//! What a scenario is: a few files and mappings, and what two or three threads do to them.

use std::fmt;

use crate::check::Invariant;
use crate::file::MapOptions;
use crate::pmem::BLOCK_SIZE;
use crate::variant::Variant;

/// A few operations, every order of which is explored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scenario {
    /// Its name on the command line.
    pub name: String,
    /// What the scenario is about, in one line.
    pub about: String,
    /// How many files there are.
    pub(super) files: usize,
    /// How many pages of each file are mapped.
    pub(super) pages: u64,
    /// Whether faults map 2 MiB where they can.
    pub(super) huge: bool,
    /// The mappings, each in an address space of its own.
    pub(super) maps: Vec<Map>,
    /// The operations before the threads begin.
    pub(super) setup: Vec<Op>,
    /// The operations of each thread.
    pub(super) threads: Vec<Vec<Op>>,
    /// The operations after all threads have ended.
    pub(super) finally: Vec<Op>,
    /// The variants in which it goes wrong, and what may be found broken there. The first invariant
    /// is found broken, however short the search. `unserialised` is not listed: anything is
    /// expected of it.
    pub(super) broken_in: Vec<(Variant, Vec<Invariant>)>,
}

/// A mapping of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Map {
    pub(super) file: usize,
    /// MAP_PRIVATE.
    pub(super) private: bool,
    /// MAP_SYNC.
    pub(super) sync: bool,
    /// Whether faults map pages only, whatever the file system does.
    pub(super) small: bool,
    /// Whether it is mapped only once an operation maps it.
    pub(super) later: bool,
    /// Where it lies. Without an address it lies where 2 MiB fit.
    pub(super) address: Option<u64>,
}

impl Map {
    pub(super) fn of(file: usize) -> Map {
        Map { file, private: false, sync: false, small: false, later: false, address: None }
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

/// Bytes of a file, or of what a mapping shows of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    /// The number of the file or of the mapping.
    pub(super) of: usize,
    /// In bytes from the start of the file.
    pub(super) at: u64,
    pub(super) len: u64,
}

impl Span {
    /// The end: one past the last byte.
    pub(super) fn end(self) -> u64 {
        self.at + self.len
    }

    /// The same number of bytes elsewhere.
    fn like(self, of: usize, at: u64) -> Span {
        Span { of, at, len: self.len }
    }
}

/// Where the bytes of a second file or mapping begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) of: usize,
    pub(super) at: u64,
}

/// One call of a thread. Places are in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Op {
    /// write(2).
    Write(Span),
    /// write(2) from a mapping.
    WriteFrom(Span, Place),
    /// read(2).
    Read(Span),
    /// read(2) into a mapping.
    ReadInto(Span, Place),
    /// A load within a page. A word is loaded in one piece.
    Load(Span),
    /// A store within a page. A word is stored in one piece.
    Store(Span),
    /// A direct read from elsewhere into a mapping: pin, write, unpin.
    DirectWrite(Span),
    /// The thread itself writes back the lines of a mapping, which needs MAP_SYNC.
    Persist(Span),
    /// MADV_DONTNEED.
    DontNeed(Span),
    /// msync(2) with MS_SYNC.
    Msync(Span),
    /// mmap(2).
    Mmap { map: usize },
    /// munmap(2).
    Munmap { map: usize },
    /// fsync(2).
    Fsync { file: usize },
    /// ftruncate(2).
    Truncate { file: usize, size: u64 },
    /// fallocate(2).
    Fallocate(Span),
    /// FALLOC_FL_KEEP_SIZE.
    KeepSize(Span),
    /// FALLOC_FL_PUNCH_HOLE.
    Punch(Span),
    /// FALLOC_FL_ZERO_RANGE.
    Zero(Span),
    /// FALLOC_FL_COLLAPSE_RANGE of whole pages.
    Collapse(Span),
    /// FALLOC_FL_INSERT_RANGE of whole pages.
    Insert(Span),
    /// FALLOC_FL_UNSHARE_RANGE.
    Unshare(Span),
    /// FICLONERANGE from another file. A length of 0 means up to its end.
    Clone(Span, Place),
    /// FIDEDUPERANGE.
    Dedupe(Span, Place),
    /// copy_file_range(2).
    Copy(Span, Place),
}

impl Op {
    /// The bytes of a file that the operation reads or writes.
    pub(super) fn of_file(self) -> Option<Span> {
        match self {
            Op::Write(span) | Op::WriteFrom(span, _) | Op::Read(span) | Op::ReadInto(span, _) => Some(span),
            _ => None,
        }
    }

    /// The bytes of a mapping that the operation reads or writes.
    pub(super) fn of_map(self) -> Option<Span> {
        match self {
            Op::Load(span) | Op::Store(span) | Op::DirectWrite(span) | Op::Persist(span) => Some(span),
            Op::WriteFrom(span, from) => Some(span.like(from.of, from.at)),
            Op::ReadInto(span, to) => Some(span.like(to.of, to.at)),
            _ => None,
        }
    }

    /// The mapping that the operation uses.
    pub(super) fn mapping(self) -> Option<usize> {
        match self {
            Op::Mmap { map } | Op::Munmap { map } => Some(map),
            Op::DontNeed(span) | Op::Msync(span) => Some(span.of),
            _ => self.of_map().map(|span| span.of),
        }
    }

    /// The places at which the operation divides what a file holds.
    pub(super) fn borders(self) -> [u64; 3] {
        match self {
            Op::Truncate { size, .. } => [size, 0, 0],
            Op::Clone(span, from) | Op::Dedupe(span, from) | Op::Copy(span, from) => {
                [span.at, span.end(), from.at]
            }
            Op::WriteFrom(span, other) | Op::ReadInto(span, other) => [span.at, span.end(), other.at],
            Op::Write(span)
            | Op::Read(span)
            | Op::Load(span)
            | Op::Store(span)
            | Op::DirectWrite(span)
            | Op::Persist(span)
            | Op::Punch(span)
            | Op::Zero(span)
            | Op::Fallocate(span) => [span.at, span.end(), 0],
            Op::DontNeed(_)
            | Op::Msync(_)
            | Op::Mmap { .. }
            | Op::Munmap { .. }
            | Op::Fsync { .. }
            | Op::KeepSize(_)
            | Op::Collapse(_)
            | Op::Insert(_)
            | Op::Unshare(_) => [0; 3],
        }
    }

    /// Whether the operation moves bytes from one place of a file to another.
    pub(super) fn moves(self) -> bool {
        matches!(
            self,
            Op::WriteFrom(..)
                | Op::ReadInto(..)
                | Op::Clone(..)
                | Op::Copy(..)
                | Op::Collapse(_)
                | Op::Insert(_)
        )
    }

    /// The file and place from which the operation takes what it puts at `at` of a file. `None` if
    /// it does not move that byte.
    pub(super) fn origin(self, maps: &[Map], file: usize, at: u64) -> Option<(usize, u64)> {
        let moved = |to: usize, start: u64, len: u64, from: (usize, u64)| {
            (to == file && at >= start && at - start < len).then(|| (from.0, from.1 + (at - start)))
        };
        match self {
            Op::WriteFrom(span, from) => moved(span.of, span.at, span.len, (maps[from.of].file, from.at)),
            Op::ReadInto(span, to) => moved(maps[to.of].file, to.at, span.len, (span.of, span.at)),
            Op::Clone(Span { len: 0, of, at }, from) => moved(of, at, u64::MAX, (from.of, from.at)),
            Op::Clone(span, from) | Op::Copy(span, from) => {
                moved(span.of, span.at, span.len, (from.of, from.at))
            }
            Op::Collapse(span) => moved(span.of, span.at, u64::MAX, (span.of, span.end())),
            Op::Insert(span) => moved(span.of, span.end(), u64::MAX, (span.of, span.at)),
            _ => None,
        }
    }
}

impl Scenario {
    /// All operations.
    pub(super) fn ops(&self) -> impl Iterator<Item = Op> + '_ {
        self.setup.iter().chain(self.threads.iter().flatten()).chain(&self.finally).copied()
    }

    /// All operations, with the value that each writes. No other operation writes this value, and a
    /// byte can hold it. It is made of the thread's letter and the operation's number.
    pub(super) fn values(&self) -> impl Iterator<Item = (u64, Op)> + '_ {
        let alone = (0..).zip(self.setup.iter().chain(&self.finally)).map(|(number, op)| (None, number, op));
        let threads = (0..)
            .zip(&self.threads)
            .flat_map(|(thread, ops)| (0..).zip(ops).map(move |(number, op)| (Some(thread), number, op)));
        alone.chain(threads).map(|(thread, number, op)| (value(thread, number), *op))
    }

    /// How many bytes are one register: a word if no operation divides a word, otherwise a byte.
    pub(super) fn grain(&self) -> u64 {
        let divides = |op: Op| op.borders().iter().any(|border| !border.is_multiple_of(8));
        if self.ops().any(divides) { 1 } else { 8 }
    }
}

/// What operation `number` of a thread writes. `None` stands for what comes before and after all
/// threads.
pub(super) fn value(thread: Option<usize>, number: usize) -> u64 {
    let thread = thread.map_or(1, |thread| 0xa + thread as u64);
    thread << 4 | (number as u64 + 1)
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = |file: usize| if file == 0 { String::new() } else { format!(" of file {file}") };
        let through = |map: usize| format!(" through M{map}");
        let bytes = |Span { of: file, at, len }: Span| format!("{len} bytes at {at}{}", of(file));
        let touched = |Span { of: file, at, len }: Span| format!("{}{}", part(at, len), of(file));
        // The length is left out if it is a word's.
        let word = |Span { of: map, at, len }: Span| {
            let of_bytes = if len == 8 { String::new() } else { format!(" of {len} bytes") };
            format!("{of_bytes} at {at}{}", through(map))
        };
        match *self {
            Op::Write(span) => write!(f, "write(2) of {}", bytes(span)),
            Op::WriteFrom(span, from) => {
                write!(f, "write(2) of {}, from M{} at {}", bytes(span), from.of, from.at)
            }
            Op::Read(span) => write!(f, "read(2) of {}", bytes(span)),
            Op::ReadInto(span, to) => write!(f, "read(2) of {}, into M{} at {}", bytes(span), to.of, to.at),
            Op::Load(span) => write!(f, "load{}", word(span)),
            Op::Store(span) => write!(f, "store{}", word(span)),
            Op::DirectWrite(span) => write!(f, "pinned write{}", word(span)),
            Op::Persist(span) => write!(f, "write-back of lines{}", word(span)),
            Op::DontNeed(span) => {
                write!(f, "MADV_DONTNEED of {}{}", part(span.at, span.len), through(span.of))
            }
            Op::Msync(span) => write!(f, "msync of {}{}", part(span.at, span.len), through(span.of)),
            Op::Mmap { map } => write!(f, "mmap of M{map}"),
            Op::Munmap { map } => write!(f, "munmap of M{map}"),
            Op::Fsync { file } => write!(f, "fsync{}", of(file)),
            Op::Truncate { file, size } => write!(f, "truncate to {size}{}", of(file)),
            Op::Fallocate(span) => write!(f, "fallocate {}", touched(span)),
            Op::KeepSize(span) => write!(f, "fallocate, size kept, {}", touched(span)),
            Op::Punch(span) => write!(f, "punch {}", touched(span)),
            Op::Zero(span) => write!(f, "zero {}", touched(span)),
            Op::Collapse(span) => write!(f, "collapse {}", touched(span)),
            Op::Insert(span) => write!(f, "insert {}", touched(span)),
            Op::Unshare(span) => write!(f, "unshare {}", touched(span)),
            Op::Clone(Span { of: file, at: 0, len: 0 }, Place { of: source, at: 0 }) => {
                write!(f, "clone file {source} to file {file}")
            }
            Op::Clone(span, from) => write!(f, "clone {}", pieces(span, from)),
            Op::Dedupe(span, from) => write!(f, "dedupe {}", pieces(span, from)),
            Op::Copy(span, from) => write!(f, "copy {}", pieces(span, from)),
        }
    }
}

/// From where to where.
fn pieces(to: Span, from: Place) -> String {
    let len = if to.len == 0 { "all".into() } else { format!("{} bytes", to.len) };
    format!("{len} at {} of file {} to {} of file {}", from.at, from.of, to.at, to.of)
}

/// A part of a file or mapping, in pages if they are whole.
fn part(at: u64, len: u64) -> String {
    if at.is_multiple_of(BLOCK_SIZE) && len.is_multiple_of(BLOCK_SIZE) && len > 0 {
        span(at / BLOCK_SIZE, len / BLOCK_SIZE)
    } else {
        format!("[{at}, {})", at + len)
    }
}

fn span(page: u64, pages: u64) -> String {
    if pages == 1 { format!("page {page}") } else { format!("pages {page} to {}", page + pages - 1) }
}
