//! What must hold when a block is used, that it is not free, and when it is freed, that it is not
//! pinned (I4).

use super::FileSystem;
use crate::finding::{Finding, Invariant};
use crate::pmem::BLOCK_SIZE;
use crate::schedule::thread;

impl FileSystem<'_> {
    /// A thread is about to touch a block, as a translation or the block map told it.
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

    /// Blocks are about to be freed. The thread that took them from their file has seen that they
    /// are not pinned.
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
