//! The rivals, each with its adapter: one file for each kind.

mod btree_map;
mod crates_io;
mod none;
mod ofd;
mod ours;
mod page_locks;
mod whole;

pub use btree_map::NaiveRangeLock;
pub use crates_io::{RangeLock02, RangeMutex01};
pub use none::NoLock;
pub use ofd::OfdLock;
pub use ours::{AsItComes, Bypass, OneLeaf, Ours, Shape};
pub use page_locks::{PackedPageLocks, PaddedPageLocks, PageLocks, Stripe};
pub use whole::{ParkingLotMutex, ParkingLotRwLock, StdRwLock};

use crate::rival::Rival;

/// An action on each rival's type.
pub trait Visitor {
    /// Acts on `R`.
    fn visit<R: Rival + 'static>(&mut self);
}

/// Calls the visitor for each rival, in the order of the tables: the control, ours, then the
/// others.
pub fn each(visitor: &mut impl Visitor) {
    visitor.visit::<NoLock>();
    visitor.visit::<Ours<AsItComes>>();
    visitor.visit::<Ours<OneLeaf>>();
    visitor.visit::<Ours<Bypass>>();
    visitor.visit::<ParkingLotRwLock>();
    visitor.visit::<StdRwLock>();
    visitor.visit::<ParkingLotMutex>();
    visitor.visit::<PageLocks<PackedPageLocks>>();
    visitor.visit::<PageLocks<PaddedPageLocks>>();
    visitor.visit::<NaiveRangeLock>();
    visitor.visit::<RangeLock02>();
    visitor.visit::<RangeMutex01>();
    visitor.visit::<OfdLock>();
}
