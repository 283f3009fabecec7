//! dax-sim's own code on the simulated machine: page faults, write(2) and the locks around them.

mod judge;
mod run;
mod workload;

use dax_sim::variant::{LockKind, Locks, Variant};
use smp_machine::Machine;

pub use judge::Judged;
pub use run::{Ran, run};
pub use workload::Workload;

use crate::Plan;

/// Which levels of locking a variant makes of its own kind of lock. What it does under them stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Level {
    /// Both, as the variant says.
    Both,
    /// i_mmap_sem alone: i_rwsem is a rwsem, as Linux has it.
    IMmapSem,
    /// i_rwsem alone: i_mmap_sem is a rwsem, as Linux has it. `linux-4.12` gets a range lock.
    IRwsem,
}

impl Level {
    /// All of them.
    pub const ALL: [Level; 3] = [Level::Both, Level::IMmapSem, Level::IRwsem];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Level::Both => "both",
            Level::IMmapSem => "i_mmap_sem",
            Level::IRwsem => "i_rwsem",
        }
    }

    /// What the variant's locks are made of.
    pub fn locks(self, variant: Variant) -> Locks {
        match (self, variant) {
            (Level::Both, _) => Locks::default(),
            (Level::IMmapSem, _) => Locks { i_rwsem: Some(LockKind::Rwsem), i_mmap_sem: None },
            (Level::IRwsem, Variant::Unserialised) => {
                Locks { i_rwsem: None, i_mmap_sem: Some(LockKind::Rwsem) }
            }
            (Level::IRwsem, _) => {
                Locks { i_rwsem: Some(LockKind::RangeLock), i_mmap_sem: Some(LockKind::Rwsem) }
            }
        }
    }

    /// Whether the variant differs at this level from what it is as it comes, and from `rwsem`.
    pub fn matters_to(self, variant: Variant) -> bool {
        match self {
            Level::Both => true,
            Level::IMmapSem => matches!(variant, Variant::RangeLock | Variant::Unserialised),
            Level::IRwsem => {
                matches!(variant, Variant::Linux412 | Variant::RangeLock | Variant::Unserialised)
            }
        }
    }
}

/// What is run.
#[derive(Clone, Debug)]
pub struct Point {
    /// How faults and I/O are serialised.
    pub variant: Variant,
    /// Which levels of locking are the variant's.
    pub level: Level,
    /// What is done.
    pub workload: Workload,
    /// Where.
    pub machine: Machine,
    /// For how long.
    pub plan: Plan,
    /// Whether reads are judged: threads are then held up at schedule points, by times drawn from
    /// the seed.
    pub judge: bool,
}
