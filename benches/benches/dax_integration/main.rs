//! Measures locks over a real file that is mapped into memory, as a program with data on DAX would
//! use them.
//!
//! `DAX_FILE` names the file. Without it the file lies in /dev/shm and has no name. The names of
//! the groups say what stands behind the file. Each group is one kind of operation, done by threads
//! of their own or by the threads of a rayon pool. One iteration is one operation of *each* thread.

mod locks;

#[path = "../budget/mod.rs"]
mod budget;
#[path = "../nameless/mod.rs"]
mod nameless;

use std::env;
use std::fs::File;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::{Arc, LazyLock};
use std::time::Instant;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, Throughput};
use dax_sim::pmem::{Device, DeviceError, DeviceOptions};
use range_lock_benches::crew::{Crew, Threads};
use range_lock_benches::placement;
use range_lock_benches::rival::PAGE;
use range_lock_benches::workload::pattern::Random;
use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};

use locks::{MappedFile, PageLocked, RangeLocked, Unlocked, WholeLocked, WholeStdLocked};

/// The size of the file in bytes.
const SIZE: u64 = 64 << 20;
/// The number of pages of the file, as a power of two.
const PAGES: u32 = (SIZE / PAGE).ilog2();
/// The number of parts of the file between which a rayon pool divides the work, and the number of
/// pages in a part, as powers of two.
const PARTS: u32 = 6;
const PART: u32 = PAGES - PARTS;

/// The file, and what stands behind it. The simulator's device makes the file, reserves its blocks
/// and finds out what stands behind it.
pub(crate) struct Ground {
    pub(crate) device: Device,
    pub(crate) file: File,
}

impl Ground {
    fn open() -> Result<Ground, String> {
        let Some(path) = env::var_os("DAX_FILE").map(PathBuf::from) else {
            let folder = nameless::folder();
            let (file, path) =
                nameless::file().map_err(|error| format!("{}: {error}; set DAX_FILE", folder.display()))?;
            return Ok(Ground { device: device(path, &folder)?, file });
        };
        if path.is_relative() {
            return Err(format!(
                "DAX_FILE is `{}`, a relative path, and cargo runs benchmarks in the folder of their package; \
                 set DAX_FILE to an absolute path",
                path.display()
            ));
        }
        let device = device(path.clone(), &path)?;
        let file = File::options().read(true).write(true).open(&path);
        let file = file.map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Ground { device, file })
    }
}

fn device(path: PathBuf, place: &Path) -> Result<Device, String> {
    let options = DeviceOptions { path: Some(path), size: SIZE, overwrite: false };
    Device::open(&options).map_err(|error| refused(&error, place))
}

/// Why there is no device at this place. The remedies in the simulator's messages are options that
/// this program does not have.
fn refused(error: &DeviceError, place: &Path) -> String {
    let place = place.display();
    match error {
        DeviceError::NotEmpty { len, .. } => {
            format!("`{place}` is not empty ({len} bytes); set DAX_FILE to a file that is new or empty")
        }
        DeviceError::NoSpace { size, free, .. } => format!(
            "{size} bytes do not fit on the file system of `{place}`, which has {free} free; \
             set DAX_FILE to a file on another"
        ),
        other => other.to_string(),
    }
}

/// A page in memory. It begins in the middle of a page frame, because a copy between equal offsets
/// of two frames looks to processors as if it overlapped.
#[repr(align(4096))]
struct Buffer([u8; 2 * PAGE as usize]);

impl Buffer {
    fn new() -> Box<Buffer> {
        Box::new(Buffer([1; 2 * PAGE as usize]))
    }

    fn page(&mut self) -> &mut [u8; PAGE as usize] {
        let half = PAGE as usize / 2;
        (&mut self.0[half..half + PAGE as usize]).try_into().expect("the length is that of a page")
    }
}

#[derive(Clone, Copy)]
enum Operation {
    Copy,
    Read,
    MostlyRead,
    MostlyReadAndWhole,
}

impl Operation {
    fn name(self) -> &'static str {
        match self {
            Operation::Copy => "pages copied into it",
            Operation::Read => "pages read",
            Operation::MostlyRead => "95 % pages read",
            Operation::MostlyReadAndWhole => "95 % read, 1 of 1024 whole",
        }
    }

    /// Does the operation once, somewhere in the `1 << bits` pages from `first` on. Inlined, so
    /// that the choice leaves the loop.
    #[inline(always)]
    fn run<L: MappedFile>(self, lock: &L, first: u64, bits: u32, random: &mut Random, buffer: &mut Buffer) {
        let page = buffer.page();
        match self {
            Operation::Copy => lock.write_page(first + random.bits(bits), black_box(page)),
            Operation::Read => lock.read_page(first + random.bits(bits), black_box(page)),
            Operation::MostlyRead | Operation::MostlyReadAndWhole => {
                if matches!(self, Operation::MostlyReadAndWhole) && random.bits(10) == 0 {
                    return lock.write_whole(first);
                }
                match random.bits_and_chance(bits, 95) {
                    (at, true) => lock.read_page(first + at, black_box(page)),
                    (at, false) => lock.write_page(first + at, black_box(page)),
                }
            }
        }
    }
}

/// One thread, and as many as there are CPUs: the two ends of what can scale.
fn sizes() -> [usize; 2] {
    [1, placement::cpus().len().max(2)]
}

/// A lock that maps the file when it is first used, so that a benchmark that is filtered out maps
/// nothing.
type Lazy<L> = Arc<LazyLock<L, Box<dyn FnOnce() -> L + Send>>>;

fn lazy<L: MappedFile>(ground: &Arc<Ground>) -> Lazy<L> {
    let ground = Arc::clone(ground);
    Arc::new(LazyLock::new(Box::new(move || L::new(&ground))))
}

type Group<'a> = BenchmarkGroup<'a, WallTime>;

/// Threads of their own. Threads that copy have a part of the file each. Other threads read and
/// write all over the file.
fn by_threads<L: MappedFile>(group: &mut Group<'_>, ground: &Arc<Ground>, operation: Operation) {
    for threads in sizes() {
        let lock = lazy::<L>(ground);
        let own = PAGES - threads.next_power_of_two().ilog2();
        let mut crew = Crew::new(threads, move |thread, turns| {
            let (lock, mut random, mut buffer) = (&**lock, Random::new(thread), Buffer::new());
            let (first, bits) = match operation {
                Operation::Copy => ((thread as u64) << own, own),
                _ => (0, PAGES),
            };
            turns.each(|| operation.run(lock, first, bits, &mut random, &mut buffer));
        });
        group.throughput(Throughput::Elements(threads as u64));
        group.bench_function(BenchmarkId::new(L::NAME, Threads(threads)), |b| {
            crew.prepare();
            b.iter_custom(|iterations| crew.run(iterations));
        });
    }
}

/// The threads of a rayon pool, which take pieces of the work: 64 operations in one part of the
/// file.
fn by_pool<L: MappedFile>(group: &mut Group<'_>, ground: &Arc<Ground>, operation: Operation) {
    const PIECE: u64 = 64;
    for threads in sizes() {
        let lock = lazy::<L>(ground);
        let pool = LazyLock::new(|| pool(threads));
        let run = |lock: &L, pool: &ThreadPool, iterations: u64| {
            let all = iterations * threads as u64;
            let pieces = 0..all.div_ceil(PIECE);
            pool.install(|| {
                let start = Instant::now();
                pieces.into_par_iter().for_each_init(Buffer::new, |buffer, piece| {
                    let first = (piece % (1 << PARTS)) << PART;
                    let mut random = Random::new(piece as usize);
                    for _ in 0..PIECE.min(all - piece * PIECE) {
                        operation.run(lock, first, PART, &mut random, buffer);
                    }
                });
                start.elapsed()
            })
        };
        group.throughput(Throughput::Elements(threads as u64));
        group.bench_function(BenchmarkId::new(L::NAME, Threads(threads)), |b| {
            // As in `Crew::prepare`.
            let (lock, pool): (&L, &ThreadPool) = (&lock, &pool);
            b.iter_custom(|iterations| run(lock, pool, iterations));
        });
    }
}

fn pool(threads: usize) -> ThreadPool {
    let cpus = placement::cpus();
    let pin = move |thread: usize| {
        if threads <= cpus.len() {
            placement::pin(cpus[thread]);
        }
    };
    ThreadPoolBuilder::new().num_threads(threads).start_handler(pin).build().expect("threads can be started")
}

fn dax_integration(c: &mut Criterion) {
    let ground = Arc::new(Ground::open().unwrap_or_else(|error| {
        eprintln!("dax_integration: {error}");
        process::exit(2)
    }));
    let backing = ground.device.backing();
    for operation in [Operation::Copy, Operation::Read, Operation::MostlyRead, Operation::MostlyReadAndWhole]
    {
        let mut group = c.benchmark_group(format!("dax_integration ({backing}), {}", operation.name()));
        by_threads::<RangeLocked>(&mut group, &ground, operation);
        by_threads::<WholeLocked>(&mut group, &ground, operation);
        by_threads::<WholeStdLocked>(&mut group, &ground, operation);
        by_threads::<PageLocked>(&mut group, &ground, operation);
        by_threads::<Unlocked>(&mut group, &ground, operation);
        group.finish();
    }
    for operation in [Operation::Copy, Operation::MostlyRead] {
        let mut group =
            c.benchmark_group(format!("dax_integration ({backing}), {}, rayon", operation.name()));
        by_pool::<RangeLocked>(&mut group, &ground, operation);
        by_pool::<WholeLocked>(&mut group, &ground, operation);
        by_pool::<WholeStdLocked>(&mut group, &ground, operation);
        by_pool::<PageLocked>(&mut group, &ground, operation);
        by_pool::<Unlocked>(&mut group, &ground, operation);
        group.finish();
    }
}

fn main() {
    budget::run("dax_integration", &[dax_integration]);
}
