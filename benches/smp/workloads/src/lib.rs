//! The workloads of the locks on the simulated machine.
//!
//! A [`Point`] is a lock, a workload and a machine. [`run`] runs it and measures in virtual time.
//! An operation is an acquisition and its release, unless the workload says otherwise. Looks at the
//! clock and the bookkeeping take no virtual time.
//!
//! This crate is instrumented. What it does outside of [`smp_machine::aside`] is simulated.

mod check;
pub mod dax;
mod harness;
mod locks;
mod many;
mod order;
mod pattern;
mod point;
#[path = "../../../src/workload/pattern.rs"]
#[allow(dead_code, unreachable_pub, reason = "it is public in the benchmarks, which use more of it")]
mod random;
mod short;
mod sleeping;
mod whole;
mod workload;

pub use harness::{Outcome, Plan};
pub use locks::{LockInfo, locks};
pub use order::grants_in_order;
pub use point::{Failed, Point, Ran, run};
pub use workload::Workload;
