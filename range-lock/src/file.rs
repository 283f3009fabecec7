//! [`FileRangeLock`]: bytes of a file, locked among threads, processes and machines (feature
//! `file`, Linux on 64-bit machines).
//!
//! The methods that lock have the names of methods of [`RangeLock`], but return `io::Result`. A
//! request has two steps. First the request waits for the other threads of this process, in a
//! `RangeLock`, which is fair and exact. Then its thread asks the kernel for a lock of the *open
//! file description* (`F_OFD_SETLK` of fcntl(2)). On a network file system the kernel asks the
//! server. A reader skips the second step if other readers of this process have already locked all
//! bytes of its range.
//!
//! ```
//! use range_lock::file::{Access, FileRangeLock};
//!
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("pages");
//! # std::fs::write(&path, [0; 8192])?;
//! let lock = FileRangeLock::open(&path, Access::ReadWrite)?;
//! let header = lock.read(0..4096)?;
//! let page = lock.write(4096..)?; // To the end, however the file grows.
//!
//! // Another description excludes this one, as another process does.
//! let other = FileRangeLock::open(&path, Access::ReadWrite)?;
//! assert!(other.try_read(0..10)?.is_some());
//! assert!(other.try_write(0..10)?.is_none());
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! # What excludes what
//!
//! | between | excludes | promises |
//! |---|---|---|
//! | threads that share one `FileRangeLock` | yes | as [`RangeLock`]: first come, first served per conflict |
//! | two `FileRangeLock`s of one file, in one process or two | yes | no order; a release wakes all that wait, and the first to ask has the bytes |
//! | a `FileRangeLock` and POSIX record locks (`F_SETLK`, lockf(3)) of any process | yes | as above |
//! | a `FileRangeLock` and flock(2) | not on local file systems; on some network file systems | ask [`shares_namespace_with_flock`](FileRangeLock::shares_namespace_with_flock) |
//! | a `FileRangeLock` and calls that read or write without a lock | no | |
//! | machines that mount one network file system | if the server does: the README lists what was tried | no order |
//!
//! # Whose lock it is
//!
//! A lock of the kernel belongs to an open file description. `dup`, [`File::try_clone`], `fork` and
//! passing a descriptor to another process make duplicates of a descriptor. All duplicates refer to
//! the same description. A lock through one duplicate replaces a lock through another duplicate,
//! and a process can unlock through each duplicate. So [`open`] and [`from_file`] open the file
//! anew. No two `FileRangeLock`s that [`open`] or [`from_file`] has made share a description. The
//! caller of [`from_description`] must ensure that no other code locks or unlocks bytes through the
//! description.
//!
//! * **fork**: a guard that the child drops leaves the parent's lock alone. Each method of the
//!   copied lock or of a copied guard that returns a `Result` returns an error in the child. The
//!   child must not call [`requests`](FileRangeLock::requests) or `split_at`, nor print the copied
//!   lock. These calls may wait for ever, as [`RangeLock`](RangeLock#fork-and-signal-handlers)
//!   describes. To lock bytes, the child must open the file again. If the parent dies while the
//!   child has its copy of the descriptor, the parent's ranges stay locked.
//! * **exec**: the kernel closes the descriptor. If no other process has a duplicate, the locks of
//!   the description end. [`from_description`] does not change the flag `FD_CLOEXEC` of its
//!   descriptor. Without this flag the kernel keeps the descriptor open, and the locks stay in the
//!   new program.
//! * **death**: when a process dies, the kernel closes the descriptors of the process. If no other
//!   process has a duplicate, the kernel also unlocks the ranges.
//!
//! [`from_description`]: FileRangeLock::from_description
//! [`from_file`]: FileRangeLock::from_file
//! [`open`]: FileRangeLock::open
//! [`File::try_clone`]: std::fs::File::try_clone
//!
//! # Fairness
//!
//! The kernel promises no order among descriptions. A writer can starve if other processes read
//! continuously. A method for one range without a time limit sleeps in the kernel. A method with a
//! time limit asks the kernel again after pauses, and so does
//! [`acquire_many`](FileRangeLock::acquire_many). The first pause is 1 ms, and each further pause
//! is twice as long, up to 50 ms.
//!
//! # Deadlocks
//!
//! The rule of [`RangeLock`](RangeLock#deadlocks) applies to the file: **while a thread holds a
//! range, it must not block on another range of the same file**, through this lock or another lock.
//! Neither the kernel nor this crate detects deadlocks across processes. To take several ranges,
//! use [`acquire_many`](FileRangeLock::acquire_many) or methods with a time limit.
//!
//! # Signals
//!
//! A wait that a signal interrupts goes on.
//!
//! # Errors
//!
//! The message of each error of the table names a remedy. If the kernel refuses to lock or unlock
//! bytes, the message also names the operation and the range. In this case the kernel's error is
//! the `source` of the `io::Error`. An acquiring method that returns an error, or that gives up,
//! leaves nothing locked. The exception is bytes that the kernel refuses to unlock again: see
//! [`settle`](FileRangeLock::settle).
//!
//! | error | when |
//! |---|---|
//! | [`InvalidInput`](io::ErrorKind::InvalidInput) | the range ends behind byte 2^63 - 1; the descriptor is not one of a regular file or block device |
//! | [`PermissionDenied`](io::ErrorKind::PermissionDenied) | a lock for writing on a file that is open for reading only, or the reverse |
//! | [`Unsupported`](io::ErrorKind::Unsupported) | any method that returns a `Result`, in a forked child |
//! | `ENOLCK` | the kernel has no memory for one more lock, or the server refuses |
//! | `ESTALE`, `EIO`, `ETIMEDOUT` and others | the server has forgotten the file, or does not answer |
//! | `EINVAL`, `ENOSYS`, `EOPNOTSUPP` | there are no locks of open file descriptions here: reported when the lock is made |

// It uses `RangeLock` and all layers below. In this folder `open`, `guard`, `many` and `probe` know
// the lock. The lock uses `bytes`. `bytes` uses `sections` and `sys`, and `sections` uses `table`
// and `slots`.

use std::fmt;
use std::io;
use std::ops::{Bound, RangeBounds};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

// The first, because rustdoc lists methods in the order of the modules.
mod open;

mod bytes;
mod error;
mod guard;
mod many;
mod primitives;
mod probe;
mod process;
#[cfg(all(test, shuttle))]
mod schedules;
mod sections;
mod slots;
mod sys;
mod table;
#[cfg(all(test, not(any(loom, shuttle))))]
mod tests;

pub use guard::{
    ArcFileReadGuard, ArcFileUpgradableReadGuard, ArcFileWriteGuard, FileReadGuard, FileUpgradableReadGuard,
    FileWriteGuard, Unchanged,
};
pub use many::{FileManyGuard, Request};
pub use probe::Conflict;

use bytes::{Bytes, Wait};
use process::Process;
use sys::Description;

use crate::inspect::RequestInfo;
use crate::lock::RangeLock;
use crate::mode::Mode;
use crate::span::Span;

/// What a file is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Access {
    /// For reading. Bytes can be locked for reading only.
    Read,
    /// For reading and writing. Bytes can be locked for both.
    ReadWrite,
}

/// A reader/writer lock of ranges of bytes of a file, among the threads of this process and among
/// processes. See the [module](self).
///
/// A thread may lock a range even if the file is shorter than the range. The lock is advisory:
/// read(2) and write(2) do not check the lock.
///
/// The threads of one process should share one `FileRangeLock` of a file. The requests of two
/// `FileRangeLock`s of one file exclude each other, but have no order among each other.
pub struct FileRangeLock {
    bytes: Bytes,
    /// The lock among the threads of this process.
    local: RangeLock,
    process: Process,
    /// A second description, to look from outside.
    outside: OnceLock<Description>,
}

impl FileRangeLock {
    /// Lists the requests of this lock that threads of this process hold and wait for, like
    /// [`RangeLock::requests`]. The list shows a request as held if the request is granted in this
    /// process, even if the request still waits for another process.
    ///
    /// ```
    /// # let lock = range_lock::file::FileRangeLock::from_file(&tempfile::tempfile()?)?;
    /// let guard = lock.write(0..4096)?;
    /// assert_eq!(lock.requests()[0].to_string(), "write 0..=4095 held");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn requests(&self) -> Vec<RequestInfo> {
        self.local.requests()
    }

    /// Tries again to unlock the bytes that the kernel refused to unlock when a thread released
    /// them. Bytes that a thread of this process has acquired again stay locked. A refused range
    /// also stays locked while a thread of this process writes a part of the range, or waits to
    /// write a part.
    ///
    /// Every acquiring method first tries to unlock the refused bytes, and ignores the error. A
    /// method that is about to wait for another process tries once more to unlock the refused bytes
    /// of its own range, and returns the error.
    ///
    /// ```
    /// # let lock = range_lock::file::FileRangeLock::from_file(&tempfile::tempfile()?)?;
    /// lock.settle()?; // Nothing was refused.
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// If the kernel or the server refuses again, or if the process is a forked child.
    pub fn settle(&self) -> io::Result<()> {
        self.check_process()?;
        self.bytes.settle(&self.local)
    }

    /// An error in a forked child.
    fn check_process(&self) -> io::Result<()> {
        if self.process == Process::current() { Ok(()) } else { Err(error::another_process()) }
    }

    /// What an acquisition begins with: the span of `range`, or `None` if it is empty.
    #[track_caller]
    fn begin(&self, range: &impl RangeBounds<u64>, mode: Mode) -> io::Result<Option<Span>> {
        let span = express(range)?;
        self.check_process()?;
        self.bytes.description.allows(mode)?;
        // An error stays owed, and has nothing to do with this request.
        let _ = self.bytes.settle(&self.local);
        Ok(span)
    }
}

/// The span of `range`, if the kernel can express it. A range without an end goes to the last byte
/// that a file can have.
#[track_caller]
fn express(range: &impl RangeBounds<u64>) -> io::Result<Option<Span>> {
    let Some(Span { first, last }) = Span::new(range) else { return Ok(None) };
    let last = if range.end_bound() == Bound::Unbounded { sys::LAST } else { last };
    if first > sys::LAST || last > sys::LAST {
        return Err(error::not_expressible(first.max(last), sys::LAST));
    }
    Ok(Some(Span { first, last }))
}

/// The verbs of one mode, for borrowed and for owned guards.
macro_rules! acquire {
    (
        $what:literal, $Guard:ident, $ArcGuard:ident,
        $wait:ident, $try:ident, $try_for:ident, $try_until:ident,
        $wait_arc:ident, $try_arc:ident, $try_arc_for:ident, $try_arc_until:ident,
        $example:literal
    ) => {
        /// Methods that acquire
        #[doc = concat!($what, ".")]
        impl FileRangeLock {
            #[doc = concat!("Locks `range` ", $what, ". Waits until the request is granted.")]
            ///
            /// Bind the guard to a name, because `let _ =` drops the guard at once, which unlocks
            /// the range.
            ///
            /// ```
            /// # let file = tempfile::tempfile()?;
            /// # let lock = range_lock::file::FileRangeLock::from_file(&file)?;
            /// # let other = range_lock::file::FileRangeLock::from_file(&file)?;
            #[doc = $example]
            /// # Ok::<(), std::io::Error>(())
            /// ```
            ///
            /// # Errors
            ///
            /// See [Errors](crate::file#errors). A call that returns an error locks nothing.
            ///
            /// # Panics
            ///
            /// If the range is inverted.
            ///
            /// # Fairness
            ///
            /// The lock grants its conflicting requests of this process first come, first served. A
            /// request keeps its place in this process while it waits for another process. So later
            /// conflicting requests of this process wait for the request. Among processes the
            /// kernel promises no order.
            ///
            /// # Deadlocks
            ///
            /// The caller must not hold another range of this file: see
            /// [Deadlocks](crate::file#deadlocks).
            #[track_caller]
            pub fn $wait(&self, range: impl RangeBounds<u64>) -> io::Result<$Guard<'_>> {
                Ok($Guard::acquire(self, &range, Wait::Forever)?.expect("a wait without an end ends with the grant"))
            }

            #[doc = concat!("Locks `range` ", $what, " if the request can be granted at once.")]
            ///
            /// Returns `None` if any process holds a conflicting lock, or if a conflicting request
            /// of this lock waits in this process. `let _ =` drops the guard at once, which unlocks
            /// the range.
            ///
            /// ```
            /// # let file = tempfile::tempfile()?;
            /// # let lock = range_lock::file::FileRangeLock::from_file(&file)?;
            /// # let other = range_lock::file::FileRangeLock::from_file(&file)?;
            /// let holder = other.write(0..10)?;
            #[doc = concat!("assert!(lock.", stringify!($try), "(5..15)?.is_none());")]
            #[doc = concat!("assert!(lock.", stringify!($try), "(10..20)?.is_some());")]
            /// # Ok::<(), std::io::Error>(())
            /// ```
            ///
            /// # Errors
            ///
            /// See [Errors](crate::file#errors). A call that returns an error locks nothing.
            ///
            /// # Panics
            ///
            /// If the range is inverted.
            #[track_caller]
            pub fn $try(&self, range: impl RangeBounds<u64>) -> io::Result<Option<$Guard<'_>>> {
                $Guard::acquire(self, &range, Wait::Not)
            }

            #[doc = concat!("Locks `range` ", $what, ". Gives up after `timeout`.")]
            ///
            /// With a timeout of zero the method does not wait. With a timeout that is too long for
            /// the clock, the method waits like
            #[doc = concat!("[`", stringify!($wait), "`](Self::", stringify!($wait), ").")]
            ///
            /// ```
            /// # use std::time::Duration;
            /// # let file = tempfile::tempfile()?;
            /// # let lock = range_lock::file::FileRangeLock::from_file(&file)?;
            /// # let other = range_lock::file::FileRangeLock::from_file(&file)?;
            /// let holder = other.write(0..10)?;
            #[doc = concat!(
                "assert!(lock.", stringify!($try_for), "(5..15, Duration::from_millis(2))?.is_none());"
            )]
            /// drop(holder);
            #[doc = concat!(
                "assert!(lock.", stringify!($try_for), "(5..15, Duration::from_millis(2))?.is_some());"
            )]
            /// # Ok::<(), std::io::Error>(())
            /// ```
            ///
            /// # Errors
            ///
            /// See [Errors](crate::file#errors). A call that returns an error locks nothing.
            ///
            /// # Panics
            ///
            /// If the range is inverted.
            ///
            /// # Fairness and cancel safety
            ///
            /// While the request waits, it keeps its place among the requests of this lock in this
            /// process. The request has no place among the requests of other processes. The method
            /// asks the kernel again after pauses, and a last time when the timeout ends. The first
            /// pause is 1 ms, and each further pause is twice as long, up to 50 ms. So the method
            /// may lock a free range one pause late. The method may miss a range that is free for
            /// less than a pause. If the request gives up, it leaves nothing locked, and the lock
            /// grants the requests of this process that waited only for the request.
            #[track_caller]
            pub fn $try_for(
                &self,
                range: impl RangeBounds<u64>,
                timeout: Duration,
            ) -> io::Result<Option<$Guard<'_>>> {
                $Guard::acquire(self, &range, Wait::after(timeout))
            }

            #[doc = concat!("Locks `range` ", $what, ". Gives up at `deadline`.")]
            ///
            #[doc = concat!("Like [`", stringify!($try_for), "`](Self::", stringify!($try_for), "),")]
            /// which also describes fairness and cancel safety. If the deadline has passed, the
            /// method does not wait.
            ///
            /// ```
            /// # use std::time::Instant;
            /// # let file = tempfile::tempfile()?;
            /// # let lock = range_lock::file::FileRangeLock::from_file(&file)?;
            #[doc = concat!("assert!(lock.", stringify!($try_until), "(5..15, Instant::now())?.is_some());")]
            /// # Ok::<(), std::io::Error>(())
            /// ```
            ///
            /// # Errors
            ///
            /// See [Errors](crate::file#errors). A call that returns an error locks nothing.
            ///
            /// # Panics
            ///
            /// If the range is inverted.
            #[track_caller]
            pub fn $try_until(
                &self,
                range: impl RangeBounds<u64>,
                deadline: Instant,
            ) -> io::Result<Option<$Guard<'_>>> {
                $Guard::acquire(self, &range, Wait::Until(deadline))
            }

            #[doc = concat!("Like [`", stringify!($wait), "`](Self::", stringify!($wait), "), but the guard owns")]
            /// a share of the lock and so has no lifetime.
            ///
            /// ```
            /// # use std::sync::Arc;
            /// # use range_lock::file::FileRangeLock;
            /// let lock = Arc::new(FileRangeLock::from_file(&tempfile::tempfile()?)?);
            #[doc = concat!("let guard = lock.", stringify!($wait_arc), "(0..10)?;")]
            /// std::thread::spawn(move || drop(guard)).join().unwrap(); // Released over there.
            /// assert!(lock.try_write(..)?.is_some());
            /// # Ok::<(), std::io::Error>(())
            /// ```
            ///
            /// # Errors
            ///
            /// See [Errors](crate::file#errors). A call that returns an error locks nothing.
            ///
            /// # Panics
            ///
            /// If the range is inverted.
            #[track_caller]
            pub fn $wait_arc(self: &Arc<Self>, range: impl RangeBounds<u64>) -> io::Result<$ArcGuard> {
                let guard = $ArcGuard::acquire(Arc::clone(self), &range, Wait::Forever)?;
                Ok(guard.expect("a wait without an end ends with the grant"))
            }

            #[doc = concat!("Like [`", stringify!($try), "`](Self::", stringify!($try), "), but the guard owns")]
            /// a share of the lock.
            ///
            /// ```
            /// # use std::sync::Arc;
            /// # use range_lock::file::FileRangeLock;
            /// let lock = Arc::new(FileRangeLock::from_file(&tempfile::tempfile()?)?);
            #[doc = concat!("assert!(lock.", stringify!($try_arc), "(5..15)?.is_some());")]
            /// # Ok::<(), std::io::Error>(())
            /// ```
            ///
            /// # Errors
            ///
            /// See [Errors](crate::file#errors). A call that returns an error locks nothing.
            ///
            /// # Panics
            ///
            /// If the range is inverted.
            #[track_caller]
            pub fn $try_arc(self: &Arc<Self>, range: impl RangeBounds<u64>) -> io::Result<Option<$ArcGuard>> {
                $ArcGuard::acquire(Arc::clone(self), &range, Wait::Not)
            }

            #[doc = concat!(
                "Like [`", stringify!($try_for), "`](Self::", stringify!($try_for), "), but the guard owns"
            )]
            /// a share of the lock.
            ///
            /// ```
            /// # use std::{sync::Arc, time::Duration};
            /// # use range_lock::file::FileRangeLock;
            /// let lock = Arc::new(FileRangeLock::from_file(&tempfile::tempfile()?)?);
            #[doc = concat!("assert!(lock.", stringify!($try_arc_for), "(5..15, Duration::ZERO)?.is_some());")]
            /// # Ok::<(), std::io::Error>(())
            /// ```
            ///
            /// # Errors
            ///
            /// See [Errors](crate::file#errors). A call that returns an error locks nothing.
            ///
            /// # Panics
            ///
            /// If the range is inverted.
            #[track_caller]
            pub fn $try_arc_for(
                self: &Arc<Self>,
                range: impl RangeBounds<u64>,
                timeout: Duration,
            ) -> io::Result<Option<$ArcGuard>> {
                $ArcGuard::acquire(Arc::clone(self), &range, Wait::after(timeout))
            }

            #[doc = concat!(
                "Like [`", stringify!($try_until), "`](Self::", stringify!($try_until), "), but the guard owns"
            )]
            /// a share of the lock.
            ///
            /// ```
            /// # use std::{sync::Arc, time::Instant};
            /// # use range_lock::file::FileRangeLock;
            /// let lock = Arc::new(FileRangeLock::from_file(&tempfile::tempfile()?)?);
            #[doc = concat!("assert!(lock.", stringify!($try_arc_until), "(5..15, Instant::now())?.is_some());")]
            /// # Ok::<(), std::io::Error>(())
            /// ```
            ///
            /// # Errors
            ///
            /// See [Errors](crate::file#errors). A call that returns an error locks nothing.
            ///
            /// # Panics
            ///
            /// If the range is inverted.
            #[track_caller]
            pub fn $try_arc_until(
                self: &Arc<Self>,
                range: impl RangeBounds<u64>,
                deadline: Instant,
            ) -> io::Result<Option<$ArcGuard>> {
                $ArcGuard::acquire(Arc::clone(self), &range, Wait::Until(deadline))
            }
        }
    };
}

acquire! {
    "for reading, shared with all but writers", FileReadGuard, ArcFileReadGuard,
    read, try_read, try_read_for, try_read_until,
    read_arc, try_read_arc, try_read_arc_for, try_read_arc_until,
    "let a = lock.read(0..100)?;
let b = other.read(50..150)?; // Readers share.
assert!(other.try_write(75..80)?.is_none());"
}

acquire! {
    "for reading with the right to try to upgrade, shared with plain readers (other processes see a plain reader)",
    FileUpgradableReadGuard, ArcFileUpgradableReadGuard,
    upgradable_read, try_upgradable_read, try_upgradable_read_for, try_upgradable_read_until,
    upgradable_read_arc, try_upgradable_read_arc, try_upgradable_read_arc_for, try_upgradable_read_arc_until,
    "# use range_lock::file::FileUpgradableReadGuard;
let looking = lock.upgradable_read(0..10)?;
assert!(lock.try_upgradable_read(0..10)?.is_none()); // One at a time in this process.
assert!(other.try_upgradable_read(0..10)?.is_some()); // Other processes see a reader.
let changing = FileUpgradableReadGuard::try_upgrade(looking)?;
assert!(other.try_read(0..10)?.is_none());"
}

acquire! {
    "for writing, shared with no other request", FileWriteGuard, ArcFileWriteGuard,
    write, try_write, try_write_for, try_write_until,
    write_arc, try_write_arc, try_write_arc_for, try_write_arc_until,
    "let page = lock.write(4096..8192)?;
assert!(other.try_read(8191..8200)?.is_none());
assert!(other.try_read(8192..)?.is_some());"
}

impl AsFd for FileRangeLock {
    /// The descriptor of the description to which the locks belong, for reading and writing. On
    /// some network file systems the locks are known to cover only I/O through this descriptor.
    ///
    /// Do not lock or unlock bytes through this descriptor or a duplicate. Such a call would
    /// replace or release the locks of guards.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.bytes.description.as_fd()
    }
}

impl Drop for FileRangeLock {
    fn drop(&mut self) {
        // A forked child may keep the description open. So what is owed is tried once more.
        let _ = self.settle();
    }
}

impl fmt::Debug for FileRangeLock {
    /// Prints what [`requests`](FileRangeLock::requests) lists.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileRangeLock").field("requests", &self.requests()).finish_non_exhaustive()
    }
}
