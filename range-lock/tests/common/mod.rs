//! What the tests share: asking for ranges on threads of their own, and looking at the queue
//! instead of the clock.
#![allow(dead_code, reason = "each test uses what it needs")]

use std::sync::mpsc::{self, Receiver};
use std::thread::{self, Scope};

use range_lock::{RangeLock, RequestState};

/// Calls `acquire` on a thread of its own; the guard arrives when it has been granted.
pub(crate) fn ask<'scope, G: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    acquire: impl FnOnce() -> G + Send + 'scope,
) -> Receiver<G> {
    let (sender, receiver) = mpsc::channel();
    // A test that fails drops the receiver; the guard is then dropped here.
    scope.spawn(move || drop(sender.send(acquire())));
    receiver
}

/// Every request of the lock, as `requests` prints it.
pub(crate) fn requests(lock: &RangeLock) -> Vec<String> {
    lock.requests().iter().map(ToString::to_string).collect()
}

/// How many requests wait.
pub(crate) fn waiting(lock: &RangeLock) -> usize {
    lock.requests().iter().filter(|request| request.state() != RequestState::Held).count()
}

/// Returns when `n` requests wait. No clock: a test whose request never enters hangs, and says so
/// by that.
pub(crate) fn until_waiting(lock: &RangeLock, n: usize) {
    while waiting(lock) != n {
        thread::yield_now();
    }
}

/// The epilogue of every test: nothing is left behind, and the whole is free.
pub(crate) fn check_free(lock: &RangeLock) {
    assert_eq!(requests(lock), [""; 0], "a request was left behind");
    assert!(lock.try_write(..).is_some());
}
