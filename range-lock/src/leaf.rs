//! One leaf: the requests for one part of the domain, granted and waiting alike. It uses the layers
//! below, the trees and the waiters, and knows no other leaf.
//!
//! This is Davidlohr Bueso's range lock ("Introduce range reader/writer lock", linux-mm, 20 May
//! 2019) with his admission rule, which is Jan Kara's of 2013: a request waits for every
//! conflicting request that entered before it. Their locks count all of these requests. Here each
//! waiting entry is registered with one of them.
//!
//! Leaves stand side by side and tile the domain (see [`partition`](crate::partition)). A request
//! has an entry in each leaf that its span touches. The entry has the exact span, even where the
//! span reaches beyond the leaf. All functions here are called under the leaf's mutex. A function
//! that concerns a request in several leaves is called for each leaf in turn, under all their
//! mutexes.
//!
//! # Which entries keep an entry out
//!
//! An entry *keeps* another entry of the same leaf *out* if their spans overlap, their modes
//! conflict, and it is before the other. What is held is before everything, and so is an upgrade.
//! The [`Order`] decides among entries that wait. An upgrade that waits is kept out by the readers
//! that are held.
//!
//! If two spans overlap and both have entries in a leaf, the overlap has a point in that leaf. So a
//! request may be granted when none of its entries is kept out in its own leaf.
//!
//! The following hold between any two calls, and `check_leaves` recomputes them in the tests:
//!
//! 1. **held alone**: no two held entries conflict.
//! 2. **registered**: an entry is registered with one entry that keeps it out, if there is such an
//!    entry. Otherwise it is registered with none.
//! 3. **exact**: a request's count is the number of its entries that are registered, over all
//!    leaves and locks. A request that waits and is not merely offered its range has a count above
//!    zero.
//! 4. **lanes**: an entry that is registered is in the queued lane of its mode, or stands behind
//!    its keeper (see [`twins`]). One that is not is in a lane ahead. Upgrades are always ahead:
//!    nothing is before them but readers. Whatever is in the lane of held readers is held.
//! 5. **lists**: an entry is in its keeper's list, once. `registered` is the number of entries that
//!    are registered.
//!
//! When an entry leaves, cancels, or becomes less, some entries that are registered with it are no
//! longer kept out by it. These are looked at again. If another entry of this leaf keeps one of
//! them out, it is registered with that entry. Otherwise its request's count is lowered. No other
//! entry need be looked at. Lowering a count to zero grants the request.
//!
//! An upgrade puts a later request before an earlier one. Readers may wait for something else, in
//! another leaf perhaps. From then on they wait for the upgrade too. Only those that are not kept
//! out in this leaf need be registered with the upgrade, since the others are kept out as it is.
//!
//! # Watches
//!
//! A *watch* waits until a range is free, and is no entry. When it begins it is paired with each
//! entry of this leaf that conflicts with it and overlaps it, and with no later entry. A pair ends
//! when its entry leaves, or no longer conflicts or overlaps. Watches count as registered, so that
//! no entry leaves quietly.
//!
//! 6. **watches**: a watch is in each leaf in which it is paired, and in no other, and its count is
//!    the number of these leaves.
//!
//! # What it costs
//!
//! Insertion, removal, and the search for an entry that keeps another out take O(log n). Among
//! entries that wait, the search prefers the latest. So writers of one range are a chain, in which
//! each release looks at one entry, and most of which is in no tree (see [`twins`]). Among entries
//! that are held, the search prefers a random one. If k readers leave in any order, a given writer
//! is registered with O(log k) of them in turn, on average. A change that puts k twins into a tree
//! takes O(k log k), once for each twin at most.
//!
//! # How it lies in memory
//!
//! Few ranges are held at a time in one leaf: most often only the thread's own. So the first few
//! entries lie in slots right behind the mutex. Entries that find no free slot, or have to wait,
//! lie behind a pointer, most of them in trees. The usual case (no other request is in) touches the
//! leaf's first cache line and no other. A *place* is the number of a slot, or `SLOTS` more than an
//! index in the forest.

mod change;
mod contention;
#[cfg(feature = "stats")]
mod counters;
mod entry;
mod look;
pub(crate) mod models;
mod registration;
mod restructure;
mod twins;
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

/// The requests for one part of the domain. See the [module](self).
#[derive(Debug)]
#[repr(C)] // The order of the fields is the order of their use.
pub(crate) struct Leaf {
    /// The part. Holds no point if the leaf is not in use.
    bounds: Bounds,
    last_id: u64,
    /// How many entries are registered with another, and how many watches there are. While this is
    /// zero, no release concerns another request.
    registered: u32,
    /// The leaf to the right.
    pub(crate) next: LeafIndex,
    /// One bit for each slot tells whether an entry is in it. [`IN_TREE`](Leaf::IN_TREE) tells
    /// whether an entry is in the tree. Another bit is [`SURPLUS`](Leaf::SURPLUS).
    occupied: u8,
    slots: [Slot; SLOTS],
    pub(crate) rest: Option<Box<Rest>>,
    pub(crate) crossings: Crossings,
    #[cfg(feature = "stats")]
    pub(crate) counters: Counters,
}

/// What a leaf has besides, once it has needed it.
///
/// What requests that want one range touch comes first, and fills two cache lines: their CPUs take
/// these from each other at every step.
#[derive(Debug)]
#[repr(C, align(64))]
pub(crate) struct Rest {
    /// Records of requests that are gone, to be used again.
    pub(crate) spare: Vec<Arc<Waiter>>,
    /// `None` while there are no watches.
    watches: Option<Box<Watches>>,
    /// The first of those that are registered with each slot's entry.
    kept: [u32; SLOTS],
    pub(crate) forest: Forest<Filed, { lane::COUNT }, { lane::QUEUED }>,
    contention: Contention,
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

    /// A leaf for all of `bounds`. Allocates nothing.
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
        self.file(lane::ahead(mode, true), Key { span, id: id.get(), rank: 0 }, || {
            Filed::new(
                mode,
                None,
                #[cfg(feature = "deadlock_detection")]
                Owner::current(),
            )
        })
    }

    /// Enters one span of request `id`, which, if it has others here, has no point in common with
    /// them, and has to wait. Raises the count if something here keeps the entry out.
    pub(crate) fn insert_waiting(&mut self, id: RequestId, claim: Claim, queued: Queued) -> u32 {
        let Claim { span, mode } = claim;
        let key = Key { span, id: id.get(), rank: queued.order.rank() };
        let found = self.find_in_trees(span, mode, key.rank);
        if found.is_some() {
            queued.waiter.keep_out();
        }
        let filed = Filed::new(
            mode,
            Some(queued),
            #[cfg(feature = "deadlock_detection")]
            Owner::current(),
        );
        let Some(found) = found else { return self.file(lane::ahead(mode, false), key, || filed) };
        let keeper = self.last_behind(found, key.rank);
        if self.takes_twin(keeper, key, mode) {
            return self.stand_behind(found, keeper, key, filed);
        }
        let place = self.file(lane::queued(mode), key, || filed);
        self.register(place - SLOTS as u32, keeper);
        place
    }

    /// Puts an entry into a tree.
    #[inline]
    fn file(&mut self, lane: usize, key: Key, filed: impl FnOnce() -> Filed) -> u32 {
        self.occupied |= Self::IN_TREE;
        self.rest().forest.insert_with(lane, key, filed) + SLOTS as u32
    }

    /// Keeps a held entry of which there is another already, in another leaf or before a change: in
    /// a slot if one is free.
    fn insert_held(&mut self, span: Span, id: u64, held: Held) -> u32 {
        let slot = self.occupied.trailing_ones() as usize;
        if slot >= SLOTS {
            return self.file(lane::ahead(held.mode, true), Key { span, id, rank: 0 }, || {
                Filed::new(
                    held.mode,
                    None,
                    #[cfg(feature = "deadlock_detection")]
                    held.owner,
                )
            });
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

    /// The record for a new request behind all that wait. `passes` others may pass it.
    pub(crate) fn queue(&mut self, passes: usize, spares: &Spares) -> Queued {
        Queued { order: Order::draw(), waiter: self.waiter(passes, spares), keeps: 1 }
    }

    /// The record for an upgrade. It is never passed, since it holds its range.
    pub(crate) fn queue_upgrade(&mut self, spares: &Spares) -> Queued {
        Queued { order: Order::UPGRADE, waiter: self.waiter(0, spares), keeps: 1 }
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
        if self.registered == 0 {
            // It is held, as what waits is not in a slot, and keeps nothing out.
            if let Some(slot) = self.find_slot(hold.span.first, hold.key.id) {
                self.occupied &= !(1 << slot);
                return;
            }
        }
        let place = self.find(hold);
        if let Some(index) = self.filed_index(place) {
            self.leave_twins(index);
            self.unregister(index);
        }
        let kept = self.head(place).map_or(NIL, |first| std::mem::replace(first, NIL));
        self.remove(place);
        self.look_again(kept, wakes);
        self.note_change(hold, &[], wakes);
        self.note_surplus();
    }

    /// [`take_out`](Self::take_out) in the usual case: takes out the entry of a held request. It
    /// does so if nothing is registered here, the entry is where it was put, and no other leaf has
    /// an entry of the request. Returns whether it did.
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

    /// The same for an entry in the tree. It is a function by itself, because a function that makes
    /// no calls before its last one saves no registers. The locked instruction of the mutex would
    /// wait for these stores.
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

    /// Makes a note if the entries that have left leave more behind than an empty leaf keeps.
    fn note_surplus(&mut self) {
        if self.rest.as_ref().is_some_and(|rest| rest.has_surplus(0)) {
            self.occupied |= Self::SURPLUS;
        }
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
        // It had room for a crowd, and a cut has moved the records away.
        rest.spare.shrink_to(KEPT);
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

    /// Makes a note that a request for `span`, which begins here, found the mutex taken. Returns
    /// whether the leaf is to be cut.
    pub(crate) fn note_meeting(&mut self, span: Span) -> bool {
        let id = self.last_id();
        if self.crossings.is_last(id) {
            return false; // It met a request that crossed several leaves.
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
            spare: Vec::new(),
            watches: None,
            kept: [NIL; SLOTS],
            forest: Forest::new(),
            contention: Contention::NONE,
        })
    }

    /// See [`Leaf::settle`].
    #[inline]
    fn settle(&mut self, index: u32) {
        if let Some(queued) = self.forest.value_mut(index).queued.take() {
            if queued.keeps != 0 {
                self.spare.push(queued.waiter);
            }
        }
    }

    /// Whether it is more than an empty leaf keeps, once `leaving` entries have left the trees.
    fn has_surplus(&self, leaving: u32) -> bool {
        self.forest.len() == leaving && (self.spare.len() > KEPT || self.forest.has_room_for_many())
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
pub(crate) mod tests;
