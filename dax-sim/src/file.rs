//! What a user calls: files and mappings of them.

mod ranges;

use std::ops::Range;
use std::sync::Arc;

use crate::dax::{dax_iomap_read, dax_iomap_write, dax_writeback_mapping_range};
use crate::error::FsError;
use crate::fs::{
    Extent, FileSystem, Inode, MAX_FILE_SIZE, Size, ext4_dax_fault, ext4_fallocate, ext4_punch_hole,
    ext4_truncate, zero_past_end,
};
use crate::mm::{Pte, Vma, grace};
use crate::pmem::BLOCK_SIZE;
use crate::schedule::SchedulePoint;

/// An open file without a name; dropping it frees its blocks. Its methods may be called by many threads at
/// once.
#[derive(Debug)]
pub struct File<'a> {
    fs: &'a FileSystem<'a>,
    inode: Inode,
}

impl<'a> File<'a> {
    pub(crate) fn new(fs: &'a FileSystem<'a>, inode: Inode) -> Self {
        Self { fs, inode }
    }

    /// The size in bytes.
    pub fn size(&self) -> u64 {
        self.inode.size()
    }

    /// Reads from `offset` on, up to the end of the buffer or of the file; returns how many bytes were read.
    /// Holes read as zeros.
    ///
    /// # Errors
    ///
    /// None at present; an offset past the end reads nothing.
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize, FsError> {
        let len = buffer.len() as u64;
        if len == 0 || offset >= MAX_FILE_SIZE {
            return Ok(0);
        }
        let end = offset.saturating_add(len).min(MAX_FILE_SIZE);
        let _i_rwsem = self.inode.i_rwsem.read(offset..=end - 1, &self.fs.schedule);
        self.fs.media_time();
        let end = end.min(self.inode.size());
        if end <= offset {
            return Ok(0);
        }
        let len = (end - offset) as usize;
        dax_iomap_read(self.fs, &self.inode, offset, &mut buffer[..len])?;
        Ok(len)
    }

    /// Writes at `offset`, making the file larger if need be; returns how many bytes were written, fewer than
    /// asked only if the device is full.
    ///
    /// # Errors
    ///
    /// [`FsError::NoSpace`] if nothing could be written, [`FsError::TooBig`] past the largest file.
    pub fn write_at(&self, bytes: &[u8], offset: u64) -> Result<usize, FsError> {
        if bytes.is_empty() {
            return Ok(0);
        }
        let end = self.end_of(offset, bytes.len() as u64)?;
        let _i_rwsem = self.inode.lock_for_write(offset, end, &self.fs.schedule);
        self.fs.media_time();
        let size = self.inode.size();
        if offset > size {
            zero_past_end(self.fs, &self.inode, size, offset)?;
        }
        dax_iomap_write(self.fs, &self.inode, offset, bytes)
    }

    /// Sets the size. What lies past a smaller one is gone, and accesses through mappings to whole pages past
    /// it fail; a larger one adds a hole.
    ///
    /// # Errors
    ///
    /// [`FsError::TooBig`] past the largest file; [`FsError::NoSpace`] if a part of a shared block must be
    /// zeroed and there is no room for a copy.
    pub fn truncate(&self, size: u64) -> Result<(), FsError> {
        self.end_of(size, 0)?;
        ext4_truncate(self.fs, &self.inode, size)
    }

    /// Makes a range read as zeros and frees the blocks that lie wholly inside. The size stays.
    ///
    /// # Errors
    ///
    /// [`FsError::TooBig`] past the largest file; [`FsError::NoSpace`] if a part of a shared block must be
    /// zeroed and there is no room for a copy.
    pub fn punch_hole(&self, offset: u64, len: u64) -> Result<(), FsError> {
        let end = self.end_of(offset, len)?;
        if len > 0 { ext4_punch_hole(self.fs, &self.inode, offset, end) } else { Ok(()) }
    }

    /// Reserves blocks for the holes of a range, as unwritten extents that read as zeros, and makes the file
    /// reach its end.
    ///
    /// # Errors
    ///
    /// [`FsError::NoSpace`] if the device has too few free blocks, and then none is reserved;
    /// [`FsError::TooBig`] past the largest file.
    pub fn fallocate(&self, offset: u64, len: u64) -> Result<(), FsError> {
        let end = self.end_of(offset, len)?;
        if len > 0 { ext4_fallocate(self.fs, &self.inode, offset, end, Size::Grows) } else { Ok(()) }
    }

    /// Makes durable what was written and stored before: write-protects and flushes dirty pages, then commits
    /// the journal.
    ///
    /// # Errors
    ///
    /// [`FsError::Device`] if the device could not.
    pub fn fsync(&self) -> Result<(), FsError> {
        dax_writeback_mapping_range(self.fs, &self.inode, 0, u64::MAX)?;
        self.fs.journal.commit();
        Ok(())
    }

    /// Maps a range of the file, shared, into an address space of its own: each mapping stands for a process.
    ///
    /// # Panics
    ///
    /// If the range is empty or inverted, or does not start at a multiple of [`BLOCK_SIZE`], or ends past
    /// [`MAX_FILE_SIZE`].
    pub fn mmap(&self, range: Range<u64>) -> Mapping<'_> {
        let Range { start, end } = range;
        assert!(
            start < end && start.is_multiple_of(BLOCK_SIZE) && end <= MAX_FILE_SIZE,
            "[{start}, {end}) cannot be mapped: it must start at a multiple of {BLOCK_SIZE}, hold something, and end by {MAX_FILE_SIZE}"
        );
        let vma = Arc::new(Vma::new(start, end));
        self.inode.i_mmap.insert(Arc::clone(&vma));
        Mapping { fs: self.fs, inode: &self.inode, vma }
    }

    /// The pages of the file that are not holes, all at one instant (FIEMAP).
    pub fn extents(&self) -> Vec<(u64, Extent)> {
        self.inode.extents.read().allocated(0, u64::MAX).collect()
    }

    /// One past the last of `len` bytes from `offset` on.
    fn end_of(&self, offset: u64, len: u64) -> Result<u64, FsError> {
        match offset.checked_add(len) {
            Some(end) if end <= MAX_FILE_SIZE => Ok(end),
            end => Err(FsError::TooBig { end: end.unwrap_or(u64::MAX), max: MAX_FILE_SIZE }),
        }
    }
}

impl Drop for File<'_> {
    fn drop(&mut self) {
        // Mappings borrow the file, so none is left; accesses have ended, so the blocks can go at once.
        self.fs.free(self.inode.extents.write().remove(0, u64::MAX));
    }
}

/// A shared mapping of a file. Dropping it unmaps. Offsets are those of the file.
#[derive(Debug)]
pub struct Mapping<'a> {
    fs: &'a FileSystem<'a>,
    inode: &'a Inode,
    vma: Arc<Vma>,
}

impl Mapping<'_> {
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
            let target = &mut buffer[done..done + part];
            self.access(at, false, |device_offset| match device_offset {
                Some(at) => self.fs.device.read(at, target),
                None => target.fill(0),
            })?;
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
            let source = &bytes[done..done + part];
            self.access(at, true, |device_offset| {
                self.fs.device.write(device_offset.expect("the zero page is never writable"), source);
            })?;
            done += part;
        }
        Ok(())
    }

    /// Drops the translations of the pages that the range touches, so that the next accesses fault
    /// (MADV_DONTNEED on a shared mapping). The data stays. What lies outside the mapping is passed over.
    pub fn dont_need(&self, range: Range<u64>) {
        let (start, end) = (range.start.max(self.vma.start), range.end.min(self.vma.end));
        if start < end {
            self.vma.pages.clear(start / BLOCK_SIZE, (end - 1) / BLOCK_SIZE);
            grace::synchronize();
        }
    }

    /// One access inside one page: translate, and fault until there is a translation that allows it. `act` is
    /// given the offset on the device, or `None` for the zero page.
    #[inline]
    fn access<R>(&self, offset: u64, write: bool, act: impl FnOnce(Option<u64>) -> R) -> Result<R, FsError> {
        let page = offset / BLOCK_SIZE;
        loop {
            let access = grace::enter();
            let pte: Pte = self.vma.pages.get(page);
            if pte.is_present() && (pte.is_writable() || !write) {
                self.fs.schedule.pass(SchedulePoint::Translated, page);
                let device_offset = pte.block().map(|block| block * BLOCK_SIZE + offset % BLOCK_SIZE);
                // The translation is used inside the access: its block is not freed before that ends.
                return Ok(act(device_offset));
            }
            drop(access);
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
        self.inode.i_mmap.remove(&self.vma);
    }
}

/// How many of `len` bytes from `offset` on lie in its page.
fn part_of_page(offset: u64, len: usize) -> usize {
    len.min((BLOCK_SIZE - offset % BLOCK_SIZE) as usize)
}
