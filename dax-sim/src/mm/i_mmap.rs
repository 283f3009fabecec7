//! Mappings of a file, and the list of them that the file keeps.

use std::sync::Arc;

use parking_lot::RwLock;

use super::grace;
use super::page_table::PageTable;

/// One shared mapping of a range of a file, with the page table of the address space that it is in.
#[derive(Debug)]
pub(crate) struct Vma {
    /// The first byte of the file that is mapped.
    pub(crate) start: u64,
    /// One past the last.
    pub(crate) end: u64,
    pub(crate) pages: PageTable,
}

impl Vma {
    pub(crate) fn new(start: u64, end: u64) -> Self {
        Self { start, end, pages: PageTable::new() }
    }
}

/// All mappings of one file (`i_mmap`, under i_mmap_rwsem).
#[derive(Debug)]
pub(crate) struct IMmap {
    vmas: RwLock<Vec<Arc<Vma>>>,
}

impl IMmap {
    pub(crate) fn new() -> Self {
        Self { vmas: RwLock::new(Vec::new()) }
    }

    pub(crate) fn insert(&self, vma: Arc<Vma>) {
        self.vmas.write().push(vma);
    }

    pub(crate) fn remove(&self, vma: &Arc<Vma>) {
        self.vmas.write().retain(|other| !Arc::ptr_eq(other, vma));
    }

    /// Removes every translation of the pages `first..=last`, and waits until no access uses one
    /// (`unmap_mapping_range`).
    ///
    /// It waits even if it found none: somebody else may have just removed them, and be waiting still.
    pub(crate) fn unmap(&self, first: u64, last: u64) {
        self.walk(|vma| vma.pages.clear(first, last));
    }

    /// Write-protects every translation of `page`, and waits until no store uses a writable one
    /// (`page_mkclean`).
    pub(crate) fn make_clean(&self, page: u64) {
        self.walk(|vma| vma.pages.write_protect(page));
    }

    fn walk(&self, change: impl Fn(&Vma)) {
        let vmas = self.vmas.read();
        if !vmas.is_empty() {
            vmas.iter().for_each(|vma| change(vma));
            drop(vmas);
            grace::synchronize();
        }
    }
}
