//! Many threads at once, with everything checked.

use std::thread;
use std::time::Duration;

use dax_sim::fs::FileSystem;
use dax_sim::pmem::{BLOCK_SIZE, Device, DeviceOptions};
use dax_sim::schedule::Schedule;
use dax_sim::variant::Variant;
use dax_sim::workload::{self, Point, Workload, WorkloadError, min_device_size};

fn device(size: u64) -> Device {
    Device::open(&DeviceOptions { path: None, size, overwrite: false }).unwrap()
}

fn correct() -> impl Iterator<Item = Variant> {
    Variant::ALL.into_iter().filter(|variant| variant.is_correct())
}

/// After xfstests' holetest: each thread has a slot of its own in every page, so that pages, entries and
/// blocks are shared and no byte is. What a thread finds in its slots must be exactly what it left there, by
/// whichever way it looks.
#[test]
fn threads_with_slots_in_the_same_pages_find_what_they_left_there() {
    const PAGES: u64 = 6;
    const SLOT: u64 = 1000;
    const ROUNDS: usize = 40;
    const OPS: u32 = 150;
    for variant in correct() {
        let device = device(1 << 20);
        for round in 0..ROUNDS {
            let fs = FileSystem::format(&device, variant)
                .with_schedule(Schedule::widen(4, Duration::from_micros(5)));
            let file = fs.create();
            file.truncate(PAGES * BLOCK_SIZE).unwrap();
            let whole = || 0..PAGES * BLOCK_SIZE;
            let mappings = [file.mmap(whole()), file.mmap(whole())];
            thread::scope(|s| {
                for slot in 0..4_u64 {
                    let (file, mappings) = (&file, &mappings);
                    s.spawn(move || {
                        let mut random = fastrand::Rng::with_seed(round as u64 * 4 + slot);
                        let mut model = vec![vec![0_u8; SLOT as usize]; PAGES as usize];
                        for _ in 0..OPS {
                            let page = random.u64(..PAGES);
                            let from = random.u64(..SLOT);
                            let len = random.u64(1..=SLOT - from);
                            let at = page * BLOCK_SIZE + slot * SLOT + from;
                            let mine = &mut model[page as usize][from as usize..][..len as usize];
                            let mapping = &mappings[random.usize(..2)];
                            let mut seen = vec![0; len as usize];
                            match random.u8(..100) {
                                0..20 => {
                                    mine.fill(random.u8(1..));
                                    assert_eq!(file.write_at(mine, at), Ok(mine.len()));
                                }
                                20..40 => {
                                    mine.fill(random.u8(1..));
                                    mapping.store(at, mine).unwrap();
                                }
                                40..70 => {
                                    mapping.load(at, &mut seen).unwrap();
                                    assert!(seen == mine, "{variant}: load of {len} at {at}");
                                }
                                70..85 => {
                                    file.read_at(&mut seen, at).unwrap();
                                    assert!(seen == mine, "{variant}: read of {len} at {at}");
                                }
                                85..92 => {
                                    mine.fill(0);
                                    file.punch_hole(at, len).unwrap();
                                }
                                92..96 => mapping.dont_need(at..at + len),
                                96..98 => file.fsync().unwrap(),
                                // Past what anybody else works on: the size goes up and down, the pages
                                // before it stay.
                                _ => file
                                    .truncate((PAGES + random.u64(..3)) * BLOCK_SIZE + random.u64(..9))
                                    .unwrap(),
                            }
                        }
                    });
                }
            });
        }
    }
}

#[test]
fn every_workload_finds_nothing_wrong_in_the_correct_variants() {
    let device = device(min_device_size(8));
    for variant in correct() {
        for workload in Workload::ALL {
            for (threads, media) in [(1, 0), (2, 0), (8, 0), (8, 20)] {
                let point = Point { workload, variant, threads, media: Duration::from_micros(media) };
                let sample = workload::run(&point, &device, Duration::from_millis(20)).unwrap();
                assert_eq!(sample.stale_reads, 0, "{point:?}");
                assert!(sample.ops > 0 && sample.checked_reads > 0, "{point:?}");
                assert_eq!(sample.wait.len(), sample.ops, "{point:?}");
            }
        }
    }
}

/// The same checker, the same workload, the order of Linux 4.11.
#[test]
fn fault_vs_write_finds_the_race_of_linux_4_11() {
    let device = device(min_device_size(2));
    let point = Point {
        workload: Workload::FaultVsWrite,
        variant: Variant::Linux411,
        threads: 2,
        media: Duration::ZERO,
    };
    // One run is nearly always enough. A machine that runs only one thread at a time for long may need a few.
    let mut runs = (0..50).map(|_| workload::run(&point, &device, Duration::from_millis(20)).unwrap());
    assert!(runs.any(|sample| sample.stale_reads > 0));
}

/// Nothing is promised of what it reads; but it must come to an end, and lose no block.
#[test]
fn the_unserialised_variant_does_wrong_things_and_survives() {
    let device = device(min_device_size(8));
    for workload in Workload::ALL {
        let point = Point { workload, variant: Variant::Unserialised, threads: 8, media: Duration::ZERO };
        assert!(workload::run(&point, &device, Duration::from_millis(20)).unwrap().ops > 0);
    }
    let fs = FileSystem::format(&device, Variant::Unserialised);
    let file = fs.create();
    thread::scope(|s| {
        for seed in 0..4 {
            let file = &file;
            s.spawn(move || {
                let mut random = fastrand::Rng::with_seed(seed);
                let mapping = file.mmap(0..16 * BLOCK_SIZE);
                for _ in 0..2000 {
                    let at = random.u64(..15 * BLOCK_SIZE);
                    let mut bytes = [1; 5000];
                    // Any of these may fail past the end of the file, and may read anything.
                    match random.u8(..5) {
                        0 => drop(file.write_at(&bytes, at)),
                        1 => drop(mapping.load(at / 2, &mut bytes)),
                        2 => drop(mapping.store(at / 2, &bytes)),
                        3 => drop(file.punch_hole(at, 9000)),
                        _ => drop(file.truncate(at)),
                    }
                }
            });
        }
    });
    drop(file);
    assert_eq!(fs.free_blocks(), device.blocks());
}

#[test]
fn points_that_cannot_be_run_are_refused() {
    let device = device(min_device_size(1));
    let point = |threads| Point {
        workload: Workload::ReadMostly,
        variant: Variant::Rwsem,
        threads,
        media: Duration::ZERO,
    };
    let run = |threads| workload::run(&point(threads), &device, Duration::from_millis(1)).unwrap_err();
    assert_eq!(run(0), WorkloadError::NoThreads);
    assert!(matches!(run(2), WorkloadError::DeviceTooSmall { threads: 2, .. }));
}

/// Without i_rwsem a punch may overtake a write between any two of its steps. What is read then may be wrong;
/// that it ends, and that no block is lost, holds all the same.
#[test]
fn writes_and_punches_of_one_page_end_in_every_variant() {
    for variant in Variant::ALL {
        let device = device(1 << 20);
        let fs = FileSystem::format(&device, variant);
        let file = fs.create();
        file.truncate(BLOCK_SIZE).unwrap();
        thread::scope(|s| {
            for thread in 0..4 {
                let file = &file;
                s.spawn(move || {
                    for _ in 0..5000 {
                        if thread % 2 == 0 {
                            assert_eq!(file.write_at(&[1; 8], 0), Ok(8));
                        } else {
                            file.punch_hole(0, BLOCK_SIZE).unwrap();
                        }
                    }
                });
            }
        });
        drop(file);
        assert_eq!(fs.free_blocks(), device.blocks(), "{variant}");
    }
}
