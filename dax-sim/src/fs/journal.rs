//! The journal, as far as locking is concerned: handles, and a commit that stops new handles and
//! waits for the open ones.
//!
//! It follows jbd2. A change of metadata runs under a handle. A commit first bars new handles, then
//! waits until the open ones have stopped. Because of this wait the start of a transaction has a
//! place in the lock order. The log itself, credits and the limit of space are left out. So are
//! nested handles: a caller with an open handle passes it to the function.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};

use crossbeam_utils::CachePadded;
use parking_lot::{Condvar, Mutex, MutexGuard};

use crate::per_thread;
use crate::schedule::{Held, LockClass, LockRequest, PlantedFault, Schedule, SchedulePoint, Wait};

const SHARDS: usize = 64;

/// The journal of a file system.
///
/// Open handles are counted by thread, so starting and stopping one writes no cache line that
/// another thread's handle writes.
#[derive(Debug)]
pub(crate) struct Journal {
    open: Box<[CachePadded<AtomicU64>]>,
    commits: CachePadded<Commits>,
}

/// What a commit writes to, on one line.
#[derive(Debug, Default)]
struct Commits {
    committing: AtomicBool,
    /// The number of the last durable transaction, which is also the number of commits made so far.
    committed: AtomicU64,
    /// Held while the other fields change and while a thread goes to sleep.
    changing: Mutex<()>,
    /// A handle has stopped during a commit, or a commit has ended.
    changed: Condvar,
}

/// An open handle. Dropping it stops it.
#[derive(Debug)]
#[must_use]
pub(crate) struct Handle<'a> {
    journal: &'a Journal,
    shard: usize,
    _held: Held,
}

impl Journal {
    pub(crate) fn new() -> Self {
        Self {
            open: std::iter::repeat_with(CachePadded::default).take(SHARDS).collect(),
            commits: CachePadded::default(),
        }
    }

    /// Starts a handle. Waits while a commit is under way (`jbd2_journal_start`).
    #[track_caller]
    pub(crate) fn start(&self, schedule: &Schedule) -> Handle<'_> {
        let asked = schedule.locking(|| LockRequest::whole(LockClass::Handle, self, false));
        let shard = per_thread::index() % SHARDS;
        loop {
            // The starter announces itself and then looks. The committer bars handles and then
            // looks. So one of the two sees the other.
            self.open[shard].fetch_add(1, SeqCst);
            let Commits { committing, changing, changed, .. } = &*self.commits;
            if !committing.load(SeqCst) {
                return Handle { journal: self, shard, _held: asked.granted() };
            }
            self.stop(shard);
            let is_over = || !committing.load(SeqCst);
            schedule.sleep_until(changed, &mut changing.lock(), Wait::CommitToEnd, is_over);
        }
    }

    /// The number of the last transaction that is durable.
    pub(crate) fn committed(&self) -> u64 {
        self.commits.committed.load(SeqCst)
    }

    /// Commits: bars new handles, and waits until the open ones have stopped
    /// (`jbd2_journal_commit_transaction`). The caller must not have a handle open.
    #[track_caller]
    pub(crate) fn commit(&self, schedule: &Schedule) {
        // A commit waits for handles, so a thread that may keep a handle from stopping must not
        // commit.
        let asked = schedule.locking(|| LockRequest::whole(LockClass::Handle, self, true));
        let Commits { committing, committed, changing, changed } = &*self.commits;
        let mut changing = changing.lock();
        let is_over = || !committing.load(SeqCst);
        schedule.sleep_until(changed, &mut changing, Wait::CommitToEnd, is_over);
        committing.store(true, SeqCst);
        for shard in &self.open {
            // After a shard was seen at zero, only starters that will step back raise it.
            let waits = !schedule.has(PlantedFault::CommitOverHandles);
            let are_stopped = || !waits || shard.load(SeqCst) == 0;
            schedule.sleep_until(changed, &mut changing, Wait::OpenHandles, are_stopped);
        }
        let _held = asked.granted();
        if !schedule.is_quiet() {
            // No thread may have to wait for the mutex of a thread that gives way.
            MutexGuard::unlocked(&mut changing, || schedule.pass(SchedulePoint::Commit, 0));
        }
        committed.fetch_add(1, SeqCst);
        committing.store(false, SeqCst);
        changed.notify_all();
    }

    fn stop(&self, shard: usize) {
        self.open[shard].fetch_sub(1, SeqCst);
        let Commits { committing, changing, changed, .. } = &*self.commits;
        if committing.load(SeqCst) {
            // Under the mutex, so that the committer has either not yet looked at the count or is
            // asleep.
            let _changing = changing.lock();
            changed.notify_all();
        }
    }
}

impl Handle<'_> {
    /// The number of the handle's transaction (`t_tid`), which is not committed while the handle is
    /// open.
    pub(crate) fn transaction(&self) -> u64 {
        self.journal.committed() + 1
    }
}

impl Drop for Handle<'_> {
    fn drop(&mut self) {
        self.journal.stop(self.shard);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;

    use super::*;

    impl Journal {
        /// How many handles are open at this moment, or about to step back.
        pub(crate) fn open_handles(&self) -> usize {
            self.open.iter().map(|shard| shard.load(SeqCst) as usize).sum()
        }
    }

    #[test]
    fn a_commit_waits_for_open_handles_and_bars_new_ones() {
        let (journal, schedule) = (Journal::new(), Schedule::none());
        let (order, events) = mpsc::channel();
        thread::scope(|s| {
            let early = journal.start(&schedule);
            let (committer, journal, schedule) = (order.clone(), &journal, &schedule);
            s.spawn(move || {
                journal.commit(schedule);
                committer.send("committed").unwrap();
            });
            while !journal.commits.committing.load(SeqCst) {
                thread::yield_now();
            }
            let starter = order.clone();
            s.spawn(move || {
                let _late = journal.start(schedule);
                // If a late handle is open, the commit is over, though its thread may not have
                // recorded that yet.
                assert!(!journal.commits.committing.load(SeqCst));
                starter.send("started").unwrap();
            });
            assert_eq!(events.try_recv(), Err(mpsc::TryRecvError::Empty));
            order.send("stopping").unwrap();
            drop(early);
        });
        assert_eq!(events.recv(), Ok("stopping"));
        let mut rest = [events.recv().unwrap(), events.recv().unwrap()];
        rest.sort_unstable();
        assert_eq!(rest, ["committed", "started"]);
    }

    #[test]
    fn handles_and_commits_from_many_threads_all_come_to_an_end() {
        let (journal, schedule) = (Journal::new(), Schedule::none());
        thread::scope(|s| {
            for thread in 0..8 {
                let (journal, schedule) = (&journal, &schedule);
                s.spawn(move || {
                    for _ in 0..500 {
                        if thread < 2 {
                            journal.commit(schedule);
                        } else {
                            drop(journal.start(schedule));
                        }
                    }
                });
            }
        });
        assert_eq!(journal.committed(), 1000);
        assert!(journal.open.iter().all(|shard| shard.load(SeqCst) == 0));
    }
}
