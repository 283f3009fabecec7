//! Random schedules of two processes on one file, all verbs, on a model of the kernel (`--cfg
//! shuttle`). The model looks at the file at each system call, so it also sees what is wrong for a
//! moment only.
//!
//! # What is judged
//!
//! * At each call: no byte is locked more weakly than its strongest holder of the process needs.
//! * When a verb has returned: each of its bytes that is in no other verb is locked exactly as its
//!   strongest holder needs.
//! * In each release: no byte is unlocked twice.
//! * At the end: nothing is locked, held or owed. No schedule ends in a deadlock.
//!
//! In half of the schedules the kernel refuses some calls (ENOLCK). Bytes that it has refused to
//! unlock may stay locked until they are settled. Only the first process owes such bytes, because
//! two that do can wait for each other. Calls that wait are interrupted (EINTR).

use std::collections::HashMap;
use std::io;
use std::ops::RangeInclusive;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use shuttle::rand::{Rng, thread_rng};
use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler};
use shuttle::sync::{Condvar, Mutex, MutexGuard};
use shuttle::thread::{self, ThreadId};
use shuttle::{Config, Runner};

use super::sys::Description;
use super::*;

/// The threads of each process.
const THREADS: [usize; 2] = [4, 2];
/// How many requests each thread makes.
const REQUESTS: usize = 6;
const BYTES: usize = 14;

/// The first and the last byte.
type Ends = (usize, usize);

/// Readers come again to the same bytes, so that slots are kept. Spans that begin at byte 0 and at
/// byte 13 share a slot.
const SPANS: [Ends; 8] = [(0, 3), (0, 3), (1, 4), (2, 6), (4, 8), (3, 3), (13, 13), (0, 13)];

fn below(n: usize) -> usize {
    thread_rng().gen_range(0..n)
}

fn bytes((first, last): Ends) -> RangeInclusive<u64> {
    first as u64..=last as u64
}

/// How a byte is locked, the weakest first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Locked {
    #[default]
    Not,
    Reading,
    Writing,
}

/// What a process has of a byte.
#[derive(Clone, Copy, Debug, Default)]
struct Byte {
    /// In the kernel.
    locked: Locked,
    /// How many guards hold it.
    readers: usize,
    writers: usize,
    /// How many threads are in a verb about it.
    verbs: usize,
    /// The kernel has refused to unlock it.
    is_owed: bool,
}

impl Byte {
    fn needed(&self) -> Locked {
        match (self.readers, self.writers) {
            (0, 0) => Locked::Not,
            (_, 0) => Locked::Reading,
            _ => Locked::Writing,
        }
    }

    fn holders(&mut self, of: Locked) -> &mut usize {
        match of {
            Locked::Writing => &mut self.writers,
            _ => &mut self.readers,
        }
    }
}

#[derive(Debug, Default)]
struct File {
    bytes: [[Byte; BYTES]; THREADS.len()],
    /// What the threads that release have unlocked so far.
    unlocked: HashMap<ThreadId, [bool; BYTES]>,
}

#[derive(Debug)]
struct Kernel {
    file: Mutex<File>,
    unlocked: Condvar,
    /// Whether some calls are refused.
    refuses: Mutex<bool>,
}

/// A process, as the kernel and the judge know it.
#[derive(Debug)]
struct Process {
    kernel: Arc<Kernel>,
    number: usize,
}

impl Process {
    fn file(&self) -> MutexGuard<'_, File> {
        self.kernel.file.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// fcntl(2).
    fn fcntl(&self, command: i32, lock: &libc::flock) -> io::Result<()> {
        let bytes = lock.l_start as usize..(lock.l_start + lock.l_len) as usize;
        let to = match i32::from(lock.l_type) {
            libc::F_UNLCK => Locked::Not,
            libc::F_RDLCK => Locked::Reading,
            _ => Locked::Writing,
        };
        let refused =
            *self.kernel.refuses.lock().unwrap() && (to != Locked::Not || self.number == 0) && below(12) == 0;
        let mut file = self.file();
        if refused {
            let own = &mut file.bytes[self.number][bytes];
            own.iter_mut().for_each(|byte| byte.is_owed |= to == Locked::Not);
            return Err(io::Error::from_raw_os_error(libc::ENOLCK));
        }
        let conflict =
            |theirs: &Byte| to.min(theirs.locked) > Locked::Not && to.max(theirs.locked) == Locked::Writing;
        let others = (0..THREADS.len()).filter(|other| *other != self.number);
        while others.clone().any(|other| file.bytes[other][bytes.clone()].iter().any(conflict)) {
            if command != libc::F_OFD_SETLKW {
                return Err(io::Error::from_raw_os_error(libc::EAGAIN));
            }
            if below(4) == 0 {
                return Err(io::Error::from_raw_os_error(libc::EINTR));
            }
            file = self.kernel.unlocked.wait(file).unwrap();
        }
        for at in bytes {
            if let (Locked::Not, Some(unlocked)) = (to, file.unlocked.get_mut(&thread::current().id())) {
                assert!(!unlocked[at], "byte {at} is unlocked twice");
                unlocked[at] = true;
            }
            let byte = &mut file.bytes[self.number][at];
            byte.locked = to;
            byte.is_owed &= to != Locked::Not;
            // Guards that are dropped after a failure are not judged.
            let judged = !std::thread::panicking();
            assert!(!judged || byte.locked >= byte.needed(), "byte {at} of {}: {byte:?}", self.number);
        }
        self.kernel.unlocked.notify_all();
        Ok(())
    }

    /// A verb begins, about bytes that its guard needs to be locked so, and so until it returns.
    fn begin(&self, ends: Ends, before: Locked, meanwhile: Locked) {
        let mut file = self.file();
        if before > meanwhile && meanwhile == Locked::Not {
            file.unlocked.entry(thread::current().id()).or_default();
        }
        for byte in &mut file.bytes[self.number][ends.0..=ends.1] {
            byte.verbs += 1;
            *byte.holders(before) -= usize::from(before != Locked::Not);
            *byte.holders(meanwhile) += usize::from(meanwhile != Locked::Not);
        }
    }

    /// The verb has returned.
    fn end(&self, ends: Ends, meanwhile: Locked, after: Locked) {
        let mut file = self.file();
        file.unlocked.remove(&thread::current().id());
        for (at, byte) in file.bytes[self.number].iter_mut().enumerate().take(ends.1 + 1).skip(ends.0) {
            byte.verbs -= 1;
            *byte.holders(meanwhile) -= usize::from(meanwhile != Locked::Not);
            *byte.holders(after) += usize::from(after != Locked::Not);
            let (has, needs) = (byte.locked, byte.needed());
            let exactly = byte.verbs == 0 && !byte.is_owed;
            assert!(has == needs || !exactly && has > needs, "byte {at} of {}: {byte:?}", self.number);
            assert!(byte.writers == 0 || byte.writers + byte.readers == 1, "byte {at}: {byte:?}");
        }
    }

    /// A verb that acquires, and what it returns if it was granted.
    fn acquire<G>(&self, ends: Ends, to: Locked, verb: impl FnOnce() -> io::Result<Option<G>>) -> Option<G> {
        self.begin(ends, Locked::Not, Locked::Not);
        let guard = verb().ok().flatten();
        self.end(ends, Locked::Not, if guard.is_some() { to } else { Locked::Not });
        guard
    }

    fn release<R>(&self, ends: Ends, from: Locked, verb: impl FnOnce() -> R) -> R {
        self.begin(ends, from, Locked::Not);
        let released = verb();
        self.end(ends, Locked::Not, Locked::Not);
        released
    }
}

/// Some verb of a mode that acquires.
macro_rules! acquire {
    ($lock:expr, $range:expr, $wait:ident, $try:ident, $until:ident) => {{
        let now = Instant::now();
        match below(5) {
            0 => $lock.$try($range),
            1 => $lock.$until($range, now),
            // Long after the end of the schedule.
            2 => $lock.$until($range, now + Duration::from_secs(1 << 20)),
            _ => $lock.$wait($range).map(Some),
        }
    }};
}

/// What becomes of a guard: the whole, a part, or two parts.
macro_rules! parts {
    ($process:expr, $Guard:ident, $guard:expr, $ends:expr, $held:expr) => {{
        let (mut guard, (first, last)) = ($guard, $ends);
        let mid = first + below(last - first + 1);
        match below(3) {
            0 => {
                let end = mid + below(last - mid + 1);
                let ends = [(first, mid), (end + 1, last + 1)];
                let released =
                    ends.into_iter().filter(|(from, to)| from < to).map(|(from, to)| (from, to - 1));
                released.clone().for_each(|ends| $process.begin(ends, $held, Locked::Not));
                let _ = $Guard::shrink(&mut guard, bytes((mid, end)));
                released.for_each(|ends| $process.end(ends, Locked::Not, Locked::Not));
                vec![(guard, (mid, end))]
            }
            1 if first < mid => {
                let (left, right) = $Guard::split_at(guard, mid as u64);
                vec![(left, (first, mid - 1)), (right, (mid, last))]
            }
            _ => vec![(guard, (first, last))],
        }
    }};
}

impl Process {
    fn hold_reading(&self, guard: FileReadGuard<'_>, ends: Ends) {
        for (guard, ends) in parts!(self, FileReadGuard, guard, ends, Locked::Reading) {
            self.release(ends, Locked::Reading, || drop(guard));
        }
    }

    fn hold_upgradable(&self, guard: FileUpgradableReadGuard<'_>, ends: Ends) {
        for (guard, ends) in parts!(self, FileUpgradableReadGuard, guard, ends, Locked::Reading) {
            match below(4) {
                0 => self.release(ends, Locked::Reading, || drop(guard)),
                1 => {
                    let reader = FileUpgradableReadGuard::downgrade(guard).unwrap();
                    self.hold_reading(reader, ends);
                }
                how => {
                    self.begin(ends, Locked::Reading, Locked::Reading);
                    let upgraded = match how {
                        2 => FileUpgradableReadGuard::try_upgrade(guard),
                        _ => FileUpgradableReadGuard::try_upgrade_until(guard, Instant::now()),
                    };
                    let after = if upgraded.is_ok() { Locked::Writing } else { Locked::Reading };
                    self.end(ends, Locked::Reading, after);
                    match upgraded {
                        Ok(guard) => self.hold_writing(guard, ends),
                        Err(Unchanged { guard, .. }) => {
                            self.hold_reading(FileUpgradableReadGuard::downgrade(guard).unwrap(), ends)
                        }
                    }
                }
            }
        }
    }

    fn hold_writing(&self, guard: FileWriteGuard<'_>, ends: Ends) {
        for (guard, ends) in parts!(self, FileWriteGuard, guard, ends, Locked::Writing) {
            match below(4) {
                0 => {
                    if let Some(guard) = self.weaken(guard, ends, FileWriteGuard::downgrade) {
                        self.hold_reading(guard, ends);
                    }
                }
                1 => {
                    if let Some(guard) = self.weaken(guard, ends, FileWriteGuard::downgrade_to_upgradable) {
                        self.hold_upgradable(guard, ends);
                    }
                }
                _ => self.release(ends, Locked::Writing, || drop(guard)),
            }
        }
    }

    /// The weaker guard. If there is none, the writer goes on with the guard that it has.
    fn weaken<'a, G>(
        &self,
        guard: FileWriteGuard<'a>,
        ends: Ends,
        verb: impl FnOnce(FileWriteGuard<'a>) -> Result<G, Unchanged<FileWriteGuard<'a>>>,
    ) -> Option<G> {
        self.begin(ends, Locked::Writing, Locked::Reading);
        let weaker = verb(guard);
        let after = if weaker.is_ok() { Locked::Reading } else { Locked::Writing };
        self.end(ends, Locked::Reading, after);
        match weaker {
            Ok(guard) => Some(guard),
            Err(Unchanged { guard, .. }) => {
                self.hold_writing(guard, ends);
                None
            }
        }
    }

    /// Two disjoint ranges, of which the first is read.
    fn several(&self, lock: &FileRangeLock) {
        let reads = SPANS[below(3)];
        let writes = [(6, 7), (13, 13), (5, 5)][below(3)];
        let requests = [Request::read(bytes(reads)), Request::write(bytes(writes))];
        self.begin(reads, Locked::Not, Locked::Not);
        let guard = self.acquire(writes, Locked::Writing, || {
            let guard = match below(3) {
                0 => lock.try_acquire_many(requests),
                1 => lock.try_acquire_many_until(requests, Instant::now()),
                _ => lock.acquire_many(requests).map(Some),
            };
            let to = if let Ok(Some(_)) = guard { Locked::Reading } else { Locked::Not };
            self.end(reads, Locked::Not, to);
            guard
        });
        if let Some(guard) = guard {
            self.begin(reads, Locked::Reading, Locked::Not);
            self.release(writes, Locked::Writing, || drop(guard));
            self.end(reads, Locked::Not, Locked::Not);
        }
    }

    fn request(&self, lock: &FileRangeLock) {
        let ends = SPANS[below(SPANS.len())];
        let range = bytes(ends);
        match below(10) {
            0..4 => {
                let verb = || acquire!(lock, range, read, try_read, try_read_until);
                if let Some(guard) = self.acquire(ends, Locked::Reading, verb) {
                    self.hold_reading(guard, ends);
                }
            }
            4 | 5 => {
                let verb =
                    || acquire!(lock, range, upgradable_read, try_upgradable_read, try_upgradable_read_until);
                if let Some(guard) = self.acquire(ends, Locked::Reading, verb) {
                    self.hold_upgradable(guard, ends);
                }
            }
            6 | 7 => {
                let verb = || acquire!(lock, range, write, try_write, try_write_until);
                if let Some(guard) = self.acquire(ends, Locked::Writing, verb) {
                    self.hold_writing(guard, ends);
                }
            }
            8 => self.several(lock),
            _ => _ = lock.settle(),
        }
    }
}

fn run() {
    let refuses = below(2) == 0;
    let kernel =
        Arc::new(Kernel { file: Mutex::default(), unlocked: Condvar::new(), refuses: Mutex::new(refuses) });
    let process = |number| Arc::new(Process { kernel: Arc::clone(&kernel), number });
    let processes: [_; THREADS.len()] = std::array::from_fn(process);
    let locks = processes.each_ref().map(|process| {
        let process = Arc::clone(process);
        let kernel = move |command, lock: &_| process.fcntl(command, lock);
        FileRangeLock::new(Description::of_model(Box::new(kernel)))
    });
    thread::scope(|scope| {
        let mut threads = Vec::new();
        for (process, lock) in processes.iter().zip(&locks) {
            for _ in 0..THREADS[process.number] {
                threads.push(scope.spawn(|| (0..REQUESTS).for_each(|_| process.request(lock))));
            }
        }
        // Where all threads wait for bytes that are owed, no verb settles them.
        while refuses && threads.iter().any(|thread| !thread.is_finished()) {
            locks.iter().for_each(|lock| _ = lock.settle());
            thread::yield_now();
        }
    });
    *kernel.refuses.lock().unwrap() = false;
    for (process, lock) in processes.iter().zip(&locks) {
        lock.settle().unwrap();
        assert!(lock.requests().is_empty());
        let bytes = process.file().bytes[process.number];
        assert!(bytes.iter().all(|byte| byte.locked == Locked::Not && byte.verbs == 0), "{bytes:?}");
    }
}

#[test]
fn what_is_held_stays_locked_in_random_schedules() {
    let schedules = std::env::var("SHUTTLE_ITERATIONS").map_or(1000, |number| number.parse().unwrap()) / 2;
    let schedulers: [Box<dyn Scheduler + Send>; 2] =
        [Box::new(RandomScheduler::new(schedules)), Box::new(PctScheduler::new(3, schedules))];
    for scheduler in schedulers {
        let mut config = Config::new();
        config.stack_size = 1 << 17;
        Runner::new(scheduler, config).run(run);
    }
}
