//! Where the blocks of a file are, and whether they are there already and belong to no other file:
//! the ioctl FIEMAP.
//!
//! # Invariants
//!
//! The unsafe code of this module leans on this:
//!
//! * **Layout**: [`Request`] is the kernel's `struct fiemap` with room for [`ROOM`] extents, and
//!   says so in `extent_count`. The kernel reads and writes no more than that.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

/// Extents that one call asks for.
const ROOM: usize = 64;
/// `FS_IOC_FIEMAP`.
const FIEMAP: u64 = 0xC020_660B;
/// Write back first, so that what is only in the page cache has blocks.
const SYNC: u32 = 0x1;
/// The last extent of the file.
const LAST: u32 = 0x1;
/// No place, compressed, encrypted, not aligned, inline, in a shared tail; or shared with another
/// file. A store to such an extent may need a new block.
const NEEDS_MORE: u32 = 0x2 | 0x8 | 0x80 | 0x100 | 0x200 | 0x400 | 0x2000;
/// Reserved, and not written yet: it reads as zeros.
const UNWRITTEN: u32 = 0x800;

/// `struct fiemap`.
#[repr(C)]
struct Request {
    start: u64,
    length: u64,
    flags: u32,
    mapped: u32,
    extent_count: u32,
    reserved: u32,
    extents: [Answer; ROOM],
}

impl Request {
    fn found(&self) -> &[Answer] {
        &self.extents[..ROOM.min(self.mapped as usize)]
    }
}

/// `struct fiemap_extent`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Answer {
    logical: u64,
    physical: u64,
    length: u64,
    reserved_64: [u64; 2],
    flags: u32,
    reserved: [u32; 3],
}

/// Bytes of a file that lie in one piece on its device.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extent {
    /// In the file.
    pub(crate) logical: u64,
    /// On the device.
    pub(crate) physical: u64,
    pub(crate) length: u64,
    /// `FIEMAP_EXTENT_…`.
    pub(crate) flags: u32,
}

impl Extent {
    /// Whether a store to it needs no new block.
    pub(crate) fn is_settled(&self) -> bool {
        self.flags & (NEEDS_MORE | UNWRITTEN) == 0
    }
}

/// The extents of `[0, size)` of the file, in order.
///
/// # Errors
///
/// EOPNOTSUPP, where the file system cannot tell.
pub(crate) fn of(file: &File, size: u64) -> io::Result<Vec<Extent>> {
    let mut extents: Vec<Extent> = Vec::new();
    let mut asked = 0;
    while asked < size {
        let request = ask(file, asked, size)?;
        let found = request.found();
        for &Answer { logical, physical, length, flags, .. } in found {
            extents.push(Extent { logical, physical, length, flags });
            asked = asked.max(logical + length);
        }
        if found.last().is_none_or(|last| last.flags & LAST != 0) {
            break;
        }
    }
    Ok(extents)
}

/// The first extents of `[start, end)`.
fn ask(file: &File, start: u64, end: u64) -> io::Result<Request> {
    let mut request = Request {
        start,
        length: end - start,
        flags: SYNC,
        mapped: 0,
        extent_count: ROOM as u32,
        reserved: 0,
        extents: [Answer::default(); ROOM],
    };
    // SAFETY: *Layout*; the descriptor is open as long as `file` is.
    match unsafe { libc::ioctl(file.as_raw_fd(), FIEMAP as _, &raw mut request) } {
        0 => Ok(request),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Whether `[0, size)` of the file has blocks everywhere, which it shares with no other file.
/// `false` where the file system cannot tell.
pub(super) fn are_its_own(file: &File, size: u64) -> bool {
    let mut covered = 0;
    while covered < size {
        let Ok(request) = ask(file, covered, size) else { return false };
        let found = request.found();
        if found.is_empty() {
            return false;
        }
        for extent in found {
            if extent.logical > covered || extent.flags & NEEDS_MORE != 0 {
                return false;
            }
            covered = covered.max(extent.logical + extent.length);
        }
        if found.iter().any(|extent| extent.flags & LAST != 0) {
            break;
        }
    }
    covered >= size
}
