//! What every read must see.
//!
//! [`pattern`] says what is written, so that each word tells where it belongs and how new it is; an
//! [`Oracle`] knows which versions a read may still see, and so tells a stale read from one that merely came
//! early. It judges single words, each as a register with several writers; a fuller oracle can take its place
//! behind the same verbs.

mod durable;
mod finding;
pub(crate) mod history;
pub(crate) mod invariants;
mod metadata;
mod oracle;
pub mod pattern;
pub(crate) mod ranks;

pub(crate) use durable::Durable;
pub use finding::{Finding, Invariant};
pub use invariants::check as check_invariants;
pub(crate) use metadata::Committed;
pub use oracle::{Covers, Oracle, Register, Verdict, Write};
