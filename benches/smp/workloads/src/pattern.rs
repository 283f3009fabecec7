//! Draws where operations go.

use std::ops::Range;

pub(crate) use crate::random::Random;

/// A page, the unit of all workloads, in bytes.
pub(crate) const PAGE: u64 = 4096;
/// The largest file of the random workloads, in pages: 1 GiB.
pub(crate) const GIB_BITS: u32 = 18;

/// The range of page number `page`.
#[inline]
pub(crate) fn page(page: u64) -> Range<u64> {
    page * PAGE..(page + 1) * PAGE
}
