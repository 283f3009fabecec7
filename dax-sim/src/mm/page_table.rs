//! The page table of a mapping: translations of pages, and above them translations of 2 MiB.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use super::pte::{Pte, Target};
use crate::radix::{Found, HUGE, Radix};

/// The page table of one mapping, indexed by page of the file.
///
/// Each 2 MiB has a PMD. A PMD is nothing, or a translation of all 2 MiB, or stands for a table of
/// 512 PTEs. As in Linux a table stays until the mapping goes. So a mapping that has faulted on a
/// single page of some 2 MiB gets no PMD there any more. No PTE is present below a PMD that
/// translates (I5). Both are installed under the lock of the DAX entry that covers the page. There
/// is one entry for all 512 pages or one for each, and never both.
///
/// Changes are single atomic steps, so there is no lock of the page table (ptl).
#[derive(Debug)]
pub(crate) struct PageTable(Radix);

/// Whether the mapping's own pages go, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EvenCows {
    /// For truncate: the file no longer has this place.
    Yes,
    /// What was copied stays, whatever happens to its original.
    No,
}

impl PageTable {
    pub(crate) fn new() -> Self {
        Self(Radix::new())
    }

    /// The translation of `page`: its own or the one of its 2 MiB.
    #[inline]
    pub(crate) fn translate(&self, page: u64) -> Pte {
        match self.0.load(page) {
            0 => self.pmd(page).of_page(page),
            word => Pte::from_word(word),
        }
    }

    /// The translation of the 2 MiB around `page`.
    pub(crate) fn pmd(&self, page: u64) -> Pte {
        Pte::from_word(self.0.load_huge(page))
    }

    /// Whether the 2 MiB around `page` have a table of PTEs.
    pub(crate) fn has_table(&self, page: u64) -> bool {
        self.0.has_leaf(page)
    }

    /// Whether any page of the 2 MiB around `page` has a translation of its own.
    pub(crate) fn has_pages_around(&self, page: u64) -> bool {
        !self.0.leaf_is_empty(page)
    }

    /// Installs `pte` if nothing is there (`vm_insert_mixed`). A translation that is there stays:
    /// it is another thread's answer to the same fault.
    pub(crate) fn insert(&self, page: u64, pte: Pte) {
        let _ = self.0.slot_or_insert(page).compare_exchange(0, pte.word(), SeqCst, SeqCst);
    }

    /// Installs a writable `pte` over whatever is there (`vm_insert_mixed_mkwrite`).
    pub(crate) fn make_writable(&self, page: u64, pte: Pte) {
        self.0.slot_or_insert(page).store(pte.word(), SeqCst);
    }

    /// Lets stores to `page` through if its own translation is still `read_only`
    /// (`finish_mkwrite_fault`).
    pub(crate) fn mkwrite(&self, page: u64, read_only: Pte, writable: Pte) {
        if let Some(slot) = self.0.slot(page) {
            let _ = slot.compare_exchange(read_only.word(), writable.word(), SeqCst, SeqCst);
        }
    }

    /// Installs a translation of the 2 MiB around `page` if none of that size is there
    /// (`vmf_insert_pfn_pmd`). There is no table of PTEs.
    pub(crate) fn insert_pmd(&self, page: u64, pmd: Pte) {
        let _ = self.0.huge_or_insert(page).compare_exchange(0, pmd.word(), SeqCst, SeqCst);
    }

    /// Installs a writable translation of the 2 MiB around `page`, over whatever translation of
    /// that size is there.
    pub(crate) fn make_pmd_writable(&self, page: u64, pmd: Pte) {
        self.0.huge_or_insert(page).store(pmd.word(), SeqCst);
    }

    /// Removes the translation of the 2 MiB around `page`, so that PTEs can take its place
    /// (`split_huge_pmd`, which for DAX makes no table of it). Accesses may still be using it.
    pub(crate) fn split_pmd(&self, page: u64) {
        if let Some(slot) = self.0.huge(page) {
            slot.store(0, SeqCst);
        }
    }

    /// Removes the translations of `first..=last` (`zap_page_range`), and all of a PMD that reaches
    /// into the range, as Linux does for DAX. Accesses may still be using them. Returns the frames
    /// of the mapping's own pages to which no translation leads any more.
    #[must_use = "memory that is not freed is lost"]
    pub(crate) fn clear(&self, first: u64, last: u64, even_cows: EvenCows) -> Vec<u64> {
        let mut frames = Vec::new();
        let goes = |pte: Pte| even_cows == EvenCows::Yes || !pte.is_anonymous();
        self.change(
            first,
            last,
            |pte| if goes(pte) { Pte::NONE } else { pte },
            |was| match was.target() {
                Target::Anonymous(frame) if goes(was) => frames.push(frame),
                _ => {}
            },
        );
        frames
    }

    /// Takes the right to store to the pages `first..=last` of the file (`page_mkclean`). Accesses
    /// may still be using it.
    pub(crate) fn write_protect(&self, first: u64, last: u64) {
        self.change(first, last, |pte| if pte.is_anonymous() { pte } else { pte.write_protected() }, |_| {});
    }

    /// The translations of `first..=last`: where each begins, for how many pages, and what it says.
    pub(crate) fn present(&self, first: u64, last: u64) -> impl Iterator<Item = (u64, u64, Pte)> + '_ {
        self.0.occupied(first, last).map(|found| (found.first, found.len, Pte::from_word(found.word)))
    }

    /// Changes translations, each in one step, and passes the old ones to `tell`.
    fn change(&self, first: u64, last: u64, change: impl Fn(Pte) -> Pte, mut tell: impl FnMut(Pte)) {
        for found in self.0.occupied(first, last) {
            let changed = |word| Some(change(Pte::from_word(word)).word());
            if let Ok(was) = self.slot(found).fetch_update(SeqCst, SeqCst, changed) {
                tell(Pte::from_word(was));
            }
        }
    }

    fn slot(&self, found: Found) -> &AtomicU64 {
        if found.len == HUGE {
            self.0.huge_or_insert(found.first)
        } else {
            self.0.slot_or_insert(found.first)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pmd_translates_all_of_its_pages_until_any_of_them_is_cleared() {
        let table = PageTable::new();
        table.insert_pmd(700, Pte::writable(1024));
        for page in [512, 700, 1023] {
            let pte = table.translate(page);
            assert_eq!((pte.target(), pte.is_writable()), (Target::Block(1024 + page - 512), true));
        }
        assert!(!table.translate(511).is_present() && !table.translate(1024).is_present());
        table.write_protect(600, 600);
        assert!(!table.translate(1023).is_writable());
        assert!(!table.has_table(512));
        assert!(table.clear(1000, 3000, EvenCows::No).is_empty());
        assert!(!table.translate(512).is_present());
        table.insert_pmd(512, Pte::ZERO);
        assert_eq!(table.translate(900).target(), Target::ZeroPage);
        table.split_pmd(513);
        assert_eq!(table.present(0, u64::MAX).count(), 0);
        table.insert(513, Pte::ZERO);
        assert!(table.has_table(512) && table.translate(513).is_present());
    }

    #[test]
    fn what_was_copied_goes_with_its_place_in_the_file_only() {
        let table = PageTable::new();
        table.make_writable(3, Pte::anonymous(7));
        table.insert(4, Pte::read_only(9));
        table.write_protect(0, 9);
        assert!(table.clear(0, 9, EvenCows::No).is_empty());
        assert_eq!(table.present(0, 9).collect::<Vec<_>>(), [(3, 1, Pte::anonymous(7))]);
        assert_eq!(table.clear(0, 9, EvenCows::Yes), [7]);
        assert_eq!(table.present(0, 9).count(), 0);
    }
}
