//! Many threads fill a memory-mapped file at the same time, each its own block, while one thread
//! keeps a summary of all blocks.
//!
//! The file starts with a table of one checksum for each block. The threads that fill blocks lock
//! one block each, so they never wait for each other. The thread that keeps the summary locks
//! everything from the table to the last block that it sums up. It locks for writing, because the
//! table lies in that range. It waits for the threads inside that range, and they wait for it.
//! Threads further on do not wait.
//!
//! ```text
//! cargo run --release -p range-lock-examples --bin parallel_writers
//! ```

use std::error::Error;
use std::io::Write;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use memmap2::MmapMut;
use range_lock::RangeRwLock;
use rayon::prelude::*;

const BLOCKS: usize = 64;
const BLOCK: usize = 64 << 10;
/// The table at the start of the file: one checksum for each block.
const TABLE: usize = BLOCKS * size_of::<u64>();

fn block(n: usize) -> Range<usize> {
    TABLE + n * BLOCK..TABLE + (n + 1) * BLOCK
}

/// FNV-1a over 8-byte words. It differs for each block, and from the checksum of zeros.
fn checksum(bytes: &[u8]) -> u64 {
    let words = bytes.chunks_exact(8).map(|word| u64::from_le_bytes(word.try_into().expect("8 bytes")));
    words.fold(0xcbf2_9ce4_8422_2325, |sum, word| (sum ^ word).wrapping_mul(0x0100_0000_01b3))
}

fn fill(bytes: &mut [u8], seed: usize) {
    for (i, word) in bytes.chunks_exact_mut(8).enumerate() {
        word.copy_from_slice(&((seed << 32 | i) as u64).to_le_bytes());
    }
}

/// Sums up the blocks `0..upto` and writes their checksums into the table.
fn summarise(file: &RangeRwLock<MmapMut>, upto: usize) {
    let mut all = file.write(0..block(upto).start);
    let (table, blocks) = all.split_at_mut(TABLE);
    for (entry, bytes) in table.chunks_exact_mut(8).zip(blocks.chunks_exact(BLOCK)) {
        entry.copy_from_slice(&checksum(bytes).to_le_bytes());
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut on_disk = tempfile::NamedTempFile::new()?;
    // Not `set_len`: a store into a hole kills the program when the file system is full.
    on_disk.write_all(&vec![0; TABLE + BLOCKS * BLOCK])?;
    // SAFETY: a file of our own, which no other process changes or truncates while it is mapped.
    let file = RangeRwLock::new(unsafe { MmapMut::map_mut(on_disk.as_file())? });

    let filled = AtomicUsize::new(0);
    let summaries = thread::scope(|scope| {
        let summariser = scope.spawn(|| {
            let mut summaries = 0;
            loop {
                let upto = filled.load(Ordering::Acquire);
                summarise(&file, upto);
                summaries += 1;
                if upto == BLOCKS {
                    return summaries;
                }
                thread::yield_now();
            }
        });
        (0..BLOCKS).into_par_iter().for_each(|n| {
            fill(&mut file.write(block(n)), n);
            filled.fetch_add(1, Ordering::AcqRel);
        });
        summariser.join().expect("the summary does not panic")
    });

    file.into_inner().flush()?;
    let bytes = std::fs::read(on_disk.path())?;
    let mut expected = vec![0; BLOCK];
    for n in 0..BLOCKS {
        fill(&mut expected, n);
        assert_eq!(bytes[block(n)], expected, "block {n} is not what was written");
        assert_eq!(bytes[n * 8..n * 8 + 8], checksum(&expected).to_le_bytes(), "summary of block {n}");
    }
    println!("{BLOCKS} blocks of {} KiB written by {} threads,", BLOCK >> 10, rayon::current_num_threads());
    println!("summed up {summaries} times meanwhile; every block and every checksum is right.");
    Ok(())
}
