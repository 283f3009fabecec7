//! How a lock of a file's bytes is made.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::OnceLock;

use super::bytes::Bytes;
use super::process::Process;
use super::sys::Description;
use super::{Access, FileRangeLock};
use crate::lock::RangeLock;

impl FileRangeLock {
    /// Opens the file at `path`, which must exist, and makes a lock of its bytes.
    ///
    /// The descriptor is closed on exec.
    ///
    /// ```
    /// use range_lock::file::{Access, FileRangeLock};
    ///
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("file");
    /// # std::fs::write(&path, [])?;
    /// let lock = FileRangeLock::open(&path, Access::Read)?;
    /// assert!(lock.read(..).is_ok());
    /// assert_eq!(lock.write(..).unwrap_err().kind(), std::io::ErrorKind::PermissionDenied);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The call returns an error if the process cannot open the file, or if the file is neither a
    /// regular file nor a block device. The call also returns an error if the kernel or the file
    /// system has no locks of open file descriptions.
    pub fn open(path: impl AsRef<Path>, access: Access) -> io::Result<Self> {
        let file = File::options().read(true).write(access == Access::ReadWrite).open(path)?;
        Ok(Self::new(Description::new(file.into())?))
    }

    /// Makes a lock of the bytes of `file`. The method opens the file again through
    /// `/proc/self/fd`, with the same access. So the lock has its own description. Calls that lock
    /// or unlock bytes through `file` or its clones do not change the locks of this description.
    ///
    /// ```
    /// use range_lock::file::FileRangeLock;
    ///
    /// let file = tempfile::tempfile()?;
    /// let lock = FileRangeLock::from_file(&file)?;
    /// let guard = lock.write(..)?;
    /// drop(file.try_clone()?); // Nothing to do with the lock.
    /// assert!(FileRangeLock::from_file(&file)?.try_read(..)?.is_none());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The call returns an error if `/proc` is not mounted, or if this process may no longer open
    /// the file, for example because the permissions have changed. To avoid these two errors,
    /// [`open`](Self::open) the file by its path earlier, or use
    /// [`from_description`](Self::from_description). The call also fails in the cases in which
    /// `open` fails.
    pub fn from_file(file: impl AsFd) -> io::Result<Self> {
        Ok(Self::new(Description::reopen(file.as_fd())?))
    }

    /// Makes a lock of the bytes of the file to which the descriptor `fd` refers. The lock uses the
    /// description of `fd`.
    ///
    /// The method does not change the flag `FD_CLOEXEC` of `fd`. Without this flag the kernel keeps
    /// `fd` open on exec, and the locks stay in the new program.
    ///
    /// ```
    /// use range_lock::file::FileRangeLock;
    ///
    /// let file = tempfile::tempfile()?;
    /// // SAFETY: the file was opened just now, and has no other descriptor.
    /// let lock = unsafe { FileRangeLock::from_description(file.into())? };
    /// assert!(lock.try_write(..)?.is_some());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Safety
    ///
    /// As long as a thread uses the lock, no code may lock or unlock bytes through another
    /// descriptor of the same description. A call through another descriptor replaces or releases
    /// the locks of this lock's guards on the same bytes. Other descriptors of the same description
    /// come from `dup`, [`File::try_clone`] and `fork`, and from any other way to pass a descriptor
    /// on. On file systems where locks of flock(2) and of a `FileRangeLock` exclude each other, the
    /// same rule holds for calls of flock(2).
    ///
    /// # Errors
    ///
    /// The errors of [`open`](Self::open).
    pub unsafe fn from_description(fd: OwnedFd) -> io::Result<Self> {
        Ok(Self::new(Description::new(fd)?))
    }

    /// The lock by a description of the file.
    pub(super) fn new(description: Description) -> Self {
        FileRangeLock {
            bytes: Bytes::new(description),
            local: RangeLock::new(),
            process: Process::current(),
            outside: OnceLock::new(),
        }
    }
}
