//! What the program does with signals that no crate does for it.
//!
//! # Invariants
//!
//! The unsafe code of this module leans on this:
//!
//! * **Question**: `sigaction` with a null pointer in place of an action changes nothing, and fills the structure that
//!   it is given when it succeeds.

use std::ffi::c_int;
use std::io;
use std::mem::MaybeUninit;
use std::ptr;

/// Whether the process ignores the signal.
///
/// # Errors
///
/// EINVAL, if there is no such signal.
pub(super) fn is_ignored(signal: c_int) -> io::Result<bool> {
    Ok(action(signal)?.sa_sigaction == libc::SIG_IGN)
}

/// What the process does at the signal.
fn action(signal: c_int) -> io::Result<libc::sigaction> {
    let mut action = MaybeUninit::uninit();
    // SAFETY: *Question*.
    if unsafe { libc::sigaction(signal, ptr::null(), action.as_mut_ptr()) } == 0 {
        // SAFETY: *Question*; it has succeeded.
        Ok(unsafe { action.assume_init() })
    } else {
        Err(io::Error::last_os_error())
    }
}
