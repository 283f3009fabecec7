//! Real threads and all verbs, against an oracle of what is in use; see `verbs`. For
//! ThreadSanitizer and Miri too, which see whether threads that use a unit one after the other do
//! so in an order.
//!
//! `STRESS_ROUNDS` says how many acquisitions each thread makes.

mod verbs;

use std::thread;

use imp::THREADS;
use verbs::{Shared, check_free, new_locks};

/// What the verbs run on.
mod imp {
    use std::cell::Cell;
    use std::future::Future;
    use std::pin::pin;
    use std::sync::Arc;
    pub(crate) use std::sync::Mutex;
    use std::task::{Context, Poll, Wake, Waker};
    pub(crate) use std::thread::yield_now;
    use std::thread::{self, Thread};

    pub(crate) const THREADS: usize = if cfg!(miri) { 3 } else { 8 };

    thread_local! {
        pub(crate) static SEED: Cell<u64> = const { Cell::new(0) };
    }

    /// The next number of this thread's sequence (Steele et al., "Fast Splittable Pseudorandom
    /// Number Generators").
    pub(crate) fn below(n: u64) -> u64 {
        let seed = SEED.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        SEED.set(seed);
        let mixed = (seed ^ (seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % n
    }

    struct Unpark(Thread);

    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }

    pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        let mut future = pin!(future);
        loop {
            match future.as_mut().poll(&mut Context::from_waker(&waker)) {
                Poll::Ready(output) => return output,
                Poll::Pending => thread::park(),
            }
        }
    }
}

#[test]
fn all_verbs_of_real_threads() {
    let rounds = match std::env::var("STRESS_ROUNDS") {
        Ok(rounds) => rounds.parse().expect("STRESS_ROUNDS is a number"),
        Err(_) if cfg!(miri) => 12,
        Err(_) => 5_000,
    };
    let locks = new_locks([0, 0]);
    let shared = Shared::new(&locks, true);
    thread::scope(|scope| {
        for owner in 0..THREADS {
            let shared = &shared;
            scope.spawn(move || {
                imp::SEED.set(owner as u64);
                shared.run(owner, rounds);
            });
        }
    });
    drop(shared);
    check_free(&locks);
}
