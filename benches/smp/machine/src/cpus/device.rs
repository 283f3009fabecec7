//! The device of a run: its copies, its single words, and write-back to its medium.

use std::ops::Range;
use std::ptr;
use std::sync::Mutex;

use super::{Sim, aside, give_way, order, plain, simulated, with};
use crate::Machine;
use crate::medium::{Lines, Touch};

/// Where the device of later runs lies.
static DEVICE: Mutex<Range<usize>> = Mutex::new(0..0);

/// The lines of the device for a run, if there is a device.
pub(super) fn lines(machine: &Machine) -> Option<Lines> {
    let addresses = DEVICE.lock().expect("no thread panics with it").clone();
    let sockets = (0..machine.cpus).map(|cpu| machine.topology.socket_of(cpu)).collect();
    (!addresses.is_empty()).then(|| Lines::new(machine.medium.clone(), addresses, sockets))
}

/// How many bytes a copy moves in one step. Other CPUs see its progress in these steps.
const STEP: usize = 512;

/// The lines in which bytes lie.
fn lines_of(address: usize, bytes: usize) -> Range<u64> {
    address as u64 / 64..(address + bytes).div_ceil(64) as u64
}

impl Sim {
    /// Makes a load or a store of a word, if the word is on the device. Returns whether it is.
    pub(super) fn touches_device(&mut self, line: u64, write: bool) -> bool {
        if !self.is_of_device(line) {
            return false;
        }
        self.counts.accesses += 1;
        self.touch_device(line..line + 1, Touch::Word { write });
        self.charge(self.costs.hit);
        true
    }

    fn touch_device(&mut self, lines: Range<u64>, touch: Touch) {
        let (cpu, now) = (self.current.cpu, self.current.now);
        let (directory, transfer) = (&self.lines, &self.costs.transfer);
        let Some(device) = &mut self.device else { return };
        let end = device.touch(cpu, lines, touch, now, |other| transfer[directory.distance(cpu, other)]);
        self.wait_until(end);
    }

    /// Lets the calling thread wait until the time that `act` returns.
    fn on_device(&mut self, act: impl FnOnce(&mut Lines, usize, crate::Ps) -> crate::Ps) {
        let (cpu, now) = (self.current.cpu, self.current.now);
        let Some(device) = &mut self.device else { return };
        let end = act(device, cpu, now);
        self.wait_until(end);
    }
}

/// Simulates one side of a step of a copy: lines of the device, or memory.
fn side(address: usize, bytes: usize, write: bool, is_first: bool) {
    let lines = lines_of(address, bytes);
    if with(|s| s.is_of_device(lines.start)) {
        with(|s| {
            s.counts.accesses += lines.end - lines.start;
            s.touch_device(lines, Touch::Stream { write, is_first });
        });
    } else {
        plain(address, bytes, write, side as *const () as usize);
    }
}

/// The steps of a copy: start and length of each. Steps end where lines of `to` end.
fn steps(to: usize, bytes: usize) -> impl Iterator<Item = (usize, usize)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        let step = (STEP - (to + done) % STEP).min(bytes - done);
        let start = done;
        done += step;
        (step != 0).then_some((start, step))
    })
}

/// A copy that a crate under test makes in assembly, which the instrumentation does not see.
#[unsafe(no_mangle)]
extern "C" fn range_lock_smp_copy(to: *mut u8, from: *const u8, bytes: usize) -> bool {
    if !simulated() {
        return false;
    }
    for (start, step) in steps(to.addr(), bytes) {
        give_way();
        side(from.addr() + start, step, false, start == 0);
        side(to.addr() + start, step, true, start == 0);
        order();
        // SAFETY: the caller asks for this copy. `ptr::copy` also allows an overlap.
        aside(|| unsafe { ptr::copy(from.add(start), to.add(start), step) });
    }
    true
}

/// Zeros that a crate under test writes in assembly.
#[unsafe(no_mangle)]
extern "C" fn range_lock_smp_zero(to: *mut u8, bytes: usize) -> bool {
    if !simulated() {
        return false;
    }
    for (start, step) in steps(to.addr(), bytes) {
        give_way();
        side(to.addr() + start, step, true, start == 0);
        order();
        // SAFETY: the caller asks for it.
        aside(|| unsafe { ptr::write_bytes(to.add(start), 0, step) });
    }
    true
}

/// Writes back lines of the device for a crate under test.
#[unsafe(no_mangle)]
extern "C" fn range_lock_smp_write_back(start: *const u8, bytes: usize) -> bool {
    if !simulated() {
        return false;
    }
    for (from, step) in steps(start.addr(), bytes) {
        give_way();
        with(|s| {
            let lines = lines_of(start.addr() + from, step);
            s.on_device(|device, cpu, now| device.write_back(cpu, lines, now));
        });
    }
    order();
    true
}

/// Waits for what a crate under test has written back.
#[unsafe(no_mangle)]
extern "C" fn range_lock_smp_store_fence() -> bool {
    if !simulated() {
        return false;
    }
    give_way();
    with(|s| s.on_device(|device, cpu, now| device.fence(cpu, now)));
    order();
    true
}

/// Declares that what lies at these addresses is the device of later runs.
#[unsafe(no_mangle)]
extern "C" fn range_lock_smp_medium(start: usize, bytes: usize) {
    *DEVICE.lock().expect("no thread panics with it") = start..start + bytes;
}
