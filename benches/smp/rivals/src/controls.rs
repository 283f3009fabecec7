//! Locks that are wrong, to show that the checks find it.

use std::ops::Range;

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

/// One lock for the whole domain, which promises first come, first served, and serves the last
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
