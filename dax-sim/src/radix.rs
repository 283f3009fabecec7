//! A sparse table of atomic words, indexed by page: three levels of 512, as a page table has. It
//! uses no other module.
//!
//! Extents, DAX entries and page tables are such tables. Nodes are added on demand and stay until
//! the table is dropped, so a slot once found may be used without a lock. All accesses are
//! sequentially consistent. The protocols above rely on the order between a word of one table and a
//! word of another, and on x86-64 a load costs nothing more for it.
//!
//! Beside each leaf there is one *huge* word, for something that stands for all of its 512 indices:
//! a 2 MiB translation, or a 2 MiB entry (a multi-order entry of an XArray). The table's user
//! ensures that leaf and huge word are not in use at once.

use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

/// Pages that a table can hold: 512 GiB of 4 KiB pages.
pub(crate) const CAPACITY: u64 = (FANOUT * FANOUT * FANOUT) as u64;

/// Indices that a huge word stands for.
pub(crate) const HUGE: u64 = FANOUT as u64;

const FANOUT: usize = 512;
/// Indices below one slot of each level.
const SPANS: [u64; 2] = [(FANOUT * FANOUT) as u64, FANOUT as u64];

/// The table.
pub(crate) struct Radix {
    top: Box<[OnceLock<Middle>; FANOUT]>,
}

struct Middle {
    leaves: Box<[OnceLock<Leaf>; FANOUT]>,
    huge: Box<[AtomicU64; FANOUT]>,
}

/// A word that is not 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// The first index that the word stands for.
    pub(crate) first: u64,
    /// How many indices it stands for: 1 or [`HUGE`].
    pub(crate) len: u64,
    pub(crate) word: u64,
}

impl Found {
    /// The last index that it stands for.
    pub(crate) fn last(&self) -> u64 {
        self.first + self.len - 1
    }
}

struct Leaf {
    words: Box<[AtomicU64; FANOUT]>,
}

impl Radix {
    pub(crate) fn new() -> Self {
        Self { top: boxed(OnceLock::new) }
    }

    /// The word at `index`; 0 if it was never stored.
    #[inline]
    pub(crate) fn load(&self, index: u64) -> u64 {
        self.slot(index).map_or(0, |word| word.load(SeqCst))
    }

    /// The slot at `index`, if its leaf exists.
    #[inline]
    pub(crate) fn slot(&self, index: u64) -> Option<&AtomicU64> {
        let (top, middle, leaf) = split(index)?;
        Some(&self.top[top].get()?.leaves[middle].get()?.words[leaf])
    }

    /// The slot at `index`, made if necessary.
    ///
    /// # Panics
    ///
    /// If `index` is not below [`CAPACITY`].
    pub(crate) fn slot_or_insert(&self, index: u64) -> &AtomicU64 {
        let (top, middle, leaf) = split(index).expect("the page index was checked against the largest file");
        let leaves =
            self.middle(top).leaves[middle].get_or_init(|| Leaf { words: boxed(AtomicU64::default) });
        &leaves.words[leaf]
    }

    /// The huge word of the 512 indices around `index`; 0 if it was never stored.
    pub(crate) fn load_huge(&self, index: u64) -> u64 {
        self.huge(index).map_or(0, |word| word.load(SeqCst))
    }

    /// The huge slot of the 512 indices around `index`, if its node exists.
    pub(crate) fn huge(&self, index: u64) -> Option<&AtomicU64> {
        let (top, middle, _) = split(index)?;
        Some(&self.top[top].get()?.huge[middle])
    }

    /// The huge slot of the 512 indices around `index`, made if necessary.
    ///
    /// # Panics
    ///
    /// If `index` is not below [`CAPACITY`].
    pub(crate) fn huge_or_insert(&self, index: u64) -> &AtomicU64 {
        let (top, middle, _) = split(index).expect("the page index was checked against the largest file");
        &self.middle(top).huge[middle]
    }

    /// Whether the leaf of the 512 indices around `index` exists, empty or not.
    pub(crate) fn has_leaf(&self, index: u64) -> bool {
        self.slot(index).is_some()
    }

    /// Whether there is at most a huge word for the 512 indices around `index`.
    pub(crate) fn leaf_is_empty(&self, index: u64) -> bool {
        let first = index - index % HUGE;
        self.slot(first).is_none()
            || (first..first + HUGE).all(|index| self.slot(index).is_none_or(|word| word.load(SeqCst) == 0))
    }

    /// The first word that is not 0, of the words that stand for an index in `from..=last`.
    pub(crate) fn next(&self, mut from: u64, last: u64) -> Option<Found> {
        let last = last.min(CAPACITY - 1);
        while from <= last {
            let (top, middle, leaf) = split(from)?;
            let Some(middles) = self.top[top].get() else {
                from = (from / SPANS[0] + 1) * SPANS[0];
                continue;
            };
            let word = middles.huge[middle].load(SeqCst);
            if word != 0 {
                return Some(Found { first: from - from % HUGE, len: HUGE, word });
            }
            let Some(leaves) = middles.leaves[middle].get() else {
                from = (from / SPANS[1] + 1) * SPANS[1];
                continue;
            };
            for word in &leaves.words[leaf..] {
                if from > last {
                    return None;
                }
                let word = word.load(SeqCst);
                if word != 0 {
                    return Some(Found { first: from, len: 1, word });
                }
                from += 1;
            }
        }
        None
    }

    /// All words that are not 0 when the iterator reaches them, of the words that stand for an
    /// index in `first..=last`.
    pub(crate) fn occupied(&self, first: u64, last: u64) -> impl Iterator<Item = Found> + '_ {
        let mut from = Some(first);
        std::iter::from_fn(move || {
            let found = self.next(from?, last)?;
            from = found.last().checked_add(1);
            Some(found)
        })
    }

    fn middle(&self, top: usize) -> &Middle {
        self.top[top].get_or_init(|| Middle { leaves: boxed(OnceLock::new), huge: boxed(AtomicU64::default) })
    }
}

impl fmt::Debug for Radix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map()
            .entries(
                self.occupied(0, CAPACITY - 1)
                    .map(|found| (found.first..=found.last(), format_args!("{:#x}", found.word).to_string())),
            )
            .finish()
    }
}

#[inline]
fn split(index: u64) -> Option<(usize, usize, usize)> {
    let i = index as usize;
    (index < CAPACITY).then_some((i / (FANOUT * FANOUT), i / FANOUT % FANOUT, i % FANOUT))
}

fn boxed<T>(make: impl FnMut() -> T) -> Box<[T; FANOUT]> {
    let all: Box<[T]> = std::iter::repeat_with(make).take(FANOUT).collect();
    all.try_into().ok().expect("so many were made")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_found_where_they_were_stored_and_nowhere_else() {
        let table = Radix::new();
        let indices = [0, 1, 511, 512, 513, 262_143, 262_144, 1 << 20, CAPACITY - 1];
        for &index in &indices {
            assert_eq!(table.load(index), 0);
            table.slot_or_insert(index).store(index + 7, SeqCst);
        }
        let found: Vec<_> = table.occupied(0, u64::MAX).collect();
        let single = |first: u64| Found { first, len: 1, word: first + 7 };
        assert_eq!(found, indices.map(single));
        assert_eq!(table.occupied(2, 511).collect::<Vec<_>>(), [single(511)]);
        assert_eq!(table.next(514, 262_142), None);
        assert_eq!(table.load(CAPACITY), 0);
        assert!(table.slot(CAPACITY).is_none());
    }

    #[test]
    fn a_huge_word_is_found_from_all_of_its_indices_and_from_no_other() {
        let table = Radix::new();
        assert_eq!(table.load_huge(700), 0);
        table.huge_or_insert(700).store(9, SeqCst);
        let huge = Found { first: 512, len: HUGE, word: 9 };
        for index in [512, 600, 1023] {
            assert_eq!((table.load_huge(index), table.load(index)), (9, 0));
            assert_eq!(table.next(index, index), Some(huge));
            assert!(!table.has_leaf(index) && table.leaf_is_empty(index));
        }
        assert_eq!((table.load_huge(511), table.load_huge(1024)), (0, 0));
        table.slot_or_insert(511).store(1, SeqCst);
        table.slot_or_insert(1024).store(2, SeqCst);
        let found: Vec<_> = table.occupied(0, u64::MAX).map(|found| (found.first, found.last())).collect();
        assert_eq!(found, [(511, 511), (512, 1023), (1024, 1024)]);
        assert!(!table.leaf_is_empty(0) && table.has_leaf(0));
        table.slot_or_insert(511).store(0, SeqCst);
        assert!(table.leaf_is_empty(0) && table.has_leaf(0), "a leaf stays");
        assert_eq!(table.next(0, 511), None);
    }
}
