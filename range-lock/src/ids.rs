//! The names of requests, and where they come from.
//! It uses nothing of this crate.

use std::fmt;
use std::num::NonZeroU64;

use crossbeam_utils::atomic::AtomicCell;

/// The id of a request within its lock. A lock never gives the same id to two requests. Until the
/// lock is first cut into parts, a later request has a larger id. From then on each part has its
/// own blocks of ids, and the order of two ids from different parts has no meaning.
///
/// A request for several ranges has one id in each of its locks. A shrunk, downgraded or upgraded
/// guard keeps the id of its request. When a caller splits a guard, the left guard keeps the id,
/// and the right guard gets a new id. If the left guard is empty, the right guard keeps the id. The
/// id 7 prints as `#7`.
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
