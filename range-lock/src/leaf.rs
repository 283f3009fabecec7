//! One leaf: the requests for one part of the domain, granted and waiting alike.
//! It uses the words below it, the tree and waiters, and knows no other leaf.
//!
//! This is Davidlohr Bueso's range lock ("Introduce range reader/writer lock", linux-mm, 20 May 2019; the counting rule
//! is Jan Kara's, 2013): a request counts the conflicting ones that it finds, waits until that count is zero, and
//! whoever leaves takes itself out of the counts of those that counted it.
//!
//! Leaves stand side by side and tile the domain (see [`partition`](crate::partition)). A request has an entry in each leaf that
//! its span touches, with the exact span, also where that reaches beyond the leaf. All functions here are called under the leaf's
//! mutex; one that concerns a request in several leaves is called under all their mutexes, for each leaf in turn.
//!
//! # What is counted
//!
//! A *pair* is an entry's span and another request's span that overlap, in modes that conflict. The blocking count of a
//! request is the number of its pairs with
//!
//! * requests that are held (an upgrade that waits counts as held for writing), and
//! * requests that wait and entered before it.
//!
//! Each pair is counted once, in **the leaf in which its overlap begins**; so a cut or a join moves entries and changes no count.
//! The following hold between any two calls, and `check_counts` recomputes them in the tests:
//!
//! * **held alone**: no two held entries conflict;
//! * **exact**: a waiting request's count is the number defined above, and is not zero;
//! * **queued**: `queued` is the number of entries with a [`Queued`].
//!
//! # How it lies in memory
//!
//! Few ranges are held at a time in one leaf: most often none but one's own. So the first few entries lie in slots right behind
//! the mutex, and those that find no free slot, or have to wait, in a tree behind a pointer. The usual case (nobody else is
//! in) touches the leaf's first cache line and no other.

mod contention;
#[cfg(feature = "stats")]
mod counters;
mod entry;
pub(crate) mod models;

pub(crate) use contention::{Contention, Crossings};
#[cfg(feature = "stats")]
pub(crate) use counters::{Counters, ModeCounters};
pub(crate) use entry::{Entry, Order, Queued};
use entry::{Filed, Position, Slot, Tag};

use crate::bounds::Bounds;
use crate::claim::{Claim, Hold, LeafIndex};
use crate::ids::{Ids, RequestId};
use crate::interval_tree::IntervalTree;
use crate::mode::Mode;
#[cfg(feature = "deadlock_detection")]
use crate::owner::Owner;
use crate::span::Span;
use crate::sync::Arc;
use crate::waiter::{Lowered, Waiter, WakeList};

/// How many entries need no tree: with them a leaf fills two cache lines.
const SLOTS: usize = 3;

/// The requests for one part of the domain; see the [module](self).
#[derive(Debug)]
#[repr(C)] // The order of the fields is the order of their use.
pub(crate) struct Leaf {
    /// The part. Holds no point if the leaf is not in use.
    bounds: Bounds,
    last_id: u64,
    /// How many entries have a [`Queued`]. While there are none, nobody need be told of anything.
    queued: u32,
    /// The leaf to the right.
    pub(crate) next: LeafIndex,
    /// One bit for each slot: whether an entry is in it; and [`IN_TREE`](Leaf::IN_TREE), whether one is in the tree.
    occupied: u8,
    slots: [Slot; SLOTS],
    pub(crate) rest: Option<Box<Rest>>,
    pub(crate) crossings: Crossings,
    #[cfg(feature = "stats")]
    pub(crate) counters: Counters,
}

/// What a leaf has besides, once it has needed it.
#[derive(Debug)]
pub(crate) struct Rest {
    pub(crate) tree: IntervalTree<Filed>,
    /// Records of requests that are gone, to be used again.
    pub(crate) spare: Vec<Arc<Waiter>>,
    contention: Contention,
}

impl Leaf {
    const IN_TREE: u8 = 1 << 7;
    const IN_SLOTS: u8 = (1 << SLOTS) - 1;

    /// A leaf for all of `bounds`; allocates nothing.
    pub(crate) const fn new(bounds: Bounds) -> Self {
        Leaf {
            bounds,
            last_id: 0,
            queued: 0,
            next: LeafIndex::NONE,
            occupied: 0,
            slots: [const { Slot::VACANT }; SLOTS],
            rest: None,
            crossings: Crossings::NONE,
            #[cfg(feature = "stats")]
            counters: Counters::NONE,
        }
    }

    #[inline]
    pub(crate) fn bounds(&self) -> Bounds {
        self.bounds
    }

    /// How many requests have entered, more or less: the last id, which also grows by splits and leaps to a new block at times.
    #[inline]
    pub(crate) fn last_id(&self) -> u64 {
        self.last_id
    }

    fn is_in_tree(&self) -> bool {
        self.occupied & Self::IN_TREE != 0
    }

    /// Grants `span` if all of it lies here, and no other request does, in whatever mode: the usual case. The entry is in slot 0.
    /// `None` also where a new block of ids is needed.
    #[inline]
    pub(crate) fn grant_alone(&mut self, span: Span, mode: Mode) -> Option<RequestId> {
        if self.occupied != 0 || !self.bounds.cover(span) {
            return None;
        }
        let id = self.next_id()?;
        self.insert_granted(id, span, mode);
        Some(id)
    }

    /// The number of pairs that a request for `span` would have to wait for here: all conflicting ones, since all in the
    /// leaf are earlier.
    #[inline]
    pub(crate) fn blocking(&self, span: Span, mode: Mode) -> usize {
        let mut blocking = 0;
        let mut slots = self.occupied & Self::IN_SLOTS;
        while slots != 0 {
            let slot = &self.slots[slots.trailing_zeros() as usize % SLOTS];
            slots &= slots - 1;
            if let Some(tag) = slot.tag {
                let conflicts = slot.span.overlaps(span) && tag.mode().conflicts(mode);
                blocking += usize::from(conflicts && self.counts(slot.span, span));
            }
        }
        if self.is_in_tree() { blocking + self.blocking_in_tree(span, mode) } else { blocking }
    }

    #[inline(never)]
    fn blocking_in_tree(&self, span: Span, mode: Mode) -> usize {
        let tree = self.tree().expect("there is one, since something is in it");
        tree.overlapping(span)
            .filter(|(_, other, filed)| filed.mode.conflicts(mode) && self.counts(*other, span))
            .count()
    }

    /// The pairs that a request for `span` would have to wait for here: those that [`blocking`](Self::blocking) counts.
    pub(crate) fn in_the_way(&self, span: Span, mode: Mode) -> impl Iterator<Item = Entry<'_>> {
        self.overlapping(span)
            .filter(move |entry| entry.mode.conflicts(mode) && self.counts(entry.span, span))
    }

    /// Whether this is the leaf in which the overlap of two spans begins.
    #[inline]
    fn counts(&self, a: Span, b: Span) -> bool {
        self.bounds.contains(a.first.max(b.first))
    }

    /// The id of a new request.
    #[inline]
    pub(crate) fn draw_id(&mut self, ids: &Ids) -> RequestId {
        self.next_id().unwrap_or_else(|| {
            self.last_id = ids.draw_block();
            RequestId::new(self.last_id)
        })
    }

    /// The next id of the leaf's block, if there is one.
    #[inline]
    fn next_id(&mut self) -> Option<RequestId> {
        let id = self.last_id + 1;
        if id % Ids::BLOCK == 0 {
            return None;
        }
        self.last_id = id;
        Some(RequestId::new(id))
    }

    /// Takes ids from a block of its own: a leaf that is used for the first time.
    pub(crate) fn begin_ids(&mut self, ids: &Ids) {
        if self.last_id == 0 {
            self.last_id = ids.draw_block();
        }
    }

    /// Enters one span of request `id`, which, if it has others here, has no point in common with them, and is granted. Returns
    /// where.
    #[inline]
    pub(crate) fn insert_granted(&mut self, id: RequestId, span: Span, mode: Mode) -> u32 {
        let slot = self.occupied.trailing_ones() as usize;
        if slot >= SLOTS {
            return self.file_granted(id, span, mode);
        }
        self.occupied |= 1 << slot;
        let place = &mut self.slots[slot];
        place.span = span;
        place.tag = Some(Tag::new(id, mode));
        #[cfg(feature = "deadlock_detection")]
        {
            place.owner = Owner::current();
        }
        slot as u32
    }

    #[cold]
    #[inline(never)]
    fn file_granted(&mut self, id: RequestId, span: Span, mode: Mode) -> u32 {
        self.insert_waiting(id, Claim { span, mode }, None)
    }

    /// Enters one span of request `id`, which, if it has others here, has no point in common with them, and has to wait.
    pub(crate) fn insert_waiting(&mut self, id: RequestId, claim: Claim, queued: Option<Queued>) -> u32 {
        let filed = Filed {
            id,
            mode: claim.mode,
            queued,
            #[cfg(feature = "deadlock_detection")]
            owner: Owner::current(),
        };
        self.file(claim.span, filed)
    }

    /// Puts an entry into the tree.
    fn file(&mut self, span: Span, filed: Filed) -> u32 {
        self.queued += u32::from(filed.queued.is_some());
        self.occupied |= Self::IN_TREE;
        self.rest().tree.insert(span, filed) + SLOTS as u32
    }

    /// Keeps a held entry of which there is another already, in another leaf or before a change: in a slot if one is free.
    fn insert_held(&mut self, span: Span, filed: Filed) -> u32 {
        let slot = self.occupied.trailing_ones() as usize;
        if filed.queued.is_some() || slot >= SLOTS {
            return self.file(span, filed);
        }
        self.occupied |= 1 << slot;
        self.slots[slot] = Slot {
            span,
            tag: Some(Tag::new(filed.id, filed.mode)),
            #[cfg(feature = "deadlock_detection")]
            owner: filed.owner,
        };
        slot as u32
    }

    /// The record for a new request behind all that wait, with `blocking` pairs before it, which so many others may pass.
    pub(crate) fn queue(&mut self, blocking: usize, passes: usize) -> Queued {
        Queued { order: Order::draw(), waiter: self.waiter(blocking, passes), keeps: true }
    }

    /// The record for an upgrade that waits for `blocking` readers. Nobody passes it, since it holds its range.
    pub(crate) fn queue_upgrade(&mut self, blocking: usize) -> Queued {
        Queued { order: Order::UPGRADE, waiter: self.waiter(blocking, 0), keeps: true }
    }

    /// A record that nobody else holds: a spare one if there is.
    fn waiter(&mut self, blocking: usize, passes: usize) -> Arc<Waiter> {
        /// A spare record may still be held by whoever woke its last user; a few looks suffice to find another.
        const LOOKS: usize = 8;
        let spare = &mut self.rest().spare;
        for at in (0..spare.len()).rev().take(LOOKS) {
            if let Some(waiter) = Arc::get_mut(&mut spare[at]) {
                waiter.reset(blocking, passes);
                return spare.swap_remove(at);
            }
        }
        Arc::new(Waiter::new(blocking, passes))
    }

    /// Takes out the entry of a request that is held, and lets in whom it kept out.
    pub(crate) fn release(&mut self, hold: &Hold, wakes: &mut WakeList) {
        let place = self.find(hold);
        self.let_in(hold, self.claim_at(place), None, None, wakes);
        self.remove(place);
    }

    /// Takes out the entry of a request that is held, if nobody waits here, and the entry is where it was put, and this is the
    /// only leaf that has one: [`release`](Self::release) in the usual case. Says whether it did.
    #[inline]
    pub(crate) fn release_quietly(&mut self, hold: &Hold) -> bool {
        if self.queued != 0 || !self.bounds.cover(hold.span) {
            return false;
        }
        let slot = hold.key.slot() as usize;
        let is_here = slot < SLOTS
            && self.occupied & (1 << slot) != 0
            && self.slots[slot].tag.is_some_and(|tag| tag.id() == hold.key.id.get());
        if is_here {
            self.occupied &= !(1 << slot);
        }
        is_here
    }

    /// The same for an entry in the tree. By itself, since a function that calls nothing but what it ends with saves no
    /// registers, whose stores the locked instruction of the mutex would wait for.
    pub(crate) fn unfile_quietly(&mut self, hold: &Hold) -> bool {
        if self.queued != 0 || !self.bounds.cover(hold.span) {
            return false;
        }
        let Some(index) = hold.key.slot().checked_sub(SLOTS as u32) else { return false };
        let entry = self.tree().and_then(|tree| tree.get(index));
        let is_here = entry.is_some_and(|(span, filed)| filed.id == hold.key.id && span == hold.span);
        if is_here {
            self.remove(Position::Tree(index));
        }
        is_here
    }

    /// Takes out the entry of a request that waits, and lets in those that counted it: the later ones.
    ///
    /// That a reader does not take itself out of the count of another reader, who never counted it, is where Linux' lock
    /// went wrong: it clears its reader mark first and asks afterwards.
    pub(crate) fn cancel(&mut self, hold: &Hold, wakes: &mut WakeList) {
        let place = self.find(hold);
        let order = self.entry_at(place).queued.expect("only a waiting request is cancelled").order;
        self.let_in(hold, self.claim_at(place), None, Some(order), wakes);
        self.remove(place);
    }

    /// Gives a held request a weaker mode.
    pub(crate) fn downgrade(&mut self, hold: &Hold, to: Mode, wakes: &mut WakeList) {
        let place = self.find(hold);
        let before = self.claim_at(place);
        self.let_in(hold, before, Some(Claim { mode: to, ..before }), None, wakes);
        self.set_mode(place, to);
    }

    /// Leaves a held request only `span` of what it has. Returns where its entry is, if it still has one here.
    pub(crate) fn shrink(&mut self, hold: &Hold, span: Span, wakes: &mut WakeList) -> Option<u32> {
        debug_assert!(hold.span.covers(span));
        let place = self.find(hold);
        let before = self.claim_at(place);
        self.let_in(hold, before, Some(Claim { span, ..before }), None, wakes);
        let rest = self.held_at(place);
        self.remove(place);
        self.bounds.meet(span).then(|| self.insert_held(span, rest))
    }

    /// Those that wait for `hold` on both sides of `mid`: after a split there they wait for two
    /// pairs.
    pub(crate) fn waiting_for_both(&self, hold: &Hold, mid: u64) -> impl Iterator<Item = Entry<'_>> {
        let mode = self.entry(hold).mode;
        self.others(hold).filter(move |entry| {
            entry.mode.conflicts(mode) && entry.span.first < mid && mid <= entry.span.last
        })
    }

    /// Makes two held requests of one, the second, called `id`, from `mid` on. Each that [waits for
    /// both](Self::waiting_for_both) has been raised. Returns where the entries of the two are, as
    /// far as they have one here.
    pub(crate) fn split(&mut self, hold: &Hold, mid: u64, id: RequestId) -> [Option<u32>; 2] {
        let Span { first, last } = hold.span;
        debug_assert!(first < mid && mid <= last);
        let (left, right) = (Span { first, last: mid - 1 }, Span { first: mid, last });
        let place = self.find(hold);
        let halves =
            [(left, hold.key.id), (right, id)].map(|(span, id)| (span, Filed { id, ..self.held_at(place) }));
        self.remove(place);
        halves.map(|(span, half)| self.bounds.meet(span).then(|| self.insert_held(span, half)))
    }

    /// The readers, held or waiting, that overlap `hold`.
    pub(crate) fn other_readers(&self, hold: &Hold) -> impl Iterator<Item = Entry<'_>> {
        self.others(hold).filter(|entry| entry.mode == Mode::Read)
    }

    /// Gives a held request the mode `Write`.
    pub(crate) fn make_writer(&mut self, hold: &Hold) {
        self.set_mode(self.find(hold), Mode::Write);
    }

    /// Lets the upgrade of `hold` wait.
    pub(crate) fn await_upgrade(&mut self, hold: &Hold, queued: Queued) {
        let place = self.find(hold);
        let waiting = Filed { queued: Some(queued), ..self.held_at(place) };
        self.remove(place);
        self.file(hold.span, waiting);
    }

    /// Takes an upgrade that waits back.
    pub(crate) fn cancel_upgrade(&mut self, hold: &Hold, wakes: &mut WakeList) {
        self.settle(self.find(hold));
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
        for entry in self.others(hold) {
            let Some(queued) = entry.queued else { continue };
            if order.is_some_and(|order| queued.order < order) || queued.waiter.is_granted() {
                continue;
            }
            let keeps_out =
                |claim: Claim| claim.span.overlaps(entry.span) && claim.mode.conflicts(entry.mode);
            if keeps_out(before) && !after.is_some_and(keeps_out) {
                match queued.waiter.lower() {
                    Lowered::ToBeWoken => wakes.push(&queued.waiter),
                    Lowered::Done => {}
                }
            }
        }
    }

    /// Takes out an entry by which nobody is kept out any more.
    fn remove(&mut self, place: Position) {
        self.settle(place);
        match place {
            Position::Slot(slot) => self.occupied &= !(1 << slot),
            Position::Tree(index) => {
                let tree = &mut self.rest().tree;
                tree.remove(index);
                if tree.is_empty() {
                    self.occupied &= Self::IN_SLOTS;
                }
            }
        }
    }

    /// Forgets that a request which does not wait any more had to, and keeps its record for the next.
    fn settle(&mut self, place: Position) {
        let Position::Tree(index) = place else { return };
        let rest = self.rest();
        if let Some(queued) = rest.tree.get_mut(index).and_then(|filed| filed.queued.take()) {
            if queued.keeps {
                rest.spare.push(queued.waiter);
            }
            self.queued -= 1;
        }
    }

    fn set_mode(&mut self, place: Position, mode: Mode) {
        match place {
            Position::Slot(slot) => {
                let tag = &mut self.slots[slot].tag;
                *tag = tag.map(|tag| Tag::new(RequestId::new(tag.id()), mode));
            }
            Position::Tree(index) => {
                if let Some(filed) = self.rest().tree.get_mut(index) {
                    filed.mode = mode;
                }
            }
        }
    }

    /// The entry of `hold`.
    pub(crate) fn entry(&self, hold: &Hold) -> Entry<'_> {
        self.entry_at(self.find(hold))
    }

    /// Where the entry of `hold` is: where it was put, unless the leaf has been cut or joined since.
    fn find(&self, hold: &Hold) -> Position {
        let (id, slot) = (hold.key.id, hold.key.slot() as usize);
        let is_in = |slot: usize| {
            let Slot { span, tag, .. } = self.slots[slot];
            self.occupied & (1 << slot) != 0
                && tag.is_some_and(|tag| tag.id() == id.get())
                && span.first == hold.span.first
        };
        if slot < SLOTS && is_in(slot) {
            return Position::Slot(slot);
        }
        let tree = self.tree();
        if let Some(index) = slot.checked_sub(SLOTS) {
            let entry = tree.and_then(|tree| tree.get(index as u32));
            if entry.is_some_and(|(span, filed)| filed.id == id && span == hold.span) {
                return Position::Tree(index as u32);
            }
        }
        if let Some(slot) = (0..SLOTS).find(|slot| is_in(*slot)) {
            return Position::Slot(slot);
        }
        let mut overlapping = tree.into_iter().flat_map(|tree| tree.overlapping(hold.span));
        let found = overlapping.find(|(_, span, filed)| filed.id == id && *span == hold.span);
        Position::Tree(found.expect("a request has an entry until it is released").0)
    }

    fn entry_at(&self, place: Position) -> Entry<'_> {
        match place {
            Position::Slot(slot) => self.slot_entry(slot),
            Position::Tree(index) => {
                let entry = self.tree().and_then(|tree| tree.get(index));
                let (span, filed) = entry.expect("places are those of entries");
                filed.entry(span)
            }
        }
    }

    fn slot_entry(&self, slot: usize) -> Entry<'_> {
        let slot = &self.slots[slot];
        let tag = slot.tag.expect("an occupied slot has a tag");
        Entry {
            span: slot.span,
            id: RequestId::new(tag.id()),
            mode: tag.mode(),
            queued: None,
            #[cfg(feature = "deadlock_detection")]
            owner: slot.owner,
        }
    }

    fn claim_at(&self, place: Position) -> Claim {
        let Entry { span, mode, .. } = self.entry_at(place);
        Claim { span, mode }
    }

    /// An entry that is held, without what it had when it waited.
    fn held_at(&self, place: Position) -> Filed {
        let entry = self.entry_at(place);
        Filed {
            id: entry.id,
            mode: entry.mode,
            queued: None,
            #[cfg(feature = "deadlock_detection")]
            owner: entry.owner,
        }
    }

    /// All entries that overlap `span`.
    fn overlapping(&self, span: Span) -> impl Iterator<Item = Entry<'_>> {
        let slots = (0..SLOTS).filter(|slot| self.occupied & (1 << slot) != 0);
        let in_slots = slots.map(|slot| self.slot_entry(slot)).filter(move |entry| entry.span.overlaps(span));
        let in_tree = self.tree().filter(|_| self.is_in_tree()).into_iter();
        in_slots.chain(
            in_tree.flat_map(move |tree| tree.overlapping(span).map(|(_, span, filed)| filed.entry(span))),
        )
    }

    /// All that overlap `hold`, but for itself, each in the one leaf in which the overlap begins.
    fn others(&self, hold: &Hold) -> impl Iterator<Item = Entry<'_>> {
        let (span, id) = (hold.span, hold.key.id);
        self.overlapping(span).filter(move |entry| entry.id != id && self.counts(entry.span, span))
    }

    /// The entries that `entry` still counts, by the rule in [the head](self), as far as this leaf counts them; none if it does not
    /// wait.
    ///
    /// For those who look in. The transitions need not ask: what is in when a request enters is before it.
    pub(crate) fn counted_by(&self, entry: Entry<'_>) -> impl Iterator<Item = Entry<'_>> {
        let Entry { span, id, mode, .. } = entry;
        let order = entry.queued.filter(|_| entry.waits()).map(|queued| queued.order);
        // Nothing is looked at for a request that is held: many of those may overlap each other.
        order.into_iter().flat_map(move |order| {
            let is_before = move |other: &Entry<'_>| {
                other.is_held() || other.queued.is_some_and(|queued| queued.order < order)
            };
            self.overlapping(span).filter(move |other| {
                let conflicts = other.id != id && other.mode.conflicts(mode);
                conflicts && self.counts(other.span, span) && is_before(other)
            })
        })
    }

    /// All entries.
    pub(crate) fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        self.overlapping(Span::WHOLE)
    }

    /// The entries whose spans begin here: over all leaves each span of each request once.
    pub(crate) fn beginning_here(&self) -> impl Iterator<Item = Entry<'_>> {
        self.entries().filter(|entry| self.bounds.contains(entry.span.first))
    }

    /// Whether a request that is held overlaps `span`.
    pub(crate) fn is_locked(&self, span: Span) -> bool {
        self.overlapping(span).any(|entry| entry.is_held())
    }

    /// Gives the part from `mid` on to `right`, a leaf that is not in use. No count changes: each pair is counted where its
    /// overlap begins, and goes with that point.
    pub(crate) fn cut(&mut self, mid: u64, right: &mut Leaf) {
        let Bounds { first, last } = self.bounds;
        debug_assert!(first < mid && mid <= last);
        self.bounds = Bounds { first, last: mid - 1 };
        right.bounds = Bounds { first: mid, last };
        right.next = self.next;
        right.crossings = Crossings::NONE;
        *right.contention() = self.contention().of_right_half();
        for place in self.places() {
            let entry = self.entry_at(place);
            if entry.span.last < mid {
                continue;
            }
            let stays = entry.span.first < mid;
            let queued = entry.queued.map(|queued| if stays { queued.again() } else { queued.clone() });
            let copy = Filed { queued, ..self.held_at(place) };
            right.insert_held(entry.span, copy);
            if !stays {
                self.discard(place);
            }
        }
    }

    /// Takes over the part and the requests of `right`, the leaf to the right, which is not in use from now on.
    pub(crate) fn join(&mut self, right: &mut Leaf) {
        debug_assert_eq!(self.bounds.last.checked_add(1), Some(right.bounds.first));
        let border = right.bounds.first;
        for place in right.places() {
            let entry = right.entry_at(place);
            if entry.span.first >= border {
                let copy = Filed { queued: entry.queued.cloned(), ..right.held_at(place) };
                self.insert_held(entry.span, copy);
            } else {
                // It is here already, and here keeps its record: of the leaves of a span the leftmost does.
                debug_assert!(!entry.queued.is_some_and(|queued| queued.keeps));
            }
            right.discard(place);
        }
        self.bounds.last = right.bounds.last;
        self.next = right.next;
        (right.bounds, right.next) = (Bounds::NOTHING, LeafIndex::NONE);
        #[cfg(feature = "stats")]
        self.counters.take(&mut right.counters);
    }

    /// Takes out an entry that another leaf has from now on: without its record.
    fn discard(&mut self, place: Position) {
        if let Position::Tree(index) = place {
            if let Some(queued) = self.rest().tree.get_mut(index).and_then(|filed| filed.queued.take()) {
                drop(queued);
                self.queued -= 1;
            }
        }
        self.remove(place);
    }

    /// Where all entries are.
    fn places(&self) -> Vec<Position> {
        let slots = (0..SLOTS).filter(|slot| self.occupied & (1 << slot) != 0).map(Position::Slot);
        let tree = self.tree().into_iter().flat_map(|tree| tree.overlapping(Span::WHOLE));
        slots.chain(tree.map(|(index, ..)| Position::Tree(index))).collect()
    }

    /// Forgets all requests.
    pub(crate) fn clear(&mut self) {
        (self.occupied, self.queued, self.rest) = (0, 0, None);
    }

    /// Makes a note that a request which begins at `point` found the mutex taken. Says whether the leaf is to be cut.
    pub(crate) fn note_meeting(&mut self, point: u64) -> bool {
        let id = self.last_id();
        if self.crossings.is_last(id) {
            return false; // It met somebody who crossed several leaves.
        }
        self.crossings = Crossings::NONE;
        self.contention().note(point, id)
    }

    /// A request has been granted at once.
    #[inline]
    #[cfg_attr(not(feature = "stats"), expect(unused_variables, reason = "counted with the feature only"))]
    pub(crate) fn note_granted(&mut self, mode: Mode) {
        #[cfg(feature = "stats")]
        self.counters.granted(mode);
    }

    /// What is known of those who met here on the mutex.
    pub(crate) fn contention(&mut self) -> &mut Contention {
        &mut self.rest().contention
    }

    /// Whether anybody has met here on the mutex since that was last asked.
    pub(crate) fn take_met(&mut self) -> bool {
        self.rest.as_mut().is_some_and(|rest| rest.contention.take_met())
    }

    fn tree(&self) -> Option<&IntervalTree<Filed>> {
        self.rest.as_ref().map(|rest| &rest.tree)
    }

    fn rest(&mut self) -> &mut Rest {
        self.rest.get_or_insert_with(|| {
            Box::new(Rest { tree: IntervalTree::new(), spare: Vec::new(), contention: Contention::default() })
        })
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests;
