//! Eight processes of four threads on one file, some of which are killed while they hold ranges. An
//! oracle in shared memory knows which thread uses which byte.
//!
//! `FILE_STRESS_SECONDS` says how long: 1 unless told. On a file of a network file system
//! (`network.rs`) the processes are on different machines, and use only verbs that have a limit.
//!
//! Each process has a row in the oracle, with a word for each byte: how many of its threads use it
//! for reading and for writing. A thread marks its bytes when it has been granted them, looks at
//! the rows of all processes, and takes its marks back before it releases. A process that is to be
//! killed is marked as doomed first: it may die with its marks, and they count for nothing.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus};
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use range_lock::file::{
    Access, FileManyGuard, FileRangeLock, FileReadGuard, FileUpgradableReadGuard, FileWriteGuard, Request,
    Unchanged,
};

use crate::network;
use crate::processes::{again, part};

const PROCESSES: usize = 8;
const THREADS: usize = 4;
const BYTES: usize = 48;
/// How many processes there can be, those included that are dead.
const ROWS: usize = 4096;
/// No wait may take longer.
const LIMIT: Duration = Duration::from_secs(10);

/// In a word of a row: one writer, where one reader is 1.
const WRITER: u64 = 1 << 32;

/// What all processes share. Made of zeros.
#[repr(C)]
struct Oracle {
    stop: AtomicU64,
    /// The rows of the processes that run.
    current: [AtomicU64; PROCESSES],
    /// How often a range was granted.
    granted: AtomicU64,
    /// How many requests gave up.
    given_up: AtomicU64,
    /// When each thread began to wait, in milliseconds; 0 if it does not.
    waits: [[AtomicU64; THREADS]; PROCESSES],
    rows: [Row; ROWS],
}

#[repr(C)]
struct Row {
    doomed: AtomicU64,
    bytes: [AtomicU64; BYTES],
}

impl Oracle {
    /// Maps `file`, which is all zeros at first, for the rest of the process' life.
    fn map(file: &File) -> &'static Oracle {
        let size = size_of::<Oracle>();
        let access = libc::PROT_READ | libc::PROT_WRITE;
        file.set_len(size as u64).unwrap();
        // SAFETY: a new mapping, at an address that the kernel chooses.
        let at = unsafe { libc::mmap(ptr::null_mut(), size, access, libc::MAP_SHARED, file.as_raw_fd(), 0) };
        assert_ne!(at, libc::MAP_FAILED);
        // SAFETY: as large as the file, never unmapped, and nothing but atomics, of which each
        // pattern is one.
        unsafe { &*at.cast::<Oracle>() }
    }

    fn is_doomed(&self, row: usize) -> bool {
        self.rows[row].doomed.load(SeqCst) != 0
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64
}

/// Bytes: the first, and the one behind the last.
type Bytes = (usize, usize);

/// A thread of a process.
struct Worker<'a> {
    lock: &'a FileRangeLock,
    oracle: &'static Oracle,
    process: usize,
    thread: usize,
    row: usize,
    random: u64,
    /// Whether it uses verbs that wait without a limit.
    patient: bool,
}

/// How long the others wait.
const PATIENCE: Duration = Duration::from_millis(500);

impl<'a> Worker<'a> {
    fn random(&mut self, below: usize) -> usize {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random % below as u64) as usize
    }

    fn bytes(&mut self, longest: usize) -> Bytes {
        let longest = if self.random(16) == 0 { BYTES } else { longest };
        let first = self.random(BYTES);
        let len = 1 + self.random(longest);
        (first, (first + len).min(BYTES))
    }

    /// Calls a verb under the clock of the parent.
    fn waiting<R>(&self, verb: impl FnOnce(&'a FileRangeLock) -> std::io::Result<R>) -> R {
        let since = &self.oracle.waits[self.process][self.thread];
        since.store(now(), SeqCst);
        let result = verb(self.lock).unwrap();
        since.store(0, SeqCst);
        result
    }

    fn mark(&self, (first, end): Bytes, weight: u64) {
        for byte in first..end {
            self.oracle.rows[self.row].bytes[byte].fetch_add(weight, SeqCst);
        }
    }

    fn unmark(&self, (first, end): Bytes, weight: u64) {
        for byte in first..end {
            self.oracle.rows[self.row].bytes[byte].fetch_sub(weight, SeqCst);
        }
    }

    /// Looks at all rows: a writer is alone, and a reader is with readers.
    fn judge(&self, (first, end): Bytes, weight: u64) {
        for current in &self.oracle.current {
            let row = current.load(SeqCst) as usize;
            for byte in first..end {
                let users = self.oracle.rows[row].bytes[byte].load(SeqCst);
                let own = row == self.row;
                let right = match weight {
                    WRITER => users == if own { WRITER } else { 0 },
                    _ => users < WRITER,
                };
                // It may have been killed, and its ranges granted to this thread.
                assert!(
                    right || self.oracle.is_doomed(row),
                    "byte {byte}: used as {weight:#x} by process {}, and as {users:#x} by row {row}",
                    self.process
                );
            }
        }
    }

    /// Uses bytes that have been granted.
    fn use_(&mut self, bytes: Bytes, weight: u64) {
        self.oracle.granted.fetch_add(1, SeqCst);
        self.mark(bytes, weight);
        for _ in 0..1 + self.random(3) {
            self.judge(bytes, weight);
            match self.random(8) {
                0 => thread::sleep(Duration::from_micros(50)),
                _ => thread::yield_now(),
            }
        }
        self.judge(bytes, weight);
        self.unmark(bytes, weight);
    }

    fn range((first, end): Bytes) -> std::ops::Range<u64> {
        first as u64..end as u64
    }

    /// Long, so that readers of one process overlap, and wait for different writers.
    fn read(&mut self) {
        let bytes = self.bytes(24);
        let range = Self::range(bytes);
        let guard = match self.random(4) {
            0 => self.waiting(|lock| lock.try_read(range)),
            1 => self.waiting(|lock| lock.try_read_for(range, Duration::from_millis(20))),
            _ if self.patient => self.waiting(|lock| lock.read(range).map(Some)),
            _ => self.waiting(|lock| lock.try_read_for(range, PATIENCE)),
        };
        let Some(mut guard) = guard else { return self.gave_up() };
        self.use_(bytes, 1);
        let mid = bytes.0 + self.random(bytes.1 - bytes.0);
        match self.random(4) {
            0 => {
                let (left, right) = FileReadGuard::split_at(guard, mid as u64);
                drop(left);
                self.use_((mid, bytes.1), 1);
                FileReadGuard::release(right).unwrap();
            }
            1 => {
                FileReadGuard::shrink(&mut guard, mid as u64..=mid as u64).unwrap();
                self.use_((mid, mid + 1), 1);
            }
            _ => {}
        }
    }

    fn write(&mut self) {
        let bytes = self.bytes(4);
        let range = Self::range(bytes);
        let guard = match self.random(4) {
            0 => self.waiting(|lock| lock.try_write(range)),
            1 => self.waiting(|lock| lock.try_write_for(range, Duration::from_millis(20))),
            _ if self.patient => self.waiting(|lock| lock.write(range).map(Some)),
            _ => self.waiting(|lock| lock.try_write_for(range, PATIENCE)),
        };
        let Some(guard) = guard else { return self.gave_up() };
        self.use_(bytes, WRITER);
        match self.random(4) {
            0 => {
                let reader = FileWriteGuard::downgrade(guard).unwrap();
                self.use_(bytes, 1);
                FileReadGuard::release(reader).unwrap();
            }
            1 => {
                let mid = bytes.0 + self.random(bytes.1 - bytes.0);
                let (left, right) = FileWriteGuard::split_at(guard, mid as u64);
                drop(right);
                self.use_((bytes.0, mid), WRITER);
                drop(left);
            }
            _ => FileWriteGuard::release(guard).unwrap(),
        }
    }

    fn upgrade(&mut self) {
        let bytes = self.bytes(8);
        let range = Self::range(bytes);
        let looking = match self.patient {
            true => self.waiting(|lock| lock.upgradable_read(range).map(Some)),
            false => self.waiting(|lock| lock.try_upgradable_read_for(range, PATIENCE)),
        };
        let Some(looking) = looking else { return self.gave_up() };
        self.use_(bytes, 1);
        let upgraded = match self.random(2) {
            0 => FileUpgradableReadGuard::try_upgrade(looking),
            _ => FileUpgradableReadGuard::try_upgrade_for(looking, Duration::from_millis(4)),
        };
        match upgraded {
            Ok(writer) => {
                self.use_(bytes, WRITER);
                drop(FileWriteGuard::downgrade_to_upgradable(writer).unwrap());
            }
            Err(Unchanged { guard, .. }) => {
                self.use_(bytes, 1);
                drop(guard);
            }
        }
    }

    fn several(&mut self) {
        let (a, b) = (self.bytes(8), self.bytes(4));
        let requests = [Request::read(Self::range(a)), Request::write(Self::range(b))];
        let limit = Duration::from_millis(30);
        let Some(guard) = self.waiting(|lock| lock.try_acquire_many_for(requests, limit)) else {
            return self.gave_up();
        };
        self.use_(b, WRITER);
        FileManyGuard::release(guard).unwrap();
    }

    fn gave_up(&self) {
        self.oracle.given_up.fetch_add(1, SeqCst);
    }

    fn run(mut self) {
        while self.oracle.stop.load(SeqCst) == 0 {
            match self.random(10) {
                0..=4 => self.read(),
                5..=7 => self.write(),
                8 => self.upgrade(),
                _ => self.several(),
            }
        }
    }
}

/// The file that a process locks: in the folder of the oracle, or that of one of the machines.
fn file(folder: &Path, process: usize) -> PathBuf {
    match network::clients() {
        Some(clients) => clients[process % clients.len()].join("stress"),
        None => folder.join("file"),
    }
}

/// Not a test of its own: one of the processes.
#[test]
fn process() {
    let Some(part) = part() else { return };
    let Some(part) = part.strip_prefix("stress ") else { return };
    // SAFETY: no pointers. The parent's thread lives until the test ends.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
    let [process, row, folder]: [&str; 3] = part.splitn(3, ' ').collect::<Vec<_>>().try_into().unwrap();
    let (process, row): (usize, usize) = (process.parse().unwrap(), row.parse().unwrap());
    let folder = Path::new(folder);
    let oracle = Oracle::map(&File::options().read(true).write(true).open(folder.join("oracle")).unwrap());
    let lock = FileRangeLock::open(file(folder, process), Access::ReadWrite).unwrap();
    let patient = network::clients().is_none();
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let random = 0x9E37_79B9_7F4A_7C15 ^ (row * THREADS + thread + 1) as u64;
            let worker = Worker { lock: &lock, oracle, process, thread, row, random, patient };
            scope.spawn(|| worker.run());
        }
    });
}

/// Ends the processes, also where the test fails.
struct Stop(&'static Oracle);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.stop.store(1, SeqCst);
    }
}

fn start(oracle: &Oracle, folder: &Path, process: usize, row: usize) -> Child {
    oracle.current[process].store(row as u64, SeqCst);
    oracle.waits[process].iter().for_each(|since| since.store(0, SeqCst));
    again("stress::process", &format!("stress {process} {row} {}", folder.display())).spawn().unwrap()
}

#[test]
fn processes_exclude_each_other_and_the_killed_leave_nothing() {
    let seconds = std::env::var("FILE_STRESS_SECONDS").map_or(1.0, |seconds| seconds.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    File::create(file(folder.path(), 0)).unwrap();
    let oracle = File::options().read(true).write(true).create_new(true).open(folder.path().join("oracle"));
    let oracle = Oracle::map(&oracle.unwrap());
    let stop = Stop(oracle);
    // Row 0 is of no process.
    let mut row = 0;
    let mut start_next = |process| {
        row += 1;
        (start(oracle, folder.path(), process, row), row)
    };
    let mut processes: Vec<_> = (0..PROCESSES).map(&mut start_next).collect();
    let (begin, mut killed, mut random) = (Instant::now(), 0, 0x2545_F491_4F6C_DD1D_u64);
    let fine = |status: Option<ExitStatus>| status.is_none_or(|status| status.success());
    // A process needs a second to begin in the virtual machine.
    let between = Duration::from_millis(if network::clients().is_none() { 60 } else { 2000 });
    while begin.elapsed().as_secs_f64() < seconds && killed + PROCESSES + 1 < ROWS {
        thread::sleep(between);
        for (process, (child, _)) in processes.iter_mut().enumerate() {
            assert!(fine(child.try_wait().unwrap()), "process {process} has failed");
            for since in &oracle.waits[process] {
                let since = since.load(SeqCst);
                let waited = now().saturating_sub(since);
                assert!(
                    since == 0 || waited < LIMIT.as_millis() as u64,
                    "process {process} waits for {waited} ms"
                );
            }
        }
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let process = (random >> 33) as usize % PROCESSES;
        let (child, row) = &mut processes[process];
        oracle.rows[*row].doomed.store(1, SeqCst);
        child.kill().unwrap();
        // It may have failed before.
        let status = child.wait().unwrap();
        assert!(status.success() || status.code().is_none(), "process {process} has failed");
        processes[process] = start_next(process);
        killed += 1;
    }
    drop(stop);
    for (process, (child, _)) in processes.iter_mut().enumerate() {
        assert!(child.wait().unwrap().success(), "process {process} has failed");
    }
    let (granted, given_up) = (oracle.granted.load(SeqCst), oracle.given_up.load(SeqCst));
    println!("{granted} granted, {given_up} gave up, {killed} processes killed in {:?}", begin.elapsed());
    assert!(granted > 100);
    // Nothing is left.
    let lock = FileRangeLock::open(file(folder.path(), 0), Access::ReadWrite).unwrap();
    assert!(lock.try_write(..).unwrap().is_some());
}
