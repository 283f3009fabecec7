//! A reader/writer range lock. A thread locks a range of `u64` numbers, and other threads can lock
//! the other numbers.
//!
//! ```
//! use range_lock::RangeLock;
//!
//! let lock = RangeLock::new();
//! let reader = lock.read(0..4096);
//! let writer = lock.write(4096..8192); // Disjoint ranges do not wait for each other.
//! assert!(lock.try_write(0..1).is_none()); // Overlapping ones do, if one of them writes.
//! ```
//!
//! [`RangeLock`] is a blocking lock. The lock is fair: it grants conflicting requests first come,
//! first served, with [two exceptions](RangeLock#fairness). The lock is exact: two requests
//! conflict only if their ranges overlap.
//!
//! * A range is any `RangeBounds<u64>`.
//! * The lock has methods for readers, upgradable readers and writers. Each of these methods has
//!   `try_` and timed forms.
//! * A thread may send a guard to another thread. An owned guard has an `Arc` of the lock.
//! * A caller can downgrade, shrink and split a held range.
//!
//! # When to use it
//!
//! | you have | use |
//! |---|---|
//! | one file, device, image or address space; users in different parts of it, with ranges of any size; sections that do I/O or copy pages | **this lock** |
//! | nearly always the whole | one `RwLock`: its lock and unlock are cheaper |
//! | fixed blocks, of which each user takes one | an array of locks, hashed or not |
//! | keys that are not numbers, or have no order | a map of locks by key |
//!
//! # Platforms
//!
//! | platform | what is known |
//! |---|---|
//! | Linux, x86-64 | every change is tested here |
//! | Linux, 32-bit and other 64-bit | not tested; on 32 bits a request that waits may have 65535 ranges, and a fault is known: an upgrade of a `ManyGuard` with 262,144 ranges or more does not wait for readers |
//! | macOS, the BSDs, Windows | not tested; `parking_lot_core`, which parks the threads, has code of its own for them |
//! | WebAssembly | not tested; in a browser std has no clock, so requests wait as futures and timed methods panic |
//! | `no_std` | does not build: it needs threads, `Arc` and a clock |
//!
//! Feature `file` is for 64-bit Linux.
//!
//! Read on: [what exactly is promised](docs::semantics), [patterns](docs::patterns), [what it
//! costs](docs::performance).
//!
//! # Features
//!
//! All features are additive, and off by default.
//!
//! | feature | adds |
//! |---|---|
//! | `async` | module `future`: `read_async`, `write_async` and so on, for any executor, also of [`RangeRwLock`] |
//! | `deadlock_detection` | module `deadlock`: which threads wait for each other, over all range locks |
//! | `file` | module `file`: bytes of a file, locked among threads, processes and machines (64-bit Linux) |
//! | `memmap2` | [`RangeRwLock`] of a `memmap2::MmapMut` |
#![cfg_attr(
    feature = "stats",
    doc = "| `stats` | [`RangeLock::stats`]: how many requests were granted or waited, and for how long, by mode |"
)]
#![cfg_attr(
    not(feature = "stats"),
    doc = "| `stats` | `RangeLock::stats`: how many requests were granted or waited, and for how long, by mode |"
)]
#![cfg_attr(docsrs, feature(doc_cfg))]

// The modules, in layers from the bottom up. A module uses modules of the layers above it in this
// list, and modules of its own layer without a cycle. tests/floors checks this.
mod bounds;
mod claim;
#[cfg(feature = "stats")]
mod histogram;
mod ids;
mod inline_vec;
mod interval_tree;
mod mode;
mod owner;
mod span;

#[cfg(any(test, not(any(loom, shuttle))))]
mod atomics;
#[cfg(any(test, not(any(loom, shuttle))))]
#[cfg_attr(shuttle, allow(dead_code, reason = "its model there calls a part of it"))]
mod mutex;
#[cfg(any(test, not(any(loom, shuttle))))]
mod parking;
mod spin;
mod sync;

mod waiter;

mod spares;

mod leaf;

mod blocked;
mod partition;

mod inspect;
mod request;

mod lock;

#[cfg(feature = "deadlock_detection")]
pub mod deadlock;
mod many;
#[cfg(feature = "stats")]
mod stats;

#[cfg(feature = "async")]
mod futures;

mod data;
#[cfg(all(
    feature = "file",
    target_os = "linux",
    target_pointer_width = "64",
    any(test, not(any(loom, shuttle)))
))]
pub mod file;

#[cfg(feature = "async")]
pub mod future;

#[doc(hidden)]
pub mod __private;
#[cfg(doctest)]
mod compile_fail;
pub mod docs;
/// The README, whose examples are tested here.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}

pub use data::{
    ArcRangeRwLockReadGuard, ArcRangeRwLockUpgradableReadGuard, ArcRangeRwLockWriteGuard,
    MappedRangeRwLockReadGuard, MappedRangeRwLockWriteGuard, RangeRwLock, RangeRwLockReadGuard,
    RangeRwLockUpgradableReadGuard, RangeRwLockWriteGuard, Storage,
};
pub use ids::RequestId;
pub use inspect::{RequestInfo, RequestState};
pub use lock::{
    ArcRangeReadGuard, ArcRangeUpgradableReadGuard, ArcRangeWriteGuard, Builder, RangeLock, RangeReadGuard,
    RangeUpgradableReadGuard, RangeWriteGuard,
};
pub use many::{ArcManyGuard, ArcRequest, ManyGuard, Request};
pub use mode::Mode;
pub use span::point;
#[cfg(feature = "stats")]
pub use stats::{ModeStats, Stats, Waits};
