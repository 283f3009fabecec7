//! How long requests waited, as plain numbers (feature `stats`).
//! It uses nothing of this crate.

use std::time::Duration;

/// How many buckets there are: the last one begins at nine minutes.
pub(crate) const BUCKETS: usize = 40;

/// Waits by their lengths. The buckets are powers of two: `n` holds waits from 2^n up to, not
/// including, 2^(n+1) nanoseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Histogram {
    pub(crate) buckets: [u64; BUCKETS],
    pub(crate) total: Duration,
    pub(crate) longest: Duration,
}

impl Histogram {
    pub(crate) const EMPTY: Histogram =
        Histogram { buckets: [0; BUCKETS], total: Duration::ZERO, longest: Duration::ZERO };

    /// Adds one wait.
    pub(crate) fn add(&mut self, wait: Duration) {
        self.buckets[bucket(wait)] += 1;
        self.total += wait;
        self.longest = self.longest.max(wait);
    }

    /// Adds all waits of another one.
    pub(crate) fn add_all(&mut self, other: &Histogram) {
        for (n, count) in self.buckets.iter_mut().zip(other.buckets) {
            *n += count;
        }
        self.total += other.total;
        self.longest = self.longest.max(other.longest);
    }
}

/// Which bucket a wait is in.
pub(crate) fn bucket(wait: Duration) -> usize {
    let nanos = u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX);
    nanos.checked_ilog2().map_or(0, |log| (log as usize).min(BUCKETS - 1))
}

/// The shortest wait of a bucket. The first bucket holds 0 and 1 ns.
pub(crate) fn bucket_first(bucket: usize) -> Duration {
    if bucket == 0 { Duration::ZERO } else { Duration::from_nanos(1 << bucket) }
}

/// The longest wait of a bucket. The last bucket has no end.
pub(crate) fn bucket_last(bucket: usize) -> Duration {
    if bucket == BUCKETS - 1 { Duration::MAX } else { Duration::from_nanos((2 << bucket) - 1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_wait_lies_in_its_bucket() {
        let mut next = Duration::ZERO;
        for n in 0..BUCKETS {
            assert_eq!(bucket_first(n), next, "no gap before bucket {n}");
            assert_eq!((bucket(bucket_first(n)), bucket(bucket_last(n))), (n, n));
            next = bucket_last(n).saturating_add(Duration::from_nanos(1));
        }
        assert_eq!(next, Duration::MAX);
    }
}
