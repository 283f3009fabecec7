//! Opens the file behind a device: all checks come first, then the changes. Each change is undone
//! if a later one fails.

use std::ffi::OsStr;
use std::fs::{File, FileType, OpenOptions};
use std::io::{self, ErrorKind};
use std::ops::Range;
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use memmap2::{MmapOptions, MmapRaw};
use rustix::fs::{FallocateFlags, FlockOperation, MemfdFlags, OFlags};
use rustix::io::Errno;

use super::{BLOCK_SIZE, Backing, DeviceError, DeviceOptions, MIN_DEVICE_SIZE, backing, extents};

/// The remedy for a kind of file that can never serve.
const ANOTHER: &str = "name a file that may be created";

/// A file that is checked, locked and reserved. Dropping it undoes what opening it did.
#[derive(Debug)]
pub(crate) struct Opened {
    file: File,
    path: Option<PathBuf>,
    size: u64,
    undo: Undo,
    /// The file's length and the bytes in its blocks, recorded once it is reserved.
    extent: (u64, u64),
}

/// A mapped file, as a report of a failed access needs it.
#[derive(Clone, Debug)]
pub(crate) struct Mapped<'a> {
    pub(crate) file: &'a File,
    /// What the end of the run does to the file.
    pub(crate) undo: Undo,
    pub(crate) path: Option<&'a Path>,
    /// Where the file is mapped, from its first byte on.
    pub(crate) addresses: Range<usize>,
}

/// What is undone when the device goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Undo {
    /// The file held something before, or has no name.
    Nothing,
    /// The user's file was empty: make it empty again.
    Empty,
    /// The file did not exist: remove it.
    Remove,
}

/// Opens the file that the options ask for.
pub(super) fn open(options: &DeviceOptions) -> Result<Opened, DeviceError> {
    check_size(options.size)?;
    let mut opened = match &options.path {
        Some(path) => named(path, options)?,
        None => temporary(options.size)?,
    };
    opened.reserve()?;
    opened.extent = opened.extent_now()?;
    Ok(opened)
}

/// Opens a regular file of the user's, or makes it. It and files beside it have room for `room`
/// bytes, none of which are reserved.
pub(crate) fn with_room(path: &Path, room: u64, overwrite: bool) -> Result<Opened, DeviceError> {
    let opened = named(path, &DeviceOptions { path: None, size: 0, overwrite })?;
    check_space(path, &opened.file, room)?;
    Ok(opened)
}

impl Opened {
    /// Makes the file empty. What it held is lost, and the file is left empty in the end.
    pub(crate) fn empty(&mut self) -> Result<(), DeviceError> {
        self.file.set_len(0).map_err(|e| self.io("empty", e))?;
        if self.undo == Undo::Nothing {
            self.undo = Undo::Empty;
        }
        Ok(())
    }

    /// Makes another file in the same folder, which is removed in the end. If the path is a
    /// symbolic link, the folder is that of the file to which it leads.
    pub(crate) fn beside(&self) -> Result<Opened, DeviceError> {
        let path = self.path().unwrap_or(Path::new("memfd"));
        let folder = folder_of(&std::fs::canonicalize(path).map_err(|e| self.io("find", e))?);
        let name = format!(".dax-sim-{}-{:08x}", std::process::id(), fastrand::u32(..));
        named(&folder.join(name), &DeviceOptions { path: None, size: 0, overwrite: false })
    }

    /// Checks that the other file, which was made beside this one, is on the same file system and
    /// has the same backing.
    pub(crate) fn is_like(&self, other: &Opened, backing: Backing) -> Result<(), DeviceError> {
        let unlike = |what| {
            let path = self.path().unwrap_or(Path::new("memfd")).to_path_buf();
            Err(DeviceError::Unlike { path, what })
        };
        let [a, b] = [self, other].map(|opened| opened.file.metadata().map_err(|e| self.io("examine", e)));
        if a?.dev() != b?.dev() {
            // The path is the mount point of a single file.
            return unlike("file system".to_owned());
        }
        match backing::detect(&other.file, false) {
            // With `-o dax=inode` each file has an attribute of its own.
            found if found != backing => unlike(format!("backing ({backing}, {found})")),
            _ => Ok(()),
        }
    }

    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    pub(crate) fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    pub(super) fn is_memfd(&self) -> bool {
        self.path.is_none()
    }

    /// The file, which is mapped at `addresses`.
    pub(crate) fn mapped_at(&self, addresses: Range<usize>) -> Mapped<'_> {
        Mapped { file: &self.file, undo: self.undo, path: self.path(), addresses }
    }

    /// See [`Device::check_unchanged`](super::Device::check_unchanged).
    pub(super) fn check_unchanged(&self) -> Result<(), DeviceError> {
        let (then, now) = (self.extent, self.extent_now()?);
        let changed = |unit, then, now| {
            let path = self.path().unwrap_or(Path::new("memfd")).to_path_buf();
            Err(DeviceError::Changed { path, unit, then, now })
        };
        if now.0 != then.0 {
            return changed("bytes", then.0, now.0);
        }
        // A file system may free what lies behind the end, and what it keeps its extents in. So
        // fewer blocks are a sign of a hole only if they are no longer enough for the file.
        // (Compressed files never had enough.)
        let needed = if then.1 >= then.0 { then.0 } else { self.size };
        if then.1 >= needed && now.1 < needed {
            return changed("bytes in blocks", then.1, now.1);
        }
        Ok(())
    }

    /// The file's length, and the bytes in its blocks.
    fn extent_now(&self) -> Result<(u64, u64), DeviceError> {
        let found = self.file.metadata().map_err(|e| self.io("examine", e))?;
        Ok((found.len(), found.blocks() * 512))
    }

    /// Maps the whole device.
    pub(super) fn map(&self) -> Result<MmapRaw, DeviceError> {
        let len = usize::try_from(self.size).map_err(|_| self.io("map", ErrorKind::OutOfMemory.into()))?;
        MmapOptions::new().len(len).map_raw(&self.file).map_err(|e| self.io("map", e))
    }

    pub(super) fn sync_metadata(&self) -> Result<(), DeviceError> {
        self.file.sync_all().map_err(|e| self.io("sync", e))
    }

    /// Reserves every block, so that a full file system is an error here and not a SIGBUS later.
    ///
    /// A file that has all its blocks is left alone. XFS reserves the whole range anew before it
    /// looks at what is there, and so refuses a request that needs no space when the file system is
    /// full.
    fn reserve(&self) -> Result<(), DeviceError> {
        let found = self.file.metadata().map_err(|e| self.io("examine", e))?;
        if found.blocks() * 512 >= self.size && extents::are_its_own(&self.file, self.size) {
            return Ok(());
        }
        loop {
            match rustix::fs::fallocate(&self.file, FallocateFlags::empty(), 0, self.size) {
                Ok(()) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(Errno::OPNOTSUPP) => return self.fill(),
                Err(Errno::NOSPC | Errno::DQUOT) => {
                    return Err(self.no_space(free_space(&self.file).unwrap_or(0)));
                }
                Err(Errno::FBIG) => return Err(self.too_large()),
                Err(e) => return Err(self.io("reserve the blocks of", e.into())),
            }
        }
    }

    /// Reserves by writing, where the file system has no other way.
    fn fill(&self) -> Result<(), DeviceError> {
        let zeros = vec![0; 1 << 20];
        let mut done = 0;
        while done < self.size {
            let part = &zeros[..zeros.len().min((self.size - done) as usize)];
            match self.file.write_all_at(part, done) {
                Ok(()) => done += part.len() as u64,
                Err(e) if e.kind() == ErrorKind::StorageFull => {
                    return Err(self.no_space(free_space(&self.file).unwrap_or(0)));
                }
                Err(e) if e.kind() == ErrorKind::FileTooLarge => return Err(self.too_large()),
                Err(e) => return Err(self.io("reserve the blocks of", e)),
            }
        }
        Ok(())
    }

    fn too_large(&self) -> DeviceError {
        let path = self.path().unwrap_or(Path::new("memfd")).to_path_buf();
        DeviceError::TooLarge { path, size: self.size }
    }

    fn no_space(&self, free: u64) -> DeviceError {
        let place = self.path().map_or_else(|| PathBuf::from("memory"), folder_of);
        DeviceError::NoSpace { place, size: self.size, free }
    }

    fn io(&self, action: &'static str, source: io::Error) -> DeviceError {
        io_error(action, self.path().unwrap_or(Path::new("memfd")), source)
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        // No caller is left to report to. What cannot be undone stays, and the user sees it.
        match (self.undo, &self.path) {
            (Undo::Empty, _) => drop(self.file.set_len(0)),
            (Undo::Remove, Some(path)) if same_file(path, &self.file) => drop(std::fs::remove_file(path)),
            _ => {}
        }
    }
}

fn check_size(size: u64) -> Result<(), DeviceError> {
    if size >= MIN_DEVICE_SIZE && size.is_multiple_of(BLOCK_SIZE) {
        return Ok(());
    }
    let suggestion = size.max(MIN_DEVICE_SIZE).checked_next_multiple_of(BLOCK_SIZE).unwrap_or(1 << 30);
    Err(DeviceError::BadSize { size, suggestion })
}

/// Opens the user's file, or makes one of that name.
fn named(path: &Path, options: &DeviceOptions) -> Result<Opened, DeviceError> {
    let size = options.size;
    match std::fs::metadata(path) {
        Ok(found) => {
            check_regular(path, found.file_type())?;
            check_contents(path, found.len(), options)?;
            // O_NONBLOCK, in case a FIFO has taken the file's place meanwhile.
            let file = open_flags(false).open(path).map_err(|e| open_error(path, e))?;
            let found = file.metadata().map_err(|e| io_error("examine", path, e))?;
            check_regular(path, found.file_type())?;
            lock(path, &file)?;
            // Once more under the lock, because another run may have filled it.
            let found = file.metadata().unwrap_or(found);
            check_contents(path, found.len(), options)?;
            check_space(path, &file, size.saturating_sub(found.blocks() * 512))?;
            let undo = if found.len() == 0 { Undo::Empty } else { Undo::Nothing };
            Ok(Opened { file, path: Some(path.to_path_buf()), size, undo, extent: (0, 0) })
        }
        Err(e) if e.kind() == ErrorKind::NotFound && path.is_symlink() => {
            let kind = "a symbolic link that leads nowhere";
            Err(DeviceError::NotRegular { path: path.to_path_buf(), kind, remedy: ANOTHER })
        }
        Err(e) if e.kind() == ErrorKind::NotFound => {
            let folder = folder_of(path);
            if path.file_name().is_none_or(OsStr::is_empty) || !folder.is_dir() {
                return Err(DeviceError::NoFolder { path: path.to_path_buf(), folder });
            }
            let place = File::open(&folder).map_err(|e| open_error(path, e))?;
            check_space(path, &place, size)?;
            let file = open_flags(true).open(path).map_err(|e| open_error(path, e))?;
            let opened =
                Opened { file, path: Some(path.to_path_buf()), size, undo: Undo::Remove, extent: (0, 0) };
            lock(path, &opened.file)?;
            Ok(opened)
        }
        // A file's name with a slash behind it has a folder, so the fault is in the name.
        Err(e) if e.kind() == ErrorKind::NotADirectory && !folder_of(path).is_dir() => {
            Err(DeviceError::NoFolder { path: path.to_path_buf(), folder: folder_of(path) })
        }
        Err(e) => Err(open_error(path, e)),
    }
}

/// A file that loses its name at once. It is a memfd if there is no /dev/shm, or too small a one (a
/// container's has 64 MiB by default).
fn temporary(size: u64) -> Result<Opened, DeviceError> {
    let folder = Path::new("/dev/shm");
    for _ in 0..8 {
        let path = folder.join(format!("dax-sim-{}-{:08x}", std::process::id(), fastrand::u32(..)));
        match open_flags(true).open(&path) {
            Ok(file) => {
                std::fs::remove_file(&path).map_err(|e| io_error("unlink", &path, e))?;
                if free_space(&file).is_some_and(|free| size > free) {
                    break;
                }
                return Ok(Opened { file, path: Some(path), size, undo: Undo::Nothing, extent: (0, 0) });
            }
            Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
            Err(_) => break,
        }
    }
    let memory = Path::new("memory");
    let free = available_memory().unwrap_or(u64::MAX);
    if size > free {
        return Err(DeviceError::NoSpace { place: memory.to_path_buf(), size, free });
    }
    let fd = rustix::fs::memfd_create("dax-sim", MemfdFlags::CLOEXEC)
        .map_err(|e| io_error("create a memfd in", memory, e.into()))?;
    Ok(Opened { file: File::from(fd), path: None, size, undo: Undo::Nothing, extent: (0, 0) })
}

fn open_flags(create: bool) -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(create).mode(0o600);
    options.custom_flags(OFlags::NONBLOCK.bits() as i32);
    options
}

fn check_regular(path: &Path, found: FileType) -> Result<(), DeviceError> {
    let (kind, remedy) = match found {
        _ if found.is_file() => return Ok(()),
        _ if found.is_dir() => ("a directory", ANOTHER),
        _ if found.is_char_device() => (
            "a character device",
            "device-dax (/dev/dax) is not supported; name a file on a file system that /dev/pmem holds, mounted with `-o dax`",
        ),
        _ if found.is_block_device() => (
            "a block device",
            "name a file on the file system that it holds, mounted with `-o dax` if it is persistent memory",
        ),
        _ if found.is_fifo() => ("a named pipe", ANOTHER),
        _ if found.is_socket() => ("a socket", ANOTHER),
        _ => ("something else", ANOTHER),
    };
    Err(DeviceError::NotRegular { path: path.to_path_buf(), kind, remedy })
}

fn check_contents(path: &Path, len: u64, options: &DeviceOptions) -> Result<(), DeviceError> {
    if len == 0 {
        Ok(())
    } else if !options.overwrite {
        Err(DeviceError::NotEmpty { path: path.to_path_buf(), len })
    } else if len < options.size {
        Err(DeviceError::TooSmall { path: path.to_path_buf(), len, size: options.size })
    } else {
        Ok(())
    }
}

/// Checks the space before anything is changed. Space that is free now may be gone in a moment, so
/// the reservation has the last word.
fn check_space(path: &Path, on: &File, size: u64) -> Result<(), DeviceError> {
    match free_space(on) {
        Some(free) if size > free => Err(DeviceError::NoSpace { place: folder_of(path), size, free }),
        _ => Ok(()),
    }
}

/// Bytes free for an ordinary user; `None` where the file system does not say (a tmpfs without a
/// limit says 0 of 0).
fn free_space(on: &File) -> Option<u64> {
    let fs = rustix::fs::fstatvfs(on).ok()?;
    (fs.f_blocks > 0).then(|| fs.f_bavail.saturating_mul(fs.f_frsize))
}

fn available_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
}

/// The lock is advisory and lasts as long as the file is open. A file system without locks is used
/// without one.
fn lock(path: &Path, file: &File) -> Result<(), DeviceError> {
    match rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive) {
        Err(Errno::WOULDBLOCK) => Err(DeviceError::InUse { path: path.to_path_buf() }),
        _ => Ok(()),
    }
}

fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_path_buf(),
        _ => PathBuf::from("."),
    }
}

/// Whether the path still leads to this very file.
fn same_file(path: &Path, file: &File) -> bool {
    match (std::fs::symlink_metadata(path), file.metadata()) {
        (Ok(a), Ok(b)) => (a.dev(), a.ino()) == (b.dev(), b.ino()),
        _ => false,
    }
}

fn open_error(path: &Path, source: io::Error) -> DeviceError {
    match source.kind() {
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem | ErrorKind::ExecutableFileBusy => {
            DeviceError::Denied { path: path.to_path_buf(), source }
        }
        _ => io_error("open", path, source),
    }
}

fn io_error(action: &'static str, path: &Path, source: io::Error) -> DeviceError {
    DeviceError::Io { action, path: path.to_path_buf(), source }
}
