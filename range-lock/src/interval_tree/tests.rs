//! The forest against sorted vectors, with every invariant recomputed from scratch after every
//! step.

use proptest::prelude::*;

use super::*;

impl<T, const TREES: usize, const RANKED: usize> Forest<T, TREES, RANKED> {
    /// Recomputes everything that the head of the module promises.
    fn check_invariants(&self) {
        let mut seen = Seen { slots: vec![false; self.slots.len()], nodes: vec![false; self.nodes.len()] };
        for (tree, &Tree { alone, root, .. }) in self.trees.iter().enumerate() {
            let is_occupied = self.occupied & (1 << tree) != 0;
            assert_eq!(is_occupied, alone != NIL || root != NIL, "links: a bit for each tree in use");
            if root != NIL {
                assert_eq!(alone, NIL, "links: nobody is alone beside a root");
                let node = self.node(root);
                assert_eq!(node.parent, NIL, "links: the root has no parent");
                assert!(
                    node.len() >= if node.is_bottom() { 1 } else { 2 },
                    "fill: the root has what it is for"
                );
                self.check_subtree(tree, root, (0, 0), (u64::MAX, u64::MAX), &mut seen);
            } else if alone != NIL {
                let slot = &self.slots[alone as usize];
                assert!(slot.value.is_some(), "links: who is alone has a value");
                assert_eq!(usize::from(slot.tree), tree, "links: a span knows its tree");
                seen.slots[alone as usize] = true;
            }
        }
        let mut apart = 0;
        for (slot, seen) in self.slots.iter().zip(&mut seen.slots) {
            let is_apart = slot.value.is_some() && usize::from(slot.tree) == Self::APART;
            assert!(!(is_apart && *seen), "links: what is apart is in no tree");
            *seen |= is_apart;
            apart += u32::from(is_apart);
        }
        assert_eq!(apart, self.apart, "links: what is apart is counted");
        let in_use = seen.slots.iter().filter(|seen| **seen).count();
        assert_eq!(in_use, self.len as usize, "links: the values are counted");
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
        assert!(seen.slots.into_iter().all(|seen| seen), "links: every slot is in a tree, apart or vacant");
        assert!(seen.nodes.into_iter().all(|seen| seen), "links: every node is in a tree or vacant");
        let room = nodes_for(self.slots.len(), TREES);
        assert!(self.nodes.len() <= room, "room: {} nodes for {} spans", self.nodes.len(), self.slots.len());
        assert!(self.nodes.capacity() >= room, "room: it is there before it is needed");
    }

    /// Checks the subtree of `at`, whose keys lie from `from` to `to`, and returns its largest
    /// `last`, and its smallest and largest rank.
    fn check_subtree(
        &self,
        tree: usize,
        at: u32,
        from: (u64, u64),
        to: (u64, u64),
        seen: &mut Seen,
    ) -> (u64, u64, u64) {
        let node = self.node(at);
        assert!(!std::mem::replace(&mut seen.nodes[at as usize], true), "links: a node is linked once");
        assert_eq!(usize::from(node.tree), tree, "links: a node knows its tree");
        assert_eq!(node.is_ranked, tree >= RANKED, "augmentation: a node knows whether it is ranked");
        let keys: Vec<_> = (0..node.len()).map(|item| (node.firsts[item], self.id(at, item))).collect();
        assert!(keys.is_sorted(), "order: keys do not decrease");
        assert!(from <= keys[0] && keys[node.len() - 1] <= to, "order: keys lie in their parent's part");
        let mut all = (0, u64::MAX, 0);
        for (position, &key) in keys.iter().enumerate() {
            let link = node.links[position];
            let last = node.lasts[position];
            let ranks = (self.ranks(at).earliest[position], self.ranks(at).latest[position]);
            if node.is_bottom() {
                let slot = &self.slots[link as usize];
                assert!(
                    !std::mem::replace(&mut seen.slots[link as usize], true),
                    "links: a slot is linked once"
                );
                assert!(slot.value.is_some(), "links: a span in the tree has a value");
                assert_eq!((slot.span.first, slot.id), key, "links: a slot has its key");
                assert_eq!(slot.span.last, last, "links: a slot has its span");
                assert_eq!(slot.node, at, "links: a span knows its node");
                assert_eq!(usize::from(slot.tree), tree, "links: a span knows its tree");
                assert!(!node.is_ranked || ranks == (slot.rank, slot.rank), "augmentation: a rank");
            } else {
                let child = self.node(link);
                assert_eq!(child.parent, at, "links: a child knows its parent");
                assert_eq!(child.height + 1, node.height, "fill: all bottom nodes are equally far down");
                assert!(child.len() >= MIN, "fill: {} items are too few", child.len());
                let to = keys.get(position + 1).copied().unwrap_or(to);
                let (max_last, earliest, latest) = self.check_subtree(tree, link, key, to, seen);
                assert_eq!(last, max_last, "augmentation: lasts are the children's largest");
                assert!(!node.is_ranked || ranks == (earliest, latest), "augmentation: ranks");
            }
            all = (all.0.max(last), all.1.min(ranks.0), all.2.max(ranks.1));
        }
        let unused = node.len()..N;
        assert!(unused.clone().all(|at| node.firsts[at] == u64::MAX), "order: the rest of a node is unused");
        assert!(unused.clone().all(|at| node.lasts[at] == 0), "augmentation: the rest of a node is unused");
        assert!(unused.clone().all(|at| node.links[at] == NIL), "links: the rest of a node is unused");
        all
    }
}

/// Two trees, of which the second is ranked.
type Two = Forest<u64, 2, 1>;

/// A key whose rank is its id, in a strange order.
fn key(span: Span, id: u64) -> Key {
    Key { span, id, rank: (id + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) }
}

/// What a check has come by.
struct Seen {
    slots: Vec<bool>,
    nodes: Vec<bool>,
}

#[derive(Clone, Debug)]
enum Step {
    /// Into a tree, or apart.
    Insert(usize, Span),
    /// Removes the one at this place among those present, modulo their number.
    Remove(usize),
    /// Moves it to the other tree, or from apart to the second.
    Move(usize),
    /// Gives it another span, if it is in a tree.
    Change(usize, Span),
    Overlapping(Span),
    Drain,
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
        60 => (0..=Two::APART, spans()).prop_map(|(tree, span)| Step::Insert(tree, span)),
        40 => any::<usize>().prop_map(Step::Remove),
        20 => any::<usize>().prop_map(Step::Move),
        10 => (any::<usize>(), spans()).prop_map(|(which, span)| Step::Change(which, span)),
        20 => spans().prop_map(Step::Overlapping),
        1 => Just(Step::Drain),
    ]
}

/// The oracle: tree, key, index and value of each span, in the order of their keys.
#[derive(Default)]
struct SortedVec(Vec<(usize, Key, u32, u64)>);

impl SortedVec {
    fn insert(&mut self, tree: usize, key: Key, index: u32, value: u64) {
        let at =
            self.0.partition_point(|(_, other, ..)| (other.span.first, other.id) <= (key.span.first, key.id));
        self.0.insert(at, (tree, key, index, value));
    }

    fn overlapping(&self, tree: usize, span: Span) -> Vec<u32> {
        let overlaps = |(of, key, ..): &&(usize, Key, u32, u64)| *of == tree && key.span.overlaps(span);
        self.0.iter().filter(overlaps).map(|&(_, _, index, _)| index).collect()
    }
}

fn check_searches(forest: &Two, oracle: &SortedVec, span: Span) {
    for tree in 0..2 {
        let due = oracle.overlapping(tree, span);
        assert_eq!(forest.overlapping(tree, span).collect::<Vec<_>>(), due, "what overlaps {span:?}");
        assert_eq!(forest.first_overlap(tree, span), due.first().copied());
        let some = forest.some_overlap(tree, span);
        assert!(some.is_some() != due.is_empty() && some.is_none_or(|some| due.contains(&some)));
    }
    let ranks = || oracle.0.iter().map(|(_, key, ..)| key.rank).chain([u64::MAX]);
    for before in ranks() {
        let due = oracle
            .overlapping(1, span)
            .into_iter()
            .filter(|&index| forest.get(index).unwrap().0.rank < before);
        let mut due: Vec<_> = due.collect();
        let mut all: Vec<_> = forest.overlapping_before(1, span, before).collect();
        due.sort_unstable();
        all.sort_unstable();
        assert_eq!(all, due, "what is before {before} over {span:?}");
        let found = forest.latest_before(1, span, before);
        let latest = due.iter().copied().max_by_key(|&index| forest.get(index).unwrap().0.rank);
        // With so few nodes all are visited.
        assert_eq!(found, latest, "the latest before {before} over {span:?}");
    }
}

fn run(steps: &[Step]) {
    let mut forest = Two::new();
    let mut oracle = SortedVec::default();
    for (value, step) in (0_u64..).zip(steps) {
        match *step {
            Step::Insert(tree, span) => {
                let key = key(span, value);
                let index = match tree {
                    Two::APART => forest.insert_apart(key, value),
                    _ => forest.insert_with(tree, key, || value),
                };
                oracle.insert(tree, key, index, value);
            }
            Step::Overlapping(span) => check_searches(&forest, &oracle, span),
            Step::Drain => {
                let mut drained: Vec<_> =
                    forest.drain().map(|(index, tree, key, value)| (tree, key, index, value)).collect();
                drained.sort_unstable_by_key(|(_, key, ..)| (key.span.first, key.id));
                assert_eq!(drained, std::mem::take(&mut oracle.0));
            }
            Step::Remove(_) | Step::Move(_) | Step::Change(..) if oracle.0.is_empty() => {}
            Step::Remove(which) => {
                let (tree, key, index, value) = oracle.0.remove(which % oracle.0.len());
                assert_eq!(forest.get(index), Some((key, &value)));
                check_found(&forest, tree, key, Some(index));
                forest.remove(index);
                assert_eq!(forest.get(index), None);
                check_found(&forest, tree, key, None);
            }
            Step::Move(which) => {
                let at = which % oracle.0.len();
                let (tree, _, index, _) = &mut oracle.0[at];
                *tree = if *tree == 1 { 0 } else { 1 };
                forest.move_to(*index, *tree);
            }
            Step::Change(which, _) if oracle.0[which % oracle.0.len()].0 == Two::APART => {}
            Step::Change(which, span) => {
                let (tree, mut key, index, value) = oracle.0.remove(which % oracle.0.len());
                key.span = span;
                forest.change(index, span, key.id);
                oracle.insert(tree, key, index, value);
            }
        }
        forest.check_invariants();
        for (tree, key, index, value) in &oracle.0 {
            assert_eq!(forest.get(*index), Some((*key, value)));
            assert_eq!(forest.tree_of(*index), *tree);
            check_found(&forest, *tree, *key, Some(*index));
        }
    }
}

/// What is in a tree is found by its key. What is apart is not.
fn check_found(forest: &Two, tree: usize, key: Key, due: Option<u32>) {
    for other in 0..2 {
        let found = forest.find(other, key.span.first, key.id);
        assert_eq!(found, due.filter(|_| other == tree), "{key:?} of tree {tree} in tree {other}");
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
    for tree in 0..2 {
        for first in [(|i| i) as First, |i| 1_000_000 - i, |_| 7] {
            let mut forest = Two::new();
            let span = |i| Span { first: first(i), last: first(i) + i % 5 };
            let indices: Vec<_> = (0..n).map(|i| forest.insert_with(tree, key(span(i), i), || i)).collect();
            forest.check_invariants();
            for (i, index) in (0..n).zip(indices).filter(|(i, _)| i % 3 != 0) {
                assert_eq!(forest.get(index), Some((key(span(i), i), &i)));
                assert_eq!(forest.find(tree, first(i), i), Some(index));
                forest.remove(index);
                forest.check_invariants();
            }
        }
    }
}

#[test]
fn a_vacated_place_is_used_again() {
    let mut forest = Two::new();
    for round in 0..100 {
        let a = forest.insert_with(0, key(Span { first: round, last: round }, 1), || 1);
        let b = forest.insert_with(0, key(Span { first: 0, last: round }, 2), || 2);
        let value = |index| forest.get(index).map(|(_, &value)| value);
        assert_eq!((value(a), value(b)), (Some(1), Some(2)));
        forest.remove(a);
        forest.remove(b);
    }
    assert_eq!((forest.slots.len(), forest.nodes.len()), (2, 1));
}

/// The checker must be able to fail: each planted fault breaks one promise, and is named by it.
/// The farther to the left, the later: so each node visited has a later one than the node before.
#[test]
fn a_search_for_the_latest_is_cut_short() {
    let mut forest = Two::new();
    for rank in 1..=2000 {
        let span = Span { first: 2000 - rank, last: 2000 };
        forest.insert_with(1, Key { span, id: rank, rank }, || rank);
    }
    let before = VISITS.get();
    let found = forest.latest_before(1, Span { first: 2000, last: 2000 }, 1900).expect("all overlap it");
    assert!(VISITS.get() - before <= 70, "{} visits", VISITS.get() - before);
    assert!(forest.get(found).unwrap().0.rank < 1900);
}

#[test]
fn planted_faults_are_caught() {
    fn caught(plant: fn(&mut Two)) -> String {
        let panic = std::panic::catch_unwind(|| {
            let mut tree = Two::new();
            for i in 0..20 {
                tree.insert_with(1, key(Span { first: i, last: i + 3 }, i), || i);
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
        let root = tree.trees[1].root;
        tree.node_mut(root).lasts[0] += 1;
    });
    assert!(message.contains("augmentation"), "{message}");
    let message = caught(|tree| {
        let root = tree.trees[1].root;
        tree.whole(root).ranks.latest[0] += 1;
    });
    assert!(message.contains("augmentation"), "{message}");
    let message = caught(|tree| {
        let below = tree.node(tree.trees[1].root).links[0];
        tree.node_mut(below).height = 1;
    });
    assert!(message.contains("fill"), "{message}");
    let message = caught(|tree| {
        let below = tree.node(tree.trees[1].root).links[0];
        tree.node_mut(below).firsts[0] = 1000;
    });
    assert!(message.contains("order"), "{message}");
    let message = caught(|tree| {
        let below = tree.node(tree.trees[1].root).links[0];
        tree.node_mut(below).parent = below;
    });
    assert!(message.contains("links"), "{message}");
    let message = caught(|tree| tree.vacant = 0);
    assert!(message.contains("links"), "{message}");
    let message =
        caught(|tree| tree.nodes = std::mem::take(&mut tree.nodes).into_iter().collect::<Box<[_]>>().into());
    assert!(message.contains("room"), "{message}");
}

/// An insertion begins in the node in which the last search for what overlaps ended, if the key
/// belongs there. In a ranked tree it never does: all nodes above have to know the rank.
#[test]
fn an_insertion_that_begins_where_a_search_ended_keeps_the_order() {
    let points = if cfg!(miri) { 12 } else { 60_u64 };
    let span = |at: u64| Span { first: at * 10, last: at * 10 + 4 };
    let cases = (0..points).flat_map(|at| [100, 1000, 2000, 3000].map(|id| (at, id)));
    for ((at, id), tree) in cases.flat_map(|case| [0, 2].map(|tree| (case, tree))) {
        for gap in [at * 10 + 5, (at * 10).wrapping_sub(1)] {
            let mut forest = Forest::<u64, 3, 1>::new();
            for (at, id) in (0..points).flat_map(|at| [500, 1500, 2500].map(|id| (at, id))) {
                forest.insert_with(tree, key(span(at), id), || 0);
            }
            assert!(!forest.overlaps(tree, Span { first: gap, last: gap }));
            forest.insert_with(tree, key(span(at), id), || 0);
            forest.check_invariants();
        }
    }
}

/// A run long enough for three levels, and back: nodes are cut, filled from their neighbours,
/// joined and given up.
#[test]
fn grows_and_shrinks_through_several_levels() {
    let n = if cfg!(miri) { 150 } else { 3000 };
    let mut forest = Two::new();
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
            // Several begin at one point, and their ids are in no order.
            let first = next(n) / 4 * 4;
            let key = key(Span { first, last: first + next(8) }, step.reverse_bits());
            let tree = next(2) as usize;
            let index = forest.insert_with(tree, key, || step);
            oracle.insert(tree, key, index, step);
        } else if !oracle.0.is_empty() {
            let (.., index, _) = oracle.0.remove(next(oracle.0.len() as u64) as usize);
            forest.remove(index);
        }
        if step % 16 == 0 {
            forest.check_invariants();
            let first = next(n);
            let span = Span { first, last: first + next(8) };
            let due = oracle.overlapping(0, span);
            assert_eq!(forest.overlapping(0, span).collect::<Vec<_>>(), due, "what overlaps {span:?}");
            let due = oracle.overlapping(1, span);
            let latest = due.iter().copied().max_by_key(|&index| forest.get(index).unwrap().0.rank);
            let found = forest.latest_before(1, span, u64::MAX);
            assert_eq!(found.is_some(), latest.is_some(), "one is found if there is one");
            assert!(found.is_none_or(|found| due.contains(&found)));
        }
    }
}
