//! What needs a commit, and what it brings: durable metadata, and blocks that were freed can be
//! given out again.

use std::sync::mpsc;
use std::thread;

use dax_sim::error::FsError;
use dax_sim::fs::{DataMode, FileSystem};
use dax_sim::pmem::{BLOCK_SIZE, Device, DeviceOptions};
use dax_sim::schedule::Schedule;
use dax_sim::variant::Variant;

fn device(size: u64) -> Device {
    Device::open(&DeviceOptions { path: None, size, overwrite: false }).unwrap()
}

/// Whatever changes the blocks or the size of a file is committed by the fsync that follows, and by
/// no later one.
#[test]
fn every_change_of_blocks_or_size_is_committed_by_the_next_fsync_once() {
    for variant in Variant::ALL {
        let device = device(1 << 20);
        let schedule = Schedule::none().with_checks(variant.is_in_order());
        let fs = FileSystem::format(&device, variant).with_schedule(schedule);
        let (file, other) = (fs.create(), fs.create());
        other.write_at(&[1; 3 * 4096], 0).unwrap();
        other.fsync().unwrap();
        let mapping = file.mmap(0..16 * BLOCK_SIZE);
        let pages = |pages: u64| pages * BLOCK_SIZE;
        let commits_of = |change: &dyn Fn()| {
            change();
            let before = fs.commits();
            file.fsync().unwrap();
            let once = fs.commits();
            file.fsync().unwrap();
            assert_eq!(fs.commits(), once, "{variant}: what is durable is not committed again");
            once - before
        };
        let changes: [(&str, &dyn Fn()); 14] = [
            ("a write past the end", &|| {
                file.write_at(&[1; 8], 0).unwrap();
            }),
            ("a truncate to more, in one page", &|| file.truncate(pages(1)).unwrap()),
            ("a truncate to more", &|| file.truncate(pages(4)).unwrap()),
            ("a write into a hole", &|| {
                file.write_at(&[1; 8], pages(2)).unwrap();
            }),
            ("a store into a hole", &|| mapping.store_u64(pages(3), 1).unwrap()),
            ("fallocate", &|| file.fallocate(pages(4), pages(2)).unwrap()),
            ("a store into an unwritten extent", &|| mapping.store_u64(pages(5), 1).unwrap()),
            ("zero", &|| file.zero_range(pages(5), pages(2)).unwrap()),
            ("insert", &|| file.insert_range(pages(1), pages(1)).unwrap()),
            ("collapse", &|| file.collapse_range(pages(1), pages(1)).unwrap()),
            ("punch", &|| file.punch_hole(0, pages(1)).unwrap()),
            ("clone", &|| file.clone_range(&other, 0, pages(7), pages(3)).unwrap()),
            ("a write to a shared block", &|| {
                file.write_at(&[2; 8], pages(8)).unwrap();
            }),
            ("a truncate to less", &|| file.truncate(pages(8) + 100).unwrap()),
        ];
        for (name, change) in changes {
            assert_eq!(commits_of(change), 1, "{variant}: {name}");
        }
        let same: [(&str, &dyn Fn()); 5] = [
            ("an overwrite", &|| {
                file.write_at(&[3; 8], pages(2)).unwrap();
            }),
            ("a store", &|| mapping.store_u64(pages(2), 3).unwrap()),
            ("a store behind a truncate to the same size", &|| {
                file.truncate(file.size()).unwrap();
                mapping.store_u64(pages(8) + 104, 3).unwrap();
            }),
            ("a load of a hole", &|| {
                mapping.load_u64(pages(1)).unwrap();
            }),
            ("a store to what is shared no more", &|| mapping.store_u64(pages(8), 4).unwrap()),
        ];
        for (name, change) in same {
            assert_eq!(commits_of(change), 0, "{variant}: {name}");
        }
        let copy = |page: u64| mapping.store_u64(pages(page), 4).unwrap();
        assert_eq!(commits_of(&|| copy(7)), 1, "{variant}: a store to a shared block");
        assert_eq!(commits_of(&|| file.unshare_range(0, pages(9)).unwrap()), 0, "{variant}: all are its own");
    }
}

/// The device is full, except for blocks that the running transaction has freed. A call that needs
/// one commits, and finds it at the second try.
#[test]
fn who_finds_no_block_commits_and_tries_again() {
    for variant in Variant::ALL {
        let device = device(1 << 20);
        let fs = FileSystem::format(&device, variant).with_data_mode(DataMode::Ordered);
        let fs = fs.with_schedule(Schedule::none().with_checks(variant.is_in_order()));
        let (file, other) = (fs.create(), fs.create());
        file.write_at(&vec![1; device.size() as usize], 0).unwrap();
        other.truncate(8 * BLOCK_SIZE).unwrap();
        let mapping = other.mmap(0..8 * BLOCK_SIZE);
        let commits = fs.commits();
        assert_eq!(mapping.store_u64(0, 1), Err(FsError::NoSpace), "{variant}");
        assert_eq!(fs.commits(), commits, "there is nothing to wait for");
        let free_one = |page: u64| file.punch_hole(page * BLOCK_SIZE, BLOCK_SIZE).unwrap();
        free_one(0);
        assert_eq!(fs.free_blocks(), 1);
        mapping.store_u64(0, 2).unwrap();
        assert_eq!(fs.commits(), commits + 1, "{variant}: a fault");
        free_one(1);
        other.write_at(&[3; 8], BLOCK_SIZE).unwrap();
        assert_eq!(fs.commits(), commits + 2, "{variant}: write(2)");
        free_one(2);
        other.fallocate(2 * BLOCK_SIZE, BLOCK_SIZE).unwrap();
        assert_eq!(fs.commits(), commits + 3, "{variant}: fallocate");
        assert_eq!(fs.free_blocks(), 0);
        assert_eq!(mapping.store_u64(5 * BLOCK_SIZE, 1), Err(FsError::NoSpace));
        free_one(3);
        file.fsync().unwrap();
        mapping.store_u64(5 * BLOCK_SIZE, 4).unwrap();
        assert_eq!(fs.commits(), commits + 4, "the commit of fsync was enough");
        free_one(4);
        other.zero_range(6 * BLOCK_SIZE, BLOCK_SIZE).unwrap();
        assert_eq!(fs.commits(), commits + 5, "{variant}: zero");
        free_one(5);
        other.clone_range(&file, 6 * BLOCK_SIZE, 7 * BLOCK_SIZE, BLOCK_SIZE).unwrap();
        mapping.store_u64(7 * BLOCK_SIZE, 5).unwrap();
        assert_eq!(fs.commits(), commits + 6, "{variant}: a copy of a shared block");
        drop(mapping);
        drop((file, other));
        assert_eq!(fs.free_blocks(), device.blocks());
    }
}

/// Some fill the device and some empty it, and no thread that holds a handle waits for a commit.
#[test]
fn allocations_that_wait_for_commits_come_to_an_end() {
    for variant in Variant::COMPARED.into_iter().filter(|variant| variant.is_correct()) {
        let device = device(1 << 20);
        let fs = FileSystem::format(&device, variant).with_data_mode(DataMode::Ordered);
        let (done, results) = mpsc::channel();
        thread::scope(|s| {
            for thread in 0..4_u64 {
                let (fs, done) = (&fs, done.clone());
                s.spawn(move || {
                    let file = fs.create();
                    file.truncate(100 * BLOCK_SIZE).unwrap();
                    let mapping = file.mmap(0..100 * BLOCK_SIZE);
                    for round in 0..400 {
                        let at = (round * 7 + thread) % 100 * BLOCK_SIZE;
                        let result = match round % 3 {
                            0 => mapping.store_u64(at, round),
                            1 => file.write_at(&[1; 4096], at).map(|_| ()),
                            _ => file.fallocate(at, 1),
                        };
                        if result == Err(FsError::NoSpace) {
                            file.punch_hole(0, 50 * BLOCK_SIZE).unwrap();
                        }
                    }
                    done.send(thread).unwrap();
                });
            }
        });
        assert_eq!(results.try_iter().count(), 4);
        assert_eq!(fs.free_blocks(), device.blocks(), "{variant}");
    }
}
