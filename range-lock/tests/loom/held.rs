//! What has been seen to be held stays held, though its deadline comes.

use range_lock::{Mode, RangeUpgradableReadGuard, RequestState};

use super::{Guarded, SOON, exhaustive, spawn};

#[test]
fn an_upgrade_that_was_seen_to_be_granted_is_not_taken_back() {
    exhaustive(|| {
        let g = Guarded::new();
        let looking = g.lock.upgradable_read(0..10);
        let reader = spawn(&g, |g| {
            drop(g.lock.try_read(0..10));
            let requests = g.lock.requests();
            requests.iter().any(|r| r.mode() == Mode::Write && r.state() == RequestState::Held)
        });
        let upgraded = RangeUpgradableReadGuard::try_upgrade_for(looking, SOON);
        let seen = reader.join().unwrap();
        assert!(upgraded.is_ok() || !seen, "the reader saw a writer, and the writer gave up");
        drop(upgraded);
        g.check_free();
    });
}
