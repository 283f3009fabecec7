//! Looking in: what `requests` lists and what `Debug` prints.

mod common;

use std::thread;
use std::time::Instant;

use common::{ask, check_free, until_waiting};
use range_lock::{__private, Mode, RangeLock, RangeUpgradableReadGuard, Request, RequestInfo, RequestState};

/// `requests` as `Debug` prints it, without the times. The lock itself prints the same.
fn printed(lock: &RangeLock) -> Vec<String> {
    let requests = lock.requests();
    let without_time = |request: &RequestInfo, line: &str| {
        if request.since().is_none() {
            return line.to_owned();
        }
        let (before, time) = line.rsplit_once(" for ").expect("the line ends with a time");
        assert!(!time.starts_with('#'), "no time: {line}");
        before.to_owned()
    };
    let listed: Vec<_> =
        requests.iter().map(|request| without_time(request, &format!("{request:?}"))).collect();
    let whole = format!("{lock:#?}");
    let lines =
        whole.lines().filter_map(|line| line.trim().strip_suffix(',')).filter(|line| line.starts_with('#'));
    let own: Vec<_> = requests.iter().zip(lines).map(|(request, line)| without_time(request, line)).collect();
    assert_eq!(own, listed);
    listed
}

#[test]
fn a_request_names_those_it_waits_for() {
    let lock = RangeLock::new();
    let before = Instant::now();
    let readers = (lock.read(0..10), lock.read(5..15));
    thread::scope(|scope| {
        let writer = ask(scope, || lock.write(0..20));
        until_waiting(&lock, 1);
        let reader = ask(scope, || lock.read(12..30)); // Behind the writer, though the readers would share.
        until_waiting(&lock, 2);
        let elsewhere = lock.read(100..);
        let expected = [
            "#1 read 0..=9 held",
            "#3 write 0..=19 waiting for #1, #2",
            "#2 read 5..=14 held",
            "#4 read 12..=29 waiting for #3",
            "#5 read 100..=18446744073709551615 held",
        ];
        assert_eq!(printed(&lock), expected);
        let requests = lock.requests();
        assert_eq!((requests[1].id().get(), requests[1].id().to_string()), (3, "#3".to_owned()));
        assert_eq!(requests[1].waits_for(), [requests[0].id(), requests[2].id()]);
        let since = requests[1].since().unwrap();
        assert!(before <= since && since <= requests[3].since().unwrap() && since <= Instant::now());
        assert!(requests.iter().all(|r| r.since().is_some() == (r.state() == RequestState::Waiting)));

        drop(readers.0);
        assert_eq!(printed(&lock)[0], "#3 write 0..=19 waiting for #2");
        drop(readers.1);
        let writer = writer.recv().unwrap();
        assert_eq!(printed(&lock)[..2], ["#3 write 0..=19 held", "#4 read 12..=29 waiting for #3"]);
        assert_eq!(lock.requests()[0].since(), None, "it does not wait any more");
        drop(writer);
        drop((reader.recv().unwrap(), elsewhere));
    });
    check_free(&lock);
}

/// The record of a request that waited is used for the next: that begins to wait when it does.
#[test]
fn each_wait_has_its_own_beginning() {
    let lock = RangeLock::new();
    let mut before = Instant::now();
    for _ in 0..3 {
        let holder = lock.write(0..10);
        thread::scope(|scope| {
            let writer = ask(scope, || lock.write(0..10));
            until_waiting(&lock, 1);
            let since = lock.requests()[1].since().expect("it waits");
            assert!(before <= since && since <= Instant::now());
            // The next one begins later on any clock, however coarse.
            while before <= since {
                before = Instant::now();
            }
            drop(holder);
            drop(writer.recv().unwrap());
        });
    }
    check_free(&lock);
}

#[test]
fn an_upgrade_waits_for_readers_and_later_ones_for_it() {
    let lock = RangeLock::new();
    let reader = lock.read(0..10);
    let upgradable = lock.upgradable_read(0..10);
    thread::scope(|scope| {
        let writer = ask(scope, || RangeUpgradableReadGuard::upgrade(upgradable));
        until_waiting(&lock, 1);
        let late = ask(scope, || lock.read(0..5));
        until_waiting(&lock, 2);
        let expected =
            ["#1 read 0..=9 held", "#2 write 0..=9 upgrading for #1", "#3 read 0..=4 waiting for #2"];
        assert_eq!(printed(&lock), expected);
        drop(reader);
        drop(writer.recv().unwrap());
        drop(late.recv().unwrap());
    });
    check_free(&lock);
}

#[test]
fn a_request_for_several_ranges_has_one_id() {
    let (a, b) = (RangeLock::new(), RangeLock::new());
    let other = (a.write(0..1), b.write(50..60));
    let ranges = || [Request::write(&a, 10..20), Request::read(&a, 30..40), Request::read(&b, 55..70)];
    assert!(RangeLock::try_acquire_many(ranges()).is_none());
    thread::scope(|scope| {
        let many = ask(scope, || RangeLock::acquire_many(ranges()));
        until_waiting(&b, 1);
        assert_eq!(
            printed(&a),
            ["#1 write 0..=0 held", "#2 write 10..=19 waiting", "#2 read 30..=39 waiting"],
            "nothing is in its way in this lock"
        );
        assert_eq!(printed(&b), ["#1 write 50..=59 held", "#2 read 55..=69 waiting for #1"]);
        // In its way behind both of its ranges, and named once.
        let late = ask(scope, || a.write(15..35));
        until_waiting(&a, 3);
        assert_eq!(printed(&a)[2], "#3 write 15..=34 waiting for #2");
        drop(other);
        drop(many.recv().unwrap());
        drop(late.recv().unwrap());
        let again = RangeLock::acquire_many(ranges());
        assert_eq!(printed(&a), ["#4 write 10..=19 held", "#4 read 30..=39 held"]);
        drop(again);
    });
    check_free(&a);
    check_free(&b);
}

#[test]
fn debug_prints_one_request_a_line() {
    let lock = RangeLock::new();
    let _held = (lock.write(0..4096), lock.read(8192..));
    assert_eq!(
        format!("{lock:#?}"),
        "RangeLock {\n    requests: [\n        #1 write 0..=4095 held,\n        \
         #2 read 8192..=18446744073709551615 held,\n    ],\n}"
    );
    assert_eq!(lock.requests()[0].mode(), Mode::Write);
}

#[test]
fn debug_prints_so_many_requests_and_ids_and_counts_the_rest() {
    let lock = RangeLock::new();
    let readers: Vec<_> = (0..100).map(|_| lock.read(10..20)).collect();
    let printed = format!("{lock:?}");
    assert_eq!(printed.matches("read 10..=19 held").count(), 64, "{printed}");
    assert!(printed.ends_with("#64 read 10..=19 held, and 36 more] }"), "{printed}");
    thread::scope(|scope| {
        let writer = ask(scope, || lock.write(0..20));
        until_waiting(&lock, 1);
        let requests = lock.requests();
        assert_eq!(requests[0].waits_for().len(), 100);
        let printed = format!("{:?}", requests[0]);
        let expected = "#101 write 0..=19 waiting for #1, #2, #3, #4, #5, #6, #7, #8 and 92 more for ";
        assert!(printed.starts_with(expected), "{printed}");
        drop(readers);
        assert_eq!(requests[0].waits_for().len(), 100, "as it was when it was looked at");
        drop(writer.recv().unwrap());
    });
    check_free(&lock);
}

#[test]
fn debug_of_the_lock_counts_so_far() {
    let lock = RangeLock::new();
    assert!(__private::cut(&lock, 15));
    let readers: Vec<_> = (0..300).map(|n| lock.read(1 + n % 2 * 10..20)).collect();
    thread::scope(|scope| {
        let writer = ask(scope, || lock.write(0..20));
        until_waiting(&lock, 1);
        let printed = format!("{lock:?}");
        let writer_waits = printed.split("write 0..=19 waiting for ").nth(1).expect("it begins first");
        let (ids, rest) = writer_waits.split_once(" and ").expect("it waits for many");
        assert_eq!(ids.split(", ").count(), 8, "{printed}");
        assert!(rest.starts_with("at least 248 more for "), "{printed}");
        assert!(printed.ends_with(", and 237 more] }"), "{printed}");
        drop(readers);
        drop(writer.recv().unwrap());
    });
    check_free(&lock);
}

#[test]
fn requests_over_a_range_are_those_that_overlap_it() {
    let lock = RangeLock::new();
    for cut in [None, Some(7), Some(15)] {
        assert!(cut.is_none_or(|at| __private::cut(&lock, at)));
        let _held = (lock.read(0..10), lock.read(5..20), lock.write(30..40));
        let ranges = |range| lock.requests_over(range).iter().map(RequestInfo::range).collect::<Vec<_>>();
        assert_eq!(ranges(8..9), [0..=9, 5..=19]);
        assert_eq!(ranges(10..31), [5..=19, 30..=39]);
        assert_eq!(ranges(20..30), []);
        assert_eq!(ranges(9..9), [], "an empty range overlaps nothing");
    }
}
