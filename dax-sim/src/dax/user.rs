//! User memory as read(2) and write(2) see it: a source or target of a copy that may fault.
//!
//! Follows `copy_to_iter`, `copy_from_iter` and `fault_in_iov_iter_readable` of Linux. A process'
//! own memory is a slice here and never faults. A mapping of a simulated file does fault
//! ([`UserBuffer`](crate::file::UserBuffer)).

use crate::error::FsError;

/// Whether a copy may take page faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Faults {
    On,
    /// `pagefault_disable`: what would be a fault ends the copy.
    Off,
}

/// Memory that write(2) copies from.
pub(crate) trait UserSource {
    fn len(&self) -> usize;

    /// Hands `len` bytes from `at` on to `write`, piece by piece, with the place of each piece
    /// among them. Returns how many: fewer than `len` where a fault failed, or was needed with
    /// faults off.
    fn copy_from(&self, at: usize, len: usize, faults: Faults, write: impl FnMut(usize, &[u8])) -> usize;

    /// Ensures that the bytes can be loaded at the moment. Returns how many of them: fewer than
    /// `len` where a fault failed.
    fn fault_in(&self, at: usize, len: usize) -> usize;
}

/// Memory that read(2) copies to.
pub(crate) trait UserTarget {
    fn len(&self) -> usize;

    /// Fills `len` bytes from `at` on with what `read` puts there, piece by piece, given the place
    /// of each piece among them. Returns how many: fewer than `len` where a fault failed.
    fn copy_to(
        &mut self,
        at: usize,
        len: usize,
        read: impl FnMut(usize, &mut [u8]) -> Result<(), FsError>,
    ) -> Result<usize, FsError>;
}

impl UserSource for [u8] {
    #[inline]
    fn len(&self) -> usize {
        self.len()
    }

    #[inline]
    fn copy_from(&self, at: usize, len: usize, _: Faults, mut write: impl FnMut(usize, &[u8])) -> usize {
        write(0, &self[at..at + len]);
        len
    }

    fn fault_in(&self, _at: usize, len: usize) -> usize {
        len
    }
}

impl UserTarget for [u8] {
    #[inline]
    fn len(&self) -> usize {
        self.len()
    }

    #[inline]
    fn copy_to(
        &mut self,
        at: usize,
        len: usize,
        mut read: impl FnMut(usize, &mut [u8]) -> Result<(), FsError>,
    ) -> Result<usize, FsError> {
        read(0, &mut self[at..at + len])?;
        Ok(len)
    }
}
