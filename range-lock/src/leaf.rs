//! One leaf: the requests for one part of the domain, granted and waiting alike.
//! It uses the words below it, the trees and waiters, and knows no other leaf.
//!
//! This is Davidlohr Bueso's range lock ("Introduce range reader/writer lock", linux-mm, 20 May
//! 2019) with his admission rule, which is Jan Kara's of 2013: a request waits for every
//! conflicting one that entered before it. Their locks count all of these. Here each waiting entry
//! is registered with one of them.
//!
//! Leaves stand side by side and tile the domain (see [`partition`](crate::partition)). A request
//! has an entry in each leaf that its span touches, with the exact span, also where that reaches
//! beyond the leaf. All functions here are called under the leaf's mutex. One that concerns a
//! request in several leaves is called under all their mutexes, for each leaf in turn.
//!
//! # Which entries keep an entry out
//!
//! An entry *keeps* another one of the same leaf *out* if their spans overlap, their modes
//! conflict, and it is before the other. What is held is before everything, and so is an upgrade.
//! Among those that wait the [`Order`] decides. An upgrade that waits is kept out by the readers
//! that are held.
//!
//! If two spans overlap and both have entries in a leaf, the overlap has a point in that leaf. So a
//! request may be granted when none of its entries is kept out in its own leaf.
//!
//! The following hold between any two calls, and `check_leaves` recomputes them in the tests:
//!
//! 1. **held alone**: no two held entries conflict.
//! 2. **registered**: an entry is registered with one entry that keeps it out, if there is one, and
//!    else with none.
//! 3. **exact**: a request's count is the number of its entries that are registered, over all
//!    leaves and locks. A request that waits and is not merely offered its range has a count above
//!    zero.
//! 4. **lanes**: an entry that is registered is in the queued lane of its mode. One that is not is
//!    in a lane ahead. Upgrades are always ahead: nothing is before them but readers. Whatever is
//!    in the lane of held readers is held.
//! 5. **lists**: an entry is in its keeper's list, once. `registered` is the number of entries that
//!    are registered.
//!
//! When an entry leaves, cancels, or becomes less, the entries that are registered with it and no
//! longer kept out by it are looked at again. Either another entry that keeps them out is found in
//! this leaf, or their count is lowered. No other entry need be looked at. The count that is
//! lowered to zero has granted the request.
//!
//! An upgrade puts a later request before an earlier one: readers that wait for something else, in
//! another leaf perhaps, wait for the upgrade too from then on. Only those that are not kept out in
//! this leaf need be registered with it, since the others are kept out as it is.
//!
//! # Watches
//!
//! A *watch* waits until a range is free, and is no entry. When it begins it is paired with each
//! entry that conflicts with it and overlaps it in this leaf, and with no later one. A pair ends
//! when its entry leaves or does not conflict or overlap any more. Watches count as registered, so
//! that no entry leaves quietly.
//!
//! 6. **watches**: a watch is in each leaf in which it is paired, and in no other, and its count is
//!    the number of these leaves.
//!
//! # What it costs
//!
//! Insertion, removal, and the search for an entry that keeps another out take O(log n). Among
//! those that wait the latest is preferred, so writers of one range are a chain, in which each
//! release looks at one. Among those that are held a random one is preferred: of k readers that
//! leave in any order, those with whom a given writer is registered in turn are O(log k) on
//! average.
//!
//! # How it lies in memory
//!
//! Few ranges are held at a time in one leaf: most often none but one's own. So the first few
//! entries lie in slots right behind the mutex, and those that find no free slot, or have to wait,
//! in trees behind a pointer. The usual case (no other request is in) touches the leaf's first
//! cache line and no other. A *place* is the number of a slot, or `SLOTS` more than an index in the
//! forest.

mod contention;
#[cfg(feature = "stats")]
mod counters;
mod entry;
pub(crate) mod models;
mod registration;
mod restructure;
mod watch;

pub(crate) use contention::{Attempt, Contention, Crossings};
#[cfg(feature = "stats")]
pub(crate) use counters::{Counters, ModeCounters};
pub(crate) use entry::{Entry, Order, Queued};
use entry::{Filed, Slot, Tag, lane};
use watch::Watches;

use crate::bounds::Bounds;
use crate::claim::{Claim, Hold, LeafIndex};
use crate::ids::{Ids, RequestId};
use crate::interval_tree::{Forest, Key, MANY, NIL};
use crate::mode::Mode;
#[cfg(feature = "deadlock_detection")]
use crate::owner::Owner;
use crate::span::Span;
use crate::spares::Spares;
use crate::sync::Arc;
use crate::waiter::{Waiter, WakeList};

/// How many entries need no tree: with them a leaf fills two cache lines.
const SLOTS: usize = 3;

/// For how many requests an empty leaf keeps records.
const KEPT: usize = MANY;

/// The requests for one part of the domain; see the [module](self).
#[derive(Debug)]
#[repr(C)] // The order of the fields is the order of their use.
pub(crate) struct Leaf {
    /// The part. Holds no point if the leaf is not in use.
    bounds: Bounds,
    last_id: u64,
    /// How many entries are registered with another, and how many watches there are. While there is
    /// none, no release concerns anybody.
    registered: u32,
    /// The leaf to the right.
    pub(crate) next: LeafIndex,
    /// One bit for each slot: whether an entry is in it; [`IN_TREE`](Leaf::IN_TREE), whether one is
    /// in the tree; and [`SURPLUS`](Leaf::SURPLUS).
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
    pub(crate) forest: Forest<Filed, { lane::COUNT }, { lane::QUEUED }>,
    /// The first of those that are registered with each slot's entry.
    kept: [u32; SLOTS],
    /// Records of requests that are gone, to be used again.
    pub(crate) spare: Vec<Arc<Waiter>>,
    contention: Contention,
    /// `None` while there are no watches.
    watches: Option<Box<Watches>>,
}

/// What a leaf does not need any more after a crowd. To be dropped when the mutexes are free.
#[derive(Debug)]
pub(crate) struct Surplus {
    pub(crate) records: Vec<Arc<Waiter>>,
    pub(crate) forest: Option<Forest<Filed, { lane::COUNT }, { lane::QUEUED }>>,
}

/// What a held entry has besides its span and its request's id.
struct Held {
    mode: Mode,
    #[cfg(feature = "deadlock_detection")]
    owner: Owner,
}

impl Leaf {
    const IN_TREE: u8 = 1 << 7;
    /// Set from when a leaf has a surplus to when that is taken away, before its mutex is free.
    const SURPLUS: u8 = 1 << 6;
    const IN_SLOTS: u8 = (1 << SLOTS) - 1;

    /// A leaf for all of `bounds`; allocates nothing.
    pub(crate) const fn new(bounds: Bounds) -> Self {
        Leaf {
            bounds,
            last_id: 0,
            registered: 0,
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

    /// How many requests have entered, more or less: the last id, which also grows by splits and
    /// leaps to a new block at times.
    #[inline]
    pub(crate) fn last_id(&self) -> u64 {
        self.last_id
    }

    fn is_in_tree(&self) -> bool {
        self.occupied & Self::IN_TREE != 0
    }

    /// Grants `span` if all of it lies here, and no other request does, in whatever mode: the usual
    /// case. The entry is in slot 0. `None` also where a new block of ids is needed.
    #[inline]
    pub(crate) fn grant_alone(&mut self, span: Span, mode: Mode) -> Option<RequestId> {
        if self.occupied != 0 || !self.bounds.cover(span) {
            return None;
        }
        let id = self.next_id()?;
        self.insert_granted(id, span, mode);
        Some(id)
    }

    /// Whether nothing here conflicts with a new request: all that is in the leaf is before it.
    #[inline]
    pub(crate) fn is_free(&self, span: Span, mode: Mode) -> bool {
        let mut slots = self.occupied & Self::IN_SLOTS;
        while slots != 0 {
            let slot = &self.slots[slots.trailing_zeros() as usize % SLOTS];
            slots &= slots - 1;
            if let Some(tag) = slot.tag {
                if slot.span.overlaps(span) && tag.mode().conflicts(mode) {
                    return false;
                }
            }
        }
        !self.is_in_tree() || self.is_free_in_tree(span, mode)
    }

    #[inline(never)]
    fn is_free_in_tree(&self, span: Span, mode: Mode) -> bool {
        let Some(forest) = self.forest() else { return true };
        let lanes = lane::ahead_of(mode) | lane::queued_before(mode);
        !lane::each(lanes & forest.occupied()).any(|lane| forest.overlaps(lane, span))
    }

    /// All that conflicts with a new request for `span`: each pair in the one leaf in which the
    /// overlap begins. First those that are ahead.
    pub(crate) fn in_the_way(&self, span: Span, mode: Mode) -> impl Iterator<Item = Entry<'_>> {
        let lanes = lane::ahead_of(mode) | lane::queued_before(mode);
        self.overlapping(lanes, span).filter(move |entry| {
            entry.mode.conflicts(mode) && self.bounds.contains(entry.span.first.max(span.first))
        })
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

    /// Enters one span of request `id`, which, if it has others here, has no point in common with
    /// them, and is granted. Returns where.
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
        let filed = Filed::new(
            mode,
            None,
            #[cfg(feature = "deadlock_detection")]
            Owner::current(),
        );
        self.file(lane::ahead(mode, true), Key { span, id: id.get(), rank: 0 }, filed)
    }

    /// Enters one span of request `id`, which, if it has others here, has no point in common with
    /// them, and has to wait. Raises the count if something here keeps the entry out.
    pub(crate) fn insert_waiting(&mut self, id: RequestId, claim: Claim, queued: Queued) -> u32 {
        let Claim { span, mode } = claim;
        let rank = queued.order.rank();
        let keeper = self.find_keeper(span, mode, rank);
        let lane = match keeper {
            Some(_) => lane::queued(mode),
            None => lane::ahead(mode, false),
        };
        if keeper.is_some() {
            queued.waiter.keep_out();
        }
        let filed = Filed::new(
            mode,
            Some(queued),
            #[cfg(feature = "deadlock_detection")]
            Owner::current(),
        );
        let place = self.file(lane, Key { span, id: id.get(), rank }, filed);
        if let Some(keeper) = keeper {
            self.register(place - SLOTS as u32, keeper);
        }
        place
    }

    /// Puts an entry into a tree.
    fn file(&mut self, lane: usize, key: Key, filed: Filed) -> u32 {
        self.occupied |= Self::IN_TREE;
        self.rest().forest.insert(lane, key, filed) + SLOTS as u32
    }

    /// Keeps a held entry of which there is another already, in another leaf or before a change: in
    /// a slot if one is free.
    fn insert_held(&mut self, span: Span, id: u64, held: Held) -> u32 {
        let slot = self.occupied.trailing_ones() as usize;
        if slot >= SLOTS {
            let filed = Filed::new(
                held.mode,
                None,
                #[cfg(feature = "deadlock_detection")]
                held.owner,
            );
            return self.file(lane::ahead(held.mode, true), Key { span, id, rank: 0 }, filed);
        }
        self.occupied |= 1 << slot;
        self.slots[slot] = Slot {
            span,
            tag: Some(Tag::new(RequestId::new(id), held.mode)),
            #[cfg(feature = "deadlock_detection")]
            owner: held.owner,
        };
        slot as u32
    }

    /// The record for a new request behind all that wait, which so many others may pass.
    pub(crate) fn queue(&mut self, passes: usize, spares: &Spares) -> Queued {
        Queued { order: Order::draw(), waiter: self.waiter(passes, spares), keeps: true }
    }

    /// The record for an upgrade. It is never passed, since it holds its range.
    pub(crate) fn queue_upgrade(&mut self, spares: &Spares) -> Queued {
        Queued { order: Order::UPGRADE, waiter: self.waiter(0, spares), keeps: true }
    }

    /// A record that no other thread holds: a spare one if there is.
    fn waiter(&mut self, passes: usize, spares: &Spares) -> Arc<Waiter> {
        /// A spare record may still be held by the thread that woke its last user. A few looks
        /// suffice to find another.
        const LOOKS: usize = 8;
        let spare = &mut self.rest().spare;
        if spare.is_empty() {
            if let Some(crowd) = spares.take() {
                *spare = crowd;
            }
        }
        for at in (0..spare.len()).rev().take(LOOKS) {
            if let Some(waiter) = Arc::get_mut(&mut spare[at]) {
                waiter.reset(0, passes);
                return spare.swap_remove(at);
            }
        }
        Arc::new(Waiter::new(0, passes))
    }

    /// Takes out the entry of a request, held or waiting, and lets in those that it alone kept out.
    pub(crate) fn take_out(&mut self, hold: &Hold, wakes: &mut WakeList) {
        let place = self.find(hold);
        if let Some(index) = self.filed_index(place) {
            self.unregister(index);
        }
        let kept = self.head(place).map_or(NIL, |first| std::mem::replace(first, NIL));
        self.remove(place);
        self.look_again(kept, wakes);
        self.note_change(hold, &[], wakes);
        if self.rest.as_ref().is_some_and(|rest| rest.has_surplus(0)) {
            self.occupied |= Self::SURPLUS;
        }
    }

    /// [`take_out`](Self::take_out) in the usual case: takes out the entry of a held request. It
    /// does so if nothing is registered here, the entry is where it was put, and no other leaf has
    /// one. Says whether it did.
    #[inline]
    pub(crate) fn release_quietly(&mut self, hold: &Hold) -> bool {
        if self.registered != 0 || !self.bounds.cover(hold.span) {
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

    /// The same for an entry in the tree. By itself, since a function that calls nothing but what
    /// it ends with saves no registers, whose stores the locked instruction of the mutex would wait
    /// for.
    pub(crate) fn unfile_quietly(&mut self, hold: &Hold) -> bool {
        if self.registered != 0 || !self.bounds.cover(hold.span) {
            return false;
        }
        let Some(index) = hold.key.slot().checked_sub(SLOTS as u32) else { return false };
        // The last one of a crowd does not leave quietly: what the crowd has needed leaves with it.
        let is_here =
            self.is_filed_at(index, hold) && self.rest.as_ref().is_some_and(|rest| !rest.has_surplus(1));
        if is_here {
            self.remove(index + SLOTS as u32);
        }
        is_here
    }

    /// Gives a held request a weaker mode.
    pub(crate) fn downgrade(&mut self, hold: &Hold, to: Mode, wakes: &mut WakeList) {
        let place = self.find(hold);
        self.set_mode(place, to);
        self.let_go(place, wakes);
        self.note_change(hold, &[(hold.key.id, hold.span, to)], wakes);
    }

    /// Leaves a held request only `span` of what it has. Returns where its entry is, if it still
    /// has one here.
    pub(crate) fn shrink(&mut self, hold: &Hold, span: Span, wakes: &mut WakeList) -> Option<u32> {
        debug_assert!(hold.span.covers(span));
        if !self.bounds.meet(span) {
            self.take_out(hold, wakes);
            return None;
        }
        let place = self.find(hold);
        self.forget_wait(place);
        self.set_span(place, span, hold.key.id);
        self.let_go(place, wakes);
        self.note_change(hold, &[(hold.key.id, span, self.entry_at(place).mode)], wakes);
        Some(place)
    }

    /// Makes two held requests of one, the second, called `id`, from `mid` on. Returns where the
    /// entries of the two are, as far as they have one here.
    ///
    /// What was registered with the request overlaps one of the halves, and is registered with
    /// that: no count changes.
    pub(crate) fn split(&mut self, hold: &Hold, mid: u64, id: RequestId) -> [Option<u32>; 2] {
        let Span { first, last } = hold.span;
        debug_assert!(first < mid && mid <= last);
        let (left, right) = (Span { first, last: mid - 1 }, Span { first: mid, last });
        let place = self.find(hold);
        self.forget_wait(place);
        let mode = self.entry_at(place).mode;
        // No waiter is woken: what overlapped the request in this leaf overlaps one of the halves
        // here.
        self.note_change(hold, &[(hold.key.id, left, mode), (id, right, mode)], &mut WakeList::default());
        if !self.bounds.meet(left) {
            self.set_span(place, right, id);
            return [None, Some(place)];
        }
        self.set_span(place, left, hold.key.id);
        if !self.bounds.meet(right) {
            return [Some(place), None];
        }
        let held = self.held_at(place);
        let other = self.insert_held(right, id.get(), held);
        self.for_each_kept(place, |leaf, index| {
            let (key, _) = leaf.filed(index);
            if !key.span.overlaps(left) {
                leaf.unregister(index);
                leaf.register(index, other);
            }
        });
        [Some(place), Some(other)]
    }

    /// Whether a reader that overlaps `hold` certainly is held.
    pub(crate) fn is_read(&self, hold: &Hold) -> bool {
        let loose =
            || self.overlapping(1 << lane::LOOSE_READ, hold.span).filter(|entry| entry.mode == Mode::Read);
        self.held_reader(hold.span).is_some() || loose().any(|entry| entry.is_held())
    }

    /// A reader that overlaps `span` and is held, as far as lanes tell.
    fn held_reader(&self, span: Span) -> Option<u32> {
        let in_tree = self.forest().and_then(|forest| forest.some_overlap(lane::HELD_READ, span));
        in_tree.map(|index| index + SLOTS as u32).or_else(|| self.in_slot(span, |mode| mode == Mode::Read))
    }

    /// Gives a held request the mode `Write`, before all that waits. Readers that wait, and that
    /// nothing here keeps out, are kept out by it from now on.
    ///
    /// To be called in all leaves of the request. Says whether readers are held here.
    pub(crate) fn make_writer(&mut self, hold: &Hold) -> bool {
        let place = self.find(hold);
        self.settle(place);
        self.set_mode(place, Mode::Write);
        while let Some(index) =
            self.forest().and_then(|forest| forest.first_overlap(lane::LOOSE_READ, hold.span))
        {
            let (_, filed) = self.filed(index);
            // One look: a reader that waits in another leaf too can be granted there at any moment,
            // and must not be taken for waiting by one look and for held by the next.
            let waits = filed.queued.as_ref().is_some_and(|queued| queued.waiter.raise());
            if waits {
                self.rest().forest.move_to(index, lane::queued(Mode::Read));
                self.register(index, place);
            } else {
                self.rest().forest.move_to(index, lane::HELD_READ);
            }
        }
        self.held_reader(hold.span).is_some()
    }

    /// Lets the upgrade of `hold`, which is a writer by now, wait for the readers that are held.
    pub(crate) fn await_upgrade(&mut self, hold: &Hold, queued: Queued) {
        let place = self.find(hold);
        let index = self.file_held(place);
        let reader = self.held_reader(hold.span);
        if reader.is_some() {
            queued.waiter.keep_out();
        }
        self.rest().forest.value_mut(index).queued = Some(queued);
        if let Some(reader) = reader {
            self.register(index, reader);
        }
    }

    /// Takes an upgrade that waits back.
    pub(crate) fn cancel_upgrade(&mut self, hold: &Hold, wakes: &mut WakeList) {
        let place = self.find(hold);
        if let Some(index) = self.filed_index(place) {
            self.unregister(index);
        }
        self.settle(place);
        self.downgrade(hold, Mode::Upgradable, wakes);
    }

    /// Puts behind request `id`, which has just been granted, those that it has passed: they wait,
    /// and so far nothing here kept them out.
    pub(crate) fn put_behind(&mut self, id: RequestId, claim: Claim) {
        let Claim { span, mode } = claim;
        let place = self.find_place(span.first, id).expect("it has just been entered");
        let lanes = lane::ahead_of(mode);
        let passed = |leaf: &Leaf| {
            let forest = leaf.forest()?;
            let mut ahead =
                lane::each(lanes & forest.occupied()).flat_map(|lane| forest.overlapping(lane, span));
            ahead.find(|&index| leaf.filed(index).0.id != id.get())
        };
        while let Some(index) = passed(self) {
            let (_, filed) = self.filed(index);
            let mode = filed.mode;
            filed.queued.as_ref().expect("only what waits is passed").waiter.keep_out();
            self.rest().forest.move_to(index, lane::queued(mode));
            self.register(index, place);
        }
    }

    /// Takes out an entry with which nothing is registered, and which is not.
    fn remove(&mut self, place: u32) {
        match self.filed_index(place) {
            None => self.occupied &= !(1 << place),
            Some(index) => {
                let rest = self.rest();
                rest.settle(index);
                rest.forest.remove(index);
                if rest.forest.len() == 0 {
                    self.occupied &= Self::IN_SLOTS;
                }
            }
        }
    }

    /// Forgets that a request which does not wait any more had to, and keeps its record for the
    /// next.
    fn settle(&mut self, place: u32) {
        if let Some(index) = self.filed_index(place) {
            self.rest().settle(index);
        }
    }

    /// Forgets that a request which is held has waited, before some of its entries go: one of them
    /// keeps the record.
    fn forget_wait(&mut self, place: u32) {
        self.settle(place);
        self.set_mode(place, self.entry_at(place).mode);
    }

    /// Gives an entry that is held another mode.
    fn set_mode(&mut self, place: u32, mode: Mode) {
        match self.filed_index(place) {
            None => {
                let tag = &mut self.slots[place as usize].tag;
                *tag = tag.map(|tag| Tag::new(RequestId::new(tag.id()), mode));
            }
            Some(index) => {
                let forest = &mut self.rest().forest;
                forest.value_mut(index).mode = mode;
                forest.move_to(index, lane::ahead(mode, true));
            }
        }
    }

    /// Gives an entry another span, and another request's id.
    fn set_span(&mut self, place: u32, span: Span, id: RequestId) {
        match self.filed_index(place) {
            None => {
                let slot = &mut self.slots[place as usize];
                slot.span = span;
                slot.tag = slot.tag.map(|tag| Tag::new(id, tag.mode()));
            }
            Some(index) => self.rest().forest.change(index, span, id.get()),
        }
    }

    /// Moves a held entry out of its slot, if it is in one, with those that are registered with it.
    fn file_held(&mut self, place: u32) -> u32 {
        if let Some(index) = self.filed_index(place) {
            return index;
        }
        let Entry { span, id, mode, .. } = self.slot_entry(place as usize);
        let held = self.held_at(place);
        let filed = Filed::new(
            held.mode,
            None,
            #[cfg(feature = "deadlock_detection")]
            held.owner,
        );
        let to = self.file(lane::ahead(mode, true), Key { span, id: id.get(), rank: 0 }, filed);
        self.for_each_kept(place, |leaf, index| {
            leaf.unregister(index);
            leaf.register(index, to);
        });
        self.remove(place);
        to - SLOTS as u32
    }

    /// The entry of `hold`.
    pub(crate) fn entry(&self, hold: &Hold) -> Entry<'_> {
        self.entry_at(self.find(hold))
    }

    /// Where the entry of `hold` is: where it was put, unless it has been moved since.
    fn find(&self, hold: &Hold) -> u32 {
        let place = hold.key.slot();
        let is_there = match place.checked_sub(SLOTS as u32) {
            None => self.is_in_slot(place as usize, hold.span.first, hold.key.id),
            Some(index) => self.is_filed_at(index, hold),
        };
        if is_there {
            return place;
        }
        self.find_place(hold.span.first, hold.key.id).expect("a request has an entry until it is released")
    }

    fn is_in_slot(&self, slot: usize, first: u64, id: RequestId) -> bool {
        let Slot { span, tag, .. } = &self.slots[slot];
        self.occupied & (1 << slot) != 0 && tag.is_some_and(|tag| tag.id() == id.get()) && span.first == first
    }

    fn is_filed_at(&self, index: u32, hold: &Hold) -> bool {
        let entry = self.forest().and_then(|forest| forest.get(index));
        entry.is_some_and(|(key, _)| key.id == hold.key.id.get() && key.span == hold.span)
    }

    /// Where the entry of request `id` is that begins at `first`.
    fn find_place(&self, first: u64, id: RequestId) -> Option<u32> {
        if let Some(slot) = (0..SLOTS).find(|slot| self.is_in_slot(*slot, first, id)) {
            return Some(slot as u32);
        }
        let forest = self.forest()?;
        let index = lane::each(forest.occupied()).find_map(|lane| forest.find(lane, first, id.get()));
        Some(index? + SLOTS as u32)
    }

    /// The index in the forest of the entry at `place`; `None` if it is in a slot.
    fn filed_index(&self, place: u32) -> Option<u32> {
        place.checked_sub(SLOTS as u32)
    }

    fn filed(&self, index: u32) -> (Key, &Filed) {
        self.forest().and_then(|forest| forest.get(index)).expect("places are those of entries")
    }

    fn entry_at(&self, place: u32) -> Entry<'_> {
        match self.filed_index(place) {
            None => self.slot_entry(place as usize),
            Some(index) => {
                let (key, filed) = self.filed(index);
                filed.entry(key)
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

    /// What another entry of the same held request has in common with this one.
    fn held_at(&self, place: u32) -> Held {
        let entry = self.entry_at(place);
        Held {
            mode: entry.mode,
            #[cfg(feature = "deadlock_detection")]
            owner: entry.owner,
        }
    }

    /// The entries in the slots and in these lanes that overlap `span`.
    fn overlapping(&self, lanes: u8, span: Span) -> impl Iterator<Item = Entry<'_>> {
        self.in_slots(span).chain(lane::each(lanes).flat_map(move |lane| self.filed_over(lane, span)))
    }

    /// The entries in the slots that overlap `span`.
    fn in_slots(&self, span: Span) -> impl Iterator<Item = Entry<'_>> {
        let slots = (0..SLOTS).filter(|slot| self.occupied & (1 << slot) != 0);
        slots.map(|slot| self.slot_entry(slot)).filter(move |entry| entry.span.overlaps(span))
    }

    /// The entries in one lane that overlap `span`, in the order in which they begin.
    fn filed_over(&self, lane: usize, span: Span) -> impl Iterator<Item = Entry<'_>> {
        self.forest().into_iter().flat_map(move |forest| {
            let filed = forest.overlapping(lane, span).filter_map(|index| forest.get(index));
            filed.map(|(key, filed)| filed.entry(key))
        })
    }

    /// The entries that overlap `span`.
    pub(crate) fn entries_over(&self, span: Span) -> impl Iterator<Item = Entry<'_>> {
        self.overlapping(u8::MAX, span)
    }

    /// Of each lane the first `n` entries that begin here, and all that do in the slots.
    pub(crate) fn first_entries(&self, n: usize) -> impl Iterator<Item = Entry<'_>> {
        let begins_here = |entry: &Entry<'_>| self.bounds.contains(entry.span.first);
        let lanes = (0..lane::COUNT)
            .flat_map(move |lane| self.filed_over(lane, Span::WHOLE).filter(begins_here).take(n));
        self.in_slots(Span::WHOLE).filter(begins_here).chain(lanes)
    }

    /// How many entries begin here.
    pub(crate) fn entries_begun(&self) -> usize {
        let first = self.bounds.first;
        let from_the_left =
            self.entries_over(Span { first, last: first }).filter(|entry| entry.span.first < first);
        let in_slots = (self.occupied & Self::IN_SLOTS).count_ones();
        (in_slots + self.forest().map_or(0, Forest::len)) as usize - from_the_left.count()
    }

    /// The entries that keep out one with this span, mode and order: each pair in the one leaf in
    /// which the overlap begins.
    pub(crate) fn before(&self, span: Span, mode: Mode, order: Order) -> impl Iterator<Item = Entry<'_>> {
        let queued = self.forest().into_iter().flat_map(move |forest| {
            lane::each(lane::queued_before(mode) & forest.occupied())
                .flat_map(move |lane| forest.overlapping_before(lane, span, order.rank()))
                .filter_map(|index| forest.get(index))
        });
        self.overlapping(lane::ahead_of(mode), span)
            .chain(queued.map(|(key, filed)| filed.entry(key)))
            .filter(move |entry| {
                entry.mode.conflicts(mode) && self.bounds.contains(entry.span.first.max(span.first))
            })
    }

    /// Whether a request that is held overlaps `span`.
    pub(crate) fn is_locked(&self, span: Span) -> bool {
        // What is queued is not held.
        let lanes = (1 << lane::QUEUED) - 1;
        self.overlapping(lanes, span).any(|entry| entry.is_held())
    }

    /// Whether more than a few entries lie on both sides of `mid`: a cut there would copy them all.
    pub(crate) fn is_crossed(&self, mid: u64) -> bool {
        const MOST: usize = 64;
        let at = Span { first: mid, last: mid };
        self.entries_over(at).filter(|entry| entry.span.first < mid).nth(MOST).is_some()
    }

    /// Whether there is something to [take away](Self::take_surplus) before its mutex is free.
    #[inline]
    pub(crate) fn has_surplus(&self) -> bool {
        self.occupied & Self::SURPLUS != 0
    }

    /// What it needed for a crowd that has gone.
    #[cold]
    pub(crate) fn take_surplus(&mut self) -> Surplus {
        self.occupied &= !Self::SURPLUS;
        let rest = self.rest();
        let mut records = Vec::new();
        if rest.spare.len() > KEPT {
            let kept = rest.spare.split_off(rest.spare.len() - KEPT);
            records = std::mem::replace(&mut rest.spare, kept);
        }
        let is_too_large = rest.forest.len() == 0 && rest.forest.has_room_for_many();
        let forest = is_too_large.then(|| rest.forest.take_memory());
        Surplus { records, forest }
    }

    /// Gives back what memory it does not need.
    pub(crate) fn shrink_to_fit(&mut self) {
        if let Some(rest) = &mut self.rest {
            rest.spare = Vec::new();
            if rest.forest.len() == 0 {
                drop(rest.forest.take_memory());
            }
        }
    }

    /// Forgets all requests.
    pub(crate) fn clear(&mut self) {
        (self.occupied, self.registered, self.rest) = (0, 0, None);
    }

    /// Makes a note that a request for `span`, which begins here, found the mutex taken. Says
    /// whether the leaf is to be cut.
    pub(crate) fn note_meeting(&mut self, span: Span) -> bool {
        let id = self.last_id();
        if self.crossings.is_last(id) {
            return false; // It met somebody who crossed several leaves.
        }
        self.crossings = Crossings::NONE;
        self.contention().note(span, id)
    }

    /// A request has been granted at once.
    #[inline]
    #[cfg_attr(not(feature = "stats"), expect(unused_variables, reason = "counted with the feature only"))]
    pub(crate) fn note_granted(&mut self, mode: Mode) {
        #[cfg(feature = "stats")]
        self.counters.granted(mode);
    }

    /// What is known of the threads that met here on the mutex.
    pub(crate) fn contention(&mut self) -> &mut Contention {
        &mut self.rest().contention
    }

    /// How many met here on the mutex of late.
    pub(crate) fn heat(&self) -> u32 {
        self.rest.as_ref().map_or(0, |rest| rest.contention.heat())
    }

    /// The same, and forgets half of it.
    pub(crate) fn cool(&mut self) -> u32 {
        self.rest.as_mut().map_or(0, |rest| rest.contention.cool())
    }

    fn forest(&self) -> Option<&Forest<Filed, { lane::COUNT }, { lane::QUEUED }>> {
        self.rest.as_ref().map(|rest| &rest.forest)
    }

    #[inline]
    fn rest(&mut self) -> &mut Rest {
        self.rest.get_or_insert_with(Rest::new)
    }
}

impl Rest {
    #[cold]
    #[inline(never)]
    fn new() -> Box<Self> {
        Box::new(Rest {
            forest: Forest::new(),
            kept: [NIL; SLOTS],
            spare: Vec::new(),
            contention: Contention::NONE,
            watches: None,
        })
    }

    /// See [`Leaf::settle`].
    #[inline]
    fn settle(&mut self, index: u32) {
        if let Some(queued) = self.forest.value_mut(index).queued.take() {
            if queued.keeps {
                self.spare.push(queued.waiter);
            }
        }
    }

    /// Whether it is more than an empty leaf keeps, once so many entries have left the trees.
    fn has_surplus(&self, leaving: u32) -> bool {
        self.forest.len() == leaving && (self.spare.len() > KEPT || self.forest.has_room_for_many())
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
pub(crate) mod tests;
