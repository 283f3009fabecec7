//! The tree against a sorted vector, with every invariant recomputed from scratch after every step.

use proptest::prelude::*;

use super::*;

impl<T> IntervalTree<T> {
    /// Recomputes everything that the head of the module promises.
    fn check_invariants(&self) {
        let mut in_order = Vec::new();
        if self.root != NIL {
            assert_eq!(self.node(self.root).parent, NIL, "links: the root has no parent");
            assert!(!self.node(self.root).red, "colour: the root is black");
            self.check_subtree(self.root, &mut in_order);
        }
        assert!(
            in_order.windows(2).all(|w| self.node(w[0]).span.first <= self.node(w[1]).span.first),
            "order: an in-order walk meets non-decreasing firsts"
        );
        let mut seen = vec![false; self.nodes.len()];
        for at in in_order {
            assert!(!std::mem::replace(&mut seen[at as usize], true), "links: a node is linked once");
        }
        let mut at = self.vacant;
        while at != NIL {
            assert!(self.node(at).value.is_none(), "links: a vacant node has no value");
            assert!(!std::mem::replace(&mut seen[at as usize], true), "links: a vacant node is listed once");
            at = self.node(at).parent;
        }
        assert!(seen.into_iter().all(|seen| seen), "links: every node is in the tree or vacant");
    }

    /// Checks the subtree of `at`, appends its nodes in order, and returns its black height and largest `last`.
    fn check_subtree(&self, at: u32, in_order: &mut Vec<u32>) -> (u32, u64) {
        let node = self.node(at);
        assert!(node.value.is_some(), "links: a node in the tree has a value");
        let mut max_last = node.span.last;
        let mut check_child = |child: u32, in_order: &mut Vec<u32>| {
            if child == NIL {
                return 0;
            }
            assert_eq!(self.node(child).parent, at, "links: a child knows its parent");
            assert!(!(node.red && self.node(child).red), "colour: a red node has no red child");
            let (black_height, last) = self.check_subtree(child, in_order);
            max_last = max_last.max(last);
            black_height
        };
        let left = check_child(node.left, in_order);
        in_order.push(at);
        let right = check_child(node.right, in_order);
        assert_eq!(left, right, "colour: both sides have the same black height");
        assert_eq!(node.max_last, max_last, "augmentation: max_last is the subtree's largest last");
        (left + u32::from(!node.red), max_last)
    }
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
                assert_eq!(tree.get(index), Some(&value));
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
            assert_eq!(tree.get(index), Some(&i));
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
        assert_eq!((tree.get(a), tree.get(b)), (Some(&'a'), Some(&'b')));
        tree.remove(a);
        tree.remove(b);
    }
    assert_eq!(tree.nodes.len(), 2);
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
        tree.node_mut(root).max_last += 1;
    });
    assert!(message.contains("augmentation"), "{message}");
    let message = caught(|tree| {
        let left = tree.node(tree.root).left;
        tree.node_mut(left).red ^= true;
    });
    assert!(message.contains("colour"), "{message}");
    let message = caught(|tree| {
        let left = tree.node(tree.root).left;
        tree.node_mut(left).span.first = 1000;
    });
    assert!(message.contains("order"), "{message}");
    let message = caught(|tree| tree.vacant = tree.root);
    assert!(message.contains("links"), "{message}");
}
