//! Models of upgrades: against a reader that is in, one that comes or leaves, and one that another
//! lock lets in.

use super::*;

#[test]
fn an_upgrade_waits_for_the_reader_and_is_passed_by_nobody() {
    model(|| {
        let g = Guarded::new();
        let looking = g.lock.upgradable_read(0..10);
        let reader = spawn(&g, |g| {
            let _guard = g.lock.read(0..10);
            g.get()
        });
        let writer = spawn(&g, |g| {
            let _guard = g.lock.write(0..10);
            g.add(10);
        });
        let before = g.get();
        let changing = RangeUpgradableReadGuard::upgrade(looking);
        assert_eq!(g.get(), before, "a writer came between looking and changing");
        g.add(1);
        drop(changing);
        assert!(matches!(reader.join().unwrap(), 0 | 1 | 11));
        writer.join().unwrap();
        assert_eq!(g.get(), 11);
        g.check_free();
    });
}

#[test]
fn a_try_upgrade_races_a_reader_who_leaves_and_one_who_comes() {
    model(|| {
        let g = Guarded::new();
        let looking = g.lock.upgradable_read(0..10);
        let readers = [0..5, 5..10].map(|range| {
            spawn(&g, move |g| {
                let _guard = g.lock.read(range);
                g.get()
            })
        });
        match RangeUpgradableReadGuard::try_upgrade(looking) {
            Ok(changing) => {
                g.add(1);
                drop(changing);
            }
            Err(looking) => drop(looking),
        }
        for reader in readers {
            reader.join().unwrap();
        }
        g.check_free();
    });
}

#[test]
fn a_timed_upgrade_that_gives_up_is_upgradable_as_before() {
    exhaustive(|| {
        let g = Guarded::new();
        let looking = g.lock.upgradable_read(0..10);
        let reader = spawn(&g, |g| {
            let _guard = g.lock.read(0..10);
            g.get()
        });
        match RangeUpgradableReadGuard::try_upgrade_for(looking, SOON) {
            Ok(changing) => {
                g.add(1);
                drop(changing);
            }
            Err(looking) => {
                // The reader is not kept out by what was taken back.
                reader.join().unwrap();
                drop(looking);
                g.check_free();
                return;
            }
        }
        reader.join().unwrap();
        g.check_free();
    });
}

/// A thread that holds the first lock, and one that reads under both and may wait for it.
fn a_reader_that_another_lock_lets_in(p: &Arc<Pair>) -> (thread::JoinHandle<()>, thread::JoinHandle<usize>) {
    let holder = spawn(p, |p| drop(p.locks[0].write(0..10)));
    let reader = spawn(p, |p| {
        let both = [Request::read(&p.locks[0], 0..10), Request::read(&p.locks[1], 0..10)];
        let _guard = RangeLock::acquire_many(both);
        p.get(1)
    });
    (holder, reader)
}

/// The readers whom an upgrade counts wait, or are in. One that waits in another lock too can be
/// let in there while the upgrade looks, by a thread that holds only that lock's mutex.
#[test]
fn an_upgrade_counts_a_reader_who_is_let_in_by_another_lock() {
    model(|| {
        let p = Pair::new();
        let looking = p.locks[1].upgradable_read(0..10);
        let (holder, reader) = a_reader_that_another_lock_lets_in(&p);
        let changing = RangeUpgradableReadGuard::upgrade(looking);
        p.add(1, 1); // loom reports a race with a reader who is in.
        drop(changing);
        holder.join().unwrap();
        reader.join().unwrap();
        p.check_free();
    });
}

#[test]
fn a_try_upgrade_fails_for_a_reader_who_is_let_in_by_another_lock() {
    model(|| {
        let p = Pair::new();
        let looking = p.locks[1].upgradable_read(0..10);
        let (holder, reader) = a_reader_that_another_lock_lets_in(&p);
        match RangeUpgradableReadGuard::try_upgrade(looking) {
            Ok(_changing) => p.add(1, 1),
            Err(looking) => {
                // The reader is not kept out by what was taken back.
                reader.join().unwrap();
                drop(looking);
                holder.join().unwrap();
                return p.check_free();
            }
        }
        holder.join().unwrap();
        reader.join().unwrap();
        p.check_free();
    });
}
