//! The locks of the file system, in the order in which they are taken.

use std::fmt;
use std::ops::Range;

/// A kind of lock. The number of a kind is its rank. A thread takes its locks in the order of the
/// ranks. The thread takes two locks of equal rank in the order of the addresses of the locks, and
/// two parts of one lock in the order of the parts. Two range locks that one request takes together
/// need no order. Two variants violate the order by design
/// ([`Variant::is_in_order`](crate::variant::Variant::is_in_order)).
///
/// The ranks follow the order of locks in `fs/ext4/super.c` and `fs/xfs/xfs_inode.c`:
///
/// * i_rwsem comes before mmap_lock, because the copy of read(2) and write(2) may fault while the
///   call holds i_rwsem.
/// * i_mmap_sem comes after mmap_lock.
/// * The transaction comes before the entry lock, as in Linux 4.12 and later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LockClass {
    /// i_rwsem, or the range lock in its place.
    IRwsem = 1,
    /// mmap_lock of an address space.
    MmapLock,
    /// Protection against freezing (`sb_start_pagefault`). The simulator has no freezing, and uses
    /// this kind only as a place in the order.
    PageFault,
    /// i_mmap_sem (the invalidate lock of later kernels), or the range lock in place of i_mmap_sem.
    IMmapSem,
    /// A journal handle.
    Handle,
    /// The lock of a DAX entry.
    Entry,
    /// i_data_sem, over the block map.
    IDataSem,
    /// i_mmap_rwsem, over the list of mappings.
    IMmap,
    /// An access through a translation, which a shootdown waits for.
    Access,
}

impl LockClass {
    /// The name in Linux.
    pub fn name(self) -> &'static str {
        match self {
            LockClass::IRwsem => "i_rwsem",
            LockClass::MmapLock => "mmap_lock",
            LockClass::PageFault => "sb_start_pagefault",
            LockClass::IMmapSem => "i_mmap_sem",
            LockClass::Handle => "journal handle",
            LockClass::Entry => "entry lock",
            LockClass::IDataSem => "i_data_sem",
            LockClass::IMmap => "i_mmap_rwsem",
            LockClass::Access => "access",
        }
    }
}

/// An acquisition: which part of which lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LockRequest {
    pub(crate) class: LockClass,
    /// The lock's address. It tells two locks of one class apart, and orders them.
    pub(crate) object: usize,
    /// The bytes, pages, or all. No range of bytes or pages of a file reaches the last point.
    pub(crate) range: Range<u64>,
    pub(crate) exclusive: bool,
}

impl LockRequest {
    /// An acquisition of a whole lock.
    pub(crate) fn whole<T>(class: LockClass, object: &T, exclusive: bool) -> Self {
        Self { class, object: std::ptr::from_ref(object).addr(), range: 0..u64::MAX, exclusive }
    }

    /// An acquisition of a part of a lock.
    pub(crate) fn part<T>(class: LockClass, object: &T, range: Range<u64>, exclusive: bool) -> Self {
        Self { range, ..Self::whole(class, object, exclusive) }
    }

    /// A short name of what the lock is for.
    pub(crate) fn name(&self) -> &'static str {
        match self.class {
            LockClass::Handle if self.exclusive => "journal commit",
            LockClass::Access if self.exclusive => "end of accesses",
            class => class.name(),
        }
    }
}

impl fmt::Display for LockRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        match self.class {
            LockClass::MmapLock | LockClass::PageFault | LockClass::Handle | LockClass::Access => {
                return Ok(());
            }
            LockClass::Entry => return write!(f, " of page {}", self.range.start),
            _ => f.write_str(if self.exclusive { " exclusive" } else { " shared" })?,
        }
        match (self.range.start, self.range.end) {
            (0, u64::MAX) => Ok(()),
            (start, u64::MAX) => write!(f, " [{start}, ∞)"),
            (start, end) => write!(f, " [{start}, {end})"),
        }
    }
}
