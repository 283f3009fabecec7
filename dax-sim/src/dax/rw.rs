//! read(2) and write(2): straight to the blocks, without a page cache in between.

use std::ops::Range;

use super::{Faults, Kiocb, UserSource, UserTarget, settle_allocation};
use crate::error::FsError;
use crate::fs::{
    FileSystem, Inode, Iomap, IomapFor, IomapType, Origin, SemGuard, iomap_allocate, iomap_begin,
    iomap_for_overwrite, pages_around,
};
use crate::mm::grace;
use crate::pmem::BLOCK_SIZE;
use crate::schedule::{PlantedFault, SchedulePoint};

/// Reads `len` bytes from `position` on. Holes and unwritten extents read as zeros
/// (`dax_iomap_rw`). Returns how many were read: fewer than `len` where the target takes no more.
///
/// The caller holds i_rwsem shared over the bytes and nothing else, because the copy may have to
/// fault. It has cut `len` at the end of the file.
///
/// # Errors
///
/// [`FsError::BadAddress`] if the target takes nothing.
pub(crate) fn dax_iomap_read<T: UserTarget + ?Sized>(
    fs: &FileSystem<'_>,
    inode: &Inode,
    position: u64,
    target: &mut T,
    len: usize,
) -> Result<usize, FsError> {
    let mut done = 0;
    while done < len {
        let start = position + done as u64;
        let last = (position + len as u64 - 1) / BLOCK_SIZE;
        let iomap = iomap_begin(fs, inode, start / BLOCK_SIZE, last, IomapFor::Read, None)?;
        let part = bytes_in(&iomap, start, len - done);
        let copied = if iomap.origin == Origin::Shared {
            target.copy_to(done, part, |at, bytes| read_shared(fs, inode, start + at as u64, bytes))?
        } else {
            target.copy_to(done, part, |at, bytes| {
                read_extent(fs, &iomap, start + at as u64, bytes);
                Ok(())
            })?
        };
        done += copied;
        if copied < part {
            break;
        }
    }
    if done == 0 { Err(FsError::BadAddress) } else { Ok(done) }
}

/// Reads bytes of blocks that were shared a moment ago.
///
/// A write fault, which does not hold i_rwsem, may give the page a block of its own meanwhile. Then
/// the shared block may go. An access that is announced before the look-up makes the fault wait.
#[cold]
fn read_shared(
    fs: &FileSystem<'_>,
    inode: &Inode,
    mut position: u64,
    mut bytes: &mut [u8],
) -> Result<(), FsError> {
    while !bytes.is_empty() {
        let _access = grace::enter(&fs.schedule);
        let last = (position + bytes.len() as u64 - 1) / BLOCK_SIZE;
        let iomap = iomap_begin(fs, inode, position / BLOCK_SIZE, last, IomapFor::Read, None)?;
        fs.schedule.pass(SchedulePoint::Translated, iomap.first_page);
        let (part, rest) = bytes.split_at_mut(bytes_in(&iomap, position, bytes.len()));
        read_extent(fs, &iomap, position, part);
        position += part.len() as u64;
        bytes = rest;
    }
    Ok(())
}

/// Reads bytes that the answer covers.
pub(super) fn read_extent(fs: &FileSystem<'_>, iomap: &Iomap, position: u64, part: &mut [u8]) {
    match device_offset(iomap, position) {
        Some(offset) => {
            fs.schedule.pass(SchedulePoint::Copy, iomap.first_page);
            fs.about_to_touch(offset, part.len() as u64);
            fs.device.read(offset, part);
        }
        None => part.fill(0),
    }
}

/// How often write(2) tries to copy with faults off before a page goes through a bounce buffer.
const TRIES: u32 = 8;

/// Looks up, allocates and copies answer by answer: the loop of `dax_iomap_rw`, in which
/// `iomap_apply` calls `dax_iomap_actor` once for each answer.
// Always inline, with what it calls: taking a lock waits for whatever a function on the way has
// saved on the stack.
#[inline(always)]
pub(super) fn write_released<S: UserSource + ?Sized>(iocb: &Kiocb<'_, S>) -> Result<usize, FsError> {
    let (mut done, short) = write_next(iocb, 0)?;
    if !short && done < iocb.len() {
        done = write_rest(iocb, done)?;
    }
    Ok(done)
}

/// Goes on at byte `done`. A function of its own, so that a write with one answer does not pay for
/// what a loop keeps for its next turn.
#[inline(never)]
fn write_rest<S: UserSource + ?Sized>(iocb: &Kiocb<'_, S>, done: usize) -> Result<usize, FsError> {
    match for_each_answer(done..iocb.len(), |done| write_next(iocb, done)) {
        Err(FsError::NoSpace) => Ok(done),
        rest => Ok(done + rest?.0),
    }
}

/// Calls `next` with the first byte of `range`, and then with the byte that the call before
/// reached, until all are done or the source gives less than it was asked for. Returns how many
/// were done, and whether the source gave less.
///
/// # Errors
///
/// What `next` returns, except that ENOSPC is returned only if nothing was done before.
pub(super) fn for_each_answer(
    range: Range<usize>,
    mut next: impl FnMut(usize) -> Result<(usize, bool), FsError>,
) -> Result<(usize, bool), FsError> {
    let (mut done, mut short) = (range.start, false);
    while !short && done < range.end {
        let copied;
        (copied, short) = match next(done) {
            Err(FsError::NoSpace) if done > range.start => break,
            next => next?,
        };
        done += copied;
    }
    Ok((done - range.start, short))
}

/// Copies what the next answer covers, from byte `done` of the source on. Returns how much, and
/// whether the source gave less.
#[inline(always)]
fn write_next<S: UserSource + ?Sized>(iocb: &Kiocb<'_, S>, done: usize) -> Result<(usize, bool), FsError> {
    let iomap = look_up_for_write(iocb.fs, iocb.inode, iocb.at(done), iocb.end())?;
    Ok(copy_covered(iocb, &iomap, done..iocb.len(), Faults::On))
}

/// Copies the bytes `range` of the source while it holds i_mmap_sem exclusively throughout. Returns
/// how much, and whether the source gave less.
#[cold]
pub(super) fn write_held<S: UserSource + ?Sized>(
    iocb: &Kiocb<'_, S>,
    range: Range<usize>,
    faults: Faults,
) -> Result<(usize, bool), FsError> {
    let Kiocb { fs, inode, .. } = *iocb;
    let end = iocb.at(range.end);
    let pages = pages_around(iocb.at(range.start), end);
    let _i_mmap_sem = inode.i_mmap_sem.write(pages, &fs.schedule);
    for_each_answer(range.clone(), |done| {
        let (first, last) = (iocb.at(done) / BLOCK_SIZE, (end - 1) / BLOCK_SIZE);
        let iomap = iomap_begin(fs, inode, first, last, IomapFor::Write, None)?;
        settle_allocation(fs, inode, &iomap);
        Ok(copy_covered(iocb, &iomap, done..range.end, faults))
    })
}

/// Faults the buffer in, and then copies under i_mmap_sem what can be copied without a fault, until
/// all is done. It ends even if another thread takes the buffer's translations away again and
/// again: after [`TRIES`] copies of nothing the next copy goes through a bounce buffer. Every copy
/// after a short one is counted.
#[cold]
pub(super) fn write_without_faults<S: UserSource + ?Sized>(iocb: &Kiocb<'_, S>) -> Result<usize, FsError> {
    let len = iocb.len();
    let (mut done, mut tries, mut again) = (0, 0, false);
    while done < len {
        let within = iocb.source.fault_in(done, len - done);
        if within == 0 {
            break;
        }
        let bounced = tries == TRIES;
        if again {
            iocb.fs.copy_retries.count(bounced);
        }
        let result = if bounced {
            write_bounced(iocb, done)
        } else {
            write_held(iocb, done..done + within, Faults::Off)
        };
        match result {
            Err(FsError::NoSpace) if done > 0 => break,
            Ok((0, _)) if bounced => break,
            result => {
                let (copied, short) = result?;
                (done, again) = (done + copied, short);
                tries = if copied == 0 { tries + 1 } else { 0 };
            }
        }
    }
    Ok(done)
}

/// Writes from byte `from` of the source up to the end of the page that the byte goes to. First it
/// copies to memory that does not fault, with only i_rwsem held, and from there under i_mmap_sem.
fn write_bounced<S: UserSource + ?Sized>(iocb: &Kiocb<'_, S>, from: usize) -> Result<(usize, bool), FsError> {
    let Kiocb { fs, inode, source, .. } = *iocb;
    let position = iocb.at(from);
    let mut bounce = [0; BLOCK_SIZE as usize];
    let part = (iocb.len() - from).min((BLOCK_SIZE - position % BLOCK_SIZE) as usize);
    let copied = source
        .copy_from(from, part, Faults::On, |at, bytes| bounce[at..at + bytes.len()].copy_from_slice(bytes));
    let bounced = Kiocb { fs, inode, position, source: &bounce[..copied] };
    let (written, _) = write_held(&bounced, 0..copied, Faults::Off)?;
    Ok((written, copied < part))
}

/// {Look up, allocate, invalidate}. Under option 2 of Kara's 2017 e-mail it holds i_mmap_sem
/// meanwhile, as `ext4_map_blocks` does with i_data_sem: shared to look up, and exclusively to look
/// again and to allocate where a block is missing.
// Always inline, as iomap_for_overwrite: an answer that is stored in parts and loaded whole waits
// until the parts have left the CPU, for as long as a third of the copy takes.
#[inline(always)]
fn look_up_for_write(fs: &FileSystem<'_>, inode: &Inode, start: u64, end: u64) -> Result<Iomap, FsError> {
    let shared = if fs.rules.exclusive_allocation {
        inode.i_mmap_sem.read(pages_around(start, end), &fs.schedule)
    } else {
        SemGuard::Nothing
    };
    if let Some(iomap) = iomap_for_overwrite(fs, inode, start / BLOCK_SIZE, (end - 1) / BLOCK_SIZE) {
        return Ok(iomap);
    }
    drop(shared);
    allocate(fs, inode, start, end)
}

/// The same after `iomap_for_overwrite` had no answer.
#[inline(never)]
fn allocate(fs: &FileSystem<'_>, inode: &Inode, start: u64, end: u64) -> Result<Iomap, FsError> {
    let _exclusive = if fs.rules.exclusive_allocation {
        inode.i_mmap_sem.write(pages_around(start, end), &fs.schedule)
    } else {
        SemGuard::Nothing
    };
    let iomap = iomap_allocate(fs, inode, start / BLOCK_SIZE, (end - 1) / BLOCK_SIZE, IomapFor::Write, None)?;
    settle_allocation(fs, inode, &iomap);
    Ok(iomap)
}

/// Copies what the answer covers of the bytes `range` of the source. Returns how much, and whether
/// the source gave less.
#[inline(always)]
pub(super) fn copy_covered<S: UserSource + ?Sized>(
    iocb: &Kiocb<'_, S>,
    iomap: &Iomap,
    range: Range<usize>,
    faults: Faults,
) -> (usize, bool) {
    let part = bytes_in(iomap, iocb.at(range.start), range.len());
    let copied = copy(iocb, iomap, range.start, part, faults);
    (copied, copied < part)
}

/// Copies `len` bytes of the source, from `from` on. Returns how many could be copied.
#[inline(always)]
fn copy<S: UserSource + ?Sized>(
    iocb: &Kiocb<'_, S>,
    iomap: &Iomap,
    from: usize,
    len: usize,
    faults: Faults,
) -> usize {
    let fs = iocb.fs;
    let offset = device_offset(iomap, iocb.at(from)).expect("iomap_begin for a write answers with blocks");
    let copied = iocb.source.copy_from(from, len, faults, |at, bytes| {
        fs.schedule.pass(SchedulePoint::Copy, iomap.first_page);
        fs.about_to_touch(offset + at as u64, bytes.len() as u64);
        // Past the CPU's caches on persistent memory (memcpy_flushcache).
        fs.device.write_through(offset + at as u64, bytes);
    });
    copied_past_caches(fs, offset, copied as u64);
    copied
}

/// Makes durable what a copy past the caches has written.
#[inline(always)]
fn copied_past_caches(fs: &FileSystem<'_>, offset: u64, len: u64) {
    if fs.schedule.has(PlantedFault::WriteWithoutFlush) {
        return;
    }
    let len = if fs.schedule.has(PlantedFault::FlushWholeWordsOnly) { len - len % 8 } else { len };
    fs.flushed(offset, len);
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

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::dax::dax_iomap_write;
    use crate::pmem::{Device, DeviceOptions};
    use crate::variant::{Variant, WriteCopy};

    /// A source that gives its bytes only with faults on, except for those that are granted. It
    /// behaves as if another thread took the buffer's translations away each time the buffer was
    /// faulted in.
    struct Stubborn {
        bytes: Vec<u8>,
        granted: Cell<usize>,
        tries: Cell<u32>,
    }

    impl UserSource for Stubborn {
        fn len(&self) -> usize {
            self.bytes.len()
        }

        fn copy_from(&self, at: usize, len: usize, faults: Faults, write: impl FnMut(usize, &[u8])) -> usize {
            let granted = if faults == Faults::On { len } else { self.granted.take().min(len) };
            self.tries.set(self.tries.get() + u32::from(faults == Faults::Off));
            if granted > 0 { self.bytes.as_slice().copy_from(at, granted, faults, write) } else { 0 }
        }

        fn fault_in(&self, _at: usize, len: usize) -> usize {
            len
        }
    }

    #[test]
    fn a_copy_without_faults_is_tried_again_and_goes_through_a_bounce_buffer_in_the_end() {
        let device = Device::open(&DeviceOptions { path: None, size: 1 << 20, overwrite: false }).unwrap();
        let mut fs = FileSystem::format(&device, Variant::RangeLock);
        fs.rules.write_copy = WriteCopy::HeldWithoutFaults;
        let inode = Inode::new(&fs.rules, &fs.schedule);
        let bytes: Vec<u8> = (0..10_000_u32).map(|i| (i % 251) as u8).collect();
        let source = Stubborn { bytes, granted: Cell::new(100), tries: Cell::new(0) };
        let iocb = Kiocb { fs: &fs, inode: &inode, position: 10, source: &source };
        assert_eq!(dax_iomap_write(&iocb), Ok(10_000));
        // One copy comes out short. Then come three pages, each after as many tries as are made.
        assert_eq!(source.tries.get(), 1 + 3 * TRIES);
        // Each of them was followed by another copy, the last for each page through the buffer.
        let counted = fs.copy_retries();
        assert_eq!((counted.retries, counted.bounced), (u64::from(1 + 3 * TRIES), 3));
        let mut seen = vec![0; 10_000];
        assert_eq!(dax_iomap_read(&fs, &inode, 10, seen.as_mut_slice(), 10_000), Ok(10_000));
        assert!(seen == source.bytes);
    }
}
