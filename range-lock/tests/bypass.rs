//! Bounded bypass: which requests may pass which, how often, and that none is lost over it.

use std::future::Future;
use std::ops::RangeInclusive;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;

use proptest::prelude::*;
use range_lock::{__private, Mode, RangeLock, RangeReadGuard, RangeWriteGuard, Request, future};

#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// A future for writing, and how often it has been woken.
struct Sleeper<'a>(future::Write<'a>, Arc<Woken>);

impl<'a> Sleeper<'a> {
    /// One that waits.
    fn new(lock: &'a RangeLock, range: RangeInclusive<u64>) -> Self {
        let mut sleeper = Sleeper(lock.write_async(range), Arc::default());
        assert!(sleeper.poll().is_none(), "it has to wait");
        sleeper
    }

    fn poll(&mut self) -> Option<RangeWriteGuard<'a>> {
        let waker = Waker::from(Arc::clone(&self.1));
        match Pin::new(&mut self.0).poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(guard) => Some(guard),
            Poll::Pending => None,
        }
    }

    fn wakes(&self) -> usize {
        self.1.0.load(Ordering::SeqCst)
    }
}

#[test]
fn a_sleeper_is_passed_so_often_and_no_more() {
    let lock = RangeLock::builder().bypass(3).build();
    let holder = lock.write(0..10);
    let mut sleeper = Sleeper::new(&lock, 5..=15);
    drop(holder);
    assert_eq!(sleeper.wakes(), 1, "its turn");
    for _ in 0..3 {
        drop(lock.read(8..20)); // Would wait for ever if it did not pass.
    }
    let mut late = Sleeper::new(&lock, 8..=8);
    assert_eq!(sleeper.wakes(), 1, "woken once, and not yet run");
    let guard = sleeper.poll().expect("it is its turn, and no more can pass");
    assert!(late.poll().is_none());
    drop(guard);
    assert!(late.poll().is_some());
}

#[test]
fn who_runs_in_time_is_not_passed() {
    let lock = RangeLock::builder().bypass(3).build();
    let holder = lock.write(0..10);
    let mut sleeper = Sleeper::new(&lock, 0..=9);
    drop(holder);
    let guard = sleeper.poll().expect("it came for it");
    assert!(lock.try_read(0..10).is_none());
    drop(guard);
}

#[test]
fn one_that_was_passed_waits_for_the_passer_and_is_woken_again() {
    let lock = RangeLock::builder().bypass(3).build();
    let holder = lock.write(0..10);
    let mut sleeper = Sleeper::new(&lock, 0..=9);
    drop(holder);
    let passer = lock.write(0..10);
    assert!(sleeper.poll().is_none(), "somebody else was faster");
    drop(passer);
    assert_eq!(sleeper.wakes(), 2);
    assert!(sleeper.poll().is_some());
}

#[test]
fn try_verbs_pass_nobody_and_nobody_passes_a_holder() {
    let lock = RangeLock::builder().bypass(1024).build();
    let holder = lock.write(0..10);
    let mut sleeper = Sleeper::new(&lock, 0..=19);
    assert!(lock.try_write(15..16).is_none(), "it waits there");
    drop(lock.write(15..16));
    assert!(lock.try_acquire_many_one(15..16).is_none());
    let mut other = Sleeper::new(&lock, 9..=15); // The holder is in its way too.
    drop(holder);
    assert!(other.poll().is_none() && sleeper.poll().is_some());
}

/// For readability above.
trait TryOne {
    fn try_acquire_many_one(&self, range: std::ops::Range<u64>) -> Option<range_lock::ManyGuard<'_>>;
}

impl TryOne for RangeLock {
    fn try_acquire_many_one(&self, range: std::ops::Range<u64>) -> Option<range_lock::ManyGuard<'_>> {
        RangeLock::try_acquire_many([Request::write(self, range)])
    }
}

#[test]
fn a_request_of_several_ranges_passes_all_or_none() {
    let lock = RangeLock::builder().bypass(1).build();
    let strict = RangeLock::new();
    let holders = (lock.write(0..10), lock.write(20..30));
    let mut sleepers = (Sleeper::new(&lock, 0..=9), Sleeper::new(&lock, 20..=29));
    drop(holders.0);
    // The second range is held: the first is not passed either.
    assert!(
        RangeLock::try_acquire_many([Request::write(&lock, 0..5), Request::write(&lock, 25..30)]).is_none()
    );
    let mut both =
        Box::pin(RangeLock::acquire_many_async([Request::write(&lock, 0..5), Request::write(&lock, 25..30)]));
    assert!(both.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    drop(both);
    drop(holders.1);
    // Both sleep now, and have not been passed.
    drop(RangeLock::acquire_many([Request::write(&lock, 0..5), Request::write(&lock, 25..30)]));
    // A lock that allows none allows none.
    let mixed = RangeLock::acquire_many_async([Request::write(&lock, 0..5), Request::write(&strict, 0..1)]);
    let mut mixed = Box::pin(mixed);
    assert!(mixed.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    assert!(sleepers.0.poll().is_some() && sleepers.1.poll().is_some());
}

#[test]
fn a_request_of_several_locks_is_passed_as_often_as_the_strictest_allows() {
    let (once, often) = (RangeLock::builder().bypass(1).build(), RangeLock::builder().bypass(4).build());
    let both = || RangeLock::acquire_many_async([Request::write(&once, 0..5), Request::write(&often, 0..5)]);
    let mut cx = Context::from_waker(Waker::noop());
    for lock in [&once, &often] {
        let holder = lock.write(0..5);
        let mut sleeper = Box::pin(both());
        assert!(sleeper.as_mut().poll(&mut cx).is_pending());
        drop(holder);
        drop(lock.write(0..5)); // Would wait for ever if it did not pass.
        let mut second = lock.write_async(0..5);
        assert!(Pin::new(&mut second).poll(&mut cx).is_pending(), "it was passed twice");
        let Poll::Ready(guard) = sleeper.as_mut().poll(&mut cx) else { panic!("it is its turn") };
        drop(guard);
        assert!(Pin::new(&mut second).poll(&mut cx).is_ready());
    }
}

#[test]
fn one_that_gives_up_when_it_was_offered_leaves_no_trace() {
    let lock = RangeLock::builder().bypass(8).build();
    let holder = lock.write(0..10);
    let offered = Sleeper::new(&lock, 0..=9);
    let mut behind = Sleeper::new(&lock, 5..=14);
    drop(holder);
    assert_eq!((offered.wakes(), behind.wakes()), (1, 0));
    drop(offered);
    assert_eq!(behind.wakes(), 1);
    assert!(behind.poll().is_some());
    assert!(lock.requests().is_empty());
}

/// What a task does when it is woken, besides being counted.
#[derive(Default)]
struct ThenDo {
    woken: AtomicUsize,
    then: Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

impl Wake for ThenDo {
    fn wake(self: Arc<Self>) {
        self.woken.fetch_add(1, Ordering::SeqCst);
        let then = self.then.lock().unwrap().take();
        if let Some(then) = then {
            then();
        }
    }
}

type Owned = Pin<Box<dyn Future<Output = range_lock::ArcRangeWriteGuard> + Send>>;

/// A waiter is in the list of a thread that is about to wake it. It is passed, sleeps again and is
/// let in by another thread, before the first has come to it. It must not get into a second list,
/// in which the first would lose those behind it.
#[test]
fn who_is_about_to_be_woken_is_not_noted_again() {
    let lock = Arc::new(RangeLock::builder().bypass(8).build());
    let holder = lock.write(0..100);
    let tasks: [Arc<ThenDo>; 4] = Default::default();
    let poll = |future: &mut Owned, task: &Arc<ThenDo>| {
        let waker = Waker::from(Arc::clone(task));
        future.as_mut().poll(&mut Context::from_waker(&waker)).is_pending()
    };
    let ask = |range| -> Owned { Box::pin(lock.write_arc_async(range)) };
    let (mut first, mut passed, mut behind) = (ask(0..10), ask(20..30), ask(40..50));
    assert!(poll(&mut first, &tasks[0]) && poll(&mut passed, &tasks[1]) && poll(&mut behind, &tasks[2]));
    let kept = Arc::new(Mutex::new(None));
    let meanwhile = {
        let (lock, tasks, kept) = (Arc::clone(&lock), tasks.clone(), Arc::clone(&kept));
        move || {
            let passer = lock.write_arc(20..40);
            let mut late: Owned = Box::pin(lock.write_arc_async(30..40));
            assert!(poll(&mut late, &tasks[3]));
            assert!(poll(&mut passed, &tasks[1]), "it was passed");
            drop(passer);
            *kept.lock().unwrap() = Some((passed, late));
        }
    };
    *tasks[0].then.lock().unwrap() = Some(Box::new(meanwhile));
    drop(holder);
    for (n, task) in tasks.iter().enumerate() {
        assert_ne!(task.woken.load(Ordering::SeqCst), 0, "task {n} is let in and never woken");
    }
}

/// Threads, with a section that none of them may be in together.
#[test]
fn threads_exclude_each_other_and_all_get_their_turns() {
    let lock = RangeLock::builder().bypass(64).build();
    let (inside, done) = (AtomicBool::new(false), AtomicUsize::new(0));
    let rounds = if cfg!(miri) { 20 } else { 5000 };
    thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                for round in 0..rounds {
                    let _guard = lock.write(round % 3..10);
                    assert!(!inside.swap(true, Ordering::Relaxed));
                    inside.store(false, Ordering::Relaxed);
                }
                done.fetch_add(1, Ordering::Relaxed);
            });
        }
    });
    assert_eq!(done.into_inner(), 6);
    assert!(lock.try_write(..).is_some());
}

enum Guard<'a> {
    Read(#[expect(dead_code, reason = "held only to be dropped")] RangeReadGuard<'a>),
    Write(#[expect(dead_code, reason = "held only to be dropped")] RangeWriteGuard<'a>),
}

enum Pending<'a> {
    Read(future::Read<'a>),
    Write(future::Write<'a>),
}

impl<'a> Pending<'a> {
    fn poll(&mut self, woken: &Arc<Woken>) -> Option<Guard<'a>> {
        let waker = Waker::from(Arc::clone(woken));
        let mut cx = Context::from_waker(&waker);
        let polled = match self {
            Pending::Read(f) => Pin::new(f).poll(&mut cx).map(Guard::Read),
            Pending::Write(f) => Pin::new(f).poll(&mut cx).map(Guard::Write),
        };
        match polled {
            Poll::Ready(guard) => Some(guard),
            Poll::Pending => None,
        }
    }
}

struct Asked<'a> {
    span: (u64, u64),
    mode: Mode,
    passed: usize,
    pending: Pending<'a>,
    woken: Arc<Woken>,
}

#[derive(Clone, Debug)]
enum Step {
    Acquire(u64, u64, bool),
    Release(usize),
    Poll(usize),
    Cancel(usize),
}

fn steps() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..12_u64, 0..12_u64, any::<bool>()).prop_map(|(a, b, w)| Step::Acquire(a.min(b), a.max(b), w)),
        3 => any::<usize>().prop_map(Step::Release),
        1 => any::<usize>().prop_map(Step::Poll),
        1 => any::<usize>().prop_map(Step::Cancel),
    ]
}

/// Runs a history against the rule. A granted request conflicts with none that is held, and has
/// passed none more than `bound` times. In the end all have been granted.
fn run(bound: usize, steps: &[Step], cuts: bool) {
    let lock = RangeLock::builder().bypass(bound).max_leaves(8).build();
    let mut held: Vec<((u64, u64), Mode, Guard<'_>)> = Vec::new();
    // In the order in which they came.
    let mut waiting: Vec<Asked<'_>> = Vec::new();
    let conflict =
        |a: (u64, u64), m: Mode, b: (u64, u64), n: Mode| a.0 <= b.1 && b.0 <= a.1 && m.conflicts(n);

    for (n, step) in steps.iter().enumerate() {
        if cuts {
            _ = if n % 4 == 0 {
                __private::join(&lock, n as u64 % 12)
            } else {
                __private::cut(&lock, n as u64 * 7 % 12)
            };
        }
        match *step {
            Step::Acquire(first, last, writes) => {
                let (span, mode) = ((first, last), if writes { Mode::Write } else { Mode::Read });
                let mut pending = match mode {
                    Mode::Write => Pending::Write(lock.write_async(first..=last)),
                    _ => Pending::Read(lock.read_async(first..=last)),
                };
                let woken = Arc::default();
                match pending.poll(&woken) {
                    None => waiting.push(Asked { span, mode, passed: 0, pending, woken }),
                    Some(guard) => {
                        for (other, theirs, _) in &held {
                            assert!(!conflict(span, mode, *other, *theirs), "granted beside a holder");
                        }
                        for other in waiting.iter_mut().filter(|w| conflict(span, mode, w.span, w.mode)) {
                            other.passed += 1;
                            assert!(other.passed <= bound, "passed once more than {bound} times");
                        }
                        held.push((span, mode, guard));
                    }
                }
            }
            Step::Release(which) if !held.is_empty() => drop(held.swap_remove(which % held.len())),
            Step::Cancel(which) if !waiting.is_empty() => drop(waiting.remove(which % waiting.len())),
            Step::Poll(which) if !waiting.is_empty() => {
                let at = which % waiting.len();
                let Asked { pending, woken, .. } = &mut waiting[at];
                if let Some(guard) = pending.poll(woken) {
                    let Asked { span, mode, .. } = waiting.remove(at);
                    for (other, theirs, _) in &held {
                        assert!(!conflict(span, mode, *other, *theirs), "granted beside a holder");
                    }
                    for other in &waiting[..at] {
                        assert!(
                            !conflict(span, mode, other.span, other.mode),
                            "one that waited passed another"
                        );
                    }
                    held.push((span, mode, guard));
                }
            }
            _ => {}
        }
    }
    // Only those that are woken run on.
    drop(held);
    while !waiting.is_empty() {
        let at = waiting.iter().position(|w| w.woken.0.load(Ordering::SeqCst) != 0);
        let at = at.expect("somebody's turn has come, and he was not woken");
        let mut asked = waiting.remove(at);
        asked.woken.0.store(0, Ordering::SeqCst);
        if asked.pending.poll(&asked.woken).is_none() {
            waiting.insert(at, asked);
        }
    }
    assert!(lock.requests().is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: if cfg!(miri) { 4 } else { 2000 }, ..ProptestConfig::default() })]

    #[test]
    fn the_bound_holds(
        bound in 0..4_usize,
        steps in prop::collection::vec(steps(), 1..60),
        cuts in any::<bool>(),
    ) {
        run(bound, &steps, cuts);
    }
}
