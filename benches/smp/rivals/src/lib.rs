//! The locks that the simulated machine compares, each behind the trait [`Lock`].
//!
//! `range-lock`, `parking_lot` and the crates of crates.io run as their real code. The small locks
//! here are written from the sources that their modules name. They wait by `pause`, then in a
//! futex, except `kogan-list`, which yields. All of them also run on real threads.

// The functions that the instrumentation calls.
use smp_machine as _;

mod btree_map;
mod controls;
mod fair_rwlock;
mod kogan_list;
mod linux_tree;
mod lock;
mod mcs;
mod ours;
mod page_locks;
mod per_thread;
mod range_mutex;
mod rwsem;
mod ticket;
mod treap;
mod wait;

pub use btree_map::BTreeMapLock;
pub use controls::{Livelock, NoLock, Stack};
pub use fair_rwlock::FairRwLock;
pub use kogan_list::KoganList;
pub use linux_tree::LinuxTree;
pub use lock::{Lock, Order, Setup};
pub use mcs::Mcs;
pub use ours::{AsItComes, Bypass, Cut, OneLeaf, Ours, Shape};
pub use page_locks::PageLocks;
pub use range_mutex::RangeMutex01;
pub use rwsem::RwSem;
pub use ticket::Ticket;

/// An action on the type of each lock.
pub trait Visitor {
    /// Acts on `L`.
    fn visit<L: Lock>(&mut self);
}

/// Calls the visitor for each lock, in the order of the tables. The controls come last.
pub fn each(visitor: &mut impl Visitor) {
    visitor.visit::<Ours<AsItComes>>();
    visitor.visit::<Ours<Cut>>();
    visitor.visit::<Ours<OneLeaf>>();
    visitor.visit::<Ours<Bypass>>();
    visitor.visit::<RwSem>();
    visitor.visit::<PageLocks>();
    visitor.visit::<BTreeMapLock>();
    visitor.visit::<RangeMutex01>();
    visitor.visit::<LinuxTree>();
    visitor.visit::<KoganList>();
    visitor.visit::<Mcs>();
    visitor.visit::<Ticket>();
    visitor.visit::<FairRwLock>();
    visitor.visit::<NoLock>();
    visitor.visit::<Stack>();
    visitor.visit::<Livelock>();
}
