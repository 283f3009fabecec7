//! Interval trees: the spans of a leaf, in trees that find overlaps fast. It uses spans.
//!
//! The trees are B-trees ordered by where spans begin. A node also knows, for each of its children,
//! the largest `last` below it. That one extra number turns a search tree into an interval tree
//! (Cormen et al., *Introduction to Algorithms*, "Interval trees"; Linux'
//! `include/linux/interval_tree_generic.h`). A subtree whose largest `last` lies before the span
//! asked for holds nothing that overlaps that span, and a search skips it. Finding the first
//! overlap takes O(log n) steps, each further one O(log n) at most.
//!
//! The trees are B-trees and not binary trees, because a search in a large tree costs the cache
//! lines that it waits for. The [`node`]s keep the ends of their spans side by side, and a search
//! visits one node where a binary tree has four levels.
//!
//! A [`Forest`] is several trees over one set of slots. Values lie in the slots, which never move.
//! Each slot knows the tree and the node that its span is in. So a value goes from one tree to
//! another and keeps its index. Slots and nodes name each other by `u32` index, so the forest is
//! plain safe code. In the steady state it allocates nothing: what is given up goes to a free list
//! and is used again. The forest does no locking and no waiting.
//!
//! Spans that begin at one point are ordered by their ids, so that [`find`](Forest::find) takes
//! O(log n) steps. The last trees of a forest are *ranked*. Their nodes also know the earliest and
//! the latest rank below each child, for [`latest_before`](Forest::latest_before).
//!
//! Invariants between any two calls (checked by `check_invariants` in the tests):
//!
//! * **order**: from left to right (`first`, `id`) does not decrease. A node's keys lie between
//!   what is left of each child and what is in the child.
//! * **augmentation**: a node's `lasts` are the largest `last` in each of its children. In a ranked
//!   tree `earliest` and `latest` are the smallest and the largest rank.
//! * **fill**: all bottom nodes are equally far from the root. Each node except the root has at
//!   least [`MIN`] items. The root has two if it has children, and one if it has none.
//! * **links**: a child's `parent` is its parent. A span's slot knows its node and its tree. A node
//!   that is in no tree is on a free list, once, and so is a slot that has no value.
//! * **room**: there is room for as many nodes as the slots could ever need.

mod node;
mod search;
mod shape;

use std::cell::Cell;

use self::node::{MIN, N, Node, Ranks, Whole};
use crate::span::Span;

#[cfg(all(test, not(any(loom, shuttle))))]
thread_local! {
    /// How many nodes this thread has visited.
    pub(crate) static VISITS: Cell<usize> = const { Cell::new(0) };
}

/// "Nothing": the parent of the root, the root of a tree without nodes, the end of a free list.
pub(crate) const NIL: u32 = u32::MAX;

/// From how many values on memory is taken in large steps, since the next value of a crowd seldom
/// is the last, and given back when all are gone.
pub(crate) const MANY: usize = 256;

/// A value, its key, and where its span is.
#[derive(Debug)]
pub(crate) struct Slot<T> {
    span: Span,
    /// The node that has the span. `NIL` if it is alone. In a vacant slot: the next vacant one.
    node: u32,
    tree: u8,
    id: u64,
    rank: u64,
    /// `None` in a vacant slot.
    value: Option<T>,
}

/// What the forest knows of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) span: Span,
    /// Orders spans that begin at one point.
    pub(crate) id: u64,
    /// See [`Forest::latest_before`]. Unused outside of the ranked trees.
    pub(crate) rank: u64,
}

/// One tree of a forest.
#[derive(Debug)]
struct Tree {
    /// The only span that there is, if it is in no node. Otherwise `NIL`.
    alone: u32,
    root: u32,
    /// The node in which the last look for overlaps found none: most often the next span to be
    /// inserted was looked for just before. Only a hint, which may name any node or none. So a
    /// search of a shared forest may write it.
    hint: Cell<u32>,
}

/// Trees of spans, each with a value. See the [module](self). The trees from number `RANKED` on are
/// ranked.
#[derive(Debug)]
#[repr(C)] // What is used most comes first.
pub(crate) struct Forest<T, const TREES: usize, const RANKED: usize> {
    pub(crate) slots: Vec<Slot<T>>,
    vacant: u32,
    /// How many values there are.
    len: u32,
    /// How many of them are apart.
    apart: u32,
    /// A bit for each tree that is not empty.
    occupied: u8,
    /// For [`some_overlap`](Self::some_overlap).
    random: Cell<u32>,
    trees: [Tree; TREES],
    vacant_nodes: u32,
    pub(crate) nodes: Vec<Node>,
    /// The ids and ranks of each node.
    ranks: Vec<Ranks>,
    /// For how many values it had room before its memory was taken.
    had: u32,
}

impl<T, const TREES: usize, const RANKED: usize> Forest<T, TREES, RANKED> {
    /// In place of a tree's number: the value is in none.
    pub(crate) const APART: usize = TREES;

    /// Empty trees. Allocates nothing.
    pub(crate) const fn new() -> Self {
        const { assert!(TREES <= 8 && RANKED <= TREES) };
        Forest {
            slots: Vec::new(),
            vacant: NIL,
            nodes: Vec::new(),
            ranks: Vec::new(),
            vacant_nodes: NIL,
            trees: [const { Tree { alone: NIL, root: NIL, hint: Cell::new(NIL) } }; TREES],
            len: 0,
            occupied: 0,
            apart: 0,
            had: 0,
            random: Cell::new(1),
        }
    }

    /// Adds a value to a tree, and returns the index by which it is known from now on.
    ///
    /// Takes a closure, because a value that was made before would have to be dropped if there were
    /// no room. So the compiler would build it elsewhere and copy it, which takes as long as all
    /// the rest.
    #[inline]
    pub(crate) fn insert_with(&mut self, tree: usize, key: Key, value: impl FnOnce() -> T) -> u32 {
        let index = self.occupy(key, value);
        self.link(tree, index);
        self.len += 1;
        index
    }

    /// Adds a value to no tree: it is [apart](Self::APART). Nothing but its index leads to it.
    pub(crate) fn insert_apart(&mut self, key: Key, value: T) -> u32 {
        let index = self.occupy(key, || value);
        self.slots[index as usize].tree = Self::APART as u8;
        (self.len, self.apart) = (self.len + 1, self.apart + 1);
        index
    }

    /// Takes out the value known as `index` and drops it.
    ///
    /// # Panics
    ///
    /// If there is no such value.
    #[inline]
    pub(crate) fn remove(&mut self, index: u32) {
        self.unlink(index);
        self.len -= 1;
        let slot = &mut self.slots[index as usize];
        slot.node = self.vacant;
        slot.value = None; // Dropped in place: moving it out costs as much as all the rest.
        self.vacant = index;
    }

    /// Moves a value to a tree, from another one or from apart.
    pub(crate) fn move_to(&mut self, index: u32, tree: usize) {
        if self.tree_of(index) != tree {
            self.unlink(index);
            self.link(tree, index);
        }
    }

    /// Gives a value another span and another id.
    pub(crate) fn change(&mut self, index: u32, span: Span, id: u64) {
        let tree = self.tree_of(index);
        self.unlink(index);
        let slot = &mut self.slots[index as usize];
        (slot.span, slot.id) = (span, id);
        self.link(tree, index);
    }

    /// Which tree a value is in, or [`APART`](Self::APART).
    #[inline]
    pub(crate) fn tree_of(&self, index: u32) -> usize {
        usize::from(self.slots[index as usize].tree)
    }

    /// Whether values are apart.
    pub(crate) fn has_apart(&self) -> bool {
        self.apart != 0
    }

    /// How many values there are.
    pub(crate) fn len(&self) -> u32 {
        self.len
    }

    /// A bit for each tree that is not empty.
    #[inline]
    pub(crate) fn occupied(&self) -> u8 {
        self.occupied
    }

    /// The key and the value known as `index`, if there is one.
    #[inline]
    pub(crate) fn get(&self, index: u32) -> Option<(Key, &T)> {
        let slot = self.slots.get(index as usize)?;
        Some((Key { span: slot.span, id: slot.id, rank: slot.rank }, slot.value.as_ref()?))
    }

    /// The value known as `index`.
    ///
    /// # Panics
    ///
    /// If there is none.
    #[inline]
    pub(crate) fn value_mut(&mut self, index: u32) -> &mut T {
        self.slots[index as usize].value.as_mut().expect("an index in use has a value")
    }

    /// Takes out all values, in no order. Keeps the memory.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = (u32, usize, Key, T)> + '_ {
        for tree in &mut self.trees {
            (tree.alone, tree.root) = (NIL, NIL);
        }
        (self.len, self.apart, self.occupied, self.vacant_nodes) = (0, 0, 0, NIL);
        for at in 0..self.nodes.len() as u32 {
            let next = std::mem::replace(&mut self.vacant_nodes, at);
            let node = self.node_mut(at);
            node.truncate(0);
            node.parent = next;
        }
        self.vacant = NIL;
        let vacant = &mut self.vacant;
        self.slots.iter_mut().zip(0..).filter_map(move |(slot, index)| {
            slot.node = std::mem::replace(vacant, index);
            let value = slot.value.take()?;
            Some((
                index,
                usize::from(slot.tree),
                Key { span: slot.span, id: slot.id, rank: slot.rank },
                value,
            ))
        })
    }

    /// Whether it has memory for many values.
    pub(crate) fn has_room_for_many(&self) -> bool {
        self.slots.capacity() > MANY
    }

    /// Takes the memory of an empty forest.
    pub(crate) fn take_memory(&mut self) -> Self {
        debug_assert_eq!(self.len, 0);
        let had = self.slots.capacity() as u32;
        std::mem::replace(self, Forest { had, ..Forest::new() })
    }

    /// The position in a node behind all items whose keys are this one or before. From the end,
    /// since most often keys ascend.
    #[inline]
    fn behind(&self, at: u32, first: u64, id: u64) -> usize {
        let node = self.node(at);
        let mut position = node.len();
        while position > 0 {
            let other = node.firsts[position - 1];
            if other < first || other == first && self.id(at, position - 1) <= id {
                break;
            }
            position -= 1;
        }
        position
    }

    /// The id of an item of a node.
    #[inline]
    fn id(&self, at: u32, position: usize) -> u64 {
        let node = self.node(at);
        match node.keeps_ids() {
            true => self.ranks(at).ids[position],
            false => self.slots[node.links[position] as usize].id,
        }
    }

    /// Puts a value into a vacant slot, or into a new one.
    #[inline]
    fn occupy(&mut self, key: Key, value: impl FnOnce() -> T) -> u32 {
        if self.vacant == NIL {
            self.grow();
        }
        let index = self.vacant;
        // Field by field: a slot built elsewhere and moved here costs several times as much.
        let slot = &mut self.slots[index as usize];
        debug_assert!(slot.value.is_none(), "a vacant slot has no value");
        let next = std::mem::replace(&mut slot.node, NIL);
        slot.span = key.span;
        (slot.id, slot.rank) = (key.id, key.rank);
        std::mem::forget(slot.value.replace(value())); // There was none to be dropped.
        self.vacant = next;
        index
    }

    /// Adds a vacant slot, and room for the nodes that it may need.
    #[cold]
    fn grow(&mut self) {
        let index = u32::try_from(self.slots.len()).unwrap_or(NIL);
        assert!(index < NIL - 8, "a range lock holds at most {} spans at a time", NIL - 8);
        if self.slots.len() == self.slots.capacity() {
            self.make_room();
        }
        self.slots.push(Slot { span: Span::WHOLE, node: self.vacant, tree: 0, id: 0, rank: 0, value: None });
        self.vacant = index;
        match nodes_for(self.slots.len(), TREES).saturating_sub(self.nodes.len()) {
            1 if self.nodes.is_empty() => {
                self.nodes.reserve_exact(1); // Few trees grow beyond.
                self.ranks.reserve_exact(1);
            }
            room => {
                self.nodes.reserve(room);
                self.ranks.reserve(room);
            }
        }
    }

    /// Makes room for as many more slots, for many more, or for a crowd like the one before, and
    /// for all the nodes that these may need. While there are few slots a vector does it better.
    fn make_room(&mut self) {
        const VERY_MANY: usize = 64 * MANY;
        let (len, had) = (self.slots.len(), (self.had as usize).min(VERY_MANY));
        let more = match len {
            0 if had > MANY => MANY,
            0..MANY => return,
            MANY..VERY_MANY => (3 * len).max(had.saturating_sub(len)),
            _ => len,
        };
        self.slots.reserve_exact(more);
        let nodes = nodes_for(self.slots.capacity(), TREES);
        self.nodes.reserve_exact(nodes.saturating_sub(self.nodes.len()));
        self.ranks.reserve_exact(nodes.saturating_sub(self.ranks.len()));
    }

    /// An empty node.
    fn occupy_node(&mut self, tree: usize, height: u32) -> u32 {
        let index = self.vacant_nodes;
        let is_ranked = tree >= RANKED;
        if index == NIL {
            self.nodes.push(Node::new(tree as u8, is_ranked, height));
            self.ranks.push(Ranks::NONE);
            return self.nodes.len() as u32 - 1; // There are fewer of them than slots.
        }
        let node = self.node_mut(index);
        let next = node.parent;
        (node.parent, node.height, node.tree, node.is_ranked) = (NIL, height, tree as u8, is_ranked);
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

    /// The same in a search: the tests count those.
    #[inline]
    fn visit(&self, at: u32) -> &Node {
        #[cfg(all(test, not(any(loom, shuttle))))]
        VISITS.set(VISITS.get() + 1);
        self.node(at)
    }

    #[inline]
    fn node_mut(&mut self, at: u32) -> &mut Node {
        &mut self.nodes[at as usize]
    }

    #[inline]
    fn ranks(&self, at: u32) -> &Ranks {
        &self.ranks[at as usize]
    }

    #[inline]
    fn whole(&mut self, at: u32) -> Whole<'_> {
        Whole { node: &mut self.nodes[at as usize], ranks: &mut self.ranks[at as usize] }
    }
}

/// The most nodes that `trees` trees of `spans` spans can have. Each tree has none, or one, or a
/// root and further levels. On each of these it has at most as many nodes as have [`MIN`] items
/// each. `spans` is the most that there ever were, because nodes are only joined when they run low.
fn nodes_for(spans: usize, trees: usize) -> usize {
    match spans {
        0..=1 => 0,
        // A tree of one span needs no node, but keeps the one that it had when it had two.
        _ if spans <= N => spans.min(trees),
        // A geometric series for each tree, whose root is not counted in it.
        _ => spans / (MIN - 1) + trees,
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests;
