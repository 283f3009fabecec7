//! Compares `range-lock` with its rivals: one [adapter](rival) for each, the [workloads](workload)
//! that they all run, and what is needed to [measure] and [report] them fairly.
//!
//! The program `rivals` runs everything, in turn within each round. The criterion benchmarks use
//! the same adapters and operations, on a [crew] of threads.

pub mod before_after;
pub mod crew;
pub mod measure;
pub mod placement;
pub mod report;

pub mod rival;
pub mod rivals;
pub mod sample;
pub mod workload;
