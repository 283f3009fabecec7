//! A node: up to [`N`] items in order, each with the two ends that a search compares and what it
//! names. These fill five cache lines. Ids and ranks lie behind them. The bottom nodes of trees
//! that are not ranked hold nearly all spans, and have no ids: the slots know the ids.
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
    /// Orders the spans that begin at one point. Of no meaning unless
    /// [`keeps_ids`](Self::keeps_ids).
    pub(super) ids: [u64; N],
    pub(super) earliest: [u64; N],
    pub(super) latest: [u64; N],
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
            ids: [0; N],
            earliest: [0; N],
            latest: [0; N],
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
        (from..self.len()).find(|&position| self.lasts[position] >= first).unwrap_or(self.len())
    }

    /// The position of the item that names `link`, which is one of them.
    #[inline]
    pub(super) fn position(&self, link: u32) -> usize {
        self.links[..self.len()]
            .iter()
            .position(|&other| other == link)
            .expect("a node has what is said to be in it")
    }

    /// What its parent keeps of it, if it is known there as `link`. Without the id unless it has
    /// ids.
    pub(super) fn summary(&self, link: u32) -> Item {
        let len = self.len();
        let (earliest, latest) = if self.is_ranked {
            let earliest = self.earliest[..len].iter().fold(u64::MAX, |min, &rank| min.min(rank));
            (earliest, self.latest[..len].iter().fold(0, |max, &rank| max.max(rank)))
        } else {
            (0, 0)
        };
        let last = self.lasts.iter().fold(0, |max, &last| max.max(last));
        Item { first: self.firsts[0], id: self.ids[0], last, link, earliest, latest }
    }

    /// Takes over what a summary has of the child at `position`, except where that begins.
    pub(super) fn summarise(&mut self, position: usize, summary: Item) {
        self.lasts[position] = summary.last;
        (self.earliest[position], self.latest[position]) = (summary.earliest, summary.latest);
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

    /// Puts `item` before the one at `position`. Asks for room.
    pub(super) fn insert(&mut self, position: usize, item: Item) {
        debug_assert!(self.len() < N);
        let len = self.len().min(N - 1);
        if position < len {
            self.firsts.copy_within(position..len, position + 1);
            self.lasts.copy_within(position..len, position + 1);
            self.links.copy_within(position..len, position + 1);
            if self.keeps_ids() {
                self.ids.copy_within(position..len, position + 1);
                self.earliest.copy_within(position..len, position + 1);
                self.latest.copy_within(position..len, position + 1);
            }
        }
        self.set(position, item);
        self.len += 1;
    }

    /// Takes the item at `position` out.
    #[inline]
    pub(super) fn remove(&mut self, position: usize) {
        let end = self.len() - 1;
        let mut at = position;
        while at < end {
            self.firsts[at] = self.firsts[at + 1];
            self.lasts[at] = self.lasts[at + 1];
            self.links[at] = self.links[at + 1];
            at += 1;
        }
        if self.keeps_ids() {
            self.ids.copy_within(position + 1..=end, position);
            self.earliest.copy_within(position + 1..=end, position);
            self.latest.copy_within(position + 1..=end, position);
        }
        self.set(end, Item::NONE);
        self.len -= 1;
    }

    /// Moves the items from position `from` on to the end of `to`, a node of the same tree and
    /// height that has room.
    pub(super) fn give(&mut self, from: usize, to: &mut Node) {
        let (here, there) = (from..self.len(), to.len());
        let all = there..there + here.len();
        to.firsts[all.clone()].copy_from_slice(&self.firsts[here.clone()]);
        to.lasts[all.clone()].copy_from_slice(&self.lasts[here.clone()]);
        to.links[all.clone()].copy_from_slice(&self.links[here.clone()]);
        if self.keeps_ids() {
            to.ids[all.clone()].copy_from_slice(&self.ids[here.clone()]);
            to.earliest[all.clone()].copy_from_slice(&self.earliest[here.clone()]);
            to.latest[all.clone()].copy_from_slice(&self.latest[here]);
        }
        to.len = all.end as u32;
        self.truncate(from);
    }

    /// Drops the items from position `len` on.
    pub(super) fn truncate(&mut self, len: usize) {
        let end = self.len();
        self.firsts[len..end].fill(Item::NONE.first);
        self.lasts[len..end].fill(Item::NONE.last);
        self.links[len..end].fill(Item::NONE.link);
        self.len = len as u32;
    }

    /// Puts the first `count` items behind all others.
    pub(super) fn rotate(&mut self, count: usize) {
        let len = self.len();
        self.firsts[..len].rotate_left(count);
        self.lasts[..len].rotate_left(count);
        self.links[..len].rotate_left(count);
        if self.keeps_ids() {
            self.ids[..len].rotate_left(count);
            self.earliest[..len].rotate_left(count);
            self.latest[..len].rotate_left(count);
        }
    }

    #[inline]
    fn set(&mut self, position: usize, item: Item) {
        (self.firsts[position], self.lasts[position], self.links[position]) =
            (item.first, item.last, item.link);
        if self.keeps_ids() {
            (self.ids[position], self.earliest[position], self.latest[position]) =
                (item.id, item.earliest, item.latest);
        }
    }
}
