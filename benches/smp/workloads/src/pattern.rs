//! Where operations go.

use std::ops::Range;

/// A page, the unit of all workloads, in bytes.
pub(crate) const PAGE: u64 = 4096;
/// The largest file of the random workloads, in pages: 1 GiB.
pub(crate) const GIB_BITS: u32 = 18;

/// The range of page number `page`.
#[inline]
pub(crate) fn page(page: u64) -> Range<u64> {
    page * PAGE..(page + 1) * PAGE
}

/// A linear congruential generator (Knuth's MMIX constants), of which only high bits are used.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    /// A sequence of its own for each thread and seed.
    pub(crate) fn new(thread: usize, seed: u64) -> Self {
        let mut random =
            Random((thread as u64 + 1).wrapping_add(seed << 32).wrapping_mul(0x9E37_79B9_7F4A_7C15));
        random.next();
        random
    }

    #[inline]
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0
    }

    /// A number of so many bits, 24 at most.
    #[inline]
    pub(crate) fn bits(&mut self, bits: u32) -> u64 {
        self.next() >> (64 - bits)
    }

    /// A number below `n`, which is below 2^24.
    #[inline]
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        (self.bits(24) * n) >> 24
    }

    /// A number of so many bits, 24 at most, and whether to do what is done `percent` times in a
    /// hundred.
    #[inline]
    pub(crate) fn bits_and_chance(&mut self, bits: u32, percent: u32) -> (u64, bool) {
        let next = self.next();
        let chance = (next >> 24) & 0xFFFF;
        (next >> (64 - bits), chance * 100 < u64::from(percent) << 16)
    }
}
