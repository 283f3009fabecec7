//! The list-based range lock of Kogan, Dice and Issa, "Scalable Range Locks for Scalable Address
//! Spaces and Beyond" (EuroSys 2020, <https://doi.org/10.1145/3342195.3387533>), with readers.
//!
//! Requests lie in one list, ordered by their starts, without a lock. A request enters by one
//! compare-exchange behind the last node that lies before it, and waits there for nodes that
//! overlap it. It leaves by a mark in its link. Later requests unlink it when they pass. A reader
//! that has entered waits for writers behind it. A writer that has entered looks for readers before
//! it. If it finds one it leaves and begins again. An empty list is a fast path: the node enters
//! with a mark in the head, and leaves by one compare-exchange.
//!
//! Nodes are reclaimed by epochs. A thread that waits for long gives up its epoch, yields and
//! begins again at the head.

use std::ops::Range;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};

use crossbeam_epoch::{self as epoch, Atomic, Owned, Shared};
use crossbeam_utils::CachePadded;

use crate::lock::{Lock, Order, Setup};

/// The list.
#[derive(Debug)]
pub struct KoganList {
    /// With the mark [`ALONE`] while the one node in the list has taken the fast path.
    head: CachePadded<Atomic<Node>>,
}

#[derive(Debug)]
struct Node {
    start: u64,
    end: u64,
    writes: bool,
    /// With the mark [`GONE`] once the request has left.
    next: Atomic<Node>,
}

const GONE: usize = 1;
const ALONE: usize = 1;
/// How many pauses a thread that waits for a node makes before it gives up its epoch.
const PAUSES: u32 = 400;

/// The result of an attempt.
enum Attempt<'g> {
    Entered(Shared<'g, Node>),
    /// Begin again, with this node.
    Again(Owned<Node>),
}

/// A writer met a reader before it, or a reader waited in vain.
struct MustLeave;

/// The position of one node relative to another.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Before,
    Overlaps,
    Behind,
}

impl Node {
    /// The position of `self` relative to `other`. Two readers do not overlap: their starts decide.
    fn place(&self, other: &Node) -> Place {
        let shared = !self.writes && !other.writes;
        if self.end <= other.start || (shared && self.start <= other.start) {
            Place::Before
        } else if self.start >= other.end || shared {
            Place::Behind
        } else {
            Place::Overlaps
        }
    }

    fn is_gone(&self, guard: &epoch::Guard) -> bool {
        self.next.load(Acquire, guard).tag() == GONE
    }

    /// Waits for a while until the node has left. Returns whether it has.
    fn wait_until_gone(&self, guard: &epoch::Guard) -> bool {
        for _ in 0..PAUSES {
            if self.is_gone(guard) {
                return true;
            }
            std::hint::spin_loop();
        }
        false
    }
}

impl KoganList {
    fn lock(&self, range: Range<u64>, writes: bool) -> Guard<'_> {
        let mut node = Owned::new(Node { start: range.start, end: range.end, writes, next: Atomic::null() });
        // The fast path.
        {
            let guard = epoch::pin();
            if self.head.load(Acquire, &guard).is_null() {
                match self.head.compare_exchange(
                    Shared::null(),
                    node.with_tag(ALONE),
                    AcqRel,
                    Relaxed,
                    &guard,
                ) {
                    Ok(entered) => {
                        return Guard { lock: self, node: entered.with_tag(0).as_raw(), alone: true };
                    }
                    Err(lost) => node = lost.new.with_tag(0),
                }
            }
        }
        loop {
            let guard = epoch::pin();
            node = match self.attempt(node, &guard) {
                Attempt::Entered(entered) => {
                    // SAFETY: this thread entered it, and only this thread retires it.
                    let me = unsafe { entered.deref() };
                    let valid = if writes {
                        self.validate_write(entered, &guard)
                    } else {
                        self.validate_read(me, &guard)
                    };
                    if valid.is_ok() {
                        return Guard { lock: self, node: entered.as_raw(), alone: false };
                    }
                    me.next.fetch_or(GONE, AcqRel, &guard);
                    Owned::new(Node { start: range.start, end: range.end, writes, next: Atomic::null() })
                }
                Attempt::Again(node) => node,
            };
            drop(guard);
            std::thread::yield_now();
        }
    }

    /// Enters the node behind the last one that lies before it.
    fn attempt<'g>(&self, mut node: Owned<Node>, guard: &'g epoch::Guard) -> Attempt<'g> {
        'from_head: loop {
            let mut link: &Atomic<Node> = &self.head;
            let mut at = link.load(Acquire, guard);
            if at.tag() == ALONE {
                // The node on the fast path becomes one of a list.
                let _ = link.compare_exchange(at, at.with_tag(0), AcqRel, Relaxed, guard);
                continue;
            }
            loop {
                // SAFETY: a node that was reachable in this epoch is not reclaimed before its end.
                let Some(current) = (unsafe { at.as_ref() }) else {
                    match Self::link(link, at, node, guard) {
                        Ok(entered) => return Attempt::Entered(entered),
                        Err(again) => node = again,
                    }
                    continue 'from_head;
                };
                let next = current.next.load(Acquire, guard);
                if next.tag() == GONE {
                    match link.compare_exchange(at, next.with_tag(0), AcqRel, Acquire, guard) {
                        Ok(_) => {
                            // SAFETY: it was unlinked here, once, since only an unmarked link to it
                            // is replaced.
                            unsafe { guard.defer_destroy(at) };
                            at = next.with_tag(0);
                        }
                        Err(_) => continue 'from_head,
                    }
                    continue;
                }
                match current.place(&node) {
                    Place::Before => {
                        link = &current.next;
                        at = next;
                    }
                    Place::Overlaps => {
                        if !current.wait_until_gone(guard) {
                            return Attempt::Again(node);
                        }
                    }
                    Place::Behind => {
                        match Self::link(link, at, node, guard) {
                            Ok(entered) => return Attempt::Entered(entered),
                            Err(again) => node = again,
                        }
                        continue 'from_head;
                    }
                }
            }
        }
    }

    /// Puts the node between `link` and `at`, to which it leads.
    fn link<'g>(
        link: &Atomic<Node>,
        at: Shared<'g, Node>,
        node: Owned<Node>,
        guard: &'g epoch::Guard,
    ) -> Result<Shared<'g, Node>, Owned<Node>> {
        node.next.store(at, Relaxed);
        link.compare_exchange(at, node, AcqRel, Relaxed, guard).map_err(|lost| lost.new)
    }

    /// Waits for the writers behind a reader that overlap it.
    fn validate_read(&self, me: &Node, guard: &epoch::Guard) -> Result<(), MustLeave> {
        let mut at = me.next.load(Acquire, guard);
        // SAFETY: as in `attempt`.
        while let Some(current) = unsafe { at.with_tag(0).as_ref() } {
            if current.start >= me.end {
                return Ok(());
            }
            let overlaps = current.writes && current.end > me.start;
            if overlaps && !current.wait_until_gone(guard) {
                return Err(MustLeave);
            }
            at = current.next.load(Acquire, guard);
        }
        Ok(())
    }

    /// Looks for readers before a writer that overlap it.
    fn validate_write(&self, entered: Shared<'_, Node>, guard: &epoch::Guard) -> Result<(), MustLeave> {
        // SAFETY: this thread entered it, and only this thread retires it.
        let me = unsafe { entered.deref() };
        let mut at = self.head.load(Acquire, guard);
        // SAFETY: as in `attempt`.
        while let Some(current) = unsafe { at.with_tag(0).as_ref() } {
            if std::ptr::eq(current, me) {
                return Ok(());
            }
            let next = current.next.load(Acquire, guard);
            if next.tag() != GONE && current.end > me.start && current.start < me.end {
                return Err(MustLeave);
            }
            at = next;
        }
        Ok(())
    }
}

impl Lock for KoganList {
    const NAME: &'static str = "kogan-list";
    const WHAT: &'static str = "the lock-free list of Kogan, Dice and Issa, reclaimed by epochs";
    const ORDER: Order = Order::Any;
    const SHARED: bool = true;
    const MOST_HELD: usize = 1000;
    type Read<'a> = Guard<'a>;
    type Write<'a> = Guard<'a>;

    fn new(_: &Setup) -> Self {
        KoganList { head: CachePadded::new(Atomic::null()) }
    }

    fn read(&self, _: usize, range: Range<u64>) -> Guard<'_> {
        self.lock(range, false)
    }

    fn write(&self, _: usize, range: Range<u64>) -> Guard<'_> {
        self.lock(range, true)
    }

    fn parts(&self, visit: &mut dyn FnMut(usize, usize, &'static str, usize)) {
        visit(std::ptr::from_ref(&self.head).addr(), size_of_val(&self.head), "head of the list", 0);
    }
}

impl Drop for KoganList {
    fn drop(&mut self) {
        // SAFETY: no thread uses the lock any more.
        let guard = unsafe { epoch::unprotected() };
        let mut at = self.head.load(Relaxed, guard).with_tag(0);
        while !at.is_null() {
            // SAFETY: the list owns the nodes that are in it.
            let node = unsafe { at.into_owned() };
            at = node.next.load(Relaxed, guard).with_tag(0);
        }
    }
}

/// Holds one range.
#[derive(Debug)]
pub struct Guard<'a> {
    lock: &'a KoganList,
    /// Its node, which is not retired before it has left.
    node: *const Node,
    alone: bool,
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        let guard = epoch::pin();
        let node = Shared::from(self.node);
        if self.alone {
            let head = &self.lock.head;
            let empty = Shared::null();
            if head.compare_exchange(node.with_tag(ALONE), empty, AcqRel, Relaxed, &guard).is_ok() {
                // SAFETY: it was unlinked here, and nothing else unlinks a node with this mark.
                return unsafe { guard.defer_destroy(node) };
            }
        }
        // SAFETY: a node is not retired before it is marked, which happens once, here.
        unsafe { node.deref() }.next.fetch_or(GONE, AcqRel, &guard);
    }
}
