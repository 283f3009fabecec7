//! Describes a machine: its topology, its costs and two choices of the model. Has presets.

use std::str::FromStr;
use std::time::Duration;

use crate::Ps;
use crate::costs::{Costs, NS, US};
use crate::medium::Medium;
use crate::topology::Topology;

/// The most CPUs of a machine.
pub const MOST_CPUS: usize = 256;

/// The most simulated threads of a process at a time. Threads that a deadlock or a panic leaves
/// asleep also count.
pub const MOST_THREADS: usize = 4096;

/// How the home of a line serves requests that meet there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Directory {
    /// A request begins when the one before it has ended.
    Blocking,
    /// A request travels while the one before it is under way.
    Pipelined,
}

/// Whether accesses of one CPU overlap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overlap {
    /// Each access waits for the one before it.
    InOrder,
    /// Up to 10 loads that miss, and all stores, overlap until the next locked instruction. Loads
    /// that depend on each other overlap too, so the resulting time is a lower bound.
    Overlapping,
    /// A miss begins some locked instructions earlier, if its address is known by then: see
    /// [`Costs::window`] and [`Costs::known`]. It begins no earlier than the last loss of the line.
    Ahead,
}

macro_rules! names {
    ($type:ident, $what:literal, $($variant:ident $name:literal),*) => {
        impl $type {
            /// Its name on the command line.
            pub fn name(self) -> &'static str {
                match self { $($type::$variant => $name),* }
            }
        }

        impl FromStr for $type {
            type Err = String;

            fn from_str(name: &str) -> Result<Self, String> {
                match name {
                    $($name => Ok($type::$variant),)*
                    _ => Err(format!("no {} is called {name:?}: choose of {}", $what, [$($name),*].join(", "))),
                }
            }
        }
    };
}
names!(Directory, "directory", Blocking "blocking", Pipelined "pipelined");
names!(Overlap, "overlap", InOrder "in-order", Overlapping "overlapping",
    Ahead "ahead");

/// A machine to run code on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// Which CPUs are near to each other.
    pub topology: Topology,
    /// What each step costs.
    pub costs: Costs,
    /// What lies behind a device, if there is one.
    pub medium: Medium,
    /// How requests for one line meet.
    pub directory: Directory,
    /// Whether accesses of one CPU overlap.
    pub overlap: Overlap,
    /// The number of CPUs, from 1 to [`MOST_CPUS`].
    pub cpus: usize,
    /// The number of threads that run `body`, at least 1.
    pub threads: usize,
    /// The start of jitter and `getrandom`. The same seed gives the same run.
    pub seed: u64,
    /// When a run is stopped.
    pub limits: Limits,
}

/// How long a run may take. A run that takes longer is [`Stuck`](crate::Stuck).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// In virtual time.
    pub virtual_time: Ps,
    /// In real time. The clock is read only now and then, so the run may take somewhat longer.
    pub real_time: Duration,
}

impl Default for Limits {
    /// A minute of virtual time, and ten minutes of real time.
    fn default() -> Self {
        Limits { virtual_time: 60_000_000 * US, real_time: Duration::from_secs(600) }
    }
}

/// The name, what it stands for, topology, CPUs, and latencies of a transfer in ns.
type Preset = (&'static str, &'static str, Topology, usize, [u64; 3]);

const fn sockets(sockets: usize, per_cluster: usize) -> Topology {
    Topology { per_cluster, per_socket: 64, sockets }
}

const PRESETS: &[Preset] = &[
    ("near", "two CPUs that hand a line over in 39 ns", Topology::socket(2), 2, [20, 20, 20]),
    ("far", "two CPUs that hand a line over in 199 ns", Topology::socket(2), 2, [85, 85, 85]),
    ("s32", "one socket of 32 CPUs; more CPUs fill more sockets", Topology::socket(32), 32, [40, 40, 130]),
    ("s64", "one socket of 64 CPUs; more CPUs fill more sockets", Topology::socket(64), 64, [40, 40, 130]),
    ("2x64", "two sockets of 64 CPUs, used in turn", sockets(2, 64), 128, [40, 40, 130]),
    ("4x64", "four sockets of 64 CPUs, used in turn", sockets(4, 64), 256, [40, 40, 150]),
    ("chiplets", "sockets of eight chiplets of 8 CPUs", sockets(1, 8), 64, [20, 85, 180]),
];

impl Machine {
    /// The machine of that name, with as many threads as CPUs. `None` if there is none.
    pub fn preset(name: &str) -> Option<Machine> {
        let (_, _, topology, cpus, [cluster, socket, machine]) = PRESETS.iter().find(|p| p.0 == name)?;
        Some(Machine {
            topology: topology.clone(),
            costs: Costs::SERVER.with_transfer(cluster * NS, socket * NS, machine * NS),
            medium: Medium::dram(),
            directory: Directory::Blocking,
            overlap: Overlap::InOrder,
            cpus: *cpus,
            threads: *cpus,
            seed: 1,
            limits: Limits::default(),
        })
    }

    /// Names of all presets, and what they stand for.
    pub fn presets() -> &'static [(&'static str, &'static str)] {
        const NAMES: [(&str, &str); PRESETS.len()] = {
            let mut names = [("", ""); PRESETS.len()];
            let mut i = 0;
            while i < PRESETS.len() {
                names[i] = (PRESETS[i].0, PRESETS[i].1);
                i += 1;
            }
            names
        };
        &NAMES
    }

    /// The same machine with `cpus` CPUs, and as many threads.
    pub fn with_cpus(mut self, cpus: usize) -> Self {
        self.cpus = cpus;
        self.threads = cpus;
        self
    }

    /// The same machine with `threads` threads.
    pub fn with_threads(mut self, threads: usize) -> Self {
        self.threads = threads;
        self
    }

    /// The same machine with another seed.
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// The same machine with these limits.
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// The same machine with this medium.
    pub fn with_medium(mut self, medium: Medium) -> Self {
        self.medium = medium;
        self
    }

    /// The same machine with this directory.
    pub fn with_directory(mut self, directory: Directory) -> Self {
        self.directory = directory;
        self
    }

    /// The same machine with this overlap.
    pub fn with_overlap(mut self, overlap: Overlap) -> Self {
        self.overlap = overlap;
        self
    }
}
