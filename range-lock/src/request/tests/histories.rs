//! Random histories of all verbs in which calls into wakers panic: no request is left behind.

use std::any::Any;
use std::future::Future;
use std::ops::Range;
use std::pin::Pin;
use std::task::Poll;

use super::wakers::{CALLS, PANICS, Timer, poll, unwinding};
use super::{MEANWHILE, SOON};
use crate::__private;
use crate::sync::Arc;
use crate::{
    ArcRangeReadGuard, ArcRangeUpgradableReadGuard, ArcRangeWriteGuard, ManyGuard, Mode, RangeLock,
    RangeReadGuard, RangeRwLock, RangeRwLockReadGuard, RangeRwLockUpgradableReadGuard, RangeRwLockWriteGuard,
    RangeUpgradableReadGuard, RangeWriteGuard, Request,
};

#[test]
fn a_panic_at_any_call_into_wakers_leaves_no_request_behind() {
    // Miri would take half an hour for every call.
    let (seeds, step) = if cfg!(miri) { (2, 7) } else { (40, 1) };
    for seed in 0..seeds {
        for bypass in [0, 1, 3] {
            for several in [1, 2, usize::MAX] {
                let mut at = 0;
                while run(seed, bypass, at..at.saturating_add(several)) > at {
                    at += step;
                }
            }
        }
    }
}

/// Runs the history of `seed`, in which the calls `panics` into wakers panic. Returns how many
/// calls there were.
fn run(seed: u64, bypass: usize, panics: Range<usize>) -> usize {
    let new = |_| Arc::new(RangeLock::builder().bypass(bypass).build());
    let locks = Locks { locks: std::array::from_fn(new), elements: RangeRwLock::new(vec![0; 80]) };
    if seed % 2 == 0 {
        assert!(__private::cut(&locks.locks[0], 40) && __private::cut(locks.elements.range_lock(), 30));
    }
    CALLS.set(0);
    PANICS.set(panics.clone());
    let random = Random(0x9e37_79b9_7f4a_7c15 ^ (seed + 1).wrapping_mul(0xbf58_476d_1ce4_e5b9));
    let mut history = History { locks: &locks, random, guards: Vec::new(), pending: Vec::new() };
    if bypass != 0 && seed % 2 == 1 {
        history.wake_while_it_enters();
    }
    (0..40).for_each(|_| history.step());
    let History { guards, pending, .. } = history;
    // Guards first in every other history, so that what waits is granted and dropped unpolled.
    if seed % 4 < 2 {
        guards.into_iter().for_each(|guard| _ = unwinding(|| drop(guard)));
        pending.into_iter().for_each(|future| _ = unwinding(|| drop(future)));
    } else {
        pending.into_iter().for_each(|future| _ = unwinding(|| drop(future)));
        guards.into_iter().for_each(|guard| _ = unwinding(|| drop(guard)));
    }
    PANICS.set(0..0);
    let [a, b] = &locks.locks;
    for lock in [&**a, &**b, locks.elements.range_lock()] {
        let left = lock.requests();
        assert!(left.is_empty(), "seed {seed}, bypass {bypass}, panics in {panics:?}: {left:?} is left");
        assert!(lock.try_write(..).is_some());
    }
    CALLS.get()
}

pub(super) enum Guard<'a> {
    Read(RangeReadGuard<'a>),
    Upgradable(RangeUpgradableReadGuard<'a>),
    Write(RangeWriteGuard<'a>),
    ReadArc(ArcRangeReadGuard),
    UpgradableArc(ArcRangeUpgradableReadGuard),
    WriteArc(ArcRangeWriteGuard),
    Many(Box<ManyGuard<'a>>),
    ReadElements(#[expect(dead_code, reason = "held only to be dropped")] RangeRwLockReadGuard<'a, u8>),
    UpgradableElements(RangeRwLockUpgradableReadGuard<'a, u8>),
    WriteElements(RangeRwLockWriteGuard<'a, u8>),
    /// What a request that only waits ends with.
    Nothing,
}

pub(super) type Pending<'a> = Pin<Box<dyn Future<Output = Guard<'a>> + 'a>>;

struct Locks {
    locks: [Arc<RangeLock>; 2],
    elements: RangeRwLock<Vec<u8>>,
}

/// What a history has at hand.
struct History<'a> {
    locks: &'a Locks,
    random: Random,
    guards: Vec<Guard<'a>>,
    pending: Vec<Pending<'a>>,
}

impl<'a> History<'a> {
    fn any_guard(&mut self) -> Option<Guard<'a>> {
        let n = self.guards.len() as u64;
        (n != 0).then(|| self.guards.swap_remove(self.random.below(n) as usize))
    }

    fn future(&mut self) -> Pending<'a> {
        let (range, which) = (self.random.range(), self.random.below(2) as usize);
        let (lock, other) = (&self.locks.locks[which], &self.locks.locks[1 - which]);
        let indices = range.start as usize..range.end as usize;
        let elements = &self.locks.elements;
        match self.random.below(14) {
            0 => Box::pin(async move { Guard::Read(lock.read_async(range).await) }),
            1 => Box::pin(async move { Guard::Upgradable(lock.upgradable_read_async(range).await) }),
            2 | 3 => Box::pin(async move { Guard::Write(lock.write_async(range).await) }),
            4 => Box::pin(async move { Guard::ReadArc(lock.read_arc_async(range).await) }),
            5 => Box::pin(async move { Guard::UpgradableArc(lock.upgradable_read_arc_async(range).await) }),
            6 => Box::pin(async move { Guard::WriteArc(lock.write_arc_async(range).await) }),
            7 => Box::pin(async move { Guard::ReadElements(elements.read_async(indices).await) }),
            8 => Box::pin(
                async move { Guard::UpgradableElements(elements.upgradable_read_async(indices).await) },
            ),
            9 => Box::pin(async move { Guard::WriteElements(elements.write_async(indices).await) }),
            10 => Box::pin(async move {
                lock.wait_until_free_async(range, Mode::Write).await;
                Guard::Nothing
            }),
            _ => {
                let (second, upgrades) = (self.random.range(), self.random.below(2) == 0);
                let reads = if upgrades { Mode::Upgradable } else { Mode::Read };
                let two = [Request::write(lock, range), Request::new(other, second.clone(), reads)];
                let third = Request::write(lock, second);
                Box::pin(async move {
                    let [one, two] = two;
                    Guard::Many(Box::new(RangeLock::acquire_many_async([one, two, third]).await))
                })
            }
        }
    }

    fn changed(&mut self, guard: Guard<'a>) {
        let mid = self.random.below(3);
        // A range of what is held, if there is one.
        fn inner(range: std::ops::RangeInclusive<u64>) -> std::ops::RangeInclusive<u64> {
            *range.start() + 1..=*range.end()
        }
        // Others cannot be split or shrunk so: that would panic.
        let is_long = |range: std::ops::RangeInclusive<u64>| range.count() > 2;
        match (guard, mid) {
            (Guard::Read(mut guard), 0) if is_long(guard.range()) => {
                let to = inner(guard.range());
                unwinding(|| RangeReadGuard::shrink(&mut guard, to));
                self.guards.push(Guard::Read(guard));
            }
            (Guard::WriteArc(mut guard), 0) if is_long(guard.range()) => {
                let to = inner(guard.range());
                unwinding(|| ArcRangeWriteGuard::shrink(&mut guard, to));
                self.guards.push(Guard::WriteArc(guard));
            }
            (Guard::WriteElements(mut guard), 0) if guard.len() > 2 => {
                unwinding(|| RangeRwLockWriteGuard::shrink(&mut guard, 1..2));
                self.guards.push(Guard::WriteElements(guard));
            }
            (Guard::Read(guard), _) if is_long(guard.range()) => {
                let at = guard.range().start() + 2;
                if let Some((left, right)) = unwinding(|| RangeReadGuard::split_at(guard, at)) {
                    self.guards.extend([Guard::Read(left), Guard::Read(right)]);
                }
            }
            (Guard::WriteArc(guard), _) if is_long(guard.range()) => {
                let at = guard.range().start() + 2;
                if let Some((left, right)) = unwinding(|| ArcRangeWriteGuard::split_at(guard, at)) {
                    self.guards.extend([Guard::WriteArc(left), Guard::WriteArc(right)]);
                }
            }
            (Guard::Write(guard), 0) => {
                let guard = unwinding(|| RangeWriteGuard::downgrade(guard));
                self.guards.extend(guard.map(Guard::Read));
            }
            (Guard::Write(guard), _) => {
                let guard = unwinding(|| RangeWriteGuard::downgrade_to_upgradable(guard));
                self.guards.extend(guard.map(Guard::Upgradable));
            }
            (Guard::WriteElements(guard), _) => {
                let guard = unwinding(|| RangeRwLockWriteGuard::downgrade(guard));
                self.guards.extend(guard.map(Guard::ReadElements));
            }
            (Guard::Upgradable(guard), 0) if self.random.below(8) != 0 => {
                let guard = unwinding(|| match RangeUpgradableReadGuard::try_upgrade(guard) {
                    Ok(guard) => Guard::Write(guard),
                    Err(guard) => Guard::Upgradable(guard),
                });
                self.guards.extend(guard);
            }
            (Guard::Upgradable(guard), 1) => {
                let upgrade = Box::pin(RangeUpgradableReadGuard::upgrade_async(guard));
                self.pending.push(Box::pin(async move { Guard::Write(upgrade.await) }));
            }
            (Guard::Upgradable(guard), 2) => {
                let upgrade = Box::pin(RangeUpgradableReadGuard::try_upgrade_async(guard, Timer::default()));
                self.pending.push(Box::pin(async move {
                    match upgrade.await {
                        Ok(guard) => Guard::Write(guard),
                        Err(guard) => Guard::Upgradable(guard),
                    }
                }));
            }
            (Guard::Upgradable(guard), _) => {
                let guard = unwinding(|| match RangeUpgradableReadGuard::try_upgrade_for(guard, SOON) {
                    Ok(guard) => Guard::Write(guard),
                    Err(guard) => Guard::Upgradable(guard),
                });
                self.guards.extend(guard);
            }
            (Guard::UpgradableArc(guard), _) => {
                let upgrade = Box::pin(ArcRangeUpgradableReadGuard::upgrade_async(guard));
                self.pending.push(Box::pin(async move { Guard::WriteArc(upgrade.await) }));
            }
            (Guard::UpgradableElements(guard), 0) => {
                let upgrade =
                    Box::pin(RangeRwLockUpgradableReadGuard::try_upgrade_async(guard, Timer::default()));
                self.pending.push(Box::pin(async move {
                    match upgrade.await {
                        Ok(guard) => Guard::WriteElements(guard),
                        Err(guard) => Guard::UpgradableElements(guard),
                    }
                }));
            }
            (Guard::UpgradableElements(guard), _) => {
                let upgrade = Box::pin(RangeRwLockUpgradableReadGuard::upgrade_async(guard));
                self.pending.push(Box::pin(async move { Guard::WriteElements(upgrade.await) }));
            }
            (Guard::Many(guard), which) => self.changed_many(guard, which),
            (guard, _) => _ = unwinding(|| drop(guard)),
        }
    }

    /// A call that panics leaves the guard with what it would have otherwise.
    fn changed_many(&mut self, mut guard: Box<ManyGuard<'a>>, which: u64) {
        let (range, lock) = (self.random.range(), &*self.locks.locks[self.random.below(2) as usize]);
        let to = range.clone();
        match which {
            0 => _ = unwinding(|| ManyGuard::release(&mut guard, lock, to)),
            1 => _ = unwinding(|| ManyGuard::shrink(&mut guard, lock, to)),
            _ if self.random.below(2) == 0 => _ = unwinding(|| ManyGuard::downgrade(&mut guard, lock, to)),
            _ => _ = unwinding(|| ManyGuard::try_upgrade(&mut guard)),
        }
        for (of, held, _) in guard.ranges() {
            let (first, last) = held.into_inner();
            match which {
                _ if !std::ptr::eq(of, lock) => {}
                0 => assert!(last < range.start || range.end <= first, "{range:?} was released: {guard:?}"),
                1 => assert!(range.start <= first && last < range.end, "{range:?} was kept: {guard:?}"),
                _ => {}
            }
        }
        self.guards.push(Guard::Many(guard));
    }

    fn poll_one(&mut self, at: usize) {
        match unwinding(|| poll(&mut self.pending[at])) {
            Some(Poll::Pending) => {}
            Some(Poll::Ready(guard)) => {
                // The future may still have something to drop.
                let future = self.pending.swap_remove(at);
                unwinding(|| drop(future));
                self.guards.push(guard);
            }
            // An `async` block that has panicked cannot be polled again.
            None => {
                let future = self.pending.swap_remove(at);
                unwinding(|| drop(future));
            }
        }
    }

    /// The beginning of some histories: a request enters that passes a sleeper, whose last obstacle
    /// leaves meanwhile, and then meets a holder.
    fn wake_while_it_enters(&mut self) {
        let [lock, other] = &self.locks.locks;
        let range = self.random.range();
        // The sleeper comes before the holder in the tree, since others fill the slots.
        let slots = [85, 86, 87].map(|at| Guard::Read(lock.read(at..=at)));
        self.guards.extend(slots);
        let obstacle = other.write_arc(range.clone());
        let both = [Request::write(lock, range.clone()), Request::write(other, range)];
        self.pending
            .push(Box::pin(async move { Guard::Many(Box::new(RangeLock::acquire_many_async(both).await)) }));
        self.poll_one(0);
        self.guards.push(Guard::Write(lock.write(80..85)));
        MEANWHILE.set(Some(Box::new(obstacle)));
        self.pending.push(if self.random.below(2) == 0 {
            Box::pin(async move { Guard::Write(lock.write_async(0..85).await) })
        } else {
            let one = Request::write(lock, 0..85);
            Box::pin(async move { Guard::Many(Box::new(RangeLock::acquire_many_async([one]).await)) })
        });
        self.poll_one(self.pending.len() - 1);
        if let Some(guard) = MEANWHILE.take() {
            unwinding(|| drop(guard));
        }
    }

    fn step(&mut self) {
        match self.random.below(16) {
            0..6 => {
                let future = self.future();
                self.pending.push(future);
                self.poll_one(self.pending.len() - 1);
            }
            6..8 => {
                // The same, and another thread lets go of something meanwhile.
                let at = self.guards.iter().position(|guard| {
                    matches!(guard, Guard::WriteArc(_) | Guard::ReadArc(_) | Guard::UpgradableArc(_))
                });
                let Some(guard) = at.map(|at| self.guards.swap_remove(at)) else { return };
                let (guard, in_first): (Box<dyn Any>, bool) = {
                    let is_first = |lock: &Arc<RangeLock>| Arc::ptr_eq(lock, &self.locks.locks[0]);
                    match guard {
                        Guard::WriteArc(guard) => (is_first(guard.held.lock()), guard).into_any(),
                        Guard::ReadArc(guard) => (is_first(guard.held.lock()), guard).into_any(),
                        Guard::UpgradableArc(guard) => (is_first(guard.held.lock()), guard).into_any(),
                        _ => unreachable!(),
                    }
                };
                // It holds in one lock; a request enters the other one.
                let other = &self.locks.locks[usize::from(in_first)];
                MEANWHILE.set(Some(guard));
                let (range, second) = (self.random.range(), self.random.range());
                self.pending.push(if self.random.below(2) == 0 {
                    Box::pin(async move { Guard::Write(other.write_async(range).await) })
                } else {
                    let two = [Request::write(other, range), Request::read(other, second)];
                    Box::pin(async move { Guard::Many(Box::new(RangeLock::acquire_many_async(two).await)) })
                });
                self.poll_one(self.pending.len() - 1);
                if let Some(guard) = MEANWHILE.take() {
                    unwinding(|| drop(guard));
                }
            }
            8..10 => {
                let n = self.pending.len() as u64;
                if n != 0 {
                    let at = self.random.below(n) as usize;
                    self.poll_one(at);
                }
            }
            10 => {
                let n = self.pending.len() as u64;
                if n != 0 {
                    let future = self.pending.swap_remove(self.random.below(n) as usize);
                    unwinding(|| drop(future));
                }
            }
            11 => {
                // Given up at once. Timed ones yield, which takes long on a busy machine, so they
                // are rare.
                let (range, which) = (self.random.range(), self.random.below(2) as usize);
                let lock = &self.locks.locks[which];
                let guard = if self.random.below(16) != 0 {
                    unwinding(|| lock.try_write(range).map(Guard::Write))
                } else {
                    unwinding(|| lock.try_write_for(range, SOON).map(Guard::Write))
                };
                self.guards.extend(guard.flatten());
            }
            12..14 => {
                if let Some(guard) = self.any_guard() {
                    self.changed(guard);
                }
            }
            _ => {
                if let Some(guard) = self.any_guard() {
                    unwinding(|| drop(guard));
                }
            }
        }
    }
}

/// For brevity above.
trait IntoAny {
    fn into_any(self) -> (Box<dyn Any>, bool);
}

impl<G: Any> IntoAny for (bool, G) {
    fn into_any(self) -> (Box<dyn Any>, bool) {
        (Box::new(self.1), self.0)
    }
}

/// xorshift64.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 20) % n
    }

    fn range(&mut self) -> Range<u64> {
        let (a, b) = (self.below(8), self.below(8));
        10 * a.min(b)..10 * a.max(b) + 5
    }
}
