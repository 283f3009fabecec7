//! Searches: what overlaps a span, the first, any, or the latest before a rank.

use super::node::Node;
use super::{Forest, NIL, Slot, Tree};
use crate::span::Span;

impl<T, const TREES: usize, const RANKED: usize> Forest<T, TREES, RANKED> {
    /// After how many nodes [`latest_before`](Self::latest_before) is content with what it has
    /// found.
    const LOOKS: u32 = 64;

    /// The value of `id` whose span begins at `first`.
    pub(crate) fn find(&self, tree: usize, first: u64, id: u64) -> Option<u32> {
        let Tree { alone, root, .. } = self.trees[tree];
        if let Some(slot) = self.slots.get(alone as usize) {
            return (slot.span.first == first && slot.id == id).then_some(alone);
        }
        if root == NIL {
            return None;
        }
        let mut at = root;
        loop {
            let node = self.visit(at);
            let position = self.behind(at, first, id).checked_sub(1)?;
            if node.is_bottom() {
                let found = node.firsts[position] == first && self.id(at, position) == id;
                return found.then_some(node.links[position]);
            }
            at = node.links[position];
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
        let (node, ranks) = (self.visit(at), self.ranks(at));
        // Most often the later ones are to the right.
        for position in (0..node.len()).rev() {
            let overlaps =
                node.firsts[position] <= search.span.last && node.lasts[position] >= search.span.first;
            let found = search.found.map_or(0, |(rank, _)| rank);
            if !overlaps || ranks.earliest[position] >= search.before || ranks.latest[position] <= found {
                continue;
            }
            if node.is_bottom() {
                search.found = Some((ranks.latest[position], node.links[position]));
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
                let (node, ranks) = (self.visit(at), self.ranks(at));
                let is_found = |at: &usize| {
                    node.firsts[*at] <= span.last
                        && node.lasts[*at] >= span.first
                        && ranks.earliest[*at] < rank
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
    pub(super) fn is_empty(&self, tree: usize) -> bool {
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
