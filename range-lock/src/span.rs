//! Spans: the closed intervals with which everything inside the lock works. It uses nothing of this
//! crate.
//!
//! A caller may hand in any [`RangeBounds<u64>`]. Inside, a range is a *closed* interval
//! `first..=last`, because only a closed interval can name the whole domain, `u64::MAX` included,
//! without a wider type. A closed interval cannot be empty, so the conversion yields an `Option`:
//! an empty range has no span, and never enters the lock.

use std::fmt;
use std::ops::{Bound, RangeBounds, RangeInclusive};

/// The range that holds one point, `p..=p`, for example one key.
///
/// ```
/// # let lock = range_lock::RangeLock::new();
/// use range_lock::point;
///
/// let key = lock.write(point(7));
/// assert_eq!(key.range(), 7..=7);
/// let last = lock.write(point(u64::MAX)); // `u64::MAX + 1` is no `u64`, so `p..p + 1` would not do.
/// # drop(last);
/// ```
pub const fn point(p: u64) -> RangeInclusive<u64> {
    p..=p
}

/// A closed, non-empty interval of the domain; `first <= last`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) first: u64,
    pub(crate) last: u64,
}

impl Span {
    /// Every point there is.
    pub(crate) const WHOLE: Span = Span { first: 0, last: u64::MAX };

    /// The span of `range`, or `None` if it is empty.
    ///
    /// # Panics
    ///
    /// If the range is inverted. As for slices, `n..n` and `n..=n - 1` are empty. Any range whose
    /// end lies further back is inverted.
    #[inline]
    #[track_caller]
    pub(crate) fn new(range: &impl RangeBounds<u64>) -> Option<Span> {
        // One bit more than the domain has, so that the point behind `u64::MAX` can be named.
        let start = match range.start_bound() {
            Bound::Included(&first) => u128::from(first),
            Bound::Excluded(&before) => u128::from(before) + 1,
            Bound::Unbounded => 0,
        };
        let end = match range.end_bound() {
            Bound::Included(&last) => u128::from(last) + 1,
            Bound::Excluded(&end) => u128::from(end),
            Bound::Unbounded => u128::from(u64::MAX) + 1,
        };
        if start > end {
            inverted(start, end);
        }
        // In a non-empty range both ends are in the domain again.
        (start < end).then(|| Span { first: start as u64, last: (end - 1) as u64 })
    }

    /// Whether the two have a point in common.
    #[inline]
    pub(crate) fn overlaps(self, other: Span) -> bool {
        self.first <= other.last && other.first <= self.last
    }

    /// Whether `point` lies in it.
    #[inline]
    pub(crate) fn contains(self, point: u64) -> bool {
        self.first <= point && point <= self.last
    }

    /// Whether all of `other` lies in it.
    #[inline]
    pub(crate) fn covers(self, other: Span) -> bool {
        self.first <= other.first && other.last <= self.last
    }
}

impl From<Span> for RangeInclusive<u64> {
    fn from(span: Span) -> Self {
        span.first..=span.last
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..={}", self.first, self.last)
    }
}

#[cold]
#[inline(never)]
#[track_caller]
fn inverted(start: u128, end: u128) -> ! {
    panic!("range start {start} is greater than range end {end}");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(first: u64, last: u64) -> Option<Span> {
        Some(Span { first, last })
    }

    #[test]
    fn every_kind_of_bound() {
        assert_eq!(Span::new(&(3..7)), span(3, 6));
        assert_eq!(Span::new(&(3..=7)), span(3, 7));
        assert_eq!(Span::new(&(3..)), span(3, u64::MAX));
        assert_eq!(Span::new(&(..7)), span(0, 6));
        assert_eq!(Span::new(&(..=7)), span(0, 7));
        assert_eq!(Span::new(&..), Some(Span::WHOLE));
        assert_eq!(Span::new(&(Bound::Excluded(3), Bound::Excluded(7))), span(4, 6));
        assert_eq!(Span::new(&(Bound::Excluded(3), Bound::Unbounded)), span(4, u64::MAX));
    }

    #[test]
    fn the_last_point_of_the_domain() {
        assert_eq!(Span::new(&(u64::MAX..)), span(u64::MAX, u64::MAX));
        assert_eq!(Span::new(&(..=u64::MAX)), Some(Span::WHOLE));
        assert_eq!(Span::new(&(..u64::MAX)), span(0, u64::MAX - 1));
        assert_eq!(Span::new(&(Bound::Excluded(u64::MAX), Bound::Unbounded)), None);
    }

    #[test]
    #[allow(clippy::reversed_empty_ranges)] // that they are read as slices read them is what is tested
    fn empty_ranges_have_no_span() {
        for n in [0, 5, u64::MAX] {
            assert_eq!(Span::new(&(n..n)), None);
        }
        assert_eq!(Span::new(&(5..=4)), None);
        assert_eq!(Span::new(&(Bound::Excluded(5), Bound::Excluded(6))), None);
    }

    #[test]
    #[should_panic(expected = "range start 7 is greater than range end 3")]
    #[allow(clippy::reversed_empty_ranges)] // the panic is what is tested
    fn an_inverted_range_names_both_ends() {
        let _ = Span::new(&(7..3));
    }

    #[test]
    #[should_panic(expected = "range start 18446744073709551616 is greater than range end 6")]
    fn an_excluded_maximum_is_past_every_end() {
        let _ = Span::new(&(Bound::Excluded(u64::MAX), Bound::Included(5)));
    }

    #[test]
    fn overlap_is_sharing_a_point() {
        let a = Span { first: 10, last: 19 };
        for (first, last, shares) in
            [(0, 9, false), (0, 10, true), (12, 13, true), (19, 30, true), (20, 30, false), (0, 99, true)]
        {
            let b = Span { first, last };
            assert_eq!(a.overlaps(b), shares, "{a:?} and {b:?}");
            assert_eq!(b.overlaps(a), shares, "{b:?} and {a:?}");
        }
    }
}
