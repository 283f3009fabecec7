//! Counts pinned pages: a user of direct I/O or RDMA reads or writes their blocks by their place on
//! the device, without a translation that could be taken away (`get_user_pages`).
//!
//! Pins are counted block by block, as the page's reference count does in Linux. So a pin writes
//! only to the word of its block. A call that frees blocks, or asks about them, reads the words of
//! these blocks. A block's word also records what its last unpin has to do.

use parking_lot::{Condvar, Mutex};

use super::block_words::BlockWords;
use crate::schedule::{Schedule, Wait};

/// The block was given up meanwhile, and the last unpin frees it.
const GIVEN_UP: u64 = 1 << 0;
/// A thread sleeps until the block is not pinned, and the last unpin wakes it.
const WAITED_FOR: u64 = 1 << 1;
/// One pin. The bits from here on count the pins. A word without pins has no bit set.
const PIN: u64 = 1 << 2;

/// Which blocks are pinned.
#[derive(Debug)]
pub(crate) struct Pins {
    blocks: BlockWords,
    /// Held while a thread goes to sleep until a block is unpinned.
    waiting: Mutex<()>,
    unpinned: Condvar,
}

impl Pins {
    pub(crate) fn new(blocks: u64) -> Self {
        Self { blocks: BlockWords::new(blocks), waiting: Mutex::default(), unpinned: Condvar::new() }
    }

    /// Pins a block. The caller's access uses a translation to the block, so the block is not free.
    pub(crate) fn pin(&self, block: u64) {
        let _ = self.blocks.update(block, |word| Some(word + PIN));
    }

    /// Takes a pin back. Returns whether the caller must free the block now.
    #[must_use = "a block that no file has must be freed"]
    pub(crate) fn unpin(&self, block: u64) -> bool {
        let less = |word: u64| if word < 2 * PIN { Some(0) } else { Some(word - PIN) };
        let word = self.blocks.update(block, less).unwrap_or(0);
        assert!(word >= PIN, "block {block} is not pinned");
        let is_last = word < 2 * PIN;
        if is_last && word & WAITED_FOR != 0 {
            // Under the mutex, so that a waiter has either not yet looked at the block or is
            // asleep.
            let _waiting = self.waiting.lock();
            self.unpinned.notify_all();
        }
        is_last && word & GIVEN_UP != 0
    }

    pub(crate) fn is_pinned(&self, block: u64) -> bool {
        self.blocks.load(block) != 0
    }

    /// Returns one of the blocks that is pinned.
    pub(crate) fn find_pinned(&self, mut blocks: impl Iterator<Item = u64>) -> Option<u64> {
        blocks.find(|block| self.is_pinned(*block))
    }

    /// Sleeps until the block is not pinned (`ext4_wait_dax_page`).
    pub(crate) fn wait(&self, block: u64, schedule: &Schedule) {
        let mut waiting = self.waiting.lock();
        let is_unpinned = || !self.mark(block, WAITED_FOR);
        schedule.sleep_until(&self.unpinned, &mut waiting, Wait::Unpin, is_unpinned);
    }

    /// Takes blocks out of `freed` that are still pinned. The last unpin of each frees it.
    pub(crate) fn keep_pinned(&self, freed: &mut Vec<u64>) {
        freed.retain(|block| !self.mark(*block, GIVEN_UP));
    }

    /// Tells the last unpin of a block what to do. Returns whether there will be one.
    fn mark(&self, block: u64, what: u64) -> bool {
        self.blocks.update(block, |word| (word != 0).then_some(word | what)).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn a_block_that_is_freed_while_it_is_pinned_is_freed_with_the_last_pin() {
        let pins = Pins::new(20);
        let mut freed = vec![3, 4, 19];
        pins.keep_pinned(&mut freed);
        assert_eq!(freed, [3, 4, 19]);
        pins.pin(4);
        pins.pin(4);
        pins.pin(5);
        pins.keep_pinned(&mut freed);
        assert_eq!(freed, [3, 19]);
        assert_eq!(pins.find_pinned([3, 5, 4].into_iter()), Some(5));
        assert!(!pins.unpin(4) && pins.is_pinned(4));
        assert!(pins.unpin(4) && !pins.is_pinned(4));
        pins.pin(4);
        assert!(!pins.unpin(4) && !pins.unpin(5), "no file has given them up");
        pins.wait(5, &Schedule::none());
    }

    #[test]
    fn every_wait_ends_with_the_last_pin_of_its_block_however_often_that_is_pinned_again() {
        let (pins, schedule) = (Pins::new(2), Schedule::none());
        thread::scope(|s| {
            for thread in 0..4 {
                let (pins, schedule) = (&pins, &schedule);
                s.spawn(move || {
                    for _ in 0..2000 {
                        if thread < 2 {
                            pins.pin(1);
                            thread::yield_now();
                            assert!(!pins.unpin(1));
                        } else {
                            pins.wait(1, schedule);
                        }
                    }
                });
            }
        });
        assert!(!pins.is_pinned(1));
    }

    #[test]
    #[should_panic(expected = "block 1 is not pinned")]
    fn a_pin_is_taken_back_once() {
        let pins = Pins::new(2);
        pins.pin(1);
        assert!(!pins.unpin(1));
        let _ = pins.unpin(1);
    }
}
