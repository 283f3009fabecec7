//! An interval tree of all requests under one queue spinlock, like Jan Kara's and Davidlohr Bueso's
//! range locks for Linux:
//! <https://lore.kernel.org/r/1359668994-13433-1-git-send-email-jack@suse.cz> (2013),
//! <https://lore.kernel.org/r/20190521045242.24378-3-dave@stgolabs.net> (2019).
//!
//! A request counts the conflicting requests that it finds, and waits until all have left. A
//! request that leaves lowers the count of each request that conflicts with it, because all of
//! these came later.
//!
//! Invariants:
//! * T1. `Shared` and the fields of requests behind [`UnsafeCell`] are used under the spinlock.

use std::cell::UnsafeCell;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};

use crossbeam_utils::CachePadded;

use crate::lock::{Lock, Order, Setup};
use crate::mcs::Mcs;
use crate::per_thread::PerThread;
use crate::treap::{Links, Nodes, Treap};
use crate::wait::{Gate, SHORT};

/// The tree and its spinlock.
#[derive(Debug)]
pub struct LinuxTree {
    spinlock: Mcs,
    shared: CachePadded<UnsafeCell<Shared>>,
    requests: PerThread<Request>,
}

#[derive(Debug)]
struct Shared {
    tree: Treap,
    /// Room for the result of a search.
    found: Vec<u32>,
}

#[derive(Debug, Default)]
struct Request {
    links: UnsafeCell<Links>,
    start: AtomicU64,
    end: AtomicU64,
    writes: AtomicBool,
    /// How many conflicting requests came before and have not left.
    blocking: AtomicU32,
    gate: Gate,
}

// SAFETY: T1.
unsafe impl Sync for Request {}
// SAFETY: T1.
unsafe impl Sync for LinuxTree {}

/// The nodes of the tree, while the spinlock is held.
struct Held<'a>(&'a PerThread<Request>);

impl Nodes for Held<'_> {
    fn links(&mut self, index: u32) -> &mut Links {
        // SAFETY: T1: a `Held` is made under the spinlock, and borrowed exclusively here.
        unsafe { &mut *self.0.get(index).links.get() }
    }
}

impl LinuxTree {
    fn lock(&self, me: usize, range: Range<u64>, writes: bool) -> Guard<'_> {
        let index = self.requests.take(me);
        let request = self.requests.get(index);
        request.start.store(range.start, Relaxed);
        request.end.store(range.end, Relaxed);
        request.writes.store(writes, Relaxed);
        request.gate.shut();

        let spinlock = self.spinlock.lock(me);
        // SAFETY: T1.
        let Shared { tree, found } = unsafe { &mut *self.shared.get() };
        let mut nodes = Held(&self.requests);
        tree.overlapping(&mut nodes, &range, found);
        let conflicts = |&&other: &&u32| writes || self.requests.get(other).writes.load(Relaxed);
        let blocking = found.iter().filter(conflicts).count();
        request.blocking.store(blocking as u32, Relaxed);
        tree.insert(&mut nodes, index, &range);
        drop(spinlock);

        if blocking != 0 {
            request.gate.wait(SHORT);
        }
        Guard { lock: self, me, index }
    }

    fn unlock(&self, me: usize, index: u32) {
        let request = self.requests.get(index);
        let range = request.start.load(Relaxed)..request.end.load(Relaxed);
        let writes = request.writes.load(Relaxed);

        let spinlock = self.spinlock.lock(me);
        // SAFETY: T1.
        let Shared { tree, found } = unsafe { &mut *self.shared.get() };
        let mut nodes = Held(&self.requests);
        tree.remove(&mut nodes, index);
        tree.overlapping(&mut nodes, &range, found);
        for &other in &*found {
            let other = self.requests.get(other);
            if writes || other.writes.load(Relaxed) {
                let left = other.blocking.load(Relaxed) - 1;
                other.blocking.store(left, Relaxed);
                if left == 0 {
                    other.gate.open();
                }
            }
        }
        drop(spinlock);
        self.requests.give_back(me, index);
    }
}

impl Lock for LinuxTree {
    const NAME: &'static str = "linux-tree";
    const WHAT: &'static str = "Kara's and Bueso's interval tree under one queue spinlock";
    const ORDER: Order = Order::Fifo;
    const SHARED: bool = true;
    const MOST_HELD: usize = 20_000;
    type Read<'a> = Guard<'a>;
    type Write<'a> = Guard<'a>;

    fn new(setup: &Setup) -> Self {
        // The thread that builds it uses the spinlock too.
        let spinlock = Mcs::new(&Setup { held: 1, held_before: 1, ..setup.clone() });
        let shared = Shared { tree: Treap::EMPTY, found: Vec::with_capacity(setup.threads * setup.held) };
        LinuxTree {
            spinlock,
            shared: CachePadded::new(UnsafeCell::new(shared)),
            requests: PerThread::new(setup),
        }
    }

    fn read(&self, me: usize, range: Range<u64>) -> Guard<'_> {
        self.lock(me, range, false)
    }

    fn write(&self, me: usize, range: Range<u64>) -> Guard<'_> {
        self.lock(me, range, true)
    }

    fn parts(&self, visit: &mut dyn FnMut(usize, usize, &'static str, usize)) {
        self.spinlock.parts(visit);
        visit(std::ptr::from_ref(&self.shared).addr(), size_of_val(&self.shared), "root of the tree", 0);
        // SAFETY: no thread uses the lock, as `parts` demands.
        let found = unsafe { &(*self.shared.get()).found };
        visit(found.as_ptr().addr(), size_of::<u32>() * found.capacity(), "result of a search", 0);
        self.requests.parts("tree node", visit);
    }
}

/// Holds one range.
#[derive(Debug)]
pub struct Guard<'a> {
    lock: &'a LinuxTree,
    me: usize,
    index: u32,
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        self.lock.unlock(self.me, self.index);
    }
}
