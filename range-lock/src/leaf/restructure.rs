//! How a leaf gives half of its part to another leaf, and takes over the part of its neighbour.
//! Entries are copied or moved, and registered anew.

use super::entry::{Entry, Filed, lane};
use super::{Crossings, Leaf, SLOTS};
use crate::bounds::Bounds;
use crate::claim::LeafIndex;
use crate::ids::RequestId;
use crate::interval_tree::NIL;
use crate::span::Span;
use crate::waiter::Lowered;

/// An entry on its way to another leaf.
pub(super) struct Move {
    /// Its place in the one, and in the other.
    pub(super) from: u32,
    to: u32,
    pub(super) span: Span,
    id: u64,
    /// In the first leaf. [`NIL`] if it is registered nowhere.
    keeper: u32,
}

impl Move {
    /// The entry's request and first point.
    pub(super) fn entry(&self) -> (u64, u64) {
        (self.id, self.span.first)
    }

    /// Whether it has an entry on the left of `mid` too.
    fn stays(&self, mid: u64) -> bool {
        self.span.first < mid
    }
}

impl Leaf {
    /// Gives the part from `mid` on to `right`, a leaf that is not in use. Afterwards this leaf may
    /// have a surplus.
    ///
    /// An entry that is cut, and kept out here, is kept out in one half at least. So its count,
    /// which is raised if it is kept out in both, does not reach zero meanwhile.
    pub(crate) fn cut(&mut self, mid: u64, right: &mut Leaf) {
        let Bounds { first, last } = self.bounds;
        debug_assert!(first < mid && mid <= last);
        self.line_up_over(Span { first: mid, last: u64::MAX });
        self.bounds = Bounds { first, last: mid - 1 };
        right.bounds = Bounds { first: mid, last };
        right.next = self.next;
        right.crossings = Crossings::NONE;
        *right.contention() = self.contention().of_right_half();

        // Copies, or moves, the entries.
        let mut moves: Vec<Move> = self.places(Span { first: mid, last: u64::MAX });
        for moved in &mut moves {
            moved.to = match self.filed_index(moved.from).map(|index| (index, self.filed(index))) {
                Some((index, (key, filed))) if filed.queued.is_some() => {
                    let queued = filed
                        .queued
                        .as_ref()
                        .map(|queued| if moved.stays(mid) { queued.again() } else { queued.clone() });
                    let copy = Filed::new(
                        filed.mode,
                        queued,
                        #[cfg(feature = "deadlock_detection")]
                        filed.owner,
                    );
                    let lane = self.forest().map_or(0, |forest| forest.tree_of(index));
                    right.file(lane, key, || copy)
                }
                _ => right.insert_held(moved.span, moved.id, self.held_at(moved.from)),
            };
        }
        moves.sort_unstable_by_key(|moved| moved.from);
        let find = |place: u32| {
            let at = moves.binary_search_by_key(&place, |moved| moved.from).ok()?;
            Some(&moves[at])
        };
        // Takes out of their lists those that leave, and those whose keepers do.
        for moved in moves.iter().filter(|moved| moved.keeper != NIL) {
            let keeper_stays = find(moved.keeper).is_none_or(|keeper| keeper.stays(mid));
            if !moved.stays(mid) || !keeper_stays {
                self.unregister(moved.from - SLOTS as u32);
            }
        }
        moves.iter().filter(|moved| !moved.stays(mid)).for_each(|moved| self.discard(moved.from));
        // Registers those that were, in both halves.
        for moved in moves.iter().filter(|moved| moved.keeper != NIL) {
            let (here, there) = (moved.from - SLOTS as u32, moved.to - SLOTS as u32);
            let keeper = find(moved.keeper);
            let keeper_there = keeper.map(|keeper| keeper.to).or_else(|| right.find_keeper_of(there));
            match keeper_there {
                Some(keeper) => right.register(there, keeper),
                None => right.put_ahead(there),
            }
            if !moved.stays(mid) {
                continue;
            }
            if self.filed(here).1.keeper == NIL {
                match self.find_keeper_of(here) {
                    Some(keeper) => self.register(here, keeper),
                    None => self.put_ahead(here),
                }
            }
            let (_, filed) = self.filed(here);
            if let Some(queued) =
                filed.queued.as_ref().filter(|_| filed.keeper != NIL && keeper_there.is_some())
            {
                queued.waiter.keep_out();
            }
        }
        self.cut_watches(mid, &moves, right);
        self.note_surplus();
    }

    /// Takes over the part and the requests of `right`, the leaf to the right, which is not in use
    /// from now on.
    ///
    /// An entry that was kept out in both keeps one share of its count, so that does not reach
    /// zero.
    pub(crate) fn join(&mut self, right: &mut Leaf) {
        debug_assert_eq!(self.bounds.last.checked_add(1), Some(right.bounds.first));
        let border = right.bounds.first;
        right.line_up_over(Span::WHOLE);
        let mut moves: Vec<Move> = right.places(Span::WHOLE);
        for moved in &mut moves {
            if moved.span.first < border {
                // It is here already, and here keeps its record: of the leaves of a span the
                // leftmost does.
                let id = RequestId::new(moved.id);
                moved.to = self.find_place(moved.span.first, id).expect("it is in both leaves");
                if right.is_in_lane(moved.from, lane::HELD_READ)
                    && self.is_in_lane(moved.to, lane::LOOSE_READ)
                {
                    self.rest().forest.move_to(moved.to - SLOTS as u32, lane::HELD_READ);
                }
                continue;
            }
            let held = right.held_at(moved.from);
            moved.to = match right.filed_index(moved.from) {
                Some(index) if right.filed(index).1.queued.is_some() => {
                    let forest = &mut right.rest().forest;
                    let lane = forest.tree_of(index);
                    let queued = forest.value_mut(index).queued.take();
                    let (key, filed) = right.filed(index);
                    let copy = Filed::new(
                        filed.mode,
                        queued,
                        #[cfg(feature = "deadlock_detection")]
                        filed.owner,
                    );
                    self.file(lane, key, || copy)
                }
                _ => self.insert_held(moved.span, moved.id, held),
            };
        }
        moves.sort_unstable_by_key(|moved| moved.from);
        for moved in moves.iter().filter(|moved| moved.keeper != NIL) {
            let at = moves.binary_search_by_key(&moved.keeper, |moved| moved.from);
            let keeper = moves[at.expect("a keeper is in the same leaf")].to;
            let index = moved.to - SLOTS as u32;
            let (_, filed) = self.filed(index);
            let queued = filed.queued.as_ref().expect("what is registered waits");
            if filed.keeper != NIL {
                let lowered = queued.waiter.lower();
                debug_assert!(lowered == Lowered::Done, "it is kept out here");
                continue;
            }
            if !filed.is_upgrade() {
                let lane = lane::queued(filed.mode);
                self.rest().forest.move_to(index, lane);
            }
            self.register(index, keeper);
        }
        self.join_watches(right);
        self.bounds.last = right.bounds.last;
        self.next = right.next;
        (right.bounds, right.next) = (Bounds::NOTHING, LeafIndex::NONE);
        right.give_up();
        #[cfg(feature = "stats")]
        self.counters.take(&mut right.counters);
    }

    /// Forgets all entries, which another leaf has from now on, and keeps no memory for others.
    fn give_up(&mut self) {
        (self.occupied, self.registered) = (0, 0);
        if let Some(rest) = &mut self.rest {
            rest.forest.drain().for_each(drop);
            drop(rest.forest.take_memory());
            rest.kept = [NIL; SLOTS];
            rest.spare = Vec::new();
        }
    }

    fn is_in_lane(&self, place: u32, lane: usize) -> bool {
        let index = self.filed_index(place);
        index.zip(self.forest()).is_some_and(|(index, forest)| forest.tree_of(index) == lane)
    }

    /// Takes out an entry that another leaf has from now on: without its record.
    fn discard(&mut self, place: u32) {
        if let Some(index) = self.filed_index(place) {
            drop(self.rest().forest.value_mut(index).queued.take());
        }
        self.remove(place);
    }

    /// Where the entries are that overlap `span`.
    pub(super) fn places(&self, span: Span) -> Vec<Move> {
        let slots = (0..SLOTS as u32).filter(|slot| self.occupied & (1 << slot) != 0);
        let filed = self.indices_over(u8::MAX, span);
        let filed = filed.flat_map(|index| self.with_those_behind(index, u64::MAX));
        let places = slots.chain(filed.map(|index| index + SLOTS as u32));
        let moves = places.map(|from| {
            let Entry { span, id, .. } = self.entry_at(from);
            let keeper = self.filed_index(from).map_or(NIL, |index| self.filed(index).1.keeper);
            Move { from, to: from, span, id: id.get(), keeper }
        });
        moves.filter(|moved| moved.span.overlaps(span)).collect()
    }
}
