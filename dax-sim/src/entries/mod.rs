//! What a mapping of a file remembers of each page's block, and the lock of each such answer.
//!
//! The entries of Linux' `fs/dax.c`. Uses `schedule` and what is below it.

mod entry;
mod slots;
mod wait_table;

pub(crate) use entry::DaxEntry;
pub(crate) use slots::{DaxEntries, LockedEntry, Present};
