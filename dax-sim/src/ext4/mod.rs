//! What the file system does in its calls, under the names of Linux: faults, write, truncate and
//! others. They use `dax`, `fs` and the modules below.
//!
//! Each call takes the locks of the inode, and calls `dax` and `fs` with the locks held. The caller
//! of `write` holds i_rwsem already.

mod break_layouts;
mod collapse;
mod fallocate;
mod fault;
mod insert;
mod punch;
mod remap;
mod remove;
mod sync;
mod truncate;
mod unshare;
mod write;
mod zero;

pub(crate) use collapse::ext4_collapse_range;
pub(crate) use fallocate::{Size, ext4_fallocate};
pub(crate) use fault::{PeSize, ext4_dax_huge_fault, ext4_dax_pfn_mkwrite};
pub(crate) use insert::ext4_insert_range;
pub(crate) use punch::ext4_punch_hole;
pub(crate) use remap::{Remap, xfs_clone_range, xfs_dedupe_range};
pub(crate) use sync::ext4_sync_file;
pub(crate) use truncate::ext4_truncate;
pub(crate) use unshare::{unshare_cut, xfs_reflink_unshare, zero_past_end};
pub(crate) use write::ext4_dax_write;
pub(crate) use zero::ext4_zero_range;

use break_layouts::{lock_unpinned, lock_unpinned_from, wait_for_page};
use remove::remove_pages;
