//! Looking at a file's locks from outside.
//! It uses the lock, which is this folder's root, and the system calls.

use std::fs::{self, File};
use std::io;
use std::ops::{RangeBounds, RangeInclusive};
use std::os::fd::{AsFd, AsRawFd};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use super::FileRangeLock;
use super::sys::{self, Description, Found};
use crate::mode::Mode;
use crate::span::Span;

/// A lock that keeps a writer out, and that belongs to another description or to a process.
/// [`FileRangeLock::conflicting`] returns a `Conflict`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Conflict {
    /// Whether the lock is for reading or for writing.
    pub mode: Mode,
    /// The bytes of the lock. The kernel joins touching locks of one description or process in one
    /// mode into one lock.
    pub range: RangeInclusive<u64>,
    /// The process that holds the lock, if the lock is a POSIX record lock and the kernel names the
    /// process. For a lock of an open file description the kernel names no process, because any
    /// number of processes may have the description open.
    pub process: Option<u32>,
}

impl FileRangeLock {
    /// Returns *one* lock that keeps a writer of `range` out, and that belongs to another
    /// description or to a process. Returns `None` if no lock of this kind exists. If several locks
    /// of this kind exist, the method may return any of them. The owner may release the lock before
    /// the method returns.
    ///
    /// ```
    /// use range_lock::{Mode, file::FileRangeLock};
    ///
    /// # let file = tempfile::tempfile()?;
    /// # let lock = FileRangeLock::from_file(&file)?;
    /// # let other = FileRangeLock::from_file(&file)?;
    /// let reader = other.read(10..20)?;
    /// let conflict = lock.conflicting(..)?.unwrap();
    /// assert_eq!((conflict.mode, conflict.range), (Mode::Read, 10..=19));
    /// assert!(lock.conflicting(20..)?.is_none());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The method returns an error if the kernel cannot express the range, if the kernel or the
    /// server refuses, or if the process is a forked child.
    ///
    /// # Panics
    ///
    /// If the range is inverted.
    #[track_caller]
    pub fn conflicting(&self, range: impl RangeBounds<u64>) -> io::Result<Option<Conflict>> {
        let span = super::express(&range)?;
        self.check_process()?;
        let Some(span) = span else { return Ok(None) };
        let found = self.bytes.description.find(span, Mode::Write)?;
        Ok(found.map(|Found { mode, span, process }| Conflict { mode, range: span.into(), process }))
    }

    /// Returns whether locks of flock(2) and locks of a `FileRangeLock` exclude each other on the
    /// file system of this file. The two kinds of lock exclude each other on some network file
    /// systems, and do not exclude each other on local file systems. Returns `None` if the method
    /// cannot determine the answer.
    ///
    /// The method creates a temporary file in the folder of this file, opens the temporary file
    /// twice, and removes the temporary file from the folder. Then the method tries to make a lock
    /// of each kind on the temporary file.
    ///
    /// ```
    /// # use range_lock::file::{Access, FileRangeLock};
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("file");
    /// # std::fs::write(&path, [])?;
    /// let lock = FileRangeLock::open(&path, Access::Read)?;
    /// match lock.shares_namespace_with_flock()? {
    ///     Some(shares) => println!("known: {shares}"),
    ///     None => println!("no temporary file can be made in that folder"),
    /// }
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The method returns an error if it can create a temporary file but cannot lock the temporary
    /// file, or if the process is a forked child.
    pub fn shares_namespace_with_flock(&self) -> io::Result<Option<bool>> {
        self.check_process()?;
        let link = format!("/proc/self/fd/{}", self.as_fd().as_raw_fd());
        let Ok(path) = fs::read_link(link) else { return Ok(None) };
        let Some(Ok([one, two])) = path.parent().map(opened_twice) else { return Ok(None) };
        sys::flock(&one)?;
        let two = Description::new(two.into())?;
        Ok(Some(!two.set(Span { first: 0, last: sys::LAST }, Mode::Write)?))
    }

    /// Whether `span`, which is held in `mode`, is locked in the file, as far as can be seen.
    pub(super) fn is_locked_in_the_file(&self, span: Span, mode: Mode) -> io::Result<bool> {
        let byte = Span { first: span.first, last: span.first };
        // A lock of another that conflicts cannot be there beside ours.
        if self.bytes.description.find(byte, mode)?.is_some() {
            return Ok(false);
        }
        Ok(self.outside()?.find(byte, Mode::Write)?.is_some())
    }

    /// A second description of the file, opened when it is first used.
    fn outside(&self) -> io::Result<&Description> {
        if let Some(outside) = self.outside.get() {
            return Ok(outside);
        }
        let outside = Description::reopen(self.as_fd())?;
        Ok(self.outside.get_or_init(|| outside))
    }
}

/// A new file in `folder`, opened twice and removed already.
fn opened_twice(folder: &Path) -> io::Result<[File; 2]> {
    static FILES: AtomicU64 = AtomicU64::new(0);

    let number = FILES.fetch_add(1, Ordering::Relaxed);
    let path = folder.join(format!(".range-lock-{}-{number}", std::process::id()));
    let mut options = File::options();
    options.read(true).write(true);
    let one = options.clone().create_new(true).open(&path)?;
    let two = options.open(&path);
    fs::remove_file(&path)?;
    Ok([one, two?])
}
