//! The guards: what is held of a file, borrowed from the lock or owning a share of the lock. It
//! uses the lock, which is this folder's root, and what this process has locked of the file.
//!
//! All six types wrap [`Held`]. The type of a guard names its mode. A guard has one borrow or share
//! of the file's lock, and reaches the lock among threads through it too.

use std::error::Error;
use std::fmt;
use std::io;
use std::ops::{Deref, RangeBounds, RangeInclusive};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::bytes::Wait;
use super::{FileRangeLock, error};
use crate::claim::Claim;
use crate::ids::RequestId;
use crate::lock::{self, RangeLock};
use crate::mode::Mode;
use crate::span::Span;
use crate::sync::Deadline;

/// The error of a function that could not change a guard. The error contains the unchanged guard.
///
/// The error converts into an `io::Error`. In a function that returns `io::Result`, `?` converts
/// the error and drops the guard, which unlocks the range.
#[must_use = "if unused the range is unlocked at once"]
pub struct Unchanged<G> {
    /// The unchanged guard, which holds the same range in the same mode as before.
    pub guard: G,
    /// The reason for the error. If locks of other readers are the reason, the kind of the error is
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) or [`TimedOut`](io::ErrorKind::TimedOut).
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

/// A file's lock, borrowed or shared, as the way to the lock among the threads of this process.
#[derive(Clone)]
struct Threads<L>(L);

impl<L: Deref<Target = FileRangeLock>> Deref for Threads<L> {
    type Target = RangeLock;

    #[inline]
    fn deref(&self) -> &RangeLock {
        &self.0.local
    }
}

/// What is held in this process.
type Local<L> = lock::Held<Threads<L>>;

fn acquire<L>(lock: L, claim: Option<Claim>, wait: Wait) -> Option<Local<L>>
where
    L: Deref<Target = FileRangeLock>,
{
    match wait {
        Wait::Not => Local::try_acquire(Threads(lock), claim),
        Wait::Until(deadline) => Local::acquire_until(Threads(lock), claim, Deadline::At(deadline)),
        Wait::Forever => Some(Local::acquire(Threads(lock), claim)),
    }
}

/// What is held of a file, and the lock by which it is held. `L` borrows the lock or owns a share
/// of it.
///
/// Released when dropped: first in the file, then in this process. An owned share of the lock is
/// dropped after that.
struct Held<L: Deref<Target = FileRangeLock>> {
    /// There until it is taken out, and `self` dropped.
    local: Option<Local<L>>,
    mode: Mode,
}

impl<L: Deref<Target = FileRangeLock>> Held<L> {
    #[track_caller]
    fn acquire(lock: L, range: &impl RangeBounds<u64>, mode: Mode, wait: Wait) -> io::Result<Option<Self>> {
        let claim = lock.begin(range, mode)?.map(|span| Claim { span, mode });
        let Some(local) = acquire(lock, claim, wait) else { return Ok(None) };
        if let Some(Claim { span, .. }) = claim {
            // Otherwise, and where it fails, `local` is released here.
            if !local.lock().0.bytes.enter(span, mode, wait)? {
                return Ok(None);
            }
        }
        Ok(Some(Held { local: Some(local), mode }))
    }

    fn local(&self) -> &Local<L> {
        self.local.as_ref().expect("not taken out")
    }

    fn lock(&self) -> &FileRangeLock {
        &self.local().lock().0
    }

    fn range(&self) -> RangeInclusive<u64> {
        self.local().range()
    }

    /// What is held. `None` if the range is empty.
    fn span(&self) -> Option<Span> {
        self.local().span()
    }

    fn release(&mut self) -> io::Result<()> {
        let Some(local) = &mut self.local else { return Ok(()) };
        let Some(span) = local.span() else { return Ok(()) };
        let lock = &local.lock().0;
        if let Err(error) = lock.check_process() {
            // What is in the file is the parent's, and the local lock may have been copied locked.
            local.leak();
            return Err(error);
        }
        let released = lock.bytes.leave(span, self.mode);
        local.release();
        released
    }

    #[track_caller]
    fn shrink(&mut self, range: &impl RangeBounds<u64>) -> io::Result<()> {
        self.lock().check_process()?;
        let Some(kept) = super::express(range)? else { return self.release() };
        let Some(span) = self.span().filter(|span| span.covers(kept)) else {
            panic!("range {kept:?} is not part of the range held, {:?}", self.range())
        };
        let (bytes, mut result) = (&self.lock().bytes, Ok(()));
        if span.first < kept.first {
            result = bytes.leave(Span { first: span.first, last: kept.first - 1 }, self.mode);
        }
        if kept.last < span.last {
            result = result.and(bytes.leave(Span { first: kept.last + 1, last: span.last }, self.mode));
        }
        self.local.as_mut().expect("not taken out").shrink(&RangeInclusive::from(kept));
        result
    }

    fn is_still_held(&self) -> io::Result<bool> {
        self.lock().check_process()?;
        self.span().map_or(Ok(true), |span| self.lock().is_locked_in_the_file(span, self.mode))
    }

    fn downgrade(mut self, to: Mode) -> Result<Self, Unchanged<Self>> {
        let done = self.lock().check_process().and_then(|()| match self.span() {
            Some(span) if self.mode == Mode::Write => self.lock().bytes.downgrade(span),
            _ => Ok(()),
        });
        if let Err(error) = done {
            return Err(Unchanged { guard: self, error });
        }
        self.local().weaken(to);
        self.mode = to;
        Ok(self)
    }

    fn upgrade(mut self, wait: Wait) -> Result<Self, Unchanged<Self>> {
        let lock = self.lock();
        let checked = lock.check_process().and_then(|()| lock.bytes.description.allows(Mode::Write));
        if let Err(error) = checked {
            return Err(Unchanged { guard: self, error });
        }
        if let Some(span) = self.span() {
            let in_the_way = || match wait {
                Wait::Not => error::would_block(span),
                _ => error::timed_out(span),
            };
            let upgraded = match wait {
                Wait::Until(deadline) => self.local().upgrade_until(Deadline::At(deadline)),
                Wait::Not | Wait::Forever => self.local().try_upgrade(),
            };
            if !upgraded {
                return Err(Unchanged { error: in_the_way(), guard: self });
            }
            let done = match lock.bytes.upgrade(span, wait) {
                Ok(true) => Ok(()),
                Ok(false) => Err(in_the_way()),
                Err(error) => Err(error),
            };
            if let Err(error) = done {
                self.local().weaken(Mode::Upgradable);
                return Err(Unchanged { guard: self, error });
            }
        }
        self.mode = Mode::Write;
        Ok(self)
    }
}

impl<L: Deref<Target = FileRangeLock> + Clone> Held<L> {
    #[track_caller]
    fn split_at(mut self, mid: u64) -> (Self, Self) {
        let range = self.range();
        // If this unwinds, `self` releases the range. Where one part is empty, either end is `mid`.
        let splits = self.span().is_none_or(|span| span.contains(mid) || mid == span.last + 1);
        assert!(splits, "cannot split at {mid}: the range held is {range:?}");
        let (left, right) = self.local.take().expect("not taken out").split_at(mid);
        let mode = self.mode;
        let part = |local| Held { local: Some(local), mode };
        (part(left), part(right))
    }
}

impl<L: Deref<Target = FileRangeLock>> Drop for Held<L> {
    #[inline]
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
        /// Bind the guard to a name, because `let _ =` drops the guard at once, which unlocks the
        /// range.
        ///
        /// If the process forks, the child has a copy of the guard. The drop of this copy unlocks
        /// nothing, because the parent holds the bytes.
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

            /// Returns the held bytes. For every empty range the result is `1..=0`. A guard of a
            /// range without an end holds the bytes up to byte 2^63 - 1, the last byte that the
            /// kernel can lock.
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

            /// Returns the id of the guard's request among the lock's
            /// [`requests`](FileRangeLock::requests). Returns `None` if the range is empty.
            ///
            /// ```
            #[doc = $setup]
            #[doc = concat!("let guard = lock.", $acquire, "(0..10)?;")]
            /// assert_eq!(guard.id(), Some(lock.requests()[0].id()));
            /// # Ok::<(), std::io::Error>(())
            /// ```
            pub fn id(&self) -> Option<RequestId> {
                self.held.local().id()
            }

            /// Releases the range, and returns an error if the kernel or the server refuses to
            /// unlock bytes in the file. The drop of the guard also releases the range, but ignores
            /// the error.
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
            /// The call returns an error if the kernel or the server refuses to unlock bytes. Even
            /// then the call releases the range in this process. Later calls of acquiring methods,
            /// [`settle`](FileRangeLock::settle), and the drop of the lock try again to unlock the
            /// remaining bytes in the file.
            ///
            /// The call also returns an error if the process is a forked child and the range is not
            /// empty, because the child has nothing to release.
            pub fn release(mut guard: Self) -> io::Result<()> {
                guard.held.release()
            }

            /// Keeps `range` and releases the rest of the held range. Released bytes that another
            /// reader of the same lock holds stay locked in the file.
            ///
            /// All functions that change a guard are associated functions.
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
            /// The call returns an error if the kernel or the server refuses to unlock bytes: see
            /// [`release`](Self::release). In this case the call shrinks the guard nevertheless.
            /// The call also returns an error if the kernel cannot express the range, or if the
            /// process is a forked child. In these two cases the guard does not change.
            ///
            /// # Panics
            ///
            /// If `range` is inverted, or is not a part of the held range, the function panics.
            /// After the panic the guard holds the same range as before. An empty range is a part
            /// of every range. So `shrink` to an empty range releases the whole range.
            #[track_caller]
            pub fn shrink(guard: &mut Self, range: impl RangeBounds<u64>) -> io::Result<()> {
                guard.held.shrink(&range)
            }

            /// Splits the guard into two guards. The first guard holds the bytes before `mid`. The
            /// second guard holds the rest. The function does not ask the kernel, so it returns no
            /// error.
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
            /// If `mid` lies before the held range, or more than one byte behind the last byte of
            /// the held range, the function panics. The panic drops the guard, which releases the
            /// range. If `mid` is the first byte of the range, or the byte after the last byte, one
            /// of the two guards is empty. A caller can split the guard of an empty range at every
            /// `mid`.
            #[track_caller]
            pub fn split_at(guard: Self, mid: u64) -> (Self, Self) {
                let (left, right) = guard.held.split_at(mid);
                (Self { held: left }, Self { held: right })
            }

            /// Returns whether the first byte of the range is still locked in the file, as far as
            /// the function can determine. For an empty range the result is `true`.
            ///
            /// On a local file system the kernel keeps a lock until its owner releases the lock. If
            /// a server gets no messages from a machine for a while, the server may drop the locks
            /// of this machine, and grant locks of the same bytes to another machine. The function
            /// asks the first question below. If the answer is no, the function also asks the
            /// second question:
            ///
            /// * Does another description have a conflicting lock on the byte?
            /// * Is the byte locked at all? The function asks this question through a second
            ///   description. If the guard is a reader, locks of other readers of the byte can hide
            ///   the loss of the guard's lock. An NFS client answers this question from its own
            ///   memory. So after a server has forgotten the lock, the function returns `true`
            ///   until another machine has a conflicting lock of the byte.
            ///
            /// A program can also detect a lost lock by writing through the
            /// [descriptor](FileRangeLock#impl-AsFd-for-FileRangeLock) of the lock. On NFS, if the
            /// lock is lost, a later fsync(2) on this descriptor fails with `EIO`.
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
            /// The function returns an error if the process cannot open the file again, if the
            /// kernel or the server refuses or does not answer, or if the process is a forked
            /// child.
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
            /// Turns the guard into a read guard. The bytes stay locked during the change.
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
            /// The function returns an error if the kernel or the server refuses, if the file is
            /// not open for reading, or if the process is a forked child. In these cases the guard
            /// stays a write guard.
            pub fn downgrade(guard: Self) -> Result<$Read$(<$lifetime>)?, Unchanged<Self>> {
                convert(guard.held.downgrade(Mode::Read), |held| $Read { held }, |held| Self { held })
            }

            /// Turns the guard into an upgradable read guard. The bytes stay locked during the
            /// change.
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
            /// The errors of [`downgrade`](Self::downgrade).
            pub fn downgrade_to_upgradable(
                guard: Self,
            ) -> Result<$Upgradable$(<$lifetime>)?, Unchanged<Self>> {
                let held = guard.held.downgrade(Mode::Upgradable);
                convert(held, |held| $Upgradable { held }, |held| Self { held })
            }
        }

        impl$(<$lifetime>)? $Upgradable$(<$lifetime>)? {
            /// Turns the guard into a write guard if no other reader, in any process, holds any of
            /// the bytes.
            ///
            /// Of the threads that share a `FileRangeLock`, at most one thread at a time is an
            /// upgradable reader of a byte. Threads with different `FileRangeLock`s, in one process
            /// or several, may be upgradable readers of a byte at the same time. Two processes that
            /// wait to upgrade the same byte wait for each other. So a wait without a time limit
            /// for an upgrade could last for ever, and no function waits without a time limit for
            /// an upgrade. If an upgrade fails, release the guard, and lock the range with `write`.
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
            /// In the cases below the function returns an error. In these cases the guard stays an
            /// upgradable read guard, and its bytes stay locked:
            ///
            /// * Another reader holds any of the bytes ([`WouldBlock`](io::ErrorKind::WouldBlock)).
            /// * The file is not open for writing.
            /// * The kernel or the server refuses.
            /// * The process is a forked child.
            pub fn try_upgrade(guard: Self) -> Result<$Write$(<$lifetime>)?, Unchanged<Self>> {
                guard.upgrade(Wait::Not)
            }

            /// Waits until no other reader, in any process, holds any of the bytes, and turns the
            /// guard into a write guard. If `timeout` ends first, gives up, and returns the guard
            /// unchanged.
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
            /// The function returns the errors of [`try_upgrade`](Self::try_upgrade), with one
            /// difference. If another reader still holds any of the bytes when the timeout ends,
            /// the kind of the error is [`TimedOut`](io::ErrorKind::TimedOut).
            ///
            /// # Fairness and cancel safety
            ///
            /// While the upgrade waits, the lock grants no new reader of the bytes in this process,
            /// but the kernel may grant readers of other processes. If only other processes keep
            /// the upgrade out, the function asks the kernel again after pauses. The first pause is
            /// 1 ms. Each further pause is twice as long as the previous pause, but at most 50 ms.
            /// During the wait the bytes stay locked for reading.
            pub fn try_upgrade_for(
                guard: Self,
                timeout: Duration,
            ) -> Result<$Write$(<$lifetime>)?, Unchanged<Self>> {
                // No wait is without a limit, also where the clock cannot tell its end.
                let longest = Duration::from_secs(u64::from(u32::MAX));
                guard.upgrade(Wait::after(timeout.min(longest)))
            }

            /// Like [`try_upgrade_for`](Self::try_upgrade_for), but gives the guard back at
            /// `deadline`.
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
            /// The errors of [`try_upgrade_for`](Self::try_upgrade_for).
            pub fn try_upgrade_until(
                guard: Self,
                deadline: Instant,
            ) -> Result<$Write$(<$lifetime>)?, Unchanged<Self>> {
                guard.upgrade(Wait::Until(deadline))
            }

            fn upgrade(self, wait: Wait) -> Result<$Write$(<$lifetime>)?, Unchanged<Self>> {
                convert(self.held.upgrade(wait), |held| $Write { held }, |held| Self { held })
            }

            /// Turns the guard into a plain read guard. The function may grant waiting upgradable
            /// readers of the same lock. The function does not ask the kernel.
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
            /// If the process is a forked child.
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
