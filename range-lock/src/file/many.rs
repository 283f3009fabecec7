//! Several ranges of one file, locked as one request. It uses the lock, which is this folder's
//! root, and what this process has locked of the file.

use std::fmt;
use std::io;
use std::mem;
use std::ops::{RangeBounds, RangeInclusive};
use std::time::{Duration, Instant};

use super::FileRangeLock;
use super::bytes::Wait;
use crate::lock::RangeLock;
use crate::many::{self, ManyGuard};
use crate::mode::Mode;
use crate::span::Span;

/// A range of bytes and its mode. [`FileRangeLock::acquire_many`] locks several of these ranges
/// together.
#[derive(Debug)]
pub struct Request {
    span: io::Result<Option<Span>>,
    mode: Mode,
}

impl Request {
    /// `range`, for reading.
    ///
    /// ```
    /// # use range_lock::file::{FileRangeLock, Request};
    /// # let lock = FileRangeLock::from_file(&tempfile::tempfile()?)?;
    /// let guard = lock.acquire_many([Request::read(0..10), Request::read(90..)])?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Panics
    ///
    /// If the range is inverted.
    #[track_caller]
    pub fn read(range: impl RangeBounds<u64>) -> Self {
        Request { span: super::express(&range), mode: Mode::Read }
    }

    /// `range`, for writing.
    ///
    /// ```
    /// # use range_lock::file::{FileRangeLock, Request};
    /// # let lock = FileRangeLock::from_file(&tempfile::tempfile()?)?;
    /// let guard = lock.acquire_many([Request::write(0..10), Request::write(90..)])?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Panics
    ///
    /// If the range is inverted.
    #[track_caller]
    pub fn write(range: impl RangeBounds<u64>) -> Self {
        Request { span: super::express(&range), mode: Mode::Write }
    }
}

/// The guard of several ranges of a file, made by [`FileRangeLock::acquire_many`]. The drop of the
/// guard, on any thread of the process, releases all its ranges. Bind the guard to a name, because
/// `let _ =` drops the guard at once, which unlocks the ranges.
///
/// If the process forks, the child has a copy of the guard. The drop of this copy unlocks nothing,
/// because the parent holds the bytes.
#[must_use = "if unused the ranges are unlocked at once"]
pub struct FileManyGuard<'a> {
    lock: &'a FileRangeLock,
    local: Option<ManyGuard<'a>>,
}

impl FileManyGuard<'_> {
    /// Returns the held ranges, with their modes. The ranges are disjoint and in ascending order.
    /// The held ranges cover the same bytes as the ranges that the caller named, but may be other
    /// ranges. If named ranges overlap in different modes, the guard holds the overlapping part for
    /// writing. The request joins named ranges that overlap or touch in the same mode.
    ///
    /// ```
    /// # use range_lock::{Mode, file::{FileRangeLock, Request}};
    /// # let lock = FileRangeLock::from_file(&tempfile::tempfile()?)?;
    /// let guard = lock.acquire_many([Request::read(0..10), Request::write(5..8)])?;
    /// let held: Vec<_> = guard.ranges().collect();
    /// assert_eq!(held, [(0..=4, Mode::Read), (5..=7, Mode::Write), (8..=9, Mode::Read)]);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn ranges(&self) -> impl Iterator<Item = (RangeInclusive<u64>, Mode)> + '_ {
        self.local.iter().flat_map(ManyGuard::ranges).map(|(_, range, mode)| (range, mode))
    }

    /// Releases the ranges, and returns an error if the kernel or the server refuses to unlock
    /// bytes in the file. The drop of the guard also releases the ranges, but ignores the error.
    ///
    /// ```
    /// # use range_lock::file::{FileManyGuard, FileRangeLock, Request};
    /// # let lock = FileRangeLock::from_file(&tempfile::tempfile()?)?;
    /// let guard = lock.acquire_many([Request::read(0..10), Request::write(90..)])?;
    /// FileManyGuard::release(guard)?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The first error, as for [`FileWriteGuard::release`](super::FileWriteGuard::release).
    pub fn release(mut guard: Self) -> io::Result<()> {
        guard.leave()
    }

    fn leave(&mut self) -> io::Result<()> {
        let Some(local) = self.local.take() else { return Ok(()) };
        if let Err(error) = self.lock.check_process() {
            // What is in the file is the parent's, and the local lock may have been copied locked.
            mem::forget(local);
            return Err(error);
        }
        let mut result = Ok(());
        for (span, mode) in parts(&local) {
            result = result.and(self.lock.bytes.leave(span, mode));
        }
        result
    }
}

impl Drop for FileManyGuard<'_> {
    fn drop(&mut self) {
        // What could not be unlocked is owed.
        let _ = self.leave();
    }
}

impl fmt::Debug for FileManyGuard<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.ranges()).finish()
    }
}

/// What is held, in ascending order.
fn parts(local: &ManyGuard<'_>) -> Vec<(Span, Mode)> {
    let spans =
        local.ranges().map(|(_, range, mode)| (Span { first: *range.start(), last: *range.end() }, mode));
    spans.collect()
}

/// Methods that acquire several ranges at once.
impl FileRangeLock {
    /// Locks several ranges as one request. Waits until the request is granted.
    ///
    /// Where ranges overlap, the stronger mode wins.
    ///
    /// ```
    /// use range_lock::file::{FileRangeLock, Request};
    ///
    /// # let file = tempfile::tempfile()?;
    /// # let lock = FileRangeLock::from_file(&file)?;
    /// # let other = FileRangeLock::from_file(&file)?;
    /// let both = lock.acquire_many([Request::read(0..4096), Request::write(8192..)])?;
    /// assert!(other.try_write(4096..8192)?.is_some());
    /// assert!(other.try_read(8192..8193)?.is_none());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// See [Errors](crate::file#errors). A call that returns an error locks nothing.
    ///
    /// # Fairness
    ///
    /// In this process the ranges are one request, as in [`RangeLock::acquire_many`]. When this
    /// request is granted, its thread asks the kernel for the ranges in ascending order, by calls
    /// that do not wait. The thread skips a range for reading that other readers of the same lock
    /// have already locked in the file. If another process keeps one range out, the thread unlocks
    /// the ranges that it has locked in the file, and asks for all ranges again after a pause. The
    /// first pause is 1 ms. Each further pause is twice as long as the previous pause, but at most
    /// 50 ms.
    ///
    /// So two calls of this method in two processes cannot deadlock if their callers hold no other
    /// range. But a request can starve if other processes continuously lock its ranges.
    ///
    /// # Deadlocks
    ///
    /// The caller must not hold another range of this file: see [Deadlocks](crate::file#deadlocks).
    pub fn acquire_many(&self, requests: impl IntoIterator<Item = Request>) -> io::Result<FileManyGuard<'_>> {
        let guard = self.many(requests, Wait::Forever)?;
        Ok(guard.expect("a wait without an end ends with the grant"))
    }

    /// Locks several ranges if all of them can be granted immediately. Otherwise like
    /// [`acquire_many`](Self::acquire_many).
    ///
    /// ```
    /// # use range_lock::file::{FileRangeLock, Request};
    /// # let file = tempfile::tempfile()?;
    /// # let lock = FileRangeLock::from_file(&file)?;
    /// # let other = FileRangeLock::from_file(&file)?;
    /// let reader = other.read(100..101)?;
    /// let both = [Request::write(0..10), Request::write(100..110)];
    /// assert!(lock.try_acquire_many(both)?.is_none());
    /// assert!(other.try_write(0..10)?.is_some()); // All or nothing.
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// See [Errors](crate::file#errors). A call that returns an error locks nothing.
    pub fn try_acquire_many(
        &self,
        requests: impl IntoIterator<Item = Request>,
    ) -> io::Result<Option<FileManyGuard<'_>>> {
        self.many(requests, Wait::Not)
    }

    /// Locks several ranges. Gives up after `timeout`. Otherwise like
    /// [`acquire_many`](Self::acquire_many).
    ///
    /// ```
    /// # use range_lock::file::{FileRangeLock, Request};
    /// # use std::time::Duration;
    /// # let lock = FileRangeLock::from_file(&tempfile::tempfile()?)?;
    /// let both = [Request::write(0..10), Request::write(100..110)];
    /// assert!(lock.try_acquire_many_for(both, Duration::from_millis(2))?.is_some());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// See [Errors](crate::file#errors). A call that returns an error locks nothing.
    ///
    /// # Cancel safety
    ///
    /// If the request gives up, it leaves nothing locked, except bytes that the kernel refuses to
    /// unlock: see [`settle`](FileRangeLock::settle). The lock grants the requests of this process
    /// that waited only for the request.
    pub fn try_acquire_many_for(
        &self,
        requests: impl IntoIterator<Item = Request>,
        timeout: Duration,
    ) -> io::Result<Option<FileManyGuard<'_>>> {
        self.many(requests, Wait::after(timeout))
    }

    /// Locks several ranges. Gives up at `deadline`. As
    /// [`try_acquire_many_for`](Self::try_acquire_many_for).
    ///
    /// ```
    /// # use range_lock::file::{FileRangeLock, Request};
    /// # use std::time::Instant;
    /// # let lock = FileRangeLock::from_file(&tempfile::tempfile()?)?;
    /// let both = [Request::write(0..10), Request::write(100..110)];
    /// assert!(lock.try_acquire_many_until(both, Instant::now())?.is_some());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// See [Errors](crate::file#errors). A call that returns an error locks nothing.
    pub fn try_acquire_many_until(
        &self,
        requests: impl IntoIterator<Item = Request>,
        deadline: Instant,
    ) -> io::Result<Option<FileManyGuard<'_>>> {
        self.many(requests, Wait::Until(deadline))
    }

    fn many(
        &self,
        requests: impl IntoIterator<Item = Request>,
        wait: Wait,
    ) -> io::Result<Option<FileManyGuard<'_>>> {
        self.check_process()?;
        let mut asked = Vec::new();
        for Request { span, mode } in requests {
            self.bytes.description.allows(mode)?;
            let Some(span) = span? else { continue };
            let range = RangeInclusive::from(span);
            asked.push(match mode {
                Mode::Write => many::Request::write(&self.local, range),
                _ => many::Request::read(&self.local, range),
            });
        }
        // An error stays owed, and has nothing to do with this request.
        let _ = self.bytes.settle(&self.local);
        let local = match wait {
            Wait::Not => RangeLock::try_acquire_many(asked),
            Wait::Until(deadline) => RangeLock::try_acquire_many_until(asked, deadline),
            Wait::Forever => Some(RangeLock::acquire_many(asked)),
        };
        let Some(local) = local else { return Ok(None) };
        // Otherwise, and where it fails, `local` is released here.
        let entered = self.bytes.enter_many(&parts(&local), wait)?;
        // A closure: a guard that is made and dropped would release.
        Ok(entered.then(|| FileManyGuard { lock: self, local: Some(local) }))
    }
}
