//! Pinned pages: a call that wants to take their blocks waits, and what a device writes to them
//! arrives.

use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::thread;

use dax_sim::error::FsError;
use dax_sim::file::{AddressSpace, File, MapOptions};
use dax_sim::fs::{Deduped, FileSystem};
use dax_sim::pmem::{BLOCK_SIZE, Device, DeviceOptions};
use dax_sim::schedule::{Schedule, SchedulePoint};
use dax_sim::variant::Variant;

const PMD: u64 = 2 << 20;

fn device(size: u64) -> Device {
    Device::open(&DeviceOptions { path: None, size, overwrite: false }).unwrap()
}

fn word(file: &File<'_>, at: u64) -> u64 {
    let mut word = [0; 8];
    file.read_at(&mut word, at).unwrap();
    u64::from_le_bytes(word)
}

/// What a thread that changes the file under a pin reports first.
#[derive(Debug, PartialEq, Eq)]
enum Change {
    Waits,
    Returned,
}

/// xfstests' t_mmap_collision (generic/503): a mapping is the target of direct I/O while its file
/// is changed under it. The change waits, with the block still the file's, until the device is
/// done.
#[test]
fn whatever_takes_blocks_or_moves_or_shares_them_waits_for_the_pin() {
    type Act = fn(&File<'_>, &FileSystem<'_>);
    const AT: u64 = 3 * BLOCK_SIZE;
    let changes: [(&str, Act); 8] = [
        ("truncate", |file, _| file.truncate(AT - 1).unwrap()),
        ("punch", |file, _| file.punch_hole(AT, BLOCK_SIZE).unwrap()),
        ("a part of the page", |file, _| file.punch_hole(AT + 8, 8).unwrap()),
        ("zero", |file, _| file.zero_range(AT - 1, BLOCK_SIZE + 2).unwrap()),
        ("collapse", |file, _| file.collapse_range(0, BLOCK_SIZE).unwrap()),
        ("insert", |file, _| file.insert_range(BLOCK_SIZE, BLOCK_SIZE).unwrap()),
        ("clone out", |file, fs| fs.create().clone_range(file, 0, 0, 0).unwrap()),
        ("dedupe", |file, fs| {
            let same = fs.create();
            let mut bytes = [7; 4096];
            bytes[..8].copy_from_slice(&u64::MAX.to_le_bytes());
            same.write_at(&bytes, 0).unwrap();
            assert_eq!(file.dedupe_range(&same, 0, AT, BLOCK_SIZE), Ok(Deduped::Same(BLOCK_SIZE)));
        }),
    ];
    for variant in Variant::COMPARED {
        for (name, change) in changes {
            for huge in [false, true] {
                let device = device(8 << 20);
                let (tell, told) = channel();
                let busy = Mutex::new(tell.clone());
                let mut fs =
                    FileSystem::format(&device, variant).with_schedule(Schedule::hook(move |point, _| {
                        if point == SchedulePoint::LayoutBusy {
                            let _ = busy.lock().unwrap().send(Change::Waits);
                        }
                    }));
                if huge {
                    fs = fs.with_huge_pages();
                }
                let file = fs.create();
                file.write_at(&vec![7; PMD as usize], 0).unwrap();
                let mapping = file.mmap(0..PMD);
                let pin = mapping.pin(AT - 8..AT + 8, true).unwrap();
                assert_eq!(mapping.mapped_size(AT), Some(if huge { PMD } else { BLOCK_SIZE }));
                let extents = file.extents();
                thread::scope(|s| {
                    let (file, fs, extents) = (&file, &fs, &extents);
                    s.spawn(move || {
                        change(file, fs);
                        let _ = tell.send(Change::Returned);
                    });
                    assert_eq!(told.recv(), Ok(Change::Waits), "{variant}, {name}");
                    // i_mmap_sem was given up: faults go on meanwhile.
                    assert_eq!(mapping.load_u64(AT), Ok(0x0707_0707_0707_0707), "{variant}, {name}");
                    mapping.store_u64(AT + 16, 0x0707_0707_0707_0707).unwrap();
                    pin.write(8, &u64::MAX.to_le_bytes());
                    assert_eq!(mapping.load_u64(AT), Ok(u64::MAX));
                    let mut bytes = [0; 16];
                    pin.read(0, &mut bytes);
                    assert_eq!(bytes[8..], [0xff; 8]);
                    assert_eq!(file.extents(), *extents, "{variant}, {name}: nothing has changed yet");
                    drop(pin);
                });
                // It did what it was to do.
                match name {
                    "truncate" => assert_eq!(file.size(), AT - 1),
                    "punch" | "zero" => assert_eq!(word(&file, AT), 0),
                    "a part of the page" => {
                        assert_eq!([0, 8].map(|at| word(&file, AT + at)), [u64::MAX, 0], "{variant}");
                    }
                    "collapse" => assert_eq!(word(&file, AT - BLOCK_SIZE), u64::MAX),
                    "insert" => assert_eq!(word(&file, AT + BLOCK_SIZE), u64::MAX),
                    _ => assert_eq!(word(&file, AT), u64::MAX, "{variant}, {name}"),
                }
                drop(mapping);
                drop(file);
                assert_eq!(fs.free_blocks(), device.blocks(), "{variant}, {name}");
            }
        }
    }
}

/// Changes to other pages of the file do not wait.
#[test]
fn who_changes_other_pages_does_not_wait() {
    let device = device(1 << 20);
    let fs = FileSystem::format(&device, Variant::RangeLock);
    let file = fs.create();
    file.write_at(&[7; 5 * 4096], 0).unwrap();
    let mapping = file.mmap(0..5 * BLOCK_SIZE);
    let pin = mapping.pin(BLOCK_SIZE..2 * BLOCK_SIZE, true).unwrap();
    file.punch_hole(0, BLOCK_SIZE).unwrap();
    file.truncate(2 * BLOCK_SIZE).unwrap();
    file.write_at(&[8; 4096], 0).unwrap();
    // write(2) and fsync do not take blocks.
    file.write_at(&[9; 8], BLOCK_SIZE).unwrap();
    file.fsync().unwrap();
    pin.write(0, &[1; 8]);
    assert_eq!(word(&file, BLOCK_SIZE), 0x0101_0101_0101_0101);
}

#[test]
fn pins_are_refused_where_the_access_would_be() {
    for variant in Variant::COMPARED {
        let device = device(1 << 20);
        let fs = FileSystem::format(&device, variant);
        let file = fs.create();
        file.truncate(2 * BLOCK_SIZE).unwrap();
        let mapping = file.mmap(0..4 * BLOCK_SIZE);
        let bus = FsError::BusError { offset: 2 * BLOCK_SIZE, size: 2 * BLOCK_SIZE };
        assert_eq!(mapping.pin(0..3 * BLOCK_SIZE, true).map(drop), Err(bus), "{variant}");
        assert!(matches!(mapping.pin(0..5 * BLOCK_SIZE, false), Err(FsError::OutsideMapping { .. })));
        let options = MapOptions::new().read_only();
        let read_only = file.mmap_in(&AddressSpace::new(), 0..BLOCK_SIZE, options);
        assert_eq!(read_only.pin(0..8, true).map(drop), Err(FsError::ReadOnlyMapping { offset: 0 }));
        // Those that were refused left nothing pinned, so this ends.
        file.truncate(0).unwrap();
        file.truncate(BLOCK_SIZE).unwrap();
        // A hole that is pinned for reading is the zero page, and nothing is to be waited for.
        let zeros = mapping.pin(0..16, false).unwrap();
        let mut bytes = [1; 16];
        zeros.read(0, &mut bytes);
        assert_eq!(bytes, [0; 16]);
        file.truncate(0).unwrap();
    }
}

/// The copies of a private mapping are pinned as well: they are memory, not blocks.
#[test]
fn what_a_private_mapping_copied_stays_with_the_pin() {
    let device = device(1 << 20);
    let fs = FileSystem::format(&device, Variant::Linux412);
    let file = fs.create();
    file.write_at(&[7; 4096], 0).unwrap();
    let mapping = file.mmap_in(&AddressSpace::new(), 0..BLOCK_SIZE, MapOptions::new().private());
    let pin = mapping.pin(0..16, true).unwrap();
    pin.write(0, &[1; 8]);
    assert_eq!(mapping.load_u64(0), Ok(0x0101_0101_0101_0101));
    assert_eq!(word(&file, 0), 0x0707_0707_0707_0707);
    mapping.dont_need(0..BLOCK_SIZE);
    file.truncate(0).unwrap();
    let mut bytes = [0; 16];
    pin.read(0, &mut bytes);
    assert_eq!((bytes[0], bytes[15]), (1, 7));
}

/// A copy-on-write gives a shared block up while it is pinned for reading: the block is not given
/// out again before the device is done with it.
#[test]
fn a_shared_block_that_is_given_up_is_free_with_the_last_pin() {
    for variant in Variant::COMPARED {
        let device = device(1 << 20);
        let fs = FileSystem::format(&device, variant);
        let file = fs.create();
        file.write_at(&[7; 4096], 0).unwrap();
        let clone = fs.create();
        clone.clone_range(&file, 0, 0, 0).unwrap();
        let mapping = file.mmap(0..BLOCK_SIZE);
        let pin = mapping.pin(0..BLOCK_SIZE, false).unwrap();
        mapping.store_u64(0, 1).unwrap();
        // What has the old block still is the clone alone, and it goes.
        drop(clone);
        let free = fs.free_blocks();
        assert_eq!(free, device.blocks() - 2, "{variant}");
        let other = fs.create();
        other.write_at(&vec![9; (free * BLOCK_SIZE) as usize], 0).unwrap();
        let mut bytes = [0; 4096];
        pin.read(0, &mut bytes);
        assert_eq!(bytes, [7; 4096], "{variant}");
        assert_eq!(other.write_at(&[1], free * BLOCK_SIZE), Err(FsError::NoSpace));
        drop(pin);
        assert_eq!(other.write_at(&[1], free * BLOCK_SIZE), Ok(1));
    }
}

/// Direct I/O into mappings of a file that others punch, truncate and grow again, with every block
/// of the device in use, so that one that was freed too early is somebody else's at once.
#[test]
fn a_device_never_writes_to_a_block_that_is_somebody_elses() {
    const PAGES: u64 = 16;
    for variant in Variant::COMPARED.into_iter().filter(|variant| variant.is_correct()) {
        let device = device(1 << 20);
        let fs = FileSystem::format(&device, variant);
        let (file, other) = (fs.create(), fs.create());
        file.truncate(PAGES * BLOCK_SIZE).unwrap();
        let blocks = fs.free_blocks() - PAGES;
        other.write_at(&vec![9; (blocks * BLOCK_SIZE) as usize], 0).unwrap();
        thread::scope(|s| {
            for thread in 0..2_u64 {
                let file = &file;
                s.spawn(move || {
                    let mut random = fastrand::Rng::with_seed(thread);
                    let mapping = file.mmap(0..PAGES * BLOCK_SIZE);
                    for _ in 0..600 {
                        let at = random.u64(..PAGES) * BLOCK_SIZE;
                        // Past the end of the file, or no block is left.
                        let Ok(pin) = mapping.pin(at..at + BLOCK_SIZE, true) else { continue };
                        pin.write(0, &[1; 4096]);
                        thread::yield_now();
                        pin.write(0, &[2; 4096]);
                    }
                });
            }
            let (file, other) = (&file, &other);
            s.spawn(move || {
                let mut random = fastrand::Rng::with_seed(9);
                let mut bytes = vec![0; 4096];
                for round in 0..600 {
                    let page = random.u64(..PAGES);
                    match round % 3 {
                        0 => file.punch_hole(page * BLOCK_SIZE, BLOCK_SIZE).unwrap(),
                        1 => file.truncate(page * BLOCK_SIZE).unwrap(),
                        _ => file.truncate(PAGES * BLOCK_SIZE).unwrap(),
                    }
                    // A thread that takes a free block fills it.
                    let at = random.u64(..blocks) * BLOCK_SIZE;
                    other.punch_hole(at, BLOCK_SIZE).unwrap();
                    if other.write_at(&[9; 4096], at).is_ok() {
                        other.read_at(&mut bytes, at).unwrap();
                        assert!(
                            bytes.iter().all(|&byte| byte == 9),
                            "{variant}: written to by somebody else"
                        );
                    }
                }
            });
        });
        let mut bytes = vec![0; (blocks * BLOCK_SIZE) as usize];
        other.read_at(&mut bytes, 0).unwrap();
        assert!(bytes.iter().all(|&byte| byte == 9 || byte == 0), "{variant}");
    }
}
