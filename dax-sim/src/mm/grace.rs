//! TLB shootdown as a grace period.
//!
//! A CPU that has read a translation goes on using it until it is told not to: the kernel sends it an
//! interrupt and waits. Here an access is bracketed by [`enter`], and whoever has cleared or write-protected
//! a translation calls [`synchronize`], which waits for the accesses that might have read the old one. After
//! that the block may be freed, or taken to be clean.
//!
//! Each thread announces its accesses in a word of its own: odd while it is in one. So an access writes no
//! cache line that another thread's access writes. The order that makes it right: an access makes its word
//! odd, then reads the translation; a shootdown changes the translation, then reads the words. All four are
//! sequentially consistent, so either the access sees the change, or the shootdown sees the access and waits
//! for that word to change. Later accesses see the change.
//!
//! An access never waits for anything while it is announced, so the wait is short; and the words are those of
//! all threads of the process, whichever file system they work on, so a shootdown may wait for an access that
//! does not concern it.

use std::cell::Cell;
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use crossbeam_utils::{Backoff, CachePadded};
use parking_lot::RwLock;

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
    let held = schedule.locking(|| LockRequest::whole(LockClass::Access, &THREADS, false));
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

/// Waits until every access that was under way when this was called has ended. The calling thread must not be
/// in one.
#[track_caller]
pub(crate) fn synchronize(schedule: &Schedule) {
    if schedule.has(PlantedFault::SkipTlbFlush) {
        return;
    }
    schedule.pass(SchedulePoint::Shootdown, 0);
    let _held = schedule.locking_too(|| LockRequest::whole(LockClass::Access, &THREADS, true));
    if schedule.is_controlled() {
        return simulated::wait_for_accesses();
    }
    debug_assert_eq!(THREAD.with(|thread| thread.depth.get()), 0, "an access cannot wait for itself");
    for word in THREADS.read().iter() {
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
    // It ends in the thread that began it.
    _not_send: PhantomData<*const ()>,
}

#[derive(Debug)]
struct Watched {
    /// Of a simulated thread.
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

type Word = Arc<CachePadded<AtomicU64>>;

/// The words of all living threads that ever made an access.
static THREADS: RwLock<Vec<Word>> = RwLock::new(Vec::new());

thread_local! {
    static THREAD: Thread = Thread::register();
}

struct Thread {
    word: Word,
    /// Accesses may nest: the word counts the outermost only.
    depth: Cell<u32>,
}

impl Thread {
    fn register() -> Self {
        let word = Word::default();
        THREADS.write().push(Arc::clone(&word));
        Self { word, depth: Cell::new(0) }
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        THREADS.write().retain(|word| !Arc::ptr_eq(word, &self.word));
    }
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
