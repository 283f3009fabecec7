//! The queue lock of Mellor-Crummey and Scott, "Algorithms for Scalable Synchronization on
//! Shared-Memory Multiprocessors" (TOCS 9(1), 1991): each thread spins on a line of its own.

use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering};

use crossbeam_utils::CachePadded;

use crate::lock::{Lock, Order, Setup};
use crate::per_thread::PerThread;
use crate::wait::{Gate, LONG};

const NONE: u32 = u32::MAX;

/// One queue lock for the whole domain.
#[derive(Debug)]
pub struct Mcs {
    tail: CachePadded<AtomicU32>,
    nodes: PerThread<Node>,
}

#[derive(Debug)]
struct Node {
    next: AtomicU32,
    gate: Gate,
}

impl Default for Node {
    fn default() -> Self {
        Node { next: AtomicU32::new(NONE), gate: Gate::default() }
    }
}

impl Mcs {
    /// Locks it.
    pub(crate) fn lock(&self, me: usize) -> Guard<'_> {
        let index = self.nodes.take(me);
        let node = self.nodes.get(index);
        node.next.store(NONE, Ordering::Relaxed);
        node.gate.shut();
        let before = self.tail.swap(index, Ordering::AcqRel);
        if before != NONE {
            self.nodes.get(before).next.store(index, Ordering::Release);
            node.gate.wait(LONG);
        }
        Guard { lock: self, me, index }
    }
}

impl Lock for Mcs {
    const NAME: &'static str = "mcs";
    const WHAT: &'static str = "the queue lock of Mellor-Crummey and Scott for the whole domain";
    const ORDER: Order = Order::Fifo;
    const SHARED: bool = false;
    const MOST_HELD: usize = 1;
    type Read<'a> = Guard<'a>;
    type Write<'a> = Guard<'a>;

    fn new(setup: &Setup) -> Self {
        let nodes = PerThread::new(setup);
        Mcs { tail: CachePadded::new(AtomicU32::new(NONE)), nodes }
    }

    fn read(&self, me: usize, _: Range<u64>) -> Guard<'_> {
        self.lock(me)
    }

    fn write(&self, me: usize, _: Range<u64>) -> Guard<'_> {
        self.lock(me)
    }

    fn parts(&self, visit: &mut dyn FnMut(usize, usize, &'static str, usize)) {
        visit(std::ptr::from_ref(&self.tail).addr(), size_of_val(&self.tail), "tail of the queue", 0);
        self.nodes.parts("queue node", visit);
    }
}

/// Unlocks when it is dropped, by the thread that locked.
#[derive(Debug)]
pub struct Guard<'a> {
    lock: &'a Mcs,
    me: usize,
    index: u32,
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        let Guard { lock, me, index } = *self;
        let node = lock.nodes.get(index);
        let mut next = node.next.load(Ordering::Acquire);
        if next == NONE {
            if lock.tail.compare_exchange(index, NONE, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
                return lock.nodes.give_back(me, index);
            }
            let mut backoff = crate::wait::Backoff::default();
            while {
                next = node.next.load(Ordering::Acquire);
                next == NONE
            } {
                backoff.pause();
            }
        }
        lock.nodes.get(next).gate.open();
        lock.nodes.give_back(me, index);
    }
}
