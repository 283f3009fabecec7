//! The service, and what it does with futures and guards.
//!
//! A booking locks its seats, awaits the payment, and writes the ledger. Bookings of other seats go
//! on meanwhile. The lock needs no verb for what can go wrong: a future that waits may be dropped
//! at any time, and a guard unlocks when it is dropped.
//!
//! * If a booking waits too long, `tokio::time::timeout` drops it.
//! * If a customer goes away, its task is aborted, wherever it is.
//! * The ledger is a file, and writing it blocks. The guard owns a share of the lock, so it moves
//!   into `spawn_blocking`. Then the booking completes even if its task is aborted. If the ledger
//!   cannot be written, the booking is refused.
//! * At shutdown waiting bookings are refused at once, and bookings that await payment may finish.

use std::fs::File;
use std::future::Future;
use std::io::{self, Seek, SeekFrom, Write};
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use range_lock::{Mode, RangeRwLock};
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::{select, time};

pub(crate) const SEATS: usize = 10_000;
pub(crate) const FREE: u32 = 0;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Refusal {
    /// Other bookings held the seats for too long.
    Busy,
    Taken,
    NotPaid,
    Closing,
    /// The ledger could not be written. The seats stay free.
    NotWritten,
}

pub(crate) struct Service {
    /// The customer of each seat.
    pub(crate) seats: Arc<RangeRwLock<Vec<u32>>>,
    /// A line for each booking.
    pub(crate) ledger: Arc<Mutex<File>>,
    closing: watch::Sender<bool>,
}

impl Service {
    pub(crate) fn new(ledger: File) -> Arc<Self> {
        let seats = Arc::new(RangeRwLock::new(vec![FREE; SEATS]));
        let ledger = Arc::new(Mutex::new(ledger));
        Arc::new(Service { seats, ledger, closing: watch::Sender::new(false) })
    }

    /// Books seats once `payment` reports that they are paid for. May be dropped at any time.
    pub(crate) async fn book(
        &self,
        customer: u32,
        seats: Range<usize>,
        patience: Duration,
        payment: impl Future<Output = bool>,
    ) -> Result<(), Refusal> {
        let mut closing = self.closing.subscribe();
        let mut booked = select! {
            locked = time::timeout(patience, self.seats.write_arc_async(seats.clone())) => {
                locked.map_err(|_| Refusal::Busy)?
            }
            _ = closing.wait_for(|&closing| closing) => return Err(Refusal::Closing),
        };
        // Only now, with the seats locked: `close` waits for each booking that does not see it.
        if *closing.borrow() {
            return Err(Refusal::Closing);
        }
        if booked.iter().any(|&customer| customer != FREE) {
            return Err(Refusal::Taken);
        }
        if !payment.await {
            return Err(Refusal::NotPaid);
        }
        let ledger = Arc::clone(&self.ledger);
        let written = spawn_blocking(move || {
            append(&ledger, &format!("{customer} {} {}\n", seats.start, seats.end))?;
            booked.fill(customer);
            Ok::<_, io::Error>(()) // Here the seats are unlocked.
        });
        written.await.expect("it has not panicked").map_err(|_| Refusal::NotWritten)
    }

    /// Admits no more bookings, and waits for those that pay. Returns `false` if some are still
    /// there after `grace`.
    pub(crate) async fn close(&self, grace: Duration) -> bool {
        self.closing.send_replace(true);
        let all_have_left = self.seats.range_lock().wait_until_free_async(.., Mode::Write);
        time::timeout(grace, all_have_left).await.is_ok()
    }
}

/// Appends a line to the ledger, or nothing: a part of a line is taken back.
fn append(ledger: &Mutex<File>, line: &str) -> io::Result<()> {
    let mut ledger = ledger.lock().expect("it is not poisoned");
    let end = ledger.seek(SeekFrom::End(0))?;
    let written = ledger.write_all(line.as_bytes());
    if written.is_err() {
        let _ = ledger.set_len(end); // If this fails too, the last line is not whole.
    }
    written
}
