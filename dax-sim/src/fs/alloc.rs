//! Which blocks of the device are free.
//!
//! The device is cut into regions, each with a lock of its own, as ext4 has block groups; a thread starts in
//! its own region and goes on to others only when that is empty. A block that was freed goes back to its own
//! region and is the first to be given out again, which shows a use after free soonest.
//!
//! A region keeps the 2 MiB of the device that are free as a whole apart, and breaks one up only when it has
//! no single block left; so that 2 MiB pages find aligned blocks, as ext4 finds them in its buddy bitmaps.

use crossbeam_utils::CachePadded;
use parking_lot::Mutex;

use crate::per_thread;
use crate::radix::HUGE;

const MOST_REGIONS: u64 = 16;
const LEAST_BLOCKS_OF_A_REGION: u64 = 256;

/// The free blocks of a device.
#[derive(Debug)]
pub(crate) struct BlockAllocator {
    regions: Box<[CachePadded<Mutex<Region>>]>,
    blocks_of_a_region: u64,
}

#[derive(Debug)]
struct Region {
    first: u64,
    /// The last is the first to be given out.
    singles: Vec<u32>,
    /// The first blocks of free aligned 2 MiB. The last is the first to be given out.
    huge: Vec<u32>,
    /// Of each 2 MiB of the region, how many blocks are among the singles.
    singles_of: Vec<u16>,
}

impl BlockAllocator {
    /// All of `blocks` blocks are free.
    pub(crate) fn new(blocks: u64) -> Self {
        let regions = (blocks / LEAST_BLOCKS_OF_A_REGION).clamp(1, MOST_REGIONS);
        let blocks_of_a_region = blocks.div_ceil(regions).next_multiple_of(HUGE);
        let regions = (0..blocks.div_ceil(blocks_of_a_region)).map(|region| {
            let first = region * blocks_of_a_region;
            CachePadded::new(Mutex::new(Region::new(first, (first + blocks_of_a_region).min(blocks))))
        });
        Self { regions: regions.collect(), blocks_of_a_region }
    }

    /// Takes a free block as it is; `None` if no block is free.
    pub(crate) fn allocate(&self) -> Option<u64> {
        self.first_of_all(Region::allocate)
    }

    /// Takes the blocks of free 2 MiB, aligned on the device, as they are; returns the first of them.
    pub(crate) fn allocate_huge(&self) -> Option<u64> {
        self.first_of_all(Region::allocate_huge)
    }

    fn first_of_all(&self, allocate: fn(&mut Region) -> Option<u64>) -> Option<u64> {
        let own = per_thread::index();
        let regions = self.regions.len();
        (0..regions).find_map(|i| allocate(&mut self.regions[(own + i) % regions].lock()))
    }

    /// Gives blocks back. Nothing may map them any more.
    pub(crate) fn free(&self, blocks: Vec<u64>) {
        // From the last to the first, so that neighbours follow each other when they are taken again.
        for block in blocks.into_iter().rev() {
            self.regions[(block / self.blocks_of_a_region) as usize].lock().free(block);
        }
    }

    /// Whether a block is free; exact when nobody else is at work.
    pub(crate) fn is_free(&self, block: u64) -> bool {
        self.regions[(block / self.blocks_of_a_region) as usize].lock().is_free(block)
    }

    /// How many blocks are free; exact when nobody else is at work.
    pub(crate) fn free_blocks(&self) -> u64 {
        self.regions.iter().map(|region| region.lock().free_blocks()).sum()
    }
}

impl Region {
    fn new(first: u64, end: u64) -> Self {
        let whole = (end - first) / HUGE;
        let mut region = Self {
            first,
            singles: Vec::new(),
            huge: (0..whole).rev().map(|i| number(first + i * HUGE)).collect(),
            singles_of: vec![0; (end - first).div_ceil(HUGE) as usize],
        };
        (first + whole * HUGE..end).rev().for_each(|block| region.free(block));
        region
    }

    fn allocate(&mut self) -> Option<u64> {
        if self.singles.is_empty() {
            let first = u64::from(self.huge.pop()?);
            (first..first + HUGE).rev().for_each(|block| self.free(block));
        }
        let block = self.singles.pop()?.into();
        *self.singles_around(block) -= 1;
        Some(block)
    }

    fn allocate_huge(&mut self) -> Option<u64> {
        if self.huge.is_empty() {
            let whole = self.singles_of.iter().position(|&singles| u64::from(singles) == HUGE)?;
            let first = self.first + whole as u64 * HUGE;
            self.singles.retain(|&block| !(first..first + HUGE).contains(&block.into()));
            self.singles_of[whole] = 0;
            return Some(first);
        }
        self.huge.pop().map(u64::from)
    }

    fn free(&mut self, block: u64) {
        self.singles.push(number(block));
        *self.singles_around(block) += 1;
    }

    fn is_free(&self, block: u64) -> bool {
        let is_among = |blocks: &[u32], block| blocks.contains(&number(block));
        is_among(&self.singles, block) || is_among(&self.huge, block - block % HUGE)
    }

    fn free_blocks(&self) -> u64 {
        self.singles.len() as u64 + self.huge.len() as u64 * HUGE
    }

    fn singles_around(&mut self, block: u64) -> &mut u16 {
        &mut self.singles_of[((block - self.first) / HUGE) as usize]
    }
}

/// Block numbers are kept in 32 bits: 16 TiB of 4 KiB blocks.
pub(super) fn number(block: u64) -> u32 {
    u32::try_from(block).expect("a device has less than 2^32 blocks")
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_block_is_given_out_once_and_comes_back() {
        let allocator = BlockAllocator::new(1024);
        assert!((0..1024).all(|block| allocator.is_free(block)));
        let taken: HashSet<_> = std::iter::from_fn(|| allocator.allocate()).collect();
        assert_eq!((taken.len(), allocator.free_blocks()), (1024, 0));
        assert!(!(0..1024).any(|block| allocator.is_free(block)));
        allocator.free(taken.into_iter().collect());
        assert_eq!(allocator.free_blocks(), 1024);
    }

    #[test]
    fn whole_2_mib_are_kept_for_those_who_want_them_and_found_again() {
        let blocks = 5 * HUGE + 7;
        let allocator = BlockAllocator::new(blocks);
        let single = allocator.allocate().unwrap();
        let mut huge: Vec<_> = std::iter::from_fn(|| allocator.allocate_huge()).collect();
        assert!(huge.iter().all(|first| first % HUGE == 0));
        huge.sort_unstable();
        huge.dedup();
        assert!(huge.len() >= 4, "one single block breaks up no more than one");
        let rest: Vec<_> = std::iter::from_fn(|| allocator.allocate()).collect();
        assert_eq!(rest.len() as u64, blocks - 1 - huge.len() as u64 * HUGE);
        assert_eq!(allocator.free_blocks(), 0);
        allocator.free(vec![single]);
        allocator.free(huge.iter().flat_map(|&first| first..first + HUGE - 1).collect());
        assert_eq!(allocator.allocate_huge(), None, "one block of each is missing");
        allocator.free(vec![huge[1] + HUGE - 1]);
        assert_eq!(allocator.allocate_huge(), Some(huge[1]));
        assert_eq!(allocator.free_blocks(), (huge.len() as u64 - 1) * (HUGE - 1) + 1);
    }
}
