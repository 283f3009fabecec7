//! Runs one schedule: only one simulated thread goes on at a time, and a [`Chooser`] decides which.
//!
//! Threads are coroutines, and one thread of the machine runs all coroutines of a schedule. A
//! switch costs nanoseconds. Handing a token from thread to thread would cost microseconds, and a
//! table of cells needs millions of schedules.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use corosensei::stack::DefaultStack;
use corosensei::{CoroutineResult, ScopedCoroutine, ScopedCoroutineRef};

use crate::schedule::ranks::{self, HeldLock};
use crate::schedule::simulated::{self, Aside, Gate, Order, Pause};
use crate::schedule::{SchedulePoint, Wait};

/// A schedule of more steps than this counts as endless.
const MOST_STEPS: u32 = 20_000;

const STACK_SIZE: usize = 128 << 10;

/// What a simulated thread does.
pub(super) type Body<'w> = Box<dyn FnOnce() + 'w>;

/// What there is to choose from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Choice<'a> {
    /// How many steps came before.
    pub(super) step: u32,
    /// The threads that can go on, in ascending order; at least one.
    pub(super) enabled: &'a [usize],
    /// The thread that made the last step, if it can go on: choosing another one preempts it.
    pub(super) running: Option<usize>,
}

impl Choice<'_> {
    /// The thread that goes on without interference: the running thread, or the first that can.
    pub(super) fn usual(&self) -> usize {
        self.running.unwrap_or(self.enabled[0])
    }
}

/// Decides which thread goes on.
pub(super) trait Chooser {
    /// Returns one of `choice.enabled`.
    fn choose(&mut self, choice: Choice<'_>) -> usize;
}

/// One step of a thread: from one place where it gave way to the next.
#[derive(Debug)]
pub(super) struct Step<'a> {
    pub(super) thread: usize,
    pub(super) from: Place,
    pub(super) to: Place,
    /// What the thread holds now, and what it has asked for and not been granted.
    pub(super) locks: &'a [HeldLock],
    /// What the thread held and has released in this step.
    pub(super) given_up: &'a [HeldLock],
}

/// Where a thread is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// It has not begun.
    Start,
    /// About to take a step, at work on a page, and in one of several mappings: its address.
    At(SchedulePoint, u64, Option<usize>),
    Blocked(Wait),
    /// What it waited for has come.
    Ready(Wait),
    End,
}

/// How a schedule ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// All threads came to their ends.
    Complete,
    /// No thread can go on. The text says what each one waits for.
    Deadlock(String),
    /// The schedule has too many steps.
    Endless,
    /// A thread panicked, with this message.
    Panic(String),
}

/// The result of a schedule.
#[derive(Clone, Debug)]
pub(super) struct Outcome {
    pub(super) end: End,
    pub(super) steps: u32,
    /// What was chosen instead of the usual choice, by step.
    pub(super) deviations: Vec<(u32, usize)>,
}

/// The stacks of the simulated threads, kept for reuse.
#[derive(Default)]
pub(super) struct Stacks(Vec<DefaultStack>);

type Coroutine<'c, 's> = ScopedCoroutineRef<'c, Order, Pause, (), &'s mut DefaultStack>;

struct Thread<'c, 's> {
    coroutine: Coroutine<'c, 's>,
    aside: Aside,
    place: Place,
}

/// Runs the threads to their end, or until none can go on. Then it unwinds the threads that are
/// left.
pub(super) fn run(
    bodies: Vec<Body<'_>>,
    stacks: &mut Stacks,
    chooser: &mut dyn Chooser,
    observe: &mut dyn FnMut(Step<'_>),
) -> Outcome {
    while stacks.0.len() < bodies.len() {
        stacks.0.push(DefaultStack::new(STACK_SIZE).expect("there is memory for a stack"));
    }
    simulated::begin(bodies.len());
    let threads = Vec::with_capacity(bodies.len());
    nest(bodies.into_iter(), stacks.0.iter_mut(), threads, &mut |threads| drive(threads, chooser, observe))
}

/// Makes a coroutine of each body, one in the scope of another, and then calls `then` with all of
/// them.
fn nest<'s>(
    mut bodies: std::vec::IntoIter<Body<'_>>,
    mut stacks: std::slice::IterMut<'s, DefaultStack>,
    threads: Vec<Thread<'_, 's>>,
    then: &mut dyn FnMut(Vec<Thread<'_, 's>>) -> Outcome,
) -> Outcome {
    let (Some(body), Some(stack)) = (bodies.next(), stacks.next()) else { return then(threads) };
    let coroutine = ScopedCoroutine::with_stack(stack, |gate: &Gate, _| {
        simulated::enter(gate);
        body();
    });
    coroutine.scope(move |coroutine| {
        // From here on the threads live as long as the innermost scope.
        let mut threads: Vec<Thread<'_, 's>> = threads;
        threads.push(Thread { coroutine, aside: Aside::default(), place: Place::Start });
        nest(bodies, stacks, threads, then)
    })
}

fn drive(
    mut threads: Vec<Thread<'_, '_>>,
    chooser: &mut dyn Chooser,
    observe: &mut dyn FnMut(Step<'_>),
) -> Outcome {
    let mut outcome = Outcome { end: End::Complete, steps: 0, deviations: Vec::new() };
    let mut enabled = Vec::with_capacity(threads.len());
    let mut last = None;
    loop {
        enabled.clear();
        for (index, thread) in threads.iter_mut().enumerate() {
            if thread.can_go_on(index) {
                enabled.push(index);
            }
        }
        if enabled.is_empty() {
            if threads.iter().any(|thread| thread.place != Place::End) {
                outcome.end = End::Deadlock(deadlock(&threads));
            }
            break;
        }
        if outcome.steps == MOST_STEPS {
            outcome.end = End::Endless;
            break;
        }
        let running = last.filter(|last| enabled.contains(last));
        let choice = Choice { step: outcome.steps, enabled: &enabled, running };
        let chosen = if let [only] = *enabled { only } else { chooser.choose(choice) };
        debug_assert!(enabled.contains(&chosen), "{chosen} is not one of {enabled:?}");
        if chosen != choice.usual() {
            outcome.deviations.push((outcome.steps, chosen));
        }
        outcome.steps += 1;
        last = Some(chosen);
        let thread = &mut threads[chosen];
        let from = thread.place;
        if let Err(message) = thread.resume(chosen, Order::Run) {
            outcome.end = End::Panic(message);
            break;
        }
        let (locks, given_up) = (thread.aside.locks(), &ranks::given_up());
        observe(Step { thread: chosen, from, to: thread.place, locks, given_up });
    }
    // Guards are released, and no thread waits for anything any more.
    for (index, thread) in threads.iter_mut().enumerate() {
        let Thread { coroutine, aside, .. } = thread;
        simulated::with(index, aside, || coroutine.as_mut().force_unwind());
    }
    outcome
}

impl Thread<'_, '_> {
    fn can_go_on(&mut self, index: usize) -> bool {
        match self.place {
            Place::Start | Place::At(..) => true,
            Place::End => false,
            Place::Blocked(_) | Place::Ready(_) => {
                self.resume(index, Order::Poll).expect("looking whether a wait is over does not panic");
                matches!(self.place, Place::Ready(_))
            }
        }
    }

    /// Resumes a thread. The error is the message if the thread panics.
    fn resume(&mut self, index: usize, order: Order) -> Result<(), String> {
        let Self { coroutine, aside, place } = self;
        let resume = || catch_unwind(AssertUnwindSafe(|| coroutine.as_mut().resume(order)));
        let result = simulated::with(index, aside, resume);
        *place = match (result, *place) {
            (Ok(CoroutineResult::Yield(Pause::At(point, page, mapping))), _) => {
                Place::At(point, page, mapping)
            }
            (Ok(CoroutineResult::Yield(Pause::Blocked(wait))), _) => Place::Blocked(wait),
            (Ok(CoroutineResult::Yield(Pause::Ready)), Place::Blocked(wait) | Place::Ready(wait)) => {
                Place::Ready(wait)
            }
            (Ok(CoroutineResult::Yield(Pause::Ready)), place) => unreachable!("{place:?} is no wait"),
            (Ok(CoroutineResult::Return(())), _) => Place::End,
            (Err(payload), _) => {
                *place = Place::End;
                return Err(message(&*payload));
            }
        };
        Ok(())
    }
}

fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| payload.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "a panic without a message".into())
}

/// What each thread waits for and holds.
fn deadlock(threads: &[Thread<'_, '_>]) -> String {
    let mut text = String::from("deadlock: no thread can go on");
    for (index, thread) in threads.iter().enumerate() {
        let Place::Blocked(wait) = thread.place else { continue };
        let (held, wanted): (Vec<&HeldLock>, Vec<&HeldLock>) =
            thread.aside.locks().iter().partition(|lock| lock.granted);
        let wanted: Vec<String> = wanted.iter().map(|lock| lock.to_string()).collect();
        let wanted = wanted.join(" and ");
        let wanted = match wait {
            Wait::Lock => wanted,
            Wait::WakeUp => format!("a wake-up, for {wanted}"),
            Wait::CommitToEnd => format!("the commit to end, for {wanted}"),
            Wait::OpenHandles => "open handles to stop".into(),
            Wait::Unpin => "a page to be unpinned".into(),
            Wait::Accesses => "accesses through old translations to end".into(),
        };
        text.push_str(&format!("\n{} waits for {wanted}", super::letter(index)));
        for lock in held {
            text.push_str(&format!("\n  holds {lock}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use parking_lot::RwLock;

    use super::super::chooser::{Random, Told};
    use super::*;
    use crate::schedule::Schedule;

    fn run_all(bodies: Vec<Body<'_>>, chooser: &mut dyn Chooser) -> Outcome {
        run(bodies, &mut Stacks::default(), chooser, &mut |_| {})
    }

    /// Takes one lock and, after a step, the other.
    fn both<'a>(schedule: &'a Schedule, first: &'a RwLock<()>, second: &'a RwLock<()>) -> Body<'a> {
        Box::new(move || {
            let _first = schedule.write(first);
            schedule.pass(SchedulePoint::LookUp, 0);
            let _second = schedule.write(second);
        })
    }

    #[test]
    fn who_waits_in_a_circle_is_found_and_lets_go_of_everything() {
        let (schedule, one, two) = (Schedule::controlled(), RwLock::new(()), RwLock::new(()));
        let bodies = || vec![both(&schedule, &one, &two), both(&schedule, &two, &one)];
        assert_eq!(run_all(bodies(), &mut Told(&[])).end, End::Complete);
        let outcome = run_all(bodies(), &mut Told(&[(1, 1)]));
        assert!(
            matches!(&outcome.end, End::Deadlock(text) if text.starts_with("deadlock")),
            "{:?}",
            outcome.end
        );
        assert_eq!(outcome.deviations, [(1, 1)]);
        assert!(!one.is_locked() && !two.is_locked(), "guards of threads that cannot go on are dropped");
    }

    #[test]
    fn a_panic_ends_the_schedule_and_is_told() {
        let (schedule, dropped) = (Schedule::controlled(), RefCell::new(0));
        struct OnDrop<'a>(&'a RefCell<u32>);
        impl Drop for OnDrop<'_> {
            fn drop(&mut self) {
                *self.0.borrow_mut() += 1;
            }
        }
        let waits: Body<'_> = Box::new(|| {
            let _alive = OnDrop(&dropped);
            schedule.pass(SchedulePoint::LookUp, 0);
            unreachable!("no thread goes on after the panic");
        });
        // This is not a panic of the test, so nothing must be printed.
        let panics: Body<'_> = Box::new(|| std::panic::resume_unwind(Box::new("broken")));
        let outcome = run_all(vec![waits, panics], &mut Told(&[(1, 1)]));
        assert_eq!((outcome.end, dropped.take()), (End::Panic("broken".into()), 1));
    }

    #[test]
    fn what_does_not_come_to_an_end_is_given_up() {
        let schedule = Schedule::controlled();
        let body: Body<'_> = Box::new(|| {
            loop {
                schedule.pass(SchedulePoint::LookUp, 0);
            }
        });
        assert_eq!(run_all(vec![body], &mut Random::new(1)).end, End::Endless);
    }
}
