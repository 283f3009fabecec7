//! fsync: write-back, then a commit.

use crate::dax::dax_writeback_mapping_range;
use crate::error::FsError;
use crate::fs::{FileSystem, Inode};
use crate::schedule::PlantedFault;

/// Makes durable what was stored to the pages `first..=last` and what is known of the file
/// (`ext4_sync_file`). It writes back, and then commits unless blocks and size are durable already.
///
/// # Errors
///
/// [`FsError::Device`] if the device could not make the data durable.
pub(crate) fn ext4_sync_file(
    fs: &FileSystem<'_>,
    inode: &Inode,
    first: u64,
    last: u64,
) -> Result<(), FsError> {
    dax_writeback_mapping_range(fs, inode, first, last)?;
    if inode.is_datasync_dirty(&fs.journal) && !fs.schedule.has(PlantedFault::FsyncWithoutCommit) {
        fs.commit();
    }
    Ok(())
}
