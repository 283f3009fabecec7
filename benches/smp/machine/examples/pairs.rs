//! Locks and unlocks one page on each CPU, and prints the time of a pair.
//!
//! `pairs LOCK CPUS...` takes `range-lock`, `one-leaf`, `parking_lot` or `pages`. The preset is
//! `s64`, or PRESET. The seed is 1, or SEED.

use std::env;
use std::process::ExitCode;
use std::sync::Arc;

use parking_lot::RwLock;
use range_lock::RangeLock;
use smp_machine::{Machine, NS, Ps, US, aside, fix_addresses, now, run};

/// The domain: pages of 4 KiB.
const PAGES: u64 = 1024;
const WARM_UP: Ps = 1000 * US;
const WINDOW: Ps = 200 * US;

/// A lock. Thread `n` enters and leaves a section on a page.
trait Pair: Send + Sync {
    fn pair(&self, page: u64);
}

impl Pair for RangeLock {
    fn pair(&self, page: u64) {
        drop(self.write(page * 4096..(page + 1) * 4096));
    }
}

impl Pair for RwLock<()> {
    fn pair(&self, _: u64) {
        drop(self.write());
    }
}

/// One lock for each page, each on a pair of lines.
#[repr(align(128))]
struct Padded(RwLock<()>);

impl Pair for Vec<Padded> {
    fn pair(&self, page: u64) {
        drop(self[page as usize].0.write());
    }
}

fn build(machine: &Machine, lock: &str) -> Option<Arc<dyn Pair>> {
    machine.setup(|| {
        Some(match lock {
            "range-lock" => Arc::new(RangeLock::new()) as Arc<dyn Pair>,
            "one-leaf" => Arc::new(RangeLock::builder().max_leaves(1).build()),
            "parking_lot" => Arc::new(RwLock::new(())),
            "pages" => Arc::new((0..PAGES).map(|_| Padded(RwLock::new(()))).collect::<Vec<_>>()),
            _ => return None,
        })
    })
}

fn main() -> ExitCode {
    if let Err(error) = fix_addresses() {
        eprintln!("addresses are random: {error}");
    }
    let preset = env::var("PRESET").unwrap_or_else(|_| "s64".into());
    let Some(machine) = Machine::preset(&preset) else {
        eprintln!("no preset is called {preset:?}: choose of {:?}", Machine::presets());
        return ExitCode::FAILURE;
    };
    let seed = env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    let machine = machine.with_seed(seed);
    let mut arguments = env::args().skip(1);
    let lock = arguments.next().unwrap_or_else(|| "range-lock".into());
    for cpus in arguments.map_while(|a| a.parse().ok()) {
        let machine = machine.clone().with_cpus(cpus);
        let Some(lock) = build(&machine, &lock) else {
            eprintln!("no lock is called {lock:?}");
            return ExitCode::FAILURE;
        };
        let counts: Arc<Vec<_>> = Arc::new((0..cpus).map(|_| std::sync::atomic::AtomicU64::new(0)).collect());
        let done = Arc::clone(&counts);
        let report = run(&machine, move |thread| {
            let page = thread as u64 * PAGES / cpus as u64;
            while now() < WARM_UP {
                lock.pair(page);
            }
            let mut n = 0;
            while now() < WARM_UP + WINDOW {
                lock.pair(page);
                n += 1;
            }
            aside(|| done[thread].store(n, std::sync::atomic::Ordering::Relaxed));
        });
        let report = match report {
            Ok(report) => report,
            Err(stuck) => {
                eprintln!("{stuck}");
                return ExitCode::FAILURE;
            }
        };
        let pairs: u64 = counts.iter().map(|c| c.load(std::sync::atomic::Ordering::Relaxed)).sum();
        let each = (WINDOW as f64 / NS as f64) * cpus as f64 / pairs as f64;
        let rate = pairs as f64 / (WINDOW as f64 / US as f64);
        println!(
            "{cpus:4} CPUs: {each:9.1} ns a pair, {rate:8.1} M/s, end {}, {:?}",
            report.end, report.counts
        );
    }
    ExitCode::SUCCESS
}
