//! Waiting without sleeping in a queue. The CPU's pause instruction, yields and naps of the whole
//! library are here alone. In a model (loom, shuttle) each of them lets the other threads run. It
//! uses nothing of this crate.

use std::time::{Duration, Instant};

/// Waits for `turns` turns of the CPU's pause instruction.
#[inline]
pub(crate) fn pause(turns: u32) {
    #[cfg(not(any(loom, shuttle, range_lock_smp)))]
    for _ in 0..turns {
        std::hint::spin_loop();
    }
    #[cfg(range_lock_smp)]
    {
        unsafe extern "C" {
            /// Takes the time of `turns` pauses on the simulated machine of `benches/smp`.
            safe fn range_lock_smp_pause(turns: u32);
        }
        range_lock_smp_pause(turns);
    }
    #[cfg(any(loom, shuttle))]
    if turns != 0 {
        yield_now();
    }
    #[cfg(all(test, feature = "async"))]
    counted::note(counted::Wait::Pause);
}

/// Lets other threads run on this CPU.
pub(crate) fn yield_now() {
    #[cfg(all(test, feature = "async"))]
    counted::note(counted::Wait::Yield);
    #[cfg(not(any(loom, shuttle)))]
    std::thread::yield_now();
    #[cfg(loom)]
    loom::thread::yield_now();
    #[cfg(shuttle)]
    shuttle::thread::yield_now();
}

/// Lets other threads run on this CPU. Returns whether another thread did, as far as the time that
/// this took can tell. Where std has no clock, always returns `true`.
pub(crate) fn yield_to_others() -> bool {
    /// A yield to no other thread is a system call. One to a thread that yields at once is two
    /// switches more.
    const TO_NOBODY: Duration = Duration::from_micros(1);
    let before = now();
    yield_now();
    before.is_none_or(|before| before.elapsed() > TO_NOBODY)
}

/// The time, where std can tell it. In a module in a browser tasks may wait, but std has no clock.
pub(crate) fn now() -> Option<Instant> {
    let no_clock = cfg!(all(target_family = "wasm", target_os = "unknown"));
    (!no_clock).then(Instant::now)
}

/// Leaves the CPU for about `duration`.
#[cfg(any(test, not(any(loom, shuttle))))]
#[cfg_attr(any(loom, shuttle), expect(unused_variables, reason = "time does not pass in a model"))]
pub(crate) fn nap(duration: Duration) {
    #[cfg(not(any(loom, shuttle)))]
    std::thread::sleep(duration);
    #[cfg(any(loom, shuttle))]
    yield_now();
}

/// What the calling thread has waited for, so that tests need no clock.
#[cfg(all(test, feature = "async"))]
pub(crate) mod counted {
    use std::cell::{Cell, RefCell};

    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) enum Wait {
        Pause,
        Yield,
    }

    thread_local! {
        static WAITS: RefCell<Vec<Wait>> = const { RefCell::new(Vec::new()) };
        static ON_YIELD: Cell<Option<fn()>> = const { Cell::new(None) };
    }

    pub(super) fn note(wait: Wait) {
        WAITS.with_borrow_mut(|waits| waits.push(wait));
        if let (Wait::Yield, Some(f)) = (wait, ON_YIELD.get()) {
            f();
        }
    }

    /// Runs `f`, and returns what this thread has waited for in it.
    pub(crate) fn waits_in(f: impl FnOnce()) -> Vec<Wait> {
        WAITS.take();
        f();
        WAITS.take()
    }

    /// The same, and calls `on_yield` at each yield.
    pub(crate) fn waits_in_with(on_yield: fn(), f: impl FnOnce()) -> Vec<Wait> {
        ON_YIELD.set(Some(on_yield));
        let waits = waits_in(f);
        ON_YIELD.set(None);
        waits
    }
}
