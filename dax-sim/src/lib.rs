//! The simulator.
#![allow(missing_docs, missing_debug_implementations)] // lifted when the rooms are furnished

pub mod cli;
mod compare;
pub mod pmem;
mod report;
pub mod variant;
pub mod workload;
