//! Shares blocks between two ranges of pages: clone and dedupe.
//!
//! Follows `generic_remap_file_range_prep` and `xfs_file_remap_range` of Linux 6.0, because ext4
//! cannot share blocks. The order of steps:
//!
//! 1. Take i_rwsem of both files.
//! 2. Take i_mmap_sem of both files.
//! 3. Write back the source, which makes its mappings read-only.
//! 4. Forget the target's pages.
//! 5. Start a journal handle.
//! 6. Change the extents.
//!
//! From then on no thread writes to the blocks. A writer finds a shared extent, and makes a copy
//! first.

use std::ops::Range;

use super::{unshare_cut, wait_for_page};
use crate::dax::{
    dax_iomap_read, dax_layout_busy_page, dax_writeback_mapping_range, truncate_inode_pages_range,
};
use crate::error::FsError;
use crate::fs::{
    BothGuard, Deduped, Extent, FileSystem, Inode, MAX_FILE_SIZE, page_start, zero_partial_page,
};
use crate::mm::EvenCows;
use crate::pmem::BLOCK_SIZE;
use crate::schedule::PlantedFault;

/// The two ranges that are to share blocks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Remap<'a> {
    pub(crate) source: &'a Inode,
    pub(crate) from: u64,
    pub(crate) target: &'a Inode,
    pub(crate) to: u64,
    /// In bytes. A clone of 0 bytes reaches up to the end of the source.
    pub(crate) len: u64,
}

/// The most bytes that one dedupe compares and shares, as in `vfs_dedupe_file_range`.
const MOST_DEDUPED: u64 = 1 << 30;

/// A remap that has been checked against the sizes of the files.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Plan {
    first: u64,
    target_first: u64,
    pages: u64,
    /// Where the remapped range ends in the target, in bytes.
    target_end: u64,
    /// The size from which the target grows to `target_end`.
    grows_from: Option<u64>,
}

/// Lets the target's range have the blocks of the source's (FICLONERANGE). The target grows if
/// necessary.
pub(crate) fn xfs_clone_range(fs: &FileSystem<'_>, remap: &Remap<'_>) -> Result<(), FsError> {
    let Some((plan, _guards)) = lock(fs, remap, clone_plan)? else { return Ok(()) };
    if let Some(size) = plan.grows_from {
        unshare_cut(fs, remap.target, size)?;
        zero_partial_page(fs, remap.target, size, remap.to);
    }
    if !fs.schedule.has(PlantedFault::CloneWithoutWriteback) {
        dax_writeback_mapping_range(fs, remap.source, plan.first, plan.first + plan.pages - 1)?;
    }
    share(fs, remap, &plan);
    Ok(())
}

/// Lets the target's range have the blocks of the source's if it holds the same bytes
/// (FIDEDUPERANGE).
pub(crate) fn xfs_dedupe_range(fs: &FileSystem<'_>, remap: &Remap<'_>) -> Result<Deduped, FsError> {
    let same = Deduped::Same(remap.len.min(MOST_DEDUPED));
    let Some((plan, _guards)) = lock(fs, remap, dedupe_plan)? else { return Ok(same) };
    // No thread stores to either range while they are compared.
    for (inode, first) in [(remap.source, plan.first), (remap.target, plan.target_first)] {
        dax_writeback_mapping_range(fs, inode, first, first + plan.pages - 1)?;
    }
    let compares = !fs.schedule.has(PlantedFault::DedupeUnseen);
    if compares && !same_bytes(fs, remap, plan.target_end - remap.to)? {
        return Ok(Deduped::Differs);
    }
    share(fs, remap, &plan);
    Ok(same)
}

/// Locks both ranges. Returns `None` if there is nothing to do. The plan was made without the
/// locks, so it is made again with them, and must still be the same.
fn lock<'a>(
    fs: &FileSystem<'_>,
    remap: &Remap<'a>,
    make_plan: fn(&Remap<'_>) -> Result<Option<Plan>, FsError>,
) -> Result<Option<(Plan, [BothGuard<'a>; 2])>, FsError> {
    loop {
        let Some(plan) = make_plan(remap)? else { return Ok(None) };
        let source = plan.first * BLOCK_SIZE..(plan.first + plan.pages) * BLOCK_SIZE;
        let (i_rwsem, i_mmap_sem) = plan.target_bytes(remap.to);
        let (from, to) = (remap.source, remap.target);
        let i_rwsem = from.i_rwsem.write_both(source.clone(), &to.i_rwsem, i_rwsem, &fs.schedule);
        if make_plan(remap)?.as_ref() == Some(&plan) {
            let lock = || {
                let target = i_mmap_sem.clone();
                from.i_mmap_sem.write_both(source.clone(), &to.i_mmap_sem, target, &fs.schedule)
            };
            let i_mmap_sem = lock_both_unpinned(fs, remap, &plan, lock);
            return Ok(Some((plan, [i_mmap_sem, i_rwsem])));
        }
    }
}

/// Takes i_mmap_sem of both when neither has a pinned page in its range. A page that is pinned for
/// stores must not become shared, and a pinned page must not be replaced
/// (`xfs_mmaplock_two_inodes_and_break_dax_layout` of Linux 6.0).
fn lock_both_unpinned<'a>(
    fs: &FileSystem<'_>,
    remap: &Remap<'_>,
    plan: &Plan,
    lock: impl Fn() -> BothGuard<'a>,
) -> BothGuard<'a> {
    loop {
        let guard = lock();
        let ranges = [(remap.source, plan.first), (remap.target, plan.target_first)];
        let busy = ranges.into_iter().find_map(|(inode, first)| {
            Some((first, dax_layout_busy_page(fs, inode, first, first + plan.pages - 1)?))
        });
        let Some((page, block)) = busy else { return guard };
        drop(guard);
        wait_for_page(fs, page, block);
    }
}

impl Plan {
    /// What of the target's i_rwsem and i_mmap_sem the remap needs.
    fn target_bytes(&self, to: u64) -> (Range<u64>, Range<u64>) {
        let end = (self.target_first + self.pages) * BLOCK_SIZE;
        match self.grows_from {
            Some(size) => (to.min(size)..u64::MAX, page_start(to.min(size))..end),
            None => (to..end, to..end),
        }
    }
}

/// Makes the checks in the order of `generic_remap_file_range_prep`. A clone of nothing, from the
/// end of the source on, is done before any other check.
fn clone_plan(remap: &Remap<'_>) -> Result<Option<Plan>, FsError> {
    let (size, target_size) = (remap.source.size(), remap.target.size());
    if remap.len == 0 && remap.from == size {
        return Ok(None);
    }
    let len = if remap.len == 0 { size.saturating_sub(remap.from) } else { remap.len };
    check_starts(remap)?;
    if !is_inside(remap.from, len, size) {
        return Err(FsError::Invalid("a range to be cloned must end by the end of its file"));
    }
    check_target(remap.to, len)?;
    // The last block of the source may be cloned in part, but not into the middle of the target.
    if !len.is_multiple_of(BLOCK_SIZE) && (remap.from + len != size || remap.to + len < target_size) {
        return Err(FsError::Invalid(
            "a range to be cloned must be of whole blocks, but where it ends at the end of both files",
        ));
    }
    plan(remap, len, target_size).map(Some)
}

/// Makes the checks in the order of two functions. `vfs_dedupe_file_range` looks only at the end of
/// the source before a dedupe of nothing is done. The rest follows `generic_remap_file_range_prep`.
fn dedupe_plan(remap: &Remap<'_>) -> Result<Option<Plan>, FsError> {
    const OUTSIDE: FsError = FsError::Invalid("ranges to be deduped must end by the end of their files");
    let (size, target_size) = (remap.source.size(), remap.target.size());
    if remap.from.checked_add(remap.len).is_none_or(|end| end > size) {
        return Err(OUTSIDE);
    }
    let len = remap.len.min(MOST_DEDUPED);
    if len == 0 {
        return Ok(None);
    }
    check_starts(remap)?;
    if !is_inside(remap.to, len, target_size) {
        return Err(OUTSIDE);
    }
    let at_both_ends = remap.from + len == size && remap.to + len == target_size;
    let len = if at_both_ends { len } else { page_start(len) };
    if len == 0 { Ok(None) } else { plan(remap, len, target_size).map(Some) }
}

/// Whether `len` bytes from `at` on, with at least one byte, lie in a file of `size` bytes.
fn is_inside(at: u64, len: u64, size: u64) -> bool {
    at < size && len <= size - at
}

/// Whether a file can reach as far as `to + len`, in whole blocks.
fn check_target(to: u64, len: u64) -> Result<(), FsError> {
    match to.checked_add(len.next_multiple_of(BLOCK_SIZE)) {
        Some(end) if end <= MAX_FILE_SIZE => Ok(()),
        _ => Err(FsError::TooBig { end: to.saturating_add(len), max: MAX_FILE_SIZE }),
    }
}

fn check_starts(remap: &Remap<'_>) -> Result<(), FsError> {
    if remap.from.is_multiple_of(BLOCK_SIZE) && remap.to.is_multiple_of(BLOCK_SIZE) {
        Ok(())
    } else {
        Err(FsError::Invalid("ranges that are to share blocks must begin at multiples of 4096"))
    }
}

fn plan(remap: &Remap<'_>, len: u64, target_size: u64) -> Result<Plan, FsError> {
    let (from, to, whole) = (remap.from, remap.to, len.next_multiple_of(BLOCK_SIZE));
    if std::ptr::eq(remap.source, remap.target) && from < to + whole && to < from + whole {
        return Err(FsError::Invalid("ranges of one file that are to share blocks must not overlap"));
    }
    Ok(Plan {
        first: from / BLOCK_SIZE,
        target_first: to / BLOCK_SIZE,
        pages: whole / BLOCK_SIZE,
        target_end: to + len,
        grows_from: (to + len > target_size).then_some(target_size),
    })
}

/// Shares the blocks (`xfs_reflink_remap_blocks`). Both ranges are locked, and no thread can store
/// to the source's pages.
fn share(fs: &FileSystem<'_>, remap: &Remap<'_>, plan: &Plan) {
    let (first, last) = (plan.target_first, plan.target_first + plan.pages - 1);
    truncate_inode_pages_range(fs, remap.target, first, last, EvenCows::No);
    let given_up = {
        let handle = fs.start_handle();
        let shared = make_shared(fs, remap.source, plan.first, plan.first + plan.pages - 1);
        let mut map = remap.target.change_extents(&handle, &fs.schedule);
        let given_up = map.remove(first, last);
        for (page, block) in shared {
            map.publish(page - plan.first + first, Extent::Shared(block));
        }
        drop(map);
        if plan.grows_from.is_some() {
            remap.target.raise_size(plan.target_end, &handle, &fs.schedule);
        }
        given_up
    };
    fs.free(given_up);
}

/// Counts one more page for each written block of `first..=last`. Unwritten blocks are treated as
/// holes.
fn make_shared(fs: &FileSystem<'_>, source: &Inode, first: u64, last: u64) -> Vec<(u64, u64)> {
    let mut map = source.extents.write(&fs.schedule);
    let mut shared = Vec::new();
    for (page, extent) in map.allocated(first, last) {
        if let Extent::Written(block) | Extent::Shared(block) = extent {
            fs.shared.add(block);
            map.publish(page, Extent::Shared(block));
            shared.push((page, block));
        }
    }
    shared
}

fn same_bytes(fs: &FileSystem<'_>, remap: &Remap<'_>, len: u64) -> Result<bool, FsError> {
    let (mut ours, mut theirs) = ([0; BLOCK_SIZE as usize], [0; BLOCK_SIZE as usize]);
    let mut done = 0;
    while done < len {
        let part = (len - done).min(BLOCK_SIZE);
        let (ours, theirs) = (&mut ours[..part as usize], &mut theirs[..part as usize]);
        dax_iomap_read(fs, remap.source, remap.from + done, ours, part as usize)?;
        dax_iomap_read(fs, remap.target, remap.to + done, theirs, part as usize)?;
        if ours != theirs {
            return Ok(false);
        }
        done += part;
    }
    Ok(true)
}
