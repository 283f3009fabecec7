//! Tries the race of Kara's 2017 e-mail in the kernel that the program runs on: write(2) into a
//! hole beside loads of the same page through a mapping.
//!
//! A load that finds a hole maps a page of zeros, or a page of the page cache. When write(2) has
//! returned, a load must find what was written. From 4.12 on it does. In 4.10 and 4.11, on DAX, it
//! could find zeros for good.

use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::{Bench, PAGE};

/// How long the writer waits for the loader at a page: longer than a few faults take.
const PATIENCE: Duration = Duration::from_micros(20);

/// What loads found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// Writes into holes.
    pub(crate) writes: u64,
    /// How many of these pages a load had found as a hole before.
    pub(crate) seen_as_hole: u64,
    /// How many loads after the return of the write did not find what was written.
    pub(crate) stale: u64,
}

impl std::ops::AddAssign for Found {
    fn add_assign(&mut self, other: Found) {
        self.writes += other.writes;
        self.seen_as_hole += other.seen_as_hole;
        self.stale += other.stale;
    }
}

impl Bench {
    /// Makes the one file a hole, and fills it by write(2) while another thread loads.
    ///
    /// The loader loads only from the page that is being written and the two behind it. The writer
    /// begins a page when the loader has come to it, so loads meet writes. After the first page the
    /// writer waits for a moment only, because on a busy machine the loader may not be running.
    pub(crate) fn race(&self) -> io::Result<Found> {
        let len = self.one.len;
        self.one.empty(len)?;
        let pages = len / PAGE;
        let bytes = [0xda; PAGE];
        let written_word = u64::from_ne_bytes([0xda; 8]);
        // How many pages are written: all pages before this one.
        let written = AtomicUsize::new(0);
        // The loader has come to all pages before this one.
        let reached = AtomicUsize::new(0);
        let barrier = Barrier::new(2);
        let file = self.one.file();
        let mut seen_as_hole = vec![false; pages];
        let mut stale = std::thread::scope(|scope| {
            let loader = std::thread::Builder::new().spawn_scoped(scope, || {
                barrier.wait();
                let mut stale = 0_u64;
                loop {
                    let done = written.load(Ordering::Acquire);
                    if done >= pages {
                        return stale;
                    }
                    reached.store(done + 1, Ordering::Release);
                    // A fault may begin at any moment of a write.
                    (0..fastrand::usize(..64)).for_each(|_| std::hint::spin_loop());
                    let page = (done + fastrand::usize(..3)).min(pages - 1);
                    if self.word(page) == 0 {
                        seen_as_hole[page] = true;
                    }
                    // The pages before `done` are written for certain.
                    if done > 0 && self.word(done - 1) != written_word {
                        stale += 1;
                    }
                }
            })?;
            barrier.wait();
            for page in 0..pages {
                let until = Instant::now() + PATIENCE;
                while reached.load(Ordering::Acquire) <= page && (page == 0 || Instant::now() < until) {
                    // The loader may have no CPU.
                    std::thread::yield_now();
                }
                if let Err(e) = file.write_all_at(&bytes, (page * PAGE) as u64) {
                    // Ends the loader.
                    written.store(pages, Ordering::Release);
                    return Err(e);
                }
                written.store(page + 1, Ordering::Release);
            }
            Ok(loader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
        })?;
        // A page of zeros that stays mapped is found at any later time.
        stale += (0..pages).filter(|page| self.word(*page) != written_word).count() as u64;
        if stale > 0 {
            self.check_written(pages, written_word)?;
        }
        let seen_as_hole = seen_as_hole.iter().filter(|seen| **seen).count() as u64;
        Ok(Found { writes: pages as u64, seen_as_hole, stale })
    }

    /// Checks that read(2) finds what was written. If it does not, another process has changed the
    /// file, and a load that misses it is no fault of the kernel.
    fn check_written(&self, pages: usize, written_word: u64) -> io::Result<()> {
        for page in 0..pages {
            let mut word = [0; 8];
            let found = self.one.file().read_exact_at(&mut word, (page * PAGE) as u64);
            if found.is_err() || u64::from_ne_bytes(word) != written_word {
                return Err(io::Error::other(
                    "another process changed it: read(2) does not find what was written",
                ));
            }
        }
        Ok(())
    }

    /// The first word of a page of the one file, through the mapping.
    fn word(&self, page: usize) -> u64 {
        let word = self.region.at(page * PAGE, 8).cast::<u64>();
        // SAFETY: *In bounds*, *Long enough*; the word is aligned, and no reference to it exists.
        unsafe { AtomicU64::from_ptr(word) }.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loads_that_miss_what_was_written_are_counted() {
        const SIZE: usize = 64 << 10;
        let folder = tempfile::tempdir().unwrap();
        let bench = Bench::open(&folder.path().join("file"), SIZE, 1, false).unwrap();
        let found = bench.race().unwrap();
        assert_eq!((found.writes, found.stale), (16, 0));
        // A hole of another file stands for pages of zeros that stayed mapped.
        let other = tempfile::tempfile().unwrap();
        other.set_len(SIZE as u64).unwrap();
        bench.region.map(&other, 0, SIZE, false).unwrap();
        let found = bench.race().unwrap();
        assert!(found.stale >= 16, "{found:?}");
    }

    /// A page that read(2) does not find either is not the kernel's fault.
    #[test]
    fn what_another_process_does_to_the_file_is_not_blamed_on_the_kernel() {
        const SIZE: usize = 64 << 10;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let bench = Bench::open(&path, SIZE, 1, false).unwrap();
        bench.race().unwrap();
        let word = u64::from_ne_bytes([0xda; 8]);
        bench.check_written(SIZE / PAGE, word).unwrap();
        let other = std::fs::File::options().write(true).open(&path).unwrap();
        let changes: [&dyn Fn() -> io::Result<()>; 2] =
            [&|| other.write_all_at(&[0; 8], 5 * PAGE as u64), &|| other.set_len(0)];
        for change in changes {
            bench.race().unwrap();
            change().unwrap();
            let error = bench.check_written(SIZE / PAGE, word).unwrap_err();
            assert!(error.to_string().starts_with("another process changed it"), "{error}");
        }
    }
}
