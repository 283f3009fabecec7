//! Bodies of write(2) that were proposed, or given up: they are here to be seen fail.

use super::invalidate::invalidate_inode_pages2_range;
use super::rw::{copy_covered, iomap_apply, write_released};
use super::{Faults, UserSource, settle_allocation};
use crate::error::FsError;
use crate::fs::{FileSystem, Inode, IomapFor, ext4_should_retry_alloc, iomap_begin};
use crate::pmem::BLOCK_SIZE;
use crate::schedule::SchedulePoint;

/// Invalidates what is mapped once more after the copy, as direct I/O does it for the page cache: "just in case.
/// Should be cheap if there weren't any conflicting faults". The first time is that of 4.11, before the copy. A
/// fault that looked up before the allocation may still install its answer after the second time.
#[cold]
pub(super) fn write_invalidated_twice<S: UserSource + ?Sized>(
    fs: &FileSystem<'_>,
    inode: &Inode,
    position: u64,
    source: &S,
) -> Result<usize, FsError> {
    let done = write_released(fs, inode, position, source)?;
    let (first, last) = (position / BLOCK_SIZE, (position + source.len() as u64 - 1) / BLOCK_SIZE);
    fs.schedule.pass(SchedulePoint::Invalidate, first);
    invalidate_inode_pages2_range(fs, inode, first, last);
    Ok(done)
}

/// Copies inside the transaction, from the begin to the end of each iomap operation, as ext4 did before 4.10.
#[cold]
pub(super) fn write_in_transaction<S: UserSource + ?Sized>(
    fs: &FileSystem<'_>,
    inode: &Inode,
    position: u64,
    source: &S,
) -> Result<usize, FsError> {
    let last = (position + source.len() as u64 - 1) / BLOCK_SIZE;
    let (done, _) = iomap_apply(0..source.len(), |done| {
        let start = position + done as u64;
        let mut retries = 0;
        loop {
            let handle = fs.start_handle();
            match iomap_begin(fs, inode, start / BLOCK_SIZE, last, IomapFor::Write, Some(&handle)) {
                // Nobody waits for a commit with a handle open.
                Err(FsError::NoSpace) => {
                    drop(handle);
                    if !ext4_should_retry_alloc(fs, &mut retries) {
                        return Err(FsError::NoSpace);
                    }
                }
                iomap => {
                    let iomap = iomap?;
                    settle_allocation(fs, inode, &iomap);
                    return Ok(copy_covered(fs, &iomap, start, source, done..source.len(), Faults::On));
                }
            }
        }
    })?;
    Ok(done)
}
