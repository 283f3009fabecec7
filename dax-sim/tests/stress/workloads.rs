//! The workloads of the comparison, with more threads than there are CPUs.

use std::thread;
use std::time::Duration;

use dax_sim::fs::FileSystem;
use dax_sim::pmem::BLOCK_SIZE;
use dax_sim::variant::Variant;
use dax_sim::workload::{self, Point, Workload, WorkloadError, min_device_size};

use super::device;

#[test]
fn every_workload_finds_nothing_wrong_in_the_coherent_variants() {
    let device = device(min_device_size(8));
    for variant in Variant::ALL.into_iter().filter(|variant| variant.is_coherent()) {
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
    // One run is nearly always enough. A machine that runs only one thread at a time for long may
    // need a few.
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

/// Without i_rwsem a punch may overtake a write between any two of its steps. What is read then may
/// be wrong; that it ends, and that no block is lost, holds all the same.
#[test]
fn writes_and_punches_of_one_page_end_in_every_variant() {
    for variant in Variant::COMPARED {
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
