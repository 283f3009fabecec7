//! The CPUs: coroutines with virtual clocks, and the heap of events that orders them.
//!
//! Each simulated thread is a coroutine. It runs ahead until its clock passes the next event. Then
//! the thread of that event runs. So all accesses whose order matters happen in the order of their
//! times, and a run is a function of the program, the machine and the seed.
//!
//! Invariants:
//! * C1. One real thread at a time holds the right to simulate, a mutex: in [`run`] and in
//!   [`Machine::setup`].
//! * C2. From [`run`]'s beginning to its end `SIM` points to its `Sim`. Only the thread that holds
//!   the right dereferences it.
//! * C3. A reference to the `Sim` lives only in a closure of [`with`], and no such closure
//!   suspends, resumes, or calls `with`.
//! * C4. `ACTIVE` is set only while simulated code runs on the stack of a coroutine, outside of the
//!   simulator. Other real threads also see it set, so it counts only on such a stack.
//! * C5. A coroutine and its yielder live in boxes until the run is over.

mod device;
mod inside;
mod kernel;
mod run;
mod setup;

use std::any::Any;
use std::arch::asm;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::fmt;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU8, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use corosensei::{Coroutine, Yielder};

use crate::directory::{Lines, Map, Request};
use crate::lender::Lender;
use crate::medium;
use crate::memory::{FixedStack, STACKS};
use crate::overlap::{Outstanding, Window};
use crate::run_queues::{Dispatch, RunQueues};
use crate::{Costs, Counts, Machine, Overlap, Ps, ThreadReport};

pub use inside::{
    aside, counts, cpu, futex_wait, futex_wake, now, pause, range_lock_smp_note, range_lock_smp_pause,
    thread, touch, work,
};
pub(crate) use kernel::{Woken, gettid, nap, random, read_clock, sched_yield, wait_on_futex, wake_futex};
pub use run::run;
pub(crate) use run::{create_thread, join_thread};
pub(crate) use setup::{allocates_from_arena, visible_cpus};

type Panic = Box<dyn Any + Send>;
type Fiber = Coroutine<(), (), Result<(), Panic>, FixedStack>;

/// The state of a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// It has a CPU.
    Running,
    /// It waits for a CPU.
    Queued,
    Asleep,
    Done,
}

/// One simulated thread.
struct Thread {
    /// Its clock, while it does not run.
    time: Ps,
    cpu: usize,
    state: State,
    /// Counts sleeps and wake-ups. An event of an earlier sleep is void.
    epoch: u32,
    fiber: Option<Box<Fiber>>,
    yielder: *const Yielder<(), ()>,
    stack: (usize, usize),
    lender: Option<Lender>,
    fs: usize,
    /// The futex on which it sleeps.
    futex: Option<usize>,
    /// See [`Sim::last`], while it does not run.
    last: (usize, u64),
    timed_out: bool,
    /// When its CPU was free, after it went to sleep.
    asleep_at: Ps,
    /// When it stopped running, and when it became able to run.
    stopped: Ps,
    ready: Ps,
    born: Ps,
    outstanding: Outstanding,
    window: Window,
    report: ThreadReport,
}

/// The running thread.
#[derive(Clone, Copy, Debug, Default)]
struct Current {
    thread: usize,
    cpu: usize,
    now: Ps,
    /// Its stack: lowest address and size.
    stack: (usize, usize),
}

/// Time, number, thread, epoch.
type Event = (Ps, u64, u32, u32);

/// How long a thread runs ahead of all others at most, so that a run can be stopped in which no
/// other thread goes on.
const STRETCH: Ps = 100 * crate::US;

/// A run.
struct Sim {
    costs: Costs,
    overlapping: bool,
    /// How many locked instructions a CPU executes ahead. 0 if it does not.
    window: usize,
    cpus: usize,
    time_slice: Ps,
    current: Current,
    /// The last atomic access of the current thread, or its last access that fetched a line: the
    /// address, and where in the code it was made.
    last: (usize, u64),
    /// The time of the next event, or [`STRETCH`] from now if that is earlier.
    horizon: Ps,
    /// How far behind the next event an access that hits may go on without waiting for it. A
    /// request of this event or a later one cannot take the line away so soon, and what it writes
    /// comes later still. The order of effects is the same as without lookahead.
    ahead: Ps,
    events: BinaryHeap<Reverse<Event>>,
    events_pushed: u64,
    threads: Vec<Thread>,
    queues: RunQueues,
    lines: Lines,
    /// The lines of the device, if there is one.
    device: Option<medium::Lines>,
    futexes: Map<usize, VecDeque<usize>>,
    by_function: Map<(u64, u64), u64>,
    random: u64,
    counts: Counts,
}

impl fmt::Debug for Sim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sim")
            .field("current", &self.current)
            .field("counts", &self.counts)
            .finish_non_exhaustive()
    }
}

static SIM: AtomicPtr<Sim> = AtomicPtr::new(ptr::null_mut());

/// Whether simulated code runs. The kernel reads it, too: while it is set, it reports system calls.
pub(crate) static ACTIVE: AtomicU8 = AtomicU8::new(0);

static RIGHT: Mutex<()> = Mutex::new(());

/// Takes the right to simulate (C1).
fn right() -> MutexGuard<'static, ()> {
    assert!(!on_coroutine(), "simulated code cannot begin another run");
    RIGHT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether the caller is on a coroutine's stack: it is simulated code, or in [`aside`].
#[inline]
fn on_coroutine() -> bool {
    let stack: usize;
    // SAFETY: reading the stack pointer changes nothing.
    unsafe { asm!("mov {}, rsp", out(reg) stack, options(nomem, nostack, preserves_flags)) };
    STACKS.contains(stack)
}

/// Whether the caller is simulated code.
#[inline]
pub(crate) fn simulated() -> bool {
    ACTIVE.load(Ordering::Relaxed) != 0 && on_coroutine()
}

/// Runs `f` with the run's state, outside of the simulation.
#[inline]
fn with<T>(f: impl FnOnce(&mut Sim) -> T) -> T {
    let was = ACTIVE.load(Ordering::Relaxed);
    ACTIVE.store(0, Ordering::Relaxed);
    // SAFETY: callers are on a coroutine or in `run`, so `SIM` is live (C2) and no other reference
    // to it exists (C3).
    let result = f(unsafe { &mut *SIM.load(Ordering::Relaxed) });
    ACTIVE.store(was, Ordering::Relaxed);
    result
}

impl Sim {
    fn new(machine: &Machine) -> Self {
        let lines = Lines::new(machine);
        let window = if machine.overlap == Overlap::Ahead { machine.costs.window } else { 0 };
        Sim {
            // A request that was sent ahead takes a copy away at once.
            ahead: if window == 0 && machine.costs.lookahead { lines.safe() } else { 0 },
            window,
            lines,
            device: device::lines(machine),
            overlapping: machine.overlap == Overlap::Overlapping,
            costs: machine.costs.clone(),
            cpus: machine.cpus,
            time_slice: machine.costs.time_slice * u64::from(1 + machine.cpus.min(8).ilog2()),
            current: Current::default(),
            last: (0, 0),
            horizon: Ps::MAX,
            events: BinaryHeap::new(),
            events_pushed: 0,
            threads: Vec::new(),
            queues: RunQueues::new(machine.cpus),
            futexes: Map::default(),
            by_function: Map::default(),
            random: machine.seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0x1234_5678_9ABC_DEF1 | 1,
            counts: Counts::default(),
        }
    }

    /// Whether a line is one of the device.
    #[inline]
    fn is_of_device(&self, line: u64) -> bool {
        self.device.as_ref().is_some_and(|device| device.contains(line))
    }

    fn random(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// A factor about 1, in 1/65536.
    fn factor(&mut self) -> u64 {
        let jitter = u64::from(self.costs.jitter);
        let up = (self.random() >> 48) * 2 * jitter / 100;
        (1 << 16) * (100 - jitter) / 100 + up
    }

    /// A duration near `ps`.
    fn vary(&mut self, ps: Ps) -> Ps {
        let factor = u128::from(self.factor());
        ((u128::from(ps) * factor) >> 16) as Ps
    }

    #[inline]
    fn charge(&mut self, ps: Ps) {
        self.current.now += ps;
    }

    fn me(&mut self) -> &mut Thread {
        &mut self.threads[self.current.thread]
    }

    fn push(&mut self, thread: usize, time: Ps) {
        self.events_pushed += 1;
        let epoch = self.threads[thread].epoch;
        self.events.push(Reverse((time, self.events_pushed, thread as u32, epoch)));
        self.horizon = self.horizon.min(time);
    }

    /// If another event is earlier the caller suspends, and runs again at its time.
    #[inline]
    fn is_ahead(&mut self) -> bool {
        if self.current.now <= self.horizon {
            return false;
        }
        let Current { thread, now, .. } = self.current;
        self.threads[thread].time = now;
        self.push(thread, now);
        true
    }

    /// The same, but first the thread gives its CPU to another thread if its time slice is over.
    #[inline]
    fn gives_way(&mut self) -> bool {
        if let Some(end) = self.queues.slice_end(self.current.cpu)
            && end <= self.current.now
        {
            self.counts.preemptions += 1;
            self.rotate();
            return true;
        }
        self.is_ahead()
    }

    /// Gives the CPU to the next thread of its queue. Returns whether there is one.
    fn rotate(&mut self) -> bool {
        let Current { cpu, now, .. } = self.current;
        let Some(next) = self.queues.rotate(cpu, now) else { return false };
        let me = self.me();
        (me.time, me.stopped, me.ready) = (now, now, now);
        me.state = State::Queued;
        let latency = self.vary(self.costs.context_switch);
        self.place(next, latency);
        true
    }

    /// Gives a CPU to a thread, which runs after `latency`.
    fn place(&mut self, dispatch: Dispatch, latency: Ps) {
        let Dispatch { thread, cpu, at, idle } = dispatch;
        let start = at + latency;
        let t = &mut self.threads[thread];
        t.window.begin(start);
        t.report.asleep += t.ready.saturating_sub(t.stopped);
        if idle {
            t.report.asleep += start.saturating_sub(t.ready);
        } else {
            t.report.preempted += start.saturating_sub(t.ready);
        }
        (t.cpu, t.time) = (cpu, start);
        t.state = State::Running;
        self.queues.begin_slice(cpu, start + self.time_slice);
        self.push(thread, start);
    }

    /// Makes a thread ready to run from `at` on, after `latency` if its CPU is idle.
    fn make_ready(&mut self, thread: usize, at: Ps, latency: Ps) {
        let t = &mut self.threads[thread];
        t.epoch += 1;
        t.state = State::Queued;
        t.ready = at.max(t.asleep_at);
        let (cpu, ready) = (t.cpu, t.ready);
        let lines = &self.lines;
        if let Some(dispatch) = self.queues.ready(thread, cpu, ready, |a, b| lines.distance(a, b)) {
            self.place(dispatch, latency);
        }
    }

    /// Lets the CPU of the current thread take the next thread, from `at` on.
    fn leave_cpu(&mut self, at: Ps) {
        if let Some(next) = self.queues.next(self.current.cpu, at) {
            let latency = self.vary(self.costs.context_switch);
            self.place(next, latency);
        }
    }

    /// Puts the current thread to sleep: on a futex, until a time, or both. It suspends next.
    fn sleep(&mut self, futex: Option<usize>, until: Option<Ps>) {
        let Current { thread, now, .. } = self.current;
        let asleep_at = now + self.costs.sleep;
        let t = self.me();
        (t.time, t.stopped, t.asleep_at) = (now, now, asleep_at);
        t.state = State::Asleep;
        t.epoch += 1;
        t.futex = futex;
        t.timed_out = false;
        if let Some(futex) = futex {
            self.futexes.entry(futex).or_default().push_back(thread);
        }
        if let Some(until) = until {
            self.push(thread, until.max(asleep_at));
        }
        self.leave_cpu(asleep_at);
    }

    /// Wakes up to `n` threads that sleep on a futex.
    fn wake(&mut self, futex: usize, n: usize) -> usize {
        let mut woken = 0;
        while woken < n {
            let Some(thread) = self.futexes.get_mut(&futex).and_then(VecDeque::pop_front) else { break };
            self.charge(self.costs.wake);
            self.counts.wakes += 1;
            self.threads[thread].futex = None;
            let latency = self.vary(self.costs.wake_latency);
            self.make_ready(thread, self.current.now, latency);
            woken += 1;
        }
        woken
    }

    /// Handles the alarm of a sleeping thread.
    fn alarm(&mut self, thread: usize, at: Ps) {
        let t = &mut self.threads[thread];
        t.timed_out = true;
        if let Some(futex) = t.futex.take()
            && let Some(queue) = self.futexes.get_mut(&futex)
        {
            queue.retain(|&other| other != thread);
        }
        // The slack of the timer contains the latency.
        self.make_ready(thread, at, 0);
    }

    /// The next thread to run.
    fn next(&mut self) -> Option<usize> {
        self.me().last = self.last;
        while let Some(Reverse((time, _, thread, epoch))) = self.events.pop() {
            let thread = thread as usize;
            let t = &self.threads[thread];
            if t.epoch != epoch {
                continue;
            }
            match t.state {
                State::Asleep => self.alarm(thread, time),
                State::Running => {
                    let next = self.events.peek().map_or(Ps::MAX, |Reverse(event)| event.0);
                    self.horizon = next.min(t.time.saturating_add(STRETCH));
                    self.counts.switches += 1;
                    self.current = Current { thread, cpu: t.cpu, now: t.time, stack: t.stack };
                    self.last = t.last;
                    return Some(thread);
                }
                State::Queued | State::Done => unreachable!("no event is of a thread in this state"),
            }
        }
        None
    }

    // Accesses.

    /// Counts a load or a store of shared memory.
    #[inline]
    fn made(&mut self, write: bool) {
        self.charge(self.costs.hit);
        if self.window != 0 && !write {
            self.me().window.load();
        }
    }

    /// Counts a locked instruction.
    #[inline]
    fn made_locked(&mut self) {
        self.charge(self.costs.hit);
        if self.window != 0 {
            let now = self.current.now;
            self.me().window.locked(now);
        }
    }

    /// No later instruction has been executed ahead.
    fn serialise(&mut self) {
        let now = self.current.now;
        self.me().window.begin(now);
    }

    /// Moves the clock to the time of an arrival.
    fn wait_until(&mut self, arrival: Ps) {
        let wait = arrival.saturating_sub(self.current.now);
        self.current.now += wait;
        self.me().report.waiting_for_lines += wait;
    }

    /// Whether the thread is so far ahead of the next event that even plain accesses that hit must
    /// wait.
    #[inline]
    fn is_far_ahead(&self) -> bool {
        self.current.now > self.horizon.saturating_add(STRETCH)
    }

    /// Makes a plain access that hits, or is on the thread's own stack. Returns `false` if it is
    /// neither.
    #[inline]
    fn hits(&mut self, address: usize, size: usize, write: bool) -> bool {
        self.counts.accesses += 1;
        let (low, bytes) = self.current.stack;
        let line = address as u64 / 64;
        if address.wrapping_sub(low) < bytes {
            self.charge(self.costs.hit);
            return true;
        }
        let hit =
            address % 64 + size <= 64 && self.lines.has(self.current.cpu, line, write, self.current.now);
        if hit {
            self.made(write);
        }
        hit
    }

    /// Makes an atomic access with a cost of a hit and `more`, if it hits and need not wait for
    /// other threads: the usual case of an uncontended line.
    #[inline]
    fn is_quick(&mut self, line: u64, write: bool, more: Ps) -> bool {
        let Current { thread, cpu, now, .. } = self.current;
        let end = now + more;
        if end > self.horizon.saturating_add(self.ahead)
            || self.queues.slice_end(cpu).is_some()
            || !self.lines.has(cpu, line, write, end)
        {
            return false;
        }
        if self.overlapping {
            let under_way = &self.threads[thread].outstanding;
            let ready =
                if more != 0 { under_way.is_drained(now) } else { under_way.arrival_of(line, now) == now };
            if !ready {
                return false;
            }
        }
        self.counts.accesses += 1;
        if more != 0 {
            self.lines.keep(line, now, end);
        }
        self.charge(more);
        if more != 0 {
            self.made_locked()
        } else {
            self.made(write)
        }
        true
    }

    /// Fetches a line, if the CPU does not have it until `until`. Returns its arrival.
    fn fetch(&mut self, line: u64, write: bool, more: Ps, at_once: bool, pc: u64) -> Option<Ps> {
        let Current { cpu, now, thread, .. } = self.current;
        if self.lines.has(cpu, line, write, now + more) {
            return None;
        }
        let vary = self.factor();
        self.counts.misses += 1;
        self.threads[thread].report.misses += 1;
        self.last = ((64 * line) as usize, pc);
        *self.by_function.entry((line, pc)).or_default() += 1;
        let lead = match self.window {
            0 => 0,
            window => now - self.threads[thread].window.sent(window, self.costs.known, now),
        };
        Some(self.lines.fetch(Request { cpu, line, write, at: now, vary, at_once, lead }))
    }

    /// Makes a load or a store.
    fn access(&mut self, line: u64, write: bool, atomic: bool, pc: u64) {
        if !self.overlapping {
            if let Some(arrival) = self.fetch(line, write, 0, false, pc) {
                self.wait_until(arrival);
            }
            return;
        }
        let Current { now, .. } = self.current;
        if atomic {
            // A loop may read the line, and does not go on before the line is there.
            let arrival = self.me().outstanding.arrival_of(line, now);
            self.wait_until(arrival);
        }
        let Some(arrival) = self.fetch(line, write, 0, write, pc) else { return };
        let now = self.current.now;
        if write {
            let effect = self.me().outstanding.store(line, now, arrival);
            let hold = self.costs.hold;
            self.lines.delay(line, effect + hold);
        } else {
            let go_on = self.me().outstanding.load(line, now, arrival);
            self.wait_until(go_on);
        }
    }

    /// A locked instruction waits for all accesses before it.
    fn drain(&mut self) {
        if self.overlapping {
            let now = self.current.now;
            let drained = self.me().outstanding.drain(now);
            self.wait_until(drained);
        }
    }
}

/// Lets the thread of the next event run.
fn suspend() {
    let yielder = with(|s| s.me().yielder);
    ACTIVE.store(0, Ordering::Relaxed);
    // SAFETY: the yielder is that of this coroutine, which lives (C5); no reference to the `Sim` is
    // kept (C3).
    unsafe { (*yielder).suspend(()) };
    ACTIVE.store(1, Ordering::Relaxed);
}

/// Lets all threads that are earlier run first.
#[inline]
fn order() {
    while with(Sim::is_ahead) {
        suspend();
    }
}

/// The same before an access, where the thread may lose its CPU.
#[inline]
fn give_way() {
    while with(Sim::gives_way) {
        suspend();
    }
}

/// Simulates a load or store of `size` bytes.
#[inline]
pub(crate) fn plain(address: usize, size: usize, write: bool, pc: usize) {
    if size == 0 {
        return;
    }
    let (hit, far_ahead) = with(|s| (s.hits(address, size, write), s.is_far_ahead()));
    if hit {
        if far_ahead {
            give_way();
        }
        return;
    }
    for line in address / 64..=(address + size - 1) / 64 {
        give_way();
        if with(|s| s.touches_device(line as u64, write)) {
            order();
            continue;
        }
        with(|s| s.access(line as u64, write, false, pc as u64));
        order();
        with(|s| s.made(write));
    }
}

/// Simulates an atomic load or store that is no locked instruction. The access itself takes place
/// when this function returns.
#[inline]
pub(crate) fn atomic(address: usize, write: bool, pc: usize) {
    let line = address as u64 / 64;
    let quick = with(|s| {
        s.last = (address, pc as u64);
        s.is_quick(line, write, 0)
    });
    if quick {
        return;
    }
    give_way();
    if with(|s| s.touches_device(line, write)) {
        order();
        return;
    }
    with(|s| {
        s.counts.accesses += 1;
        s.access(line, write, true, pc as u64);
    });
    order();
    with(|s| s.made(write));
}

/// Simulates a locked instruction. The access itself takes place when this function returns, at the
/// end of its cost. The line stays during the cost.
#[inline]
pub(crate) fn locked(address: usize, pc: usize) {
    let line = address as u64 / 64;
    let quick = with(|s| {
        s.last = (address, pc as u64);
        s.is_quick(line, true, s.costs.locked)
    });
    if quick {
        return;
    }
    give_way();
    if with(|s| s.overlapping) {
        with(Sim::drain);
        order();
    }
    if with(|s| s.touches_device(line, true)) {
        with(|s| s.charge(s.costs.locked));
        order();
        return;
    }
    with(|s| {
        s.counts.accesses += 1;
        if let Some(arrival) = s.fetch(line, true, s.costs.locked, false, pc as u64) {
            s.wait_until(arrival);
        }
    });
    order();
    with(|s| {
        let from = s.current.now;
        s.charge(s.costs.locked);
        s.lines.keep(line, from, s.current.now);
    });
    order();
    with(Sim::made_locked);
}

/// Simulates a full fence.
pub(crate) fn fence() {
    give_way();
    with(|s| {
        s.drain();
        s.charge(s.costs.locked);
    });
    order();
}
