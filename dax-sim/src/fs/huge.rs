//! Allocates blocks for 2 MiB pages: 512 of them, one after another, aligned on the device.
//!
//! ext4's allocator aligns every allocation that is large enough. Here only file systems with
//! [`FileSystem::with_huge_pages`] do, so that the others stay as they are.

use super::extent::ExtentWriter;
use super::{Extent, FileSystem};
use crate::radix::HUGE;

/// Gives the 512 pages from `first` on zeroed, written blocks in one aligned piece. The blocks are
/// new for 512 holes, or the unwritten blocks that the pages have. Returns the first block. Returns
/// `None`, and changes nothing, if the pages have other blocks, or no piece is free.
pub(super) fn allocate_huge(fs: &FileSystem<'_>, map: &mut ExtentWriter<'_>, first: u64) -> Option<u64> {
    let block = match map.look_up(first) {
        Extent::Hole => reserve_huge(fs, map, first)?,
        Extent::Unwritten(block) if has_unwritten_from(map, first, block) => block,
        _ => return None,
    };
    fs.zero_blocks(block, HUGE);
    map.publish_huge(first, block, Extent::Written);
    Some(block)
}

/// Gives the 512 pages from `first` on unwritten blocks in one aligned piece, if the pages are
/// holes and a piece is free. Returns the first block.
pub(crate) fn reserve_huge(fs: &FileSystem<'_>, map: &mut ExtentWriter<'_>, first: u64) -> Option<u64> {
    let are_holes = || (first..first + HUGE).all(|page| map.look_up(page) == Extent::Hole);
    if !fs.has_huge_pages() || !first.is_multiple_of(HUGE) || !are_holes() {
        return None;
    }
    let block = fs.blocks.allocate_huge(fs.journal.committed())?;
    map.publish_huge(first, block, Extent::Unwritten);
    Some(block)
}

fn has_unwritten_from(map: &ExtentWriter<'_>, first: u64, block: u64) -> bool {
    first.is_multiple_of(HUGE)
        && block.is_multiple_of(HUGE)
        && (0..HUGE).all(|page| map.look_up(first + page) == Extent::Unwritten(block + page))
}
