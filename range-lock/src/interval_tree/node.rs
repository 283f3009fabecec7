//! A node: up to [`N`] items in order, each with the two ends that a search compares and what it
//! names. These fill five cache lines. Ids and ranks lie elsewhere, in [`Ranks`]. The bottom nodes
//! of trees that are not ranked hold nearly all spans, and use none: the slots know the ids. So the
//! nodes that a search in a large tree visits lie close together.
//!
//! Searches, and moving held spans in and out, are plain loops that stop where they are done. Calls
//! of `memmove` for a few words each, three to an insertion, cost more. Loops over all places
//! without a branch that depends on the position also cost more, except in large trees.

use super::NIL;
use crate::span::Span;

/// Items in a node.
pub(super) const N: usize = 15;
/// Items that a node other than the root has at least. Less than half of [`N`], so that nodes which
/// have just been cut are not joined at once.
pub(super) const MIN: usize = 5;

/// A span, its key and its slot; or, above the bottom, what is known of a child, and the child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) first: u64,
    pub(super) id: u64,
    pub(super) last: u64,
    pub(super) link: u32,
    /// In a ranked tree the earliest and the latest rank. Otherwise of no meaning.
    pub(super) earliest: u64,
    pub(super) latest: u64,
}

impl Item {
    /// What stands where there is no item.
    const NONE: Item = Item { first: u64::MAX, id: 0, last: 0, link: NIL, earliest: 0, latest: 0 };
}

/// See the [module](self).
#[derive(Debug)]
#[repr(C, align(64))] // The order of the fields is the order of their use.
pub(crate) struct Node {
    /// Where spans begin; above the bottom: no span in the child begins before. `u64::MAX` where
    /// there is no item.
    pub(super) firsts: [u64; N],
    /// Where spans end; above the bottom: the latest end in the child. 0 where there is no item.
    pub(super) lasts: [u64; N],
    /// Slots; above the bottom: nodes.
    pub(super) links: [u32; N],
    len: u32,
    /// In a vacant node: the next vacant one.
    pub(super) parent: u32,
    /// Levels below this one.
    pub(super) height: u32,
    pub(super) tree: u8,
    /// Whether `earliest` and `latest` are kept.
    pub(super) is_ranked: bool,
}

const _: () = assert!(size_of::<Node>() == 5 * 64);

/// The ids and the ranks of a node's items. Of no meaning unless the node
/// [keeps ids](Node::keeps_ids).
#[derive(Debug)]
#[repr(align(64))]
pub(crate) struct Ranks {
    /// Orders the spans that begin at one point.
    pub(super) ids: [u64; N],
    pub(super) earliest: [u64; N],
    pub(super) latest: [u64; N],
}

impl Ranks {
    pub(super) const NONE: Ranks = Ranks { ids: [0; N], earliest: [0; N], latest: [0; N] };
}

/// A node and its ranks, to be changed.
pub(super) struct Whole<'a> {
    pub(super) node: &'a mut Node,
    pub(super) ranks: &'a mut Ranks,
}

impl Node {
    /// An empty one.
    pub(super) fn new(tree: u8, is_ranked: bool, height: u32) -> Self {
        Node {
            firsts: [u64::MAX; N],
            lasts: [0; N],
            links: [NIL; N],
            len: 0,
            parent: NIL,
            height,
            tree,
            is_ranked,
        }
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        (self.len as usize).min(N) // So that places before it need no check.
    }

    /// Whether its items are spans.
    #[inline]
    pub(super) fn is_bottom(&self) -> bool {
        self.height == 0
    }

    /// Whether it has ids, and ranks if it is ranked. If not, its items are spans, whose slots know
    /// the ids.
    #[inline]
    pub(super) fn keeps_ids(&self) -> bool {
        self.is_ranked || self.height != 0
    }

    /// Whether a span from `first` to `last` belongs among the items of this node of that tree, and
    /// nothing above need know of it. Never of a vacant node.
    #[inline]
    pub(super) fn takes(&self, tree: u8, first: u64, last: u64) -> bool {
        let end = self.len().saturating_sub(1);
        self.tree == tree
            && self.is_bottom()
            && self.firsts[0] < first
            && first < self.firsts[end]
            && last <= self.lasts[end]
    }

    /// The position of the first item, from `from` on, that ends at `first` or later;
    /// [`len`](Self::len) if none does.
    #[inline]
    pub(super) fn that_reaches(&self, from: usize, first: u64) -> usize {
        let len = self.len();
        let mut position = from;
        while position < len && self.lasts[position] < first {
            position += 1;
        }
        position
    }

    /// The position of the item that names `link`, which is one of them.
    #[inline]
    pub(super) fn position(&self, link: u32) -> usize {
        self.links[..self.len()]
            .iter()
            .position(|&other| other == link)
            .expect("a node has what is said to be in it")
    }

    /// Where the last of its spans ends.
    pub(super) fn last(&self) -> u64 {
        self.lasts.iter().fold(0, |max, &last| max.max(last))
    }

    /// Puts a span among others, in a node that has room and no ids. For another span that begins
    /// at the same point, `is_before` tells whether it comes first.
    ///
    /// From the end, since most often keys ascend.
    #[inline]
    pub(super) fn insert_span(&mut self, span: Span, link: u32, is_before: impl Fn(u32) -> bool) {
        debug_assert!(self.len() < N && !self.keeps_ids());
        let mut at = self.len().min(N - 1);
        while at > 0 {
            let first = self.firsts[at - 1];
            if first < span.first || first == span.first && is_before(self.links[at - 1]) {
                break;
            }
            self.firsts[at] = first;
            self.lasts[at] = self.lasts[at - 1];
            self.links[at] = self.links[at - 1];
            at -= 1;
        }
        (self.firsts[at], self.lasts[at], self.links[at]) = (span.first, span.last, link);
        self.len += 1;
    }

    /// Takes the item at `position` out. Its id and ranks stay where they are.
    #[inline]
    pub(super) fn remove_span(&mut self, position: usize) {
        let end = self.len() - 1;
        let mut at = position;
        while at < end {
            self.firsts[at] = self.firsts[at + 1];
            self.lasts[at] = self.lasts[at + 1];
            self.links[at] = self.links[at + 1];
            at += 1;
        }
        let none = Item::NONE;
        (self.firsts[end], self.lasts[end], self.links[end]) = (none.first, none.last, none.link);
        self.len -= 1;
    }

    /// Drops the items from position `len` on.
    pub(super) fn truncate(&mut self, len: usize) {
        let end = self.len();
        self.firsts[len..end].fill(Item::NONE.first);
        self.lasts[len..end].fill(Item::NONE.last);
        self.links[len..end].fill(Item::NONE.link);
        self.len = len as u32;
    }
}

impl Whole<'_> {
    /// Takes over what a summary says of the child at `position`, except where that begins.
    pub(super) fn summarise(&mut self, position: usize, summary: Item) {
        self.node.lasts[position] = summary.last;
        (self.ranks.earliest[position], self.ranks.latest[position]) = (summary.earliest, summary.latest);
    }

    /// Puts `item` before the one at `position`. Asks for room.
    pub(super) fn insert(&mut self, position: usize, item: Item) {
        let Whole { node, ranks } = self;
        debug_assert!(node.len() < N);
        let len = node.len().min(N - 1);
        if position < len {
            node.firsts.copy_within(position..len, position + 1);
            node.lasts.copy_within(position..len, position + 1);
            node.links.copy_within(position..len, position + 1);
            if node.keeps_ids() {
                ranks.ids.copy_within(position..len, position + 1);
                ranks.earliest.copy_within(position..len, position + 1);
                ranks.latest.copy_within(position..len, position + 1);
            }
        }
        self.set(position, item);
        self.node.len += 1;
    }

    /// Takes the item at `position` out.
    pub(super) fn remove(&mut self, position: usize) {
        let Whole { node, ranks } = self;
        if node.keeps_ids() {
            let behind = position + 1..node.len();
            ranks.ids.copy_within(behind.clone(), position);
            ranks.earliest.copy_within(behind.clone(), position);
            ranks.latest.copy_within(behind, position);
        }
        node.remove_span(position);
    }

    /// Moves the items from position `from` on to the end of `to`, a node of the same tree and
    /// height that has room.
    pub(super) fn give(&mut self, from: usize, to: &mut Whole<'_>) {
        let (here, there) = (from..self.node.len(), to.node.len());
        let all = there..there + here.len();
        to.node.firsts[all.clone()].copy_from_slice(&self.node.firsts[here.clone()]);
        to.node.lasts[all.clone()].copy_from_slice(&self.node.lasts[here.clone()]);
        to.node.links[all.clone()].copy_from_slice(&self.node.links[here.clone()]);
        if self.node.keeps_ids() {
            to.ranks.ids[all.clone()].copy_from_slice(&self.ranks.ids[here.clone()]);
            to.ranks.earliest[all.clone()].copy_from_slice(&self.ranks.earliest[here.clone()]);
            to.ranks.latest[all.clone()].copy_from_slice(&self.ranks.latest[here]);
        }
        to.node.len = all.end as u32;
        self.node.truncate(from);
    }

    /// Puts the first `count` items behind all others.
    pub(super) fn rotate(&mut self, count: usize) {
        let Whole { node, ranks } = self;
        let len = node.len();
        node.firsts[..len].rotate_left(count);
        node.lasts[..len].rotate_left(count);
        node.links[..len].rotate_left(count);
        if node.keeps_ids() {
            ranks.ids[..len].rotate_left(count);
            ranks.earliest[..len].rotate_left(count);
            ranks.latest[..len].rotate_left(count);
        }
    }

    #[inline]
    fn set(&mut self, position: usize, item: Item) {
        let Whole { node, ranks } = self;
        (node.firsts[position], node.lasts[position], node.links[position]) =
            (item.first, item.last, item.link);
        if node.keeps_ids() {
            (ranks.ids[position], ranks.earliest[position], ranks.latest[position]) =
                (item.id, item.earliest, item.latest);
        }
    }
}
