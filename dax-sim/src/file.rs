//! The interface for users: files, and mappings of files. The module uses `ext4` and the modules
//! that `ext4` may use.

mod fault;
mod mapping;
mod options;
mod pin;
mod ranges;
mod user;

use std::ops::Range;
use std::sync::Arc;

use crate::dax::{Kiocb, UserSource, UserTarget, dax_iomap_read};
use crate::error::FsError;
use crate::ext4::{
    Size, ext4_dax_write, ext4_fallocate, ext4_punch_hole, ext4_sync_file, ext4_truncate, zero_past_end,
};
use crate::fs::{Extent, FileSystem, Inode, MAX_FILE_SIZE};
use crate::mm::Vma;
use crate::pmem::BLOCK_SIZE;

pub use mapping::Mapping;
pub use options::{AddressSpace, MapOptions};
pub use pin::Pin;
pub use user::UserBuffer;

/// An open file without a name. Dropping the `File` frees the blocks of the file, except blocks
/// that other files share. Many threads may call the methods of a `File` at the same time.
#[derive(Debug)]
pub struct File<'a> {
    fs: &'a FileSystem<'a>,
    inode: Inode,
}

impl<'a> File<'a> {
    pub(crate) fn new(fs: &'a FileSystem<'a>, inode: Inode) -> Self {
        Self { fs, inode }
    }

    /// The file's size in bytes.
    pub fn size(&self) -> u64 {
        self.inode.size()
    }

    /// Reads from `offset` on, until the buffer is full or the file ends. Returns the number of
    /// bytes that the call has read. Holes read as zeros.
    ///
    /// # Errors
    ///
    /// The method returns no error at present. A read from the end of the file, or from an offset
    /// past the end, returns 0.
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize, FsError> {
        self.read_to(buffer, offset)
    }

    /// Writes `bytes` at `offset`, and makes the file larger if necessary. Returns the number of
    /// bytes that the call has written. This number is smaller than the length of `bytes` only if
    /// the device is full.
    ///
    /// # Errors
    ///
    /// [`FsError::NoSpace`] if nothing could be written, [`FsError::TooBig`] past the largest file.
    pub fn write_at(&self, bytes: &[u8], offset: u64) -> Result<usize, FsError> {
        self.write_from(bytes, offset)
    }

    /// Like [`File::read_at`], but copies to buffers in mappings of files (preadv). The buffers may
    /// lie in mappings of this file. The copy may fault. If a fault fails after the first byte, the
    /// call returns the number of bytes before the fault.
    ///
    /// # Errors
    ///
    /// [`FsError::BadAddress`] if the call could not store even the first byte to the buffers.
    pub fn read_vectored_at(&self, buffers: &[UserBuffer<'_>], offset: u64) -> Result<usize, FsError> {
        self.read_to(&mut { buffers }, offset)
    }

    /// Like [`File::write_at`], but copies from buffers in mappings of files (pwritev). The buffers
    /// may lie in mappings of this file. The copy may fault. If a fault fails after the first byte,
    /// the call returns the number of bytes before the fault.
    ///
    /// # Errors
    ///
    /// The errors of [`File::write_at`], and [`FsError::BadAddress`] if the call could not load
    /// even the first byte of the buffers.
    pub fn write_vectored_at(&self, buffers: &[UserBuffer<'_>], offset: u64) -> Result<usize, FsError> {
        self.write_from(&buffers, offset)
    }

    fn read_to<T: UserTarget + ?Sized>(&self, target: &mut T, offset: u64) -> Result<usize, FsError> {
        let len = target.len() as u64;
        if len == 0 || offset >= MAX_FILE_SIZE {
            return Ok(0);
        }
        let end = offset.saturating_add(len).min(MAX_FILE_SIZE);
        let _i_rwsem = self.inode.i_rwsem.read(offset..end, &self.fs.schedule);
        self.fs.media_time();
        let end = end.min(self.inode.size());
        if end <= offset {
            return Ok(0);
        }
        dax_iomap_read(self.fs, &self.inode, offset, target, (end - offset) as usize)
    }

    fn write_from<S: UserSource + ?Sized>(&self, source: &S, offset: u64) -> Result<usize, FsError> {
        let len = source.len() as u64;
        if len == 0 {
            return Ok(0);
        }
        let end = self.end_of(offset, len)?;
        self.inode.locked_for_write(offset, end, &self.fs.schedule, || {
            self.fs.media_time();
            let size = self.inode.size();
            if offset > size {
                zero_past_end(self.fs, &self.inode, size, offset)?;
            }
            ext4_dax_write(&Kiocb { fs: self.fs, inode: &self.inode, position: offset, source })
        })
    }

    /// Sets the size of the file. A smaller size discards the bytes past the new size. After the
    /// call, an access through a mapping fails if the accessed page lies wholly past the new size.
    /// The bytes that a larger size adds read as zeros.
    ///
    /// # Errors
    ///
    /// * [`FsError::TooBig`] past the largest file.
    /// * [`FsError::NoSpace`] if the call must zero a part of a shared block, and no block is free
    ///   for a copy.
    pub fn truncate(&self, size: u64) -> Result<(), FsError> {
        self.end_of(size, 0)?;
        ext4_truncate(self.fs, &self.inode, size)
    }

    /// Makes a range read as zeros, and turns the pages that lie wholly inside the range into
    /// holes. The size of the file stays the same.
    ///
    /// # Errors
    ///
    /// * [`FsError::TooBig`] past the largest file.
    /// * [`FsError::NoSpace`] if the call must zero a part of a shared block, and no block is free
    ///   for a copy.
    pub fn punch_hole(&self, offset: u64, len: u64) -> Result<(), FsError> {
        let end = self.end_of(offset, len)?;
        if len > 0 { ext4_punch_hole(self.fs, &self.inode, offset, end) } else { Ok(()) }
    }

    /// Reserves blocks for the holes of a range, as unwritten extents, which read as zeros. Makes
    /// the file larger if the range reaches past the end of the file.
    ///
    /// # Errors
    ///
    /// * [`FsError::NoSpace`] if the device has too few free blocks. After this error the call has
    ///   reserved no block.
    /// * [`FsError::TooBig`] past the largest file.
    pub fn fallocate(&self, offset: u64, len: u64) -> Result<(), FsError> {
        let end = self.end_of(offset, len)?;
        if len > 0 { ext4_fallocate(self.fs, &self.inode, offset, end, Size::Grows) } else { Ok(()) }
    }

    /// Makes earlier writes to the file, and earlier stores through shared mappings of the file,
    /// durable, as far as the device can ([`Device::fence`](crate::pmem::Device::fence)). The call
    /// write-protects and flushes the dirty pages. Then the call commits the journal, if the blocks
    /// or the size of the file have changed since the last commit.
    ///
    /// # Errors
    ///
    /// [`FsError::Device`] if the device could not make the data durable.
    pub fn fsync(&self) -> Result<(), FsError> {
        ext4_sync_file(self.fs, &self.inode, 0, u64::MAX)
    }

    /// Maps a range of the file, shared, into a new address space. So each mapping that this method
    /// makes stands for the mapping of a process of its own.
    ///
    /// # Panics
    ///
    /// The panics of [`File::mmap_in`].
    pub fn mmap(&self, range: Range<u64>) -> Mapping<'_> {
        self.mmap_in(&AddressSpace::new(), range, MapOptions::new())
    }

    /// Maps a range of the file into an address space. The mapping reaches to the end of the last
    /// page of the range.
    ///
    /// # Panics
    ///
    /// * If the range is empty or inverted, does not start at a multiple of [`BLOCK_SIZE`], or ends
    ///   past [`MAX_FILE_SIZE`].
    /// * If `options` has an address that is not a multiple of [`BLOCK_SIZE`], at which the mapping
    ///   would overlap another mapping, or at which the mapping would not end by [`u64::MAX`].
    pub fn mmap_in(&self, space: &AddressSpace, range: Range<u64>, options: MapOptions) -> Mapping<'_> {
        let Range { start, end } = range;
        assert!(
            start < end && start.is_multiple_of(BLOCK_SIZE) && end <= MAX_FILE_SIZE,
            "[{start}, {end}) cannot be mapped: it must start at a multiple of {BLOCK_SIZE}, hold something, and end by {MAX_FILE_SIZE}"
        );
        let address = options.address;
        assert!(
            address.unwrap_or(0).is_multiple_of(BLOCK_SIZE),
            "nothing can be mapped at {address:?}: it must be a multiple of {BLOCK_SIZE}"
        );
        let flags = options.flags(self.fs.has_huge_pages());
        let mut mmap_lock = space.0.write(&self.fs.schedule);
        let found = mmap_lock.map(start, end, address);
        let found = found.unwrap_or_else(|| panic!("{} bytes do not fit at {address:?}", end - start));
        let vma = Arc::new(Vma::new(&space.0, start, end, flags, found));
        self.inode.i_mmap.insert(Arc::clone(&vma), &self.fs.schedule);
        Mapping::new(self.fs, &self.inode, vma)
    }

    /// Returns the pages of the file that are not holes, at one instant (FIEMAP).
    pub fn extents(&self) -> Vec<(u64, Extent)> {
        self.inode.extents.read(&self.fs.schedule).allocated(0, u64::MAX).collect()
    }

    pub(crate) fn inode(&self) -> &Inode {
        &self.inode
    }

    /// The end of `len` bytes from `offset` on.
    fn end_of(&self, offset: u64, len: u64) -> Result<u64, FsError> {
        match offset.checked_add(len) {
            Some(end) if end <= MAX_FILE_SIZE => Ok(end),
            end => Err(FsError::TooBig { end: end.unwrap_or(u64::MAX), max: MAX_FILE_SIZE }),
        }
    }
}

impl FileSystem<'_> {
    /// Makes an empty file without a name. Dropping the [`File`] frees the blocks of the file,
    /// except blocks that other files share.
    pub fn create(&self) -> File<'_> {
        File::new(self, Inode::new(&self.rules, &self.schedule))
    }
}

impl Drop for File<'_> {
    fn drop(&mut self) {
        // Mappings borrow the file, so none is left. Accesses have ended, so the blocks can go at
        // once.
        self.fs.free(self.inode.extents.write(&self.fs.schedule).remove(0, u64::MAX));
    }
}
