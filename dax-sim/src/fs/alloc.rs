//! Which blocks of the device are free.
//!
//! The device is cut into regions, each with a lock of its own, as ext4 has block groups; a thread starts in
//! its own region and goes on to others only when that is empty. A block that was freed goes back to its own
//! region and is the first to be given out again, which shows a use after free soonest.

use crossbeam_utils::CachePadded;
use parking_lot::Mutex;

use crate::per_thread;
use crate::pmem::{BLOCK_SIZE, Device};

const MOST_REGIONS: u64 = 16;
const LEAST_BLOCKS_OF_A_REGION: u64 = 256;

/// The free blocks of a device.
#[derive(Debug)]
pub(crate) struct BlockAllocator {
    regions: Box<[CachePadded<Mutex<Vec<u32>>>]>,
    blocks_of_a_region: u64,
}

impl BlockAllocator {
    /// All of `blocks` blocks are free.
    pub(crate) fn new(blocks: u64) -> Self {
        let regions = (blocks / LEAST_BLOCKS_OF_A_REGION).clamp(1, MOST_REGIONS);
        let blocks_of_a_region = blocks.div_ceil(regions);
        let free = |region: u64| {
            let first = region * blocks_of_a_region;
            let end = (first + blocks_of_a_region).min(blocks);
            // Taken from the end: the lowest block comes first, and neighbours follow each other.
            CachePadded::new(Mutex::new((first..end).rev().map(number).collect()))
        };
        Self { regions: (0..regions).map(free).collect(), blocks_of_a_region }
    }

    /// Takes a free block and zeroes it, so that what it held before is never seen; `None` if no block is
    /// free.
    pub(crate) fn allocate_zeroed(&self, device: &Device) -> Option<u64> {
        let block = self.allocate()?;
        device.zero(block * BLOCK_SIZE, BLOCK_SIZE);
        Some(block)
    }

    /// Takes a free block as it is, for an unwritten extent.
    pub(crate) fn allocate(&self) -> Option<u64> {
        let own = per_thread::index();
        let regions = self.regions.len();
        let block = (0..regions).find_map(|i| self.regions[(own + i) % regions].lock().pop())?;
        Some(block.into())
    }

    /// Gives blocks back. Nothing may map them any more.
    pub(crate) fn free(&self, blocks: Vec<u64>) {
        // From the last to the first, so that neighbours follow each other when they are taken again.
        for block in blocks.into_iter().rev() {
            self.regions[(block / self.blocks_of_a_region) as usize].lock().push(number(block));
        }
    }

    /// How many blocks are free; exact when nobody else is at work.
    pub(crate) fn free_blocks(&self) -> u64 {
        self.regions.iter().map(|region| region.lock().len() as u64).sum()
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
    use crate::pmem::DeviceOptions;

    #[test]
    fn every_block_is_given_out_once_and_zeroed_and_comes_back() {
        let device = Device::open(&DeviceOptions { path: None, size: 4 << 20, overwrite: false }).unwrap();
        for block in 0..device.blocks() {
            device.write(block * BLOCK_SIZE, &[0xff; BLOCK_SIZE as usize]);
        }
        let allocator = BlockAllocator::new(device.blocks());
        let taken: HashSet<_> = std::iter::from_fn(|| allocator.allocate_zeroed(&device)).collect();
        assert_eq!(taken.len() as u64, device.blocks());
        assert_eq!(allocator.free_blocks(), 0);
        let mut bytes = [1; BLOCK_SIZE as usize];
        for &block in &taken {
            device.read(block * BLOCK_SIZE, &mut bytes);
            assert_eq!(bytes, [0; BLOCK_SIZE as usize]);
        }
        allocator.free(taken.into_iter().collect());
        assert_eq!(allocator.free_blocks(), device.blocks());
    }
}
