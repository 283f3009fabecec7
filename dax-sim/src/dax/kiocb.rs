//! One call of write(2): which bytes of which file it writes, and from where.

use crate::dax::UserSource;
use crate::fs::{FileSystem, Inode};

/// What every step of a write(2) is given (Linux: `struct kiocb`, and the `iov_iter` beside it).
/// The caller of the first step holds i_rwsem exclusively over the bytes.
#[derive(Debug)]
pub(crate) struct Kiocb<'a, S: ?Sized> {
    pub(crate) fs: &'a FileSystem<'a>,
    pub(crate) inode: &'a Inode,
    /// The byte of the file, counted from its start, that the first byte of `source` goes to.
    pub(crate) position: u64,
    /// What is written: `source.len()` bytes, at least one, unless the source gives less.
    pub(crate) source: &'a S,
}

impl<S: UserSource + ?Sized> Kiocb<'_, S> {
    /// How many bytes are to be written.
    pub(crate) fn len(&self) -> usize {
        self.source.len()
    }

    /// Where in the file byte `done` of the source goes.
    pub(crate) fn at(&self, done: usize) -> u64 {
        self.position + done as u64
    }

    /// One past the last byte of the file that is to be written.
    pub(crate) fn end(&self) -> u64 {
        self.at(self.len())
    }
}
