//! Page-table entries, and the table that holds them.

use std::sync::atomic::Ordering::SeqCst;

use crate::radix::Radix;

/// The entry translates to something.
const PRESENT: u64 = 1 << 0;
/// Stores are allowed.
const WRITABLE: u64 = 1 << 1;
/// It translates to the shared page of zeros, and not to a block.
const ZERO_PAGE: u64 = 1 << 2;
/// The block starts here, where x86 keeps the frame's number.
const BLOCK_SHIFT: u32 = 12;

/// One translation of a page.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pte(u64);

impl Pte {
    /// The zero page, for loads only.
    pub(crate) const ZERO: Pte = Pte(PRESENT | ZERO_PAGE);

    /// A block, for loads only.
    pub(crate) fn read_only(block: u64) -> Pte {
        Pte(block << BLOCK_SHIFT | PRESENT)
    }

    /// A block, for loads and stores.
    pub(crate) fn writable(block: u64) -> Pte {
        Pte(block << BLOCK_SHIFT | PRESENT | WRITABLE)
    }

    pub(crate) fn is_present(self) -> bool {
        self.0 & PRESENT != 0
    }

    pub(crate) fn is_writable(self) -> bool {
        self.0 & WRITABLE != 0
    }

    /// The block; `None` for the zero page.
    pub(crate) fn block(self) -> Option<u64> {
        (self.0 & ZERO_PAGE == 0).then_some(self.0 >> BLOCK_SHIFT)
    }
}

impl std::fmt::Debug for Pte {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.is_present(), self.block()) {
            (false, _) => f.write_str("not present"),
            (true, None) => f.write_str("zero page, read-only"),
            (true, Some(block)) => {
                write!(f, "block {block}, {}", if self.is_writable() { "writable" } else { "read-only" })
            }
        }
    }
}

/// The page table of one mapping, indexed by page of the file.
///
/// Changes are made by single atomic steps, so there is no lock of the page table (ptl).
#[derive(Debug)]
pub(crate) struct PageTable(Radix);

impl PageTable {
    pub(crate) fn new() -> Self {
        Self(Radix::new())
    }

    pub(crate) fn get(&self, page: u64) -> Pte {
        Pte(self.0.load(page))
    }

    /// Installs `pte` if nothing is there (`vm_insert_mixed`); what is there stays, as somebody else's answer
    /// to the same fault.
    pub(crate) fn insert(&self, page: u64, pte: Pte) {
        let _ = self.0.slot_or_insert(page).compare_exchange(0, pte.0, SeqCst, SeqCst);
    }

    /// Installs a writable `pte` over whatever is there (`vm_insert_mixed_mkwrite`).
    pub(crate) fn make_writable(&self, page: u64, pte: Pte) {
        self.0.slot_or_insert(page).store(pte.0, SeqCst);
    }

    /// Removes the translations of `first..=last` (`zap_page_range`). Accesses may still be using them.
    pub(crate) fn clear(&self, first: u64, last: u64) {
        for (page, _) in self.0.occupied(first, last) {
            self.0.slot_or_insert(page).store(0, SeqCst);
        }
    }

    /// Takes the right to store to `page` (`page_mkclean`). Accesses may still be using it.
    pub(crate) fn write_protect(&self, page: u64) {
        if let Some(slot) = self.0.slot(page) {
            slot.fetch_and(!WRITABLE, SeqCst);
        }
    }
}
