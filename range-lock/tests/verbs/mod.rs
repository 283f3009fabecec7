//! All verbs, at random, from several threads: guards that are changed and handed on, an oracle of
//! what is in use, and the order in which waiting requests were seen.
//!
//! A test that includes this says in its module `imp` what it runs on, shuttle or real threads:
//! `Mutex`, `THREADS`, `below` (a random number), `block_on` and `yield_now`.

use std::cell::UnsafeCell;
use std::collections::BTreeSet;
use std::future::Future;
use std::ops::RangeInclusive;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use range_lock::{
    __private, ArcRangeReadGuard, ArcRangeUpgradableReadGuard, ArcRangeWriteGuard, ManyGuard, Mode,
    RangeLock, RangeReadGuard, RangeUpgradableReadGuard, RangeWriteGuard, Request, RequestState,
};

use crate::imp::{Mutex, THREADS, below, block_on, yield_now};

/// One span: in which lock, its first and last point, and the mode.
pub(crate) type Part = (usize, u64, u64, Mode);

pub(crate) const LOCKS: usize = 2;

/// How many units each lock's domain has; a unit is a hundred points.
const UNITS: u64 = 6;

/// Long enough to be queued: a deadline that has passed is not.
const SOON: Duration = Duration::from_micros(100);

pub(crate) fn chance(n: u64, of: u64) -> bool {
    below(of) < n
}

pub(crate) fn pick<T: Copy>(from: &[T]) -> T {
    from[below(from.len() as u64) as usize]
}

/// Some units of some lock, in some mode. The points say which units, and whose request it is: any
/// two spans of the same unit overlap, and no two that have none in common.
pub(crate) fn some_part(owner: usize) -> Part {
    let (a, b) = (below(UNITS), below(UNITS));
    let mode = pick(&[Mode::Read, Mode::Read, Mode::Upgradable, Mode::Write]);
    let lock = below(LOCKS as u64) as usize;
    (lock, 100 * a.min(b) + owner as u64, 100 * a.max(b) + 50 + owner as u64, mode)
}

/// One to four units, disjoint as the lock makes them.
pub(crate) fn some_parts(owner: usize) -> Vec<Part> {
    let places: BTreeSet<(usize, u64)> =
        (0..1 + below(4)).map(|_| (below(LOCKS as u64) as usize, below(UNITS))).collect();
    let part = |(lock, unit): (usize, u64)| {
        let mode = pick(&[Mode::Read, Mode::Write]);
        (lock, 100 * unit + owner as u64, 100 * unit + 50 + owner as u64, mode)
    };
    places.into_iter().map(part).collect()
}

pub(crate) fn requests<'a>(locks: &'a Locks, parts: &[Part]) -> impl Iterator<Item = Request<'a>> {
    parts.iter().map(move |&(lock, first, last, mode)| match mode {
        Mode::Write => Request::write(&locks[lock], first..=last),
        _ => Request::read(&locks[lock], first..=last),
    })
}

pub(crate) type Locks = [Arc<RangeLock>; LOCKS];

/// Cuts one of the locks somewhere, or joins two of its parts, or leaves it as it is: no request
/// may notice.
pub(crate) fn restructure(locks: &Locks) {
    let lock = &locks[below(LOCKS as u64) as usize];
    let at = 100 * below(UNITS) + below(2) * THREADS as u64 / 2;
    match below(4) {
        0 => _ = __private::join(lock, at),
        1 | 2 => _ = __private::cut(lock, at),
        _ => {}
    }
}

/// In the order of their addresses, so that a replay takes their mutexes in the same order.
pub(crate) fn new_locks(bypass: [usize; LOCKS]) -> Locks {
    let mut locks = bypass.map(|n| Arc::new(RangeLock::builder().max_leaves(6).bypass(n).build()));
    locks.sort_by_key(Arc::as_ptr);
    locks
}

pub(crate) fn check_free(locks: &Locks) {
    for lock in locks {
        assert!(lock.requests().is_empty(), "left behind: {lock:?}");
        assert!(lock.try_write(..).is_some());
    }
}

pub(crate) enum Guard<'a> {
    Read(RangeReadGuard<'a>),
    Upgradable(RangeUpgradableReadGuard<'a>),
    Write(RangeWriteGuard<'a>),
    ReadArc(ArcRangeReadGuard),
    UpgradableArc(ArcRangeUpgradableReadGuard),
    WriteArc(ArcRangeWriteGuard),
    Many(#[expect(dead_code, reason = "held only to be dropped")] Box<ManyGuard<'a>>),
}

impl<'a> Guard<'a> {
    pub(crate) fn many(guard: ManyGuard<'a>) -> Self {
        Guard::Many(Box::new(guard))
    }

    pub(crate) fn try_one(locks: &'a Locks, (lock, first, last, mode): Part) -> Option<Self> {
        let (lock, range) = (&locks[lock], first..=last);
        match (mode, chance(1, 2)) {
            (Mode::Read, true) => lock.try_read(range).map(Guard::Read),
            (Mode::Read, false) => lock.try_read_arc(range).map(Guard::ReadArc),
            (Mode::Upgradable, true) => lock.try_upgradable_read(range).map(Guard::Upgradable),
            (Mode::Upgradable, false) => lock.try_upgradable_read_arc(range).map(Guard::UpgradableArc),
            (Mode::Write, true) => lock.try_write(range).map(Guard::Write),
            (Mode::Write, false) => lock.try_write_arc(range).map(Guard::WriteArc),
        }
    }

    pub(crate) fn try_one_for(locks: &'a Locks, (lock, first, last, mode): Part) -> Option<Self> {
        let (lock, range) = (&locks[lock], first..=last);
        match (mode, chance(1, 2)) {
            (Mode::Read, true) => lock.try_read_for(range, SOON).map(Guard::Read),
            (Mode::Read, false) => lock.try_read_arc_for(range, SOON).map(Guard::ReadArc),
            (Mode::Upgradable, true) => lock.try_upgradable_read_for(range, SOON).map(Guard::Upgradable),
            (Mode::Upgradable, false) => {
                lock.try_upgradable_read_arc_for(range, SOON).map(Guard::UpgradableArc)
            }
            (Mode::Write, true) => lock.try_write_for(range, SOON).map(Guard::Write),
            (Mode::Write, false) => lock.try_write_arc_for(range, SOON).map(Guard::WriteArc),
        }
    }

    pub(crate) fn wait_for_one(locks: &'a Locks, (lock, first, last, mode): Part) -> Self {
        let (lock, range) = (&locks[lock], first..=last);
        match (mode, chance(1, 2)) {
            (Mode::Read, true) => Guard::Read(lock.read(range)),
            (Mode::Read, false) => Guard::ReadArc(lock.read_arc(range)),
            (Mode::Upgradable, true) => Guard::Upgradable(lock.upgradable_read(range)),
            (Mode::Upgradable, false) => Guard::UpgradableArc(lock.upgradable_read_arc(range)),
            (Mode::Write, true) => Guard::Write(lock.write(range)),
            (Mode::Write, false) => Guard::WriteArc(lock.write_arc(range)),
        }
    }

    /// Releases all but `range`; what holds several ranges stays as it is.
    pub(crate) fn shrink(&mut self, range: RangeInclusive<u64>) {
        match self {
            Guard::Read(guard) => RangeReadGuard::shrink(guard, range),
            Guard::Upgradable(guard) => RangeUpgradableReadGuard::shrink(guard, range),
            Guard::Write(guard) => RangeWriteGuard::shrink(guard, range),
            Guard::ReadArc(guard) => ArcRangeReadGuard::shrink(guard, range),
            Guard::UpgradableArc(guard) => ArcRangeUpgradableReadGuard::shrink(guard, range),
            Guard::WriteArc(guard) => ArcRangeWriteGuard::shrink(guard, range),
            Guard::Many(_) => {}
        }
    }

    pub(crate) fn split_at(self, mid: u64) -> (Self, Self) {
        macro_rules! split {
            ($Variant:ident, $Guard:ident, $guard:expr) => {{
                let (left, right) = $Guard::split_at($guard, mid);
                (Guard::$Variant(left), Guard::$Variant(right))
            }};
        }
        match self {
            Guard::Read(guard) => split!(Read, RangeReadGuard, guard),
            Guard::Upgradable(guard) => split!(Upgradable, RangeUpgradableReadGuard, guard),
            Guard::Write(guard) => split!(Write, RangeWriteGuard, guard),
            Guard::ReadArc(guard) => split!(ReadArc, ArcRangeReadGuard, guard),
            Guard::UpgradableArc(guard) => split!(UpgradableArc, ArcRangeUpgradableReadGuard, guard),
            Guard::WriteArc(guard) => split!(WriteArc, ArcRangeWriteGuard, guard),
            Guard::Many(_) => unreachable!("not split"),
        }
    }

    /// The guard in mode `to`, a weaker one.
    pub(crate) fn downgrade(self, to: Mode) -> Self {
        match (self, to) {
            (Guard::Write(guard), Mode::Read) => Guard::Read(RangeWriteGuard::downgrade(guard)),
            (Guard::Write(guard), _) => Guard::Upgradable(RangeWriteGuard::downgrade_to_upgradable(guard)),
            (Guard::WriteArc(guard), Mode::Read) => Guard::ReadArc(ArcRangeWriteGuard::downgrade(guard)),
            (Guard::WriteArc(guard), _) => {
                Guard::UpgradableArc(ArcRangeWriteGuard::downgrade_to_upgradable(guard))
            }
            (Guard::Upgradable(guard), _) => Guard::Read(RangeUpgradableReadGuard::downgrade(guard)),
            (Guard::UpgradableArc(guard), _) => Guard::ReadArc(ArcRangeUpgradableReadGuard::downgrade(guard)),
            (guard, _) => guard,
        }
    }

    pub(crate) fn try_upgrade(self, timed: bool) -> Result<Self, Self> {
        match self {
            Guard::Upgradable(guard) if timed => RangeUpgradableReadGuard::try_upgrade_for(guard, SOON)
                .map(Guard::Write)
                .map_err(Guard::Upgradable),
            Guard::Upgradable(guard) => {
                RangeUpgradableReadGuard::try_upgrade(guard).map(Guard::Write).map_err(Guard::Upgradable)
            }
            Guard::UpgradableArc(guard) if timed => ArcRangeUpgradableReadGuard::try_upgrade_for(guard, SOON)
                .map(Guard::WriteArc)
                .map_err(Guard::UpgradableArc),
            Guard::UpgradableArc(guard) => ArcRangeUpgradableReadGuard::try_upgrade(guard)
                .map(Guard::WriteArc)
                .map_err(Guard::UpgradableArc),
            _ => unreachable!("only upgradable ones are upgraded"),
        }
    }

    fn upgrade(self) -> Self {
        match self {
            Guard::Upgradable(guard) => Guard::Write(RangeUpgradableReadGuard::upgrade(guard)),
            Guard::UpgradableArc(guard) => Guard::WriteArc(ArcRangeUpgradableReadGuard::upgrade(guard)),
            _ => unreachable!("only upgradable ones are upgraded"),
        }
    }
}

/// A request on its way, by whatever future.
pub(crate) type Pending<'a> = Pin<Box<dyn Future<Output = Guard<'a>> + Send + 'a>>;

pub(crate) fn enter<'a>(locks: &'a Locks, (lock, first, last, mode): Part) -> Pending<'a> {
    let (lock, range) = (&locks[lock], first..=last);
    macro_rules! future {
        ($verb:ident, $Variant:ident) => {{
            let future = lock.$verb(range);
            Box::pin(async { Guard::$Variant(future.await) })
        }};
    }
    match (mode, chance(1, 2)) {
        (Mode::Read, true) => future!(read_async, Read),
        (Mode::Read, false) => future!(read_arc_async, ReadArc),
        (Mode::Upgradable, true) => future!(upgradable_read_async, Upgradable),
        (Mode::Upgradable, false) => future!(upgradable_read_arc_async, UpgradableArc),
        (Mode::Write, true) => future!(write_async, Write),
        (Mode::Write, false) => future!(write_arc_async, WriteArc),
    }
}

pub(crate) fn enter_many<'a>(locks: &'a Locks, parts: &[Part]) -> Pending<'a> {
    let future = RangeLock::acquire_many_async(requests(locks, parts));
    Box::pin(async { Guard::many(future.await) })
}

pub(crate) fn enter_upgrade(guard: Guard<'_>) -> Pending<'_> {
    match guard {
        Guard::Upgradable(guard) => {
            let future = RangeUpgradableReadGuard::upgrade_async(guard);
            Box::pin(async { Guard::Write(future.await) })
        }
        Guard::UpgradableArc(guard) => {
            let future = ArcRangeUpgradableReadGuard::upgrade_async(guard);
            Box::pin(async { Guard::WriteArc(future.await) })
        }
        _ => unreachable!("only upgradable ones are upgraded"),
    }
}

/// How many use a unit in each mode, and what they use.
#[derive(Default)]
struct Unit {
    users: [AtomicUsize; 3],
    data: UnsafeCell<usize>,
}

/// The units of each lock. Its atomics order nothing, so that the sanitizers find where the lock
/// does not.
#[derive(Default)]
struct Oracle([[Unit; UNITS as usize]; LOCKS]);

// SAFETY: `data` is touched only by the holder of the unit; that this suffices is what the tests
// show.
unsafe impl Sync for Oracle {}

impl Oracle {
    fn units(&self, &(lock, first, last, _): &Part) -> &[Unit] {
        &self.0[lock][(first / 100) as usize..=(last / 100) as usize]
    }

    fn enter(&self, part: &Part) {
        for unit in self.units(part) {
            // Entered first and looked at afterwards: of two that are in at once, one at least sees
            // the other.
            unit.users[part.3 as usize].fetch_add(1, Ordering::Relaxed);
            let users = [0, 1, 2].map(|mode| unit.users[mode].load(Ordering::Relaxed));
            let alone = match (part.3, users) {
                (Mode::Read, [_, _, writers]) => writers == 0,
                (Mode::Upgradable, [_, upgradable, writers]) => upgradable == 1 && writers == 0,
                (Mode::Write, [readers, upgradable, writers]) => {
                    readers == 0 && upgradable == 0 && writers == 1
                }
            };
            assert!(alone, "{part:?}: there are {users:?} readers, upgradable readers and writers");
            // SAFETY: the caller holds the unit for writing, or for reading.
            unsafe {
                match part.3 {
                    Mode::Write => *unit.data.get() += 1,
                    _ => assert_ne!(std::hint::black_box(*unit.data.get()), usize::MAX),
                }
            }
        }
    }

    fn leave(&self, part: &Part) {
        for unit in self.units(part) {
            unit.users[part.3 as usize].fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// What all threads share when they run free.
pub(crate) struct Shared<'a> {
    locks: &'a Locks,
    oracle: Oracle,
    /// Whether requests that conflict are served in the order in which they came.
    is_in_order: bool,
    /// Which acquisition each thread is at.
    tickets: [AtomicUsize; THREADS],
    /// Guards to be dropped by the next thread that comes along.
    bag: Mutex<Vec<Holding<'a>>>,
}

/// A guard, and what it stands for in the oracle.
struct Holding<'a> {
    guard: Guard<'a>,
    parts: Vec<Part>,
}

fn conflict(a: &Part, b: &Part) -> bool {
    a.0 == b.0 && a.1 <= b.2 && b.1 <= a.2 && a.3.conflicts(b.3)
}

impl<'a> Shared<'a> {
    pub(crate) fn new(locks: &'a Locks, is_in_order: bool) -> Self {
        Shared {
            locks,
            oracle: Oracle::default(),
            is_in_order,
            tickets: Default::default(),
            bag: Mutex::new(vec![]),
        }
    }

    /// The acquisitions, by thread and ticket, that wait and conflict with `parts`. A ticket that
    /// has changed meanwhile is left out: it may belong to another request than the one seen.
    fn waiting(&self, owner: usize, parts: &[Part]) -> Vec<(usize, usize)> {
        if !self.is_in_order {
            return Vec::new();
        }
        let tickets = || self.tickets.each_ref().map(|ticket| ticket.load(Ordering::Relaxed));
        let before = tickets();
        let mut seen = BTreeSet::new();
        for (which, lock) in self.locks.iter().enumerate() {
            for request in lock.requests() {
                let (first, last) = request.range().into_inner();
                let other = (which, first, last, request.mode());
                let waits = request.state() == RequestState::Waiting;
                if waits && parts.iter().any(|part| conflict(part, &other)) {
                    seen.insert((first % 100) as usize);
                }
            }
        }
        let after = tickets();
        seen.retain(|&other| other != owner && before[other] == after[other]);
        seen.into_iter().map(|other| (other, after[other])).collect()
    }

    fn acquire(&self, owner: usize) -> Option<Holding<'a>> {
        let many = chance(1, 4);
        let parts = if many { some_parts(owner) } else { vec![some_part(owner)] };
        self.tickets[owner].fetch_add(1, Ordering::Relaxed);
        let before = self.waiting(owner, &parts);
        let kind = below(8);
        let guard = if many {
            let requests = requests(self.locks, &parts);
            match kind {
                0 => RangeLock::try_acquire_many(requests).map(Guard::many),
                1 | 2 => RangeLock::try_acquire_many_for(requests, SOON).map(Guard::many),
                3 | 4 => Some(block_on(enter_many(self.locks, &parts))),
                _ => Some(Guard::many(RangeLock::acquire_many(requests))),
            }
        } else {
            match kind {
                0 => Guard::try_one(self.locks, parts[0]),
                1 | 2 => Guard::try_one_for(self.locks, parts[0]),
                3 | 4 => Some(block_on(enter(self.locks, parts[0]))),
                5 => {
                    let mut future = enter(self.locks, parts[0]);
                    let polled = future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
                    yield_now();
                    match polled {
                        Poll::Ready(guard) => Some(guard),
                        Poll::Pending => None,
                    }
                }
                _ => Some(Guard::wait_for_one(self.locks, parts[0])),
            }
        };
        let guard = guard?;
        parts.iter().for_each(|part| self.oracle.enter(part));
        let passed = self.waiting(owner, &parts);
        for earlier in before {
            assert!(!passed.contains(&earlier), "{parts:?} passed thread {}, which waits", earlier.0);
        }
        Some(Holding { guard, parts })
    }

    fn release(&self, holding: Holding<'a>) {
        holding.parts.iter().for_each(|part| self.oracle.leave(part));
        drop(holding.guard);
    }

    fn drain(&self) {
        loop {
            let last = self.bag.lock().unwrap().pop();
            match last {
                Some(holding) => self.release(holding),
                None => return,
            }
        }
    }

    /// Changes a guard in some way that its mode allows; what is split off goes into the bag.
    fn change(&self, holding: Holding<'a>) -> Holding<'a> {
        let Holding { mut guard, mut parts } = holding;
        if matches!(guard, Guard::Many(_)) {
            return Holding { guard, parts };
        }
        let (lock, first, last, mode) = parts[0];
        // The beginning of a unit, but not of the first one.
        let mid = 100 * (first / 100 + below(last / 100 - first / 100 + 1));
        match below(5) {
            0 if first < mid => {
                let (left, right) = guard.split_at(mid);
                let right = Holding { guard: right, parts: vec![(lock, mid, last, mode)] };
                self.bag.lock().unwrap().push(right);
                Holding { guard: left, parts: vec![(lock, first, mid - 1, mode)] }
            }
            1 if first < mid => {
                self.oracle.leave(&(lock, first, mid - 1, mode));
                guard.shrink(mid..=last);
                Holding { guard, parts: vec![(lock, mid, last, mode)] }
            }
            2 if mode != Mode::Read => {
                let to = if mode == Mode::Write { pick(&[Mode::Read, Mode::Upgradable]) } else { Mode::Read };
                self.oracle.leave(&parts[0]);
                parts[0].3 = to;
                self.oracle.enter(&parts[0]);
                Holding { guard: guard.downgrade(to), parts }
            }
            _ if mode == Mode::Upgradable => {
                self.drain();
                let upgraded = match below(4) {
                    0 => guard.try_upgrade(false),
                    1 => guard.try_upgrade(true),
                    2 => Ok(block_on(enter_upgrade(guard))),
                    _ => Ok(guard.upgrade()),
                };
                match upgraded {
                    Ok(guard) => {
                        self.oracle.leave(&parts[0]);
                        parts[0].3 = Mode::Write;
                        self.oracle.enter(&parts[0]);
                        Holding { guard, parts }
                    }
                    Err(guard) => Holding { guard, parts },
                }
            }
            _ => Holding { guard, parts },
        }
    }

    /// Never waits while it holds what another may wait for, but to upgrade it.
    pub(crate) fn run(&self, owner: usize, rounds: usize) {
        for _ in 0..rounds {
            self.drain();
            restructure(self.locks);
            let Some(mut holding) = self.acquire(owner) else { continue };
            for _ in 0..below(3) {
                restructure(self.locks);
                holding = self.change(holding);
            }
            if chance(1, 3) {
                self.bag.lock().unwrap().push(holding);
            } else {
                self.release(holding);
            }
        }
        self.drain();
    }
}
