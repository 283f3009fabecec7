//! Mappings of a file: loads, stores, and the faults that they take.

use std::ops::Range;
use std::sync::Arc;

use super::UserBuffer;
use crate::dax::Faults;
use crate::error::FsError;
use crate::fs::{FileSystem, Inode, ext4_dax_fault};
use crate::mm::{Pte, Vma, grace};
use crate::pmem::BLOCK_SIZE;
use crate::schedule::SchedulePoint;

/// A shared mapping of a file. Dropping it unmaps. Offsets are those of the file.
#[derive(Debug)]
pub struct Mapping<'a> {
    fs: &'a FileSystem<'a>,
    inode: &'a Inode,
    vma: Arc<Vma>,
}

impl<'a> Mapping<'a> {
    pub(super) fn new(fs: &'a FileSystem<'a>, inode: &'a Inode, vma: Arc<Vma>) -> Self {
        Self { fs, inode, vma }
    }

    /// A part of the mapping, as the buffer of a read(2) or write(2).
    ///
    /// # Errors
    ///
    /// [`FsError::OutsideMapping`].
    pub fn buffer(&self, range: Range<u64>) -> Result<UserBuffer<'_>, FsError> {
        let len = range.end.saturating_sub(range.start);
        self.check(range.start, len)?;
        Ok(UserBuffer::new(self, range.start, len as usize))
    }

    /// Loads a word in one piece.
    ///
    /// # Errors
    ///
    /// As [`Mapping::load`], and [`FsError::Misaligned`].
    #[inline]
    pub fn load_u64(&self, offset: u64) -> Result<u64, FsError> {
        self.check_word(offset)?;
        self.access(offset, false, |device_offset| match device_offset {
            Some(at) => self.fs.device.load_u64(at),
            None => 0,
        })
    }

    /// Stores a word in one piece.
    ///
    /// # Errors
    ///
    /// As [`Mapping::store`], and [`FsError::Misaligned`].
    #[inline]
    pub fn store_u64(&self, offset: u64, value: u64) -> Result<(), FsError> {
        self.check_word(offset)?;
        self.access(offset, true, |device_offset| {
            self.fs.device.store_u64(device_offset.expect("the zero page is never writable"), value);
        })
    }

    /// Loads bytes, page by page. Bytes past the end of the file, but in its last page, read as whatever is
    /// there.
    ///
    /// # Errors
    ///
    /// [`FsError::OutsideMapping`], or [`FsError::BusError`] at the first page that lies wholly past the end
    /// of the file; what came before it has been loaded.
    pub fn load(&self, offset: u64, buffer: &mut [u8]) -> Result<(), FsError> {
        self.check(offset, buffer.len() as u64)?;
        let mut done = 0;
        while done < buffer.len() {
            let at = offset + done as u64;
            let part = part_of_page(at, buffer.len() - done);
            self.load_part(at, &mut buffer[done..done + part], Faults::On)?;
            done += part;
        }
        Ok(())
    }

    /// Stores bytes, page by page. What is stored past the end of the file, but in its last page, is zeros
    /// again when the file grows over it.
    ///
    /// # Errors
    ///
    /// [`FsError::OutsideMapping`]; [`FsError::BusError`] at the first page that lies wholly past the end of
    /// the file; [`FsError::NoSpace`] if a page needs a block and none is free. What came before has been
    /// stored.
    pub fn store(&self, offset: u64, bytes: &[u8]) -> Result<(), FsError> {
        self.check(offset, bytes.len() as u64)?;
        let mut done = 0;
        while done < bytes.len() {
            let at = offset + done as u64;
            let part = part_of_page(at, bytes.len() - done);
            self.store_part(at, &bytes[done..done + part], Faults::On)?;
            done += part;
        }
        Ok(())
    }

    /// Drops the translations of the pages that the range touches, so that the next accesses fault
    /// (MADV_DONTNEED on a shared mapping). The data stays. What lies outside the mapping is passed over.
    pub fn dont_need(&self, range: Range<u64>) {
        let (start, end) = (range.start.max(self.vma.start), range.end.min(self.vma.end));
        if start < end {
            self.fs.schedule.pass(SchedulePoint::Unmap, start / BLOCK_SIZE);
            self.vma.pages.clear(start / BLOCK_SIZE, (end - 1) / BLOCK_SIZE);
            grace::synchronize(&self.fs.schedule);
        }
    }

    /// Loads bytes of one page.
    pub(super) fn load_part(&self, at: u64, target: &mut [u8], faults: Faults) -> Result<(), FsError> {
        self.access_with(at, false, faults, |device_offset| match device_offset {
            Some(at) => self.fs.device.read(at, target),
            None => target.fill(0),
        })
    }

    /// Stores bytes to one page.
    pub(super) fn store_part(&self, at: u64, source: &[u8], faults: Faults) -> Result<(), FsError> {
        self.access_with(at, true, faults, |device_offset| {
            self.fs.device.write(device_offset.expect("the zero page is never writable"), source);
        })
    }

    #[inline]
    fn access<R>(&self, offset: u64, write: bool, act: impl FnOnce(Option<u64>) -> R) -> Result<R, FsError> {
        self.access_with(offset, write, Faults::On, act)
    }

    /// One access inside one page: translate, and fault until there is a translation that allows it. `act` is
    /// given the offset on the device, or `None` for the zero page. With faults off, what would be a fault is
    /// an error.
    #[inline]
    fn access_with<R>(
        &self,
        offset: u64,
        write: bool,
        faults: Faults,
        act: impl FnOnce(Option<u64>) -> R,
    ) -> Result<R, FsError> {
        let page = offset / BLOCK_SIZE;
        loop {
            let access = grace::enter(&self.fs.schedule);
            self.fs.schedule.pass(SchedulePoint::Translate, page);
            let pte: Pte = self.vma.pages.get(page);
            if pte.is_present() && (pte.is_writable() || !write) {
                self.fs.schedule.pass(SchedulePoint::Translated, page);
                let device_offset = pte.block().map(|block| block * BLOCK_SIZE + offset % BLOCK_SIZE);
                // The translation is used inside the access: its block is not freed before that ends.
                return Ok(act(device_offset));
            }
            drop(access);
            if faults == Faults::Off {
                return Err(FsError::BadAddress);
            }
            ext4_dax_fault(self.fs, self.inode, &self.vma, page, write)?;
        }
    }

    fn check_word(&self, offset: u64) -> Result<(), FsError> {
        self.check(offset, 8)?;
        if offset.is_multiple_of(8) { Ok(()) } else { Err(FsError::Misaligned { offset }) }
    }

    fn check(&self, offset: u64, len: u64) -> Result<(), FsError> {
        let Vma { start, end, .. } = *self.vma;
        if offset >= start && offset <= end && len <= end - offset {
            Ok(())
        } else {
            Err(FsError::OutsideMapping { offset, len, start, end })
        }
    }
}

impl Drop for Mapping<'_> {
    fn drop(&mut self) {
        self.inode.i_mmap.remove(&self.vma, &self.fs.schedule);
    }
}

/// How many of `len` bytes from `offset` on lie in its page.
pub(super) fn part_of_page(offset: u64, len: usize) -> usize {
    len.min((BLOCK_SIZE - offset % BLOCK_SIZE) as usize)
}
