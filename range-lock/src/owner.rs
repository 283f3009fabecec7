//! The maker of a request: a thread, or a task. The search for deadlocks asks for it (feature
//! `deadlock_detection`). Without the feature nothing is kept. It uses nothing of this crate.

#[cfg(feature = "deadlock_detection")]
use std::cell::Cell;
#[cfg(feature = "deadlock_detection")]
use std::thread::{self, ThreadId};

/// The maker of a request.
#[cfg(feature = "deadlock_detection")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    Thread(ThreadId),
    /// Some future.
    Task,
}

#[cfg(feature = "deadlock_detection")]
thread_local! {
    /// Set while a future enters the lock.
    static IN_TASK: Cell<bool> = const { Cell::new(false) };
}

#[cfg(feature = "deadlock_detection")]
impl Owner {
    /// The thread or task that makes one now.
    pub(crate) fn current() -> Owner {
        if IN_TASK.get() { Owner::Task } else { Owner::Thread(thread::current().id()) }
    }
}

/// While it lives the requests that the calling thread makes are a task's.
#[cfg(all(feature = "async", feature = "deadlock_detection"))]
#[derive(Debug)]
struct TaskScope(());

#[cfg(all(feature = "async", feature = "deadlock_detection"))]
impl TaskScope {
    fn enter() -> Self {
        IN_TASK.set(true);
        TaskScope(())
    }
}

#[cfg(all(feature = "async", feature = "deadlock_detection"))]
impl Drop for TaskScope {
    fn drop(&mut self) {
        IN_TASK.set(false);
    }
}

/// Calls `enter`, which enters a request for a task.
#[cfg(feature = "async")]
#[inline]
pub(crate) fn by_task<T>(enter: impl FnOnce() -> T) -> T {
    #[cfg(feature = "deadlock_detection")]
    let _scope = TaskScope::enter();
    enter()
}
