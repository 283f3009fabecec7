//! write(2), in the body that the variant asks for.

use super::rw::{write_held, write_released, write_without_faults};
use super::rw_given_up::{write_in_transaction, write_invalidated_twice};
use super::{Faults, Kiocb, UserSource};
use crate::error::FsError;
use crate::fs::iomap_end;
use crate::variant::WriteCopy;

/// Writes what is in the source, and returns how many bytes were written (`dax_iomap_rw`). The
/// number is smaller than asked where the device is full or the source gives less. What was
/// allocated for the rest stays.
///
/// The caller holds i_rwsem exclusively over the bytes. New blocks come zeroed. Whatever maps their
/// pages is invalidated *before* the copy. The copy itself runs with only i_rwsem held, because it
/// may have to fault. A shared block first gives way to a copy of its own, in the same way.
///
/// Under option 2 of [Kara's 2017 e-mail] i_mmap_sem is held over {look up, allocate, invalidate}:
/// exclusively where a block is missing, shared where all are there. A written block goes only
/// under i_rwsem, so the answer holds for the copy too. Where [`WriteCopy`] says so, i_mmap_sem is
/// held exclusively over the copy as well.
///
/// # Errors
///
/// [`FsError::NoSpace`] if no byte could be written for want of a block.
///
/// [Kara's 2017 e-mail]: https://lore.kernel.org/r/20170426085235.GA21738@quack2.suse.cz
pub(crate) fn dax_iomap_write<S: UserSource + ?Sized>(iocb: &Kiocb<'_, S>) -> Result<usize, FsError> {
    let done = match iocb.fs.rules.write_copy {
        WriteCopy::Released => write_released(iocb)?,
        WriteCopy::InvalidatedTwice => write_invalidated_twice(iocb)?,
        WriteCopy::InTransaction => write_in_transaction(iocb)?,
        WriteCopy::Held => write_held(iocb, 0..iocb.len(), Faults::On)?.0,
        WriteCopy::HeldWithoutFaults => write_without_faults(iocb)?,
    };
    if done > 0 {
        iomap_end(iocb.fs, iocb.inode, iocb.at(done));
    }
    Ok(done)
}
