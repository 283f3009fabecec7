//! Threads that share pages, entries and blocks, and no byte.

use std::thread;

use dax_sim::check::check_invariants;
use dax_sim::pmem::BLOCK_SIZE;

use super::{correct, device, rounds, widened};

/// Each thread has a slot of its own in every page. What it finds in its slots must be exactly what
/// it left there, by whichever way it looks.
#[test]
fn threads_with_slots_in_the_same_pages_find_what_they_left_there() {
    const PAGES: u64 = 6;
    const SLOT: u64 = 1000;
    const OPS: u32 = 150;
    for variant in correct() {
        let device = device(1 << 20);
        rounds(|round| {
            let fs = widened(&device, variant);
            let file = fs.create();
            file.truncate(PAGES * BLOCK_SIZE).unwrap();
            let whole = || 0..PAGES * BLOCK_SIZE;
            let mappings = [file.mmap(whole()), file.mmap(whole())];
            thread::scope(|s| {
                for slot in 0..4_u64 {
                    let (file, mappings) = (&file, &mappings);
                    s.spawn(move || {
                        let mut random = fastrand::Rng::with_seed(round * 4 + slot);
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
                                // Past what anybody else works on: the size goes up and down, the
                                // pages before it stay.
                                _ => file
                                    .truncate((PAGES + random.u64(..3)) * BLOCK_SIZE + random.u64(..9))
                                    .unwrap(),
                            }
                        }
                    });
                }
            });
            assert_eq!(check_invariants(&fs, std::slice::from_ref(&file)), [], "{variant}");
        });
    }
}
