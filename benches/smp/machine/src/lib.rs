//! A simulated cache-coherent machine of 1 to 256 CPUs that runs real code.
#![allow(missing_docs, unused_variables)]

mod costs;
mod machine;
mod report;
mod topology;

pub use crate::costs::{Costs, NS, US};
pub use crate::machine::{Directory, MOST_CPUS, MOST_THREADS, Machine, Overlap};
pub use crate::report::{Counts, Deadlock, LineReport, Report, ThreadReport};
pub use crate::topology::{Distance, Topology};

/// Picoseconds of virtual time.
pub type Ps = u64;

pub fn run<F: Fn(usize) + Send + Sync + 'static>(machine: &Machine, body: F) -> Result<Report, Deadlock> {
    todo!()
}
/// To be called first in `main`: starts the program again without address randomisation.
pub fn fix_addresses() -> std::io::Result<()> {
    Ok(())
}
impl Machine {
    /// Runs `f` outside of the simulation, with the machine's `available_parallelism`; what it
    /// allocates lies in the arena at a fixed address. Build the lock under test in here.
    pub fn setup<T>(&self, f: impl FnOnce() -> T) -> T {
        f()
    }
}
#[inline(never)]
pub fn now() -> Ps {
    0
}
#[inline(never)]
pub fn work(ps: Ps) {}
#[inline(never)]
pub fn touch(address: usize, write: bool) {}
#[inline(never)]
pub fn thread() -> usize {
    0
}
#[inline(never)]
pub fn cpu() -> usize {
    0
}
pub fn aside<T>(f: impl FnOnce() -> T) -> T {
    f()
}
#[inline(never)]
pub fn pause(n: u32) {}
#[inline(never)]
pub fn futex_wait(address: usize, expected: u32, timeout: Option<Ps>) -> bool {
    false
}
#[inline(never)]
pub fn futex_wake(address: usize, n: usize) -> usize {
    0
}
#[inline(never)]
pub fn name(start: usize, bytes: usize, what: &'static str, index: usize) {}
