//! write(2), and the clean-up after a write that came out short.

use super::remove_pages;
use crate::dax::{Kiocb, UserSource, dax_iomap_write};
use crate::error::FsError;
use crate::fs::{FileSystem, Inode};
use crate::mm::EvenCows;
use crate::pmem::BLOCK_SIZE;

/// Writes what is in the source, and returns how many bytes were written (`ext4_dax_write_iter`).
/// The caller holds i_rwsem exclusively over the bytes.
///
/// # Errors
///
/// If no byte could be written: [`FsError::NoSpace`], or [`FsError::BadAddress`] if the source
/// gives nothing.
#[inline]
pub(crate) fn ext4_dax_write<S: UserSource + ?Sized>(iocb: &Kiocb<'_, S>) -> Result<usize, FsError> {
    let done = dax_iomap_write(iocb)?;
    if done < iocb.len() {
        ext4_truncate_failed_write(iocb.fs, iocb.inode, iocb.end());
    }
    if done == 0 { Err(FsError::BadAddress) } else { Ok(done) }
}

/// Cleans up after a write of the bytes up to `end` that came out short: gives back what was
/// allocated for it past the end of the file (`ext4_truncate_failed_write`). The caller holds
/// i_rwsem exclusively from the old size on, or `end` is not past it.
#[cold]
fn ext4_truncate_failed_write(fs: &FileSystem<'_>, inode: &Inode, end: u64) {
    let (first, past) = (inode.size_in_pages(), end.div_ceil(BLOCK_SIZE));
    if first < past {
        let _i_mmap_sem = inode.i_mmap_sem.write(first * BLOCK_SIZE..past * BLOCK_SIZE, &fs.schedule);
        remove_pages(fs, inode, first..=past - 1, EvenCows::Yes);
    }
}
