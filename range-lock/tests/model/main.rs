//! The lock against the reference model: random histories of all verbs on two locks, one thread, no
//! clock.
//!
//! Every acquisition is a future that is polled once, with a waker of its own; an upgrade is one
//! too. After every step the requests that are held and those that wait must be the model's, to the
//! last span. The tasks that have been woken must be just those whose requests the step has
//! granted: none is left asleep, and none is woken in vain. Where sleepers may be passed, the woken
//! tasks are those whose ranges were granted or offered since their last poll.

mod reference;

use std::future::Future;
use std::ops::RangeInclusive;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use proptest::prelude::*;
use range_lock::{
    __private, ManyGuard, Mode, RangeLock, RangeReadGuard, RangeUpgradableReadGuard, RangeWriteGuard,
    Request, RequestState, future,
};
use reference::{Model, Part, State};

/// How many locks there are.
const LOCKS: usize = 2;

#[derive(Clone, Debug)]
enum Step {
    Acquire(Part),
    Try(Part),
    /// Enters, and gives up at once.
    TimeOut(Part),
    AcquireMany(Vec<Part>),
    TryMany(Vec<Part>),
    /// Drops a guard or a future.
    Drop(usize),
    Downgrade(usize, Mode),
    Upgrade(usize),
    TryUpgrade(usize),
    TimeOutUpgrade(usize),
    Shrink(usize, u64, u64),
    Split(usize, u64),
    /// Waits until a range is free.
    Watch(Part),
    /// The same, and gives up at once.
    TimeOutWatch(Part),
    DropWatch(usize),
    /// Polls a future that waits, though nothing has woken it, with the same waker or another.
    Poll(usize, bool),
}

/// Points 0 to 19 of a test stand for both ends of the domain.
fn point(n: u64) -> u64 {
    if n < 10 { n } else { u64::MAX - (19 - n) }
}

fn parts() -> impl Strategy<Value = Part> {
    let modes = prop_oneof![4 => Just(Mode::Read), 1 => Just(Mode::Upgradable), 3 => Just(Mode::Write)];
    (0..LOCKS, 0..20_u64, 0..20_u64, modes)
        .prop_map(|(lock, a, b, mode)| (lock, point(a.min(b)), point(a.max(b)), mode))
}

/// Several parts, disjoint as the lock makes them: what it does with others is a test of its own.
fn disjoint_parts() -> impl Strategy<Value = Vec<Part>> {
    prop::collection::vec((0..LOCKS, 0..5_u64, 1..4_u64, any::<bool>()), 1..5).prop_map(|parts| {
        let mut disjoint: Vec<Part> = Vec::new();
        for (lock, at, len, writes) in parts {
            let (first, last) = (point(4 * at), point(4 * at + len - 1));
            if disjoint.iter().all(|part| part.0 != lock || part.1 != first) {
                disjoint.push((lock, first, last, if writes { Mode::Write } else { Mode::Read }));
            }
        }
        disjoint
    })
}

fn steps() -> impl Strategy<Value = Step> {
    let which = any::<usize>;
    prop_oneof![
        8 => parts().prop_map(Step::Acquire),
        4 => parts().prop_map(Step::Try),
        2 => parts().prop_map(Step::TimeOut),
        3 => disjoint_parts().prop_map(Step::AcquireMany),
        1 => disjoint_parts().prop_map(Step::TryMany),
        8 => which().prop_map(Step::Drop),
        3 => (which(), any::<bool>()).prop_map(|(i, weak)| {
            Step::Downgrade(i, if weak { Mode::Read } else { Mode::Upgradable })
        }),
        3 => which().prop_map(Step::Upgrade),
        1 => which().prop_map(Step::TryUpgrade),
        1 => which().prop_map(Step::TimeOutUpgrade),
        3 => (which(), 0..20_u64, 0..20_u64).prop_map(|(i, a, b)| Step::Shrink(i, point(a.min(b)), point(a.max(b)))),
        3 => (which(), 0..20_u64).prop_map(|(i, mid)| Step::Split(i, point(mid))),
        2 => (which(), any::<bool>()).prop_map(|(i, same)| Step::Poll(i, same)),
        3 => parts().prop_map(Step::Watch),
        1 => parts().prop_map(Step::TimeOutWatch),
        1 => which().prop_map(Step::DropWatch),
    ]
}

#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

enum Guard<'a> {
    Read(RangeReadGuard<'a>),
    Upgradable(RangeUpgradableReadGuard<'a>),
    Write(RangeWriteGuard<'a>),
    Many(Box<ManyGuard<'a>>),
}

enum Pending<'a> {
    Read(future::Read<'a>),
    Upgradable(future::UpgradableRead<'a>),
    Write(future::Write<'a>),
    Many(Box<future::AcquireMany<'a>>),
    Upgrade(future::UpgradeRead<'a>),
}

impl<'a> Pending<'a> {
    fn new(locks: &'a [RangeLock], (lock, first, last, mode): Part) -> Self {
        match mode {
            Mode::Read => Pending::Read(locks[lock].read_async(first..=last)),
            Mode::Upgradable => Pending::Upgradable(locks[lock].upgradable_read_async(first..=last)),
            Mode::Write => Pending::Write(locks[lock].write_async(first..=last)),
        }
    }

    fn poll(&mut self, waker: &Waker) -> Poll<Guard<'a>> {
        let mut cx = Context::from_waker(waker);
        match self {
            Pending::Read(f) => Pin::new(f).poll(&mut cx).map(Guard::Read),
            Pending::Upgradable(f) => Pin::new(f).poll(&mut cx).map(Guard::Upgradable),
            Pending::Write(f) => Pin::new(f).poll(&mut cx).map(Guard::Write),
            Pending::Many(f) => Pin::new(f).poll(&mut cx).map(|guard| Guard::Many(Box::new(guard))),
            Pending::Upgrade(f) => Pin::new(f).poll(&mut cx).map(Guard::Write),
        }
    }
}

/// Tries, or asks for at most so long.
fn try_guard(
    locks: &[RangeLock],
    (lock, first, last, mode): Part,
    limit: Option<Duration>,
) -> Option<Guard<'_>> {
    let (lock, range) = (&locks[lock], first..=last);
    match (mode, limit) {
        (Mode::Read, None) => lock.try_read(range).map(Guard::Read),
        (Mode::Read, Some(limit)) => lock.try_read_for(range, limit).map(Guard::Read),
        (Mode::Upgradable, None) => lock.try_upgradable_read(range).map(Guard::Upgradable),
        (Mode::Upgradable, Some(limit)) => lock.try_upgradable_read_for(range, limit).map(Guard::Upgradable),
        (Mode::Write, None) => lock.try_write(range).map(Guard::Write),
        (Mode::Write, Some(limit)) => lock.try_write_for(range, limit).map(Guard::Write),
    }
}

fn requests<'a>(locks: &'a [RangeLock], parts: &[Part]) -> impl Iterator<Item = Request<'a>> {
    parts.iter().map(move |&(lock, first, last, mode)| match mode {
        Mode::Write => Request::write(&locks[lock], first..=last),
        _ => Request::read(&locks[lock], first..=last),
    })
}

/// The lock's side of a history: what the users have in their hands.
struct Users<'a> {
    locks: &'a [RangeLock],
    model: Model,
    held: Vec<(usize, Guard<'a>)>,
    pending: Vec<(usize, Pending<'a>, Arc<Woken>)>,
    watches: Vec<(usize, future::WaitUntilFree<'a>, Arc<Woken>)>,
}

impl<'a> Users<'a> {
    fn acquire(&mut self, id: usize, mut pending: Pending<'a>) {
        let woken = Arc::new(Woken::default());
        match pending.poll(&Waker::from(Arc::clone(&woken))) {
            Poll::Ready(guard) => self.held.push((id, guard)),
            Poll::Pending => self.pending.push((id, pending, woken)),
        }
    }

    fn tried(&mut self, id: Option<usize>, guard: Option<Guard<'a>>) {
        assert_eq!(id.is_some(), guard.is_some(), "a try gave what the model does not");
        self.held.extend(id.zip(guard));
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Acquire(part) => {
                let id = self.model.enter(vec![part]);
                self.acquire(id, Pending::new(self.locks, part));
            }
            Step::Try(part) => {
                let id = self.model.try_enter(vec![part]);
                self.tried(id, try_guard(self.locks, part, None));
            }
            Step::TimeOut(part) => {
                let id = self.model.enter_and_time_out(vec![part]);
                // A request whose deadline has passed passes no sleeper. So one that is granted at
                // once gets a deadline that does not pass, however slow the machine is.
                let limit = id.map_or(Duration::from_micros(100), |_| Duration::from_secs(60));
                self.tried(id, try_guard(self.locks, part, Some(limit)));
            }
            Step::AcquireMany(parts) => {
                let future = RangeLock::acquire_many_async(requests(self.locks, &parts));
                let id = self.model.enter(parts);
                self.acquire(id, Pending::Many(Box::new(future)));
            }
            Step::TryMany(parts) => {
                let guard = RangeLock::try_acquire_many(requests(self.locks, &parts));
                let id = self.model.try_enter(parts);
                self.tried(id, guard.map(|guard| Guard::Many(Box::new(guard))));
            }
            Step::Drop(which) => {
                let n = self.held.len() + self.pending.len();
                if n == 0 {
                    return;
                }
                let which = which % n;
                let id = if which < self.held.len() {
                    self.held.remove(which).0
                } else {
                    self.pending.remove(which - self.held.len()).0
                };
                self.model.leave(id);
            }
            Step::Poll(which, same) if !self.pending.is_empty() => {
                let at = which % self.pending.len();
                let (id, pending, woken) = &mut self.pending[at];
                if !same {
                    *woken = Arc::new(Woken::default());
                }
                woken.0.store(0, Ordering::SeqCst);
                match (self.model.poll(*id), pending.poll(&Waker::from(Arc::clone(woken)))) {
                    (true, Poll::Ready(guard)) => self.held.push((self.pending.remove(at).0, guard)),
                    (false, Poll::Pending) => {}
                    (granted, _) => panic!("polled; in the model that grants it: {granted}"),
                }
            }
            Step::Poll(..) => {}
            Step::Watch((lock, first, last, mode)) => {
                let id = self.model.watch((lock, first, last, mode));
                let mut watch = self.locks[lock].wait_until_free_async(first..=last, mode);
                let woken = Arc::new(Woken::default());
                let waker = Waker::from(Arc::clone(&woken));
                let is_over = Pin::new(&mut watch).poll(&mut Context::from_waker(&waker)).is_ready();
                assert_eq!(is_over, self.model.is_over(id), "free at once");
                if !is_over {
                    self.watches.push((id, watch, woken));
                }
            }
            Step::TimeOutWatch((lock, first, last, mode)) => {
                let id = self.model.watch((lock, first, last, mode));
                let soon = Duration::from_micros(100);
                let is_over = self.locks[lock].wait_until_free_for(first..=last, mode, soon);
                assert_eq!(is_over, self.model.is_over(id), "free before it gives up");
            }
            Step::DropWatch(which) => {
                if !self.watches.is_empty() {
                    drop(self.watches.remove(which % self.watches.len()));
                }
            }
            Step::Downgrade(which, _)
            | Step::Upgrade(which)
            | Step::TryUpgrade(which)
            | Step::TimeOutUpgrade(which)
            | Step::Shrink(which, ..)
            | Step::Split(which, _) => {
                if !self.held.is_empty() {
                    let (id, guard) = self.held.remove(which % self.held.len());
                    self.change(step, id, guard);
                }
            }
        }
    }

    /// The steps that change a guard; one that does not go with its mode leaves it as it is.
    fn change(&mut self, step: Step, id: usize, guard: Guard<'a>) {
        let part = self.model.get(id).parts[0];
        let (lock, first, last, mode) = part;
        let guard = match (&step, guard) {
            (&Step::Downgrade(_, to), Guard::Write(guard)) => {
                self.model.change(id, vec![(lock, first, last, to)]);
                match to {
                    Mode::Read => Guard::Read(RangeWriteGuard::downgrade(guard)),
                    _ => Guard::Upgradable(RangeWriteGuard::downgrade_to_upgradable(guard)),
                }
            }
            (Step::Downgrade(..), Guard::Upgradable(guard)) => {
                self.model.change(id, vec![(lock, first, last, Mode::Read)]);
                Guard::Read(RangeUpgradableReadGuard::downgrade(guard))
            }
            (Step::Upgrade(_), Guard::Upgradable(guard)) => {
                self.model.upgrade(id);
                self.acquire(id, Pending::Upgrade(RangeUpgradableReadGuard::upgrade_async(guard)));
                return;
            }
            (Step::TryUpgrade(_) | Step::TimeOutUpgrade(_), Guard::Upgradable(guard)) => {
                self.model.upgrade(id);
                let upgraded = match step {
                    Step::TryUpgrade(_) => RangeUpgradableReadGuard::try_upgrade(guard),
                    _ => RangeUpgradableReadGuard::try_upgrade_for(guard, Duration::from_micros(100)),
                };
                match (upgraded, self.model.get(id).state) {
                    (Ok(guard), State::Held) => Guard::Write(guard),
                    (Err(guard), State::Upgrading) => {
                        self.model.change(id, vec![(lock, first, last, mode)]);
                        Guard::Upgradable(guard)
                    }
                    (upgraded, state) => panic!("{upgraded:?}, but in the model {state:?}"),
                }
            }
            (&Step::Shrink(_, a, b), guard) if !matches!(guard, Guard::Many(_)) => {
                let (a, b) = (a.clamp(first, last), b.clamp(first, last));
                self.model.change(id, vec![(lock, a, b, mode)]);
                shrink(guard, a..=b)
            }
            (&Step::Split(_, mid), guard) if !matches!(guard, Guard::Many(_)) && first < last => {
                let mid = mid.clamp(first + 1, last);
                let (left, right) = split(guard, mid);
                let right_id =
                    self.model.split(id, vec![(lock, first, mid - 1, mode)], vec![(lock, mid, last, mode)]);
                self.held.push((right_id, right));
                left
            }
            (_, guard) => guard,
        };
        self.held.push((id, guard));
    }

    /// Releases what is held, and polls what is woken, until all have had their turn.
    fn finish(&mut self) {
        loop {
            while let Some((id, guard)) = self.held.pop() {
                drop(guard);
                self.model.leave(id);
                self.check();
            }
            let woken = self.pending.iter().position(|(id, ..)| self.model.get(*id).is_woken);
            let Some(at) = woken else { break };
            self.step(Step::Poll(at, true));
            self.check();
        }
        assert!(self.pending.is_empty(), "asleep, though nothing is held: {:?}", self.model);
        assert!(self.watches.is_empty(), "asleep, though all is free: {:?}", self.model);
    }

    /// Polls what has been granted, and holds everything against the model.
    fn check(&mut self) {
        for at in (0..self.pending.len()).rev() {
            let (id, pending, woken) = &mut self.pending[at];
            let wakes = woken.0.load(Ordering::SeqCst);
            let request = self.model.get(*id);
            assert_eq!(wakes, usize::from(request.is_woken), "wake-ups of {request:?}");
            if request.state == State::Held {
                let Poll::Ready(guard) = pending.poll(&Waker::from(Arc::clone(woken))) else {
                    panic!("woken, and not granted")
                };
                let id = *id;
                self.pending.remove(at);
                self.held.push((id, guard));
            }
        }
        for at in (0..self.watches.len()).rev() {
            let (id, watch, woken) = &mut self.watches[at];
            let is_over = self.model.is_over(*id);
            assert_eq!(woken.0.load(Ordering::SeqCst), usize::from(is_over), "wake-ups of watch {id}");
            if is_over {
                let waker = Waker::from(Arc::clone(woken));
                assert!(Pin::new(watch).poll(&mut Context::from_waker(&waker)).is_ready());
                drop(self.watches.remove(at));
            }
        }
        for (which, lock) in self.locks.iter().enumerate() {
            let mut actual: Vec<_> = lock
                .requests()
                .iter()
                .map(|r| (*r.range().start(), *r.range().end(), r.mode(), state(r.state())))
                .collect();
            let mut expected: Vec<_> = self
                .model
                .requests
                .iter()
                .flat_map(|request| request.parts.iter().map(move |part| (part, request.state)))
                .filter(|(part, _)| part.0 == which)
                .map(|(&(_, first, last, mode), state)| (first, last, mode, state))
                .collect();
            let key =
                |&(first, last, mode, state): &(u64, u64, Mode, State)| (first, last, mode, state as u8);
            actual.sort_by_key(key);
            expected.sort_by_key(key);
            assert_eq!(actual, expected, "requests of lock {which}");
        }
    }
}

fn state(state: RequestState) -> State {
    match state {
        RequestState::Held => State::Held,
        RequestState::Upgrading => State::Upgrading,
        _ => State::Waiting,
    }
}

fn shrink(guard: Guard<'_>, to: RangeInclusive<u64>) -> Guard<'_> {
    match guard {
        Guard::Read(mut guard) => {
            RangeReadGuard::shrink(&mut guard, to);
            Guard::Read(guard)
        }
        Guard::Upgradable(mut guard) => {
            RangeUpgradableReadGuard::shrink(&mut guard, to);
            Guard::Upgradable(guard)
        }
        Guard::Write(mut guard) => {
            RangeWriteGuard::shrink(&mut guard, to);
            Guard::Write(guard)
        }
        Guard::Many(guard) => Guard::Many(guard),
    }
}

fn split(guard: Guard<'_>, mid: u64) -> (Guard<'_>, Guard<'_>) {
    match guard {
        Guard::Read(guard) => {
            let (left, right) = RangeReadGuard::split_at(guard, mid);
            (Guard::Read(left), Guard::Read(right))
        }
        Guard::Upgradable(guard) => {
            let (left, right) = RangeUpgradableReadGuard::split_at(guard, mid);
            (Guard::Upgradable(left), Guard::Upgradable(right))
        }
        Guard::Write(guard) => {
            let (left, right) = RangeWriteGuard::split_at(guard, mid);
            (Guard::Write(left), Guard::Write(right))
        }
        Guard::Many(_) => unreachable!("not split"),
    }
}

/// Runs a history. Before each step a part of a lock is cut, or joined to the next one, as `shape`
/// says, which no request may notice. So many may pass a sleeper of each lock as `bypass` says; a
/// sleeper that is only offered its range is polled by a later step.
fn run(steps: Vec<Step>, shape: &[(usize, u64, bool)], bypass: [usize; LOCKS]) {
    let locks = bypass.map(|n| RangeLock::builder().max_leaves(8).bypass(n).build());
    let model = Model::with_bypass(bypass);
    let mut users =
        Users { locks: &locks, model, held: Vec::new(), pending: Vec::new(), watches: Vec::new() };
    let mut shape = shape.iter().cycle();
    for step in steps {
        if let Some(&(lock, at, joins)) = shape.next() {
            _ = if joins {
                __private::join(&locks[lock], point(at))
            } else {
                __private::cut(&locks[lock], point(at))
            };
        }
        users.step(step);
        users.check();
    }
    users.finish();
    drop(users);
    for lock in &locks {
        assert!(lock.requests().is_empty(), "left behind: {lock:?}");
    }
}

fn shapes() -> impl Strategy<Value = Vec<(usize, u64, bool)>> {
    prop::collection::vec((0..LOCKS, 0..20_u64, prop::bool::weighted(0.3)), 1..60)
}

/// Each step looks at all requests, so a history costs the square of its length.
const STEPS: usize = if cfg!(miri) { 20 } else { 60 };

proptest! {
    #![proptest_config(ProptestConfig { cases: if cfg!(miri) { 2 } else { 2000 }, ..ProptestConfig::default() })]

    #[test]
    fn agrees_with_the_reference_model(steps in prop::collection::vec(steps(), 1..STEPS)) {
        run(steps, &[], [0, 0]);
    }

    #[test]
    fn agrees_with_it_while_the_locks_are_cut_and_joined_at_every_step(
        steps in prop::collection::vec(steps(), 1..STEPS),
        shape in shapes(),
    ) {
        run(steps, &shape, [0, 0]);
    }

    #[test]
    fn agrees_with_it_while_sleepers_are_passed(
        steps in prop::collection::vec(steps(), 1..STEPS),
        bypass in [0..5_usize, 1..5],
    ) {
        run(steps, &[], bypass);
    }

    #[test]
    fn agrees_with_it_while_sleepers_are_passed_and_the_locks_are_cut_and_joined(
        steps in prop::collection::vec(steps(), 1..STEPS),
        shape in shapes(),
        bypass in [0..5_usize, 1..5],
    ) {
        run(steps, &shape, bypass);
    }
}
