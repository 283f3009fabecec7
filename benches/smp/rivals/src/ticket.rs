//! A ticket lock (Mellor-Crummey and Scott, TOCS 9(1), 1991). Threads draw numbers and are served
//! in their order. All waiting threads look at one word. Each pauses in proportion to the number of
//! threads before it.

use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering};

use crossbeam_utils::CachePadded;

use crate::lock::{Lock, Order, Setup};
use crate::wait::{LONG, sleep, wake};

/// One ticket lock for the whole domain.
#[derive(Debug, Default)]
pub struct Ticket {
    next: CachePadded<AtomicU32>,
    serving: CachePadded<AtomicU32>,
    asleep: CachePadded<AtomicU32>,
}

impl Ticket {
    fn lock(&self) -> Guard<'_> {
        let mine = self.next.fetch_add(1, Ordering::Relaxed);
        let mut pauses = 0;
        loop {
            let serving = self.serving.load(Ordering::Acquire);
            let before = mine.wrapping_sub(serving);
            if before == 0 {
                return Guard { lock: self };
            }
            if pauses < LONG {
                for _ in 0..before {
                    std::hint::spin_loop();
                }
                pauses += before;
                continue;
            }
            self.asleep.fetch_add(1, Ordering::SeqCst);
            if self.serving.load(Ordering::SeqCst) == serving {
                sleep(&self.serving, serving);
            }
            self.asleep.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

impl Lock for Ticket {
    const NAME: &'static str = "ticket";
    const WHAT: &'static str = "a ticket lock for the whole domain";
    const ORDER: Order = Order::Fifo;
    const SHARED: bool = false;
    const MOST_HELD: usize = 1;
    type Read<'a> = Guard<'a>;
    type Write<'a> = Guard<'a>;

    fn new(_: &Setup) -> Self {
        Self::default()
    }

    fn read(&self, _: usize, _: Range<u64>) -> Guard<'_> {
        self.lock()
    }

    fn write(&self, _: usize, _: Range<u64>) -> Guard<'_> {
        self.lock()
    }

    fn parts(&self, visit: &mut dyn FnMut(usize, usize, &'static str, usize)) {
        let words =
            [(&self.next, "next ticket"), (&self.serving, "ticket served"), (&self.asleep, "sleepers")];
        for (word, what) in words {
            visit(std::ptr::from_ref(word).addr(), size_of_val(word), what, 0);
        }
    }
}

/// Unlocks when it is dropped.
#[derive(Debug)]
pub struct Guard<'a> {
    lock: &'a Ticket,
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        let serving = self.lock.serving.load(Ordering::Relaxed);
        self.lock.serving.store(serving.wrapping_add(1), Ordering::SeqCst);
        if self.lock.asleep.load(Ordering::SeqCst) != 0 {
            wake(&self.lock.serving, i32::MAX);
        }
    }
}
