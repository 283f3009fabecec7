//! Locks that are wrong, to show that the checks detect it.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam_utils::CachePadded;
use parking_lot::Mutex;

use crate::lock::{Lock, Order, Setup};
use crate::per_thread::PerThread;
use crate::wait::{Gate, SHORT};

/// Excludes nothing.
#[derive(Debug)]
pub struct NoLock;

impl Lock for NoLock {
    const NAME: &'static str = "control-none";
    const WHAT: &'static str = "a control: it excludes nothing";
    const ORDER: Order = Order::Fifo;
    const SHARED: bool = true;
    const MOST_HELD: usize = usize::MAX;
    const CONTROL: bool = true;
    type Read<'a> = ();
    type Write<'a> = ();

    fn new(_: &Setup) -> Self {
        NoLock
    }

    fn read(&self, _: usize, _: Range<u64>) {}

    fn write(&self, _: usize, _: Range<u64>) {}
}

/// One lock for the whole domain. It promises first come, first served, and serves the last request
/// first.
#[derive(Debug)]
pub struct Stack {
    state: CachePadded<Mutex<State>>,
    gates: PerThread<Gate>,
}

#[derive(Debug, Default)]
struct State {
    held: bool,
    waiting: Vec<u32>,
}

impl Stack {
    fn lock(&self, me: usize) -> Guard<'_> {
        let mut state = self.state.lock();
        if !state.held {
            state.held = true;
            return Guard { lock: self };
        }
        let index = self.gates.take(me);
        self.gates.get(index).shut();
        state.waiting.push(index);
        drop(state);
        self.gates.get(index).wait(SHORT);
        self.gates.give_back(me, index);
        Guard { lock: self }
    }
}

impl Lock for Stack {
    const NAME: &'static str = "control-stack";
    const WHAT: &'static str = "a control: it serves the last request first";
    const ORDER: Order = Order::Fifo;
    const SHARED: bool = false;
    const MOST_HELD: usize = 1;
    const CONTROL: bool = true;
    type Read<'a> = Guard<'a>;
    type Write<'a> = Guard<'a>;

    fn new(setup: &Setup) -> Self {
        Stack { state: CachePadded::default(), gates: PerThread::new(setup) }
    }

    fn read(&self, me: usize, _: Range<u64>) -> Guard<'_> {
        self.lock(me)
    }

    fn write(&self, me: usize, _: Range<u64>) -> Guard<'_> {
        self.lock(me)
    }
}

/// Unlocks when it is dropped.
#[derive(Debug)]
pub struct Guard<'a> {
    lock: &'a Stack,
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        let mut state = self.lock.state.lock();
        match state.waiting.pop() {
            Some(last) => self.lock.gates.get(last).open(),
            None => state.held = false,
        }
    }
}

/// One lock for the whole domain in which a request that finds another one waits for ever.
#[derive(Debug, Default)]
pub struct Livelock {
    held: CachePadded<AtomicBool>,
    granted: CachePadded<AtomicBool>,
}

impl Livelock {
    fn lock(&self) -> LivelockGuard<'_> {
        if self.held.swap(true, Ordering::Acquire) {
            while !self.granted.load(Ordering::Acquire) {
                std::hint::spin_loop();
            }
        }
        LivelockGuard { lock: self }
    }
}

impl Lock for Livelock {
    const NAME: &'static str = "control-livelock";
    const WHAT: &'static str = "a control: a request that has to wait waits for ever";
    const ORDER: Order = Order::Any;
    const SHARED: bool = false;
    const MOST_HELD: usize = 1;
    const CONTROL: bool = true;
    type Read<'a> = LivelockGuard<'a>;
    type Write<'a> = LivelockGuard<'a>;

    fn new(_: &Setup) -> Self {
        Self::default()
    }

    fn read(&self, _: usize, _: Range<u64>) -> LivelockGuard<'_> {
        self.lock()
    }

    fn write(&self, _: usize, _: Range<u64>) -> LivelockGuard<'_> {
        self.lock()
    }

    fn parts(&self, visit: &mut dyn FnMut(usize, usize, &'static str, usize)) {
        for (word, what) in [(&self.held, "held"), (&self.granted, "word that is never set")] {
            visit(std::ptr::from_ref(word).addr(), size_of_val(word), what, 0);
        }
    }
}

/// Unlocks when it is dropped.
#[derive(Debug)]
pub struct LivelockGuard<'a> {
    lock: &'a Livelock,
}

impl Drop for LivelockGuard<'_> {
    fn drop(&mut self) {
        self.lock.held.store(false, Ordering::Release);
    }
}
