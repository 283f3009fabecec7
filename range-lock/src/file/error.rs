//! Error messages for what can go wrong: the value, the bound, and the remedy. It uses spans.

use std::error::Error;
use std::fmt;
use std::io;

use crate::span::Span;

/// A call that the kernel refused. The kernel's own error is the `source`.
#[derive(Debug)]
struct Refused {
    /// What was to be done to the bytes.
    doing: &'static str,
    span: Span,
    os: io::Error,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {} bytes {:?}: {}", self.doing, self.span, self.os)?;
        match remedy(&self.os) {
            Some(remedy) => write!(f, ": {remedy}"),
            None => Ok(()),
        }
    }
}

impl Error for Refused {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.os)
    }
}

fn remedy(os: &io::Error) -> Option<&'static str> {
    Some(match os.raw_os_error()? {
        libc::ENOLCK => {
            "the kernel has no memory for one more lock, or the server refuses locks: release \
             some, or try again later"
        }
        libc::ESTALE => "the server no longer knows the file: open it anew",
        libc::EIO | libc::ETIMEDOUT | libc::ENOTCONN | libc::EHOSTDOWN | libc::ECONNREFUSED => {
            "the server does not answer, or has dropped the locks of this machine: take what is \
             held as lost, and open the file anew"
        }
        libc::EINVAL | libc::ENOSYS | libc::EOPNOTSUPP => {
            "the kernel (before Linux 3.15) or this file system has no locks of open file \
             descriptions: put the file on another file system"
        }
        _ => return None,
    })
}

#[cold]
pub(super) fn refused(doing: &'static str, span: Span, os: io::Error) -> io::Error {
    io::Error::new(os.kind(), Refused { doing, span, os })
}

#[cold]
pub(super) fn not_expressible(what: u64, bound: u64) -> io::Error {
    let message = format!(
        "the range reaches byte {what}, and the last byte that the kernel can lock is {bound}: \
         leave the range open (`first..`) to lock all bytes to the end"
    );
    io::Error::new(io::ErrorKind::InvalidInput, message)
}

#[cold]
pub(super) fn access(wanted: &str, has: &str) -> io::Error {
    let message = format!(
        "a lock for {wanted} needs a file that is open for {wanted}, and this one is open for \
         {has} only: open it for both"
    );
    io::Error::new(io::ErrorKind::PermissionDenied, message)
}

#[cold]
pub(super) fn not_a_file() -> io::Error {
    let message = "only regular files and block devices have bytes that can be locked: open one of these";
    io::Error::new(io::ErrorKind::InvalidInput, message)
}

#[cold]
pub(super) fn only_a_path() -> io::Error {
    let message = "a descriptor opened with O_PATH cannot lock: open the file for reading or writing";
    io::Error::new(io::ErrorKind::InvalidInput, message)
}

#[cold]
pub(super) fn not_reopened(os: io::Error) -> io::Error {
    let message = format!(
        "cannot open the file once more through /proc/self/fd: {os}: open it by its path instead, \
         or mount /proc"
    );
    io::Error::new(os.kind(), message)
}

#[cold]
pub(super) fn another_process() -> io::Error {
    let message = "this lock was made by another process, of which this one is a fork: open the \
                   file anew here";
    io::Error::new(io::ErrorKind::Unsupported, message)
}

#[cold]
pub(super) fn would_block(span: Span) -> io::Error {
    let message = format!("others hold bytes of {span:?} for reading: try again when they have left");
    io::Error::new(io::ErrorKind::WouldBlock, message)
}

#[cold]
pub(super) fn timed_out(span: Span) -> io::Error {
    let message = format!("others still hold bytes of {span:?} for reading: wait longer, or try again");
    io::Error::new(io::ErrorKind::TimedOut, message)
}
