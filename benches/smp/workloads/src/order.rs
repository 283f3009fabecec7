//! Checks the order of grants of a lock that promises one.
//!
//! An observer cannot see when a request enters its queue. So threads ask one after the other, with
//! pauses that are long enough for each request to have entered. They ask behind a holder of the
//! whole domain, which leaves when all have asked. Then, of two requests that conflict, the earlier
//! one must be granted first.

use std::ops::Range;
use std::sync::{Arc, Mutex};

use smp_machine::{Machine, Ps, US, aside, work};
use smp_rivals::{Lock, Setup, Visitor, each};

use crate::Failed;
use crate::pattern::{PAGE, Random};

/// The time between two requests.
const PAUSE: Ps = 50 * US;
const PAGES: u64 = 64;

#[derive(Clone, Debug)]
struct Request {
    range: Range<u64>,
    write: bool,
}

impl Request {
    fn conflicts(&self, other: &Request) -> bool {
        let overlap = self.range.start < other.range.end && other.range.start < self.range.end;
        overlap && (self.write || other.write)
    }
}

/// Runs one round with a request for each thread of the machine. Returns how many pairs conflicted,
/// and the pairs that were granted in the wrong order, as text.
///
/// # Errors
///
/// If there is no such lock, or if the run does not end.
pub fn grants_in_order(lock: &str, machine: &Machine) -> Result<(usize, Vec<String>), Failed> {
    struct Run<'a>(&'a str, &'a Machine, Result<(usize, Vec<String>), Failed>);
    impl Visitor for Run<'_> {
        fn visit<L: Lock>(&mut self) {
            if L::NAME == self.0 {
                self.2 = round::<L>(self.1);
            }
        }
    }
    let mut run = Run(lock, machine, Err(Failed::NoSuchLock));
    each(&mut run);
    run.2
}

fn round<L: Lock>(machine: &Machine) -> Result<(usize, Vec<String>), Failed> {
    let threads = machine.threads;
    let mut random = Random::with_seed(threads, machine.seed);
    let requests: Vec<Request> = (0..threads)
        .map(|_| {
            let first = random.below(PAGES);
            let pages = 1 + random.below(PAGES - first);
            Request { range: first * PAGE..(first + pages) * PAGE, write: random.below(2) == 0 }
        })
        .collect();
    // Thread 0 holds. The others ask in a random order.
    let mut turns: Vec<usize> = (0..threads).collect();
    for last in (2..threads).rev() {
        turns.swap(last, 1 + random.below(last as u64) as usize);
    }
    let setup = Setup { threads, held: 1, held_before: 0, domain: PAGES * PAGE };
    let lock = machine.setup(|| Arc::new(L::new(&setup)));
    let granted: Arc<Mutex<Vec<usize>>> = Arc::default();
    let (asks, grants, turn_of) = (requests.clone(), Arc::clone(&granted), turns.clone());
    smp_machine::run(machine, move |me| {
        if me == 0 {
            let guard = lock.write(0, 0..PAGES * PAGE);
            work((turn_of.len() as u64 + 1) * PAUSE);
            drop(guard);
            return;
        }
        work(turn_of[me] as u64 * PAUSE);
        let Request { range, write } = asks[me].clone();
        let note = || aside(|| grants.lock().expect("nothing panics under it").push(me));
        if write {
            let _guard = lock.write(me, range);
            note();
            work(US);
        } else {
            let _guard = lock.read(me, range);
            note();
            work(US);
        }
    })
    .map_err(Failed::Stuck)?;
    let granted = granted.lock().expect("nothing panics under it");
    let mut pairs = 0;
    let mut wrong = Vec::new();
    for (i, &first) in granted.iter().enumerate() {
        for &second in &granted[i + 1..] {
            if requests[first].conflicts(&requests[second]) {
                pairs += 1;
                if turns[first] > turns[second] {
                    wrong.push(format!(
                        "request {} ({:?}) was granted before request {} ({:?})",
                        turns[first], requests[first], turns[second], requests[second]
                    ));
                }
            }
        }
    }
    Ok((pairs, wrong))
}
