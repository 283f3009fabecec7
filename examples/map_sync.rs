//! A file on persistent memory as the data of a lock, mapped with MAP_SYNC.
//!
//! ```text
//! cargo run -p range-lock-examples --bin map_sync [PATH]
//! ```
//!
//! memmap2 has no MAP_SYNC, so the mapping is a [`Storage`] of its own. Threads count in records of
//! 64 bytes. Each change is durable before its guard is released, so no thread reads what a crash
//! could take back. With MAP_SYNC the cache lines of the guard's range are written back and fenced,
//! without a system call. Where MAP_SYNC does not work the program prints a message, and calls
//! msync.
//!
//! PATH is a new file, which is removed in the end. Without PATH the file is a temporary one. If
//! PATH exists, the program refuses it with exit code 2, and changes nothing.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::ptr::{self, NonNull};

use dax_sim::pmem::WriteBack;
use range_lock::{RangeRwLock, Storage};
use rustix::mm::{MapFlags, MsyncFlags, ProtFlags};

/// The size of the file in bytes.
const SIZE: usize = 1 << 20;
/// The size of a record in bytes: a cache line.
const RECORD: usize = 64;
const RECORDS: usize = 256;
const THREADS: usize = 4;
const ROUNDS: u64 = 4;

/// How changes of the mapping are made durable.
#[derive(Clone, Copy)]
enum Durability {
    /// The file's metadata are durable already (MAP_SYNC). Only the lines of the bytes are written
    /// back.
    WriteBack(WriteBack),
    /// The kernel writes the pages back.
    Msync,
}

impl Durability {
    /// Makes the bytes of the mapping durable.
    fn persist(self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Durability::WriteBack(instruction) => instruction.write_back(bytes),
            Durability::Msync => {
                // The kernel wants whole pages.
                let before = bytes.as_ptr().addr() % rustix::param::page_size();
                let start = bytes.as_ptr().wrapping_sub(before).cast_mut();
                // SAFETY: these pages are the mapping's, and msync changes no bytes.
                unsafe { rustix::mm::msync(start.cast(), before + bytes.len(), MsyncFlags::SYNC)? };
            }
        }
        Ok(())
    }
}

/// A whole file, mapped shared. It is unmapped when it is dropped.
struct SyncMapping {
    start: NonNull<u8>,
    len: usize,
}

impl SyncMapping {
    /// Maps the file with MAP_SYNC, or without it where it does not work.
    ///
    /// # Safety
    ///
    /// No other process, and nothing else in this one, changes the file as long as it is mapped.
    unsafe fn map(file: &File) -> io::Result<(SyncMapping, Durability)> {
        let len = file.metadata()?.len() as usize;
        let map = |flags| {
            // SAFETY: a fresh mapping at an address that the kernel picks overlaps nothing.
            unsafe {
                rustix::mm::mmap(ptr::null_mut(), len, ProtFlags::READ | ProtFlags::WRITE, flags, file, 0)
            }
        };
        // With plain MAP_SHARED some file systems ignore the flag.
        let (start, durability) = match map(MapFlags::SHARED_VALIDATE | MapFlags::SYNC) {
            Ok(start) => {
                let instruction = WriteBack::detect();
                println!("mapped with MAP_SYNC: durable by {instruction} and a fence");
                (start, Durability::WriteBack(instruction))
            }
            Err(error) => {
                println!("MAP_SYNC does not work here ({error}): mapped without, durable by msync");
                (map(MapFlags::SHARED)?, Durability::Msync)
            }
        };
        let start = NonNull::new(start.cast()).expect("no mapping is at address 0");
        Ok((SyncMapping { start, len }, durability))
    }
}

impl Drop for SyncMapping {
    fn drop(&mut self) {
        // SAFETY: exactly the mapping that was made, which nothing refers to.
        let _ = unsafe { rustix::mm::munmap(self.start.as_ptr().cast(), self.len) };
    }
}

// SAFETY: a mapping is the process', not a thread's.
unsafe impl Send for SyncMapping {}

// SAFETY: the mapping stays where it is until it is dropped. Its bytes are initialised, as the
// bytes of a file are. Nothing else reaches them, as the caller of `map` has promised.
unsafe impl Storage for SyncMapping {
    type Item = u8;
    type Raw = SyncMapping;

    fn into_raw(self) -> SyncMapping {
        self
    }

    unsafe fn slice(raw: *mut SyncMapping) -> NonNull<[u8]> {
        // SAFETY: `raw` may be read, by contract.
        let (start, len) = unsafe { ((*raw).start, (*raw).len) };
        NonNull::slice_from_raw_parts(start, len)
    }

    unsafe fn from_raw(raw: SyncMapping) -> SyncMapping {
        raw
    }
}

/// Adds 1 to the record, and returns when the change is durable.
fn count(data: &RangeRwLock<SyncMapping>, record: usize, how: Durability) -> io::Result<()> {
    let mut guard = data.write(record * RECORD..(record + 1) * RECORD);
    let (number, _) = guard.split_first_chunk_mut().expect("a record has eight bytes");
    *number = (u64::from_le_bytes(*number) + 1).to_le_bytes();
    // Before the guard is released.
    how.persist(&guard)
}

fn play(path: &Path, file: &File) -> io::Result<()> {
    // Not `set_len`: a store into a hole kills the program when the file system is full.
    file.write_all_at(&vec![0; SIZE], 0)?;
    // SAFETY: the file is new, and no other process knows it.
    let (mapping, how) = unsafe { SyncMapping::map(file)? };
    let data = RangeRwLock::new(mapping);
    std::thread::scope(|scope| {
        let counts = |thread: usize| {
            let data = &data;
            move || {
                // Each thread visits all records, in an order of its own.
                (0..ROUNDS as usize * RECORDS / THREADS)
                    .try_for_each(|i| count(data, (i * 7 + thread * 64) % RECORDS, how))
            }
        };
        let threads: Vec<_> = (0..THREADS).map(|thread| scope.spawn(counts(thread))).collect();
        threads.into_iter().try_for_each(|thread| thread.join().expect("no thread panics"))
    })?;
    drop(data);
    // What the file holds, without the mapping.
    let bytes = std::fs::read(path)?;
    let numbers = bytes.chunks_exact(RECORD).take(RECORDS);
    let sum: u64 = numbers.map(|r| u64::from_le_bytes(r[..8].try_into().expect("eight bytes"))).sum();
    assert_eq!(sum, ROUNDS * RECORDS as u64);
    println!("{THREADS} threads counted to {sum} in {RECORDS} records of {RECORD} bytes");
    Ok(())
}

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let folder;
    let path = match &arguments[..] {
        [] => match tempfile::tempdir() {
            Ok(new) => {
                folder = new;
                folder.path().join("counters")
            }
            Err(error) => {
                eprintln!("error: cannot make a temporary folder: {error}; name a new file");
                return ExitCode::from(2);
            }
        },
        [path] => PathBuf::from(path),
        _ => {
            eprintln!("usage: map_sync [PATH]");
            return ExitCode::from(2);
        }
    };
    // An existing file is not ours to use.
    let file = match File::options().read(true).write(true).create_new(true).open(&path) {
        Ok(file) => file,
        Err(error) => {
            eprintln!("error: cannot create `{}`: {error}; name a new file", path.display());
            return ExitCode::from(2);
        }
    };
    let played = play(&path, &file);
    let removed = std::fs::remove_file(&path);
    if let Err(error) = played.and(removed) {
        eprintln!("error: `{}`: {error}", path.display());
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
