//! Sections that sleep, as operations on a device do.

use std::thread;
use std::time::Duration;

use smp_rivals::Lock;

use crate::harness::{Shared, Worker};
use crate::pattern::{GIB_BITS, page};

/// How long an operation on the device takes.
const MEDIA: Duration = Duration::from_micros(50);

pub(crate) fn writes<L: Lock>(shared: &Shared<L>, me: usize) {
    let mut worker = Worker::new(shared, me);
    while {
        let at = worker.random.bits(GIB_BITS);
        let section = worker.write(page(at));
        thread::sleep(MEDIA);
        worker.release(section);
        worker.lap(1)
    } {}
    worker.finish();
}

/// The last thread takes the whole domain, with pauses of 200 µs. The others read random pages and
/// sleep inside.
pub(crate) fn writer_among_readers<L: Lock>(shared: &Shared<L>, me: usize) {
    let mut worker = Worker::new(shared, me);
    if me + 1 == shared.threads {
        worker.does_not_count();
        while !worker.is_over() {
            thread::sleep(Duration::from_micros(200));
            let section = worker.write_whole();
            worker.release(section);
        }
    } else {
        while {
            let at = worker.random.bits(GIB_BITS);
            let section = worker.read(page(at));
            thread::sleep(MEDIA);
            worker.release(section);
            worker.lap(1)
        } {}
    }
    worker.finish();
}
