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
    /// As [`File::fallocate`], but the size stays. Blocks past the end of the file are reserved as
    /// well.
    ///
    /// # Errors
    ///
    /// As [`File::fallocate`].
    pub fn fallocate_keep_size(&self, offset: u64, len: u64) -> Result<(), FsError> {
        let end = self.end_of(offset, len)?;
        if len > 0 { ext4_fallocate(self.fs, &self.inode, offset, end, Size::Kept) } else { Ok(()) }
    }

    /// Makes a range read as zeros, with blocks reserved for all of it. Makes the file larger if
    /// the range reaches past its end.
    ///
    /// # Errors
    ///
    /// As [`File::fallocate`].
    pub fn zero_range(&self, offset: u64, len: u64) -> Result<(), FsError> {
        let end = self.end_of(offset, len)?;
        if len > 0 { ext4_zero_range(self.fs, &self.inode, offset, end, Size::Grows) } else { Ok(()) }
    }

    /// As [`File::zero_range`], but the size stays.
    ///
    /// # Errors
    ///
    /// As [`File::fallocate`].
    pub fn zero_range_keep_size(&self, offset: u64, len: u64) -> Result<(), FsError> {
        let end = self.end_of(offset, len)?;
        if len > 0 { ext4_zero_range(self.fs, &self.inode, offset, end, Size::Kept) } else { Ok(()) }
    }

    /// Takes a range of whole blocks out of the file. What lies behind the range moves to where the
    /// range began, and the file becomes `len` bytes smaller.
    ///
    /// # Errors
    ///
    /// [`FsError::Invalid`] if the range is not of whole blocks, or does not end before the end of
    /// the file.
    pub fn collapse_range(&self, offset: u64, len: u64) -> Result<(), FsError> {
        let end = self.end_of(offset, len)?;
        if len > 0 { ext4_collapse_range(self.fs, &self.inode, offset, end) } else { Ok(()) }
    }

    /// Puts a hole of whole blocks before the byte at `offset`. That byte and all behind it move,
    /// and the file becomes `len` bytes larger.
    ///
    /// # Errors
    ///
    /// * [`FsError::Invalid`] if the hole is not of whole blocks, or `offset` is not the start of a
    ///   block before the end of the file.
    /// * [`FsError::TooBig`] past the largest file.
    pub fn insert_range(&self, offset: u64, len: u64) -> Result<(), FsError> {
        self.end_of(offset, len)?;
        if len > 0 { ext4_insert_range(self.fs, &self.inode, offset, len) } else { Ok(()) }
    }

    /// Copies every shared block of the range, so that each page of the range has a block to
    /// itself. The contents of the file stay the same.
    ///
    /// # Errors
    ///
    /// [`FsError::NoSpace`] if the device has too few free blocks, [`FsError::TooBig`] past the
    /// largest file.
    pub fn unshare_range(&self, offset: u64, len: u64) -> Result<(), FsError> {
        let end = self.end_of(offset, len)?;
        if len > 0 { xfs_reflink_unshare(self.fs, &self.inode, offset, end) } else { Ok(()) }
    }

    /// Copies `len` bytes of `source`, from `from` on, to `to` in this file, which grows if
    /// necessary (`copy_file_range`). `source` may be this file. Returns how many bytes were
    /// copied: fewer than asked where `source` ends or the device is full. As in Linux it is a
    /// sequence of reads and writes, and other operations may come between them.
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

    /// Lets `len` bytes of this file, from `to` on, share the blocks of `len` bytes of `source`,
    /// from `from` on (FICLONERANGE). `source` may be this file. A `len` of 0 means up to the end
    /// of `source`, and does nothing if `from` is that end, whatever `to` is. The file grows if
    /// necessary. A later write to either file makes a copy of the block first.
    ///
    /// # Errors
    ///
    /// * [`FsError::Invalid`] if the ranges do not begin at multiples of
    ///   [`BLOCK_SIZE`](crate::pmem::BLOCK_SIZE), end neither at such a multiple nor at the end of
    ///   both files, reach past the end of `source`, or overlap.
    /// * [`FsError::CrossDevice`] if the files are not of one file system.
    /// * [`FsError::TooBig`] past the largest file.
    /// * [`FsError::NoSpace`] if a part of a shared block must be zeroed and there is no room for a
    ///   copy.
    /// * [`FsError::Device`] if the source could not be written back.
    pub fn clone_range(&self, source: &File<'_>, from: u64, to: u64, len: u64) -> Result<(), FsError> {
        xfs_clone_range(self.fs, &self.remap(source, from, to, len)?)
    }

    /// Lets `len` bytes of this file, from `to` on, share the blocks of `len` bytes of `source`,
    /// from `from` on, if both hold the same bytes (FIDEDUPERANGE). `source` may be this file. If
    /// `len` is more than 1 GiB, only the first 1 GiB is compared. A `len` of 0 does nothing,
    /// whatever `to` is.
    ///
    /// # Errors
    ///
    /// As [`File::clone_range`], except that the ranges may end anywhere inside their files. It
    /// also returns [`FsError::Invalid`] if one of the ranges reaches past the end of its file.
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
