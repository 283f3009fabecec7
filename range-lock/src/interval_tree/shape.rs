//! The shape of the trees: how a span goes into a tree or out of it. Nodes are cut when they are
//! full, and joined or share when they run low.

use super::node::{Item, MIN, N, Whole};
use super::{Forest, NIL, Slot};
use crate::span::Span;

impl<T, const TREES: usize, const RANKED: usize> Forest<T, TREES, RANKED> {
    /// Puts the span of a slot into a tree.
    #[inline]
    pub(super) fn link(&mut self, tree: usize, index: u32) {
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

    /// Takes the span of a slot out of its tree, if it is in one.
    #[inline]
    pub(super) fn unlink(&mut self, index: u32) {
        let slot = &self.slots[index as usize];
        assert!(slot.value.is_some(), "only what is in the forest is taken out");
        let Some(tree) = self.trees.get_mut(usize::from(slot.tree)) else {
            self.apart -= 1;
            return;
        };
        if tree.alone == index {
            tree.alone = NIL; // The usual case: nothing else is in the tree.
            self.occupied &= !(1 << slot.tree);
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
            let position = self.behind(at, first, id);
            if node.is_bottom() {
                let item = Item { first, id, last, link: index, earliest: rank, latest: rank };
                return self.put(at, position, item);
            }
            let Whole { node, ranks } = self.whole(at);
            let child = position.saturating_sub(1);
            if position == 0 {
                (node.firsts[0], ranks.ids[0]) = (first, id);
            }
            if node.lasts[child] < last {
                node.lasts[child] = last;
            }
            if node.is_ranked {
                ranks.earliest[child] = ranks.earliest[child].min(rank);
                ranks.latest[child] = ranks.latest[child].max(rank);
            }
            at = node.links[child];
        }
    }

    /// What the parent of a node keeps of it.
    fn summary(&self, at: u32) -> Item {
        let (node, ranks) = (self.node(at), self.ranks(at));
        let (earliest, latest) = if node.is_ranked {
            let earliest = ranks.earliest[..node.len()].iter().fold(u64::MAX, |min, &rank| min.min(rank));
            (earliest, ranks.latest[..node.len()].iter().fold(0, |max, &rank| max.max(rank)))
        } else {
            (0, 0)
        };
        let (first, id, last) = (node.firsts[0], self.id(at, 0), node.last());
        Item { first, id, last, link: at, earliest, latest }
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
            self.whole(at).insert(position, item);
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
            self.whole(parent).summarise(position, left);
            self.put(parent, position + 1, right);
        }
    }

    /// Takes an item out of a node: `gone` is that of the span which leaves the tree.
    fn take_out(&mut self, mut at: u32, mut position: usize, gone: Item) {
        loop {
            match self.node(at).keeps_ids() {
                false => self.node_mut(at).remove_span(position),
                true => self.whole(at).remove(position),
            }
            let node = self.visit(at);
            if node.parent == NIL {
                let enough = if node.is_bottom() { 1 } else { 2 };
                return if node.len() < enough {
                    self.lower_root(at)
                };
            }
            if node.len() >= MIN {
                if node.is_ranked || node.lasts.get(position).is_none_or(|&next| next < gone.last) {
                    self.forget(at, gone); // Otherwise, as usual, the next one ends later.
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
            self.whole(other).rotate(had); // What has come belongs in front.
        } else {
            let given = total / 2 - self.node(one).len();
            self.whole(other).rotate(given);
            self.move_items(other, total - total / 2, one);
        }
        let left = self.summary(one);
        self.whole(parent).summarise(right - 1, left);
        if !joins {
            let summary = self.summary(other);
            let mut parent = self.whole(parent);
            parent.summarise(right, summary);
            (parent.node.firsts[right], parent.ranks.ids[right]) = (summary.first, summary.id);
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
            self.whole(parent).summarise(position, summary);
            at = parent;
        }
    }

    /// Moves the items from position `from` on to the end of `to`, a node of the same height.
    fn move_items(&mut self, at: u32, from: usize, to: u32) {
        let begin = self.node(to).len();
        let (left, right) = (at.min(to) as usize, at.max(to) as usize);
        let (nodes, ranks) = (self.nodes.split_at_mut(right), self.ranks.split_at_mut(right));
        let mut left = Whole { node: &mut nodes.0[left], ranks: &mut ranks.0[left] };
        let mut right = Whole { node: &mut nodes.1[0], ranks: &mut ranks.1[0] };
        if at < to {
            left.give(from, &mut right)
        } else {
            right.give(from, &mut left)
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
}
