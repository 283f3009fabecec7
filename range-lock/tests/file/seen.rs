//! What a third description sees: locks of the kernel, one byte at a time.

use std::fs::File;
use std::ops::RangeInclusive;
use std::os::fd::AsRawFd;

/// What is locked, as seen from a description that has no lock.
#[derive(Debug)]
pub(crate) struct Seen(File);

impl Seen {
    /// Opens `file` once more.
    pub(crate) fn new(file: &File) -> Self {
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        Seen(File::options().read(true).write(true).open(path).unwrap())
    }

    /// For each of the bytes, what others have locked: `r`, `w` or `-`.
    pub(crate) fn bytes(&self, bytes: RangeInclusive<u64>) -> String {
        bytes.map(|byte| self.byte(byte)).collect()
    }

    fn byte(&self, byte: u64) -> char {
        // SAFETY: a struct of numbers.
        let mut lock = unsafe { std::mem::zeroed::<libc::flock>() };
        lock.l_type = libc::F_WRLCK as i16;
        lock.l_whence = libc::SEEK_SET as i16;
        lock.l_start = byte as i64;
        lock.l_len = 1;
        // SAFETY: an open descriptor, and the struct that the command takes.
        assert_eq!(unsafe { libc::fcntl(self.0.as_raw_fd(), libc::F_OFD_GETLK, &raw mut lock) }, 0);
        match i32::from(lock.l_type) {
            libc::F_UNLCK => '-',
            libc::F_RDLCK => 'r',
            _ => 'w',
        }
    }
}
