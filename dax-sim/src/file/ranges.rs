//! What a user calls on ranges of files: preallocate, zero, collapse, insert, copy, clone, dedupe.

use super::File;
use crate::error::FsError;
use crate::ext4::{
    Remap, Size, ext4_collapse_range, ext4_fallocate, ext4_insert_range, ext4_zero_range, xfs_clone_range,
    xfs_dedupe_range, xfs_reflink_unshare,
};
use crate::fs::Deduped;

/// How much [`File::copy_range`] moves at once: as much as a pipe holds.
const PIPE: u64 = 64 << 10;

impl File<'_> {
    /// Like [`File::fallocate`], but the size of the file stays the same. The call also reserves
    /// blocks past the end of the file.
    ///
    /// # Errors
    ///
    /// The errors of [`File::fallocate`].
    pub fn fallocate_keep_size(&self, offset: u64, len: u64) -> Result<(), FsError> {
        let end = self.end_of(offset, len)?;
        if len > 0 { ext4_fallocate(self.fs, &self.inode, offset, end, Size::Kept) } else { Ok(()) }
    }

    /// Makes a range read as zeros, and reserves blocks for the whole range. Makes the file larger
    /// if the range reaches past the end of the file.
    ///
    /// # Errors
    ///
    /// The errors of [`File::fallocate`].
    pub fn zero_range(&self, offset: u64, len: u64) -> Result<(), FsError> {
        let end = self.end_of(offset, len)?;
        if len > 0 { ext4_zero_range(self.fs, &self.inode, offset, end, Size::Grows) } else { Ok(()) }
    }

    /// Like [`File::zero_range`], but the size stays the same.
    ///
    /// # Errors
    ///
    /// The errors of [`File::fallocate`].
    pub fn zero_range_keep_size(&self, offset: u64, len: u64) -> Result<(), FsError> {
        let end = self.end_of(offset, len)?;
        if len > 0 { ext4_zero_range(self.fs, &self.inode, offset, end, Size::Kept) } else { Ok(()) }
    }

    /// Removes a range of whole blocks from the file. The bytes behind the range move to the
    /// beginning of the range. The file becomes `len` bytes smaller.
    ///
    /// # Errors
    ///
    /// * [`FsError::Invalid`] if the range does not consist of whole blocks, or does not end before
    ///   the end of the file.
    /// * [`FsError::TooBig`] past the largest file.
    /// * [`FsError::Device`] if the device could not make the bytes behind the range durable.
    pub fn collapse_range(&self, offset: u64, len: u64) -> Result<(), FsError> {
        let end = self.end_of(offset, len)?;
        if len > 0 { ext4_collapse_range(self.fs, &self.inode, offset, end) } else { Ok(()) }
    }

    /// Inserts a hole of whole blocks at `offset`. All bytes from `offset` on move by `len` bytes
    /// towards larger offsets. The file becomes `len` bytes larger.
    ///
    /// # Errors
    ///
    /// * [`FsError::Invalid`] if the hole does not consist of whole blocks, or if `offset` is not
    ///   the start of a block before the end of the file.
    /// * [`FsError::TooBig`] past the largest file.
    /// * [`FsError::Device`] if the device could not make the bytes behind `offset` durable.
    pub fn insert_range(&self, offset: u64, len: u64) -> Result<(), FsError> {
        self.end_of(offset, len)?;
        if len > 0 { ext4_insert_range(self.fs, &self.inode, offset, len) } else { Ok(()) }
    }

    /// Gives pages of the range copies of their shared blocks, until no page of the range shares a
    /// block with another page. The contents of the file stay the same.
    ///
    /// # Errors
    ///
    /// [`FsError::NoSpace`] if the device has too few free blocks, or [`FsError::TooBig`] if the
    /// range ends past the largest size of a file.
    pub fn unshare_range(&self, offset: u64, len: u64) -> Result<(), FsError> {
        let end = self.end_of(offset, len)?;
        if len > 0 { xfs_reflink_unshare(self.fs, &self.inode, offset, end) } else { Ok(()) }
    }

    /// Copies `len` bytes of `source`, from offset `from` on, to offset `to` of this file
    /// (`copy_file_range`). This file grows if necessary. `source` may be this file. Returns the
    /// number of bytes that the call has copied. This number is smaller than `len` if `source` ends
    /// earlier, or if the device is full. As in Linux, the call is a sequence of reads and writes.
    /// Other operations may come between these reads and writes.
    ///
    /// # Errors
    ///
    /// * [`FsError::Invalid`] if the ranges are of one file and overlap.
    /// * [`FsError::CrossDevice`] if the files are not of one file system.
    /// * [`FsError::TooBig`] past the largest file.
    /// * [`FsError::NoSpace`] if nothing could be copied.
    pub fn copy_range(&self, source: &File<'_>, from: u64, to: u64, len: u64) -> Result<u64, FsError> {
        self.check_device(source)?;
        let len = len.min(source.size().saturating_sub(from));
        self.end_of(to, len)?;
        if std::ptr::eq(self, source) && from < to + len && to < from + len {
            return Err(FsError::Invalid("ranges of one file that are copied must not overlap"));
        }
        let mut pipe = vec![0; len.min(PIPE) as usize];
        let mut done = 0;
        while done < len {
            let part = (len - done).min(PIPE) as usize;
            let read = source.read_at(&mut pipe[..part], from + done)?;
            let written = match self.write_at(&pipe[..read], to + done) {
                Err(FsError::NoSpace) if done > 0 => 0,
                written => written?,
            };
            done += written as u64;
            if written < part {
                break;
            }
        }
        Ok(done)
    }

    /// Makes a range of this file share the blocks of a range of `source` (FICLONERANGE). The range
    /// of this file begins at `to`. The range of `source` begins at `from`. Both ranges have `len`
    /// bytes. This file grows if necessary. `source` may be this file. A later write to a page
    /// first copies the page's block, if another page still has this block.
    ///
    /// A `len` of 0 means all bytes up to the end of `source`. If `from` is the end of `source`, a
    /// call with a `len` of 0 does nothing, for every `to`.
    ///
    /// # Errors
    ///
    /// * [`FsError::Invalid`] if a range does not begin at a multiple of
    ///   [`BLOCK_SIZE`](crate::pmem::BLOCK_SIZE), if the range of `source` reaches past the end of
    ///   `source`, or if the ranges are of one file and overlap. The ranges may end inside a block
    ///   only if the range of `source` ends at the end of `source`, and the range of this file ends
    ///   at the end of this file or past it. Otherwise the call returns this error, too.
    /// * [`FsError::CrossDevice`] if the files are not of one file system.
    /// * [`FsError::TooBig`] past the largest file.
    /// * [`FsError::NoSpace`] if the call must zero a part of a shared block, and no block is free
    ///   for a copy.
    /// * [`FsError::Device`] if the source could not be written back.
    pub fn clone_range(&self, source: &File<'_>, from: u64, to: u64, len: u64) -> Result<(), FsError> {
        xfs_clone_range(self.fs, &self.remap(source, from, to, len)?)
    }

    /// Makes a range of this file share the blocks of a range of `source`, if both ranges have the
    /// same content (FIDEDUPERANGE). The range of this file begins at `to`. The range of `source`
    /// begins at `from`. Both ranges have `len` bytes. `source` may be this file. If `len` is more
    /// than 1 GiB, the call compares and shares only the first 1 GiB. If `len` is 0 and `from` does
    /// not lie past the end of `source`, the call does nothing, for every `to`.
    ///
    /// # Errors
    ///
    /// * [`FsError::Invalid`] if a range does not begin at a multiple of
    ///   [`BLOCK_SIZE`](crate::pmem::BLOCK_SIZE), if a range reaches past the end of its file, or
    ///   if the ranges are of one file and overlap. The ranges may end inside a block: see
    ///   [`Deduped::Same`].
    /// * [`FsError::CrossDevice`] if the files are not of one file system.
    /// * [`FsError::Device`] if the device could not make the bytes of a range durable.
    pub fn dedupe_range(&self, source: &File<'_>, from: u64, to: u64, len: u64) -> Result<Deduped, FsError> {
        xfs_dedupe_range(self.fs, &self.remap(source, from, to, len)?)
    }

    fn remap<'b>(&'b self, source: &'b File<'_>, from: u64, to: u64, len: u64) -> Result<Remap<'b>, FsError> {
        self.check_device(source)?;
        Ok(Remap { source: &source.inode, from, target: &self.inode, to, len })
    }

    fn check_device(&self, other: &File<'_>) -> Result<(), FsError> {
        if std::ptr::addr_eq(self.fs, other.fs) { Ok(()) } else { Err(FsError::CrossDevice) }
    }
}
