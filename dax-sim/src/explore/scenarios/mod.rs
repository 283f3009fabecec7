//! The scenarios: the two races of [Kara's 2017 e-mail], and what the tests of Linux file systems
//! and its bug fixes know.
//!
//! Each is small enough for all its schedules, and can go wrong in what it is named after: for what
//! the variants do right, `tests/planted_faults.rs` does it wrong.
//!
//! [Kara's 2017 e-mail]: https://lore.kernel.org/r/20170426085235.GA21738@quack2.suse.cz

mod buffers;
mod durability;
mod huge;
mod races;
mod removal;
mod sharing;

use super::scenario::{Map, Op, Scenario};
use crate::check::Invariant;
use crate::pmem::BLOCK_SIZE;
use crate::radix::HUGE;

/// All of them.
pub static SCENARIOS: &[Scenario] = &concat::<{ count(GROUPS) }>(GROUPS);

const GROUPS: &[&[Scenario]] = &[
    races::SCENARIOS,
    durability::SCENARIOS,
    removal::SCENARIOS,
    buffers::SCENARIOS,
    sharing::SCENARIOS,
    huge::SCENARIOS,
];

/// A mapping of file 0.
const FILE_0: Map = Map::of(0);
/// A mapping of file 1.
const FILE_1: Map = Map::of(1);

/// One file of one page, mapped twice, which is a hole at first.
const ONE_PAGE: Scenario = Scenario {
    name: "",
    about: "",
    files: 1,
    pages: 1,
    huge: false,
    maps: &[FILE_0, FILE_0],
    setup: &[Op::Truncate { file: 0, size: BLOCK_SIZE }],
    threads: &[],
    finally: &[],
    broken_in: &[],
};

/// One file of 2 MiB, mapped twice, which is a hole at first.
const HUGE_PAGE: Scenario = Scenario {
    pages: HUGE,
    huge: true,
    setup: &[Op::Truncate { file: 0, size: HUGE * BLOCK_SIZE }],
    ..ONE_PAGE
};

/// What `entry-lock-outside` does wrong: it asks for a transaction with an entry locked, which is a
/// deadlock where somebody commits at the same time. Never a stale read.
const INVERSION: &[Invariant] = &[Invariant::LockOrder, Invariant::Liveness];

const fn count(groups: &[&[Scenario]]) -> usize {
    let (mut group, mut count) = (0, 0);
    while group < groups.len() {
        count += groups[group].len();
        group += 1;
    }
    count
}

const fn concat<const N: usize>(groups: &[&[Scenario]]) -> [Scenario; N] {
    let mut all = [ONE_PAGE; N];
    let (mut group, mut at) = (0, 0);
    while group < groups.len() {
        let mut index = 0;
        while index < groups[group].len() {
            all[at] = groups[group][index];
            at += 1;
            index += 1;
        }
        group += 1;
    }
    all
}
