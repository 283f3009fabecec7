//! Measures a crowd of requests: what an inspection of it costs, what letting it in costs, and what
//! memory it leaves behind. These figures are not times of one operation, so criterion does not
//! take them.
//!
//! ```text
//! cargo bench -p rivals --bench crowd
//! cargo bench -p rivals --bench crowd --features deadlock_detection -- deadlock
//! ```
//!
//! Each line gives a figure and its bound. The program exits with 1 at the end if a bound was
//! broken. The machine should have nothing else to do. `CROWD=10000` makes the crowd smaller than
//! 100,000. The bounds are those of 100,000.
//!
//! The search for deadlocks is measured separately. With the feature `deadlock_detection` a thread
//! captures a backtrace whenever it blocks, which would change all other figures.

#[path = "../../range-lock/tests/common/counting_allocator.rs"]
mod counting_allocator;

use std::fmt;
use std::future::Future;
use std::hint::black_box;
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier, OnceLock};
use std::task::{Context, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use counting_allocator::{live_bytes, most_bytes};
use range_lock::{__private, RangeLock};

fn timed<T>(f: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    let value = f();
    (value, start.elapsed())
}

/// Prints the figures, and records whether one exceeds its bound.
#[derive(Default)]
struct Report {
    is_broken: bool,
}

impl Report {
    fn line(&mut self, what: &str, figure: impl fmt::Display, bound: impl fmt::Display, holds: bool) {
        println!("{what:<62} {figure:>10}  {bound:>9}  {}", if holds { "" } else { "BROKEN" });
        self.is_broken |= !holds;
    }

    fn time(&mut self, what: &str, time: Duration, bound: Option<Duration>) {
        let printed = bound.map_or(String::new(), milliseconds);
        self.line(what, milliseconds(time), printed, bound.is_none_or(|bound| time <= bound));
    }

    fn bytes(&mut self, what: &str, bytes: usize, bound: usize) {
        let kib = |bytes: usize| format!("{:.0} KiB", bytes as f64 / 1024.0);
        self.line(what, kib(bytes), kib(bound), bytes <= bound);
    }
}

fn milliseconds(time: Duration) -> String {
    format!("{:.3} ms", time.as_secs_f64() * 1e3)
}

const MILLISECOND: Duration = Duration::from_millis(1);
const MIB: usize = 1 << 20;

/// Polls futures until all of them wait.
fn waiting<F: Future>(futures: impl Iterator<Item = F>, waker: &Waker) -> Vec<Pin<Box<F>>> {
    let mut futures: Vec<_> = futures.map(Box::pin).collect();
    for future in &mut futures {
        assert!(future.as_mut().poll(&mut Context::from_waker(waker)).is_pending());
    }
    futures
}

/// Inspects m writers that wait for one range.
fn looking_in(report: &mut Report, m: usize) {
    let lock = RangeLock::new();
    let _held = lock.write(0..10);
    let _writers = waiting((0..m).map(|_| lock.write_async(0..10)), Waker::noop());
    let ((requests, time), bytes) = most_bytes(|| timed(|| lock.requests()));
    report.time(&format!("requests() of {m} writers of one range"), time, Some(1000 * MILLISECOND));
    report.bytes("  its memory, at most", bytes, 64 * MIB);
    let (ids, time) = timed(|| requests[m].waits_for().len());
    assert_eq!(ids, m);
    report.time("  waits_for() of the last of them", time, Some(10 * MILLISECOND));
    drop(requests);
    let (text, time) = timed(|| format!("{lock:?}"));
    report.time("  {:?} of the lock", time, Some(10 * MILLISECOND));
    assert!(text.len() < 20_000, "{} bytes", text.len());
}

/// Records when it is first woken: the internal mutexes are free by then.
#[derive(Default)]
struct FirstWake(OnceLock<Instant>);

impl Wake for FirstWake {
    fn wake(self: Arc<Self>) {
        _ = self.0.get_or_init(Instant::now);
    }
}

/// One release lets in m readers. Meanwhile another thread tries to read elsewhere in the leaf.
fn letting_in(report: &mut Report, m: usize) {
    let lock = RangeLock::builder().max_leaves(1).build();
    let held = lock.write(0..10);
    let first = Arc::new(FirstWake::default());
    let readers = waiting((0..m).map(|_| lock.read_async(0..10)), &Waker::from(Arc::clone(&first)));
    let (start, is_over) = (Barrier::new(2), AtomicBool::new(false));
    let worst = thread::scope(|scope| {
        let other = scope.spawn(|| {
            start.wait();
            let mut worst = Duration::ZERO;
            while !is_over.load(Ordering::Relaxed) {
                let (guard, time) = timed(|| lock.try_read(1_000_000..1_000_010));
                assert!(guard.is_some(), "nothing is in its way");
                worst = worst.max(time);
            }
            worst
        });
        start.wait();
        thread::sleep(20 * MILLISECOND); // So that the other thread has begun.
        let began = Instant::now();
        drop(held);
        let woken = first.0.get().expect("the release wakes them");
        report.time(&format!("a release that lets {m} readers in: under the mutex"), *woken - began, None);
        report.time("  with all wakers called", began.elapsed(), None);
        is_over.store(true, Ordering::Relaxed);
        other.join().expect("it does not panic")
    });
    report.time("  the longest try_read elsewhere in the leaf meanwhile", worst, None);
    let ((), time) = timed(|| {
        for mut reader in readers {
            assert!(reader.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready());
        }
    });
    report.time("  all of them leave", time, None);
}

/// What crowds of 10,000 leave behind in each of 32 parts, and what locks keep that were split
/// once.
fn memory(report: &mut Report) {
    let lock = RangeLock::builder().max_leaves(32).build();
    (1..32).for_each(|part| assert!(__private::cut(&lock, part * 1000)));
    let before = live_bytes();
    for part in 0..32 {
        let at = part * 1000;
        let held = lock.write(at..at + 10);
        let writers = waiting((0..10_000).map(|_| lock.write_async(at..at + 10)), Waker::noop());
        drop((held, writers));
    }
    let kept = live_bytes().saturating_sub(before);
    report.bytes("kept after 10,000 requests at a time in each of 32 parts", kept, 4 * MIB);

    let before = live_bytes();
    let locks: Vec<_> = (0..10_000).map(|_| RangeLock::new()).collect();
    locks.iter().for_each(|lock| assert!(__private::cut(lock, 1000)));
    let kept = live_bytes().saturating_sub(before);
    report.bytes("10,000 locks, each cut once", kept, 80 * MIB);
    black_box(&locks);
}

/// Searches 10,000 threads that wait for one range, and finds the circle of two others.
#[cfg(feature = "deadlock_detection")]
fn deadlock(report: &mut Report) {
    const CROWD: usize = 10_000;
    const TIMEOUT: Duration = Duration::from_secs(20);
    let (lock, other) = (RangeLock::new(), RangeLock::new());
    let held = lock.write(0..10);
    let both_hold = Barrier::new(2);
    thread::scope(|scope| {
        for _ in 0..CROWD {
            let crowd = thread::Builder::new().stack_size(64 << 10);
            crowd.spawn_scoped(scope, || drop(lock.write(0..10))).expect("10,000 threads are allowed");
        }
        let until = |condition: &dyn Fn() -> bool| {
            while !condition() {
                thread::sleep(10 * MILLISECOND);
            }
        };
        until(&|| lock.requests().len() > CROWD);
        for (mine, wanted) in [(0..10, 10..20), (10..20, 0..10)] {
            let (other, both_hold) = (&other, &both_hold);
            scope.spawn(move || {
                let _mine = other.write(mine);
                both_hold.wait();
                drop(other.try_write_for(wanted, TIMEOUT));
            });
        }
        until(&|| other.requests().len() == 4);
        // A thread files its request before it is known to be blocked. If no circle is found until
        // the two give up, the first assertion fails.
        until(&|| !range_lock::deadlock::check().is_empty() || other.requests().len() < 4);
        let times: Vec<_> = (0..5)
            .map(|_| {
                let (found, time) = timed(range_lock::deadlock::check);
                assert_eq!(found.len(), 1, "{found:?}");
                assert_eq!(found[0].participants().len(), 2);
                time
            })
            .collect();
        let worst = times.into_iter().max().expect("it was measured");
        report.time("check() with 10,000 threads that wait for one range", worst, Some(1000 * MILLISECOND));
        println!("  the circle of two threads in another lock was found; it times out in 20 s");
        drop(held);
    });
}

fn main() -> ExitCode {
    let mut report = Report::default();
    println!("{:<62} {:>10}  {:>9}", "", "FIGURE", "BOUND");
    if std::env::args().any(|arg| arg == "deadlock") {
        #[cfg(feature = "deadlock_detection")]
        deadlock(&mut report);
        #[cfg(not(feature = "deadlock_detection"))]
        panic!("the search for deadlocks needs `--features deadlock_detection`");
    } else {
        let m = std::env::var("CROWD").map_or(100_000, |m| m.parse().expect("CROWD is a number"));
        looking_in(&mut report, m);
        letting_in(&mut report, m);
        memory(&mut report);
    }
    ExitCode::from(u8::from(report.is_broken))
}
