//! What a leaf remembers of the threads that met on its mutex. It decides whether the leaf is worth
//! a cut, or should be joined to its neighbour. See "When to cut and to join" in the
//! [partition](crate::partition).

use super::models;
use crate::bounds::Bounds;
use crate::span::Span;

/// Where the users of a leaf met on its mutex: when that was, and what the last few asked for.
#[derive(Debug)]
pub(crate) struct Contention {
    spans: [Span; Contention::SPANS],
    /// The highest point at which one began when a cut was last considered, or at the first
    /// meeting.
    highest: Option<u64>,
    /// The leaf's last id then, unless the leaf has been cut since.
    since: Option<u64>,
    /// How many meetings there were, each soon after the one before, or followed by more such
    /// before long.
    streak: u32,
    /// Where the next span goes.
    next: u32,
    last: u64,
    /// How often the leaf could not be cut: each time makes it wait for twice as many meetings.
    in_vain: u32,
    /// How often requests that cross the leaf had it joined again after a cut: each time makes it
    /// wait for twice as many meetings, until cuts last.
    undone: u32,
    /// How many met here, halved each time the leaf is [asked](Contention::cool) whether it is
    /// quiet.
    heat: u32,
}

/// What came of the attempt to cut a leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Attempt {
    /// It was cut.
    Cut,
    /// It was too soon, or another thread changes the partition at the moment. This tells nothing
    /// about the leaf.
    NotNow,
    /// No cut helps, or there is no leaf for the right half.
    InVain,
}

impl Contention {
    pub(crate) const NONE: Contention = Contention {
        spans: [Span { first: 0, last: 0 }; Contention::SPANS],
        highest: None,
        since: None,
        streak: 0,
        next: 0,
        last: 0,
        in_vain: 0,
        undone: 0,
        heat: 0,
    };
    /// From how many meetings a cut is decided.
    const SPANS: usize = 8;
    /// How many requests may come between one meeting and the next for the second to make the
    /// streak longer.
    pub(crate) const SOON: u64 = 1024;
    /// And how many for it not to end the streak. As many as a time slice has: where there are more
    /// threads than CPUs, one that met another and was not in luck at once runs again, and tells,
    /// much later.
    pub(crate) const LATE: u64 = 1 << 20;
    const MOST_IN_VAIN: u32 = 8;

    pub(crate) fn note(&mut self, span: Span, id: u64) -> bool {
        let since = id.wrapping_sub(self.last);
        self.streak = if since <= Self::SOON {
            self.streak + 1
        } else if since <= Self::LATE {
            self.streak.max(1)
        } else {
            1
        };
        self.spans[self.next as usize % Self::SPANS] = span;
        self.next = self.next.wrapping_add(1);
        self.last = id;
        if self.highest.is_none() {
            (self.highest, self.since) = (Some(span.first), Some(id));
        }
        self.heat = self.heat.saturating_add(1);
        let in_vain = (self.in_vain + self.undone).min(Self::MOST_IN_VAIN);
        self.streak >= models::meetings(Self::SPANS as u32) << in_vain
    }

    /// Whether fewer than `requests` came since a cut was last considered and not made. Then those
    /// that were under way may still be: it cannot be told whether they move up.
    pub(crate) fn is_young(&self, requests: usize) -> bool {
        let came = self.since.map(|since| self.last.wrapping_sub(since) + 1);
        came.is_some_and(|came| came < u64::from(models::meetings(requests as u32)))
    }

    /// Where to cut, if that is of use. It is where one of the requests begins, so that records of
    /// any length are not cut in two.
    pub(crate) fn place_to_cut(&self, bounds: Bounds) -> Option<u64> {
        let rises = self.rises();
        let mut spans = self.spans;
        spans.sort_unstable_by_key(|span| span.first);
        let least = bounds.first.max(spans[0].first);
        let inside = |point: &u64| *point > least && *point <= bounds.last;
        let (before, behind) = spans.split_at(Self::SPANS / 2);
        let behind = behind.iter().map(|span| span.first).filter(inside);
        let before = before.iter().rev().map(|span| span.first).filter(inside);
        let crossed = |point: &u64| spans.iter().any(|span| span.first < *point && *point <= span.last);
        // As round as the roundest length: pages of several sizes begin there.
        let round = spans.iter().map(|span| (span.last - span.first).wrapping_add(1).trailing_zeros()).max();
        let roundness = |point: &u64| Some(point.trailing_zeros()).min(round);
        // Of points that are as good as each other the one nearest to the middle.
        let free = behind.clone().filter(|point| !crossed(point)).rev().max_by_key(roundness);
        free.or_else(|| behind.chain(before).next()).filter(|_| !rises)
    }

    fn highest_start(&self) -> Option<u64> {
        self.spans.iter().map(|span| span.first).max()
    }

    /// Whether the requests move up, as those do that append to a file. Then a cut at where they
    /// were is in vain.
    fn rises(&self) -> bool {
        self.spans.iter().all(|span| Some(span.first) > self.highest)
    }

    /// Whether some of the requests are above all that were there when a cut was last considered.
    pub(crate) fn some_rise(&self) -> bool {
        self.spans.iter().any(|span| Some(span.first) > self.highest)
    }

    pub(crate) fn considered(&mut self, attempt: Attempt) {
        self.streak = 0;
        match attempt {
            Attempt::Cut => {
                (self.in_vain, self.since) = (0, None);
                self.undone = self.undone.saturating_sub(1);
            }
            Attempt::NotNow => return,
            Attempt::InVain => {
                self.in_vain = (self.in_vain + 1).min(Self::MOST_IN_VAIN);
                self.since = Some(self.last);
            }
        }
        self.highest = self.highest_start();
    }

    /// Makes a note that the leaf was cut in vain. It weighs as much as two cuts that last, so that
    /// a leaf which is cut and joined in turn is cut less and less often.
    pub(crate) fn undo(&mut self) {
        self.undone = (self.undone + 2).min(Self::MOST_IN_VAIN);
    }

    /// What the right half of a leaf remembers after a cut. Each half keeps half of the heat:
    /// neither is quiet because it is new.
    pub(crate) fn of_right_half(&mut self) -> Contention {
        self.heat /= 2;
        Contention { undone: self.undone, heat: self.heat, highest: self.highest_start(), ..Contention::NONE }
    }

    /// How many met here of late.
    pub(crate) fn heat(&self) -> u32 {
        self.heat
    }

    /// The same, and forgets half of it.
    pub(crate) fn cool(&mut self) -> u32 {
        let heat = self.heat;
        self.heat /= 2;
        heat
    }

    /// Takes over the heat of the leaf to the right.
    pub(crate) fn warm(&mut self, heat: u32) {
        self.heat = self.heat.saturating_add(heat);
    }

    /// Whether two neighbours of heat `pair` may become one leaf so that a leaf of heat `hot` can
    /// be cut. They must be far cooler, and `hot` be so much that this is no accident. Otherwise
    /// leaves that are all alike take room from each other without end.
    pub(crate) fn is_worth_an_exchange(hot: u32, pair: u32) -> bool {
        let times = models::meetings(8);
        pair.saturating_add(times).saturating_mul(times) <= hot
    }
}

/// How often requests have come by that cross this leaf and others, since its users last met.
#[derive(Debug)]
pub(crate) struct Crossings {
    /// The low bits of the leaf's last id when the last one came.
    last: u32,
    count: u16,
}

impl Crossings {
    pub(crate) const NONE: Crossings = Crossings { last: 0, count: 0 };
    /// From this many on the leaf is taken to be quiet.
    pub(crate) const QUIET: u16 = 64;

    pub(crate) fn note(&mut self, id: u64) -> bool {
        self.last = id as u32;
        self.count = self.count.saturating_add(1);
        self.are_quiet()
    }

    pub(crate) fn are_quiet(&self) -> bool {
        self.count >= models::crossings(Self::QUIET)
    }

    /// Whether no other request has entered since the last one that crossed.
    pub(crate) fn is_last(&self, id: u64) -> bool {
        self.count != 0 && (id as u32).wrapping_sub(self.last) <= 1
    }
}
