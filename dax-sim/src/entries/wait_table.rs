//! Where threads sleep that wait for a locked entry.
//!
//! Follows the wait queues of Linux' `fs/dax.c`. A small table of queues serves all files, hashed
//! by entry. The entry is the key that tells waiters of one queue apart.
//!
//! Waiters are *exclusive*. Unlocking an entry wakes the first thread that waits for it. Deleting
//! an entry wakes all its waiters, since it is gone. So a thread that was woken and does not lock
//! the entry must wake the next one ([`wake`]). Otherwise the wake-up is lost, which
//! `put_unlocked_mapping_entry` prevents in Linux.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::thread::{self, Thread};

use crossbeam_utils::CachePadded;
use parking_lot::Mutex;

use crate::schedule::{Schedule, SchedulePoint, Wait};

/// Which waiters to wake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wake {
    /// The first in the queue: the entry is unlocked.
    One,
    /// All of them: the entry is gone.
    All,
}

#[derive(Debug)]
struct WaitQueue {
    /// How many threads wait. Changed with the mutex held.
    sleepers: AtomicUsize,
    waiters: Mutex<VecDeque<Arc<Waiter>>>,
}

#[derive(Debug)]
struct Waiter {
    key: usize,
    woken: AtomicBool,
    thread: Thread,
}

const QUEUES: usize = 4096;

static WAIT_TABLE: [CachePadded<WaitQueue>; QUEUES] = [const {
    CachePadded::new(WaitQueue { sleepers: AtomicUsize::new(0), waiters: Mutex::new(VecDeque::new()) })
}; QUEUES];

/// Sleeps until a thread wakes it for this slot, which is the slot of the entry of `page`. It does
/// not sleep if `is_locked` says meanwhile that there is nothing to wait for. Returns whether it
/// was woken: then it must lock the entry or wake the next waiter.
#[cold]
pub(super) fn sleep(slot: &AtomicU64, page: u64, is_locked: impl Fn() -> bool, schedule: &Schedule) -> bool {
    let queue = queue(slot);
    let waiter =
        Arc::new(Waiter { key: key(slot), woken: AtomicBool::new(false), thread: thread::current() });
    // The sleeper announces itself and then looks. The waker changes the slot and then looks for
    // sleepers. So one of the two sees the other.
    {
        let mut waiters = queue.waiters.lock();
        waiters.push_back(Arc::clone(&waiter));
        queue.sleepers.fetch_add(1, SeqCst);
    }
    let leave = Leave { queue, waiter: &waiter };
    schedule.pass(SchedulePoint::EntryAnnounced, page);
    if is_locked() {
        let is_woken = || waiter.woken.load(SeqCst);
        if !schedule.block_until(Wait::WakeUp, is_woken) {
            while !is_woken() {
                thread::park();
            }
        }
    }
    drop(leave);
    waiter.woken.load(SeqCst)
}

/// Wakes the threads that sleep for this slot, after it has changed.
#[inline]
pub(super) fn wake(slot: &AtomicU64, which: Wake) {
    let queue = queue(slot);
    if queue.sleepers.load(SeqCst) != 0 {
        queue.wake(key(slot), which);
    }
}

impl WaitQueue {
    #[cold]
    fn wake(&self, key: usize, which: Wake) {
        let mut waiters = self.waiters.lock();
        while let Some(at) = waiters.iter().position(|waiter| waiter.key == key) {
            let waiter = waiters.remove(at).expect("it was found there");
            self.sleepers.fetch_sub(1, SeqCst);
            waiter.woken.store(true, SeqCst);
            waiter.thread.unpark();
            if which == Wake::One {
                break;
            }
        }
    }
}

/// Takes a waiter out of its queue, unless the thread that woke it has.
struct Leave<'a> {
    queue: &'a WaitQueue,
    waiter: &'a Arc<Waiter>,
}

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        let mut waiters = self.queue.waiters.lock();
        if let Some(at) = waiters.iter().position(|other| Arc::ptr_eq(other, self.waiter)) {
            waiters.remove(at);
            self.queue.sleepers.fetch_sub(1, SeqCst);
        }
    }
}

fn key(slot: &AtomicU64) -> usize {
    std::ptr::from_ref(slot).addr()
}

fn queue(slot: &AtomicU64) -> &'static WaitQueue {
    // Fibonacci hashing of the address; neighbouring words go to different queues.
    let hash = (key(slot) as u64 / 8).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    &WAIT_TABLE[(hash >> 52) as usize]
}
