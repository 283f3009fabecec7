//! DAX entries: what a file remembers of the block map's answers.
//!
//! A file keeps one entry for each page, or each 2 MiB, that is or was mapped. The entry records
//! the block map's answer from when it was mapped. Each entry has a lock, one bit of its word: a
//! thread holds it while it installs, replaces or removes the answer. A thread that finds the entry
//! locked sleeps in the [`wait_table`](super::wait_table).
//!
//! Follows the exceptional entries of Linux 4.12 (`RADIX_DAX_*`), with the zero page of 4.14 for 4
//! KiB as well.

use std::fmt;

/// There is an entry. The bit sets block 0 apart from no entry (the mark of XArray's value
/// entries).
pub(super) const VALUE: u64 = 1 << 0;
/// A thread has locked the entry.
pub(super) const LOCKED: u64 = 1 << 1;
/// The entry is of 2 MiB. It lies beside the leaf of its 512 pages, which is empty meanwhile.
pub(super) const PMD: u64 = 1 << 2;
/// The page is mapped by the zero page, and has no block.
const ZERO_PAGE: u64 = 1 << 3;
/// A placeholder that serves as a lock only.
pub(super) const EMPTY: u64 = 1 << 4;
/// A thread may have stored to the page since it was last written back. Linux has a tag of the
/// tree.
pub(super) const DIRTY: u64 = 1 << 5;
/// The entry was dirty when a write-back that is under way began. Linux has a tag of the tree.
pub(super) const TOWRITE: u64 = 1 << 6;
/// The block, or the first of 512, where neither ZERO_PAGE nor EMPTY is set.
const BLOCK_SHIFT: u32 = 8;

/// What an entry says, except for its size, its lock and the TOWRITE tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DaxEntry {
    /// Nothing has been mapped yet.
    Empty,
    /// The zero page is mapped.
    ZeroPage,
    /// This block is mapped, or 512 from this one on.
    Block {
        block: u64,
        /// The block may be mapped writable, and needs write-back.
        dirty: bool,
    },
}

impl fmt::Display for DaxEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DaxEntry::Empty => f.write_str("nothing yet"),
            DaxEntry::ZeroPage => f.write_str("a hole"),
            DaxEntry::Block { block, dirty: false } => write!(f, "block {block}"),
            DaxEntry::Block { block, dirty: true } => write!(f, "block {block}, dirty"),
        }
    }
}

impl DaxEntry {
    pub(super) fn from_word(word: u64) -> Option<Self> {
        match word {
            0 => None,
            _ if word & EMPTY != 0 => Some(DaxEntry::Empty),
            _ if word & ZERO_PAGE != 0 => Some(DaxEntry::ZeroPage),
            _ => Some(DaxEntry::Block { block: word >> BLOCK_SHIFT, dirty: word & DIRTY != 0 }),
        }
    }

    pub(super) fn word(self) -> u64 {
        VALUE
            | match self {
                DaxEntry::Empty => EMPTY,
                DaxEntry::ZeroPage => ZERO_PAGE,
                DaxEntry::Block { block, dirty: false } => block << BLOCK_SHIFT,
                DaxEntry::Block { block, dirty: true } => block << BLOCK_SHIFT | DIRTY,
            }
    }

    pub(crate) fn is_dirty(self) -> bool {
        matches!(self, DaxEntry::Block { dirty: true, .. })
    }
}
