//! A small number for each living thread, so that counters can be kept apart by thread.

use parking_lot::Mutex;

/// This thread's number: the smallest that no other living thread had when it was first asked for.
pub(crate) fn index() -> usize {
    CURRENT.with(|current| current.0)
}

/// Numbers that are free again, and the first that was never given out.
static NUMBERS: Mutex<(Vec<usize>, usize)> = Mutex::new((Vec::new(), 0));

thread_local! {
    static CURRENT: Number = {
        let mut numbers = NUMBERS.lock();
        let smallest = numbers.0.iter().enumerate().min_by_key(|(_, number)| **number).map(|(at, _)| at);
        Number(match smallest {
            Some(at) => numbers.0.swap_remove(at),
            None => {
                numbers.1 += 1;
                numbers.1 - 1
            }
        })
    };
}

/// Gives the number back when the thread ends.
struct Number(usize);

impl Drop for Number {
    fn drop(&mut self) {
        NUMBERS.lock().0.push(self.0);
    }
}
