//! Bodies of write(2) that were proposed or given up, kept to show how they fail.

use super::invalidate::invalidate_inode_pages2_range;
use super::rw::{copy_covered, for_each_answer, write_released};
use super::{Faults, Kiocb, UserSource, settle_allocation};
use crate::error::FsError;
use crate::fs::{IomapFor, ext4_should_retry_alloc, iomap_begin};
use crate::pmem::BLOCK_SIZE;
use crate::schedule::SchedulePoint;

/// Invalidates what is mapped once more after the copy, as direct I/O does for the page cache:
/// "just in case. Should be cheap if there weren't any conflicting faults". The first invalidation,
/// as in 4.11, comes before the copy. A fault that looked up before the allocation may still
/// install its answer after the second one.
#[cold]
pub(super) fn write_invalidated_twice<S: UserSource + ?Sized>(iocb: &Kiocb<'_, S>) -> Result<usize, FsError> {
    let done = write_released(iocb)?;
    let (first, last) = (iocb.position / BLOCK_SIZE, (iocb.end() - 1) / BLOCK_SIZE);
    iocb.fs.schedule.pass(SchedulePoint::Invalidate, first);
    invalidate_inode_pages2_range(iocb.fs, iocb.inode, first, last);
    Ok(done)
}

/// Copies inside the transaction, from the begin to the end of each iomap operation, as ext4 did
/// before 4.10.
#[cold]
pub(super) fn write_in_transaction<S: UserSource + ?Sized>(iocb: &Kiocb<'_, S>) -> Result<usize, FsError> {
    let Kiocb { fs, inode, .. } = *iocb;
    let last = (iocb.end() - 1) / BLOCK_SIZE;
    let (done, _) = for_each_answer(0..iocb.len(), |done| {
        let mut retries = 0;
        loop {
            let handle = fs.start_handle();
            match iomap_begin(fs, inode, iocb.at(done) / BLOCK_SIZE, last, IomapFor::Write, Some(&handle)) {
                // No thread waits for a commit with a handle open.
                Err(FsError::NoSpace) => {
                    drop(handle);
                    if !ext4_should_retry_alloc(fs, &mut retries) {
                        return Err(FsError::NoSpace);
                    }
                }
                iomap => {
                    let iomap = iomap?;
                    settle_allocation(fs, inode, &iomap);
                    return Ok(copy_covered(iocb, &iomap, done..iocb.len(), Faults::On));
                }
            }
        }
    })?;
    Ok(done)
}
