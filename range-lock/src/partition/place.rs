//! [`Place`]: what a transition that may block knows of its lock.

#[cfg(feature = "deadlock_detection")]
use std::sync::Arc;

use super::Partition;

/// A lock as the transitions see it: its leaves, and its address.
#[cfg(not(feature = "deadlock_detection"))]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a>(&'a Partition);

/// A lock as the transitions see it: its leaves, of which a blocked thread keeps a share for the
/// search for deadlocks, and its address.
#[cfg(feature = "deadlock_detection")]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    address: usize,
    partition: &'a Arc<Partition>,
}

#[cfg(not(feature = "deadlock_detection"))]
impl<'a> Place<'a> {
    #[inline]
    pub(crate) fn new(partition: &'a Partition) -> Self {
        Place(partition)
    }

    #[inline]
    pub(crate) fn partition(self) -> &'a Partition {
        self.0
    }

    /// Orders locks: a thread that takes leaves of several locks takes them in ascending order of
    /// this.
    pub(crate) fn address(self) -> usize {
        std::ptr::from_ref(self.0).addr()
    }
}

#[cfg(feature = "deadlock_detection")]
impl<'a> Place<'a> {
    /// `address` is that of the lock, which users can name.
    pub(crate) fn new(address: usize, partition: &'a Arc<Partition>) -> Self {
        Place { address, partition }
    }

    pub(crate) fn partition(self) -> &'a Partition {
        self.partition
    }

    /// A share of the leaves, for a thread that looks in without having borrowed the lock.
    pub(crate) fn shared_partition(self) -> Arc<Partition> {
        Arc::clone(self.partition)
    }

    /// Orders locks: a thread that takes leaves of several locks takes them in ascending order of
    /// this.
    pub(crate) fn address(self) -> usize {
        self.address
    }
}
