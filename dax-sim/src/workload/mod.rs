//! What is run: one [`Point`] is one workload in one variant with so many threads.

use std::time::Duration;

use hdrhistogram::Histogram;

use crate::pmem::{Device, DeviceError};
use crate::variant::Variant;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Workload {
    WriteDisjoint,
    WriteShared,
    FaultVsWrite,
    ReadMostly,
}

impl Workload {
    pub const ALL: [Workload; 4] =
        [Workload::WriteDisjoint, Workload::WriteShared, Workload::FaultVsWrite, Workload::ReadMostly];
    pub fn name(self) -> &'static str {
        match self {
            Workload::WriteDisjoint => "write-disjoint",
            Workload::WriteShared => "write-shared",
            Workload::FaultVsWrite => "fault-vs-write",
            Workload::ReadMostly => "read-mostly",
        }
    }
}

/// One point of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Point {
    pub workload: Workload,
    pub variant: Variant,
    pub threads: usize,
    /// How long the simulated device sleeps per operation, inside the section that the lock protects.
    pub media: Duration,
}

/// What one run of a point showed.
#[derive(Clone, Debug)]
pub struct Sample {
    pub ops: u64,
    pub elapsed: Duration,
    /// Nanoseconds that operations waited for i_rwsem and i_mmap_sem.
    pub wait: Histogram<u64>,
    pub stale_reads: u64,
    pub checked_reads: u64,
}

/// The smallest device on which `point` can run, in bytes.
pub fn min_device_size(_threads: usize) -> u64 {
    16 << 20
}

/// Runs one point for about `duration` on a freshly formatted device.
pub fn run(_point: &Point, _device: &Device, _duration: Duration) -> Result<Sample, DeviceError> {
    todo!()
}
