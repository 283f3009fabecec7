//! After xfstests' holetest (generic/340, 344, 345, 346 and 354): threads that store their numbers
//! in every page of a file, each at a place of its own.
//!
//! The file is made in four ways, so that pages are holes, unwritten or written when they are first
//! touched. The threads share one mapping, as threads do, or have one each, as processes do. With
//! *prefault* each of them first loads from every page, which must read 0 where it will write, and
//! maps zero pages over the holes while others write already. With *pwrite* every other thread uses
//! write(2), and looks at what it wrote through a mapping of its own that stays, so that a stale
//! page is seen.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;

use dax_sim::file::{AddressSpace, File, MapOptions, Mapping};
use dax_sim::pmem::BLOCK_SIZE;
use dax_sim::variant::Variant;

use super::{correct, device, rounds, widened};

const PAGES: u64 = 32;
const SIZE: u64 = PAGES * BLOCK_SIZE;
const THREADS: u64 = 4;

/// How the file gets its size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fill {
    Zeros,
    /// Of the whole range at once, which makes the file larger.
    PosixFallocate,
    /// Of blocks alone, page by page and from the end, and the size by ftruncate afterwards.
    Fallocate,
    Ftruncate,
}

impl Fill {
    const ALL: [Fill; 4] = [Fill::Zeros, Fill::PosixFallocate, Fill::Fallocate, Fill::Ftruncate];

    fn fill(self, file: &File<'_>) {
        match self {
            Fill::Zeros => assert_eq!(file.write_at(&[0; SIZE as usize], 0), Ok(SIZE as usize)),
            Fill::PosixFallocate => file.fallocate(0, SIZE).unwrap(),
            Fill::Fallocate => {
                for page in (0..PAGES).rev() {
                    file.fallocate_keep_size(page * BLOCK_SIZE, BLOCK_SIZE).unwrap();
                }
                file.truncate(SIZE).unwrap();
            }
            Fill::Ftruncate => file.truncate(SIZE).unwrap(),
        }
    }
}

/// What holetest's flags `-r`, `-w` and `-F` say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Flags {
    prefault: bool,
    pwrite: bool,
    processes: bool,
}

impl Flags {
    fn all() -> impl Iterator<Item = Flags> {
        (0..8_u8).map(|bits| Flags {
            prefault: bits & 1 != 0,
            pwrite: bits & 2 != 0,
            processes: bits & 4 != 0,
        })
    }
}

/// How many numbers, or zeros before them, were not seen where they had to be.
fn holetest(variant: Variant, fill: Fill, flags: Flags) -> u64 {
    let device = device(1 << 20);
    let fs = widened(&device, variant);
    let file = fs.create();
    fill.fill(&file);
    let shared = file.mmap(0..SIZE);
    let wrong = AtomicU64::new(0);
    let place = |page: u64, thread: u64| page * BLOCK_SIZE + thread * 8;
    let number = |thread: u64| thread + 1;
    thread::scope(|s| {
        for thread in 0..THREADS {
            let (file, shared, wrong) = (&file, &shared, &wrong);
            s.spawn(move || {
                let own = file.mmap(0..SIZE);
                let mapping = if flags.processes { &own } else { shared };
                let expect = |mapping: &Mapping<'_>, page, value| {
                    let seen = mapping.load_u64(place(page, thread)).unwrap();
                    wrong.fetch_add(u64::from(seen != value), Relaxed);
                };
                if flags.prefault {
                    (0..PAGES).for_each(|page| expect(mapping, page, 0));
                }
                for page in 0..PAGES {
                    if flags.pwrite && thread % 2 == 0 {
                        let written = file.write_at(&number(thread).to_le_bytes(), place(page, thread));
                        assert_eq!(written, Ok(8), "{variant}, {fill:?}, {flags:?}");
                        expect(mapping, page, number(thread));
                    } else {
                        mapping.store_u64(place(page, thread), number(thread)).unwrap();
                    }
                }
                // No thread writes here any more, and what a mapping translates to has to be right
                // for good.
                (0..PAGES).for_each(|page| expect(mapping, page, number(thread)));
            });
        }
    });
    let mut bytes = [0; THREADS as usize * 8];
    let later = file.mmap(0..SIZE);
    for page in 0..PAGES {
        file.read_at(&mut bytes, place(page, 0)).unwrap();
        for (thread, read) in (0..THREADS).zip(bytes.chunks_exact(8)) {
            let loaded = [&shared, &later].map(|mapping| mapping.load_u64(place(page, thread)).unwrap());
            let read = u64::from_le_bytes(read.try_into().unwrap());
            let seen = [read, loaded[0], loaded[1]];
            wrong.fetch_add(seen.iter().filter(|&&seen| seen != number(thread)).count() as u64, Relaxed);
        }
    }
    wrong.into_inner()
}

#[test]
fn every_number_is_in_every_page() {
    for variant in correct() {
        rounds(|_| {
            for fill in Fill::ALL {
                for flags in Flags::all() {
                    assert_eq!(holetest(variant, fill, flags), 0, "{variant}, {fill:?}, {flags:?}");
                }
            }
        });
    }
}

/// Where zero pages are mapped while others write into the holes, numbers are lost in Linux 4.11's
/// order; and where there are no holes they are not.
#[test]
fn linux_4_11_loses_numbers_where_pages_are_holes() {
    let flags = Flags { prefault: true, pwrite: true, processes: false };
    let lost = |fill| (0..500).any(|_| holetest(Variant::Linux411, fill, flags) > 0);
    assert!(lost(Fill::Ftruncate), "holes");
    assert!(lost(Fill::PosixFallocate), "unwritten blocks");
    assert!((0..20).all(|_| holetest(Variant::Linux411, Fill::Zeros, flags) == 0), "no holes");
}

/// `-p`: what is stored in private mappings is in those and nowhere else.
#[test]
fn numbers_in_private_mappings_do_not_leak() {
    for variant in correct() {
        rounds(|_| {
            for fill in Fill::ALL {
                for flags in Flags::all().filter(|flags| !flags.pwrite) {
                    let leaked = private_holetest(variant, fill, flags);
                    assert_eq!(leaked, 0, "{variant}, {fill:?}, {flags:?}");
                }
            }
        });
    }
}

/// How many words were seen that are not right.
fn private_holetest(variant: Variant, fill: Fill, flags: Flags) -> usize {
    let device = device(1 << 20);
    let fs = widened(&device, variant);
    let file = fs.create();
    fill.fill(&file);
    let map = || file.mmap_in(&AddressSpace::new(), 0..SIZE, MapOptions::new().private());
    let shared = map();
    let places = |thread: u64| (0..PAGES).map(move |page| page * BLOCK_SIZE + thread * 8);
    let mappings: Vec<_> = thread::scope(|s| {
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                let (map, shared) = (&map, &shared);
                s.spawn(move || {
                    let own = flags.processes.then(map);
                    let mapping = own.as_ref().unwrap_or(shared);
                    if flags.prefault {
                        places(thread).for_each(|at| assert_eq!(mapping.load_u64(at), Ok(0)));
                    }
                    places(thread).for_each(|at| mapping.store_u64(at, thread + 1).unwrap());
                    own
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let later = file.mmap(0..SIZE);
    let mut read = [0; SIZE as usize];
    file.read_at(&mut read, 0).unwrap();
    let mut wrong = read.iter().filter(|&&byte| byte != 0).count();
    for (thread, own) in (0..THREADS).zip(&mappings) {
        let mapping = own.as_ref().unwrap_or(&shared);
        for other in 0..THREADS {
            let seen_by_it = if flags.processes && other != thread { 0 } else { other + 1 };
            let is_wrong = |at| mapping.load_u64(at) != Ok(seen_by_it) || later.load_u64(at) != Ok(0);
            wrong += places(other).filter(|&at| is_wrong(at)).count();
        }
    }
    wrong
}
