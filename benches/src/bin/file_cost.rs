//! Measures what `FileRangeLock` costs beside a bare pair of system calls: lock and unlock by
//! `F_OFD_SETLK`.
//!
//! ```text
//! cargo run --release -p rivals --bin file_cost
//! ```
//!
//! Both run in turns, in one process, on one file, with 1 and 2 threads that lock a block of their
//! own each. A thread of the bare pair has a description of its own, as it would without the
//! library, or shares one, as the threads of a `FileRangeLock` do. Each ratio divides the time with
//! the library by the time without it. The figure is the median over the rounds.
//!
//! `--judge` fails if a ratio to the shared description is more than 1.3.

use std::fs::File;
use std::os::fd::{AsRawFd, RawFd};
use std::process::ExitCode;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use range_lock::Mode;
use range_lock::file::FileRangeLock;

const ROUNDS: usize = 31;
const PAIRS: usize = 10_000;
const BOUND: f64 = 1.3;

/// Locks or unlocks `len` bytes from `first`, without the library.
fn bare(fd: RawFd, kind: i32, first: i64, len: i64) {
    // SAFETY: a struct of numbers.
    let mut lock = unsafe { std::mem::zeroed::<libc::flock>() };
    lock.l_type = kind as i16;
    lock.l_whence = libc::SEEK_SET as i16;
    (lock.l_start, lock.l_len) = (first, len);
    // SAFETY: the descriptor is open, and the command takes this struct.
    assert_eq!(unsafe { libc::fcntl(fd, libc::F_OFD_SETLK, &raw const lock) }, 0);
}

/// How long one pair takes, in nanoseconds, if `threads` threads make pairs of their own.
fn time(threads: usize, pair: impl Fn(usize) + Sync) -> f64 {
    let begin = Barrier::new(threads);
    let times = std::thread::scope(|scope| {
        let run = |thread| {
            let (begin, pair) = (&begin, &pair);
            scope.spawn(move || {
                begin.wait();
                let start = Instant::now();
                (0..PAIRS).for_each(|_| pair(thread));
                start.elapsed()
            })
        };
        let threads: Vec<_> = (0..threads).map(run).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum::<Duration>()
    });
    times.as_nanos() as f64 / (threads * PAIRS) as f64
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() -> ExitCode {
    let judge = std::env::args().any(|argument| argument == "--judge");
    let named = tempfile();
    let open = || File::options().read(true).write(true).open(&named.0).unwrap();
    let (shared, own) = (open(), [open(), open()]);
    let lock = FileRangeLock::from_file(&shared).unwrap();
    let range = |thread: usize| thread as u64 * 8192..thread as u64 * 8192 + 4096;
    let mut too_slow = false;
    println!(
        "mode   threads  library   bare, shared description   bare, a description each   ratios (medians of {ROUNDS})"
    );
    for mode in [Mode::Read, Mode::Write] {
        let kind = if mode == Mode::Read { libc::F_RDLCK } else { libc::F_WRLCK };
        let bare_pair = |fd: RawFd, thread: usize| {
            let first = thread as i64 * 8192;
            bare(fd, kind, first, 4096);
            bare(fd, libc::F_UNLCK, first, 4096);
        };
        for threads in [1, 2] {
            let mut rounds = [(); 3].map(|()| Vec::new());
            for _ in 0..ROUNDS {
                rounds[0].push(match mode {
                    Mode::Read => time(threads, |thread| drop(lock.read(range(thread)).unwrap())),
                    _ => time(threads, |thread| drop(lock.write(range(thread)).unwrap())),
                });
                rounds[1].push(time(threads, |thread| bare_pair(shared.as_raw_fd(), thread)));
                rounds[2].push(time(threads, |thread| bare_pair(own[thread].as_raw_fd(), thread)));
            }
            let ratio = |to: usize| median(rounds[0].iter().zip(&rounds[to]).map(|(a, b)| a / b).collect());
            let (to_shared, to_own) = (ratio(1), ratio(2));
            let [library, shared, own] = rounds.clone().map(median);
            println!(
                "{:<5}  {threads:>7}  {library:>4.0} ns  {shared:>17.0} ns  {own:>22.0} ns   {to_shared:.2} and {to_own:.2}",
                format!("{mode:?}"),
            );
            too_slow |= to_shared > BOUND;
        }
    }
    let whole = lock.read(..).unwrap();
    let times = (0..ROUNDS).map(|_| time(1, |thread| drop(lock.read(range(thread)).unwrap())));
    println!("a reader of bytes that its process reads already: {:.0} ns", median(times.collect()));
    drop(whole);
    if judge && too_slow {
        eprintln!("FAILED: a pair costs more than {BOUND} times a bare one");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// A file that is removed at the end.
struct Named(std::path::PathBuf);

impl Drop for Named {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn tempfile() -> Named {
    let path = std::env::temp_dir().join(format!("file_cost-{}", std::process::id()));
    File::create_new(&path).unwrap();
    Named(path)
}
