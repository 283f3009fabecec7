//! `range-lock` beside its rivals: one [adapter](rival) for each, the [workloads](workload) that they all run, and what is
//! needed to [measure] and [report] them fairly.
//!
//! The program `scaling` runs everything, in turn within each round; the criterion benchmarks use the same adapters.

pub mod before_after;
pub mod measure;
pub mod placement;
pub mod report;

pub mod rival;
pub mod rivals;
pub mod sample;
pub mod workload;
