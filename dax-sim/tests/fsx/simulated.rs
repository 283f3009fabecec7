//! The simulator's file, and faults that can be planted in front of it.

use std::collections::HashMap;

use dax_sim::file::{File, Mapping, UserBuffer};
use dax_sim::fs::{Deduped, Extent, FileSystem};
use dax_sim::pmem::{BLOCK_SIZE, Device};

use crate::op::{Op, Sizes, Verb};
use crate::{Subject, bytes};

/// A planted fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// write(2) does not make copies of shared blocks.
    WriteSharedBlocksInPlace,
    /// What a mapping stored past the end of the file comes back when the file grows: fsx calls it
    /// pollution.
    ForgetToZeroTheTail,
    /// A file goes without giving its block back.
    LoseABlock,
}

pub(crate) struct Simulated<'a> {
    file: &'a File<'a>,
    mapping: Mapping<'a>,
    /// What some reads and writes have as their buffer: a file of its own, mapped.
    buffer: &'a File<'a>,
    user: Mapping<'a>,
    device: &'a Device,
    sizes: Sizes,
    fault: Fault,
    /// How often an access went through a mapping of 2 MiB.
    huge_accesses: u64,
}

impl<'a> Simulated<'a> {
    pub(crate) fn new(
        fs: &FileSystem<'_>,
        [file, buffer]: [&'a File<'a>; 2],
        device: &'a Device,
        sizes: Sizes,
        fault: Fault,
    ) -> Self {
        if fault == Fault::LoseABlock {
            let lost = fs.create();
            lost.fallocate(0, 1).unwrap();
            std::mem::forget(lost);
        }
        buffer.truncate(sizes.longest_buffer()).unwrap();
        let (mapping, user) = (file.mmap(0..sizes.max), buffer.mmap(0..sizes.longest_buffer()));
        Self { file, mapping, buffer, user, device, sizes, fault, huge_accesses: 0 }
    }

    /// A block that several pages have is marked as shared in all of them and counted, and blocks
    /// are either free or the files'.
    pub(crate) fn check_blocks(&self, fs: &FileSystem<'_>) -> Result<(), String> {
        let mut pages = HashMap::<u64, Vec<Extent>>::new();
        for (_, extent) in self.file.extents().into_iter().chain(self.buffer.extents()) {
            pages.entry(extent.block().expect("not a hole")).or_default().push(extent);
        }
        let several = pages.values().filter(|extents| extents.len() > 1);
        if several.clone().flatten().any(|extent| !matches!(extent, Extent::Shared(_))) {
            return Err("a block of several pages is not marked as shared".to_owned());
        }
        let (shared, used) = (several.count() as u64, pages.len() as u64);
        if shared != fs.shared_blocks() {
            return Err(format!("{shared} blocks are shared, {} counted", fs.shared_blocks()));
        }
        if used + fs.free_blocks() != self.device.blocks() {
            return Err(format!("{used} blocks used, {} free", fs.free_blocks()));
        }
        Ok(())
    }

    pub(crate) fn huge_accesses(&self) -> u64 {
        self.huge_accesses
    }

    fn count_huge(&mut self, offset: u64) {
        self.huge_accesses += u64::from(self.mapping.mapped_size(offset) > Some(BLOCK_SIZE));
    }

    fn write(&self, offset: u64, data: &[u8]) {
        let shared = self.file.extents().into_iter().find_map(|(page, extent)| match extent {
            Extent::Shared(block) if page == offset / BLOCK_SIZE => Some(block),
            _ => None,
        });
        if let (Some(block), Fault::WriteSharedBlocksInPlace) = (shared, self.fault) {
            let part = data.len().min((BLOCK_SIZE - offset % BLOCK_SIZE) as usize);
            self.device.write(block * BLOCK_SIZE + offset % BLOCK_SIZE, &data[..part]);
        }
        assert_eq!(self.file.write_at(data, offset), Ok(data.len()));
    }

    /// The same from a mapped buffer in two parts, whose pages may have to be faulted in.
    fn write_mapped(&self, offset: u64, data: &[u8]) {
        let place = offset % BLOCK_SIZE / 2;
        self.user.store(place, data).unwrap();
        self.user.dont_need(place..place + data.len() as u64);
        assert_eq!(self.file.write_vectored_at(&self.parts(place, data.len()), offset), Ok(data.len()));
    }

    fn read_mapped(&self, offset: u64, data: &mut [u8]) {
        let place = offset % BLOCK_SIZE / 2;
        // So that there are holes to be stored to.
        self.buffer.punch_hole(place, data.len() as u64).unwrap();
        assert_eq!(self.file.read_vectored_at(&self.parts(place, data.len()), offset), Ok(data.len()));
        self.user.load(place, data).unwrap();
    }

    fn parts(&self, place: u64, len: usize) -> [UserBuffer<'_>; 2] {
        let (middle, end) = (place + len as u64 / 3, place + len as u64);
        [place..middle, middle..end].map(|part| self.user.buffer(part).unwrap())
    }

    fn truncate(&self, size: u64) {
        let old = self.file.size();
        self.file.truncate(size).unwrap();
        if self.fault == Fault::ForgetToZeroTheTail && size > old && !old.is_multiple_of(BLOCK_SIZE) {
            self.file.write_at(&[7], old).unwrap();
        }
    }
}

impl Subject for Simulated<'_> {
    fn apply(&mut self, number: u64, op: &Op) -> Vec<u8> {
        let Op { verb, offset, len, dest, .. } = *op;
        let (file, mut read) = (self.file, Vec::new());
        match verb {
            Verb::Read => {
                read = vec![0xaa; len as usize];
                if number.is_multiple_of(4) {
                    self.read_mapped(offset, &mut read);
                } else {
                    assert_eq!(file.read_at(&mut read, offset), Ok(read.len()));
                }
            }
            Verb::MapRead => {
                read = vec![0xaa; len as usize];
                self.mapping.load(offset, &mut read).unwrap();
                self.count_huge(offset);
            }
            Verb::Write if number.is_multiple_of(4) => self.write_mapped(offset, &bytes(number, offset, len)),
            Verb::Write => self.write(offset, &bytes(number, offset, len)),
            Verb::MapWrite => {
                if op.end() > file.size() {
                    self.truncate(op.end());
                }
                self.mapping.store(offset, &bytes(number, offset, len)).unwrap();
                self.count_huge(offset);
                // Past the end of the file, where no read may find it later.
                if !file.size().is_multiple_of(BLOCK_SIZE) && number.is_multiple_of(2) {
                    self.mapping.store(file.size(), &[0xee]).unwrap();
                }
            }
            Verb::Truncate => self.truncate(len),
            Verb::Fallocate => {
                if op.unshare {
                    file.unshare_range(offset, len).unwrap();
                }
                let allocate = if op.keep_size { File::fallocate_keep_size } else { File::fallocate };
                allocate(file, offset, len).unwrap();
            }
            Verb::PunchHole => file.punch_hole(offset, len).unwrap(),
            Verb::ZeroRange => {
                let zero = if op.keep_size { File::zero_range_keep_size } else { File::zero_range };
                zero(file, offset, len).unwrap();
            }
            Verb::CollapseRange => file.collapse_range(offset, len).unwrap(),
            Verb::InsertRange => file.insert_range(offset, len).unwrap(),
            Verb::CloneRange => file.clone_range(file, offset, dest, len).unwrap(),
            Verb::DedupeRange => {
                let _: Deduped = file.dedupe_range(file, offset, dest, len).unwrap();
            }
            Verb::CopyRange => assert_eq!(file.copy_range(file, offset, dest, len), Ok(len)),
            Verb::Fsync => file.fsync().unwrap(),
            Verb::Skip => {}
        }
        if op.close_open {
            self.mapping = file.mmap(0..self.sizes.max);
        }
        read
    }

    fn contents(&mut self) -> Vec<u8> {
        let mut contents = vec![0; self.file.size() as usize];
        assert_eq!(self.file.read_at(&mut contents, 0), Ok(contents.len()));
        contents
    }
}
