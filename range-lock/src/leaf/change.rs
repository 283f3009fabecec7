//! Changes of a request that is in the leaf: a weaker mode, a smaller span, a split, an upgrade,
//! and being passed by another request. What the change no longer keeps out is looked at again. See
//! "Which entries keep an entry out" in the [parent](super).

use super::entry::{Entry, Filed, Queued, Tag, lane};
use super::{Held, Leaf, SLOTS};
use crate::claim::{Claim, Hold};
use crate::ids::RequestId;
use crate::interval_tree::Key;
use crate::mode::Mode;
use crate::span::Span;
use crate::waiter::WakeList;

impl Leaf {
    /// Gives a held request a weaker mode.
    pub(crate) fn downgrade(&mut self, hold: &Hold, to: Mode, wakes: &mut WakeList) {
        let place = self.find(hold);
        self.line_up(place);
        self.set_mode(place, to);
        self.let_go(place, wakes);
        self.note_change(hold, &[(hold.key.id, hold.span, to)], wakes);
    }

    /// Leaves a held request only `span` of what it has. Returns where its entry is, if it still
    /// has one here.
    pub(crate) fn shrink(&mut self, hold: &Hold, span: Span, wakes: &mut WakeList) -> Option<u32> {
        debug_assert!(hold.span.covers(span));
        if !self.bounds.meet(span) {
            self.take_out(hold, wakes);
            return None;
        }
        let place = self.find(hold);
        self.line_up(place);
        self.forget_wait(place);
        self.set_span(place, span, hold.key.id);
        self.let_go(place, wakes);
        self.note_change(hold, &[(hold.key.id, span, self.entry_at(place).mode)], wakes);
        Some(place)
    }

    /// Makes two held requests of one, the second, called `id`, from `mid` on. Returns where the
    /// entries of the two are, as far as they have one here.
    ///
    /// What was registered with the request overlaps one of the halves, and is registered with
    /// that: no count changes.
    pub(crate) fn split(&mut self, hold: &Hold, mid: u64, id: RequestId) -> [Option<u32>; 2] {
        let Span { first, last } = hold.span;
        debug_assert!(first < mid && mid <= last);
        let (left, right) = (Span { first, last: mid - 1 }, Span { first: mid, last });
        let place = self.find(hold);
        self.line_up(place);
        self.forget_wait(place);
        let mode = self.entry_at(place).mode;
        // No waiter is woken: what overlapped the request in this leaf overlaps one of the halves
        // here.
        self.note_change(hold, &[(hold.key.id, left, mode), (id, right, mode)], &mut WakeList::default());
        if !self.bounds.meet(left) {
            self.set_span(place, right, id);
            return [None, Some(place)];
        }
        self.set_span(place, left, hold.key.id);
        if !self.bounds.meet(right) {
            return [Some(place), None];
        }
        let held = self.held_at(place);
        let other = self.insert_held(right, id.get(), held);
        self.for_each_kept(place, |leaf, index| {
            let (key, _) = leaf.filed(index);
            if !key.span.overlaps(left) {
                leaf.unregister(index);
                leaf.register(index, other);
            }
        });
        [Some(place), Some(other)]
    }

    /// Gives a held request the mode `Write`, before all that waits. Readers that wait, and that
    /// nothing here keeps out, are kept out by it from now on.
    ///
    /// To be called in all leaves of the request. Returns whether readers are held here.
    pub(crate) fn make_writer(&mut self, hold: &Hold) -> bool {
        let place = self.find(hold);
        self.settle(place);
        self.set_mode(place, Mode::Write);
        while let Some(index) =
            self.forest().and_then(|forest| forest.first_overlap(lane::LOOSE_READ, hold.span))
        {
            let (_, filed) = self.filed(index);
            // One look: a reader that waits in another leaf too can be granted there at any moment,
            // and must not be taken for waiting by one look and for held by the next.
            let waits = filed.queued.as_ref().is_some_and(|queued| queued.waiter.raise());
            if waits {
                self.rest().forest.move_to(index, lane::queued(Mode::Read));
                self.register(index, place);
            } else {
                self.rest().forest.move_to(index, lane::HELD_READ);
            }
        }
        self.held_reader(hold.span).is_some()
    }

    /// Lets the upgrade of `hold`, which is a writer by now, wait for the readers that are held.
    pub(crate) fn await_upgrade(&mut self, hold: &Hold, queued: Queued) {
        let place = self.find(hold);
        let index = self.file_held(place);
        let reader = self.held_reader(hold.span);
        if reader.is_some() {
            queued.waiter.keep_out();
        }
        self.rest().forest.value_mut(index).queued = Some(queued);
        if let Some(reader) = reader {
            self.register(index, reader);
        }
    }

    /// Takes an upgrade that waits back.
    pub(crate) fn cancel_upgrade(&mut self, hold: &Hold, wakes: &mut WakeList) {
        let place = self.find(hold);
        if let Some(index) = self.filed_index(place) {
            self.unregister(index);
        }
        self.settle(place);
        self.downgrade(hold, Mode::Upgradable, wakes);
    }

    /// Puts behind request `id`, which has just been granted, those that it has passed: they wait,
    /// and so far nothing here kept them out.
    pub(crate) fn put_behind(&mut self, id: RequestId, claim: Claim) {
        let Claim { span, mode } = claim;
        let place = self.find_place(span.first, id).expect("it has just been entered");
        let lanes = lane::ahead_of(mode);
        let passed = |leaf: &Leaf| {
            let forest = leaf.forest()?;
            let mut ahead =
                lane::each(lanes & forest.occupied()).flat_map(|lane| forest.overlapping(lane, span));
            ahead.find(|&index| leaf.filed(index).0.id != id.get())
        };
        while let Some(index) = passed(self) {
            let (_, filed) = self.filed(index);
            let mode = filed.mode;
            filed.queued.as_ref().expect("only what waits is passed").waiter.keep_out();
            self.rest().forest.move_to(index, lane::queued(mode));
            self.register(index, place);
        }
    }

    /// Forgets that a request which does not wait any more had to, and keeps its record for the
    /// next.
    fn settle(&mut self, place: u32) {
        if let Some(index) = self.filed_index(place) {
            self.rest().settle(index);
        }
    }

    /// Forgets that a request which is held has waited, before some of its entries go: one of them
    /// keeps the record.
    fn forget_wait(&mut self, place: u32) {
        self.settle(place);
        self.set_mode(place, self.entry_at(place).mode);
    }

    /// Gives an entry that is held another mode.
    fn set_mode(&mut self, place: u32, mode: Mode) {
        match self.filed_index(place) {
            None => {
                let tag = &mut self.slots[place as usize].tag;
                *tag = tag.map(|tag| Tag::new(RequestId::new(tag.id()), mode));
            }
            Some(index) => {
                let forest = &mut self.rest().forest;
                forest.value_mut(index).mode = mode;
                forest.move_to(index, lane::ahead(mode, true));
            }
        }
    }

    /// Gives an entry another span, and another request's id.
    fn set_span(&mut self, place: u32, span: Span, id: RequestId) {
        match self.filed_index(place) {
            None => {
                let slot = &mut self.slots[place as usize];
                slot.span = span;
                slot.tag = slot.tag.map(|tag| Tag::new(id, tag.mode()));
            }
            Some(index) => self.rest().forest.change(index, span, id.get()),
        }
    }

    /// Moves a held entry out of its slot, if it is in one, with those that are registered with it.
    fn file_held(&mut self, place: u32) -> u32 {
        if let Some(index) = self.filed_index(place) {
            return index;
        }
        let Entry { span, id, mode, .. } = self.slot_entry(place as usize);
        let held = self.held_at(place);
        let filed = Filed::new(
            held.mode,
            None,
            #[cfg(feature = "deadlock_detection")]
            held.owner,
        );
        let to = self.file(lane::ahead(mode, true), Key { span, id: id.get(), rank: 0 }, || filed);
        self.for_each_kept(place, |leaf, index| {
            leaf.unregister(index);
            leaf.register(index, to);
        });
        self.remove(place);
        to - SLOTS as u32
    }

    /// What another entry of the same held request has in common with this one.
    pub(super) fn held_at(&self, place: u32) -> Held {
        let entry = self.entry_at(place);
        Held {
            mode: entry.mode,
            #[cfg(feature = "deadlock_detection")]
            owner: entry.owner,
        }
    }
}
