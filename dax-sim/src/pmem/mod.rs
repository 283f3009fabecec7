//! The device: a real file, mapped once. It uses no other module.
//!
//! The simulated file systems keep their data in the bytes of this file, on persistent memory, on
//! tmpfs or on any other file system. [`Device::open`] refuses a file that it would harm, or that
//! could not hold the data, before it has changed anything. A file that it creates is removed again
//! when the device is dropped.
//!
//! # Invariants
//!
//! The unsafe code of this module relies on these, and on nothing outside this folder:
//!
//! * **Mapped**: the mapping covers `[0, size)` of the file, readable and writable, from `open`
//!   until the device is dropped. Nothing else in the process holds a reference into it.
//! * **In bounds**: every access has passed `Device::span`, which panics unless it lies in
//!   `[0, size)`.
//! * **One door**: only the routines of `copy` touch the bytes. Several threads may run them over
//!   the same bytes at once. Threads may therefore see a mixture of old and new bytes, as they do
//!   on real memory, but never undefined behaviour.
//! * **Reserved**: every block of `[0, size)` was reserved in the file, so touching it does not end
//!   in SIGBUS. Truncating the file from outside breaks this, as it does for every program that
//!   maps a file. The program `dax-sim` then prints a message and ends (`cli/signal.rs`). The
//!   library installs no handler.

mod backing;
mod copy;
mod error;
mod extents;
mod open;
#[cfg(range_lock_smp)]
mod simulated;
mod small_pages;
mod word;
mod write_back;

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use memmap2::{Advice, MmapRaw};

pub use backing::Backing;
pub(crate) use backing::{dax_attribute, detect, map_sync};
pub use error::DeviceError;
pub(crate) use extents::{Extent, of as extents_of};
pub(crate) use open::{Mapped, Opened, Undo, with_room};
pub use small_pages::SmallPages;
pub use word::word_at;
pub use write_back::WriteBack;

/// The size in bytes of a block of the device, of a small page of a mapping, and of a page of
/// memory.
pub const BLOCK_SIZE: u64 = 4096;

/// The smallest device, in bytes.
pub const MIN_DEVICE_SIZE: u64 = 1 << 20;

/// How to open a device.
#[derive(Clone, Debug)]
pub struct DeviceOptions {
    /// The path of the file. `None` stands for a temporary file on /dev/shm. If /dev/shm cannot
    /// hold this file, the device is a memfd.
    pub path: Option<PathBuf>,
    /// The size in bytes: a multiple of [`BLOCK_SIZE`], at least [`MIN_DEVICE_SIZE`].
    pub size: u64,
    /// Whether the device may use an existing file that is not empty. The device overwrites the
    /// contents of this file.
    pub overwrite: bool,
}

/// A mapped file that serves as the persistent memory.
///
/// Many threads may read and write the device at the same time. Offsets are in bytes from the start
/// of the device. An access outside the device is a bug of the caller, and panics.
#[derive(Debug)]
pub struct Device {
    map: MmapRaw,
    backing: Backing,
    write_back: WriteBack,
    small_pages: Option<SmallPages>,
    // After `map`: fields are dropped in order, and the file may only shrink or go when it is no
    // longer mapped.
    file: open::Opened,
}

impl Device {
    /// Opens or creates the file, checks the file, reserves blocks for the whole device, and maps
    /// the file.
    ///
    /// # Errors
    ///
    /// Each error is one line: see [`DeviceError`]. After an error the call has removed a file that
    /// it created, and an empty file is empty again. A file that the call may overwrite keeps its
    /// bytes. The exception is a file system without fallocate(2): there the call may have written
    /// zeros.
    pub fn open(options: &DeviceOptions) -> Result<Device, DeviceError> {
        let file = open::open(options)?;
        let map = file.map()?;
        let backing = backing::detect(file.file(), file.is_memfd());
        let mut device = Device { map, backing, write_back: WriteBack::detect(), small_pages: None, file };
        let before = minor_faults();
        device.populate()?;
        #[cfg(range_lock_smp)]
        simulated::is_medium(device.addresses().start, device.addresses().len());
        device.small_pages = SmallPages::of(backing, device.size(), minor_faults() - before, || {
            extents::have_a_huge_page(device.file.file(), device.size())
        });
        if backing.is_dax() {
            // Every block has just been stored to. Once the file's metadata are durable they stay
            // durable, so MAP_SYNC, which memmap2 does not offer, would add nothing.
            device.file.sync_metadata()?;
        }
        Ok(device)
    }

    /// Takes the first write fault of every page, so that no run pays for it. MAP_POPULATE would
    /// not: a shared mapping is only read, which leaves reserved blocks unwritten and pages
    /// write-protected.
    fn populate(&self) -> Result<(), DeviceError> {
        loop {
            match self.map.advise(Advice::PopulateWrite) {
                Ok(()) => return Ok(()),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => {
                    let path = || self.path().unwrap_or(Path::new("memfd")).to_path_buf();
                    return match e.raw_os_error() {
                        // Linux has it from 5.14 on.
                        Some(libc::EINVAL) => {
                            self.touch();
                            Ok(())
                        }
                        Some(libc::EFAULT | libc::EHWPOISON) => {
                            Err(DeviceError::BadPage { path: path(), source: e })
                        }
                        _ => Err(DeviceError::Io { action: "map", path: path(), source: e }),
                    };
                }
            }
        }
    }

    /// The same by stores. If a page cannot be stored to, SIGBUS ends the stores.
    fn touch(&self) {
        for offset in (0..self.size()).step_by(BLOCK_SIZE as usize) {
            self.store_u64(offset, self.load_u64(offset));
        }
    }

    /// The size in bytes.
    pub fn size(&self) -> u64 {
        self.map.len() as u64
    }

    /// The size in blocks of [`BLOCK_SIZE`].
    pub fn blocks(&self) -> u64 {
        self.size() / BLOCK_SIZE
    }

    /// What stands behind the device.
    pub fn backing(&self) -> Backing {
        self.backing
    }

    /// Returns the instruction that writes the device's cache lines back to the medium.
    /// [`Device::open`] chose this instruction. Returns `None` if the device is not a DAX file. The
    /// kernel writes a file without DAX back, unless the file is volatile memory.
    pub fn write_back(&self) -> Option<WriteBack> {
        self.backing.is_dax().then_some(self.write_back)
    }

    /// Returns a report if the kernel maps a DAX file by 4 KiB pages, wholly or in part, although
    /// the file is large enough for 2 MiB pages. The sign is that the kernel took more than twice
    /// as many faults as pages of 2 MiB need. In all other cases returns `None`.
    pub fn small_pages(&self) -> Option<SmallPages> {
        self.small_pages
    }

    /// Returns the path of the file, or `None` for a memfd. [`Device::open`] removes the name of a
    /// temporary file as soon as the file is open. So no temporary file remains even if a signal
    /// kills the program.
    pub fn path(&self) -> Option<&Path> {
        self.file.path()
    }

    /// The addresses at which the file is mapped.
    fn addresses(&self) -> std::ops::Range<usize> {
        let start = self.map.as_ptr().addr();
        start..start + self.map.len()
    }

    /// The file, and where it is mapped.
    pub(crate) fn mapped(&self) -> Mapped<'_> {
        self.file.mapped_at(self.addresses())
    }

    /// Checks that the file has the length that it had after [`Device::open`], and has not lost
    /// blocks that the device needs.
    ///
    /// # Errors
    ///
    /// [`DeviceError::Changed`] if another process has made the file shorter or longer, or has
    /// punched so many holes that the file has too few blocks. [`DeviceError::Io`] if the call
    /// could not examine the file.
    pub fn check_unchanged(&self) -> Result<(), DeviceError> {
        self.file.check_unchanged()
    }

    /// Copies bytes out of the device.
    ///
    /// # Panics
    ///
    /// If the bytes do not lie inside the device.
    pub fn read(&self, offset: u64, buffer: &mut [u8]) {
        let source = self.span(offset, buffer.len());
        // SAFETY: *Mapped* and *In bounds* make `source` readable for the length of `buffer`; *One
        // door* for the races.
        unsafe { copy::copy_out(buffer, source) }
    }

    /// Copies bytes into the device.
    ///
    /// # Panics
    ///
    /// If the bytes do not lie inside the device.
    pub fn write(&self, offset: u64, bytes: &[u8]) {
        let target = self.span(offset, bytes.len());
        // SAFETY: *Mapped* and *In bounds* make `target` writable for the length of `bytes`; *One
        // door* for the races.
        unsafe { copy::copy_in(target, bytes) }
    }

    /// Copies bytes into the device so that the bytes need no [`flush`](Self::flush) before a
    /// [`fence`](Self::fence). If the device is a DAX file, the call copies past the caches of the
    /// CPU, or writes the lines of the copy back.
    ///
    /// # Panics
    ///
    /// If the bytes do not lie inside the device.
    pub fn write_through(&self, offset: u64, bytes: &[u8]) {
        match self.write_back() {
            None => self.write(offset, bytes),
            Some(write_back) => {
                let target = self.span(offset, bytes.len());
                // SAFETY: *Mapped* and *In bounds* make `target` writable for the length of
                // `bytes`; *One door* for the races.
                unsafe { copy::copy_in_past_caches(target, bytes, write_back) }
            }
        }
    }

    /// Writes zeros.
    ///
    /// # Panics
    ///
    /// If the bytes do not lie inside the device.
    pub fn zero(&self, offset: u64, len: u64) {
        let len = usize::try_from(len).expect("a length inside a mapping fits usize");
        let target = self.span(offset, len);
        // SAFETY: *Mapped* and *In bounds* make `target` writable for `len` bytes; *One door* for
        // the races.
        unsafe { copy::zero(target, len) }
    }

    /// Loads an aligned word in one piece (acquire).
    ///
    /// # Panics
    ///
    /// If `offset` is not a multiple of 8, or the word lies outside the device.
    pub fn load_u64(&self, offset: u64) -> u64 {
        let word = self.word(offset);
        // SAFETY: *Mapped* and *In bounds*; `word` checked the alignment.
        unsafe { copy::load_u64(word) }
    }

    /// Stores an aligned word in one piece (release).
    ///
    /// # Panics
    ///
    /// If `offset` is not a multiple of 8, or the word lies outside the device.
    pub fn store_u64(&self, offset: u64, value: u64) {
        let word = self.word(offset);
        // SAFETY: *Mapped* and *In bounds*; `word` checked the alignment.
        unsafe { copy::store_u64(word, value) }
    }

    /// Writes the cache lines of the range back to the medium, if the device is a DAX file. For any
    /// other file the call does nothing. [`Device::fence`] waits until the write-back is done.
    ///
    /// # Panics
    ///
    /// If the bytes do not lie inside the device.
    pub fn flush(&self, offset: u64, len: u64) {
        let len = usize::try_from(len).expect("a length inside a mapping fits usize");
        let start = self.span(offset, len);
        // SAFETY: the bytes are of the device.
        #[cfg(range_lock_smp)]
        if unsafe { simulated::write_back(start, len) } {
            return;
        }
        if let Some(write_back) = self.write_back() {
            // SAFETY: *Mapped* and *In bounds*.
            unsafe { write_back.write_back_raw(start, len) }
        }
    }

    /// Waits until flushed bytes are durable, as far as the backing can promise durability:
    ///
    /// * The call always executes a store fence. On a DAX file on which MAP_SYNC works, the store
    ///   fence is enough.
    /// * If the kernel keeps the file in its page cache, or if the file is a DAX file on which
    ///   MAP_SYNC does not work, the call also calls msync for the whole mapping.
    /// * In volatile memory nothing becomes durable.
    ///
    /// # Errors
    ///
    /// The error of msync.
    pub fn fence(&self) -> std::io::Result<()> {
        #[cfg(range_lock_smp)]
        if simulated::store_fence() {
            return Ok(());
        }
        write_back::store_fence();
        if self.backing.needs_msync() { self.map.flush() } else { Ok(()) }
    }

    fn word(&self, offset: u64) -> *mut u64 {
        assert!(offset.is_multiple_of(8), "word at device offset {offset} is not aligned");
        self.span(offset, 8).cast()
    }

    /// The only place that makes an address: *In bounds*.
    fn span(&self, offset: u64, len: usize) -> *mut u8 {
        let size = self.size();
        assert!(
            offset <= size && len as u64 <= size - offset,
            "bytes [{offset}, {offset} + {len}) do not lie inside a device of {size} bytes"
        );
        self.map.as_mut_ptr().wrapping_add(offset as usize)
    }
}

/// How many minor faults this thread has taken so far, including those of MADV_POPULATE_WRITE.
fn minor_faults() -> u64 {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: `usage` has room for the answer, and zeros are one.
    let usage = unsafe {
        libc::getrusage(libc::RUSAGE_THREAD, usage.as_mut_ptr());
        usage.assume_init()
    };
    u64::try_from(usage.ru_minflt).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As if another process had cut the file between two steps of opening it.
    #[test]
    fn a_file_that_became_shorter_while_it_was_opened_is_refused() {
        for folder in ["/dev/shm", "/tmp", "."] {
            let Ok(folder) = tempfile::tempdir_in(folder) else { continue };
            let path = folder.path().join("device");
            let options = DeviceOptions { path: Some(path.clone()), size: 1 << 21, overwrite: false };
            let file = open::open(&options).unwrap();
            file.file().set_len(1 << 20).unwrap();
            let map = file.map().unwrap();
            let device = Device {
                map,
                backing: Backing::PageCache,
                write_back: WriteBack::detect(),
                small_pages: None,
                file,
            };
            let error = device.populate().expect_err("half of it is missing");
            let message = error.to_string();
            assert!(matches!(error, DeviceError::BadPage { .. }), "{message}");
            assert!(message.contains(path.to_str().unwrap()) && !message.contains('\n'), "{message}");
            drop(device);
            assert!(!path.exists());
        }
    }

    /// As an open device takes its faults: one for each page of the page cache, or for more at
    /// once.
    #[test]
    fn faults_of_a_device_are_counted() {
        let options = DeviceOptions { path: None, size: 8 << 20, overwrite: false };
        let file = open::open(&options).unwrap();
        let map = file.map().unwrap();
        let device = Device {
            map,
            backing: Backing::PmemSync,
            write_back: WriteBack::detect(),
            small_pages: None,
            file,
        };
        let before = minor_faults();
        device.populate().unwrap();
        let faults = minor_faults() - before;
        assert!((4..=2 * 2048 + 64).contains(&faults), "{faults}");
        // tmpfs has no extents to report.
        let told = extents::have_a_huge_page(device.file.file(), device.size());
        assert_eq!(told, None);
    }
}
