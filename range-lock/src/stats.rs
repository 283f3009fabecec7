//! Counts of requests, and how long they waited (feature `stats`). It uses `RangeLock` and what the
//! leaves count.
//!
//! The counters are plain numbers in the leaf, changed under its mutex. The transition that grants
//! a request at once counts that request, since it holds the mutex anyway. A request that had to
//! wait is counted when its thread goes on, which takes the mutex once more. So a wait includes the
//! time from the grant until the thread runs.

use std::fmt;
use std::ops::{Add, RangeInclusive, Sub};
use std::time::Duration;

use crate::histogram::{BUCKETS, Histogram, bucket_first, bucket_last};
use crate::leaf::{Counters, ModeCounters};
use crate::lock::RangeLock;
use crate::mode::Mode;
use crate::span::Span;

/// The counts of a [`RangeLock`] since the lock was made, or between two calls of
/// [`RangeLock::stats`] (feature `stats`).
///
/// [`RangeLock::stats`] returns a copy of the counts. To get the counts of an interval, subtract an
/// earlier copy from a later copy:
///
/// ```
/// # use range_lock::{Mode, RangeLock};
/// let lock = RangeLock::new();
/// drop(lock.write(..));
/// let before = lock.stats();
/// drop((lock.read(0..10), lock.read(5..15)));
/// let interval = lock.stats() - before;
/// assert_eq!(interval.of(Mode::Read).acquisitions(), 2);
/// assert_eq!(interval.of(Mode::Write).acquisitions(), 0);
/// assert_eq!(interval.all().contended(), 0);
/// ```
///
/// # What counts
///
/// The counts include blocking, timed, `try_` and async requests, with borrowed and with owned
/// guards. A request that is granted immediately counts when it enters. A request that waits counts
/// when its thread or task continues, or when the request gives up.
///
/// * A request counts in its mode. A request for several ranges counts once in each of its locks,
///   in the strongest mode that it has in this lock.
/// * An upgrade counts as a request for [`Write`](Mode::Write), in each lock in which the guard has
///   an upgradable range. A downgrade, a shrink or a split does not count.
/// * A `try_` method without a time limit that fails enters no request, and so does not count. A
///   request for an empty range does not count either.
///
/// # Cost
///
/// A request that is granted immediately makes one additional increment in each of its locks. A
/// request that waits reads the clock and takes an internal mutex one additional time, in each of
/// its locks. A lock is about 1.1 KiB larger than without the feature. After a cut, each additional
/// part of the lock is also about 1.1 KiB larger.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Stats {
    /// By mode.
    modes: [ModeStats; 3],
}

impl Stats {
    /// Returns the counts of the requests in `mode`.
    ///
    /// ```
    /// # use range_lock::{Mode, RangeLock};
    /// # let lock = RangeLock::new();
    /// drop(lock.read(0..10));
    /// assert_eq!(lock.stats().of(Mode::Read).acquisitions(), 1);
    /// assert_eq!(lock.stats().of(Mode::Write).acquisitions(), 0);
    /// ```
    pub fn of(&self, mode: Mode) -> &ModeStats {
        &self.modes[mode as usize]
    }

    /// Returns the counts of the requests in all modes together.
    ///
    /// ```
    /// # let lock = range_lock::RangeLock::new();
    /// drop((lock.read(0..10), lock.write(10..20)));
    /// assert_eq!(lock.stats().all().acquisitions(), 2);
    /// ```
    pub fn all(&self) -> ModeStats {
        self.modes.iter().fold(ModeStats::default(), |all, mode| all + mode)
    }

    /// Adds what a leaf has counted.
    fn add(&mut self, counters: &Counters) {
        for (stats, mode) in self.modes.iter_mut().zip([Mode::Read, Mode::Upgradable, Mode::Write]) {
            let ModeCounters { granted, gave_up, waits } = counters.of(mode);
            stats.acquisitions += granted;
            stats.gave_up += gave_up;
            stats.waits.0.add_all(waits);
        }
    }
}

/// The counts of the requests in one mode, or in all modes, as a part of [`Stats`].
///
/// ```
/// # use range_lock::{Mode, RangeLock};
/// # use std::time::Duration;
/// # let lock = RangeLock::new();
/// let writer = lock.write(0..10);
/// assert!(lock.try_read_for(0..10, Duration::from_millis(1)).is_none());
/// drop(writer);
/// drop(lock.read(0..10));
/// let stats = lock.stats();
/// let reads = stats.of(Mode::Read);
/// assert_eq!((reads.acquisitions(), reads.contended(), reads.gave_up()), (1, 0, 1));
/// assert_eq!(reads.waits().count(), 0); // The one that gave up is not among them.
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ModeStats {
    acquisitions: u64,
    gave_up: u64,
    waits: Waits,
}

impl ModeStats {
    /// Returns how many requests were granted, at once or after a wait.
    pub fn acquisitions(&self) -> u64 {
        self.acquisitions
    }

    /// Returns how many of the [acquisitions](Self::acquisitions) had to wait.
    pub fn contended(&self) -> u64 {
        self.waits.count()
    }

    /// Returns how many requests waited and gave up. These requests timed out, or a task dropped
    /// their futures. A future that a task dropped after the grant and before the next poll counts,
    /// too. [`waits`](Self::waits) does not include the waits of these requests. A timed method
    /// whose deadline has passed before the call does not wait, and so its failure does not count.
    pub fn gave_up(&self) -> u64 {
        self.gave_up
    }

    /// Returns how long the requests waited that were granted after a wait.
    pub fn waits(&self) -> &Waits {
        &self.waits
    }
}

/// A histogram of the times that requests waited before they were granted, as a part of
/// [`ModeStats`].
///
/// A wait begins when the request enters. The wait ends after the grant, when the thread continues
/// or when the task polls the future. Bucket `n` holds the waits of at least 2^n and less than
/// 2^(n+1) nanoseconds. Bucket 0 also holds the waits of 0 ns. The last bucket has the number 39,
/// and holds all waits of 2^39 ns (about nine minutes) or longer.
///
/// ```
/// # let lock = range_lock::RangeLock::new();
/// let writer = lock.write(0..10);
/// std::thread::scope(|scope| {
///     scope.spawn(|| drop(lock.read(0..10)));
///     # while lock.requests().len() < 2 { std::thread::yield_now() }
///     // As soon as that thread waits:
///     drop(writer);
/// });
/// let all = lock.stats().all();
/// let waits = all.waits();
/// assert_eq!(waits.count(), 1);
/// assert_eq!(waits.total(), waits.longest()); // There was one.
/// assert!(waits.quantile(0.5).unwrap() >= waits.longest());
/// let (bucket, count) = waits.buckets().next().unwrap();
/// assert!(bucket.contains(&waits.longest()) && count == 1);
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Waits(Histogram);

impl Waits {
    /// Returns how many waits there were.
    pub fn count(&self) -> u64 {
        self.0.buckets.iter().sum()
    }

    /// Returns the sum of all waits.
    pub fn total(&self) -> Duration {
        self.0.total
    }

    /// Returns the longest wait, or zero if there was no wait.
    ///
    /// For the difference of two [`Stats`], the result is exact if a wait of the interval was
    /// longer than all waits before the interval. Otherwise the result is at least as long as the
    /// longest wait of the interval. If the longest wait of the interval is from 1 ns to nine
    /// minutes, the result is less than twice as long.
    pub fn longest(&self) -> Duration {
        self.0.longest
    }

    /// Returns an upper bound of the `q` quantile of the waits. At least the fraction `q` of all
    /// waits are at most as long as the result. `q` is 0.5 for the median and 0.99 for the 99th
    /// percentile. Returns `None` if there were no waits.
    ///
    /// The result is the smaller of two times: the upper end of the bucket that contains the
    /// quantile, and [`longest`](Self::longest). If the quantile is from 1 ns to nine minutes, the
    /// result is less than twice the quantile.
    ///
    /// # Panics
    ///
    /// If `q` is not a number from 0 to 1.
    #[track_caller]
    pub fn quantile(&self, q: f64) -> Option<Duration> {
        assert!((0.0..=1.0).contains(&q), "a quantile is a number from 0 to 1, not {q}");
        // The rank of the wait that is asked for, from 1. Rounding is far finer than the buckets.
        let rank = ((q * self.count() as f64).ceil() as u64).max(1);
        let mut so_far = 0;
        let (range, _) = self.buckets().find(|(_, n)| {
            so_far += n;
            so_far >= rank
        })?;
        Some(*range.end())
    }

    /// Returns the buckets that are not empty, from short waits to long waits. Each item has the
    /// range of waits of a bucket, and the number of waits in the bucket. The upper end of a range
    /// is at most [`longest`](Self::longest).
    pub fn buckets(&self) -> impl Iterator<Item = (RangeInclusive<Duration>, u64)> {
        let bounded = |n| bucket_first(n)..=bucket_last(n).min(self.0.longest);
        self.0
            .buckets
            .iter()
            .enumerate()
            .filter(|(_, count)| **count != 0)
            .map(move |(n, count)| (bounded(n), *count))
    }
}

impl Default for Waits {
    /// No waits.
    fn default() -> Self {
        Waits(Histogram::EMPTY)
    }
}

impl Add<&ModeStats> for ModeStats {
    type Output = ModeStats;

    fn add(mut self, other: &ModeStats) -> ModeStats {
        self.acquisitions += other.acquisitions;
        self.gave_up += other.gave_up;
        self.waits.0.add_all(&other.waits.0);
        self
    }
}

/// `later - earlier` has the counts between two calls of
/// [`RangeLock::stats`](crate::RangeLock::stats). Both values must be of the same lock. If a count
/// of `earlier` is larger, the difference of this count is zero.
impl Sub for Stats {
    type Output = Stats;

    fn sub(self, earlier: Stats) -> Stats {
        let [a, b, c] = self.modes;
        let [x, y, z] = earlier.modes;
        Stats { modes: [a - x, b - y, c - z] }
    }
}

/// Like the difference of two [`Stats`].
impl Sub for ModeStats {
    type Output = ModeStats;

    fn sub(self, earlier: ModeStats) -> ModeStats {
        let (now, before) = (&self.waits.0, &earlier.waits.0);
        let buckets: [u64; BUCKETS] =
            std::array::from_fn(|n| now.buckets[n].saturating_sub(before.buckets[n]));
        let longest = match buckets.iter().rposition(|count| *count != 0) {
            None => Duration::ZERO,
            Some(_) if now.longest > before.longest => now.longest,
            Some(n) => bucket_last(n).min(now.longest),
        };
        ModeStats {
            acquisitions: self.acquisitions.saturating_sub(earlier.acquisitions),
            gave_up: self.gave_up.saturating_sub(earlier.gave_up),
            waits: Waits(Histogram { buckets, total: now.total.saturating_sub(before.total), longest }),
        }
    }
}

impl fmt::Debug for Stats {
    /// Prints the modes that were used.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut stats = f.debug_struct("Stats");
        for (mode, name) in [(Mode::Read, "read"), (Mode::Upgradable, "upgradable"), (Mode::Write, "write")] {
            if *self.of(mode) != ModeStats::default() {
                stats.field(name, self.of(mode));
            }
        }
        stats.finish()
    }
}

impl fmt::Debug for ModeStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ModeStats")
            .field("acquisitions", &self.acquisitions)
            .field("contended", &self.contended())
            .field("gave_up", &self.gave_up)
            .field("total_wait", &self.waits.total())
            .field("longest_wait", &self.waits.longest())
            .field("waits", &self.waits)
            .finish()
    }
}

impl fmt::Debug for Waits {
    /// Prints how many waits each bucket holds.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.buckets()).finish()
    }
}

impl RangeLock {
    /// Returns the counts of the lock since the lock was made (feature `stats`). See [`Stats`].
    ///
    /// Reads about 1 KiB in each part of the lock, while the call holds the mutexes of all parts.
    ///
    /// ```
    /// # use range_lock::{Mode, RangeLock};
    /// # use std::time::Duration;
    /// let lock = RangeLock::new();
    /// let writer = lock.write(0..10);
    /// assert!(lock.try_read_for(5..15, Duration::from_millis(1)).is_none());
    /// let stats = lock.stats();
    /// assert_eq!(stats.of(Mode::Write).acquisitions(), 1);
    /// assert_eq!(stats.of(Mode::Read).gave_up(), 1);
    /// ```
    pub fn stats(&self) -> Stats {
        let mut stats = Stats::default();
        self.partition().look_over(Span::WHOLE).iter().for_each(|leaf| stats.add(&leaf.counters));
        stats
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nanos(n: u64) -> Duration {
        Duration::from_nanos(n)
    }

    fn counters(nanoseconds: impl IntoIterator<Item = u64>) -> Counters {
        let mut counters = Counters::NONE;
        nanoseconds.into_iter().for_each(|n| counters.waited(Mode::Write, nanos(n)));
        counters
    }

    fn stats(counters: &Counters) -> Stats {
        let mut stats = Stats::default();
        stats.add(counters);
        stats
    }

    fn waits(nanoseconds: impl IntoIterator<Item = u64>) -> Stats {
        stats(&counters(nanoseconds))
    }

    #[test]
    fn quantiles_are_bounded_from_above() {
        let stats = waits(1..=1000);
        let waits = stats.of(Mode::Write).waits();
        assert_eq!((waits.count(), waits.total(), waits.longest()), (1000, nanos(500_500), nanos(1000)));
        for q in [0.0_f64, 0.001, 0.1, 0.5, 0.9, 0.99, 1.0] {
            let exact = (q * 1000.0).ceil().max(1.0) as u64;
            let bound = waits.quantile(q).unwrap();
            assert!(nanos(exact) <= bound && bound < nanos(2 * exact.max(1)).max(nanos(2)), "{q}: {bound:?}");
        }
        assert_eq!(waits.quantile(1.0), Some(nanos(1000)), "no more than the longest");
        assert_eq!(Waits::default().quantile(0.5), None);
        assert_eq!(self::waits([0]).all().waits().quantile(0.5), Some(nanos(0)));
    }

    #[test]
    #[should_panic(expected = "a quantile is a number from 0 to 1, not 99")]
    fn a_percentage_is_not_a_quantile() {
        let _ = Waits::default().quantile(99.0);
    }

    #[test]
    fn the_difference_is_what_came_in_between() {
        let mut counters = counters([5, 100]);
        let before = stats(&counters);
        counters.waited(Mode::Write, nanos(70));
        counters.granted(Mode::Read);
        counters.gave_up(Mode::Upgradable);
        let after = stats(&counters);
        let between = after.clone() - before.clone();
        let write = between.of(Mode::Write);
        assert_eq!((write.acquisitions(), write.contended(), write.waits().total()), (1, 1, nanos(70)));
        assert_eq!(write.waits().longest(), nanos(100), "in the bucket of 70, and no longer than any");
        assert_eq!(between.of(Mode::Read).acquisitions(), 1);
        assert_eq!((between.all().acquisitions(), between.all().gave_up()), (2, 1));

        counters.waited(Mode::Write, nanos(3000));
        let later = stats(&counters);
        assert_eq!((later - after.clone()).of(Mode::Write).waits().longest(), nanos(3000), "exact");
        assert_eq!(after.clone() - after.clone(), Stats::default());
        assert_eq!(before - after, Stats::default(), "the wrong way round");
    }

    #[test]
    fn debug_prints_what_was_used() {
        assert_eq!(
            format!("{:?}", waits([5, 6, 100])),
            "Stats { write: ModeStats { acquisitions: 3, contended: 3, gave_up: 0, total_wait: 111ns, \
             longest_wait: 100ns, waits: {4ns..=7ns: 2, 64ns..=100ns: 1} } }"
        );
    }
}
