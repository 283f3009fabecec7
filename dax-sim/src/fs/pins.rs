//! Pinned pages: blocks that somebody reads or writes by their place on the device, as direct I/O and RDMA do,
//! without a translation that could be taken away (`get_user_pages`).
//!
//! Linux counts them in the page's reference count. Here only blocks that are pinned have a count, spread over
//! locks by block, so that who frees blocks asks one word in the usual case.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use crossbeam_utils::CachePadded;
use parking_lot::{Condvar, Mutex};

use crate::schedule::{Schedule, Wait};

const SHARDS: u64 = 16;

/// Which blocks are pinned.
#[derive(Debug)]
pub(crate) struct Pins {
    /// By block modulo [`SHARDS`].
    blocks: Box<[CachePadded<Mutex<Blocks>>]>,
    /// How many pins there are.
    pins: CachePadded<AtomicUsize>,
    /// Held while somebody goes to sleep until a block is unpinned.
    waiting: Mutex<()>,
    unpinned: Condvar,
}

/// Those that are pinned.
type Blocks = HashMap<u64, Pinned>;

#[derive(Debug, Default)]
struct Pinned {
    pins: u64,
    /// It was given up meanwhile, and is to be freed with the last pin.
    given_up: bool,
}

impl Pins {
    pub(crate) fn new() -> Self {
        Self {
            blocks: std::iter::repeat_with(CachePadded::default).take(SHARDS as usize).collect(),
            pins: CachePadded::default(),
            waiting: Mutex::default(),
            unpinned: Condvar::new(),
        }
    }

    /// Pins a block, which a translation leads to that the caller's access uses: so it is not free.
    pub(crate) fn pin(&self, block: u64) {
        self.pins.fetch_add(1, SeqCst);
        self.shard(block).lock().entry(block).or_default().pins += 1;
    }

    /// Takes a pin back; whether the block is to be freed now.
    #[must_use = "a block that nobody has must be freed"]
    pub(crate) fn unpin(&self, block: u64) -> bool {
        let given_up = {
            let mut blocks = self.shard(block).lock();
            let pinned = blocks.get_mut(&block).expect("it is pinned");
            pinned.pins -= 1;
            let (is_last, given_up) = (pinned.pins == 0, pinned.given_up);
            if is_last {
                blocks.remove(&block);
            }
            is_last && given_up
        };
        self.pins.fetch_sub(1, SeqCst);
        // Under the mutex, so that who waits is either before his look at the block or asleep.
        let _waiting = self.waiting.lock();
        self.unpinned.notify_all();
        given_up
    }

    pub(crate) fn is_pinned(&self, block: u64) -> bool {
        self.pins.load(SeqCst) != 0 && self.shard(block).lock().contains_key(&block)
    }

    /// One of the blocks that is pinned.
    pub(crate) fn find_pinned(&self, mut blocks: impl Iterator<Item = u64>) -> Option<u64> {
        if self.pins.load(SeqCst) == 0 { None } else { blocks.find(|block| self.is_pinned(*block)) }
    }

    /// Sleeps until the block is not pinned (`ext4_wait_dax_page`).
    pub(crate) fn wait(&self, block: u64, schedule: &Schedule) {
        let mut waiting = self.waiting.lock();
        schedule.sleep_until(&self.unpinned, &mut waiting, Wait::Unpin, || !self.is_pinned(block));
    }

    /// Takes blocks out of `freed` that are pinned still; they are freed with their last pins.
    pub(crate) fn keep_pinned(&self, freed: &mut Vec<u64>) {
        if self.pins.load(SeqCst) != 0 {
            freed.retain(|block| match self.shard(*block).lock().get_mut(block) {
                Some(pinned) => {
                    pinned.given_up = true;
                    false
                }
                None => true,
            });
        }
    }

    fn shard(&self, block: u64) -> &Mutex<Blocks> {
        &self.blocks[(block % SHARDS) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_that_is_freed_while_it_is_pinned_is_freed_with_the_last_pin() {
        let pins = Pins::new();
        let mut freed = vec![3, 4, 19];
        pins.keep_pinned(&mut freed);
        assert_eq!(freed, [3, 4, 19]);
        pins.pin(4);
        pins.pin(4);
        pins.pin(5);
        pins.keep_pinned(&mut freed);
        assert_eq!(freed, [3, 19]);
        assert!(!pins.unpin(4) && pins.is_pinned(4));
        assert!(pins.unpin(4) && !pins.is_pinned(4));
        assert!(!pins.unpin(5), "nobody has given it up");
        pins.wait(5, &Schedule::none());
    }
}
