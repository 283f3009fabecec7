//! Runs one pass of a point: the threads begin together, and work until the time is over or their
//! part is full. The invariants are those of [`region`](super::region).

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use parking_lot::RwLock;
use range_lock::RangeRwLock;
use rustix::fs::fdatasync;
use rustix::mm::{MsyncFlags, msync};

use super::region::{Region, Window};
use super::{Bench, Durability, Layout, PAGE, Point, Target, Way};

/// How many operations a thread does between two looks at the clock.
const UNWATCHED: u64 = 16;

/// What excludes the threads that store into one file. The lock lies in place: a pointer would be
/// one more line to fetch, for the range lock only.
#[allow(clippy::large_enum_variant, reason = "how large depends on features of the lock")]
enum Lock<'a> {
    Range(RangeRwLock<Window<'a>>),
    Whole(RwLock<()>),
    Nothing,
}

/// A thread's file, and where its part begins: in the file and among the addresses.
struct Part<'a, 'r> {
    file: &'a File,
    lock: &'a Lock<'r>,
    offset: usize,
    place: usize,
}

/// Runs the threads, and returns how many operations they did in how much time.
pub(super) fn pass(bench: &Bench, point: Point, duration: Duration) -> io::Result<(u64, Duration)> {
    let targets = bench.targets(point);
    let locks = locks(bench, point, &targets);
    // With a barrier the threads that have come would wait for ever if the system provides no more
    // threads.
    let (start_line, given_up) = (RwLock::new(()), AtomicBool::new(false));
    let (ready, arrivals) = mpsc::channel();
    let each = std::thread::scope(|scope| {
        let closed = start_line.write();
        let mut threads = Vec::with_capacity(point.threads);
        for thread in 0..point.threads {
            let part = part(bench, point, &targets, &locks, thread);
            let (ready, start_line, given_up) = (ready.clone(), &start_line, &given_up);
            let begin = move || {
                // The receiver is gone if another thread could not be started.
                let _ = ready.send(());
                drop(start_line.read());
                if given_up.load(Ordering::Relaxed) {
                    return Err(io::ErrorKind::Interrupted.into());
                }
                work(bench, point, &part, duration)
            };
            match std::thread::Builder::new().spawn_scoped(scope, begin) {
                Ok(thread) => threads.push(thread),
                Err(error) => {
                    given_up.store(true, Ordering::Relaxed);
                    let most = format!("{} threads cannot be started: {error}", point.threads);
                    return Err(io::Error::new(error.kind(), most));
                }
            }
        }
        arrivals.iter().take(point.threads).for_each(drop);
        drop(closed);
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect::<io::Result<Vec<_>>>()
    })?;
    let begin = each.iter().map(|(begin, ..)| *begin).min().unwrap_or_else(Instant::now);
    let end = each.iter().map(|(_, end, _)| *end).max().unwrap_or(begin);
    let operations = each.iter().map(|(.., done)| done).sum();
    // A clock that stands still must not lead to a division by zero.
    Ok((operations, (end - begin).max(Duration::from_nanos(1))))
}

/// One lock for each file.
fn locks<'a>(bench: &'a Bench, point: Point, targets: &[&Target]) -> Vec<Lock<'a>> {
    let lock = |target: &&Target| match point.way {
        // SAFETY: the file is mapped there, and in this way of writing each access goes through the
        // lock.
        Way::RangeLock => unsafe {
            Lock::Range(RangeRwLock::new(bench.region.window(target.place, target.len)))
        },
        Way::RwLock => Lock::Whole(RwLock::new(())),
        _ => Lock::Nothing,
    };
    targets.iter().map(lock).collect()
}

fn part<'a, 'r>(
    bench: &Bench,
    point: Point,
    targets: &[&'a Target],
    locks: &'a [Lock<'r>],
    thread: usize,
) -> Part<'a, 'r> {
    let (i, offset) = match point.layout {
        Layout::OneFile => (0, thread * bench.span),
        Layout::FileEach => (thread, 0),
    };
    Part { file: targets[i].file(), lock: &locks[i], offset, place: targets[i].place }
}

fn work(
    bench: &Bench,
    point: Point,
    part: &Part<'_, '_>,
    duration: Duration,
) -> io::Result<(Instant, Instant, u64)> {
    let bytes = [2; PAGE];
    let pages = (bench.span / PAGE) as u64;
    // A block can be allocated only once.
    let most = if point.way.begins_empty() { pages } else { u64::MAX };
    let begin = Instant::now();
    let mut done = 0;
    while done < most {
        let offset = part.offset + (done % pages) as usize * PAGE;
        operate(bench, point, part, offset, &bytes)?;
        done += 1;
        if (point.durable || done % UNWATCHED == 0) && begin.elapsed() >= duration {
            break;
        }
    }
    Ok((begin, Instant::now(), done))
}

/// Does one operation, and makes it durable if the point says so.
#[inline]
fn operate(
    bench: &Bench,
    point: Point,
    part: &Part<'_, '_>,
    offset: usize,
    bytes: &[u8; PAGE],
) -> io::Result<()> {
    match point.way {
        Way::Overwrite | Way::Hole => part.file.write_all_at(bytes, offset as u64)?,
        Way::Append => append(part.file, bytes)?,
        Way::RangeLock | Way::RwLock | Way::NoLock => {
            let durable = point.durable.then_some(bench.durability);
            return store(&bench.region, part, offset, bytes, durable);
        }
    }
    if point.durable {
        fdatasync(part.file)?;
    }
    Ok(())
}

/// write(2) at the end of the file, on a descriptor that other threads write to elsewhere.
fn append(file: &File, bytes: &[u8]) -> io::Result<()> {
    let vector = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    loop {
        // SAFETY: one vector, which leads to bytes that are readable; the descriptor is open.
        let written = unsafe { libc::pwritev2(file.as_raw_fd(), &raw const vector, 1, 0, libc::RWF_APPEND) };
        match usize::try_from(written) {
            Ok(written) if written == bytes.len() => return Ok(()),
            // Only a full file system makes a write to a file come out short.
            Ok(_) => return Err(io::ErrorKind::StorageFull.into()),
            Err(_) => {
                let error = io::Error::last_os_error();
                if error.kind() != io::ErrorKind::Interrupted {
                    return Err(error);
                }
            }
        }
    }
}

/// Copies the bytes into the mapping, and makes them durable before the lock is released.
#[inline]
fn store(
    region: &Region,
    part: &Part<'_, '_>,
    offset: usize,
    bytes: &[u8; PAGE],
    durable: Option<Durability>,
) -> io::Result<()> {
    match part.lock {
        Lock::Range(lock) => {
            let mut guard = lock.write(offset..offset + PAGE);
            guard.copy_from_slice(bytes);
            durable.map_or(Ok(()), |how| make_durable(&guard, how))
        }
        Lock::Whole(lock) => {
            let _guard = lock.write();
            store_raw(region, part.place + offset, bytes, durable)
        }
        Lock::Nothing => store_raw(region, part.place + offset, bytes, durable),
    }
}

#[inline]
fn store_raw(
    region: &Region,
    place: usize,
    bytes: &[u8; PAGE],
    durable: Option<Durability>,
) -> io::Result<()> {
    // SAFETY: *In bounds*, *Long enough*; *Disjoint* makes it the only reference to these bytes.
    let target = unsafe { std::slice::from_raw_parts_mut(region.at(place, PAGE), PAGE) };
    target.copy_from_slice(bytes);
    durable.map_or(Ok(()), |how| make_durable(target, how))
}

fn make_durable(bytes: &[u8], how: Durability) -> io::Result<()> {
    match how {
        Durability::Flush(write_back) => {
            write_back.write_back(bytes);
            Ok(())
        }
        Durability::Msync => {
            // SAFETY: the bytes are those of a mapping, and msync changes none.
            unsafe { msync(bytes.as_ptr().cast_mut().cast(), bytes.len(), MsyncFlags::SYNC)? };
            Ok(())
        }
    }
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use std::arch::asm;
    use std::hint::black_box;

    use super::*;
    use crate::compare::stats::median;
    use crate::report::number::count;

    /// How many operations are timed at once. So few seldom meet a tick of the clock.
    const OPERATIONS: usize = 64;
    /// How often they are timed.
    const REPEATS: usize = 201;

    /// A loop of this many instructions, which is even.
    fn instructions(many: u64) {
        let times = many / 2;
        // SAFETY: changes one register and the flags.
        unsafe {
            asm!("2:", "dec {0}", "jnz 2b", inout(reg) times => _, options(nomem, nostack));
        }
    }

    /// The median of the nanoseconds that the work takes. A repeat in which a tick of the clock
    /// interrupts it takes longer, and is not the median.
    fn nanoseconds(mut work: impl FnMut()) -> f64 {
        let repeats = (0..REPEATS).map(|_| {
            let begin = Instant::now();
            work();
            begin.elapsed().as_nanos() as f64
        });
        median(&repeats.collect::<Vec<_>>()).unwrap()
    }

    /// The nanoseconds of one operation, on one thread. The first repeats warm up the lock.
    fn of_an_operation(bench: &Bench, point: Point, clock: f64) -> f64 {
        bench.prepare(point).unwrap();
        let targets = bench.targets(point);
        let locks = locks(bench, point, &targets);
        let part = part(bench, point, &targets, &locks, 0);
        let bytes = black_box([2; PAGE]);
        let of_many = nanoseconds(|| {
            for i in 0..OPERATIONS {
                operate(bench, point, &part, i * PAGE, &bytes).unwrap();
            }
        });
        (of_many - clock) / OPERATIONS as f64
    }

    /// Prints how many instructions one operation of one thread takes. The machine of
    /// `.ci/real-dax icount` has an emulated CPU on which each instruction takes 1 ns. A loop of
    /// known length checks this. On any other machine the check fails.
    #[test]
    #[ignore = "counts instructions only in the machine of .ci/real-dax icount"]
    fn instructions_of_an_operation() {
        let clock = nanoseconds(|| ());
        println!("check: reading the clock twice takes {clock} ns");
        for known in [100_000, 1_000_000] {
            let took = nanoseconds(|| instructions(known)) - clock;
            println!("check: a loop of {} instructions takes {} ns", count(known), count(took as u64));
            let off = (took / known as f64 - 1.0).abs();
            assert!(off < 0.001, "a nanosecond is not an instruction: off by {:.2} %", off * 100.0);
        }
        let folder = tempfile::tempdir().unwrap();
        let bench = Bench::open(&folder.path().join("file"), OPERATIONS * PAGE, 1, false).unwrap();
        let backing = bench.backing().name();
        println!("count: backing {backing}, a store is durable by {}", bench.durability().name());
        for way in [Way::Overwrite, Way::RangeLock, Way::RwLock, Way::NoLock] {
            let of = |durable| {
                of_an_operation(&bench, Point { threads: 1, way, layout: Layout::OneFile, durable }, clock)
            };
            let (as_is, durable) = (of(false), of(true));
            println!("count: {:17}  as is {as_is:6.0}, durable {durable:6.0}", way.name());
            // At least one for each cache line, or nothing was made durable.
            assert!(durable - as_is >= (PAGE / 64) as f64, "{way:?}: too few to be durable");
        }
    }
}
