//! The mapped file under each lock.
//!
//! # Invariants
//!
//! * **One user**: only one of the mappings of the file is used at a time, because each benchmark
//!   makes its own and drops it. The device, which maps the file as well, is only used by
//!   [`Unlocked`].
//! * **Page held**: [`PageLocked`] touches the bytes of a page only while it holds that page's
//!   lock, for writing if it writes. It touches the whole file only while it holds all locks for
//!   writing.

use std::ops::Range;
use std::slice;
use std::sync::{Arc, PoisonError};

use memmap2::{Advice, MmapMut, MmapOptions, MmapRaw};
use range_lock::RangeRwLock;
use range_lock_benches::rival::{PAGE, Rival, User, page};
use range_lock_benches::rivals::{PackedPageLocks, PageLocks};

use crate::{Ground, SIZE};

/// The bytes of a page.
pub(crate) type Page = [u8; PAGE as usize];

/// The distance in bytes between the words that a writer of the whole file stores to.
const STRIDE: usize = 1 << 20;

/// A mapped file and its lock.
pub(crate) trait MappedFile: Send + Sync + 'static {
    /// The name of its lines.
    const NAME: &'static str;

    /// Maps the file, every page of it present.
    fn new(ground: &Arc<Ground>) -> Self;

    /// Copies a page out of the file.
    fn read_page(&self, page: u64, buffer: &mut Page);

    /// Copies a page into the file.
    fn write_page(&self, page: u64, buffer: &Page);

    /// Takes the whole file for itself, and stores a word in each MiB.
    fn write_whole(&self, word: u64);
}

fn bytes(at: u64) -> Range<usize> {
    let range = page(at);
    range.start as usize..range.end as usize
}

fn stamp(file: &mut [u8], word: u64) {
    for at in (0..file.len()).step_by(STRIDE) {
        file[at..at + 8].copy_from_slice(&word.to_ne_bytes());
    }
}

fn map(ground: &Ground) -> MmapMut {
    let mut options = MmapOptions::new();
    options.len(SIZE as usize);
    // SAFETY: "one user": nothing else in this process touches the file while the mapping is used.
    let mut map = unsafe { options.map_mut(&ground.file) }.expect("a file can be mapped twice");
    // Takes the first write fault of each page, which no sample should pay for. Linux before 5.14
    // does not know the advice. There stores do the same.
    if map.advise(Advice::PopulateWrite).is_err() {
        map.chunks_mut(PAGE as usize).for_each(|page| page[0] = 1);
    }
    map
}

/// `RangeRwLock<MmapMut>`.
pub(crate) struct RangeLocked(RangeRwLock<MmapMut>);

impl MappedFile for RangeLocked {
    const NAME: &'static str = "RangeRwLock";

    fn new(ground: &Arc<Ground>) -> Self {
        RangeLocked(RangeRwLock::new(map(ground)))
    }

    fn read_page(&self, page: u64, buffer: &mut Page) {
        buffer.copy_from_slice(&self.0.read(bytes(page)));
    }

    fn write_page(&self, page: u64, buffer: &Page) {
        self.0.write(bytes(page)).copy_from_slice(buffer);
    }

    fn write_whole(&self, word: u64) {
        stamp(&mut self.0.write(..), word);
    }
}

/// `parking_lot::RwLock<MmapMut>`.
pub(crate) struct WholeLocked(parking_lot::RwLock<MmapMut>);

impl MappedFile for WholeLocked {
    const NAME: &'static str = "parking_lot::RwLock";

    fn new(ground: &Arc<Ground>) -> Self {
        WholeLocked(parking_lot::RwLock::new(map(ground)))
    }

    fn read_page(&self, page: u64, buffer: &mut Page) {
        buffer.copy_from_slice(&self.0.read()[bytes(page)]);
    }

    fn write_page(&self, page: u64, buffer: &Page) {
        self.0.write()[bytes(page)].copy_from_slice(buffer);
    }

    fn write_whole(&self, word: u64) {
        stamp(&mut self.0.write(), word);
    }
}

/// `std::sync::RwLock<MmapMut>`.
pub(crate) struct WholeStdLocked(std::sync::RwLock<MmapMut>);

impl MappedFile for WholeStdLocked {
    const NAME: &'static str = "std::sync::RwLock";

    fn new(ground: &Arc<Ground>) -> Self {
        WholeStdLocked(std::sync::RwLock::new(map(ground)))
    }

    fn read_page(&self, page: u64, buffer: &mut Page) {
        let file = self.0.read().unwrap_or_else(PoisonError::into_inner);
        buffer.copy_from_slice(&file[bytes(page)]);
    }

    fn write_page(&self, page: u64, buffer: &Page) {
        let mut file = self.0.write().unwrap_or_else(PoisonError::into_inner);
        file[bytes(page)].copy_from_slice(buffer);
    }

    fn write_whole(&self, word: u64) {
        stamp(&mut self.0.write().unwrap_or_else(PoisonError::into_inner), word);
    }
}

/// 1024 locks. The hash of a page selects its lock.
pub(crate) struct PageLocked {
    locks: PageLocks<PackedPageLocks>,
    map: MmapRaw,
}

impl MappedFile for PageLocked {
    const NAME: &'static str = "page locks";

    fn new(ground: &Arc<Ground>) -> Self {
        PageLocked { locks: PageLocks::new(), map: MmapRaw::from(map(ground)) }
    }

    fn read_page(&self, at: u64, buffer: &mut Page) {
        let bytes = self.checked(at);
        let _held = self.locks.user().read(page(at));
        // SAFETY: the bytes lie in the mapping, and "page held": no thread writes to them.
        let page = unsafe { slice::from_raw_parts(self.map.as_ptr().add(bytes.start), bytes.len()) };
        buffer.copy_from_slice(page);
    }

    fn write_page(&self, at: u64, buffer: &Page) {
        let bytes = self.checked(at);
        let _held = self.locks.user().write(page(at));
        // SAFETY: the bytes lie in the mapping, and "page held": no other thread touches them.
        let page = unsafe { slice::from_raw_parts_mut(self.map.as_mut_ptr().add(bytes.start), bytes.len()) };
        page.copy_from_slice(buffer);
    }

    fn write_whole(&self, word: u64) {
        let _held = self.locks.user().write_whole();
        // SAFETY: this is the mapping, and "page held": no other thread touches it.
        let file = unsafe { slice::from_raw_parts_mut(self.map.as_mut_ptr(), self.map.len()) };
        stamp(file, word);
    }
}

impl PageLocked {
    /// The bytes of a page, which lie in the mapping.
    fn checked(&self, at: u64) -> Range<usize> {
        let bytes = bytes(at);
        assert!(bytes.end <= self.map.len(), "page {at} lies past the end of the file");
        bytes
    }
}

/// The control: nothing is excluded, so reads may be torn. The simulator's device makes the copies,
/// because plain copies would be data races. Its copies take another time than those of the locks.
pub(crate) struct Unlocked(Arc<Ground>);

impl MappedFile for Unlocked {
    const NAME: &'static str = "no lock (reads may be torn)";

    fn new(ground: &Arc<Ground>) -> Self {
        Unlocked(Arc::clone(ground))
    }

    fn read_page(&self, at: u64, buffer: &mut Page) {
        self.0.device.read(page(at).start, buffer);
    }

    fn write_page(&self, at: u64, buffer: &Page) {
        self.0.device.write(page(at).start, buffer);
    }

    fn write_whole(&self, word: u64) {
        for at in (0..SIZE).step_by(STRIDE) {
            self.0.device.store_u64(at, word);
        }
    }
}
