//! Whose lock it is: clones of a file, forked children, descriptors that are passed on, and exec.

use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::mem;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use range_lock::file::{FileManyGuard, FileRangeLock, FileReadGuard, FileWriteGuard, Request};

use crate::seen::Seen;

/// Says to this program, started once more, which part it plays.
const PART: &str = "RANGE_LOCK_FILE_PART";

/// This program, started once more as `part`.
pub(crate) fn again(test: &str, part: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture", "--test-threads=1"]).env(PART, part);
    // Its report is not that of a test.
    command.stdout(Stdio::null());
    command
}

/// The part that this process plays, if it was started by [`again`].
pub(crate) fn part() -> Option<String> {
    std::env::var(PART).ok()
}

/// Runs `child` in a forked child, which must return true.
fn forked(child: impl FnOnce() -> bool) {
    // SAFETY: the child allocates, which glibc allows, and waits for no other thread.
    match unsafe { libc::fork() } {
        0 => {
            let right = child();
            // SAFETY: ends the child, without what else the program would do at its end.
            unsafe { libc::_exit(i32::from(!right)) }
        }
        id => {
            let mut status = 0;
            // SAFETY: a child of ours.
            assert_eq!(unsafe { libc::waitpid(id, &raw mut status, 0) }, id);
            assert_eq!(status, 0, "the child saw something else");
        }
    }
}

#[test]
fn a_clone_of_the_file_has_nothing_to_do_with_the_lock() {
    let file = tempfile::tempfile().unwrap();
    let (lock, seen) = (FileRangeLock::from_file(&file).unwrap(), Seen::new(&file));
    let writer = lock.write(0..4).unwrap();
    let clone = file.try_clone().unwrap();
    // A lock of a clone excludes, and is excluded.
    let of_clone = FileRangeLock::from_file(&clone).unwrap();
    assert!(of_clone.try_read(0..4).unwrap().is_none());
    let beside = of_clone.write(4..8).unwrap();
    assert_eq!(seen.bytes(0..=8), "wwwwwwww-");
    drop((clone, file));
    assert_eq!(seen.bytes(0..=8), "wwwwwwww-");
    drop(beside);
    assert_eq!(seen.bytes(0..=8), "wwww-----");
    drop(of_clone);
    assert_eq!(seen.bytes(0..=8), "wwww-----");
    drop(writer);
    assert_eq!(seen.bytes(0..=8), "---------");
}

#[test]
fn a_guard_dropped_in_a_forked_child_leaves_the_parents_lock_alone() {
    let file = tempfile::tempfile().unwrap();
    let (lock, seen) = (Arc::new(FileRangeLock::from_file(&file).unwrap()), Seen::new(&file));
    let mut guards = Some((
        lock.write(0..2).unwrap(),
        lock.read_arc(2..4).unwrap(),
        lock.acquire_many([Request::read(4..5), Request::write(5..6)]).unwrap(),
    ));
    forked(|| {
        drop(guards.take());
        seen.bytes(0..=6) == "wwrrrw-"
    });
    assert_eq!(seen.bytes(0..=6), "wwrrrw-");
    let (writer, reader, many) = guards.take().unwrap();
    let mut writer = Some(writer);
    let mut many = Some(many);
    // All other verbs are errors there, and change nothing.
    forked(|| {
        let other = |error: std::io::Error| error.kind() == ErrorKind::Unsupported;
        let mut taken = writer.take().unwrap();
        let shrunk = FileWriteGuard::shrink(&mut taken, 0..1).is_err_and(other);
        let asked = FileWriteGuard::is_still_held(&taken).is_err_and(other);
        let kept = FileWriteGuard::downgrade(taken).is_err_and(|unchanged| {
            let guard = unchanged.guard;
            other(unchanged.error) && FileWriteGuard::release(guard).is_err_and(other)
        });
        let released = FileManyGuard::release(many.take().unwrap()).is_err_and(other);
        shrunk
            && asked
            && kept
            && released
            && lock.try_read(10..11).is_err_and(other)
            && lock.write(10..11).is_err_and(other)
            && lock.try_acquire_many([Request::read(10..11)]).is_err_and(other)
            && lock.conflicting(..).is_err_and(other)
            && lock.settle().is_err_and(other)
            && seen.bytes(0..=6) == "wwrrrw-"
    });
    assert_eq!(seen.bytes(0..=6), "wwrrrw-");
    // A child that opens the file anew is excluded as any other.
    forked(|| {
        let anew = FileRangeLock::from_file(&file).unwrap();
        anew.try_write(0..1).unwrap().is_none() && anew.try_write(6..7).unwrap().is_some()
    });
    drop((writer, reader, many));
    assert_eq!(seen.bytes(0..=6), "-------");
}

#[test]
fn a_forked_child_that_lives_on_keeps_what_was_leaked() {
    let file = tempfile::tempfile().unwrap();
    let (lock, seen) = (FileRangeLock::from_file(&file).unwrap(), Seen::new(&file));
    mem::forget(lock.write(0..2).unwrap());
    let (mut reader, writer) = UnixStream::pair().unwrap();
    // SAFETY: the child only reads, and ends.
    let child = unsafe { libc::fork() };
    if child == 0 {
        // The other end is closed here, so that the parent's is the last one.
        // SAFETY: the child does not use it.
        unsafe { libc::close(writer.as_raw_fd()) };
        let _ = reader.read(&mut [0]);
        // SAFETY: ends the child.
        unsafe { libc::_exit(0) }
    }
    drop(lock);
    assert_eq!(seen.bytes(0..=2), "ww-"); // The description is open in the child.
    drop(writer);
    // SAFETY: a child of ours.
    assert_eq!(unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) }, child);
    assert_eq!(seen.bytes(0..=2), "---");
}

/// Not a test of its own: what `a_descriptor_that_is_passed_on…` starts.
#[test]
fn receiver() {
    if part().as_deref() != Some("receiver") {
        return;
    }
    let lock = FileRangeLock::from_file(std::io::stdin()).unwrap();
    assert!(lock.try_read(0..4).unwrap().is_none());
    drop(lock.write(4..8).unwrap());
}

#[test]
fn a_descriptor_that_is_passed_on_gives_its_receiver_a_lock_of_its_own() {
    let file = tempfile::tempfile().unwrap();
    let (lock, seen) = (FileRangeLock::from_file(&file).unwrap(), Seen::new(&file));
    let writer = lock.write(0..4).unwrap();
    let passed: OwnedFd = lock.as_fd().try_clone_to_owned().unwrap();
    let status = again("processes::receiver", "receiver").stdin(Stdio::from(passed)).status().unwrap();
    assert!(status.success());
    // It has closed its copy, and nothing has changed here.
    assert_eq!(seen.bytes(0..=5), "wwww--");
    assert!(FileWriteGuard::is_still_held(&writer).unwrap());
}

/// Not a test of its own: locks the file that the part names, and becomes `cat`.
#[test]
fn execs() {
    let Some(part) = part() else { return };
    let Some((kind, path)) = part.split_once(' ') else { return };
    let file = File::options().read(true).write(true).open(path).unwrap();
    if kind == "kept" {
        // SAFETY: a flag of an open descriptor.
        assert_eq!(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETFD, 0) }, 0);
    }
    // SAFETY: opened just now.
    let lock = unsafe { FileRangeLock::from_description(file.into()) }.unwrap();
    let _reader = lock.read(0..3).unwrap();
    panic!("{}", Command::new("cat").exec());
}

/// Starts `execs`, and waits until it has become `cat`.
fn cat(kind: &str, path: &Path) -> Child {
    let mut command = again("processes::execs", &format!("{kind} {}", path.display()));
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    writeln!(child.stdin.as_mut().unwrap(), "is a cat").unwrap();
    let lines = BufReader::new(child.stdout.as_mut().unwrap()).lines();
    assert!(lines.map_while(Result::ok).any(|line| line.ends_with("is a cat")));
    child
}

#[test]
fn exec_ends_the_locks_unless_the_descriptor_stays_open() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let seen = Seen::new(file.as_file());
    for (kind, locked) in [("closed", "----"), ("kept", "rrr-")] {
        let mut cat = cat(kind, file.path());
        assert_eq!(seen.bytes(0..=3), locked);
        drop(cat.stdin.take());
        assert!(cat.wait().unwrap().success());
        assert_eq!(seen.bytes(0..=3), "----");
    }
}

/// Not a test of its own: locks all of the file that the part names, says so, and waits.
#[test]
fn victim() {
    let Some(part) = part() else { return };
    let Some(path) = part.strip_prefix("victim ") else { return };
    let lock = FileRangeLock::from_file(File::options().read(true).write(true).open(path).unwrap()).unwrap();
    let _writer = lock.write(..).unwrap();
    println!("holds");
    let _ = std::io::stdin().read(&mut [0]);
}

#[test]
fn what_a_killed_process_held_is_free_at_once() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let lock = FileRangeLock::from_file(file.as_file()).unwrap();
    for round in 0..10 {
        let mut command = again("processes::victim", &format!("victim {}", file.path().display()));
        let mut victim = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(victim.stdout.as_mut().unwrap()).lines();
        assert!(lines.map_while(Result::ok).any(|line| line.ends_with("holds")));
        let granted = std::thread::scope(|scope| {
            let waiting = scope.spawn(|| {
                let reader = if round % 2 == 0 {
                    lock.read(0..10)
                } else {
                    lock.try_read_for(0..10, Duration::from_secs(10)).map(|reader| reader.expect("in 10 s"))
                };
                let granted = Instant::now();
                FileReadGuard::release(reader.unwrap()).unwrap();
                granted
            });
            while lock.requests().is_empty() {
                std::thread::yield_now();
            }
            victim.kill().unwrap();
            victim.wait().unwrap();
            let dead = Instant::now();
            waiting.join().unwrap().saturating_duration_since(dead)
        });
        assert!(granted < Duration::from_millis(100), "had the range {granted:?} after the death");
    }
}
