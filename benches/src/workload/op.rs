//! The single operations of the workloads that more than one program runs.

use std::thread;

use super::contended::work;
use super::pattern::Random;
use super::sleeping::MEDIA;
use crate::rival::{User, page};

pub use super::contended::prepare_work;
pub use super::sleeping::punctually;

/// Pages in the part of one thread, as a power of two: 64 MiB.
pub(super) const PART: u32 = 14;

/// W2: writes a random page of the thread's own part.
#[inline]
pub fn disjoint_write(user: &impl User, thread: u64, random: &mut Random) {
    drop(user.write(page((thread << PART) + random.bits(PART))));
}

/// W2r: reads a random page of 128 MiB.
#[inline]
pub fn random_read(user: &impl User, random: &mut Random) {
    drop(user.read(page(random.bits(PART + 1))));
}

/// W3: a random page of 1 GiB, read 95 times in a hundred and otherwise written.
#[inline]
pub fn mostly_read(user: &impl User, random: &mut Random) {
    match random.bits_and_chance(18, 95) {
        (at, true) => drop(user.read(page(at))),
        (at, false) => drop(user.write(page(at))),
    }
}

/// W4: reads the block that all threads read.
#[inline]
pub fn same_block_read(user: &impl User) {
    drop(user.read(page(1)));
}

/// W7: writes the block that all threads want, with 200 ns of work inside. Call [`prepare_work`]
/// first.
#[inline]
pub fn hand_over(user: &impl User) {
    let _guard = user.write(page(0));
    work();
}

/// W8: writes a random page of 1 GiB, with 50 µs of sleep inside. Call [`punctually`] first, on
/// each thread.
#[inline]
pub fn sleeping_write(user: &impl User, random: &mut Random) {
    let _guard = user.write(page(random.bits(18)));
    thread::sleep(MEDIA);
}
