//! The two races of [Kara's 2017 e-mail], and what else two threads can do to each other, step by
//! step, in every variant.
//!
//! [Kara's 2017 e-mail]: https://lore.kernel.org/r/20170426085235.GA21738@quack2.suse.cz
//!
//! A fault is held at the point between look-up and installation, until the other side has either
//! returned or is about to wait for it. So each variant shows the one interleaving that matters:
//! where the other side can finish inside the window, it does.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use dax_sim::check::{Covers, Oracle, Register, Verdict, pattern};
use dax_sim::file::File;
use dax_sim::fs::FileSystem;
use dax_sim::pmem::{BLOCK_SIZE, Device, DeviceOptions};
use dax_sim::schedule::{Schedule, SchedulePoint};
use dax_sim::variant::Variant;

/// What the other side tells the fault that is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Other {
    Returned,
    AboutToWait,
}

/// Holds the first read fault between look-up and installation.
struct Window {
    /// To the other side: the fault has looked up.
    looked_up: Sender<()>,
    /// To the fault.
    progress: Sender<Other>,
}

/// A schedule that holds the first read fault until the other side has returned or must wait. What
/// it heard comes out of the last receiver.
fn hold_the_first_read_fault() -> (Schedule, Receiver<()>, Sender<Other>, Receiver<Other>) {
    let (looked_up, go) = channel();
    let (progress, heard) = channel();
    let (report, outcome) = channel();
    let window = Window { looked_up, progress: progress.clone() };
    let (held, heard, report) = (AtomicBool::new(false), Mutex::new(heard), Mutex::new(report));
    let senders = Mutex::new(window);
    let schedule = Schedule::hook(move |point, _| match point {
        SchedulePoint::FaultLookedUp { write: false } if !held.swap(true, Ordering::SeqCst) => {
            senders.lock().unwrap().looked_up.send(()).unwrap();
            let other = heard.lock().unwrap().recv().unwrap();
            report.lock().unwrap().send(other).unwrap();
        }
        SchedulePoint::IMmapSemContended | SchedulePoint::EntryContended => {
            // The fault may be gone when this is not the first wait.
            let _ = senders.lock().unwrap().progress.send(Other::AboutToWait);
        }
        _ => {}
    });
    (schedule, go, progress, outcome)
}

/// Runs `other` while a load of page 0, which is a hole, is between look-up and installation.
/// Returns what the fault heard first.
fn in_the_window(
    variant: Variant,
    other: impl FnOnce(&File<'_>, &Oracle) + Send,
    judge: impl FnOnce(&File<'_>, &Oracle, &dyn Fn(Register) -> Verdict),
) -> Other {
    let device = Device::open(&DeviceOptions { path: None, size: 1 << 20, overwrite: false }).unwrap();
    let (schedule, go, progress, outcome) = hold_the_first_read_fault();
    let fs = FileSystem::format(&device, variant).with_schedule(schedule);
    let (file, oracle) = (fs.create(), Oracle::new(1));
    file.truncate(BLOCK_SIZE).unwrap();
    let mapping = file.mmap(0..BLOCK_SIZE);
    let check = |register: Register| {
        oracle
            .check(0, register, || mapping.load_u64(register.offset(0)))
            .expect("the page is inside the file")
    };
    thread::scope(|s| {
        let (file, oracle) = (&file, &oracle);
        s.spawn(move || {
            go.recv().unwrap();
            other(file, oracle);
            let _ = progress.send(Other::Returned);
        });
        // This load overlaps whatever the other side does, and may see either state.
        assert_eq!(check(Register::Io), Verdict::Good);
    });
    judge(&file, &oracle, &check);
    outcome.recv().unwrap()
}

fn write_the_page(file: &File<'_>, oracle: &Oracle) {
    let mut bytes = vec![0; BLOCK_SIZE as usize];
    let write = oracle.begin(0, Covers::Page);
    pattern::fill(&mut bytes, write.word());
    assert_eq!(file.write_at(&bytes, 0), Ok(bytes.len()));
    oracle.end(write);
}

/// Through a mapping of its own, as another process would.
fn store_to_the_page(file: &File<'_>, oracle: &Oracle) {
    let mapping = file.mmap(0..BLOCK_SIZE);
    let store = oracle.begin(0, Covers::StoredWord);
    mapping.store_u64(Register::Stored.offset(0), store.word()).unwrap();
    oracle.end(store);
    // The storer's own translation stays right in any case.
    let seen = oracle.check(0, Register::Stored, || mapping.load_u64(Register::Stored.offset(0)));
    assert_eq!(seen, Ok(Verdict::Good));
}

#[test]
fn race_1_a_write_overtakes_a_read_fault() {
    for variant in Variant::COMPARED {
        let heard = in_the_window(variant, write_the_page, |file, oracle, check| {
            let expected = if variant == Variant::Linux411 { Verdict::Stale } else { Verdict::Good };
            assert_eq!([check(Register::Io), check(Register::Io)], [expected; 2], "{variant}");
            // read(2) goes to the block, and sees the data whatever is mapped.
            let mut bytes = [0; 8];
            let read = oracle
                .check(0, Register::Io, || file.read_at(&mut bytes, 0).map(|_| u64::from_le_bytes(bytes)));
            assert_eq!(read, Ok(Verdict::Good), "{variant}");
        });
        let expected = if variant == Variant::Linux411 { Other::Returned } else { Other::AboutToWait };
        assert_eq!(heard, expected, "{variant}");
    }
}

#[test]
fn race_2_a_write_fault_overtakes_a_read_fault() {
    for variant in Variant::COMPARED {
        let heard = in_the_window(variant, store_to_the_page, |_, _, check| {
            let expected = if variant == Variant::Linux411 { Verdict::Stale } else { Verdict::Good };
            assert_eq!(check(Register::Stored), expected, "{variant}");
        });
        let expected = if variant == Variant::Linux411 { Other::Returned } else { Other::AboutToWait };
        assert_eq!(heard, expected, "{variant}");
    }
}

#[test]
fn a_stale_zero_page_goes_with_the_next_invalidation() {
    in_the_window(Variant::Linux411, write_the_page, |file, oracle, check| {
        assert_eq!(check(Register::Io), Verdict::Stale);
        let punch = oracle.begin(0, Covers::PageWithZeros);
        file.punch_hole(0, BLOCK_SIZE).unwrap();
        oracle.end(punch);
        write_the_page(file, oracle);
        assert_eq!(check(Register::Io), Verdict::Good);
    });
}

/// A write fault that finds a zero page, or a shared block, unmaps it before it allocates. Else a
/// write(2) between the two finds the block, has nothing new to invalidate, and returns while the
/// old one is mapped.
#[test]
fn a_write_fault_does_not_hide_its_block_from_write_2() {
    let correct = Variant::COMPARED.into_iter().filter(|variant| variant.is_correct());
    for (variant, is_shared) in correct.flat_map(|variant| [(variant, false), (variant, true)]) {
        let device = Device::open(&DeviceOptions { path: None, size: 1 << 20, overwrite: false }).unwrap();
        let (looked_up, go) = channel();
        let (progress, heard) = channel();
        let (looked_up, heard) = (Mutex::new(looked_up), Mutex::new(heard));
        let waiting = Mutex::new(progress.clone());
        let fs =
            FileSystem::format(&device, variant).with_schedule(Schedule::hook(move |point, _| match point {
                SchedulePoint::FaultLookedUp { write: true } => {
                    looked_up.lock().unwrap().send(()).unwrap();
                    let _ = heard.lock().unwrap().recv();
                }
                SchedulePoint::EntryContended | SchedulePoint::IMmapSemContended => {
                    let _ = waiting.lock().unwrap().send(());
                }
                _ => {}
            }));
        let (file, clone, oracle) = (fs.create(), fs.create(), Oracle::new(1));
        file.truncate(BLOCK_SIZE).unwrap();
        if is_shared {
            file.write_at(&[0; BLOCK_SIZE as usize], 0).unwrap();
            clone.clone_range(&file, 0, 0, BLOCK_SIZE).unwrap();
        }
        let mapping = file.mmap(0..BLOCK_SIZE);
        assert_eq!(mapping.load_u64(0), Ok(0));
        thread::scope(|s| {
            s.spawn(|| store_to_the_page(&file, &oracle));
            go.recv().unwrap();
            // The store's fault has allocated the block, and is held until this thread has read or
            // must wait.
            write_the_page(&file, &oracle);
            let seen = oracle.check(0, Register::Io, || mapping.load_u64(0));
            let _ = progress.send(());
            assert_eq!(seen, Ok(Verdict::Good), "{variant}");
        });
    }
}

/// The block that an access has translated to is not given to anybody else before the access is
/// over.
#[test]
fn a_block_is_not_freed_under_an_access() {
    for variant in Variant::COMPARED {
        let device = Device::open(&DeviceOptions { path: None, size: 1 << 20, overwrite: false }).unwrap();
        let (translated, go) = channel();
        let (translated, armed) = (Mutex::new(translated), Arc::new(AtomicBool::new(false)));
        let reused = Arc::new(AtomicBool::new(false));
        let fs = FileSystem::format(&device, variant).with_schedule({
            let (armed, reused) = (Arc::clone(&armed), Arc::clone(&reused));
            Schedule::hook(move |point, _| {
                if point == SchedulePoint::Translated && armed.swap(false, Ordering::SeqCst) {
                    translated.lock().unwrap().send(()).unwrap();
                    // Time enough for a thread that does not wait.
                    for _ in 0..2000 {
                        thread::yield_now();
                        assert!(!reused.load(Ordering::SeqCst), "{variant}: the block has a new owner");
                    }
                }
            })
        });
        let (file, other) = (fs.create(), fs.create());
        let mapping = file.mmap(0..BLOCK_SIZE);
        let all = vec![2; device.size() as usize - BLOCK_SIZE as usize];
        file.write_at(&[1; BLOCK_SIZE as usize], 0).unwrap();
        assert_eq!(other.write_at(&all, 0), Ok(all.len()), "the device is full now");
        assert_eq!(mapping.load_u64(0), Ok(0x0101_0101_0101_0101));
        armed.store(true, Ordering::SeqCst);
        thread::scope(|s| {
            let (file, other, reused) = (&file, &other, &reused);
            s.spawn(move || {
                go.recv().unwrap();
                file.punch_hole(0, BLOCK_SIZE).unwrap();
                other.write_at(&[3; BLOCK_SIZE as usize], other.size()).unwrap();
                reused.store(true, Ordering::SeqCst);
            });
            assert_eq!(mapping.load_u64(0), Ok(0x0101_0101_0101_0101), "{variant}");
        });
        assert_eq!(mapping.load_u64(0), Ok(0), "{variant}");
    }
}

/// After fsync a page is clean and write-protected: the next store faults, and makes it dirty
/// again.
#[test]
fn the_first_store_after_fsync_faults() {
    for variant in Variant::COMPARED {
        let device = Device::open(&DeviceOptions { path: None, size: 1 << 20, overwrite: false }).unwrap();
        let faults = Arc::new(AtomicU32::new(0));
        let fs = FileSystem::format(&device, variant).with_schedule({
            let faults = Arc::clone(&faults);
            Schedule::hook(move |point, _| {
                if matches!(point, SchedulePoint::FaultLookedUp { write: true } | SchedulePoint::PfnMkwrite) {
                    faults.fetch_add(1, Ordering::SeqCst);
                }
            })
        });
        let file = fs.create();
        file.truncate(BLOCK_SIZE).unwrap();
        let mapping = file.mmap(0..BLOCK_SIZE);
        let mut seen = Vec::new();
        for round in 0..3 {
            for store in 0..2 {
                mapping.store_u64(8 * store, round).unwrap();
                seen.push(faults.load(Ordering::SeqCst));
            }
            file.fsync().unwrap();
            if round == 1 {
                // Nor does a read fault give the right to store.
                mapping.dont_need(0..BLOCK_SIZE);
                assert_eq!(mapping.load_u64(0), Ok(round));
            }
        }
        assert_eq!(seen, [1, 1, 2, 2, 3, 3], "{variant}");
    }
}

/// A write fault makes a copy of a shared block while read(2) is about to read the block. Once the
/// copy is there the other file is alone with the block and may write to it, or free it for others:
/// so the fault must not return before the read has read.
#[test]
fn a_shared_block_is_not_given_up_under_a_read() {
    for variant in Variant::COMPARED.into_iter().filter(|variant| variant.is_correct()) {
        let device = Device::open(&DeviceOptions { path: None, size: 1 << 20, overwrite: false }).unwrap();
        let (found, go) = channel();
        let (returned, heard) = channel();
        let (held, found, heard) = (AtomicBool::new(false), Mutex::new(found), Mutex::new(heard));
        let early = Arc::new(AtomicBool::new(false));
        let seen_early = Arc::clone(&early);
        let schedule = Schedule::hook(move |point, _| {
            if point == SchedulePoint::Translated && !held.swap(true, Ordering::SeqCst) {
                found.lock().unwrap().send(()).unwrap();
                let heard = heard.lock().unwrap().recv_timeout(Duration::from_millis(50));
                seen_early.store(heard.is_ok(), Ordering::SeqCst);
            }
        });
        let fs = FileSystem::format(&device, variant).with_schedule(schedule);
        let (file, other) = (fs.create(), fs.create());
        file.write_at(&[1; BLOCK_SIZE as usize], 0).unwrap();
        other.clone_range(&file, 0, 0, BLOCK_SIZE).unwrap();
        let mut bytes = [0; BLOCK_SIZE as usize];
        thread::scope(|s| {
            let (file, other) = (&file, &other);
            s.spawn(move || {
                go.recv().unwrap();
                file.mmap(0..BLOCK_SIZE).store(0, &[2]).unwrap();
                other.write_at(&[3; BLOCK_SIZE as usize], 0).unwrap();
                // The read may be over.
                let _ = returned.send(());
            });
            file.read_at(&mut bytes, 0).unwrap();
        });
        assert!(!early.load(Ordering::SeqCst), "{variant}: the block was given up under the read");
        assert_eq!(bytes, [1; BLOCK_SIZE as usize], "{variant}");
    }
}
