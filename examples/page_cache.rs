//! A B-tree in a file, over a cache of pages. The latches of the pages are ranges of one lock.
//!
//! ```text
//! cargo run --release -p range-lock-examples --bin page_cache
//! ```
//!
//! Four threads insert keys and look them up. Meanwhile one thread scans the whole tree, and one
//! writes the cache back. Pages split, are dropped from the cache, and are read again. A watchdog
//! checks for deadlocks all the time.
//!
//! [`tree`] has the two rules for taking latches. A descent that waits for a child while it holds
//! the parent deadlocks beside the scans.

#[path = "page_cache/tree.rs"]
mod tree;

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, mpsc};
use std::thread;
use std::time::Duration;

use range_lock::deadlock;
use tree::{Page, Store, Tree};

/// The size of a page in bytes. It is small, so that the tree gets many levels.
const PAGE: usize = 256;
/// Level, fence and number of entries come first.
const HEAD: usize = 3 * 8;

const WRITERS: u64 = 4;
const KEYS: u64 = 5_000;
const CACHED: usize = 200;
/// A scan or a flush keeps all writers out, so there must not be too many.
const NOW_AND_THEN: Duration = Duration::from_millis(5);

impl Store for &File {
    const MOST: usize = (PAGE - HEAD) / 16;

    fn read(&self, number: u64) -> io::Result<Page> {
        let mut bytes = [0; PAGE];
        self.read_exact_at(&mut bytes, number * PAGE as u64)?;
        let mut words =
            bytes.chunks_exact(8).map(|word| u64::from_le_bytes(word.try_into().expect("8 bytes")));
        let mut word = || words.next().expect("it has room for them");
        let (level, last, entries) = (word(), word(), word());
        if entries > Self::MOST as u64 {
            return Err(io::Error::other(format!("page {number} says that it has {entries} entries")));
        }
        Ok(Page { level, last, entries: (0..entries).map(|_| (word(), word())).collect() })
    }

    fn write(&self, number: u64, page: &Page) -> io::Result<()> {
        let head = [page.level, page.last, page.entries.len() as u64];
        let words = head.into_iter().chain(page.entries.iter().flat_map(|&(key, value)| [key, value]));
        let mut bytes = words.flat_map(u64::to_le_bytes).collect::<Vec<_>>();
        bytes.resize(PAGE, 0);
        self.write_all_at(&bytes, number * PAGE as u64)
    }
}

/// The n-th key of a thread. All keys differ, and they come in no order.
fn key(thread: u64, n: u64) -> u64 {
    (n * WRITERS + thread).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

fn value(key: u64) -> u64 {
    !key
}

/// Inserts the keys of a thread, and looks each up some time later.
fn write(tree: &Tree<&File>, thread: u64) -> io::Result<()> {
    for n in 0..KEYS {
        let new = key(thread, n);
        assert_eq!(tree.insert(new, value(new))?, None, "a key is put in once");
        let old = key(thread, n / 2);
        assert_eq!(tree.get(old)?, Some(value(old)), "what was put in is found");
    }
    Ok(())
}

/// Scans the tree again and again. No scan finds fewer keys than the one before.
fn scan(tree: &Tree<&File>, writing: &AtomicUsize) -> io::Result<u32> {
    let (mut scans, mut before) = (0, 0);
    while writing.load(Ordering::Acquire) > 0 {
        let entries = tree.scan()?;
        assert!(entries.len() >= before, "a scan misses {} keys", before - entries.len());
        assert!(entries.iter().all(|&(key, found)| found == value(key)), "each key has its value");
        (scans, before) = (scans + 1, entries.len());
        thread::sleep(NOW_AND_THEN);
    }
    Ok(scans)
}

/// Ends the program if threads wait for each other. Returns when `done` reports the end.
fn watch(done: &mpsc::Receiver<()>) {
    while done.recv_timeout(Duration::from_millis(20)) == Err(mpsc::RecvTimeoutError::Timeout) {
        if let Some(deadlock) = deadlock::check().pop() {
            eprintln!("FAILED: {deadlock:#}");
            std::process::exit(1);
        }
    }
}

/// One of the threads that insert keys. It counts down, however it ends.
struct Writing<'a>(&'a AtomicUsize);

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

fn main() -> io::Result<ExitCode> {
    let file = tempfile::tempfile()?;
    let tree = Tree::create(&file, CACHED);
    let (writing, (running, done)) = (AtomicUsize::new(WRITERS as usize), mpsc::channel());
    let (scans, flushes) = thread::scope(|scope| {
        let (tree, writing) = (&tree, &writing);
        scope.spawn(move || watch(&done));
        let writers: Vec<_> = (0..WRITERS)
            .map(|thread| {
                let one = Writing(writing);
                scope.spawn(move || {
                    let _one = one;
                    write(tree, thread)
                })
            })
            .collect();
        let scanner = scope.spawn(|| scan(tree, writing));
        let flusher = scope.spawn(|| {
            let mut flushes = 0;
            while writing.load(Ordering::Acquire) > 0 {
                tree.flush()?;
                flushes += 1;
                thread::sleep(NOW_AND_THEN);
            }
            Ok::<u32, io::Error>(flushes)
        });
        for writer in writers {
            writer.join().expect("it has not panicked")?;
        }
        let counts =
            (scanner.join().expect("it has not panicked")?, flusher.join().expect("it has not panicked")?);
        drop(running); // The watchdog may go.
        Ok::<_, io::Error>(counts)
    })?;
    tree.flush()?;
    let (pages, cached) = tree.pages();
    println!("{WRITERS} threads inserted and looked up {} keys, in {pages} pages", WRITERS * KEYS);
    println!("meanwhile {scans} scans of all and {flushes} flushes; {cached} pages are still cached");

    // What a program finds when it opens the file later.
    drop(tree);
    let entries = Tree::open(&file, CACHED, pages).scan()?;
    let mut expected: Vec<u64> =
        (0..WRITERS).flat_map(|thread| (0..KEYS).map(move |n| key(thread, n))).collect();
    expected.sort_unstable();
    if !entries.iter().copied().eq(expected.into_iter().map(|key| (key, value(key)))) {
        println!("FAILED: the file has {} keys, and not those that were inserted", entries.len());
        return Ok(ExitCode::FAILURE);
    }
    println!("the file has each key once, and no threads waited for each other in a circle");
    Ok(ExitCode::SUCCESS)
}
