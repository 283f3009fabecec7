//! `iomap_begin` and `iomap_end`: they find where a range of a file is on the device, and allocate
//! it for a write.
//!
//! They follow `ext4_iomap_begin` and `ext4_iomap_end` of Linux 4.12. For shared blocks, which ext4
//! does not have, they follow XFS' reflink on DAX (Linux 6.0 on). Delayed allocation, inline data
//! and orphans are left out.

use super::alloc::number;
use super::extent::ExtentWriter;
use super::huge::allocate_huge;
use super::{Extent, FileSystem, Handle, Inode, ext4_should_retry_alloc};
use crate::error::FsError;
use crate::pmem::BLOCK_SIZE;
use crate::radix::HUGE;
use crate::schedule::{PlantedFault, SchedulePoint};

/// What a part of a file consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IomapType {
    /// IOMAP_HOLE: no blocks.
    Hole,
    /// IOMAP_UNWRITTEN: blocks whose contents do not count.
    Unwritten,
    /// IOMAP_MAPPED: blocks one after another, beginning with this one.
    Mapped {
        /// The first page's block.
        block: u64,
    },
}

/// An answer of the block map. All its pages are of one kind, and adjacent on the device if they
/// are mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Iomap {
    pub(crate) first_page: u64,
    pub(crate) pages: u64,
    pub(crate) kind: IomapType,
    pub(crate) origin: Origin,
}

/// Where the blocks of an answer come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The blocks were there.
    Found,
    /// IOMAP_F_SHARED: the blocks were there, and other pages may have them, so they are only for
    /// reading.
    Shared,
    /// IOMAP_F_NEW: this very call published the blocks, so what is mapped there may be out of
    /// date.
    New,
    /// As [`Origin::New`], in the place of this shared block. The caller invalidates the page, and
    /// then hands the block to [`FileSystem::release`]. Block numbers fit in 32 bits, and an answer
    /// is copied often.
    Copied(u32),
}

/// The access that the answer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IomapFor {
    /// Holes stay holes.
    Read,
    /// IOMAP_WRITE: the answer is mapped and not shared. Holes and unwritten extents get zeroed,
    /// written blocks, and a shared block gives way to a copy.
    Write,
    /// IOMAP_WRITE by a fault of 2 MiB: 512 holes or unwritten blocks get 512 blocks in one piece,
    /// if such a piece is free. Otherwise the answer is what is there, mapped or not, and the fault
    /// falls back.
    WriteHuge,
}

impl Iomap {
    /// The first page's block, if it is mapped.
    pub(crate) fn block(&self) -> Option<u64> {
        match self.kind {
            IomapType::Mapped { block } => Some(block),
            IomapType::Hole | IomapType::Unwritten => None,
        }
    }

    /// Whether the pages have written blocks of their own.
    #[inline]
    fn can_be_written(&self) -> bool {
        matches!(self.kind, IomapType::Mapped { .. }) && self.origin == Origin::Found
    }

    /// The last page of the answer.
    pub(crate) fn last_page(&self) -> u64 {
        self.first_page + self.pages - 1
    }
}

/// Answers for as many of the pages `first..=last` as are of one kind, from `first` on.
///
/// An allocation joins `handle` if the caller has one open. Otherwise it opens one of its own and
/// stops it before the return, as ext4 does since 4.10. It holds i_data_sem while it looks again,
/// zeroes (EXT4_GET_BLOCKS_ZERO) and publishes.
///
/// # Errors
///
/// [`FsError::NoSpace`] if not even the first page could be given a block.
// Inline, so that the answer of a plain read or overwrite never leaves the registers.
#[inline(always)]
pub(crate) fn iomap_begin(
    fs: &FileSystem<'_>,
    inode: &Inode,
    first: u64,
    last: u64,
    purpose: IomapFor,
    handle: Option<&Handle<'_>>,
) -> Result<Iomap, FsError> {
    fs.schedule.pass(SchedulePoint::LookUp, first);
    let found = look_up(inode, first, last);
    if purpose == IomapFor::Read || found.can_be_written() {
        return Ok(found);
    }
    iomap_allocate(fs, inode, first, last, purpose, handle)
}

/// Answers as [`iomap_begin`] does for a write that need not allocate (`ext4_overwrite_io`).
/// Otherwise it returns `None`.
#[inline(always)]
pub(crate) fn iomap_for_overwrite(
    fs: &FileSystem<'_>,
    inode: &Inode,
    first: u64,
    last: u64,
) -> Option<Iomap> {
    fs.schedule.pass(SchedulePoint::LookUp, first);
    Some(look_up(inode, first, last)).filter(Iomap::can_be_written)
}

/// The rest of [`iomap_begin`] for a write that has looked and found no written block of its own.
#[inline(never)]
pub(crate) fn iomap_allocate(
    fs: &FileSystem<'_>,
    inode: &Inode,
    first: u64,
    last: u64,
    purpose: IomapFor,
    handle: Option<&Handle<'_>>,
) -> Result<Iomap, FsError> {
    let mut retries = 0;
    loop {
        match ext4_map_blocks(fs, inode, first, last, purpose, handle) {
            // A caller that has a handle open must not wait for a commit, and tries again itself.
            Err(FsError::NoSpace) if handle.is_none() && ext4_should_retry_alloc(fs, &mut retries) => {}
            result => return result,
        }
    }
}

/// With EXT4_GET_BLOCKS_CREATE: under i_data_sem, which is taken only now.
fn ext4_map_blocks(
    fs: &FileSystem<'_>,
    inode: &Inode,
    first: u64,
    last: u64,
    purpose: IomapFor,
    handle: Option<&Handle<'_>>,
) -> Result<Iomap, FsError> {
    let own;
    let handle = match handle {
        Some(handle) => handle,
        None => {
            own = fs.start_handle();
            &own
        }
    };
    let mut map = inode.change_extents(handle, &fs.schedule);
    if last - first + 1 >= HUGE
        && let Some(block) = allocate_huge(fs, &mut map, first)
    {
        let kind = IomapType::Mapped { block };
        return Ok(Iomap { first_page: first, pages: HUGE, kind, origin: Origin::New });
    }
    // The next 2 MiB may be aligned, so a separate call asks for them.
    let last = if fs.has_huge_pages() { last.min(first | (HUGE - 1)) } else { last };
    if purpose == IomapFor::WriteHuge {
        return Ok(look_up(inode, first, last));
    }
    match map.look_up(first) {
        // Another thread was faster, and has done the invalidation or is about to. The look-up
        // keeps the map held: otherwise a punch that nothing else keeps out could make the page a
        // hole again.
        Extent::Written(block) => {
            if fs.schedule.has(PlantedFault::ConvertTwice) {
                fs.zero_blocks(block, 1);
            }
            return Ok(look_up(inode, first, last));
        }
        Extent::Shared(block) => return copy_on_write(fs, &mut map, first, block),
        Extent::Hole | Extent::Unwritten(_) => {}
    }
    let mut pages = 0;
    let mut start = 0;
    while first + pages <= last {
        let page = first + pages;
        let wanted = if pages == 0 { None } else { Some(start + pages) };
        match make_written(fs, &mut map, page, wanted) {
            Some(block) if pages == 0 => start = block,
            Some(_) => {}
            None if pages == 0 => return Err(FsError::NoSpace),
            None => break,
        }
        pages += 1;
    }
    let kind = IomapType::Mapped { block: start };
    Ok(Iomap { first_page: first, pages, kind, origin: Origin::New })
}

/// The write of the bytes up to `end` is done: makes the file reach at least to `end`. The caller
/// holds i_rwsem exclusively from the old size on, or `end` is not past it.
#[inline(always)]
pub(crate) fn iomap_end(fs: &FileSystem<'_>, inode: &Inode, end: u64) {
    if end > inode.size() {
        raise_size(fs, inode, end);
    }
}

#[inline(never)]
fn raise_size(fs: &FileSystem<'_>, inode: &Inode, end: u64) {
    let handle = fs.start_handle();
    inode.raise_size(end, &handle, &fs.schedule);
}

/// Gives `page`, which has a shared block, a block of its own: a copy, or the block itself if no
/// other page shares it any more. The copy is durable before it is published, as if it had always
/// been there.
#[cold]
fn copy_on_write(
    fs: &FileSystem<'_>,
    map: &mut ExtentWriter<'_>,
    page: u64,
    block: u64,
) -> Result<Iomap, FsError> {
    let (own, origin) = if fs.shared.is_last(block) {
        (block, Origin::Found)
    } else {
        let copy = fs.allocate_block().ok_or(FsError::NoSpace)?;
        let mut bytes = [0; BLOCK_SIZE as usize];
        fs.device.read(block * BLOCK_SIZE, &mut bytes);
        fs.device.write(copy * BLOCK_SIZE, &bytes);
        if !fs.schedule.has(PlantedFault::CommitBeforeData) {
            fs.flush(copy * BLOCK_SIZE, BLOCK_SIZE);
        }
        (copy, Origin::Copied(number(block)))
    };
    map.publish(page, Extent::Written(own));
    let kind = IomapType::Mapped { block: own };
    Ok(Iomap { first_page: page, pages: 1, kind, origin })
}

/// Gives `page` a zeroed written block. If `wanted` is given, it must be that block.
fn make_written(
    fs: &FileSystem<'_>,
    map: &mut ExtentWriter<'_>,
    page: u64,
    wanted: Option<u64>,
) -> Option<u64> {
    let fits = |block: u64| wanted.is_none_or(|wanted| wanted == block);
    let block = match map.look_up(page) {
        Extent::Written(_) | Extent::Shared(_) => return None,
        Extent::Unwritten(block) if fits(block) => {
            fs.zero_blocks(block, 1);
            block
        }
        Extent::Unwritten(_) => return None,
        Extent::Hole => {
            let block = fs.allocate_block()?;
            if !fits(block) {
                fs.blocks.free(vec![block]);
                return None;
            }
            // What the block held before is never seen.
            fs.zero_blocks(block, 1);
            block
        }
    };
    map.publish(page, Extent::Written(block));
    Some(block)
}

#[inline]
fn look_up(inode: &Inode, first: u64, last: u64) -> Iomap {
    let extent = inode.extents.look_up(first);
    let pages = if first == last { 1 } else { pages_like(inode, extent, first, last) };
    let kind = match extent {
        Extent::Hole => IomapType::Hole,
        Extent::Unwritten(_) => IomapType::Unwritten,
        Extent::Written(block) | Extent::Shared(block) => IomapType::Mapped { block },
    };
    let origin = if matches!(extent, Extent::Shared(_)) { Origin::Shared } else { Origin::Found };
    Iomap { first_page: first, pages, kind, origin }
}

/// How many pages of `first..=last` continue the run that the first one begins with `extent`.
fn pages_like(inode: &Inode, extent: Extent, first: u64, last: u64) -> u64 {
    let follows = |page: u64| match (extent, inode.extents.look_up(page)) {
        (Extent::Hole, Extent::Hole) | (Extent::Unwritten(_), Extent::Unwritten(_)) => true,
        (Extent::Written(block), Extent::Written(next)) | (Extent::Shared(block), Extent::Shared(next)) => {
            next == block + (page - first)
        }
        _ => false,
    };
    1 + (first + 1..=last).take_while(|&page| follows(page)).count() as u64
}
