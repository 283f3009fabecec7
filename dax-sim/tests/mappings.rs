//! Mappings other than shared and writable ones: private, read-only, MAP_SYNC, several in one
//! address space.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Barrier, Mutex};
use std::thread;

use dax_sim::error::FsError;
use dax_sim::file::{AddressSpace, File, MapOptions, Mapping};
use dax_sim::fs::FileSystem;
use dax_sim::pmem::{BLOCK_SIZE, Device, DeviceOptions};
use dax_sim::schedule::{Schedule, SchedulePoint};
use dax_sim::variant::Variant;

const PMD: u64 = 2 << 20;

fn device(size: u64) -> Device {
    Device::open(&DeviceOptions { path: None, size, overwrite: false }).unwrap()
}

fn map<'a>(file: &'a File<'_>, len: u64, options: MapOptions) -> Mapping<'a> {
    file.mmap_in(&AddressSpace::new(), 0..len, options)
}

fn private<'a>(file: &'a File<'_>, len: u64) -> Mapping<'a> {
    map(file, len, MapOptions::new().private())
}

fn word(file: &File<'_>, at: u64) -> u64 {
    let mut word = [0; 8];
    file.read_at(&mut word, at).unwrap();
    u64::from_le_bytes(word)
}

#[test]
fn a_store_to_a_private_mapping_is_nobody_elses_and_the_file_is_seen_where_there_was_none() {
    for variant in Variant::COMPARED {
        for huge in [false, true] {
            let device = device(8 << 20);
            let mut fs = FileSystem::format(&device, variant);
            if huge {
                fs = fs.with_huge_pages();
            }
            let file = fs.create();
            file.truncate(PMD).unwrap();
            file.write_at(&1_u64.to_le_bytes(), 0).unwrap();
            let (one, other, shared) = (private(&file, PMD), private(&file, PMD), file.mmap(0..PMD));
            let free = fs.free_blocks();
            assert_eq!(one.load_u64(0), Ok(1), "mapped for loads before");
            one.store_u64(8, 2).unwrap();
            other.store_u64(0, 3).unwrap();
            one.store_u64(4 * BLOCK_SIZE, 4).unwrap();
            assert_eq!(fs.free_blocks(), free, "{variant}: no block of the device");
            assert_eq!([0, 8].map(|at| one.load_u64(at).unwrap()), [1, 2]);
            assert_eq!([0, 8].map(|at| other.load_u64(at).unwrap()), [3, 0]);
            assert_eq!([0, 8].map(|at| shared.load_u64(at).unwrap()), [1, 0]);
            assert_eq!([0, 8, 4 * BLOCK_SIZE].map(|at| word(&file, at)), [1, 0, 0]);
            // A write to the file does not reach what was copied, and does what was not.
            file.write_at(&[5; 24], 0).unwrap();
            file.write_at(&[5; 24], 8 * BLOCK_SIZE).unwrap();
            shared.store_u64(9 * BLOCK_SIZE, 6).unwrap();
            assert_eq!([0, 8, 16].map(|at| one.load_u64(at).unwrap()), [1, 2, 0], "{variant}");
            assert_eq!(one.load_u64(8 * BLOCK_SIZE), Ok(0x0505_0505_0505_0505));
            assert_eq!(one.load_u64(9 * BLOCK_SIZE), Ok(6));
            // Nor does a punch; MADV_DONTNEED gives the copy up.
            file.punch_hole(0, PMD).unwrap();
            assert_eq!([0, 8].map(|at| one.load_u64(at).unwrap()), [1, 2]);
            assert_eq!(one.load_u64(8 * BLOCK_SIZE), Ok(0));
            file.fsync().unwrap();
            one.store(3, b"x").unwrap();
            assert_eq!(one.load_u64(0), Ok(1 | u64::from(b'x') << 24), "it is still writable after fsync");
            one.dont_need(0..BLOCK_SIZE);
            assert_eq!([0, 8].map(|at| one.load_u64(at).unwrap()), [0, 0]);
            assert_eq!(one.load_u64(4 * BLOCK_SIZE), Ok(4));
            // The end of the file takes copies along.
            file.truncate(2 * BLOCK_SIZE).unwrap();
            let size = 2 * BLOCK_SIZE;
            let bus = FsError::BusError { offset: 4 * BLOCK_SIZE, size };
            assert_eq!(one.load_u64(4 * BLOCK_SIZE), Err(bus), "{variant}");
            assert_eq!(one.store_u64(4 * BLOCK_SIZE, 1), Err(bus));
            file.truncate(PMD).unwrap();
            assert_eq!(one.load_u64(4 * BLOCK_SIZE), Ok(0));
        }
    }
}

/// Clones share blocks, and a private mapping copies from them.
#[test]
fn a_private_mapping_copies_from_blocks_that_are_shared_or_unwritten() {
    for variant in Variant::COMPARED {
        let device = device(1 << 20);
        for block in 0..device.blocks() {
            device.write(block * BLOCK_SIZE, &[0xee; 4096]);
        }
        let fs = FileSystem::format(&device, variant);
        let (file, clone) = (fs.create(), fs.create());
        file.write_at(&[7; 4096], 0).unwrap();
        file.fallocate(BLOCK_SIZE, BLOCK_SIZE).unwrap();
        clone.clone_range(&file, 0, 0, BLOCK_SIZE).unwrap();
        let mapping = private(&file, 2 * BLOCK_SIZE);
        mapping.store_u64(8, 1).unwrap();
        mapping.store_u64(BLOCK_SIZE + 8, 1).unwrap();
        assert_eq!([0, 8].map(|at| mapping.load_u64(at).unwrap()), [0x0707_0707_0707_0707, 1]);
        assert_eq!([0, 8].map(|at| mapping.load_u64(BLOCK_SIZE + at).unwrap()), [0, 1]);
        assert_eq!((fs.shared_blocks(), word(&clone, 8)), (1, 0x0707_0707_0707_0707), "{variant}");
    }
}

/// xfstests' t_mmap_cow_race (generic/437) and holetest on private mappings (generic/354): threads
/// load, store what they loaded, and drop 2 MiB, each in a private mapping of one file.
#[test]
fn private_mappings_of_one_file_do_not_leak_into_each_other() {
    for variant in Variant::COMPARED.into_iter().filter(|variant| variant.is_correct()) {
        let device = device(8 << 20);
        let fs = FileSystem::format(&device, variant).with_huge_pages();
        let file = fs.create();
        file.write_at(&vec![1; PMD as usize], 0).unwrap();
        let start = Barrier::new(4);
        let common = private(&file, PMD);
        thread::scope(|s| {
            for thread in 0..3_u64 {
                let (file, start, common) = (&file, &start, &common);
                s.spawn(move || {
                    let mut random = fastrand::Rng::with_seed(thread);
                    start.wait();
                    for _ in 0..30 {
                        let mapping = private(file, PMD);
                        for _ in 0..20 {
                            let at = random.u64(..512) * BLOCK_SIZE + 8 * thread;
                            let seen = mapping.load_u64(at).unwrap();
                            assert!(
                                [0x0101_0101_0101_0101, 0x0202_0202_0202_0202].contains(&seen),
                                "{seen:#x}"
                            );
                            mapping.store_u64(at, 100 + thread).unwrap();
                            assert_eq!(mapping.load_u64(at), Ok(100 + thread), "{variant}");
                            mapping.store_u64(at, seen).unwrap();
                            // In the mapping that all have, each has a word of its own in every
                            // page, and somebody may drop the page at any time.
                            common.store_u64(at, 100 + thread).unwrap();
                            let seen = common.load_u64(at).unwrap();
                            assert!(seen == 100 + thread || seen & 0xff < 3, "{variant}: {seen:#x}");
                            if random.u8(..8) == 0 {
                                common.dont_need(0..PMD);
                            }
                        }
                    }
                });
            }
            start.wait();
            for round in 0..60_u8 {
                file.write_at(&vec![1 + round % 2; PMD as usize], 0).unwrap();
                if round % 8 == 0 {
                    file.fsync().unwrap();
                }
            }
        });
        drop(common);
        drop(file);
        assert_eq!(fs.free_blocks(), device.blocks(), "{variant}");
    }
}

/// Threads that store to one private mapping have the same fault at once, and only one of them may
/// copy: else the second copy hides what the first thread has stored meanwhile.
#[test]
fn stores_of_many_threads_to_one_private_mapping_are_all_there() {
    const PAGES: u64 = 64;
    for variant in Variant::COMPARED {
        let device = device(1 << 20);
        let fs = FileSystem::format(&device, variant);
        let file = fs.create();
        file.truncate(PAGES * BLOCK_SIZE).unwrap();
        for _ in 0..10 {
            let mapping = private(&file, PAGES * BLOCK_SIZE);
            let start = Barrier::new(3);
            thread::scope(|s| {
                for thread in 0..3 {
                    let (mapping, start) = (&mapping, &start);
                    s.spawn(move || {
                        start.wait();
                        for page in 0..PAGES {
                            mapping.store_u64(page * BLOCK_SIZE + thread * 8, thread + 1).unwrap();
                        }
                    });
                }
            });
            for page in 0..PAGES {
                let words = [0, 8, 16].map(|at| mapping.load_u64(page * BLOCK_SIZE + at).unwrap());
                assert_eq!(words, [1, 2, 3], "{variant}: page {page}");
            }
        }
        assert_eq!(word(&file, 0), 0);
    }
}

/// The same, step by step: the second thread waits for the entry until the first has copied the
/// page and stored to its copy.
#[test]
fn the_second_fault_on_a_private_page_finds_the_copy_of_the_first() {
    let device = device(1 << 20);
    let (contended, second_waits) = channel();
    let (stored, first_is_done) = channel();
    let hold_first = Mutex::new(Some(second_waits));
    let hold_second = Mutex::new(Some((contended, first_is_done)));
    let fs = FileSystem::format(&device, Variant::Linux412).with_schedule(Schedule::hook(move |point, _| {
        match point {
            SchedulePoint::FaultLookedUp { .. } => {
                if let Some(second_waits) = hold_first.lock().unwrap().take() {
                    second_waits.recv().unwrap();
                }
            }
            SchedulePoint::EntryContended => {
                if let Some((contended, first_is_done)) = hold_second.lock().unwrap().take() {
                    contended.send(()).unwrap();
                    first_is_done.recv().unwrap();
                }
            }
            _ => {}
        }
    }));
    let file = fs.create();
    file.truncate(BLOCK_SIZE).unwrap();
    let mapping = private(&file, BLOCK_SIZE);
    thread::scope(|s| {
        let mapping = &mapping;
        // Whichever of the two comes first tells the other when it has stored.
        for thread in 0..2 {
            let stored = stored.clone();
            s.spawn(move || {
                mapping.store_u64(8 * thread, thread + 1).unwrap();
                let _ = stored.send(());
            });
        }
    });
    assert_eq!([0, 8].map(|at| mapping.load_u64(at).unwrap()), [1, 2]);
}

/// The copy that an access has translated to is not given to anybody else before the access is
/// over.
#[test]
fn a_copied_page_is_not_freed_under_an_access() {
    type Take = fn(&File<'_>, &Mapping<'_>);
    let ways: [Take; 2] = [
        |_, mapping| mapping.dont_need(0..BLOCK_SIZE),
        |file, _| {
            file.truncate(0).unwrap();
            file.truncate(2 * BLOCK_SIZE).unwrap();
        },
    ];
    for take in ways {
        let device = device(1 << 20);
        let (translated, go) = channel();
        let (translated, armed) = (Mutex::new(translated), Arc::new(AtomicBool::new(false)));
        let schedule = Schedule::hook({
            let armed = Arc::clone(&armed);
            move |point, _| {
                if point == SchedulePoint::Translated && armed.swap(false, Ordering::SeqCst) {
                    translated.lock().unwrap().send(()).unwrap();
                    // Time enough for a thread that does not wait.
                    (0..2000).for_each(|_| thread::yield_now());
                }
            }
        });
        let fs = FileSystem::format(&device, Variant::Linux412).with_schedule(schedule);
        let file = fs.create();
        file.truncate(2 * BLOCK_SIZE).unwrap();
        let mapping = private(&file, 2 * BLOCK_SIZE);
        mapping.store_u64(0, 1).unwrap();
        armed.store(true, Ordering::SeqCst);
        thread::scope(|s| {
            let (file, mapping) = (&file, &mapping);
            s.spawn(move || {
                go.recv().unwrap();
                take(file, mapping);
                mapping.store_u64(BLOCK_SIZE, 7).unwrap();
            });
            assert_eq!(mapping.load_u64(0), Ok(1));
        });
        assert_eq!([0, BLOCK_SIZE].map(|at| mapping.load_u64(at).unwrap()), [0, 7]);
    }
}

#[test]
fn a_read_only_mapping_takes_no_store_nor_what_read_2_has_for_it() {
    for variant in Variant::COMPARED {
        let device = device(1 << 20);
        let fs = FileSystem::format(&device, variant);
        let file = fs.create();
        file.write_at(&[1; 4096], 0).unwrap();
        for options in [MapOptions::new().read_only(), MapOptions::new().private().read_only()] {
            let mapping = map(&file, BLOCK_SIZE, options);
            let refused = Err(FsError::ReadOnlyMapping { offset: 0 });
            assert_eq!(mapping.store_u64(8, 2), refused, "{variant}: not mapped yet");
            assert_eq!(mapping.load_u64(8), Ok(0x0101_0101_0101_0101));
            assert_eq!(mapping.store(8, b"x"), refused);
            // xfstests' t_mmap_write_ro (generic/462).
            let buffer = [mapping.buffer(8..16).unwrap()];
            assert_eq!(file.read_vectored_at(&buffer, 0), Err(FsError::BadAddress));
            assert_eq!(file.write_vectored_at(&buffer, 100), Ok(8));
        }
    }
}

/// A store through MAP_SYNC finds its block in a durable transaction, so a commit comes before it.
#[test]
fn a_store_through_map_sync_waits_for_the_metadata_to_be_durable() {
    for variant in Variant::COMPARED {
        for huge in [false, true] {
            let device = device(8 << 20);
            let mut fs = FileSystem::format(&device, variant);
            if huge {
                fs = fs.with_huge_pages();
            }
            let file = fs.create();
            file.truncate(2 * PMD).unwrap();
            let mapping = map(&file, 2 * PMD, MapOptions::new().sync());
            let plain = file.mmap(0..2 * PMD);
            assert_eq!(mapping.load_u64(0), Ok(0));
            let before = fs.commits();
            mapping.store_u64(0, 1).unwrap();
            assert_eq!(fs.commits(), before + 1, "{variant}: a new block");
            mapping.store_u64(8, 2).unwrap();
            file.write_at(&3_u64.to_le_bytes(), 16).unwrap();
            assert_eq!(fs.commits(), before + 1, "nothing new");
            plain.store_u64(PMD, 4).unwrap();
            assert_eq!(fs.commits(), before + 1, "others do not care");
            assert_eq!(mapping.load_u64(PMD), Ok(4));
            mapping.store_u64(PMD, 5).unwrap();
            assert_eq!(fs.commits(), before + 2, "the first store to a block that somebody else allocated");
            assert_eq!([0, 8, 16, PMD].map(|at| word(&file, at)), [1, 2, 3, 5], "{variant}");
            let size = if huge { PMD } else { BLOCK_SIZE };
            assert_eq!(mapping.mapped_size(PMD), Some(size));
            file.fsync().unwrap();
            mapping.store_u64(PMD, 6).unwrap();
            assert_eq!(fs.commits(), before + 2);
            // A size that is not durable would cut off what is stored past the old one.
            let (file, at) = (fs.create(), 100);
            file.write_at(&[7; 8], 0).unwrap();
            file.fsync().unwrap();
            file.truncate(PMD).unwrap();
            let mapping = map(&file, PMD, MapOptions::new().sync());
            let before = fs.commits();
            mapping.store(at, &[8]).unwrap();
            assert_eq!(fs.commits(), before + 1, "{variant}: the file has grown");
        }
    }
}

#[test]
fn many_mappings_share_an_address_space() {
    let device = device(1 << 20);
    let fs = FileSystem::format(&device, Variant::RangeLock);
    let (file, other) = (fs.create(), fs.create());
    file.truncate(16 * BLOCK_SIZE).unwrap();
    other.truncate(16 * BLOCK_SIZE).unwrap();
    let space = AddressSpace::new();
    let options = MapOptions::new();
    let mappings: Vec<_> = [&file, &other, &file]
        .into_iter()
        .map(|file| file.mmap_in(&space, 0..16 * BLOCK_SIZE, options))
        .collect();
    thread::scope(|s| {
        for (number, mapping) in (1..).zip(&mappings) {
            s.spawn(move || {
                for page in 0..16 {
                    mapping.store_u64(page * BLOCK_SIZE + number * 8, number).unwrap();
                }
            });
        }
    });
    for page in 0..16 {
        let words = [8, 16, 24].map(|at| mappings[0].load_u64(page * BLOCK_SIZE + at).unwrap());
        assert_eq!(words, [1, 0, 3]);
        assert_eq!(mappings[1].load_u64(page * BLOCK_SIZE + 16), Ok(2));
    }
}

/// msync writes back what it is asked to, and no more: the next store to a page of the range
/// faults.
#[test]
fn msync_cleans_its_range_alone() {
    for variant in Variant::COMPARED {
        let device = device(1 << 20);
        let faults = Arc::new(AtomicU32::new(0));
        let fs = FileSystem::format(&device, variant).with_schedule({
            let faults = Arc::clone(&faults);
            Schedule::hook(move |point, _| {
                if point == SchedulePoint::PfnMkwrite {
                    faults.fetch_add(1, Ordering::SeqCst);
                }
            })
        });
        let file = fs.create();
        file.truncate(4 * BLOCK_SIZE).unwrap();
        let mapping = file.mmap(0..4 * BLOCK_SIZE);
        let store = || {
            for page in 0..4 {
                mapping.store_u64(page * BLOCK_SIZE, page).unwrap();
            }
            faults.swap(0, Ordering::SeqCst)
        };
        assert_eq!(store(), 0, "whole write faults");
        let commits = fs.commits();
        mapping.msync(BLOCK_SIZE + 1..2 * BLOCK_SIZE + 1).unwrap();
        assert_eq!(fs.commits(), commits + 1, "blocks were allocated");
        assert_eq!(store(), 2, "{variant}");
        mapping.msync(0..4 * BLOCK_SIZE).unwrap();
        assert_eq!(fs.commits(), commits + 1, "nothing but data has changed");
        assert_eq!(store(), 4);
        mapping.msync(0..0).unwrap();
        assert!(matches!(mapping.msync(0..5 * BLOCK_SIZE), Err(FsError::OutsideMapping { .. })));
        private(&file, BLOCK_SIZE).msync(0..BLOCK_SIZE).unwrap();
        assert_eq!(store(), 0);
    }
}
