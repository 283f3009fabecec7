//! One leaf: the requests for one part of the domain, granted and waiting alike, in one interval tree.
//!
//! This is Davidlohr Bueso's range lock ("Introduce range reader/writer lock", linux-mm, 20 May 2019; the counting rule
//! is Jan Kara's, 2013): a request counts the conflicting ones that it finds, waits until that count is zero, and
//! whoever leaves takes itself out of the counts of those that counted it.
//!
//! A leaf knows the bounds of its part, so that several leaves can stand side by side: an entry carries the exact span of
//! its request, also where that reaches beyond the leaf. All functions here are called under the leaf's mutex; one that
//! concerns a request in several leaves is called under all their mutexes, for each leaf in turn.
//!
//! # What is counted
//!
//! A *pair* is an entry's span and another request's span that overlap, in modes that conflict. The blocking count of a
//! request is the number of its pairs with
//!
//! * requests that are held (an upgrade that waits counts as held for writing), and
//! * requests that wait and entered before it.
//!
//! Each pair is counted once, in **the leaf in which its overlap begins**. The following hold between any two calls, and
//! `check_counts` recomputes them in the tests:
//!
//! * **held alone**: no two held entries conflict;
//! * **exact**: a waiting request's count is the number defined above, and is not zero;
//! * **queued**: `queued` is the number of entries with a [`Queued`].

use crossbeam_utils::atomic::AtomicCell;

#[cfg(feature = "deadlock_detection")]
use crate::deadlock::Owner;
use crate::interval_tree::IntervalTree;
use crate::request::{Claim, Hold, Key, Mode, RequestId};
use crate::span::Span;
#[cfg(feature = "stats")]
use crate::stats::Stats;
use crate::sync::Arc;
use crate::waiter::{Lowered, Waiter, WakeList};

/// The requests for one part of the domain; see the [module](self).
#[derive(Debug)]
pub(crate) struct Leaf {
    bounds: Span,
    entries: IntervalTree<Entry>,
    /// How many entries have a [`Queued`]. While there are none, nobody need be told of anything.
    queued: usize,
    last_id: u64,
    /// Records of requests that are gone, to be used again.
    spare: Vec<Arc<Waiter>>,
    #[cfg(feature = "stats")]
    pub(crate) stats: Stats,
}

/// One span of one request.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) id: RequestId,
    pub(crate) mode: Mode,
    /// Set if the request had to wait. It still does while the waiter's count is not zero.
    pub(crate) queued: Option<Queued>,
    /// Who made the request; whoever has its guard by now is not known.
    #[cfg(feature = "deadlock_detection")]
    pub(crate) owner: Owner,
}

/// What an entry has more if its request had to wait.
#[derive(Clone, Debug)]
pub(crate) struct Queued {
    pub(crate) order: Order,
    pub(crate) waiter: Arc<Waiter>,
    /// Whether this entry keeps the record for the next request: of a request's entries one does, since a record that is
    /// spare twice is never seen to be held by nobody else.
    pub(crate) keeps: bool,
}

impl Queued {
    /// The same for another entry of the request.
    pub(crate) fn again(&self) -> Queued {
        Queued { keeps: false, ..self.clone() }
    }
}

/// The place of a waiting request among those that wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Order(u64);

impl Order {
    /// Upgrades pass all requests that wait.
    pub(crate) const UPGRADE: Order = Order(0);

    /// The place behind all that have been drawn. To be drawn under the mutexes of all the leaves that the request
    /// enters, so that it is behind whatever waits there.
    fn draw() -> Order {
        /// One for the whole process, since a request may wait in several locks. Only those that wait come here.
        static LAST: AtomicCell<u64> = AtomicCell::new(0);
        Order(LAST.fetch_add(1) + 1)
    }
}

impl Entry {
    #[inline]
    fn new(id: RequestId, mode: Mode, queued: Option<Queued>) -> Self {
        Entry {
            id,
            mode,
            queued,
            #[cfg(feature = "deadlock_detection")]
            owner: Owner::current(),
        }
    }

    /// The entry of request `id`, which holds what this one does, or a part of it.
    fn held_as(&self, id: RequestId) -> Entry {
        Entry {
            id,
            mode: self.mode,
            queued: None,
            #[cfg(feature = "deadlock_detection")]
            owner: self.owner,
        }
    }

    /// Whether it waits to be admitted or to be upgraded.
    pub(crate) fn waits(&self) -> bool {
        self.queued.as_ref().is_some_and(|queued| !queued.waiter.is_granted())
    }

    /// Whether it has its range: in its own mode, or, if it waits for an upgrade, in the one before.
    pub(crate) fn is_held(&self) -> bool {
        self.queued.as_ref().is_none_or(|queued| queued.order == Order::UPGRADE || queued.waiter.is_granted())
    }
}

impl Leaf {
    /// A leaf for the whole domain; allocates nothing.
    pub(crate) const fn new() -> Self {
        Leaf {
            bounds: Span::WHOLE,
            entries: IntervalTree::new(),
            queued: 0,
            last_id: 0,
            spare: Vec::new(),
            #[cfg(feature = "stats")]
            stats: Stats::new(),
        }
    }

    /// The number of pairs that a request with `claim` would have to wait for: all conflicting ones, since all in the
    /// leaf are earlier.
    #[inline]
    pub(crate) fn blocking(&self, claim: Claim) -> usize {
        if self.entries.is_empty() {
            return 0; // The usual case.
        }
        self.counted_here(claim.span).filter(|(_, entry)| entry.mode.conflicts(claim.mode)).count()
    }

    /// Enters a request that nothing blocks.
    #[inline]
    pub(crate) fn insert_granted(&mut self, claim: Claim) -> Key {
        let id = self.draw_id();
        self.insert(id, claim, None)
    }

    /// Enters a request that has to wait.
    pub(crate) fn insert_waiting(&mut self, claim: Claim, queued: Queued) -> Key {
        let id = self.draw_id();
        self.insert(id, claim, Some(queued))
    }

    /// The id of a new request.
    #[inline]
    pub(crate) fn draw_id(&mut self) -> RequestId {
        let id = RequestId::after(self.last_id);
        self.last_id = id.get();
        id
    }

    /// Enters one span of request `id`, which, if it has others here, has no point in common with them.
    #[inline]
    pub(crate) fn insert(&mut self, id: RequestId, claim: Claim, queued: Option<Queued>) -> Key {
        self.queued += usize::from(queued.is_some());
        Key { id, slot: self.entries.insert(claim.span, Entry::new(id, claim.mode, queued)) }
    }

    /// Enters what a held request becomes.
    fn insert_held(&mut self, span: Span, entry: Entry) -> Hold {
        Hold { span, key: Key { id: entry.id, slot: self.entries.insert(span, entry) } }
    }

    /// The record for a new request behind all that wait, with `blocking` pairs before it.
    pub(crate) fn queue(&mut self, blocking: usize) -> Queued {
        Queued { order: Order::draw(), waiter: self.waiter(blocking), keeps: true }
    }

    /// A record that nobody else holds: a spare one if there is.
    fn waiter(&mut self, blocking: usize) -> Arc<Waiter> {
        /// A spare record may still be held by whoever woke its last user; a few looks suffice to find another.
        const LOOKS: usize = 8;
        for at in (0..self.spare.len()).rev().take(LOOKS) {
            if let Some(waiter) = Arc::get_mut(&mut self.spare[at]) {
                waiter.reset(blocking);
                return self.spare.swap_remove(at);
            }
        }
        Arc::new(Waiter::new(blocking))
    }

    /// Whether any request here has had to wait; if not, there is nobody to be let in.
    pub(crate) fn has_queued(&self) -> bool {
        self.queued != 0
    }

    /// Takes out the entry of a request that is held, and lets in whom it kept out.
    pub(crate) fn release(&mut self, hold: &Hold, wakes: &mut WakeList) {
        let mode = self.entry(hold).mode;
        self.let_in(hold, Claim { span: hold.span, mode }, None, None, wakes);
        self.remove(hold);
    }

    /// Takes out the entry of a request that waits, and lets in those that counted it: the later ones.
    ///
    /// That a reader does not take itself out of the count of another reader, who never counted it, is where Linux' lock
    /// went wrong: it clears its reader mark first and asks afterwards.
    pub(crate) fn cancel(&mut self, hold: &Hold, wakes: &mut WakeList) {
        let entry = self.entry(hold);
        let order = entry.queued.as_ref().expect("only a waiting request is cancelled").order;
        self.let_in(hold, Claim { span: hold.span, mode: entry.mode }, None, Some(order), wakes);
        self.remove(hold);
    }

    /// Gives a held request a weaker mode.
    pub(crate) fn downgrade(&mut self, hold: &Hold, to: Mode, wakes: &mut WakeList) {
        let before = Claim { span: hold.span, mode: self.entry(hold).mode };
        self.let_in(hold, before, Some(Claim { mode: to, ..before }), None, wakes);
        self.entry_mut(hold).mode = to;
    }

    /// Leaves a held request only `span` of what it has.
    pub(crate) fn shrink(&mut self, hold: &Hold, span: Span, wakes: &mut WakeList) -> Hold {
        debug_assert!(hold.span.covers(span));
        let mode = self.entry(hold).mode;
        self.let_in(hold, Claim { span: hold.span, mode }, Some(Claim { span, mode }), None, wakes);
        let rest = self.entry(hold).held_as(hold.key.id);
        self.remove(hold);
        self.insert_held(span, rest)
    }

    /// Makes two held requests of one, the second from `mid` on. Who waits for both halves now waits for two pairs.
    pub(crate) fn split(&mut self, hold: &Hold, mid: u64) -> (Hold, Hold) {
        let Span { first, last } = hold.span;
        debug_assert!(first < mid && mid <= last);
        let (left, right) = (Span { first, last: mid - 1 }, Span { first: mid, last });
        let mode = self.entry(hold).mode;
        for (span, entry) in self.others(hold) {
            if entry.mode.conflicts(mode) && span.overlaps(left) && span.overlaps(right) {
                let waiter = &entry.queued.as_ref().expect("what conflicts with a held request waits").waiter;
                waiter.raise().expect("it waits at least for this request");
            }
        }
        let id = self.draw_id();
        let halves =
            [(left, hold.key.id), (right, id)].map(|(span, id)| (span, self.entry(hold).held_as(id)));
        self.remove(hold);
        let [left, right] = halves.map(|(span, half)| self.insert_held(span, half));
        (left, right)
    }

    /// Gives a held request the mode `Write`; returns the number of pairs that it has to wait for: the readers that are in.
    /// Readers that wait have to wait for it from now on. Other requests that conflict do already, and it passes those.
    ///
    /// Each reader is looked at once only: one that waits in another leaf too can be granted there at any moment, and must
    /// not be taken for waiting by one look and for being in by the next.
    pub(crate) fn begin_upgrade(&mut self, hold: &Hold) -> usize {
        let is_in = |entry: &Entry| entry.queued.as_ref().is_none_or(|queued| queued.waiter.raise().is_err());
        let blocking =
            self.others(hold).filter(|(_, entry)| entry.mode == Mode::Read && is_in(entry)).count();
        self.entry_mut(hold).mode = Mode::Write;
        blocking
    }

    /// Lets the upgrade of `hold` wait for `blocking` readers.
    pub(crate) fn queue_upgrade(&mut self, hold: &Hold, blocking: usize) -> Arc<Waiter> {
        let waiter = self.waiter(blocking);
        let queued = Queued { order: Order::UPGRADE, waiter: waiter.clone(), keeps: true };
        self.settle(hold);
        self.entry_mut(hold).queued = Some(queued);
        self.queued += 1;
        waiter
    }

    /// Takes an upgrade that waits back.
    pub(crate) fn cancel_upgrade(&mut self, hold: &Hold, wakes: &mut WakeList) {
        self.settle(hold);
        self.downgrade(hold, Mode::Upgradable, wakes);
    }

    /// Lowers the count of every request that counted `before`, a claim of `hold`, and no longer conflicts with `after`.
    ///
    /// Of a held request all that conflict with it and wait have counted it; of a waiting one, which has an `order`,
    /// only those behind it.
    fn let_in(
        &self,
        hold: &Hold,
        before: Claim,
        after: Option<Claim>,
        order: Option<Order>,
        wakes: &mut WakeList,
    ) {
        if self.queued == 0 {
            return;
        }
        for (span, entry) in self.others(hold) {
            let Some(queued) = &entry.queued else { continue };
            if order.is_some_and(|order| queued.order < order) || queued.waiter.is_granted() {
                continue;
            }
            let keeps_out = |claim: Claim| claim.span.overlaps(span) && claim.mode.conflicts(entry.mode);
            if keeps_out(before) && !after.is_some_and(keeps_out) {
                match queued.waiter.lower() {
                    Lowered::GrantedAsleep => wakes.push(&queued.waiter),
                    Lowered::Granted | Lowered::Blocked => {}
                }
            }
        }
    }

    /// Takes out an entry by which nobody is kept out any more.
    fn remove(&mut self, hold: &Hold) {
        self.settle(hold);
        self.remove_quietly(hold);
    }

    /// Removes the entry of a request that never had to wait: [`release`](Self::release) with nobody to let in.
    #[inline]
    pub(crate) fn remove_quietly(&mut self, hold: &Hold) {
        debug_assert!(self.entry(hold).queued.is_none());
        self.entries.remove(hold.key.slot);
    }

    /// Forgets that a request which does not wait any more had to, and keeps its record for the next.
    fn settle(&mut self, hold: &Hold) {
        if let Some(queued) = self.entry_mut(hold).queued.take() {
            self.queued -= 1;
            if queued.keeps {
                self.spare.push(queued.waiter);
            }
        }
    }

    /// The entry of `hold`.
    pub(crate) fn entry(&self, hold: &Hold) -> &Entry {
        let entry =
            self.entries.get(hold.key.slot).map(|(_, entry)| entry).filter(|entry| entry.id == hold.key.id);
        entry.expect("a request has an entry until it is released")
    }

    fn entry_mut(&mut self, hold: &Hold) -> &mut Entry {
        let entry = self.entries.get_mut(hold.key.slot).filter(|entry| entry.id == hold.key.id);
        entry.expect("a request has an entry until it is released")
    }

    /// All that overlap `span`, each in the one leaf in which its overlap with `span` begins.
    #[inline]
    fn counted_here(&self, span: Span) -> impl Iterator<Item = (Span, &Entry)> {
        self.entries
            .overlapping(span)
            .filter(move |(_, other, _)| self.bounds.contains(span.first.max(other.first)))
            .map(|(_, other, entry)| (other, entry))
    }

    /// All that overlap `hold`, but for itself, each in the one leaf in which the overlap begins.
    fn others(&self, hold: &Hold) -> impl Iterator<Item = (Span, &Entry)> {
        self.counted_here(hold.span).filter(|(_, entry)| entry.id != hold.key.id)
    }

    /// The entries that `entry`, which has `span`, still counts, by the rule in [the head](self); none if it does not wait.
    ///
    /// For those who look in. The transitions need not ask: what is in when a request enters is before it.
    pub(crate) fn counted_by(&self, span: Span, entry: &Entry) -> impl Iterator<Item = (Span, &Entry)> {
        let (id, mode) = (entry.id, entry.mode);
        let order = entry.queued.as_ref().filter(|_| entry.waits()).map(|queued| queued.order);
        let is_before = move |other: &Entry| {
            let Some(order) = order else { return false };
            other.is_held() || other.queued.as_ref().is_some_and(|queued| queued.order < order)
        };
        self.counted_here(span)
            .filter(move |(_, other)| other.id != id && other.mode.conflicts(mode) && is_before(other))
    }

    /// All entries, in the order in which their spans begin.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (Span, &Entry)> {
        self.entries.overlapping(Span::WHOLE).map(|(_, span, entry)| (span, entry))
    }

    /// Whether a request that is held overlaps `span`.
    pub(crate) fn is_locked(&self, span: Span) -> bool {
        self.entries.overlapping(span).any(|(_, _, entry)| entry.is_held())
    }

    /// Forgets all requests.
    pub(crate) fn clear(&mut self) {
        (self.entries, self.queued) = (IntervalTree::new(), 0);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Instant;

    use proptest::prelude::*;

    use super::*;
    use crate::inspect::{RequestInfo, RequestState};
    use crate::lock::RangeLock;
    use crate::many::{Parts, Request};
    use crate::request::Entered;
    use crate::sync::{self, Deadline};

    /// Asserts what the head of the module says, of a leaf whose requests are in no other.
    fn check_counts(leaf: &Leaf) {
        let entries: Vec<_> = leaf.entries().collect();
        let upgrades =
            |entry: &Entry| entry.waits() && entry.queued.as_ref().unwrap().order == Order::UPGRADE;
        for (n, (span, entry)) in entries.iter().enumerate().filter(|(_, (_, entry))| entry.is_held()) {
            for (other_span, other) in entries[..n].iter().filter(|(_, other)| other.is_held()) {
                let modes = [entry, other].map(|e| if upgrades(e) { Mode::Upgradable } else { e.mode });
                assert!(!span.overlaps(*other_span) || !modes[0].conflicts(modes[1]), "held alone");
            }
        }
        let mut counts = BTreeMap::new();
        for (span, entry) in entries.iter().filter(|(_, entry)| entry.waits()) {
            let (pairs, blocking) = counts.entry(entry.id).or_insert((0, 0));
            *pairs += leaf.counted_by(*span, entry).count();
            *blocking = entry.queued.as_ref().unwrap().waiter.blocking();
        }
        for (id, (pairs, blocking)) in counts {
            assert!(pairs == blocking && pairs != 0, "exact: {id} counts {blocking} pairs of {pairs}");
        }
        let queued = entries.iter().filter(|(_, entry)| entry.queued.is_some()).count();
        assert_eq!(leaf.queued, queued, "queued");
    }

    /// What `requests` says must fit together: who waits names those who are in its way, and they are there.
    fn check_requests(requests: &[RequestInfo]) {
        for request in requests {
            let waits = request.state() != RequestState::Held;
            assert_eq!(waits, request.since().is_some(), "{request:?}");
            assert!(waits || request.waits_for().is_empty(), "{request:?}");
            assert!(request.waits_for().is_sorted_by(|a, b| a < b), "{request:?}");
            for id in request.waits_for() {
                let in_the_way = |other: &&RequestInfo| {
                    let overlap = request.range().start() <= other.range().end()
                        && other.range().start() <= request.range().end();
                    other.id() == *id && overlap && other.mode().conflicts(request.mode())
                };
                assert!(requests.iter().any(|other| in_the_way(&other)), "{request:?} in {requests:?}");
            }
        }
    }

    /// What the owner of a request has in hand.
    enum Owned<'a> {
        One(Hold, Mode, Option<Arc<Waiter>>),
        Many(Box<Parts<'a>>, Option<Arc<Waiter>>),
    }

    impl Owned<'_> {
        fn waits(&self) -> bool {
            let (Owned::One(.., waiter) | Owned::Many(_, waiter)) = self;
            waiter.as_ref().is_some_and(|waiter| !waiter.is_granted())
        }

        fn leave(self, lock: &RangeLock) {
            match (self.waits(), self) {
                // An upgrade that waits holds its range, and is released with it.
                (true, Owned::One(hold, Mode::Read | Mode::Write, _)) => {
                    assert!(lock.cancel(hold).is_none());
                }
                (true, Owned::Many(mut parts, _)) => assert!(!parts.cancel()),
                (_, Owned::One(hold, ..)) => lock.release(&hold),
                (_, Owned::Many(mut parts, _)) => parts.release(),
            }
        }
    }

    fn run(steps: &[(u8, usize, u64, u64)]) {
        let lock = RangeLock::new();
        let mut all: Vec<Owned<'_>> = Vec::new();
        for &(verb, which, a, b) in steps {
            let span = Span { first: a.min(b), last: a.max(b) };
            match verb {
                0..6 => {
                    // Upgradable readers do not wait here: `Owned` takes those that do for upgrades.
                    let mode = [Mode::Read, Mode::Write, Mode::Upgradable][usize::from(verb % 3)];
                    let claim = Claim { span, mode };
                    if mode == Mode::Upgradable {
                        all.extend(lock.try_acquire(claim).map(|hold| Owned::One(hold, mode, None)));
                    } else {
                        all.push(match lock.enter(claim) {
                            Entered::Granted(hold) => Owned::One(hold, mode, None),
                            Entered::Waiting(hold, waiter) => Owned::One(hold, mode, Some(waiter)),
                        });
                    }
                }
                6..8 => {
                    let ranges = [Request::read(&lock, a..a + 3), Request::write(&lock, b + 5..b + 9)];
                    let mut parts = Parts::new(ranges);
                    let waiter = parts.enter();
                    all.push(Owned::Many(Box::new(parts), waiter));
                }
                _ if all.is_empty() => {}
                8..11 => all.swap_remove(which % all.len()).leave(&lock),
                _ => {
                    let at = which % all.len();
                    if all[at].waits() || matches!(all[at], Owned::Many(..)) {
                        continue;
                    }
                    let Owned::One(hold, mode, waiter) = all.swap_remove(at) else { unreachable!() };
                    let upgraded = mode == Mode::Upgradable && waiter.is_some();
                    let (mode, id) = (if upgraded { Mode::Write } else { mode }, hold.key.id);
                    let changed = match verb {
                        11 if mode == Mode::Upgradable => {
                            let waiter = lock.begin_upgrade(&hold);
                            Owned::One(hold, if waiter.is_some() { mode } else { Mode::Write }, waiter)
                        }
                        12 if mode == Mode::Upgradable => {
                            let upgraded = lock.upgrade(&hold, Deadline::At(Instant::now()));
                            Owned::One(hold, if upgraded { Mode::Write } else { mode }, None)
                        }
                        13 if mode == Mode::Write => {
                            lock.downgrade(&hold, Mode::Read);
                            Owned::One(hold, Mode::Read, None)
                        }
                        14 if hold.span.contains(a) => {
                            let last = hold.span.last;
                            let mut hold = hold;
                            lock.shrink(&mut hold, Span { first: a, last });
                            Owned::One(hold, mode, None)
                        }
                        15 if hold.span.contains(a) && hold.span.first < a => {
                            let (left, right) = lock.split(hold, a);
                            assert!(left.key.id == id && right.key.id > id);
                            all.push(Owned::One(left, mode, None));
                            Owned::One(right, mode, None)
                        }
                        _ => Owned::One(hold, mode, None),
                    };
                    all.push(changed);
                }
            }
            check_counts(&sync::lock(&lock.leaf));
            check_requests(&lock.requests());
        }
        all.into_iter().for_each(|owned| owned.leave(&lock));
        assert!(lock.requests().is_empty());
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: if cfg!(miri) { 8 } else { 2000 }, ..ProptestConfig::default() })]

        #[test]
        fn counts_are_exact(
            steps in prop::collection::vec((0..16_u8, any::<usize>(), 0..20_u64, 0..20_u64), 1..60)
        ) {
            run(&steps);
        }
    }
}
