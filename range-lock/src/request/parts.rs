//! A request for several ranges, of one lock or of several.
//!
//! Whoever takes two ranges one after the other can meet somebody who takes them the other way round. Here the mutexes of all
//! the leaves concerned are held, in the order of the locks' addresses and in each from left to right, while the request enters: it
//! is in all queues from one moment on, and so is before or behind any other such request everywhere. It has one blocking count for
//! all of its ranges, and one record in all of them.
//!
//! In each lock the leaves between the first range and the last are locked too. To skip them would ask for care in finding the next
//! one ("ascending" in [`partition`](crate::partition)), and they are few.

use std::{iter, mem};

use super::note_waited;
use crate::blocked::blocked;
use crate::claim::{Claim, Hold, Key};
use crate::inline_vec::InlineVec;
use crate::leaf::{Entry, Queued};
use crate::mode::Mode;
use crate::partition::{Locked, Place};
use crate::span::Span;
use crate::sync::{Arc, Deadline};
use crate::waiter::{self, Waited, Waiter, WakeList};

/// How many ranges a request may have before it allocates.
const INLINE: usize = 4;

/// One range of a request: disjoint from the others of the same lock.
#[derive(Debug)]
pub(crate) struct Part<'a, L> {
    place: Place<'a>,
    /// What the caller calls the lock.
    pub(crate) lock: L,
    pub(crate) claim: Claim,
    /// Set while the part has an entry in the lock.
    hold: Option<Hold>,
}

/// The ranges of a request, in the order in which their locks are locked: by address, then by first point.
#[derive(Debug)]
pub(crate) struct Parts<'a, L>(InlineVec<Part<'a, L>, INLINE>);

impl<'a, L: Copy> Parts<'a, L> {
    /// Sorts the ranges, and makes those of one lock disjoint: where they overlap, the stronger mode
    /// wins.
    pub(crate) fn new(claims: impl IntoIterator<Item = (Place<'a>, L, Claim)>) -> Self {
        let mut asked = InlineVec::<_, INLINE>::new();
        claims.into_iter().for_each(|claim| asked.push(claim));
        asked.sort_unstable_by_key(|(place, _, claim)| (place.address(), claim.span.first));

        let mut sweep = Sweep { parts: InlineVec::new(), at: None };
        for &(place, lock, claim) in asked.iter() {
            sweep.begin(place, lock, claim);
        }
        sweep.emit_before(None);
        Parts(sweep.parts)
    }

    /// The parts, in their order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Part<'a, L>> {
        self.0.iter()
    }

    /// Grants all parts if nothing conflicts with any.
    pub(crate) fn try_enter(&mut self) -> bool {
        let mut locks = self.lock_all();
        let granted = self.is_free(&mut locks);
        if granted {
            self.insert(&mut locks, None);
        }
        granted
    }

    /// Enters all parts: granted at once (`None`), or counted by all that conflict with any of them and come later.
    pub(crate) fn enter(&mut self) -> Option<Arc<Waiter>> {
        let mut wakes = WakeList::default();
        let waiter = self.enter_quietly(&mut wakes);
        let owner = Owner(self);
        drop(wakes); // A waker may panic.
        owner.hand_over();
        waiter
    }

    /// The same, without waking anybody.
    fn enter_quietly(&mut self, wakes: &mut WakeList) -> Option<Arc<Waiter>> {
        let ranges = self.0.iter().count();
        assert!(
            ranges <= waiter::MOST_RANGES,
            "a request has {ranges} ranges; it may have {}: make several of it",
            waiter::MOST_RANGES
        );
        let mut locks = self.lock_all();
        if self.is_free(&mut locks) {
            self.insert(&mut locks, None);
            return None;
        }
        if self.pass(&mut locks, wakes) {
            self.insert(&mut locks, None);
            self.for_each(&mut locks, |leaves, part| {
                let hold = part.hold.as_ref().expect("it has just been entered");
                leaves.over(hold.span).for_each(|leaf| leaf.put_behind(hold.key.id, part.claim));
            });
            let locks = &locks;
            super::let_go_of_passed(self.in_the_way(locks));
            return None;
        }
        // A request of several locks is passed only as often as each of them allows.
        let passes = self.locks().map(|(place, ..)| place.partition().bypass()).min();
        let first = locks.iter_mut().next().expect("what is blocked has a part");
        let spares = first.partition().spares();
        let queued = first.first().queue(passes.unwrap_or(0), spares);
        let waiter = queued.waiter.clone();
        self.insert(&mut locks, Some(queued));
        Some(waiter)
    }

    /// Gives each part its entries; those of one lock have one id.
    fn insert(&mut self, locks: &mut LockedLocks<'a>, mut queued: Option<Queued>) {
        let mut drawn = None;
        let again = queued.as_ref().map(Queued::again);
        self.for_each(locks, |leaves, part| {
            let (lock, claim) = (part.place.address(), part.claim);
            let id = match drawn {
                Some((of, id)) if of == lock => id,
                _ => leaves.first().draw_id(part.place.partition().ids()),
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
            part.hold = Some(Hold { span: claim.span, key });
        });
        if again.is_none() {
            let modes = self.locks().map(|(.., mode)| mode);
            locks.iter_mut().zip(modes).for_each(|(leaves, mode)| leaves.first().note_granted(mode));
        }
    }

    /// Grants all parts when all that conflicts with any and came before has left; `false` if the
    /// deadline comes first.
    pub(crate) fn acquire(&mut self, deadline: Deadline) -> bool {
        if deadline.has_passed() {
            return self.try_enter();
        }
        match self.enter() {
            None => true,
            Some(waiter) => {
                let owner = Owner(self);
                let parts = owner.0.0.iter();
                let entered = parts.filter_map(|part| Some((part.place, part.hold.as_ref()?.key.id)));
                let waited = blocked(entered, || waiter.wait(deadline));
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

    /// Withdraws a request that has been waiting; `true` if it was granted, at once or before it
    /// could be withdrawn.
    #[must_use]
    pub(crate) fn cancel(&mut self) -> bool {
        let mut wakes = WakeList::default();
        let mut locks = self.lock_all();
        let mut waits = false;
        self.for_each(&mut locks, |leaves, part| {
            waits = part
                .hold
                .as_ref()
                .is_some_and(|hold| leaves.over(hold.span).any(|leaf| leaf.entry(hold).waits()));
        });
        if waits {
            self.for_each(&mut locks, |leaves, part| {
                if let Some(hold) = part.hold.take() {
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
        let mut locks = self.lock_all();
        self.for_each(&mut locks, |leaves, part| {
            if let Some(hold) = part.hold.take() {
                leaves.over(hold.span).for_each(|leaf| leaf.take_out(&hold, &mut wakes));
            }
        });
    }

    /// Locks the leaves of all parts, and those between them: the leaves of one lock together.
    fn lock_all(&self) -> LockedLocks<'a> {
        let mut locks = InlineVec::new();
        self.locks().for_each(|(place, hull, _)| locks.push(place.partition().lock_over(hull)));
        locks
    }

    /// The locks that are concerned, in order, with the span from the first part to the last, and the strongest mode asked for.
    fn locks(&self) -> impl Iterator<Item = (Place<'a>, Span, Mode)> {
        let mut parts = self.0.iter().peekable();
        iter::from_fn(move || {
            let &Part { place, claim, .. } = parts.next()?;
            let (mut hull, mut strongest) = (claim.span, claim.mode);
            while let Some(part) = parts.next_if(|part| part.place.address() == place.address()) {
                hull.last = part.claim.span.last;
                strongest = strongest.max(part.claim.mode);
            }
            Some((place, hull, strongest))
        })
    }

    /// The request, which waited with `waiter`, has been granted or has given up.
    pub(crate) fn note_waited(&self, waiter: &Waiter, granted: bool) {
        let locks = self.locks();
        locks.for_each(|(place, _, mode)| note_waited(place.partition(), mode, waiter, granted));
    }

    fn is_free(&mut self, locks: &mut LockedLocks<'a>) -> bool {
        let mut is_free = true;
        self.for_each(locks, |leaves, part| {
            let Claim { span, mode } = part.claim;
            is_free = is_free && leaves.over(span).all(|leaf| leaf.is_free(span, mode));
        });
        is_free
    }

    /// Passes all requests that are in the way of some part, or none, if all locks allow it.
    fn pass(&self, locks: &mut LockedLocks<'a>, wakes: &mut WakeList) -> bool {
        if self.locks().any(|(place, ..)| place.partition().bypass() == 0) {
            return false;
        }
        super::pass(|| self.in_the_way(locks), wakes)
    }

    /// All that conflicts with some part.
    fn in_the_way<'l>(&'l self, locks: &'l LockedLocks<'a>) -> impl Iterator<Item = Entry<'l>> {
        let leaves = move |place: Place<'_>| {
            let at = self.locks().position(|(other, ..)| other.address() == place.address());
            locks.iter().nth(at.expect("each part's lock is among them")).expect("each lock is locked")
        };
        self.0.iter().flat_map(move |part| {
            let Claim { span, mode } = part.claim;
            leaves(part.place).iter().flat_map(move |leaf| leaf.in_the_way(span, mode))
        })
    }

    /// Calls `f` for each part with the leaves of its lock.
    fn for_each(
        &mut self,
        locks: &mut LockedLocks<'a>,
        mut f: impl FnMut(&mut Locked<'a>, &mut Part<'a, L>),
    ) {
        let mut locks = locks.iter_mut();
        let (mut leaves, mut locked) = (None, None);
        for part in self.0.iter_mut() {
            if locked != Some(part.place.address()) {
                (leaves, locked) = (locks.next(), Some(part.place.address()));
            }
            f(leaves.as_mut().expect("each lock is locked"), part);
        }
    }
}

/// Parts that have entered and have no guard or future yet. If the thread unwinds, they are taken
/// out of their locks again.
struct Owner<'p, 'a, L: Copy>(&'p mut Parts<'a, L>);

impl<L: Copy> Owner<'_, '_, L> {
    fn hand_over(self) {
        mem::forget(self);
    }
}

impl<L: Copy> Drop for Owner<'_, '_, L> {
    fn drop(&mut self) {
        self.0.withdraw();
    }
}

/// The leaves that a request concerns, lock by lock.
type LockedLocks<'a> = InlineVec<Locked<'a>, INLINE>;

/// Cuts overlapping claims into disjoint parts, from lock to lock and from left to right.
struct Sweep<'a, L> {
    parts: InlineVec<Part<'a, L>, INLINE>,
    at: Option<At<'a, L>>,
}

/// How far a [`Sweep`] has come.
struct At<'a, L> {
    place: Place<'a>,
    lock: L,
    /// The first point for which no part has been emitted.
    next: u64,
    /// For each mode, the last point of the claims begun so far.
    lasts: [Option<u64>; 3],
}

impl<'a, L: Copy> Sweep<'a, L> {
    /// Takes up a claim that begins behind, or at, where all before it do.
    fn begin(&mut self, place: Place<'a>, lock: L, claim: Claim) {
        if self.at.as_ref().is_some_and(|at| at.place.address() == place.address()) {
            self.emit_before(Some(claim.span.first));
        } else {
            self.emit_before(None);
            self.at = Some(At { place, lock, next: 0, lasts: [None; 3] });
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
            push_joined(&mut self.parts, Part { place: at.place, lock: at.lock, claim, hold: None });
            match last.checked_add(1) {
                Some(next) => at.next = next,
                None => at.lasts = [None; 3], // Nothing lies behind the last point of the domain.
            }
        }
    }
}

/// Adds a part, as one with the part before where that ends just there and has the same mode.
fn push_joined<'a, L>(parts: &mut InlineVec<Part<'a, L>, INLINE>, part: Part<'a, L>) {
    match parts.last_mut() {
        Some(before)
            if before.place.address() == part.place.address()
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
            (locks[lock].place(), lock, Claim { span, mode })
        }));
        for which in 0..locks.len() {
            for n in 0..40 {
                let asked =
                    ranges.iter().filter(|&&(l, first, last, _)| l == which && first <= n && n <= last);
                let covering =
                    |part: &&Part<'_, usize>| part.lock == which && part.claim.span.contains(point(n));
                let got: Vec<_> = parts.iter().filter(covering).map(|part| part.claim.mode).collect();
                assert_eq!(got, Vec::from_iter(asked.map(|a| a.3).max()), "at {n} of {which} in {parts:?}");
            }
        }
        let ordered: Vec<_> =
            parts.iter().map(|part| (part.place.address(), part.claim.span.first)).collect();
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
