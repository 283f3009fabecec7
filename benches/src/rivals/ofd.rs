//! `fcntl(F_OFD_SETLKW)`: the kernel's byte-range locks, here of a file in memory (tmpfs).

use std::fs::{File, OpenOptions};
use std::io;
use std::ops::Range;
use std::os::fd::{AsRawFd, OwnedFd};

use rustix::fs::{MemfdFlags, memfd_create};

use crate::rival::{Rival, Scope, User};

/// A file. Its locks belong to open file descriptions, so each user opens the file once more.
#[derive(Debug)]
pub struct OfdLock(OwnedFd);

impl Rival for OfdLock {
    const NAME: &'static str = "fcntl OFD";
    const SCOPE: Scope = Scope::Exact;
    const SHARED: bool = true;
    const MOST_HELD: usize = 100; // Taking 10,000 takes seconds.
    type User<'a> = Description;

    fn new() -> Self {
        OfdLock(memfd_create(c"range-lock-benches", MemfdFlags::CLOEXEC).expect("a file in memory"))
    }

    fn user(&self) -> Description {
        let path = format!("/proc/self/fd/{}", self.0.as_raw_fd());
        let file = OpenOptions::new().read(true).write(true).open(path);
        Description(file.expect("a file in memory can be opened again"))
    }
}

/// An open file description.
#[derive(Debug)]
pub struct Description(File);

impl Description {
    /// Locks or unlocks `length` bytes. A length of 0 means all up to the end of the domain.
    fn set(&self, kind: libc::c_int, start: u64, length: u64) {
        // SAFETY: `flock` is plain data, for which zeros are valid (and what OFD locks ask of
        // `l_pid`).
        let mut lock: libc::flock = unsafe { std::mem::zeroed() };
        lock.l_type = kind as libc::c_short;
        lock.l_whence = libc::SEEK_SET as libc::c_short;
        lock.l_start = start as libc::off_t;
        lock.l_len = length as libc::off_t;
        // SAFETY: the descriptor is open, and `lock` is a `flock` that lives longer than the call,
        // which only reads it.
        while unsafe { libc::fcntl(self.0.as_raw_fd(), libc::F_OFD_SETLKW, &raw const lock) } != 0 {
            let error = io::Error::last_os_error();
            assert!(error.kind() == io::ErrorKind::Interrupted, "fcntl(F_OFD_SETLKW): {error}");
        }
    }

    fn lock(&self, kind: libc::c_int, start: u64, length: u64) -> Guard<'_> {
        self.set(kind, start, length);
        Guard { description: self, start, length }
    }
}

impl User for Description {
    type Read<'a> = Guard<'a>;
    type Write<'a> = Guard<'a>;

    fn read(&self, range: Range<u64>) -> Guard<'_> {
        self.lock(libc::F_RDLCK, range.start, range.end - range.start)
    }

    fn write(&self, range: Range<u64>) -> Guard<'_> {
        self.lock(libc::F_WRLCK, range.start, range.end - range.start)
    }

    fn write_whole(&self) -> Guard<'_> {
        self.lock(libc::F_WRLCK, 0, 0)
    }
}

/// Unlocks its range when dropped.
#[derive(Debug)]
pub struct Guard<'a> {
    description: &'a Description,
    start: u64,
    length: u64,
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        self.description.set(libc::F_UNLCK, self.start, self.length);
    }
}
