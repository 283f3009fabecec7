//! How a file is mapped, and where.

use std::fmt;
use std::sync::Arc;

use crate::mm::{Mm, VmFlags};

/// The protection and the flags with which [`File::mmap_in`](super::File::mmap_in) maps a file, as
/// in mmap(2).
///
/// ```
/// use dax_sim::file::MapOptions;
/// let options = MapOptions::new().private().read_only();
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MapOptions {
    shared: bool,
    write: bool,
    sync: bool,
    huge: Option<bool>,
    pub(super) address: Option<u64>,
}

impl MapOptions {
    /// Options for a shared mapping that permits loads and stores. Faults of the mapping try 2 MiB
    /// first if the file system has the setting
    /// [`with_huge_pages`](crate::fs::FileSystem::with_huge_pages).
    pub fn new() -> Self {
        Self { shared: true, write: true, sync: false, huge: None, address: None }
    }

    /// MAP_PRIVATE: the first store to a page copies the page. Only this mapping shows the copy.
    /// Pages without a copy show the contents of the file.
    #[must_use]
    pub fn private(mut self) -> Self {
        self.shared = false;
        self
    }

    /// PROT_READ alone: stores fail.
    #[must_use]
    pub fn read_only(mut self) -> Self {
        self.write = false;
        self
    }

    /// MAP_SYNC: a store reaches a page only after the metadata that lead to the page are durable.
    /// So a program makes its stores durable without a system call. The program writes the stored
    /// cache lines back, and executes a store fence. A private mapping ignores this option.
    #[must_use]
    pub fn sync(mut self) -> Self {
        self.sync = true;
        self
    }

    /// Sets whether faults try 2 MiB first, regardless of the setting of the file system.
    #[must_use]
    pub fn huge_pages(mut self, huge: bool) -> Self {
        self.huge = Some(huge);
        self
    }

    /// MAP_FIXED_NOREPLACE: maps the file at this address of the address space, a multiple of 4096.
    /// Without this option, the address space chooses an address that is equal, modulo 2 MiB, to
    /// the offset in the file at which the mapping starts.
    #[must_use]
    pub fn address(mut self, address: u64) -> Self {
        self.address = Some(address);
        self
    }

    pub(super) fn flags(&self, huge_pages: bool) -> VmFlags {
        VmFlags {
            shared: self.shared,
            write: self.write,
            // A private mapping has nothing to make durable.
            sync: self.sync && self.shared,
            huge: self.huge.unwrap_or(huge_pages),
        }
    }
}

impl Default for MapOptions {
    fn default() -> Self {
        Self::new()
    }
}

/// An address space, such as the address space of a process. An address space can have mappings of
/// several files. Several address spaces can have mappings of one file. A fault holds the mmap_lock
/// of the address space in which the mapping is.
#[derive(Clone, Default)]
pub struct AddressSpace(pub(super) Arc<Mm>);

impl AddressSpace {
    /// Builds an address space without mappings.
    pub fn new() -> Self {
        Self::default()
    }
}

impl fmt::Debug for AddressSpace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AddressSpace").field(&self.0).finish()
    }
}
