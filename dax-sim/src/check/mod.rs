//! Checks what every read must see, and what must hold of everything else ([`Invariant`]). It uses
//! `file` and the modules below.
//!
//! Two checks judge reads:
//!
//! * An [`Oracle`] is for threads of the machine, over long runs. For one word at a time it knows
//!   which versions may still be seen, so it can tell a stale read from an early one. [`pattern`]
//!   chooses the words to write: each word names its place and its version.
//! * `history` is for a few calls of simulated threads. It searches for an order of all calls that
//!   explains what each of them saw.
//!
//! Two checks look at the simulator itself:
//!
//! * [`check_invariants`] compares translations, entries and block map while no call is under way.
//! * `metadata` compares what fsync promised with what was flushed and committed.
//!
//! The order of locks is checked in `schedule`, and the use of blocks in `fs`, because modules
//! below `check` ask for both checks.

pub(crate) mod history;
pub(crate) mod invariants;
mod metadata;
mod oracle;
pub mod pattern;

pub use crate::finding::{Finding, Invariant};
pub use invariants::check as check_invariants;
pub(crate) use metadata::Committed;
pub use oracle::{Covers, Oracle, Register, Verdict, Write};
