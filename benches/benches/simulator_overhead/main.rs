//! Measures the cost of the simulator: its calls beside the same bytes moved through a plain shared
//! mapping of the same file.
//!
//! It answers two questions, over random pages of a mapped file whose blocks are all there. The
//! simulator's checkers are off.
//!
//! * What does one call cost, on one thread and 1 MiB? A write(2) of 4 KiB is set beside a copy of
//!   4 KiB under one uncontended rwsem. A mapped load of 8 bytes is set beside one volatile load.
//! * Do threads that work on different pages slow each other down? See [`second_thread`].
//!
//! The two sides of a figure take turns, a batch each. The figure is the median over the turns of
//! their ratio, because a machine that drifts drifts for both. These figures are printed last,
//! after criterion's own times of the calls.

#[path = "../budget/mod.rs"]
mod budget;
#[path = "../nameless/mod.rs"]
mod nameless;
mod second_thread;

use std::cell::Cell;
use std::env;
use std::hint::black_box;
use std::ptr;
use std::time::Instant;

use criterion::Criterion;
use dax_sim::file::{File, Mapping};
use dax_sim::fs::FileSystem;
use dax_sim::pmem::{BLOCK_SIZE, Device, DeviceOptions};
use dax_sim::variant::Variant;
use memmap2::MmapRaw;
use parking_lot::RwLock;

const PAGE: usize = BLOCK_SIZE as usize;
/// The size of the file, or of each thread's part of it, in bytes.
const SIZE: u64 = 1 << 20;
/// The device is larger, so that threads' blocks come from different regions of it.
const DEVICE: u64 = 16 << 20;
/// The filter that matches no call, so that only the tables are printed: for
/// `benches/before-after`.
const TABLES: &str = "tables-only";
const VARIANTS: [Variant; 4] = [Variant::Linux412, Variant::Rwsem, Variant::RangeLock, Variant::Unserialised];

/// A file on /dev/shm, mapped twice: by the device, and directly.
struct Both {
    device: Device,
    plain: MmapRaw,
    rwsem: RwLock<()>,
}

impl Both {
    fn new() -> Self {
        let (file, path) = nameless::file().expect("a temporary file can be made");
        let options = DeviceOptions { path: Some(path), size: DEVICE, overwrite: false };
        let device = Device::open(&options).expect("there is room for the device");
        let plain = MmapRaw::map_raw(&file).expect("a file can be mapped twice");
        let both = Self { device, plain, rwsem: RwLock::new(()) };
        // Take its first write faults.
        (0..SIZE).step_by(PAGE).for_each(|offset| both.copy(offset, &[1; PAGE]));
        both
    }

    /// The part of a write(2) of a page that cannot be avoided.
    fn copy(&self, offset: u64, page: &[u8; PAGE]) {
        assert!(offset <= DEVICE - BLOCK_SIZE);
        let _exclusive = self.rwsem.write();
        // SAFETY: the page lies inside the mapping, which holds no other reference, and only one
        // thread comes here.
        unsafe { ptr::copy_nonoverlapping(page.as_ptr(), self.plain.as_mut_ptr().add(offset as usize), PAGE) }
    }

    fn load(&self, offset: u64) -> u64 {
        assert!(offset <= DEVICE - 8 && offset.is_multiple_of(8));
        // SAFETY: the word lies inside the mapping and is aligned; only one thread comes here.
        unsafe { self.plain.as_ptr().add(offset as usize).cast::<u64>().read_volatile() }
    }
}

/// A file with `size` bytes of blocks, and a mapping of it with every page mapped for stores.
fn with_file<R>(fs: &FileSystem<'_>, size: u64, run: impl FnOnce(&File<'_>, &Mapping<'_>) -> R) -> R {
    let file = fs.create();
    let pages = || (0..size).step_by(PAGE);
    pages().for_each(|at| assert_eq!(file.write_at(&[1; PAGE], at), Ok(PAGE)));
    let mapping = file.mmap(0..size);
    pages().for_each(|at| assert_eq!(mapping.store_u64(at, 1), Ok(())));
    run(&file, &mapping)
}

/// Places in `SIZE` bytes, drawn beforehand, so that a call finds its place by one load.
struct Places {
    offsets: Box<[u32; 4096]>,
    next: usize,
}

impl Places {
    /// Multiples of `unit`.
    fn of(unit: u64) -> Self {
        // The high bits of a linear congruence. Any places will do that no prefetcher predicts.
        let mut state = 1_u64;
        let mut draw = || {
            state = state.wrapping_mul(0xd134_2543_de82_ef95).wrapping_add(1);
            ((state >> 33) % (SIZE / unit) * unit) as u32
        };
        Self { offsets: Box::new([(); 4096].map(|()| draw())), next: 0 }
    }

    #[inline]
    fn next(&mut self) -> u64 {
        self.next = (self.next + 1) % self.offsets.len();
        self.offsets[self.next].into()
    }
}

/// Seconds of one call, over a batch of `calls`.
fn time<R>(calls: u32, mut call: impl FnMut() -> R) -> f64 {
    let start = Instant::now();
    (0..calls).for_each(|_| drop(black_box(call())));
    start.elapsed().as_secs_f64() / f64::from(calls)
}

/// Lets the two take turns. Returns the medians of what each returned, and of the ratio.
fn in_turns(turns: usize, mut one: impl FnMut() -> f64, mut other: impl FnMut() -> f64) -> [f64; 3] {
    let pairs: Vec<_> = (0..turns).map(|_| (one(), other())).collect();
    [0, 1, 2].map(|which| {
        let mut values: Vec<_> =
            pairs.iter().map(|(one, other)| [*one, *other, one / other][which]).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    })
}

fn calls_beside_plain_ones(turns: usize) {
    let both = Both::new();
    println!(
        "{:<19} {:<14} {:>9} {:>6} {:>7}",
        "one thread, 1 MiB", "variant", "simulated", "plain", "ratio"
    );
    for variant in VARIANTS {
        let fs = FileSystem::format(&both.device, variant);
        with_file(&fs, SIZE, |file, mapping| {
            let page = [7; PAGE];
            let (mut places, mut same) = (Places::of(BLOCK_SIZE), Places::of(BLOCK_SIZE));
            let write = in_turns(
                turns,
                || time(2_000, || file.write_at(black_box(&page), places.next())),
                || time(2_000, || both.copy(same.next(), black_box(&page))),
            );
            let (mut places, mut same) = (Places::of(8), Places::of(8));
            let load = in_turns(
                turns,
                || time(20_000, || mapping.load_u64(places.next())),
                || time(20_000, || both.load(same.next())),
            );
            for (call, [simulated, plain, ratio]) in [("write_at of 4 KiB", write), ("load of 8 bytes", load)]
            {
                let (simulated, plain) = (simulated * 1e9, plain * 1e9);
                println!("{call:<19} {variant:<14} {simulated:>6.1} ns {plain:>3.1} ns {ratio:>6.2}");
            }
        });
    }
}

fn simulator_overhead(c: &mut Criterion) {
    let both = Both::new();
    let mut group = c.benchmark_group("simulator_overhead");
    let (page, mut places, mut words) = ([7; PAGE], Places::of(BLOCK_SIZE), Places::of(8));
    // A call that is only listed, or that a filter leaves out, is not run.
    let any = Cell::new(false);
    group.bench_function("write/plain", |b| {
        any.set(true);
        b.iter(|| both.copy(places.next(), black_box(&page)));
    });
    group.bench_function("load/plain", |b| {
        any.set(true);
        b.iter(|| both.load(words.next()));
    });
    for variant in VARIANTS {
        let fs = FileSystem::format(&both.device, variant);
        with_file(&fs, SIZE, |file, mapping| {
            group.bench_function(format!("write/{variant}"), |b| {
                any.set(true);
                b.iter(|| file.write_at(black_box(&page), places.next()));
            });
            group.bench_function(format!("load/{variant}"), |b| {
                any.set(true);
                b.iter(|| mapping.load_u64(words.next()));
            });
        });
    }
    group.finish();

    let asked = |option: &str| env::args().any(|argument| argument == option);
    if any.get() || asked(TABLES) {
        // As criterion does: without `--bench`, cargo runs tests.
        let once = asked("--test") || asked("--quick") || !asked("--bench");
        calls_beside_plain_ones(if once { 1 } else { 400 });
        second_thread::print_gains(if once { 1 } else { 20 });
    }
}

fn main() {
    budget::run("simulator_overhead", &[simulator_overhead]);
}
