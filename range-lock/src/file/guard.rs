//! The guards: what is held of a file, borrowed from the lock or owning a share of it.
//! It uses the lock, which is this folder's root, and what this process has locked of the file.
//!
//! All six types are shells around [`Held`]; their type says the mode.

use std::error::Error;
use std::fmt;
use std::io;
use std::mem;
use std::ops::{Deref, RangeBounds, RangeInclusive};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::bytes::Wait;
use super::{FileRangeLock, error};
use crate::ids::RequestId;
use crate::lock::{ArcRangeReadGuard, ArcRangeUpgradableReadGuard, ArcRangeWriteGuard, RangeLock};
use crate::mode::Mode;
use crate::span::Span;

/// A verb that would have changed a guard and could not, and the guard as it was.
///
/// Converts into the error, so that `?` drops the guard, and so unlocks, in a function that returns
/// `io::Result`.
#[must_use = "if unused the range is unlocked at once"]
pub struct Unchanged<G> {
    /// What is held as before.
    pub guard: G,
    /// Why. The kind is [`WouldBlock`](io::ErrorKind::WouldBlock) or
    /// [`TimedOut`](io::ErrorKind::TimedOut) if others are in the way.
    pub error: io::Error,
}

impl<G> fmt::Debug for Unchanged<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unchanged").field("error", &self.error).finish_non_exhaustive()
    }
}

impl<G> fmt::Display for Unchanged<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl<G> Error for Unchanged<G> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.error.source()
    }
}

impl<G> From<Unchanged<G>> for io::Error {
    fn from(unchanged: Unchanged<G>) -> Self {
        unchanged.error
    }
}

/// What is held in this process.
enum Local {
    Read(ArcRangeReadGuard),
    Upgradable(ArcRangeUpgradableReadGuard),
    Write(ArcRangeWriteGuard),
}

impl Local {
    fn acquire(lock: &Arc<RangeLock>, span: Span, mode: Mode, wait: Wait) -> Option<Self> {
        let range = RangeInclusive::from(span);
        Some(match (mode, wait) {
            (Mode::Read, Wait::Not) => Local::Read(lock.try_read_arc(range)?),
            (Mode::Read, Wait::Until(deadline)) => Local::Read(lock.try_read_arc_until(range, deadline)?),
            (Mode::Read, Wait::Forever) => Local::Read(lock.read_arc(range)),
            (Mode::Upgradable, Wait::Not) => Local::Upgradable(lock.try_upgradable_read_arc(range)?),
            (Mode::Upgradable, Wait::Until(deadline)) => {
                Local::Upgradable(lock.try_upgradable_read_arc_until(range, deadline)?)
            }
            (Mode::Upgradable, Wait::Forever) => Local::Upgradable(lock.upgradable_read_arc(range)),
            (Mode::Write, Wait::Not) => Local::Write(lock.try_write_arc(range)?),
            (Mode::Write, Wait::Until(deadline)) => Local::Write(lock.try_write_arc_until(range, deadline)?),
            (Mode::Write, Wait::Forever) => Local::Write(lock.write_arc(range)),
        })
    }

    fn mode(&self) -> Mode {
        match self {
            Local::Read(_) => Mode::Read,
            Local::Upgradable(_) => Mode::Upgradable,
            Local::Write(_) => Mode::Write,
        }
    }

    fn id(&self) -> Option<RequestId> {
        match self {
            Local::Read(guard) => guard.id(),
            Local::Upgradable(guard) => guard.id(),
            Local::Write(guard) => guard.id(),
        }
    }

    fn shrink(&mut self, span: Span) {
        let range = RangeInclusive::from(span);
        match self {
            Local::Read(guard) => ArcRangeReadGuard::shrink(guard, range),
            Local::Upgradable(guard) => ArcRangeUpgradableReadGuard::shrink(guard, range),
            Local::Write(guard) => ArcRangeWriteGuard::shrink(guard, range),
        }
    }

    fn split_at(self, mid: u64) -> (Self, Self) {
        match self {
            Local::Read(guard) => {
                let (left, right) = ArcRangeReadGuard::split_at(guard, mid);
                (Local::Read(left), Local::Read(right))
            }
            Local::Upgradable(guard) => {
                let (left, right) = ArcRangeUpgradableReadGuard::split_at(guard, mid);
                (Local::Upgradable(left), Local::Upgradable(right))
            }
            Local::Write(guard) => {
                let (left, right) = ArcRangeWriteGuard::split_at(guard, mid);
                (Local::Write(left), Local::Write(right))
            }
        }
    }

    fn downgrade(self, to: Mode) -> Self {
        match (self, to) {
            (Local::Write(guard), Mode::Upgradable) => {
                Local::Upgradable(ArcRangeWriteGuard::downgrade_to_upgradable(guard))
            }
            (Local::Write(guard), _) => Local::Read(ArcRangeWriteGuard::downgrade(guard)),
            (Local::Upgradable(guard), Mode::Read) => {
                Local::Read(ArcRangeUpgradableReadGuard::downgrade(guard))
            }
            (local, _) => local,
        }
    }

    /// Makes an upgradable reader a writer, unless other readers of this process stay in.
    fn upgrade(self, wait: Wait) -> Result<Self, Self> {
        let Local::Upgradable(guard) = self else { return Ok(self) };
        let upgraded = match wait {
            Wait::Until(deadline) => ArcRangeUpgradableReadGuard::try_upgrade_until(guard, deadline),
            Wait::Not | Wait::Forever => ArcRangeUpgradableReadGuard::try_upgrade(guard),
        };
        upgraded.map(Local::Write).map_err(Local::Upgradable)
    }
}

/// What is held of a file, and the lock that it is held by, which `L` borrows or owns a share of.
///
/// Released when dropped: first in the file, then in this process. An owned share of the lock is
/// dropped after that.
struct Held<L: Deref<Target = FileRangeLock>> {
    lock: L,
    /// `None` if the range is empty.
    part: Option<Part>,
}

/// A range that is held in this process and in the file.
struct Part {
    span: Span,
    local: Local,
}

impl<L: Deref<Target = FileRangeLock>> Held<L> {
    #[track_caller]
    fn acquire(lock: L, range: &impl RangeBounds<u64>, mode: Mode, wait: Wait) -> io::Result<Option<Self>> {
        let Some(span) = lock.begin(range, mode)? else { return Ok(Some(Held { lock, part: None })) };
        let Some(local) = Local::acquire(&lock.local, span, mode, wait) else { return Ok(None) };
        // Otherwise, and where it fails, `local` is released here.
        let entered = lock.bytes.enter(span, mode, wait)?;
        Ok(entered.then(|| Held { lock, part: Some(Part { span, local }) }))
    }

    fn range(&self) -> RangeInclusive<u64> {
        match &self.part {
            Some(part) => part.span.into(),
            #[expect(clippy::reversed_empty_ranges, reason = "an empty closed range has no other form")]
            None => 1..=0,
        }
    }

    fn release(&mut self) -> io::Result<()> {
        let Some(Part { span, local }) = self.part.take() else { return Ok(()) };
        if let Err(error) = self.lock.check_process() {
            // What is in the file is the parent's, and the local lock may have been copied locked.
            mem::forget(local);
            return Err(error);
        }
        let released = self.lock.bytes.leave(span, local.mode());
        drop(local);
        released
    }

    #[track_caller]
    fn shrink(&mut self, range: &impl RangeBounds<u64>) -> io::Result<()> {
        self.lock.check_process()?;
        let Some(kept) = super::express(range)? else { return self.release() };
        let Some(Part { span, local }) = self.part.as_mut().filter(|part| part.span.covers(kept)) else {
            panic!("range {kept:?} is not part of the range held, {:?}", self.range())
        };
        let (bytes, mode, mut result) = (&self.lock.bytes, local.mode(), Ok(()));
        if span.first < kept.first {
            result = bytes.leave(Span { first: span.first, last: kept.first - 1 }, mode);
        }
        if kept.last < span.last {
            result = result.and(bytes.leave(Span { first: kept.last + 1, last: span.last }, mode));
        }
        local.shrink(kept);
        *span = kept;
        result
    }

    fn is_still_held(&self) -> io::Result<bool> {
        self.lock.check_process()?;
        match &self.part {
            Some(part) => self.lock.is_locked_in_the_file(part.span, part.local.mode()),
            None => Ok(true),
        }
    }

    fn downgrade(mut self, to: Mode) -> Result<Self, Unchanged<Self>> {
        if let Err(error) = self.lock.check_process() {
            return Err(Unchanged { guard: self, error });
        }
        if let Some(Part { span, local }) = self.part.take() {
            let done = if local.mode() == Mode::Write { self.lock.bytes.downgrade(span) } else { Ok(()) };
            let local = if done.is_ok() { local.downgrade(to) } else { local };
            self.part = Some(Part { span, local });
            if let Err(error) = done {
                return Err(Unchanged { guard: self, error });
            }
        }
        Ok(self)
    }

    fn upgrade(mut self, wait: Wait) -> Result<Self, Unchanged<Self>> {
        let checked =
            self.lock.check_process().and_then(|()| self.lock.bytes.description.allows(Mode::Write));
        if let Err(error) = checked {
            return Err(Unchanged { guard: self, error });
        }
        let Some(Part { span, local }) = self.part.take() else { return Ok(self) };
        let in_the_way = || match wait {
            Wait::Not => error::would_block(span),
            _ => error::timed_out(span),
        };
        let (local, done) = match local.upgrade(wait) {
            Err(local) => (local, Err(in_the_way())),
            Ok(local) => match self.lock.bytes.upgrade(span, wait) {
                Ok(true) => (local, Ok(())),
                Ok(false) => (local.downgrade(Mode::Upgradable), Err(in_the_way())),
                Err(error) => (local.downgrade(Mode::Upgradable), Err(error)),
            },
        };
        self.part = Some(Part { span, local });
        match done {
            Ok(()) => Ok(self),
            Err(error) => Err(Unchanged { guard: self, error }),
        }
    }
}

impl<L: Deref<Target = FileRangeLock> + Clone> Held<L> {
    #[track_caller]
    fn split_at(mut self, mid: u64) -> (Self, Self) {
        let lock = self.lock.clone();
        let Some(span) = self.part.as_ref().map(|part| part.span) else {
            return (self, Held { lock, part: None });
        };
        if mid == span.first {
            return (Held { lock, part: None }, self);
        }
        if mid == span.last + 1 {
            return (self, Held { lock, part: None });
        }
        // If this unwinds, `self` releases the range.
        assert!(span.contains(mid), "cannot split at {mid}: the range held is {span:?}");
        let part = self.part.take().expect("it has a span");
        let (left, right) = part.local.split_at(mid);
        self.part = Some(Part { span: Span { first: span.first, last: mid - 1 }, local: left });
        let part = Some(Part { span: Span { first: mid, last: span.last }, local: right });
        (self, Held { lock, part })
    }
}

impl<L: Deref<Target = FileRangeLock>> Drop for Held<L> {
    fn drop(&mut self) {
        // What could not be unlocked is owed.
        let _ = self.release();
    }
}

/// A guard's type and what all guards can do.
macro_rules! guard {
    (
        $(#[$doc:meta])*
        $Guard:ident [$($lifetime:lifetime)?] $lock:ty,
        $mode:expr, $setup:literal, $acquire:literal
    ) => {
        $(#[$doc])*
        ///
        /// Bind it to a name: `let _ =` drops it, and so unlocks, at once.
        ///
        /// Dropping it in a forked child unlocks nothing: what is held is the parent's.
        #[must_use = "if unused the range is unlocked at once"]
        pub struct $Guard$(<$lifetime>)? {
            held: Held<$lock>,
        }

        impl$(<$lifetime>)? $Guard$(<$lifetime>)? {
            #[track_caller]
            pub(super) fn acquire(
                lock: $lock,
                range: &impl RangeBounds<u64>,
                wait: Wait,
            ) -> io::Result<Option<Self>> {
                Ok(Held::acquire(lock, range, $mode, wait)?.map(|held| Self { held }))
            }

            /// The bytes that are held. An empty range is given as `1..=0`, wherever it was asked
            /// for. A range without an end is held to byte 2^63 - 1, the last one that a file can
            /// have.
            ///
            /// ```
            #[doc = $setup]
            #[doc = concat!("assert_eq!(lock.", $acquire, "(3..7)?.range(), 3..=6);")]
            #[doc = concat!("assert_eq!(lock.", $acquire, "(3..)?.range(), 3..=i64::MAX as u64);")]
            /// # Ok::<(), std::io::Error>(())
            /// ```
            pub fn range(&self) -> RangeInclusive<u64> {
                self.held.range()
            }

            /// Which of the lock's [`requests`](FileRangeLock::requests) the guard stands for;
            /// `None` if its range is empty.
            ///
            /// ```
            #[doc = $setup]
            #[doc = concat!("let guard = lock.", $acquire, "(0..10)?;")]
            /// assert_eq!(guard.id(), Some(lock.requests()[0].id()));
            /// # Ok::<(), std::io::Error>(())
            /// ```
            pub fn id(&self) -> Option<RequestId> {
                self.held.part.as_ref()?.local.id()
            }

            /// Releases the range, and reports whether the file has been unlocked. Dropping the
            /// guard does the same and drops the error.
            ///
            /// ```
            #[doc = concat!("# use range_lock::file::", stringify!($Guard), ";")]
            #[doc = $setup]
            #[doc = concat!("let guard = lock.", $acquire, "(0..10)?;")]
            #[doc = concat!(stringify!($Guard), "::release(guard)?;")]
            /// # Ok::<(), std::io::Error>(())
            /// ```
            ///
            /// # Errors
            ///
            /// If the kernel or the server refuses to unlock. The range is released in this process
            /// all the same. What is still locked in the file is unlocked by a later verb, as soon
            /// as that works, by [`settle`](FileRangeLock::settle), or when the lock is dropped.
            ///
            /// In a forked child, which has nothing to release.
            pub fn release(mut guard: Self) -> io::Result<()> {
                guard.held.release()
            }

            /// Releases all but `range`. Bytes that another reader of this process holds stay
            /// locked in the file.
            ///
            /// This is an associated function, as are all that change a guard.
            ///
            /// ```
            #[doc = concat!("# use range_lock::file::", stringify!($Guard), ";")]
            #[doc = $setup]
            #[doc = concat!("let mut guard = lock.", $acquire, "(0..100)?;")]
            #[doc = concat!(stringify!($Guard), "::shrink(&mut guard, 10..20)?;")]
            /// assert_eq!(guard.range(), 10..=19);
            /// assert!(other.try_write(20..100)?.is_some());
            /// # Ok::<(), std::io::Error>(())
            /// ```
            ///
            /// # Errors
            ///
            /// As for [`release`](Self::release): the guard is shrunk all the same. A range that
            /// the kernel cannot express is an error too, as is any call in a forked child, and the
            /// guard stays as it was.
            ///
            /// # Panics
            ///
            /// If `range` is inverted, or not part of what is held; the guard stays as it was. An
            /// empty range is part of any: it releases everything.
            #[track_caller]
            pub fn shrink(guard: &mut Self, range: impl RangeBounds<u64>) -> io::Result<()> {
                guard.held.shrink(&range)
            }

            /// Makes two guards of one: the first holds what lies before `mid`, the second the
            /// rest. The file is not asked, so this cannot fail.
            ///
            /// ```
            #[doc = concat!("# use range_lock::file::", stringify!($Guard), ";")]
            #[doc = $setup]
            #[doc = concat!("let guard = lock.", $acquire, "(0..100)?;")]
            #[doc = concat!("let (left, right) = ", stringify!($Guard), "::split_at(guard, 30);")]
            /// drop(left);
            /// assert!(other.try_write(0..30)?.is_some());
            /// assert!(other.try_write(30..31)?.is_none());
            /// # Ok::<(), std::io::Error>(())
            /// ```
            ///
            /// # Panics
            ///
            /// If `mid` lies before what is held, or behind its end; at either end one of the two
            /// is empty. The range is released then, as by any panic that drops a guard.
            #[track_caller]
            pub fn split_at(guard: Self, mid: u64) -> (Self, Self) {
                let (left, right) = guard.held.split_at(mid);
                (Self { held: left }, Self { held: right })
            }

            /// Whether the first byte of the range is still locked in the file, as far as can be
            /// seen from outside: by a probe through a second description.
            ///
            /// The kernel keeps a lock until it is released. A server may drop the locks of a
            /// machine that it has not heard of for a while, and grant them to another. Two things
            /// are asked: whether some other description has a conflicting lock on the byte, and
            /// whether the byte is locked at all. So for a reader, other readers of the byte can
            /// hide that its own lock is gone. An NFS client answers the second question from its
            /// own memory.
            ///
            /// ```
            #[doc = concat!("# use range_lock::file::", stringify!($Guard), ";")]
            #[doc = $setup]
            #[doc = concat!("let guard = lock.", $acquire, "(0..100)?;")]
            #[doc = concat!("assert!(", stringify!($Guard), "::is_still_held(&guard)?);")]
            /// # Ok::<(), std::io::Error>(())
            /// ```
            ///
            /// # Errors
            ///
            /// If the file cannot be opened once more, if the kernel or the server does not answer,
            /// and in a forked child.
            pub fn is_still_held(guard: &Self) -> io::Result<bool> {
                guard.held.is_still_held()
            }
        }

        impl$(<$lifetime>)? fmt::Debug for $Guard$(<$lifetime>)? {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($Guard)).field("range", &self.range()).finish_non_exhaustive()
            }
        }
    };
}

/// The three guards of one family, borrowed or owned, and the ways between them.
macro_rules! guards {
    (
        [$($lifetime:lifetime)?] $lock:ty, $kind:literal, $setup:literal,
        $Read:ident, $read:literal,
        $Upgradable:ident, $upgradable:literal,
        $Write:ident, $write:literal
    ) => {
        guard! {
            #[doc = concat!("Bytes of a file that are locked for reading, by a guard that ", $kind, ".")]
            ///
            #[doc = concat!("Made by [`FileRangeLock::", $read, "`] and its `try_` forms. Releases the bytes when dropped, on")]
            /// any thread of the process.
            $Read [$($lifetime)?] $lock, Mode::Read, $setup, $read
        }

        guard! {
            #[doc = concat!("Bytes of a file that are locked for reading and can be upgraded, by a guard that ", $kind, ".")]
            ///
            #[doc = concat!("Made by [`FileRangeLock::", $upgradable, "`] and its `try_` forms. Releases the bytes when dropped,")]
            /// on any thread of the process.
            $Upgradable [$($lifetime)?] $lock, Mode::Upgradable, $setup, $upgradable
        }

        guard! {
            #[doc = concat!("Bytes of a file that are locked for writing, by a guard that ", $kind, ".")]
            ///
            #[doc = concat!("Made by [`FileRangeLock::", $write, "`] and its `try_` forms. Releases the bytes when dropped, on")]
            /// any thread of the process.
            $Write [$($lifetime)?] $lock, Mode::Write, $setup, $write
        }

        impl$(<$lifetime>)? $Write$(<$lifetime>)? {
            /// Goes on as a reader, without a moment in which the bytes are not locked.
            ///
            /// ```
            #[doc = concat!("# use range_lock::file::", stringify!($Write), ";")]
            #[doc = $setup]
            #[doc = concat!("let writer = lock.", $write, "(0..10)?;")]
            #[doc = concat!("let reader = ", stringify!($Write), "::downgrade(writer)?;")]
            /// assert!(other.try_read(0..10)?.is_some());
            /// assert!(other.try_write(0..10)?.is_none());
            /// # Ok::<(), std::io::Error>(())
            /// ```
            ///
            /// # Errors
            ///
            /// If the kernel or the server refuses, if the file is not open for reading, and in a
            /// forked child. The guard is a writer as before.
            pub fn downgrade(guard: Self) -> Result<$Read$(<$lifetime>)?, Unchanged<Self>> {
                convert(guard.held.downgrade(Mode::Read), |held| $Read { held }, |held| Self { held })
            }

            /// Goes on as an upgradable reader, without a moment in which the bytes are not locked.
            ///
            /// ```
            #[doc = concat!("# use range_lock::file::", stringify!($Write), ";")]
            #[doc = $setup]
            #[doc = concat!("let writer = lock.", $write, "(0..10)?;")]
            #[doc = concat!("let looking = ", stringify!($Write), "::downgrade_to_upgradable(writer)?;")]
            /// assert!(other.try_read(0..10)?.is_some());
            /// assert!(lock.try_upgradable_read(0..10)?.is_none());
            /// # Ok::<(), std::io::Error>(())
            /// ```
            ///
            /// # Errors
            ///
            /// As for [`downgrade`](Self::downgrade).
            pub fn downgrade_to_upgradable(
                guard: Self,
            ) -> Result<$Upgradable$(<$lifetime>)?, Unchanged<Self>> {
                let held = guard.held.downgrade(Mode::Upgradable);
                convert(held, |held| $Upgradable { held }, |held| Self { held })
            }
        }

        impl$(<$lifetime>)? $Upgradable$(<$lifetime>)? {
            /// Becomes a writer if no other reader is in, in this process or another.
            ///
            /// Among threads of this process there is one upgradable reader of a byte at a time.
            /// Among processes there is no such thing, so two that wait to upgrade the same byte
            /// would wait for each other for ever. That is why an upgrade has no form that waits
            /// without a limit. If it fails, let the guard go, and take the range with `write`.
            ///
            /// ```
            #[doc = concat!("# use range_lock::file::", stringify!($Upgradable), ";")]
            #[doc = $setup]
            #[doc = concat!("let looking = lock.", $upgradable, "(0..10)?;")]
            /// let reader = other.read(5..15)?;
            #[doc = concat!("let unchanged = ", stringify!($Upgradable), "::try_upgrade(looking).unwrap_err();")]
            /// assert_eq!(unchanged.error.kind(), std::io::ErrorKind::WouldBlock);
            /// drop(reader);
            #[doc = concat!("let writer = ", stringify!($Upgradable), "::try_upgrade(unchanged.guard)?;")]
            /// # Ok::<(), std::io::Error>(())
            /// ```
            ///
            /// # Errors
            ///
            /// If another reader is in ([`WouldBlock`](io::ErrorKind::WouldBlock)), if the file is
            /// not open for writing, if the kernel or the server refuses, and in a forked child.
            /// The guard is an upgradable reader as before, and was one all the time.
            pub fn try_upgrade(guard: Self) -> Result<$Write$(<$lifetime>)?, Unchanged<Self>> {
                guard.upgrade(Wait::Not)
            }

            /// Becomes a writer; gives the guard back if that takes longer than `timeout`.
            ///
            /// ```
            /// # use std::time::Duration;
            #[doc = concat!("# use range_lock::file::", stringify!($Upgradable), ";")]
            #[doc = $setup]
            #[doc = concat!("let looking = lock.", $upgradable, "(0..10)?;")]
            /// let reader = other.read(5..15)?;
            /// let soon = Duration::from_millis(2);
            #[doc = concat!("let unchanged = ", stringify!($Upgradable), "::try_upgrade_for(looking, soon).unwrap_err();")]
            /// assert_eq!(unchanged.error.kind(), std::io::ErrorKind::TimedOut);
            /// assert!(other.try_read(0..10)?.is_some());
            /// # Ok::<(), std::io::Error>(())
            /// ```
            ///
            /// # Errors
            ///
            /// As for [`try_upgrade`](Self::try_upgrade); where another reader stays in, the kind
            /// is [`TimedOut`](io::ErrorKind::TimedOut).
            ///
            /// # Fairness and cancel safety
            ///
            /// No reader of this process comes in while it waits. Readers of other processes do. It
            /// looks again after pauses from 1 ms, doubling to 50 ms. The bytes are locked for
            /// reading all the time.
            pub fn try_upgrade_for(
                guard: Self,
                timeout: Duration,
            ) -> Result<$Write$(<$lifetime>)?, Unchanged<Self>> {
                // No wait is without a limit, also where the clock cannot tell its end.
                let longest = Duration::from_secs(u64::from(u32::MAX));
                guard.upgrade(Wait::after(timeout.min(longest)))
            }

            /// Becomes a writer; gives the guard back if that takes until `deadline`. As
            /// [`try_upgrade_for`](Self::try_upgrade_for).
            ///
            /// ```
            /// # use std::time::Instant;
            #[doc = concat!("# use range_lock::file::", stringify!($Upgradable), ";")]
            #[doc = $setup]
            #[doc = concat!("let looking = lock.", $upgradable, "(0..10)?;")]
            #[doc = concat!("let writer = ", stringify!($Upgradable), "::try_upgrade_until(looking, Instant::now())?;")]
            /// # Ok::<(), std::io::Error>(())
            /// ```
            ///
            /// # Errors
            ///
            /// As for [`try_upgrade_for`](Self::try_upgrade_for).
            pub fn try_upgrade_until(
                guard: Self,
                deadline: Instant,
            ) -> Result<$Write$(<$lifetime>)?, Unchanged<Self>> {
                guard.upgrade(Wait::Until(deadline))
            }

            fn upgrade(self, wait: Wait) -> Result<$Write$(<$lifetime>)?, Unchanged<Self>> {
                convert(self.held.upgrade(wait), |held| $Write { held }, |held| Self { held })
            }

            /// Goes on as a plain reader: another upgradable reader of this process may come in.
            /// The file is not asked.
            ///
            /// ```
            #[doc = concat!("# use range_lock::file::", stringify!($Upgradable), ";")]
            #[doc = $setup]
            #[doc = concat!("let looking = lock.", $upgradable, "(0..10)?;")]
            #[doc = concat!("let reading = ", stringify!($Upgradable), "::downgrade(looking)?;")]
            /// assert!(lock.try_upgradable_read(0..10)?.is_some());
            /// # Ok::<(), std::io::Error>(())
            /// ```
            ///
            /// # Errors
            ///
            /// In a forked child.
            pub fn downgrade(guard: Self) -> Result<$Read$(<$lifetime>)?, Unchanged<Self>> {
                convert(guard.held.downgrade(Mode::Read), |held| $Read { held }, |held| Self { held })
            }
        }
    };
}

/// Puts what is held into the shell that fits it.
fn convert<H, A, B>(
    done: Result<H, Unchanged<H>>,
    changed: impl FnOnce(H) -> A,
    unchanged: impl FnOnce(H) -> B,
) -> Result<A, Unchanged<B>> {
    match done {
        Ok(held) => Ok(changed(held)),
        Err(Unchanged { guard, error }) => Err(Unchanged { guard: unchanged(guard), error }),
    }
}

guards! {
    ['a] &'a FileRangeLock, "borrows the lock",
    "# let file = tempfile::tempfile()?;
# let lock = range_lock::file::FileRangeLock::from_file(&file)?;
# let other = range_lock::file::FileRangeLock::from_file(&file)?;",
    FileReadGuard, "read",
    FileUpgradableReadGuard, "upgradable_read",
    FileWriteGuard, "write"
}

guards! {
    [] Arc<FileRangeLock>, "owns a share of the lock",
    "# let file = tempfile::tempfile()?;
# let lock = std::sync::Arc::new(range_lock::file::FileRangeLock::from_file(&file)?);
# let other = range_lock::file::FileRangeLock::from_file(&file)?;",
    ArcFileReadGuard, "read_arc",
    ArcFileUpgradableReadGuard, "upgradable_read_arc",
    ArcFileWriteGuard, "write_arc"
}
