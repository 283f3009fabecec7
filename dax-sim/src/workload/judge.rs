//! What judges the reads of a workload: an oracle, or nothing.
//!
//! # Whose fault a stale read is
//!
//! A read that sees what it may not is the variant's fault only if the device holds what was
//! written last. Another process may have written to the mapped file, or the medium may have lost
//! data. So after a stale read in a variant that promises none all threads stop, and the pages are
//! read anew by read(2), which goes through the map of blocks and past all mappings. What a page
//! must then hold is known: of overlapping writes any, otherwise the last one.
//!
//! The second word of a page is left out. Stores through mappings write it, and a store through a
//! mapping that is stale by the variant's fault goes to a wrong block, so that the device lacks it.
//!
//! By then a write may have mended the page. So the thread that finds it looks at once, too, where
//! no write is under way.

use crate::check::{Covers, Oracle, Register, Verdict, Write, pattern};
use crate::error::FsError;
use crate::file::File;
use crate::pmem::BLOCK_SIZE;

/// The oracle of a run, if it has one. Without one nothing of it is left in the loop: no versions
/// are drawn, buffers are not filled anew, and nothing that was read is looked at.
pub(super) struct Judge(Option<Oracle>);

impl Judge {
    /// For a file of so many pages, all holes.
    pub(super) fn new(pages: u64, checks: bool) -> Self {
        Self(checks.then(|| Oracle::new(pages)))
    }

    /// A write is about to begin. `None` if it will not be asked what it wrote.
    pub(super) fn begin(&self, page: u64, covers: Covers) -> Option<Write> {
        self.0.as_ref().map(|oracle| oracle.begin(page, covers))
    }

    /// The write has returned.
    pub(super) fn end(&self, write: Option<Write>) {
        if let (Some(oracle), Some(write)) = (&self.0, write) {
            oracle.end(write);
        }
    }

    /// A read is about to begin: its judge, and what it must at least see.
    pub(super) fn floor(&self, page: u64, register: Register) -> Option<(&Oracle, u32)> {
        self.0.as_ref().map(|oracle| (oracle, oracle.floor(page, register)))
    }

    /// Whether the device lacks what was written to the page last. `false` if a write of the page
    /// is under way.
    ///
    /// # Errors
    ///
    /// Those of the read.
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
        // No further write has begun, so that no block has come or gone under the read.
        Ok((0..bytes.len() / 8).any(foreign) && oracle.at_rest(page) == Some(before))
    }

    /// The first of so many pages that the device has lost. To be asked when all threads have
    /// stopped.
    ///
    /// # Errors
    ///
    /// Those of the reads.
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
