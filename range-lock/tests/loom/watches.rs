//! Models of waiting until a range is free.

use range_lock::Mode;

use super::*;

#[test]
fn a_flush_sees_what_the_writer_wrote() {
    exhaustive(|| {
        let g = Guarded::new();
        let writer = g.lock.write(0..10);
        let flush = spawn(&g, |g| {
            g.lock.wait_until_free(0..10, Mode::Read);
            g.get()
        });
        g.add(1);
        drop(writer);
        // Whether it came before or after the release.
        assert_eq!(flush.join().unwrap(), 1);
        g.check_free();
    });
}

#[test]
fn a_flush_waits_for_those_who_are_in_and_holds_nobody_up() {
    model(|| {
        let g = Guarded::new();
        let writer = g.lock.write(0..4);
        let flush = spawn(&g, |g| g.lock.wait_until_free(0..10, Mode::Read));
        let later = spawn(&g, |g| drop(g.lock.write(5..10)));
        later.join().unwrap(); // Though the flush may wait.
        drop(writer);
        flush.join().unwrap();
        g.check_free();
    });
}

#[test]
fn a_flush_that_gives_up_while_the_range_gets_free_leaves_nothing() {
    exhaustive(|| {
        let g = Guarded::new();
        let writer = g.lock.write(0..10);
        let flush = spawn(&g, |g| g.lock.wait_until_free_for(0..10, Mode::Read, SOON).then(|| g.get()));
        g.add(1);
        drop(writer);
        assert!(matches!(flush.join().unwrap(), None | Some(1)));
        g.check_free();
    });
}

#[test]
fn a_flush_waits_in_both_halves_of_a_leaf_that_is_cut() {
    model(|| {
        let g = Guarded::new();
        let (left, right) = (g.lock.write(0..4), g.lock.write(6..10));
        let flush = spawn(&g, |g| {
            g.lock.wait_until_free(0..10, Mode::Read);
            g.get()
        });
        let other = spawn(&g, |g| _ = __private::cut(&g.lock, 5) || __private::join(&g.lock, 0));
        drop(left);
        g.add(1);
        drop(right);
        assert_eq!(flush.join().unwrap(), 1);
        other.join().unwrap();
        g.check_free();
    });
}
