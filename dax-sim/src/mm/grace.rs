//! TLB shootdown as a grace period.
//!
//! A CPU that has read a translation goes on using it until the kernel sends it an interrupt, and
//! the kernel waits for the CPU. Here an access is bracketed by [`enter`]. A thread that has
//! cleared or write-protected a translation calls [`synchronize`], which waits for the accesses
//! that might have read the old one. After that the block may be freed, or treated as clean.
//!
//! Each thread announces its accesses in a word of its own, which is odd during an access. So an
//! access writes no cache line that another thread's access writes. The order of steps makes this
//! correct. An access makes its word odd, then reads the translation. A shootdown changes the
//! translation, then reads the words. All four steps are sequentially consistent. So either the
//! access sees the change, or the shootdown sees the access and waits for that word to change.
//! Later accesses see the change.
//!
//! An access never waits for anything while it is announced, so the wait is short. All threads of
//! the process have such a word, whichever file system they work on. So a shootdown may wait for an
//! access that does not concern it.

use std::cell::Cell;
use std::marker::PhantomData;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use crossbeam_utils::{Backoff, CachePadded};

use crate::per_thread;
use crate::schedule::{Held, LockClass, LockRequest, PlantedFault, Schedule, SchedulePoint, simulated};

/// Announces an access until the result is dropped.
#[inline]
#[track_caller]
pub(crate) fn enter(schedule: &Schedule) -> Access {
    if !schedule.is_quiet() {
        return watched(schedule);
    }
    begin();
    Access { watched: None, _not_send: PhantomData }
}

/// The same where the order of locks is checked, or threads are simulated.
#[cold]
#[track_caller]
fn watched(schedule: &Schedule) -> Access {
    let held = schedule.entering(|| LockRequest::whole(LockClass::Access, &WORDS, false)).granted();
    let simulated = schedule.is_controlled();
    if simulated {
        simulated::toggle_access()
    } else {
        begin()
    }
    Access { watched: Some(Watched { simulated, _held: held }), _not_send: PhantomData }
}

#[inline]
fn begin() {
    THREAD.with(|thread| {
        if thread.depth.replace(thread.depth.get() + 1) == 0 {
            thread.word.swap(thread.word.load(SeqCst) + 1, SeqCst);
        }
    });
}

/// Waits until every access that was under way at the call has ended. The calling thread must not
/// be in an access.
#[track_caller]
pub(crate) fn synchronize(schedule: &Schedule) {
    if schedule.has(PlantedFault::SkipTlbFlush) {
        return;
    }
    schedule.pass(SchedulePoint::Shootdown, 0);
    let _asked = schedule.entering(|| LockRequest::whole(LockClass::Access, &WORDS, true));
    if schedule.is_controlled() {
        return simulated::wait_for_accesses();
    }
    debug_assert_eq!(THREAD.with(|thread| thread.depth.get()), 0, "an access cannot wait for itself");
    // A thread that gets its number only now reads what has changed before.
    for word in words().take(per_thread::given()) {
        let seen = word.load(SeqCst);
        if seen % 2 == 1 {
            let backoff = Backoff::new();
            while word.load(SeqCst) == seen {
                if backoff.is_completed() { std::thread::yield_now() } else { backoff.snooze() }
            }
        }
    }
}

/// An access that is under way.
#[derive(Debug)]
#[must_use]
pub(crate) struct Access {
    watched: Option<Watched>,
    // An access ends in the thread that began it.
    _not_send: PhantomData<*const ()>,
}

#[derive(Debug)]
struct Watched {
    /// Whether the access is a simulated thread's.
    simulated: bool,
    _held: Held,
}

impl Drop for Access {
    #[inline]
    fn drop(&mut self) {
        if self.watched.as_ref().is_some_and(|watched| watched.simulated) {
            return simulated::toggle_access();
        }
        THREAD.with(|thread| {
            thread.depth.set(thread.depth.get() - 1);
            if thread.depth.get() == 0 {
                thread.word.store(thread.word.load(SeqCst) + 1, std::sync::atomic::Ordering::Release);
            }
        });
    }
}

thread_local! {
    static THREAD: Thread = Thread {
        word: words().nth(per_thread::own()).expect("there is no end of words"),
        depth: Cell::new(0),
    };
}

struct Thread {
    word: &'static AtomicU64,
    /// Accesses may nest. The word counts only the outermost.
    depth: Cell<u32>,
}

// With a destructor, so that an access of a later destructor finds no state: by then the number,
// and the word with it, may be another thread's.
impl Drop for Thread {
    fn drop(&mut self) {
        debug_assert_eq!(self.depth.get(), 0, "an access has ended before its thread does");
    }
}

/// A word for each number of [`per_thread`], so that a look at all of them writes to nothing. A
/// free number has an even word.
static WORDS: Words = Words::new();

struct Words {
    words: [CachePadded<AtomicU64>; 32],
    more: OnceLock<Box<Words>>,
}

impl Words {
    const fn new() -> Self {
        Self { words: [const { CachePadded::new(AtomicU64::new(0)) }; 32], more: OnceLock::new() }
    }
}

fn words() -> impl Iterator<Item = &'static AtomicU64> {
    let more = |words: &&'static Words| Some(&**words.more.get_or_init(|| Box::new(Words::new())));
    std::iter::successors(Some(&WORDS), more).flat_map(|words| words.words.iter().map(|word| &**word))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;
    use std::sync::mpsc;
    use std::thread;

    use super::*;

    #[test]
    fn a_shootdown_waits_for_the_access_that_began_before_it() {
        let (left, over) = (AtomicBool::new(false), AtomicBool::new(false));
        let (entered, begun) = mpsc::channel();
        let (leave, told) = mpsc::channel();
        let (left, over, schedule) = (&left, &over, &Schedule::none().with_checks(false));
        thread::scope(|s| {
            s.spawn(move || {
                let access = enter(schedule);
                let nested = enter(schedule);
                entered.send(()).unwrap();
                told.recv().unwrap();
                drop(nested);
                assert!(!over.load(SeqCst));
                left.store(true, SeqCst);
                drop(access);
            });
            begun.recv().unwrap();
            let waiter = s.spawn(|| {
                synchronize(schedule);
                assert!(left.load(SeqCst));
                over.store(true, SeqCst);
            });
            leave.send(()).unwrap();
            waiter.join().unwrap();
        });
    }
}
