//! Random schedules of eight threads and all verbs. Run with
//!
//! ```text
//! RUSTFLAGS="--cfg shuttle" cargo test --release -p range-lock --features async --test shuttle
//! ```
//!
//! `SHUTTLE_ITERATIONS` is the number of schedules for the first test of each of the two ways
//! below, together. Each further test adds half as many, the last one a tenth. Half of the
//! schedules are random, half are by PCT (Burckhardt et al., "A Randomized Scheduler with
//! Probabilistic Guarantees of Finding Bugs", ASPLOS 2010). PCT looks for bugs that need few
//! preemptions in the right places. A schedule that fails is printed, together with the command
//! that replays it.
//!
//! The locks are cut into parts and joined again all the time. Two ways, since one cannot have
//! both:
//!
//! * [`in_step_with_the_reference_model`]: every transition is made under a mutex, together with
//!   the same transition of the reference model, and after each of them lock and model have to
//!   agree on every request. Requests enter as futures that are polled once; the waiting is done
//!   without the mutex, and each further poll under it. [`in_step_while_sleepers_are_passed`] is
//!   the same with locks that allow bypass.
//! * [`free_running`]: the blocking and timed verbs, whenever they come. An oracle counts the users
//!   of each unit, and a request may not be granted while one is waiting that conflicts with it and
//!   was seen in the queue before it came. [`free_running_while_sleepers_are_passed`] is the same
//!   with locks that allow bypass, without that last rule.
//!   [`free_running_while_locks_restructure_themselves`] has lower thresholds, so that the locks
//!   cut and join their parts also without being told to.
//!
//! [`the_tree_of_the_example`] is the B-tree of `examples/page_cache`: its threads insert, look up,
//! scan and flush, and must not wait for each other in a circle.
#![cfg(all(shuttle, feature = "async"))]

#[path = "model/reference.rs"]
mod reference;
#[path = "../../examples/page_cache/tree.rs"]
mod tree;
mod verbs;

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use range_lock::future::WaitUntilFree;
use range_lock::{__private, Mode, RangeLock, RequestState};
use reference::{Model, State};
use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler};
use shuttle::sync::MutexGuard;
use shuttle::{Config, Runner};
use tree::{Page, Store, Tree};

use imp::{Mutex, THREADS, below, block_on};
use verbs::{
    Guard, Locks, Pending, Shared, chance, check_free, enter, enter_many, enter_upgrade, new_locks, pick,
    requests, restructure, some_part, some_parts,
};

/// What the verbs run on.
mod imp {
    pub(crate) use shuttle::future::block_on;
    use shuttle::rand::{Rng, thread_rng};
    pub(crate) use shuttle::sync::Mutex;
    pub(crate) use shuttle::thread::yield_now;

    pub(crate) const THREADS: usize = 8;

    pub(crate) fn below(n: u64) -> u64 {
        thread_rng().gen_range(0..n)
    }
}

/// Tries this test's share of the schedules, or replays one.
fn explore(name: &str, f: impl Fn() + Send + Sync + 'static) {
    explore_part(name, 1, f);
}

/// Tries a part of that share, for a test whose schedules are long.
fn explore_part(name: &str, part: usize, f: impl Fn() + Send + Sync + 'static) {
    if let Ok(schedule) = std::env::var("SHUTTLE_REPLAY") {
        return shuttle::replay(f, &schedule.replace(char::is_whitespace, ""));
    }
    let total = match std::env::var("SHUTTLE_ITERATIONS") {
        Ok(total) => total.parse().expect("SHUTTLE_ITERATIONS is a number"),
        Err(_) => 1000,
    };
    let share = usize::div_ceil(total, 4 * part); // Two ways, two schedulers.
    let f = Arc::new(f);
    let start = Instant::now();
    let run = |scheduler: Box<dyn Scheduler + Send>| {
        let f = Arc::clone(&f);
        let mut config = Config::new();
        config.stack_size = 1 << 17;
        let failed = catch_unwind(AssertUnwindSafe(|| Runner::new(scheduler, config).run(move || f())));
        if let Err(panic) = failed {
            eprintln!(
                "to replay it: SHUTTLE_REPLAY='<that string>' RUSTFLAGS='--cfg shuttle' \
                 cargo test --release -p range-lock --features async --test shuttle -- --exact {name}"
            );
            resume_unwind(panic);
        }
    };
    run(Box::new(RandomScheduler::new(share)));
    run(Box::new(PctScheduler::new(3, share)));
    println!("{name}: {share} random schedules and {share} by PCT in {:.1?}", start.elapsed());
}

/// What all threads share in the test against the model: the thread that has it makes the next
/// transition.
struct World<'a> {
    locks: &'a Locks,
    model: Model,
    /// Anybody's: a guard may be changed and dropped by another thread than the one that acquired
    /// it.
    held: Vec<(usize, Guard<'a>)>,
    /// Requests that have entered: awaited or dropped by anybody.
    pending: Vec<(usize, Pending<'a>)>,
    /// The waits until a range is free.
    watches: Vec<(usize, WaitUntilFree<'a>)>,
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
        let guard = match below(8) {
            0 | 1 => {
                let id = self.model.try_enter(vec![part]);
                (id, Guard::try_one(self.locks, part))
            }
            2 => {
                // Sleeps, if it does, with the world in its hands: no thread can let it in.
                let id = self.model.enter_and_time_out(vec![part]);
                (id, Guard::try_one_for(self.locks, part))
            }
            3 => match self.model.try_enter(vec![part]) {
                Some(id) => (Some(id), Some(Guard::wait_for_one(self.locks, part))),
                None => return,
            },
            4 => {
                let parts = some_parts(owner);
                let id = self.model.try_enter(parts.clone());
                (id, RangeLock::try_acquire_many(requests(self.locks, &parts)).map(Guard::many))
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
        let mid = first + below(last - first + 1);
        let guard = match below(6) {
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

    /// Drops everything that any thread has in its hands, so that waiting threads wait for threads
    /// that run.
    fn drain(&mut self) {
        while let Some((id, guard)) = self.held.pop() {
            self.leave(id, guard);
        }
        while let Some((id, pending)) = self.pending.pop() {
            self.leave(id, pending);
        }
        self.watches.clear();
    }

    /// Begins to wait until a range is free.
    fn watch(&mut self, owner: usize) {
        let (lock, first, last, mode) = some_part(owner);
        let id = self.model.watch((lock, first, last, mode));
        let mut watch = self.locks[lock].wait_until_free_async(first..=last, mode);
        let polled = Pin::new(&mut watch).poll(&mut Context::from_waker(Waker::noop()));
        assert_eq!(polled.is_ready(), self.model.is_over(id), "free at once");
        if polled.is_pending() {
            self.watches.push((id, watch));
        }
    }
}

fn in_step(world: &Mutex<World<'_>>, owner: usize) {
    let lock = || -> MutexGuard<'_, _> { world.lock().unwrap_or_else(PoisonError::into_inner) };
    for _ in 0..6 {
        let mut w = lock();
        restructure(w.locks);
        let (held, pending) = (w.held.len(), w.pending.len());
        match below(10) {
            0 if held > 0 => {
                let (id, guard) = w.held.swap_remove(below(held as u64) as usize);
                w.leave(id, guard);
            }
            1 | 2 if held > 0 => {
                let (id, guard) = w.held.swap_remove(below(held as u64) as usize);
                w.change(id, guard);
                w.check();
            }
            3 if pending > 0 => {
                let (id, future) = w.pending.swap_remove(below(pending as u64) as usize);
                w.leave(id, future);
            }
            4 | 5 if pending > 0 => {
                let (id, mut future) = w.pending.swap_remove(below(pending as u64) as usize);
                w.drain();
                drop(w);
                block_on(poll_fn(|cx| {
                    let mut w = lock();
                    match (w.model.poll(id), future.as_mut().poll(cx)) {
                        (true, Poll::Ready(guard)) => {
                            w.held.push((id, guard));
                            w.check();
                            Poll::Ready(())
                        }
                        (false, Poll::Pending) => Poll::Pending,
                        (granted, _) => panic!("polled; in the model that grants it: {granted}"),
                    }
                }));
            }
            8 => w.watch(owner),
            9 if !w.watches.is_empty() => {
                let at = below(w.watches.len() as u64) as usize;
                let (id, mut watch) = w.watches.swap_remove(at);
                if chance(1, 3) {
                    continue; // Gives up.
                }
                w.drain();
                drop(w);
                block_on(poll_fn(|cx| {
                    let w = lock();
                    let polled = Pin::new(&mut watch).poll(cx);
                    assert_eq!(polled.is_ready(), w.model.is_over(id), "free when the model says so");
                    polled
                }));
            }
            _ => {
                w.acquire(owner);
                w.check();
            }
        }
    }
    lock().drain();
}

/// Both locks allow as much bypass: which of them is the first depends on their addresses.
fn run_in_step(bypass: usize) {
    let bypass = [bypass; 2];
    let locks = new_locks(bypass);
    let model = Model::with_bypass(bypass);
    let world = Mutex::new(World { locks: &locks, model, held: vec![], pending: vec![], watches: vec![] });
    shuttle::thread::scope(|scope| {
        for owner in 0..THREADS {
            let world = &world;
            scope.spawn(move || in_step(world, owner));
        }
    });
    drop(world);
    check_free(&locks);
}

#[test]
fn in_step_with_the_reference_model() {
    explore("in_step_with_the_reference_model", || run_in_step(0));
}

#[test]
fn in_step_while_sleepers_are_passed() {
    explore("in_step_while_sleepers_are_passed", || run_in_step(pick(&[1, 2, 4])));
}

fn run_free(bypass: [usize; 2]) {
    let locks = new_locks(bypass);
    let shared = Shared::new(&locks, bypass == [0, 0]);
    shuttle::thread::scope(|scope| {
        for owner in 0..THREADS {
            let shared = &shared;
            scope.spawn(move || shared.run(owner, 4));
        }
    });
    drop(shared);
    check_free(&locks);
}

#[test]
fn free_running() {
    explore("free_running", || run_free([0, 0]));
}

#[test]
fn free_running_while_sleepers_are_passed() {
    explore("free_running_while_sleepers_are_passed", || run_free(pick(&[[64, 64], [1, 2], [3, 0]])));
}

#[test]
fn free_running_while_locks_restructure_themselves() {
    let name = "free_running_while_locks_restructure_themselves";
    // Joins at each crossing would leave too few parts for any to be reclaimed.
    let [cut, joined, reclaimed] = __private::with_thresholds(Some(1), Some(4), || {
        explore(name, || run_free(pick(&[[0, 0], [64, 2]])));
    });
    println!("{name}: {cut} cuts where requests met, {joined} joins by crossings, {reclaimed} reclaimed");
    let is_replay = std::env::var_os("SHUTTLE_REPLAY").is_some();
    assert!(is_replay || [cut, joined, reclaimed].iter().all(|n| *n != 0), "some path was not taken");
}

/// The pages of the tree that are not cached.
struct Stored(Mutex<BTreeMap<u64, Page>>);

impl Store for &Stored {
    const MOST: usize = 3;

    fn read(&self, number: u64) -> io::Result<Page> {
        let page = self.0.lock().unwrap().get(&number).cloned();
        page.ok_or_else(|| io::Error::other(format!("page {number} is not stored")))
    }

    fn write(&self, number: u64, page: &Page) -> io::Result<()> {
        self.0.lock().unwrap().insert(number, page.clone());
        Ok(())
    }
}

#[test]
fn the_tree_of_the_example() {
    const WRITERS: u64 = 3;
    const KEYS: u64 = 9;
    explore_part("the_tree_of_the_example", 5, || {
        let stored = Stored(Mutex::new(BTreeMap::new()));
        let tree = Tree::create(&stored, 2);
        shuttle::thread::scope(|scope| {
            let tree = &tree;
            for writer in 0..WRITERS {
                scope.spawn(move || {
                    for key in (writer..KEYS).step_by(WRITERS as usize).map(|n| 5 * n % KEYS) {
                        assert_eq!(tree.insert(key, 2 * key).unwrap(), None, "put in once");
                        assert_eq!(tree.get(key).unwrap(), Some(2 * key), "found");
                    }
                });
            }
            scope.spawn(move || {
                let before = tree.scan().unwrap();
                tree.flush().unwrap();
                let after = tree.scan().unwrap();
                assert!(before.iter().all(|entry| after.contains(entry)), "nothing is lost");
            });
        });
        tree.flush().unwrap();
        let (end, _) = tree.pages();
        let all: Vec<_> = (0..KEYS).map(|key| (key, 2 * key)).collect();
        assert_eq!(tree.scan().unwrap(), all);
        assert_eq!(Tree::open(&stored, 2, end).scan().unwrap(), all, "what is stored");
    });
}
