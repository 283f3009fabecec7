//! The tree against a sorted vector, with every invariant recomputed from scratch after every step.

use proptest::prelude::*;

use super::*;

impl<T> IntervalTree<T> {
    /// Recomputes everything that the head of the module promises.
    fn check_invariants(&self) {
        let mut seen = Seen { slots: vec![false; self.slots.len()], nodes: vec![false; self.nodes.len()] };
        if self.root != NIL {
            assert_eq!(self.alone, NIL, "links: nobody is alone beside a root");
            let root = self.node(self.root);
            assert_eq!(root.parent, NIL, "links: the root has no parent");
            assert!(root.len() >= if root.is_bottom() { 1 } else { 2 }, "fill: the root has what it is for");
            self.check_subtree(self.root, 0, u64::MAX, &mut seen);
        } else if self.alone != NIL {
            assert!(self.slots[self.alone as usize].value.is_some(), "links: who is alone has a value");
            seen.slots[self.alone as usize] = true;
        }
        let mut at = self.vacant;
        while at != NIL {
            let slot = &self.slots[at as usize];
            assert!(slot.value.is_none(), "links: a vacant slot has no value");
            assert!(
                !std::mem::replace(&mut seen.slots[at as usize], true),
                "links: a vacant slot is listed once"
            );
            at = slot.node;
        }
        let mut at = self.vacant_nodes;
        while at != NIL {
            assert_eq!(self.node(at).len(), 0, "links: a vacant node has no items");
            assert!(
                !std::mem::replace(&mut seen.nodes[at as usize], true),
                "links: a vacant node is listed once"
            );
            at = self.node(at).parent;
        }
        assert!(seen.slots.into_iter().all(|seen| seen), "links: every slot is in the tree or vacant");
        assert!(seen.nodes.into_iter().all(|seen| seen), "links: every node is in the tree or vacant");
        let room = nodes_for(self.slots.len());
        assert!(self.nodes.len() <= room, "room: {} nodes for {} spans", self.nodes.len(), self.slots.len());
        assert!(self.nodes.capacity() >= room, "room: it is there before it is needed");
    }

    /// Checks the subtree of `at`, in which spans begin from `from` to `to`, and returns its largest `last`.
    fn check_subtree(&self, at: u32, from: u64, to: u64, seen: &mut Seen) -> u64 {
        let node = self.node(at);
        assert!(!std::mem::replace(&mut seen.nodes[at as usize], true), "links: a node is linked once");
        let (firsts, lasts) = (&node.firsts[..node.len()], &node.lasts[..node.len()]);
        assert!(firsts.is_sorted(), "order: firsts do not decrease");
        assert!(
            from <= firsts[0] && firsts[node.len() - 1] <= to,
            "order: firsts lie in their parent's part"
        );
        for (position, (&first, &last)) in firsts.iter().zip(lasts).enumerate() {
            let link = node.links[position];
            if node.is_bottom() {
                let slot = &self.slots[link as usize];
                assert!(
                    !std::mem::replace(&mut seen.slots[link as usize], true),
                    "links: a slot is linked once"
                );
                assert!(slot.value.is_some(), "links: a span in the tree has a value");
                assert_eq!((slot.span.first, slot.span.last), (first, last), "links: a slot has its span");
                assert_eq!(slot.node, at, "links: a span knows its node");
            } else {
                let child = self.node(link);
                assert_eq!(child.parent, at, "links: a child knows its parent");
                assert_eq!(child.height + 1, node.height, "fill: all bottom nodes are equally far down");
                assert!(child.len() >= MIN, "fill: {} items are too few", child.len());
                let to = firsts.get(position + 1).copied().unwrap_or(to);
                let max_last = self.check_subtree(link, first, to, seen);
                assert_eq!(last, max_last, "augmentation: lasts are the children's largest");
            }
        }
        let unused = node.len()..N;
        assert!(unused.clone().all(|at| node.firsts[at] == u64::MAX), "order: the rest of a node is unused");
        assert!(unused.clone().all(|at| node.lasts[at] == 0), "augmentation: the rest of a node is unused");
        assert!(unused.clone().all(|at| node.links[at] == NIL), "links: the rest of a node is unused");
        lasts.iter().copied().max().unwrap_or(0)
    }
}

/// What a check has come by.
struct Seen {
    slots: Vec<bool>,
    nodes: Vec<bool>,
}

#[derive(Clone, Debug)]
enum Step {
    Insert(Span),
    /// Removes the one at this place among those present, modulo their number.
    Remove(usize),
    Overlapping(Span),
}

/// Spans that crowd together, with a few at the edges of the domain.
fn spans() -> impl Strategy<Value = Span> {
    prop_oneof![
        8 => (0_u64..64, 0_u64..24).prop_map(|(first, more)| Span { first, last: first + more }),
        1 => (0_u64..64).prop_map(|first| Span { first, last: u64::MAX }),
        1 => (0_u64..4).prop_map(|back| Span { first: u64::MAX - back, last: u64::MAX }),
        1 => Just(Span::WHOLE),
    ]
}

fn steps() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => spans().prop_map(Step::Insert),
        4 => any::<usize>().prop_map(Step::Remove),
        2 => spans().prop_map(Step::Overlapping),
    ]
}

/// The oracle: spans sorted by `first`, equal ones in order of arrival, each with the tree's index and a value.
#[derive(Default)]
struct SortedVec(Vec<(Span, u32, u64)>);

impl SortedVec {
    fn insert(&mut self, span: Span, index: u32, value: u64) {
        let at = self.0.partition_point(|(other, ..)| other.first <= span.first);
        self.0.insert(at, (span, index, value));
    }

    fn overlapping(&self, span: Span) -> Vec<(u32, Span, u64)> {
        self.0
            .iter()
            .filter(|(other, ..)| other.overlaps(span))
            .map(|&(other, index, value)| (index, other, value))
            .collect()
    }
}

fn run(steps: &[Step]) {
    let mut tree = IntervalTree::new();
    let mut oracle = SortedVec::default();
    for (value, step) in (0_u64..).zip(steps) {
        match *step {
            Step::Insert(span) => {
                let index = tree.insert(span, value);
                oracle.insert(span, index, value);
            }
            Step::Remove(_) if oracle.0.is_empty() => {}
            Step::Remove(which) => {
                let (_, index, value) = oracle.0.remove(which % oracle.0.len());
                assert_eq!(tree.get(index).map(|(_, &value)| value), Some(value));
                tree.remove(index);
                assert_eq!(tree.get(index), None);
            }
            Step::Overlapping(span) => {
                let found: Vec<_> = tree.overlapping(span).map(|(i, s, &v)| (i, s, v)).collect();
                assert_eq!(found, oracle.overlapping(span), "what overlaps {span:?}");
            }
        }
        tree.check_invariants();
        let all: Vec<_> = tree.overlapping(Span::WHOLE).map(|(i, s, &v)| (i, s, v)).collect();
        assert_eq!(all, oracle.overlapping(Span::WHOLE));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: if cfg!(miri) { 4 } else { 512 }, ..ProptestConfig::default() })]

    #[test]
    fn agrees_with_a_sorted_vec(steps in prop::collection::vec(steps(), 0..200)) {
        run(&steps);
    }
}

#[test]
fn ascending_descending_and_equal_keys() {
    let n = if cfg!(miri) { 40 } else { 1000 };
    type First = fn(u64) -> u64;
    for first in [(|i| i) as First, |i| 1_000_000 - i, |_| 7] {
        let mut tree = IntervalTree::new();
        let indices: Vec<_> =
            (0..n).map(|i| tree.insert(Span { first: first(i), last: first(i) + i % 5 }, i)).collect();
        tree.check_invariants();
        for (i, index) in (0..n).zip(indices).filter(|(i, _)| i % 3 != 0) {
            assert_eq!(tree.get(index), Some((Span { first: first(i), last: first(i) + i % 5 }, &i)));
            tree.remove(index);
            tree.check_invariants();
        }
    }
}

#[test]
fn a_vacated_place_is_used_again() {
    let mut tree = IntervalTree::new();
    for round in 0..100 {
        let a = tree.insert(Span { first: round, last: round }, 'a');
        let b = tree.insert(Span { first: 0, last: round }, 'b');
        let value = |index| tree.get(index).map(|(_, &value)| value);
        assert_eq!((value(a), value(b)), (Some('a'), Some('b')));
        tree.remove(a);
        tree.remove(b);
    }
    assert_eq!((tree.slots.len(), tree.nodes.len()), (2, 1));
}

/// The checker must be able to fail: each planted fault breaks one promise, and is named by it.
#[test]
fn planted_faults_are_caught() {
    fn caught(plant: fn(&mut IntervalTree<u64>)) -> String {
        let panic = std::panic::catch_unwind(|| {
            let mut tree = IntervalTree::new();
            for i in 0..20 {
                tree.insert(Span { first: i, last: i + 3 }, i);
            }
            plant(&mut tree);
            tree.check_invariants();
        });
        let payload = panic.expect_err("the planted fault was missed");
        match payload.downcast_ref::<&str>() {
            Some(message) => message.to_string(),
            None => *payload.downcast::<String>().expect("a panic message is a string"),
        }
    }
    let message = caught(|tree| {
        let root = tree.root;
        tree.node_mut(root).lasts[0] += 1;
    });
    assert!(message.contains("augmentation"), "{message}");
    let message = caught(|tree| {
        let below = tree.node(tree.root).links[0];
        tree.node_mut(below).height = 1;
    });
    assert!(message.contains("fill"), "{message}");
    let message = caught(|tree| {
        let below = tree.node(tree.root).links[0];
        tree.node_mut(below).firsts[0] = 1000;
    });
    assert!(message.contains("order"), "{message}");
    let message = caught(|tree| {
        let below = tree.node(tree.root).links[0];
        tree.node_mut(below).parent = below;
    });
    assert!(message.contains("links"), "{message}");
    let message = caught(|tree| tree.vacant = 0);
    assert!(message.contains("links"), "{message}");
    let message =
        caught(|tree| tree.nodes = std::mem::take(&mut tree.nodes).into_iter().collect::<Box<[_]>>().into());
    assert!(message.contains("room"), "{message}");
}

/// A run long enough for three levels, and back: nodes are cut, filled from their neighbours, joined and given up.
#[test]
fn grows_and_shrinks_through_several_levels() {
    let n = if cfg!(miri) { 150 } else { 3000 };
    let mut tree = IntervalTree::new();
    let mut oracle = SortedVec::default();
    let mut random = 1_u64;
    let mut next = |below: u64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % below
    };
    for step in 0..4 * n {
        // More comings than goings for the first half, then the other way round.
        let grows = next(10) < if step < 2 * n { 8 } else { 2 };
        if grows {
            let first = next(n);
            let span = Span { first, last: first + next(8) };
            let index = tree.insert(span, step);
            oracle.insert(span, index, step);
        } else if !oracle.0.is_empty() {
            let (_, index, _) = oracle.0.remove(next(oracle.0.len() as u64) as usize);
            tree.remove(index);
        }
        if step % 16 == 0 {
            tree.check_invariants();
            let first = next(n);
            let span = Span { first, last: first + next(8) };
            let found: Vec<_> = tree.overlapping(span).map(|(i, s, &v)| (i, s, v)).collect();
            assert_eq!(found, oracle.overlapping(span), "what overlaps {span:?}");
        }
    }
}
