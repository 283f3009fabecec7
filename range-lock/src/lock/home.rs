//! [`Home`]: where a lock keeps its leaves.

#[cfg(feature = "deadlock_detection")]
use std::sync::{Arc, OnceLock};

use crate::partition::{Partition, Place, Settings};

/// The leaves, in the lock itself.
#[cfg(not(feature = "deadlock_detection"))]
#[derive(Debug)]
pub(super) struct Home(Partition);

/// The leaves, where the search for deadlocks can reach them too, which has not borrowed the lock.
/// Made when the lock is first used, since a new lock allocates nothing.
#[cfg(feature = "deadlock_detection")]
#[derive(Debug)]
pub(super) struct Home(OnceLock<Arc<Partition>>, Settings);

#[cfg(not(feature = "deadlock_detection"))]
impl Home {
    #[cfg(not(any(loom, shuttle)))]
    pub(super) const fn new(settings: Settings) -> Self {
        Home(Partition::new(settings))
    }

    #[cfg(any(loom, shuttle))]
    pub(super) fn new(settings: Settings) -> Self {
        Home(Partition::new(settings))
    }

    #[inline]
    pub(super) fn partition(&self) -> &Partition {
        &self.0
    }

    #[inline]
    pub(super) fn place(&self) -> Place<'_> {
        Place::new(&self.0)
    }
}

#[cfg(feature = "deadlock_detection")]
impl Home {
    pub(super) const fn new(settings: Settings) -> Self {
        Home(OnceLock::new(), settings)
    }

    pub(super) fn partition(&self) -> &Partition {
        self.shared()
    }

    /// The lock is the struct around this one, and has its address.
    pub(super) fn place(&self) -> Place<'_> {
        Place::new(std::ptr::from_ref(self).addr(), self.shared())
    }

    fn shared(&self) -> &Arc<Partition> {
        self.0.get_or_init(|| Arc::new(Partition::new(self.1)))
    }
}
