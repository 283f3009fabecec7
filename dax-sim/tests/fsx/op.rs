//! Operations, how they are drawn, and how fsx writes them down.

use dax_sim::pmem::BLOCK_SIZE;

/// How large files and operations are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes {
    /// The largest file.
    pub(crate) max: u64,
    longest: u64,
}

impl Sizes {
    /// Room for what an operation moves, wherever in a page it begins.
    pub(crate) fn longest_buffer(self) -> u64 {
        (self.longest + 4 * BLOCK_SIZE).next_multiple_of(BLOCK_SIZE)
    }
}

/// As in fsx.
pub(crate) const SMALL: Sizes = Sizes { max: 256 << 10, longest: 64 << 10 };
/// Large enough for pages of 2 MiB.
pub(crate) const LARGE: Sizes = Sizes { max: 7 << 20, longest: 3 << 20 };
const PMD: u64 = 2 << 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    Read,
    Write,
    MapRead,
    MapWrite,
    Truncate,
    Fallocate,
    PunchHole,
    ZeroRange,
    CollapseRange,
    InsertRange,
    CloneRange,
    DedupeRange,
    CopyRange,
    Fsync,
    /// What was drawn cannot be done.
    Skip,
}

const VERBS: [(Verb, &str); 14] = [
    (Verb::Read, "read"),
    (Verb::Write, "write"),
    (Verb::MapRead, "mapread"),
    (Verb::MapWrite, "mapwrite"),
    (Verb::Truncate, "truncate"),
    (Verb::Fallocate, "fallocate"),
    (Verb::PunchHole, "punch_hole"),
    (Verb::ZeroRange, "zero_range"),
    (Verb::CollapseRange, "collapse_range"),
    (Verb::InsertRange, "insert_range"),
    (Verb::CloneRange, "clone_range"),
    (Verb::DedupeRange, "dedupe_range"),
    (Verb::CopyRange, "copy_range"),
    (Verb::Fsync, "fsync"),
];

#[derive(Clone, Copy, Debug)]
pub(crate) struct Op {
    pub(crate) verb: Verb,
    pub(crate) offset: u64,
    pub(crate) len: u64,
    pub(crate) dest: u64,
    pub(crate) keep_size: bool,
    pub(crate) unshare: bool,
    pub(crate) close_open: bool,
}

impl Op {
    pub(crate) fn end(&self) -> u64 {
        self.offset + self.len
    }

    /// As `fsx --record-ops` writes it.
    pub(crate) fn line(&self, size: u64) -> String {
        let Some((_, name)) = VERBS.iter().find(|(verb, _)| *verb == self.verb) else {
            return "skip write 0x0 0x0 0x0".to_owned();
        };
        let mut line = format!("{name} {:#x} {:#x}", self.offset, self.len);
        if matches!(self.verb, Verb::CloneRange | Verb::DedupeRange | Verb::CopyRange) {
            line += &format!(" {:#x}", self.dest);
        }
        line += &format!(" {size:#x}");
        for (is_set, word) in
            [(self.keep_size, "keep_size"), (self.close_open, "close_open"), (self.unshare, "unshare")]
        {
            if is_set {
                line += " ";
                line += word;
            }
        }
        line
    }
}

/// Draws operations that can be done.
pub(crate) struct Generator {
    random: fastrand::Rng,
    sizes: Sizes,
}

impl Generator {
    pub(crate) fn new(seed: u64, sizes: Sizes) -> Self {
        Self { random: fastrand::Rng::with_seed(seed), sizes }
    }

    /// For a file of `size` bytes.
    pub(crate) fn next(&mut self, size: u64) -> Op {
        let (random, sizes) = (&mut self.random, self.sizes);
        let (verb, _) = VERBS[random.usize(..VERBS.len())];
        let mut op = Op {
            verb,
            // Whole pages are rare enough to be drawn on purpose.
            offset: random.u64(..sizes.max),
            len: 1 + if random.bool() { random.u64(..sizes.longest) } else { random.u64(..2 * BLOCK_SIZE) },
            dest: random.u64(..sizes.max),
            keep_size: matches!(verb, Verb::Fallocate | Verb::ZeroRange) && random.bool(),
            unshare: verb == Verb::Fallocate && random.u8(..4) == 0,
            // In a new mapping, which has no table of single pages yet, 2 MiB can be mapped.
            close_open: random.u8(..if sizes.max > PMD { 8 } else { 64 }) == 0,
        };
        if random.u8(..4) == 0 {
            op.offset -= op.offset % BLOCK_SIZE;
            op.len = op.len.next_multiple_of(BLOCK_SIZE);
        }
        if sizes.longest >= PMD && random.u8(..4) == 0 {
            // So are whole 2 MiB.
            (op.offset, op.dest) = (op.offset - op.offset % PMD, op.dest - op.dest % PMD);
            op.len = PMD;
        }
        trim(&mut op, size, sizes, random);
        op
    }
}

fn trim(op: &mut Op, size: u64, sizes: Sizes, random: &mut fastrand::Rng) {
    let page = |at: u64| at - at % BLOCK_SIZE;
    match op.verb {
        Verb::Write | Verb::MapWrite | Verb::Fallocate | Verb::ZeroRange => within(op, sizes.max),
        Verb::Read | Verb::MapRead | Verb::PunchHole | Verb::CopyRange => within(op, size),
        Verb::Truncate => (op.offset, op.len) = (0, random.u64(..sizes.max)),
        Verb::CollapseRange => {
            within(op, size.saturating_sub(1));
            (op.offset, op.len) = (page(op.offset), page(op.len));
        }
        Verb::InsertRange => {
            within(op, size);
            (op.offset, op.len) = (page(op.offset), page(op.len.min(sizes.max - size)));
        }
        Verb::CloneRange | Verb::DedupeRange => {
            within(op, size);
            (op.offset, op.len, op.dest) = (page(op.offset), page(op.len), page(op.dest));
            // The last block in part, where it can go to the end of the target.
            let rest = size - op.offset.min(size);
            if op.verb == Verb::CloneRange && rest <= sizes.longest && page(op.dest) + rest >= size {
                op.len = rest;
            }
        }
        Verb::Fsync => (op.offset, op.len) = (0, 0),
        Verb::Skip => {}
    }
    let limit = if op.verb == Verb::DedupeRange { size } else { sizes.max };
    let two = matches!(op.verb, Verb::CloneRange | Verb::DedupeRange | Verb::CopyRange);
    let whole = if op.verb == Verb::CopyRange { op.len } else { op.len.next_multiple_of(BLOCK_SIZE) };
    let overlap = op.offset < op.dest + whole && op.dest < op.offset + whole;
    let nothing = op.len == 0 && !matches!(op.verb, Verb::Truncate | Verb::Fsync);
    if nothing || (two && (overlap || op.dest + op.len > limit)) {
        op.verb = Verb::Skip;
    }
}

/// As fsx trims: into the file, and so to 0 bytes of an empty one.
fn within(op: &mut Op, limit: u64) {
    op.offset = if limit == 0 { 0 } else { op.offset % limit };
    op.len = op.len.min(limit - op.offset);
}
