//! An interval tree: a treap by start, in which each node knows the largest end below it. Each
//! request has a node, which its index names.

use std::ops::Range;

const NONE: u32 = u32::MAX;

/// The part of a request that the tree uses.
#[derive(Clone, Debug)]
pub(crate) struct Links {
    start: u64,
    end: u64,
    largest_end: u64,
    left: u32,
    right: u32,
}

impl Default for Links {
    fn default() -> Self {
        Links { start: 0, end: 0, largest_end: 0, left: NONE, right: NONE }
    }
}

/// Access to the nodes.
pub(crate) trait Nodes {
    /// The links of a node. Called under the lock of the tree.
    fn links(&mut self, index: u32) -> &mut Links;
}

/// The root of a tree.
#[derive(Debug)]
pub(crate) struct Treap(u32);

/// The priority of a node.
fn priority(index: u32) -> u32 {
    index.wrapping_add(1).wrapping_mul(0x9E37_79B9).rotate_left(15).wrapping_mul(0x85EB_CA6B)
}

fn largest_end(nodes: &mut impl Nodes, index: u32) -> u64 {
    if index == NONE { 0 } else { nodes.links(index).largest_end }
}

fn update(nodes: &mut impl Nodes, index: u32) {
    let Links { end, left, right, .. } = *nodes.links(index);
    let below = largest_end(nodes, left).max(largest_end(nodes, right));
    nodes.links(index).largest_end = end.max(below);
}

/// Splits into what lies before `key` and the rest. Nodes of one start are ordered by their
/// indices.
fn split(nodes: &mut impl Nodes, root: u32, key: (u64, u32)) -> (u32, u32) {
    if root == NONE {
        return (NONE, NONE);
    }
    let Links { start, left, right, .. } = *nodes.links(root);
    if (start, root) < key {
        let (before, after) = split(nodes, right, key);
        nodes.links(root).right = before;
        update(nodes, root);
        (root, after)
    } else {
        let (before, after) = split(nodes, left, key);
        nodes.links(root).left = after;
        update(nodes, root);
        (before, root)
    }
}

/// Joins two trees. The first lies before the second.
fn merge(nodes: &mut impl Nodes, left: u32, right: u32) -> u32 {
    if left == NONE {
        return right;
    }
    if right == NONE {
        return left;
    }
    let (root, below) = if priority(left) > priority(right) {
        let between = nodes.links(left).right;
        (left, merge(nodes, between, right))
    } else {
        let between = nodes.links(right).left;
        (right, merge(nodes, left, between))
    };
    if root == left {
        nodes.links(root).right = below;
    } else {
        nodes.links(root).left = below;
    }
    update(nodes, root);
    root
}

fn insert<N: Nodes>(nodes: &mut N, root: u32, index: u32, key: (u64, u32)) -> u32 {
    if root == NONE || priority(index) > priority(root) {
        let (left, right) = split(nodes, root, key);
        let links = nodes.links(index);
        (links.left, links.right) = (left, right);
        update(nodes, index);
        return index;
    }
    below(nodes, root, key, |nodes, child| insert(nodes, child, index, key))
}

fn remove<N: Nodes>(nodes: &mut N, root: u32, index: u32, key: (u64, u32)) -> u32 {
    if root == index {
        let Links { left, right, .. } = *nodes.links(root);
        return merge(nodes, left, right);
    }
    below(nodes, root, key, |nodes, child| remove(nodes, child, index, key))
}

/// Replaces the child of `root` to which `key` belongs by what `change` makes of it.
fn below<N: Nodes>(
    nodes: &mut N,
    root: u32,
    key: (u64, u32),
    change: impl FnOnce(&mut N, u32) -> u32,
) -> u32 {
    let Links { start, left, right, .. } = *nodes.links(root);
    if (start, root) < key {
        let child = change(nodes, right);
        nodes.links(root).right = child;
    } else {
        let child = change(nodes, left);
        nodes.links(root).left = child;
    }
    update(nodes, root);
    root
}

fn visit(nodes: &mut impl Nodes, root: u32, range: &Range<u64>, found: &mut Vec<u32>) {
    if largest_end(nodes, root) <= range.start {
        return;
    }
    let Links { start, end, left, right, .. } = *nodes.links(root);
    visit(nodes, left, range, found);
    if start < range.end {
        if end > range.start {
            found.push(root);
        }
        visit(nodes, right, range, found);
    }
}

impl Treap {
    pub(crate) const EMPTY: Treap = Treap(NONE);

    /// Enters a node that is not in the tree.
    pub(crate) fn insert(&mut self, nodes: &mut impl Nodes, index: u32, range: &Range<u64>) {
        let links = nodes.links(index);
        (links.start, links.end) = (range.start, range.end);
        self.0 = insert(nodes, self.0, index, (range.start, index));
    }

    /// Takes out a node that is in the tree.
    pub(crate) fn remove(&mut self, nodes: &mut impl Nodes, index: u32) {
        let key = (nodes.links(index).start, index);
        self.0 = remove(nodes, self.0, index, key);
    }

    /// Puts the nodes that overlap `range` into `found`, by their starts.
    pub(crate) fn overlapping(&self, nodes: &mut impl Nodes, range: &Range<u64>, found: &mut Vec<u32>) {
        found.clear();
        visit(nodes, self.0, range, found);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Nodes for Vec<Links> {
        fn links(&mut self, index: u32) -> &mut Links {
            &mut self[index as usize]
        }
    }

    #[test]
    fn it_finds_what_a_list_finds() {
        const NODES: u32 = 200;
        let mut nodes = vec![Links::default(); NODES as usize];
        let mut tree = Treap::EMPTY;
        let mut list: Vec<Option<Range<u64>>> = vec![None; NODES as usize];
        let mut random = 1_u64;
        let mut next = |below: u64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) % below
        };
        let mut found = Vec::new();
        for _ in 0..20_000 {
            let index = next(u64::from(NODES)) as u32;
            let start = next(1000);
            let range = start..start + 1 + next(30);
            match list[index as usize].take() {
                Some(_) => tree.remove(&mut nodes, index),
                None => {
                    tree.insert(&mut nodes, index, &range);
                    list[index as usize] = Some(range.clone());
                }
            }
            tree.overlapping(&mut nodes, &range, &mut found);
            found.sort_unstable();
            let overlaps = |i: &u32| {
                list[*i as usize].as_ref().is_some_and(|r| r.start < range.end && range.start < r.end)
            };
            assert_eq!(found, (0..NODES).filter(overlaps).collect::<Vec<_>>());
        }
    }
}
