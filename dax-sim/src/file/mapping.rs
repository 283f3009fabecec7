//! Mappings of a file: loads, stores, and the faults that they take.

use std::ops::Range;
use std::sync::Arc;

use super::fault::handle_mm_fault;
use crate::dax::Faults;
use crate::error::FsError;
use crate::ext4::ext4_sync_file;
use crate::fs::{FileSystem, Inode};
use crate::mm::{AnonymousPage, PMD_SIZE, Pte, Target, Vma, grace};
use crate::pmem::BLOCK_SIZE;
use crate::schedule::SchedulePoint;

/// A mapping of a file. Dropping the `Mapping` unmaps the file. Offsets count from the start of the
/// file.
#[derive(Debug)]
pub struct Mapping<'a> {
    pub(super) fs: &'a FileSystem<'a>,
    inode: &'a Inode,
    pub(super) vma: Arc<Vma>,
}

/// Where an access finds its bytes.
enum Place<'p> {
    /// Bytes from the start of the device.
    Device(u64),
    /// Zeros.
    ZeroPage,
    /// Bytes from the start of a page of the mapping's own.
    Anonymous(&'p AnonymousPage, usize),
}

impl<'a> Mapping<'a> {
    pub(super) fn new(fs: &'a FileSystem<'a>, inode: &'a Inode, vma: Arc<Vma>) -> Self {
        Self { fs, inode, vma }
    }

    /// Loads a word in one piece.
    ///
    /// # Errors
    ///
    /// The errors of [`Mapping::load`], and [`FsError::Misaligned`].
    #[inline]
    pub fn load_u64(&self, offset: u64) -> Result<u64, FsError> {
        self.check_word(offset)?;
        self.access(offset, false, Faults::On, |place| match place {
            Place::Device(at) => self.fs.device.load_u64(at),
            Place::ZeroPage => 0,
            Place::Anonymous(page, at) => page.load_u64(at),
        })
    }

    /// Stores a word in one piece.
    ///
    /// # Errors
    ///
    /// The errors of [`Mapping::store`], and [`FsError::Misaligned`].
    #[inline]
    pub fn store_u64(&self, offset: u64, value: u64) -> Result<(), FsError> {
        self.check_word(offset)?;
        self.access(offset, true, Faults::On, |place| match place {
            Place::Device(at) => self.fs.device.store_u64(at, value),
            Place::ZeroPage => unreachable!("the zero page is never writable"),
            Place::Anonymous(page, at) => page.store_u64(at, value),
        })
    }

    /// Loads bytes, page by page. A caller may load bytes between the end of the file and the end
    /// of the page in which the file ends. These bytes can have any value.
    ///
    /// # Errors
    ///
    /// [`FsError::OutsideMapping`], or [`FsError::BusError`] at the first page that lies wholly
    /// past the end of the file. After `BusError` the call has loaded the bytes before this page.
    pub fn load(&self, offset: u64, buffer: &mut [u8]) -> Result<(), FsError> {
        self.check(offset, buffer.len() as u64)?;
        let mut done = 0;
        while done < buffer.len() {
            let at = offset + done as u64;
            let part = part_of_page(at, buffer.len() - done);
            self.load_part(at, &mut buffer[done..done + part], Faults::On)?;
            done += part;
        }
        Ok(())
    }

    /// Stores bytes, page by page. A caller may store bytes between the end of the file and the end
    /// of the page in which the file ends. If the file grows over these bytes, the bytes become
    /// zeros again.
    ///
    /// # Errors
    ///
    /// * [`FsError::OutsideMapping`].
    /// * [`FsError::ReadOnlyMapping`] if the mapping permits only loads.
    /// * [`FsError::BusError`] at the first page that lies wholly past the end of the file.
    /// * [`FsError::NoSpace`] if a page needs a block and no block is free.
    /// * [`FsError::Device`] if the mapping has the option
    ///   [`MapOptions::sync`](super::MapOptions::sync), and the device could not make the metadata
    ///   durable.
    ///
    /// After [`FsError::OutsideMapping`] the call has stored nothing. After any other error the
    /// call has stored the bytes before the page at which it failed.
    pub fn store(&self, offset: u64, bytes: &[u8]) -> Result<(), FsError> {
        self.check(offset, bytes.len() as u64)?;
        let mut done = 0;
        while done < bytes.len() {
            let at = offset + done as u64;
            let part = part_of_page(at, bytes.len() - done);
            self.store_part(at, &bytes[done..done + part], Faults::On)?;
            done += part;
        }
        Ok(())
    }

    /// Removes the translations of all pages that the range touches, so that the next accesses
    /// fault (MADV_DONTNEED). A shared mapping keeps its data. A private mapping loses its copies
    /// of these pages, and shows the pages of the file again. The call ignores any part of the
    /// range that lies outside the mapping.
    pub fn dont_need(&self, range: Range<u64>) {
        let (start, end) = (range.start.max(self.vma.start), range.end.min(self.vma.end));
        if start < end {
            let schedule = &self.fs.schedule;
            let _mmap_lock = self.vma.mm.read(schedule);
            self.vma.zap(start / BLOCK_SIZE, (end - 1) / BLOCK_SIZE, schedule);
        }
    }

    /// Returns the size in bytes of the translation that maps the page at `offset` at the moment:
    /// [`BLOCK_SIZE`] or 2 MiB. Returns `None` if no translation maps the page, so that the next
    /// access faults.
    pub fn mapped_size(&self, offset: u64) -> Option<u64> {
        let page = offset / BLOCK_SIZE;
        let of = |size: u64, pte: Pte| pte.is_present().then_some(size);
        of(PMD_SIZE, self.vma.pages.pmd(page)).or(of(BLOCK_SIZE, self.vma.pages.translate(page)))
    }

    /// Makes durable the metadata of the file, and all earlier stores to the pages that the range
    /// touches (msync with MS_SYNC). For a private mapping or an empty range the call does nothing.
    ///
    /// # Errors
    ///
    /// [`FsError::OutsideMapping`], or [`FsError::Device`] if the device could not make the data
    /// durable.
    pub fn msync(&self, range: Range<u64>) -> Result<(), FsError> {
        let Range { start, end } = range;
        self.check(start, end.saturating_sub(start))?;
        if start >= end || !self.vma.flags.shared {
            return Ok(());
        }
        // Linux releases mmap_lock before it syncs, so it is not taken here.
        ext4_sync_file(self.fs, self.inode, start / BLOCK_SIZE, (end - 1) / BLOCK_SIZE)
    }

    /// Writes back the lines of a range, as a user of MAP_SYNC does after its stores, without a
    /// system call (clwb and sfence). Each page is faulted in as for a store.
    ///
    /// # Errors
    ///
    /// The errors of [`Mapping::store`], and [`FsError::Device`] if the device could not make the
    /// data durable.
    pub(crate) fn persist(&self, range: Range<u64>) -> Result<(), FsError> {
        self.check(range.start, range.end.saturating_sub(range.start))?;
        let mut at = range.start;
        while at < range.end {
            let part = part_of_page(at, (range.end - at) as usize);
            self.access(at, true, Faults::On, |place| {
                if let Place::Device(place) = place {
                    self.fs.flush(place, part as u64);
                }
            })?;
            at += part as u64;
        }
        self.fs.device.fence().map_err(|e| FsError::Device(e.kind()))
    }

    /// Loads bytes of one page.
    pub(super) fn load_part(&self, at: u64, target: &mut [u8], faults: Faults) -> Result<(), FsError> {
        self.access(at, false, faults, |place| match place {
            Place::Device(at) => self.fs.device.read(at, target),
            Place::ZeroPage => target.fill(0),
            Place::Anonymous(page, at) => page.load(at, target),
        })
    }

    /// Stores bytes to one page.
    pub(super) fn store_part(&self, at: u64, source: &[u8], faults: Faults) -> Result<(), FsError> {
        self.access(at, true, faults, |place| match place {
            Place::Device(at) => self.fs.device.write(at, source),
            Place::ZeroPage => unreachable!("the zero page is never writable"),
            Place::Anonymous(page, at) => page.store(at, source),
        })
    }

    /// Makes one access inside one page: passes to `act` where the bytes are.
    #[inline]
    fn access<R>(
        &self,
        offset: u64,
        write: bool,
        faults: Faults,
        act: impl FnOnce(Place<'_>) -> R,
    ) -> Result<R, FsError> {
        let in_page = offset % BLOCK_SIZE;
        self.translate_with(offset, write, faults, |target| match target {
            Target::Block(block) => act(Place::Device(block * BLOCK_SIZE + in_page)),
            Target::ZeroPage => act(Place::ZeroPage),
            Target::Anonymous(frame) => {
                act(Place::Anonymous(&self.vma.anonymous.get(frame), in_page as usize))
            }
        })
    }

    pub(super) fn translate<R>(
        &self,
        offset: u64,
        write: bool,
        act: impl FnOnce(Target) -> R,
    ) -> Result<R, FsError> {
        self.translate_with(offset, write, Faults::On, act)
    }

    /// Translates, and faults until there is a translation that allows the access. With faults off,
    /// an access that would fault is an error.
    #[inline]
    fn translate_with<R>(
        &self,
        offset: u64,
        write: bool,
        faults: Faults,
        act: impl FnOnce(Target) -> R,
    ) -> Result<R, FsError> {
        let page = offset / BLOCK_SIZE;
        loop {
            let access = grace::enter(&self.fs.schedule);
            self.fs.schedule.pass(SchedulePoint::Translate, page);
            let pte = self.vma.pages.translate(page);
            if pte.allows(write) {
                self.fs.schedule.pass(SchedulePoint::Translated, page);
                if let Target::Block(block) = pte.target() {
                    self.fs.about_to_use(block);
                }
                // The translation is used inside the access: what it leads to is not freed before
                // the access ends.
                return Ok(act(pte.target()));
            }
            drop(access);
            if faults == Faults::Off {
                return Err(FsError::BadAddress);
            }
            handle_mm_fault(self.fs, self.inode, &self.vma, page, write)?;
        }
    }

    pub(crate) fn vma(&self) -> &Vma {
        &self.vma
    }

    fn check_word(&self, offset: u64) -> Result<(), FsError> {
        self.check(offset, 8)?;
        if offset.is_multiple_of(8) { Ok(()) } else { Err(FsError::Misaligned { offset }) }
    }

    pub(super) fn check(&self, offset: u64, len: u64) -> Result<(), FsError> {
        let Vma { start, end, .. } = *self.vma;
        if offset >= start && offset <= end && len <= end - offset {
            Ok(())
        } else {
            Err(FsError::OutsideMapping { offset, len, start, end })
        }
    }
}

impl Drop for Mapping<'_> {
    fn drop(&mut self) {
        let mut mmap_lock = self.vma.mm.write(&self.fs.schedule);
        self.inode.i_mmap.remove(&self.vma, &self.fs.schedule);
        mmap_lock.unmap(self.vma.address);
    }
}

/// How many of `len` bytes from `offset` on lie in its page.
pub(super) fn part_of_page(offset: u64, len: usize) -> usize {
    len.min((BLOCK_SIZE - offset % BLOCK_SIZE) as usize)
}
