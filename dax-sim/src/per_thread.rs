//! A small number for each living thread, so that counters can be kept apart by thread.

use std::cell::Cell;

use parking_lot::Mutex;

/// This thread's number: the smallest that no other living thread had when it was first asked for; or that of
/// the simulated thread that it plays.
pub(crate) fn index() -> usize {
    CURRENT.with(|current| current.shown.get())
}

/// From now on this thread is taken for the simulated one of that number, or for itself again. Returns what it
/// was taken for.
pub(crate) fn pretend(simulated: Option<usize>) -> Option<usize> {
    CURRENT.with(|current| {
        let before = current.shown.replace(simulated.unwrap_or(current.own));
        (before != current.own).then_some(before)
    })
}

/// Numbers that are free again, and the first that was never given out.
static NUMBERS: Mutex<(Vec<usize>, usize)> = Mutex::new((Vec::new(), 0));

thread_local! {
    static CURRENT: Number = {
        let mut numbers = NUMBERS.lock();
        let smallest = numbers.0.iter().enumerate().min_by_key(|(_, number)| **number).map(|(at, _)| at);
        let own = match smallest {
            Some(at) => numbers.0.swap_remove(at),
            None => {
                numbers.1 += 1;
                numbers.1 - 1
            }
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
        NUMBERS.lock().0.push(self.own);
    }
}
