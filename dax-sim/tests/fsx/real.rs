//! A file of the machine's own, by real system calls.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use memmap2::{Mmap, MmapMut, MmapOptions};
use rustix::fs::{FallocateFlags, copy_file_range, fallocate};
use rustix::io::Errno;

use crate::op::{Op, Verb};
use crate::{Subject, bytes};

pub(crate) struct Real(File);

impl Real {
    /// On tmpfs where there is one.
    pub(crate) fn new() -> Self {
        let tmpfs = Path::new("/dev/shm");
        let file = if tmpfs.is_dir() { tempfile::tempfile_in(tmpfs) } else { tempfile::tempfile() };
        Self(file.unwrap())
    }

    pub(crate) fn of_holes(size: u64) -> Self {
        let real = Self::new();
        real.0.set_len(size).unwrap();
        real
    }

    fn size(&self) -> u64 {
        self.0.metadata().unwrap().len()
    }

    fn read(&self, offset: u64, len: u64) -> Vec<u8> {
        let mut bytes = vec![0; len as usize];
        self.0.read_exact_at(&mut bytes, offset).unwrap();
        bytes
    }

    fn map(&self) -> Mmap {
        // SAFETY: no other process has this file, which has no name, and it is not made smaller
        // while it is mapped.
        unsafe { MmapOptions::new().len(self.size() as usize).map(&self.0) }.unwrap()
    }

    fn map_mut(&self) -> MmapMut {
        // SAFETY: as for `map`.
        unsafe { MmapOptions::new().len(self.size() as usize).map_mut(&self.0) }.unwrap()
    }

    /// Tries the system call; where the file system does not know it, does the same by reading and
    /// writing.
    fn fallocate(&self, op: &Op, flags: FallocateFlags, emulate: impl FnOnce(&Self)) {
        match fallocate(&self.0, flags, op.offset, op.len) {
            Ok(()) => {}
            Err(Errno::OPNOTSUPP) => emulate(self),
            Err(error) => panic!("{op:?}: {error}"),
        }
    }

    fn replace_from(&self, offset: u64, bytes: &[u8]) {
        self.0.write_all_at(bytes, offset).unwrap();
        self.0.set_len(offset + bytes.len() as u64).unwrap();
    }
}

impl Subject for Real {
    fn apply(&mut self, number: u64, op: &Op) -> Vec<u8> {
        let (offset, len) = (op.offset, op.len);
        let (from, to) = (offset as usize, op.end() as usize);
        let keep_size = if op.keep_size { FallocateFlags::KEEP_SIZE } else { FallocateFlags::empty() };
        match op.verb {
            Verb::Read => return self.read(offset, len),
            Verb::MapRead => return self.map()[from..to].to_vec(),
            Verb::Write => self.0.write_all_at(&bytes(number, offset, len), offset).unwrap(),
            Verb::MapWrite => {
                self.0.set_len(self.size().max(op.end())).unwrap();
                let mut map = self.map_mut();
                map[from..to].copy_from_slice(&bytes(number, offset, len));
                map.flush().unwrap();
            }
            Verb::Truncate => self.0.set_len(len).unwrap(),
            Verb::Fallocate => {
                self.fallocate(op, keep_size, |_| panic!("this file system has no fallocate"));
            }
            Verb::PunchHole => {
                self.fallocate(op, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, |real| {
                    real.0.write_all_at(&vec![0; len as usize], offset).unwrap();
                });
            }
            Verb::ZeroRange => self.fallocate(op, FallocateFlags::ZERO_RANGE | keep_size, |real| {
                let end = if op.keep_size { op.end().min(real.size()) } else { op.end() };
                let zeros = vec![0; end.saturating_sub(offset) as usize];
                real.0.write_all_at(&zeros, offset).unwrap();
            }),
            Verb::CollapseRange => self.fallocate(op, FallocateFlags::COLLAPSE_RANGE, |real| {
                real.replace_from(offset, &real.read(op.end(), real.size() - op.end()));
            }),
            Verb::InsertRange => self.fallocate(op, FallocateFlags::INSERT_RANGE, |real| {
                let mut bytes = vec![0; len as usize];
                bytes.extend(real.read(offset, real.size() - offset));
                real.replace_from(offset, &bytes);
            }),
            Verb::CloneRange => self.0.write_all_at(&self.read(offset, len), op.dest).unwrap(),
            Verb::CopyRange => {
                let (mut from, mut to) = (offset, op.dest);
                while from < op.end() {
                    let left = (op.end() - from) as usize;
                    let copied = copy_file_range(&self.0, Some(&mut from), &self.0, Some(&mut to), left);
                    assert!(copied.unwrap() > 0);
                }
            }
            Verb::Fsync => self.0.sync_all().unwrap(),
            Verb::DedupeRange | Verb::Skip => {}
        }
        Vec::new()
    }

    fn contents(&mut self) -> Vec<u8> {
        self.read(0, self.size())
    }
}
