//! Several ranges at once, of one lock or of several, queued as one request.
//!
//! Whoever takes two ranges one after the other can meet somebody who takes them the other way round. Here the mutexes of all
//! the leaves concerned are held, in the order of the locks' addresses and in each from left to right, while the request enters: it
//! is in all queues from one moment on, and so is before or behind any other such request everywhere. It has one blocking count for
//! all of its ranges, and one record in all of them.
//!
//! In each lock the leaves between the first range and the last are locked too. To skip them would ask for care in finding the next
//! one ("ascending" in [`partition`](crate::partition)), and they are few.

use std::fmt;
use std::mem;
use std::ops::{RangeBounds, RangeInclusive};
use std::time::{Duration, Instant};

use crate::inline_vec::InlineVec;
use crate::leaf::Queued;
use crate::lock::RangeLock;
use crate::partition::Locked;
use crate::request::{Claim, Hold, Key, Mode};
use crate::span::Span;
use crate::sync::{Arc, Deadline};
use crate::waiter::{self, Waited, Waiter, WakeList};
use crate::watch;

/// One of the ranges that [`RangeLock::acquire_many`] takes at once, which has an example.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    lock: &'a RangeLock,
    claim: Option<Claim>,
}

impl<'a> Request<'a> {
    /// `range` of `lock`, for reading.
    ///
    /// ```
    /// # use range_lock::{RangeLock, Request};
    /// # let lock = RangeLock::new();
    /// let guard = RangeLock::acquire_many([Request::read(&lock, 0..10), Request::read(&lock, 90..100)]);
    /// assert!(lock.try_read(..).is_some());
    /// # drop(guard);
    /// ```
    ///
    /// # Panics
    ///
    /// If the range is inverted.
    #[track_caller]
    pub fn read(lock: &'a RangeLock, range: impl RangeBounds<u64>) -> Self {
        Request { lock, claim: crate::lock::claim(&range, Mode::Read) }
    }

    /// `range` of `lock`, for writing.
    ///
    /// ```
    /// # use range_lock::{RangeLock, Request};
    /// # let lock = RangeLock::new();
    /// let guard = RangeLock::acquire_many([Request::write(&lock, 0..10), Request::write(&lock, 90..100)]);
    /// assert!(lock.try_write(10..90).is_some());
    /// # drop(guard);
    /// ```
    ///
    /// # Panics
    ///
    /// If the range is inverted.
    #[track_caller]
    pub fn write(lock: &'a RangeLock, range: impl RangeBounds<u64>) -> Self {
        Request { lock, claim: crate::lock::claim(&range, Mode::Write) }
    }
}

impl fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.claim {
            Some(Claim { span, mode }) => write!(f, "Request({mode:?} {span:?})"),
            None => write!(f, "Request(empty)"),
        }
    }
}

/// How many ranges a request may have before it allocates.
const INLINE: usize = 4;

/// One range of a request: disjoint from the others of the same lock.
#[derive(Debug)]
struct Part<'a> {
    lock: &'a RangeLock,
    claim: Claim,
    /// Set while the part has an entry in the lock.
    hold: Option<Hold>,
}

/// The ranges of a request, in the order in which their locks are locked: by address, then by first point.
#[derive(Debug)]
pub(crate) struct Parts<'a>(InlineVec<Part<'a>, INLINE>);

impl<'a> Parts<'a> {
    /// Sorts the ranges, and makes those of one lock disjoint: where they overlap, the stronger mode wins.
    pub(crate) fn new(requests: impl IntoIterator<Item = Request<'a>>) -> Self {
        let mut asked = InlineVec::<_, INLINE>::new();
        for request in requests {
            if let Some(claim) = request.claim {
                asked.push((request.lock, claim));
            }
        }
        asked.sort_unstable_by_key(|(lock, claim)| (address(lock), claim.span.first));

        let mut sweep = Sweep { parts: InlineVec::new(), at: None };
        for &(lock, claim) in asked.iter() {
            sweep.begin(lock, claim);
        }
        sweep.emit_before(None);
        Parts(sweep.parts)
    }

    /// Grants all parts if nothing conflicts with any.
    pub(crate) fn try_enter(&mut self) -> bool {
        let mut locks = self.lock_all();
        let granted = self.blocking(&mut locks) == 0;
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
        let mut locks = self.lock_all();
        let blocking = if self.pass(&mut locks, wakes) { 0 } else { self.blocking(&mut locks) };
        if blocking == 0 {
            self.insert(&mut locks, None);
            return None;
        }
        waiter::check_pairs(blocking);
        // A request of several locks is passed only as often as each of them allows.
        let passes = self.locks().map(|(lock, ..)| lock.partition().bypass()).min();
        let first = locks.iter_mut().next().expect("what is blocked has a part");
        let queued = first.first().queue(blocking, passes.unwrap_or(0));
        let waiter = queued.waiter.clone();
        self.insert(&mut locks, Some(queued));
        Some(waiter)
    }

    /// Gives each part its entries; those of one lock have one id.
    fn insert(&mut self, locks: &mut LockedLocks<'a>, mut queued: Option<Queued>) {
        let mut drawn = None;
        let again = queued.as_ref().map(Queued::again);
        self.for_each(locks, |leaves, part| {
            let (lock, claim) = (address(part.lock), part.claim);
            let id = match drawn {
                Some((of, id)) if of == lock => id,
                _ => leaves.first().draw_id(part.lock.partition().ids()),
            };
            drawn = Some((lock, id));
            let mut slot = None;
            for leaf in leaves.over(claim.span) {
                let here = match queued.take().or_else(|| again.clone()) {
                    None => leaf.insert_granted(id, claim.span, claim.mode),
                    queued => leaf.insert_waiting(id, claim, queued),
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

    fn acquire(&mut self, deadline: Deadline) -> bool {
        if deadline.has_passed() {
            return self.try_enter();
        }
        match self.enter() {
            None => true,
            Some(waiter) => {
                let owner = Owner(self);
                let parts = owner.0.0.iter();
                let entered = parts.filter_map(|part| Some((part.lock, part.hold.as_ref()?.key.id)));
                let waited = watch::blocked(entered, || waiter.wait(deadline));
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
                    leaves.over(hold.span).for_each(|leaf| leaf.cancel(&hold, &mut wakes));
                }
            });
        }
        !waits
    }

    /// Releases what is held.
    pub(crate) fn release(&mut self) {
        let mut wakes = WakeList::default();
        let mut locks = self.lock_all();
        self.for_each(&mut locks, |leaves, part| {
            if let Some(hold) = part.hold.take() {
                leaves.over(hold.span).for_each(|leaf| leaf.release(&hold, &mut wakes));
            }
        });
    }

    /// Locks the leaves of all parts, and those between them: the leaves of one lock together.
    fn lock_all(&self) -> LockedLocks<'a> {
        let mut locks = InlineVec::new();
        self.locks().for_each(|(lock, hull, _)| locks.push(lock.partition().lock_over(hull)));
        locks
    }

    /// The locks that are concerned, in order, with the span from the first part to the last, and the strongest mode asked for.
    fn locks(&self) -> impl Iterator<Item = (&'a RangeLock, Span, Mode)> {
        let mut parts = self.0.iter().peekable();
        std::iter::from_fn(move || {
            let Part { lock, claim, .. } = parts.next()?;
            let (mut hull, mut strongest) = (claim.span, claim.mode);
            while let Some(part) = parts.next_if(|part| address(part.lock) == address(lock)) {
                hull.last = part.claim.span.last;
                strongest = strongest.max(part.claim.mode);
            }
            Some((*lock, hull, strongest))
        })
    }

    /// The request, which waited with `waiter`, has been granted or has given up.
    pub(crate) fn note_waited(&self, waiter: &Waiter, granted: bool) {
        self.locks().for_each(|(lock, _, mode)| lock.note_waited(mode, waiter, granted));
    }

    fn blocking(&mut self, locks: &mut LockedLocks<'a>) -> usize {
        let mut blocking = 0;
        self.for_each(locks, |leaves, part| {
            let Claim { span, mode } = part.claim;
            blocking += leaves.over(span).map(|leaf| leaf.blocking(span, mode)).sum::<usize>();
        });
        blocking
    }

    /// Passes all requests that are in the way of some part, or none, if all locks allow it.
    fn pass(&self, locks: &mut LockedLocks<'a>, wakes: &mut WakeList) -> bool {
        if self.locks().any(|(lock, ..)| lock.partition().bypass() == 0) {
            return false;
        }
        let leaves = |lock: &RangeLock| {
            let at = self.locks().position(|(other, ..)| address(other) == address(lock));
            locks.iter().nth(at.expect("each part's lock is among them")).expect("each lock is locked")
        };
        let in_the_way = || {
            self.0.iter().flat_map(|part| {
                let Claim { span, mode } = part.claim;
                leaves(part.lock).iter().flat_map(move |leaf| leaf.in_the_way(span, mode))
            })
        };
        crate::request::pass(in_the_way, wakes)
    }

    /// Calls `f` for each part with the leaves of its lock.
    fn for_each(&mut self, locks: &mut LockedLocks<'a>, mut f: impl FnMut(&mut Locked<'a>, &mut Part<'a>)) {
        let mut locks = locks.iter_mut();
        let (mut leaves, mut locked) = (None, None);
        for part in self.0.iter_mut() {
            if locked != Some(address(part.lock)) {
                (leaves, locked) = (locks.next(), Some(address(part.lock)));
            }
            f(leaves.as_mut().expect("each lock is locked"), part);
        }
    }
}

/// Parts that have entered and have no guard or future yet. If the thread unwinds, they are taken
/// out of their locks again.
struct Owner<'p, 'a>(&'p mut Parts<'a>);

impl Owner<'_, '_> {
    fn hand_over(self) {
        mem::forget(self);
    }
}

impl Drop for Owner<'_, '_> {
    fn drop(&mut self) {
        if self.0.cancel() {
            self.0.release();
        }
    }
}

/// The leaves that a request concerns, lock by lock.
type LockedLocks<'a> = InlineVec<Locked<'a>, INLINE>;

pub(crate) fn address(lock: &RangeLock) -> usize {
    std::ptr::from_ref(lock).addr()
}

/// Cuts overlapping claims into disjoint parts, from lock to lock and from left to right.
struct Sweep<'a> {
    parts: InlineVec<Part<'a>, INLINE>,
    at: Option<At<'a>>,
}

/// How far a [`Sweep`] has come.
struct At<'a> {
    lock: &'a RangeLock,
    /// The first point for which no part has been emitted.
    next: u64,
    /// For each mode, the last point of the claims begun so far.
    lasts: [Option<u64>; 3],
}

impl<'a> Sweep<'a> {
    /// Takes up a claim that begins behind, or at, where all before it do.
    fn begin(&mut self, lock: &'a RangeLock, claim: Claim) {
        if self.at.as_ref().is_some_and(|at| address(at.lock) == address(lock)) {
            self.emit_before(Some(claim.span.first));
        } else {
            self.emit_before(None);
            self.at = Some(At { lock, next: 0, lasts: [None; 3] });
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
            push_joined(&mut self.parts, at.lock, Claim { span: Span { first: at.next, last }, mode });
            match last.checked_add(1) {
                Some(next) => at.next = next,
                None => at.lasts = [None; 3], // Nothing lies behind the last point of the domain.
            }
        }
    }
}

/// Adds a part, as one with the part before where that ends just there and has the same mode.
fn push_joined<'a>(parts: &mut InlineVec<Part<'a>, INLINE>, lock: &'a RangeLock, claim: Claim) {
    match parts.last_mut() {
        Some(before)
            if address(before.lock) == address(lock)
                && before.claim.mode == claim.mode
                && before.claim.span.last.checked_add(1) == Some(claim.span.first) =>
        {
            before.claim.span.last = claim.span.last;
        }
        _ => parts.push(Part { lock, claim, hold: None }),
    }
}

/// Several ranges that are held at once; made by [`RangeLock::acquire_many`], which has an example.
/// Releases all of them when dropped, in one step, on any thread. Bind it to a name: `let _ =`
/// drops it, and so unlocks, at once.
#[must_use = "if unused the ranges are unlocked at once"]
pub struct ManyGuard<'a> {
    parts: Parts<'a>,
}

impl<'a> ManyGuard<'a> {
    #[cfg(feature = "async")]
    pub(crate) fn new(parts: Parts<'a>) -> Self {
        ManyGuard { parts }
    }

    /// The ranges that are held, with their locks and modes: disjoint, ordered by the locks' addresses and then by where they
    /// begin. Where ranges of one lock that were asked for overlapped, or touched in the same mode, they may be others than
    /// those, but make up the same.
    ///
    /// ```
    /// # use range_lock::{Mode, RangeLock, Request};
    /// # let lock = RangeLock::new();
    /// let guard = RangeLock::acquire_many([Request::read(&lock, 0..10), Request::write(&lock, 5..8)]);
    /// let held: Vec<_> = guard.ranges().map(|(_, range, mode)| (range, mode)).collect();
    /// assert_eq!(held, [(0..=4, Mode::Read), (5..=7, Mode::Write), (8..=9, Mode::Read)]);
    /// ```
    pub fn ranges(&self) -> impl Iterator<Item = (&'a RangeLock, RangeInclusive<u64>, Mode)> {
        self.parts.0.iter().map(|part| (part.lock, part.claim.span.into(), part.claim.mode))
    }
}

impl Drop for ManyGuard<'_> {
    fn drop(&mut self) {
        self.parts.release();
    }
}

impl fmt::Debug for ManyGuard<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.parts.0.iter().map(|part| part.claim)).finish()
    }
}

/// Verbs that acquire several ranges at once.
impl RangeLock {
    /// Locks several ranges, of one lock or of several, as one request; waits until all of them are granted.
    ///
    /// If every thread that uses the locks takes all it needs in one such request, and holds
    /// nothing when it asks, no deadlock is possible, in whatever order the ranges are named. One
    /// thread that blocks while it holds a range is enough for a deadlock, and requests of threads
    /// that hold nothing can be part of it: see [Deadlocks](Self#deadlocks). Where ranges of one
    /// lock overlap, the stronger mode wins there: the same range twice is one range, and reading
    /// 0..10 next to writing 5..8 is reading 0..5 and 8..10, and writing 5..8.
    ///
    /// ```
    /// use range_lock::{RangeLock, Request};
    ///
    /// // copy_file_range: from one file to another, or within one.
    /// let (from, to) = (RangeLock::new(), RangeLock::new());
    /// let both = RangeLock::acquire_many([Request::read(&from, 0..4096), Request::write(&to, 512..4608)]);
    /// assert!(from.try_read(..).is_some());
    /// assert!(to.try_read(..).is_none());
    /// drop(both);
    /// assert!(to.try_read(..).is_some());
    /// ```
    ///
    /// # Fairness
    ///
    /// As for one range: it waits for the conflicting requests that came before, for any of its ranges, and those that come
    /// later wait for it, for any of them, also while it waits for another.
    ///
    /// # Cost
    ///
    /// The locks' internal mutexes are taken together. Up to four ranges allocate nothing, if they are no more than four too
    /// as [`ManyGuard::ranges`] lists them: where some overlap in different modes, they are cut into more.
    ///
    /// # Panics
    ///
    /// If it would have to wait for more conflicting ranges than a request can: 2^18 - 1 on a
    /// 32-bit machine, 2^50 - 1 elsewhere. Nothing is locked then.
    pub fn acquire_many<'a>(requests: impl IntoIterator<Item = Request<'a>>) -> ManyGuard<'a> {
        let mut parts = Parts::new(requests);
        let granted = parts.acquire(Deadline::Never);
        debug_assert!(granted, "a wait without a deadline ends with the grant");
        ManyGuard { parts }
    }

    /// Locks several ranges as one request if all can be granted at once. As
    /// [`acquire_many`](Self::acquire_many).
    ///
    /// ```
    /// # use range_lock::{RangeLock, Request};
    /// # let (from, to) = (RangeLock::new(), RangeLock::new());
    /// let reader = to.read(100..101);
    /// let both = [Request::read(&from, 0..4096), Request::write(&to, 0..4096)];
    /// assert!(RangeLock::try_acquire_many(both).is_none());
    /// assert!(!from.is_locked(..)); // All or nothing.
    /// # drop(reader);
    /// ```
    pub fn try_acquire_many<'a>(requests: impl IntoIterator<Item = Request<'a>>) -> Option<ManyGuard<'a>> {
        let mut parts = Parts::new(requests);
        parts.try_enter().then(|| ManyGuard { parts })
    }

    /// Locks several ranges as one request; gives up after `timeout`. As [`acquire_many`](Self::acquire_many).
    ///
    /// ```
    /// # use range_lock::{RangeLock, Request};
    /// # use std::time::Duration;
    /// # let (from, to) = (RangeLock::new(), RangeLock::new());
    /// let reader = to.read(100..101);
    /// let both = [Request::read(&from, 0..4096), Request::write(&to, 0..4096)];
    /// assert!(RangeLock::try_acquire_many_for(both, Duration::from_millis(1)).is_none());
    /// assert!(!from.is_locked(..)); // All or nothing.
    /// # drop(reader);
    /// ```
    ///
    /// # Fairness and cancel safety
    ///
    /// As for one range: while it waits it has its place in all the queues, and giving up leaves no trace in any.
    /// With a timeout of zero it does not wait, as [`try_acquire_many`](Self::try_acquire_many).
    ///
    /// # Panics
    ///
    /// If it would have to wait for more conflicting ranges than a request can: 2^18 - 1 on a
    /// 32-bit machine, 2^50 - 1 elsewhere. Nothing is locked then.
    pub fn try_acquire_many_for<'a>(
        requests: impl IntoIterator<Item = Request<'a>>,
        timeout: Duration,
    ) -> Option<ManyGuard<'a>> {
        let mut parts = Parts::new(requests);
        parts.acquire(Deadline::after(timeout)).then(|| ManyGuard { parts })
    }

    /// Locks several ranges as one request; gives up at `deadline`. As
    /// [`try_acquire_many_for`](Self::try_acquire_many_for).
    ///
    /// ```
    /// # use range_lock::{RangeLock, Request};
    /// # use std::time::Instant;
    /// # let lock = RangeLock::new();
    /// let two = [Request::read(&lock, 0..10), Request::write(&lock, 90..100)];
    /// assert!(RangeLock::try_acquire_many_until(two, Instant::now()).is_some()); // Free: it need not wait.
    /// ```
    ///
    /// # Panics
    ///
    /// If it would have to wait for more conflicting ranges than a request can: 2^18 - 1 on a
    /// 32-bit machine, 2^50 - 1 elsewhere. Nothing is locked then.
    pub fn try_acquire_many_until<'a>(
        requests: impl IntoIterator<Item = Request<'a>>,
        deadline: Instant,
    ) -> Option<ManyGuard<'a>> {
        let mut parts = Parts::new(requests);
        parts.acquire(Deadline::At(deadline)).then(|| ManyGuard { parts })
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The strongest mode asked for at each point, against the mode of the parts there.
    fn check(ranges: &[(usize, u64, u64, Mode)]) {
        let locks = [RangeLock::new(), RangeLock::new()];
        // Small numbers stand for points at both ends of the domain.
        let point = |n: u64| if n < 20 { n } else { u64::MAX - (39 - n) };
        let parts = Parts::new(ranges.iter().map(|&(lock, first, last, mode)| Request {
            lock: &locks[lock],
            claim: Some(Claim { span: Span { first: point(first), last: point(last) }, mode }),
        }));
        for (which, lock) in locks.iter().enumerate() {
            for n in 0..40 {
                let asked =
                    ranges.iter().filter(|&&(l, first, last, _)| l == which && first <= n && n <= last);
                let covering =
                    |part: &&Part<'_>| std::ptr::eq(part.lock, lock) && part.claim.span.contains(point(n));
                let got: Vec<_> = parts.0.iter().filter(covering).map(|part| part.claim.mode).collect();
                assert_eq!(got, Vec::from_iter(asked.map(|a| a.3).max()), "at {n} of {which} in {parts:?}");
            }
        }
        let ordered: Vec<_> =
            parts.0.iter().map(|part| (address(part.lock), part.claim.span.first)).collect();
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

    #[test]
    fn touching_ranges_of_one_mode_are_one() {
        let lock = RangeLock::new();
        let both = RangeLock::acquire_many([Request::read(&lock, 5..9), Request::read(&lock, 0..5)]);
        assert_eq!(both.ranges().map(|(_, range, _)| range).collect::<Vec<_>>(), [0..=8]);
    }
}
