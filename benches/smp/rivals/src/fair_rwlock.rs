//! The fair reader/writer queue lock of Mellor-Crummey and Scott, "Scalable Reader-Writer
//! Synchronization for Shared-Memory Multiprocessors" (PPoPP 1991). It serves requests in the order
//! of their arrival, and neighbouring readers together.

use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

use crossbeam_utils::CachePadded;

use crate::lock::{Lock, Order, Setup};
use crate::per_thread::PerThread;
use crate::wait::{Backoff, Gate, LONG};

const NONE: u32 = u32::MAX;

/// One fair reader/writer lock for the whole domain.
#[derive(Debug)]
pub struct FairRwLock {
    tail: CachePadded<AtomicU32>,
    readers: CachePadded<AtomicU32>,
    next_writer: CachePadded<AtomicU32>,
    nodes: PerThread<Node>,
}

/// The state of a node: whether it waits, and what follows it.
const WAITS: u32 = 1;
const READER_FOLLOWS: u32 = 2;
const WRITER_FOLLOWS: u32 = 4;

#[derive(Debug)]
struct Node {
    /// Whether the node is a reader's: 0 or 1.
    reads: AtomicU32,
    next: AtomicU32,
    state: AtomicU32,
    gate: Gate,
}

impl Default for Node {
    fn default() -> Self {
        let [reads, next, state] = [0, NONE, 0].map(AtomicU32::new);
        Node { reads, next, state, gate: Gate::default() }
    }
}

impl Node {
    fn reset(&self, reads: bool) {
        self.reads.store(reads.into(), SeqCst);
        self.next.store(NONE, SeqCst);
        self.state.store(WAITS, SeqCst);
        self.gate.shut();
    }

    /// Lets its thread go on.
    fn let_in(&self) {
        self.state.fetch_and(!WAITS, SeqCst);
        self.gate.open();
    }

    /// The node behind this one, which is about to be linked.
    fn wait_for_next(&self) -> u32 {
        let mut backoff = Backoff::default();
        loop {
            let next = self.next.load(SeqCst);
            if next != NONE {
                return next;
            }
            backoff.pause();
        }
    }
}

impl FairRwLock {
    fn start_write(&self, me: usize) -> WriteGuard<'_> {
        let index = self.nodes.take(me);
        let node = self.nodes.get(index);
        node.reset(false);
        let before = self.tail.swap(index, SeqCst);
        if before == NONE {
            self.next_writer.store(index, SeqCst);
            if self.readers.load(SeqCst) == 0 && self.next_writer.swap(NONE, SeqCst) == index {
                return WriteGuard { lock: self, me, index };
            }
        } else {
            let before = self.nodes.get(before);
            before.state.fetch_or(WRITER_FOLLOWS, SeqCst);
            before.next.store(index, SeqCst);
        }
        node.gate.wait(LONG);
        WriteGuard { lock: self, me, index }
    }

    fn end_write(&self, me: usize, index: u32) {
        let node = self.nodes.get(index);
        if node.next.load(SeqCst) != NONE || self.tail.compare_exchange(index, NONE, SeqCst, SeqCst).is_err()
        {
            let next = self.nodes.get(node.wait_for_next());
            if next.reads.load(SeqCst) != 0 {
                self.readers.fetch_add(1, SeqCst);
            }
            next.let_in();
        }
        self.nodes.give_back(me, index);
    }

    fn start_read(&self, me: usize) -> ReadGuard<'_> {
        let index = self.nodes.take(me);
        let node = self.nodes.get(index);
        node.reset(true);
        let before = self.tail.swap(index, SeqCst);
        if before == NONE {
            self.readers.fetch_add(1, SeqCst);
            node.state.fetch_and(!WAITS, SeqCst);
        } else {
            let before = self.nodes.get(before);
            let waits = before.reads.load(SeqCst) == 0
                || before.state.compare_exchange(WAITS, WAITS | READER_FOLLOWS, SeqCst, SeqCst).is_ok();
            if waits {
                before.next.store(index, SeqCst);
                node.gate.wait(LONG);
            } else {
                self.readers.fetch_add(1, SeqCst);
                before.next.store(index, SeqCst);
                node.state.fetch_and(!WAITS, SeqCst);
            }
        }
        if node.state.load(SeqCst) & READER_FOLLOWS != 0 {
            let next = node.wait_for_next();
            self.readers.fetch_add(1, SeqCst);
            self.nodes.get(next).let_in();
        }
        ReadGuard { lock: self, me, index }
    }

    fn end_read(&self, me: usize, index: u32) {
        let node = self.nodes.get(index);
        if node.next.load(SeqCst) != NONE || self.tail.compare_exchange(index, NONE, SeqCst, SeqCst).is_err()
        {
            let next = node.wait_for_next();
            if node.state.load(SeqCst) & WRITER_FOLLOWS != 0 {
                self.next_writer.store(next, SeqCst);
            }
        }
        if self.readers.fetch_sub(1, SeqCst) == 1 {
            let writer = self.next_writer.load(SeqCst);
            if writer != NONE
                && self.readers.load(SeqCst) == 0
                && self.next_writer.compare_exchange(writer, NONE, SeqCst, SeqCst).is_ok()
            {
                self.nodes.get(writer).let_in();
            }
        }
        self.nodes.give_back(me, index);
    }
}

impl Lock for FairRwLock {
    const NAME: &'static str = "fair-rwlock";
    const WHAT: &'static str = "the fair reader/writer queue lock of Mellor-Crummey and Scott";
    const ORDER: Order = Order::Fifo;
    const SHARED: bool = true;
    const MOST_HELD: usize = 1;
    type Read<'a> = ReadGuard<'a>;
    type Write<'a> = WriteGuard<'a>;

    fn new(setup: &Setup) -> Self {
        let [tail, readers, next_writer] = [NONE, 0, NONE].map(|n| CachePadded::new(AtomicU32::new(n)));
        FairRwLock { tail, readers, next_writer, nodes: PerThread::new(setup) }
    }

    fn read(&self, me: usize, _: Range<u64>) -> ReadGuard<'_> {
        self.start_read(me)
    }

    fn write(&self, me: usize, _: Range<u64>) -> WriteGuard<'_> {
        self.start_write(me)
    }

    fn parts(&self, visit: &mut dyn FnMut(usize, usize, &'static str, usize)) {
        let words = [
            (&self.tail, "tail of the queue"),
            (&self.readers, "count of readers"),
            (&self.next_writer, "next writer"),
        ];
        for (word, what) in words {
            visit(std::ptr::from_ref(word).addr(), size_of_val(word), what, 0);
        }
        self.nodes.parts("queue node", visit);
    }
}

/// Unlocks when it is dropped, by the thread that locked.
#[derive(Debug)]
pub struct ReadGuard<'a> {
    lock: &'a FairRwLock,
    me: usize,
    index: u32,
}

impl Drop for ReadGuard<'_> {
    fn drop(&mut self) {
        self.lock.end_read(self.me, self.index);
    }
}

/// Unlocks when it is dropped, by the thread that locked.
#[derive(Debug)]
pub struct WriteGuard<'a> {
    lock: &'a FairRwLock,
    me: usize,
    index: u32,
}

impl Drop for WriteGuard<'_> {
    fn drop(&mut self) {
        self.lock.end_write(self.me, self.index);
    }
}
