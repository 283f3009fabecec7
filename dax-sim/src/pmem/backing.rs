//! Finds out what stands behind a device.

use std::fs::File;
use std::io;
use std::ptr;

use rustix::fs::{AtFlags, StatxAttributes, StatxFlags};
use rustix::mm::{MapFlags, ProtFlags};

/// What stands behind a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Backing {
    /// A DAX file on which MAP_SYNC works. The file's metadata need no msync. So data in a
    /// written-back cache line are as durable as the platform makes the line.
    PmemSync,
    /// A DAX file on which MAP_SYNC does not work. Stores reach the medium directly, but the file's
    /// metadata need msync.
    Dax,
    /// A file that the kernel keeps in its page cache, in front of some other device. msync makes
    /// data durable.
    PageCache,
    /// Memory with a name.
    Tmpfs,
    /// Memory without a name.
    Memfd,
}

impl Backing {
    /// What stands behind a named file.
    pub(crate) fn of(file: &File) -> Backing {
        detect(file, false)
    }

    /// The word in tables and JSON.
    pub fn name(self) -> &'static str {
        match self {
            Backing::PmemSync => "pmem-sync",
            Backing::Dax => "dax",
            Backing::PageCache => "page-cache",
            Backing::Tmpfs => "tmpfs",
            Backing::Memfd => "memfd",
        }
    }

    /// Whether stores reach the medium without the page cache.
    pub(crate) fn is_dax(self) -> bool {
        matches!(self, Backing::PmemSync | Backing::Dax)
    }

    /// Whether durability needs msync.
    pub(super) fn needs_msync(self) -> bool {
        matches!(self, Backing::Dax | Backing::PageCache)
    }
}

impl std::fmt::Display for Backing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

/// Asks the kernel. The order is libpmem's: MAP_SYNC is the real test, and the DAX attribute comes
/// second.
pub(crate) fn detect(file: &File, memfd: bool) -> Backing {
    const TMPFS_MAGIC: i128 = 0x0102_1994;
    if memfd {
        Backing::Memfd
    } else if map_sync(file).is_ok() {
        Backing::PmemSync
    } else if dax_attribute(file).unwrap_or(false) {
        Backing::Dax
    } else if rustix::fs::fstatfs(file).is_ok_and(|fs| i128::from(fs.f_type) == TMPFS_MAGIC) {
        Backing::Tmpfs
    } else {
        Backing::PageCache
    }
}

/// Whether MAP_SYNC works. The answer comes from a mapping that is made and removed. The request
/// needs MAP_SHARED_VALIDATE: with plain MAP_SHARED some file systems ignore the flag and succeed.
///
/// # Errors
///
/// EOPNOTSUPP, where MAP_SYNC does not work.
pub(crate) fn map_sync(file: &File) -> io::Result<()> {
    let flags = MapFlags::SHARED_VALIDATE | MapFlags::SYNC;
    let len = super::BLOCK_SIZE as usize;
    // SAFETY: a fresh mapping at an address that the kernel picks overlaps nothing.
    let probe = unsafe { rustix::mm::mmap(ptr::null_mut(), len, ProtFlags::READ, flags, file, 0) }?;
    // SAFETY: exactly the mapping just made, which nothing refers to. Failing to unmap it would
    // cost a page of address space, and is no reason to fail.
    let _ = unsafe { rustix::mm::munmap(probe, len) };
    Ok(())
}

/// The attribute itself. Its bit in the *mask* only says that this kernel knows of it.
///
/// # Errors
///
/// The error of statx.
pub(crate) fn dax_attribute(file: &File) -> io::Result<bool> {
    let stat = rustix::fs::statx(file, c"", AtFlags::EMPTY_PATH, StatxFlags::BASIC_STATS)?;
    Ok(stat.stx_attributes.contains(StatxAttributes::DAX))
}
