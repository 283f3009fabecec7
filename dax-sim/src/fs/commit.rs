//! What only a commit brings: durable metadata, and blocks that were freed.

use super::FileSystem;

/// When freed blocks can be given to others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum DataMode {
    /// data=writeback: at once. A block that is used after it was freed soon belongs to somebody
    /// else.
    #[default]
    Writeback,
    /// data=ordered: when the transaction that freed them has been committed. A thread that finds
    /// no block commits, and tries again.
    Ordered,
}

/// How often an allocation is tried again.
const RETRIES: u32 = 3;

/// Whether it is worth while to look for blocks again, after a commit that may have brought some
/// (`ext4_should_retry_alloc`). The caller has no handle open.
#[cold]
pub(crate) fn ext4_should_retry_alloc(fs: &FileSystem<'_>, retries: &mut u32) -> bool {
    *retries += 1;
    if *retries > RETRIES || fs.free_blocks() == 0 {
        return false;
    }
    // Somebody else may have committed since.
    if fs.blocks.some_wait_for_commit(fs.journal.committed()) {
        fs.commit();
    }
    true
}

impl FileSystem<'_> {
    /// Commits the journal. What the transactions up to this one have freed is free now.
    pub(crate) fn commit(&self) {
        self.journal.commit(&self.schedule);
    }

    /// Takes a free block as it is; `None` if no block is free.
    pub(crate) fn allocate_block(&self) -> Option<u64> {
        self.blocks.allocate(self.journal.committed())
    }

    /// Whether a block is free; exact when no other call is under way.
    pub(crate) fn is_free(&self, block: u64) -> bool {
        self.blocks.is_free(block, self.journal.committed())
    }

    /// Gives up blocks that were a file's. Those that are pinned go with the last pin.
    pub(crate) fn free_blocks_of_files(&self, mut blocks: Vec<u64>) {
        self.pins.keep_pinned(&mut blocks);
        match self.data {
            DataMode::Writeback => self.blocks.free(blocks),
            // Whatever handle they were freed under has stopped, or is open: its transaction is the
            // running one or has been committed.
            DataMode::Ordered => self.blocks.free_with_commit(blocks, self.journal.committed()),
        }
    }
}
