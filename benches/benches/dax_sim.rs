//! Measures the simulator's variants in its workloads, CPU-bound, with nothing checked. One
//! iteration is one operation of *each* thread. In `fault-vs-write` with two threads or more, one
//! in eight threads that pass a schedule point also waits there for up to 20 µs, in every variant
//! alike, as in `dax-sim compare`.
//!
//! The simulator runs for a time, not for a number of operations. So a sample is a run about as
//! long as its iterations take. Its time is scaled from the number of operations done to the number
//! requested.

use std::process;
use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, Throughput};
use dax_sim::pmem::{Device, DeviceOptions};
use dax_sim::variant::Variant;
use dax_sim::workload::{Point, Setup, Workload, run_with};
use range_lock_benches::crew::Threads;

mod budget;

const VARIANTS: [Variant; 4] = [Variant::Rwsem, Variant::RangeLock, Variant::Linux412, Variant::Unserialised];
const THREADS: [usize; 3] = [1, 2, 8];
const DEVICE: u64 = 64 << 20;

/// The shortest run. Threads start and stop in much less time.
const SHORTEST: Duration = Duration::from_millis(2);
/// The longest run, in case an estimate from a short run is far off.
const LONGEST: Duration = Duration::from_millis(500);

fn curve(group: &mut BenchmarkGroup<'_, WallTime>, device: &Device, workload: Workload, variant: Variant) {
    let setup = Setup { checks: false, ..Setup::default() };
    for threads in THREADS {
        let point = Point { workload, variant, threads, media: Duration::ZERO };
        // Seconds of one iteration, from the run before.
        let mut estimate = 0.0;
        let mut run = |iterations: u64| {
            let wanted = (estimate * iterations as f64).min(LONGEST.as_secs_f64());
            let duration = Duration::from_secs_f64(wanted).max(SHORTEST);
            let sample = run_with(&point, setup, device, duration).expect("the device is large enough");
            estimate = sample.elapsed.as_secs_f64() * threads as f64 / sample.ops as f64;
            Duration::from_secs_f64(estimate * iterations as f64)
        };
        group.throughput(Throughput::Elements(threads as u64));
        group.bench_function(BenchmarkId::new(variant.name(), Threads(threads)), |b| {
            b.iter_custom(&mut run);
        });
    }
}

fn dax_sim(c: &mut Criterion) {
    let options = DeviceOptions { path: None, size: DEVICE, overwrite: false };
    let device = Device::open(&options).unwrap_or_else(|error| {
        eprintln!("dax_sim: {error}");
        process::exit(2)
    });
    for workload in Workload::ALL {
        let mut group = c.benchmark_group(format!("dax_sim, {workload}"));
        for variant in VARIANTS {
            curve(&mut group, &device, workload, variant);
        }
        group.finish();
    }
}

fn main() {
    budget::run("dax_sim", &[dax_sim]);
}
