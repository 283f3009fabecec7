//! A network block device: a file, mapped, that clients read and write over a socket.
//!
//! ```text
//! cargo run --release -p range-lock-examples --bin nbd_server                   # demonstrates it
//! cargo run --release -p range-lock-examples --bin nbd_server -- FILE SOCKET    # serves a file
//! ```
//!
//! To other clients a request is done as a whole or not at all. Requests that overlap run one after
//! the other. Requests that do not overlap run at the same time. A flush waits for the writes that
//! are under way ([`RangeLock::wait_until_free`]), and delays no new request.
//!
//! The server gives FILE all its blocks, because a store into a hole kills the program when the
//! file system is full. It replaces a SOCKET on which no server listens any more.
//!
//! Without arguments it serves a file of 256 MiB to clients of its own, which look for torn reads,
//! and to `nbdinfo` and `nbdcopy` (Debian: `libnbd-bin`) and `qemu-io` (`qemu-utils`). A program
//! that is not installed is skipped, with a message.

#[path = "nbd_server/demonstration.rs"]
mod demonstration;
#[path = "nbd_server/protocol.rs"]
mod protocol;
#[cfg(test)]
#[path = "nbd_server/tests.rs"]
mod tests;

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, PoisonError, RwLock};
use std::thread;
use std::time::Duration;

use memmap2::MmapMut;
use protocol::{Command, EINVAL, EIO, MOST, Request};
#[allow(unused_imports, reason = "the head names it")]
use range_lock::RangeLock;
use range_lock::{Mode, RangeRwLock};
use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

/// What keeps the requests apart.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Locking {
    /// Each request locks its range.
    Ranges,
    /// Each request locks the whole disk: one `RwLock`.
    Whole,
    /// Each request locks one block after the other. Nothing tells a request from its parts, so it
    /// tears.
    Blocks,
}

struct Disk {
    file: File,
    bytes: RangeRwLock<MmapMut>,
    whole: RwLock<()>,
    locking: Locking,
}

impl Disk {
    fn open(path: &Path, locking: Locking) -> io::Result<Arc<Self>> {
        let file = File::options().read(true).write(true).open(path)?;
        let size = file.metadata()?.len();
        if size == 0 {
            return Err(io::Error::other("the file is empty, so there is nothing to serve"));
        }
        match fallocate(&file, FallocateFlags::empty(), 0, size) {
            Ok(()) | Err(Errno::OPNOTSUPP) => {} // Where it is not supported, the risk stays.
            Err(error) => return Err(error.into()),
        }
        // SAFETY: no other process changes the file while it is served: the caller ensures that.
        let map = unsafe { MmapMut::map_mut(&file)? };
        let (bytes, whole) = (RangeRwLock::new(map), RwLock::new(()));
        Ok(Arc::new(Disk { file, bytes, whole, locking }))
    }

    fn read(&self, range: Range<usize>) -> Vec<u8> {
        let _whole = (self.locking == Locking::Whole)
            .then(|| self.whole.read().unwrap_or_else(PoisonError::into_inner));
        let mut data = Vec::with_capacity(range.len());
        self.steps(range).for_each(|step| data.extend_from_slice(&self.bytes.read(step)));
        data
    }

    /// Writes the data, or zeros.
    fn write(&self, range: Range<usize>, data: Option<&[u8]>) {
        let _whole = (self.locking == Locking::Whole)
            .then(|| self.whole.write().unwrap_or_else(PoisonError::into_inner));
        let start = range.start;
        for step in self.steps(range) {
            let mut bytes = self.bytes.write(step.clone());
            match data {
                Some(data) => bytes.copy_from_slice(&data[step.start - start..step.end - start]),
                None => bytes.fill(0),
            }
        }
    }

    /// The ranges that are locked one at a time: the whole request, except in the server that
    /// tears.
    fn steps(&self, range: Range<usize>) -> impl Iterator<Item = Range<usize>> {
        let step = if self.locking == Locking::Blocks { 4096 } else { range.len().max(1) };
        range.clone().step_by(step).map(move |at| at..(at + step).min(range.end))
    }

    /// Returns when all writes that were under way are on the disk.
    fn flush(&self) -> io::Result<()> {
        self.bytes.range_lock().wait_until_free(.., Mode::Read);
        self.file.sync_data()
    }

    /// Returns what was read, or the number of an error.
    fn answer(&self, request: &Request) -> Result<Vec<u8>, u32> {
        let end = request.offset.checked_add(request.length.into());
        if end.is_none_or(|end| end > self.bytes.len() as u64) {
            return Err(EINVAL);
        }
        let range = request.offset as usize..request.offset as usize + request.length as usize;
        let (mut read, mut done) = (Vec::new(), Ok(()));
        match &request.command {
            Command::Read if request.length <= MOST => read = self.read(range),
            Command::Write(data) => self.write(range, Some(data)),
            Command::WriteZeroes => self.write(range, None),
            Command::Flush => done = self.flush(),
            _ => return Err(EINVAL),
        }
        if request.fua {
            done = done.and_then(|()| self.file.sync_data());
        }
        done.map(|()| read).map_err(|_| EIO)
    }

    /// Serves one client, one request after the other.
    fn serve(&self, mut stream: UnixStream) -> io::Result<()> {
        if !protocol::handshake(&mut stream, self.bytes.len() as u64)? {
            return Ok(());
        }
        while let Some(request) = protocol::request(&mut stream)? {
            if request.command == Command::Disconnect {
                break;
            }
            let answer = self.answer(&request);
            protocol::reply(&mut stream, &request, answer.as_deref().map_err(|&error| error))?;
        }
        Ok(())
    }
}

/// Listens on the socket, in place of a server that has ended without removing it.
fn bind(socket: &Path) -> io::Result<UnixListener> {
    let is_socket = fs::symlink_metadata(socket).is_ok_and(|found| found.file_type().is_socket());
    let refuses = |error: io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
    if is_socket && UnixStream::connect(socket).is_err_and(refuses) {
        fs::remove_file(socket)?;
    }
    UnixListener::bind(socket)
}

/// Serves each client that connects, on a thread of its own, for as long as the program runs.
fn listen(disk: &Arc<Disk>, socket: &Path) -> io::Result<thread::JoinHandle<()>> {
    let listener = bind(socket)?;
    let disk = Arc::clone(disk);
    Ok(thread::spawn(move || {
        loop {
            let disk = Arc::clone(&disk);
            let served = listener.accept().and_then(|(stream, _)| {
                thread::Builder::new().spawn(move || {
                    if let Err(error) = disk.serve(stream) {
                        eprintln!("a client was given up: {error}");
                    }
                })
            });
            if let Err(error) = served {
                // Too many clients, for example. Some may leave.
                eprintln!("a client was not admitted: {error}");
                thread::sleep(Duration::from_millis(100));
            }
        }
    }))
}

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let done = match &arguments[..] {
        [] => demonstration::run(),
        [file, socket] => {
            let naming = |name: &OsStr, error| io::Error::other(format!("`{}`: {error}", name.display()));
            let disk = Disk::open(file.as_ref(), Locking::Ranges).map_err(|error| naming(file, error));
            let server =
                disk.and_then(|disk| listen(&disk, socket.as_ref()).map_err(|error| naming(socket, error)));
            server.map(|server| server.join().is_ok())
        }
        _ => {
            eprintln!("usage: nbd_server [FILE SOCKET]");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("nbd_server: {error}");
            ExitCode::FAILURE
        }
    }
}
