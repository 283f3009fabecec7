//! Replays a log of operations on one file, in the format of fsx' `--record-ops`. It uses `file`
//! and the modules below.
//!
//! fsx, of xfstests, applies random operations to a file and compares it with a model in memory.
//! The same log gives the same bytes on every correct file system, whether fsx or a person wrote
//! it. So a replay here can be compared with the same log on a real file system. [`log`] reads the
//! log, [`run`](mod@run) does it, and `trim` optionally fits it to the file.

pub(crate) mod log;
pub(crate) mod run;
mod trim;

/// Why a log cannot be replayed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BadLine {
    /// The line, counted from 1.
    pub(crate) number: u64,
    /// What was expected in the line.
    pub(crate) expected: String,
}
