//! Requests at their edges: code of the user's that panics, deadlines.

mod deadlines;
mod histories;
mod limits;
mod panics;
mod registrations;
mod wakers;

use std::any::Any;
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

/// Long enough to be queued: a deadline that has passed is not.
const SOON: Duration = Duration::from_micros(100);

thread_local! {
    /// What another thread does while a request takes its passes back, or is about to become a
    /// writer.
    static MEANWHILE: RefCell<Option<Box<dyn Any>>> = const { RefCell::new(None) };
}

/// See [`pass`](super::pass): in between, another thread may release what it holds in other leaves.
pub(super) fn before_passes_are_taken_back() {
    meanwhile();
}

/// See [`try_upgrade`](super::try_upgrade): likewise.
pub(super) fn before_readers_are_raised() {
    meanwhile();
}

fn meanwhile() {
    if let Some(guard) = MEANWHILE.take() {
        // The panic would be one of the other thread.
        _ = catch_unwind(AssertUnwindSafe(|| drop(guard)));
    }
}
