//! W8: sections that sleep, as operations on a device do.

use std::num::NonZeroU64;
use std::time::Duration;

use crate::measure::{Plan, Stint, on_threads};
use crate::rival::Rival;
use crate::workload::op;
use crate::workload::pattern::Random;

/// The time of an operation on the device.
pub(super) const MEDIA: Duration = Duration::from_micros(50);

/// Lets this thread's sleeps end in time: Linux adds 50 µs by default.
pub fn punctually() {
    // If the kernel refuses, all sleep longer alike.
    let _ = rustix::thread::set_current_timer_slack(NonZeroU64::new(1));
}

pub(super) fn writes<R: Rival>(lock: &R, threads: usize, plan: Plan) -> Vec<Stint> {
    on_threads(threads, plan, |thread, start_line| {
        punctually();
        let (user, mut random) = (lock.user(), Random::new(thread));
        let mut clock = start_line.wait();
        loop {
            op::sleeping_write(&user, &mut random);
            if !clock.lap(1) {
                return clock.stint();
            }
        }
    })
}
