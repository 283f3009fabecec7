//! Who judges what a workload reads: an oracle, or nobody.

use crate::check::{Covers, Oracle, Register, Write};

/// The oracle of a run, if it has one. Without one nothing of it is left in the loop: no versions are drawn, buffers
/// are not filled anew, and nothing that was read is looked at.
pub(super) struct Judge(Option<Oracle>);

impl Judge {
    /// For a file of so many pages, all holes.
    pub(super) fn new(pages: u64, checks: bool) -> Self {
        Self(checks.then(|| Oracle::new(pages)))
    }

    /// A write is about to begin. `None` if nobody will ask what it wrote.
    pub(super) fn begin(&self, page: u64, covers: Covers) -> Option<Write> {
        self.0.as_ref().map(|oracle| oracle.begin(page, covers))
    }

    /// The write has returned.
    pub(super) fn end(&self, write: Option<Write>) {
        if let (Some(oracle), Some(write)) = (&self.0, write) {
            oracle.end(write);
        }
    }

    /// A read is about to begin: who judges it, and what it must at least see.
    pub(super) fn floor(&self, page: u64, register: Register) -> Option<(&Oracle, u32)> {
        self.0.as_ref().map(|oracle| (oracle, oracle.floor(page, register)))
    }

    /// The oracle.
    pub(super) fn oracle(&self) -> Option<&Oracle> {
        self.0.as_ref()
    }
}
