//! Shows which thread waits for which, by looking into range locks while they are in use.
//!
//! ```text
//! cargo run -p range-lock-examples --bin who_waits
//! ```
//!
//! A service would do this from a debug page or a watchdog thread. Here it is done on a small
//! staged scene.

use std::fmt::Write;
use std::sync::Mutex;
use std::thread::{self, Builder, Scope};

use range_lock::deadlock::{self, Deadlock, Participant, Stake};
use range_lock::{Mode, RangeLock, RequestState};

fn main() {
    print!("{}{}", a_queue(), a_deadlock());
}

/// Shows readers and a writer that queue for parts of one file.
fn a_queue() -> String {
    let mut out = String::new();
    let file = RangeLock::new();
    let reader = file.read(0..4096);
    thread::scope(|scope| {
        named(scope, "copier", || drop(file.write(0..8192)));
        until_waiting(&file, 1);
        named(scope, "indexer", || drop(file.read(4096..12288)));
        until_waiting(&file, 2);

        writeln!(out, "The lock, as Debug prints it:").unwrap();
        writeln!(out, "{file:#?}").unwrap();

        writeln!(out, "\nIts requests, one by one:").unwrap();
        for request in file.requests() {
            write!(out, "    {} {request}", request.id()).unwrap();
            if let Some(since) = request.since() {
                write!(out, " for {:.1?}, behind {:?}", since.elapsed(), request.waits_for()).unwrap();
            }
            writeln!(out).unwrap();
        }
        drop(reader);
    });

    writeln!(out, "\nWhat it has counted:").unwrap();
    let stats = file.stats();
    for (mode, name) in [(Mode::Read, "read"), (Mode::Write, "write")] {
        let stats = stats.of(mode);
        writeln!(
            out,
            "    {name}: {} acquired, {} of them after a wait (half of these for at most {:.1?}), {} gave up",
            stats.acquisitions(),
            stats.contended(),
            stats.waits().quantile(0.5).unwrap_or_default(),
            stats.gave_up(),
        )
        .unwrap();
    }
    out
}

/// Shows two threads that take two ranges in different order.
fn a_deadlock() -> String {
    let mut out = String::new();
    let (data, journal) = (RangeLock::new(), RangeLock::new());
    let name_of =
        |stake: &Stake| if stake.lock() == std::ptr::from_ref(&data).addr() { "data" } else { "journal" };
    // The guards lie on a table, where other threads can reach them.
    let (left_guard, right_guard) = (Mutex::new(None), Mutex::new(None));
    thread::scope(|scope| {
        named(scope, "left", || {
            *left_guard.lock().unwrap() = Some(data.write(0..4096));
            until_held(&journal);
            drop(journal.write(0..64));
            drop(left_guard.lock().unwrap().take());
        });
        named(scope, "right", || {
            *right_guard.lock().unwrap() = Some(journal.write(32..96));
            until_held(&data);
            drop(data.read(..));
            drop(right_guard.lock().unwrap().take());
        });

        // A watchdog would look once in a while. Here it is known that there is a deadlock to find.
        let deadlock = loop {
            if let Some(deadlock) = deadlock::check().pop() {
                break deadlock;
            }
            thread::yield_now();
        };
        writeln!(out, "\nA deadlock of {} threads:", deadlock.participants().len()).unwrap();
        for (participant, next) in by_name(&deadlock) {
            let [wants] = participant.waits_for() else { unreachable!("asked for one range") };
            let [has] = next.in_the_way() else { unreachable!("took one range") };
            writeln!(
                out,
                "    {participant}: {} ({}), kept out by {next}: {} ({})",
                wants.request(),
                name_of(wants),
                has.request(),
                name_of(has),
            )
            .unwrap();
            let backtrace = participant.backtrace().to_string();
            let asked =
                if backtrace.contains("a_deadlock") { "where it asks" } else { "nothing: no symbols" };
            writeln!(out, "        and its backtrace shows {asked}").unwrap();
        }
        // To release the lock of `left` lets `right` go on, and then `left`.
        drop(left_guard.lock().unwrap().take());
    });
    writeln!(out, "One guard released, {} deadlocks are left.", deadlock::check().len()).unwrap();
    out
}

/// The participants, each with the one that it waits for, beginning with the first by name.
fn by_name(deadlock: &Deadlock) -> Vec<(&Participant, &Participant)> {
    let all = deadlock.participants();
    let mut pairs: Vec<_> = all.iter().zip(all.iter().cycle().skip(1)).collect();
    let first = (0..all.len()).min_by_key(|&n| all[n].thread().name());
    pairs.rotate_left(first.unwrap_or(0));
    pairs
}

fn named<'scope>(scope: &'scope Scope<'scope, '_>, name: &str, f: impl FnOnce() + Send + 'scope) {
    Builder::new().name(name.to_owned()).spawn_scoped(scope, f).expect("a thread can be started");
}

/// Returns when `n` requests wait.
fn until_waiting(lock: &RangeLock, n: usize) {
    while lock.requests().iter().filter(|request| request.state() == RequestState::Waiting).count() != n {
        thread::yield_now();
    }
}

/// Returns when a thread holds a part of what `lock` locks.
fn until_held(lock: &RangeLock) {
    while !lock.is_locked(..) {
        thread::yield_now();
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn shows_who_waits() {
        assert_eq!(without_times(&(super::a_queue() + &super::a_deadlock())), EXPECTED);
    }

    /// `1.2ms` and `1.2 ms` become `TIME`.
    fn without_times(text: &str) -> String {
        let text = ["ns", "µs", "ms", "s"]
            .iter()
            .fold(text.to_owned(), |text, unit| text.replace(&format!(" {unit},"), &format!("{unit},")));
        let word = |word: &str| {
            let (time, rest) = word.split_at(word.find([',', ')', '\n']).unwrap_or(word.len()));
            let is_time = time.starts_with(|c: char| c.is_ascii_digit()) && time.ends_with('s');
            if is_time { format!("TIME{rest}") } else { word.to_owned() }
        };
        text.split(' ').map(word).collect::<Vec<_>>().join(" ")
    }

    const EXPECTED: &str = "\
The lock, as Debug prints it:
RangeLock {
    requests: [
        #1 read 0..=4095 held,
        #2 write 0..=8191 waiting for #1 for TIME,
        #3 read 4096..=12287 waiting for #2 for TIME,
    ],
}

Its requests, one by one:
    #1 read 0..=4095 held
    #2 write 0..=8191 waiting for TIME, behind [#1]
    #3 read 4096..=12287 waiting for TIME, behind [#2]

What it has counted:
    read: 2 acquired, 1 of them after a wait (half of these for at most TIME), 0 gave up
    write: 1 acquired, 1 of them after a wait (half of these for at most TIME), 0 gave up

A deadlock of 2 threads:
    thread \"left\": write 0..=63 waiting (journal), kept out by thread \"right\": write 32..=95 held (journal)
        and its backtrace shows where it asks
    thread \"right\": read 0..=18446744073709551615 waiting (data), kept out by thread \"left\": write 0..=4095 held (data)
        and its backtrace shows where it asks
One guard released, 0 deadlocks are left.
";
}
