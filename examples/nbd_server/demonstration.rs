//! What the server shows without arguments: reads that tear or do not, requests per second, and
//! programs of others as clients.

use std::fs::File;
use std::io;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::protocol::Client;
use super::{Disk, Locking, listen};

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
        let read = loop {
            if start.elapsed() >= time {
                break Ok((torn, reads));
            }
            match reader.read(REQUEST as u64 / 2, REQUEST as u32 / 2) {
                Ok(data) => torn += u64::from(data.iter().any(|&letter| letter != data[0])),
                Err(error) => break Err(error),
            }
            reads += 1;
        };
        over.store(true, Ordering::Relaxed); // After an error, too: the writers must end.
        writers.into_iter().try_for_each(|writer| writer.join().expect("it has not panicked"))?;
        read
    })
}

/// Writes the whole disk once. Or the server that is measured first would also pay for the pages.
fn touch(socket: &Path) -> io::Result<()> {
    let mut client = Client::connect(UnixStream::connect(socket)?)?;
    (0..SIZE).step_by(REQUEST).try_for_each(|offset| client.write(offset, &[b'-'; REQUEST]))
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
fn program(name: &str, arguments: &[&str]) -> io::Result<bool> {
    match Command::new(name).args(arguments).stdout(Stdio::null()).status() {
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
    if program("nbdinfo", &[&uri])? {
        println!("nbdinfo: understands the export");
    }
    let path = |name: &str| folder.join(name).to_string_lossy().into_owned();
    let (sent, back) = (path("sent"), path("back"));
    let words = (0..SIZE / 8).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    std::fs::write(&sent, words.flat_map(u64::to_ne_bytes).collect::<Vec<_>>())?;
    if program("nbdcopy", &["--flush", &sent, &uri])? && program("nbdcopy", &[&uri, &back])? {
        let same = std::fs::read(&sent)? == std::fs::read(&back)?;
        assert!(same, "what came back differs");
        println!("nbdcopy: {} MiB there and back, all the same", SIZE >> 20);
    }
    let script = ["-f", "raw", "-c", "write -P 7 1M 64k", "-c", "flush", "-c", "read -P 7 1M 64k", &uri];
    if program("qemu-io", &script)? {
        println!("qemu-io: writes, flushes, and reads what it wrote");
    }
    Ok(())
}

/// Serves a file to clients. Returns whether each kind of locking did what it should.
pub(crate) fn run() -> io::Result<bool> {
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
        touch(&socket)?;
        let (disjoint, random) = (throughput(&socket, true, time)?, throughput(&socket, false, time)?);
        println!(
            "{locking:?}: {} of its reads torn; {disjoint:.0} writes/s disjoint, {random:.0} anywhere",
            if torn == 0 { "none" } else { "some" }
        );
        if tears == (torn == 0) {
            println!("FAILED: {torn} reads were torn, of {reads} and more");
            return Ok(false);
        }
        if locking == Locking::Ranges {
            real_clients(folder.path(), &socket)?;
        }
    }
    Ok(true)
}
