//! i_rwsem and i_mmap_sem: a whole-file rwsem, a range lock, or nothing.
//!
//! A lock that is free is taken without looking at the clock. Only a thread that must wait measures how long,
//! and adds it to a sum of its own, which [`waited`] hands out.

use std::cell::Cell;
use std::cmp::Ordering;
use std::fmt;
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use parking_lot::{RwLock, RwLockReadGuard, RwLockWriteGuard};
use range_lock::{ManyGuard, RangeLock, RangeReadGuard, RangeWriteGuard, Request};

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

/// Holds parts of two [`Sem`]s, or two of one, until it is dropped.
#[must_use]
#[expect(dead_code, reason = "the guards are held, never read")]
pub(crate) enum BothGuard<'a> {
    OneByOne(SemGuard<'a>, Option<SemGuard<'a>>),
    AtOnce(ManyGuard<'a>),
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

    /// Exclusive over `bytes` of this lock and `other_bytes` of another, or of the same. Those who take two
    /// locks so cannot deadlock each other: rwsems are taken in the order of their addresses, as Linux does
    /// with two i_rwsems and two invalidate locks, and ranges as one request.
    pub(crate) fn write_both<'a>(
        &'a self,
        bytes: RangeInclusive<u64>,
        other: &'a Sem,
        other_bytes: RangeInclusive<u64>,
        schedule: &Schedule,
    ) -> BothGuard<'a> {
        if let (Kind::Range(lock), Kind::Range(other)) = (&self.kind, &other.kind) {
            let first = *bytes.start();
            let both = [Request::write(lock, bytes), Request::write(other, other_bytes)];
            return BothGuard::AtOnce(match RangeLock::try_acquire_many(both) {
                Some(guard) => guard,
                None => self.wait(first, schedule, || RangeLock::acquire_many(both)),
            });
        }
        let address = |sem: &Sem| std::ptr::from_ref(sem).addr();
        match address(self).cmp(&address(other)) {
            Ordering::Equal => BothGuard::OneByOne(self.write(bytes, schedule), None),
            Ordering::Less => {
                let guard = self.write(bytes, schedule);
                BothGuard::OneByOne(guard, Some(other.write(other_bytes, schedule)))
            }
            Ordering::Greater => {
                let guard = other.write(other_bytes, schedule);
                BothGuard::OneByOne(guard, Some(self.write(bytes, schedule)))
            }
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

    #[test]
    fn two_locks_are_taken_in_either_order_by_many_and_one_lock_twice_by_one() {
        let schedule = Schedule::none();
        for kind in [LockKind::Rwsem, LockKind::RangeLock, LockKind::None] {
            let sems = [(); 2].map(|()| Sem::new(kind, SchedulePoint::IRwsemContended));
            drop(sems[0].write_both(0..=9, &sems[0], 5..=u64::MAX, &schedule));
            std::thread::scope(|s| {
                for thread in 0..4 {
                    let (sems, schedule) = (&sems, &schedule);
                    s.spawn(move || {
                        let (one, other) = (&sems[thread % 2], &sems[1 - thread % 2]);
                        for _ in 0..1000 {
                            drop(one.write_both(0..=4095, other, 0..=4095, schedule));
                        }
                    });
                }
            });
        }
    }
}
