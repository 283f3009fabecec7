//! Many threads at once, with everything checked.
//!
//! How long: `DAX_SIM_STRESS_SECONDS` for the random operations in each variant, a sixth of it for
//! the other tests that have no end of their own; a second unless told otherwise. Random numbers
//! are seeded, but threads are not: a failure says what was seen, not how to see it again. For that
//! there is exploration.

mod clones;
mod holetest;
mod random_operations;
mod slots;
mod workloads;

use std::time::{Duration, Instant};

use dax_sim::fs::FileSystem;
use dax_sim::pmem::{Device, DeviceOptions};
use dax_sim::schedule::{Schedule, SchedulePoint};
use dax_sim::variant::Variant;

fn device(size: u64) -> Device {
    Device::open(&DeviceOptions { path: None, size, overwrite: false }).unwrap()
}

fn correct() -> impl Iterator<Item = Variant> {
    Variant::ALL.into_iter().filter(|variant| variant.is_correct())
}

/// Threads linger where the races are, and now and then with a translation in hand. The order of
/// locks is checked.
fn schedule() -> Schedule {
    let linger = |point, _| {
        let one_in = match point {
            SchedulePoint::FaultLookedUp { .. } | SchedulePoint::WritePublished => 4,
            SchedulePoint::Translated => 64,
            _ => return,
        };
        if fastrand::u32(..one_in) == 0 {
            let (start, time) = (Instant::now(), Duration::from_micros(5).mul_f64(fastrand::f64()));
            while start.elapsed() < time {
                std::thread::yield_now();
            }
        }
    };
    Schedule::hook(linger).with_checks(true)
}

fn widened(device: &Device, variant: Variant) -> FileSystem<'_> {
    FileSystem::format(device, variant).with_schedule(schedule())
}

/// For the random operations, in each variant.
fn time() -> Duration {
    const NAME: &str = "DAX_SIM_STRESS_SECONDS";
    let seconds = std::env::var(NAME).map_or(Ok(1.0), |value| value.parse());
    Duration::from_secs_f64(seconds.unwrap_or_else(|e| panic!("{NAME} is a number of seconds: {e}")))
}

/// Plays rounds, one at least, until a sixth of [`time`] is over.
fn rounds(mut round: impl FnMut(u64)) {
    let start = Instant::now();
    for number in 0.. {
        round(number);
        if start.elapsed() >= time() / 6 {
            return;
        }
    }
}
