//! Measures the kernel's own write(2) beside stores under locks of this process, on one file and on
//! a file for each thread. It uses `compare` for its intervals, `pmem`, and nothing of the
//! simulator.
//!
//! The same code runs on one file and on a file for each thread, and the files are made in the same
//! way. So the quotient of the two is what sharing one file costs: the inode's lock for write(2),
//! the process' own lock for stores.

pub(crate) mod race;
pub(crate) mod region;
pub(crate) mod report;
mod run;

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::fs::fdatasync;

use crate::pmem::{self, BLOCK_SIZE, Backing, DeviceError, Mapped, Opened, WriteBack};
use region::Region;

/// The length of an operation, in bytes.
const PAGE: usize = BLOCK_SIZE as usize;

/// What one operation does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Way {
    /// pwrite(2) over written blocks.
    Overwrite,
    /// write(2) at the end of the file, wherever that is (`RWF_APPEND`).
    Append,
    /// pwrite(2) into holes.
    Hole,
    /// A store into the mapping, with its range locked.
    RangeLock,
    /// A store into the mapping under one reader/writer lock for the file.
    RwLock,
    /// A store into the mapping without a lock. Threads keep apart by agreement.
    NoLock,
}

impl Way {
    pub(crate) const ALL: [Way; 6] =
        [Way::Overwrite, Way::RangeLock, Way::RwLock, Way::NoLock, Way::Append, Way::Hole];

    /// The words in tables and JSON.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Way::Overwrite => "pwrite, overwrite",
            Way::Append => "pwrite, append",
            Way::Hole => "pwrite, hole",
            Way::RangeLock => "store, RangeRwLock",
            Way::RwLock => "store, RwLock",
            Way::NoLock => "store, no lock",
        }
    }

    pub(crate) fn is_store(self) -> bool {
        matches!(self, Way::RangeLock | Way::RwLock | Way::NoLock)
    }

    /// Whether the files must begin without blocks.
    fn begins_empty(self) -> bool {
        matches!(self, Way::Append | Way::Hole)
    }
}

/// Which files the threads work on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Layout {
    /// All threads on one file, each in a part of its own.
    OneFile,
    /// Each thread on a file of its own.
    FileEach,
}

/// One sample: the operation, the files, and the number of threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Point {
    pub(crate) threads: usize,
    pub(crate) way: Way,
    pub(crate) layout: Layout,
    /// Whether each operation is made durable before the next one.
    pub(crate) durable: bool,
}

/// How a store is made durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Durability {
    /// Cache lines are written back and fenced: on persistent memory with MAP_SYNC, and on tmpfs.
    /// On tmpfs nothing lasts, and the sample shows what the instructions cost.
    Flush(WriteBack),
    /// msync of the page.
    Msync,
}

impl Durability {
    pub(crate) fn name(self) -> String {
        match self {
            Durability::Flush(write_back) => format!("{write_back}, sfence"),
            Durability::Msync => "msync".to_owned(),
        }
    }
}

/// The files, mapped.
#[derive(Debug)]
pub(crate) struct Bench {
    // This field is first: it must be dropped before the files.
    region: Region,
    one: Target,
    each: Vec<Target>,
    /// The length of a thread's part, in bytes.
    span: usize,
    backing: Backing,
    durability: Durability,
}

/// A file, and where in the region it is mapped.
#[derive(Debug)]
struct Target {
    opened: Opened,
    place: usize,
    /// The file's length when it is full.
    len: usize,
    full: AtomicBool,
}

impl Target {
    fn file(&self) -> &File {
        self.opened.file()
    }

    /// Ensures that all blocks are written.
    fn fill(&self) -> io::Result<()> {
        if self.full.load(Ordering::Relaxed) {
            return Ok(());
        }
        let piece = vec![1; 1 << 20];
        self.file().set_len(0)?;
        for at in (0..self.len).step_by(piece.len()) {
            let part = &piece[..piece.len().min(self.len - at)];
            std::os::unix::fs::FileExt::write_all_at(self.file(), part, at as u64)?;
        }
        self.full.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Leaves the file without blocks: a hole of its whole length, or of no length.
    fn empty(&self, len: usize) -> io::Result<()> {
        self.full.store(false, Ordering::Relaxed);
        self.file().set_len(0)?;
        self.file().set_len(len as u64)
    }
}

impl Bench {
    /// Opens or makes the file, and makes one for each thread beside it. All new files are removed
    /// in the end. A file that was there is left empty.
    pub(crate) fn open(
        path: &Path,
        span: usize,
        threads: usize,
        overwrite: bool,
    ) -> Result<Bench, DeviceError> {
        let whole = span * threads;
        let opened = pmem::with_room(path, 2 * whole as u64, overwrite)?;
        let beside = (0..threads).map(|_| opened.beside()).collect::<Result<Vec<_>, _>>()?;
        let target = |opened, place, len| Target { opened, place, len, full: AtomicBool::new(false) };
        // Each file begins where 2 MiB pages may begin, or the one file alone could have them.
        let [room, room_of_each] = [whole, span].map(|len| len.next_multiple_of(region::ALIGNMENT));
        let each = beside.into_iter().enumerate();
        let each: Vec<_> = each.map(|(i, opened)| target(opened, room + i * room_of_each, span)).collect();
        let mut one = target(opened, 0, whole);
        let backing = pmem::detect(one.file(), false);
        let failed = |source| DeviceError::Io { action: "map", path: path.to_path_buf(), source };
        let region = Region::reserve(room + threads * room_of_each).map_err(failed)?;
        let sync = backing == Backing::PmemSync;
        for target in std::iter::once(&one).chain(&each) {
            one.opened.is_like(&target.opened, backing)?;
            region.map(target.file(), target.place, target.len, sync).map_err(failed)?;
        }
        // The user's file is changed only after all checks have passed.
        one.opened.empty()?;
        let durability = match backing {
            Backing::PmemSync | Backing::Tmpfs | Backing::Memfd => Durability::Flush(WriteBack::detect()),
            Backing::Dax | Backing::PageCache => Durability::Msync,
        };
        Ok(Bench { region, one, each, span, backing, durability })
    }

    pub(crate) fn backing(&self) -> Backing {
        self.backing
    }

    pub(crate) fn durability(&self) -> Durability {
        self.durability
    }

    /// The files, each with the addresses at which it is mapped.
    pub(crate) fn files(&self) -> Vec<Mapped<'_>> {
        let start = self.region.addresses().start;
        std::iter::once(&self.one)
            .chain(&self.each)
            .map(|target| {
                let first = start + target.place;
                target.opened.mapped_at(first..first + target.len)
            })
            .collect()
    }

    /// Runs one sample. Returns operations per second.
    pub(crate) fn sample(&self, point: Point, duration: Duration) -> io::Result<f64> {
        self.prepare(point)?;
        let (mut operations, mut elapsed) = (0, Duration::ZERO);
        while elapsed < duration {
            if point.way.begins_empty() {
                for target in self.targets(point) {
                    target.empty(if point.way == Way::Hole { target.len } else { 0 })?;
                }
            }
            let (done, took) = run::pass(self, point, duration - elapsed)?;
            operations += done;
            elapsed += took;
        }
        Ok(operations as f64 / elapsed.as_secs_f64())
    }

    /// Completes the work of earlier samples: faults and write-back.
    fn prepare(&self, point: Point) -> io::Result<()> {
        for target in self.targets(point) {
            if !point.way.begins_empty() {
                target.fill()?;
            }
            fdatasync(target.file())?;
        }
        if point.way.is_store() {
            for target in self.targets(point) {
                self.region.fault_in(target.place, target.len)?;
            }
        }
        Ok(())
    }

    fn targets(&self, point: Point) -> Vec<&Target> {
        match point.layout {
            Layout::OneFile => vec![&self.one],
            Layout::FileEach => self.each.iter().take(point.threads).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Otherwise 2 MiB pages would make the one file faster, and the quotient would show them.
    #[test]
    fn every_file_begins_where_2_mib_pages_may_begin() {
        let folder = tempfile::tempdir().unwrap();
        let span = 3 << 16;
        let bench = Bench::open(&folder.path().join("file"), span, 2, false).unwrap();
        let region = bench.region.addresses();
        let mut end = region.start;
        for (file, len) in bench.files().into_iter().zip([2 * span, span, span]) {
            let addresses = file.addresses;
            assert!(addresses.start.is_multiple_of(region::ALIGNMENT), "{addresses:?}");
            assert!(addresses.start >= end && addresses.len() == len, "{addresses:?}");
            end = addresses.end;
        }
        assert!(end <= region.end);
    }
}
