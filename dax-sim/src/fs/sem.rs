//! i_rwsem and i_mmap_sem: a whole-file rwsem, a range lock, or nothing.
//!
//! A lock that is free is taken without looking at the clock. Only a thread that must wait measures how long,
//! and adds it to a sum of its own, which [`waited`] hands out.

use std::cell::Cell;
use std::fmt;
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use parking_lot::{RwLock, RwLockReadGuard, RwLockWriteGuard};
use range_lock::{RangeLock, RangeReadGuard, RangeWriteGuard};

use crate::schedule::{Schedule, SchedulePoint};
use crate::variant::LockKind;

/// How long the calling thread has waited for i_rwsem and i_mmap_sem since it last asked.
pub fn waited() -> Duration {
    WAITED.take()
}

thread_local! {
    static WAITED: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

/// A lock over the bytes of a file, be it in one piece or not.
#[derive(Debug)]
pub(crate) struct Sem {
    kind: Kind,
    /// Passed by a thread that must wait.
    contended: SchedulePoint,
}

enum Kind {
    Rwsem(RwLock<()>),
    Range(RangeLock),
    None,
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Rwsem(lock) if lock.is_locked() => "rwsem, held",
            Kind::Rwsem(_) => "rwsem, free",
            Kind::Range(_) => "range lock",
            Kind::None => "none",
        })
    }
}

/// Holds a [`Sem`], or the range of it that was asked for, until it is dropped.
#[must_use]
#[expect(dead_code, reason = "the guards are held, never read")]
pub(crate) enum SemGuard<'a> {
    Shared(RwLockReadGuard<'a, ()>),
    Exclusive(RwLockWriteGuard<'a, ()>),
    SharedRange(RangeReadGuard<'a>),
    ExclusiveRange(RangeWriteGuard<'a>),
    Nothing,
}

impl Sem {
    pub(crate) fn new(kind: LockKind, contended: SchedulePoint) -> Self {
        let kind = match kind {
            LockKind::Rwsem => Kind::Rwsem(RwLock::new(())),
            LockKind::RangeLock => Kind::Range(RangeLock::new()),
            LockKind::None => Kind::None,
        };
        Self { kind, contended }
    }

    /// Shared over `bytes`; a rwsem knows no ranges and takes all.
    pub(crate) fn read(&self, bytes: RangeInclusive<u64>, schedule: &Schedule) -> SemGuard<'_> {
        match &self.kind {
            Kind::Rwsem(lock) => SemGuard::Shared(match lock.try_read() {
                Some(guard) => guard,
                None => self.wait(*bytes.start(), schedule, || lock.read()),
            }),
            Kind::Range(lock) => SemGuard::SharedRange(match lock.try_read(bytes.clone()) {
                Some(guard) => guard,
                None => self.wait(*bytes.start(), schedule, || lock.read(bytes)),
            }),
            Kind::None => SemGuard::Nothing,
        }
    }

    /// Exclusive over `bytes`; a rwsem knows no ranges and takes all.
    pub(crate) fn write(&self, bytes: RangeInclusive<u64>, schedule: &Schedule) -> SemGuard<'_> {
        match &self.kind {
            Kind::Rwsem(lock) => SemGuard::Exclusive(match lock.try_write() {
                Some(guard) => guard,
                None => self.wait(*bytes.start(), schedule, || lock.write()),
            }),
            Kind::Range(lock) => SemGuard::ExclusiveRange(match lock.try_write(bytes.clone()) {
                Some(guard) => guard,
                None => self.wait(*bytes.start(), schedule, || lock.write(bytes)),
            }),
            Kind::None => SemGuard::Nothing,
        }
    }

    #[cold]
    fn wait<G>(&self, first: u64, schedule: &Schedule, acquire: impl FnOnce() -> G) -> G {
        schedule.pass(self.contended, first / crate::pmem::BLOCK_SIZE);
        let start = Instant::now();
        let guard = acquire();
        WAITED.set(WAITED.get() + start.elapsed());
        guard
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_range_lock_lets_disjoint_writers_in_together() {
        let (schedule, point) = (Schedule::none(), SchedulePoint::IRwsemContended);
        let rwsem = Sem::new(LockKind::Rwsem, point);
        let range = Sem::new(LockKind::RangeLock, point);
        let none = Sem::new(LockKind::None, point);
        let _held = [&rwsem, &range, &none].map(|sem| sem.write(0..=4095, &schedule));
        let _disjoint = range.write(4096..=u64::MAX, &schedule);
        let _overlapping = none.write(0..=4095, &schedule);
        let Kind::Rwsem(lock) = &rwsem.kind else { unreachable!() };
        assert!(lock.try_read().is_none());
        let Kind::Range(lock) = &range.kind else { unreachable!() };
        assert!(lock.try_read(4095..=4096).is_none());
        assert_eq!(waited(), Duration::ZERO);
    }
}
