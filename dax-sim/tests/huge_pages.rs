//! 2 MiB pages: when they are mapped, when not, and what becomes of them.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Barrier, Mutex};
use std::thread;
use std::time::Duration;

use dax_sim::check::check_invariants;
use dax_sim::error::FsError;
use dax_sim::file::{AddressSpace, File, MapOptions, Mapping};
use dax_sim::fs::{Extent, FileSystem};
use dax_sim::pmem::{BLOCK_SIZE, Device, DeviceOptions};
use dax_sim::schedule::{Schedule, SchedulePoint};
use dax_sim::variant::Variant;

const PMD: u64 = 2 << 20;

fn device(size: u64) -> Device {
    Device::open(&DeviceOptions { path: None, size, overwrite: false }).unwrap()
}

fn huge(device: &Device, variant: Variant) -> FileSystem<'_> {
    FileSystem::format(device, variant).with_huge_pages()
}

fn correct() -> impl Iterator<Item = Variant> {
    Variant::COMPARED.into_iter().filter(|variant| variant.is_correct())
}

/// Such that only single pages are mapped.
fn small_pages<'a>(file: &'a File<'_>, len: u64) -> Mapping<'a> {
    file.mmap_in(&AddressSpace::new(), 0..len, MapOptions::new().huge_pages(false))
}

/// xfstests' t_mmap_stale_pmd (generic/428): the huge zero page gives way to a write of a few
/// bytes.
#[test]
fn a_write_into_a_hole_is_seen_where_the_huge_zero_page_was_mapped() {
    for variant in Variant::COMPARED {
        let device = device(8 << 20);
        let fs = huge(&device, variant);
        let file = fs.create();
        file.truncate(2 * PMD).unwrap();
        let mapping = file.mmap(PMD..2 * PMD);
        assert_eq!(mapping.load_u64(PMD + 8), Ok(0));
        assert_eq!(mapping.mapped_size(2 * PMD - 1), Some(PMD), "{variant}");
        assert_eq!(file.write_at(b"hello, world", PMD), Ok(12));
        assert_eq!(mapping.load_u64(PMD), Ok(u64::from_le_bytes(*b"hello, w")), "{variant}");
        assert_eq!(mapping.mapped_size(PMD), Some(BLOCK_SIZE));
        assert_eq!(mapping.load_u64(2 * PMD - 8), Ok(0));
    }
}

#[test]
fn a_store_into_a_hole_maps_2_mib_and_so_do_loads_of_what_was_written_or_reserved() {
    for variant in Variant::COMPARED {
        let device = device(16 << 20);
        let fs = huge(&device, variant);
        let file = fs.create();
        file.truncate(4 * PMD).unwrap();
        file.write_at(&vec![7; PMD as usize], PMD).unwrap();
        file.fallocate(2 * PMD, PMD).unwrap();
        let mapping = file.mmap(0..4 * PMD);
        assert_eq!(mapping.load_u64(4 * PMD - 8), Ok(0), "the huge zero page");
        mapping.store_u64(4096, 1).unwrap();
        assert_eq!(mapping.load_u64(PMD + 4096), Ok(0x0707_0707_0707_0707));
        mapping.store_u64(2 * PMD + 8, 2).unwrap();
        for part in 0..4 {
            assert_eq!(mapping.mapped_size(part * PMD + 12345), Some(PMD), "{variant}: part {part}");
        }
        assert_eq!(mapping.load_u64(4096), Ok(1));
        assert_eq!(mapping.load_u64(2 * PMD + 8), Ok(2));
        let written = |(_, extent): &(u64, Extent)| matches!(extent, Extent::Written(_));
        assert!(file.extents().iter().all(written) && file.extents().len() == 3 * 512);
        // A store to what is mapped for loads, as a whole: the huge zero page, and blocks.
        mapping.store_u64(3 * PMD, 3).unwrap();
        mapping.store_u64(PMD, 4).unwrap();
        let mut word = [0; 8];
        for (at, expected) in [(4096, 1), (PMD, 4), (2 * PMD + 8, 2), (3 * PMD, 3)] {
            file.read_at(&mut word, at).unwrap();
            assert_eq!((u64::from_le_bytes(word), mapping.mapped_size(at)), (expected, Some(PMD)));
        }
        drop(mapping);
        drop(file);
        assert_eq!(fs.free_blocks(), device.blocks());
    }
}

/// Blocks that are reserved read as zeros, all 2 MiB of them, and a large write is aligned where it
/// can be.
#[test]
fn unwritten_blocks_are_the_huge_zero_page_and_large_writes_are_aligned() {
    for variant in Variant::COMPARED {
        let device = device(16 << 20);
        for block in 0..device.blocks() {
            device.write(block * BLOCK_SIZE, &[0xee; 4096]);
        }
        let fs = huge(&device, variant);
        let file = fs.create();
        file.fallocate(0, PMD).unwrap();
        let mapping = file.mmap(0..5 * PMD);
        assert_eq!(mapping.load_u64(PMD - 8), Ok(0));
        assert_eq!(mapping.mapped_size(0), Some(PMD), "{variant}");
        file.write_at(&[1; 8], 4096).unwrap();
        assert_eq!([0, 4096].map(|at| mapping.load_u64(at).unwrap()), [0, 0x0101_0101_0101_0101]);
        file.write_at(&vec![2; 3 * PMD as usize], PMD + 5000).unwrap();
        for (part, size) in [(1, BLOCK_SIZE), (2, PMD), (3, PMD), (4, BLOCK_SIZE)] {
            assert_eq!(
                mapping.load_u64(part * PMD + 5096),
                if part < 4 { Ok(0x0202_0202_0202_0202) } else { Ok(0) }
            );
            assert_eq!(mapping.mapped_size(part * PMD + 5096), Some(size), "{variant}: part {part}");
        }
    }
}

/// Whatever keeps a fault from mapping 2 MiB, it maps the page.
#[test]
fn where_2_mib_do_not_fit_the_page_is_mapped() {
    for variant in Variant::COMPARED {
        let device = device(16 << 20);
        let fs = huge(&device, variant);
        let file = fs.create();
        file.truncate(3 * PMD - 1).unwrap();
        let stored = |mapping: &Mapping<'_>, at: u64| {
            mapping.store_u64(at, at).unwrap();
            assert_eq!(mapping.load_u64(at), Ok(at));
            mapping.mapped_size(at).unwrap()
        };
        let space = AddressSpace::new();
        assert_eq!(
            stored(&file.mmap(BLOCK_SIZE..3 * PMD), 0x2000),
            BLOCK_SIZE,
            "it begins before the mapping"
        );
        assert_eq!(stored(&file.mmap(0..PMD - 4096), 0x3000), BLOCK_SIZE, "it ends behind the mapping");
        file.truncate(3 * PMD - 4096).unwrap();
        assert_eq!(stored(&file.mmap(0..3 * PMD), 2 * PMD), BLOCK_SIZE, "it ends behind the file");
        assert_eq!(stored(&file.mmap(0..3 * PMD), 0x4000), BLOCK_SIZE, "pages of it have entries");
        let askew = file.mmap_in(&space, PMD..2 * PMD, MapOptions::new().address((1 << 30) + BLOCK_SIZE));
        assert_eq!(stored(&askew, PMD), BLOCK_SIZE, "it is not aligned in the address space");
        drop(askew);
        file.truncate(0).unwrap();
        file.truncate(3 * PMD).unwrap();
        let straight = file.mmap_in(&space, PMD..2 * PMD, MapOptions::new().address(1 << 30));
        assert_eq!(stored(&straight, PMD), PMD);
        // Blocks that are not aligned on the device, since somebody took the first.
        file.truncate(0).unwrap();
        let first = fs.create();
        first.write_at(&[0], 0).unwrap();
        file.truncate(PMD + BLOCK_SIZE).unwrap();
        file.write_at(&[1; 4096], PMD).unwrap();
        file.write_at(&vec![2; PMD as usize - 1], PMD + BLOCK_SIZE).unwrap();
        assert_eq!(straight.load_u64(PMD + 0x1000), Ok(0x0202_0202_0202_0202));
        assert_eq!(straight.mapped_size(PMD + 0x1000), Some(BLOCK_SIZE), "{variant}");
        // No 2 MiB are free in one piece.
        let rest = fs.create();
        let free = fs.free_blocks();
        rest.write_at(&vec![3; (free * BLOCK_SIZE) as usize], 0).unwrap();
        for page in (0..free).step_by(100) {
            rest.punch_hole(page * BLOCK_SIZE, BLOCK_SIZE).unwrap();
        }
        assert_eq!(stored(&file.mmap(0..PMD), 0), BLOCK_SIZE);
        assert_eq!(rest.mmap(0..PMD).load_u64(0), Ok(0));
        assert_eq!(rest.mmap(0..PMD).load_u64(BLOCK_SIZE), Ok(0x0303_0303_0303_0303));
    }
}

#[test]
fn past_the_end_of_the_file_2_mib_are_sigbus_as_well() {
    for variant in Variant::COMPARED {
        let device = device(8 << 20);
        let fs = huge(&device, variant);
        let file = fs.create();
        file.truncate(2 * PMD).unwrap();
        let mapping = file.mmap(0..3 * PMD);
        mapping.store_u64(PMD + 8, 1).unwrap();
        let past = |size| FsError::BusError { offset: 2 * PMD, size };
        assert_eq!(mapping.store_u64(2 * PMD, 1), Err(past(2 * PMD)), "{variant}");
        file.truncate(PMD + 10).unwrap();
        assert_eq!(mapping.mapped_size(PMD), None, "a part of it went");
        assert_eq!(mapping.load_u64(2 * PMD), Err(past(PMD + 10)));
        assert_eq!(mapping.load_u64(PMD + 8), Ok(1));
        assert_eq!(mapping.load_u64(PMD + 16), Ok(0));
        assert_eq!(mapping.mapped_size(PMD), Some(BLOCK_SIZE));
        let bus = Err(FsError::BusError { offset: PMD + 4096, size: PMD + 10 });
        assert_eq!(mapping.load_u64(PMD + 4096), bus);
    }
}

/// A part of 2 MiB goes, is moved, or is shared: the rest stays what it was, in whatever size
/// others map it.
#[test]
fn what_happens_to_a_part_of_2_mib_leaves_the_rest_alone() {
    type Change = fn(&File<'_>, &FileSystem<'_>);
    let changes: [(&str, Change, u64); 5] = [
        ("punch", |file, _| file.punch_hole(PMD + 8 * BLOCK_SIZE, BLOCK_SIZE).unwrap(), 0),
        ("zero", |file, _| file.zero_range(PMD + 8 * BLOCK_SIZE, BLOCK_SIZE).unwrap(), 0),
        (
            "write",
            |file, _| {
                file.write_at(&[1; 4096], PMD + 8 * BLOCK_SIZE).unwrap();
            },
            0x0101_0101_0101_0101,
        ),
        (
            "clone out, and write",
            |file, fs| {
                let clone = fs.create();
                clone.clone_range(file, PMD + 4 * BLOCK_SIZE, 0, 8 * BLOCK_SIZE).unwrap();
                file.write_at(&[1; 4096], PMD + 8 * BLOCK_SIZE).unwrap();
                let mut word = [0; 8];
                clone.read_at(&mut word, 4 * BLOCK_SIZE).unwrap();
                assert_eq!(u64::from_le_bytes(word), 1008);
            },
            0x0101_0101_0101_0101,
        ),
        (
            "clone in",
            |file, fs| {
                let source = fs.create();
                source.write_at(&[1; 4096], 0).unwrap();
                file.clone_range(&source, 0, PMD + 8 * BLOCK_SIZE, BLOCK_SIZE).unwrap();
            },
            0x0101_0101_0101_0101,
        ),
    ];
    for variant in Variant::COMPARED {
        for (name, change, expected) in changes {
            let device = device(16 << 20);
            let fs = huge(&device, variant);
            let file = fs.create();
            file.truncate(3 * PMD).unwrap();
            let (large, small) = (file.mmap(0..3 * PMD), small_pages(&file, 3 * PMD));
            for page in 0..512 {
                large.store_u64(PMD + page * BLOCK_SIZE, 1000 + page).unwrap();
                assert_eq!(small.load_u64(PMD + page * BLOCK_SIZE), Ok(1000 + page));
            }
            small.store_u64(PMD + 9 * BLOCK_SIZE + 8, 5).unwrap();
            assert_eq!((large.mapped_size(PMD), small.mapped_size(PMD)), (Some(PMD), Some(BLOCK_SIZE)));
            change(&file, &fs);
            for mapping in [&large, &small] {
                for page in 0..512 {
                    let expected = if page == 8 { expected } else { 1000 + page };
                    let told = || format!("{variant}, {name}: page {page}");
                    assert_eq!(mapping.load_u64(PMD + page * BLOCK_SIZE), Ok(expected), "{}", told());
                }
            }
            // Both go on to see what the other stores.
            for at in [8, 9, 500].map(|page| PMD + page * BLOCK_SIZE + 16) {
                large.store_u64(at, at).unwrap();
                assert_eq!(small.load_u64(at), Ok(at), "{variant}, {name}");
                small.store_u64(at, 1).unwrap();
                assert_eq!(large.load_u64(at), Ok(1), "{variant}, {name}");
            }
            file.fsync().unwrap();
            let mut word = [0; 8];
            file.read_at(&mut word, PMD + 9 * BLOCK_SIZE + 8).unwrap();
            assert_eq!(u64::from_le_bytes(word), 5);
            assert_eq!(check_invariants(&fs, std::slice::from_ref(&file)), [], "{variant}, {name}");
        }
    }
}

/// A page is wanted where others map the huge zero page: its entry is taken apart, and unmapped
/// before.
#[test]
fn the_huge_zero_page_gives_way_to_a_page() {
    for variant in Variant::COMPARED {
        let device = device(8 << 20);
        let fs = huge(&device, variant);
        let file = fs.create();
        file.truncate(PMD).unwrap();
        let (large, small) = (file.mmap(0..PMD), small_pages(&file, PMD));
        assert_eq!(large.load_u64(0), Ok(0));
        assert_eq!(large.mapped_size(0), Some(PMD));
        assert_eq!(small.load_u64(0), Ok(0));
        assert_eq!(large.mapped_size(0), None, "{variant}: pages win");
        small.store_u64(8, 1).unwrap();
        assert_eq!(large.load_u64(8), Ok(1), "{variant}");
        assert_eq!(large.mapped_size(0), Some(BLOCK_SIZE));
    }
}

/// Blocks that two files share in pieces of 2 MiB are mapped in one piece for loads, and a store
/// copies the page alone.
#[test]
fn shared_2_mib_are_mapped_for_loads_and_copied_page_by_page() {
    for variant in Variant::COMPARED {
        let device = device(8 << 20);
        let fs = huge(&device, variant);
        let (file, clone) = (fs.create(), fs.create());
        file.write_at(&vec![7; PMD as usize], 0).unwrap();
        clone.clone_range(&file, 0, 0, 0).unwrap();
        let (ours, theirs) = (file.mmap(0..PMD), clone.mmap(0..PMD));
        for mapping in [&ours, &theirs] {
            assert_eq!(mapping.load_u64(PMD - 8), Ok(0x0707_0707_0707_0707));
            assert_eq!(mapping.mapped_size(0), Some(PMD), "{variant}");
        }
        let free = fs.free_blocks();
        ours.store_u64(4096, 1).unwrap();
        assert_eq!(fs.free_blocks(), free - 1);
        assert_eq!([&ours, &theirs].map(|mapping| mapping.load_u64(4096).unwrap() == 1), [true, false]);
        assert_eq!((ours.mapped_size(0), theirs.mapped_size(0)), (None, Some(PMD)));
        assert_eq!(fs.shared_blocks(), 511);
    }
}

/// An entry of 2 MiB is dirty for the sake of one page, and another page of it comes to have
/// another block: what maps that page goes all the same.
#[test]
fn a_dirty_entry_of_2_mib_does_not_keep_a_block_mapped_that_a_copy_has_replaced() {
    for variant in Variant::COMPARED {
        let device = device(8 << 20);
        let fs = huge(&device, variant);
        let (file, clone) = (fs.create(), fs.create());
        file.write_at(&vec![7; PMD as usize], 0).unwrap();
        let (large, small) = (file.mmap(0..PMD), small_pages(&file, PMD));
        large.store_u64(0, 1).unwrap();
        clone.clone_range(&file, 5 * BLOCK_SIZE, 0, BLOCK_SIZE).unwrap();
        assert_eq!(small.load_u64(5 * BLOCK_SIZE), Ok(0x0707_0707_0707_0707));
        small.store_u64(9 * BLOCK_SIZE, 2).unwrap();
        file.write_at(&[1; 8], 5 * BLOCK_SIZE).unwrap();
        assert_eq!(small.load_u64(5 * BLOCK_SIZE), Ok(0x0101_0101_0101_0101), "{variant}");
        assert_eq!([0, 9].map(|page| large.load_u64(page * BLOCK_SIZE).unwrap()), [1, 2]);
    }
}

/// A write fault of 2 MiB gives the huge zero page up before it allocates. Else a write(2) of any
/// of the pages, which finds its block there, has nothing new to invalidate and returns while the
/// zero page is mapped.
#[test]
fn a_write_fault_of_2_mib_does_not_hide_its_blocks_from_write_2() {
    for variant in correct() {
        let device = device(8 << 20);
        let (looked_up, go) = channel();
        let (progress, heard) = channel();
        let (looked_up, heard) = (Mutex::new(looked_up), Mutex::new(heard));
        let waiting = Mutex::new(progress.clone());
        let schedule = Schedule::hook(move |point, _| match point {
            SchedulePoint::FaultLookedUp { write: true } => {
                looked_up.lock().unwrap().send(()).unwrap();
                let _ = heard.lock().unwrap().recv();
            }
            SchedulePoint::EntryContended | SchedulePoint::IMmapSemContended => {
                let _ = waiting.lock().unwrap().send(());
            }
            _ => {}
        });
        let fs = huge(&device, variant).with_schedule(schedule);
        let file = fs.create();
        file.truncate(PMD).unwrap();
        let mapping = file.mmap(0..PMD);
        assert_eq!(mapping.load_u64(0), Ok(0));
        thread::scope(|s| {
            let other = &file;
            s.spawn(move || other.mmap(0..PMD).store_u64(8, 1).unwrap());
            go.recv().unwrap();
            // The store's fault has allocated all blocks, and is held until this thread has read or
            // must wait.
            file.write_at(&[1; 8], 3 * BLOCK_SIZE).unwrap();
            let seen = mapping.load_u64(3 * BLOCK_SIZE);
            let _ = progress.send(());
            assert_eq!(seen, Ok(0x0101_0101_0101_0101), "{variant}");
        });
    }
}

/// fsync takes the right to store from all that an entry of 2 MiB stands for, in whatever size it
/// is mapped.
#[test]
fn the_first_store_after_fsync_faults_in_either_size() {
    for variant in Variant::COMPARED {
        let device = device(8 << 20);
        let faults = Arc::new(AtomicU32::new(0));
        let fs = huge(&device, variant).with_schedule({
            let faults = Arc::clone(&faults);
            Schedule::hook(move |point, _| {
                if matches!(point, SchedulePoint::FaultLookedUp { write: true } | SchedulePoint::PfnMkwrite) {
                    faults.fetch_add(1, Ordering::SeqCst);
                }
            })
        });
        let file = fs.create();
        file.truncate(PMD).unwrap();
        let (large, small) = (file.mmap(0..PMD), small_pages(&file, PMD));
        large.store_u64(0, 1).unwrap();
        for round in 0..3 {
            for store in 0..2 {
                faults.store(0, Ordering::SeqCst);
                large.store_u64(PMD - 8, round).unwrap();
                assert_eq!(faults.swap(0, Ordering::SeqCst), u32::from(round > 0 && store == 0), "{variant}");
                small.store_u64(7 * BLOCK_SIZE, round).unwrap();
                assert_eq!(faults.swap(0, Ordering::SeqCst), u32::from(store == 0), "{variant}");
            }
            assert_eq!(
                (large.mapped_size(0), small.mapped_size(7 * BLOCK_SIZE)),
                (Some(PMD), Some(BLOCK_SIZE))
            );
            file.fsync().unwrap();
        }
    }
}

/// Each thread has a slot in every page of two 2 MiB, and looks by read(2), and through mappings of
/// either size; others punch, drop translations and sync. What it finds is what it left there.
#[test]
fn threads_with_slots_in_the_same_2_mib_find_what_they_left_there() {
    const SLOT: u64 = 512;
    const OPS: u32 = 1500;
    for variant in correct() {
        let device = device(16 << 20);
        let fs = huge(&device, variant).with_schedule(Schedule::widen(16, Duration::from_micros(3)));
        for round in 0..4 {
            let file = fs.create();
            file.truncate(2 * PMD).unwrap();
            let start = Barrier::new(4);
            thread::scope(|s| {
                for slot in 0..4_u64 {
                    let (file, start) = (&file, &start);
                    s.spawn(move || {
                        let mut random = fastrand::Rng::with_seed(round * 4 + slot);
                        // Few pages at a time, so that threads meet.
                        let pages: Vec<u64> = (0..16).map(|i| i % 4 + i / 4 * 200).collect();
                        let mut model = vec![0_u64; pages.len()];
                        let mut mapping = file.mmap(0..2 * PMD);
                        start.wait();
                        for number in 0..OPS {
                            let at = random.usize(..pages.len());
                            let offset = pages[at] * BLOCK_SIZE + slot * SLOT;
                            let value = (u64::from(number) << 8) | (slot + 1);
                            match random.u8(..20) {
                                0..4 => {
                                    mapping.store_u64(offset, value).unwrap();
                                    model[at] = value;
                                }
                                4..7 => {
                                    assert_eq!(file.write_at(&value.to_le_bytes(), offset), Ok(8));
                                    model[at] = value;
                                }
                                7..9 => {
                                    file.punch_hole(offset, SLOT).unwrap();
                                    model[at] = 0;
                                }
                                9..14 => assert_eq!(mapping.load_u64(offset), Ok(model[at]), "{variant}"),
                                14..17 => {
                                    let mut word = [0; 8];
                                    file.read_at(&mut word, offset).unwrap();
                                    assert_eq!(u64::from_le_bytes(word), model[at], "{variant}");
                                }
                                17 => mapping.dont_need(0..PMD),
                                18 => file.fsync().unwrap(),
                                _ => {
                                    mapping = match random.u8(..3) {
                                        0 => small_pages(file, 2 * PMD),
                                        _ => file.mmap(0..2 * PMD),
                                    }
                                }
                            }
                        }
                    });
                }
                // One takes whole pages that are free, next to those that they have, and
                // gives them back, so that entries of 2 MiB come and go.
                let file = &file;
                s.spawn(move || {
                    let mapping = file.mmap(0..2 * PMD);
                    for round in 0..100 {
                        file.punch_hole(PMD + BLOCK_SIZE * 500, BLOCK_SIZE).unwrap();
                        mapping.store_u64(PMD + BLOCK_SIZE * 501, round).unwrap();
                        file.punch_hole(BLOCK_SIZE * 300, BLOCK_SIZE * 10).unwrap();
                        assert_eq!(mapping.load_u64(BLOCK_SIZE * 305), Ok(0));
                    }
                });
            });
        }
        assert_eq!(fs.free_blocks(), device.blocks(), "{variant}");
    }
}

/// Files come and go in one 2 MiB, so that faults of both sizes meet over and over
/// (t_mmap_collision, d0f0931de936).
#[test]
fn faults_of_both_sizes_on_one_2_mib_meet_and_agree() {
    for variant in correct() {
        let device = device(8 << 20);
        let fs = huge(&device, variant).with_schedule(Schedule::widen(4, Duration::from_micros(3)));
        for _ in 0..150 {
            let file = fs.create();
            file.truncate(PMD).unwrap();
            let start = Barrier::new(3);
            thread::scope(|s| {
                for (thread, is_huge) in (0..3).zip([true, false, true]) {
                    let (file, start) = (&file, &start);
                    s.spawn(move || {
                        let options = MapOptions::new().huge_pages(is_huge);
                        let mapping = file.mmap_in(&AddressSpace::new(), 0..PMD, options);
                        start.wait();
                        let at = thread * 8;
                        assert!(mapping.load_u64(at).is_ok());
                        mapping.store_u64(at, thread + 1).unwrap();
                        start.wait();
                        for other in 0..3 {
                            assert_eq!(mapping.load_u64(other * 8), Ok(other + 1), "{variant}");
                        }
                    });
                }
            });
        }
        assert_eq!(fs.free_blocks(), device.blocks(), "{variant}");
    }
}

/// Nothing is promised of what a variant without locks reads; but it must come to an end, and lose
/// no block. Of the others neither is promised too much.
#[test]
fn whatever_many_threads_do_with_2_mib_ends_and_loses_no_block() {
    const SIZE: u64 = 3 * PMD;
    for variant in Variant::COMPARED {
        let device = device(24 << 20);
        let fs = huge(&device, variant).with_schedule(Schedule::widen(16, Duration::from_micros(3)));
        let files = [fs.create(), fs.create()];
        // Mappings that outlive the threads, so that there is something to be looked at in the end.
        let whole = || 0..SIZE;
        let common = [files[0].mmap(whole()), files[1].mmap(whole()), small_pages(&files[0], SIZE)];
        thread::scope(|s| {
            for seed in 0..4 {
                let (files, whole, common) = (&files, &whole, &common);
                s.spawn(move || {
                    let mut random = fastrand::Rng::with_seed(seed);
                    let space = AddressSpace::new();
                    let map = |file: usize, options| files[file].mmap_in(&space, whole(), options);
                    let new = MapOptions::new;
                    let mut mappings = vec![map(0, new()), map(1, new()), map(0, new().huge_pages(false))];
                    mappings.extend([map(0, new().private()), map(1, new().sync())]);
                    for _ in 0..400 {
                        let (file, other) = (&files[random.usize(..2)], &files[random.usize(..2)]);
                        let mapping = random.usize(..mappings.len());
                        let at = match random.bool() {
                            true => random.u64(..3) * PMD,
                            false => random.u64(..SIZE - 5000) / 8 * 8,
                        };
                        let page = at - at % BLOCK_SIZE;
                        let len = random.choice([1, 4096, 5000, PMD]).unwrap().min(SIZE - at);
                        // Any of these may fail past the end of the file, or find no block.
                        match random.u8(..16) {
                            0 => drop(file.write_at(&vec![1; len as usize], at)),
                            1 => drop(file.punch_hole(at, len)),
                            2 => drop(file.truncate(at)),
                            3 => drop(file.truncate(SIZE)),
                            4 => drop(file.fallocate(at, len)),
                            5 => drop(file.zero_range(at, len)),
                            6 => drop(file.clone_range(other, page, page, BLOCK_SIZE)),
                            7 => drop(file.clone_range(other, 0, 0, PMD)),
                            8 => drop(file.collapse_range(page, BLOCK_SIZE)),
                            9 => drop(file.fsync()),
                            10 => mappings[mapping].dont_need(0..SIZE),
                            11 => drop(mappings[mapping].pin(at..at + 4096, random.bool())),
                            12 => {
                                let options = new().huge_pages(random.bool());
                                mappings[mapping] = map(random.usize(..2), options);
                            }
                            13 => drop(mappings[mapping].load_u64(at)),
                            14 => drop(common[random.usize(..3)].store_u64(at, seed)),
                            _ => drop(mappings[mapping].store_u64(at, seed)),
                        }
                    }
                });
            }
        });
        if variant.is_correct() {
            assert_eq!(check_invariants(&fs, &files), [], "{variant}");
        }
        drop(common);
        drop(files);
        assert_eq!((fs.free_blocks(), fs.shared_blocks()), (device.blocks(), 0), "{variant}");
    }
}
