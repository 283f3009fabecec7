//! Many threads at once on files that share blocks, in the correct variants.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

use dax_sim::check::{Covers, Oracle, Register, Verdict, pattern};
use dax_sim::error::FsError;
use dax_sim::file::File;
use dax_sim::pmem::BLOCK_SIZE;

use super::{correct, rounds, time, widened};

const PAGE: usize = BLOCK_SIZE as usize;
const PAGES: u64 = 6;

fn device() -> dax_sim::pmem::Device {
    super::device(2 << 20)
}

/// Threads write, store, load and read the pages of one file, and all reads are judged. Others take
/// snapshots meanwhile: clones that share every block. Each page of a clone must hold what one
/// write left, whole, and must not change any more.
#[test]
fn snapshots_of_a_file_that_is_written_hold_still_and_the_file_is_coherent() {
    const OPS: u32 = 400;
    for variant in correct() {
        let device = device();
        rounds(|round| {
            let fs = widened(&device, variant);
            let file = fs.create();
            file.truncate(PAGES * BLOCK_SIZE).unwrap();
            let oracle = Oracle::new(PAGES);
            let done = AtomicBool::new(false);
            thread::scope(|s| {
                let writers: Vec<_> = (0..3_u64)
                    .map(|seed| {
                        let (file, oracle) = (&file, &oracle);
                        s.spawn(move || {
                            let mut random = fastrand::Rng::with_seed(round * 3 + seed);
                            let mapping = file.mmap(0..PAGES * BLOCK_SIZE);
                            let mut bytes = vec![0; PAGE];
                            for _ in 0..OPS {
                                let page = random.u64(..PAGES);
                                let at = page * BLOCK_SIZE;
                                let (register, verdict) = match random.u8(..5) {
                                    0 => {
                                        let write = oracle.begin(page, Covers::Page);
                                        pattern::fill(&mut bytes, write.word());
                                        assert_eq!(file.write_at(&bytes, at), Ok(PAGE));
                                        oracle.end(write);
                                        continue;
                                    }
                                    1 => {
                                        let store = oracle.begin(page, Covers::StoredWord);
                                        mapping
                                            .store_u64(Register::Stored.offset(page), store.word())
                                            .unwrap();
                                        oracle.end(store);
                                        continue;
                                    }
                                    2 => {
                                        let write = oracle.begin(page, Covers::PageWithZeros);
                                        let zero = random.choice([File::punch_hole, File::zero_range]);
                                        zero.unwrap()(file, at, BLOCK_SIZE).unwrap();
                                        oracle.end(write);
                                        continue;
                                    }
                                    3 => {
                                        let register = Register::Stored;
                                        let load = || mapping.load_u64(register.offset(page));
                                        (register, oracle.check(page, register, load).unwrap())
                                    }
                                    _ => {
                                        let register = Register::Io;
                                        let mut word = [0; 8];
                                        let read = || {
                                            file.read_at(&mut word, register.offset(page))?;
                                            Ok::<_, FsError>(u64::from_le_bytes(word))
                                        };
                                        (register, oracle.check(page, register, read).unwrap())
                                    }
                                };
                                assert_eq!(verdict, Verdict::Good, "{variant}: {register:?} of page {page}");
                            }
                        })
                    })
                    .collect();
                let (fs, file, oracle, done) = (&fs, &file, &oracle, &done);
                s.spawn(move || {
                    let (mut first, mut second) = (vec![0; PAGES as usize * PAGE], Vec::new());
                    while !done.load(Ordering::Relaxed) {
                        let snapshot = fs.create();
                        let floors = [0, 1, 2, 3, 4, 5].map(|page| oracle.floor(page, Register::Io));
                        snapshot.clone_range(file, 0, 0, 0).unwrap();
                        assert_eq!(snapshot.read_at(&mut first, 0), Ok(first.len()));
                        for (page, floor) in (0..).zip(floors) {
                            let bytes = &first[page as usize * PAGE..][..PAGE];
                            let word = pattern::word_at(bytes, Register::Io.index());
                            assert_eq!(
                                oracle.judge(page, floor, word),
                                Verdict::Good,
                                "{variant}: page {page}"
                            );
                            assert!(pattern::is_uniform(bytes, Register::Stored.index()), "{variant}: torn");
                        }
                        // A store to the snapshot is not one to the file.
                        snapshot.mmap(0..BLOCK_SIZE).store_u64(16, u64::MAX).unwrap();
                        first[16..24].fill(0xff);
                        second.clone_from(&first);
                        snapshot.mmap(0..PAGES * BLOCK_SIZE).load(0, &mut second).unwrap();
                        assert!(first == second, "{variant}: a snapshot has changed");
                    }
                });
                let results = writers.into_iter().map(|writer| writer.join());
                let results: Vec<_> = results.collect();
                done.store(true, Ordering::Relaxed);
                results.into_iter().for_each(|result| result.expect("a writer finds nothing wrong"));
            });
            drop(file);
            assert_eq!((fs.free_blocks(), fs.shared_blocks()), (device.blocks(), 0), "{variant}");
        });
    }
}

/// Two files that are cloned, copied and deduped into each other by some, and grown, shrunk,
/// collapsed and written to by others. Each byte that is written is the number of its page, so
/// wherever blocks wander by whole files, nothing else may be found in a page; and everybody comes
/// to an end.
#[test]
fn crossing_clones_and_everything_else_neither_deadlock_nor_mix_pages_up() {
    for variant in correct() {
        let device = device();
        let fs = widened(&device, variant);
        let files = [fs.create(), fs.create()];
        let start = Instant::now();
        thread::scope(|s| {
            for seed in 0..6_u64 {
                let files = &files;
                s.spawn(move || {
                    let mut random = fastrand::Rng::with_seed(seed);
                    let mut bytes = vec![0; PAGE];
                    while start.elapsed() < time() / 6 {
                        let side = random.usize(..2);
                        let (file, other) = (&files[side], &files[1 - side]);
                        let page = random.u64(..PAGES);
                        let (at, len) = (page * BLOCK_SIZE, random.u64(1..=BLOCK_SIZE));
                        // A call that finds a file too short has come when it was.
                        match random.u8(..12) {
                            0..3 => drop(file.clone_range(other, at, at, BLOCK_SIZE)),
                            3 => drop(file.clone_range(other, 0, 0, 0)),
                            4 => drop(file.copy_range(other, at, at, len).unwrap()),
                            5 => drop(file.dedupe_range(other, at, at, BLOCK_SIZE)),
                            6 => drop(
                                file.mmap(at..at + BLOCK_SIZE).store(at, &vec![page as u8; len as usize]),
                            ),
                            7 => drop(file.write_at(&vec![page as u8; len as usize], at).unwrap()),
                            8 => file.truncate(at + len).unwrap(),
                            9 => file.zero_range(at, len).unwrap(),
                            10 => {
                                if file.mmap(at..at + BLOCK_SIZE).load(at, &mut bytes).is_ok() {
                                    let foreign = bytes.iter().find(|&&b| b != 0 && u64::from(b) != page);
                                    assert_eq!(foreign, None, "{variant}: page {page} is mapped");
                                }
                            }
                            _ => {
                                let read = file.read_at(&mut bytes, at).unwrap();
                                let foreign = bytes[..read].iter().find(|&&b| b != 0 && u64::from(b) != page);
                                assert_eq!(foreign, None, "{variant}: page {page} is read");
                            }
                        }
                    }
                });
            }
        });
        drop(files);
        assert_eq!((fs.free_blocks(), fs.shared_blocks()), (device.blocks(), 0), "{variant}");
    }
}

/// Collapse and insert move pages that others read, write and map. Page `i` of the file holds `i`
/// to begin with, and somebody takes pages out and puts holes in; the order of what is left stays.
#[test]
fn pages_keep_their_order_while_others_look() {
    const OPS: u32 = 50;
    for variant in correct() {
        let device = device();
        rounds(|round| {
            let fs = widened(&device, variant);
            let file = fs.create();
            for page in 0..64_u64 {
                file.write_at(&[page as u8 + 1; PAGE], page * BLOCK_SIZE).unwrap();
            }
            let done = AtomicBool::new(false);
            thread::scope(|s| {
                for _ in 0..2 {
                    let (file, done) = (&file, &done);
                    s.spawn(move || {
                        let mapping = file.mmap(0..128 * BLOCK_SIZE);
                        let mut bytes = vec![0; PAGE];
                        while !done.load(Ordering::Relaxed) {
                            let at = fastrand::u64(..60) * BLOCK_SIZE;
                            if fastrand::bool() {
                                if file.read_at(&mut bytes, at).unwrap() < PAGE {
                                    continue;
                                }
                            } else if mapping.load(at, &mut bytes).is_err() {
                                continue;
                            }
                            assert!(bytes.iter().all(|&byte| byte == bytes[0]), "{variant}: a page is torn");
                        }
                    });
                }
                let mut random = fastrand::Rng::with_seed(round);
                let mut model: Vec<u8> = (1..=64).collect();
                for _ in 0..OPS {
                    let at = random.usize(..model.len() - 2);
                    let pages = random.usize(1..=(model.len() - at - 1).min(8));
                    if model.len() > 48 {
                        file.collapse_range((at * PAGE) as u64, (pages * PAGE) as u64).unwrap();
                        drop(model.drain(at..at + pages));
                    } else {
                        file.insert_range((at * PAGE) as u64, (pages * PAGE) as u64).unwrap();
                        drop(model.splice(at..at, vec![0; pages]));
                    }
                    let mut seen = vec![0; model.len() * PAGE];
                    assert_eq!(file.read_at(&mut seen, 0), Ok(seen.len()), "{variant}");
                    assert!(
                        seen.iter().step_by(PAGE).eq(&model),
                        "{variant}: other pages, or in another order"
                    );
                }
                done.store(true, Ordering::Relaxed);
            });
            drop(file);
            assert_eq!(fs.free_blocks(), device.blocks(), "{variant}");
        });
    }
}
