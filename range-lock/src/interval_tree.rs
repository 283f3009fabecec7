//! Interval trees: B-trees ordered by where spans begin, in which every node also knows, for each
//! of its children, the largest `last` below it.
//! It uses spans.
//!
//! That one extra number turns a search tree into an interval tree (Cormen et al., *Introduction to
//! Algorithms*, "Interval trees"; Linux' `include/linux/interval_tree_generic.h`). A subtree whose
//! largest `last` lies before the span asked for holds nothing that overlaps it, and is never
//! entered. Finding the first overlap takes O(log n), each further one O(log n) at most.
//!
//! It is a B-tree and not a binary one, because a search in a large tree costs the cache lines that
//! it waits for. The [`node`]s keep the ends of their spans side by side, and a search visits one
//! node where a binary tree has four levels.
//!
//! A [`Forest`] is several trees over one set of slots. Values lie in the slots, which never move;
//! each slot knows the tree and the node that its span is in. So a value goes from one tree to
//! another and keeps its index. Slots and nodes name each other by `u32` index, so the forest is
//! plain safe code. In the steady state it allocates nothing: what is given up goes to a free list
//! and is used again. The forest does no locking and no waiting.
//!
//! Spans that begin at one point are ordered by the id that comes with each, so that
//! [`find`](Forest::find) takes O(log n). The last trees of a forest are *ranked*: their nodes also
//! know the earliest and the latest rank below each child, for
//! [`latest_before`](Forest::latest_before).
//!
//! Invariants between any two calls (checked by `check_invariants` in the tests):
//!
//! * **order**: from left to right (`first`, `id`) does not decrease; a node's keys lie between
//!   what is left of each child and what is in it;
//! * **augmentation**: a node's `lasts` are the largest `last` in each of its children; in a ranked
//!   tree `earliest` and `latest` are the smallest and the largest rank;
//! * **fill**: all bottom nodes are equally far from the root; each node except the root has at
//!   least [`MIN`] items; the root has two if it has children, one if it has not;
//! * **links**: a child's `parent` is its parent, a span's slot knows its node and its tree, and
//!   what is in no tree is on a free list, once;
//! * **room**: there is room for as many nodes as the slots could ever need.

mod node;

use std::cell::Cell;

use self::node::{Item, MIN, N, Node};
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
    /// The node that has the span; `NIL` if it is alone. In a vacant slot: the next vacant one.
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
    /// The only span there is, if it is in no node; else `NIL`.
    alone: u32,
    root: u32,
    /// The node in which the last look for overlaps found none: most often the next span to be
    /// inserted was looked for just before. Only a hint, which may name any node or none; so a
    /// search of a shared forest may write it.
    hint: Cell<u32>,
}

/// Trees of spans, each with a value; see the [module](self). The trees from number `RANKED` on are
/// ranked.
#[derive(Debug)]
pub(crate) struct Forest<T, const TREES: usize, const RANKED: usize> {
    pub(crate) slots: Vec<Slot<T>>,
    vacant: u32,
    pub(crate) nodes: Vec<Node>,
    vacant_nodes: u32,
    trees: [Tree; TREES],
    /// How many values there are.
    len: u32,
    /// A bit for each tree that is not empty.
    occupied: u8,
    /// Whether there have been many values, and so may be again.
    had_many: bool,
    /// For [`some_overlap`](Self::some_overlap).
    random: Cell<u32>,
}

impl<T, const TREES: usize, const RANKED: usize> Forest<T, TREES, RANKED> {
    /// After how many nodes [`latest_before`](Self::latest_before) is content with what it has
    /// found.
    const LOOKS: u32 = 64;

    /// Empty trees; allocates nothing.
    pub(crate) const fn new() -> Self {
        const { assert!(TREES <= 8 && RANKED <= TREES) };
        Forest {
            slots: Vec::new(),
            vacant: NIL,
            nodes: Vec::new(),
            vacant_nodes: NIL,
            trees: [const { Tree { alone: NIL, root: NIL, hint: Cell::new(NIL) } }; TREES],
            len: 0,
            occupied: 0,
            had_many: false,
            random: Cell::new(1),
        }
    }

    /// Adds a value to a tree, and returns the index by which it is known from now on.
    #[inline]
    pub(crate) fn insert(&mut self, tree: usize, key: Key, value: T) -> u32 {
        let index = self.occupy(key, value);
        self.link(tree, index);
        self.len += 1;
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

    /// Moves a value to a tree.
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

    /// Which tree a value is in.
    #[inline]
    pub(crate) fn tree_of(&self, index: u32) -> usize {
        usize::from(self.slots[index as usize].tree)
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
        (self.len, self.occupied, self.vacant_nodes) = (0, 0, NIL);
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
        let had_many = self.has_room_for_many();
        std::mem::replace(self, Forest { had_many, ..Forest::new() })
    }

    /// The value of `id` whose span begins at `first`.
    pub(crate) fn find(&self, tree: usize, first: u64, id: u64) -> Option<u32> {
        let Tree { alone, root, .. } = self.trees[tree];
        if let Some(slot) = self.slots.get(alone as usize) {
            return (slot.span.first == first && slot.id == id).then_some(alone);
        }
        if root == NIL {
            return None;
        }
        let mut node = self.visit(root);
        loop {
            let position = self.behind(node, first, id).checked_sub(1)?;
            if node.is_bottom() {
                let found = node.firsts[position] == first && self.id(node, position) == id;
                return found.then_some(node.links[position]);
            }
            node = self.visit(node.links[position]);
        }
    }

    /// All that overlap `span`, in the order in which they begin.
    #[inline]
    pub(crate) fn overlapping(&self, tree: usize, span: Span) -> Overlapping<'_, T, TREES, RANKED> {
        let at = if self.is_empty(tree) { Cursor::END } else { self.first_overlap_at(tree, span) };
        Overlapping { forest: self, tree, span, at }
    }

    /// Whether something overlaps `span`.
    #[inline]
    pub(crate) fn overlaps(&self, tree: usize, span: Span) -> bool {
        !self.is_empty(tree) && self.first_overlap_at(tree, span) != Cursor::END
    }

    /// The first in order that overlaps `span`.
    #[inline]
    pub(crate) fn first_overlap(&self, tree: usize, span: Span) -> Option<u32> {
        self.overlapping(tree, span).next()
    }

    /// One that overlaps `span`: a random one, as far as that is to be had with one look at each
    /// level.
    pub(crate) fn some_overlap(&self, tree: usize, span: Span) -> Option<u32> {
        if self.trees[tree].root != NIL {
            let mut node = self.visit(self.trees[tree].root);
            while let Some(position) = self.some_overlap_in(node, span) {
                let link = node.links[position];
                if node.is_bottom() {
                    return Some(link);
                }
                node = self.visit(link);
            }
        }
        self.first_overlap(tree, span)
    }

    fn some_overlap_in(&self, node: &Node, span: Span) -> Option<usize> {
        let overlaps = |&at: &usize| node.firsts[at] <= span.last && node.lasts[at] >= span.first;
        let overlapping = (0..node.len()).filter(overlaps).count();
        // Marsaglia's xorshift.
        let mut random = self.random.get();
        random ^= random << 13;
        random ^= random >> 17;
        random ^= random << 5;
        self.random.set(random);
        (0..node.len()).filter(overlaps).nth(random as usize % overlapping.max(1))
    }

    /// One of the values before `rank` that overlap `span`: the one with the latest rank, unless
    /// that is hard to find. `None` only if there is none. Of a ranked tree.
    pub(crate) fn latest_before(&self, tree: usize, span: Span, rank: u64) -> Option<u32> {
        debug_assert!(tree >= RANKED);
        let Tree { alone, root, .. } = self.trees[tree];
        if let Some(slot) = self.slots.get(alone as usize) {
            return (slot.span.overlaps(span) && slot.rank < rank).then_some(alone);
        }
        if root == NIL {
            return None;
        }
        let mut search = Latest { span, before: rank, found: None, looks: 0 };
        self.search_latest(root, &mut search);
        search.found.map(|(_, index)| index)
    }

    fn search_latest(&self, at: u32, search: &mut Latest) {
        search.looks += 1;
        let node = self.visit(at);
        // Most often the later ones are to the right.
        for position in (0..node.len()).rev() {
            let overlaps =
                node.firsts[position] <= search.span.last && node.lasts[position] >= search.span.first;
            let found = search.found.map_or(0, |(rank, _)| rank);
            if !overlaps || node.earliest[position] >= search.before || node.latest[position] <= found {
                continue;
            }
            if node.is_bottom() {
                search.found = Some((node.latest[position], node.links[position]));
            } else if search.found.is_none() || search.looks < Self::LOOKS {
                self.search_latest(node.links[position], search);
            }
        }
    }

    /// Those before `rank` that overlap `span`, in no order. Of a ranked tree.
    pub(crate) fn overlapping_before(
        &self,
        tree: usize,
        span: Span,
        rank: u64,
    ) -> impl Iterator<Item = u32> + '_ {
        debug_assert!(tree >= RANKED);
        let Tree { alone, root, .. } = self.trees[tree];
        let is_alone = |slot: &&Slot<T>| slot.span.overlaps(span) && slot.rank < rank;
        let alone = self.slots.get(alone as usize).filter(is_alone).map(|_| alone);
        // The way down to the last one found, with what comes next in each node.
        let mut path = Vec::new();
        if root != NIL {
            path.push((root, 0));
        }
        let below = std::iter::from_fn(move || {
            while let Some((at, position)) = path.pop() {
                let node = self.visit(at);
                let is_found = |at: &usize| {
                    node.firsts[*at] <= span.last
                        && node.lasts[*at] >= span.first
                        && node.earliest[*at] < rank
                };
                let Some(found) = (position..node.len()).find(is_found) else { continue };
                path.push((at, found + 1));
                if node.is_bottom() {
                    return Some(node.links[found]);
                }
                path.push((node.links[found], 0));
            }
            None
        });
        alone.into_iter().chain(below)
    }

    /// Whether a tree is empty.
    #[inline]
    fn is_empty(&self, tree: usize) -> bool {
        self.occupied & (1 << tree) == 0
    }

    /// The first span, in order, that overlaps `span`.
    fn first_overlap_at(&self, tree: usize, span: Span) -> Cursor {
        let Tree { alone, root, .. } = self.trees[tree];
        match self.slots.get(alone as usize) {
            Some(alone) if alone.span.overlaps(span) => Cursor::ALONE,
            Some(_) => Cursor::END,
            None => self.first_overlap_below(tree, root, span),
        }
    }

    /// The first span below `at` that overlaps `span`. At its end if none does, or if all that
    /// comes after begins too late.
    fn first_overlap_below(&self, tree: usize, mut at: u32, span: Span) -> Cursor {
        loop {
            let node = self.visit(at);
            // The first item that ends late enough. Should it begin too late, then so does all that
            // follows.
            let position = node.that_reaches(0, span.first);
            if position == node.len() || node.firsts[position] > span.last {
                self.trees[tree].hint.set(at);
                return Cursor::END;
            }
            if node.is_bottom() {
                return Cursor { node: at, position: position as u32 };
            }
            at = node.links[position];
        }
    }

    /// The span after `at`, in order, that overlaps `span`.
    fn next_overlap(&self, tree: usize, mut at: Cursor, span: Span) -> Cursor {
        if at == Cursor::ALONE {
            return Cursor::END;
        }
        loop {
            let node = self.visit(at.node);
            let next = node.that_reaches(at.position as usize + 1, span.first);
            if next < node.len() {
                return match node.firsts[next] <= span.last {
                    false => Cursor::END,
                    true if node.is_bottom() => Cursor { node: at.node, position: next as u32 },
                    true => self.first_overlap_below(tree, node.links[next], span),
                };
            }
            if node.parent == NIL {
                return Cursor::END;
            }
            let position = self.node(node.parent).position(at.node) as u32;
            at = Cursor { node: node.parent, position };
        }
    }

    /// Puts the span of a slot into a tree.
    #[inline]
    fn link(&mut self, tree: usize, index: u32) {
        let slot = &mut self.slots[index as usize];
        slot.tree = tree as u8;
        if self.occupied & (1 << tree) == 0 {
            slot.node = NIL;
            self.occupied |= 1 << tree;
            self.trees[tree].alone = index; // The usual case: the tree is empty.
        } else {
            self.insert_among(tree, index);
        }
    }

    /// Takes the span of a slot out of its tree.
    #[inline]
    fn unlink(&mut self, index: u32) {
        let slot = &self.slots[index as usize];
        assert!(slot.value.is_some(), "only what is in the tree is taken out");
        let tree = usize::from(slot.tree);
        if self.trees[tree].alone == index {
            self.trees[tree].alone = NIL; // The usual case: nothing else is in the tree.
            self.occupied &= !(1 << tree);
        } else {
            let node = slot.node;
            let gone = Item {
                first: slot.span.first,
                id: slot.id,
                last: slot.span.last,
                link: index,
                earliest: slot.rank,
                latest: slot.rank,
            };
            let position = self.node(node).position(index);
            self.take_out(node, position, gone);
        }
    }

    /// Puts a span into a tree that is not empty.
    fn insert_among(&mut self, tree: usize, index: u32) {
        if self.trees[tree].root == NIL {
            self.plant(tree);
        }
        let Slot { span: Span { first, last }, id, rank, .. } = self.slots[index as usize];
        let hint = self.trees[tree].hint.get();
        let hits = tree < RANKED
            && self.nodes.get(hint as usize).is_some_and(|node| node.takes(tree as u8, first, last));
        let mut at = if hits { hint } else { self.trees[tree].root };
        loop {
            let node = self.visit(at);
            if !node.keeps_ids() && node.len() < N {
                let slots = &mut self.slots;
                let is_before = |other: u32| slots[other as usize].id <= id;
                self.nodes[at as usize].insert_span(Span { first, last }, index, is_before);
                slots[index as usize].node = at;
                return;
            }
            let position = self.behind(node, first, id);
            if node.is_bottom() {
                let item = Item { first, id, last, link: index, earliest: rank, latest: rank };
                return self.put(at, position, item);
            }
            let node = self.node_mut(at);
            let child = position.saturating_sub(1);
            if position == 0 {
                (node.firsts[0], node.ids[0]) = (first, id);
            }
            if node.lasts[child] < last {
                node.lasts[child] = last;
            }
            if node.is_ranked {
                node.earliest[child] = node.earliest[child].min(rank);
                node.latest[child] = node.latest[child].max(rank);
            }
            at = node.links[child];
        }
    }

    /// The position in a node behind all items whose keys are this one or before. From the end,
    /// since most often keys ascend.
    #[inline]
    fn behind(&self, node: &Node, first: u64, id: u64) -> usize {
        let mut position = node.len();
        while position > 0 {
            let other = node.firsts[position - 1];
            if other < first || other == first && self.id(node, position - 1) <= id {
                break;
            }
            position -= 1;
        }
        position
    }

    /// The id of an item of a node.
    #[inline]
    fn id(&self, node: &Node, position: usize) -> u64 {
        if node.keeps_ids() { node.ids[position] } else { self.slots[node.links[position] as usize].id }
    }

    /// What the parent of a node keeps of it.
    fn summary(&self, at: u32) -> Item {
        let node = self.node(at);
        Item { id: self.id(node, 0), ..node.summary(at) }
    }

    /// Gives a node to the one span that there is.
    #[cold]
    #[inline(never)]
    fn plant(&mut self, tree: usize) {
        let alone = std::mem::replace(&mut self.trees[tree].alone, NIL);
        let Slot { span: Span { first, last }, id, rank, .. } = self.slots[alone as usize];
        let root = self.occupy_node(tree, 0);
        self.trees[tree].root = root;
        self.put(root, 0, Item { first, id, last, link: alone, earliest: rank, latest: rank });
    }

    /// Puts an item into a node, at this position.
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
        // Keys that always come last leave full nodes behind, not half-full ones.
        let keep = if position == N { N - MIN } else { N / 2 };
        let (tree, height) = (usize::from(self.node(at).tree), self.node(at).height);
        let right = self.occupy_node(tree, height);
        self.move_items(at, keep, right);
        match position.checked_sub(keep) {
            Some(position) if position > 0 => self.put(right, position, item),
            _ => self.put(at, position, item),
        }
        let (left, right) = (self.summary(at), self.summary(right));
        let parent = self.node(at).parent;
        if parent == NIL {
            let root = self.occupy_node(tree, height + 1);
            self.trees[tree].root = root;
            self.put(root, 0, left);
            self.put(root, 1, right);
        } else {
            let position = self.node(parent).position(at);
            self.node_mut(parent).summarise(position, left);
            self.put(parent, position + 1, right);
        }
    }

    /// Takes an item out of a node: `gone` is that of the span which leaves the tree.
    fn take_out(&mut self, mut at: u32, mut position: usize, gone: Item) {
        loop {
            self.node_mut(at).remove(position);
            let node = self.visit(at);
            if node.parent == NIL {
                let enough = if node.is_bottom() { 1 } else { 2 };
                return if node.len() < enough {
                    self.lower_root(at)
                };
            }
            if node.len() >= MIN {
                if node.is_ranked || node.lasts.get(position).is_none_or(|&next| next < gone.last) {
                    self.forget(at, gone); // Else, as usual, the next one ends later.
                }
                return;
            }
            // A neighbour takes all that is left, or gives some of its own.
            let parent = node.parent;
            let right = self.node(parent).position(at).max(1);
            if !self.join_or_share(parent, right) {
                return self.forget(parent, gone);
            }
            (at, position) = (parent, right);
        }
    }

    /// Moves everything from the child at `right` to the one before it and gives the node up, or,
    /// if that is too much, leaves them with half of it each. Returns whether `right` is to be
    /// taken out.
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
        let left = self.summary(one);
        self.node_mut(parent).summarise(right - 1, left);
        if !joins {
            let summary = self.summary(other);
            let node = self.node_mut(parent);
            node.summarise(right, summary);
            (node.firsts[right], node.ids[right]) = (summary.first, summary.id);
        }
        joins
    }

    /// Lets go a root that has nothing, or no more than one child.
    #[cold]
    #[inline(never)]
    fn lower_root(&mut self, gone: u32) {
        let root = self.node(gone);
        let (tree, below) = (usize::from(root.tree), if root.is_bottom() { NIL } else { root.links[0] });
        self.trees[tree].root = below;
        self.vacate_node(gone);
        if below != NIL {
            self.node_mut(below).parent = NIL;
        } else {
            self.occupied &= !(1 << tree);
        }
    }

    /// A span has left the subtree of `at`: tells the nodes above.
    fn forget(&mut self, mut at: u32, gone: Item) {
        while self.node(at).parent != NIL {
            self.visit(at);
            let summary = self.summary(at);
            let as_before = summary.last >= gone.last
                && (!self.node(at).is_ranked
                    || summary.earliest <= gone.earliest && summary.latest >= gone.latest);
            if as_before {
                return;
            }
            let parent = self.node(at).parent;
            let position = self.node(parent).position(at);
            self.node_mut(parent).summarise(position, summary);
            at = parent;
        }
    }

    /// Moves the items from position `from` on to the end of `to`, a node of the same height.
    fn move_items(&mut self, at: u32, from: usize, to: u32) {
        let begin = self.node(to).len();
        let (one, other) = self.nodes.split_at_mut(at.max(to) as usize);
        let (one, other) = (&mut one[at.min(to) as usize], &mut other[0]);
        if at < to {
            one.give(from, other)
        } else {
            other.give(from, one)
        }
        for position in begin..self.node(to).len() {
            self.adopt(to, self.node(to).links[position]);
        }
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
    fn occupy(&mut self, key: Key, value: T) -> u32 {
        if self.vacant == NIL {
            self.grow();
        }
        let index = self.vacant;
        // Field by field: a slot built elsewhere and moved here costs several times as much.
        let slot = &mut self.slots[index as usize];
        self.vacant = slot.node;
        slot.span = key.span;
        slot.node = NIL;
        (slot.id, slot.rank) = (key.id, key.rank);
        slot.value = Some(value);
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
            1 if self.nodes.is_empty() => self.nodes.reserve_exact(1), // Few trees grow beyond.
            room => self.nodes.reserve(room),
        }
    }

    /// Makes room for as many more slots, or for many more, and for all the nodes that these may
    /// need. While there are few slots a vector does it better.
    fn make_room(&mut self) {
        const VERY_MANY: usize = 64 * MANY;
        let more = match self.slots.len() {
            0 if self.had_many => MANY,
            0..MANY => return,
            MANY..VERY_MANY => 3 * self.slots.len(),
            len => len,
        };
        self.slots.reserve_exact(more);
        let nodes = nodes_for(self.slots.capacity(), TREES);
        self.nodes.reserve_exact(nodes.saturating_sub(self.nodes.len()));
    }

    /// An empty node.
    fn occupy_node(&mut self, tree: usize, height: u32) -> u32 {
        let index = self.vacant_nodes;
        let is_ranked = tree >= RANKED;
        if index == NIL {
            self.nodes.push(Node::new(tree as u8, is_ranked, height));
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
}

/// A search for the latest value before some rank.
struct Latest {
    span: Span,
    before: u64,
    /// The best so far: its rank and its index.
    found: Option<(u64, u32)>,
    /// How many nodes have been visited.
    looks: u32,
}

/// The most nodes that so many trees of so many spans can have. Each tree has none, or one, or a
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

/// See [`Forest::overlapping`].
#[derive(Debug)]
pub(crate) struct Overlapping<'a, T, const TREES: usize, const RANKED: usize> {
    forest: &'a Forest<T, TREES, RANKED>,
    tree: usize,
    span: Span,
    /// At what comes next.
    at: Cursor,
}

impl<T, const TREES: usize, const RANKED: usize> Iterator for Overlapping<'_, T, TREES, RANKED> {
    type Item = u32;

    #[inline]
    fn next(&mut self) -> Option<u32> {
        if self.at == Cursor::END {
            return None;
        }
        let index = match self.at {
            Cursor::ALONE => self.forest.trees[self.tree].alone,
            Cursor { node, position } => self.forest.node(node).links[position as usize],
        };
        self.at = self.forest.next_overlap(self.tree, self.at, self.span);
        Some(index)
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests;
