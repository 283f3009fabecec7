//! The transitions of a request: how it is granted, waits, gives up and leaves. It uses the
//! partition and all layers below, and knows no [`RangeLock`](crate::RangeLock).
//!
//! Each function here is one transition of the lock. It takes the mutexes of all leaves concerned
//! and changes the leaves. When the mutexes have been dropped, it wakes the threads and tasks that
//! the change has let in. The usual case, an uncontended request in one leaf, comes first in each
//! function and is inlined. The rest is the same for one leaf and for several.

mod parts;
mod watch;

pub(crate) use parts::{Lock, Parts};
pub(crate) use watch::wait_until_free;
#[cfg(any(feature = "async", test))]
pub(crate) use watch::{Watch, unwatch, watch};

use crate::blocked::blocked;
use crate::claim::{Claim, Hold, Key, LeafIndex};
use crate::ids::RequestId;
use crate::leaf::{Leaf, Queued};
use crate::mode::Mode;
use crate::partition::{LeafGuard, Locked, Partition, Place};
use crate::span::Span;
use crate::sync::{self, Arc, Deadline};
use crate::waiter::{Lowered, Waited, Waiter, WakeList};

/// What came of entering a request. Only tasks need it: a thread waits at once.
#[cfg(any(feature = "async", test))]
#[derive(Debug)]
#[must_use]
pub(crate) enum Entered {
    Granted(Hold),
    Waiting(Hold, Arc<Waiter>),
}

/// Grants a request for `span` if nothing conflicts with it, held or waiting.
///
/// Arguments and result are in registers, and the guard is made where it is to lie. A guard that is
/// returned would be stored in parts, loaded whole, and stored again. The load would wait until the
/// parts have left the CPU, which takes longer than all the rest.
#[inline]
pub(crate) fn try_acquire(partition: &Partition, span: Span, mode: Mode) -> Option<Key> {
    if partition.was_cut() {
        return try_acquire_routed(partition, span, mode);
    }
    match grant_alone(partition, LeafIndex::ROOT, span, mode) {
        Ok(key) => Some(key),
        Err(at) => try_acquire_among(partition, at, span, mode),
    }
}

/// Grants a request for `span` when all that conflicts with it and came before has left. Returns
/// `None` if the deadline comes first. In registers, as [`try_acquire`].
#[inline]
pub(crate) fn acquire(place: Place<'_>, span: Span, mode: Mode, deadline: Deadline) -> Option<Key> {
    let partition = place.partition();
    if partition.was_cut() {
        return acquire_routed(place, span, mode, deadline);
    }
    match grant_alone(partition, LeafIndex::ROOT, span, mode) {
        Ok(key) => Some(key),
        Err(at) => acquire_among(place, at, span, mode, deadline),
    }
}

/// The same in a lock that has been cut. It is a function by itself, because the search for the
/// leaf needs many registers. The next locked instruction waits for the registers that a function
/// saves on the stack.
#[inline(never)]
fn acquire_routed(place: Place<'_>, span: Span, mode: Mode, deadline: Deadline) -> Option<Key> {
    let partition = place.partition();
    match grant_alone(partition, partition.route(span.first), span, mode) {
        Ok(key) => Some(key),
        Err(at) => acquire_among(place, at, span, mode, deadline),
    }
}

/// The same where other requests are in the leaf, or another leaf is the right one, or there are
/// more leaves.
#[inline(never)]
fn acquire_among(
    place: Place<'_>,
    at: Option<LeafGuard<'_>>,
    span: Span,
    mode: Mode,
    deadline: Deadline,
) -> Option<Key> {
    let partition = place.partition();
    let at = partition.lock_right(at, span);
    if at.leaf.bounds().cover(span) && at.leaf.is_free(span, mode) {
        return Some(grant(partition, at, span, mode));
    }
    acquire_slowly(place, at, span, mode, deadline)
}

#[cold]
#[inline(never)]
fn acquire_slowly(
    place: Place<'_>,
    at: LeafGuard<'_>,
    span: Span,
    mode: Mode,
    deadline: Deadline,
) -> Option<Key> {
    if deadline.has_passed() {
        // Not queued for a moment, in which others would find it in their way.
        return try_acquire_among(place.partition(), Some(at), span, mode);
    }
    let owner = match enter_over(place.partition(), at, Claim { span, mode }) {
        Ok(hold) => return Some(hold.key),
        Err(owner) => owner,
    };
    let waited = owner.wait(place, deadline);
    let (hold, waiter) = owner.hand_over();
    let hold = match waited {
        Waited::Granted => Some(hold),
        Waited::TimedOut => cancel(place.partition(), hold),
    };
    note_waited(place.partition(), mode, &waiter, hold.is_some());
    Some(hold?.key)
}

/// Enters `claim`: granted at once, or counted by all that conflict with it and come later.
#[cfg(any(feature = "async", test))]
pub(crate) fn enter(partition: &Partition, claim: Claim) -> Entered {
    match enter_over(partition, partition.lock_at(claim.span), claim) {
        Ok(hold) => Entered::Granted(hold),
        Err(owner) => {
            let (hold, waiter) = owner.hand_over();
            Entered::Waiting(hold, waiter)
        }
    }
}

/// Withdraws a request that has been waiting. Returns the request if it was granted before it could
/// be withdrawn. Then it is held, and the caller decides whether to keep it or to hand it back.
#[must_use]
pub(crate) fn cancel(partition: &Partition, hold: Hold) -> Option<Hold> {
    let mut wakes = WakeList::default();
    let mut leaves = partition.lock_over(hold.span);
    // Under the mutexes the count is not lowered: the request is granted by now, or will not be.
    if !leaves.first().entry(&hold).waits() {
        return Some(hold);
    }
    leaves.iter_mut().for_each(|leaf| leaf.take_out(&hold, &mut wakes));
    None
}

/// Withdraws a request that has been waiting, and releases it if it was granted before.
pub(crate) fn withdraw(partition: &Partition, hold: Hold) {
    if let Some(granted) = cancel(partition, hold) {
        release(partition, &granted);
    }
}

/// Releases what is held. `hold` is of no use any more.
///
/// Takes `hold` by reference, because it comes from a guard that has just been written: a copy
/// would stall.
#[inline]
pub(crate) fn release(partition: &Partition, hold: &Hold) {
    let Some(mut at) = partition.try_lock(hold.key.leaf()) else {
        return release_among(partition, None, hold);
    };
    if !at.leaf.release_quietly(hold) {
        release_among(partition, Some(at), hold);
    }
}

/// Weakens a held request to mode `to`. The request is held throughout.
pub(crate) fn downgrade(partition: &Partition, hold: &Hold, to: Mode) {
    let mut wakes = WakeList::default();
    let mut leaves = partition.lock_over(hold.span);
    leaves.iter_mut().for_each(|leaf| leaf.downgrade(hold, to, &mut wakes));
}

/// Leaves a held request only `span` of what it has. `hold` is the new one when other requests are
/// woken, because a waker may panic.
pub(crate) fn shrink(partition: &Partition, hold: &mut Hold, span: Span) {
    let mut wakes = WakeList::default();
    let mut leaves = partition.lock_over(hold.span);
    let slots = leaves.iter_mut().filter_map(|leaf| leaf.shrink(hold, span, &mut wakes));
    let slot = first_of_all(slots);
    let slot = slot.expect("what is left lies in some leaf");
    *hold = Hold { span, key: Key::new(hold.key.id, hold.key.leaf(), slot) };
}

/// Makes two held requests of one, the second from `mid` on. `hold` is of no use any more.
pub(crate) fn split(partition: &Partition, hold: &Hold, mid: u64) -> (Hold, Hold) {
    let mut leaves = partition.lock_over(hold.span);
    let id = leaves.first().draw_id(partition.ids());
    split_in(&mut leaves, hold, mid, id)
}

/// The same in leaves that are locked, all of `hold` among them. The second request is called `id`.
fn split_in(leaves: &mut Locked<'_>, hold: &Hold, mid: u64, id: RequestId) -> (Hold, Hold) {
    let Hold { span: Span { first, last }, key } = *hold;
    let mut slots = [None; 2];
    for leaf in leaves.over(hold.span) {
        let here = leaf.split(hold, mid, id);
        slots = [0, 1].map(|half| slots[half].or(here[half]));
    }
    let [left, right] = slots.map(|slot| slot.expect("each half lies in some leaf"));
    (
        Hold { span: Span { first, last: mid - 1 }, key: Key::new(key.id, key.leaf(), left) },
        Hold { span: Span { first: mid, last }, key: Key::new(id, key.leaf(), right) },
    )
}

/// Makes a writer of an upgradable request if no reader is in.
#[must_use]
pub(crate) fn try_upgrade(partition: &Partition, hold: &Hold) -> bool {
    let mut wakes = WakeList::default();
    let mut leaves = partition.lock_over(hold.span);
    if leaves.iter().any(|leaf| leaf.is_read(hold)) {
        return false;
    }
    #[cfg(all(test, feature = "async", not(any(loom, shuttle))))]
    tests::before_readers_are_raised();
    // Readers that waited a moment ago may have been granted since, in other leaves.
    let upgraded = make_writer(&mut leaves, hold);
    if !upgraded {
        leaves.iter_mut().for_each(|leaf| leaf.downgrade(hold, Mode::Upgradable, &mut wakes));
    }
    upgraded
}

/// Makes a writer of an upgradable request when the readers that are in have left. Returns `false`
/// if the deadline comes first. Then the request is upgradable as before.
#[must_use]
pub(crate) fn upgrade(place: Place<'_>, hold: &Hold, deadline: Deadline) -> bool {
    if deadline.has_passed() {
        return try_upgrade(place.partition(), hold);
    }
    match begin_upgrade(place.partition(), hold) {
        None => true,
        Some(waiter) => {
            let granted = match blocked([(place, hold.key.id)], || waiter.wait(deadline)) {
                Waited::Granted => true,
                Waited::TimedOut => cancel_upgrade(place.partition(), hold),
            };
            note_waited(place.partition(), Mode::Write, &waiter, granted);
            granted
        }
    }
}

/// Claims the upgrade. Returns the record to wait with, if there are readers in.
pub(crate) fn begin_upgrade(partition: &Partition, hold: &Hold) -> Option<Arc<Waiter>> {
    let mut leaves = partition.lock_over(hold.span);
    if make_writer(&mut leaves, hold) {
        return None;
    }
    let queued = leaves.first().queue_upgrade(partition.spares());
    let waiter = Arc::clone(&queued.waiter);
    for_each_its_own(&mut leaves, queued, |leaf, queued| leaf.await_upgrade(hold, queued));
    Some(waiter)
}

/// Takes an upgrade back. Returns `true` if it was granted before.
pub(crate) fn cancel_upgrade(partition: &Partition, hold: &Hold) -> bool {
    let mut wakes = WakeList::default();
    let mut leaves = partition.lock_over(hold.span);
    let granted = !leaves.first().entry(hold).waits();
    if !granted {
        leaves.iter_mut().for_each(|leaf| leaf.cancel_upgrade(hold, &mut wakes));
    }
    granted
}

/// Counts a request that waited with `waiter` and waits no more (feature `stats`): it has been
/// granted, or has given up.
#[inline]
#[cfg_attr(not(feature = "stats"), expect(unused_variables, reason = "counted with the feature only"))]
pub(crate) fn note_waited(partition: &Partition, mode: Mode, waiter: &Waiter, granted: bool) {
    #[cfg(feature = "stats")]
    {
        let wait = waiter.since().map_or(std::time::Duration::ZERO, |since| since.elapsed());
        let counters = &mut partition.lock_at(Span::WHOLE).leaf.counters;
        if granted {
            counters.waited(mode, wait);
        } else {
            counters.gave_up(mode);
        }
    }
}

/// A request that waits, and has no guard or future yet. If the thread unwinds, the request is
/// taken out of the lock again.
#[derive(Debug)]
#[must_use]
struct Owner<'a> {
    partition: &'a Partition,
    /// `None` once another owner has the request.
    waiting: Option<(Hold, Arc<Waiter>)>,
}

impl Owner<'_> {
    /// Waits until the request is granted or the deadline comes.
    fn wait(&self, place: Place<'_>, deadline: Deadline) -> Waited {
        let (hold, waiter) = self.waiting.as_ref().expect("it is handed over afterwards");
        blocked([(place, hold.key.id)], || waiter.wait(deadline))
    }

    fn hand_over(mut self) -> (Hold, Arc<Waiter>) {
        self.waiting.take().expect("it is handed over once")
    }
}

impl Drop for Owner<'_> {
    fn drop(&mut self) {
        if let Some((hold, _waiter)) = self.waiting.take() {
            withdraw(self.partition, hold);
        }
    }
}

/// Enters a request into a leaf if all of it lies there, and no other request is in; otherwise
/// gives back the leaf, if it is locked.
#[inline(always)]
fn grant_alone(
    partition: &Partition,
    index: LeafIndex,
    span: Span,
    mode: Mode,
) -> Result<Key, Option<LeafGuard<'_>>> {
    let Some(mut at) = partition.try_lock(index) else { return Err(None) };
    match at.leaf.grant_alone(span, mode) {
        Some(id) => {
            at.leaf.note_granted(mode);
            sync::leave_for_now(at.leaf);
            Ok(Key::new(id, index, 0))
        }
        None => Err(Some(at)),
    }
}

/// Enters a request that nothing blocks, all of it in one leaf, and unlocks that.
fn grant(partition: &Partition, mut at: LeafGuard<'_>, span: Span, mode: Mode) -> Key {
    at.leaf.note_granted(mode);
    let id = at.leaf.draw_id(partition.ids());
    let slot = at.leaf.insert_granted(id, span, mode);
    sync::leave_for_now(at.leaf);
    Key::new(id, at.index, slot)
}

/// The same in several leaves.
fn grant_over(partition: &Partition, leaves: &mut Locked<'_>, Claim { span, mode }: Claim) -> Key {
    leaves.first().note_granted(mode);
    let id = leaves.first().draw_id(partition.ids());
    let slot = first_of_all(leaves.iter_mut().map(|leaf| leaf.insert_granted(id, span, mode)));
    Key::new(id, leaves.index(), slot.expect("there is one leaf at least"))
}

/// See [`acquire_routed`].
#[inline(never)]
fn try_acquire_routed(partition: &Partition, span: Span, mode: Mode) -> Option<Key> {
    match grant_alone(partition, partition.route(span.first), span, mode) {
        Ok(key) => Some(key),
        Err(at) => try_acquire_among(partition, at, span, mode),
    }
}

#[inline(never)]
fn try_acquire_among(
    partition: &Partition,
    at: Option<LeafGuard<'_>>,
    span: Span,
    mode: Mode,
) -> Option<Key> {
    let at = partition.lock_right(at, span);
    if at.leaf.bounds().cover(span) {
        return at.leaf.is_free(span, mode).then(|| grant(partition, at, span, mode));
    }
    let mut leaves = at.into_locked(partition);
    leaves.extend_to(span.last);
    let claim = Claim { span, mode };
    is_free_over(&leaves, claim).then(|| grant_over(partition, &mut leaves, claim))
}

/// Enters a request into the first of its leaves, which is locked, and all others. Returns the
/// owner as `Err` if the request has to wait. Then it has that owner before others are woken, since
/// a waker may panic. If it is granted, no waiter is woken.
fn enter_over<'a>(partition: &'a Partition, at: LeafGuard<'a>, claim: Claim) -> Result<Hold, Owner<'a>> {
    let mut wakes = WakeList::default();
    let mut leaves = at.into_locked(partition);
    leaves.extend_to(claim.span.last);
    if is_free_over(&leaves, claim) {
        let key = grant_over(partition, &mut leaves, claim);
        return Ok(Hold { span: claim.span, key });
    }
    if partition.bypass() != 0 && pass(|| leaves.iter().map(|leaf| (leaf, claim)), &mut wakes) {
        let key = grant_over(partition, &mut leaves, claim);
        leaves.iter_mut().for_each(|leaf| leaf.put_behind(key.id, claim));
        let_go_of_passed(leaves.iter().map(|leaf| (leaf, claim)));
        return Ok(Hold { span: claim.span, key });
    }
    let id = leaves.first().draw_id(partition.ids());
    let queued = leaves.first().queue(partition.bypass(), partition.spares());
    let waiter = Arc::clone(&queued.waiter);
    let mut slot = None;
    for_each_its_own(&mut leaves, queued, |leaf, queued| {
        let here = leaf.insert_waiting(id, claim, queued);
        slot.get_or_insert(here);
    });
    let key = Key::of_waiting(id, leaves.index(), slot.expect("there is one leaf at least"));
    drop(leaves);
    let owner = Owner { partition, waiting: Some((Hold { span: claim.span, key }, waiter)) };
    drop(wakes);
    Err(owner)
}

fn is_free_over(leaves: &Locked<'_>, claim: Claim) -> bool {
    leaves.iter().all(|leaf| leaf.is_free(claim.span, claim.mode))
}

/// Passes all of the requests that are in the way of these claims in these leaves, or none. Returns
/// which. All passed requests must sleep. Each is held back, by a share of its count for each pair,
/// until the passer has entered and [let it go](let_go_of_passed).
///
/// All their leaves are locked, so the same requests stay in the way. But a thread that holds other
/// leaves of such a request may grant it meanwhile. Then the requests that were passed before are
/// let go again, as if the passer had come and gone. More than [`MOST_PASSED`] requests are not
/// passed.
fn pass<'l, C: Iterator<Item = (&'l Leaf, Claim)>>(claims: impl Fn() -> C, wakes: &mut WakeList) -> bool {
    /// Bounds the time for which the mutexes are held.
    const MOST_PASSED: usize = 256;
    let mut passed = 0;
    let has_passed = all_waiters_in_the_way(claims(), |waiter| {
        let passes = passed != MOST_PASSED && waiter.is_some_and(|waiter| waiter.pass());
        passed += usize::from(passes);
        passes
    });
    if has_passed || passed == 0 {
        return has_passed;
    }
    #[cfg(all(test, feature = "async", not(any(loom, shuttle))))]
    tests::before_passes_are_taken_back();
    all_waiters_in_the_way(claims(), |waiter| {
        let waiter = waiter.expect("only what waits is passed");
        match waiter.take_pass_back() {
            Lowered::ToBeWoken => wakes.push(waiter),
            Lowered::Done => {}
        }
        passed -= 1;
        passed != 0
    });
    false
}

/// Lets go of the requests that a new request has passed. The new request has entered, and the
/// passed requests have been [put behind](Leaf::put_behind) it: it keeps each of them out in some
/// leaf.
fn let_go_of_passed<'l>(claims: impl Iterator<Item = (&'l Leaf, Claim)>) {
    all_waiters_in_the_way(claims, |waiter| {
        if let Some(waiter) = waiter {
            let lowered = waiter.lower();
            debug_assert!(lowered == Lowered::Done && !waiter.is_granted(), "the passer keeps it out");
        }
        true
    });
}

/// Whether `f` is true of the waiters of all entries that are in the way of these claims in these
/// leaves. Stops when `f` returns false. An entry of a request that has not waited has no waiter.
fn all_waiters_in_the_way<'l>(
    mut claims: impl Iterator<Item = (&'l Leaf, Claim)>,
    mut f: impl FnMut(Option<&Arc<Waiter>>) -> bool,
) -> bool {
    claims
        .all(|(leaf, claim)| leaf.all_in_the_way(claim, |entry| f(entry.queued.map(|queued| &queued.waiter))))
}

/// Makes a writer of a held request. Returns whether no reader is held in its range. Readers that
/// wait have to wait for the writer from now on. Other conflicting requests wait for it already,
/// and the writer passes them.
fn make_writer(leaves: &mut Locked<'_>, hold: &Hold) -> bool {
    let is_read = leaves.iter_mut().fold(false, |is_read, leaf| leaf.make_writer(hold) | is_read);
    if !is_read {
        leaves.first().note_granted(Mode::Write);
    }
    !is_read
}

/// Calls `f` for each leaf with a share of the request's record, of which the first one is to be
/// kept.
fn for_each_its_own(leaves: &mut Locked<'_>, queued: Queued, mut f: impl FnMut(&mut Leaf, Queued)) {
    let again = queued.again();
    let mut first = Some(queued);
    leaves.iter_mut().for_each(|leaf| f(leaf, first.take().unwrap_or_else(|| again.clone())));
}

/// The first element, when all have been made.
fn first_of_all<T>(mut all: impl Iterator<Item = T>) -> Option<T> {
    let first = all.next();
    all.for_each(drop);
    first
}

/// See [`release`].
#[inline(never)]
fn release_among(partition: &Partition, at: Option<LeafGuard<'_>>, hold: &Hold) {
    let mut at = partition.lock_to_release(at, hold);
    if at.leaf.release_quietly(hold) || at.leaf.unfile_quietly(hold) {
        return;
    }
    let mut wakes = WakeList::default();
    let mut leaves = at.into_locked(partition);
    leaves.extend_to(hold.span.last);
    leaves.iter_mut().for_each(|leaf| leaf.take_out(hold, &mut wakes));
    drop(leaves);
    drop(wakes);
}

#[cfg(all(test, feature = "async", not(any(loom, shuttle))))]
mod tests;
