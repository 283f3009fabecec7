//! An interval tree: a red-black tree ordered by where spans begin, in which every node also knows the largest `last`
//! of its subtree.
//!
//! That one extra number is what turns a search tree into an interval tree (Cormen et al., *Introduction to
//! Algorithms*, "Interval trees"; Linux' `include/linux/interval_tree_generic.h`): a subtree whose largest `last` lies
//! before the span asked for holds nothing that overlaps it and is never entered. Finding the first overlap takes
//! O(log n), each further one O(log n) at most.
//!
//! The nodes live in one arena and name each other by `u32` index, so the tree is plain safe code, moves nothing once
//! inserted, and in the steady state allocates nothing: a removed node goes to a free list and is used again. An index
//! stays valid until its node is removed; the tree does no locking and no waiting.
//!
//! What holds between any two calls (checked by `check_invariants` in the tests):
//!
//! * **order**: an in-order walk meets non-decreasing `first`;
//! * **augmentation**: `max_last` is the largest `last` in the node's subtree;
//! * **colour**: the root is black, no red node has a red child, and every path from the root to a missing child meets
//!   the same number of black nodes;
//! * **links**: a child's `parent` is its parent; nodes outside the tree are on the free list, each once.

use crate::span::Span;

/// "No node": as a child, a parent, the root of an empty tree or the end of the free list.
const NIL: u32 = u32::MAX;

#[derive(Debug)]
struct Node<T> {
    span: Span,
    /// The largest `last` in the subtree of which this node is the root.
    max_last: u64,
    /// In a vacant node: the next vacant one.
    parent: u32,
    /// `NIL` in a vacant node.
    left: u32,
    /// `NIL` in a vacant node.
    right: u32,
    /// Unset in a vacant node.
    red: bool,
    /// `None` in a vacant node.
    value: Option<T>,
}

/// A multiset of spans, each with a value; see the [module](self).
#[derive(Debug)]
pub(crate) struct IntervalTree<T> {
    nodes: Vec<Node<T>>,
    root: u32,
    vacant: u32,
}

impl<T> IntervalTree<T> {
    /// An empty tree; allocates nothing.
    pub(crate) const fn new() -> Self {
        IntervalTree { nodes: Vec::new(), root: NIL, vacant: NIL }
    }

    /// Adds `span`, behind those that begin at the same point, and returns the index by which it is known from now on.
    #[inline]
    pub(crate) fn insert(&mut self, span: Span, value: T) -> u32 {
        let new = self.occupy(span, value);
        if self.root == NIL {
            self.root = new; // The usual case: nobody else is in.
        } else {
            self.link(new, span);
        }
        new
    }

    /// Links `new`, which has no links yet, below the root.
    fn link(&mut self, new: u32, span: Span) {
        let mut parent = NIL;
        let mut at = self.root;
        let mut to_the_left = false;
        while at != NIL {
            let node = self.node_mut(at);
            node.max_last = node.max_last.max(span.last);
            parent = at;
            to_the_left = span.first < node.span.first;
            at = if to_the_left { node.left } else { node.right };
        }
        let node = self.node_mut(new);
        node.parent = parent;
        node.red = true;
        if to_the_left {
            self.node_mut(parent).left = new;
        } else {
            self.node_mut(parent).right = new;
        }
        self.balance_inserted(new);
    }

    /// Takes the span known as `index` out and drops its value.
    ///
    /// # Panics
    ///
    /// If there is no such span.
    #[inline]
    pub(crate) fn remove(&mut self, index: u32) {
        let node = self.node(index);
        assert!(node.value.is_some(), "only what is in the tree is taken out");
        if node.left == NIL && node.right == NIL && node.parent == NIL {
            self.root = NIL; // The usual case: nobody else is in.
        } else {
            self.unlink(index);
        }
        let next = self.vacant;
        let node = self.node_mut(index);
        (node.parent, node.left, node.right, node.red) = (next, NIL, NIL, false);
        node.value = None; // Dropped in place: moving it out costs as much as all the rest.
        self.vacant = index;
    }

    /// Takes `index` out of the tree; it keeps its place in the arena.
    fn unlink(&mut self, index: u32) {
        let (left, right) = (self.node(index).left, self.node(index).right);
        // `child` moves up into a place under `parent` from which a node of colour `red` has gone.
        let (child, parent, red);
        if left == NIL || right == NIL {
            child = if left == NIL { right } else { left };
            parent = self.node(index).parent;
            red = self.node(index).red;
            self.replace(index, child);
        } else {
            // Two children: the successor, which has no left child, takes the place and the colour.
            let successor = self.leftmost(right);
            child = self.node(successor).right;
            red = self.node(successor).red;
            if successor == right {
                parent = successor;
            } else {
                parent = self.node(successor).parent;
                self.replace(successor, child);
                self.node_mut(successor).right = right;
                self.node_mut(right).parent = successor;
            }
            self.replace(index, successor);
            self.node_mut(successor).left = left;
            self.node_mut(left).parent = successor;
            self.node_mut(successor).red = self.node(index).red;
        }
        // Everything whose subtree has lost a node lies on the way from there to the root.
        let mut at = parent;
        while at != NIL {
            self.update_max_last(at);
            at = self.node(at).parent;
        }
        if !red {
            self.balance_removed(child, parent);
        }
    }

    /// Whether there is no span in the tree.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.root == NIL
    }

    /// The value of the span known as `index`, if there is one.
    pub(crate) fn get(&self, index: u32) -> Option<&T> {
        self.nodes.get(index as usize)?.value.as_ref()
    }

    /// The value of the span known as `index`, if there is one.
    pub(crate) fn get_mut(&mut self, index: u32) -> Option<&mut T> {
        self.nodes.get_mut(index as usize)?.value.as_mut()
    }

    /// All that overlap `span`, in the order in which they begin, with index and value.
    #[inline]
    pub(crate) fn overlapping(&self, span: Span) -> Overlapping<'_, T> {
        Overlapping { tree: self, span, next: self.first_overlap(span) }
    }

    /// The first node, in order, that overlaps `span`; `NIL` if there is none.
    #[inline]
    fn first_overlap(&self, span: Span) -> u32 {
        if self.root == NIL || self.node(self.root).max_last < span.first {
            return NIL;
        }
        self.first_overlap_below(self.root, span)
    }

    /// The node after `at`, in order, that overlaps `span`; `NIL` if there is none.
    fn next_overlap(&self, mut at: u32, span: Span) -> u32 {
        loop {
            let right = self.node(at).right;
            if right != NIL && self.node(right).max_last >= span.first {
                return self.first_overlap_below(right, span);
            }
            // Up to the first ancestor of which this is the left side.
            loop {
                let came_from = at;
                at = self.node(at).parent;
                if at == NIL {
                    return NIL;
                }
                if self.node(at).left == came_from {
                    break;
                }
            }
            let node = self.node(at);
            if node.span.first > span.last {
                return NIL;
            }
            if node.span.last >= span.first {
                return at;
            }
        }
    }

    /// The first node in the subtree of `at` that overlaps `span`. Asks for `at.max_last >= span.first`.
    fn first_overlap_below(&self, mut at: u32, span: Span) -> u32 {
        loop {
            let node = self.node(at);
            if node.left != NIL && self.node(node.left).max_last >= span.first {
                // Something there ends late enough. Should it begin too late, then so does all that follows.
                at = node.left;
                continue;
            }
            if node.span.first > span.last {
                return NIL;
            }
            if node.span.last >= span.first {
                return at;
            }
            // Neither this node nor the left side ends late enough: by `max_last`, something on the right side does.
            at = node.right;
        }
    }

    /// Restores the colours after `at`, a red leaf, was added.
    fn balance_inserted(&mut self, mut at: u32) {
        loop {
            let parent = self.node(at).parent;
            if parent == NIL {
                self.node_mut(at).red = false;
                return;
            }
            if !self.node(parent).red {
                return;
            }
            // A red parent is not the root.
            let grandparent = self.node(parent).parent;
            let parent_is_left = self.node(grandparent).left == parent;
            let uncle =
                if parent_is_left { self.node(grandparent).right } else { self.node(grandparent).left };
            if self.is_red(uncle) {
                self.node_mut(parent).red = false;
                self.node_mut(uncle).red = false;
                self.node_mut(grandparent).red = true;
                at = grandparent;
                continue;
            }
            let at_is_left = self.node(parent).left == at;
            let top = if at_is_left == parent_is_left {
                parent
            } else {
                self.rotate(parent, parent_is_left);
                at
            };
            self.node_mut(top).red = false;
            self.node_mut(grandparent).red = true;
            self.rotate(grandparent, !parent_is_left);
            return;
        }
    }

    /// Restores the colours after a black node was taken from above `at` (perhaps `NIL`), now a child of `parent`.
    fn balance_removed(&mut self, mut at: u32, mut parent: u32) {
        while parent != NIL && !self.is_red(at) {
            // One black node is missing on the side of `at`.
            let at_is_left = self.node(parent).left == at;
            let mut sibling = self.child(parent, !at_is_left);
            if self.is_red(sibling) {
                self.node_mut(sibling).red = false;
                self.node_mut(parent).red = true;
                self.rotate(parent, at_is_left);
                sibling = self.child(parent, !at_is_left);
            }
            let near = self.child(sibling, at_is_left);
            let far = self.child(sibling, !at_is_left);
            if !self.is_red(near) && !self.is_red(far) {
                self.node_mut(sibling).red = true;
                at = parent;
                parent = self.node(at).parent;
                continue;
            }
            if !self.is_red(far) {
                self.node_mut(near).red = false;
                self.node_mut(sibling).red = true;
                self.rotate(sibling, !at_is_left);
                sibling = near;
            }
            let far = self.child(sibling, !at_is_left);
            self.node_mut(sibling).red = self.node(parent).red;
            self.node_mut(parent).red = false;
            self.node_mut(far).red = false;
            self.rotate(parent, at_is_left);
            return;
        }
        if at != NIL {
            self.node_mut(at).red = false;
        }
    }

    /// Turns the edge between `top` and its right child (`to_the_left`) or left child, which moves up into its place.
    fn rotate(&mut self, top: u32, to_the_left: bool) {
        let riser = self.child(top, !to_the_left);
        let inner = self.child(riser, to_the_left);
        self.replace(top, riser);
        if to_the_left {
            self.node_mut(riser).left = top;
            self.node_mut(top).right = inner;
        } else {
            self.node_mut(riser).right = top;
            self.node_mut(top).left = inner;
        }
        self.node_mut(top).parent = riser;
        if inner != NIL {
            self.node_mut(inner).parent = top;
        }
        // Both together still cover what `top` covered.
        self.node_mut(riser).max_last = self.node(top).max_last;
        self.update_max_last(top);
    }

    /// Puts `new` (perhaps `NIL`) in the place that `old` has under its parent.
    fn replace(&mut self, old: u32, new: u32) {
        let parent = self.node(old).parent;
        if parent == NIL {
            self.root = new;
        } else if self.node(parent).left == old {
            self.node_mut(parent).left = new;
        } else {
            self.node_mut(parent).right = new;
        }
        if new != NIL {
            self.node_mut(new).parent = parent;
        }
    }

    fn update_max_last(&mut self, at: u32) {
        let node = self.node(at);
        let mut max_last = node.span.last;
        for child in [node.left, node.right] {
            if child != NIL {
                max_last = max_last.max(self.node(child).max_last);
            }
        }
        self.node_mut(at).max_last = max_last;
    }

    fn leftmost(&self, mut at: u32) -> u32 {
        while self.node(at).left != NIL {
            at = self.node(at).left;
        }
        at
    }

    fn child(&self, at: u32, left: bool) -> u32 {
        if left { self.node(at).left } else { self.node(at).right }
    }

    fn is_red(&self, at: u32) -> bool {
        at != NIL && self.node(at).red
    }

    /// A node without links, in a vacant place of the arena or in a new one.
    #[inline]
    fn occupy(&mut self, span: Span, value: T) -> u32 {
        if self.vacant == NIL {
            self.grow();
        }
        let index = self.vacant;
        // Field by field: a node built elsewhere and moved here costs several times as much.
        let node = self.node_mut(index);
        let next = node.parent;
        node.span = span;
        node.max_last = span.last;
        node.parent = NIL;
        node.value = Some(value);
        self.vacant = next;
        index
    }

    /// Adds a vacant place.
    #[cold]
    fn grow(&mut self) {
        let index = u32::try_from(self.nodes.len()).unwrap_or(NIL);
        assert!(index != NIL, "a range lock holds at most {NIL} spans at a time");
        self.nodes.push(Node {
            span: Span::WHOLE,
            max_last: 0,
            parent: self.vacant,
            left: NIL,
            right: NIL,
            red: false,
            value: None,
        });
        self.vacant = index;
    }

    #[inline]
    fn node(&self, at: u32) -> &Node<T> {
        &self.nodes[at as usize]
    }

    #[inline]
    fn node_mut(&mut self, at: u32) -> &mut Node<T> {
        &mut self.nodes[at as usize]
    }
}

/// See [`IntervalTree::overlapping`].
#[derive(Debug)]
pub(crate) struct Overlapping<'a, T> {
    tree: &'a IntervalTree<T>,
    span: Span,
    next: u32,
}

impl<'a, T> Iterator for Overlapping<'a, T> {
    type Item = (u32, Span, &'a T);

    fn next(&mut self) -> Option<Self::Item> {
        let at = self.next;
        if at == NIL {
            return None;
        }
        self.next = self.tree.next_overlap(at, self.span);
        let node = self.tree.node(at);
        Some((at, node.span, node.value.as_ref().expect("the tree links only occupied nodes")))
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests;
