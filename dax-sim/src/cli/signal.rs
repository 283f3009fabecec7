//! Handles signals that are no request to end: it ends the program with a message when the mapped
//! file fails (SIGBUS), and survives a file that would become too large (SIGXFSZ). It also asks
//! whether a signal is ignored.
//!
//! The kernel sends SIGBUS to a thread that touches a page of a mapping which the file no longer
//! has, or which the medium cannot give. The copy that touched it cannot go on, so the program ends
//! at once: the handler writes one line, puts the files back as they were found, and exits with 74
//! (`EX_IOERR`). Rust's standard library has a handler of its own for SIGBUS (a stack that
//! overflows). It gets every signal that is not about a mapping.
//!
//! # Invariants
//!
//! The unsafe code of this module relies on these:
//!
//! * **Question**: `sigaction` with a null pointer in place of an action changes nothing. When it
//!   succeeds it fills the structure that it is given.
//! * **Prepared**: `PREPARED` is null or leads to a `Prepared` that is never changed nor freed. It
//!   has everything that the handler needs.
//! * **Async-signal-safe**: the handler calls only `write`, `lstat`, `ftruncate`, `unlink`,
//!   `pause`, `sigaction`, `raise` and `_exit`, all of which POSIX allows there. It allocates
//!   nothing and takes no lock. So it may interrupt anything.
//! * **Kernel's word**: the kernel calls the handler with a valid `siginfo_t` (SA_SIGINFO). Where
//!   `si_code` is positive the signal is about an access, and `si_addr` is its address.
//! * **Installed**: unless it is SIG_DFL or SIG_IGN, an action with SA_SIGINFO holds a function of
//!   three arguments, and one without it a function of one.

use std::ffi::{CString, c_int, c_void};
use std::fs::File;
use std::io::{self, IsTerminal};
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ops::Range;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

use signal_hook::consts::SIGXFSZ;
use signal_hook::flag;

use super::one_line;
use crate::pmem::{Device, Mapped, Undo};

/// `EX_IOERR` of sysexits.h.
const IO_ERROR: c_int = 74;

/// Whether the process ignores the signal.
///
/// # Errors
///
/// EINVAL, if there is no such signal.
pub(super) fn is_ignored(signal: c_int) -> io::Result<bool> {
    Ok(action(signal)?.sa_sigaction == libc::SIG_IGN)
}

/// From now on, a write past the limit on the size of a file (`ulimit -f`) fails with EFBIG. By
/// default SIGXFSZ would end the program, which then could not put its files back.
pub(super) fn outlive_file_size_limit() {
    if !is_ignored(SIGXFSZ).unwrap_or(true) {
        // The flag is not read: the call that the signal is about fails as well. If no handler can
        // be installed, the signal does what it did.
        let _ = flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false)));
    }
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

/// What the handler needs, made before it is installed.
struct Prepared {
    files: Vec<PreparedFile>,
    /// The end of the message, which follows the offset.
    end_of_text: &'static str,
    /// The process' action at SIGBUS before.
    before: libc::sigaction,
}

/// A file that is mapped.
struct PreparedFile {
    mapped: Range<usize>,
    /// The message up to the offset, which names the file.
    text: String,
    file: RawFd,
    /// What the handler undoes to the file.
    undo: Undo,
    /// The file's name as it was opened, with its device and inode.
    name: Option<(CString, u64, u64)>,
}

impl PreparedFile {
    fn new(mapped: &Mapped<'_>, clear: &str) -> io::Result<PreparedFile> {
        let &Mapped { file, undo, path, ref addresses } = mapped;
        let found = file.metadata()?;
        let name = path.and_then(|path| CString::new(path.as_os_str().as_bytes()).ok());
        let name = name.map(|name| (name, found.dev(), found.ino()));
        let shown = one_line(path.unwrap_or(Path::new("memfd")).display());
        let text = format!("{clear}error: `{shown}` failed at offset ");
        Ok(PreparedFile { mapped: addresses.clone(), text, file: file.as_raw_fd(), undo, name })
    }

    /// Called by the handler.
    fn put_back(&self) {
        match (self.undo, &self.name) {
            (Undo::Empty, _) => {
                // SAFETY: *Async-signal-safe*.
                unsafe { libc::ftruncate(self.file, 0) };
            }
            (Undo::Remove, Some((name, device, inode))) => {
                let mut found = MaybeUninit::<libc::stat>::uninit();
                // SAFETY: *Async-signal-safe*; `name` ends in NUL, and `found` has room. If `lstat`
                // succeeds it has filled it.
                unsafe {
                    if libc::lstat(name.as_ptr(), found.as_mut_ptr()) == 0 {
                        let found = found.assume_init_ref();
                        // Another file may have taken the name.
                        if (found.st_dev, found.st_ino) == (*device, *inode) {
                            libc::unlink(name.as_ptr());
                        }
                    }
                }
            }
            _ => {}
        }
    }
}

static PREPARED: AtomicPtr<Prepared> = AtomicPtr::new(ptr::null_mut());
/// Whether a thread is writing the message.
static TOLD: AtomicBool = AtomicBool::new(false);

/// While it lives, an access to the mapping that fails ends the program with a message. The caller
/// drops it before the mapping and its files.
#[derive(Debug)]
pub(super) struct MappedFile<'a>(PhantomData<&'a File>);

impl MappedFile<'_> {
    /// Installs the handler for the device's mapping. One caller at a time has it.
    ///
    /// # Errors
    ///
    /// The system's error.
    pub(super) fn watch(device: &Device) -> io::Result<MappedFile<'_>> {
        MappedFile::watch_files(&[device.mapped()])
    }

    /// The same for several files. The message names the file whose mapping failed.
    pub(super) fn watch_files<'a>(files: &[Mapped<'a>]) -> io::Result<MappedFile<'a>> {
        // The line may hold an unfinished bar.
        let clear = if io::stderr().is_terminal() { "\r\x1b[K" } else { "" };
        let prepared = Prepared {
            files: files.iter().map(|file| PreparedFile::new(file, clear)).collect::<io::Result<_>>()?,
            end_of_text: " (SIGBUS): another process made it shorter, or its medium failed; nothing was written\n",
            before: action(libc::SIGBUS)?,
        };
        // Left behind on purpose: a handler may still be looking at it when the device goes
        // (*Prepared*).
        PREPARED.store(Box::into_raw(Box::new(prepared)), Ordering::Release);
        // SAFETY: all of it is set below but for the mask, for which zeros are the empty set, and
        // `sa_restorer`, which the C library sets.
        let mut action: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
        let handler: extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) = on_sigbus;
        action.sa_sigaction = handler as usize;
        action.sa_flags = libc::SA_ONSTACK | libc::SA_SIGINFO;
        // SAFETY: *Async-signal-safe*; the handler has the signature of SA_SIGINFO (*Installed*).
        if unsafe { libc::sigaction(libc::SIGBUS, &action, ptr::null_mut()) } != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(MappedFile(PhantomData))
    }
}

impl Drop for MappedFile<'_> {
    fn drop(&mut self) {
        let prepared = PREPARED.swap(ptr::null_mut(), Ordering::AcqRel);
        // SAFETY: *Prepared*.
        if let Some(prepared) = unsafe { prepared.as_ref() } {
            // SAFETY: *Installed*: the earlier action is installed again.
            unsafe { libc::sigaction(libc::SIGBUS, &prepared.before, ptr::null_mut()) };
        }
    }
}

extern "C" fn on_sigbus(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: *Prepared*.
    let prepared = unsafe { PREPARED.load(Ordering::Acquire).as_ref() };
    // SAFETY: *Kernel's word*.
    let (code, address) = unsafe { ((*info).si_code, (*info).si_addr().addr()) };
    let Some(prepared) = prepared else {
        // The mapping is about to go, and the signal is not about it.
        return by_default(signal, code);
    };
    let failed = prepared.files.iter().find(|file| file.mapped.contains(&address));
    if let (true, Some(file)) = (code > 0, failed) {
        prepared.end(file, (address - file.mapped.start) as u64);
    }
    match prepared.before.sa_sigaction {
        libc::SIG_DFL => by_default(signal, code),
        // An access cannot be ignored.
        libc::SIG_IGN if code > 0 => by_default(signal, code),
        libc::SIG_IGN => {}
        handler if prepared.before.sa_flags & libc::SA_SIGINFO != 0 => {
            // SAFETY: *Installed*.
            let handler: extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) =
                unsafe { std::mem::transmute(handler as *const ()) };
            handler(signal, info, context);
        }
        handler => {
            // SAFETY: *Installed*.
            let handler: extern "C" fn(c_int) = unsafe { std::mem::transmute(handler as *const ()) };
            handler(signal);
        }
    }
}

/// Does what the system does at the signal by default, when the handler has returned.
fn by_default(signal: c_int, code: c_int) {
    // SAFETY: zeros are SIG_DFL, no flags, and the empty set.
    let action: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
    // SAFETY: *Async-signal-safe*; no handler is installed.
    unsafe { libc::sigaction(signal, &action, ptr::null_mut()) };
    if code <= 0 {
        // No access is repeated that would send it again.
        // SAFETY: *Async-signal-safe*.
        unsafe { libc::raise(signal) };
    }
}

impl Prepared {
    /// Prints what has happened to `file`, puts all files back, and ends the program. If several
    /// threads come here, one does it.
    fn end(&self, file: &PreparedFile, offset: u64) -> ! {
        if TOLD.swap(true, Ordering::AcqRel) {
            loop {
                // SAFETY: *Async-signal-safe*.
                unsafe { libc::pause() };
            }
        }
        let mut digits = [0; 20];
        for part in [file.text.as_bytes(), decimal(offset, &mut digits), self.end_of_text.as_bytes()] {
            // SAFETY: *Async-signal-safe*; `part` is readable. A standard error that is closed is
            // no reason to stay.
            unsafe { libc::write(libc::STDERR_FILENO, part.as_ptr().cast(), part.len()) };
        }
        self.files.iter().for_each(PreparedFile::put_back);
        // SAFETY: *Async-signal-safe*.
        unsafe { libc::_exit(IO_ERROR) }
    }
}

/// The number in decimal digits.
fn decimal(mut number: u64, digits: &mut [u8; 20]) -> &[u8] {
    let mut first = digits.len();
    loop {
        first -= 1;
        digits[first] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            return &digits[first..];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_in_full() {
        for number in [0, 9, 10, 4096, u64::MAX] {
            assert_eq!(decimal(number, &mut [0; 20]), number.to_string().as_bytes());
        }
    }
}
