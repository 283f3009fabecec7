//! What an operation on a file can fail with. It uses no other module.

/// The reason why an operation on a file failed. A failure is a valid result, not a bug. A failed
/// operation, except [`Mapping::store`](crate::file::Mapping::store), has changed neither the size
/// nor the bytes of a file. A failed operation may have given a page another block with the same
/// bytes. Two operations may fail after they have changed some pages:
///
/// * [`Mapping::store`](crate::file::Mapping::store) has stored the bytes before the page at which
///   it failed.
/// * [`File::unshare_range`](crate::file::File::unshare_range) has unshared the pages before the
///   page at which it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FsError {
    /// ENOSPC.
    #[error("no free block is left on the device")]
    NoSpace,
    /// SIGBUS: an access through a mapping touched a page that lies wholly past the end of the
    /// file.
    #[error("access at offset {offset} past the end of a file of {size} bytes (SIGBUS)")]
    BusError {
        /// In bytes from the start of the file.
        offset: u64,
        /// The file's size when the fault looked.
        size: u64,
    },
    /// SIGSEGV: an access outside the mapping.
    #[error("access of {len} bytes at offset {offset} outside a mapping of [{start}, {end}) (SIGSEGV)")]
    OutsideMapping {
        /// In bytes from the start of the file.
        offset: u64,
        /// How many bytes were asked for.
        len: u64,
        /// Where the mapping starts in the file.
        start: u64,
        /// Where the mapping ends in the file.
        end: u64,
    },
    /// SIGSEGV: a store through a mapping that is for loads only.
    #[error("store at offset {offset} through a read-only mapping (SIGSEGV)")]
    ReadOnlyMapping {
        /// In bytes from the start of the file.
        offset: u64,
    },
    /// EFAULT: the call could not access even the first byte of the user's buffer.
    #[error("the buffer of the call cannot be accessed (EFAULT)")]
    BadAddress,
    /// A word access that is not aligned to its size.
    #[error("word access at offset {offset}, which is not a multiple of 8")]
    Misaligned {
        /// In bytes from the start of the file.
        offset: u64,
    },
    /// EFBIG.
    #[error("offset {end} exceeds the largest file, {max} bytes")]
    TooBig {
        /// One past the last byte asked for; `u64::MAX` if that overflows.
        end: u64,
        /// The largest size of a file.
        max: u64,
    },
    /// EINVAL: the arguments are not valid. The call would also fail on a device with more free
    /// space.
    #[error("{0} (EINVAL)")]
    Invalid(&'static str),
    /// EXDEV: the two files are of different file systems.
    #[error("the files are not of one file system (EXDEV)")]
    CrossDevice,
    /// The device did not take the data.
    #[error("the device could not make data durable: {0}")]
    Device(std::io::ErrorKind),
}
