//! Watches: waiting until a range is free, for certain entries of a leaf. A *watch* keeps no
//! request out. See "Watches" in the [parent](super).

use std::collections::{BTreeMap, BTreeSet};

use super::Leaf;
use super::restructure::Move;
use crate::claim::{Claim, Hold};
use crate::ids::RequestId;
use crate::mode::Mode;
use crate::span::Span;
use crate::sync::Arc;
use crate::waiter::{Lowered, Waiter, WakeList};

/// The watches of a leaf.
#[derive(Debug, Default)]
pub(super) struct Watches {
    /// Which watch waits for which entry: the entry's request and first point, and the watch.
    pairs: BTreeSet<(u64, u64, u64)>,
    watches: BTreeMap<u64, Watch>,
}

/// A call that waits until a range is free, as far as it waits for entries of this leaf.
#[derive(Debug)]
struct Watch {
    claim: Claim,
    /// Has a share of the count for each leaf in which the watch is.
    waiter: Arc<Waiter>,
    /// How many pairs it is in. Never zero between two calls.
    awaited: usize,
}

impl Watches {
    /// Lets `watch`, which is in this leaf, wait for an entry. Returns `false` if it does already.
    fn add(&mut self, entry: (u64, u64), number: u64) -> bool {
        let is_new = self.pairs.insert((entry.0, entry.1, number));
        if is_new {
            self.watches.get_mut(&number).expect("a pair's watch is in the leaf").awaited += 1;
        }
        is_new
    }

    /// The watches that wait for an entry do so no longer. Returns their numbers.
    fn take(&mut self, (id, first): (u64, u64)) -> Vec<u64> {
        let pairs: Vec<_> = self.pairs.range((id, first, 0)..=(id, first, u64::MAX)).copied().collect();
        for pair in &pairs {
            self.pairs.remove(pair);
            self.watches.get_mut(&pair.2).expect("a pair's watch is in the leaf").awaited -= 1;
        }
        pairs.into_iter().map(|(.., number)| number).collect()
    }

    /// Takes out a watch if it waits for nothing here.
    fn take_done(&mut self, number: u64) -> Option<Arc<Waiter>> {
        self.watches.get(&number).filter(|watch| watch.awaited == 0)?;
        self.watches.remove(&number).map(|watch| watch.waiter)
    }

    fn claim(&self, number: u64) -> Claim {
        self.watches[&number].claim
    }
}

impl Leaf {
    /// Begins a watch: notes all entries here that conflict with `claim`, and gives the watch a
    /// share of its count if there are any.
    pub(crate) fn begin_watch(&mut self, number: u64, claim: Claim, waiter: &Arc<Waiter>) {
        let in_the_way = self.entries_over(claim.span).filter(|entry| entry.mode.conflicts(claim.mode));
        let pairs: Vec<_> = in_the_way.map(|entry| (entry.id.get(), entry.span.first)).collect();
        if pairs.is_empty() {
            return;
        }
        waiter.keep_out();
        self.put_watch(number, claim, Arc::clone(waiter));
        let watches = self.watches().expect("one has just been put there");
        pairs.into_iter().for_each(|entry| _ = watches.add(entry, number));
    }

    /// Takes back a watch that has not come to its end. Its count is of no use any more.
    pub(crate) fn end_watch(&mut self, number: u64, claim: Claim) {
        let entries = self.entries_over(claim.span);
        let entries: Vec<_> = entries.map(|entry| (entry.id.get(), entry.span.first)).collect();
        let Some(watches) = self.watches() else { return };
        for (id, first) in entries {
            watches.pairs.remove(&(id, first, number));
        }
        if watches.watches.remove(&number).is_some() {
            self.registered -= 1;
            self.forget_no_watches();
        }
    }

    /// An entry has become `now`, some of which may lie beside this leaf: lets go of the watches
    /// that waited for it and need not any more. To be called when the entry has been changed.
    pub(super) fn note_change(&mut self, was: &Hold, now: &[(RequestId, Span, Mode)], wakes: &mut WakeList) {
        let bounds = self.bounds;
        let Some(watches) = self.watches() else { return };
        let numbers = watches.take((was.key.id.get(), was.span.first));
        let mut ended = 0;
        for number in numbers {
            let claim = watches.claim(number);
            for &(id, span, mode) in now {
                if bounds.meet(span) && span.overlaps(claim.span) && mode.conflicts(claim.mode) {
                    watches.add((id.get(), span.first), number);
                }
            }
            if let Some(waiter) = watches.take_done(number) {
                ended += 1;
                match waiter.lower() {
                    Lowered::ToBeWoken => wakes.push(&waiter),
                    Lowered::Done => {}
                }
            }
        }
        self.registered -= ended;
        self.forget_no_watches();
    }

    /// The watches of entries that `right`, which begins at `mid`, has from now on as far as they
    /// lie there.
    pub(super) fn cut_watches(&mut self, mid: u64, moves: &[Move], right: &mut Leaf) {
        let Some(watches) = self.watches() else { return };
        let mut touched = BTreeSet::new();
        for moved in moves {
            let entry = moved.entry();
            for number in watches.take(entry) {
                touched.insert(number);
                let claim = watches.claim(number);
                let (first, last) =
                    (moved.span.first.max(claim.span.first), moved.span.last.min(claim.span.last));
                if first < mid {
                    watches.add(entry, number);
                }
                if mid <= last {
                    let is_there = right.watches().is_some_and(|there| there.watches.contains_key(&number));
                    if !is_there {
                        // It waits here too until it is taken out below.
                        let waiter = Arc::clone(&watches.watches[&number].waiter);
                        waiter.keep_out();
                        right.put_watch(number, claim, waiter);
                    }
                    right.watches().expect("it is there").add(entry, number);
                }
            }
        }
        let mut left = 0;
        for number in touched {
            if let Some(waiter) = watches.take_done(number) {
                left += 1;
                let lowered = waiter.lower();
                debug_assert!(lowered == Lowered::Done, "it waits in the right half");
            }
        }
        self.registered -= left;
        self.forget_no_watches();
    }

    /// Takes over the watches of `right`. One that is in both leaves keeps one share of its count.
    pub(super) fn join_watches(&mut self, right: &mut Leaf) {
        let Some(there) = right.rest.as_mut().and_then(|rest| rest.watches.take()) else { return };
        for (number, Watch { claim, waiter, .. }) in there.watches {
            if self.watches().is_some_and(|here| here.watches.contains_key(&number)) {
                let lowered = waiter.lower();
                debug_assert!(lowered == Lowered::Done, "it waits here");
            } else {
                self.put_watch(number, claim, waiter);
            }
        }
        if let Some(here) = self.watches() {
            there.pairs.into_iter().for_each(|(id, first, number)| _ = here.add((id, first), number));
        }
    }

    fn put_watch(&mut self, number: u64, claim: Claim, waiter: Arc<Waiter>) {
        self.registered += 1;
        let watches = self.rest().watches.get_or_insert_with(Box::default);
        watches.watches.insert(number, Watch { claim, waiter, awaited: 0 });
    }

    fn watches(&mut self) -> Option<&mut Watches> {
        self.rest.as_mut()?.watches.as_deref_mut()
    }

    fn forget_no_watches(&mut self) {
        if let Some(rest) = &mut self.rest {
            rest.watches = rest.watches.take().filter(|watches| !watches.watches.is_empty());
        }
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
impl Leaf {
    /// Asserts what is said of watches, as far as one leaf goes. Returns each with its record.
    pub(super) fn check_watches(&self) -> Vec<(u64, Arc<Waiter>)> {
        let Some(watches) = self.rest.as_ref().and_then(|rest| rest.watches.as_deref()) else {
            return Vec::new();
        };
        for &(id, first, number) in &watches.pairs {
            let claim = watches.watches[&number].claim;
            let mut entries = self.entries_over(claim.span);
            let entry = entries.find(|entry| entry.id.get() == id && entry.span.first == first);
            let entry = entry.expect("watches: what is awaited is there and overlaps");
            let first = entry.span.first.max(claim.span.first);
            let common = Span { first, last: entry.span.last.min(claim.span.last) };
            assert!(self.bounds.meet(common), "watches: the overlap has a point here");
            assert!(entry.mode.conflicts(claim.mode), "watches: what is awaited conflicts");
        }
        let awaited = |number| watches.pairs.iter().filter(|pair| pair.2 == number).count();
        let is_exact =
            |(&number, watch): (&u64, &Watch)| watch.awaited == awaited(number) && watch.awaited > 0;
        assert!(watches.watches.iter().all(is_exact), "watches: each awaits something");
        watches.watches.iter().map(|(&number, watch)| (number, Arc::clone(&watch.waiter))).collect()
    }
}
