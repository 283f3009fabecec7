//! The atomics of the internal mutex: those of std, and in a model those of loom or shuttle, so
//! that the models run the mutex itself.
//! It uses nothing of this crate.

#[cfg(loom)]
pub(crate) use loom::sync::atomic::{AtomicU8, AtomicU16, Ordering};
#[cfg(shuttle)]
pub(crate) use shuttle::sync::atomic::{AtomicU8, AtomicU16, Ordering};
#[cfg(not(any(loom, shuttle)))]
pub(crate) use std::sync::atomic::{AtomicU8, AtomicU16, Ordering};

/// A flag that one thread sets at a time.
#[derive(Debug)]
pub(crate) struct Flag(
    /// Of 16 bits, since x86 can set and test a bit of those by one instruction.
    AtomicU16,
);

impl Flag {
    const SET: u16 = 1;

    #[cfg(not(any(loom, shuttle)))]
    pub(crate) const fn new() -> Self {
        Flag(AtomicU16::new(0))
    }

    /// Not `const`: the atomics of a model cannot be made in one.
    #[cfg(any(loom, shuttle))]
    pub(crate) fn new() -> Self {
        Flag(AtomicU16::new(0))
    }

    /// Whether it is set, as far as can be told at this moment.
    #[inline]
    pub(crate) fn is_set(&self, order: Ordering) -> bool {
        self.0.load(order) != 0
    }

    /// Sets it. Returns whether it was clear.
    #[cfg(not(loom))]
    #[inline]
    pub(crate) fn set(&self, order: Ordering) -> bool {
        self.0.fetch_or(Self::SET, order) & Self::SET == 0
    }

    /// The same by a compare-exchange. loom has no one order of all changes of an atomic, and lets
    /// a `fetch_or` that changes nothing undo a later store.
    #[cfg(loom)]
    pub(crate) fn set(&self, order: Ordering) -> bool {
        self.0.compare_exchange(0, Self::SET, order, Ordering::Relaxed).is_ok()
    }

    /// Clears it.
    #[inline]
    pub(crate) fn clear(&self, order: Ordering) {
        self.0.store(0, order);
    }
}
