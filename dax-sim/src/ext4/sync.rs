//! fsync: write-back, then a commit.

use crate::dax::dax_writeback_mapping_range;
use crate::error::FsError;
use crate::fs::{FileSystem, Inode};
use crate::schedule::PlantedFault;

/// Makes durable what was stored to the pages `first..=last` and what is known of the file: write
/// back, then commit, unless blocks and size are durable already (`ext4_sync_file`).
///
/// # Errors
///
/// [`FsError::Device`] if the device could not.
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
