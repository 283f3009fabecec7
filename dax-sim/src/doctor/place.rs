//! Opens what a path leads to, and a file there for the questions to the kernel.

use std::fs::{File, FileType, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, Mode, OFlags};
use rustix::io::Errno;

use super::{HUGE, Row, Value};

/// The size of the device of `compare`: the place that a file system gives a file depends on its
/// size.
const AS_COMPARE: u64 = 64 << 20;

/// Why a path is not examined. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    #[error("`{path}` does not exist; name a folder, or a file that exists")]
    Missing { path: PathBuf },
    #[error("`{path}` is {kind}, neither a folder nor a regular file; {remedy}")]
    Kind { path: PathBuf, kind: &'static str, remedy: &'static str },
    #[error("cannot {action} `{path}`: {source}; name another file or folder")]
    Io { action: &'static str, path: PathBuf, source: io::Error },
}

/// A folder or a regular file.
#[derive(Debug)]
pub(super) struct Place {
    path: PathBuf,
    handle: File,
    is_folder: bool,
    /// Whether `handle` may also be stored to.
    writable: bool,
    len: u64,
}

impl Place {
    pub(super) fn find(path: &Path) -> Result<Place, Refused> {
        let refused = |action, source: io::Error| match source.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
                Refused::Missing { path: path.to_path_buf() }
            }
            _ => Refused::Io { action, path: path.to_path_buf(), source },
        };
        let found = std::fs::metadata(path).map_err(|e| refused("examine", e))?;
        check_kind(path, found.file_type())?;
        let (handle, writable) = open(path, &found).map_err(|e| refused("open", e))?;
        Ok(Place { path: path.to_path_buf(), handle, is_folder: found.is_dir(), writable, len: found.len() })
    }

    pub(super) fn handle(&self) -> &File {
        &self.handle
    }

    pub(super) fn is_folder(&self) -> bool {
        self.is_folder
    }

    /// The file itself, or in a folder a temporary one without a name. The error says why there is
    /// none.
    pub(super) fn probe(&self) -> Result<File, String> {
        if !self.is_folder {
            return self.handle.try_clone().map_err(|error| format!("not asked: {error}"));
        }
        let file = temporary(&self.path).map_err(|e| format!("no temporary file can be made here: {e}"))?;
        reserve(&file, AS_COMPARE)
            .or_else(|_| file.set_len(0).and_then(|()| reserve(&file, 2 * HUGE)))
            .map_err(|e| format!("no temporary file of 4 MiB fits here: {e}"))?;
        Ok(file)
    }

    pub(super) fn row(&self) -> Row {
        let path = Value::Text(self.path.display().to_string());
        let advice = if self.is_folder {
            "a folder; files that are made in it are like the temporary one that was asked about"
        } else if self.writable {
            "a file; its bytes were left alone, and its time of change moves where faults are measured"
        } else {
            "a file that may only be read: its faults are not measured"
        };
        let advice =
            if self.is_folder { advice.to_owned() } else { format!("{advice} ({} bytes)", self.len) };
        Row::new("path", path, "stat(2)", &advice)
    }
}

fn check_kind(path: &Path, found: FileType) -> Result<(), Refused> {
    const ANOTHER: &str = "name one of these";
    let (kind, remedy) = match found {
        _ if found.is_file() || found.is_dir() => return Ok(()),
        _ if found.is_char_device() => (
            "a character device",
            "device-dax (/dev/dax) has no file system: name a folder on one that /dev/pmem holds",
        ),
        _ if found.is_block_device() => ("a block device", "name the folder at which it is mounted"),
        _ if found.is_fifo() => ("a named pipe", ANOTHER),
        _ if found.is_socket() => ("a socket", ANOTHER),
        _ => ("something else", ANOTHER),
    };
    Err(Refused::Kind { path: path.to_path_buf(), kind, remedy })
}

/// A file for reading and writing if that is allowed.
fn open(path: &Path, found: &Metadata) -> io::Result<(File, bool)> {
    let open = |write| {
        let mut options = OpenOptions::new();
        options.read(true).write(write).custom_flags(OFlags::NONBLOCK.bits() as i32).open(path)
    };
    if found.is_dir() {
        return Ok((open(false)?, false));
    }
    match open(true) {
        Ok(file) => Ok((file, true)),
        Err(_) => Ok((open(false)?, false)),
    }
}

fn temporary(folder: &Path) -> io::Result<File> {
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    match rustix::fs::open(folder, flags, Mode::RUSR | Mode::WUSR) {
        Ok(file) => Ok(File::from(file)),
        Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL) => {
            let name = format!(".dax-sim-doctor-{}-{:08x}", std::process::id(), fastrand::u32(..));
            let path = folder.join(name);
            let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
            std::fs::remove_file(&path)?;
            Ok(file)
        }
        Err(error) => Err(error.into()),
    }
}

fn reserve(file: &File, size: u64) -> io::Result<()> {
    match rustix::fs::fallocate(file, FallocateFlags::empty(), 0, size) {
        Err(Errno::OPNOTSUPP) => file.write_all_at(&vec![0; size as usize], 0),
        result => Ok(result?),
    }
}
