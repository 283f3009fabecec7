//! Counts how often write(2) has copied again where it copies with faults off.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crossbeam_utils::CachePadded;

use crate::per_thread;

const SHARDS: usize = 64;

/// How often write(2) had to copy again with faults off.
/// [`FileSystem::copy_retries`](super::FileSystem::copy_retries) returns this count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CopyRetries {
    /// How often write(2) made one more copy for the rest of the bytes, because the copy before was
    /// short. A copy is short if another thread, or the write(2) itself, removed translations of
    /// the buffer after the write(2) had faulted the buffer in.
    pub retries: u64,
    /// How many of the retries went through a bounce buffer. After eight copies in a row that
    /// copied nothing, write(2) copies at most a page through a bounce buffer.
    pub bounced: u64,
}

/// One counter per thread, so that no thread writes to a line that another thread's count is on. A
/// counter is made only when there is something to count.
#[derive(Debug, Default)]
pub(crate) struct CopyRetriesByThread(OnceLock<Box<[CachePadded<Shard>]>>);

#[derive(Debug, Default)]
struct Shard {
    retries: AtomicU64,
    bounced: AtomicU64,
}

impl CopyRetriesByThread {
    /// Counts a copy that is made again, through a bounce buffer or directly.
    #[cold]
    pub(crate) fn count(&self, bounced: bool) {
        let shards =
            self.0.get_or_init(|| std::iter::repeat_with(CachePadded::default).take(SHARDS).collect());
        let shard = &shards[per_thread::index() % SHARDS];
        shard.retries.fetch_add(1, Relaxed);
        shard.bounced.fetch_add(bounced.into(), Relaxed);
    }

    /// The sum of all counters.
    pub(crate) fn sum(&self) -> CopyRetries {
        let mut sum = CopyRetries::default();
        for shard in self.0.get().into_iter().flatten() {
            sum.retries += shard.retries.load(Relaxed);
            sum.bounced += shard.bounced.load(Relaxed);
        }
        sum
    }
}

impl std::ops::AddAssign for CopyRetries {
    fn add_assign(&mut self, other: Self) {
        self.retries += other.retries;
        self.bounced += other.bounced;
    }
}
