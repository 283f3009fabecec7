//! Random schedules of eight threads and all verbs. Run with
//!
//! ```text
//! RUSTFLAGS="--cfg shuttle" cargo test --release -p range-lock --features async --test shuttle
//! ```
//!
//! `SHUTTLE_ITERATIONS` says how many schedules are tried in total; half of them are random, half by PCT (Burckhardt et al., "A
//! Randomized Scheduler with Probabilistic Guarantees of Finding Bugs", ASPLOS 2010), which looks for bugs that need few
//! preemptions in the right places. A schedule that fails is printed, together with the command that replays it.
//!
//! Two tests, since one cannot have both:
//!
//! * [`in_step_with_the_reference_model`]: every transition is made under a mutex, together with the same transition of the
//!   reference model, and after each of them lock and model have to agree on every request. Requests enter as futures that
//!   are polled once; the waiting is done without the mutex.
//! * [`free_running`]: the blocking and timed verbs, whenever they come. An oracle counts the users of each unit, and a
//!   request may not be granted while one is waiting that conflicts with it and was seen in the queue before it came.
#![cfg(all(shuttle, feature = "async"))]

#[path = "model/reference.rs"]
mod reference;

use std::collections::BTreeSet;
use std::future::Future;
use std::ops::RangeInclusive;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use range_lock::{
    ArcRangeReadGuard, ArcRangeUpgradableReadGuard, ArcRangeWriteGuard, ManyGuard, Mode, RangeLock,
    RangeReadGuard, RangeUpgradableReadGuard, RangeWriteGuard, Request, RequestState,
};
use reference::{Model, Part, State};
use shuttle::future::block_on;
use shuttle::rand::{Rng, thread_rng};
use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler};
use shuttle::sync::{Mutex, MutexGuard};
use shuttle::{Config, Runner};

const THREADS: usize = 8;
const LOCKS: usize = 2;

/// How many units each lock's domain has in a test; a unit is a hundred points.
const UNITS: u64 = 6;

const SOON: Duration = Duration::ZERO;

/// Tries this test's share of the schedules, or replays one.
fn explore(name: &str, f: impl Fn() + Send + Sync + 'static) {
    if let Ok(schedule) = std::env::var("SHUTTLE_REPLAY") {
        return shuttle::replay(f, schedule.trim());
    }
    let total = match std::env::var("SHUTTLE_ITERATIONS") {
        Ok(total) => total.parse().expect("SHUTTLE_ITERATIONS is a number"),
        Err(_) => 1000,
    };
    let share = usize::div_ceil(total, 4); // Two tests, two schedulers.
    let f = Arc::new(f);
    let start = Instant::now();
    let run = |scheduler: Box<dyn Scheduler + Send>| {
        let f = Arc::clone(&f);
        let mut config = Config::new();
        config.stack_size = 1 << 17;
        let failed = catch_unwind(AssertUnwindSafe(|| Runner::new(scheduler, config).run(move || f())));
        if let Err(panic) = failed {
            eprintln!(
                "to replay it: SHUTTLE_REPLAY=<that string> RUSTFLAGS='--cfg shuttle' \
                 cargo test --release -p range-lock --features async --test shuttle -- --exact {name}"
            );
            resume_unwind(panic);
        }
    };
    run(Box::new(RandomScheduler::new(share)));
    run(Box::new(PctScheduler::new(3, share)));
    println!("{name}: {share} random schedules and {share} by PCT in {:.1?}", start.elapsed());
}

fn chance(n: u32, of: u32) -> bool {
    thread_rng().gen_ratio(n, of)
}

fn pick<T: Copy>(from: &[T]) -> T {
    from[thread_rng().gen_range(0..from.len())]
}

/// Some units of some lock, in some mode. The points say which units, and whose request it is: any two spans of the same unit
/// overlap, and no two that have none in common.
fn some_part(owner: usize) -> Part {
    let (a, b) = (thread_rng().gen_range(0..UNITS), thread_rng().gen_range(0..UNITS));
    let mode = pick(&[Mode::Read, Mode::Read, Mode::Upgradable, Mode::Write]);
    let lock = thread_rng().gen_range(0..LOCKS);
    (lock, 100 * a.min(b) + owner as u64, 100 * a.max(b) + 50 + owner as u64, mode)
}

/// One to four units, disjoint as the lock makes them.
fn some_parts(owner: usize) -> Vec<Part> {
    let places: BTreeSet<(usize, u64)> = (0..thread_rng().gen_range(1..5))
        .map(|_| (thread_rng().gen_range(0..LOCKS), thread_rng().gen_range(0..UNITS)))
        .collect();
    let part = |(lock, unit): (usize, u64)| {
        let mode = pick(&[Mode::Read, Mode::Write]);
        (lock, 100 * unit + owner as u64, 100 * unit + 50 + owner as u64, mode)
    };
    places.into_iter().map(part).collect()
}

fn requests<'a>(locks: &'a Locks, parts: &[Part]) -> impl Iterator<Item = Request<'a>> {
    parts.iter().map(move |&(lock, first, last, mode)| match mode {
        Mode::Write => Request::write(&locks[lock], first..=last),
        _ => Request::read(&locks[lock], first..=last),
    })
}

type Locks = [Arc<RangeLock>; LOCKS];

/// In the order of their addresses, so that a replay takes their mutexes in the same order.
fn new_locks() -> Locks {
    let mut locks: Locks = std::array::from_fn(|_| Arc::new(RangeLock::new()));
    locks.sort_by_key(Arc::as_ptr);
    locks
}

fn check_free(locks: &Locks) {
    for lock in locks {
        assert!(lock.requests().is_empty(), "left behind: {lock:?}");
        assert!(lock.try_write(..).is_some());
    }
}

enum Guard<'a> {
    Read(RangeReadGuard<'a>),
    Upgradable(RangeUpgradableReadGuard<'a>),
    Write(RangeWriteGuard<'a>),
    ReadArc(ArcRangeReadGuard),
    UpgradableArc(ArcRangeUpgradableReadGuard),
    WriteArc(ArcRangeWriteGuard),
    Many(#[expect(dead_code, reason = "held only to be dropped")] ManyGuard<'a>),
}

impl<'a> Guard<'a> {
    fn try_one(locks: &'a Locks, (lock, first, last, mode): Part) -> Option<Self> {
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

    fn try_one_for(locks: &'a Locks, (lock, first, last, mode): Part) -> Option<Self> {
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

    fn wait_for_one(locks: &'a Locks, (lock, first, last, mode): Part) -> Self {
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
    fn shrink(&mut self, range: RangeInclusive<u64>) {
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

    fn split_at(self, mid: u64) -> (Self, Self) {
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
    fn downgrade(self, to: Mode) -> Self {
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

    fn try_upgrade(self, timed: bool) -> Result<Self, Self> {
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
type Pending<'a> = Pin<Box<dyn Future<Output = Guard<'a>> + Send + 'a>>;

fn enter<'a>(locks: &'a Locks, (lock, first, last, mode): Part) -> Pending<'a> {
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

fn enter_many<'a>(locks: &'a Locks, parts: &[Part]) -> Pending<'a> {
    let future = RangeLock::acquire_many_async(requests(locks, parts));
    Box::pin(async { Guard::Many(future.await) })
}

fn enter_upgrade(guard: Guard<'_>) -> Pending<'_> {
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

/// What all threads share in the test against the model: whoever has it makes the next transition.
struct World<'a> {
    locks: &'a Locks,
    model: Model,
    /// Anybody's: a guard may be changed and dropped by another thread than the one that acquired it.
    held: Vec<(usize, Guard<'a>)>,
    /// Requests that have entered: awaited or dropped by anybody.
    pending: Vec<(usize, Pending<'a>)>,
}

impl<'a> World<'a> {
    /// Lock and model agree on every request.
    fn check(&self) {
        for (which, lock) in self.locks.iter().enumerate() {
            let state = |state| match state {
                RequestState::Held => State::Held,
                RequestState::Upgrading => State::Upgrading,
                _ => State::Waiting,
            };
            let mut actual: Vec<_> = lock
                .requests()
                .iter()
                .map(|r| (*r.range().start(), *r.range().end(), r.mode(), state(r.state()) as u8))
                .collect();
            let mut expected: Vec<_> = self
                .model
                .requests
                .iter()
                .flat_map(|request| request.parts.iter().map(move |part| (part, request.state)))
                .filter(|(part, _)| part.0 == which)
                .map(|(&(_, first, last, mode), state)| (first, last, mode, state as u8))
                .collect();
            actual.sort_unstable();
            expected.sort_unstable();
            assert_eq!(actual, expected, "requests of lock {which}");
        }
    }

    /// Takes a future's first poll, with which it enters.
    fn begin(&mut self, id: usize, mut pending: Pending<'a>) {
        match pending.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(guard) => {
                assert_eq!(self.model.get(id).state, State::Held);
                self.held.push((id, guard));
            }
            Poll::Pending => {
                assert_ne!(self.model.get(id).state, State::Held);
                self.pending.push((id, pending));
            }
        }
    }

    fn acquire(&mut self, owner: usize) {
        let part = some_part(owner);
        let guard = match thread_rng().gen_range(0..8) {
            0 | 1 => {
                let id = self.model.try_enter(vec![part]);
                (id, Guard::try_one(self.locks, part))
            }
            2 => {
                // Sleeps, if it does, with the world in its hands: nobody can let it in.
                let id = self.model.try_enter(vec![part]);
                (id, Guard::try_one_for(self.locks, part))
            }
            3 => match self.model.try_enter(vec![part]) {
                Some(id) => (Some(id), Some(Guard::wait_for_one(self.locks, part))),
                None => return,
            },
            4 => {
                let parts = some_parts(owner);
                let id = self.model.try_enter(parts.clone());
                (id, RangeLock::try_acquire_many(requests(self.locks, &parts)).map(Guard::Many))
            }
            5 => {
                let parts = some_parts(owner);
                let id = self.model.enter(parts.clone());
                return self.begin(id, enter_many(self.locks, &parts));
            }
            _ => {
                let id = self.model.enter(vec![part]);
                return self.begin(id, enter(self.locks, part));
            }
        };
        assert_eq!(guard.0.is_some(), guard.1.is_some(), "a try gave what the model does not");
        self.held.extend(guard.0.zip(guard.1));
    }

    /// Changes a guard in some way that its mode allows.
    fn change(&mut self, id: usize, guard: Guard<'a>) {
        if matches!(guard, Guard::Many(_)) {
            return self.held.push((id, guard));
        }
        let (lock, first, last, mode) = self.model.get(id).parts[0];
        let mid = thread_rng().gen_range(first..=last);
        let guard = match thread_rng().gen_range(0..6) {
            0 if first < mid => {
                let (left, right) = guard.split_at(mid);
                let right_id =
                    self.model.split(id, vec![(lock, first, mid - 1, mode)], vec![(lock, mid, last, mode)]);
                self.held.push((right_id, right));
                left
            }
            1 => {
                let (mut guard, parts) = (guard, if chance(1, 2) { (first, mid) } else { (mid, last) });
                self.model.change(id, vec![(lock, parts.0, parts.1, mode)]);
                guard.shrink(parts.0..=parts.1);
                guard
            }
            2 if mode != Mode::Read => {
                let to = if mode == Mode::Write { pick(&[Mode::Read, Mode::Upgradable]) } else { Mode::Read };
                self.model.change(id, vec![(lock, first, last, to)]);
                guard.downgrade(to)
            }
            3 if mode == Mode::Upgradable => {
                self.model.upgrade(id);
                return self.begin(id, enter_upgrade(guard));
            }
            _ if mode == Mode::Upgradable => {
                self.model.upgrade(id);
                let upgraded = guard.try_upgrade(chance(1, 2));
                match (upgraded, self.model.get(id).state) {
                    (Ok(guard), State::Held) => guard,
                    (Err(guard), State::Upgrading) => {
                        self.model.change(id, vec![(lock, first, last, mode)]);
                        guard
                    }
                    (upgraded, state) => panic!("upgraded: {}; in the model {state:?}", upgraded.is_ok()),
                }
            }
            _ => guard,
        };
        self.held.push((id, guard));
    }

    fn leave(&mut self, id: usize, what: impl Sized) {
        self.model.leave(id);
        drop(what);
        self.check();
    }

    /// Drops everything that anybody has in his hands, so that whoever waits waits for threads that run.
    fn drain(&mut self) {
        while let Some((id, guard)) = self.held.pop() {
            self.leave(id, guard);
        }
        while let Some((id, pending)) = self.pending.pop() {
            self.leave(id, pending);
        }
    }
}

fn in_step(world: &Mutex<World<'_>>, owner: usize) {
    let lock = || -> MutexGuard<'_, _> { world.lock().unwrap_or_else(PoisonError::into_inner) };
    for _ in 0..6 {
        let mut w = lock();
        let (held, pending) = (w.held.len(), w.pending.len());
        match thread_rng().gen_range(0..8) {
            0 if held > 0 => {
                let (id, guard) = w.held.swap_remove(thread_rng().gen_range(0..held));
                w.leave(id, guard);
            }
            1 | 2 if held > 0 => {
                let (id, guard) = w.held.swap_remove(thread_rng().gen_range(0..held));
                w.change(id, guard);
                w.check();
            }
            3 if pending > 0 => {
                let (id, future) = w.pending.swap_remove(thread_rng().gen_range(0..pending));
                w.leave(id, future);
            }
            4 | 5 if pending > 0 => {
                let (id, future) = w.pending.swap_remove(thread_rng().gen_range(0..pending));
                w.drain();
                drop(w);
                let guard = block_on(future);
                w = lock();
                assert_eq!(w.model.get(id).state, State::Held, "granted, but not by the model");
                w.held.push((id, guard));
            }
            _ => {
                w.acquire(owner);
                w.check();
            }
        }
    }
    lock().drain();
}

#[test]
fn in_step_with_the_reference_model() {
    explore("in_step_with_the_reference_model", || {
        let locks = new_locks();
        let world =
            Mutex::new(World { locks: &locks, model: Model::default(), held: vec![], pending: vec![] });
        shuttle::thread::scope(|scope| {
            for owner in 0..THREADS {
                let world = &world;
                scope.spawn(move || in_step(world, owner));
            }
        });
        drop(world);
        check_free(&locks);
    });
}

/// How many use each unit of each lock, in each mode. Not modelled: it is looked at and changed in one step.
#[derive(Default)]
struct Oracle([[[AtomicUsize; 3]; UNITS as usize]; LOCKS]);

impl Oracle {
    fn units(&self, &(lock, first, last, _): &Part) -> &[[AtomicUsize; 3]] {
        &self.0[lock][(first / 100) as usize..=(last / 100) as usize]
    }

    fn enter(&self, part: &Part) {
        for unit in self.units(part) {
            let users = [0, 1, 2].map(|mode| unit[mode].load(Ordering::Relaxed));
            let [_, upgradable, writers] = users;
            let alone = match part.3 {
                Mode::Read => writers == 0,
                Mode::Upgradable => upgradable + writers == 0,
                Mode::Write => users == [0; 3],
            };
            assert!(alone, "{part:?} came in beside {users:?} readers, upgradable readers and writers");
            unit[part.3 as usize].fetch_add(1, Ordering::Relaxed);
        }
    }

    fn leave(&self, part: &Part) {
        for unit in self.units(part) {
            unit[part.3 as usize].fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// What all threads share when they run free.
struct Shared<'a> {
    locks: &'a Locks,
    oracle: Oracle,
    /// Which acquisition each thread is at.
    tickets: [AtomicUsize; THREADS],
    /// Guards to be dropped by whoever comes along.
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
    /// The acquisitions, by thread and ticket, that wait and conflict with `parts`. A ticket that has changed meanwhile is
    /// left out: it may belong to another request than the one seen.
    fn waiting(&self, owner: usize, parts: &[Part]) -> Vec<(usize, usize)> {
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
        let kind = thread_rng().gen_range(0..8);
        let guard = if many {
            let requests = requests(self.locks, &parts);
            match kind {
                0 => RangeLock::try_acquire_many(requests).map(Guard::Many),
                1 | 2 => RangeLock::try_acquire_many_for(requests, SOON).map(Guard::Many),
                3 | 4 => Some(block_on(enter_many(self.locks, &parts))),
                _ => Some(Guard::Many(RangeLock::acquire_many(requests))),
            }
        } else {
            match kind {
                0 => Guard::try_one(self.locks, parts[0]),
                1 | 2 => Guard::try_one_for(self.locks, parts[0]),
                3 | 4 => Some(block_on(enter(self.locks, parts[0]))),
                5 => {
                    let mut future = enter(self.locks, parts[0]);
                    let polled = future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
                    shuttle::thread::yield_now();
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
        let mid = 100 * thread_rng().gen_range(first / 100..=last / 100);
        match thread_rng().gen_range(0..5) {
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
                let upgraded = match thread_rng().gen_range(0..4) {
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
    fn run(&self, owner: usize) {
        for _ in 0..4 {
            self.drain();
            let Some(mut holding) = self.acquire(owner) else { continue };
            for _ in 0..thread_rng().gen_range(0..3) {
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

#[test]
fn free_running() {
    explore("free_running", || {
        let locks = new_locks();
        let shared = Shared {
            locks: &locks,
            oracle: Oracle::default(),
            tickets: Default::default(),
            bag: Mutex::new(vec![]),
        };
        shuttle::thread::scope(|scope| {
            for owner in 0..THREADS {
                let shared = &shared;
                scope.spawn(move || shared.run(owner));
            }
        });
        drop(shared);
        check_free(&locks);
    });
}
