//! For the tests of this crate: whether and where a lock is cut into parts changes nothing that a
//! user could see. Not part of the public interface.

use crate::lock::RangeLock;

/// Cuts the part in which `at` lies there; `false` if that cannot be done.
pub fn cut(lock: &RangeLock, at: u64) -> bool {
    lock.partition().cut_at(at)
}

/// Joins the part in which `at` lies and the next one; `false` if that cannot be done.
pub fn join(lock: &RangeLock, at: u64) -> bool {
    lock.partition().join_at(at)
}

/// How many parts there are.
pub fn parts(lock: &RangeLock) -> usize {
    lock.partition().len()
}
