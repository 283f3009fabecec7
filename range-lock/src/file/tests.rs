//! What can be seen from inside only: how many calls are made, and what becomes of calls that fail.

use std::collections::VecDeque;
use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::thread::JoinHandleExt;
use std::sync::Barrier;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::thread;

use super::*;

/// The lock under test, and another of the same file.
fn two() -> (File, Arc<FileRangeLock>, FileRangeLock) {
    let file = tempfile::tempfile().unwrap();
    let [one, other] = [(); 2].map(|()| FileRangeLock::from_file(&file).unwrap());
    (file, Arc::new(one), other)
}

impl FileRangeLock {
    fn calls(&self) -> usize {
        self.bytes.description.planted.calls.load(Ordering::Relaxed)
    }

    fn wait_for_calls(&self, calls: usize) {
        while self.calls() < calls {
            thread::yield_now();
        }
    }

    /// The errors of the next unlocks; 0 lets one through.
    fn fail_unlocks<const N: usize>(&self, errors: [i32; N]) {
        *self.bytes.description.planted.unlocks.lock().unwrap() = VecDeque::from(errors);
    }

    /// The errors of the next calls that lock or convert.
    fn fail_locks<const N: usize>(&self, errors: [i32; N]) {
        *self.bytes.description.planted.locks.lock().unwrap() = VecDeque::from(errors);
    }

    fn when_waited(&self, hook: impl FnOnce() + Send + 'static) {
        *self.bytes.description.planted.waited.lock().unwrap() = Some(Box::new(hook));
    }

    /// For each of the bytes, what others have locked: `r`, `w` or `-`.
    fn seen(&self, bytes: std::ops::Range<u64>) -> String {
        let kind = |byte| match self.conflicting(byte..=byte).unwrap() {
            None => '-',
            Some(Conflict { mode: Mode::Write, .. }) => 'w',
            Some(_) => 'r',
        };
        bytes.map(kind).collect()
    }
}

#[test]
fn readers_that_share_a_range_make_one_call_when_the_first_enters_and_one_when_the_last_leaves() {
    let (_file, lock, other) = two();
    let all_in = Barrier::new(8);
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let guard = lock.read(10..20).unwrap();
                all_in.wait();
                assert_eq!(other.seen(9..21), "-rrrrrrrrrr-");
                drop(guard);
            });
        }
    });
    assert_eq!(lock.calls(), 2);
    assert_eq!(other.seen(9..21), "------------");
}

#[test]
fn a_reader_that_leaves_unlocks_the_bytes_that_are_its_alone_each_once() {
    let (_file, lock, other) = two();
    let inner = [lock.read(2..4).unwrap(), lock.read(6..8).unwrap()];
    let outer = lock.read(0..10).unwrap();
    let calls = lock.calls();
    drop(outer);
    assert_eq!(other.seen(0..10), "--rr--rr--");
    assert_eq!(lock.calls() - calls, 3); // 0..2, 4..6 and 8..10.
    drop(inner);
    assert_eq!(other.seen(0..10), "----------");
}

#[test]
fn an_uncontended_pair_makes_two_calls() {
    let (_file, lock, _other) = two();
    for mode in 0..3 {
        let calls = lock.calls();
        match mode {
            0 => drop(lock.read(0..10).unwrap()),
            1 => drop(lock.upgradable_read(0..10).unwrap()),
            _ => drop(lock.write(0..10).unwrap()),
        }
        assert_eq!(lock.calls() - calls, 2);
    }
    let calls = lock.calls();
    let both = lock.acquire_many([Request::read(0..10), Request::write(20..30)]).unwrap();
    assert_eq!(lock.calls() - calls, 2);
    drop(both);
    assert_eq!(lock.calls() - calls, 4);
}

/// A reader waits for a writer of byte 5. Before it counts itself, another reader leaves, and takes
/// bytes 0 to 3 with it.
#[test]
fn what_a_wait_has_been_given_is_not_relied_on() {
    let (_file, lock, other) = two();
    let (writer, leaving) = (other.write(5..6).unwrap(), lock.read_arc(0..4).unwrap());
    lock.when_waited(move || drop(leaving));
    let calls = lock.calls();
    let waiting = thread::spawn({
        let lock = Arc::clone(&lock);
        move || lock.read_arc(0..10).unwrap()
    });
    lock.wait_for_calls(calls + 2); // It has been refused once, and waits or is about to.
    drop(writer);
    let reader = waiting.join().unwrap();
    assert_eq!(other.seen(0..10), "rrrrrrrrrr");
    drop(reader);
    assert_eq!(other.seen(0..10), "----------");
}

/// The same, and a writer takes byte 0 meanwhile: what the wait was given is given back.
#[test]
fn what_a_wait_has_been_given_in_vain_is_given_back() {
    let (file, lock, other) = two();
    let third = FileRangeLock::from_file(&file).unwrap();
    let other = Arc::new(other);
    let (writer, leaving) = (other.write_arc(5..6).unwrap(), lock.read_arc(0..4).unwrap());
    let (sender, taken) = mpsc::channel();
    lock.when_waited({
        let other = Arc::clone(&other);
        move || {
            drop(leaving);
            sender.send(other.try_write_arc(0..1).unwrap().expect("byte 0 is free")).unwrap();
        }
    });
    let calls = lock.calls();
    let waiting = thread::spawn({
        let lock = Arc::clone(&lock);
        move || lock.read_arc(0..10).unwrap()
    });
    lock.wait_for_calls(calls + 2);
    drop(writer);
    let writer = taken.recv().unwrap();
    // It is refused again, gives back, and waits.
    let soon = Instant::now() + Duration::from_secs(5);
    while third.seen(0..10) != "w---------" {
        assert!(Instant::now() < soon, "the file has {}", third.seen(0..10));
        thread::yield_now();
    }
    drop(writer);
    drop(waiting.join().unwrap());
    assert_eq!(third.seen(0..10), "----------");
}

#[test]
fn what_the_kernel_refuses_to_unlock_is_owed_and_paid() {
    let (_file, lock, other) = two();
    // Asked for explicitly.
    lock.fail_unlocks([libc::ENOLCK]);
    let error = FileWriteGuard::release(lock.write(0..4).unwrap()).unwrap_err();
    assert!(error.to_string().starts_with("cannot unlock bytes 0..=3: "), "{error}");
    assert_eq!(other.seen(0..5), "wwww-");
    lock.settle().unwrap();
    assert_eq!(other.seen(0..5), "-----");
    // By the next verb that acquires, after a drop that was not reported.
    lock.fail_unlocks([libc::ENOLCK]);
    drop(lock.write(0..4).unwrap());
    assert_eq!(other.seen(0..5), "wwww-");
    drop(lock.read(10..11).unwrap());
    assert_eq!(other.seen(0..5), "-----");
    // The server never answers: nothing panics, and the end of the description is the end of its
    // locks.
    lock.fail_unlocks([libc::ESTALE; 8]);
    drop(lock.read(0..4).unwrap());
    assert!(lock.settle().is_err());
    drop(Arc::into_inner(lock).unwrap());
    assert_eq!(other.seen(0..5), "-----");
}

#[test]
fn one_piece_of_several_that_is_refused_is_owed_alone() {
    let (_file, lock, other) = two();
    let inner = lock.read(4..6).unwrap();
    let outer = lock.read(0..10).unwrap();
    lock.fail_unlocks([libc::ENOLCK]);
    assert!(FileReadGuard::release(outer).is_err());
    assert_eq!(other.seen(0..10), "rrrrrr----");
    lock.settle().unwrap();
    assert_eq!(other.seen(0..10), "----rr----");
    drop(inner);
    assert_eq!(other.seen(0..10), "----------");
}

#[test]
fn what_is_owed_and_taken_again_is_not_unlocked() {
    let (_file, lock, other) = two();
    lock.fail_unlocks([libc::ENOLCK, libc::ENOLCK]);
    drop(lock.read(0..4).unwrap());
    let writer = lock.write(2..6).unwrap(); // Tries to settle first, in vain.
    assert_eq!(other.seen(0..6), "rrwwww");
    lock.settle().unwrap(); // The writer is in the way, so nothing is tried.
    assert_eq!(other.seen(0..6), "rrwwww");
    drop(writer);
    assert_eq!(other.seen(0..6), "rr----");
    lock.settle().unwrap();
    assert_eq!(other.seen(0..6), "------");
}

#[test]
fn what_is_owed_beside_readers_is_paid() {
    let (_file, lock, other) = two();
    lock.fail_unlocks([libc::ENOLCK, libc::ENOLCK]);
    drop(lock.read(0..8).unwrap());
    let reader = lock.read(2..4).unwrap(); // Tries to settle first, in vain.
    assert_eq!(other.seen(0..8), "rrrrrrrr");
    lock.settle().unwrap();
    assert_eq!(other.seen(0..8), "--rr----");
    drop(reader);
    assert_eq!(other.seen(0..8), "--------");
}

/// Each of two locks owes bytes for which the other waits.
#[test]
fn what_is_owed_keeps_no_two_waiting_for_each_other() {
    type Verb = fn(&FileRangeLock) -> io::Result<()>;
    let verbs: [Verb; 4] = [
        |lock| lock.write(0..8).map(drop),
        |lock| lock.read(2..6).map(drop),
        |lock| lock.try_write_for(0..6, Duration::from_secs(60)).map(|guard| drop(guard.unwrap())),
        |lock| lock.acquire_many([Request::write(0..1), Request::read(3..6)]).map(drop),
    ];
    for verb in verbs {
        let (_file, one, other) = two();
        let locks = [one, Arc::new(other)];
        for (lock, bytes) in locks.iter().zip([0..4, 4..8]) {
            // Refused when it is released, and when the verb begins.
            lock.fail_unlocks([libc::ENOLCK, libc::ENOLCK]);
            drop(lock.write(bytes).unwrap());
        }
        let (sender, done) = mpsc::channel();
        for lock in locks {
            let sender = sender.clone();
            thread::spawn(move || sender.send(verb(&lock)));
        }
        for _ in 0..2 {
            done.recv_timeout(Duration::from_secs(10)).expect("they wait for each other").unwrap();
        }
    }
}

#[test]
fn a_shrink_that_is_refused_shrinks_and_reports() {
    let (_file, lock, other) = two();
    let mut writer = lock.write(0..10).unwrap();
    lock.fail_unlocks([libc::ENOLCK]);
    assert!(FileWriteGuard::shrink(&mut writer, 4..6).is_err());
    assert_eq!(writer.range(), 4..=5);
    assert_eq!(other.seen(0..10), "wwwwww----");
    lock.settle().unwrap();
    assert_eq!(other.seen(0..10), "----ww----");
}

#[test]
fn a_conversion_that_is_refused_leaves_the_guard_as_it_was() {
    let (_file, lock, other) = two();
    lock.fail_locks([0, libc::ENOLCK]);
    let Unchanged { guard, error } = FileWriteGuard::downgrade(lock.write(0..4).unwrap()).unwrap_err();
    assert!(error.to_string().contains("cannot lock for reading bytes 0..=3"), "{error}");
    assert_eq!(other.seen(0..4), "wwww");
    assert!(lock.try_read(0..4).unwrap().is_none());
    let reader = FileWriteGuard::downgrade(guard).unwrap();
    assert_eq!(other.seen(0..4), "rrrr");
    drop(reader);
    assert_eq!(other.seen(0..4), "----");

    lock.fail_locks([0, libc::ENOLCK]);
    let looking = lock.upgradable_read(0..4).unwrap();
    let Unchanged { guard, .. } = FileUpgradableReadGuard::try_upgrade(looking).unwrap_err();
    assert_eq!(other.seen(0..4), "rrrr");
    assert!(lock.try_read(0..4).unwrap().is_some());
    let writer = FileUpgradableReadGuard::try_upgrade(guard).unwrap();
    assert_eq!(other.seen(0..4), "wwww");
    drop(writer);
    assert_eq!(other.seen(0..4), "----");
}

#[test]
fn a_request_that_fails_leaves_nothing_locked() {
    let (_file, lock, other) = two();
    // Refused at once.
    lock.fail_locks([libc::ENOLCK]);
    let error = lock.read(0..4).unwrap_err();
    let os = error.get_ref().and_then(|refused| refused.source()).unwrap();
    assert_eq!(os.downcast_ref::<io::Error>().unwrap().raw_os_error(), Some(libc::ENOLCK));
    // Refused in the call that waits, and when it asks again after it.
    for errors in [[0, libc::ENOLCK, 0], [0, 0, libc::ENOLCK]] {
        let other = Arc::new(FileRangeLock::from_file(lock.as_fd()).unwrap());
        let writer = other.write_arc(2..3).unwrap();
        let calls = lock.calls();
        lock.fail_locks(errors);
        let waiting = thread::spawn({
            let lock = Arc::clone(&lock);
            move || lock.read_arc(0..4).map(drop)
        });
        lock.wait_for_calls(calls + 2);
        drop(writer);
        assert!(waiting.join().unwrap().is_err());
    }
    // Of several ranges the second one.
    lock.fail_locks([0, libc::ENOLCK]);
    assert!(lock.acquire_many([Request::read(0..4), Request::write(6..8)]).is_err());
    assert_eq!(other.seen(0..10), "----------");
    assert!(lock.requests().is_empty());
    assert!(other.write(..).is_ok());
}

#[test]
fn a_wait_that_signals_interrupt_goes_on() {
    extern "C" fn nothing(_: i32) {}
    // SAFETY: the handler does nothing; without SA_RESTART the call is interrupted.
    unsafe {
        let mut action = std::mem::zeroed::<libc::sigaction>();
        action.sa_sigaction = nothing as extern "C" fn(i32) as usize;
        assert_eq!(libc::sigaction(libc::SIGUSR1, &raw const action, std::ptr::null_mut()), 0);
    }
    let (_file, lock, other) = two();
    let writer = other.write(..).unwrap();
    let calls = lock.calls();
    let waiting = thread::spawn({
        let lock = Arc::clone(&lock);
        move || lock.read_arc(0..4).map(drop)
    });
    // Each interrupted call is made again.
    while lock.calls() < calls + 5 {
        // SAFETY: the thread has not been joined.
        unsafe { libc::pthread_kill(waiting.as_pthread_t(), libc::SIGUSR1) };
        thread::yield_now();
    }
    drop(writer);
    waiting.join().unwrap().unwrap();
}

#[test]
fn a_child_is_another_process() {
    let parent = Process::current();
    assert_eq!(Process::current(), parent);
    // SAFETY: the child calls nothing that could wait for another thread.
    match unsafe { libc::fork() } {
        0 => {
            let differs = Process::current() != parent && Process::current() == Process::current();
            // SAFETY: ends the child.
            unsafe { libc::_exit(i32::from(!differs)) }
        }
        child => {
            let mut status = 0;
            // SAFETY: a child of ours.
            assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
            assert_eq!(status, 0);
        }
    }
}

#[test]
fn the_kind_of_a_refusal_is_the_kernels() {
    let (_file, lock, _other) = two();
    lock.fail_locks([libc::ESTALE]);
    assert_eq!(lock.write(..).unwrap_err().kind(), ErrorKind::StaleNetworkFileHandle);
}
