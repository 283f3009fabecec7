//! A sparse table of atomic words, indexed by page: three levels of 512, as a page table has.
//!
//! Extents, DAX entries and page tables are all such tables. Nodes are added on demand and stay until the
//! table is dropped, so a slot once found may be used without a lock. All accesses are sequentially
//! consistent: the protocols above lean on the order between a word of one table and a word of another, and
//! on x86-64 a load costs nothing more for it.

use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

/// Pages that a table can hold: 512 GiB of 4 KiB pages.
pub(crate) const CAPACITY: u64 = (FANOUT * FANOUT * FANOUT) as u64;

const FANOUT: usize = 512;
/// Indices below one slot of each level.
const SPANS: [u64; 2] = [(FANOUT * FANOUT) as u64, FANOUT as u64];

/// The table.
pub(crate) struct Radix {
    top: Box<[OnceLock<Middle>; FANOUT]>,
}

struct Middle {
    leaves: Box<[OnceLock<Leaf>; FANOUT]>,
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

    /// The slot at `index`, made if need be.
    ///
    /// # Panics
    ///
    /// If `index` is not below [`CAPACITY`].
    pub(crate) fn slot_or_insert(&self, index: u64) -> &AtomicU64 {
        let (top, middle, leaf) = split(index).expect("the page index was checked against the largest file");
        let middles = self.top[top].get_or_init(|| Middle { leaves: boxed(OnceLock::new) });
        let leaves = middles.leaves[middle].get_or_init(|| Leaf { words: boxed(AtomicU64::default) });
        &leaves.words[leaf]
    }

    /// The first index in `from..=last` whose word is not 0, with that word.
    pub(crate) fn next(&self, mut from: u64, last: u64) -> Option<(u64, u64)> {
        let last = last.min(CAPACITY - 1);
        while from <= last {
            let (top, middle, leaf) = split(from)?;
            let Some(middles) = self.top[top].get() else {
                from = (from / SPANS[0] + 1) * SPANS[0];
                continue;
            };
            let Some(leaves) = middles.leaves[middle].get() else {
                from = (from / SPANS[1] + 1) * SPANS[1];
                continue;
            };
            for word in &leaves.words[leaf..] {
                if from > last {
                    return None;
                }
                let value = word.load(SeqCst);
                if value != 0 {
                    return Some((from, value));
                }
                from += 1;
            }
        }
        None
    }

    /// All indices in `first..=last` whose word is not 0 when they are reached.
    pub(crate) fn occupied(&self, first: u64, last: u64) -> impl Iterator<Item = (u64, u64)> + '_ {
        let mut from = Some(first);
        std::iter::from_fn(move || {
            let found = self.next(from?, last)?;
            from = found.0.checked_add(1);
            Some(found)
        })
    }
}

impl fmt::Debug for Radix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map()
            .entries(self.occupied(0, CAPACITY - 1).map(|(i, w)| (i, format_args!("{w:#x}").to_string())))
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
        assert_eq!(found, indices.map(|i| (i, i + 7)));
        assert_eq!(table.occupied(2, 511).collect::<Vec<_>>(), [(511, 518)]);
        assert_eq!(table.next(514, 262_142), None);
        assert_eq!(table.load(CAPACITY), 0);
        assert!(table.slot(CAPACITY).is_none());
    }
}
