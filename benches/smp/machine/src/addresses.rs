//! Gives each process the same addresses.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Makes the addresses of the program, its threads and its memory the same in each process. It
/// starts the program again, with the same arguments, without address randomisation. Call it before
/// anything else in `main`.
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
