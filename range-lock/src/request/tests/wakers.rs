//! Wakers of the user's that panic, and futures that are polled with them.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, RawWaker, RawWakerVTable, Waker};

thread_local! {
    /// How many calls there were into wakers.
    pub(super) static CALLS: Cell<usize> = const { Cell::new(0) };
    /// Which of them panic.
    pub(super) static PANICS: RefCell<Range<usize>> = const { RefCell::new(0..0) };
    /// How often a waker was woken.
    pub(super) static WOKEN: Cell<usize> = const { Cell::new(0) };
}

fn user_code() {
    let call = CALLS.replace(CALLS.get() + 1);
    if PANICS.with_borrow(|panics| panics.contains(&call)) {
        // Not `panic!`, which would print.
        resume_unwind(Box::new("a waker of the tests"));
    }
}

/// A waker that panics when it is its turn. Each has an address of its own.
pub(super) fn waker() -> Waker {
    static VTABLE: RawWakerVTable = RawWakerVTable::new(clone, wake, wake, drop_it);
    fn clone(data: *const ()) -> RawWaker {
        user_code();
        RawWaker::new(data, &VTABLE)
    }
    fn wake(_: *const ()) {
        WOKEN.set(WOKEN.get() + 1);
        user_code();
    }
    fn drop_it(_: *const ()) {
        user_code();
    }
    let number = CALLS.get() + 1;
    // SAFETY: the functions look at no data, so any pointer will do.
    unsafe { Waker::from_raw(RawWaker::new(std::ptr::without_provenance(number), &VTABLE)) }
}

/// A timer of the user's, which ends when it is polled for the second time. Its drop panics when it
/// is its turn.
#[derive(Default)]
pub(super) struct Timer {
    ended: bool,
}

impl Future for Timer {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        if std::mem::replace(&mut self.ended, true) { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        // In an unwinding thread a panic would end the program.
        if !std::thread::panicking() {
            user_code();
        }
    }
}

/// Runs `f`, in which calls may panic; `None` if it unwinds.
pub(super) fn unwinding<T>(f: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(f)).ok()
}

pub(super) fn poll<T>(future: &mut Pin<Box<dyn Future<Output = T> + '_>>) -> Poll<T> {
    // The test's own waker is not dropped: it could panic while the poll unwinds.
    let waker = std::mem::ManuallyDrop::new(waker());
    future.as_mut().poll(&mut Context::from_waker(&waker))
}
