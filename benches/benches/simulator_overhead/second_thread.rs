//! Measures what a second thread gains when it works on other pages than the first.
//!
//! `unserialised` has no lock above the entry. So only lines that its operations write beside their
//! pages' own can keep two threads from doing twice as much as one. docs/fidelity.md names these
//! lines for each operation.
//!
//! An operation that changes the block map shares i_data_sem, which is held while a block is
//! zeroed, as in ext4. So each such operation is measured on one file, and with a file for each
//! thread, where i_data_sem is not shared either. The gain of two threads on the bare device, with
//! the same bytes moved, is printed beside it, because the machine allows no more.
//!
//! A call that takes translations away waits for the accesses that may use them. So it reads a line
//! of each other thread. It does not write there. But where threads access mappings all the time,
//! each read is a cache miss.

use std::hint::black_box;
use std::ops::Range;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use dax_sim::file::{AddressSpace, File, MapOptions, Mapping};
use dax_sim::fs::{DataMode, FileSystem};
use dax_sim::pmem::{BLOCK_SIZE, Device};
use dax_sim::variant::Variant;

use super::{Both, PAGE, SIZE, in_turns, with_file};

/// How long threads work in a turn.
const TURN: Duration = Duration::from_millis(20);

/// How many bytes each of two threads works on: both parts fit a cache that the threads may share.
const PART: u64 = SIZE / 4;
const PAGES: u64 = PART / BLOCK_SIZE;

/// An operation of the thread with this index, by its count, with a buffer to read into.
type Op<'a> = dyn Fn(usize, u64, &mut [u8; PAGE]) + Sync + 'a;

pub(super) fn print_gains(turns: usize) {
    let hardware_threads = thread::available_parallelism().map_or(1, usize::from);
    println!("two threads over one, of {hardware_threads} hardware threads, in unserialised");
    println!("  {:<22} one file  own files  bare device", "");
    let both = Both::new();
    let gains = Gains { device: &both.device, turns };
    for data in [DataMode::Writeback, DataMode::Ordered] {
        let fs = FileSystem::format(&both.device, Variant::Unserialised).with_data_mode(data);
        with_file(&fs, 2 * SIZE, |file, mapping| {
            let own = [0, 1].map(|thread| {
                let own = fs.create();
                own.write_at(&vec![1; 2 * PART as usize], first(thread)).expect("there is room");
                own
            });
            // Mappings whose translations must be taken away, too.
            let mappings = [0, 1].map(|thread| own[thread].mmap(0..2 * SIZE));
            let files = Files { one: file, own: [&own[0], &own[1]] };
            match data {
                DataMode::Writeback => {
                    gains.of_blocks_that_are_there(file);
                    gains.of_mappings(file, mapping);
                    gains.of_changes(&files);
                    gains.of_fsync(&files, &mappings);
                }
                DataMode::Ordered => gains.of_holes_until_commits(&files),
            }
        });
    }
}

/// Where operation `i` of a thread is, in units of `unit` bytes. A step that is prime to the sizes
/// visits all units.
fn own(thread: usize, i: u64, unit: u64) -> u64 {
    first(thread) + i.wrapping_mul(40_503) * unit % PART
}

fn own_page(thread: usize, i: u64) -> u64 {
    own(thread, i, BLOCK_SIZE)
}

fn first(thread: usize) -> u64 {
    thread as u64 * SIZE
}

fn part(thread: usize) -> Range<u64> {
    first(thread)..first(thread) + PART
}

struct Gains<'d> {
    device: &'d Device,
    turns: usize,
}

/// A file that both threads change, and one for each thread.
struct Files<'f> {
    one: &'f File<'f>,
    own: [&'f File<'f>; 2],
}

impl Gains<'_> {
    /// Prints a line of the table: the gain of two threads on one file, on a file each where the
    /// operation differs, and on the bare device.
    fn print(&self, name: &str, one: Option<&Op<'_>>, own: Option<&Op<'_>>, bare: &Op<'_>) {
        let gain = |op: &Op<'_>| rate(2, op) / rate(1, op);
        let text = |simulated: Option<&Op<'_>>| {
            let gains = simulated.map(|op| in_turns(self.turns, || gain(op), || gain(bare)));
            (gains.map_or("-".to_owned(), |[gain, ..]| format!("{gain:.2}")), gains.map(|[_, bare, _]| bare))
        };
        let ((one, beside_one), (own, beside_own)) = (text(one), text(own));
        let bare = beside_one.or(beside_own).unwrap_or(f64::NAN);
        println!("  {name:<22} {one:>8}  {own:>9}  {bare:>11.2}");
    }

    fn of(&self, name: &str, simulated: &Op<'_>, bare: &Op<'_>) {
        self.print(name, Some(simulated), None, bare);
    }

    /// Prints the line of a store, beside a bare store to the page.
    fn of_stores(&self, name: &str, simulated: &Op<'_>) {
        self.of(name, simulated, &|t, i, _| self.device.store_u64(own_page(t, i), i));
    }

    /// Prints the line of an operation that changes the block map of a file, at the page at an
    /// offset, beside a bare write of the page.
    fn of_change(&self, name: &str, files: &Files<'_>, op: impl Fn(&File<'_>, u64) + Sync) {
        self.print(
            name,
            Some(&|t, i, _| op(files.one, own_page(t, i))),
            Some(&|t, i, _| op(files.own[t], own_page(t, i))),
            &|t, i, _| self.device.write(own_page(t, i), &[7; PAGE]),
        );
    }

    fn of_blocks_that_are_there(&self, file: &File<'_>) {
        let any = |t: usize, i: u64| (i.wrapping_mul(40_503) * BLOCK_SIZE + first(t)) % (2 * SIZE);
        self.of("read", &|t, i, buffer| done(file.read_at(buffer, own_page(t, i))), &|t, i, buffer| {
            self.device.read(own_page(t, i), buffer)
        });
        self.of("write", &|t, i, _| done(file.write_at(&[7; PAGE], own_page(t, i))), &|t, i, _| {
            self.device.write(own_page(t, i), &[7; PAGE])
        });
        self.of(
            "read, 5 % write",
            &|t, i, buffer| {
                let at = any(t, i);
                done(if i % 20 == 0 { file.write_at(&[7; PAGE], at) } else { file.read_at(buffer, at) });
            },
            &|t, i, buffer| {
                let at = any(t, i);
                if i % 20 == 0 { self.device.write(at, &[7; PAGE]) } else { self.device.read(at, buffer) }
            },
        );
    }

    fn of_mappings(&self, file: &File<'_>, mapping: &Mapping<'_>) {
        self.of("load", &|t, i, _| done(mapping.load_u64(own(t, i, 8))), &|t, i, _| {
            _ = black_box(self.device.load_u64(own(t, i, 8)));
        });
        self.of("store", &|t, i, _| done(mapping.store_u64(own(t, i, 8), i)), &|t, i, _| {
            self.device.store_u64(own(t, i, 8), i);
        });
        // All pages of a thread lose their translations at once. So the time is that of faults, not
        // of shootdowns.
        let forget = |mapping: &Mapping<'_>, t, i: u64| {
            if i.is_multiple_of(PAGES) {
                mapping.dont_need(part(t));
            }
        };
        self.of_stores("read fault", &|t, i, _| {
            forget(mapping, t, i);
            done(mapping.load_u64(own_page(t, i)));
        });
        self.of_stores("write fault", &|t, i, _| {
            forget(mapping, t, i);
            done(mapping.store_u64(own_page(t, i), i));
        });
        let private = file.mmap_in(&AddressSpace::new(), 0..2 * SIZE, MapOptions::new().private());
        self.of_stores("private copy", &|t, i, _| {
            forget(&private, t, i);
            done(private.store_u64(own_page(t, i), i));
        });
        self.of_stores("pin, store, unpin", &|t, i, _| {
            let at = own_page(t, i);
            let pin = mapping.pin(at..at + 8, true).expect("the page has a block");
            pin.write(0, &i.to_ne_bytes());
        });
    }

    fn of_changes(&self, files: &Files<'_>) {
        self.of_holes("punch, write", files);
        self.of_change("punch, reserve, write", files, |file, at| {
            done(file.punch_hole(at, BLOCK_SIZE));
            done(file.fallocate(at, BLOCK_SIZE));
            done(file.write_at(&[7; PAGE], at));
        });
        self.of_change("zero range, write", files, |file, at| {
            done(file.zero_range(at, BLOCK_SIZE));
            done(file.write_at(&[7; PAGE], at));
        });
        // The bytes behind a thread's part are also its own.
        self.of_change("copy range", files, |file, at| {
            done(file.copy_range(file, at + PART, at, BLOCK_SIZE));
        });
        self.of_change("clone, write", files, |file, at| {
            done(file.clone_range(file, at + PART, at, BLOCK_SIZE));
            done(file.write_at(&[7; PAGE], at));
        });
        // A file has only one end.
        self.print(
            "truncate, append",
            None,
            Some(&|t, i, _| {
                let end = first(t) + 2 * PART;
                done(files.own[t].truncate(end - PART));
                done(files.own[t].write_at(&[7; PAGE], end - PART + i % PAGES * BLOCK_SIZE));
            }),
            &|t, i, _| self.device.write(own_page(t, i), &[7; PAGE]),
        );
    }

    fn of_holes(&self, name: &str, files: &Files<'_>) {
        self.of_change(name, files, |file, at| {
            done(file.punch_hole(at, BLOCK_SIZE));
            done(file.write_at(&[7; PAGE], at));
        });
    }

    /// Freed blocks wait for a commit, which comes often enough that no block is missing. All
    /// threads wait for the commit.
    fn of_holes_until_commits(&self, files: &Files<'_>) {
        let op = |file: &File<'_>, t, i: u64| {
            let at = own_page(t, i);
            done(file.punch_hole(at, BLOCK_SIZE));
            done(file.write_at(&[7; PAGE], at));
            if i.is_multiple_of(1024) {
                done(file.fsync());
            }
        };
        self.print(
            "punch, write: ordered",
            Some(&|t, i, _| op(files.one, t, i)),
            Some(&|t, i, _| op(files.own[t], t, i)),
            &|t, i, _| self.device.write(own_page(t, i), &[7; PAGE]),
        );
    }

    /// Fsync with nothing to commit except stored data, and fsync with a commit each time.
    fn of_fsync(&self, files: &Files<'_>, mappings: &[Mapping<'_>; 2]) {
        let bare: &Op<'_> = &|t, i, _| self.device.store_u64(own_page(t, i), i);
        let store = &|t: usize, i, _: &mut _| {
            done(mappings[t].store_u64(own_page(t, i), i));
            done(files.own[t].fsync());
        };
        self.print("store, fsync", None, Some(store), bare);
        let punch = &|t: usize, i, _: &mut _| {
            let at = own_page(t, i);
            done(files.own[t].punch_hole(at, BLOCK_SIZE));
            done(files.own[t].write_at(&[7; PAGE], at));
            done(files.own[t].fsync());
        };
        self.print("punch, write, fsync", None, Some(punch), bare);
    }
}

/// Fails on an error: a failed operation would look like a fast one.
fn done<T, E: std::fmt::Debug>(result: Result<T, E>) {
    _ = black_box(result.expect("no operation fails"));
}

/// Operations per second of `threads` threads.
fn rate(threads: usize, op: &Op<'_>) -> f64 {
    let start_line = &Barrier::new(threads);
    let work = move |thread: usize| {
        let mut buffer = [0; PAGE];
        start_line.wait();
        let (start, mut done) = (Instant::now(), 0);
        while start.elapsed() < TURN {
            (done..done + 256).for_each(|i| op(thread, i, &mut buffer));
            done += 256;
        }
        done as f64 / start.elapsed().as_secs_f64()
    };
    thread::scope(|s| {
        let workers: Vec<_> = (0..threads).map(|t| s.spawn(move || work(t))).collect();
        workers.into_iter().map(|worker| worker.join().expect("no operation panics")).sum()
    })
}
