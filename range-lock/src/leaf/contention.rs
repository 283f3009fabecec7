//! What a leaf remembers of how its users got on: whether it is worth a cut, or should be joined to its neighbour. See "When to cut
//! and to join" in the [partition](crate::partition).

use super::models;
use crate::bounds::Bounds;

/// Where the users of a leaf met on its mutex: when that was, and where the last few requests began.
#[derive(Debug, Default)]
pub(crate) struct Contention {
    points: [u64; Contention::POINTS],
    /// How many meetings there were, each soon after the one before, or followed by more such before long.
    streak: u32,
    /// Where the next point goes.
    next: u32,
    last: u64,
    /// How often the leaf could not be cut: each time makes it wait for twice as many meetings.
    in_vain: u32,
    /// How often requests that cross the leaf had it joined again after a cut: each time makes it wait
    /// for twice as many meetings, until cuts last.
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
    /// Another thread changes the partition at the moment.
    Busy,
    /// No cut helps, or there is no leaf for the right half.
    InVain,
}

impl Contention {
    /// From how many meetings a cut is decided.
    const POINTS: usize = 8;
    /// How many requests may come between one meeting and the next for the second to make the streak longer.
    pub(crate) const SOON: u64 = 1024;
    /// And how many for it not to end the streak. As many as a time slice has: where there are more threads than CPUs, one that
    /// met another and was not in luck at once runs again, and tells, much later.
    pub(crate) const LATE: u64 = 1 << 20;
    const MOST_IN_VAIN: u32 = 8;

    pub(crate) fn note(&mut self, point: u64, id: u64) -> bool {
        let since = id.wrapping_sub(self.last);
        self.streak = if since <= Self::SOON {
            self.streak + 1
        } else if since <= Self::LATE {
            self.streak.max(1)
        } else {
            1
        };
        self.points[self.next as usize % Self::POINTS] = point;
        self.next = self.next.wrapping_add(1);
        self.last = id;
        self.heat = self.heat.saturating_add(1);
        let in_vain = (self.in_vain + self.undone).min(Self::MOST_IN_VAIN);
        self.streak >= models::meetings(Self::POINTS as u32) << in_vain
    }

    /// Where to cut: at the point at which half of the requests begin before, if they do not all begin at one.
    pub(crate) fn median(&self, bounds: Bounds) -> Option<u64> {
        let mut points = self.points;
        points.sort_unstable();
        let inside = |point: &&u64| **point > bounds.first.max(points[0]) && **point <= bounds.last;
        let (before, behind) = points.split_at(Self::POINTS / 2);
        behind.iter().find(inside).or_else(|| before.iter().rev().find(inside)).copied()
    }

    pub(crate) fn considered(&mut self, attempt: Attempt) {
        self.streak = 0;
        match attempt {
            Attempt::Cut => {
                self.in_vain = 0;
                self.undone = self.undone.saturating_sub(1);
            }
            // It says nothing about this leaf.
            Attempt::Busy => {}
            Attempt::InVain => self.in_vain = (self.in_vain + 1).min(Self::MOST_IN_VAIN),
        }
    }

    /// Makes a note that the leaf was cut in vain. It weighs as much as two cuts that last, so that a
    /// leaf which is cut and joined in turn is cut less and less often.
    pub(crate) fn undo(&mut self) {
        self.undone = (self.undone + 2).min(Self::MOST_IN_VAIN);
    }

    /// What the right half of a leaf remembers after a cut. Each half keeps half of the heat:
    /// neither is quiet because it is new.
    pub(crate) fn of_right_half(&mut self) -> Contention {
        self.heat /= 2;
        Contention { undone: self.undone, heat: self.heat, ..Contention::default() }
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
    /// With so many the leaf is taken to be quiet.
    pub(crate) const QUIET: u16 = 64;

    pub(crate) fn note(&mut self, id: u64) -> bool {
        self.last = id as u32;
        self.count = self.count.saturating_add(1);
        self.are_quiet()
    }

    pub(crate) fn are_quiet(&self) -> bool {
        self.count >= models::crossings(Self::QUIET)
    }

    /// Whether no request has entered since the last one that crossed, but for itself.
    pub(crate) fn is_last(&self, id: u64) -> bool {
        self.count != 0 && (id as u32).wrapping_sub(self.last) <= 1
    }
}
