//! Simulates the kernel: futexes, sleep, the scheduler's calls, clocks and randomness.

use std::ptr;
use std::sync::atomic::{AtomicU32, Ordering};

use super::{Sim, atomic, give_way, order, suspend, with};
use crate::Ps;

/// Why a futex wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Woken {
    ByWake,
    ValueDiffers,
    TimedOut,
}

/// # Safety
///
/// `address` is that of a live, aligned `u32` which is only accessed atomically.
pub(crate) unsafe fn wait_on_futex(address: usize, expected: u32, timeout: Option<Ps>, pc: usize) -> Woken {
    let caller = with(|s| {
        s.charge(s.costs.syscall);
        s.serialise();
        s.last.1
    });
    atomic(address, false, pc);
    with(|s| s.last = (address, caller));
    // SAFETY: the caller's.
    let value = unsafe { &*ptr::with_exposed_provenance::<AtomicU32>(address) };
    if value.load(Ordering::SeqCst) != expected {
        return Woken::ValueDiffers;
    }
    with(|s| {
        s.drain();
        s.counts.sleeps += 1;
        let slack = s.vary(s.costs.timer_slack);
        let until = timeout.map(|t| s.current.now.saturating_add(t).saturating_add(slack));
        s.sleep(Some(address), until);
    });
    suspend();
    if with(|s| s.me().timed_out) { Woken::TimedOut } else { Woken::ByWake }
}

pub(crate) fn wake_futex(address: usize, n: usize) -> usize {
    with(|s| {
        s.charge(s.costs.syscall);
        s.drain();
    });
    give_way();
    let woken = with(|s| s.wake(address, n));
    order();
    woken
}

/// Sleeps for `ps`.
pub(crate) fn nap(ps: Ps) {
    give_way();
    with(|s| {
        s.charge(s.costs.syscall);
        s.drain();
        s.counts.naps += 1;
        let slack = s.vary(s.costs.timer_slack);
        let until = s.current.now.saturating_add(ps).saturating_add(slack);
        s.sleep(None, Some(until));
    });
    suspend();
}

/// Lets the next thread of this CPU run.
pub(crate) fn sched_yield() {
    give_way();
    let gone = with(|s| {
        s.counts.yields += 1;
        s.charge(s.costs.sched_yield);
        s.serialise();
        s.rotate()
    });
    if gone {
        suspend();
    } else {
        order();
    }
}

/// The result of `gettid`: the number of the thread, from 1000 on.
pub(crate) fn gettid() -> i64 {
    with(|s| {
        s.charge(s.costs.syscall);
        1000 + s.current.thread as i64
    })
}

/// Reads the clock.
pub(crate) fn read_clock() -> Ps {
    with(|s| {
        s.charge(s.costs.clock);
        s.current.now
    })
}

/// The next random number of the run.
pub(crate) fn random() -> u64 {
    with(Sim::random)
}
