//! For the tests of this crate, which show that cutting a lock into parts changes nothing that a
//! user could observe. Not part of the public interface. It uses `RangeLock`, its partition, its
//! mutex and what lies below.

use crate::lock::RangeLock;

/// Cuts the part in which `at` lies there. `false` if that cannot be done.
pub fn cut(lock: &RangeLock, at: u64) -> bool {
    lock.partition().cut_at(at)
}

/// Joins the part in which `at` lies and the next one. `false` if that cannot be done.
pub fn join(lock: &RangeLock, at: u64) -> bool {
    lock.partition().join_at(at)
}

/// How many parts there are.
pub fn parts(lock: &RangeLock) -> usize {
    lock.partition().len()
}

/// Allocates now what this thread may allocate when it first waits for the mutex of a part.
#[cfg(not(any(loom, shuttle)))]
pub fn prepare_to_wait() {
    crate::mutex::prepare_to_wait();
}

/// Calls `f` with other thresholds: a part is cut after `meetings` meetings, and is quiet after
/// `crossings` crossings. `None` leaves a threshold as it is. Returns how often parts were cut
/// where requests met, joined by a request that crosses them, and joined because another was to be
/// cut.
#[cfg(any(loom, shuttle))]
pub fn with_thresholds(meetings: Option<u32>, crossings: Option<u16>, f: impl FnOnce()) -> [usize; 3] {
    crate::leaf::models::with_thresholds(meetings, crossings, f)
}

#[cfg(range_lock_smp)]
pub mod smp;
