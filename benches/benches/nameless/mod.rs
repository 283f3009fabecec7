//! A file in memory without a name: a run that is killed leaves nothing behind.

use std::env;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

/// /dev/shm, or the folder of temporary files where there is no /dev/shm.
pub(crate) fn folder() -> PathBuf {
    let shm = Path::new("/dev/shm");
    if shm.is_dir() { shm.to_owned() } else { env::temp_dir() }
}

/// A new file in [`folder`], and a path that leads to it as long as it is open.
pub(crate) fn file() -> io::Result<(File, PathBuf)> {
    let file = tempfile::tempfile_in(folder())?;
    let path = format!("/proc/self/fd/{}", file.as_raw_fd()).into();
    Ok((file, path))
}
