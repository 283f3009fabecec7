//! Copies between two files, in both directions at the same time. Another thread completes the
//! copies.
//!
//! ```text
//! cargo run --release -p range-lock-examples --bin copy_range
//! ```
//!
//! A copy needs its source for reading and its target for writing. If it takes them one after the
//! other, a copy from A to B and one from B to A can wait for each other. If it takes both as one
//! request they cannot. The guard owns shares of both locks, so it moves with the copy to the
//! thread that completes it. This thread releases the source as soon as it is read.
//!
//! A clone (reflink) shares the blocks of all of the source, where the file system can do that.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::thread;

use range_lock::{ArcManyGuard, ArcRequest, RangeLock};

const BLOCK: u64 = 4096;
const BLOCKS: u64 = 64;

/// A file, and the lock of its bytes.
#[derive(Clone)]
struct Locked {
    file: Arc<File>,
    lock: Arc<RangeLock>,
}

impl Locked {
    /// Makes a file of blocks, all of one letter.
    fn create(path: &Path, letter: u8) -> io::Result<Self> {
        let file = File::options().read(true).write(true).create(true).truncate(true).open(path)?;
        file.write_all_at(&vec![letter; (BLOCK * BLOCKS) as usize], 0)?;
        Ok(Locked { file: Arc::new(file), lock: Arc::new(RangeLock::new()) })
    }
}

/// A copy that has begun: its ranges are locked.
struct Copy {
    from: Locked,
    to: Locked,
    source: u64,
    target: u64,
    length: u64,
    guard: ArcManyGuard,
}

impl Copy {
    /// Waits until both ranges are free. The caller holds no range.
    fn begin(from: &Locked, source: u64, to: &Locked, target: u64, length: u64) -> Self {
        let guard = RangeLock::acquire_many_arc([
            ArcRequest::read(&from.lock, source..source + length),
            ArcRequest::write(&to.lock, target..target + length),
        ]);
        Copy { from: from.clone(), to: to.clone(), source, target, length, guard }
    }

    /// Copies. Unlocks each part of the source as soon as it is copied, and the target at the end.
    fn complete(mut self) -> io::Result<()> {
        let (mut source, mut target) = (self.source, self.target);
        let end = self.source + self.length;
        while source < end {
            let most = (end - source) as usize;
            let (from, to) = (&self.from.file, &self.to.file);
            let copied = rustix::fs::copy_file_range(from, Some(&mut source), to, Some(&mut target), most)?;
            if copied == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            // The source may be written again as far as it has been read.
            ArcManyGuard::release(&mut self.guard, &self.from.lock, self.source..source);
        }
        Ok(())
    }
}

/// Clones all of one file over another. Returns `false` if the file system cannot.
fn clone(from: &Locked, to: &Locked) -> io::Result<bool> {
    let both = [ArcRequest::read(&from.lock, ..), ArcRequest::write(&to.lock, ..)];
    let _guard = RangeLock::acquire_many_arc(both);
    match rustix::fs::ioctl_ficlone(&to.file, &from.file) {
        Ok(()) => Ok(true),
        Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::INVAL | rustix::io::Errno::NOTTY) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Whether each block is all of one letter, so that overlapping copies did not mix.
fn blocks_are_whole(of: &Locked) -> io::Result<bool> {
    let _guard = of.lock.read(..);
    let mut bytes = vec![0; (BLOCK * BLOCKS) as usize];
    of.file.read_exact_at(&mut bytes, 0)?;
    Ok(bytes.chunks(BLOCK as usize).all(|block| block.iter().all(|&letter| letter == block[0])))
}

fn main() -> io::Result<()> {
    let folder = tempfile::tempdir()?;
    let a = Locked::create(&folder.path().join("a"), b'a')?;
    let b = Locked::create(&folder.path().join("b"), b'b')?;

    // Four threads begin copies, in opposite directions and of overlapping ranges. One completes
    // them.
    let (submit, submitted) = mpsc::sync_channel::<Copy>(8);
    let completing =
        thread::spawn(move || submitted.into_iter().try_fold(0, |n, copy| copy.complete().map(|()| n + 1)));
    thread::scope(|scope| {
        for thread in 0..4_u64 {
            let (a, b, submit) = (&a, &b, submit.clone());
            scope.spawn(move || {
                for n in 0..250 {
                    let (from, to) = if thread % 2 == 0 { (a, b) } else { (b, a) };
                    let source = (n * 7 + thread) % (BLOCKS - 8) * BLOCK;
                    let target = (n * 11 + thread) % (BLOCKS - 8) * BLOCK;
                    let length = (1 + n % 8) * BLOCK;
                    if submit.send(Copy::begin(from, source, to, target, length)).is_err() {
                        break; // A copy has failed, and its error is reported below.
                    }
                }
            });
        }
    });
    drop(submit);
    let copies: u32 = completing.join().expect("it has not panicked")?;
    println!("another thread completed {copies} copies between two files, in both directions");
    assert!(blocks_are_whole(&a)? && blocks_are_whole(&b)?, "a block has letters of two copies");
    println!("each block is one copy's: overlapping copies did not mix");

    match clone(&a, &b)? {
        true => println!("a clone: b shares the blocks of a"),
        false => println!("a clone: this file system has no reflinks"),
    }
    Ok(())
}
