//! The locks as values, so that a name can select one.

use smp_rivals::{Lock, Order, Visitor, each};

/// The properties of a lock.
#[derive(Clone, Copy, Debug)]
pub struct LockInfo {
    /// Its name.
    pub name: &'static str,
    /// What it is, in one line.
    pub what: &'static str,
    /// Whether it promises first come, first served.
    pub fifo: bool,
    /// Whether it is there to fail a check.
    pub control: bool,
    /// The names of what it counts in the notes of the machine's report.
    pub notes: &'static [&'static str],
}

/// All locks, in the order of the tables.
pub fn locks() -> Vec<LockInfo> {
    struct Collect(Vec<LockInfo>);
    impl Visitor for Collect {
        fn visit<L: Lock>(&mut self) {
            self.0.push(LockInfo {
                name: L::NAME,
                what: L::WHAT,
                fifo: L::ORDER == Order::Fifo,
                control: L::CONTROL,
                notes: L::NOTES,
            });
        }
    }
    let mut all = Collect(Vec::new());
    each(&mut all);
    all.0
}
