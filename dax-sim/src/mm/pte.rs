//! Translations: what an entry of a page table says.

use crate::radix::HUGE;

/// The entry translates to something.
const PRESENT: u64 = 1 << 0;
/// Stores are allowed.
const WRITABLE: u64 = 1 << 1;
/// It translates to the shared page of zeros, which is no block.
const ZERO_PAGE: u64 = 1 << 2;
/// It translates to a page of memory that is this mapping's own (the result of a copy-on-write).
const ANONYMOUS: u64 = 1 << 3;
/// The block, or the frame, starts here, where x86 keeps the frame's number.
const BLOCK_SHIFT: u32 = 12;

/// One translation, of a page or of 2 MiB (PTE, PMD). The table determines which.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pte(u64);

/// What a translation leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// Zeros, for loads only.
    ZeroPage,
    /// A block of the device.
    Block(u64),
    /// A page of the mapping's own, by its frame.
    Anonymous(u64),
}

impl Pte {
    /// No translation.
    pub(crate) const NONE: Pte = Pte(0);

    /// The zero page, for loads only.
    pub(crate) const ZERO: Pte = Pte(PRESENT | ZERO_PAGE);

    /// A page of the mapping's own, for loads and stores.
    pub(crate) fn anonymous(frame: u64) -> Pte {
        Pte(frame << BLOCK_SHIFT | PRESENT | WRITABLE | ANONYMOUS)
    }

    /// A block, or the first of 512, for loads only.
    pub(crate) fn read_only(block: u64) -> Pte {
        Pte(block << BLOCK_SHIFT | PRESENT)
    }

    /// A block, or the first of 512, for loads and stores.
    pub(crate) fn writable(block: u64) -> Pte {
        Pte(block << BLOCK_SHIFT | PRESENT | WRITABLE)
    }

    #[inline]
    pub(crate) fn is_present(self) -> bool {
        self.0 & PRESENT != 0
    }

    #[inline]
    pub(crate) fn is_writable(self) -> bool {
        self.0 & WRITABLE != 0
    }

    /// Whether it is present and lets an access through.
    #[inline]
    pub(crate) fn allows(self, write: bool) -> bool {
        self.is_present() && (self.is_writable() || !write)
    }

    /// What it leads to, if it is present.
    #[inline]
    pub(crate) fn target(self) -> Target {
        match self.0 & (ZERO_PAGE | ANONYMOUS) {
            0 => Target::Block(self.0 >> BLOCK_SHIFT),
            ZERO_PAGE => Target::ZeroPage,
            _ => Target::Anonymous(self.0 >> BLOCK_SHIFT),
        }
    }

    /// Whether it leads to a page of the mapping's own.
    pub(crate) fn is_anonymous(self) -> bool {
        self.0 & ANONYMOUS != 0
    }

    /// The same without the right to store.
    pub(crate) fn write_protected(self) -> Pte {
        Pte(self.0 & !WRITABLE)
    }

    /// What this translation of 2 MiB says of `page`.
    pub(super) fn of_page(self, page: u64) -> Pte {
        match self.target() {
            Target::Block(_) if self.is_present() => Pte(self.0 + ((page % HUGE) << BLOCK_SHIFT)),
            _ => self,
        }
    }

    pub(super) fn from_word(word: u64) -> Pte {
        Pte(word)
    }

    pub(super) fn word(self) -> u64 {
        self.0
    }
}

impl std::fmt::Debug for Pte {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if !self.is_present() {
            return f.write_str("not present");
        }
        match self.target() {
            Target::ZeroPage => f.write_str("zero page")?,
            Target::Anonymous(frame) => write!(f, "page {frame} of its own")?,
            Target::Block(block) => write!(f, "block {block}")?,
        }
        f.write_str(if self.is_writable() { ", writable" } else { ", read-only" })
    }
}
