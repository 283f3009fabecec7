//! read(2) and write(2): straight to the blocks, no page cache in between.

use super::settle_allocation;
use crate::error::FsError;
use crate::fs::{
    FileSystem, Inode, Iomap, IomapFor, IomapType, Origin, iomap_begin, iomap_end, pages_around,
};
use crate::mm::grace;
use crate::pmem::BLOCK_SIZE;
use crate::schedule::SchedulePoint;

/// Reads the bytes from `position` on; holes and unwritten extents read as zeros (`dax_iomap_rw`).
///
/// The caller holds i_rwsem shared over the bytes, and has cut `buffer` at the end of the file.
pub(crate) fn dax_iomap_read(
    fs: &FileSystem<'_>,
    inode: &Inode,
    mut position: u64,
    mut buffer: &mut [u8],
) -> Result<(), FsError> {
    while !buffer.is_empty() {
        let last = (position + buffer.len() as u64 - 1) / BLOCK_SIZE;
        let iomap = iomap_begin(fs, inode, position / BLOCK_SIZE, last, IomapFor::Read, None)?;
        if iomap.origin == Origin::Shared {
            let done = read_shared(fs, inode, position, buffer)?;
            position += done as u64;
            buffer = &mut buffer[done..];
            continue;
        }
        let (part, rest) = buffer.split_at_mut(bytes_in(&iomap, position, buffer.len()));
        read_part(fs, &iomap, position, part);
        position += part.len() as u64;
        buffer = rest;
    }
    Ok(())
}

/// Reads what one answer covers, where that was a shared block; returns how many bytes.
///
/// A write fault, which does not hold i_rwsem, may give the page a block of its own meanwhile, and then the
/// shared one may go. Who announces the access before looking up is waited for.
#[cold]
fn read_shared(
    fs: &FileSystem<'_>,
    inode: &Inode,
    position: u64,
    buffer: &mut [u8],
) -> Result<usize, FsError> {
    let _access = grace::enter();
    let last = (position + buffer.len() as u64 - 1) / BLOCK_SIZE;
    let iomap = iomap_begin(fs, inode, position / BLOCK_SIZE, last, IomapFor::Read, None)?;
    fs.schedule.pass(SchedulePoint::Translated, iomap.first_page);
    let len = bytes_in(&iomap, position, buffer.len());
    read_part(fs, &iomap, position, &mut buffer[..len]);
    Ok(len)
}

fn read_part(fs: &FileSystem<'_>, iomap: &Iomap, position: u64, part: &mut [u8]) {
    match device_offset(iomap, position) {
        Some(offset) => fs.device.read(offset, part),
        None => part.fill(0),
    }
}

/// Writes `bytes` at `position`; returns how many were written (`dax_iomap_rw`, and `dax_iomap_actor` in the
/// loop).
///
/// The caller holds i_rwsem exclusively over the bytes. New blocks come zeroed; what maps their pages is
/// invalidated *before* the copy, and the copy itself holds nothing but i_rwsem, for it may have to fault.
/// A shared block gives way to a copy of its own first, in the same way.
/// Under option 2 of the mail i_mmap_sem is held over {look up, allocate, invalidate}: exclusively where a
/// block is missing, shared where all are there. Which of the two holds can be told in advance: a written
/// block goes only under i_rwsem.
///
/// # Errors
///
/// [`FsError::NoSpace`] if no byte could be written.
pub(crate) fn dax_iomap_write(
    fs: &FileSystem<'_>,
    inode: &Inode,
    position: u64,
    bytes: &[u8],
) -> Result<usize, FsError> {
    let mut done = 0;
    while done < bytes.len() {
        let start = position + done as u64;
        let end = position + bytes.len() as u64;
        let iomap = match begin_write(fs, inode, start, end) {
            Ok(iomap) => iomap,
            Err(FsError::NoSpace) if done > 0 => break,
            Err(e) => return Err(e),
        };
        let part = bytes_in(&iomap, start, bytes.len() - done);
        let offset = device_offset(&iomap, start).expect("iomap_begin for a write answers with blocks");
        fs.device.write(offset, &bytes[done..done + part]);
        // Linux copies past the CPU's caches (memcpy_flushcache).
        fs.device.flush(offset, part as u64);
        done += part;
    }
    iomap_end(fs, inode, position + done as u64);
    Ok(done)
}

fn begin_write(fs: &FileSystem<'_>, inode: &Inode, start: u64, end: u64) -> Result<Iomap, FsError> {
    let (first, last) = (start / BLOCK_SIZE, (end - 1) / BLOCK_SIZE);
    let _i_mmap_sem = fs.rules.exclusive_allocation.then(|| {
        let bytes = pages_around(start, end);
        if inode.extents.all_written(first, last) {
            inode.i_mmap_sem.read(bytes, &fs.schedule)
        } else {
            inode.i_mmap_sem.write(bytes, &fs.schedule)
        }
    });
    let iomap = iomap_begin(fs, inode, first, last, IomapFor::Write, None)?;
    settle_allocation(fs, inode, &iomap);
    Ok(iomap)
}

/// How many of `len` bytes from `position` on the answer covers.
fn bytes_in(iomap: &Iomap, position: u64, len: usize) -> usize {
    let end = (iomap.first_page + iomap.pages) * BLOCK_SIZE;
    usize::try_from(end - position).map_or(len, |covered| covered.min(len))
}

/// Where on the device `position` is; `None` in a hole or an unwritten extent.
fn device_offset(iomap: &Iomap, position: u64) -> Option<u64> {
    match iomap.kind {
        IomapType::Mapped { block } => Some(block * BLOCK_SIZE + (position - iomap.first_page * BLOCK_SIZE)),
        IomapType::Hole | IomapType::Unwritten => None,
    }
}
