//! Keeps track of which blocks of the device are free.
//!
//! The device is divided into regions, each with a lock of its own, as ext4 has block groups. A
//! thread takes blocks from its own region, and goes on to others only when its own is empty. It
//! gives blocks back to its own region, wherever they came from. So threads share a line only where
//! they run out of blocks. A region gives out a freed block next, which shows a use after free
//! soonest. A freed block may have to wait for a commit. The region keeps it until a thread looks
//! and finds the commit made.
//!
//! A region keeps its free aligned 2 MiB parts separate. It breaks one up only when it has no
//! single block left. So 2 MiB pages find aligned blocks, as ext4 finds them in its buddy bitmaps.

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
    end: u64,
    /// Blocks of other regions that threads of this region freed. They are given out before
    /// `singles`, the last first.
    strays: Vec<u32>,
    /// The last is the first to be given out.
    singles: Vec<u32>,
    /// The first blocks of free aligned 2 MiB. The last is the first to be given out.
    huge: Vec<u32>,
    /// For each 2 MiB of the region, how many of its blocks are among the singles.
    singles_of: Vec<u16>,
    /// Blocks of any region that are free when the transaction `freed_by` has been committed.
    freed: Vec<u32>,
    freed_by: u64,
}

impl BlockAllocator {
    /// Builds an allocator in which all of `blocks` blocks are free.
    pub(crate) fn new(blocks: u64) -> Self {
        let regions = (blocks / LEAST_BLOCKS_OF_A_REGION).clamp(1, MOST_REGIONS);
        let blocks_of_a_region = blocks.div_ceil(regions).next_multiple_of(HUGE);
        let regions = (0..blocks.div_ceil(blocks_of_a_region)).map(|region| {
            let first = region * blocks_of_a_region;
            CachePadded::new(Mutex::new(Region::new(first, (first + blocks_of_a_region).min(blocks))))
        });
        Self { regions: regions.collect(), blocks_of_a_region }
    }

    /// Takes a free block as it is. Returns `None` if no block is free. `committed` is the last
    /// transaction that has been committed.
    pub(crate) fn allocate(&self, committed: u64) -> Option<u64> {
        self.first_of_all(committed, Region::allocate)
    }

    /// Takes the blocks of free 2 MiB, aligned on the device, as they are. Returns the first of
    /// them.
    pub(crate) fn allocate_huge(&self, committed: u64) -> Option<u64> {
        let whole = || self.first_of_all(committed, Region::allocate_huge);
        whole().or_else(|| if self.bring_home() { whole() } else { None })
    }

    fn first_of_all(&self, committed: u64, allocate: fn(&mut Region) -> Option<u64>) -> Option<u64> {
        let own = self.own();
        let regions = self.regions.len();
        (0..regions).find_map(|i| {
            let mut region = self.regions[(own + i) % regions].lock();
            region.settle(committed);
            allocate(&mut region)
        })
    }

    /// Gives blocks back. Nothing may map them any more.
    pub(crate) fn free(&self, blocks: Vec<u64>) {
        let mut own = self.regions[self.own()].lock();
        // From the last to the first, so that neighbours follow each other when they are taken
        // again.
        blocks.into_iter().rev().for_each(|block| own.free(block));
    }

    /// Gives blocks back that are to be free when the transaction after `committed` has been
    /// committed. Nothing may map them any more.
    pub(crate) fn free_with_commit(&self, blocks: Vec<u64>, committed: u64) {
        let mut own = self.regions[self.own()].lock();
        own.settle(committed);
        own.freed.extend(blocks.into_iter().map(number));
        own.freed_by = own.freed_by.max(committed + 1);
    }

    /// Gives strays to their own regions, where they may complete 2 MiB. Returns whether there were
    /// any. All regions stay locked meanwhile, so that each block is always in one of the two.
    fn bring_home(&self) -> bool {
        let mut regions: Vec<_> = self.regions.iter().map(|region| region.lock()).collect();
        let strays: Vec<_> =
            regions.iter_mut().flat_map(|region| std::mem::take(&mut region.strays)).collect();
        for block in &strays {
            regions[(u64::from(*block) / self.blocks_of_a_region) as usize].free((*block).into());
        }
        !strays.is_empty()
    }

    /// Whether a block is free. Exact only when no other call is under way.
    pub(crate) fn is_free(&self, block: u64, committed: u64) -> bool {
        self.regions.iter().any(|region| region.lock().is_free(block, committed))
    }

    /// How many blocks are free, or will be after a commit. Exact only when no other call is under
    /// way.
    pub(crate) fn free_blocks(&self) -> u64 {
        self.regions.iter().map(|region| region.lock().free_blocks()).sum()
    }

    /// Whether some blocks become free only with a commit.
    pub(crate) fn some_wait_for_commit(&self, committed: u64) -> bool {
        self.regions.iter().any(|region| region.lock().waits_for_commit(committed))
    }

    /// The region of this thread.
    fn own(&self) -> usize {
        per_thread::index() % self.regions.len()
    }
}

impl Region {
    fn new(first: u64, end: u64) -> Self {
        let whole = (end - first) / HUGE;
        let mut region = Self {
            first,
            end,
            strays: Vec::new(),
            singles: Vec::new(),
            huge: (0..whole).rev().map(|i| number(first + i * HUGE)).collect(),
            singles_of: vec![0; (end - first).div_ceil(HUGE) as usize],
            freed: Vec::new(),
            freed_by: 0,
        };
        (first + whole * HUGE..end).rev().for_each(|block| region.free(block));
        region
    }

    fn allocate(&mut self) -> Option<u64> {
        if let Some(block) = self.strays.pop() {
            return Some(block.into());
        }
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
        if !(self.first..self.end).contains(&block) {
            return self.strays.push(number(block));
        }
        self.singles.push(number(block));
        *self.singles_around(block) += 1;
    }

    /// Frees the blocks that waited for a commit that has been made.
    fn settle(&mut self, committed: u64) {
        if !self.freed.is_empty() && !self.waits_for_commit(committed) {
            // From the last to the first, so that neighbours follow each other when they are taken
            // again.
            std::mem::take(&mut self.freed).into_iter().rev().for_each(|block| self.free(block.into()));
        }
    }

    fn is_free(&self, block: u64, committed: u64) -> bool {
        let is_among = |blocks: &[u32], block| blocks.contains(&number(block));
        is_among(&self.strays, block)
            || is_among(&self.singles, block)
            || is_among(&self.huge, block - block % HUGE)
            || (!self.waits_for_commit(committed) && is_among(&self.freed, block))
    }

    fn free_blocks(&self) -> u64 {
        let singles = self.strays.len() + self.singles.len() + self.freed.len();
        singles as u64 + self.huge.len() as u64 * HUGE
    }

    fn waits_for_commit(&self, committed: u64) -> bool {
        !self.freed.is_empty() && self.freed_by > committed
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
        assert!((0..1024).all(|block| allocator.is_free(block, 0)));
        let taken: HashSet<_> = std::iter::from_fn(|| allocator.allocate(0)).collect();
        assert_eq!((taken.len(), allocator.free_blocks()), (1024, 0));
        assert!(!(0..1024).any(|block| allocator.is_free(block, 0)));
        allocator.free(taken.into_iter().collect());
        assert_eq!(allocator.free_blocks(), 1024);
    }

    #[test]
    fn whole_2_mib_are_kept_for_those_who_want_them_and_found_again() {
        let blocks = 5 * HUGE + 7;
        let allocator = BlockAllocator::new(blocks);
        let single = allocator.allocate(0).unwrap();
        let mut huge: Vec<_> = std::iter::from_fn(|| allocator.allocate_huge(0)).collect();
        assert!(huge.iter().all(|first| first % HUGE == 0));
        huge.sort_unstable();
        huge.dedup();
        assert!(huge.len() >= 4, "one single block breaks up no more than one");
        let rest: Vec<_> = std::iter::from_fn(|| allocator.allocate(0)).collect();
        assert_eq!(rest.len() as u64, blocks - 1 - huge.len() as u64 * HUGE);
        assert_eq!(allocator.free_blocks(), 0);
        allocator.free(vec![single]);
        allocator.free(huge.iter().flat_map(|&first| first..first + HUGE - 1).collect());
        assert_eq!(allocator.allocate_huge(0), None, "one block of each is missing");
        allocator.free(vec![huge[1] + HUGE - 1]);
        assert_eq!(allocator.allocate_huge(0), Some(huge[1]));
        assert_eq!(allocator.free_blocks(), (huge.len() as u64 - 1) * (HUGE - 1) + 1);
    }

    /// Acts as the thread of this number.
    fn as_thread<R>(number: usize, act: impl FnOnce() -> R) -> R {
        let before = per_thread::pretend(Some(number));
        let result = act();
        per_thread::pretend(before);
        result
    }

    #[test]
    fn a_thread_keeps_to_its_region_whose_ever_the_blocks_are_that_it_frees() {
        let allocator = BlockAllocator::new(2 * HUGE);
        let [own, others] = [0, 1].map(|thread| as_thread(thread, || allocator.allocate(0).unwrap()));
        assert_ne!(own / HUGE, others / HUGE);
        as_thread(0, || {
            allocator.free(vec![own, others]);
            assert!(allocator.is_free(others, 0));
            assert_eq!(allocator.allocate(0), Some(others), "as if it had always been its own");
            allocator.free(vec![others]);
        });
        let before = allocator.regions[1].lock().free_blocks();
        assert_eq!(before, HUGE - 1);
        // Only a thread that needs 2 MiB brings the block home.
        let huge: Vec<_> = std::iter::from_fn(|| as_thread(1, || allocator.allocate_huge(0))).collect();
        assert_eq!((huge.len(), allocator.free_blocks()), (2, 0));
        allocator.free(huge.iter().flat_map(|&first| first..first + HUGE).collect());
        let all = std::iter::from_fn(|| as_thread(1, || allocator.allocate(0)));
        assert_eq!(all.collect::<HashSet<_>>().len() as u64, 2 * HUGE, "all are found, wherever they are");
    }

    #[test]
    fn what_a_transaction_frees_is_free_when_that_has_been_committed_and_not_before() {
        let allocator = BlockAllocator::new(8);
        let taken: Vec<_> = std::iter::from_fn(|| allocator.allocate(6)).collect();
        assert!(!allocator.some_wait_for_commit(6));
        allocator.free_with_commit(taken[..3].to_vec(), 6);
        assert!(allocator.some_wait_for_commit(6) && !allocator.some_wait_for_commit(7));
        assert_eq!((allocator.free_blocks(), allocator.allocate(6)), (3, None));
        assert_eq!([6, 7].map(|committed| allocator.is_free(taken[1], committed)), [false, true]);
        // Blocks freed in the next transaction wait for the next commit. The blocks of the
        // transaction before do not wait with them.
        allocator.free_with_commit(taken[3..].to_vec(), 7);
        assert_eq!([2, 3].map(|block| allocator.is_free(taken[block], 7)), [true, false]);
        assert_eq!(std::iter::from_fn(|| allocator.allocate(7)).collect::<Vec<_>>(), taken[..3]);
        assert_eq!(std::iter::from_fn(|| allocator.allocate(8)).collect::<Vec<_>>(), taken[3..]);
    }
}
