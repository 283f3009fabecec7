//! Checks the uses of blocks (I4): a block that is used is not free, and a block that is freed is
//! not pinned.

use super::FileSystem;
use crate::finding::{Finding, Invariant};
use crate::pmem::BLOCK_SIZE;
use crate::schedule::thread;

impl FileSystem<'_> {
    /// Checks a block that a thread is about to touch, as a translation or the block map led it
    /// there.
    #[inline]
    pub(crate) fn about_to_use(&self, block: u64) {
        if !self.schedule.is_quiet() {
            self.check_use(block);
        }
    }

    /// The same for bytes of the device.
    #[inline]
    pub(crate) fn about_to_touch(&self, offset: u64, len: u64) {
        if !self.schedule.is_quiet() && len > 0 {
            (offset / BLOCK_SIZE..=(offset + len - 1) / BLOCK_SIZE).for_each(|block| self.check_use(block));
        }
    }

    /// Checks blocks that are about to be freed. The thread that took them from their file has seen
    /// that they are not pinned.
    pub(crate) fn about_to_free(&self, blocks: &[u64]) {
        if self.schedule.is_quiet() || thread::current().is_none() {
            return;
        }
        for block in blocks.iter().filter(|block| self.pins.is_pinned(**block)) {
            let text = format!("block {block} is pinned, and goes from its file");
            thread::find(Finding::new(Invariant::Freeing, text));
        }
    }

    #[cold]
    fn check_use(&self, block: u64) {
        if thread::current().is_some() && self.is_free(block) {
            thread::find(Finding::new(Invariant::Freeing, format!("block {block} is free, and is used")));
        }
    }
}
