//! Files and mappings: what they hold, what they refuse.

use dax_sim::error::FsError;
use dax_sim::file::{File, Mapping};
use dax_sim::fs::{Extent, FileSystem, MAX_FILE_SIZE};
use dax_sim::pmem::{BLOCK_SIZE, Device, DeviceOptions};
use dax_sim::variant::Variant;
use proptest::prelude::*;

const PAGE: usize = BLOCK_SIZE as usize;

fn device(size: u64) -> Device {
    Device::open(&DeviceOptions { path: None, size, overwrite: false }).unwrap()
}

#[test]
fn an_access_past_the_end_is_an_error_value_and_truncate_brings_it_about() {
    for variant in Variant::COMPARED {
        let device = device(1 << 20);
        let fs = FileSystem::format(&device, variant);
        let file = fs.create();
        let mapping = file.mmap(0..4 * BLOCK_SIZE);
        assert_eq!(mapping.load_u64(0), Err(FsError::BusError { offset: 0, size: 0 }));
        file.write_at(&[1; 3 * PAGE], 0).unwrap();
        assert_eq!(mapping.load_u64(2 * BLOCK_SIZE), Ok(0x0101_0101_0101_0101));
        file.truncate(BLOCK_SIZE + 5).unwrap();
        let error = Err(FsError::BusError { offset: 2 * BLOCK_SIZE, size: BLOCK_SIZE + 5 });
        assert_eq!(mapping.load_u64(2 * BLOCK_SIZE), error);
        assert_eq!(mapping.store_u64(2 * BLOCK_SIZE, 1), error.map(|_| ()));
        assert_eq!(mapping.load_u64(BLOCK_SIZE), Ok(0x01_0101_0101), "the last page's end is zeros");
        assert_eq!(file.extents().len(), 2);
    }
}

#[test]
fn what_a_mapping_stored_past_the_end_is_gone_when_the_file_grows() {
    let device = device(1 << 20);
    let fs = FileSystem::format(&device, Variant::RangeLock);
    for grow in [
        |file: &File<'_>| file.truncate(BLOCK_SIZE).unwrap(),
        |file: &File<'_>| {
            assert_eq!(file.write_at(b"x", 2 * BLOCK_SIZE), Ok(1));
        },
    ] {
        let file = fs.create();
        file.write_at(b"123", 0).unwrap();
        let mapping = file.mmap(0..BLOCK_SIZE);
        mapping.store(2, b"garbage").unwrap();
        grow(&file);
        let mut bytes = [1; 10];
        file.read_at(&mut bytes, 0).unwrap();
        assert_eq!(&bytes, b"12g\0\0\0\0\0\0\0");
    }
}

#[test]
fn accesses_outside_a_mapping_or_not_aligned_are_errors() {
    let device = device(1 << 20);
    let fs = FileSystem::format(&device, Variant::Rwsem);
    let file = fs.create();
    file.truncate(1 << 20).unwrap();
    let mapping = file.mmap(BLOCK_SIZE..2 * BLOCK_SIZE);
    for (offset, len) in
        [(0, 8), (BLOCK_SIZE - 8, 8), (2 * BLOCK_SIZE - 4, 8), (u64::MAX, 8), (2 * BLOCK_SIZE, 1)]
    {
        let result = mapping.load(offset, &mut vec![0; len]);
        assert!(matches!(result, Err(FsError::OutsideMapping { .. })), "{offset}: {result:?}");
        assert_eq!(mapping.store(offset, &vec![0; len]), result);
    }
    assert_eq!(mapping.load_u64(BLOCK_SIZE + 4), Err(FsError::Misaligned { offset: BLOCK_SIZE + 4 }));
    assert_eq!(mapping.store_u64(2 * BLOCK_SIZE - 8, 3), Ok(()));
    assert_eq!(mapping.load_u64(2 * BLOCK_SIZE - 8), Ok(3));
}

/// As in Linux: pages are mapped, whatever part of one was asked for.
#[test]
fn a_mapping_ends_with_the_page_in_which_it_ends() {
    let device = device(1 << 20);
    let fs = FileSystem::format(&device, Variant::Rwsem);
    let file = fs.create();
    file.truncate(1 << 20).unwrap();
    let mapping = file.mmap(0..BLOCK_SIZE + 1);
    assert_eq!(mapping.store_u64(2 * BLOCK_SIZE - 8, 3), Ok(()));
    assert_eq!(mapping.load_u64(2 * BLOCK_SIZE - 8), Ok(3));
    mapping.msync(0..2 * BLOCK_SIZE).unwrap();
    let outside = mapping.load_u64(2 * BLOCK_SIZE);
    assert!(matches!(outside, Err(FsError::OutsideMapping { end, .. }) if end == 2 * BLOCK_SIZE));
}

#[test]
fn a_full_device_is_an_error_and_nothing_is_lost() {
    let device = device(1 << 20);
    let blocks = device.blocks();
    for variant in Variant::COMPARED {
        let fs = FileSystem::format(&device, variant);
        let (file, other) = (fs.create(), fs.create());
        let large = vec![5; (blocks as usize + 3) * PAGE];
        assert_eq!(file.write_at(&large, 0), Ok(blocks as usize * PAGE), "a short write");
        assert_eq!(file.size(), blocks * BLOCK_SIZE);
        assert_eq!(fs.free_blocks(), 0);
        assert_eq!(other.write_at(b"x", 0), Err(FsError::NoSpace));
        assert_eq!(other.size(), 0);
        other.truncate(BLOCK_SIZE).unwrap();
        let mapping = other.mmap(0..BLOCK_SIZE);
        assert_eq!(mapping.load_u64(0), Ok(0), "a hole needs no block");
        assert_eq!(mapping.store_u64(0, 1), Err(FsError::NoSpace));
        assert_eq!(other.fallocate(0, 1), Err(FsError::NoSpace));
        file.punch_hole(7 * BLOCK_SIZE, BLOCK_SIZE).unwrap();
        assert_eq!(other.fallocate(0, 2 * BLOCK_SIZE), Err(FsError::NoSpace), "all or nothing");
        assert_eq!(fs.free_blocks(), 1);
        assert_eq!(mapping.store_u64(0, 1), Ok(()));
        assert_eq!(mapping.load_u64(8), Ok(0), "what another file held is not seen");
        drop(mapping);
        drop((file, other));
        assert_eq!(fs.free_blocks(), blocks);
    }
}

#[test]
fn unwritten_extents_read_as_zeros_until_they_are_written() {
    let device = device(1 << 20);
    for block in 0..device.blocks() {
        device.write(block * BLOCK_SIZE, &[0xee; PAGE]);
    }
    let fs = FileSystem::format(&device, Variant::Linux412);
    let file = fs.create();
    file.fallocate(0, 3 * BLOCK_SIZE).unwrap();
    assert!(file.extents().iter().all(|(_, extent)| matches!(extent, Extent::Unwritten(_))));
    let mapping = file.mmap(0..3 * BLOCK_SIZE);
    assert_eq!(mapping.load_u64(8), Ok(0));
    file.write_at(b"abc", 8).unwrap();
    mapping.store(BLOCK_SIZE, b"d").unwrap();
    assert_eq!([mapping.load_u64(0), mapping.load_u64(8)], [Ok(0), Ok(0x63_62_61)]);
    assert_eq!(mapping.load_u64(BLOCK_SIZE), Ok(0x64));
    let kinds: Vec<_> =
        file.extents().iter().map(|(_, extent)| matches!(extent, Extent::Written(_))).collect();
    assert_eq!(kinds, [true, true, false]);
}

#[test]
fn files_that_would_be_too_big_are_refused() {
    let device = device(1 << 20);
    let fs = FileSystem::format(&device, Variant::RangeLock);
    let file = fs.create();
    let too_big = |end| Err(FsError::TooBig { end, max: MAX_FILE_SIZE });
    assert_eq!(file.write_at(b"xy", MAX_FILE_SIZE - 1), too_big(MAX_FILE_SIZE + 1).map(|()| 0));
    assert_eq!(file.write_at(b"xy", u64::MAX), too_big(u64::MAX).map(|()| 0));
    assert_eq!(file.truncate(MAX_FILE_SIZE + 1), too_big(MAX_FILE_SIZE + 1));
    assert_eq!(file.punch_hole(1, u64::MAX), too_big(u64::MAX));
    assert_eq!(file.write_at(b"x", MAX_FILE_SIZE - 1), Ok(1));
    let mut bytes = [0; 4];
    assert_eq!(file.read_at(&mut bytes, MAX_FILE_SIZE - 2), Ok(2));
    assert_eq!(&bytes, b"\0x\0\0");
    assert_eq!(file.read_at(&mut bytes, u64::MAX), Ok(0));
    assert_eq!(file.write_at(b"", u64::MAX), Ok(0));
    assert_eq!(file.extents().len(), 1);
}

#[derive(Clone, Debug)]
enum Op {
    Write { offset: usize, len: usize },
    Read { offset: usize, len: usize },
    Store { mapping: usize, offset: usize, len: usize },
    Load { mapping: usize, offset: usize, len: usize },
    Truncate { size: usize },
    Punch { offset: usize, len: usize },
    Allocate { offset: usize, len: usize },
    DontNeed { mapping: usize, offset: usize, len: usize },
    Fsync,
}

const PAGES: usize = 8;

fn op() -> impl Strategy<Value = Op> {
    // Whole pages, and words at their edges, as often as anything.
    let place = || prop_oneof![0..PAGES * PAGE, (0..PAGES).prop_map(|page| page * PAGE)];
    let len = || prop_oneof![1..2 * PAGE, Just(PAGE), 1..16_usize];
    prop_oneof![
        3 => (place(), len()).prop_map(|(offset, len)| Op::Write { offset, len }),
        3 => (place(), len()).prop_map(|(offset, len)| Op::Read { offset, len }),
        3 => (0..2_usize, place(), len()).prop_map(|(mapping, offset, len)| Op::Store { mapping, offset, len }),
        4 => (0..2_usize, place(), len()).prop_map(|(mapping, offset, len)| Op::Load { mapping, offset, len }),
        1 => place().prop_map(|size| Op::Truncate { size }),
        2 => (place(), len()).prop_map(|(offset, len)| Op::Punch { offset, len }),
        1 => (place(), len()).prop_map(|(offset, len)| Op::Allocate { offset, len }),
        1 => (0..2_usize, place(), len()).prop_map(|(mapping, offset, len)| Op::DontNeed { mapping, offset, len }),
        1 => Just(Op::Fsync),
    ]
}

/// What `number` writes at `offset`.
fn byte(number: usize, offset: usize) -> u8 {
    ((number * 31 + offset) % 251) as u8
}

/// Does it to the file and to the model, and compares.
fn apply(number: usize, op: &Op, file: &File<'_>, mappings: &[Mapping<'_>; 2], model: &mut Vec<u8>) {
    let end_of_mapped = model.len().next_multiple_of(PAGE);
    let data =
        |offset: usize, len: usize| (offset..offset + len).map(|o| byte(number, o)).collect::<Vec<_>>();
    let clip = |offset: usize, len: usize| len.min(2 * PAGES * PAGE - offset);
    match *op {
        Op::Write { offset, len } => {
            let bytes = data(offset, len);
            assert_eq!(file.write_at(&bytes, offset as u64), Ok(len));
            model.resize(model.len().max(offset + len), 0);
            model[offset..offset + len].copy_from_slice(&bytes);
        }
        Op::Read { offset, len } => {
            let mut bytes = vec![0xaa; len];
            let expected = &model[offset.min(model.len())..(offset + len).min(model.len())];
            assert_eq!(file.read_at(&mut bytes, offset as u64), Ok(expected.len()));
            assert!(bytes[..expected.len()] == *expected, "read of {len} at {offset}");
        }
        Op::Store { mapping, offset, len } => {
            let bytes = data(offset, clip(offset, len));
            let end = offset + bytes.len();
            let result = mappings[mapping].store(offset as u64, &bytes);
            assert_eq!(result.is_ok(), end <= end_of_mapped, "{result:?}");
            let end = end.min(model.len()).max(offset);
            if let Some(stored) = model.get_mut(offset..end) {
                stored.copy_from_slice(&bytes[..end - offset]);
            }
        }
        Op::Load { mapping, offset, len } => {
            let mut bytes = vec![0; clip(offset, len)];
            let end = offset + bytes.len();
            let result = mappings[mapping].load(offset as u64, &mut bytes);
            assert_eq!(result.is_ok(), end <= end_of_mapped, "{result:?}");
            for at in offset..end.min(model.len()) {
                assert_eq!(bytes[at - offset], model[at], "load of {at}");
            }
        }
        Op::Truncate { size } => {
            file.truncate(size as u64).unwrap();
            model.resize(size, 0);
        }
        Op::Punch { offset, len } => {
            file.punch_hole(offset as u64, len as u64).unwrap();
            let end = (offset + len).min(model.len());
            model[offset.min(end)..end].fill(0);
        }
        Op::Allocate { offset, len } => {
            file.fallocate(offset as u64, len as u64).unwrap();
            model.resize(model.len().max(offset + len), 0);
        }
        Op::DontNeed { mapping, offset, len } => {
            mappings[mapping].dont_need(offset as u64..(offset + len) as u64)
        }
        Op::Fsync => file.fsync().unwrap(),
    }
    assert_eq!(file.size(), model.len() as u64);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_operations_leave_what_the_model_says(ops in prop::collection::vec(op(), 1..150)) {
        let device = device(1 << 20);
        for variant in Variant::COMPARED {
            let fs = FileSystem::format(&device, variant);
            let file = fs.create();
            let range = || 0..2 * (PAGES * PAGE) as u64;
            let mappings = [file.mmap(range()), file.mmap(range())];
            let mut model = Vec::new();
            for (number, op) in ops.iter().enumerate() {
                apply(number, op, &file, &mappings, &mut model);
            }
            let mut bytes = vec![0; model.len() + 1];
            prop_assert_eq!(file.read_at(&mut bytes, 0), Ok(model.len()));
            prop_assert!(bytes[..model.len()] == *model, "{} ends differently", variant);
            drop(mappings);
            drop(file);
            prop_assert_eq!(fs.free_blocks(), device.blocks());
        }
    }
}
