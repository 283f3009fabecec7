//! Schedule points: the steps between which another thread may matter.
//!
//! The races of the mail need a few nanoseconds' luck. Rather than hope for it, a file system may be told to
//! linger at these points ([`Schedule::widen`]), or to call out at them, so that a test or a demonstration
//! can order two threads step by step ([`Schedule::hook`]). The points and the delays are the same in every
//! variant; with neither, a point is one predictable branch, and plain overwrites pass none at all.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A step at which the order of threads matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SchedulePoint {
    /// A fault has asked the file system where the page's block is, and has not yet installed the answer.
    FaultLookedUp {
        /// Whether it is a write fault.
        write: bool,
    },
    /// write(2) has published a new block, and has not yet invalidated what maps its page.
    WritePublished,
    /// i_rwsem is not free: the thread is about to wait for it.
    IRwsemContended,
    /// i_mmap_sem is not free: the thread is about to wait for it.
    IMmapSemContended,
    /// The entry is locked: the thread is about to wait for it.
    EntryContended,
    /// An access through a mapping has read a translation, or read(2) has found a shared block, and has not
    /// yet used it.
    Translated,
}

/// What happens at schedule points.
#[derive(Clone, Default)]
pub struct Schedule(Kind);

#[derive(Clone, Default)]
enum Kind {
    #[default]
    Nothing,
    Widen {
        one_in: u32,
        delay: Duration,
    },
    Hook(Arc<dyn Fn(SchedulePoint, u64) + Send + Sync>),
}

impl Schedule {
    /// Nothing happens.
    pub fn none() -> Self {
        Self::default()
    }

    /// One in `one_in` passages of [`SchedulePoint::FaultLookedUp`] and [`SchedulePoint::WritePublished`],
    /// drawn at random, lingers for up to `delay`, and yields the CPU meanwhile. 0 means never.
    pub fn widen(one_in: u32, delay: Duration) -> Self {
        Self(Kind::Widen { one_in, delay })
    }

    /// Calls `hook` with the point and the page's index in its file, in the thread that passes it. The hook
    /// may block.
    pub fn hook(hook: impl Fn(SchedulePoint, u64) + Send + Sync + 'static) -> Self {
        Self(Kind::Hook(Arc::new(hook)))
    }

    /// A thread passes `point`, at work on `page`.
    #[inline]
    pub(crate) fn pass(&self, point: SchedulePoint, page: u64) {
        if !matches!(self.0, Kind::Nothing) {
            self.act(point, page);
        }
    }

    #[cold]
    fn act(&self, point: SchedulePoint, page: u64) {
        match &self.0 {
            Kind::Nothing => {}
            Kind::Widen { one_in, delay } => {
                let widened =
                    matches!(point, SchedulePoint::FaultLookedUp { .. } | SchedulePoint::WritePublished);
                if widened && *one_in > 0 && fastrand::u32(..*one_in) == 0 {
                    linger(delay.mul_f64(fastrand::f64()));
                }
            }
            Kind::Hook(hook) => hook(point, page),
        }
    }
}

impl fmt::Debug for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Nothing => f.write_str("Nothing"),
            Kind::Widen { one_in, delay } => {
                f.debug_struct("Widen").field("one_in", one_in).field("delay", delay).finish()
            }
            Kind::Hook(_) => f.write_str("Hook"),
        }
    }
}

/// Yields rather than spins: with more threads than CPUs a spinner would only keep out the thread it waits to
/// be overtaken by.
fn linger(delay: Duration) {
    let start = Instant::now();
    loop {
        std::thread::yield_now();
        if start.elapsed() >= delay {
            return;
        }
    }
}
