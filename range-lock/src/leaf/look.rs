//! Looks into a leaf that change nothing: where the entry of a request is, and the entries that
//! overlap a span, or keep it out.

use super::entry::{Entry, Filed, Order, Slot, lane};
use super::{Leaf, SLOTS};
use crate::claim::{Claim, Hold};
use crate::ids::RequestId;
use crate::interval_tree::{Forest, Key};
use crate::mode::Mode;
use crate::span::Span;

impl Leaf {
    /// Whether a reader that overlaps `hold` certainly is held.
    pub(crate) fn is_read(&self, hold: &Hold) -> bool {
        let loose =
            || self.overlapping(1 << lane::LOOSE_READ, hold.span).filter(|entry| entry.mode == Mode::Read);
        self.held_reader(hold.span).is_some() || loose().any(|entry| entry.is_held())
    }

    /// A reader that overlaps `span` and is held, as far as lanes tell.
    pub(super) fn held_reader(&self, span: Span) -> Option<u32> {
        let in_tree = self.forest().and_then(|forest| forest.some_overlap(lane::HELD_READ, span));
        in_tree.map(|index| index + SLOTS as u32).or_else(|| self.in_slot(span, |mode| mode == Mode::Read))
    }

    /// The entry of `hold`.
    pub(crate) fn entry(&self, hold: &Hold) -> Entry<'_> {
        self.entry_at(self.find(hold))
    }

    /// Where the entry of `hold` is: where it was put, unless it has been moved since.
    pub(super) fn find(&self, hold: &Hold) -> u32 {
        let place = hold.key.slot();
        let is_there = match place.checked_sub(SLOTS as u32) {
            None => self.is_in_slot(place as usize, hold.span.first, hold.key.id),
            Some(index) => self.is_filed_at(index, hold),
        };
        if is_there {
            return place;
        }
        self.find_place(hold.span.first, hold.key.id).expect("a request has an entry until it is released")
    }

    #[inline]
    pub(super) fn is_in_slot(&self, slot: usize, first: u64, id: RequestId) -> bool {
        let Slot { span, tag, .. } = &self.slots[slot];
        self.occupied & (1 << slot) != 0 && tag.is_some_and(|tag| tag.id() == id.get()) && span.first == first
    }

    pub(super) fn is_filed_at(&self, index: u32, hold: &Hold) -> bool {
        let entry = self.forest().and_then(|forest| forest.get(index));
        entry.is_some_and(|(key, _)| key.id == hold.key.id.get() && key.span == hold.span)
    }

    /// The slot of the entry of request `id` that begins at `first`, if it is in one.
    #[inline]
    pub(super) fn find_slot(&self, first: u64, id: RequestId) -> Option<usize> {
        (0..SLOTS).find(|slot| self.is_in_slot(*slot, first, id))
    }

    /// Where the entry of request `id` is that begins at `first`.
    pub(super) fn find_place(&self, first: u64, id: RequestId) -> Option<u32> {
        if let Some(slot) = self.find_slot(first, id) {
            return Some(slot as u32);
        }
        let forest = self.forest()?;
        let index = lane::each(forest.occupied()).find_map(|lane| forest.find(lane, first, id.get()));
        Some(index? + SLOTS as u32)
    }

    /// The index in the forest of the entry at `place`. `None` if it is in a slot.
    pub(super) fn filed_index(&self, place: u32) -> Option<u32> {
        place.checked_sub(SLOTS as u32)
    }

    pub(super) fn filed(&self, index: u32) -> (Key, &Filed) {
        self.forest().and_then(|forest| forest.get(index)).expect("places are those of entries")
    }

    pub(super) fn entry_at(&self, place: u32) -> Entry<'_> {
        match self.filed_index(place) {
            None => self.slot_entry(place as usize),
            Some(index) => self.filed_entry(index),
        }
    }

    fn filed_entry(&self, index: u32) -> Entry<'_> {
        let (key, filed) = self.filed(index);
        filed.entry(key)
    }

    pub(super) fn slot_entry(&self, slot: usize) -> Entry<'_> {
        let slot = &self.slots[slot];
        let tag = slot.tag.expect("an occupied slot has a tag");
        Entry {
            span: slot.span,
            id: RequestId::new(tag.id()),
            mode: tag.mode(),
            queued: None,
            #[cfg(feature = "deadlock_detection")]
            owner: slot.owner,
        }
    }

    /// The entries in the slots and in these lanes that overlap `span`, and those that stand behind
    /// them.
    pub(super) fn overlapping(&self, lanes: u8, span: Span) -> impl Iterator<Item = Entry<'_>> {
        self.heads_over(lanes, span).chain(self.twins_over(lanes, span))
    }

    /// The same without those that stand behind others.
    fn heads_over(&self, lanes: u8, span: Span) -> impl Iterator<Item = Entry<'_>> {
        self.in_slots(span).chain(self.indices_over(lanes, span).map(|index| self.filed_entry(index)))
    }

    /// The entries in the slots that overlap `span`.
    pub(super) fn in_slots(&self, span: Span) -> impl Iterator<Item = Entry<'_>> {
        let slots = (0..SLOTS).filter(|slot| self.occupied & (1 << slot) != 0);
        slots.map(|slot| self.slot_entry(slot)).filter(move |entry| entry.span.overlaps(span))
    }

    /// The entries that overlap `span` and stand behind one in these lanes.
    fn twins_over(&self, lanes: u8, span: Span) -> impl Iterator<Item = Entry<'_>> {
        self.heads_of_twins(lanes, span).flat_map(|head| self.filed_before(head, u64::MAX).skip(1))
    }

    /// The indices of the entries in these lanes that overlap `span` and may have others behind
    /// them: none while no entry stands behind another.
    pub(super) fn heads_of_twins(&self, lanes: u8, span: Span) -> impl Iterator<Item = u32> + '_ {
        let lanes = if self.forest().is_some_and(Forest::has_apart) { lanes & lane::WRITERS } else { 0 };
        self.indices_over(lanes, span)
    }

    /// The indices of the entries in these lanes that overlap `span`, lane by lane.
    pub(super) fn indices_over(&self, lanes: u8, span: Span) -> impl Iterator<Item = u32> + '_ {
        self.forest().into_iter().flat_map(move |forest| {
            lane::each(lanes & forest.occupied()).flat_map(move |lane| forest.overlapping(lane, span))
        })
    }

    /// The entry at `index`, and those that stand behind it and before `rank`.
    fn filed_before(&self, index: u32, rank: u64) -> impl Iterator<Item = Entry<'_>> {
        self.with_those_behind(index, rank).map(|index| self.filed_entry(index))
    }

    /// Whether `f` is true of all entries that conflict with a new request: each pair in the one
    /// leaf in which the overlap begins. Stops when `f` returns false. The entries in slots come
    /// first, then lane by lane each entry with those that stand behind it.
    pub(crate) fn all_in_the_way(&self, claim: Claim, mut f: impl FnMut(Entry<'_>) -> bool) -> bool {
        let Claim { span, mode } = claim;
        let mut is_apart_or_so = |entry: Entry<'_>| {
            let is_pair =
                entry.mode.conflicts(mode) && self.bounds.contains(entry.span.first.max(span.first));
            !is_pair || f(entry)
        };
        let lanes = lane::ahead_of(mode) | lane::queued_before(mode);
        self.in_slots(span).all(&mut is_apart_or_so)
            && self
                .indices_over(lanes, span)
                .all(|head| self.filed_before(head, u64::MAX).all(&mut is_apart_or_so))
    }

    /// The entries that overlap `span`.
    pub(crate) fn entries_over(&self, span: Span) -> impl Iterator<Item = Entry<'_>> {
        self.overlapping(u8::MAX, span)
    }

    /// Of each lane, with those that stand behind others, the first `n` entries that begin here,
    /// and all that do in the slots.
    pub(crate) fn first_entries(&self, n: usize) -> impl Iterator<Item = Entry<'_>> {
        let begins_here = |entry: &Entry<'_>| self.bounds.contains(entry.span.first);
        let lanes = (0..lane::COUNT).flat_map(move |lane| {
            let heads = self.indices_over(1 << lane, Span::WHOLE);
            heads.flat_map(|head| self.filed_before(head, u64::MAX)).filter(begins_here).take(n)
        });
        self.in_slots(Span::WHOLE).filter(begins_here).chain(lanes)
    }

    /// How many entries begin here.
    pub(crate) fn entries_begun(&self) -> usize {
        // Those that come from the left overlap the point before, and are no twins. (All entries of
        // the leaf have a point in it.)
        let from_the_left = self.bounds.first.checked_sub(1).map_or(0, |before| {
            let at = Span { first: before, last: before };
            self.heads_over(u8::MAX, at).count()
        });
        let in_slots = (self.occupied & Self::IN_SLOTS).count_ones();
        (in_slots + self.forest().map_or(0, Forest::len)) as usize - from_the_left
    }

    /// The entries that keep out one with this span, mode and order: each pair in the one leaf in
    /// which the overlap begins.
    pub(crate) fn before(&self, span: Span, mode: Mode, order: Order) -> impl Iterator<Item = Entry<'_>> {
        let rank = order.rank();
        let filed = self.forest().into_iter().flat_map(move |forest| {
            let ahead = lane::each(lane::ahead_of(mode)).flat_map(move |lane| forest.overlapping(lane, span));
            let queued = lane::each(lane::queued_before(mode) & forest.occupied())
                .flat_map(move |lane| forest.overlapping_before(lane, span, rank));
            ahead.chain(queued)
        });
        self.in_slots(span).chain(filed.flat_map(move |index| self.filed_before(index, rank))).filter(
            move |entry| entry.mode.conflicts(mode) && self.bounds.contains(entry.span.first.max(span.first)),
        )
    }

    /// Whether a request that is held overlaps `span`.
    pub(crate) fn is_locked(&self, span: Span) -> bool {
        // What is queued is not held.
        let lanes = (1 << lane::QUEUED) - 1;
        self.heads_over(lanes, span).any(|entry| entry.is_held())
    }

    /// Whether more than a few entries lie on both sides of `mid`: a cut there would copy them all.
    pub(crate) fn is_crossed(&self, mid: u64) -> bool {
        const MOST: usize = 64;
        let at = Span { first: mid, last: mid };
        self.entries_over(at).filter(|entry| entry.span.first < mid).nth(MOST).is_some()
    }
}
