//! How often write(2) has had to copy again, where it copies with faults off.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crossbeam_utils::CachePadded;

use crate::per_thread;

const SHARDS: usize = 64;

/// Of the copies of write(2) that run with faults off, those that were made again
/// ([`FileSystem::copy_retries`](super::FileSystem::copy_retries)).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CopyRetries {
    /// How often a copy was made again for what was left of it, since it had come out short: the
    /// buffer's translations had been taken away after it was faulted in.
    pub retries: u64,
    /// Of these, those that went through a bounce buffer, a page at most each: eight copies in a
    /// row had got nothing.
    pub bounced: u64,
}

/// Counted by thread, so that no thread writes to a line that another thread's count is on; and
/// made only when there is something to count.
#[derive(Debug, Default)]
pub(crate) struct CopyRetriesByThread(OnceLock<Box<[CachePadded<Shard>]>>);

#[derive(Debug, Default)]
struct Shard {
    retries: AtomicU64,
    bounced: AtomicU64,
}

impl CopyRetriesByThread {
    /// A copy is made again, through a bounce buffer or not.
    #[cold]
    pub(crate) fn count(&self, bounced: bool) {
        let shards =
            self.0.get_or_init(|| std::iter::repeat_with(CachePadded::default).take(SHARDS).collect());
        let shard = &shards[per_thread::index() % SHARDS];
        shard.retries.fetch_add(1, Relaxed);
        shard.bounced.fetch_add(bounced.into(), Relaxed);
    }

    /// All that has been counted.
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
