//! A simulated cache-coherent machine of 1 to 256 CPUs that runs real code.
//!
//! Crates under test are compiled with ThreadSanitizer's instrumentation, unchanged. Each of their
//! loads, stores and atomics calls this crate, with its real address. The crate moves the virtual
//! clock of the calling thread by what the access costs on the simulated machine, and runs the
//! threads in the order of their clocks. The kernel's part is simulated behind the functions of the
//! C library: futexes, timers, the scheduler, clocks and randomness.
//!
//! [`run`] runs a closure on each thread of a [`Machine`]. Call [`fix_addresses`] first in `main`,
//! and build what the threads share in [`Machine::setup`]. Then the same binary and the same seed
//! give the same [`Report`].
//!
//! This crate itself is never instrumented.

#[cfg(not(all(target_arch = "x86_64", target_os = "linux", target_env = "gnu")))]
compile_error!("the simulated machine needs x86-64, Linux and glibc");

mod addresses;
mod costs;
mod cpus;
mod directory;
mod doors;
mod instrumentation;
mod lender;
mod machine;
mod medium;
mod memory;
mod names;
mod overlap;
mod pauses;
mod report;
mod run_queues;
mod system_calls;
mod topology;

pub use crate::addresses::fix_addresses;
pub use crate::costs::{Costs, NS, US};
pub use crate::cpus::{
    aside, counts, cpu, futex_wait, futex_wake, now, pause, range_lock_smp_note, range_lock_smp_pause, run,
    thread, touch, work,
};
pub use crate::machine::{Directory, Limits, MOST_CPUS, MOST_THREADS, Machine, Overlap};
pub use crate::medium::Medium;
pub use crate::names::{Named, name, names_at};
pub use crate::report::{Counts, Doing, LineReport, Report, Stuck, StuckThread, ThreadReport, Why};
pub use crate::topology::{Distance, Topology};

/// Picoseconds of virtual time.
pub type Ps = u64;
