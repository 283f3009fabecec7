//! Replaying a log of operations on one file, in the format of fsx' `--record-ops`; it uses `file`
//! and the rooms below.
//!
//! fsx, of xfstests, applies random operations to a file and compares it with a model in memory. A
//! log that it wrote, or one that was written by hand, gives the same bytes on every file system
//! that is right, so a replay here can be held against the same log on a real one. [`log`] reads
//! it, [`run`](mod@run) does it, and `trim` fits it to the file where that is asked for.

pub(crate) mod log;
pub(crate) mod run;
mod trim;

/// Why a log cannot be replayed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BadLine {
    /// From 1 on.
    pub(crate) number: u64,
    /// What was expected there.
    pub(crate) expected: String,
}
