//! One writer and many readers, each in a process of its own, on one database file.
//!
//! ```text
//! cargo run -p range-lock-examples --bin database_file
//! ```
//!
//! The opening protocol resembles redb's. It reserves bytes far behind the data for locks: nothing
//! is ever stored there.
//!
//! | byte | held for reading by | held for writing by |
//! |---|---|---|
//! | `OPEN` | each process that shares the file | a process that wants the file for itself alone |
//! | `WRITER` | | the one process that writes |
//! | `SLOTS + n` | a reader of the snapshot in slot n | the writer while it overwrites slot n |
//!
//! The file has two slots and a header that names the current one. The writer fills the other slot
//! as soon as no reader uses it, and then changes the header. So readers never wait for the writer,
//! and see one snapshot each. A writer that is killed leaves the last snapshot that it completed.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Duration;

use range_lock::file::{Access, FileRangeLock, FileReadGuard, FileWriteGuard, Request};

/// Where the lock bytes begin.
const LOCKS: u64 = 1 << 62;
const OPEN: u64 = LOCKS;
const WRITER: u64 = LOCKS + 1;
const SLOTS: u64 = LOCKS + 2;

/// How many numbers a snapshot has. All are the same, or the snapshot is torn.
const NUMBERS: usize = 512;
const COMMITS: u64 = 200;

/// Where a slot begins in the file.
fn place(slot: u64) -> u64 {
    4096 + slot * 8 * NUMBERS as u64
}

/// The file and its lock.
struct Database {
    lock: FileRangeLock,
    file: File,
}

impl Database {
    fn new(path: &Path, access: Access) -> io::Result<Self> {
        let file = File::options().read(true).write(access == Access::ReadWrite).open(path)?;
        Ok(Database { lock: FileRangeLock::from_file(&file)?, file })
    }

    /// The slot that the header names.
    fn current(&self) -> io::Result<u64> {
        let mut header = [0];
        self.file.read_exact_at(&mut header, 0)?;
        match header[0] {
            slot @ 0..2 => Ok(slot.into()),
            slot => Err(io::Error::other(format!("this is no database: slot {slot} in its header"))),
        }
    }

    /// Reads the snapshot that is current. Never waits for the writer.
    fn read(&self) -> io::Result<u64> {
        loop {
            let slot = self.current()?;
            // A `try_` verb: this process holds `OPEN`, and must not block on another range. It
            // fails if the writer has changed the header meanwhile, and fills this slot.
            let Some(_reader) = self.lock.try_read(SLOTS + slot..=SLOTS + slot)? else { continue };
            if self.current()? != slot {
                continue; // The writer waits for this slot.
            }
            let mut bytes = [0; NUMBERS * 8];
            self.file.read_exact_at(&mut bytes, place(slot))?;
            let mut numbers =
                bytes.chunks_exact(8).map(|chunk| u64::from_le_bytes(chunk.try_into().unwrap()));
            let first = numbers.next().expect("a snapshot has numbers");
            assert!(numbers.all(|number| number == first), "a torn snapshot");
            return Ok(first);
        }
    }

    /// Makes `number` the current snapshot. The caller holds `WRITER`.
    fn commit(&self, number: u64) -> io::Result<()> {
        let slot = 1 - self.current()?;
        let slot_lock = SLOTS + slot..=SLOTS + slot;
        // With a limit, since this process holds other ranges.
        let alone = self.lock.try_write_for(slot_lock, Duration::from_secs(10))?;
        let alone = alone.ok_or_else(|| io::Error::other("a reader keeps an old snapshot for 10 s"))?;
        let bytes: Vec<u8> = std::iter::repeat_n(number.to_le_bytes(), NUMBERS).flatten().collect();
        self.file.write_all_at(&bytes, place(slot))?;
        self.file.sync_data()?; // The header must not be on the disk before the snapshot.
        FileWriteGuard::release(alone)?;
        self.file.write_all_at(&[slot as u8], 0)?;
        self.file.sync_data()
    }
}

/// Opens for reading beside a writer, and reads until the last commit.
fn reader(path: &Path) -> io::Result<()> {
    let database = Database::new(path, Access::Read)?;
    let open = database.lock.try_read(OPEN..=OPEN)?;
    let open = open.ok_or_else(|| io::Error::other("another process has the file for itself alone"))?;
    let (mut last, mut snapshots) = (0, 0);
    while last < COMMITS {
        let number = database.read()?;
        assert!(number >= last, "snapshots went back from {last} to {number}");
        last = number;
        snapshots += 1;
    }
    assert!(snapshots > 0);
    FileReadGuard::release(open)
}

/// Opens for writing, and commits.
fn writer(path: &Path) -> io::Result<()> {
    let database = Database::new(path, Access::ReadWrite)?;
    // Both locks at once, or none: a process that opens never waits while it holds one.
    let opened =
        database.lock.try_acquire_many([Request::read(OPEN..=OPEN), Request::write(WRITER..=WRITER)])?;
    let Some(_opened) = opened else {
        return Err(io::Error::other("another process writes, or has the file for itself alone"));
    };
    (1..=COMMITS).try_for_each(|number| database.commit(number))
}

fn start(role: &str, path: &Path) -> io::Result<Child> {
    Command::new(std::env::current_exe()?).arg(role).arg(path).stderr(Stdio::piped()).spawn()
}

/// Waits for a process that must succeed.
fn succeed(child: Child) -> io::Result<()> {
    let output = child.wait_with_output()?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(format!("a process failed, {}: {}", output.status, said.trim())))
}

/// The error message of a process that fails.
fn refusal(child: Child) -> io::Result<String> {
    let output = child.wait_with_output()?;
    assert!(!output.status.success(), "it was not refused");
    Ok(String::from_utf8_lossy(&output.stderr).trim().to_owned())
}

fn play() -> io::Result<()> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("numbers.db");
    File::create(&path)?.set_len(place(2))?;
    let database = Database::new(&path, Access::ReadWrite)?;

    let alone = database.lock.write(OPEN..=OPEN)?;
    println!("one process has the file for itself alone");
    println!("  a reader is refused: {}", refusal(start("read", &path)?)?);
    println!("  a writer is refused: {}", refusal(start("write", &path)?)?);
    let shared = FileWriteGuard::downgrade(alone)?;

    println!("it shares the file, and writes");
    let writes = database.lock.try_write(WRITER..=WRITER)?.expect("no other process writes");
    println!("  a second writer is refused: {}", refusal(start("write", &path)?)?);
    FileWriteGuard::release(writes)?;

    println!("one process writes, and four read");
    let mut readers = (0..4).map(|_| start("read", &path)).collect::<io::Result<Vec<_>>>()?;
    let written = start("write", &path).and_then(succeed);
    if written.is_err() {
        readers.iter_mut().try_for_each(Child::kill)?; // They would wait for the last commit for ever.
    }
    let read = readers.into_iter().try_for_each(succeed);
    written.and(read)?;
    println!("  {COMMITS} commits, and each reader saw whole snapshots, none older than the one before");
    assert_eq!(database.read()?, COMMITS);
    FileReadGuard::release(shared)
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match &arguments[..] {
        [] => play(),
        [role, path] if role == "read" => reader(Path::new(path)),
        [role, path] if role == "write" => writer(Path::new(path)),
        _ => {
            eprintln!("usage: database_file [read FILE | write FILE]");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
