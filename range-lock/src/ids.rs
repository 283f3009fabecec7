//! The names of requests, and where they come from.
//! It uses nothing of this crate.

use std::fmt;
use std::num::NonZeroU64;

use crossbeam_utils::atomic::AtomicCell;

/// Names a request within its lock, for as long as the lock exists: none is given twice. The first
/// ones of a lock are given in order; once it has been cut into parts, each part has its own blocks
/// of them.
///
/// A request for several ranges has one in each lock that it concerns. A guard that is shrunk,
/// downgraded or upgraded keeps the one of its request; of the two that a split makes, the left one
/// does, and the right one has a new one. Printed as `#7`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(NonZeroU64);

impl RequestId {
    #[inline]
    pub(crate) fn new(id: u64) -> Self {
        RequestId(NonZeroU64::new(id).expect("ids are counted from 1"))
    }

    /// The number.
    ///
    /// ```
    /// # let lock = range_lock::RangeLock::new();
    /// let _guard = lock.read(0..10);
    /// let id = lock.requests()[0].id();
    /// assert_eq!(id.to_string(), format!("#{}", id.get()));
    /// ```
    pub const fn get(self) -> u64 {
        self.0.get()
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Where the ids of a lock's requests come from: each leaf takes a block of them at a time, so that
/// leaves do not meet here.
#[derive(Debug)]
pub(crate) struct Ids(AtomicCell<u64>);

impl Ids {
    pub(crate) const BLOCK: u64 = 4096;

    pub(crate) const fn new() -> Self {
        Ids(AtomicCell::new(1))
    }

    /// The first id of a block that no other leaf has. (The first block is the first leaf's from
    /// the beginning.)
    #[cold]
    pub(crate) fn draw_block(&self) -> u64 {
        self.0.fetch_add(1) * Self::BLOCK
    }
}
