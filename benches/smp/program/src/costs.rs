//! `smp costs`: measures the cost of steps on the real machine, as costs of the simulated one.
//!
//! Nothing here is simulated. A figure is the median of many measurements with real clocks, or the
//! lower quartile if it needs two CPUs at a time. The machine should have nothing else to do.

use std::collections::BTreeMap;
use std::fs;
use std::hint::{black_box, spin_loop};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;

use crate::Error;
use crate::table::{align, digits, new_table};

/// The arguments of `smp costs`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Writes the resulting costs, by their names in `--set`
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// What was measured, in nanoseconds, and how.
type Figure = (&'static str, f64, &'static str);

/// Costs of the simulated machine by their names, in nanoseconds.
pub(crate) type Named = BTreeMap<String, f64>;

pub(crate) fn run(options: &Options) -> Result<(), Error> {
    let figures = measure();
    let mut table = new_table();
    table.load_style(comfy_table::presets::ASCII_MARKDOWN);
    table.set_header(["measured", "ns", "how"]);
    for (name, ns, how) in &figures {
        table.add_row([(*name).to_owned(), digits(*ns), (*how).to_owned()]);
    }
    align(&mut table);
    println!("{table}\n");
    let named = named(&figures);
    let text: Vec<String> = named.iter().map(|(name, ns)| format!("{name} {}", digits(*ns))).collect();
    println!("Costs that follow, in ns: {}.", text.join(", "));
    options.json.as_ref().map_or(Ok(()), |file| write(&named, file))
}

/// Measures, and returns the resulting costs.
pub(crate) fn of_this_machine() -> Named {
    named(&measure())
}

/// Reads what `--json` wrote.
pub(crate) fn read(file: &Path) -> Result<Named, Error> {
    let wrong = |error: &dyn std::fmt::Display| {
        Error::Input(format!("{}: {error}; write it by `smp costs --json FILE`", file.display()))
    };
    let text = fs::read_to_string(file).map_err(|error| wrong(&error))?;
    serde_json::from_str(&text).map_err(|error| wrong(&error))
}

/// Writes what [`read`] reads.
pub(crate) fn write(named: &Named, file: &Path) -> Result<(), Error> {
    let text = serde_json::to_string_pretty(named).map_err(|error| Error::Run(error.to_string()))?;
    fs::write(file, text + "\n").map_err(|error| Error::Run(format!("{}: {error}", file.display())))
}

fn measure() -> Vec<Figure> {
    let allocate = || drop(black_box(Box::new([0_u64; 8])));
    let mut figures = vec![
        ("pause", each(2_000, spin_loop), "the instruction in a loop"),
        ("locked", locked(), "`lock xadd` of a line that the CPU has, in a loop"),
        ("clock", each(2_000, || _ = black_box(Instant::now())), "`clock_gettime`"),
        (
            "syscall",
            each(2_000, || futex(&AtomicU32::new(0), libc::FUTEX_WAKE, 1)),
            "a futex wake of no thread",
        ),
        ("malloc", each(2_000, allocate) / 2.0, "half of `malloc` and `free`"),
        ("yield", pinned(0, || each(2_000, thread::yield_now)), "`sched_yield` alone on a CPU"),
        ("nap", naps(), "by how much a sleep of 50 µs is longer"),
        ("punctual nap", punctual_naps(), "the same with PR_SET_TIMERSLACK 1"),
    ];
    figures.extend(wake_ups());
    figures.extend(transfers());
    figures
}

/// The costs of the simulated machine that the figures imply.
fn named(figures: &[Figure]) -> Named {
    let of = |name: &str| figures.iter().find(|figure| figure.0 == name).map_or(0.0, |figure| figure.1);
    let syscall = of("syscall");
    let wake = (of("wake") - syscall).max(0.0);
    // A turn enters the kernel twice: to wake the other thread up, and to sleep and change to it. A
    // wake-up on the same CPU sends no interrupt. So each of the three steps counts as a third.
    let switch = (of("same CPU") - 2.0 * syscall).max(0.0) / 3.0;
    let costs = [
        ("pause", of("pause")),
        ("locked", of("locked")),
        ("clock", of("clock")),
        ("syscall", syscall),
        ("malloc", of("malloc")),
        ("sched_yield", of("yield")),
        ("timer_slack", of("nap")),
        ("timer_latency", of("punctual nap")),
        ("wake", wake),
        ("wake_latency", (of("wake, until awake") - of("wake")).max(0.0)),
        ("sleep", switch),
        ("context_switch", switch),
    ];
    costs.into_iter().map(|(name, ns)| (name.to_owned(), (10.0 * ns).round() / 10.0)).collect()
}

/// The lower quartile: in the slower half something else may have had a CPU.
fn quartile(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 4]
}

/// Nanoseconds of one call: the median of 400 loops, each far shorter than a time slice.
fn each(calls: u32, mut f: impl FnMut()) -> f64 {
    let mut once = || {
        let start = Instant::now();
        (0..calls).for_each(|_| f());
        start.elapsed().as_nanos() as f64 / f64::from(calls)
    };
    let mut times: Vec<f64> = (0..400).map(|_| once()).collect();
    times.sort_unstable_by(f64::total_cmp);
    times[times.len() / 2]
}

fn locked() -> f64 {
    let word = AtomicU64::new(0);
    each(2_000, || _ = black_box(word.fetch_add(1, Ordering::Relaxed)))
}

/// By how many nanoseconds a sleep of 50 µs is longer than asked.
fn naps() -> f64 {
    const NAP: Duration = Duration::from_micros(50);
    let nap = || {
        let start = Instant::now();
        thread::sleep(NAP);
        start.elapsed().saturating_sub(NAP).as_nanos() as f64
    };
    quartile((0..500).map(|_| nap()).collect())
}

fn punctual_naps() -> f64 {
    let measured = thread::spawn(|| {
        // SAFETY: the call changes this thread's timer slack and no memory.
        unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1) };
        naps()
    });
    measured.join().unwrap_or(f64::NAN)
}

/// Runs `f` on one of the CPUs that the process may use.
fn pinned<T: Send>(nth: usize, f: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| {
        let thread = scope.spawn(move || {
            pin(nth);
            f()
        });
        thread.join().expect("the closure does not panic")
    })
}

/// Keeps the calling thread on the `nth` of the CPUs that it may use, if there are as many.
fn pin(nth: usize) {
    // SAFETY: a `cpu_set_t` is plain data, for which zeros are valid; both calls get its size.
    unsafe {
        let mut all: libc::cpu_set_t = std::mem::zeroed();
        libc::sched_getaffinity(0, size_of_val(&all), &raw mut all);
        let mut allowed = (0..libc::CPU_SETSIZE as usize).filter(|&cpu| libc::CPU_ISSET(cpu, &all));
        if let Some(cpu) = allowed.nth(nth) {
            let mut one: libc::cpu_set_t = std::mem::zeroed();
            libc::CPU_SET(cpu, &mut one);
            libc::sched_setaffinity(0, size_of_val(&one), &raw const one);
        }
    }
}

fn futex(word: &AtomicU32, operation: i32, value: u32) {
    let no_timeout = std::ptr::null::<libc::timespec>();
    let operation = operation | libc::FUTEX_PRIVATE_FLAG;
    // SAFETY: the word is a valid `u32`, and Linux only reads it.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), operation, value, no_timeout) };
}

/// The cost of a wake-up, and the time in which two CPUs hand a line over.
fn wake_ups() -> Vec<Figure> {
    let (mut wakes, mut latencies) = (Vec::new(), Vec::new());
    // A sleeper on the second CPU, which records when it is awake.
    let (word, done, epoch) = (AtomicU32::new(0), AtomicBool::new(false), Instant::now());
    let awake = AtomicU64::new(0);
    thread::scope(|scope| {
        scope.spawn(|| {
            pin(1);
            let mut turn = 0;
            while !done.load(Ordering::Acquire) {
                while word.load(Ordering::Acquire) == turn {
                    futex(&word, libc::FUTEX_WAIT, turn);
                }
                awake.store(epoch.elapsed().as_nanos() as u64, Ordering::Release);
                turn += 1;
            }
        });
        scope.spawn(|| {
            pin(0);
            for turn in 0..2000 {
                // Long enough for the other thread to be asleep.
                let until = Instant::now() + Duration::from_micros(60);
                while Instant::now() < until {
                    spin_loop();
                }
                let before = awake.load(Ordering::Acquire);
                if turn == 1999 {
                    done.store(true, Ordering::Release);
                }
                word.store(turn + 1, Ordering::Release);
                let start = epoch.elapsed().as_nanos() as u64;
                futex(&word, libc::FUTEX_WAKE, 1);
                let end = epoch.elapsed().as_nanos() as u64;
                while awake.load(Ordering::Acquire) == before {
                    spin_loop();
                }
                wakes.push((end - start) as f64);
                latencies.push(awake.load(Ordering::Acquire).saturating_sub(start) as f64);
            }
        });
    });
    let latency = quartile(latencies);
    vec![
        ("wake", quartile(wakes), "a futex wake of a sleeper on the other CPU"),
        ("wake, until awake", latency, "from the call of that until the sleeper runs"),
        ("same CPU", same_cpu(), "two threads on one CPU that wake each other in turn"),
        ("hand-over", hand_over(), "a line that two CPUs store to in turn"),
    ]
}

/// Half of a round trip of two threads on one CPU by futexes.
fn same_cpu() -> f64 {
    turns(5_000, [0, 0], |word, turn| {
        while word.load(Ordering::Acquire) != turn {
            futex(word, libc::FUTEX_WAIT, turn ^ 1);
        }
    })
}

fn hand_over() -> f64 {
    turns(50_000, [0, 1], |word, turn| while word.load(Ordering::Acquire) != turn {})
}

/// Two threads take turns. Returns nanoseconds of one turn.
fn turns(round_trips: u32, cpus: [usize; 2], wait: impl Fn(&AtomicU32, u32) + Sync) -> f64 {
    let word = AtomicU32::new(0);
    let wakes = cpus[0] == cpus[1];
    let (word, wait) = (&word, &wait);
    let player = |me: u32| {
        let cpu = cpus[me as usize];
        move || {
            pin(cpu);
            let start = Instant::now();
            for _ in 0..round_trips {
                wait(word, me);
                word.store(me ^ 1, Ordering::Release);
                if wakes {
                    futex(word, libc::FUTEX_WAKE, 1);
                }
            }
            start.elapsed().as_nanos() as f64 / f64::from(2 * round_trips)
        }
    };
    let once = || {
        thread::scope(|scope| {
            let other = scope.spawn(player(1));
            let one = scope.spawn(player(0)).join().unwrap_or(f64::NAN);
            other.join().map_or(f64::NAN, |other| one.max(other))
        })
    };
    quartile((0..9).map(|_| once()).collect())
}

/// A value, alone on its pair of lines.
#[repr(align(128))]
struct Alone(AtomicU64);

/// How many lines are used: they fit into each first-level cache.
const LINES: usize = 256;
/// The low bits of a line name the next line. The high bits are counted up.
const NEXT: u64 = u32::MAX as u64;

/// The cost for one CPU of a line that the other one has written.
fn transfers() -> Vec<Figure> {
    let chain = |line: &AtomicU64| line.fetch_add(NEXT + 1, Ordering::Relaxed) & NEXT;
    let load = |line: &AtomicU64| line.load(Ordering::Relaxed) & NEXT;
    vec![
        (
            "transfer",
            written_by_another(chain, true),
            "`lock xadd` of a line that the other CPU wrote last; each waits for the one before",
        ),
        (
            "the same, independent",
            written_by_another(chain, false),
            "the same, with addresses that are known before",
        ),
        (
            "transfer, load",
            written_by_another(load, true),
            "a load of such a line; each waits for the one before",
        ),
        (
            "the same, independent",
            written_by_another(load, false),
            "the same, with addresses that are known before",
        ),
    ]
}

/// Nanoseconds of an access to a line that the other CPU has just written.
fn written_by_another(access: impl Fn(&AtomicU64) -> u64 + Sync, dependent: bool) -> f64 {
    const ROUNDS: u32 = 400;
    // A ring through all lines in a mixed order.
    let mut order: Vec<usize> = (0..LINES).collect();
    order.sort_by_key(|&i| (i as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let lines: Vec<Alone> = (0..LINES).map(|_| Alone(AtomicU64::new(0))).collect();
    for (n, &at) in order.iter().enumerate() {
        lines[at].0.store(order[(n + 1) % LINES] as u64, Ordering::Relaxed);
    }
    let turn = AtomicU32::new(0);
    let (turn, lines, order, access) = (&turn, &lines, &order, &access);
    let wait = |until: u32| while turn.load(Ordering::Acquire) != until {};
    let mut times = Vec::new();
    thread::scope(|scope| {
        scope.spawn(move || {
            pin(1);
            for round in 0..ROUNDS {
                wait(2 * round);
                for line in lines {
                    line.0.fetch_add(NEXT + 1, Ordering::Relaxed);
                }
                turn.store(2 * round + 1, Ordering::Release);
            }
        });
        scope.spawn(|| {
            pin(0);
            for round in 0..ROUNDS {
                wait(2 * round + 1);
                let start = Instant::now();
                let mut at = order[0];
                for n in 0..LINES {
                    let next = access(&lines[at].0) as usize;
                    at = if dependent { next } else { order[(n + 1) % LINES] };
                }
                black_box(at);
                times.push(start.elapsed().as_nanos() as f64 / LINES as f64);
                turn.store(2 * round + 2, Ordering::Release);
            }
        });
    });
    quartile(times)
}
