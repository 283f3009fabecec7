//! Removes whole pages from a file.

use std::ops::RangeInclusive;

use crate::dax::truncate_inode_pages_range;
use crate::fs::{FileSystem, Inode};
use crate::mm::EvenCows;
use crate::schedule::PlantedFault;

/// Frees whole pages. The caller holds i_rwsem and i_mmap_sem exclusively over them.
pub(crate) fn remove_pages(
    fs: &FileSystem<'_>,
    inode: &Inode,
    pages: RangeInclusive<u64>,
    even_cows: EvenCows,
) {
    let late = fs.schedule.has(PlantedFault::FreeBeforeUnmap);
    if !late {
        truncate_inode_pages_range(fs, inode, *pages.start(), *pages.end(), even_cows);
    }
    let removed = {
        let handle = fs.start_handle();
        inode.change_extents(&handle, &fs.schedule).remove(*pages.start(), *pages.end())
    };
    fs.free(removed);
    if late {
        truncate_inode_pages_range(fs, inode, *pages.start(), *pages.end(), even_cows);
    }
}
