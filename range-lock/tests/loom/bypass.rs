//! Models of a lock in which sleepers may be passed.

use super::*;

fn lock_with_bypass(n: usize) -> RangeLock {
    cut_if_its_turn(RangeLock::builder().max_leaves(4).bypass(n).build())
}

fn with_bypass(n: usize) -> Arc<Guarded> {
    Arc::new(Guarded { lock: lock_with_bypass(n), data: UnsafeCell::new(0) })
}

#[test]
fn who_passes_races_the_sleeper_who_comes_for_its_range() {
    model(|| {
        let g = with_bypass(1);
        let held = g.lock.write(0..6);
        g.add(1);
        let sleeper = spawn(&g, |g| {
            let _guard = g.lock.write(4..10);
            g.add(1);
        });
        drop(held);
        for _ in 0..2 {
            let _passer = g.lock.write(0..6);
            g.add(1);
        }
        sleeper.join().unwrap();
        assert_eq!(g.get(), 4);
        g.check_free();
    });
}

#[test]
fn who_passes_races_a_time_out() {
    model(|| {
        let g = with_bypass(4);
        let held = g.lock.write(0..6);
        let sleeper = spawn(&g, |g| {
            if let Some(_guard) = g.lock.try_write_for(4..10, SOON) {
                g.add(1);
            }
        });
        drop(held);
        {
            let _passer = g.lock.write(0..6);
            g.add(1);
        }
        sleeper.join().unwrap();
        assert!(matches!(g.get(), 1 | 2));
        g.check_free();
    });
}

#[test]
fn two_who_pass_do_not_lose_the_sleeper() {
    model_of_many_schedules(|| {
        let g = with_bypass(1);
        let held = g.lock.write(0..10);
        let others = [(0..4), (2..10)].map(|range| {
            spawn(&g, move |g| {
                let _guard = g.lock.write(range);
                g.add(1);
            })
        });
        drop(held);
        {
            let _passer = g.lock.write(1..6);
            g.add(1);
        }
        others.into_iter().for_each(|other| other.join().unwrap());
        assert_eq!(g.get(), 3);
        g.check_free();
    });
}

/// With a lock that is cut the two releases lower one count under different mutexes.
#[cfg(feature = "async")]
#[test]
fn the_later_of_two_releases_makes_the_offer() {
    use tasks::{Signal, poll};

    exhaustive(|| {
        let lock = std::sync::Arc::new(lock_with_bypass(1));
        let (left, right) = (lock.write_arc(0..5), lock.write_arc(5..10));
        let signal = Signal::new();
        let mut sleeper = std::pin::pin!(lock.write_async(0..10));
        assert!(poll(&mut sleeper, &signal).is_pending());
        let other = thread::spawn(move || drop(right));
        drop(left);
        signal.wait();
        assert!(poll(&mut sleeper, &signal).is_ready(), "woken, and not granted");
        other.join().unwrap();
    });
}
