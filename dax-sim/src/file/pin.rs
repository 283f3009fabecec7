//! Pins the pages of mappings, as direct I/O and RDMA do.

use std::ops::Range;
use std::sync::Arc;

use super::mapping::{Mapping, part_of_page};
use crate::error::FsError;
use crate::fs::FileSystem;
use crate::mm::{AnonymousPage, Target};
use crate::pmem::BLOCK_SIZE;

/// A part of a mapping, pinned for a device, like a buffer of direct I/O or RDMA. Until the caller
/// drops the pin, no call frees a pinned block, or moves the block to another page of the file. The
/// device reads and writes the pages of this part without another translation and without faults.
///
/// A call that takes pinned blocks from the file, such as
/// [`File::truncate`](super::File::truncate), waits until no pin of these blocks is left. So a
/// thread that holds the pin must not make this call, because the call would wait for ever. Only a
/// copy-on-write of a shared block does not wait. The page gets another block, and the pin keeps
/// the old block.
///
/// In a shared mapping, bytes that the device writes belong to the file at once. An fsync may clean
/// a page while the page is pinned. Bytes that the device writes to the page after this fsync are
/// not dirty, so a later fsync does not make these bytes durable. Linux behaves in the same way.
#[derive(Debug)]
pub struct Pin<'a> {
    fs: &'a FileSystem<'a>,
    /// In bytes from the start of the file.
    offset: u64,
    len: usize,
    write: bool,
    pages: Vec<Page>,
}

#[derive(Debug)]
enum Page {
    Block(u64),
    Zero,
    Anonymous(Arc<AnonymousPage>),
}

impl Mapping<'_> {
    /// Pins the pages that the range touches (`get_user_pages`). A device may read these pages. If
    /// `write` is true, the device may also write to these pages.
    ///
    /// # Errors
    ///
    /// The errors of [`Mapping::load`], or of [`Mapping::store`] if `write` is true. After an error
    /// this call has pinned no page.
    pub fn pin(&self, range: Range<u64>, write: bool) -> Result<Pin<'_>, FsError> {
        let len = range.end.saturating_sub(range.start);
        self.check(range.start, len)?;
        Pin::new(self, range.start, len as usize, write)
    }
}

impl<'a> Pin<'a> {
    /// Pins page by page, and takes faults where necessary (`get_user_pages`).
    pub(super) fn new(mapping: &Mapping<'a>, offset: u64, len: usize, write: bool) -> Result<Self, FsError> {
        let mut pin = Self { fs: mapping.fs, offset, len, write, pages: Vec::new() };
        let mut done = 0;
        while done < len {
            let at = offset + done as u64;
            pin.pages.push(mapping.translate(at, write, |target| match target {
                Target::Block(block) => {
                    mapping.fs.pins.pin(block);
                    Page::Block(block)
                }
                Target::ZeroPage => Page::Zero,
                Target::Anonymous(frame) => Page::Anonymous(mapping.vma.anonymous.get(frame)),
            })?);
            done += part_of_page(at, len - done);
        }
        Ok(pin)
    }

    /// Fills `bytes` from the pinned part, as a device does. `at` is the offset of the first byte
    /// from the start of the pinned part.
    ///
    /// # Panics
    ///
    /// If the bytes do not lie in the part.
    pub fn read(&self, at: usize, bytes: &mut [u8]) {
        self.each_piece(at, bytes.len(), |page, in_page, place| match page {
            Page::Block(block) => {
                self.fs.about_to_use(*block);
                self.fs.device.read(block * BLOCK_SIZE + in_page, &mut bytes[place]);
            }
            Page::Zero => bytes[place].fill(0),
            Page::Anonymous(page) => page.load(in_page as usize, &mut bytes[place]),
        });
    }

    /// Writes bytes to the pinned part, as a device does. `at` is the offset of the first byte from
    /// the start of the pinned part.
    ///
    /// # Panics
    ///
    /// If some of the bytes lie outside the pinned part, or if `write` was false in the call of
    /// [`Mapping::pin`].
    pub fn write(&self, at: usize, bytes: &[u8]) {
        assert!(self.write, "what was pinned for reading is not to be written");
        self.each_piece(at, bytes.len(), |page, in_page, place| match page {
            Page::Block(block) => {
                self.fs.about_to_use(*block);
                self.fs.device.write(block * BLOCK_SIZE + in_page, &bytes[place]);
            }
            Page::Zero => unreachable!("the zero page is never writable"),
            Page::Anonymous(page) => page.store(in_page as usize, &bytes[place]),
        });
    }

    fn each_piece(&self, at: usize, len: usize, mut act: impl FnMut(&Page, u64, std::ops::Range<usize>)) {
        assert!(
            at <= self.len && len <= self.len - at,
            "[{at}, {at} + {len}) does not lie in the {} pinned bytes",
            self.len
        );
        let first = self.offset / BLOCK_SIZE;
        let mut done = 0;
        while done < len {
            let offset = self.offset + (at + done) as u64;
            let part = part_of_page(offset, len - done);
            let page = &self.pages[(offset / BLOCK_SIZE - first) as usize];
            act(page, offset % BLOCK_SIZE, done..done + part);
            done += part;
        }
    }
}

impl Drop for Pin<'_> {
    fn drop(&mut self) {
        for page in &self.pages {
            if let Page::Block(block) = *page
                && self.fs.pins.unpin(block)
            {
                self.fs.free_blocks_of_files(vec![block]);
            }
        }
    }
}
