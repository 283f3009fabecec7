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
//! Without arguments it serves a file of 256 MiB to clients of its own, which look for torn reads,
//! and to `nbdinfo` and `nbdcopy` (Debian: `libnbd-bin`) and `qemu-io` (`qemu-utils`). A program
//! that is not installed is skipped, with a message.

#[path = "nbd_server/protocol.rs"]
mod protocol;

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Command as Program, ExitCode, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::thread;
use std::time::{Duration, Instant};

use memmap2::MmapMut;
use protocol::{Client, Command, EINVAL, MOST, Request};
#[allow(unused_imports, reason = "the head names it")]
use range_lock::RangeLock;
use range_lock::{Mode, RangeRwLock};

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

    fn write(&self, range: Range<usize>, data: &[u8]) {
        let _whole = (self.locking == Locking::Whole)
            .then(|| self.whole.write().unwrap_or_else(PoisonError::into_inner));
        let start = range.start;
        for step in self.steps(range) {
            self.bytes.write(step.clone()).copy_from_slice(&data[step.start - start..step.end - start]);
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

    fn answer(&self, request: &Request) -> io::Result<Result<Vec<u8>, u32>> {
        let end = request.offset.checked_add(request.length.into());
        if end.is_none_or(|end| end > self.bytes.len() as u64) {
            return Ok(Err(EINVAL));
        }
        let range = request.offset as usize..request.offset as usize + request.length as usize;
        let read = match &request.command {
            Command::Read if request.length <= MOST => self.read(range),
            Command::Write(data) => {
                self.write(range, data);
                Vec::new()
            }
            Command::WriteZeroes => {
                // In pieces that may be seen one by one: a request of 4 GiB is not held in memory.
                for at in range.clone().step_by(MOST as usize) {
                    let piece = at..(at + MOST as usize).min(range.end);
                    self.write(piece.clone(), &vec![0; piece.len()]);
                }
                Vec::new()
            }
            Command::Flush => {
                self.flush()?;
                Vec::new()
            }
            _ => return Ok(Err(EINVAL)),
        };
        if request.fua {
            self.file.sync_data()?;
        }
        Ok(Ok(read))
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
            let answer = self.answer(&request)?;
            protocol::reply(&mut stream, &request, answer.as_deref().map_err(|&error| error))?;
        }
        Ok(())
    }
}

/// Serves each client that connects, on a thread of its own, for as long as the program runs.
fn listen(disk: &Arc<Disk>, socket: &Path) -> io::Result<thread::JoinHandle<()>> {
    let listener = UnixListener::bind(socket)?;
    let disk = Arc::clone(disk);
    Ok(thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let disk = Arc::clone(&disk);
            thread::spawn(move || {
                if let Err(error) = disk.serve(stream) {
                    eprintln!("a client was given up: {error}");
                }
            });
        }
    }))
}

const SIZE: u64 = 256 << 20;
const REQUEST: usize = 64 << 10;

/// Two clients write 64 KiB at 0 and at 32 KiB. Each request is all one letter, with a new letter
/// each time. A third client reads the 32 KiB that both write. Returns how many reads had several
/// letters, and how many reads there were.
fn torn_reads(socket: &Path, time: Duration) -> io::Result<(u64, u64)> {
    let over = AtomicBool::new(false);
    let mut reader = Client::connect(UnixStream::connect(socket)?)?;
    reader.write(0, &[b'-'; 2 * REQUEST])?; // What was there before may be of many letters.
    thread::scope(|scope| {
        let writers = [(0, b'a'), (REQUEST as u64 / 2, b'A')].map(|(offset, first)| {
            let over = &over;
            scope.spawn(move || {
                let mut client = Client::connect(UnixStream::connect(socket)?)?;
                for letter in (first..first + 26).cycle() {
                    if over.load(Ordering::Relaxed) {
                        break;
                    }
                    client.write(offset, &vec![letter; REQUEST])?;
                }
                client.flush()
            })
        });
        let (start, mut reads, mut torn) = (Instant::now(), 0, 0);
        while start.elapsed() < time {
            let data = reader.read(REQUEST as u64 / 2, REQUEST as u32 / 2)?;
            reads += 1;
            torn += u64::from(data.iter().any(|&letter| letter != data[0]));
        }
        over.store(true, Ordering::Relaxed);
        writers.into_iter().try_for_each(|writer| writer.join().expect("it has not panicked"))?;
        Ok((torn, reads))
    })
}

/// Requests per second of two clients that write 64 KiB, each in its half or anywhere.
fn throughput(socket: &Path, disjoint: bool, time: Duration) -> io::Result<f64> {
    let done = AtomicU64::new(0);
    thread::scope(|scope| {
        let clients = [0, 1].map(|half| {
            let done = &done;
            scope.spawn(move || {
                let mut client = Client::connect(UnixStream::connect(socket)?)?;
                let (start, data, mut random) = (Instant::now(), vec![b'x'; REQUEST], half + 1_u64);
                while start.elapsed() < time {
                    random = random.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
                    let place = (random >> 33) % (SIZE / 2 - REQUEST as u64);
                    let offset = if disjoint { place + half * SIZE / 2 } else { place * 2 };
                    client.write(offset, &data)?;
                    done.fetch_add(1, Ordering::Relaxed);
                }
                Ok::<_, io::Error>(())
            })
        });
        clients.into_iter().try_for_each(|client| client.join().expect("it has not panicked"))?;
        Ok(done.load(Ordering::Relaxed) as f64 / time.as_secs_f64())
    })
}

/// Runs a program, which must succeed. Prints a message if it is not installed.
fn run(name: &str, arguments: &[&str]) -> io::Result<bool> {
    let program = Program::new(name).args(arguments).stdout(Stdio::null()).status();
    match program {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            println!("######## SKIPPED: {name} is not here (apt-get install libnbd-bin qemu-utils)");
            Ok(false)
        }
        Err(error) => Err(error),
        Ok(status) if status.success() => Ok(true),
        Ok(status) => Err(io::Error::other(format!("{name} {arguments:?}: {status}"))),
    }
}

fn real_clients(folder: &Path, socket: &Path) -> io::Result<()> {
    let uri = format!("nbd+unix:///?socket={}", socket.display());
    if run("nbdinfo", &[&uri])? {
        println!("nbdinfo: understands the export");
    }
    let path = |name: &str| folder.join(name).to_string_lossy().into_owned();
    let (sent, back) = (path("sent"), path("back"));
    let words = (0..SIZE / 8).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    std::fs::write(&sent, words.flat_map(u64::to_ne_bytes).collect::<Vec<_>>())?;
    if run("nbdcopy", &["--flush", &sent, &uri])? && run("nbdcopy", &[&uri, &back])? {
        let same = std::fs::read(&sent)? == std::fs::read(&back)?;
        assert!(same, "what came back differs");
        println!("nbdcopy: 256 MiB there and back, all the same");
    }
    let script = ["-f", "raw", "-c", "write -P 7 1M 64k", "-c", "flush", "-c", "read -P 7 1M 64k", &uri];
    if run("qemu-io", &script)? {
        println!("qemu-io: writes, flushes, and reads what it wrote");
    }
    Ok(())
}

fn main() -> io::Result<ExitCode> {
    if let [_, file, socket] = &std::env::args_os().collect::<Vec<_>>()[..] {
        let server = listen(&Disk::open(file.as_ref(), Locking::Ranges)?, socket.as_ref())?;
        server.join().expect("it does not end");
    }
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("disk");
    File::create(&file)?.set_len(SIZE)?;
    let time = Duration::from_millis(500);
    for locking in [Locking::Ranges, Locking::Whole, Locking::Blocks] {
        let socket = folder.path().join(format!("{locking:?}"));
        let _server = listen(&Disk::open(&file, locking)?, &socket)?;
        let tears = locking == Locking::Blocks;
        let (mut torn, reads) = torn_reads(&socket, time)?;
        for _ in 0..20 {
            if tears && torn == 0 {
                torn = torn_reads(&socket, time)?.0; // It has to be seen once.
            }
        }
        let (disjoint, random) = (throughput(&socket, true, time)?, throughput(&socket, false, time)?);
        println!(
            "{locking:?}: {} of its reads torn; {disjoint:.0} writes/s disjoint, {random:.0} anywhere",
            if torn == 0 { "none" } else { "some" }
        );
        if tears == (torn == 0) {
            println!("FAILED: {torn} reads were torn, of {reads} and more");
            return Ok(ExitCode::FAILURE);
        }
        if locking == Locking::Ranges {
            real_clients(folder.path(), &socket)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
