//! Registrations: finding an entry that keeps another out, the lists of registered entries, and the
//! second look. See "Which entries keep an entry out" in the [parent](super).

use super::entry::{Entry, Filed, Slot, lane};
use super::{Leaf, SLOTS};
use crate::interval_tree::NIL;
use crate::mode::Mode;
use crate::span::Span;
use crate::waiter::{Lowered, WakeList};

impl Leaf {
    /// An entry that keeps out one with this span, mode and rank.
    pub(super) fn find_keeper(&self, span: Span, mode: Mode, rank: u64) -> Option<u32> {
        self.find_in_trees(span, mode, rank).map(|found| self.last_behind(found, rank))
    }

    /// The same, of those that do not stand behind another: if one that does keeps the entry out,
    /// so does the one at its head.
    pub(super) fn find_in_trees(&self, span: Span, mode: Mode, rank: u64) -> Option<u32> {
        if let Some(forest) = self.forest().filter(|_| self.is_in_tree()) {
            let queued = lane::each(lane::queued_before(mode) & forest.occupied())
                .filter_map(|lane| forest.latest_before(lane, span, rank))
                .max_by_key(|&index| self.filed(index).0.rank);
            let ahead = || {
                lane::each(lane::ahead_of(mode) & forest.occupied())
                    .find_map(|lane| forest.some_overlap(lane, span))
            };
            if let Some(index) = queued.or_else(ahead) {
                return Some(index + SLOTS as u32);
            }
        }
        self.in_slot(span, |other| other.conflicts(mode))
    }

    /// An entry that keeps out the one at `index`.
    pub(super) fn find_keeper_of(&self, index: u32) -> Option<u32> {
        let (key, filed) = self.filed(index);
        if filed.is_upgrade() {
            return self.held_reader(key.span);
        }
        self.find_keeper(key.span, filed.mode, key.rank)
    }

    /// A slot whose entry overlaps `span` in a mode for which `mode` is true.
    pub(super) fn in_slot(&self, span: Span, mode: impl Fn(Mode) -> bool) -> Option<u32> {
        let is_in = |slot: &usize| {
            let Slot { span: other, tag, .. } = &self.slots[*slot];
            self.occupied & (1 << slot) != 0
                && other.overlaps(span)
                && tag.is_some_and(|tag| mode(tag.mode()))
        };
        (0..SLOTS).find(is_in).map(|slot| slot as u32)
    }

    /// The head of the list of those that are registered with the entry at `place`. `None` if there
    /// cannot be any.
    pub(super) fn head(&mut self, place: u32) -> Option<&mut u32> {
        let rest = self.rest.as_mut()?;
        Some(match place.checked_sub(SLOTS as u32) {
            None => &mut rest.kept[place as usize],
            Some(index) => &mut rest.forest.value_mut(index).kept,
        })
    }

    /// Registers an entry that is registered nowhere, as the last in its keeper's list.
    pub(super) fn register(&mut self, index: u32, keeper: u32) {
        let head = self.head(keeper).expect("what is registered lies behind the pointer");
        let first = if *head == NIL { index } else { *head };
        *head = first;
        self.registered += 1;
        let waits = self.filed_index(keeper).filter(|&keeper| self.is_queued(keeper));
        let distance = waits.map_or(1, |keeper| self.filed(keeper).1.distance.saturating_add(1));
        // The keeper may have come nearer to its turn since it was told.
        let most = u16::try_from(self.rest().forest.len()).unwrap_or(u16::MAX);
        self.set_distance(index, distance.min(most));
        let forest = &mut self.rest().forest;
        let last = std::mem::replace(&mut forest.value_mut(first).before, index);
        if first != index {
            forest.value_mut(last).next = index;
        }
        let filed = forest.value_mut(index);
        (filed.keeper, filed.next) = (keeper, NIL);
        filed.before = if first == index { index } else { last };
    }

    pub(super) fn is_queued(&self, index: u32) -> bool {
        self.forest().is_some_and(|forest| forest.tree_of(index) >= lane::QUEUED)
    }

    fn set_distance(&mut self, index: u32, distance: u16) {
        let filed = self.rest().forest.value_mut(index);
        filed.distance = distance;
        if let Some(queued) = &filed.queued {
            queued.waiter.set_distance(distance.into());
        }
    }

    /// Takes an entry out of its keeper's list, if it is in one.
    pub(super) fn unregister(&mut self, index: u32) {
        let Filed { keeper, next, before, .. } = *self.filed(index).1;
        if keeper == NIL {
            return;
        }
        let head = self.head(keeper).expect("what is registered lies behind the pointer");
        let first = *head;
        if first == index {
            *head = next;
        }
        self.registered -= 1;
        let forest = &mut self.rest().forest;
        if first != index {
            forest.value_mut(before).next = next;
        }
        if next != NIL {
            forest.value_mut(next).before = before;
        } else if first != index {
            forest.value_mut(first).before = before;
        }
        forest.value_mut(index).keeper = NIL;
    }

    /// Calls `f` for each entry that is registered with the one at `place`, and may register it
    /// with another.
    pub(super) fn for_each_kept(&mut self, place: u32, mut f: impl FnMut(&mut Leaf, u32)) {
        let mut next = self.head(place).map_or(NIL, |first| *first);
        while next != NIL {
            let index = next;
            next = self.filed(index).1.next;
            f(self, index);
        }
    }

    /// Looks again at those that are registered with the entry at `place`, and that it, as it is
    /// now, does not keep out.
    pub(super) fn let_go(&mut self, place: u32, wakes: &mut WakeList) {
        if self.registered == 0 {
            return;
        }
        let Entry { span, mode, .. } = self.entry_at(place);
        self.for_each_kept(place, |leaf, index| {
            let (key, filed) = leaf.filed(index);
            if !key.span.overlaps(span) || !filed.mode.conflicts(mode) {
                leaf.unregister(index);
                leaf.register_or_let_in(index, wakes);
            }
        });
    }

    /// Looks again at those of a list whose keeper has gone: `first` and what follows.
    pub(super) fn look_again(&mut self, first: u32, wakes: &mut WakeList) {
        let mut next = first;
        while next != NIL {
            let index = next;
            let filed = self.rest().forest.value_mut(index);
            (next, filed.keeper) = (filed.next, NIL);
            self.registered -= 1;
            self.register_or_let_in(index, wakes);
        }
    }

    /// Registers an entry anew. If nothing here keeps it out any more, lowers its count instead.
    pub(super) fn register_or_let_in(&mut self, index: u32, wakes: &mut WakeList) {
        #[cfg(all(test, not(any(loom, shuttle))))]
        super::tests::LOOKS.set(super::tests::LOOKS.get() + 1);
        if let Some(keeper) = self.find_keeper_of(index) {
            if self.stands_behind(index) {
                let lane = lane::queued(self.filed(index).1.mode);
                self.rest().forest.move_to(index, lane);
            }
            return self.register(index, keeper);
        }
        let (_, filed) = self.filed(index);
        let queued = filed.queued.as_ref().expect("what is registered waits");
        let next = filed.kept;
        match queued.waiter.lower() {
            Lowered::ToBeWoken => wakes.push(&queued.waiter),
            Lowered::Done => {}
        }
        if next != NIL {
            self.set_distance(next, 1); // The one behind it is next.
        }
        self.put_ahead(index);
    }

    /// Moves an entry that nothing here keeps out to where it belongs.
    pub(super) fn put_ahead(&mut self, index: u32) {
        let (_, filed) = self.filed(index);
        // An upgrade is there.
        if !filed.is_upgrade() {
            // The record, which the waiter looks at all the time, is asked where that matters.
            let is_held = || filed.queued.as_ref().is_none_or(|queued| queued.waiter.is_granted());
            let lane = lane::ahead(filed.mode, filed.mode != Mode::Read || is_held());
            self.rest().forest.move_to(index, lane);
        }
    }
}
