//! Models of guards that another thread drops, that outlive the lock, or that are leaked.

use super::*;

#[test]
fn an_owned_guard_is_released_on_another_thread_that_outlives_the_lock() {
    exhaustive(|| {
        let lock = std::sync::Arc::new(new_lock());
        let guard = lock.write_arc(0..10);
        let waiter = {
            let lock = std::sync::Arc::clone(&lock);
            thread::spawn(move || drop(lock.read_arc(5..6)))
        };
        drop(lock);
        let releaser = thread::spawn(move || drop(guard));
        waiter.join().unwrap();
        releaser.join().unwrap();
    });
}

#[test]
fn an_owned_guard_that_another_thread_drops_wakes_who_waits_here() {
    exhaustive(|| {
        let lock = std::sync::Arc::new(new_lock());
        let data = Arc::new(UnsafeCell::new(0));
        let guard = lock.write_arc(0..10);
        let releaser = {
            let data = Arc::clone(&data);
            thread::spawn(move || {
                // SAFETY: `guard` holds the range that stands for `data`; checked by loom.
                data.with_mut(|data| unsafe { *data += 1 });
                drop(guard);
            })
        };
        let mine = lock.read_arc(5..6);
        // SAFETY: as above.
        assert_eq!(data.with(|data| unsafe { *data }), 1);
        drop(mine);
        releaser.join().unwrap();
        assert!(lock.requests().is_empty());
    });
}

#[test]
fn a_leaked_guard_leaves_the_rest_working() {
    exhaustive(|| {
        let g = Guarded::new();
        std::mem::forget(g.lock.write(10..20));
        let other = spawn(&g, |g| {
            let _guard = g.lock.write(0..10);
            g.add(1);
        });
        {
            let _guard = g.lock.write(5..10);
            g.add(1);
        }
        other.join().unwrap();
        assert_eq!(g.lock.requests().len(), 1);
        assert!(g.lock.try_write(..10).is_some());
    });
}
