//! The device of a run: its copies, its single words, and what is written back to its medium.

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
    let addresses = DEVICE.lock().expect("nobody panics with it").clone();
    let sockets = (0..machine.cpus).map(|cpu| machine.topology.socket_of(cpu)).collect();
    (!addresses.is_empty()).then(|| Lines::new(machine.medium.clone(), addresses, sockets))
}

/// How many bytes are moved in one step. Other CPUs see a copy go on by so much.
const STEP: usize = 512;

/// The lines in which bytes lie.
fn lines_of(address: usize, bytes: usize) -> Range<u64> {
    address as u64 / 64..(address + bytes).div_ceil(64) as u64
}

impl Sim {
    /// A load or a store of a word, if that is of the device; whether it is.
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

    /// The calling thread waits until what `act` says.
    fn on_device(&mut self, act: impl FnOnce(&mut Lines, usize, crate::Ps) -> crate::Ps) {
        let (cpu, now) = (self.current.cpu, self.current.now);
        let Some(device) = &mut self.device else { return };
        let end = act(device, cpu, now);
        self.wait_until(end);
    }
}

/// One side of a copy: lines of the device, or memory.
fn side(address: usize, bytes: usize, write: bool) {
    let lines = lines_of(address, bytes);
    if with(|s| s.is_of_device(lines.start)) {
        with(|s| {
            s.counts.accesses += lines.end - lines.start;
            s.touch_device(lines, Touch::Stream { write });
        });
    } else {
        plain(address, bytes, write, side as *const () as usize);
    }
}

/// What is copied in each step: its start and its length. Steps end where lines of `to` do.
fn steps(to: usize, bytes: usize) -> impl Iterator<Item = (usize, usize)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        let step = (STEP - (to + done) % STEP).min(bytes - done);
        let start = done;
        done += step;
        (step != 0).then_some((start, step))
    })
}

/// A copy of a crate under test, which it makes in assembly. The instrumentation does not see it.
#[unsafe(no_mangle)]
extern "C" fn range_lock_smp_copy(to: *mut u8, from: *const u8, bytes: usize) -> bool {
    if !simulated() {
        return false;
    }
    for (start, step) in steps(to.addr(), bytes) {
        give_way();
        side(from.addr() + start, step, false);
        side(to.addr() + start, step, true);
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
        side(to.addr() + start, step, true);
        order();
        // SAFETY: the caller asks for it.
        aside(|| unsafe { ptr::write_bytes(to.add(start), 0, step) });
    }
    true
}

/// Lines of the device that a crate under test writes back.
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

/// A crate under test waits for what it has written back.
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

/// What lies at these addresses is the device of later runs.
#[unsafe(no_mangle)]
extern "C" fn range_lock_smp_medium(start: usize, bytes: usize) {
    *DEVICE.lock().expect("nobody panics with it") = start..start + bytes;
}
