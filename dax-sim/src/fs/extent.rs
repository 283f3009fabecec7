//! Where the pages of a file are on the device.
//!
//! A look-up is one load per page and takes no lock, as ext4 looks into its extent status tree before it
//! takes i_data_sem; every change is made with i_data_sem held exclusively, and looks again under it.

use std::sync::atomic::Ordering::SeqCst;

use parking_lot::{RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::radix::Radix;

/// What the block map says of one page of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Extent {
    /// No block; reads as zeros.
    Hole,
    /// A block is reserved, but its contents do not count; reads as zeros.
    Unwritten(u64),
    /// The block that holds the page's bytes.
    Written(u64),
}

const KIND: u64 = 0b11;
const UNWRITTEN: u64 = 0b01;
const WRITTEN: u64 = 0b10;
const BLOCK_SHIFT: u32 = 8;

impl Extent {
    fn from_word(word: u64) -> Self {
        let block = word >> BLOCK_SHIFT;
        match word & KIND {
            UNWRITTEN => Extent::Unwritten(block),
            WRITTEN => Extent::Written(block),
            _ => Extent::Hole,
        }
    }

    fn word(self) -> u64 {
        match self {
            Extent::Hole => 0,
            Extent::Unwritten(block) => block << BLOCK_SHIFT | UNWRITTEN,
            Extent::Written(block) => block << BLOCK_SHIFT | WRITTEN,
        }
    }

    /// The block, be it written or not.
    pub fn block(self) -> Option<u64> {
        match self {
            Extent::Hole => None,
            Extent::Unwritten(block) | Extent::Written(block) => Some(block),
        }
    }
}

/// The block map of one file.
#[derive(Debug)]
pub(crate) struct ExtentMap {
    pages: Radix,
    i_data_sem: RwLock<()>,
}

impl ExtentMap {
    pub(crate) fn new() -> Self {
        Self { pages: Radix::new(), i_data_sem: RwLock::new(()) }
    }

    /// What is known of `page` at this moment.
    pub(crate) fn look_up(&self, page: u64) -> Extent {
        Extent::from_word(self.pages.load(page))
    }

    /// Whether every page of `first..=last` has a written block.
    pub(crate) fn all_written(&self, first: u64, last: u64) -> bool {
        (first..=last).all(|page| matches!(self.look_up(page), Extent::Written(_)))
    }

    /// Keeps changes out, for a look at several pages at one instant.
    pub(crate) fn read(&self) -> ExtentReader<'_> {
        ExtentReader { map: self, _i_data_sem: self.i_data_sem.read() }
    }

    /// For changes.
    pub(crate) fn write(&self) -> ExtentWriter<'_> {
        ExtentWriter { map: self, _i_data_sem: self.i_data_sem.write() }
    }
}

/// i_data_sem held shared.
pub(crate) struct ExtentReader<'a> {
    map: &'a ExtentMap,
    _i_data_sem: RwLockReadGuard<'a, ()>,
}

impl ExtentReader<'_> {
    /// The pages of `first..=last` that are not holes.
    pub(crate) fn allocated(&self, first: u64, last: u64) -> impl Iterator<Item = (u64, Extent)> + '_ {
        self.map.pages.occupied(first, last).map(|(page, word)| (page, Extent::from_word(word)))
    }
}

/// i_data_sem held exclusively.
pub(crate) struct ExtentWriter<'a> {
    map: &'a ExtentMap,
    _i_data_sem: RwLockWriteGuard<'a, ()>,
}

impl ExtentWriter<'_> {
    pub(crate) fn look_up(&self, page: u64) -> Extent {
        self.map.look_up(page)
    }

    /// Publishes `extent` for `page`: from now on look-ups find it.
    pub(crate) fn publish(&mut self, page: u64, extent: Extent) {
        self.map.pages.slot_or_insert(page).store(extent.word(), SeqCst);
    }

    /// Turns `first..=last` into a hole; returns the blocks that were there.
    #[must_use = "blocks that nobody frees are lost"]
    pub(crate) fn remove(&mut self, first: u64, last: u64) -> Vec<u64> {
        let removed: Vec<_> = self.map.pages.occupied(first, last).collect();
        for &(page, _) in &removed {
            self.publish(page, Extent::Hole);
        }
        removed.into_iter().filter_map(|(_, word)| Extent::from_word(word).block()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn removing_gives_back_exactly_the_blocks_of_the_range() {
        let map = ExtentMap::new();
        for page in 0..1000 {
            map.write()
                .publish(page, if page % 2 == 0 { Extent::Written(page) } else { Extent::Unwritten(page) });
        }
        assert!(map.all_written(4, 4) && !map.all_written(4, 5));
        assert_eq!(map.write().remove(10, 600), (10..=600).collect::<Vec<_>>());
        assert_eq!(map.look_up(600), Extent::Hole);
        assert_eq!(map.look_up(601), Extent::Unwritten(601));
        assert_eq!(map.read().allocated(0, 605).count(), 10 + 5);
        assert_eq!(map.write().remove(10, 600), [0_u64; 0]);
    }
}
