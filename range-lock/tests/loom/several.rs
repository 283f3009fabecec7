//! Models of one request for several ranges, of one lock or of two.

use super::*;

/// Two threads, each of which writes under one of the locks.
pub(crate) fn a_writer_of_each(p: &Arc<Pair>) -> [thread::JoinHandle<()>; 2] {
    [0, 1].map(|at| {
        spawn(p, move |p| {
            let _guard = p.locks[at].write(0..10);
            p.add(at, 1);
        })
    })
}

#[test]
fn requests_for_two_locks_in_opposite_orders_do_not_deadlock() {
    exhaustive(|| {
        let p = Pair::new();
        let other = spawn(&p, |p| {
            let both = [Request::write(&p.locks[1], 0..10), Request::write(&p.locks[0], 0..10)];
            let _guard = RangeLock::acquire_many(both);
            p.add(0, 1);
            p.add(1, 1);
        });
        {
            let both = [Request::write(&p.locks[0], 5..15), Request::write(&p.locks[1], 5..15)];
            let _guard = RangeLock::acquire_many(both);
            p.add(1, 1);
            p.add(0, 1);
        }
        other.join().unwrap();
        assert_eq!((p.get(0), p.get(1)), (2, 2));
        p.check_free();
    });
}

#[test]
fn a_request_for_two_locks_waits_for_the_holders_of_both() {
    model(|| {
        let p = Pair::new();
        let holders = a_writer_of_each(&p);
        {
            let both = [Request::read(&p.locks[0], 0..10), Request::write(&p.locks[1], 0..10)];
            let _guard = RangeLock::acquire_many(both);
            p.get(0);
            p.add(1, 1); // loom reports a race with a holder that has not been waited for.
        }
        for holder in holders {
            holder.join().unwrap();
        }
        assert_eq!((p.get(0), p.get(1)), (1, 2));
        p.check_free();
    });
}

#[test]
fn a_request_for_two_spans_of_one_lock_waits_for_the_holders_of_both() {
    model(|| {
        let g = Guarded::new();
        let holders = [0..2, 8..10].map(|range| {
            spawn(&g, move |g| {
                let _guard = g.lock.read(range);
                g.get()
            })
        });
        {
            let both = [Request::write(&g.lock, 0..2), Request::write(&g.lock, 8..10)];
            let _guard = RangeLock::acquire_many(both);
            g.add(1);
        }
        for holder in holders {
            holder.join().unwrap();
        }
        g.check_free();
    });
}

#[test]
fn a_time_out_of_two_locks_races_the_grants_of_both() {
    model(|| {
        let p = Pair::new();
        let holders = a_writer_of_each(&p);
        {
            let both = [Request::write(&p.locks[0], 0..10), Request::write(&p.locks[1], 0..10)];
            if let Some(_guard) = RangeLock::try_acquire_many_for(both, SOON) {
                p.add(0, 1);
                p.add(1, 1);
            }
        }
        for holder in holders {
            holder.join().unwrap();
        }
        p.check_free();
    });
}
