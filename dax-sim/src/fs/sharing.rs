//! Counts the pages that share each block.
//!
//! Only shared blocks have a count. An extent says whether its block may be shared
//! ([`Extent::Shared`]), so plain reads, writes and faults never come here. XFS keeps the counts in
//! a B-tree of its own (refcountbt). Here a block's count is a word of its own.

use super::block_words::BlockWords;
use super::{Extent, FileSystem};
use crate::mm::grace;
use crate::schedule::{PlantedFault, SchedulePoint};

/// How many pages have each shared block, minus one.
#[derive(Debug)]
pub(crate) struct SharedBlocks(BlockWords);

impl SharedBlocks {
    pub(crate) fn new(blocks: u64) -> Self {
        Self(BlockWords::new(blocks))
    }

    /// Counts one more page of `block`. The caller holds i_data_sem of a page that has it already.
    pub(crate) fn add(&self, block: u64) {
        let _ = self.0.update(block, |others| Some(others + 1));
    }

    /// Counts one page of `block` less. Returns whether it was the last.
    #[must_use = "a block that no page has must be freed"]
    fn remove(&self, block: u64) -> bool {
        self.0.update(block, |others| others.checked_sub(1)).is_err()
    }

    /// Whether at most one page has `block`. The answer holds while the caller holds i_data_sem of
    /// that page.
    pub(crate) fn is_last(&self, block: u64) -> bool {
        self.0.load(block) == 0
    }

    /// How many blocks have more than one page.
    pub(crate) fn blocks(&self) -> u64 {
        self.0.changed().count() as u64
    }
}

/// What a dedupe found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Deduped {
    /// FILE_DEDUPE_RANGE_SAME. The number is `bytes_deduped` of the ioctl: the requested length,
    /// but at most 1 GiB. If the ranges end inside a block, the number includes the bytes in this
    /// block. But the call neither compares nor shares these bytes, unless each range ends at the
    /// end of its file.
    Same(u64),
    /// FILE_DEDUPE_RANGE_DIFFERS: nothing has changed.
    Differs,
}

impl FileSystem<'_> {
    /// Gives up the extents that pages had. Blocks that no page has any more become free. Nothing
    /// may map or read them.
    pub(crate) fn free(&self, extents: Vec<Extent>) {
        let blocks = self.give_up(extents);
        self.about_to_free(&blocks);
        self.free_blocks_of_files(blocks);
    }

    /// The blocks that no page has any more.
    fn give_up(&self, extents: Vec<Extent>) -> Vec<u64> {
        self.schedule.pass(SchedulePoint::Free, 0);
        let given_up = |extent| match extent {
            Extent::Hole => None,
            Extent::Unwritten(block) | Extent::Written(block) => Some(block),
            Extent::Shared(block) => self.shared.remove(block).then_some(block),
        };
        extents.into_iter().filter_map(given_up).collect()
    }

    /// Gives up the shared block that a page had, after the page was given another block and
    /// nothing maps the old one. Waits for every read(2) that may still look at the old block: once
    /// it is given up, another thread may write to it.
    #[cold]
    pub(crate) fn release(&self, block: u64) {
        if !self.schedule.has(PlantedFault::ReleaseUnderRead) {
            grace::synchronize(&self.schedule);
        }
        // The block may be pinned for loads, and then goes with the pin.
        self.free_blocks_of_files(self.give_up(vec![Extent::Shared(block)]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_given_up_with_its_last_page() {
        let shared = SharedBlocks::new(4);
        assert!(shared.is_last(3));
        shared.add(3);
        shared.add(3);
        shared.add(2);
        assert_eq!(shared.blocks(), 2);
        assert!(!shared.remove(3) && !shared.is_last(3));
        assert!(!shared.remove(3) && shared.is_last(3));
        assert!(shared.remove(3));
        assert!(!shared.is_last(2));
        assert_eq!(shared.blocks(), 1);
    }
}
