//! The CPUs: coroutines with virtual clocks, and the heap of events that orders them.
//!
//! Each simulated thread is a coroutine. It runs ahead until its clock passes the next event; then
//! the thread of that event runs. So all accesses whose order matters happen in the order of their
//! times, and a run is a function of the program, the machine and the seed.
//!
//! Invariants:
//! * C1. One real thread at a time holds the right to simulate, a mutex: in [`run`] and in
//!   [`Machine::setup`].
//! * C2. From [`run`]'s beginning to its end `SIM` points to its `Sim`. Only the thread that holds
//!   the right dereferences it.
//! * C3. A reference to the `Sim` lives only in a closure of [`with`], and no such closure suspends,
//!   resumes, or calls `with`.
//! * C4. `ACTIVE` is set only while simulated code runs on the stack of a coroutine, outside of the
//!   simulator. Other real threads see it set too, so it counts only on such a stack.
//! * C5. A coroutine and its yielder live in boxes until the run is over.

use std::any::Any;
use std::arch::asm;
use std::cell::Cell;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::fmt;
use std::panic::{self, AssertUnwindSafe};
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError};

use corosensei::{Coroutine, CoroutineResult, Yielder};

use crate::directory::{Lines, Map, Request, Tally};
use crate::lender::{Lender, fs_base, set_fs_base};
use crate::memory::{FixedStack, STACKS};
use crate::overlap::Outstanding;
use crate::run_queues::{Dispatch, RunQueues};
use crate::{
    Costs, Counts, Deadlock, LineReport, MOST_CPUS, Machine, Overlap, Ps, Report, ThreadReport, names,
    system_calls,
};

type Panic = Box<dyn Any + Send>;
type Fiber = Coroutine<(), (), Result<(), Panic>, FixedStack>;

/// What a thread does.
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
    /// Counts sleeps and wake-ups; an event of an earlier sleep is void.
    epoch: u32,
    fiber: Option<Box<Fiber>>,
    yielder: *const Yielder<(), ()>,
    stack: (usize, usize),
    lender: Option<Lender>,
    fs: usize,
    /// The futex that it sleeps on.
    futex: Option<usize>,
    timed_out: bool,
    /// When its CPU was free, after it went to sleep.
    asleep_at: Ps,
    /// Since when it does not run, and since when it could.
    stopped: Ps,
    ready: Ps,
    born: Ps,
    outstanding: Outstanding,
    report: ThreadReport,
}

/// The thread that runs.
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

/// A run.
struct Sim {
    costs: Costs,
    overlapping: bool,
    cpus: usize,
    time_slice: Ps,
    current: Current,
    /// The time of the next event.
    horizon: Ps,
    /// How far behind the next event an access that hits needs not wait for it. A request of that
    /// event or a later one cannot take the line away so soon, and what it writes comes later still.
    /// The order of effects is the same as without; a request may begin earlier by one locked
    /// instruction.
    ahead: Ps,
    events: BinaryHeap<Reverse<Event>>,
    events_pushed: u64,
    threads: Vec<Thread>,
    queues: RunQueues,
    lines: Lines,
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

/// Whether simulated code runs. The kernel reads it, too: while it is set, system calls are caught.
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
        Sim {
            ahead: lines.safe(),
            lines,
            overlapping: machine.overlap == Overlap::Overlapping,
            costs: machine.costs.clone(),
            cpus: machine.cpus,
            time_slice: machine.costs.time_slice * u64::from(1 + machine.cpus.min(8).ilog2()),
            current: Current::default(),
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

    /// About as long.
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

    /// If another event is earlier: the caller suspends, and runs again at its time.
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

    /// The same, and first of all gives the CPU to another thread if the time slice is over.
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

    /// Gives the CPU to the next thread of its queue; whether there is one.
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

    /// A thread gets a CPU, and runs after `latency`.
    fn place(&mut self, dispatch: Dispatch, latency: Ps) {
        let Dispatch { thread, cpu, at, idle } = dispatch;
        let start = at + latency;
        let t = &mut self.threads[thread];
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

    /// A thread that does not run can run from `at` on; `latency` if its CPU is idle.
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

    /// The CPU of the current thread takes the next thread, from `at` on.
    fn leave_cpu(&mut self, at: Ps) {
        if let Some(next) = self.queues.next(self.current.cpu, at) {
            let latency = self.vary(self.costs.context_switch);
            self.place(next, latency);
        }
    }

    /// The current thread goes to sleep: on a futex, or until a time, or both. It suspends next.
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

    /// The alarm of a sleeping thread.
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
        while let Some(Reverse((time, _, thread, epoch))) = self.events.pop() {
            let thread = thread as usize;
            let t = &self.threads[thread];
            if t.epoch != epoch {
                continue;
            }
            match t.state {
                State::Asleep => self.alarm(thread, time),
                State::Running => {
                    self.horizon = self.events.peek().map_or(Ps::MAX, |Reverse(event)| event.0);
                    self.counts.switches += 1;
                    self.current = Current { thread, cpu: t.cpu, now: t.time, stack: t.stack };
                    return Some(thread);
                }
                State::Queued | State::Done => unreachable!("no event is of a thread in this state"),
            }
        }
        None
    }

    // Accesses.

    /// Moves the clock to when something arrives.
    fn wait_until(&mut self, arrival: Ps) {
        let wait = arrival.saturating_sub(self.current.now);
        self.current.now += wait;
        self.me().report.waiting_for_lines += wait;
    }

    /// A plain access that hits, or is on the thread's own stack; `false` if it is neither.
    #[inline]
    fn hits(&mut self, address: usize, size: usize, write: bool) -> bool {
        self.counts.accesses += 1;
        let (low, bytes) = self.current.stack;
        let line = address as u64 / 64;
        let hit = address.wrapping_sub(low) < bytes
            || (address % 64 + size <= 64 && self.lines.has(self.current.cpu, line, write, self.current.now));
        if hit {
            self.charge(self.costs.hit);
        }
        hit
    }

    /// An atomic access of `more` than a hit, if it hits and needs not wait for other threads: the
    /// usual case of an uncontended line.
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
        self.charge(more + self.costs.hit);
        true
    }

    /// Fetches a line, if the CPU has not got it until `until`. Returns its arrival.
    fn fetch(&mut self, line: u64, write: bool, more: Ps, at_once: bool, pc: u64) -> Option<Ps> {
        let Current { cpu, now, thread, .. } = self.current;
        if self.lines.has(cpu, line, write, now + more) {
            return None;
        }
        let vary = self.factor();
        self.counts.misses += 1;
        self.threads[thread].report.misses += 1;
        *self.by_function.entry((line, pc)).or_default() += 1;
        Some(self.lines.fetch(Request { cpu, line, write, at: now, vary, at_once }))
    }

    /// A load or a store.
    fn access(&mut self, line: u64, write: bool, atomic: bool, pc: u64) {
        if !self.overlapping {
            if let Some(arrival) = self.fetch(line, write, 0, false, pc) {
                self.wait_until(arrival);
            }
            return;
        }
        let Current { now, .. } = self.current;
        if atomic {
            // It may be read in a loop, which does not go on before the line is there.
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

/// A load or store of `size` bytes.
#[inline]
pub(crate) fn plain(address: usize, size: usize, write: bool, pc: usize) {
    if size == 0 || with(|s| s.hits(address, size, write)) {
        return;
    }
    for line in address / 64..=(address + size - 1) / 64 {
        give_way();
        with(|s| s.access(line as u64, write, false, pc as u64));
        order();
        with(|s| s.charge(s.costs.hit));
    }
}

/// An atomic load or store that is no locked instruction. The access itself takes place when this
/// returns.
#[inline]
pub(crate) fn atomic(address: usize, write: bool, pc: usize) {
    let line = address as u64 / 64;
    if with(|s| s.is_quick(line, write, 0)) {
        return;
    }
    give_way();
    with(|s| {
        s.counts.accesses += 1;
        s.access(line, write, true, pc as u64);
    });
    order();
    with(|s| s.charge(s.costs.hit));
}

/// A locked instruction. The access itself takes place when this returns: at the end of its cost,
/// during which the line stays.
#[inline]
pub(crate) fn locked(address: usize, pc: usize) {
    let line = address as u64 / 64;
    if with(|s| s.is_quick(line, true, s.costs.locked)) {
        return;
    }
    give_way();
    if with(|s| s.overlapping) {
        with(Sim::drain);
        order();
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
    with(|s| s.charge(s.costs.hit));
}

/// A full fence.
pub(crate) fn fence() {
    give_way();
    with(|s| {
        s.drain();
        s.charge(s.costs.locked);
    });
    order();
}

// The kernel.

/// Why a futex wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Woken {
    ByWake,
    ValueDiffers,
    TimedOut,
}

/// # Safety
///
/// `address` is that of a live, aligned `u32` which is only accessed atomically.
pub(crate) unsafe fn wait_on_futex(address: usize, expected: u32, timeout: Option<Ps>, pc: usize) -> Woken {
    with(|s| s.charge(s.costs.syscall));
    atomic(address, false, pc);
    // SAFETY: the caller's.
    let value = unsafe { &*ptr::with_exposed_provenance::<std::sync::atomic::AtomicU32>(address) };
    if value.load(Ordering::SeqCst) != expected {
        return Woken::ValueDiffers;
    }
    with(|s| {
        s.drain();
        s.counts.sleeps += 1;
        let slack = s.vary(s.costs.timer_slack);
        let until = timeout.map(|t| s.current.now.saturating_add(t).saturating_add(slack));
        s.sleep(Some(address), until);
    });
    suspend();
    if with(|s| s.me().timed_out) { Woken::TimedOut } else { Woken::ByWake }
}

pub(crate) fn wake_futex(address: usize, n: usize) -> usize {
    with(|s| {
        s.charge(s.costs.syscall);
        s.drain();
    });
    give_way();
    let woken = with(|s| s.wake(address, n));
    order();
    woken
}

/// Sleeps for `ps`.
pub(crate) fn nap(ps: Ps) {
    give_way();
    with(|s| {
        s.charge(s.costs.syscall);
        s.drain();
        s.counts.naps += 1;
        let slack = s.vary(s.costs.timer_slack);
        let until = s.current.now.saturating_add(ps).saturating_add(slack);
        s.sleep(None, Some(until));
    });
    suspend();
}

/// Lets the next thread of this CPU run.
pub(crate) fn sched_yield() {
    give_way();
    let gone = with(|s| {
        s.counts.yields += 1;
        s.charge(s.costs.sched_yield);
        s.rotate()
    });
    if gone {
        suspend();
    } else {
        order();
    }
}

/// What `gettid` says: the number of the thread, from 1000 on.
pub(crate) fn gettid() -> i64 {
    with(|s| {
        s.charge(s.costs.syscall);
        1000 + s.current.thread as i64
    })
}

/// Reads the clock.
pub(crate) fn read_clock() -> Ps {
    with(|s| {
        s.charge(s.costs.clock);
        s.current.now
    })
}

/// The next random number of the run.
pub(crate) fn random() -> u64 {
    with(Sim::random)
}

/// How many CPUs the code that calls sees, if it is simulated or in [`Machine::setup`].
pub(crate) fn visible_cpus() -> Option<usize> {
    if simulated() {
        return Some(with(|s| s.cpus));
    }
    let cpus = SETUP.get();
    (cpus != 0 && !on_coroutine()).then_some(cpus)
}

/// If the caller allocates from the arena: whose cache it uses.
#[inline]
pub(crate) fn allocates_from_arena() -> Option<usize> {
    if simulated() {
        return Some(with(|s| {
            s.charge(s.costs.malloc);
            s.current.thread
        }));
    }
    (SETUP.get() != 0 && !on_coroutine()).then_some(SETUP_CACHE)
}

const SETUP_CACHE: usize = 1024;

thread_local! {
    /// The CPUs of the machine, if this thread is in [`Machine::setup`].
    static SETUP: Cell<usize> = const { Cell::new(0) };
}

impl Machine {
    /// Runs `f` outside of the simulation, but with the machine's number of CPUs as
    /// `available_parallelism`, and with memory of the arena at its fixed address. What a run uses
    /// is built in here; what it allocates is not given back to the system.
    ///
    /// # Panics
    ///
    /// If simulated code calls it, or if `f` panics.
    pub fn setup<T>(&self, f: impl FnOnce() -> T) -> T {
        let _in_setup = InSetup::enter(self.cpus);
        f()
    }
}

/// The calling thread is in [`Machine::setup`].
struct InSetup(#[expect(dead_code, reason = "it is held")] MutexGuard<'static, ()>);

impl InSetup {
    #[inline(never)]
    fn enter(cpus: usize) -> Self {
        let right = right();
        SETUP.set(cpus);
        InSetup(right)
    }
}

impl Drop for InSetup {
    #[inline(never)]
    fn drop(&mut self) {
        SETUP.set(0);
    }
}

// Threads.

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
            timed_out: false,
            asleep_at: at,
            stopped: at,
            ready: at,
            born: at,
            outstanding: Outstanding::default(),
            report: ThreadReport::default(),
        });
        s.make_ready(number, at, 0);
        number
    })
}

impl Sim {
    /// The current thread has ended.
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

/// Creates a thread from simulated code. Returns the number that the C library has for it.
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

/// Waits until a thread has ended that `create_thread` created; `false` if there is none.
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
    // Destructors of its thread-locals run now.
    aside(|| with(|s| s.threads[thread].lender.take()).map(Lender::release));
    true
}

/// How a run went on.
enum Outcome {
    Ended,
    Panicked(Panic),
}

/// Resumes coroutines until no event is left.
fn simulate() -> Outcome {
    let home = fs_base();
    while let Some(thread) = with(Sim::next) {
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
    // SAFETY: the block of a lender that is parked (L1), and back. This function uses no
    // thread-local. The coroutine lives in a box, and only this loop resumes it (C5).
    unsafe {
        set_fs_base(fs);
        let result = (*fiber).resume(());
        set_fs_base(home);
        result
    }
}

/// Runs `body(thread)` on each thread of the machine.
///
/// The accesses of crates that `rustc-wrapper` instruments take virtual time; other code takes none.
/// `body` begins with all threads ready, at slightly different times.
///
/// # Errors
///
/// If all threads that have not ended sleep, and nothing is to wake them up. What they own is
/// leaked.
///
/// # Panics
///
/// If `body` panics on a thread; if the machine has no CPU or more than [`MOST_CPUS`], or no thread;
/// if simulated code calls it.
pub fn run<F: Fn(usize) + Send + Sync + 'static>(machine: &Machine, body: F) -> Result<Report, Deadlock> {
    run_boxed(machine, Arc::new(body))
}

/// The same, compiled in this crate, so that it is not instrumented.
#[inline(never)]
fn run_boxed(machine: &Machine, body: Arc<dyn Fn(usize) + Send + Sync>) -> Result<Report, Deadlock> {
    let Machine { cpus, threads, .. } = *machine;
    assert!((1..=MOST_CPUS).contains(&cpus), "{cpus} CPUs: a machine has from 1 to {MOST_CPUS}");
    assert!(threads != 0, "0 threads: a run has at least 1");
    assert!(machine.costs.locked <= machine.costs.hold, "a line must stay as long as a locked instruction");
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
        simulate()
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
    let deadlock = sim.deadlock();
    for t in sim.threads {
        std::mem::forget(t);
    }
    match outcome {
        Outcome::Ended => Err(deadlock),
        Outcome::Panicked(panic) => panic::resume_unwind(panic),
    }
}

/// What is done once in a process, before the first run. Messages of panics are printed outside of
/// the simulation. The C library's `malloc` keeps to one heap, or it would read files to count CPUs
/// once it has a heap for each of some threads.
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
    fn deadlock(&self) -> Deadlock {
        let asleep = self.threads.iter().enumerate().filter(|(_, t)| t.state == State::Asleep);
        Deadlock {
            at: self.threads.iter().map(|t| t.time).max().unwrap_or(0),
            asleep: asleep.map(|(i, t)| (i, t.futex.unwrap_or(0))).collect(),
        }
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

// What simulated code calls. Never inlined: inlined into an instrumented crate they would be
// simulated themselves.

/// The virtual time of the calling thread; 0 outside of a run.
#[inline(never)]
pub fn now() -> Ps {
    if on_coroutine() { with(|s| s.current.now) } else { 0 }
}

/// Works for so long, without an access.
#[inline(never)]
pub fn work(ps: Ps) {
    /// How far a thread runs ahead, so that other threads can take its CPU meanwhile.
    const STEP: Ps = 20 * crate::US;
    if !simulated() {
        return;
    }
    let mut left = ps;
    while left > STEP {
        with(|s| s.charge(STEP));
        give_way();
        left -= STEP;
    }
    with(|s| s.charge(left));
}

/// Reads or writes the 8 bytes at an address, without changing them.
#[inline(never)]
pub fn touch(address: usize, write: bool) {
    if simulated() {
        plain(address, 8, write, touch as *const () as usize);
    }
}

/// How often what happened so far; all zeros outside of a run.
#[inline(never)]
pub fn counts() -> Counts {
    if on_coroutine() { with(|s| s.counts.clone()) } else { Counts::default() }
}

/// The number of the calling thread, from 0; 0 outside of a run.
#[inline(never)]
pub fn thread() -> usize {
    if on_coroutine() { with(|s| s.current.thread) } else { 0 }
}

/// The CPU of the calling thread, from 0; 0 outside of a run.
#[inline(never)]
pub fn cpu() -> usize {
    if on_coroutine() { with(|s| s.current.cpu) } else { 0 }
}

/// Runs `f` outside of the simulation: it takes no time, and no other thread runs meanwhile. `f`
/// must not wait for another simulated thread.
pub fn aside<T>(f: impl FnOnce() -> T) -> T {
    /// Back into the simulation, also if `f` panics.
    struct Back(bool);
    impl Drop for Back {
        #[inline(never)]
        fn drop(&mut self) {
            if self.0 {
                ACTIVE.store(1, Ordering::Relaxed);
            }
        }
    }
    let _back = Back(leave());
    f()
}

/// Leaves the simulation; whether the caller was in it.
#[inline(never)]
fn leave() -> bool {
    let was = simulated();
    if was {
        ACTIVE.store(0, Ordering::Relaxed);
    }
    was
}

/// Spins for `n` turns of the pause instruction.
#[inline(never)]
pub fn pause(n: u32) {
    if simulated() {
        with(|s| {
            let ps = s.vary(u64::from(n) * s.costs.pause);
            s.charge(ps);
        });
    } else {
        for _ in 0..n {
            std::hint::spin_loop();
        }
    }
}

/// [`pause`] for crates that do not depend on this one.
#[unsafe(no_mangle)]
pub extern "C" fn range_lock_smp_pause(n: u32) {
    pause(n);
}

/// Sleeps while the `u32` at `address` is `expected`, until [`futex_wake`] or for `timeout`. Returns
/// `false` if the time is over. Outside of a run it returns `true` at once.
///
/// # Panics
///
/// If `address` is no multiple of 4.
#[inline(never)]
pub fn futex_wait(address: usize, expected: u32, timeout: Option<Ps>) -> bool {
    assert!(address.is_multiple_of(4), "a futex at {address:#x}: its address must be a multiple of 4");
    if !simulated() {
        return true;
    }
    // SAFETY: callers pass the address of an atomic, as they do to Linux; a wrong address faults.
    let woken = unsafe { wait_on_futex(address, expected, timeout, futex_wait as *const () as usize) };
    woken != Woken::TimedOut
}

/// Wakes up to `n` threads that sleep on a futex; returns how many. Outside of a run, 0.
#[inline(never)]
pub fn futex_wake(address: usize, n: usize) -> usize {
    if simulated() { wake_futex(address, n) } else { 0 }
}
