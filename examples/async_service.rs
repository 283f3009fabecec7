//! A service under tokio with time-outs and an orderly shutdown: it sells the seats of a hall.
//!
//! ```text
//! cargo run --release -p range-lock-examples --bin async_service
//! ```
//!
//! [`service`] is the part to copy. This file has its customers. They pay late or never, want the
//! same seats, or go away, and the service closes while some are there. Then the ledger must have
//! each sold seat exactly once.

#[path = "async_service/service.rs"]
mod service;

use std::future::Future;
use std::io::{self, Read, Seek};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use range_lock::{RequestState, point};
use service::{FREE, Refusal, SEATS, Service};
use tokio::sync::oneshot;
use tokio::task::{JoinSet, yield_now};
use tokio::time;

/// How long a booking waits for its seats.
const SHORT: Duration = Duration::from_millis(200);
const LONG: Duration = Duration::from_secs(60);

/// Returns when a booking has locked the seat.
async fn until_locked(service: &Service, seat: usize) {
    while !service.seats.range_lock().is_locked(point(seat as u64)) {
        yield_now().await;
    }
}

/// Returns when `n` bookings wait for seats.
async fn until_waiting(service: &Service, n: usize) {
    let waiting = || {
        let requests = service.seats.range_lock().requests();
        requests.iter().filter(|request| request.state() == RequestState::Waiting).count()
    };
    while waiting() != n {
        yield_now().await;
    }
}

/// Whether the ledger agrees with the seats.
fn is_consistent(service: &Service) -> io::Result<bool> {
    let mut ledger = service.ledger.lock().expect("it is not poisoned");
    let (mut text, mut expected) = (String::new(), vec![FREE; SEATS]);
    ledger.rewind()?;
    ledger.read_to_string(&mut text)?;
    for line in text.lines() {
        let words: Vec<usize> = line.split(' ').map(|word| word.parse().expect("a number")).collect();
        let [customer, from, to] = words[..] else { return Ok(false) };
        if expected[from..to].iter().any(|&customer| customer != FREE) {
            return Ok(false); // Sold twice.
        }
        expected[from..to].fill(customer as u32);
    }
    Ok(*service.seats.read(..) == expected[..])
}

/// A payment that the caller makes later, or never.
fn later() -> (oneshot::Sender<()>, impl Future<Output = bool>) {
    let (pay, paid) = oneshot::channel();
    (pay, async { paid.await.is_ok() })
}

#[tokio::main]
async fn main() -> io::Result<()> {
    time::timeout(LONG, scenes()).await.expect("it comes to an end")
}

async fn scenes() -> io::Result<()> {
    let service = Service::new(tempfile::tempfile()?);
    let spawn = |customer, seats: Range<usize>, payment| {
        let service = Arc::clone(&service);
        tokio::spawn(async move { service.book(customer, seats, LONG, payment).await })
    };

    // A payment takes its time, and other customers book meanwhile.
    let (pay, payment) = later();
    let slow = spawn(1, 0..10, payment);
    until_locked(&service, 0).await;
    assert_eq!(service.book(2, 10..20, SHORT, async { true }).await, Ok(()), "other seats are free");
    assert_eq!(service.book(3, 5..15, SHORT, async { true }).await, Err(Refusal::Busy), "its patience ends");
    let (_pay, payment) = later();
    let gone = spawn(4, 9..11, payment);
    until_waiting(&service, 1).await;
    gone.abort();
    until_waiting(&service, 0).await; // It has left no trace.
    pay.send(()).expect("the booking waits for it");
    assert_eq!(slow.await?, Ok(()));
    assert_eq!(service.book(5, 9..11, SHORT, async { true }).await, Err(Refusal::Taken));
    println!("one booking waits for its payment, and delays only bookings of the same seats");

    // Many book at once. The payment of some fails.
    let mut bookings = JoinSet::new();
    for n in 0..1_000_u32 {
        let service = Arc::clone(&service);
        let first = 20 + (n as usize).wrapping_mul(7_919) % (SEATS - 60);
        bookings.spawn(async move {
            let payment = async {
                time::sleep(Duration::from_millis(1)).await;
                n % 5 != 0
            };
            service.book(100 + n, first..first + 1 + n as usize % 8, SHORT, payment).await
        });
    }
    let results = bookings.join_all().await;
    let count = |result| results.iter().filter(|&&other| other == result).count();
    let [sold, taken, not_paid, busy] =
        [Ok(()), Err(Refusal::Taken), Err(Refusal::NotPaid), Err(Refusal::Busy)].map(count);
    assert_eq!(sold + taken + not_paid + busy, results.len(), "each has one of these answers");
    println!("of {} bookings at once {sold} were sold, {taken} came too late,", results.len());
    println!("{not_paid} were not paid for, and {busy} were kept waiting for too long");

    // Shutdown: one booking pays, one waits for it, and one never pays.
    let ((pay, payment), (_never, no_payment)) = (later(), later());
    let pays = spawn(6, SEATS - 20..SEATS - 10, payment);
    let hangs = spawn(7, SEATS - 10..SEATS, no_payment);
    until_locked(&service, SEATS - 20).await;
    until_locked(&service, SEATS - 1).await;
    let (_pay, payment) = later();
    let waits = spawn(8, SEATS - 15..SEATS - 5, payment);
    until_waiting(&service, 1).await;
    let closing = tokio::spawn({
        let service = Arc::clone(&service);
        async move { service.close(Duration::from_millis(100)).await }
    });
    assert_eq!(waits.await?, Err(Refusal::Closing), "one that waits is refused");
    pay.send(()).expect("the booking waits for it");
    assert_eq!(pays.await?, Ok(()), "one that pays may finish");
    assert!(!closing.await?, "one is still there when the grace ends");
    hangs.abort();
    assert!(service.close(Duration::from_secs(10)).await, "its seats are free once it is gone");
    assert_eq!(service.book(9, 0..1, SHORT, async { true }).await, Err(Refusal::Closing));
    assert!(service.seats.range_lock().requests().is_empty(), "no request is left");
    assert!(is_consistent(&service)?, "the ledger agrees with the seats");
    println!("closed: a waiting booking was refused, a paying one was served, and an unpaid one was ended");
    println!("the ledger has each sold seat exactly once");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_booking_is_refused_if_the_ledger_cannot_be_written() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let read_only = std::fs::File::open(file.path()).unwrap();
        let service = Service::new(read_only);
        assert_eq!(service.book(1, 0..2, SHORT, async { true }).await, Err(Refusal::NotWritten));
        assert_eq!(service.seats.read(0..2)[..], [FREE; 2]);
        assert!(service.seats.range_lock().requests().is_empty());
    }
}
