//! Draws where operations go. It costs too little to matter, and is the same for all rivals. The
//! workloads of the simulated machine (`benches/smp`) compile this file, too.

/// A linear congruential generator (Knuth's MMIX constants), of which only high bits are used.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// A sequence of its own for each thread.
    pub fn new(thread: usize) -> Self {
        Self::with_seed(thread, 0)
    }

    /// A sequence of its own for each thread and seed.
    pub fn with_seed(thread: usize, seed: u64) -> Self {
        let start = (thread as u64 + 1).wrapping_add(seed << 32);
        let mut random = Random(start.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        random.next();
        random
    }

    #[inline]
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0
    }

    /// A number of `bits` bits, at most 24.
    #[inline]
    pub fn bits(&mut self, bits: u32) -> u64 {
        self.next() >> (64 - bits)
    }

    /// A number below `n`, which is below 2^24.
    #[inline]
    pub fn below(&mut self, n: u64) -> u64 {
        (self.bits(24) * n) >> 24
    }

    /// A number of `bits` bits, at most 24, and whether to do what is done `percent` times in a
    /// hundred.
    #[inline]
    pub fn bits_and_chance(&mut self, bits: u32, percent: u32) -> (u64, bool) {
        let next = self.next();
        // Bits of the upper half that the number has not used.
        let chance = (next >> 24) & 0xFFFF;
        (next >> (64 - bits), chance * 100 < u64::from(percent) << 16)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chances_are_what_they_are_said_to_be() {
        let mut random = Random::new(1);
        let hits = (0..100_000).filter(|_| random.bits_and_chance(18, 95).1).count();
        assert!((94_500..95_500).contains(&hits), "{hits} of 100,000 at 95 %");
        assert!((0..1000).all(|_| random.bits_and_chance(8, 100).1));
    }

    #[test]
    fn threads_go_to_different_places_all_over() {
        let (mut one, mut other) = (Random::new(0), Random::new(1));
        assert!((0..100).any(|_| one.bits(18) != other.bits(18)));
        let mut seen = [false; 256];
        (0..10_000).for_each(|_| seen[one.bits(8) as usize] = true);
        assert!(seen.iter().all(|&seen| seen));
    }
}
