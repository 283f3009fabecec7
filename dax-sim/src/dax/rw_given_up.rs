//! Bodies of write(2) that were proposed, or given up: they are here to be seen fail.

use super::invalidate::invalidate_inode_pages2_range;
use super::rw::{bytes_in, copy, write_released};
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
    let (mut done, mut retries) = (0, 0);
    while done < source.len() {
        let start = position + done as u64;
        let handle = fs.start_handle(inode);
        let iomap = match iomap_begin(fs, inode, start / BLOCK_SIZE, last, IomapFor::Write, Some(&handle)) {
            Err(FsError::NoSpace) => {
                drop(handle);
                match ext4_should_retry_alloc(fs, &mut retries) {
                    true => continue,
                    false if done > 0 => break,
                    false => return Err(FsError::NoSpace),
                }
            }
            iomap => iomap?,
        };
        retries = 0;
        settle_allocation(fs, inode, &iomap);
        let part = bytes_in(&iomap, start, source.len() - done);
        let copied = copy(fs, &iomap, start, source, done, part, Faults::On);
        done += copied;
        if copied < part {
            break;
        }
    }
    Ok(done)
}
