//! A run: its threads, from their creation to the report.

use std::cmp::Reverse;
use std::panic::{self, AssertUnwindSafe};
use std::ptr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Once};
use std::time::Instant;

use corosensei::{Coroutine, CoroutineResult, Yielder};

use super::{ACTIVE, Fiber, Panic, SIM, Sim, State, Thread, aside, give_way, order, right, suspend, with};
use crate::directory::{Map, Tally};
use crate::lender::{Lender, fs_base, set_fs_base};
use crate::memory::FixedStack;
use crate::overlap::{MOST_AHEAD, Outstanding, Window};
use crate::{
    Doing, Limits, LineReport, MOST_CPUS, Machine, Ps, Report, Stuck, StuckThread, ThreadReport, Why, names,
    system_calls,
};

/// Creates a thread that will run `f` from `at` on. Returns its number.
fn spawn(f: Box<dyn FnOnce()>, cpu: usize, at: Ps) -> usize {
    let lender = Lender::start();
    let stack = FixedStack::new();
    let range = stack.range();
    let fiber: Fiber = Coroutine::with_stack(stack, move |yielder: &Yielder<(), ()>, ()| {
        with(|s| s.me().yielder = yielder);
        ACTIVE.store(1, Ordering::Relaxed);
        let result = panic::catch_unwind(AssertUnwindSafe(f));
        ACTIVE.store(0, Ordering::Relaxed);
        with(Sim::finish);
        result
    });
    with(|s| {
        let number = s.threads.len();
        s.threads.push(Thread {
            time: at,
            cpu,
            state: State::Queued,
            epoch: 0,
            fiber: Some(Box::new(fiber)),
            yielder: ptr::null(),
            stack: range,
            fs: lender.fs(),
            lender: Some(lender),
            futex: None,
            last: (0, 0),
            timed_out: false,
            asleep_at: at,
            stopped: at,
            ready: at,
            born: at,
            outstanding: Outstanding::default(),
            window: Window::default(),
            report: ThreadReport::default(),
        });
        s.make_ready(number, at, 0);
        number
    })
}

impl Sim {
    /// Ends the current thread.
    fn finish(&mut self) {
        self.drain();
        let now = self.current.now;
        let t = self.me();
        t.state = State::Done;
        t.time = now;
        let key = t.lender.as_ref().map(|l| l.pthread() as usize);
        let ThreadReport { waiting_for_lines, asleep, preempted, .. } = t.report;
        t.report.busy = (now - t.born).saturating_sub(waiting_for_lines + asleep + preempted);
        if let Some(key) = key {
            self.wake(key, usize::MAX);
        }
        self.leave_cpu(now);
    }
}

/// Creates a thread for simulated code. Returns its number in the C library.
pub(crate) fn create_thread(f: Box<dyn FnOnce()>) -> libc::pthread_t {
    give_way();
    let pthread = aside(|| {
        let (cpu, at) = with(|s| {
            // As much as the wake-up of a thread that slept.
            s.charge(s.costs.syscall + s.costs.wake);
            (s.current.cpu, s.current.now + s.costs.wake_latency)
        });
        let thread = spawn(f, cpu, at);
        with(|s| s.threads[thread].lender.as_ref().map_or(0, Lender::pthread))
    });
    order();
    pthread
}

/// Waits until a thread that `create_thread` created has ended. Returns `false` if there is none.
pub(crate) fn join_thread(pthread: libc::pthread_t) -> bool {
    let find = move |s: &mut Sim| {
        s.threads.iter().position(|t| t.lender.as_ref().is_some_and(|l| l.pthread() == pthread))
    };
    let Some(thread) = with(find) else { return false };
    loop {
        give_way();
        let done = with(|s| {
            s.charge(s.costs.syscall);
            if s.threads[thread].state == State::Done {
                return true;
            }
            s.counts.sleeps += 1;
            s.sleep(Some(pthread as usize), None);
            false
        });
        if done {
            break;
        }
        suspend();
    }
    // The destructors of its thread-locals run now.
    aside(|| with(|s| s.threads[thread].lender.take()).map(Lender::release));
    true
}

/// How a run ended.
enum Outcome {
    /// No event is left.
    Ended,
    Panicked(Panic),
    /// A limit was exceeded.
    Stopped(Why),
}

/// Resumes coroutines until no event is left.
fn simulate(limits: Limits) -> Outcome {
    /// How many changes of the thread come between two looks at the real time.
    const NOW_AND_THEN: u64 = 256;
    let home = fs_base();
    let began = Instant::now();
    while let Some(thread) = with(Sim::next) {
        let (now, switches) = with(|s| (s.current.now, s.counts.switches));
        if now > limits.virtual_time {
            return Outcome::Stopped(Why::VirtualTime(limits.virtual_time));
        }
        if switches % NOW_AND_THEN == 0 && began.elapsed() > limits.real_time {
            return Outcome::Stopped(Why::RealTime(limits.real_time));
        }
        let (fiber, fs) = with(|s| {
            let t = &mut s.threads[thread];
            let fiber: *mut Fiber = t.fiber.as_deref_mut().map_or(ptr::null_mut(), ptr::from_mut);
            (fiber, t.fs)
        });
        assert!(!fiber.is_null(), "a thread that is to run has its coroutine");
        if let CoroutineResult::Return(result) = resume(fiber, fs, home) {
            with(|s| s.threads[thread].fiber = None);
            if let Err(panic) = result {
                return Outcome::Panicked(panic);
            }
        }
    }
    Outcome::Ended
}

/// Resumes one coroutine with its thread-locals.
#[inline(never)]
fn resume(fiber: *mut Fiber, fs: usize, home: usize) -> CoroutineResult<(), Result<(), Panic>> {
    // SAFETY: the block belongs to a parked lender (L1), and the base is set back afterwards. This
    // function uses no thread-local. The coroutine lives in a box, and only this loop resumes it
    // (C5).
    unsafe {
        set_fs_base(fs);
        let result = (*fiber).resume(());
        set_fs_base(home);
        result
    }
}

/// Runs `body(thread)` on each thread of the machine.
///
/// The accesses of crates that `rustc-wrapper` instruments take virtual time. Other code takes
/// none. `body` begins with all threads ready, at slightly different times.
///
/// # Errors
///
/// If all threads that have not ended sleep, and nothing will wake them up, or if the run takes
/// longer than the [`Limits`] of the machine. What the threads own is leaked.
///
/// # Panics
///
/// * If `body` panics on a thread.
/// * If the machine has no CPU, more than [`MOST_CPUS`], or no thread.
/// * If simulated code calls it.
pub fn run<F: Fn(usize) + Send + Sync + 'static>(machine: &Machine, body: F) -> Result<Report, Stuck> {
    run_boxed(machine, Arc::new(body))
}

/// The same, compiled in this crate, so that it is not instrumented.
#[inline(never)]
fn run_boxed(machine: &Machine, body: Arc<dyn Fn(usize) + Send + Sync>) -> Result<Report, Stuck> {
    let Machine { cpus, threads, .. } = *machine;
    assert!((1..=MOST_CPUS).contains(&cpus), "{cpus} CPUs: a machine has from 1 to {MOST_CPUS}");
    assert!(threads != 0, "0 threads: a run has at least 1");
    assert!(machine.costs.locked <= machine.costs.hold, "a line must stay as long as a locked instruction");
    let window = machine.costs.window;
    assert!((1..=MOST_AHEAD).contains(&window), "{window} locked instructions ahead: from 1 to {MOST_AHEAD}");
    let _right = right();
    prepare();
    let sim = Box::into_raw(Box::new(Sim::new(machine)));
    SIM.store(sim, Ordering::Relaxed);
    for thread in 0..threads {
        let body = Arc::clone(&body);
        let at = with(Sim::random) % (50 * crate::NS);
        spawn(Box::new(move || body(thread)), thread % cpus, at);
    }
    let outcome = {
        let _caught = system_calls::Caught::begin();
        simulate(machine.limits)
    };
    SIM.store(ptr::null_mut(), Ordering::Relaxed);
    // SAFETY: the pointer came from a box, and no coroutine runs any more.
    let mut sim = *unsafe { Box::from_raw(sim) };
    let is_done = sim.threads.iter().all(|t| t.state == State::Done);
    if let (Outcome::Ended, true) = (&outcome, is_done) {
        for t in &mut sim.threads {
            if let Some(lender) = t.lender.take() {
                lender.release();
            }
        }
        return Ok(sim.report());
    }
    // Coroutines that have not ended cannot be unwound without simulating them.
    let why = if let Outcome::Stopped(why) = outcome { why } else { Why::Deadlock };
    let stuck = sim.stuck(why);
    for t in sim.threads {
        std::mem::forget(t);
    }
    match outcome {
        Outcome::Ended | Outcome::Stopped(_) => Err(stuck),
        Outcome::Panicked(panic) => panic::resume_unwind(panic),
    }
}

/// Done once in a process, before the first run. Messages of panics are printed outside of the
/// simulation. The C library's `malloc` keeps to one heap. Otherwise it would read files to count
/// CPUs once it has a heap for each of some threads.
fn prepare() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: it has no precondition.
        unsafe { libc::mallopt(libc::M_ARENA_MAX, 1) };
        let hook = panic::take_hook();
        panic::set_hook(Box::new(move |info| aside(|| hook(info))));
    });
}

impl Sim {
    fn stuck(&self, why: Why) -> Stuck {
        let threads = self.threads.iter().enumerate().filter_map(|(thread, t)| {
            let doing = match (t.state, t.futex) {
                (State::Done, _) => return None,
                (State::Running, _) => Doing::Runs,
                (State::Queued, _) => Doing::WaitsForCpu,
                (State::Asleep, Some(_)) => Doing::Sleeps,
                (State::Asleep, None) => Doing::Naps,
            };
            let (address, pc) = t.last;
            Some(StuckThread { thread, cpu: t.cpu, doing, address: t.futex.unwrap_or(address), pc })
        });
        let at = self.threads.iter().map(|t| t.time).max().unwrap_or(0);
        Stuck { why, at, threads: threads.collect() }
    }

    fn report(self) -> Report {
        let mut functions: Map<u64, Vec<(u64, u64)>> = Map::default();
        for ((line, pc), misses) in self.by_function {
            functions.entry(line).or_default().push((pc, misses));
        }
        let names = names::all();
        let mut lines: Vec<LineReport> = self
            .lines
            .tallies()
            .map(|(line, Tally { misses, locked, waited })| {
                let address = line * 64;
                let mut by_function = functions.remove(&line).unwrap_or_default();
                by_function.sort_unstable_by_key(|&(pc, misses)| (Reverse(misses), pc));
                LineReport { address, what: names.at(address), misses, locked, waited, by_function }
            })
            .collect();
        lines.sort_unstable_by_key(|l| (Reverse(l.waited), l.address));
        Report {
            end: self.threads.iter().map(|t| t.time).max().unwrap_or(0),
            lines,
            per_thread: self.threads.into_iter().map(|t| t.report).collect(),
            counts: self.counts,
        }
    }
}
