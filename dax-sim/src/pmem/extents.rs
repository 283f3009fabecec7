//! Asks the ioctl FIEMAP where the blocks of a file are, and whether they are there already and
//! belong to no other file.
//!
//! # Invariants
//!
//! The unsafe code of this module relies on this:
//!
//! * **Layout**: [`Request`] is the kernel's `struct fiemap` with room for [`ROOM`] extents, and
//!   says so in `extent_count`. The kernel reads and writes no more than that.

use std::fs::File;
use std::os::fd::AsRawFd;

use super::small_pages::HUGE;

/// How many extents one call asks for.
const ROOM: usize = 64;
/// `FS_IOC_FIEMAP`.
const FIEMAP: u64 = 0xC020_660B;
/// Write back first, so that data that are only in the page cache get blocks.
const SYNC: u32 = 0x1;
/// The last extent of the file.
const LAST: u32 = 0x1;
/// No place, compressed, encrypted, not aligned, inline, in a shared tail, or shared with another
/// file. A store to such an extent may need a new block.
const NEEDS_MORE: u32 = 0x2 | 0x8 | 0x80 | 0x100 | 0x200 | 0x400 | 0x2000;

/// `struct fiemap`.
#[repr(C)]
struct Request {
    start: u64,
    length: u64,
    flags: u32,
    mapped: u32,
    extent_count: u32,
    reserved: u32,
    extents: [Extent; ROOM],
}

/// `struct fiemap_extent`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Extent {
    /// In bytes from the start of the file.
    pub(crate) logical: u64,
    /// In bytes from the start of what the file system is on.
    pub(crate) physical: u64,
    pub(crate) length: u64,
    reserved_64: [u64; 2],
    flags: u32,
    reserved: [u32; 3],
}

/// Whether `[0, size)` of the file has blocks everywhere, and shares none of them with another
/// file. `false` where the file system cannot tell.
pub(super) fn are_its_own(file: &File, size: u64) -> bool {
    let mut covered = 0;
    let told = each(file, size, |extent| {
        let ours = extent.logical <= covered && extent.flags & NEEDS_MORE == 0;
        covered = covered.max(extent.logical + extent.length);
        ours
    });
    told && covered >= size
}

/// Whether some 2 MiB of `[0, size)` of the file lie on 2 MiB of what the file system is on. `None`
/// where the file system cannot tell.
pub(super) fn have_a_huge_page(file: &File, size: u64) -> Option<bool> {
    let mut found = false;
    let told = each(file, size, |extent| {
        let end = (extent.logical + extent.length).min(size);
        let first = extent.logical.next_multiple_of(HUGE);
        found |= extent.logical % HUGE == extent.physical % HUGE && first + HUGE <= end;
        true
    });
    told.then_some(found)
}

/// Calls `act` for the extents in `[0, size)` in their order, until it returns `false`. Returns
/// whether the file system answered and `act` never returned `false`.
fn each(file: &File, size: u64, mut act: impl FnMut(&Extent) -> bool) -> bool {
    let mut covered = 0;
    while covered < size {
        let mut request = Request {
            start: covered,
            length: size - covered,
            flags: SYNC,
            mapped: 0,
            extent_count: ROOM as u32,
            reserved: 0,
            extents: [Extent::default(); ROOM],
        };
        // SAFETY: *Layout*; the descriptor is open as long as `file` is.
        let done = unsafe { libc::ioctl(file.as_raw_fd(), FIEMAP as _, &raw mut request) };
        let found = &request.extents[..ROOM.min(request.mapped as usize)];
        if done != 0 || found.is_empty() {
            return false;
        }
        for extent in found {
            if !act(extent) {
                return false;
            }
            covered = covered.max(extent.logical + extent.length);
        }
        if found.iter().any(|extent| extent.flags & LAST != 0) {
            break;
        }
    }
    true
}

/// The extents of `[0, size)` of the file, in order. `None` where the file system cannot tell, or
/// the file has none.
pub(crate) fn of(file: &File, size: u64) -> Option<Vec<Extent>> {
    let mut extents = Vec::new();
    let told = each(file, size, |extent| {
        extents.push(*extent);
        true
    });
    told.then_some(extents)
}

impl Extent {
    /// Whether a store to the extent needs no new block.
    pub(crate) fn is_settled(&self) -> bool {
        /// Reserved, and not written yet. It reads as zeros.
        const UNWRITTEN: u32 = 0x800;
        self.flags & (NEEDS_MORE | UNWRITTEN) == 0
    }

    #[cfg(test)]
    pub(crate) fn new(logical: u64, physical: u64, length: u64, flags: u32) -> Extent {
        Extent { logical, physical, length, flags, ..Extent::default() }
    }
}
