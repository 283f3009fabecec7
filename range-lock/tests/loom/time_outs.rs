//! Models of a time-out against a grant, and of what it lets in.

use super::*;

#[test]
fn a_time_out_that_races_a_grant_loses_nothing() {
    exhaustive(|| {
        let g = Guarded::new();
        let holder = g.lock.write(0..10);
        let timed = spawn(&g, |g| g.lock.try_write_for(0..10, SOON).map(|_guard| g.add(1)).is_some());
        g.add(1);
        drop(holder);
        let granted = timed.join().unwrap();
        assert_eq!(g.get(), 1 + usize::from(granted));
        g.check_free();
    });
}

#[test]
fn a_time_out_lets_in_who_waited_behind_it() {
    exhaustive(|| {
        let g = Guarded::new();
        let holder = g.lock.read(0..10);
        let timed = spawn(&g, |g| drop(g.lock.try_write_for(0..10, SOON)));
        // May wait behind the writer; the holder is not released, so only the time-out can let it
        // in.
        drop(g.lock.read(0..10));
        timed.join().unwrap();
        drop(holder);
        g.check_free();
    });
}

#[test]
fn a_timed_out_reader_releases_only_who_counted_it() {
    model(|| {
        let g = Guarded::new();
        let holder = g.lock.write(0..10);
        let timed = spawn(&g, |g| g.lock.try_read_for(0..10, SOON).map(|_guard| g.get()));
        let reader = spawn(&g, |g| {
            let _guard = g.lock.read(0..10);
            g.get()
        });
        g.add(1);
        drop(holder);
        assert!(matches!(timed.join().unwrap(), None | Some(1)));
        assert!(matches!(reader.join().unwrap(), 0 | 1));
        g.check_free();
    });
}

#[test]
fn a_time_out_lets_nobody_in_who_came_before_it() {
    exhaustive(|| {
        let g = Guarded::new();
        let holder = g.lock.read(0..10);
        let writer = spawn(&g, |g| {
            let _guard = g.lock.write(0..10);
            g.add(1);
        });
        // Behind the writer, or before it: in neither case may giving up let the writer in beside
        // the reader.
        drop(g.lock.try_write_for(0..10, SOON));
        assert!(matches!(g.get(), 0));
        drop(holder);
        writer.join().unwrap();
        g.check_free();
    });
}
