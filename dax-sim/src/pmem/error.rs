//! Why a device cannot be opened: one line each, with the value, its bound and the remedy.

use std::io;
use std::path::PathBuf;

use super::{BLOCK_SIZE, MIN_DEVICE_SIZE};

/// The reason why the program cannot open a device, or can no longer use the device. Each message
/// is one line. The message names the value or the file. The message also names the bound and the
/// remedy, if they exist.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeviceError {
    /// The path leads to a directory, a device file or another file that is not a regular file.
    #[error("`{path}` is {kind}, not a regular file; {remedy}")]
    NotRegular {
        /// The path as given.
        path: PathBuf,
        /// The kind of file with its article, such as "a directory".
        kind: &'static str,
        /// What to name in its place.
        remedy: &'static str,
    },
    /// A store to a page of the mapped file fails (EFAULT, EHWPOISON).
    #[error(
        "`{path}` has a page that cannot be stored to ({source}): it has a bad block, or became shorter while it \
         was mapped; write to the whole file, which clears bad blocks, or name another file"
    )]
    BadPage {
        /// The path of the file, or `memfd` or `memory` if the device is a memfd.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The parent of the path does not exist or is not a folder, or the path names no file.
    #[error("`{path}` cannot be created: there is no folder `{folder}`; create it, or name another file")]
    NoFolder {
        /// The path as given.
        path: PathBuf,
        /// The folder that is missing.
        folder: PathBuf,
    },
    /// The requested size is not a multiple of [`BLOCK_SIZE`], or is below [`MIN_DEVICE_SIZE`].
    #[error(
        "a device of {size} bytes is not possible: the size must be a multiple of {BLOCK_SIZE} and at least \
         {MIN_DEVICE_SIZE}; try {suggestion}"
    )]
    BadSize {
        /// The requested size in bytes.
        size: u64,
        /// The nearest larger size that is possible.
        suggestion: u64,
    },
    /// The file holds something.
    #[error(
        "`{path}` is not empty ({len} bytes); name another file, or pass --overwrite to lose what it holds"
    )]
    NotEmpty {
        /// The path as given.
        path: PathBuf,
        /// The file's length in bytes.
        len: u64,
    },
    /// The device may overwrite the file, but the file is shorter than the requested size.
    #[error(
        "`{path}` holds {len} bytes, fewer than the {size} asked for; ask for a smaller size, or name another file"
    )]
    TooSmall {
        /// The path as given.
        path: PathBuf,
        /// The file's length in bytes.
        len: u64,
        /// The requested size in bytes.
        size: u64,
    },
    /// The file system, or the memory, cannot hold the requested size.
    #[error(
        "{size} bytes do not fit on `{place}`, which has {free} free; ask for a smaller size, or name another file"
    )]
    NoSpace {
        /// The folder, or "memory".
        place: PathBuf,
        /// The requested size in bytes.
        size: u64,
        /// How many bytes are free.
        free: u64,
    },
    /// A file may not have the requested size (EFBIG): the process has a limit, or the file system.
    #[error(
        "`{path}` may not have {size} bytes, which is more than the limit on the size of a file; ask for a smaller \
         size, or raise the limit (`ulimit -f`)"
    )]
    TooLarge {
        /// The path of the file, or `memfd` if the device is a memfd.
        path: PathBuf,
        /// The requested size in bytes.
        size: u64,
    },
    /// The user may not open this file for writing, the file system is read-only, or a process
    /// executes the file.
    #[error("`{path}` cannot be opened for writing ({source}); change its permissions, or name another file")]
    Denied {
        /// The path as given.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// Another process uses the file as its device.
    #[error("`{path}` is in use by another process; wait until that has ended, or name another file")]
    InUse {
        /// The path as given.
        path: PathBuf,
    },
    /// Another process made the file shorter or longer, or punched holes into the file, while the
    /// file was a device.
    #[error("`{path}` was changed by another process: it had {then} {unit}, and has {now}; figures are void")]
    Changed {
        /// The path of the file, or `memfd` or `memory` if the device is a memfd.
        path: PathBuf,
        /// What has changed: "bytes", or "bytes in blocks".
        unit: &'static str,
        /// How many there were when the file was opened.
        then: u64,
        /// How many there are now.
        now: u64,
    },
    /// The file differs from a new file in its folder, so rates on the two cannot be compared.
    #[error("`{path}` and a new file in its folder differ in their {what}; name a new file")]
    Unlike {
        /// The path as given.
        path: PathBuf,
        /// In what they differ.
        what: String,
    },
    /// Another action on the file failed.
    #[error("cannot {action} `{path}`: {source}; name another file")]
    Io {
        /// The action that failed, as a verb.
        action: &'static str,
        /// The path of the file, or `memfd` or `memory` if the device is a memfd.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
}
