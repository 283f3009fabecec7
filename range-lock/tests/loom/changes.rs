//! Models of guards that are changed while other threads wait: downgrade, shrink and split.

use super::*;

#[test]
fn downgrade_lets_a_waiting_reader_in_and_no_writer() {
    model(|| {
        let g = Guarded::new();
        let writer = g.lock.write(0..10);
        g.add(1);
        let reader = spawn(&g, |g| {
            let _guard = g.lock.read(0..10);
            g.get()
        });
        let second_writer = spawn(&g, |g| {
            let _guard = g.lock.write(0..10);
            g.add(10);
        });
        let downgraded = RangeWriteGuard::downgrade(writer);
        // No gap: the second writer cannot have been in.
        assert_eq!(g.get(), 1);
        drop(downgraded);
        assert!(matches!(reader.join().unwrap(), 1 | 11));
        second_writer.join().unwrap();
        assert_eq!(g.get(), 11);
        g.check_free();
    });
}

#[test]
fn a_reader_that_waits_is_let_in_by_the_downgrade_alone() {
    exhaustive(|| {
        let g = Guarded::new();
        let writer = g.lock.write(0..10);
        let reader = spawn(&g, |g| drop(g.lock.read(0..10)));
        let downgraded = RangeWriteGuard::downgrade(writer);
        // Joined before the release: only the downgrade can have let it in.
        reader.join().unwrap();
        drop(downgraded);
        g.check_free();
    });
}

#[test]
fn shrink_lets_in_who_waited_for_the_rest() {
    exhaustive(|| {
        let g = Guarded::new();
        let mut holder = g.lock.write(0..20);
        let other = spawn(&g, |g| {
            let _guard = g.lock.write(0..10);
            g.add(1);
        });
        RangeWriteGuard::shrink(&mut holder, 10..20);
        other.join().unwrap();
        drop(holder);
        g.check_free();
    });
}

#[test]
fn who_waits_for_both_halves_of_a_split_waits_for_both() {
    exhaustive(|| {
        let g = Guarded::new();
        let holder = g.lock.write(0..10);
        let other = spawn(&g, |g| {
            let _guard = g.lock.write(0..10);
            g.add(1);
        });
        let (left, right) = RangeWriteGuard::split_at(holder, 5);
        drop(left);
        g.add(1); // Still alone on the right half.
        drop(right);
        other.join().unwrap();
        assert_eq!(g.get(), 2);
        g.check_free();
    });
}
