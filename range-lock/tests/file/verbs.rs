//! Each verb at its edges, by two locks of one file in one process: for the kernel they are as far
//! from each other as two processes are.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use range_lock::Mode;
use range_lock::file::{
    Access, ArcFileWriteGuard, FileManyGuard, FileRangeLock, FileReadGuard, FileUpgradableReadGuard,
    FileWriteGuard, Request,
};

use crate::seen::Seen;

const LAST: u64 = i64::MAX as u64;

fn three() -> (FileRangeLock, FileRangeLock, Seen) {
    let file = tempfile::tempfile().unwrap();
    let [one, other] = [(); 2].map(|()| FileRangeLock::from_file(&file).unwrap());
    (one, other, Seen::new(&file))
}

#[test]
fn readers_share_and_writers_exclude() {
    let (one, other, seen) = three();
    let reader = one.read(2..6).unwrap();
    let beside = other.read(4..8).unwrap();
    assert_eq!(seen.bytes(0..=9), "--rrrrrr--");
    assert!(other.try_write(5..6).unwrap().is_none());
    assert!(other.try_write(2..3).unwrap().is_none());
    let writer = other.try_write(0..2).unwrap().unwrap();
    assert!(one.try_read(1..2).unwrap().is_none());
    assert!(one.try_write(1..2).unwrap().is_none());
    drop((reader, beside, writer));
    assert_eq!(seen.bytes(0..=9), "----------");
}

#[test]
fn empty_ranges_are_granted_and_lock_nothing() {
    let (one, other, seen) = three();
    let writer = other.write(..).unwrap();
    for n in [0, 5, LAST, u64::MAX] {
        assert!(one.write(n..n).unwrap().range().is_empty());
        assert!(one.try_read(n..n).unwrap().is_some());
    }
    drop(writer);
    let (left, right) = FileWriteGuard::split_at(one.write(3..3).unwrap(), 9);
    drop((FileWriteGuard::downgrade(left).unwrap(), right));
    let looking = one.upgradable_read(3..3).unwrap();
    assert!(FileUpgradableReadGuard::try_upgrade(looking).is_ok());
    assert!(FileWriteGuard::is_still_held(&one.write(3..3).unwrap()).unwrap());
    assert_eq!(one.acquire_many([Request::read(3..3)]).unwrap().ranges().count(), 0);
    assert_eq!(seen.bytes(0..=9), "----------");
}

#[test]
#[should_panic(expected = "range start 7 is greater than range end 3")]
#[allow(clippy::reversed_empty_ranges)] // the panic is what is tested
fn an_inverted_range_names_both_ends() {
    let (one, ..) = three();
    let _ = one.write(7..3);
}

#[test]
fn an_open_end_is_the_last_byte_that_a_file_can_have() {
    let (one, other, seen) = three();
    let writer = one.write(5..).unwrap();
    assert_eq!(writer.range(), 5..=LAST);
    assert_eq!(seen.bytes(3..=6), "--ww");
    assert_eq!(seen.bytes(LAST - 1..=LAST), "ww");
    assert_eq!(other.conflicting(..).unwrap().unwrap().range, 5..=LAST);
    drop(writer);
    // Closed, and as long as `off_t` can express and longer.
    for range in [0..=LAST, LAST..=LAST, 1..=LAST] {
        let writer = one.write(range.clone()).unwrap();
        assert_eq!(writer.range(), range);
        assert_eq!(other.conflicting(..).unwrap().unwrap().range, range);
    }
    let (left, right) = FileWriteGuard::split_at(one.write(..).unwrap(), LAST);
    drop(left);
    assert_eq!(seen.bytes(LAST - 2..=LAST), "--w");
    let (left, right) = FileWriteGuard::split_at(right, LAST + 1);
    assert!(right.range().is_empty());
    drop(left);
    assert_eq!(seen.bytes(LAST - 2..=LAST), "---");
}

#[test]
fn what_the_kernel_cannot_express_is_an_error() {
    let (one, ..) = three();
    for range in [0..=LAST + 1, LAST + 1..=LAST + 1, u64::MAX..=u64::MAX, 0..=u64::MAX] {
        let error = one.try_read(range.clone()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        let message = error.to_string();
        assert!(
            message.contains(&range.end().to_string()) && message.contains("9223372036854775807"),
            "{message}"
        );
        assert!(one.conflicting(range.clone()).is_err());
        assert!(one.acquire_many([Request::read(0..1), Request::write(range)]).is_err());
    }
    assert!(one.write(LAST + 1..).is_err());
    assert!(one.requests().is_empty());
}

#[test]
fn the_access_of_the_file_bounds_the_modes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    fs::write(&path, []).unwrap();
    let reads = FileRangeLock::open(&path, Access::Read).unwrap();
    assert!(reads.read(..).is_ok());
    let looking = reads.upgradable_read(..).unwrap();
    let unchanged = FileUpgradableReadGuard::try_upgrade(looking).unwrap_err();
    assert_eq!(unchanged.error.kind(), ErrorKind::PermissionDenied);
    drop(unchanged);
    for error in [reads.write(..).unwrap_err(), reads.try_write(0..1).unwrap_err()] {
        assert_eq!(error.kind(), ErrorKind::PermissionDenied);
        assert!(error.to_string().contains("open for reading only"), "{error}");
    }
    let writes = FileRangeLock::from_file(File::options().write(true).open(&path).unwrap()).unwrap();
    assert!(writes.write(..).is_ok());
    assert_eq!(writes.read(..).unwrap_err().kind(), ErrorKind::PermissionDenied);
    let unchanged = FileWriteGuard::downgrade(writes.write(..).unwrap()).unwrap_err();
    assert!(reads.try_read(..).unwrap().is_none());
    drop(unchanged);
    assert!(reads.acquire_many([Request::write(..)]).is_err());
}

#[test]
fn what_cannot_be_locked_is_refused_when_the_lock_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    assert_eq!(FileRangeLock::open(&path, Access::Read).unwrap_err().kind(), ErrorKind::NotFound);
    fs::write(&path, []).unwrap();
    assert!(FileRangeLock::open(folder.path(), Access::Read).is_err());
    let only_a_path = File::options().read(true).custom_flags(libc::O_PATH).open(&path).unwrap();
    // SAFETY: opened just now.
    let error = unsafe { FileRangeLock::from_description(only_a_path.into()) }.unwrap_err();
    assert!(error.to_string().contains("O_PATH"), "{error}");
    let (reader, _writer) = UnixStream::pair().unwrap();
    assert_eq!(FileRangeLock::from_file(reader).unwrap_err().kind(), ErrorKind::InvalidInput);
}

#[test]
fn a_file_without_a_name_is_opened_once_more() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    let file = File::create_new(&path).unwrap();
    fs::remove_file(&path).unwrap();
    let lock = FileRangeLock::from_file(&file).unwrap();
    let writer = lock.write(..).unwrap();
    assert!(FileRangeLock::from_file(&file).unwrap().try_write(..).unwrap().is_none());
    assert_eq!(lock.shares_namespace_with_flock().unwrap(), Some(false));
    drop(writer);
}

#[test]
fn a_timed_verb_gives_up_and_leaves_nothing() {
    let (one, other, seen) = three();
    let holder = other.write(4..6).unwrap();
    let (start, timeout) = (Instant::now(), Duration::from_millis(30));
    assert!(one.try_read_for(0..5, timeout).unwrap().is_none());
    assert!(one.try_upgradable_read_for(0..5, timeout).unwrap().is_none());
    assert!(one.try_write_for(0..5, timeout).unwrap().is_none());
    let many = [Request::write(0..1), Request::read(5..8)];
    assert!(one.try_acquire_many_for(many, timeout).unwrap().is_none());
    assert!(start.elapsed() >= 4 * timeout);
    assert!(one.try_write_until(0..5, start).unwrap().is_none());
    assert_eq!(seen.bytes(0..=9), "----ww----");
    assert!(one.requests().is_empty());
    drop(holder);
    assert!(one.try_write_until(0..5, start).unwrap().is_some());
    assert!(one.try_write_for(0..5, Duration::MAX).unwrap().is_some());
}

#[test]
fn a_timed_verb_has_what_becomes_free() {
    let (one, other, _) = three();
    let holder = other.write(4..6).unwrap();
    let (sender, receiver) = mpsc::channel();
    thread::scope(|scope| {
        for n in 0..3 {
            let (one, sender) = (&one, sender.clone());
            scope.spawn(move || {
                let long = Duration::from_secs(60);
                let granted = match n {
                    0 => one.try_read_for(5..7, long).unwrap().is_some(),
                    1 => one.try_write_for(5..7, long).unwrap().is_some(),
                    _ => one
                        .try_acquire_many_for([Request::read(0..1), Request::write(5..7)], long)
                        .unwrap()
                        .is_some(),
                };
                sender.send(granted).unwrap();
            });
        }
        while one.requests().is_empty() {
            thread::yield_now();
        }
        drop(holder);
    });
    assert_eq!(receiver.iter().take(3).filter(|granted| *granted).count(), 3);
}

#[test]
fn a_blocked_verb_has_what_becomes_free() {
    let (one, other, _) = three();
    for n in 0..4 {
        let holder = other.write(4..6).unwrap();
        thread::scope(|scope| {
            let blocked = scope.spawn(|| match n {
                0 => drop(one.read(5..7).unwrap()),
                1 => drop(one.upgradable_read(5..7).unwrap()),
                2 => drop(one.write(5..7).unwrap()),
                _ => drop(one.acquire_many([Request::read(0..1), Request::write(5..7)]).unwrap()),
            });
            while one.requests().is_empty() {
                thread::yield_now();
            }
            drop(holder);
            blocked.join().unwrap();
        });
    }
}

#[test]
fn threads_of_one_lock_are_served_in_order() {
    let (one, ..) = three();
    let reader = one.read(0..10).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| drop(one.write(5..6).unwrap()));
        while one.requests().len() < 2 {
            thread::yield_now();
        }
        // Compatible with the reader, and behind the writer that waits.
        assert!(one.try_read(5..6).unwrap().is_none());
        assert!(one.try_read(6..7).unwrap().is_some());
        drop(reader);
    });
}

#[test]
fn guards_shrink_and_split() {
    let (one, _other, seen) = three();
    let mut reader = one.read(0..10).unwrap();
    let inner = one.read(4..6).unwrap();
    FileReadGuard::shrink(&mut reader, 7..9).unwrap();
    assert_eq!((reader.range(), seen.bytes(0..=9)), (7..=8, "----rr-rr-".to_owned()));
    drop(inner);
    let (left, right) = FileReadGuard::split_at(reader, 8);
    assert_eq!(seen.bytes(0..=9), "-------rr-");
    drop(left);
    assert_eq!(seen.bytes(0..=9), "--------r-");
    drop(right);
    let mut writer = one.write(0..10).unwrap();
    FileWriteGuard::shrink(&mut writer, 2..8).unwrap();
    let (left, right) = FileWriteGuard::split_at(writer, 5);
    let left = FileWriteGuard::downgrade(left).unwrap();
    assert_eq!(seen.bytes(0..=9), "--rrrwww--");
    let mut right = right;
    FileWriteGuard::shrink(&mut right, 6..6).unwrap();
    assert!(right.range().is_empty());
    assert_eq!(seen.bytes(0..=9), "--rrr-----");
    FileReadGuard::release(left).unwrap();
    assert_eq!(seen.bytes(0..=9), "----------");
    assert!(one.requests().is_empty());
}

#[test]
fn a_guard_whose_change_panics_releases_or_stays() {
    let (one, _other, seen) = three();
    let mut writer = one.write(2..8).unwrap();
    let stays = std::panic::AssertUnwindSafe(|| FileWriteGuard::shrink(&mut writer, 0..4));
    assert!(std::panic::catch_unwind(stays).is_err());
    assert_eq!(seen.bytes(0..=9), "--wwwwww--");
    let releases = std::panic::AssertUnwindSafe(|| FileWriteGuard::split_at(writer, 9));
    assert!(std::panic::catch_unwind(releases).is_err());
    assert_eq!(seen.bytes(0..=9), "----------");
    assert!(one.requests().is_empty());
}

/// A reader that was alone, and comes again, leaves a writer that has become a reader its bytes.
#[test]
fn a_reader_that_comes_again_beside_a_downgraded_writer_leaves_it_its_bytes() {
    let (one, _other, seen) = three();
    drop(one.read(2..6).unwrap());
    let writer = one.write(4..9).unwrap();
    let reader = FileWriteGuard::downgrade(writer).unwrap();
    drop(one.read(2..6).unwrap());
    assert_eq!(seen.bytes(0..=9), "----rrrrr-");
    drop(reader);
    drop(one.read(2..6).unwrap());
    let looking = FileWriteGuard::downgrade_to_upgradable(one.write(0..3).unwrap()).unwrap();
    drop(one.read(2..6).unwrap());
    assert_eq!(seen.bytes(0..=9), "rrr-------");
    drop(looking);
    assert_eq!(seen.bytes(0..=9), "----------");
}

#[test]
fn upgrades_and_downgrades_keep_the_bytes_locked() {
    let (one, other, seen) = three();
    let looking = one.upgradable_read(2..6).unwrap();
    assert!(one.try_upgradable_read(5..6).unwrap().is_none());
    assert_eq!(seen.bytes(0..=7), "--rrrr--");

    // A reader of another process, then one of this process.
    let reader = other.read(0..3).unwrap();
    let unchanged = FileUpgradableReadGuard::try_upgrade(looking).unwrap_err();
    assert_eq!(unchanged.error.kind(), ErrorKind::WouldBlock);
    let soon = Duration::from_millis(5);
    let unchanged = FileUpgradableReadGuard::try_upgrade_for(unchanged.guard, soon).unwrap_err();
    assert_eq!(unchanged.error.kind(), ErrorKind::TimedOut);
    drop(reader);
    let reader = one.read(0..3).unwrap();
    let unchanged = FileUpgradableReadGuard::try_upgrade(unchanged.guard).unwrap_err();
    assert_eq!(unchanged.error.kind(), ErrorKind::WouldBlock);
    let unchanged = FileUpgradableReadGuard::try_upgrade_until(unchanged.guard, Instant::now()).unwrap_err();
    assert_eq!(unchanged.error.kind(), ErrorKind::TimedOut);
    assert_eq!(seen.bytes(0..=7), "rrrrrr--");
    drop(reader);
    assert_eq!(seen.bytes(0..=7), "--rrrr--");

    let writer = FileUpgradableReadGuard::try_upgrade(unchanged.guard).unwrap();
    assert_eq!(seen.bytes(0..=7), "--wwww--");
    let looking = FileWriteGuard::downgrade_to_upgradable(writer).unwrap();
    assert_eq!(seen.bytes(0..=7), "--rrrr--");
    let reader = FileUpgradableReadGuard::downgrade(looking).unwrap();
    assert!(one.try_upgradable_read(2..6).unwrap().is_some());
    assert_eq!(seen.bytes(0..=7), "--rrrr--");
    drop(reader);
    assert_eq!(seen.bytes(0..=7), "--------");

    // The question mark lets go.
    let refused = || -> std::io::Result<()> {
        let _reader = other.read(..)?;
        drop(FileUpgradableReadGuard::try_upgrade(one.upgradable_read(0..4)?)?);
        Ok(())
    };
    assert_eq!(refused().unwrap_err().kind(), ErrorKind::WouldBlock);
    assert_eq!(seen.bytes(0..=7), "--------");
}

#[test]
fn a_timed_upgrade_has_what_becomes_free() {
    let (one, other, _) = three();
    let looking = one.upgradable_read(0..4).unwrap();
    let reader = other.read(2..3).unwrap();
    thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            FileUpgradableReadGuard::try_upgrade_for(looking, Duration::from_secs(60))
                .map(|writer| writer.range())
        });
        // While it waits, no reader of its own process comes in.
        while one.try_read(0..1).unwrap().is_some() {
            thread::yield_now();
        }
        drop(reader);
        assert_eq!(waiting.join().unwrap().unwrap(), 0..=3);
    });
}

#[test]
fn owned_guards_outlive_the_scope_and_travel() {
    let file = tempfile::tempfile().unwrap();
    let (lock, seen) = (Arc::new(FileRangeLock::from_file(&file).unwrap()), Seen::new(&file));
    let (left, right) = ArcFileWriteGuard::split_at(lock.write_arc(0..8).unwrap(), 4);
    let left = ArcFileWriteGuard::downgrade(left).unwrap();
    drop(lock);
    assert_eq!(seen.bytes(0..=8), "rrrrwwww-");
    thread::spawn(move || drop(right)).join().unwrap();
    assert_eq!(seen.bytes(0..=8), "rrrr-----");
    drop(left);
    assert_eq!(seen.bytes(0..=8), "---------");
}

#[test]
fn several_ranges_are_locked_together() {
    let (one, other, seen) = three();
    let many = [Request::write(6..8), Request::read(0..4), Request::write(2..3), Request::read(20..)];
    let guard = one.acquire_many(many).unwrap();
    assert_eq!(seen.bytes(0..=9), "rrwr--ww--");
    let ranges: Vec<_> = guard.ranges().map(|(range, mode)| (*range.start(), mode)).collect();
    assert_eq!(
        ranges,
        [(0, Mode::Read), (2, Mode::Write), (3, Mode::Read), (6, Mode::Write), (20, Mode::Read)]
    );
    // A reader of the same process shares, and its bytes stay.
    let reader = one.read(3..6).unwrap();
    assert!(other.try_acquire_many([Request::read(9..10), Request::read(7..8)]).unwrap().is_none());
    assert_eq!(seen.bytes(0..=9), "rrwrrrww--");
    FileManyGuard::release(guard).unwrap();
    assert_eq!(seen.bytes(0..=9), "---rrr----");
    // Refused at the last range: what was locked for it before is given back, what was held stays.
    let writer = other.write(9..10).unwrap();
    assert!(one.try_acquire_many([Request::read(0..5), Request::read(9..10)]).unwrap().is_none());
    assert_eq!(seen.bytes(0..=9), "---rrr---w");
    drop((reader, writer));
    assert_eq!(seen.bytes(0..=9), "----------");
}

#[test]
fn what_is_in_the_way_is_shown() {
    let (one, other, _) = three();
    assert_eq!(one.conflicting(..).unwrap(), None);
    let own = one.write(0..5).unwrap();
    assert_eq!(one.conflicting(..).unwrap(), None);
    let conflict = other.conflicting(3..100).unwrap().unwrap();
    assert_eq!((conflict.mode, conflict.range, conflict.process), (Mode::Write, 0..=4, None));
    assert_eq!(other.conflicting(5..).unwrap(), None);
    assert_eq!(other.conflicting(3..3).unwrap(), None);
    drop(own);
}

#[test]
fn a_lock_that_is_gone_is_seen() {
    let (one, other, _) = three();
    let (reader, writer) = (one.read(0..5).unwrap(), one.write(5..9).unwrap());
    assert!(FileReadGuard::is_still_held(&reader).unwrap());
    assert!(FileWriteGuard::is_still_held(&writer).unwrap());
    // What must not be done: the same description unlocks bytes by another descriptor. So a server
    // that forgets its clients is played.
    let duplicate = one.as_fd().try_clone_to_owned().unwrap();
    // SAFETY: not safe; that is what is tested.
    let culprit = unsafe { FileRangeLock::from_description(duplicate) }.unwrap();
    drop(culprit.write(..).unwrap());
    assert!(!FileReadGuard::is_still_held(&reader).unwrap());
    assert!(!FileWriteGuard::is_still_held(&writer).unwrap());
    // Another has them.
    let thief = other.write(..).unwrap();
    assert!(!FileReadGuard::is_still_held(&reader).unwrap());
    assert!(!FileWriteGuard::is_still_held(&writer).unwrap());
    drop(thief);
}

#[test]
fn flock_has_a_namespace_of_its_own_on_a_local_file_system() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    fs::write(&path, []).unwrap();
    let lock = FileRangeLock::open(&path, Access::ReadWrite).unwrap();
    assert_eq!(lock.shares_namespace_with_flock().unwrap(), Some(false));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    // Where no file can be made nothing is known; a folder that is gone is one.
    fs::remove_dir_all(folder.path()).unwrap();
    assert_eq!(lock.shares_namespace_with_flock().unwrap(), None);
}

#[test]
fn a_record_lock_of_posix_conflicts_and_names_its_process() {
    let file = tempfile::tempfile().unwrap();
    let lock = FileRangeLock::from_file(&file).unwrap();
    // SAFETY: a struct of numbers.
    let mut record = unsafe { std::mem::zeroed::<libc::flock>() };
    record.l_type = libc::F_WRLCK as i16;
    record.l_len = 5;
    let fd = std::os::fd::AsRawFd::as_raw_fd(&file);
    // SAFETY: an open descriptor, and the struct that the command takes.
    assert_eq!(unsafe { libc::fcntl(fd, libc::F_SETLK, &raw const record) }, 0);
    assert!(lock.try_read(4..5).unwrap().is_none());
    let conflict = lock.conflicting(..).unwrap().unwrap();
    assert_eq!((conflict.range, conflict.process), (0..=4, Some(std::process::id())));
}

#[test]
fn debug_says_what_is_held() {
    let (one, ..) = three();
    let writer = one.write(0..10).unwrap();
    assert_eq!(format!("{writer:?}"), "FileWriteGuard { range: 0..=9, .. }");
    assert_eq!(format!("{one:?}"), "FileRangeLock { requests: [#1 write 0..=9 held], .. }");
    drop(writer);
    let many = one.acquire_many([Request::read(0..4)]).unwrap();
    assert_eq!(format!("{many:?}"), "[(0..=3, Read)]");
}
