//! Judges the reads of a workload by an oracle, or not at all.
//!
//! # What is to blame for a stale read
//!
//! A read that sees what it may not is the variant's fault only if the device holds what was
//! written last. Otherwise another process may have written to the mapped file, or the medium may
//! have lost data. So after a stale read in a sample that must have none all threads stop. A sample
//! with mappings, in a variant that is not coherent, goes on to its end. In both cases the pages
//! are then read anew by read(2), which goes through the map of blocks and past all mappings. What
//! a page must then hold is known: the last write, or any of the last writes if they overlap.
//!
//! If i_rwsem or i_mmap_sem is missing, the run's own calls may lose what was written. Then a lost
//! page says nothing, and another process is not blamed.
//!
//! The second word of a page is left out. Stores through mappings write it. A store through a
//! mapping that is stale by the variant's fault goes to a wrong block, so the device lacks it.
//!
//! By the time all threads have stopped a write may have repaired the page. So where threads stop,
//! the one that finds the stale read also looks at once, if no write of the page is under way.

use crate::check::{Covers, Oracle, Register, Verdict, Write, pattern};
use crate::error::FsError;
use crate::file::File;
use crate::pmem::BLOCK_SIZE;

/// The oracle of a run, if it has one. Without an oracle the loop has none of its costs: no
/// versions are drawn, buffers are not filled anew, and nothing that was read is looked at.
pub(super) struct Judge(Option<Oracle>);

impl Judge {
    /// A judge for a file of `pages` pages, all holes.
    pub(super) fn new(pages: u64, checks: bool) -> Self {
        Self(checks.then(|| Oracle::new(pages)))
    }

    /// Called when a write is about to begin. `None` if nothing will ask what it wrote.
    pub(super) fn begin(&self, page: u64, covers: Covers) -> Option<Write> {
        self.0.as_ref().map(|oracle| oracle.begin(page, covers))
    }

    /// Called when the write has returned.
    pub(super) fn end(&self, write: Option<Write>) {
        if let (Some(oracle), Some(write)) = (&self.0, write) {
            oracle.end(write);
        }
    }

    /// Called when a read is about to begin. Returns its judge, and the oldest version that it may
    /// see.
    pub(super) fn floor(&self, page: u64, register: Register) -> Option<(&Oracle, u32)> {
        self.0.as_ref().map(|oracle| (oracle, oracle.floor(page, register)))
    }

    /// Whether the device lacks what was written to the page last. `false` if a write of the page
    /// is under way.
    ///
    /// # Errors
    ///
    /// The errors of the read.
    pub(super) fn is_lost(&self, file: &File<'_>, page: u64) -> Result<bool, FsError> {
        let Some(oracle) = &self.0 else { return Ok(false) };
        let Some(before) = oracle.at_rest(page) else { return Ok(false) };
        let floor = oracle.floor(page, Register::Io);
        let mut bytes = [0; BLOCK_SIZE as usize];
        file.read_at(&mut bytes, page * BLOCK_SIZE)?;
        let foreign = |index| {
            index != Register::Stored.index()
                && oracle.judge(page, floor, pattern::word_at(&bytes, index)) != Verdict::Good
        };
        // No further write has begun, so no block has come or gone under the read.
        Ok((0..bytes.len() / 8).any(foreign) && oracle.at_rest(page) == Some(before))
    }

    /// The first of `pages` pages that the device has lost. Called when all threads have stopped.
    ///
    /// # Errors
    ///
    /// The errors of the reads.
    pub(super) fn first_lost(&self, file: &File<'_>, pages: u64) -> Result<Option<u64>, FsError> {
        for page in 0..pages {
            if self.is_lost(file, page)? {
                return Ok(Some(page));
            }
        }
        Ok(None)
    }

    /// The oracle.
    pub(super) fn oracle(&self) -> Option<&Oracle> {
        self.0.as_ref()
    }
}
