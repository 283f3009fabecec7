//! The functions that simulated code calls. They are never inlined: inlined into an instrumented
//! crate they would be simulated themselves.

use std::sync::atomic::Ordering;

use super::{ACTIVE, Woken, give_way, on_coroutine, plain, simulated, wait_on_futex, wake_futex, with};
use crate::{Counts, Ps};

/// The virtual time of the calling thread. 0 outside of a run.
#[inline(never)]
pub fn now() -> Ps {
    if on_coroutine() { with(|s| s.current.now) } else { 0 }
}

/// Works for this time, without an access.
#[inline(never)]
pub fn work(ps: Ps) {
    /// How far a thread runs ahead, so that other threads can take its CPU meanwhile.
    const STEP: Ps = 20 * crate::US;
    if !simulated() {
        return;
    }
    let mut left = ps;
    while left > STEP {
        with(|s| s.charge(STEP));
        give_way();
        left -= STEP;
    }
    with(|s| s.charge(left));
}

/// Reads or writes the 8 bytes at an address, without changing them.
#[inline(never)]
pub fn touch(address: usize, write: bool) {
    if simulated() {
        plain(address, 8, write, touch as *const () as usize);
    }
}

/// The counts of events so far. All are 0 outside of a run.
#[inline(never)]
pub fn counts() -> Counts {
    if on_coroutine() { with(|s| s.counts.clone()) } else { Counts::default() }
}

/// The number of the calling thread, from 0. It is 0 outside of a run.
#[inline(never)]
pub fn thread() -> usize {
    if on_coroutine() { with(|s| s.current.thread) } else { 0 }
}

/// The CPU of the calling thread, from 0. It is 0 outside of a run.
#[inline(never)]
pub fn cpu() -> usize {
    if on_coroutine() { with(|s| s.current.cpu) } else { 0 }
}

/// Runs `f` outside of the simulation: it takes no time, and no other thread runs meanwhile. `f`
/// must not wait for another simulated thread.
pub fn aside<T>(f: impl FnOnce() -> T) -> T {
    /// Returns into the simulation, also if `f` panics.
    struct Back(bool);
    impl Drop for Back {
        #[inline(never)]
        fn drop(&mut self) {
            if self.0 {
                ACTIVE.store(1, Ordering::Relaxed);
            }
        }
    }
    let _back = Back(leave());
    f()
}

/// Leaves the simulation. Returns whether the caller was in it.
#[inline(never)]
fn leave() -> bool {
    let was = simulated();
    if was {
        ACTIVE.store(0, Ordering::Relaxed);
    }
    was
}

/// Spins for `n` turns of the pause instruction.
#[inline(never)]
pub fn pause(n: u32) {
    if simulated() {
        with(|s| {
            let ps = s.vary(u64::from(n) * s.costs.pause);
            s.charge(ps);
            s.serialise();
        });
    } else {
        for _ in 0..n {
            std::hint::spin_loop();
        }
    }
}

/// [`pause`] for crates that do not depend on this one.
#[unsafe(no_mangle)]
pub extern "C" fn range_lock_smp_pause(n: u32) {
    pause(n);
}

/// Counts something that a crate under test has done, for [`Counts::notes`]. It takes no time.
#[unsafe(no_mangle)]
pub extern "C" fn range_lock_smp_note(what: u32) {
    if simulated() {
        with(|s| {
            if let Some(times) = s.counts.notes.get_mut(what as usize) {
                *times += 1;
            }
        });
    }
}

/// Sleeps while the `u32` at `address` is `expected`, until [`futex_wake`] or for `timeout`.
/// Returns `false` if the time is over. Outside of a run it returns `true` at once.
///
/// # Panics
///
/// If `address` is no multiple of 4.
#[inline(never)]
pub fn futex_wait(address: usize, expected: u32, timeout: Option<Ps>) -> bool {
    assert!(address.is_multiple_of(4), "a futex at {address:#x}: its address must be a multiple of 4");
    if !simulated() {
        return true;
    }
    // SAFETY: callers pass the address of an atomic, as they do to Linux; a wrong address faults.
    let woken = unsafe { wait_on_futex(address, expected, timeout, futex_wait as *const () as usize) };
    woken != Woken::TimedOut
}

/// Wakes up to `n` threads that sleep on a futex. Returns how many. Outside of a run it returns 0.
#[inline(never)]
pub fn futex_wake(address: usize, n: usize) -> usize {
    if simulated() { wake_futex(address, n) } else { 0 }
}
