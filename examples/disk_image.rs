//! A disk image that this program and QEMU open, each respecting the other's locks.
//!
//! ```text
//! cargo run -p range-lock-examples --bin disk_image
//! ```
//!
//! QEMU locks bytes of the image itself (`block/file-posix.c`), always for reading:
//!
//! * byte 100 + n if it uses permission n;
//! * byte 200 + n if it does not share permission n with others.
//!
//! Permission 0 is to read consistent data, 1 to write, 3 to resize. After locking, QEMU checks
//! whether another program has locked the opposite byte: 200 + n for each permission that it uses,
//! 100 + n for each that it does not share. If so, it unlocks its bytes. So two programs that open
//! at once may both be refused, and are never both admitted.
//!
//! Needs `qemu-img` and `qemu-io`, of Debian's package `qemu-utils`. Without them the part that
//! runs them is skipped, with a message.

use std::io;
use std::path::Path;
use std::process::{Command, ExitCode};

use range_lock::file::{Access, FileManyGuard, FileRangeLock, Request};

/// The exit code of a process that is not admitted.
const REFUSED: i32 = 3;

const USED: u64 = 100;
const UNSHARED: u64 = 200;

const READ: u64 = 0;
const WRITE: u64 = 1;
const RESIZE: u64 = 3;

/// What a user of an image does itself, and what it lets others do.
struct Permissions {
    used: &'static [u64],
    unshared: &'static [u64],
}

/// A virtual machine opens its disk in this way.
const EXCLUSIVE: Permissions = Permissions { used: &[READ, WRITE, RESIZE], unshared: &[WRITE, RESIZE] };
/// A reader that lets others read opens it in this way.
const READ_ONLY: Permissions = Permissions { used: &[READ], unshared: &[WRITE, RESIZE] };

/// Opens an image as QEMU does. Returns `None` if another user is in the way.
fn open<'a>(lock: &'a FileRangeLock, permissions: &Permissions) -> io::Result<Option<FileManyGuard<'a>>> {
    let Permissions { used, unshared } = permissions;
    let bytes = used.iter().map(|n| USED + n).chain(unshared.iter().map(|n| UNSHARED + n));
    // For reading, so all are granted unless a program other than QEMU locks them.
    let Some(held) = lock.try_acquire_many(bytes.map(|byte| Request::read(byte..=byte)))? else {
        return Ok(None);
    };
    let opposite = used.iter().map(|n| UNSHARED + n).chain(unshared.iter().map(|n| USED + n));
    for byte in opposite {
        if lock.conflicting(byte..=byte)?.is_some() {
            FileManyGuard::release(held)?;
            return Ok(None);
        }
    }
    Ok(Some(held))
}

/// Runs a program of QEMU's on the image. Returns whether it was admitted.
fn qemu(program: &str, arguments: &[&str], image: &Path) -> io::Result<bool> {
    let output = Command::new(program).args(arguments).arg(image).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    // `qemu-io` may exit with success although it could not open the image.
    let refused = said.contains(" lock"); // Not "block".
    assert!(refused || output.status.success(), "{program}: {said}");
    println!("  {program} {}: {}", arguments.join(" "), if refused { "refused" } else { "admitted" });
    if refused {
        println!(
            "      {}",
            said.lines().next().unwrap_or_default().replace(&*image.to_string_lossy(), "IMAGE")
        );
    }
    Ok(!refused)
}

/// Tries the programs of QEMU. Returns which of them are admitted.
fn qemu_all(image: &Path) -> io::Result<[bool; 4]> {
    Ok([
        qemu("qemu-img", &["info"], image)?,
        qemu("qemu-img", &["info", "-U"], image)?, // Shares everything.
        qemu("qemu-io", &["-r", "-c", "read 0 512"], image)?,
        qemu("qemu-io", &["-c", "write 0 512"], image)?,
    ])
}

/// Whether another process can open the image: this program, started once more.
fn second(how: &str, image: &Path) -> io::Result<bool> {
    let status = Command::new(std::env::current_exe()?).arg(how).arg(image).status()?;
    let admitted = match status.code() {
        Some(0) => true,
        Some(REFUSED) => false,
        _ => return Err(io::Error::other(format!("a second process failed: {status}"))),
    };
    println!("  a second process, {how}: {}", if admitted { "admitted" } else { "refused" });
    Ok(admitted)
}

fn play() -> io::Result<()> {
    let folder = tempfile::tempdir()?;
    let image = folder.path().join("disk.qcow2");
    let is_here = |program| Command::new(program).arg("--version").output().is_ok();
    let has_qemu = is_here("qemu-img") && is_here("qemu-io");
    if !has_qemu {
        println!("######## SKIPPED: qemu-img and qemu-io are missing (apt-get install qemu-utils)");
        std::fs::write(&image, vec![0; 1 << 20])?;
    } else {
        let made =
            Command::new("qemu-img").args(["create", "-q", "-f", "qcow2"]).arg(&image).arg("1M").status()?;
        assert!(made.success(), "qemu-img create: {made}");
    }
    let lock = FileRangeLock::open(&image, Access::ReadWrite)?;

    println!("no process has the image open");
    assert!(second("exclusive", &image)?);
    if has_qemu {
        assert_eq!(qemu_all(&image)?, [true; 4]);
    }

    println!("one process has it open, as a virtual machine does");
    let exclusive = open(&lock, &EXCLUSIVE)?.expect("no process has the image open");
    assert!(!second("exclusive", &image)?);
    assert!(!second("read-only", &image)?);
    if has_qemu {
        assert_eq!(qemu_all(&image)?, [false, true, false, false]);
    }
    FileManyGuard::release(exclusive)?;

    println!("one process reads it, and shares reading");
    let read_only = open(&lock, &READ_ONLY)?.expect("no process has the image open");
    assert!(!second("exclusive", &image)?);
    assert!(second("read-only", &image)?);
    if has_qemu {
        assert_eq!(qemu_all(&image)?, [true, true, true, false]);
    }
    FileManyGuard::release(read_only)
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let enter = |image: &str, permissions| {
        let lock = FileRangeLock::open(image, Access::ReadWrite)?;
        Ok(open(&lock, permissions)?.is_some())
    };
    let admitted = match &arguments[..] {
        [] => play().map(|()| true),
        [how, image] if how == "exclusive" => enter(image, &EXCLUSIVE),
        [how, image] if how == "read-only" => enter(image, &READ_ONLY),
        _ => {
            eprintln!("usage: disk_image [exclusive FILE | read-only FILE]");
            return ExitCode::from(2);
        }
    };
    match admitted {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(REFUSED as u8),
        Err(error) => {
            eprintln!("disk_image: {error}");
            ExitCode::FAILURE
        }
    }
}
