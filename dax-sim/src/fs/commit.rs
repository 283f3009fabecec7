//! What only a commit brings: durable metadata, and the reuse of freed blocks.

use super::FileSystem;

/// When the allocator can give out freed blocks again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum DataMode {
    /// The allocator gives out freed blocks at once (data=writeback). So a block that code uses
    /// after a call has freed the block may already belong to another file.
    #[default]
    Writeback,
    /// The allocator gives out freed blocks only after the commit of the transaction that freed the
    /// blocks (data=ordered). A thread that finds no free block commits if freed blocks wait for a
    /// commit. Then the thread tries again, at most three times.
    Ordered,
}

/// How often an allocation is tried again.
const RETRIES: u32 = 3;

/// Whether it is worthwhile to look for blocks again, after a commit that may have brought some
/// (`ext4_should_retry_alloc`). The caller has no handle open.
#[cold]
pub(crate) fn ext4_should_retry_alloc(fs: &FileSystem<'_>, retries: &mut u32) -> bool {
    *retries += 1;
    if *retries > RETRIES || fs.free_blocks() == 0 {
        return false;
    }
    // Another thread may have committed since.
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

    /// Takes a free block as it is. Returns `None` if no block is free.
    pub(crate) fn allocate_block(&self) -> Option<u64> {
        self.blocks.allocate(self.journal.committed())
    }

    /// Whether a block is free. Exact only when no other call is under way.
    pub(crate) fn is_free(&self, block: u64) -> bool {
        self.blocks.is_free(block, self.journal.committed())
    }

    /// Gives up blocks that belonged to a file. Pinned blocks go with the last pin.
    pub(crate) fn free_blocks_of_files(&self, mut blocks: Vec<u64>) {
        self.pins.keep_pinned(&mut blocks);
        match self.data {
            DataMode::Writeback => self.blocks.free(blocks),
            // The handle under which they were freed has stopped, or is open. So its transaction is
            // the running one or has been committed.
            DataMode::Ordered => self.blocks.free_with_commit(blocks, self.journal.committed()),
        }
    }
}
