//! [`Description`]: an open file description, and the system calls that lock its bytes.
//! It uses spans and modes.
//!
//! Only this file and `process.rs` use libc.
//!
//! # Invariants of the unsafe code
//!
//! **struct**: each call gets a descriptor that is open as long as the call runs, a command, and
//! the struct that the kernel reads or writes for that command.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};

use super::error;
use crate::mode::Mode;
use crate::span::Span;

/// The last byte that `off_t` can express.
pub(super) const LAST: u64 = i64::MAX as u64;

/// A file opened once. The locks are its own: no other description has any part in them.
#[derive(Debug)]
pub(super) struct Description {
    fd: OwnedFd,
    reads: bool,
    writes: bool,
    #[cfg(test)]
    pub(super) planted: planted::Planted,
}

/// A lock that another description, or a process, has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) mode: Mode,
    pub(super) span: Span,
    /// The process, where the lock is a process'.
    pub(super) process: Option<u32>,
}

impl Description {
    /// Takes `fd`, if its file can be locked.
    pub(super) fn new(fd: OwnedFd) -> io::Result<Self> {
        let file = File::from(fd);
        let kind = file.metadata()?.file_type();
        if !kind.is_file() && !kind.is_block_device() {
            return Err(error::not_a_file());
        }
        let fd = OwnedFd::from(file);
        // SAFETY: no struct ("struct").
        let flags = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETFL) };
        if flags == -1 {
            return Err(io::Error::last_os_error());
        }
        if flags & libc::O_PATH != 0 {
            return Err(error::only_a_path());
        }
        let access = flags & libc::O_ACCMODE;
        let description = Description {
            fd,
            reads: access != libc::O_WRONLY,
            writes: access != libc::O_RDONLY,
            #[cfg(test)]
            planted: planted::Planted::default(),
        };
        // Where there are no such locks, let it be known now.
        description.find(Span { first: 0, last: 0 }, Mode::Read)?;
        Ok(description)
    }

    /// Opens the file of `fd` once more, with the same access.
    pub(super) fn reopen(fd: BorrowedFd<'_>) -> io::Result<Self> {
        // SAFETY: no struct ("struct").
        let flags = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETFL) };
        if flags == -1 {
            return Err(io::Error::last_os_error());
        }
        let file = File::from(fd.try_clone_to_owned()?);
        let kind = file.metadata()?.file_type();
        // Opening a pipe would wait for its other end.
        if !kind.is_file() && !kind.is_block_device() {
            return Err(error::not_a_file());
        }
        let access = flags & libc::O_ACCMODE;
        let mut options = File::options();
        options.read(access != libc::O_WRONLY).write(access != libc::O_RDONLY);
        let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
        let again = options.open(path).map_err(error::not_reopened)?;
        // Without /proc mounted as it should be, another file might stand there.
        let (old, new) = (file.metadata()?, again.metadata()?);
        if (old.dev(), old.ino()) != (new.dev(), new.ino()) {
            return Err(error::not_reopened(io::Error::other("it is another file")));
        }
        Description::new(again.into())
    }

    /// Whether the access that the file was opened with allows locks in `mode`.
    pub(super) fn allows(&self, mode: Mode) -> io::Result<()> {
        match mode {
            Mode::Write if !self.writes => Err(error::access("writing", "reading")),
            Mode::Read | Mode::Upgradable if !self.reads => Err(error::access("reading", "writing")),
            _ => Ok(()),
        }
    }

    /// Locks `span`, whatever part of it was locked before, if no other description has a
    /// conflicting lock. Returns whether it did. If not, or if it fails, nothing has changed.
    pub(super) fn set(&self, span: Span, mode: Mode) -> io::Result<bool> {
        match self.lock(libc::F_OFD_SETLK, kind(mode), span) {
            Ok(_) => Ok(true),
            Err(os) if matches!(os.raw_os_error(), Some(libc::EAGAIN | libc::EACCES)) => Ok(false),
            Err(os) => Err(error::refused(doing(mode), span, os)),
        }
    }

    /// As [`set`](Self::set), but waits until the lock is granted.
    pub(super) fn set_waiting(&self, span: Span, mode: Mode) -> io::Result<()> {
        match self.lock(libc::F_OFD_SETLKW, kind(mode), span) {
            Ok(_) => Ok(()),
            Err(os) => Err(error::refused(doing(mode), span, os)),
        }
    }

    /// Unlocks `span`. Where that fails, nothing has changed.
    pub(super) fn unset(&self, span: Span) -> io::Result<()> {
        match self.lock(libc::F_OFD_SETLK, libc::F_UNLCK, span) {
            Ok(_) => Ok(()),
            Err(os) => Err(error::refused("unlock", span, os)),
        }
    }

    /// One lock of others that conflicts with `span` in `mode`.
    pub(super) fn find(&self, span: Span, mode: Mode) -> io::Result<Option<Found>> {
        let found = self
            .lock(libc::F_OFD_GETLK, kind(mode), span)
            .map_err(|os| error::refused("look for locks on", span, os))?;
        let mode = match i32::from(found.l_type) {
            libc::F_UNLCK => return Ok(None),
            libc::F_RDLCK => Mode::Read,
            _ => Mode::Write,
        };
        let first = found.l_start as u64;
        let last = if found.l_len == 0 { LAST } else { first + (found.l_len as u64 - 1) };
        let process = u32::try_from(found.l_pid).ok().filter(|process| *process != 0);
        Ok(Some(Found { mode, span: Span { first, last }, process }))
    }

    /// Calls fcntl(2), again if a signal interrupts it.
    fn lock(&self, command: i32, kind: i32, span: Span) -> io::Result<libc::flock> {
        loop {
            // SAFETY: a struct of numbers.
            let mut lock = unsafe { std::mem::zeroed::<libc::flock>() };
            lock.l_type = kind as i16;
            lock.l_whence = libc::SEEK_SET as i16;
            lock.l_start = span.first as i64;
            // 0 is to the end. The length of all bytes there are could not be expressed.
            lock.l_len = if span.last == LAST { 0 } else { (span.last - span.first + 1) as i64 };
            #[cfg(test)]
            self.planted.call(command, kind)?;
            match self.fcntl(command, &mut lock) {
                Ok(()) => {
                    #[cfg(test)]
                    self.planted.granted(command);
                    return Ok(lock);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    #[cfg(not(shuttle))]
    fn fcntl(&self, command: i32, lock: &mut libc::flock) -> io::Result<()> {
        // SAFETY: `flock` is what the three commands take ("struct").
        match unsafe { libc::fcntl(self.fd.as_raw_fd(), command, &raw mut *lock) } {
            -1 => Err(io::Error::last_os_error()),
            _ => Ok(()),
        }
    }

    /// Calls the model of the kernel.
    #[cfg(shuttle)]
    fn fcntl(&self, command: i32, lock: &mut libc::flock) -> io::Result<()> {
        self.planted.kernel.as_ref().expect("a description of the model")(command, lock)
    }

    /// A description for which `kernel` is the kernel.
    #[cfg(shuttle)]
    pub(super) fn of_model(kernel: planted::Kernel) -> Self {
        let fd = File::open("/dev/null").expect("any descriptor will do").into();
        let planted = planted::Planted { kernel: Some(kernel), ..Default::default() };
        Description { fd, reads: true, writes: true, planted }
    }
}

impl AsFd for Description {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Locks the whole of `file` by flock(2), if that can be done at once.
pub(super) fn flock(file: &File) -> io::Result<()> {
    // SAFETY: no struct ("struct").
    match unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// An upgradable reader is a reader for all other descriptions.
fn kind(mode: Mode) -> i32 {
    match mode {
        Mode::Read | Mode::Upgradable => libc::F_RDLCK,
        Mode::Write => libc::F_WRLCK,
    }
}

fn doing(mode: Mode) -> &'static str {
    match mode {
        Mode::Read | Mode::Upgradable => "lock for reading",
        Mode::Write => "lock for writing",
    }
}

/// What the tests of this module count, and let fail.
#[cfg(test)]
pub(super) mod planted {
    use std::collections::VecDeque;
    use std::fmt;
    use std::io;
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};

    type Hook = Box<dyn FnOnce() + Send>;
    #[cfg(shuttle)]
    pub(in crate::file) type Kernel = Box<dyn Fn(i32, &libc::flock) -> io::Result<()> + Send + Sync>;

    #[derive(Default)]
    pub(in crate::file) struct Planted {
        /// Calls that lock, convert or unlock.
        pub(in crate::file) calls: AtomicUsize,
        /// The errors with which the next unlocks fail. 0 lets an unlock through.
        pub(in crate::file) unlocks: Mutex<VecDeque<i32>>,
        /// The errors with which the next locks and conversions fail. 0 lets one through.
        pub(in crate::file) locks: Mutex<VecDeque<i32>>,
        /// Called when a call that waits has been granted.
        pub(in crate::file) waited: Mutex<Option<Hook>>,
        /// The model of the kernel.
        #[cfg(shuttle)]
        pub(super) kernel: Option<Kernel>,
    }

    impl fmt::Debug for Planted {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.debug_struct("Planted").finish_non_exhaustive()
        }
    }

    impl Planted {
        pub(super) fn granted(&self, command: i32) {
            let hook = self.waited.lock().unwrap().take_if(|_| command == libc::F_OFD_SETLKW);
            if let Some(hook) = hook {
                hook();
            }
        }

        pub(super) fn call(&self, command: i32, kind: i32) -> io::Result<()> {
            if command == libc::F_OFD_GETLK {
                return Ok(());
            }
            self.calls.fetch_add(1, Ordering::Relaxed);
            let planted = if kind == libc::F_UNLCK { &self.unlocks } else { &self.locks };
            match planted.lock().unwrap().pop_front() {
                None | Some(0) => Ok(()),
                Some(error) => Err(io::Error::from_raw_os_error(error)),
            }
        }
    }
}
