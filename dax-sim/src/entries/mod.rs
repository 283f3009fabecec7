//! The answers that faults have cached for the pages of a file, and the lock of each. It uses
//! `schedule` and the modules below.
//!
//! The answers are the entries of Linux' `fs/dax.c`.

mod entry;
mod slots;
mod wait_table;

pub(crate) use entry::DaxEntry;
pub(crate) use slots::{DaxEntries, LockedEntry, Present};
