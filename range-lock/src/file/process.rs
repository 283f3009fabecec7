//! [`Process`]: which process this is.
//! It uses nothing of this crate.
//!
//! A child made by `fork` has a copy of each lock and guard. The copy must not release what the
//! parent holds, so each lock knows the process that made it, and each verb asks which process is
//! running. Reading a page that the kernel wipes in a child costs one load, where getpid(2) is a
//! system call. And the number of a process may be the same in another namespace, or come again.
//!
//! # Invariants of the unsafe code
//!
//! **page**: the page is mapped once, for reading and writing, and never unmapped. It is used as
//! one atomic number only.

use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// Names a process among those that inherit its memory, and their ancestors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Process(u64);

impl Process {
    /// The process that calls.
    pub(super) fn current() -> Process {
        /// The last name that was given. A child goes on from its parent's, so none of its
        /// ancestors has had the name that it takes.
        static NAMES: AtomicU64 = AtomicU64::new(0);
        static PAGE: OnceLock<Option<&'static AtomicU64>> = OnceLock::new();

        let Some(page) = PAGE.get_or_init(wiped_in_a_child) else {
            return Process(u64::from(std::process::id()));
        };
        match page.load(Ordering::Relaxed) {
            0 => {
                let name = NAMES.fetch_add(1, Ordering::Relaxed) + 1;
                let taken = page.compare_exchange(0, name, Ordering::Relaxed, Ordering::Relaxed);
                Process(taken.err().unwrap_or(name))
            }
            name => Process(name),
        }
    }
}

/// A number that becomes 0 in a child. `None` before Linux 4.14.
fn wiped_in_a_child() -> Option<&'static AtomicU64> {
    const SIZE: usize = 4096; // One page or, where pages are larger, a part of one.
    let (access, kind) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    // SAFETY: a new mapping, at an address that the kernel chooses.
    let page = unsafe { libc::mmap(ptr::null_mut(), SIZE, access, kind, -1, 0) };
    if page == libc::MAP_FAILED {
        return None;
    }
    // SAFETY: the page was mapped above, and nothing is in it yet.
    if unsafe { libc::madvise(page, SIZE, libc::MADV_WIPEONFORK) } != 0 {
        // SAFETY: as above; no reference to the page exists.
        unsafe { libc::munmap(page, SIZE) };
        return None;
    }
    // SAFETY: aligned, zeroed, and there for ever ("page").
    Some(unsafe { AtomicU64::from_ptr(page.cast()) })
}
