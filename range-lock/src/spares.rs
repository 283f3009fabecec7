//! Records that a crowd of requests has left behind, kept for the next crowd. There is one store
//! for all leaves of a lock. It uses waiters and `sync`.
//!
//! A leaf keeps the records of a few requests by itself. The release that empties a leaf after a
//! crowd brings the other records here, once the mutexes of the leaves are free. A leaf that has no
//! records left takes all that one crowd has left. So a crowd that comes back allocates hardly
//! anything, wherever in the lock it comes.

use crate::sync::{self, Arc, AtomicHint, Mutex};
use crate::waiter::Waiter;

/// How many records are kept: 1 MiB, with their reference counts and the pointers to them.
const MOST: usize = (1 << 20) / (size_of::<Waiter>() + 3 * size_of::<usize>());

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct Spares {
    /// How many records there are, for a thread that does not need to know exactly: most often
    /// none.
    count: AtomicHint,
    crowds: Mutex<Vec<Vec<Arc<Waiter>>>>,
}

impl Spares {
    #[cfg(not(any(loom, shuttle)))]
    pub(crate) const fn new() -> Self {
        Spares { count: AtomicHint::new(0), crowds: Mutex::new(Vec::new()) }
    }

    /// Not `const`: the mutexes of a model cannot be made in one.
    #[cfg(any(loom, shuttle))]
    pub(crate) fn new() -> Self {
        Spares { count: AtomicHint::new(0), crowds: Mutex::new(Vec::new()) }
    }

    /// Keeps the records of a crowd, as far as there is room. The others are freed, which takes its
    /// time: see [`Partition::keep_or_free`](crate::partition::Partition).
    pub(crate) fn give(&self, mut crowd: Vec<Arc<Waiter>>) {
        if crowd.is_empty() {
            return;
        }
        let mut crowds = sync::lock(&self.crowds);
        let count = self.count.get() as usize;
        let rest = crowd.split_off(crowd.len().min(MOST - count));
        if !crowd.is_empty() {
            self.count.set((count + crowd.len()) as u64);
            crowds.push(crowd);
        }
        drop(crowds);
        drop(rest);
    }

    /// The records of one crowd.
    pub(crate) fn take(&self) -> Option<Vec<Arc<Waiter>>> {
        if self.count.get() == 0 {
            return None;
        }
        let mut crowds = sync::lock(&self.crowds);
        let crowd = crowds.pop()?;
        self.count.set(self.count.get() - crowd.len() as u64);
        Some(crowd)
    }

    /// Frees them all.
    pub(crate) fn clear(&self) {
        let crowds = std::mem::take(&mut *sync::lock(&self.crowds));
        self.count.set(0);
        drop(crowds);
    }
}
