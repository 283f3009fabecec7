//! [`Bounds`]: the part of the domain that a leaf is for.
//! It uses spans.

use crate::span::Span;

/// The part of the domain that a leaf is for: `first..=last`, or nothing if `last` lies before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bounds {
    pub(crate) first: u64,
    pub(crate) last: u64,
}

impl Bounds {
    pub(crate) const WHOLE: Bounds = Bounds { first: 0, last: u64::MAX };
    pub(crate) const NOTHING: Bounds = Bounds { first: 1, last: 0 };

    #[inline]
    pub(crate) fn contains(self, point: u64) -> bool {
        self.first <= point && point <= self.last
    }

    /// Whether all of `span` lies inside.
    #[inline]
    pub(crate) fn cover(self, span: Span) -> bool {
        self.first <= span.first && span.last <= self.last
    }

    /// Whether a point of `span` lies inside.
    #[inline]
    pub(crate) fn meet(self, span: Span) -> bool {
        self.first <= span.last && span.first <= self.last
    }
}
