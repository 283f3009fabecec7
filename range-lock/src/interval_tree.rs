//! An interval tree: a B-tree ordered by where spans begin, in which every node also knows, for each of its children, the
//! largest `last` below it.
//! It uses spans.
//!
//! That one extra number is what turns a search tree into an interval tree (Cormen et al., *Introduction to
//! Algorithms*, "Interval trees"; Linux' `include/linux/interval_tree_generic.h`): a subtree whose largest `last` lies
//! before the span asked for holds nothing that overlaps it and is never entered. Finding the first overlap takes
//! O(log n), each further one O(log n) at most.
//!
//! A B-tree rather than a binary one, since what a search costs in a large tree is the cache lines that it waits for: the
//! [`node`]s keep the ends of their spans side by side, and a search visits a node where a binary tree has four levels.
//!
//! Values lie apart, in slots that never move, each of which knows the node that its span is in. Slots and nodes name each
//! other by `u32` index, so the tree is plain safe code, and in the steady state it allocates nothing: what is given up goes to
//! a free list and is used again. A slot's index stays valid until its span is removed; the tree does no locking and no
//! waiting.
//!
//! What holds between any two calls (checked by `check_invariants` in the tests):
//!
//! * **order**: from left to right `first` does not decrease; a node's `firsts` lie between what is left of each child and
//!   what is in it;
//! * **augmentation**: a node's `lasts` are the largest `last` in each of its children;
//! * **fill**: all bottom nodes are equally far from the root; each node but the root has at least [`MIN`] items, and the
//!   root two if it has children, one if it has not;
//! * **links**: a child's `parent` is its parent, a span's slot knows its node, and what is not in the tree is on a free list,
//!   once;
//! * **room**: there is room for as many nodes as the slots could ever need.

mod node;

use std::cell::Cell;

use self::node::{Item, MIN, N, Node};
use crate::span::Span;

/// "Nothing": the parent of the root, the root of a tree without nodes, the end of a free list.
const NIL: u32 = u32::MAX;

/// A value, and where its span is.
#[derive(Debug)]
pub(crate) struct Slot<T> {
    span: Span,
    /// The node that has the span; `NIL` if it is alone. In a vacant slot: the next vacant one.
    node: u32,
    /// `None` in a vacant slot.
    value: Option<T>,
}

/// A multiset of spans, each with a value; see the [module](self).
#[derive(Debug)]
pub(crate) struct IntervalTree<T> {
    pub(crate) slots: Vec<Slot<T>>,
    vacant: u32,
    /// The only span there is, if it is in no node; else `NIL`.
    alone: u32,
    root: u32,
    pub(crate) nodes: Vec<Node>,
    vacant_nodes: u32,
    /// The node in which the last look for overlaps found none: who is entered next was most likely looked for just before. Only a
    /// hint, which may name any node or none; so a search of a shared tree may write it.
    hint: Cell<u32>,
}

impl<T> IntervalTree<T> {
    /// An empty tree; allocates nothing.
    pub(crate) const fn new() -> Self {
        IntervalTree {
            slots: Vec::new(),
            vacant: NIL,
            alone: NIL,
            root: NIL,
            nodes: Vec::new(),
            vacant_nodes: NIL,
            hint: Cell::new(NIL),
        }
    }

    /// Adds `span`, behind those that begin at the same point, and returns the index by which it is known from now on.
    #[inline]
    pub(crate) fn insert(&mut self, span: Span, value: T) -> u32 {
        let index = self.occupy(span, value);
        if self.is_empty() {
            self.alone = index; // The usual case: nobody else is in.
        } else {
            self.insert_among(span, index);
        }
        index
    }

    /// Takes the span known as `index` out and drops its value.
    ///
    /// # Panics
    ///
    /// If there is no such span.
    #[inline]
    pub(crate) fn remove(&mut self, index: u32) {
        let slot = &self.slots[index as usize];
        assert!(slot.value.is_some(), "only what is in the tree is taken out");
        if self.alone == index {
            self.alone = NIL; // The usual case: nobody else is in.
        } else {
            let (node, last) = (slot.node, slot.span.last);
            let position = self.node(node).position(index);
            self.take_out(node, position, last);
        }
        let slot = &mut self.slots[index as usize];
        slot.node = self.vacant;
        slot.value = None; // Dropped in place: moving it out costs as much as all the rest.
        self.vacant = index;
    }

    /// Whether there is no span in the tree.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.alone == NIL && self.root == NIL
    }

    /// The span known as `index`, if there is one, and its value.
    pub(crate) fn get(&self, index: u32) -> Option<(Span, &T)> {
        let slot = self.slots.get(index as usize)?;
        Some((slot.span, slot.value.as_ref()?))
    }

    /// The value of the span known as `index`, if there is one.
    pub(crate) fn get_mut(&mut self, index: u32) -> Option<&mut T> {
        self.slots.get_mut(index as usize)?.value.as_mut()
    }

    /// All that overlap `span`, in the order in which they begin, with index and value.
    #[inline]
    pub(crate) fn overlapping(&self, span: Span) -> Overlapping<'_, T> {
        let at = if self.is_empty() { Cursor::END } else { self.first_overlap(span) };
        Overlapping { tree: self, span, at }
    }

    /// The first span, in order, that overlaps `span`.
    fn first_overlap(&self, span: Span) -> Cursor {
        match self.slots.get(self.alone as usize) {
            Some(alone) if alone.span.overlaps(span) => Cursor::ALONE,
            Some(_) => Cursor::END,
            None => self.first_overlap_below(self.root, span),
        }
    }

    /// The first span below `at` that overlaps `span`. At its end if none does, or if all that comes after begins too late.
    fn first_overlap_below(&self, mut at: u32, span: Span) -> Cursor {
        loop {
            let node = self.node(at);
            // The first item that ends late enough. Should it begin too late, then so does all that follows.
            let position = node.that_reaches(0, span.first);
            if position == node.len() || node.firsts[position] > span.last {
                self.hint.set(at);
                return Cursor::END;
            }
            if node.is_bottom() {
                return Cursor { node: at, position: position as u32 };
            }
            at = node.links[position];
        }
    }

    /// The span after `at`, in order, that overlaps `span`.
    fn next_overlap(&self, mut at: Cursor, span: Span) -> Cursor {
        if at == Cursor::ALONE {
            return Cursor::END;
        }
        loop {
            let node = self.node(at.node);
            let next = node.that_reaches(at.position as usize + 1, span.first);
            if next < node.len() {
                return match node.firsts[next] <= span.last {
                    false => Cursor::END,
                    true if node.is_bottom() => Cursor { node: at.node, position: next as u32 },
                    true => self.first_overlap_below(node.links[next], span),
                };
            }
            if node.parent == NIL {
                return Cursor::END;
            }
            let position = self.node(node.parent).position(at.node) as u32;
            at = Cursor { node: node.parent, position };
        }
    }

    /// Puts a span into a node that is not the first in the tree.
    fn insert_among(&mut self, span: Span, index: u32) {
        if self.root == NIL {
            self.plant();
        }
        let hint = self.hint.get();
        let hits = self.nodes.get(hint as usize).is_some_and(|node| node.takes(span.first, span.last));
        let mut at = if hits { hint } else { self.root };
        loop {
            let node = self.node_mut(at);
            let position = node.behind(span.first);
            if node.is_bottom() {
                let Span { first, last } = span;
                return self.put(at, position, Item { first, last, link: index });
            }
            let child = position.saturating_sub(1);
            if node.firsts[child] > span.first {
                node.firsts[child] = span.first;
            }
            if node.lasts[child] < span.last {
                node.lasts[child] = span.last;
            }
            at = node.links[child];
        }
    }

    /// Gives a node to the one span that there is.
    #[cold]
    #[inline(never)]
    fn plant(&mut self) {
        let alone = std::mem::replace(&mut self.alone, NIL);
        let Span { first, last } = self.slots[alone as usize].span;
        self.root = self.occupy_node(0);
        self.put(self.root, 0, Item { first, last, link: alone });
    }

    /// Puts an item into a node, at this position.
    #[inline]
    fn put(&mut self, at: u32, position: usize, item: Item) {
        if self.node(at).len() < N {
            self.node_mut(at).insert(position, item);
            self.adopt(at, item.link);
        } else {
            self.cut_and_put(at, position, item);
        }
    }

    /// The same for a node that is full, which is cut in two.
    #[cold]
    #[inline(never)]
    fn cut_and_put(&mut self, at: u32, position: usize, item: Item) {
        // Who always comes last leaves full nodes behind, not half-full ones.
        let keep = if position == N { N - MIN } else { N / 2 };
        let right = self.occupy_node(self.node(at).height);
        self.move_items(at, keep, right);
        match position.checked_sub(keep) {
            Some(position) if position > 0 => self.put(right, position, item),
            _ => self.put(at, position, item),
        }
        let (left_last, item) = (self.node(at).max_last(), self.node(right).summary(right));
        if at == self.root {
            let summary = self.node(at).summary(at);
            self.root = self.occupy_node(self.node(at).height + 1);
            self.put(self.root, 0, summary);
            self.put(self.root, 1, item);
        } else {
            let parent = self.node(at).parent;
            let position = self.node(parent).position(at);
            self.node_mut(parent).lasts[position] = left_last;
            self.put(parent, position + 1, item);
        }
    }

    /// Takes an item out of a node. `last` is that of the span which leaves the tree.
    fn take_out(&mut self, mut at: u32, mut position: usize, last: u64) {
        loop {
            self.node_mut(at).remove(position);
            let node = self.node(at);
            if at == self.root {
                let enough = if node.is_bottom() { 1 } else { 2 };
                return if node.len() < enough {
                    self.lower_root()
                };
            }
            if node.len() >= MIN {
                if node.lasts.get(position).is_none_or(|&next| next < last) {
                    self.lower_lasts(at, last); // Else, as usual, who follows ends later.
                }
                return;
            }
            // A neighbour takes all that is left, or gives some of its own.
            let parent = node.parent;
            let right = self.node(parent).position(at).max(1);
            if !self.join_or_share(parent, right) {
                return self.lower_lasts(parent, last);
            }
            (at, position) = (parent, right);
        }
    }

    /// Moves everything from the child at `right` to the one before it and gives the node up, or, if that is too much, leaves
    /// them with half of it each. Returns whether `right` is to be taken out.
    #[cold]
    #[inline(never)]
    fn join_or_share(&mut self, parent: u32, right: usize) -> bool {
        let node = self.node(parent);
        let (one, other) = (node.links[right - 1], node.links[right]);
        let total = self.node(one).len() + self.node(other).len();
        let joins = total <= N;
        if joins {
            self.move_items(other, 0, one);
            self.vacate_node(other);
        } else if self.node(one).len() > total / 2 {
            let had = self.node(other).len();
            self.move_items(one, total / 2, other);
            self.node_mut(other).rotate(had); // What has come belongs in front.
        } else {
            let given = total / 2 - self.node(one).len();
            self.node_mut(other).rotate(given);
            self.move_items(other, total - total / 2, one);
        }
        self.node_mut(parent).lasts[right - 1] = self.node(one).max_last();
        if !joins {
            let Item { first, last, .. } = self.node(other).summary(other);
            let node = self.node_mut(parent);
            (node.firsts[right], node.lasts[right]) = (first, last);
        }
        joins
    }

    /// Lets go the root, which has nothing, or no more than one child.
    #[cold]
    #[inline(never)]
    fn lower_root(&mut self) {
        let root = self.node(self.root);
        let below = if root.is_bottom() { NIL } else { root.links[0] };
        let gone = std::mem::replace(&mut self.root, below);
        self.vacate_node(gone);
        if below != NIL {
            self.node_mut(below).parent = NIL;
        }
    }

    /// A span that ended at `last` has left the subtree of `at`: tells the nodes above.
    fn lower_lasts(&mut self, mut at: u32, last: u64) {
        while at != self.root {
            let node = self.node(at);
            let max_last = node.max_last();
            if max_last >= last {
                return; // As before, then.
            }
            let parent = node.parent;
            let position = self.node(parent).position(at);
            self.node_mut(parent).lasts[position] = max_last;
            at = parent;
        }
    }

    /// Moves the items from position `from` on to the end of `to`, a node of the same height.
    fn move_items(&mut self, at: u32, from: usize, to: u32) {
        for position in from..self.node(at).len() {
            let item = self.node(at).item(position);
            let end = self.node(to).len();
            self.node_mut(to).insert(end, item);
            self.adopt(to, item.link);
        }
        self.node_mut(at).truncate(from);
    }

    /// Tells what an item of `at` names where it is.
    #[inline]
    fn adopt(&mut self, at: u32, link: u32) {
        if self.node(at).is_bottom() {
            self.slots[link as usize].node = at;
        } else {
            self.node_mut(link).parent = at;
        }
    }

    /// Puts a value into a vacant slot, or into a new one.
    #[inline]
    fn occupy(&mut self, span: Span, value: T) -> u32 {
        if self.vacant == NIL {
            self.grow();
        }
        let index = self.vacant;
        // Field by field: a slot built elsewhere and moved here costs several times as much.
        let slot = &mut self.slots[index as usize];
        self.vacant = slot.node;
        slot.span = span;
        slot.node = NIL;
        slot.value = Some(value);
        index
    }

    /// Adds a vacant slot, and room for the nodes that it may need.
    #[cold]
    fn grow(&mut self) {
        let index = u32::try_from(self.slots.len()).unwrap_or(NIL);
        assert!(index != NIL, "a range lock holds at most {NIL} spans at a time");
        self.slots.push(Slot { span: Span::WHOLE, node: self.vacant, value: None });
        self.vacant = index;
        match nodes_for(self.slots.len()).saturating_sub(self.nodes.len()) {
            1 if self.nodes.is_empty() => self.nodes.reserve_exact(1), // Few trees grow beyond.
            room => self.nodes.reserve(room),
        }
    }

    /// An empty node.
    fn occupy_node(&mut self, height: u32) -> u32 {
        let index = self.vacant_nodes;
        if index == NIL {
            self.nodes.push(Node::new(height));
            return self.nodes.len() as u32 - 1; // There are fewer of them than slots.
        }
        let node = self.node_mut(index);
        let next = node.parent;
        (node.parent, node.height) = (NIL, height);
        self.vacant_nodes = next;
        index
    }

    /// Gives up a node, which has at most one item left.
    fn vacate_node(&mut self, at: u32) {
        let next = std::mem::replace(&mut self.vacant_nodes, at);
        let node = self.node_mut(at);
        node.truncate(0);
        node.parent = next;
    }

    #[inline]
    fn node(&self, at: u32) -> &Node {
        &self.nodes[at as usize]
    }

    #[inline]
    fn node_mut(&mut self, at: u32) -> &mut Node {
        &mut self.nodes[at as usize]
    }
}

/// The most nodes that a tree of so many spans can have: none, one, or a root and, on each level below it, at most as many
/// as have [`MIN`] items each. What is counted is the most spans that there ever were, since nodes are only joined when they
/// run low.
fn nodes_for(spans: usize) -> usize {
    match spans {
        0..=1 => 0,
        _ if spans <= N => 1,
        // A geometric series.
        _ => spans / (MIN - 1) + 1,
    }
}

/// Where an item is, or that there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cursor {
    node: u32,
    position: u32,
}

impl Cursor {
    const END: Cursor = Cursor { node: NIL, position: 0 };
    /// At the one span that is in no node.
    const ALONE: Cursor = Cursor { node: NIL, position: 1 };
}

/// See [`IntervalTree::overlapping`].
#[derive(Debug)]
pub(crate) struct Overlapping<'a, T> {
    tree: &'a IntervalTree<T>,
    span: Span,
    /// At what comes next.
    at: Cursor,
}

impl<'a, T> Iterator for Overlapping<'a, T> {
    type Item = (u32, Span, &'a T);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.at == Cursor::END {
            return None;
        }
        let index = match self.at {
            Cursor::ALONE => self.tree.alone,
            Cursor { node, position } => self.tree.node(node).links[position as usize],
        };
        self.at = self.tree.next_overlap(self.at, self.span);
        let slot = &self.tree.slots[index as usize];
        Some((index, slot.span, slot.value.as_ref().expect("the tree names only occupied slots")))
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests;
