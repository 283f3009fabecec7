//! What a commit brings: blocks that were freed can be given out again.

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

/// The device is full, but for blocks that the running transaction has freed: whoever needs one commits, and
/// finds it at the second try.
#[test]
fn who_finds_no_block_commits_and_tries_again() {
    for variant in Variant::ALL {
        let device = device(1 << 20);
        let fs = FileSystem::format(&device, variant).with_data_mode(DataMode::Ordered);
        // The order of its locks is wrong by design.
        let is_in_order = variant != Variant::EntryLockOutside;
        let fs = fs.with_schedule(Schedule::none().with_checks(is_in_order));
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

/// Some fill the device and some empty it, and nobody who holds a handle waits for a commit.
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
