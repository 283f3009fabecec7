//! A request for several ranges, of one lock or of several.
//!
//! A thread that takes two ranges one after the other can meet a thread that takes them in the
//! other order. So here the mutexes of all the leaves concerned are held while the request enters.
//! They are taken in the order of the locks' addresses, and in each lock from left to right. So the
//! request is in all queues from one moment on. It is before or behind any other such request in
//! all of them. It has one count for all of its ranges, and one record in all of them.
//!
//! In each lock the leaves between the first range and the last are locked too. Skipping them would
//! need care in finding the next leaf ("ascending" in [`partition`](crate::partition)), and there
//! are few of them.

use std::{iter, mem};

use super::note_waited;
use crate::blocked::blocked;
use crate::claim::{Claim, Hold, Key};
use crate::ids::RequestId;
use crate::inline_vec::InlineVec;
use crate::leaf::{Leaf, Queued};
use crate::mode::Mode;
use crate::partition::{Locked, Place};
use crate::span::Span;
use crate::spares::Spares;
use crate::sync::{Arc, Deadline};
use crate::waiter::{self, Waited, Waiter, WakeList};

/// How many ranges a request may have before it allocates.
const INLINE: usize = 4;

/// What a request names a lock by: a borrow of it, or a share.
pub(crate) trait Lock: Clone {
    fn place(&self) -> Place<'_>;
}

/// One range of a request: disjoint from the others of the same lock.
#[derive(Debug)]
pub(crate) struct Part<L> {
    pub(crate) lock: L,
    pub(crate) claim: Claim,
}

impl<L: Lock> Part<L> {
    fn place(&self) -> Place<'_> {
        self.lock.place()
    }
}

/// The ranges of a request, in the order in which their locks are locked: by address, then by first
/// point.
///
/// An owned share of a lock is dropped after the request has left, so it outlasts the wake-ups.
#[derive(Debug)]
pub(crate) struct Parts<L> {
    parts: List<Part<L>>,
    /// The entries of each part. `None` while it has none.
    holds: List<Option<Hold>>,
}

type List<T> = InlineVec<T, INLINE>;

impl<L: Lock> Parts<L> {
    /// Sorts the ranges, and makes those of one lock disjoint: where they overlap, the stronger
    /// mode wins.
    pub(crate) fn new(claims: impl IntoIterator<Item = (L, Claim)>) -> Self {
        let mut asked = List::new();
        claims.into_iter().for_each(|(lock, claim)| asked.push(Part { lock, claim }));
        asked.sort_unstable_by_key(|part| (part.place().address(), part.claim.span.first));

        let mut sweep = Sweep { parts: List::new(), at: None };
        for part in asked.iter() {
            sweep.begin(&part.lock, part.claim);
        }
        sweep.emit_before(None);
        let mut holds = List::new();
        sweep.parts.iter().for_each(|_| holds.push(None));
        Parts { parts: sweep.parts, holds }
    }

    /// The parts, in their order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Part<L>> {
        self.parts.iter()
    }

    /// What the request is called in the lock at this address, while it is in.
    pub(crate) fn id_in(&self, address: usize) -> Option<RequestId> {
        let mut holds = self.parts.iter().zip(self.holds.iter());
        holds.find_map(|(part, hold)| (part.place().address() == address).then_some(hold.as_ref()?.key.id))
    }

    /// Grants all parts if nothing conflicts with any.
    pub(crate) fn try_enter(&mut self) -> bool {
        let Parts { parts, holds } = self;
        let mut locks = lock_all(parts);
        let granted = is_free(parts, &mut locks);
        if granted {
            insert(parts, holds, &mut locks, None);
        }
        granted
    }

    /// Enters all parts: granted at once (`None`), or counted by all that conflict with any of them
    /// and come later.
    pub(crate) fn enter(&mut self) -> Option<Arc<Waiter>> {
        let mut wakes = WakeList::default();
        let waiter = self.enter_quietly(&mut wakes);
        let owner = Owner(self);
        drop(wakes); // A waker may panic.
        owner.hand_over();
        waiter
    }

    /// The same, without waking any waiter.
    fn enter_quietly(&mut self, wakes: &mut WakeList) -> Option<Arc<Waiter>> {
        let Parts { parts, holds } = self;
        let ranges = parts.iter().count();
        assert!(
            ranges <= waiter::MOST_RANGES,
            "a request has {ranges} ranges; it may have {}: make several of it",
            waiter::MOST_RANGES
        );
        let mut locks = lock_all(parts);
        if is_free(parts, &mut locks) {
            insert(parts, holds, &mut locks, None);
            return None;
        }
        let shares = shares(parts, &mut locks);
        assert!(
            shares <= waiter::MOST_SHARES,
            "a request of several ranges lies in {shares} leaves, counted for each range; it may lie in {}: \
             make several of it",
            waiter::MOST_SHARES
        );
        if pass(parts, &locks, wakes) {
            insert(parts, holds, &mut locks, None);
            for_each(parts, holds, &mut locks, |leaves, part, hold| {
                let hold = hold.as_ref().expect("it has just been entered");
                leaves.over(hold.span).for_each(|leaf| leaf.put_behind(hold.key.id, part.claim));
            });
            super::let_go_of_passed(claims(parts, &locks));
            return None;
        }
        // A request of several locks is passed only as often as each of them allows.
        let passes = locks_of(parts).map(|lock| lock.place.partition().bypass()).min();
        let first = locks.iter_mut().next().expect("what is blocked has a part");
        let spares = first.partition().spares();
        let queued = first.first().queue(passes.unwrap_or(0), spares);
        let waiter = queued.waiter.clone();
        insert(parts, holds, &mut locks, Some(queued));
        Some(waiter)
    }

    /// Grants all parts when all that conflicts with any and came before has left. `false` if the
    /// deadline comes first.
    pub(crate) fn acquire(&mut self, deadline: Deadline) -> bool {
        if deadline.has_passed() {
            return self.try_enter();
        }
        match self.enter() {
            None => true,
            Some(waiter) => {
                let owner = Owner(self);
                let waited = owner.0.wait(&waiter, deadline);
                owner.hand_over();
                let granted = match waited {
                    Waited::Granted => true,
                    Waited::TimedOut => self.cancel(),
                };
                self.note_waited(&waiter, granted);
                granted
            }
        }
    }

    /// Waits for what has been entered, or for its upgrade.
    fn wait(&self, waiter: &Waiter, deadline: Deadline) -> Waited {
        let parts = self.parts.iter().zip(self.holds.iter());
        let entered = parts.filter_map(|(part, hold)| Some((part.place(), hold.as_ref()?.key.id)));
        blocked(entered, || waiter.wait(deadline))
    }

    /// Withdraws a request that has been waiting. Returns `true` if it was granted, at once or
    /// before it could be withdrawn.
    #[must_use]
    pub(crate) fn cancel(&mut self) -> bool {
        let mut wakes = WakeList::default();
        let Parts { parts, holds } = self;
        let mut locks = lock_all(parts);
        let mut waits = false;
        for_each(parts, holds, &mut locks, |leaves, _, hold| {
            waits =
                hold.as_ref().is_some_and(|hold| leaves.over(hold.span).any(|leaf| leaf.entry(hold).waits()));
        });
        if waits {
            for_each(parts, holds, &mut locks, |leaves, _, hold| {
                if let Some(hold) = hold.take() {
                    leaves.over(hold.span).for_each(|leaf| leaf.take_out(&hold, &mut wakes));
                }
            });
        }
        !waits
    }

    /// Withdraws a request that has been waiting, and releases it if it was granted before.
    pub(crate) fn withdraw(&mut self) {
        if self.cancel() {
            self.release();
        }
    }

    /// Releases what is held.
    pub(crate) fn release(&mut self) {
        let mut wakes = WakeList::default();
        let Parts { parts, holds } = self;
        let mut locks = lock_all(parts);
        for_each(parts, holds, &mut locks, |leaves, _, hold| {
            if let Some(hold) = hold.take() {
                leaves.over(hold.span).for_each(|leaf| leaf.take_out(&hold, &mut wakes));
            }
        });
    }

    /// Weakens what is held of `span` in the lock at this address to mode `to`, or releases it, in
    /// one step. The rest is held throughout. What is held in a weaker mode stays
    /// as it is.
    pub(crate) fn weaken(&mut self, address: usize, span: Span, to: Option<Mode>) {
        let mut wakes = WakeList::default();
        let parts = self.weaken_quietly(address, span, to, &mut wakes);
        drop(wakes); // A waker may panic: by now `self` is what is held.
        drop(parts);
    }

    /// Releases what is held in the lock at this address outside of `span`: what is before it, then
    /// what is behind it.
    pub(crate) fn shrink(&mut self, address: usize, Span { first, last }: Span) {
        let before = first.checked_sub(1).map(|last| Span { first: 0, last });
        let behind = last.checked_add(1).map(|first| Span { first, last: u64::MAX });
        let mut wakes = WakeList::default();
        let parts = [before, behind].map(|span| Some(self.weaken_quietly(address, span?, None, &mut wakes)));
        drop(wakes); // As above.
        drop(parts);
    }

    /// The same as [`weaken`](Self::weaken), without waking any waiter. Returns the parts as they
    /// were, whose locks have to outlast the wake-ups.
    fn weaken_quietly(
        &mut self,
        address: usize,
        span: Span,
        to: Option<Mode>,
        wakes: &mut WakeList,
    ) -> List<Part<L>> {
        let is_meant = |part: &Part<L>| {
            part.place().address() == address
                && part.claim.span.overlaps(span)
                && to.is_none_or(|to| to < part.claim.mode)
        };
        let mut meant = self.parts.iter().filter(|part| is_meant(part));
        let Some(Part { lock, claim }) = meant.next() else { return List::new() };
        let last = meant.last().map_or(claim.span.last, |part| part.claim.span.last);
        let (mut parts, mut holds) = (List::new(), List::new());
        let mut leaves = lock.place().partition().lock_over(Span { first: claim.span.first, last });
        for (part, hold) in self.parts.iter().zip(self.holds.iter_mut()) {
            let mut keep = |mode, hold: Hold| {
                parts.push(Part { lock: part.lock.clone(), claim: Claim { span: hold.span, mode } });
                holds.push(Some(hold));
            };
            let (mode, Some(mut hold)) = (part.claim.mode, hold.take()) else { continue };
            if !is_meant(part) {
                keep(mode, hold);
                continue;
            }
            let id = hold.key.id;
            if hold.span.first < span.first {
                let (before, rest) = super::split_in(&mut leaves, &hold, span.first, id);
                keep(mode, before);
                hold = rest;
            }
            let mut behind = None;
            if span.last < hold.span.last {
                let (meant, rest) = super::split_in(&mut leaves, &hold, span.last + 1, id);
                (hold, behind) = (meant, Some(rest));
            }
            match to {
                None => leaves.over(hold.span).for_each(|leaf| leaf.take_out(&hold, wakes)),
                Some(to) => {
                    leaves.over(hold.span).for_each(|leaf| leaf.downgrade(&hold, to, wakes));
                    keep(to, hold);
                }
            }
            if let Some(behind) = behind {
                keep(mode, behind);
            }
        }
        drop(leaves);
        self.holds = holds;
        mem::replace(&mut self.parts, parts)
    }

    /// Makes writers of the upgradable parts when the readers that are in have left. Returns
    /// `false` if the deadline comes first. Then the parts are upgradable as before.
    pub(crate) fn upgrade(&mut self, deadline: Deadline) -> bool {
        let at_once = deadline.has_passed();
        let waiter = self.begin_upgrade(!at_once);
        let upgraded = match waiter {
            Ok(()) => true,
            Err(None) => false,
            Err(Some(waiter)) => {
                let granted = match self.wait(&waiter, deadline) {
                    Waited::Granted => true,
                    Waited::TimedOut => self.cancel_upgrade(&waiter),
                };
                self.note_upgrade(&waiter, granted);
                granted
            }
        };
        if upgraded {
            let upgradable = self.parts.iter_mut().filter(|part| part.claim.mode == Mode::Upgradable);
            upgradable.for_each(|part| part.claim.mode = Mode::Write);
        }
        upgraded
    }

    /// Claims the upgrade. `Err` if there are readers in: the record to wait with, if it may wait.
    fn begin_upgrade(&mut self, may_wait: bool) -> Result<(), Option<Arc<Waiter>>> {
        let mut wakes = WakeList::default();
        let Parts { parts, holds } = self;
        let mut locks = lock_all(parts);
        let mut is_read = false;
        for_each_upgradable(parts, holds, &mut locks, |_, leaf, hold| is_read |= leaf.make_writer(hold));
        if !is_read {
            let upgraded = locks.iter_mut().zip(locks_of(parts)).filter(|(_, lock)| lock.is_upgradable);
            upgraded.for_each(|(leaves, _)| leaves.first().note_granted(Mode::Write));
            return Ok(());
        }
        if !may_wait {
            for_each_upgradable(parts, holds, &mut locks, |_, leaf, hold| {
                leaf.downgrade(hold, Mode::Upgradable, &mut wakes);
            });
            return Err(None);
        }
        // The record is drawn from a leaf that the upgrade is filed in: when an upgrade leaves the
        // trees of a leaf, the leaf gives back the records that it does not need.
        let mut again = None::<Queued>;
        for_each_upgradable(parts, holds, &mut locks, |spares, leaf, hold| {
            let queued = again.take().unwrap_or_else(|| leaf.queue_upgrade(spares));
            again = Some(queued.again());
            leaf.await_upgrade(hold, queued);
        });
        Err(again.map(|queued| queued.waiter))
    }

    /// Takes an upgrade back. `true` if it was granted before.
    fn cancel_upgrade(&mut self, waiter: &Waiter) -> bool {
        let mut wakes = WakeList::default();
        let Parts { parts, holds } = self;
        let mut locks = lock_all(parts);
        let granted = waiter.is_granted();
        if !granted {
            for_each_upgradable(parts, holds, &mut locks, |_, leaf, hold| {
                leaf.cancel_upgrade(hold, &mut wakes)
            });
        }
        granted
    }

    /// The request, which waited with `waiter`, has been granted or has given up.
    pub(crate) fn note_waited(&self, waiter: &Waiter, granted: bool) {
        let locks = locks_of(&self.parts);
        locks.for_each(|lock| note_waited(lock.place.partition(), lock.strongest, waiter, granted));
    }

    /// The same for an upgrade, which asks only the locks of upgradable parts.
    fn note_upgrade(&self, waiter: &Waiter, granted: bool) {
        let locks = locks_of(&self.parts).filter(|lock| lock.is_upgradable);
        locks.for_each(|lock| note_waited(lock.place.partition(), Mode::Write, waiter, granted));
    }
}

/// Gives each part its entries. Parts of one lock have one id.
fn insert<'p, L: Lock>(
    parts: &'p List<Part<L>>,
    holds: &mut List<Option<Hold>>,
    locks: &mut LockedLocks<'p>,
    mut queued: Option<Queued>,
) {
    let mut drawn = None;
    let again = queued.as_ref().map(Queued::again);
    for_each(parts, holds, locks, |leaves, part, hold| {
        let (place, claim) = (part.place(), part.claim);
        let lock = place.address();
        let id = match drawn {
            Some((of, id)) if of == lock => id,
            _ => leaves.first().draw_id(place.partition().ids()),
        };
        drawn = Some((lock, id));
        let mut slot = None;
        for leaf in leaves.over(claim.span) {
            let here = match queued.take().or_else(|| again.clone()) {
                None => leaf.insert_granted(id, claim.span, claim.mode),
                Some(queued) => leaf.insert_waiting(id, claim, queued),
            };
            slot.get_or_insert(here);
        }
        let key = Key::new(id, leaves.index(), slot.expect("a part lies in some leaf"));
        *hold = Some(Hold { span: claim.span, key });
    });
    if again.is_none() {
        let granted = locks.iter_mut().zip(locks_of(parts));
        granted.for_each(|(leaves, lock)| leaves.first().note_granted(lock.strongest));
    }
}

/// Locks the leaves of all parts, and those between them: the leaves of one lock together.
fn lock_all<L: Lock>(parts: &List<Part<L>>) -> LockedLocks<'_> {
    let mut locks = List::new();
    locks_of(parts).for_each(|lock| locks.push(lock.place.partition().lock_over(lock.hull)));
    locks
}

/// The parts of one lock.
struct PartsOfLock<'p> {
    place: Place<'p>,
    /// From the first part to the last.
    hull: Span,
    strongest: Mode,
    /// Whether one of them is upgradable.
    is_upgradable: bool,
}

/// The locks of the parts, in the order in which they are locked.
fn locks_of<L: Lock>(parts: &List<Part<L>>) -> impl Iterator<Item = PartsOfLock<'_>> {
    let mut parts = parts.iter().peekable();
    iter::from_fn(move || {
        let first = parts.next()?;
        let (place, Claim { span, mode }) = (first.place(), first.claim);
        let mut lock =
            PartsOfLock { place, hull: span, strongest: mode, is_upgradable: mode == Mode::Upgradable };
        while let Some(part) = parts.next_if(|part| part.place().address() == place.address()) {
            lock.hull.last = part.claim.span.last;
            lock.strongest = lock.strongest.max(part.claim.mode);
            lock.is_upgradable |= part.claim.mode == Mode::Upgradable;
        }
        Some(lock)
    })
}

/// How many entries the parts get, each with a share of the count if the request waits.
fn shares<'p, L: Lock>(parts: &'p List<Part<L>>, locks: &mut LockedLocks<'p>) -> usize {
    let mut shares = 0;
    for_each_part(parts, locks, |leaves, part| shares += leaves.over(part.claim.span).count());
    shares
}

fn is_free<'p, L: Lock>(parts: &'p List<Part<L>>, locks: &mut LockedLocks<'p>) -> bool {
    let mut is_free = true;
    for_each_part(parts, locks, |leaves, part| {
        let Claim { span, mode } = part.claim;
        is_free = is_free && leaves.over(span).all(|leaf| leaf.is_free(span, mode));
    });
    is_free
}

/// Passes all requests that are in the way of some part, or none, if all locks allow it.
fn pass<'p, L: Lock>(parts: &'p List<Part<L>>, locks: &LockedLocks<'p>, wakes: &mut WakeList) -> bool {
    if locks_of(parts).any(|lock| lock.place.partition().bypass() == 0) {
        return false;
    }
    super::pass(|| claims(parts, locks), wakes)
}

/// The claim of each part, with each leaf of its lock.
fn claims<'l, L: Lock>(
    parts: &'l List<Part<L>>,
    locks: &'l LockedLocks<'_>,
) -> impl Iterator<Item = (&'l Leaf, Claim)> {
    let leaves = move |place: Place<'_>| {
        let at = locks_of(parts).position(|lock| lock.place.address() == place.address());
        locks.iter().nth(at.expect("each part's lock is among them")).expect("each lock is locked")
    };
    parts.iter().flat_map(move |part| leaves(part.place()).iter().map(move |leaf| (leaf, part.claim)))
}

/// Calls `f` for each part with the leaves of its lock.
fn for_each<'p, L: Lock>(
    parts: &'p List<Part<L>>,
    holds: &mut List<Option<Hold>>,
    locks: &mut LockedLocks<'p>,
    mut f: impl FnMut(&mut Locked<'p>, &'p Part<L>, &mut Option<Hold>),
) {
    let mut holds = holds.iter_mut();
    for_each_part(parts, locks, |leaves, part| f(leaves, part, holds.next().expect("each part has one")));
}

/// The same without its entries.
fn for_each_part<'p, L: Lock>(
    parts: &'p List<Part<L>>,
    locks: &mut LockedLocks<'p>,
    mut f: impl FnMut(&mut Locked<'p>, &'p Part<L>),
) {
    let mut locks = locks.iter_mut();
    let (mut leaves, mut locked) = (None, None);
    for part in parts.iter() {
        let address = part.place().address();
        if locked != Some(address) {
            (leaves, locked) = (locks.next(), Some(address));
        }
        f(leaves.as_mut().expect("each lock is locked"), part);
    }
}

/// Calls `f` for each entry of each upgradable part, which is held, with the leaf and the store of
/// its lock.
fn for_each_upgradable<'p, L: Lock>(
    parts: &'p List<Part<L>>,
    holds: &mut List<Option<Hold>>,
    locks: &mut LockedLocks<'p>,
    mut f: impl FnMut(&Spares, &mut Leaf, &Hold),
) {
    for_each(parts, holds, locks, |leaves, part, hold| {
        if let Some(hold) = hold.as_ref().filter(|_| part.claim.mode == Mode::Upgradable) {
            let spares = leaves.partition().spares();
            leaves.over(hold.span).for_each(|leaf| f(spares, leaf, hold));
        }
    });
}

/// Parts that have entered and have no guard or future yet. If the thread unwinds, they are taken
/// out of their locks again.
struct Owner<'p, L: Lock>(&'p mut Parts<L>);

impl<L: Lock> Owner<'_, L> {
    fn hand_over(self) {
        mem::forget(self);
    }
}

impl<L: Lock> Drop for Owner<'_, L> {
    fn drop(&mut self) {
        self.0.withdraw();
    }
}

/// The leaves that a request concerns, lock by lock.
type LockedLocks<'a> = List<Locked<'a>>;

/// Cuts overlapping claims into disjoint parts, from lock to lock and from left to right.
struct Sweep<L> {
    parts: List<Part<L>>,
    at: Option<At<L>>,
}

/// How far a [`Sweep`] has come.
struct At<L> {
    lock: L,
    /// The first point for which no part has been emitted.
    next: u64,
    /// For each mode, the last point of the claims begun so far.
    lasts: [Option<u64>; 3],
}

impl<L: Lock> Sweep<L> {
    /// Takes up a claim that begins behind, or at, where all before it do.
    fn begin(&mut self, lock: &L, claim: Claim) {
        let address = lock.place().address();
        if self.at.as_ref().is_some_and(|at| at.lock.place().address() == address) {
            self.emit_before(Some(claim.span.first));
        } else {
            self.emit_before(None);
            self.at = Some(At { lock: lock.clone(), next: 0, lasts: [None; 3] });
        }
        if let Some(at) = &mut self.at {
            at.next = claim.span.first;
            let last = &mut at.lasts[claim.mode as usize];
            *last = (*last).max(Some(claim.span.last));
        }
    }

    /// Emits what the claims begun so far cover, up to `end` or to their ends.
    fn emit_before(&mut self, end: Option<u64>) {
        let Some(at) = &mut self.at else { return };
        while end.is_none_or(|end| at.next < end) {
            let strongest = [Mode::Write, Mode::Upgradable, Mode::Read]
                .into_iter()
                .find_map(|mode| Some((mode, at.lasts[mode as usize].filter(|&last| at.next <= last)?)));
            let Some((mode, last)) = strongest else { return };
            let last = end.map_or(last, |end| last.min(end - 1));
            let claim = Claim { span: Span { first: at.next, last }, mode };
            push_joined(&mut self.parts, Part { lock: at.lock.clone(), claim });
            match last.checked_add(1) {
                Some(next) => at.next = next,
                None => at.lasts = [None; 3], // Nothing lies behind the last point of the domain.
            }
        }
    }
}

/// Adds a part, as one with the part before where that ends just there and has the same mode.
fn push_joined<L: Lock>(parts: &mut List<Part<L>>, part: Part<L>) {
    match parts.last_mut() {
        Some(before)
            if before.place().address() == part.place().address()
                && before.claim.mode == part.claim.mode
                && before.claim.span.last.checked_add(1) == Some(part.claim.span.first) =>
        {
            before.claim.span.last = part.claim.span.last;
        }
        _ => parts.push(part),
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::lock::RangeLock;

    /// The strongest mode asked for at each point, against the mode of the parts there.
    fn check(ranges: &[(usize, u64, u64, Mode)]) {
        let locks = [RangeLock::new(), RangeLock::new()];
        // Small numbers stand for points at both ends of the domain.
        let point = |n: u64| if n < 20 { n } else { u64::MAX - (39 - n) };
        let parts = Parts::new(ranges.iter().map(|&(lock, first, last, mode)| {
            let span = Span { first: point(first), last: point(last) };
            (&locks[lock], Claim { span, mode })
        }));
        for (which, lock) in locks.iter().enumerate() {
            for n in 0..40 {
                let asked =
                    ranges.iter().filter(|&&(l, first, last, _)| l == which && first <= n && n <= last);
                let covering = |part: &&Part<&RangeLock>| {
                    std::ptr::eq(part.lock, lock) && part.claim.span.contains(point(n))
                };
                let got: Vec<_> = parts.iter().filter(covering).map(|part| part.claim.mode).collect();
                assert_eq!(got, Vec::from_iter(asked.map(|a| a.3).max()), "at {n} of {which} in {parts:?}");
            }
        }
        let ordered: Vec<_> =
            parts.iter().map(|part| (part.place().address(), part.claim.span.first)).collect();
        assert!(ordered.is_sorted(), "{parts:?}");
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: if cfg!(miri) { 8 } else { 1000 }, ..ProptestConfig::default() })]

        #[test]
        fn parts_are_disjoint_and_the_stronger_mode_wins(
            ranges in prop::collection::vec(
                (0..2_usize, 0..40_u64, 0..40_u64, any::<bool>()).prop_map(|(lock, a, b, writes)| {
                    (lock, a.min(b), a.max(b), if writes { Mode::Write } else { Mode::Read })
                }),
                0..9,
            )
        ) {
            check(&ranges);
        }
    }
}
