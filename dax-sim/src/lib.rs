//! The simulator.

pub mod check;
pub mod error;
pub mod file;
pub mod fs;
pub mod pmem;
pub mod report;
pub mod schedule;
pub mod variant;
pub mod workload;

mod dax;
mod mm;
mod per_thread;
mod radix;
