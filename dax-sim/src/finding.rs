//! What the checkers find. It uses no other module.

use std::fmt;

/// The name of an invariant that a checker found broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Invariant {
    /// I1: reads, writes, loads and stores are coherent.
    Coherence,
    /// I2: each translation agrees with the entry of the translated page, and each entry agrees
    /// with the block map. A page whose entry is the zero page has no written block.
    Mapping,
    /// I3: translations of zero pages and of clean entries are read-only.
    Protection,
    /// I4: no entry and no translation leads to a free block, and no call uses a free block.
    Freeing,
    /// I5: for the pages of an entry of 2 MiB, the file has no entries of 4 KiB. For the pages of a
    /// translation of 2 MiB, the mapping has no translations of 4 KiB.
    Size,
    /// I6: after an fsync, an msync or a write-back of lines through MAP_SYNC, the bytes that this
    /// operation covers are durable.
    Durability,
    /// I7: every operation ends. No schedule has a deadlock or a lost wake-up.
    Liveness,
    /// Each thread takes its locks in the order of their ranks.
    LockOrder,
    /// The program itself does not panic.
    NoPanic,
}

impl Invariant {
    /// The name, for tables.
    pub fn name(self) -> &'static str {
        match self {
            Invariant::Coherence => "I1",
            Invariant::Mapping => "I2",
            Invariant::Protection => "I3",
            Invariant::Freeing => "I4",
            Invariant::Size => "I5",
            Invariant::Durability => "I6",
            Invariant::Liveness => "I7",
            Invariant::LockOrder => "order",
            Invariant::NoPanic => "panic",
        }
    }

    /// The invariant in words.
    pub fn meaning(self) -> &'static str {
        match self {
            Invariant::Coherence => "coherence of read(2), write(2), loads and stores",
            Invariant::Mapping => "translations and entries agree with the block map",
            Invariant::Protection => "what is clean or a hole is mapped read-only",
            Invariant::Freeing => "free blocks have no user",
            Invariant::Size => "no 4 KiB page below a 2 MiB one",
            Invariant::Durability => "what fsync promised is durable",
            Invariant::Liveness => "every operation comes to an end",
            Invariant::LockOrder => "locks are taken in the order of their ranks",
            Invariant::NoPanic => "no panic",
        }
    }
}

impl fmt::Display for Invariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A broken invariant, with the observation of the checker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The invariant.
    pub broken: Invariant,
    /// The observation of the checker. The first line of the text is a summary. Further lines may
    /// have details.
    pub text: String,
}

impl Finding {
    pub(crate) fn new(broken: Invariant, text: impl Into<String>) -> Self {
        Self { broken, text: text.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.broken, self.text)
    }
}
