//! Keeps what a crash would leave of a file's metadata, for I6.
//!
//! At each commit it copies what the transaction has changed. The copy is what the code claims to
//! make durable. It is compared with what the code believes to be durable. So a change that no
//! transaction knows of shows up here as missing.

use std::collections::BTreeMap;

use crate::fs::{Extent, FileSystem, Inode};
use crate::pmem::BLOCK_SIZE;

/// The size and the blocks of a file, as the last commit that knew of a change of them left them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Committed {
    size: u64,
    extents: BTreeMap<u64, Extent>,
}

impl Committed {
    /// The metadata of the file as they are now.
    pub(crate) fn now(inode: &Inode) -> Self {
        Self { size: inode.size(), extents: inode.extents.all().collect() }
    }

    /// The word, or the byte if `len` is 1, at `offset` of the file: zeros in a hole, and past the
    /// end of the file.
    pub(crate) fn value(&self, fs: &FileSystem<'_>, offset: u64, len: u64) -> u64 {
        match self.extents.get(&(offset / BLOCK_SIZE)) {
            Some(Extent::Written(block) | Extent::Shared(block)) if offset < self.size => {
                fs.durable.value(block * BLOCK_SIZE + offset % BLOCK_SIZE, len)
            }
            _ => 0,
        }
    }

    /// Whether a byte of the file would be found where it is now.
    pub(crate) fn finds(&self, inode: &Inode, offset: u64) -> bool {
        let page = offset / BLOCK_SIZE;
        let block = self.extents.get(&page).and_then(|extent| extent.block());
        (offset < self.size || offset >= inode.size()) && block == inode.extents.look_up(page).block()
    }
}
