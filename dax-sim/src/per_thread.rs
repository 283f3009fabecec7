//! Gives each living thread a small number, so that counters can be kept apart by thread. It uses
//! no other module.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use parking_lot::Mutex;

/// This thread's number: the smallest that no other living thread had when it was first asked for.
/// For a thread that plays a simulated thread, it is the number of the simulated one.
pub(crate) fn index() -> usize {
    CURRENT.with(|current| current.shown.get())
}

/// This thread's own number, whatever simulated thread it plays.
pub(crate) fn own() -> usize {
    CURRENT.with(|current| current.own)
}

/// A bound: all threads that have asked for their numbers have smaller ones.
pub(crate) fn given() -> usize {
    GIVEN.load(SeqCst)
}

/// From now on this thread counts as the simulated one of that number, or as itself again. Returns
/// what it counted as before.
pub(crate) fn pretend(simulated: Option<usize>) -> Option<usize> {
    CURRENT.with(|current| {
        let before = current.shown.replace(simulated.unwrap_or(current.own));
        (before != current.own).then_some(before)
    })
}

/// Numbers that are free again.
static FREE: Mutex<Vec<usize>> = Mutex::new(Vec::new());

/// The first number that was never given out. Changed with [`FREE`] locked.
static GIVEN: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static CURRENT: Number = {
        let mut free = FREE.lock();
        let smallest = free.iter().enumerate().min_by_key(|(_, number)| **number).map(|(at, _)| at);
        let own = match smallest {
            Some(at) => free.swap_remove(at),
            None => GIVEN.fetch_add(1, SeqCst),
        };
        Number { own, shown: Cell::new(own) }
    };
}

/// Gives the number back when the thread ends.
struct Number {
    own: usize,
    shown: Cell<usize>,
}

impl Drop for Number {
    fn drop(&mut self) {
        FREE.lock().push(self.own);
    }
}
