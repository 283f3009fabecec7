//! Measures many requests at one place: how the total time grows with their number m, beside
//! tokio's RwLock.
//!
//! Each point is the time for all m requests. `MANY=100000` sets the largest m. Without it m is
//! 1000, as in `.ci/run`. Every power of ten from 1000 on is measured.

use std::future::Future;
use std::hint::black_box;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion};
use range_lock::{__private, RangeLock, RangeReadGuard};

mod budget;

fn poll<F: Future + ?Sized>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// Polls futures of one kind until all of them wait.
fn waiting<F: Future>(futures: impl Iterator<Item = F>) -> Vec<Pin<Box<F>>> {
    let mut futures: Vec<_> = futures.map(Box::pin).collect();
    for future in &mut futures {
        assert!(poll(future.as_mut()).is_pending());
    }
    futures
}

fn timed(f: impl FnOnce()) -> Duration {
    let start = Instant::now();
    f();
    start.elapsed()
}

/// m tasks take one range in turn.
fn in_turn(m: usize) -> Duration {
    let lock = RangeLock::new();
    timed(|| {
        let first = lock.write(0..10);
        let tasks = waiting((0..m).map(|_| lock.write_async(0..10)));
        drop(first);
        for mut task in tasks {
            assert!(poll(task.as_mut()).is_ready());
        }
    })
}

/// The same with tokio's RwLock.
fn in_turn_tokio(m: usize) -> Duration {
    let lock = tokio::sync::RwLock::new(());
    timed(|| {
        let Poll::Ready(first) = poll(pin!(lock.write())) else { panic!("it is free") };
        let tasks = waiting((0..m).map(|_| lock.write()));
        drop(first);
        for mut task in tasks {
            assert!(poll(task.as_mut()).is_ready());
        }
    })
}

/// m short reads beside m readers.
fn readers_beside_readers(m: usize) -> Duration {
    let lock = RangeLock::new();
    let _held: Vec<_> = (0..m).map(|_| lock.read(..)).collect();
    timed(|| (0..m).for_each(|n| drop(black_box(lock.read(n as u64..n as u64 + 10)))))
}

/// The order in which m guards or futures are dropped.
#[derive(Clone, Copy)]
enum Order {
    FirstFirst,
    LastFirst,
    Random,
}

fn drop_all<T>(mut all: Vec<T>, order: Order) {
    match order {
        Order::FirstFirst => {}
        Order::LastFirst => all.reverse(),
        Order::Random => fastrand::Rng::with_seed(1).shuffle(&mut all),
    }
    all.into_iter().for_each(drop);
}

/// m readers leave, beside one reader that has waited once.
fn releases(m: usize, order: Order, merged: bool) -> Duration {
    let lock = RangeLock::new();
    let writer = lock.write(0..10);
    let mut one = pin!(lock.read_async(0..10));
    assert!(poll(one.as_mut()).is_pending());
    drop(writer);
    let Poll::Ready(_one) = poll(one) else { panic!("nothing is in its way") };
    if merged {
        assert!(__private::cut(&lock, 5));
    }
    let held: Vec<RangeReadGuard<'_>> = (0..m).map(|_| lock.read(0..10)).collect();
    if merged {
        // Requests that cross quiet parts may already have merged them.
        _ = __private::join(&lock, 0);
        assert_eq!(__private::parts(&lock), 1);
    }
    timed(|| drop_all(held, order))
}

/// m futures that wait are dropped.
fn dropped(m: usize, order: Order) -> Duration {
    let lock = RangeLock::new();
    let _held = lock.write(0..10);
    let futures = waiting((0..m).map(|_| lock.write_async(0..10)));
    timed(|| drop_all(futures, order))
}

/// The same, half of them readers.
fn dropped_mixed(m: usize) -> Duration {
    let lock = RangeLock::new();
    let _held = lock.write(0..10);
    let mut futures: Vec<Pin<Box<dyn Future<Output = ()> + '_>>> = Vec::new();
    for n in 0..m {
        let lock = &lock;
        futures.push(if n % 2 == 0 {
            Box::pin(async move { drop(lock.write_async(0..10).await) })
        } else {
            Box::pin(async move { drop(lock.read_async(0..10).await) })
        });
    }
    for future in &mut futures {
        assert!(poll(future.as_mut()).is_pending());
    }
    timed(|| drop_all(futures, Order::FirstFirst))
}

/// m futures of tokio's RwLock, which has them in a doubly linked list, are dropped at random.
fn dropped_tokio(m: usize) -> Duration {
    let lock = tokio::sync::RwLock::new(());
    let Poll::Ready(_held) = poll(pin!(lock.write())) else { panic!("it is free") };
    let futures = waiting((0..m).map(|_| lock.write()));
    timed(|| drop_all(futures, Order::Random))
}

/// m narrow writers wait for 1000 wide readers, which leave one by one.
fn narrow_behind_wide(m: usize) -> Duration {
    let lock = RangeLock::new();
    let wide: Vec<_> = (0..1000).map(|_| lock.read(..)).collect();
    let writers = waiting((0..m as u64).map(|n| lock.write_async(n..=n)));
    timed(|| {
        drop_all(wide, Order::FirstFirst);
        for mut writer in writers {
            assert!(poll(writer.as_mut()).is_ready());
        }
    })
}

/// m readers of everything come and go over 64 parts.
fn over_64_parts(m: usize) -> Duration {
    let lock = RangeLock::builder().max_leaves(64).build();
    (1..64).for_each(|n| _ = __private::cut(&lock, n * 100));
    timed(|| {
        let held: Vec<_> = (0..m / 64).map(|_| lock.read(..)).collect();
        drop_all(held, Order::FirstFirst);
    })
}

/// Takes m, and returns how long the case took.
type Case = fn(usize) -> Duration;

fn many_at_one_place(c: &mut Criterion) {
    let most = std::env::var("MANY").map_or(1000, |many| many.parse().expect("MANY is a number"));
    let mut group = c.benchmark_group("many_at_one_place");
    let cases: [(&str, Case); 15] = [
        ("in turn", in_turn),
        ("in turn, tokio::sync::RwLock", in_turn_tokio),
        ("readers beside readers", readers_beside_readers),
        ("releases, first first", |m| releases(m, Order::FirstFirst, false)),
        ("releases, last first", |m| releases(m, Order::LastFirst, false)),
        ("releases, at random", |m| releases(m, Order::Random, false)),
        ("releases, after a merge", |m| releases(m, Order::FirstFirst, true)),
        ("futures dropped, first first", |m| dropped(m, Order::FirstFirst)),
        ("futures dropped, last first", |m| dropped(m, Order::LastFirst)),
        ("futures dropped, at random", |m| dropped(m, Order::Random)),
        ("futures dropped, at random, tokio::sync::RwLock", dropped_tokio),
        ("futures dropped, half readers", dropped_mixed),
        ("narrow writers behind 1000 wide readers", narrow_behind_wide),
        ("readers of 64 parts", over_64_parts),
        ("requests and one waits_for", requests),
    ];
    for (name, case) in cases {
        for m in std::iter::successors(Some(1000), |m| Some(m * 10)).take_while(|m| *m <= most) {
            group.bench_with_input(BenchmarkId::new(name, m), &m, |b, &m| {
                b.iter_custom(|rounds| (0..rounds).map(|_| case(m)).sum());
            });
        }
    }
}

/// Inspects m writers that wait for one range.
fn requests(m: usize) -> Duration {
    let lock = RangeLock::new();
    let _held = lock.write(0..10);
    let _futures = waiting((0..m).map(|_| lock.write_async(0..10)));
    timed(|| {
        let requests = lock.requests();
        assert_eq!(requests[m].waits_for().len(), m);
        assert!(format!("{lock:?}").len() < 20_000);
    })
}

fn main() {
    budget::run("many_at_one_place", &[many_at_one_place]);
}
