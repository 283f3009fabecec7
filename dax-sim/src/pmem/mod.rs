//! The device: a real file, mapped once.

use std::path::{Path, PathBuf};

/// What stands behind a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backing {
    PmemSync,
    Dax,
    PageCache,
    Tmpfs,
    Memfd,
}

impl Backing {
    /// The word in tables and JSON.
    pub fn name(self) -> &'static str {
        todo!()
    }
}

#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeviceError {
    #[error("`{path}` is not a regular file; name a file that may be created")]
    NotRegular { path: PathBuf },
    // ... A adds the rest: one line each, naming the value and the remedy
}

/// How to open a device.
#[derive(Clone, Debug)]
pub struct DeviceOptions {
    /// `None`: a temporary file on /dev/shm, else a memfd; removed afterwards.
    pub path: Option<PathBuf>,
    pub size: u64,
    /// Use a user's file although it is not empty.
    pub overwrite: bool,
}

#[derive(Debug)]
pub struct Device;

impl Device {
    /// Opens or creates the file, checks it, reserves its blocks and maps it. Removes what it created when dropped.
    pub fn open(_options: &DeviceOptions) -> Result<Device, DeviceError> {
        todo!()
    }
    pub fn size(&self) -> u64 {
        todo!()
    }
    pub fn backing(&self) -> Backing {
        todo!()
    }
    /// The path of the file; `None` for a memfd.
    pub fn path(&self) -> Option<&Path> {
        todo!()
    }
}
