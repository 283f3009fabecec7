//! [`Machine::setup`]: builds what a run uses, outside of the simulation, as if on its machine.

use std::cell::Cell;
use std::sync::MutexGuard;

use super::{on_coroutine, right, simulated, with};
use crate::Machine;

/// How many CPUs the calling code sees, if it is simulated or in [`Machine::setup`].
pub(crate) fn visible_cpus() -> Option<usize> {
    if simulated() {
        return Some(with(|s| s.cpus));
    }
    let cpus = SETUP.get();
    (cpus != 0 && !on_coroutine()).then_some(cpus)
}

/// The number of the cache that the caller uses, if it allocates from the arena.
#[inline]
pub(crate) fn allocates_from_arena() -> Option<usize> {
    if simulated() {
        return Some(with(|s| {
            s.charge(s.costs.malloc);
            s.current.thread
        }));
    }
    (SETUP.get() != 0 && !on_coroutine()).then_some(SETUP_CACHE)
}

const SETUP_CACHE: usize = 1024;

thread_local! {
    /// The CPUs of the machine, if this thread is in [`Machine::setup`].
    static SETUP: Cell<usize> = const { Cell::new(0) };
}

impl Machine {
    /// Runs `f` outside of the simulation, but with the machine's number of CPUs as
    /// `available_parallelism`, and with memory of the arena at its fixed address. Build in it what
    /// a run uses. What it allocates is not given back to the system.
    ///
    /// # Panics
    ///
    /// If simulated code calls it, or if `f` panics.
    pub fn setup<T>(&self, f: impl FnOnce() -> T) -> T {
        let _in_setup = InSetup::enter(self.cpus);
        f()
    }
}

/// Marks the calling thread as being in [`Machine::setup`].
struct InSetup(#[expect(dead_code, reason = "it is held")] MutexGuard<'static, ()>);

impl InSetup {
    #[inline(never)]
    fn enter(cpus: usize) -> Self {
        let right = right();
        SETUP.set(cpus);
        InSetup(right)
    }
}

impl Drop for InSetup {
    #[inline(never)]
    fn drop(&mut self) {
        SETUP.set(0);
    }
}
