//! read(2) and write(2) whose buffer is itself a mapping of a file, so that the copy may fault. The
//! scenarios are those of xfstests' mmap-rw-fault, t_mmap_writev_overlap, pwrite_mmap_blocked and
//! t_mmap_dio.

use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, Barrier, OnceLock};
use std::thread;

use dax_sim::error::FsError;
use dax_sim::file::{File, Mapping};
use dax_sim::fs::FileSystem;
use dax_sim::pmem::{BLOCK_SIZE, Device, DeviceOptions};
use dax_sim::schedule::{LockClass, Schedule, SchedulePoint};
use dax_sim::variant::Variant;

const PAGE: usize = BLOCK_SIZE as usize;

fn device(size: u64) -> Device {
    Device::open(&DeviceOptions { path: None, size, overwrite: false }).unwrap()
}

fn contents(file: &File<'_>) -> Vec<u8> {
    let mut bytes = vec![0; file.size() as usize];
    file.read_at(&mut bytes, 0).unwrap();
    bytes
}

fn numbered(pages: usize) -> Vec<u8> {
    (0..pages * PAGE).map(|at| (at / 16 % 251) as u8).collect()
}

fn write_from(
    file: &File<'_>,
    mapping: &Mapping<'_>,
    from: u64,
    to: u64,
    len: u64,
) -> Result<usize, FsError> {
    file.write_vectored_at(&[mapping.buffer(from..from + len).unwrap()], to)
}

fn read_into(file: &File<'_>, mapping: &Mapping<'_>, from: u64, to: u64, len: u64) -> Result<usize, FsError> {
    file.read_vectored_at(&[mapping.buffer(to..to + len).unwrap()], from)
}

/// Neither the page that is written nor the buffer's page is mapped or has a block yet, and every
/// write and read has to fault on the file that it holds i_rwsem of (generic/647).
#[test]
fn a_file_is_written_from_and_read_into_a_mapping_of_itself() {
    for variant in Variant::COMPARED {
        let device = device(1 << 20);
        let fs = FileSystem::format(&device, variant);
        for hole_first in [false, true] {
            let file = fs.create();
            file.truncate(8 * BLOCK_SIZE).unwrap();
            let mapping = file.mmap(0..8 * BLOCK_SIZE);
            let bytes = numbered(2);
            if !hole_first {
                file.write_at(&bytes, 0).unwrap();
            }
            let expected = if hole_first { vec![0; 2 * PAGE] } else { bytes };
            let len = 2 * BLOCK_SIZE - 9;
            assert_eq!(
                write_from(&file, &mapping, 5, 4 * BLOCK_SIZE + 3, len),
                Ok(len as usize),
                "{variant}"
            );
            assert_eq!(read_into(&file, &mapping, 4 * BLOCK_SIZE + 3, 6 * BLOCK_SIZE, len), Ok(len as usize));
            let after = contents(&file);
            for at in [4 * PAGE + 3, 6 * PAGE] {
                assert!(after[at..at + len as usize] == expected[5..5 + len as usize], "{variant}: at {at}");
            }
            let mut seen = vec![0; after.len()];
            mapping.load(0, &mut seen).unwrap();
            assert!(seen == after, "{variant}");
        }
    }
}

/// The page that is written is the buffer's page (generic/248): whole, over itself, and by a part.
#[test]
fn a_page_is_written_from_itself() {
    for variant in Variant::COMPARED {
        let device = device(1 << 20);
        let fs = FileSystem::format(&device, variant);
        let file = fs.create();
        let mut bytes = numbered(1);
        file.write_at(&bytes, 0).unwrap();
        let mapping = file.mmap(0..BLOCK_SIZE);
        assert_eq!(write_from(&file, &mapping, 0, 0, BLOCK_SIZE), Ok(PAGE));
        assert!(contents(&file) == bytes, "{variant}");
        mapping.dont_need(0..BLOCK_SIZE);
        assert_eq!(write_from(&file, &mapping, 16, 1000, 500), Ok(500));
        bytes.copy_within(16..516, 1000);
        assert!(contents(&file) == bytes, "{variant}");
        assert_eq!(read_into(&file, &mapping, 1000, 0, 500), Ok(500));
        bytes.copy_within(1000..1500, 0);
        assert!(contents(&file) == bytes, "{variant}");
    }
}

/// generic/638: several parts of the file, mapped, written in one call over where one of them lies.
#[test]
fn several_mapped_buffers_go_to_a_place_that_overlaps_one_of_them() {
    for variant in Variant::COMPARED {
        let device = device(1 << 20);
        let fs = FileSystem::format(&device, variant);
        let file = fs.create();
        let mut expected = numbered(6);
        file.write_at(&expected, 0).unwrap();
        let mapping = file.mmap(0..6 * BLOCK_SIZE);
        let part = |from: usize, len: usize| mapping.buffer(from as u64..(from + len) as u64).unwrap();
        let parts = [part(PAGE, PAGE), part(7, 0), part(3 * PAGE + 100, 300), part(0, PAGE + 1)];
        assert_eq!(file.write_vectored_at(&parts, 4 * BLOCK_SIZE), Ok(2 * PAGE + 301), "{variant}");
        let mut source = expected[PAGE..2 * PAGE].to_vec();
        source.extend_from_slice(&expected[3 * PAGE + 100..][..300]);
        source.extend_from_slice(&expected[..=PAGE]);
        expected.truncate(4 * PAGE);
        expected.extend_from_slice(&source);
        assert!(contents(&file) == expected, "{variant}");
        assert_eq!(file.write_vectored_at(&[], 0), Ok(0));
        assert_eq!(file.read_vectored_at(&[part(9, 0)], 0), Ok(0));
    }
}

/// Two writers, each of which writes to the page that the other one writes from. A writer that held
/// a lock of its page over the copy would wait for the other.
#[test]
fn writers_that_cross_come_to_an_end() {
    const ROUNDS: u64 = 200;
    for variant in Variant::COMPARED.into_iter().filter(|variant| variant.is_correct()) {
        let device = device(1 << 20);
        let fs = FileSystem::format(&device, variant);
        let files = [fs.create(), fs.create()];
        for (one, other) in [(0, 0), (0, 1)] {
            let start = Barrier::new(2);
            thread::scope(|s| {
                for side in [0, 1] {
                    let (files, start) = (&files, &start);
                    s.spawn(move || {
                        let (source, target) = if side == 0 { (one, other) } else { (other, one) };
                        let (from, to) = (side * BLOCK_SIZE, (1 - side) * BLOCK_SIZE);
                        let (source, target) = (&files[source], &files[target]);
                        source.truncate(source.size().max(2 * BLOCK_SIZE)).unwrap();
                        start.wait();
                        for _ in 0..ROUNDS {
                            let mapping = source.mmap(0..2 * BLOCK_SIZE);
                            assert_eq!(write_from(target, &mapping, from, to, BLOCK_SIZE), Ok(PAGE));
                            source.punch_hole(from, BLOCK_SIZE).unwrap();
                        }
                    });
                }
            });
        }
    }
}

/// A hook takes the buffer's translations away several times, each time just after the buffer was
/// faulted in. The copy is made again as often. From a page that cannot be copied in eight tries it
/// is made through a bounce buffer. Every repetition is counted. Where faults stay on, nothing is
/// repeated.
#[test]
fn copies_that_come_out_short_are_made_again_and_counted() {
    // What a hook uses lives as long as the program.
    let device: &Device = Box::leak(Box::new(device(1 << 20)));
    for variant in [Variant::RangeLockCopy, Variant::RangeLock] {
        for (times, retries, bounced) in [(0, 0, 0), (1, 1, 0), (7, 7, 0), (8, 8, 1), (1000, 16, 2)] {
            let (buffer, left) = (Arc::new(OnceLock::<Mapping<'_>>::new()), AtomicU32::new(times));
            let in_hook = Arc::clone(&buffer);
            // write(2) asks for i_mmap_sem over its own pages, with nothing but i_rwsem held.
            let hook = move |point, page| {
                let mapping = in_hook.get().filter(|_| point == SchedulePoint::Lock(LockClass::IMmapSem));
                if let Some(mapping) = mapping.filter(|_| page < 2)
                    && left.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)).is_ok()
                {
                    mapping.dont_need(8 * BLOCK_SIZE..10 * BLOCK_SIZE);
                }
            };
            let fs = FileSystem::format(device, variant).with_schedule(Schedule::hook(hook));
            let fs: &FileSystem<'_> = Box::leak(Box::new(fs));
            let (target, source) = (fs.create(), Box::leak(Box::new(fs.create())));
            let bytes = numbered(2);
            source.truncate(10 * BLOCK_SIZE).unwrap();
            let mapping = buffer.get_or_init(|| source.mmap(0..10 * BLOCK_SIZE));
            mapping.store(8 * BLOCK_SIZE, &bytes).unwrap();
            assert_eq!(write_from(&target, mapping, 8 * BLOCK_SIZE, 0, 2 * BLOCK_SIZE), Ok(2 * PAGE));
            assert!(contents(&target) == bytes, "{variant}, taken away {times} times");
            let counted = fs.copy_retries();
            let expected = if variant == Variant::RangeLockCopy { (retries, bounced) } else { (0, 0) };
            assert_eq!((counted.retries, counted.bounced), expected, "{variant}, taken away {times} times");
        }
    }
}

/// generic/413: from file to file, through a mapping on either side, at offsets that split pages.
#[test]
fn one_file_is_copied_to_another_through_a_mapping() {
    for variant in Variant::COMPARED {
        let device = device(1 << 20);
        let fs = FileSystem::format(&device, variant);
        let (file, other) = (fs.create(), fs.create());
        let bytes = numbered(5);
        file.write_at(&bytes, 0).unwrap();
        let len = 5 * BLOCK_SIZE;
        assert_eq!(write_from(&other, &file.mmap(0..len), 0, 77, len), Ok(5 * PAGE));
        assert!(contents(&other)[77..] == bytes, "{variant}");
        let back = fs.create();
        back.truncate(len).unwrap();
        assert_eq!(read_into(&other, &back.mmap(0..len), 77, 0, len), Ok(5 * PAGE));
        assert!(contents(&back) == bytes, "{variant}");
        // Blocks that are shared come to the buffer as well, and stores to it do not change what
        // they shared.
        other.clone_range(&file, 0, 0, 0).unwrap();
        assert_eq!(read_into(&file, &other.mmap(0..len), 0, 100, len - 100), Ok(5 * PAGE - 100));
        assert!(contents(&file) == bytes && contents(&other)[100..5 * PAGE] == bytes[..5 * PAGE - 100]);
    }
}

/// A fault that fails ends the copy: what came before counts, and if nothing did it is EFAULT.
#[test]
fn a_buffer_past_the_end_of_its_file_makes_the_copy_short() {
    for variant in Variant::COMPARED {
        let device = device(1 << 20);
        let fs = FileSystem::format(&device, variant);
        let (file, other) = (fs.create(), fs.create());
        let bytes = numbered(2);
        file.write_at(&bytes, 0).unwrap();
        let mapping = file.mmap(0..8 * BLOCK_SIZE);
        assert_eq!(
            write_from(&other, &mapping, BLOCK_SIZE + 1, 0, 4 * BLOCK_SIZE),
            Ok(PAGE - 1),
            "{variant}"
        );
        assert_eq!(other.size(), BLOCK_SIZE - 1);
        assert!(contents(&other) == bytes[PAGE + 1..]);
        assert_eq!(other.extents().len(), 1, "blocks past the end were given back");
        let nothing = write_from(&other, &mapping, 2 * BLOCK_SIZE, 9 * BLOCK_SIZE, 10);
        assert_eq!(nothing, Err(FsError::BadAddress), "{variant}");
        assert_eq!((other.size(), other.extents().len()), (BLOCK_SIZE - 1, 1));
        other.write_at(&numbered(4), 0).unwrap();
        assert_eq!(read_into(&other, &mapping, 10, BLOCK_SIZE, 2 * BLOCK_SIZE), Ok(PAGE));
        assert!(contents(&file)[PAGE..] == numbered(4)[10..PAGE + 10]);
        assert_eq!(read_into(&other, &mapping, 0, 2 * BLOCK_SIZE, 1), Err(FsError::BadAddress));
        assert_eq!(fs.free_blocks(), device.blocks() - 2 - 4);
    }
}

/// A read into a mapped hole needs a block, and there is none.
#[test]
fn a_buffer_that_gets_no_block_makes_the_read_short() {
    let device = device(1 << 20);
    let fs = FileSystem::format(&device, Variant::RangeLock);
    let (file, holes) = (fs.create(), fs.create());
    file.write_at(&vec![7; device.size() as usize - PAGE], 0).unwrap();
    holes.truncate(4 * BLOCK_SIZE).unwrap();
    let mapping = holes.mmap(0..4 * BLOCK_SIZE);
    assert_eq!(read_into(&file, &mapping, 0, 0, 4 * BLOCK_SIZE), Ok(PAGE));
    assert_eq!(read_into(&file, &mapping, 0, BLOCK_SIZE, 10), Err(FsError::BadAddress));
    assert!(matches!(mapping.buffer(0..5 * BLOCK_SIZE), Err(FsError::OutsideMapping { .. })));
}
