//! i_rwsem and i_mmap_sem: a whole-file rwsem, a range lock, or nothing.
//!
//! A free lock is taken without a look at the clock. Only a thread that must wait measures how
//! long. It adds the time to a sum of its own, which [`waited`] returns.

use std::cell::Cell;
use std::cmp::Ordering;
use std::fmt;
use std::ops::Range;
use std::time::{Duration, Instant};

use parking_lot::{RwLock, RwLockReadGuard, RwLockWriteGuard};
use range_lock::{ManyGuard, RangeLock, RangeReadGuard, RangeWriteGuard, Request};

use crate::schedule::{Asked, Held, LockClass, LockRequest, Schedule, SchedulePoint};
use crate::variant::LockKind;

/// Returns how long the calling thread has waited for i_rwsem and i_mmap_sem since this thread last
/// called this function. The first call counts from the start of the thread.
pub fn waited() -> Duration {
    WAITED.take()
}

thread_local! {
    static WAITED: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

/// A lock over the bytes of a file, as a whole or by ranges.
#[derive(Debug)]
pub(crate) struct Sem {
    kind: Kind,
    class: LockClass,
}

enum Kind {
    Rwsem(RwLock<()>),
    Range(RangeLock),
    /// A rwsem where threads are simulated: a range lock that is always taken whole. It grants
    /// requests in the order of arrival. Linux' rwsem queues tasks in this order, too, but may let
    /// a running task pass them.
    Whole(RangeLock),
    None,
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Rwsem(lock) if lock.is_locked() => "rwsem, held",
            Kind::Rwsem(_) => "rwsem, free",
            Kind::Range(_) => "range lock",
            Kind::Whole(_) => "rwsem, simulated",
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
    /// In a box, so that the other variants stay small.
    Watched(Box<(SemGuard<'a>, Held)>),
}

/// Holds parts of two [`Sem`]s, or two of one, until it is dropped.
#[must_use]
#[expect(dead_code, reason = "the guards are held, never read")]
#[allow(
    clippy::large_enum_variant,
    reason = "it lies on the stack, and a box would be allocated in each operation"
)]
pub(crate) enum BothGuard<'a> {
    OneByOne(SemGuard<'a>, Option<SemGuard<'a>>),
    AtOnce(ManyGuard<'a>, [Held; 2]),
}

impl Sem {
    /// A lock of this class, i_rwsem or i_mmap_sem.
    pub(crate) fn new(kind: LockKind, class: LockClass, schedule: &Schedule) -> Self {
        let kind = match kind {
            LockKind::Rwsem if schedule.is_controlled() => Kind::Whole(RangeLock::new()),
            LockKind::Rwsem => Kind::Rwsem(RwLock::new(())),
            LockKind::RangeLock => Kind::Range(RangeLock::new()),
            LockKind::None => Kind::None,
        };
        Self { kind, class }
    }

    /// Takes it shared over `bytes`, which end at [`u64::MAX`] if they have no end. A rwsem knows
    /// no ranges and takes all.
    #[inline]
    #[track_caller]
    pub(crate) fn read(&self, bytes: Range<u64>, schedule: &Schedule) -> SemGuard<'_> {
        if schedule.is_quiet() {
            self.read_now(bytes, schedule)
        } else {
            self.watched(bytes, false, schedule)
        }
    }

    /// Takes it exclusive over `bytes`, which end at [`u64::MAX`] if they have no end. A rwsem
    /// knows no ranges and takes all.
    #[inline]
    #[track_caller]
    pub(crate) fn write(&self, bytes: Range<u64>, schedule: &Schedule) -> SemGuard<'_> {
        if schedule.is_quiet() {
            self.write_now(bytes, schedule)
        } else {
            self.watched(bytes, true, schedule)
        }
    }

    #[inline(always)]
    fn read_now(&self, bytes: Range<u64>, schedule: &Schedule) -> SemGuard<'_> {
        match &self.kind {
            Kind::Rwsem(lock) => match lock.try_read() {
                Some(guard) => SemGuard::Shared(guard),
                None => self.wait(bytes.start, schedule, || SemGuard::Shared(lock.read())),
            },
            Kind::Range(lock) => match lock.try_read(bytes.clone()) {
                Some(guard) => SemGuard::SharedRange(guard),
                None => self.wait(bytes.start, schedule, || SemGuard::SharedRange(lock.read(bytes))),
            },
            Kind::None | Kind::Whole(_) => SemGuard::Nothing,
        }
    }

    #[inline(always)]
    fn write_now(&self, bytes: Range<u64>, schedule: &Schedule) -> SemGuard<'_> {
        match &self.kind {
            Kind::Rwsem(lock) => match lock.try_write() {
                Some(guard) => SemGuard::Exclusive(guard),
                None => self.wait(bytes.start, schedule, || SemGuard::Exclusive(lock.write())),
            },
            Kind::Range(lock) => match lock.try_write(bytes.clone()) {
                Some(guard) => SemGuard::ExclusiveRange(guard),
                None => self.wait(bytes.start, schedule, || SemGuard::ExclusiveRange(lock.write(bytes))),
            },
            Kind::None | Kind::Whole(_) => SemGuard::Nothing,
        }
    }

    /// The same where the order of locks is checked, or threads are simulated.
    #[cold]
    #[track_caller]
    fn watched(&self, bytes: Range<u64>, exclusive: bool, schedule: &Schedule) -> SemGuard<'_> {
        let asked = self.locking(&bytes, exclusive, schedule);
        let guard = match &self.kind {
            Kind::Range(lock) | Kind::Whole(lock) if schedule.is_controlled() => {
                let bytes = self.range(bytes);
                if exclusive {
                    SemGuard::ExclusiveRange(schedule.queue_for(lock.write_async(bytes)))
                } else {
                    SemGuard::SharedRange(schedule.queue_for(lock.read_async(bytes)))
                }
            }
            _ if exclusive => self.write_now(bytes, schedule),
            _ => self.read_now(bytes, schedule),
        };
        SemGuard::Watched(Box::new((guard, asked.granted())))
    }

    /// Takes `bytes` of this lock and `other_bytes` of another, or of the same, exclusive. Threads
    /// that take two locks in this way cannot deadlock each other. Rwsems are taken in the order of
    /// their addresses, as Linux does with two i_rwsems and two invalidate locks. Ranges are taken
    /// as one request.
    #[track_caller]
    pub(crate) fn write_both<'a>(
        &'a self,
        bytes: Range<u64>,
        other: &'a Sem,
        other_bytes: Range<u64>,
        schedule: &Schedule,
    ) -> BothGuard<'a> {
        if let (Kind::Range(lock), Kind::Range(other_lock)) = (&self.kind, &other.kind) {
            let first = bytes.start;
            let asked = [
                self.locking(&bytes, true, schedule),
                schedule.locking_too(|| LockRequest::part(other.class, other, other_bytes.clone(), true)),
            ];
            let both = [Request::write(lock, bytes), Request::write(other_lock, other_bytes)];
            let guard = match RangeLock::try_acquire_many(both) {
                Some(guard) => guard,
                None if schedule.is_controlled() => schedule.queue_for(RangeLock::acquire_many_async(both)),
                None => self.wait(first, schedule, || RangeLock::acquire_many(both)),
            };
            return BothGuard::AtOnce(guard, asked.map(Asked::granted));
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

    /// The range that is locked for a request of `bytes`.
    fn range(&self, bytes: Range<u64>) -> Range<u64> {
        if matches!(self.kind, Kind::Range(_)) { bytes } else { 0..u64::MAX }
    }

    #[inline]
    #[track_caller]
    fn locking(&self, bytes: &Range<u64>, exclusive: bool, schedule: &Schedule) -> Asked {
        if matches!(self.kind, Kind::None) {
            return Asked::FOR_NOTHING;
        }
        schedule.locking(|| LockRequest::part(self.class, self, self.range(bytes.clone()), exclusive))
    }

    #[cold]
    fn wait<G>(&self, first: u64, schedule: &Schedule, acquire: impl FnOnce() -> G) -> G {
        let contended = match self.class {
            LockClass::IRwsem => SchedulePoint::IRwsemContended,
            _ => SchedulePoint::IMmapSemContended,
        };
        schedule.pass(contended, first / crate::pmem::BLOCK_SIZE);
        let start = Instant::now();
        let guard = acquire();
        WAITED.set(WAITED.get() + start.elapsed());
        guard
    }
}

#[cfg(test)]
mod tests {
    use std::ops::RangeInclusive;

    use range_lock::{Mode, RequestState};

    use super::*;

    impl Sem {
        /// What is held of it at this moment where threads are simulated, and whether exclusively.
        pub(crate) fn taken(&self) -> Vec<(Range<u64>, bool)> {
            let (Kind::Range(lock) | Kind::Whole(lock)) = &self.kind else { return Vec::new() };
            let requests = lock.requests();
            let held = requests.iter().filter(|request| request.state() == RequestState::Held);
            let bytes = |range: RangeInclusive<u64>| *range.start()..range.end() + 1;
            held.map(|request| (bytes(request.range()), request.mode() == Mode::Write)).collect()
        }
    }

    #[test]
    fn only_the_range_lock_lets_disjoint_writers_in_together() {
        // Locks of one class are taken in any order here.
        let (schedule, class) = (Schedule::none().with_checks(false), LockClass::IRwsem);
        let [rwsem, range, none] = [LockKind::Rwsem, LockKind::RangeLock, LockKind::None]
            .map(|kind| Sem::new(kind, class, &schedule));
        let _held = [&rwsem, &range, &none].map(|sem| sem.write(0..4096, &schedule));
        let _disjoint = range.write(4096..u64::MAX, &schedule);
        let _overlapping = none.write(0..4096, &schedule);
        let Kind::Rwsem(lock) = &rwsem.kind else { unreachable!() };
        assert!(lock.try_read().is_none());
        let Kind::Range(lock) = &range.kind else { unreachable!() };
        assert!(lock.try_read(4095..4097).is_none());
        assert_eq!(waited(), Duration::ZERO);
    }

    #[test]
    fn two_locks_are_taken_in_either_order_by_many_and_one_lock_twice_by_one() {
        let schedule = Schedule::none();
        for kind in [LockKind::Rwsem, LockKind::RangeLock, LockKind::None] {
            let sems = [(); 2].map(|()| Sem::new(kind, LockClass::IRwsem, &schedule));
            drop(sems[0].write_both(0..10, &sems[0], 5..u64::MAX, &schedule));
            std::thread::scope(|s| {
                for thread in 0..4 {
                    let (sems, schedule) = (&sems, &schedule);
                    s.spawn(move || {
                        let (one, other) = (&sems[thread % 2], &sems[1 - thread % 2]);
                        for _ in 0..1000 {
                            drop(one.write_both(0..4096, other, 0..4096, schedule));
                        }
                    });
                }
            });
        }
    }
}
