//! Operations on ranges of files, one at a time: what they leave, what they refuse, and which
//! file has which block.

use dax_sim::error::FsError;
use dax_sim::file::File;
use dax_sim::fs::{Deduped, Extent, FileSystem, MAX_FILE_SIZE};
use dax_sim::pmem::{BLOCK_SIZE, Device, DeviceOptions};
use dax_sim::variant::Variant;

const PAGE: usize = BLOCK_SIZE as usize;

fn device() -> Device {
    Device::open(&DeviceOptions { path: None, size: 1 << 20, overwrite: false }).unwrap()
}

/// Does it in every variant, and expects all blocks back.
fn in_every_variant(test: impl Fn(&FileSystem<'_>)) {
    let device = device();
    for variant in Variant::COMPARED {
        let fs = FileSystem::format(&device, variant);
        test(&fs);
        assert_eq!((fs.free_blocks(), fs.shared_blocks()), (device.blocks(), 0), "{variant}");
    }
}

/// A file whose page `i` is filled with the byte `pages[i]`.
fn file_of<'a>(fs: &'a FileSystem<'_>, pages: &[u8]) -> File<'a> {
    let file = fs.create();
    for (page, &byte) in (0..).zip(pages) {
        file.write_at(&[byte; PAGE], page * BLOCK_SIZE).unwrap();
    }
    file
}

/// The first byte of each page.
fn pages_of(file: &File<'_>) -> Vec<u8> {
    let mut bytes = vec![0; file.size() as usize];
    file.read_at(&mut bytes, 0).unwrap();
    bytes.iter().copied().step_by(PAGE).collect()
}

fn kinds(file: &File<'_>) -> String {
    let kind = |(_, extent)| match extent {
        Extent::Hole => 'h',
        Extent::Unwritten(_) => 'u',
        Extent::Written(_) => 'w',
        Extent::Shared(_) => 's',
    };
    file.extents().into_iter().map(kind).collect()
}

#[test]
fn collapse_and_insert_move_what_lies_behind_and_what_is_mapped_follows() {
    in_every_variant(|fs| {
        let file = file_of(fs, &[1, 2, 3, 4, 5]);
        let mapping = file.mmap(0..8 * BLOCK_SIZE);
        for page in 0..5 {
            mapping.store(page * BLOCK_SIZE, &[page as u8 + 10]).unwrap();
        }
        file.fallocate_keep_size(6 * BLOCK_SIZE, BLOCK_SIZE).unwrap();
        file.collapse_range(BLOCK_SIZE, 2 * BLOCK_SIZE).unwrap();
        assert_eq!(pages_of(&file), [10, 13, 14]);
        file.insert_range(2 * BLOCK_SIZE, BLOCK_SIZE).unwrap();
        assert_eq!(pages_of(&file), [10, 13, 0, 14]);
        let mut bytes = vec![0; 4 * PAGE];
        mapping.load(0, &mut bytes).unwrap();
        assert_eq!(bytes.iter().copied().step_by(PAGE).collect::<Vec<_>>(), [10, 13, 0, 14]);
        assert!(matches!(mapping.load(4 * BLOCK_SIZE, &mut [0]), Err(FsError::BusError { .. })));
        assert_eq!(kinds(&file), "wwwu", "what was reserved past the end has moved as well");
    });
}

#[test]
fn zero_range_reserves_and_reads_as_zeros_and_does_or_does_not_grow() {
    in_every_variant(|fs| {
        let file = file_of(fs, &[1, 2, 3]);
        let mapping = file.mmap(0..8 * BLOCK_SIZE);
        mapping.store(BLOCK_SIZE, &[9]).unwrap();
        file.zero_range(100, 3 * BLOCK_SIZE).unwrap();
        assert_eq!(file.size(), 100 + 3 * BLOCK_SIZE);
        assert_eq!(kinds(&file), "wuuu");
        assert_eq!(pages_of(&file), [1, 0, 0, 0]);
        assert_eq!(mapping.load_u64(BLOCK_SIZE), Ok(0));
        let mut bytes = [7; 101];
        file.read_at(&mut bytes, 0).unwrap();
        assert_eq!((bytes[99], bytes[100]), (1, 0));
        file.zero_range_keep_size(0, 6 * BLOCK_SIZE).unwrap();
        assert_eq!((file.size(), kinds(&file).as_str()), (100 + 3 * BLOCK_SIZE, "uuuuuu"));
        assert_eq!(fs.free_blocks() + 6, 256);
    });
}

#[test]
fn whoever_writes_to_a_clone_gets_a_copy_first() {
    in_every_variant(|fs| {
        let source = file_of(fs, &[1, 2, 3, 4, 5, 6]);
        let clone = fs.create();
        let (ours, theirs) = (source.mmap(0..6 * BLOCK_SIZE), clone.mmap(0..6 * BLOCK_SIZE));
        // Mapped writable and dirty, and, by the target, as a hole.
        ours.store(0, &[11]).unwrap();
        clone.truncate(6 * BLOCK_SIZE).unwrap();
        assert_eq!(theirs.load_u64(0), Ok(0));
        clone.clone_range(&source, 0, 0, 6 * BLOCK_SIZE).unwrap();
        assert_eq!((kinds(&source).as_str(), kinds(&clone).as_str()), ("ssssss", "ssssss"));
        assert_eq!((fs.shared_blocks(), fs.free_blocks()), (6, 256 - 6));
        let expected = [11, 2, 3, 4, 5, 6];
        assert_eq!((pages_of(&source), pages_of(&clone)), (expected.to_vec(), expected.to_vec()));
        let mut byte = [0];
        for page in 0..6 {
            theirs.load(page * BLOCK_SIZE, &mut byte).unwrap();
            assert_eq!(byte[0], expected[page as usize]);
        }
        // One page each: store, write(2), punch, truncate, and zero of parts, and write(2) of the
        // other side.
        ours.store(0, &[21]).unwrap();
        clone.write_at(&[22], BLOCK_SIZE).unwrap();
        clone.punch_hole(2 * BLOCK_SIZE, 10).unwrap();
        clone.zero_range(3 * BLOCK_SIZE, 10).unwrap();
        source.write_at(&[24], 4 * BLOCK_SIZE).unwrap();
        source.truncate(5 * BLOCK_SIZE + 1).unwrap();
        assert_eq!(pages_of(&source), [21, 2, 3, 4, 24, 6]);
        assert_eq!(pages_of(&clone), [11, 22, 0, 0, 5, 6]);
        let mut bytes = [0; 6 * PAGE];
        theirs.load(0, &mut bytes).unwrap();
        assert_eq!(bytes.iter().copied().step_by(PAGE).collect::<Vec<_>>(), [11, 22, 0, 0, 5, 6]);
        assert_eq!((bytes[2 * PAGE + 10], bytes[3 * PAGE + 10], bytes[6 * PAGE - 1]), (3, 4, 6));
        assert_eq!((fs.shared_blocks(), fs.free_blocks()), (0, 256 - 12));
        // A file that is alone with a block that was shared needs no copy.
        clone.write_at(&[31], 0).unwrap();
        source.write_at(&[32], BLOCK_SIZE).unwrap();
        assert_eq!(fs.free_blocks(), 256 - 12);
        assert_eq!((pages_of(&source)[1], pages_of(&clone)[0]), (32, 31));
    });
}

#[test]
fn whoever_maps_a_page_sees_the_copy_that_another_store_has_made() {
    in_every_variant(|fs| {
        let source = file_of(fs, &[1, 2]);
        let clone = fs.create();
        clone.clone_range(&source, 0, 0, 2 * BLOCK_SIZE).unwrap();
        for file in [&source, &clone] {
            let mappings = [(); 3].map(|()| file.mmap(0..2 * BLOCK_SIZE));
            for mapping in &mappings {
                mapping.load_u64(BLOCK_SIZE).unwrap();
                mapping.load_u64(0).unwrap();
            }
            mappings[1].store_u64(0, 77).unwrap();
            file.write_at(&78_u64.to_le_bytes(), BLOCK_SIZE).unwrap();
            for mapping in &mappings {
                assert_eq!((mapping.load_u64(0), mapping.load_u64(BLOCK_SIZE)), (Ok(77), Ok(78)));
            }
            // What is dirty is the copy.
            file.fsync().unwrap();
            mappings[2].store_u64(0, 79).unwrap();
            assert_eq!(mappings[0].load_u64(0), Ok(79));
        }
    });
}

#[test]
fn a_shared_block_goes_with_the_last_page_that_has_it() {
    in_every_variant(|fs| {
        let source = file_of(fs, &[1]);
        let clones = [(); 3].map(|()| fs.create());
        for clone in &clones {
            clone.clone_range(&source, 0, 2 * BLOCK_SIZE, BLOCK_SIZE).unwrap();
        }
        let [first, second, third] = clones;
        assert_eq!(fs.free_blocks(), 255);
        drop(source);
        first.punch_hole(0, 3 * BLOCK_SIZE).unwrap();
        second.truncate(0).unwrap();
        assert_eq!((fs.free_blocks(), fs.shared_blocks()), (255, 0));
        assert_eq!(pages_of(&third), [0, 0, 1]);
        third.collapse_range(0, BLOCK_SIZE).unwrap();
        third.unshare_range(0, 2 * BLOCK_SIZE).unwrap();
        assert_eq!((kinds(&third).as_str(), fs.free_blocks()), ("w", 255));
        third.write_at(b"x", 2 * BLOCK_SIZE).unwrap();
        third.collapse_range(BLOCK_SIZE, BLOCK_SIZE).unwrap();
        assert_eq!(fs.free_blocks(), 255);
    });
}

#[test]
fn unwritten_blocks_and_the_last_part_of_a_page_are_cloned_as_what_they_read() {
    in_every_variant(|fs| {
        let source = file_of(fs, &[1]);
        source.fallocate(BLOCK_SIZE, BLOCK_SIZE).unwrap();
        source.write_at(b"end", 2 * BLOCK_SIZE).unwrap();
        // What is stored past the end belongs to no file.
        source.mmap(0..3 * BLOCK_SIZE).store(2 * BLOCK_SIZE + 3, b"junk").unwrap();
        let target = file_of(fs, &[9]);
        target.truncate(100).unwrap();
        target.mmap(0..BLOCK_SIZE).store(100, b"junk").unwrap();
        target.clone_range(&source, 0, 2 * BLOCK_SIZE, 0).unwrap();
        assert_eq!(target.size(), 4 * BLOCK_SIZE + 3);
        assert_eq!(kinds(&target), "wss");
        target.truncate(5 * BLOCK_SIZE).unwrap();
        let mut bytes = vec![1; 5 * PAGE];
        target.read_at(&mut bytes, 0).unwrap();
        assert_eq!(
            (&bytes[99..104], &bytes[4 * PAGE..4 * PAGE + 5]),
            (&b"\x09\0\0\0\0"[..], &b"end\0\0"[..])
        );
        assert!(bytes[3 * PAGE..4 * PAGE].iter().all(|&byte| byte == 0));
        source.write_at(b"more", 2 * BLOCK_SIZE + 10).unwrap();
        target.read_at(&mut bytes, 0).unwrap();
        assert_eq!(&bytes[4 * PAGE..4 * PAGE + 20], b"end\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
    });
}

#[test]
fn dedupe_shares_what_is_the_same_and_reports_what_is_not() {
    in_every_variant(|fs| {
        let (one, other) = (file_of(fs, &[1, 2, 3]), file_of(fs, &[1, 2, 4]));
        assert_eq!(other.dedupe_range(&one, 0, 0, 3 * BLOCK_SIZE), Ok(Deduped::Differs));
        assert_eq!((fs.free_blocks(), fs.shared_blocks()), (250, 0));
        let asked = 2 * BLOCK_SIZE + 5;
        assert_eq!(other.dedupe_range(&one, 0, 0, asked), Ok(Deduped::Same(asked)));
        assert_eq!((fs.free_blocks(), fs.shared_blocks()), (252, 2));
        assert_eq!(other.dedupe_range(&one, 0, 0, 2 * BLOCK_SIZE), Ok(Deduped::Same(2 * BLOCK_SIZE)));
        assert_eq!((fs.free_blocks(), fs.shared_blocks()), (252, 2));
        assert_eq!(other.dedupe_range(&one, 0, 0, 0), Ok(Deduped::Same(0)));
        one.truncate(100).unwrap();
        other.truncate(100).unwrap();
        assert_eq!(other.dedupe_range(&one, 0, 0, 100), Ok(Deduped::Same(100)));
        assert_eq!((pages_of(&one), pages_of(&other)), (vec![1], vec![1]));
    });
}

/// The figures of xfstests' generic/517, and what Linux 6.18 says on XFS: the length that was asked
/// for, though the last part of a block is neither compared nor shared.
#[test]
fn dedupe_reports_the_length_that_was_asked_for() {
    in_every_variant(|fs| {
        let (one, other) = (file_of(fs, &[6; 33]), file_of(fs, &[6; 100]));
        one.truncate(131_172).unwrap();
        assert_eq!(other.dedupe_range(&one, 0, 65_536, 131_172), Ok(Deduped::Same(131_172)));
        assert_eq!(fs.shared_blocks(), 32);
        assert_eq!(other.dedupe_range(&one, 0, 65_536, 100), Ok(Deduped::Same(100)));
        other.write_at(&[7; 100], 0).unwrap();
        assert_eq!(other.dedupe_range(&one, 0, 0, 100), Ok(Deduped::Same(100)), "not even looked at");
        assert_eq!(other.dedupe_range(&one, 0, 0, BLOCK_SIZE), Ok(Deduped::Differs));
        assert_eq!(pages_of(&other)[0], 7);
    });
}

/// Of more than 1 GiB Linux takes the first 1 GiB.
#[test]
fn dedupe_looks_at_1_gib_at_most() {
    const GIB: u64 = 1 << 30;
    let device = device();
    let fs = FileSystem::format(&device, Variant::RangeLock);
    let (one, other) = (fs.create(), fs.create());
    one.truncate(3 * GIB).unwrap();
    other.write_at(&[1], GIB + BLOCK_SIZE - 1).unwrap();
    assert_eq!(other.dedupe_range(&one, 0, 0, GIB + BLOCK_SIZE), Ok(Deduped::Same(GIB)));
    assert_eq!(other.dedupe_range(&one, 0, BLOCK_SIZE, 3 * GIB), Ok(Deduped::Differs));
    assert!(matches!(other.dedupe_range(&one, BLOCK_SIZE, 0, 3 * GIB), Err(FsError::Invalid(_))));
}

#[test]
fn to_share_nothing_is_answered_as_by_linux() {
    in_every_variant(|fs| {
        let (source, target) = (file_of(fs, &[1, 2, 3]), file_of(fs, &[7]));
        let end = 3 * BLOCK_SIZE;
        // A clone from the end of the source on does nothing, before any other check.
        for to in [0, 1, BLOCK_SIZE + 1, MAX_FILE_SIZE + 1] {
            assert_eq!(target.clone_range(&source, end, to, 0), Ok(()));
            assert_eq!(source.clone_range(&source, end, to, 0), Ok(()));
        }
        // A dedupe of nothing asks only that the source does not begin behind its end.
        for (from, to) in [(0, 0), (1, 1), (end, 9 * end), (end - 1, MAX_FILE_SIZE + 1)] {
            assert_eq!(target.dedupe_range(&source, from, to, 0), Ok(Deduped::Same(0)));
        }
        for from in [end + 1, end + BLOCK_SIZE, u64::MAX] {
            for result in [
                target.clone_range(&source, from, 0, 0),
                target.clone_range(&source, from, 0, 1),
                target.dedupe_range(&source, from, 0, 0).map(drop),
                target.dedupe_range(&source, from, 0, 1).map(drop),
            ] {
                assert!(matches!(result, Err(FsError::Invalid(_))), "{from:#x}: {result:?}");
            }
        }
        assert_eq!((pages_of(&source), pages_of(&target)), (vec![1, 2, 3], vec![7]));
    });
}

#[test]
fn copies_stop_at_the_end_of_the_source_and_share_nothing() {
    in_every_variant(|fs| {
        let (source, target) = (file_of(fs, &[1, 2]), fs.create());
        assert_eq!(target.copy_range(&source, BLOCK_SIZE - 1, 5, u64::MAX), Ok(BLOCK_SIZE + 1));
        assert_eq!((target.size(), pages_of(&target)), (BLOCK_SIZE + 6, vec![0, 2]));
        assert_eq!(target.copy_range(&source, 2 * BLOCK_SIZE, 0, 1), Ok(0));
        assert_eq!(source.copy_range(&source, 0, 2 * BLOCK_SIZE, 2 * BLOCK_SIZE), Ok(2 * BLOCK_SIZE));
        assert_eq!(pages_of(&source), [1, 2, 1, 2]);
        assert_eq!(fs.shared_blocks(), 0);
    });
}

#[test]
fn what_linux_refuses_is_refused_and_nothing_changes() {
    in_every_variant(|fs| {
        let (file, target) = (file_of(fs, &[1, 2, 3]), fs.create());
        target.write_at(&[7; PAGE + 9], 0).unwrap();
        let block = BLOCK_SIZE;
        let refused = [
            file.collapse_range(1, block),
            file.collapse_range(0, block + 1),
            file.collapse_range(block, 2 * block),
            file.insert_range(1, block),
            file.insert_range(0, 1),
            file.insert_range(3 * block, block),
            file.copy_range(&file, 0, 1, 2).map(drop),
            file.clone_range(&file, 0, block, 2 * block),
            file.clone_range(&file, 1, block, block),
            file.clone_range(&file, 0, block + 1, block),
            target.clone_range(&file, 0, 0, block - 1),
            target.clone_range(&file, 2 * block, 0, 2 * block),
            target.clone_range(&file, 3 * block, 0, block),
            target.clone_range(&file, 4 * block, 0, 0),
            file.clone_range(&target, 0, 0, block + 9),
            file.dedupe_range(&target, 0, 0, 2 * block).map(|_| ()),
            target.dedupe_range(&file, 0, block, block).map(|_| ()),
            file.dedupe_range(&file, 0, 0, block).map(|_| ()),
        ];
        for (number, result) in refused.into_iter().enumerate() {
            assert!(matches!(result, Err(FsError::Invalid(_))), "{number}: {result:?}");
        }
        let too_big = [
            file.insert_range(0, MAX_FILE_SIZE - block),
            file.clone_range(&file, 0, MAX_FILE_SIZE, block),
            file.clone_range(&target, 0, MAX_FILE_SIZE, 0),
            file.zero_range(MAX_FILE_SIZE, 1),
            file.fallocate_keep_size(MAX_FILE_SIZE, 1),
            file.copy_range(&target, 0, MAX_FILE_SIZE, 1).map(drop),
        ];
        for (number, result) in too_big.into_iter().enumerate() {
            assert!(matches!(result, Err(FsError::TooBig { .. })), "{number}: {result:?}");
        }
        assert_eq!(target.clone_range(&file, 3 * block, 0, 0), Ok(()), "nothing up to the end");
        assert_eq!((pages_of(&file), pages_of(&target)), (vec![1, 2, 3], vec![7, 7]));
        assert_eq!((kinds(&file).as_str(), kinds(&target).as_str()), ("www", "ww"));
    });
}

#[test]
fn files_of_two_file_systems_share_and_copy_nothing() {
    let (one, other) = (device(), device());
    let (one, other) =
        (FileSystem::format(&one, Variant::RangeLock), FileSystem::format(&other, Variant::RangeLock));
    let (source, target) = (file_of(&one, &[1]), other.create());
    assert_eq!(target.clone_range(&source, 0, 0, BLOCK_SIZE), Err(FsError::CrossDevice));
    assert_eq!(target.dedupe_range(&source, 0, 0, BLOCK_SIZE), Err(FsError::CrossDevice));
    assert_eq!(target.copy_range(&source, 0, 0, BLOCK_SIZE), Err(FsError::CrossDevice));
    assert_eq!(target.size(), 0);
}

#[test]
fn a_full_device_has_no_room_for_copies_and_nothing_changes() {
    in_every_variant(|fs| {
        let file = file_of(fs, &[5; 250]);
        let clone = fs.create();
        clone.clone_range(&file, 0, 0, 250 * BLOCK_SIZE).unwrap();
        let rest = fs.create();
        rest.fallocate(0, 6 * BLOCK_SIZE).unwrap();
        assert_eq!(fs.free_blocks(), 0);
        let mapping = clone.mmap(0..250 * BLOCK_SIZE);
        assert_eq!(mapping.store(0, &[1]), Err(FsError::NoSpace));
        let full = [
            clone.write_at(&[1], 0).map(drop),
            clone.punch_hole(1, 1),
            clone.truncate(BLOCK_SIZE + 1),
            clone.zero_range(0, 2 * BLOCK_SIZE),
            clone.unshare_range(0, 1),
            clone.fallocate(0, 251 * BLOCK_SIZE),
            clone.copy_range(&rest, 0, 0, 1).map(drop),
        ];
        assert!(full.iter().all(|result| *result == Err(FsError::NoSpace)), "{full:?}");
        assert_eq!(pages_of(&clone), [5; 250]);
        assert_eq!(clone.size(), 250 * BLOCK_SIZE);
        // Whole pages need none.
        clone.punch_hole(0, BLOCK_SIZE).unwrap();
        clone.truncate(2 * BLOCK_SIZE).unwrap();
        file.write_at(&[6], 0).unwrap();
        assert_eq!((pages_of(&clone), pages_of(&file)[0]), (vec![0, 5], 6));
    });
}
