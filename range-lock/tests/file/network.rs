//! Two machines on one file of a server. `.ci/nfs` runs these tests in a virtual machine, in which
//! two clients have mounted what a server exports; elsewhere they do nothing.
//!
//! `NETWORK_CLIENTS` names the folder as each client has mounted it, and `NETWORK_SERVER` as the
//! server has it. `NETWORK_CONTROL` is a program that does to the network what its argument says.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use range_lock::file::{Access, FileRangeLock, FileReadGuard, FileUpgradableReadGuard, FileWriteGuard};

use crate::seen::Seen;

/// How long the server keeps the locks of a client that it does not hear from, in seconds.
const LEASE: u64 = 10;
/// How long a wait may take that ends when the lease does.
const LONG: Duration = Duration::from_secs(6 * LEASE);

/// The folders of the clients.
pub(crate) fn clients() -> Option<Vec<PathBuf>> {
    let clients = std::env::var("NETWORK_CLIENTS").ok()?;
    Some(clients.split(' ').map(PathBuf::from).collect())
}

/// One file, as two clients and the server see it.
struct Machines {
    one: FileRangeLock,
    two: FileRangeLock,
    server: Seen,
}

impl Machines {
    /// A new file.
    fn new(name: &str) -> Option<Self> {
        let clients = clients()?;
        let server = PathBuf::from(std::env::var_os("NETWORK_SERVER").unwrap()).join(name);
        let server = File::options().read(true).write(true).create_new(true).open(server).unwrap();
        let [one, two] =
            [0, 1].map(|n: usize| FileRangeLock::open(clients[n].join(name), Access::ReadWrite).unwrap());
        Some(Machines { one, two, server: Seen::new(&server) })
    }
}

/// Does to the network what `what` says.
fn control(what: &str) {
    let program = std::env::var_os("NETWORK_CONTROL").unwrap();
    assert!(Command::new(program).arg(what).status().unwrap().success(), "{what}");
}

/// Calls `look` until it says what is expected, or for too long.
fn until<R: PartialEq + std::fmt::Debug>(expected: &R, mut look: impl FnMut() -> R) -> Duration {
    let begin = Instant::now();
    loop {
        let found = look();
        if found == *expected {
            return begin.elapsed();
        }
        assert!(begin.elapsed() < LONG, "{found:?} after {LONG:?}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn two_machines_exclude_each_other() {
    let Some(Machines { one, two, server }) = Machines::new("exclude") else { return };
    let writer = one.write(0..4).unwrap();
    assert_eq!(server.bytes(0..=5), "wwww--");
    assert!(two.try_read(3..5).unwrap().is_none());
    assert!(two.try_read_for(3..5, Duration::from_millis(20)).unwrap().is_none());
    let other = two.try_write(4..6).unwrap().unwrap();
    assert_eq!(two.conflicting(..4).unwrap().unwrap().range, 0..=3);
    assert!(FileWriteGuard::is_still_held(&writer).unwrap());
    drop(other);
    let reader = FileWriteGuard::downgrade(writer).unwrap();
    assert_eq!(server.bytes(0..=5), "rrrr--");
    let looking = two.try_upgradable_read(0..4).unwrap().unwrap();
    let unchanged = FileUpgradableReadGuard::try_upgrade(looking).unwrap_err();
    assert_eq!(unchanged.error.kind(), io::ErrorKind::WouldBlock);
    FileReadGuard::release(reader).unwrap();
    let writer = FileUpgradableReadGuard::try_upgrade_for(unchanged.guard, LONG).unwrap();
    assert_eq!(server.bytes(0..=5), "wwww--");
    // Of readers of one machine that overlap, each releases what is its alone.
    drop(writer);
    let (long, short) = (two.read(0..6).unwrap(), two.read(2..4).unwrap());
    drop(long);
    assert_eq!(server.bytes(0..=5), "--rr--");
    drop(short);
    assert_eq!(server.bytes(0..=5), "------");
}

#[test]
fn a_machine_that_is_cut_off_loses_its_ranges_after_the_lease() {
    let Some(Machines { one, two, server }) = Machines::new("cut") else { return };
    let writer = one.write(0..4).unwrap();
    let begin = Instant::now();
    control("cut");
    assert!(two.try_write(0..4).unwrap().is_none());
    let taken = two.try_write_for(0..4, LONG).unwrap().expect("the lease ends");
    println!("the range was free {:.1} s after the cut", begin.elapsed().as_secs_f64());
    assert!(begin.elapsed() > Duration::from_secs(1));
    // The server does not answer, and the first machine knows nothing.
    let error = FileWriteGuard::is_still_held(&writer).unwrap_err();
    println!("cut off: {error}");
    control("join");
    let learned = until(&Some(false), || FileWriteGuard::is_still_held(&writer).ok());
    println!("it learned that {:.1} s after it was back", learned.as_secs_f64());
    assert_eq!(server.bytes(0..=4), "wwww-");
    // What it releases is not the other's.
    println!("released: {:?}", FileWriteGuard::release(writer));
    assert_eq!(server.bytes(0..=4), "wwww-");
    drop(taken);
    assert_eq!(server.bytes(0..=4), "-----");
    drop(one.try_write_for(0..4, LONG).unwrap().unwrap());
}

#[test]
fn a_server_that_comes_back_with_its_records_knows_what_was_held() {
    let Some(Machines { one, two, server }) = Machines::new("kept") else { return };
    let (writer, reader) = (one.write(0..4).unwrap(), two.read(6..8).unwrap());
    control("restart");
    // Refused while the clients may claim what they had, and then granted.
    let begin = Instant::now();
    assert!(two.try_write(0..4).unwrap().is_none());
    let beside = two.try_write_for(4..6, LONG).unwrap().unwrap();
    println!("the server grants {:.1} s after it is back", begin.elapsed().as_secs_f64());
    assert_eq!(server.bytes(0..=8), "wwwwwwrr-");
    assert!(FileWriteGuard::is_still_held(&writer).unwrap());
    assert!(FileReadGuard::is_still_held(&reader).unwrap());
    assert!(one.try_write(7..8).unwrap().is_none());
    FileWriteGuard::release(writer).unwrap();
    FileReadGuard::release(reader).unwrap();
    FileWriteGuard::release(beside).unwrap();
    assert_eq!(server.bytes(0..=8), "---------");
}

#[test]
fn a_server_that_comes_back_without_its_records_has_forgotten_what_was_held() {
    let Some(Machines { one, two, server }) = Machines::new("lost") else { return };
    let writer = one.write(0..4).unwrap();
    control("forget");
    assert_eq!(server.bytes(0..=4), "-----");
    // The client answers from its own memory, and what was written under the lock is an error.
    println!("forgotten: still held {:?}", FileWriteGuard::is_still_held(&writer));
    let file = File::from(one.as_fd().try_clone_to_owned().unwrap());
    let written = file.write_at(&[1], 0).and_then(|_| file.sync_all());
    assert_eq!(written.unwrap_err().raw_os_error(), Some(libc::EIO));
    // Once the other machine has the range, the first one learns that.
    let taken = two.try_write_for(0..4, LONG).unwrap().expect("nobody holds it");
    until(&Some(false), || FileWriteGuard::is_still_held(&writer).ok());
    println!("released: {:?}", FileWriteGuard::release(writer));
    assert_eq!(server.bytes(0..=4), "wwww-");
    drop(taken);
    drop(one.try_write_for(0..4, LONG).unwrap().unwrap());
    assert_eq!(server.bytes(0..=4), "-----");
}
