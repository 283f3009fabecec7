//! User memory that is itself a mapping of a file, as the buffer of a read(2) or write(2).

use std::ops::Range;

use super::mapping::{Mapping, part_of_page};
use crate::dax::{Faults, UserSource, UserTarget};
use crate::error::FsError;
use crate::pmem::BLOCK_SIZE;

/// A part of a mapping that is the buffer of a call. [`Mapping::buffer`] makes the buffer.
/// [`File::read_vectored_at`](super::File::read_vectored_at) copies to the buffer.
/// [`File::write_vectored_at`](super::File::write_vectored_at) copies from the buffer.
#[derive(Clone, Copy, Debug)]
pub struct UserBuffer<'a> {
    mapping: &'a Mapping<'a>,
    /// In bytes from the start of the mapped file.
    offset: u64,
    len: usize,
}

/// A part of a buffer that lies in one page.
struct Piece<'a> {
    mapping: &'a Mapping<'a>,
    offset: u64,
    /// Where the piece lies in the bytes that are copied.
    place: std::ops::Range<usize>,
}

impl Mapping<'_> {
    /// Returns a part of the mapping as a buffer for a read(2) or write(2).
    ///
    /// # Errors
    ///
    /// [`FsError::OutsideMapping`].
    pub fn buffer(&self, range: Range<u64>) -> Result<UserBuffer<'_>, FsError> {
        let len = range.end.saturating_sub(range.start);
        self.check(range.start, len)?;
        Ok(UserBuffer::new(self, range.start, len as usize))
    }
}

impl<'a> UserBuffer<'a> {
    pub(super) fn new(mapping: &'a Mapping<'a>, offset: u64, len: usize) -> Self {
        Self { mapping, offset, len }
    }
}

/// The pieces of `len` bytes from `at` on of all the buffers, one after another.
fn pieces<'a>(buffers: &[UserBuffer<'a>], mut at: usize, len: usize) -> impl Iterator<Item = Piece<'a>> {
    let mut buffers = buffers.iter();
    let mut buffer = buffers.next();
    let mut done = 0;
    std::iter::from_fn(move || {
        let UserBuffer { mapping, offset, len: whole } = *buffer.filter(|_| done < len)?;
        if at >= whole {
            at -= whole;
            buffer = buffers.next();
            return Some(None);
        }
        let offset = offset + at as u64;
        let part = part_of_page(offset, (whole - at).min(len - done));
        let place = done..done + part;
        at += part;
        done += part;
        Some(Some(Piece { mapping, offset, place }))
    })
    .flatten()
}

/// Copies go through a page on the stack, because what they read may be what they write.
impl UserSource for &[UserBuffer<'_>] {
    fn len(&self) -> usize {
        self.iter().map(|buffer| buffer.len).sum()
    }

    fn copy_from(&self, at: usize, len: usize, faults: Faults, mut write: impl FnMut(usize, &[u8])) -> usize {
        let mut page = [0; BLOCK_SIZE as usize];
        for Piece { mapping, offset, place } in pieces(self, at, len) {
            let part = &mut page[..place.len()];
            if mapping.load_part(offset, part, faults).is_err() {
                return place.start;
            }
            write(place.start, part);
        }
        len
    }

    fn fault_in(&self, at: usize, len: usize) -> usize {
        let mut pieces = pieces(self, at, len);
        let failed = pieces.find(|p| p.mapping.load_part(p.offset, &mut [0], Faults::On).is_err());
        failed.map_or(len, |piece| piece.place.start)
    }
}

impl UserTarget for &[UserBuffer<'_>] {
    fn len(&self) -> usize {
        UserSource::len(self)
    }

    fn copy_to(
        &mut self,
        at: usize,
        len: usize,
        mut read: impl FnMut(usize, &mut [u8]) -> Result<(), FsError>,
    ) -> Result<usize, FsError> {
        let mut page = [0; BLOCK_SIZE as usize];
        for Piece { mapping, offset, place } in pieces(self, at, len) {
            let part = &mut page[..place.len()];
            read(place.start, part)?;
            if mapping.store_part(offset, part, Faults::On).is_err() {
                return Ok(place.start);
            }
        }
        Ok(len)
    }
}
