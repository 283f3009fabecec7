//! The options that choose the lock of one level, for all commands that have them.

use std::fmt;
use std::str::FromStr;

use clap::Args;

use crate::variant::{LockKind, Locks};

const LOCKS: &str = "Locks";

/// What each level of locking is made of.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct LockOptions {
    /// The lock of read(2) and write(2) in every variant: rwsem, range-lock or none [default: the
    /// variant's]
    #[arg(long, value_name = "LOCK", value_parser = LockKind::from_str, help_heading = LOCKS)]
    i_rwsem: Option<LockKind>,

    /// The lock that page faults share with truncate and punch, in every variant: rwsem, range-lock
    /// or none [default: the variant's]
    #[arg(long, value_name = "LOCK", value_parser = LockKind::from_str, help_heading = LOCKS)]
    i_mmap_sem: Option<LockKind>,
}

impl LockOptions {
    pub(super) fn locks(self) -> Locks {
        Locks { i_rwsem: self.i_rwsem, i_mmap_sem: self.i_mmap_sem }
    }
}

/// The options as on the command line, each with a blank before it.
impl fmt::Display for LockOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (option, kind) in [("--i-rwsem", self.i_rwsem), ("--i-mmap-sem", self.i_mmap_sem)] {
            if let Some(kind) = kind {
                write!(f, " {option} {kind}")?;
            }
        }
        Ok(())
    }
}
