//! Which simulated thread is running, and the faults found in its schedule.

use std::cell::{Cell, RefCell};

use crate::finding::Finding;

thread_local! {
    static CURRENT: Cell<Option<usize>> = const { Cell::new(None) };
    static FINDINGS: RefCell<Vec<Finding>> = const { RefCell::new(Vec::new()) };
}

/// The number of the simulated thread that is running.
pub(crate) fn current() -> Option<usize> {
    CURRENT.get()
}

/// The simulated thread of this number runs from now on; `None` if none does.
pub(super) fn set_current(index: Option<usize>) {
    CURRENT.set(index);
}

/// Records a fault in the schedule that is under way. The schedule goes on.
pub(crate) fn find(finding: Finding) {
    FINDINGS.with_borrow_mut(|findings| findings.push(finding));
}

/// Takes the faults found so far.
pub(crate) fn findings() -> Vec<Finding> {
    FINDINGS.take()
}
