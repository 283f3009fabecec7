//! Finds the size of the pages that write faults map: measured, and predicted from the file's
//! extents.
//!
//! # Invariants
//!
//! The unsafe code of this module relies on these:
//!
//! * **Reserved**: a `Reserved` has its addresses for itself, from when it is made until it is
//!   dropped: 4 MiB that no access may touch, of which 2 MiB become a mapping of the file. No
//!   reference into them is ever made.
//! * **Untouched**: nothing here loads or stores there. The kernel takes the faults on request
//!   (`MADV_POPULATE_WRITE`), so a page that fails is an error and not SIGBUS, and no byte changes.
//! * **Filled**: `getrusage` fills the structure that it is given when it succeeds.

use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::ptr;

use rustix::fs::SeekFrom;
use rustix::io::Errno;
use rustix::mm::{Advice, MapFlags, ProtFlags};

use super::{HUGE, Row, Value};
use crate::pmem::{BLOCK_SIZE, Extent, extents_of};

/// How many places of a file are examined at most.
const MOST_WINDOWS: u64 = 4096;

/// Aligned 2 MiB of a file that have blocks everywhere.
#[derive(Debug)]
pub(super) struct Window {
    offset: Option<u64>,
    /// `None` where the file system does not report extents.
    extents: Option<Vec<Extent>>,
    /// The byte of the disk at which the device of the file system begins.
    start: u64,
}

/// The result of the measurement.
#[derive(Debug, PartialEq)]
pub(super) enum Fault {
    /// How many faults mapped the 2 MiB.
    Count(u64),
    Unknown(String),
}

/// The expectation from the extents.
#[derive(Debug, PartialEq)]
pub(super) enum Reason {
    Aligned,
    /// The byte of the disk at which the extent has the first of the 2 MiB.
    Unaligned(u64),
    /// The 2 MiB lie in this many extents.
    Fragmented(usize),
    Unknown(String),
}

impl Window {
    /// Chooses the best window: one that can be mapped at once, if there is one. In a file of the
    /// user's only blocks count that are written, and shared with no other file.
    pub(super) fn choose(file: &File, is_users: bool, start: u64) -> Window {
        let size = file.metadata().map_or(0, |found| found.len()).min(MOST_WINDOWS * HUGE);
        let mut window = Window { offset: None, extents: extents_of(file, size), start };
        let places = (0..size / HUGE).map(|n| n * HUGE);
        let usable: Vec<u64> = places.filter(|&at| !is_users || window.is_settled(file, at)).collect();
        window.offset = usable
            .iter()
            .find(|&&at| window.reason_at(at) == Some(Reason::Aligned))
            .or(usable.first())
            .copied();
        window
    }

    /// Whether a store to the 2 MiB needs no new block.
    fn is_settled(&self, file: &File, at: u64) -> bool {
        let Some(extents) = &self.extents else {
            // tmpfs has no FIEMAP. Whether blocks are shared or only reserved is then unknown.
            return rustix::fs::seek(file, SeekFrom::Hole(at)).is_ok_and(|hole| hole >= at + HUGE);
        };
        let mut covered = at;
        for extent in from(extents, at) {
            if covered >= at + HUGE || extent.logical > covered || !extent.is_settled() {
                break;
            }
            covered = extent.logical + extent.length;
        }
        covered >= at + HUGE
    }

    /// `None` without extents.
    fn reason_at(&self, at: u64) -> Option<Reason> {
        let extents = from(self.extents.as_ref()?, at);
        let end = at + HUGE;
        let around = |extent: &&Extent| extent.logical <= at && end <= extent.logical + extent.length;
        Some(match extents.first().filter(around) {
            None => Reason::Fragmented(extents.iter().take_while(|extent| extent.logical < end).count()),
            Some(extent) => {
                let byte = self.start + extent.physical + (at - extent.logical);
                if byte.is_multiple_of(HUGE) { Reason::Aligned } else { Reason::Unaligned(byte) }
            }
        })
    }

    /// Maps the 2 MiB anew, and counts the faults until all of them may be stored to.
    pub(super) fn measure(&self, file: &File) -> Fault {
        let Some(offset) = self.offset else { return Fault::Unknown(NO_WINDOW.to_owned()) };
        let mapped = Reserved::new().and_then(|reserved| Ok((reserved.map(file, offset)?, reserved)));
        let (at, _reserved) = match mapped {
            Ok(mapped) => mapped,
            Err(error) => return Fault::Unknown(format!("the file cannot be mapped for stores: {error}")),
        };
        let faults = || -> io::Result<u64> {
            let before = faults_of_thread()?;
            loop {
                // SAFETY: *Reserved* and *Untouched*.
                match unsafe { rustix::mm::madvise(at, HUGE as usize, Advice::LinuxPopulateWrite) } {
                    Err(Errno::INTR) => {}
                    done => break done?,
                }
            }
            Ok(faults_of_thread()? - before)
        };
        match faults() {
            Ok(0) => Fault::Unknown("the kernel has counted no fault".to_owned()),
            Ok(count) => Fault::Count(count),
            Err(error) => Fault::Unknown(match error.raw_os_error() {
                Some(libc::EINVAL) => "Linux measures this from 5.14 on (MADV_POPULATE_WRITE)".to_owned(),
                Some(libc::EFAULT | libc::EHWPOISON) => {
                    format!("a page cannot be stored to ({error}): it has a bad block")
                }
                _ => error.to_string(),
            }),
        }
    }

    /// What the extents predict for DAX.
    pub(super) fn predict(&self, is_dax: bool) -> Reason {
        let unknown = || Reason::Unknown("the file system does not tell its extents".to_owned());
        match self.offset {
            _ if !is_dax => Reason::Unknown("extents decide on DAX only".to_owned()),
            None => Reason::Unknown(NO_WINDOW.to_owned()),
            Some(offset) => self.reason_at(offset).unwrap_or_else(unknown),
        }
    }
}

/// The extents that end behind `at`.
fn from(extents: &[Extent], at: u64) -> &[Extent] {
    &extents[extents.partition_point(|extent| extent.logical + extent.length <= at)..]
}

const NO_WINDOW: &str = "the file has no aligned 2 MiB that are written everywhere; name its folder instead";

impl Fault {
    pub(super) fn row(&self, is_dax: bool, is_folder: bool) -> Row {
        let source = format!(
            "faults over MADV_POPULATE_WRITE of 2 MiB of {}",
            if is_folder { "a temporary file" } else { "the file" }
        );
        let (value, advice) = match self {
            Fault::Unknown(why) => (Value::Unknown, format!("not measured: {why}")),
            Fault::Count(count) => {
                let meaning = match (is_dax, count) {
                    (true, 1) => "one entry of the upper page table maps it all",
                    (true, _) => "fault_size_predicted has the reason",
                    (false, _) => "of the page cache or of memory, so nothing is said of DAX",
                };
                let faults = if *count == 1 { "fault" } else { "faults" };
                (Value::Bytes(HUGE / count), format!("measured: {count} {faults} for 2 MiB; {meaning}"))
            }
        };
        Row::new("fault_size", value, &source, &advice)
    }
}

impl Reason {
    pub(super) fn row(&self, kind: &str) -> Row {
        let remedy = match kind {
            "ext4" => "mkfs.ext4 -b 4096 -E stride=512,stripe_width=512, and mount with stripe=512",
            "xfs" => "mkfs.xfs -d su=2m,sw=1, and xfs_io -c 'extsize 2m' FOLDER",
            _ => "make the file system aligned",
        };
        let (value, advice) = match self {
            Reason::Aligned => {
                (Value::Bytes(HUGE), "predicted: one extent, aligned to 2 MiB on the device".to_owned())
            }
            Reason::Unaligned(byte) => (
                Value::Bytes(BLOCK_SIZE),
                format!(
                    "predicted: the extent lies at byte {byte} of the device, no multiple of 2 MiB; {remedy}"
                ),
            ),
            Reason::Fragmented(pieces) => {
                (Value::Bytes(BLOCK_SIZE), format!("predicted: the 2 MiB lie in {pieces} extents; {remedy}"))
            }
            Reason::Unknown(why) => (Value::Unknown, format!("not predicted: {why}")),
        };
        Row::new("fault_size_predicted", value, "ioctl(FS_IOC_FIEMAP), sysfs start", &advice)
    }
}

/// 4 MiB of addresses.
struct Reserved(*mut std::ffi::c_void);

impl Reserved {
    const LEN: usize = 2 * HUGE as usize;

    fn new() -> io::Result<Reserved> {
        // SAFETY: a fresh mapping at an address that the kernel picks overlaps nothing.
        let at = unsafe {
            rustix::mm::mmap_anonymous(
                ptr::null_mut(),
                Reserved::LEN,
                ProtFlags::empty(),
                MapFlags::PRIVATE | MapFlags::NORESERVE,
            )?
        };
        Ok(Reserved(at))
    }

    /// Maps 2 MiB of the file at an aligned address in it.
    fn map(&self, file: &File, offset: u64) -> io::Result<*mut std::ffi::c_void> {
        let at = self.0.wrapping_byte_add(self.0.addr().next_multiple_of(HUGE as usize) - self.0.addr());
        let prot = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: *Reserved*; of 4 MiB, 2 MiB from the first aligned address on are inside.
        Ok(unsafe {
            rustix::mm::mmap(at, HUGE as usize, prot, MapFlags::SHARED | MapFlags::FIXED, file, offset)?
        })
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        // SAFETY: *Reserved*. Failing to unmap it would cost addresses, and is no reason to fail.
        let _ = unsafe { rustix::mm::munmap(self.0, Reserved::LEN) };
    }
}

/// Minor and major faults: the pages of a file may have to be read first.
fn faults_of_thread() -> io::Result<u64> {
    let mut usage = MaybeUninit::<libc::rusage>::uninit();
    // SAFETY: *Filled*.
    if unsafe { libc::getrusage(libc::RUSAGE_THREAD, usage.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: *Filled*; it has succeeded.
    let usage = unsafe { usage.assume_init() };
    Ok((usage.ru_minflt + usage.ru_majflt) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(extents: &[(u64, u64, u64)], start: u64) -> Window {
        let extent = |&(logical, physical, length)| Extent::new(logical, physical, length, 0);
        Window { offset: Some(0), extents: Some(extents.iter().map(extent).collect()), start }
    }

    #[test]
    fn the_place_on_the_device_decides() {
        let reason = |extents: &[(u64, u64, u64)], start| window(extents, start).predict(true);
        assert_eq!(reason(&[(0, 7 * HUGE, HUGE)], 0), Reason::Aligned);
        assert_eq!(reason(&[(0, 7 * HUGE, HUGE)], 4096), Reason::Unaligned(7 * HUGE + 4096));
        assert_eq!(reason(&[(0, HUGE - 512, 2 * HUGE)], 512), Reason::Aligned);
        let half = HUGE / 2;
        assert_eq!(reason(&[(0, 0, half), (half, half, half), (HUGE, 9, 9)], 0), Reason::Fragmented(2));
        assert_eq!(reason(&[], 0), Reason::Fragmented(0));
        assert!(matches!(window(&[], 0).predict(false), Reason::Unknown(_)));
    }

    #[test]
    fn of_a_users_file_only_what_is_written_is_mapped() {
        let file = tempfile::tempfile_in("/dev/shm").unwrap();
        file.set_len(4 * HUGE + 5).unwrap();
        let chosen = |file: &File| Window::choose(file, true, 0).offset;
        assert_eq!(chosen(&file), None, "all of it is a hole");
        use std::os::unix::fs::FileExt;
        file.write_all_at(&vec![1; HUGE as usize], HUGE / 2).unwrap();
        assert_eq!(chosen(&file), None, "half of each");
        file.write_all_at(&vec![1; HUGE as usize], 2 * HUGE).unwrap();
        assert_eq!(chosen(&file), Some(2 * HUGE));
        assert!(matches!(Window::choose(&file, true, 0).measure(&file), Fault::Count(1..=512)));
        let blocks = || std::os::unix::fs::MetadataExt::blocks(&file.metadata().unwrap());
        assert_eq!(blocks() * 512, 2 * HUGE, "no hole was filled");
    }

    #[test]
    fn settled_is_what_needs_no_block() {
        let file = tempfile::tempfile().unwrap();
        let mut window = window(&[(0, 0, HUGE / 2), (HUGE / 2, HUGE / 2, HUGE)], 0);
        assert!(window.is_settled(&file, 0) && !window.is_settled(&file, HUGE));
        window.extents.as_mut().unwrap()[1] = Extent::new(HUGE / 2, HUGE / 2, HUGE, 0x800); // unwritten
        assert!(!window.is_settled(&file, 0));
    }
}
