//! Simulated threads, from the inside: what a thread reports when it comes to a point or must wait.
//!
//! A simulated thread is a coroutine. [`explore`](crate::explore) resumes one coroutine at a time,
//! all in one thread of the machine. So what a simulated thread knows of itself is kept here and
//! changed with it: its number, the locks that it holds, whether it is in an access. A thread of
//! the machine that runs no simulated thread passes all points, and its waits must be over already.
//!
//! *Running*: the yielder in [`GATE`] is that of the coroutine that is running. [`enter`] puts it
//! there when the coroutine begins, and `resume` sets it aside while the coroutine is suspended. It
//! lives as long as the coroutine's body.

use std::cell::{Cell, RefCell};
use std::ptr::NonNull;

use corosensei::Yielder;

use super::ranks::{self, HeldLock};
use super::{SchedulePoint, thread};
use crate::per_thread;

/// What a resumed thread is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// Go on.
    Run,
    /// Report whether what it waits for has come.
    Poll,
}

/// What a simulated thread waits for, besides the lock that it asked for last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// The lock.
    Lock,
    /// A wake-up by the thread that unlocks the entry that it asked for last.
    WakeUp,
    /// The end of a commit, which bars new handles.
    CommitToEnd,
    /// The end of all open handles.
    OpenHandles,
    /// The last unpin of a page.
    Unpin,
    /// The end of the accesses that may use old translations.
    Accesses,
}

/// What a thread reports when it gives way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pause {
    /// About to take this step, at work on this page, and in this one of several mappings: its
    /// address.
    At(SchedulePoint, u64, Option<usize>),
    /// Waits.
    Blocked(Wait),
    /// What it waited for has come.
    Ready,
}

/// Where a thread gives way.
pub(crate) type Gate = Yielder<Order, Pause>;

/// What a thread knows of itself while another one runs.
#[derive(Debug, Default)]
pub(crate) struct Aside {
    gate: Option<NonNull<Gate>>,
    held: Vec<HeldLock>,
}

thread_local! {
    static GATE: Cell<Option<NonNull<Gate>>> = const { Cell::new(None) };
    /// By thread: how often it has begun or ended an access. Odd while it is in one.
    static ACCESSES: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) };
}

/// Begins a schedule of `threads` threads.
pub(crate) fn begin(threads: usize) {
    ACCESSES.with_borrow_mut(|accesses| {
        accesses.clear();
        accesses.resize(threads, 0);
    });
    thread::findings();
    ranks::given_up();
}

/// Begins a thread, which gives way at `gate`.
pub(crate) fn enter(gate: &Gate) {
    assert!(thread::current().is_some(), "a simulated thread is running");
    GATE.set(Some(NonNull::from(gate)));
}

/// Runs `resume`, which resumes the thread of this number, with what it knows of itself in place.
pub(crate) fn with<R>(index: usize, aside: &mut Aside, resume: impl FnOnce() -> R) -> R {
    thread::set_current(Some(index));
    GATE.set(aside.gate);
    ranks::exchange(&mut aside.held);
    let outside = per_thread::pretend(Some(index));
    let result = resume();
    per_thread::pretend(outside);
    ranks::exchange(&mut aside.held);
    aside.gate = GATE.take();
    thread::set_current(None);
    result
}

impl Aside {
    /// The locks that the thread holds, and those that it has asked for and not been granted.
    pub(crate) fn locks(&self) -> &[HeldLock] {
        &self.held
    }
}

/// Called when the thread comes to a point.
pub(super) fn pass(point: SchedulePoint, page: u64, mapping: Option<usize>) {
    if let Some(gate) = gate() {
        pause(gate, Pause::At(point, page, mapping));
    }
}

/// Waits until `ready` is true. A thread that unwinds does not wait, because it is not chosen any
/// more.
pub(super) fn block_until(wait: Wait, mut ready: impl FnMut() -> bool) {
    if ready() {
        return;
    }
    let Some(gate) = gate() else {
        assert!(std::thread::panicking(), "only simulated threads can wait: {wait:?}");
        return;
    };
    let mut pause_with = Pause::Blocked(wait);
    while pause(gate, pause_with) == Order::Poll {
        pause_with = if ready() { Pause::Ready } else { Pause::Blocked(wait) };
    }
    debug_assert!(ready(), "only threads whose wait is over are chosen");
}

/// Where the running thread gives way. `None` outside of simulated threads, and while one unwinds.
fn gate() -> Option<NonNull<Gate>> {
    GATE.get().filter(|_| !std::thread::panicking())
}

fn pause(gate: NonNull<Gate>, pause: Pause) -> Order {
    // SAFETY: *Running*.
    unsafe { gate.as_ref() }.suspend(pause)
}

/// Records that an access of the running thread begins or ends. Accesses outside of simulated
/// threads make no thread wait.
pub(crate) fn toggle_access() {
    if let Some(index) = thread::current() {
        ACCESSES.with_borrow_mut(|accesses| accesses[index] += 1);
    }
}

/// Waits until all accesses that are under way in other threads have ended.
pub(crate) fn wait_for_accesses() {
    let Some(index) = thread::current() else { return };
    let seen = ACCESSES.with_borrow(Vec::clone);
    block_until(Wait::Accesses, || {
        ACCESSES.with_borrow(|now| {
            let mut threads = seen.iter().zip(now).enumerate();
            threads.all(|(thread, (seen, now))| thread == index || seen % 2 == 0 || now != seen)
        })
    });
}

/// How many threads are in an access.
#[cfg(test)]
pub(crate) fn accesses() -> usize {
    ACCESSES.with_borrow(|accesses| accesses.iter().filter(|&count| count % 2 == 1).count())
}
