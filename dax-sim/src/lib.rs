//! This crate simulates file systems on persistent memory, in user space. In the simulated Linux
//! 4.11, page faults race with the allocation of blocks, as in Linux 4.11. With *DAX*, the kernel
//! maps a file on persistent memory into a process without a page cache.
//!
//! In April 2017 [Jan Kara showed][race] that write(2) could overtake a DAX page fault. As a
//! result, the fault mapped a page of zeros over data. [Kara named two cures][cures]:
//!
//! * A fault looks up the block under the lock of the page's entry. [Linux 4.12][cure] has this
//!   cure.
//! * Write faults and write(2) hold a semaphore exclusively. Kara expected that this cure "would
//!   scale rather poorly but if we later replaced it with a range lock ... it won't be as bad".
//!
//! This crate has both cures and some other variants ([`variant::Variant`]). The crate compares the
//! variants on real bytes in a real file.
//!
//! ```
//! use dax_sim::fs::FileSystem;
//! use dax_sim::pmem::{Device, DeviceOptions};
//! use dax_sim::variant::Variant;
//!
//! let device = Device::open(&DeviceOptions { path: None, size: 4 << 20, overwrite: false })?;
//! let fs = FileSystem::format(&device, Variant::RangeLock);
//! let file = fs.create();
//! file.truncate(8192)?;
//! let mapping = file.mmap(0..8192);
//! assert_eq!(mapping.load_u64(4096)?, 0); // a hole: the zero page is mapped
//! file.write_at(&[1; 8], 4096)?; // allocates a block, and invalidates what is mapped
//! assert_eq!(mapping.load_u64(4096)?, 0x0101_0101_0101_0101);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! These are the main modules, from the lowest to the highest. A module does not use modules of
//! later items of this list:
//!
//! * [`pmem`] is the device.
//! * [`schedule`] has the steps at which threads can be ordered.
//! * `mm` has page tables and shootdowns.
//! * `entries` has the cached answers of faults.
//! * [`fs`] has what a file system keeps.
//! * `dax` has the paths of Linux' `fs/dax.c`.
//! * `ext4` has what the file system does in its calls.
//! * [`mod@file`] has what a user calls.
//! * [`check`] has what every read must see.
//! * [`workload`] measures throughput. [`explore`] tries every order of the steps of a few threads,
//!   up to a number of preemptions. `replay` repeats a log of operations.
//! * `doctor` reports the features of a path. `kernel` measures the kernel's write(2), and stores
//!   under locks of the process.
//! * [`cli`] is the program.
//!
//! Names without a link are private modules. The test `tests/floors.rs` checks that no module uses
//! a higher module.
//!
//! [race]: https://lore.kernel.org/r/20170425111043.GH2793@quack2.suse.cz
//! [cures]: https://lore.kernel.org/r/20170426085235.GA21738@quack2.suse.cz
//! [cure]: https://git.kernel.org/linus/13e451fdc1af05568ea379d71c02a126295d2244

// The simulated machine of `benches/smp` runs the file system and not the program.
#![cfg_attr(range_lock_smp, allow(dead_code, unused_imports, reason = "the program uses it"))]

#[cfg(not(target_os = "linux"))]
compile_error!(
    "dax-sim is for Linux: it maps files, reserves their blocks and asks for MAP_SYNC as Linux does"
);

pub mod check;
#[cfg(not(range_lock_smp))]
pub mod cli;
#[cfg(not(range_lock_smp))]
mod compare;
pub mod error;
#[cfg(not(range_lock_smp))]
pub mod explore;
pub mod file;
pub mod fs;
pub mod pmem;
#[cfg(not(range_lock_smp))]
mod report;
pub mod schedule;
pub mod variant;
pub mod workload;

mod dax;
#[cfg(not(range_lock_smp))]
mod doctor;
mod entries;
mod ext4;
mod finding;
#[cfg(not(range_lock_smp))]
mod kernel;
mod mm;
mod per_thread;
mod radix;
#[cfg(not(range_lock_smp))]
mod replay;
mod text;
