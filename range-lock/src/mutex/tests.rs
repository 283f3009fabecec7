use super::*;

#[cfg(not(any(loom, shuttle)))]
mod on_this_machine {
    use std::thread;

    use super::*;

    #[test]
    fn counts_right_with_more_threads_than_cpus() {
        let n = if cfg!(miri) { 10 } else { 10_000 };
        let count = Mutex::new(0);
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| (0..n).for_each(|_| *count.lock() += 1));
            }
        });
        assert_eq!(*count.lock(), 8 * n);
        assert_eq!(count.last.load(Ordering::Relaxed), NOBODY);
    }

    #[test]
    fn a_thread_that_sleeps_gets_it_in_the_end() {
        let mutex = Mutex::new(0);
        let held = mutex.lock();
        thread::scope(|scope| {
            scope.spawn(|| *mutex.lock() += 1);
            while mutex.last.load(Ordering::Relaxed) == NOBODY {
                thread::yield_now();
            }
            drop(held);
        });
        assert_eq!(*mutex.lock(), 1);
        assert_eq!(mutex.last.load(Ordering::Relaxed), NOBODY);
    }
}

/// The mutex itself, in every order of a few threads, under the C11 memory model. The bound of the
/// head's sleep ends at any moment.
#[cfg(loom)]
mod in_every_order {
    use loom::cell::UnsafeCell;
    use loom::sync::Arc;
    use loom::thread;

    use super::*;

    /// Runs threads, each of which takes the mutex by one of these functions, counts what the mutex
    /// guards, and leaves it.
    fn check(preemptions: usize, takes: &'static [fn(&Mutex<UnsafeCell<usize>>) -> bool]) {
        check_with(|guard| drop(guard), preemptions, takes);
    }

    /// The same for threads that leave it by `leave`.
    fn check_with(
        leave: fn(MutexGuard<'_, UnsafeCell<usize>>),
        preemptions: usize,
        takes: &'static [fn(&Mutex<UnsafeCell<usize>>) -> bool],
    ) {
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(preemptions);
        model.check(move || {
            let mutex = Arc::new(Mutex::new(UnsafeCell::new(0)));
            let count = |take: fn(&Mutex<UnsafeCell<usize>>) -> bool| {
                let mutex = Arc::clone(&mutex);
                move || {
                    let taken = take(&mutex);
                    if taken {
                        let guard = MutexGuard { mutex: &*mutex, _value: PhantomData };
                        guard.with_mut(|count| {
                            // SAFETY: the mutex is held; loom says if it is not enough.
                            unsafe { *count += 1 }
                        });
                        leave(guard);
                    }
                    usize::from(taken)
                }
            };
            let others: Vec<_> = takes[1..].iter().map(|take| thread::spawn(count(*take))).collect();
            let mine = count(takes[0])();
            let taken = mine + others.into_iter().map(|other| other.join().unwrap()).sum::<usize>();
            let guard = mutex.try_lock().expect("all have left it");
            guard.with(|count| {
                // SAFETY: as above.
                assert_eq!(unsafe { *count }, taken);
            });
            assert_eq!(mutex.last.load(Ordering::Relaxed), NOBODY);
        });
    }

    fn lock<T>(mutex: &Mutex<T>) -> bool {
        std::mem::forget(mutex.lock());
        true
    }

    fn try_lock<T>(mutex: &Mutex<T>) -> bool {
        mutex.try_lock().map(std::mem::forget).is_some()
    }

    /// As a thread that has looked in vain.
    fn stand_in_line<T>(mutex: &Mutex<T>) -> bool {
        mutex.wait_in_line(Known::Hot);
        true
    }

    /// The same, twice.
    fn stand_in_line_again<T>(mutex: &Mutex<T>) -> bool {
        mutex.wait_in_line(Known::Hot);
        // SAFETY: the mutex is held, without a guard.
        unsafe { mutex.force_unlock() };
        stand_in_line(mutex)
    }

    #[test]
    fn two_threads_exclude() {
        check(6, &[lock, lock]);
    }

    #[test]
    fn the_head_is_handed_the_mutex_or_finds_it_free() {
        check(6, &[lock, stand_in_line]);
        check(6, &[stand_in_line, stand_in_line]);
    }

    #[test]
    fn the_next_in_line_is_woken_and_becomes_the_head() {
        check(3, &[lock, stand_in_line, stand_in_line]);
    }

    #[test]
    fn a_seat_is_left_to_a_thread_that_comes_late() {
        check(3, &[stand_in_line_again, stand_in_line]);
    }

    #[test]
    fn the_head_gets_it_from_threads_that_come_again() {
        check_with(|guard| Mutex::leave_for_now(guard), 6, &[lock, stand_in_line]);
        check_with(|guard| Mutex::leave_for_now(guard), 3, &[lock, stand_in_line, stand_in_line]);
    }

    #[test]
    fn a_newcomer_takes_it_beside_the_line() {
        check(3, &[stand_in_line, stand_in_line, try_lock]);
    }
}

/// How often an operation is passed once it has asked in vain at the head of the line, in random
/// orders of several threads, in which the timer goes off at any moment.
#[cfg(shuttle)]
mod in_random_orders {
    use shuttle::sync::Arc;
    use shuttle::sync::atomic::AtomicUsize;
    use shuttle::{check_pct, check_random, thread};

    use super::*;

    const THREADS: usize = 4;
    const OPERATIONS: usize = 12;

    fn run() {
        let mutex = Arc::new(Mutex::new(()));
        let taken = Arc::new(AtomicUsize::new(0));
        let threads: Vec<_> = (0..THREADS)
            .map(|me| {
                let (mutex, taken) = (Arc::clone(&mutex), Arc::clone(&taken));
                thread::spawn(move || {
                    for _ in 0..OPERATIONS {
                        let mut since = None;
                        if !mutex.look() {
                            mutex.wait_in_line_noting(Known::Hot, || {
                                since = Some(taken.load(Ordering::SeqCst))
                            });
                        }
                        let before = taken.fetch_add(1, Ordering::SeqCst);
                        let passed = since.map_or(0, |since| before - since);
                        assert!(passed <= 3, "passed by {passed} operations");
                        let guard = MutexGuard { mutex: &*mutex, _value: PhantomData };
                        // One of these keeps it, and another hands it over.
                        if me % 2 == 0 {
                            Mutex::leave_for_now(guard);
                        }
                    }
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(mutex.last.load(Ordering::Relaxed), NOBODY);
    }

    fn schedules() -> usize {
        std::env::var("SHUTTLE_ITERATIONS").ok().and_then(|n| n.parse().ok()).unwrap_or(1000) / 2
    }

    #[test]
    fn an_operation_at_the_head_is_passed_by_three_at_most() {
        check_random(run, schedules());
        check_pct(run, schedules(), 3);
    }
}
