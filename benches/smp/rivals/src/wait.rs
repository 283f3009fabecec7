//! Waits by pauses first, then in a futex.

use std::ptr;
use std::sync::atomic::{AtomicU32, Ordering};

/// How many pauses a thread makes before it sleeps, if it waits its turn in a queue: about 1 ms, so
/// it spins as a spin lock does. It sleeps only to let more threads than CPUs make progress.
pub(crate) const LONG: u32 = 40_000;
/// How many pauses a thread makes before it sleeps, if it waits for a range: about 5 µs.
pub(crate) const SHORT: u32 = 200;

const SHUT: u32 = 0;
const ASLEEP: u32 = 1;
const OPEN: u32 = 2;

/// Where one thread waits until another thread opens it.
#[derive(Debug, Default)]
pub(crate) struct Gate(AtomicU32);

impl Gate {
    /// Shuts it. Only the thread that is going to wait does it, before other threads can know of
    /// it.
    pub(crate) fn shut(&self) {
        self.0.store(SHUT, Ordering::Relaxed);
    }

    /// Waits until it is open, with `pauses` pauses before it sleeps.
    pub(crate) fn wait(&self, pauses: u32) {
        for _ in 0..pauses {
            if self.0.load(Ordering::Acquire) == OPEN {
                return;
            }
            std::hint::spin_loop();
        }
        while self.0.compare_exchange(SHUT, ASLEEP, Ordering::Relaxed, Ordering::Acquire) != Err(OPEN) {
            sleep(&self.0, ASLEEP);
        }
    }

    /// Opens it. The waiting thread may use it again at once, so a wake-up may come to a later
    /// wait, which then looks again.
    pub(crate) fn open(&self) {
        if self.0.swap(OPEN, Ordering::Release) == ASLEEP {
            wake(&self.0, 1);
        }
    }
}

/// Sleeps while the word is `expected`. It may wake up early, so callers look again.
pub(crate) fn sleep(word: &AtomicU32, expected: u32) {
    let no_timeout = ptr::null::<libc::timespec>();
    let wait = libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG;
    // SAFETY: the word is a valid `u32`, and Linux only reads it.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), wait, expected, no_timeout) };
}

/// Wakes up to `n` threads that sleep on the word.
pub(crate) fn wake(word: &AtomicU32, n: i32) {
    let wake = libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG;
    // SAFETY: a wake-up does not use the memory.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), wake, n) };
}

/// Pauses that become longer, then yields.
#[derive(Debug, Default)]
pub(crate) struct Backoff(u32);

impl Backoff {
    const DOUBLINGS: u32 = 6;
    const LONGEST: u32 = 24;

    pub(crate) fn pause(&mut self) {
        if self.0 >= Self::LONGEST {
            std::thread::yield_now();
            return;
        }
        for _ in 0..1 << self.0.min(Self::DOUBLINGS) {
            std::hint::spin_loop();
        }
        self.0 += 1;
    }
}
