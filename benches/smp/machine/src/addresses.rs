//! Gives each process the same addresses, and the same random numbers.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Whether `fix_addresses` has returned.
static ARE_FIXED: AtomicBool = AtomicBool::new(false);

/// Makes the addresses of the program, its threads and its memory the same in each process. It
/// starts the program again, with the same arguments, without address randomisation. Call it before
/// anything else in `main`.
///
/// From then on code outside of a run gets the same random numbers in each process, too. A map that
/// is made before the run, and used in it, has its entries at the same places then.
///
/// # Errors
///
/// If the system refuses, as the default filter of some containers does. Runs of one seed may then
/// differ.
pub fn fix_addresses() -> io::Result<()> {
    const QUERY: libc::c_ulong = 0xffff_ffff;
    // SAFETY: `personality` concerns the calling process alone.
    let now = unsafe { libc::personality(QUERY) };
    if now == -1 {
        return Err(io::Error::last_os_error());
    }
    if now & libc::ADDR_NO_RANDOMIZE != 0 {
        ARE_FIXED.store(true, Ordering::Relaxed);
        return Ok(());
    }
    // SAFETY: as above.
    if unsafe { libc::personality((now | libc::ADDR_NO_RANDOMIZE) as libc::c_ulong) } == -1 {
        return Err(io::Error::last_os_error());
    }
    let mut arguments = std::env::args_os();
    let name = arguments.next().unwrap_or_default();
    Err(Command::new("/proc/self/exe").arg0(name).args(arguments).exec())
}

/// Whether code outside of a run gets the same random numbers in each process.
pub(crate) fn are_fixed() -> bool {
    ARE_FIXED.load(Ordering::Relaxed)
}

/// The next of these numbers.
pub(crate) fn fixed_random() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    // Steele, Lea and Flood's SplitMix64.
    let mut z = NEXT.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
