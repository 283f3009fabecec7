//! Twins: writers of one span that wait for each other, as those of a hot block do. Each of them
//! but the first stands *behind* the one before it, in no tree.
//!
//! An entry stands behind its keeper if both are writers of the same span, all of which lies in
//! this leaf, and it is the first that is registered with the keeper. The first of such twins is in
//! a tree. It is the *head*, and knows the last one, its *tail*.
//!
//! The twins behind a head need not be found by a search for what keeps an entry out. What one of
//! them keeps out overlaps the head too, conflicts with it, and comes after it. So the search finds
//! the head at least, and takes the tail instead where that is earlier than the entry.
//!
//! When a head leaves, the next twin is the head. So, however many wait for a hot block, no search
//! visits a node and no large tree changes, and a hand-over writes few cache lines that other CPUs
//! have. What else concerns those behind (one of them gives up, the head changes its span or its
//! mode, the leaf is cut or joined) first puts them into the tree, where they stay. So each twin is
//! put into a tree once at most.

use super::entry::{Filed, lane};
use super::{Leaf, SLOTS};
use crate::interval_tree::{Key, NIL};
use crate::mode::Mode;
use crate::span::Span;

impl Leaf {
    /// Whether an entry is in no tree.
    pub(super) fn stands_behind(&self, index: u32) -> bool {
        self.forest().is_some_and(|forest| forest.tree_of(index) == lane::BEHIND)
    }

    /// The last of those that stand behind the entry at `place`, if it is before `rank`. Otherwise
    /// `place`. It is not where the search for what keeps an entry out was cut short.
    pub(super) fn last_behind(&self, place: u32, rank: u64) -> u32 {
        let tail = self.filed_index(place).map_or(NIL, |index| self.filed(index).1.tail);
        if tail != NIL && self.filed(tail).0.rank < rank { tail + SLOTS as u32 } else { place }
    }

    /// Whether a new entry that `keeper` keeps out may stand behind it.
    pub(super) fn takes_twin(&self, keeper: u32, key: Key, mode: Mode) -> bool {
        let Some(index) = self.filed_index(keeper) else { return false };
        let (before, filed) = self.filed(index);
        let are_twins = before.span == key.span && filed.mode == Mode::Write && mode == Mode::Write;
        are_twins && filed.kept == NIL && self.bounds.cover(key.span)
    }

    /// Enters a twin behind `keeper`, the last of those with this head. Returns where.
    pub(super) fn stand_behind(&mut self, head: u32, keeper: u32, key: Key, filed: Filed) -> u32 {
        let index = self.rest().forest.insert_apart(key, filed);
        self.register(index, keeper);
        let head = head - SLOTS as u32;
        self.rest().forest.value_mut(head).tail = index;
        index + SLOTS as u32
    }

    /// The entry at `index`, and those that stand behind it and before `rank`, in their order.
    pub(super) fn with_those_behind(&self, index: u32, rank: u64) -> impl Iterator<Item = u32> + '_ {
        let is_head = self.filed(index).1.tail != NIL;
        let is_before = move |index: &u32| self.filed(*index).0.rank < rank;
        let mut next = Some(index);
        std::iter::from_fn(move || {
            let index = next?;
            next = if is_head { self.behind(index).filter(is_before) } else { None };
            Some(index)
        })
    }

    /// The one that stands behind the entry at `index`.
    fn behind(&self, index: u32) -> Option<u32> {
        let first = self.filed(index).1.kept;
        (first != NIL && self.stands_behind(first)).then_some(first)
    }

    /// Before an entry leaves: makes a head of the one behind it. If it stands behind another
    /// itself, all of these are put into the tree.
    pub(super) fn leave_twins(&mut self, index: u32) {
        if self.stands_behind(index) {
            let mut head = index;
            while self.stands_behind(head) {
                head = self.filed(head).1.keeper - SLOTS as u32;
            }
            self.line_up(head + SLOTS as u32);
        } else if let Some(next) = self.behind(index) {
            // It is put into a tree when it is looked at again, as all that are registered here.
            let tail = self.filed(index).1.tail;
            self.rest().forest.value_mut(next).tail = if tail == next { NIL } else { tail };
        }
    }

    /// Puts those that stand behind the entry at `place` into the tree.
    pub(super) fn line_up(&mut self, place: u32) {
        let Some(head) = self.filed_index(place) else { return };
        if self.filed(head).1.tail == NIL {
            return;
        }
        self.rest().forest.value_mut(head).tail = NIL;
        let mut next = self.behind(head);
        while let Some(index) = next {
            next = self.behind(index);
            self.rest().forest.move_to(index, lane::queued(Mode::Write));
        }
    }

    /// The same for all entries that overlap `span`.
    pub(super) fn line_up_over(&mut self, span: Span) {
        let heads: Vec<_> = self.heads_of_twins(u8::MAX, span).collect();
        heads.into_iter().for_each(|head| self.line_up(head + SLOTS as u32));
    }
}
