//! Models of a lock in which sleepers may be passed.

use super::*;

fn with_bypass(n: usize) -> Arc<Guarded> {
    let lock = RangeLock::builder().max_leaves(4).bypass(n).build();
    Arc::new(Guarded { lock, data: UnsafeCell::new(0) })
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
    model(|| {
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
