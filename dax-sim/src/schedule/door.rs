//! The door through which the paths lock and wait.
//!
//! In a driven schedule nothing may put the thread to sleep. The simulated thread reports what it
//! waits for, and is not chosen until that has come. So a lock that every thread waits for is a
//! deadlock that is reported, and the program does not hang.

use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::sync::PoisonError;
use std::task::{Context, Poll, Waker};

use crossbeam_utils::sync::{ShardedLock, ShardedLockReadGuard, ShardedLockWriteGuard};
use parking_lot::{Condvar, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::simulated::{self, Wait};
use super::{LockRequest, Schedule, SchedulePoint, ranks};

/// The registration of a lock that the thread asks for. Dropping it takes it back.
#[derive(Debug)]
#[must_use = "a lock that is not registered is not checked"]
pub(crate) struct Asked(Held);

/// The registration of a lock that the thread holds, until it is dropped.
#[must_use = "what is held is registered until this is dropped"]
pub(crate) struct Held(Option<ranks::Id>);

impl Asked {
    /// The registration of no lock.
    pub(crate) const FOR_NOTHING: Asked = Asked(Held(None));

    /// Records that the lock is granted.
    #[inline]
    pub(crate) fn granted(self) -> Held {
        if let Some(id) = self.0.0 {
            ranks::grant(id);
        }
        self.0
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(id) = self.0 {
            ranks::release(id);
        }
    }
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Held")
    }
}

/// How a thread asks for a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Announced {
    /// At a schedule point, in the order of locks.
    AtPoint,
    /// In the order of locks.
    Silently,
    /// Together with the lock before.
    WithAnother,
}

impl Schedule {
    /// Registers that the thread is about to ask for a lock. The order of locks is checked here,
    /// before any thread waits.
    #[inline]
    #[track_caller]
    pub(crate) fn locking(&self, request: impl FnOnce() -> LockRequest) -> Asked {
        if self.quiet { Asked::FOR_NOTHING } else { self.register(request(), Announced::AtPoint) }
    }

    /// As [`Schedule::locking`], for a lock that no thread ever has to wait for: there is no
    /// schedule point.
    #[inline]
    #[track_caller]
    pub(crate) fn entering(&self, request: impl FnOnce() -> LockRequest) -> Asked {
        if self.quiet { Asked::FOR_NOTHING } else { self.register(request(), Announced::Silently) }
    }

    /// As [`Schedule::locking`], for a lock that the thread asks for together with the one before,
    /// so that their order does not matter.
    #[track_caller]
    pub(crate) fn locking_too(&self, request: impl FnOnce() -> LockRequest) -> Asked {
        if self.quiet { Asked::FOR_NOTHING } else { self.register(request(), Announced::WithAnother) }
    }

    #[cold]
    #[track_caller]
    fn register(&self, request: LockRequest, announced: Announced) -> Asked {
        let page = match request.class {
            super::LockClass::Entry => request.range.start,
            _ => request.range.start / crate::pmem::BLOCK_SIZE,
        };
        if announced == Announced::AtPoint {
            self.act(SchedulePoint::Lock(request.class), page, None);
        }
        // Not in a closure, which would hide the caller.
        Asked(Held(if self.checked {
            Some(ranks::ask(request, announced != Announced::WithAnother))
        } else {
            None
        }))
    }

    /// Waits until `ready` is true, if threads are simulated. Otherwise returns `false`, and the
    /// caller waits in its own way.
    pub(crate) fn block_until(&self, wait: Wait, ready: impl FnMut() -> bool) -> bool {
        let controlled = self.is_controlled();
        if controlled {
            simulated::block_until(wait, ready);
        }
        controlled
    }

    /// Sleeps on `condition`, with the mutex released meanwhile, until `ready` is true.
    pub(crate) fn sleep_until<T>(
        &self,
        condition: &Condvar,
        guard: &mut MutexGuard<'_, T>,
        wait: Wait,
        ready: impl Fn() -> bool,
    ) {
        while !ready() {
            if self.is_controlled() {
                MutexGuard::unlocked(guard, || simulated::block_until(wait, &ready));
            } else {
                condition.wait(guard);
            }
        }
    }

    /// Locks a short-term lock shared.
    #[inline]
    pub(crate) fn read<'a, T>(&self, lock: &'a RwLock<T>) -> RwLockReadGuard<'a, T> {
        if self.is_controlled() {
            simulated::block_until(Wait::Lock, || !lock.is_locked_exclusive());
        }
        lock.read()
    }

    /// Locks a short-term lock exclusively.
    #[inline]
    pub(crate) fn write<'a, T>(&self, lock: &'a RwLock<T>) -> RwLockWriteGuard<'a, T> {
        if self.is_controlled() {
            simulated::block_until(Wait::Lock, || !lock.is_locked());
        }
        lock.write()
    }

    /// Locks a lock shared that is almost always locked shared: readers write to lines of their own
    /// (a `percpu_rw_semaphore`). A panic of its holder leaves nothing torn.
    #[inline]
    pub(crate) fn read_sharded<'a, T>(&self, lock: &'a ShardedLock<T>) -> ShardedLockReadGuard<'a, T> {
        if self.is_controlled() {
            simulated::block_until(Wait::Lock, || lock.try_read().is_ok());
        }
        lock.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Locks such a lock exclusively, which takes long.
    pub(crate) fn write_sharded<'a, T>(&self, lock: &'a ShardedLock<T>) -> ShardedLockWriteGuard<'a, T> {
        if self.is_controlled() {
            simulated::block_until(Wait::Lock, || lock.try_write().is_ok());
        }
        lock.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a lock in its own queue, in a driven schedule: `future` enters it at the first
    /// poll.
    pub(crate) fn queue_for<F: Future>(&self, future: F) -> F::Output {
        let mut future = pin!(future);
        let mut granted = None;
        simulated::block_until(Wait::Lock, || {
            // A future that is ready is not polled again.
            if granted.is_none()
                && let Poll::Ready(guard) = future.as_mut().poll(&mut Context::from_waker(Waker::noop()))
            {
                granted = Some(guard);
            }
            granted.is_some()
        });
        granted.expect("the wait has ended")
    }
}
