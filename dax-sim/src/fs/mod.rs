//! What a file system keeps, in the shape of ext4 on persistent memory with the shared blocks of
//! XFS: extents, blocks, a journal, inodes. It uses `entries`, `mm` and the modules below.
//!
//! Data lies in the blocks of a [`Device`]. Metadata lies in memory. One [`FileSystem`] serialises
//! faults and I/O in the way of one [`Variant`]. What the paths of `dax` ask of a file system is
//! here, under the names of Linux. What the file system does in its calls is above both, in `ext4`.

mod alloc;
mod block_words;
mod commit;
mod copy_retries;
mod durable;
mod extent;
mod huge;
mod inode;
mod iomap;
mod journal;
mod pages;
mod pins;
mod sem;
mod sharing;
mod uses;

use std::time::Duration;

use crate::pmem::{BLOCK_SIZE, Device};
use crate::radix;
use crate::schedule::Schedule;
use crate::variant::{Locks, Rules, Variant};

pub use commit::DataMode;
pub use copy_retries::CopyRetries;
pub(crate) use durable::Durable;
pub use extent::Extent;
pub use sem::waited;
pub use sharing::Deduped;

pub(crate) use alloc::BlockAllocator;
pub(crate) use commit::ext4_should_retry_alloc;
pub(crate) use copy_retries::CopyRetriesByThread;
pub(crate) use huge::reserve_huge;
pub(crate) use inode::Inode;
pub(crate) use iomap::{
    Iomap, IomapFor, IomapType, Origin, iomap_allocate, iomap_begin, iomap_end, iomap_for_overwrite,
};
pub(crate) use journal::{Handle, Journal};
pub(crate) use pages::{page_start, pages_around, zero_partial_page};
pub(crate) use pins::Pins;
pub(crate) use sem::{BothGuard, Sem, SemGuard};
pub(crate) use sharing::SharedBlocks;

/// The largest size of a file, in bytes.
pub const MAX_FILE_SIZE: u64 = radix::CAPACITY * BLOCK_SIZE;

/// A file system on a device. The [`Variant`] of the file system is one way to serialise faults and
/// writes, such as the two options of [Kara's 2017 e-mail].
///
/// [Kara's 2017 e-mail]: https://lore.kernel.org/r/20170426085235.GA21738@quack2.suse.cz
#[derive(Debug)]
pub struct FileSystem<'d> {
    pub(crate) device: &'d Device,
    pub(crate) variant: Variant,
    pub(crate) rules: Rules,
    pub(crate) blocks: BlockAllocator,
    pub(crate) shared: SharedBlocks,
    pub(crate) pins: Pins,
    pub(crate) journal: Journal,
    pub(crate) schedule: Schedule,
    media: Duration,
    huge_pages: bool,
    data: DataMode,
    /// What a crash would leave of the blocks.
    pub(crate) durable: Durable,
    pub(crate) copy_retries: CopyRetriesByThread,
}

impl<'d> FileSystem<'d> {
    /// Builds an empty file system, in which all blocks of the device are free. Earlier contents of
    /// the device do not matter, because the file system zeroes or overwrites each new block before
    /// a read can see the block.
    pub fn format(device: &'d Device, variant: Variant) -> Self {
        Self {
            device,
            variant,
            rules: variant.rules(),
            blocks: BlockAllocator::new(device.blocks()),
            shared: SharedBlocks::new(device.blocks()),
            pins: Pins::new(device.blocks()),
            journal: Journal::new(),
            schedule: Schedule::none(),
            media: Duration::ZERO,
            huge_pages: false,
            data: DataMode::default(),
            durable: Durable::default(),
            copy_retries: CopyRetriesByThread::default(),
        }
    }

    /// Sets what happens at schedule points.
    #[must_use]
    pub fn with_schedule(mut self, schedule: Schedule) -> Self {
        self.schedule = schedule;
        self
    }

    /// Replaces the variant's `i_rwsem`, its `i_mmap_sem`, or both, by the kinds of lock in
    /// `locks`. A `None` in `locks` keeps the lock of the variant.
    #[must_use]
    pub fn with_locks(mut self, locks: Locks) -> Self {
        self.rules.i_rwsem = locks.i_rwsem.unwrap_or(self.rules.i_rwsem);
        self.rules.i_mmap_sem = locks.i_mmap_sem.unwrap_or(self.rules.i_mmap_sem);
        self
    }

    /// Makes each read(2) and write(2) sleep for `media`, like a call that waits for a slow device.
    /// During the sleep the call holds i_rwsem, if the file system has an i_rwsem.
    #[must_use]
    pub fn with_media(mut self, media: Duration) -> Self {
        self.media = media;
        self
    }

    /// Lets a fault map 2 MiB in one piece if possible. With this setting, an allocation for 2 MiB
    /// of holes tries to find blocks that are aligned to 2 MiB.
    #[must_use]
    pub fn with_huge_pages(mut self) -> Self {
        self.huge_pages = true;
        self
    }

    /// Sets when freed blocks can be given to other files.
    #[must_use]
    pub fn with_data_mode(mut self, data: DataMode) -> Self {
        self.data = data;
        self
    }

    /// The variant: how faults and I/O are serialised.
    pub fn variant(&self) -> Variant {
        self.variant
    }

    /// Returns the number of blocks that are free now, or that will be free after the next commit.
    pub fn free_blocks(&self) -> u64 {
        self.blocks.free_blocks()
    }

    /// The number of blocks that several pages share at the moment.
    pub fn shared_blocks(&self) -> u64 {
        self.shared.blocks()
    }

    /// How many transactions of the journal have been committed.
    pub fn commits(&self) -> u64 {
        self.journal.committed()
    }

    /// Returns how often write(2) had to copy again with faults off. Only write(2) in
    /// [`Variant::RangeLockCopy`] copies with faults off, and only a copy from a mapping can be
    /// short. In all other cases the count is 0. After the writes have returned, the count is
    /// exact.
    pub fn copy_retries(&self) -> CopyRetries {
        self.copy_retries.sum()
    }

    pub(crate) fn has_huge_pages(&self) -> bool {
        self.huge_pages
    }

    /// Starts a handle to change the blocks or the size of a file.
    #[track_caller]
    pub(crate) fn start_handle(&self) -> Handle<'_> {
        self.journal.start(&self.schedule)
    }

    /// Sleeps for the time that the simulated medium takes. Called with only i_rwsem held.
    pub(crate) fn media_time(&self) {
        if !self.media.is_zero() {
            std::thread::sleep(self.media);
        }
    }
}
