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

/// Which levels of locking use the variant's own kind of lock. What the variant does under them
/// stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Level {
    /// Both levels, as in the variant.
    Both,
    /// Only i_mmap_sem: i_rwsem is a rwsem, as in Linux.
    IMmapSem,
    /// Only i_rwsem: i_mmap_sem is a rwsem, as in Linux. `linux-4.12` gets a range lock.
    IRwsem,
}

impl Level {
    /// All levels.
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

    /// Whether the variant at this level differs from the unchanged variant, and from `rwsem`.
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

/// What a point runs.
#[derive(Clone, Debug)]
pub struct Point {
    /// How faults and I/O are serialised.
    pub variant: Variant,
    /// Which levels of locking use the variant's own kind of lock.
    pub level: Level,
    /// What the threads do.
    pub workload: Workload,
    /// The machine on which it runs.
    pub machine: Machine,
    /// How long it runs.
    pub plan: Plan,
    /// Whether reads are judged. If so, threads are delayed at schedule points, by times drawn from
    /// the seed.
    pub judge: bool,
}
