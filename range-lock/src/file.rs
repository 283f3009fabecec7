//! [`FileRangeLock`]: bytes of a file, locked among threads, processes and machines (feature
//! `file`, Linux on 64-bit machines).
//!
//! The methods that lock have the names of methods of [`RangeLock`], but return `io::Result`. A
//! request has two steps. First a `RangeLock`, which is fair and exact, grants the request among
//! the threads of this process. Then the thread of the request asks the kernel for a lock of the
//! *open file description* (`F_OFD_SETLK` of fcntl(2)). On a network file system the kernel usually
//! asks the server. A reader skips the second step if other readers of the same `FileRangeLock`
//! have already locked all bytes of its range.
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
//! The kernel's lock of the bytes of a range belongs to an open file description. `dup`,
//! [`File::try_clone`], `fork` and passing a descriptor to another process make duplicates of a
//! descriptor. All duplicates refer to the same description. A lock through one duplicate replaces
//! a lock of the same bytes through another duplicate, and a process can unlock the bytes through
//! any duplicate. So [`open`] and [`from_file`] open the file anew, and each lock that they make
//! has a description of its own. The caller of [`from_description`] must ensure that no other code
//! locks or unlocks bytes through the description.
//!
//! * **fork**: the child has copies of the parent's locks and guards. If the child drops a copied
//!   guard, the range stays locked for the parent. In the child, each method of a copied lock or
//!   guard that returns a `Result` returns an error. The exception is `release` of a guard of an
//!   empty range. The child must not call [`requests`](FileRangeLock::requests) or `split_at`, nor
//!   print a copied lock. These calls may wait for ever, as
//!   [`RangeLock`](RangeLock#fork-and-signal-handlers) describes. To lock bytes, the child must
//!   open the file again. If the parent dies while the child has its copy of the descriptor, the
//!   parent's ranges stay locked.
//! * **exec**: the kernel closes a descriptor that has the flag `FD_CLOEXEC`. [`open`] and
//!   [`from_file`] set this flag. If no duplicate of the descriptor is left, the kernel also
//!   unlocks the ranges. [`from_description`] does not change the flag of its descriptor. Without
//!   the flag the kernel keeps the descriptor open, and the locks stay in the new program.
//! * **death**: when a process dies, the kernel closes the descriptors of the process. If no
//!   duplicate of the lock's descriptor is left, the kernel also unlocks the ranges.
//!
//! [`from_description`]: FileRangeLock::from_description
//! [`from_file`]: FileRangeLock::from_file
//! [`open`]: FileRangeLock::open
//! [`File::try_clone`]: std::fs::File::try_clone
//!
//! # Fairness
//!
//! The kernel promises no order among descriptions. A writer can starve if other processes read
//! continuously. If another description keeps a request out, a thread that called
//! [`read`](FileRangeLock::read), [`upgradable_read`](FileRangeLock::upgradable_read) or
//! [`write`](FileRangeLock::write) sleeps in the kernel. A method with a time limit asks the kernel
//! again after pauses, and so does [`acquire_many`](FileRangeLock::acquire_many). The first pause
//! is 1 ms. Each further pause is twice as long as the previous pause, but at most 50 ms.
//!
//! # Deadlocks
//!
//! The rule of [`RangeLock`](RangeLock#deadlocks) applies to the file: **while a thread holds a
//! range, it must not wait without a time limit for another range of the same file**, through this
//! lock or another lock. Neither the kernel nor this crate detects deadlocks across processes. To
//! take several ranges, use [`acquire_many`](FileRangeLock::acquire_many) or methods with a time
//! limit.
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
/// A thread may lock a range even if the range ends behind the end of the file. The lock is
/// advisory: on a local file system read(2) and write(2) do not check the lock.
///
/// The threads of one process should share one `FileRangeLock` of a file. Conflicting requests of
/// two `FileRangeLock`s of one file exclude each other, but have no order among each other.
pub struct FileRangeLock {
    bytes: Bytes,
    /// The lock among the threads of this process.
    local: RangeLock,
    process: Process,
    /// A second description, to look from outside.
    outside: OnceLock<Description>,
}

impl FileRangeLock {
    /// Lists the requests of this lock that are held or wait in this process, like
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
    /// them. Bytes that a thread has acquired again through this lock stay locked. A refused range
    /// also stays locked while a request of this lock for writing a part of the range is held or
    /// waits.
    ///
    /// Every acquiring method first tries to unlock the refused bytes, and ignores the error. An
    /// acquiring method that is about to wait for another process tries once more to unlock the
    /// refused bytes of its own range. If the kernel refuses again, the method returns the error.
    ///
    /// ```
    /// # let lock = range_lock::file::FileRangeLock::from_file(&tempfile::tempfile()?)?;
    /// lock.settle()?; // Nothing was refused.
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The method returns an error if the kernel or the server refuses again, or if the process is
    /// a forked child.
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
/// that the kernel can lock.
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
            /// The lock grants its conflicting requests of this process first come, first served.
            /// The exception is an upgrade, which passes waiting requests. A request keeps its
            /// place in this process while it waits for another process. So later conflicting
            /// requests of this process wait for the request. Among processes the kernel promises
            /// no order.
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
            /// Returns `None` if another process or another `FileRangeLock` holds a conflicting
            /// lock, or if a conflicting request of this lock is held or waits. `let _ =` drops the
            /// guard at once, which unlocks the range.
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
            /// With a timeout of zero the method waits neither for a request nor for another
            /// process. With a timeout that is too long for the clock, the method waits like
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
            /// process. The request has no place among the requests of other processes. If another
            /// process keeps the request out, the method asks the kernel again after pauses, and a
            /// last time when the timeout ends. The first pause is 1 ms. Each further pause is
            /// twice as long as the previous pause, but at most 50 ms. So the method may lock a
            /// free range one pause late. The method may miss a range that is free for less than a
            /// pause. If the request gives up, it leaves nothing locked, and the lock grants the
            /// requests of this process that waited only for the request.
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
            /// which also describes fairness and cancel safety. If the deadline has passed before
            /// the call, the method waits neither for a request nor for another process.
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
