//! Code that runs on the simulated machine: this file itself is instrumented. Run it by `smp test`.

use std::cell::{Cell, UnsafeCell};
use std::collections::HashMap;
use std::env;
use std::hash::{BuildHasher, RandomState};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::{Mutex, RwLock};
use range_lock::RangeLock;
use smp_machine::{
    Directory, Doing, Limits, Machine, NS, Overlap, Ps, Report, Stuck, US, Why, aside, futex_wait,
    futex_wake, now, run, work,
};

fn machine(cpus: usize) -> Machine {
    Machine::preset("s64").unwrap().with_cpus(cpus)
}

fn without_jitter(mut machine: Machine) -> Machine {
    machine.costs.jitter = 0;
    machine
}

/// Runs a body that ends.
fn ends(machine: &Machine, body: impl Fn(usize) + Send + Sync + 'static) -> Report {
    let report = run(machine, body).unwrap();
    assert_ne!(report.counts.accesses, 0, "not instrumented: run the tests by `smp test`");
    report
}

/// The four bounds of the model.
fn models(machine: &Machine) -> Vec<Machine> {
    let mut models = Vec::new();
    for directory in [Directory::Blocking, Directory::Pipelined] {
        for overlap in [Overlap::InOrder, Overlap::Overlapping] {
            models.push(machine.clone().with_directory(directory).with_overlap(overlap));
        }
    }
    models
}

// Exclusion.

/// A counter that is read and written in two steps.
#[derive(Default)]
struct Counter {
    value: UnsafeCell<u64>,
    inside: AtomicUsize,
    most: AtomicUsize,
}

// SAFETY: threads use it under a lock, or one after the other in virtual time, on one real thread.
unsafe impl Sync for Counter {}

impl Counter {
    fn increment(&self) {
        aside(|| {
            let inside = self.inside.fetch_add(1, Ordering::Relaxed) + 1;
            self.most.fetch_max(inside, Ordering::Relaxed);
        });
        // SAFETY: see `Sync`.
        let old = unsafe { self.value.get().read_volatile() };
        work(50 * NS);
        // SAFETY: see `Sync`.
        unsafe { self.value.get().write_volatile(old + 1) };
        aside(|| self.inside.fetch_sub(1, Ordering::Relaxed));
    }
}

/// Increments under a lock; returns the final value and how many were inside at once, at most.
fn count_under<L: Send + Sync + 'static>(
    machine: &Machine,
    build: impl Fn() -> L,
    locked: impl Fn(&L, &dyn Fn()) + Send + Sync + 'static,
) -> (u64, usize) {
    let (lock, counter) = machine.setup(|| (Arc::new(build()), Arc::new(Counter::default())));
    let shared = Arc::clone(&counter);
    ends(machine, move |_| {
        for _ in 0..TURNS {
            locked(&lock, &|| shared.increment());
            work(20 * NS);
        }
    });
    // SAFETY: the run is over.
    (unsafe { *counter.value.get() }, counter.most.load(Ordering::Relaxed))
}

const TURNS: u64 = 100;

#[test]
fn locks_exclude_in_every_model() {
    for base in [machine(2), machine(16), machine(2).with_threads(7)] {
        let right = (TURNS * base.threads as u64, 1);
        for m in models(&base) {
            let mutex = count_under(&m, || Mutex::new(()), |l, f| drop((l.lock(), f())));
            assert_eq!(mutex, right, "Mutex {m:?}");
            let rwlock = count_under(&m, || RwLock::new(()), |l, f| drop((l.write(), f())));
            assert_eq!(rwlock, right, "RwLock {m:?}");
            let range = count_under(&m, RangeLock::new, |l, f| drop((l.write(0..4096), f())));
            assert_eq!(range, right, "RangeLock {m:?}");
        }
    }
}

#[test]
fn without_a_lock_increments_are_lost() {
    for m in models(&machine(16)) {
        let (value, most) = count_under(&m, || (), |(), f| f());
        assert!(value < 16 * TURNS && most > 1, "{value} with {most} inside: {m:?}");
    }
}

// Times.

#[test]
fn a_shared_counter_costs_a_transfer_and_the_stay_for_what_is_done_meanwhile() {
    let m = without_jitter(machine(8));
    let counter = m.setup(|| Arc::new(AtomicU64::new(0)));
    let report = ends(&m, move |_| {
        for _ in 0..1000 {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    });
    let c = &m.costs;
    // A line leaves when it has stayed and half of a transfer is over.
    let meanwhile = (c.hold + c.transfer[0] / 2) / (c.locked + c.hit);
    let expected = (c.transfer[0] + c.hold) / meanwhile;
    let each = report.end / 8000;
    assert!(each.abs_diff(expected) < expected / 50, "{each} ps instead of {expected}");
    let misses = report.lines[0].misses;
    assert!(misses.abs_diff(8000 / meanwhile) < 20, "{misses} misses");
    assert_eq!(report.lines[0].locked, 8000);
}

/// What it costs that a thread sees that the other one has written, and writes.
fn hand_over(preset: &str) -> Ps {
    let m = without_jitter(Machine::preset(preset).unwrap());
    let turn = m.setup(|| Arc::new(AtomicU32::new(0)));
    let report = ends(&m, move |me| {
        for round in 0..100 {
            while turn.load(Ordering::Acquire) != 2 * round + me as u32 {}
            turn.store(2 * round + me as u32 + 1, Ordering::Release);
        }
    });
    report.end / 200
}

#[test]
fn near_and_far_hand_a_line_over_as_they_say() {
    let (near, far) = (hand_over("near"), hand_over("far"));
    assert!((35 * NS..55 * NS).contains(&near), "near {near}");
    assert!((160 * NS..210 * NS).contains(&far), "far {far}");
}

/// A line of its own.
#[repr(align(64))]
#[derive(Default)]
struct Line(AtomicU64);

#[test]
fn accesses_overlap_until_a_locked_instruction() {
    let times = [Overlap::InOrder, Overlap::Overlapping].map(|overlap| {
        let m = without_jitter(machine(1)).with_overlap(overlap);
        let (lines, fence) = m.setup(|| (Arc::new(<[Line; 8]>::default()), Arc::new(Line::default())));
        let times = Arc::new(AtomicU64::new(0));
        let result = Arc::clone(&times);
        ends(&m, move |_| {
            let begin = now();
            for line in &*lines {
                line.0.load(Ordering::Relaxed);
            }
            fence.0.swap(1, Ordering::SeqCst);
            aside(|| result.store(now() - begin, Ordering::Relaxed));
        });
        times.load(Ordering::Relaxed)
    });
    // Nine fetches, and those of what the closure owns, one after the other; or one after those
    // that overlap.
    let memory = machine(1).costs.memory;
    assert!((9 * memory..12 * memory).contains(&times[0]), "{times:?}");
    assert!((2 * memory..3 * memory).contains(&times[1]), "{times:?}");
}

// The kernel.

#[test]
fn threads_asleep_for_ever_are_a_deadlock() {
    let m = machine(2);
    let word = m.setup(|| Arc::new(AtomicU32::new(7)));
    let address = word.as_ptr() as usize;
    let result = run(&m, move |me| {
        if me == 1 {
            futex_wait(word.as_ptr() as usize, 7, None);
        }
    });
    let stuck = result.unwrap_err();
    assert_eq!(stuck.why, Why::Deadlock);
    let [thread] = stuck.threads[..] else { panic!("{stuck:?}") };
    assert_eq!((thread.thread, thread.doing, thread.address), (1, Doing::Sleeps, address));
    assert!(stuck.to_string().contains("CPU 1: thread 1: sleep"), "{stuck}");
}

/// Runs three threads, of which two wait in this way for a word that nothing changes.
fn waits_for_ever(limits: Limits, wait: impl Fn(&AtomicU64) + Send + Sync + 'static) -> Stuck {
    let m = machine(3).with_limits(limits);
    let word = m.setup(|| Arc::new(Line::default()));
    let address = word.0.as_ptr() as usize;
    smp_machine::name(address, 8, "word that nothing changes", 7);
    let stuck = run(&m, move |me| {
        if me == 0 {
            word.0.load(Ordering::Relaxed);
            return;
        }
        while word.0.load(Ordering::Relaxed) == 0 {
            wait(&word.0);
        }
    });
    let stuck = stuck.unwrap_err();
    let threads: Vec<_> = stuck.threads.iter().map(|t| (t.thread, t.address / 64)).collect();
    assert_eq!(threads, [(1, address / 64), (2, address / 64)], "{stuck}");
    assert!(stuck.to_string().contains("word that nothing changes 7"), "{stuck}");
    stuck
}

#[test]
fn threads_that_spin_for_ever_end_with_the_limit_of_virtual_time() {
    let limits = Limits { virtual_time: 500 * US, ..Limits::default() };
    let stuck = waits_for_ever(limits, |_| smp_machine::pause(1));
    assert_eq!(stuck.why, Why::VirtualTime(500 * US));
    assert!((500 * US..700 * US).contains(&stuck.at), "{stuck}");
    assert!(stuck.to_string().contains("CPU 1-2: thread 1-2: run"), "{stuck}");

    // And so do those that sleep and look again.
    let stuck = waits_for_ever(limits, |_| thread::sleep(Duration::from_micros(20)));
    assert_eq!(stuck.why, Why::VirtualTime(500 * US));
    assert!(stuck.threads.iter().any(|thread| thread.doing == Doing::Naps), "{stuck}");
}

#[test]
fn threads_that_go_on_for_ever_end_with_the_limit_of_real_time() {
    let limits = Limits { virtual_time: Ps::MAX, real_time: Duration::from_millis(50) };
    let stuck = waits_for_ever(limits, |_| smp_machine::pause(1));
    assert_eq!(stuck.why, Why::RealTime(limits.real_time));
}

#[test]
fn one_thread_that_goes_on_by_itself_ends_with_a_limit() {
    let limits = Limits { virtual_time: 1000 * US, ..Limits::default() };
    let m = machine(1).with_limits(limits);
    let word = m.setup(|| Arc::new(AtomicU64::new(0)));
    let stuck = run(&m, move |_| while word.load(Ordering::Relaxed) == 0 {});
    assert_eq!(stuck.unwrap_err().why, Why::VirtualTime(1000 * US));

    // Its accesses are plain and hit.
    let (value, end) = m.setup(|| (Arc::new(Counter::default()), Arc::new(AtomicU64::new(0))));
    let stuck = run(&m, move |_| {
        // SAFETY: see `Sync`.
        while unsafe { value.value.get().read_volatile() } == 0 {}
        end.store(1, Ordering::Relaxed);
    });
    assert_eq!(stuck.unwrap_err().why, Why::VirtualTime(1000 * US));
}

#[test]
fn a_futex_wakes_up_or_times_out_or_does_not_sleep() {
    let m = machine(2);
    let word = m.setup(|| Arc::new(AtomicU32::new(0)));
    let report = ends(&m, move |me| {
        let address = word.as_ptr() as usize;
        if me == 0 {
            assert!(futex_wait(address, 1, None), "another value");
            assert!(!futex_wait(address, 0, Some(10 * US)), "time is over");
            assert!(now() >= 10 * US);
            while word.load(Ordering::Acquire) == 0 {
                assert!(futex_wait(address, 0, Some(1000 * US)), "woken up");
            }
        } else {
            work(200 * US);
            word.store(1, Ordering::Release);
            assert_eq!(futex_wake(address, 10), 1);
        }
    });
    assert_eq!((report.counts.sleeps, report.counts.wakes), (2, 1));
    assert!(report.per_thread[0].asleep > 150 * US, "{:?}", report.per_thread);
}

#[test]
fn threads_share_a_cpu_by_time_slices() {
    let m = machine(1).with_threads(4);
    let word = m.setup(|| Arc::new(AtomicU32::new(0)));
    let report = ends(&m, move |_| {
        work(10_000 * US);
        word.fetch_add(1, Ordering::Relaxed);
    });
    assert!((40_000 * US..41_000 * US).contains(&report.end), "{}", report.end);
    assert!(report.counts.preemptions >= 8, "{:?}", report.counts);
    for thread in &report.per_thread {
        assert!(thread.busy.abs_diff(10_000 * US) < 100 * US, "{thread:?}");
    }
    assert!(report.per_thread[3].preempted > 20_000 * US, "{:?}", report.per_thread);
}

#[test]
fn a_thread_that_yields_or_sleeps_leaves_its_cpu() {
    let m = machine(1).with_threads(2);
    let order = Arc::new(Mutex::new(Vec::new()));
    let result = Arc::clone(&order);
    let word = m.setup(|| Arc::new(AtomicU32::new(0)));
    let report = ends(&m, move |me| {
        for round in 0..2 {
            word.fetch_add(1, Ordering::Relaxed);
            aside(|| order.lock().push((me, round)));
            thread::yield_now();
        }
        thread::sleep(Duration::from_micros(100));
        aside(|| order.lock().push((me, 2)));
    });
    assert_eq!(*result.lock(), [(0, 0), (1, 0), (0, 1), (1, 1), (0, 2), (1, 2)]);
    assert_eq!((report.counts.yields, report.counts.naps), (4, 2));
    assert!(report.end < 250 * US, "they sleep side by side: {}", report.end);
}

thread_local! {
    static MINE: Cell<usize> = const { Cell::new(0) };
    static LIST: std::cell::RefCell<Vec<usize>> = const { std::cell::RefCell::new(Vec::new()) };
}

#[test]
fn each_thread_has_its_own_thread_locals() {
    let m = machine(8).with_threads(40);
    let shared = m.setup(|| Arc::new(AtomicUsize::new(0)));
    ends(&m, move |me| {
        for _ in 0..20 {
            MINE.set(MINE.get() + me);
            LIST.with_borrow_mut(|l| l.push(me));
            shared.fetch_add(1, Ordering::Relaxed);
            thread::yield_now();
        }
        assert_eq!(MINE.get(), 20 * me);
        LIST.with_borrow(|l| assert_eq!(*l, [me; 20]));
    });
    assert_eq!(MINE.get(), 0);
}

#[test]
fn std_sees_the_machine() {
    let m = machine(48);
    assert_eq!(m.setup(|| thread::available_parallelism().unwrap().get()), 48);
    let ids = Arc::new(Mutex::new(Vec::new()));
    let all = Arc::clone(&ids);
    let word = m.setup(|| Arc::new(AtomicU32::new(0)));
    ends(&m, move |_| {
        word.fetch_add(1, Ordering::Relaxed);
        assert_eq!(thread::available_parallelism().unwrap().get(), 48);
        let (begin, virtual_begin) = (Instant::now(), now());
        thread::sleep(Duration::from_millis(3));
        let slept = begin.elapsed();
        assert!(slept >= Duration::from_millis(3), "{slept:?}");
        let passed = Duration::from_nanos((now() - virtual_begin) / NS);
        assert!(passed.abs_diff(slept) < Duration::from_micros(1), "{passed:?} {slept:?}");
        thread::park_timeout(Duration::from_micros(10));
        let id = thread::current().id();
        aside(|| all.lock().push(id));
    });
    let mut ids = ids.lock().clone();
    ids.sort_by_key(|id| format!("{id:?}"));
    ids.dedup();
    assert_eq!(ids.len(), 48);
}

#[test]
fn simulated_code_starts_and_joins_threads() {
    let m = machine(4).with_threads(1);
    let sum = m.setup(|| Arc::new(AtomicU64::new(0)));
    let result = Arc::clone(&sum);
    let report = ends(&m, move |_| {
        let threads: Vec<_> = (1..=10)
            .map(|n| {
                let sum = Arc::clone(&sum);
                thread::spawn(move || {
                    work(100 * US);
                    sum.fetch_add(n, Ordering::Relaxed)
                })
            })
            .collect();
        for thread in threads {
            assert!(thread.join().unwrap() < 55);
        }
        thread::scope(|s| {
            s.spawn(|| sum.fetch_add(100, Ordering::Relaxed));
        });
        assert_eq!(sum.load(Ordering::Relaxed), 155);
    });
    assert_eq!(result.load(Ordering::Relaxed), 155);
    assert!((250 * US..600 * US).contains(&report.end), "ten on four CPUs: {}", report.end);
}

#[test]
fn randomness_is_of_the_seed() {
    let hashes = [1, 1, 2].map(|seed| {
        let m = machine(1).with_seed(seed);
        let result = Arc::new(AtomicU64::new(0));
        let hash = Arc::clone(&result);
        ends(&m, move |_| {
            let map: HashMap<u32, u32> = HashMap::from([(1, 2)]);
            assert_eq!(map[&1], 2);
            let value = RandomState::new().hash_one(7);
            aside(|| hash.store(value, Ordering::Relaxed));
        });
        result.load(Ordering::Relaxed)
    });
    assert_eq!(hashes[0], hashes[1]);
    assert_ne!(hashes[0], hashes[2]);
}

#[test]
fn a_panic_of_a_thread_is_one_of_the_run() {
    let m = machine(4);
    let word = m.setup(|| Arc::new(AtomicU32::new(0)));
    let result = catch_unwind(AssertUnwindSafe(|| {
        run(&m, move |me| {
            word.fetch_add(1, Ordering::Relaxed);
            assert_ne!(me, 2, "as intended");
        })
    }));
    let panic = result.unwrap_err();
    assert!(panic.downcast_ref::<String>().is_some_and(|m| m.contains("as intended")));
    // And the next run is as any.
    exclusion_after_a_panic();
}

fn exclusion_after_a_panic() {
    let (value, most) = count_under(&machine(4), || Mutex::new(()), |l, f| drop((l.lock(), f())));
    assert_eq!((value, most), (4 * TURNS, 1));
}

#[test]
fn a_pause_instruction_changes_time_and_nothing_else() {
    let m = without_jitter(machine(1));
    let ran = Arc::new(AtomicBool::new(false));
    let done = Arc::clone(&ran);
    ends(&m, move |_| {
        let begin = now();
        let (mut a, mut b, mut c): (u64, u64, u64) = (1, 2, 3);
        let mut x = 4.5_f64;
        for _ in 0..10 {
            // SAFETY: the symbol is the simulator's; it preserves all registers.
            unsafe {
                std::arch::asm!("sub rsp, 8", "call smp_pause_instruction", "add rsp, 8",
                    inout("rax") a, inout("r11") b, inout("rdi") c, inout("xmm7") x);
            }
        }
        assert_eq!((a, b, c, x), (1, 2, 3, 4.5));
        let passed = now() - begin;
        aside(|| {
            assert!(passed.abs_diff(10 * 26 * NS) < NS, "{passed}");
            done.store(true, Ordering::Relaxed);
        });
    });
    assert!(ran.load(Ordering::Relaxed));
}

// In processes of their own.

/// Runs one of the tests below in a process of its own.
fn child(test: &str, variables: &[(&str, String)]) -> Output {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args([test, "--exact", "--ignored", "--nocapture", "--test-threads=1"]);
    command.envs(variables.iter().map(|(k, v)| (*k, v.as_str())));
    command.output().unwrap()
}

#[test]
#[ignore = "it is run in a process of its own"]
fn child_prints_a_report() {
    smp_machine::fix_addresses().unwrap();
    let seed = env::var("SEED").map_or(1, |s| s.parse().unwrap());
    let m = machine(8).with_seed(seed).with_threads(12);
    let lock = m.setup(|| Arc::new(RangeLock::new()));
    let report = ends(&m, move |me| {
        for turn in 0..200 {
            let start = (me as u64 + turn) % 6 * 4096;
            let guard = lock.write(start..start + 8192);
            let boxed: Vec<usize> = vec![me; 100];
            work(100 * NS);
            drop((guard, boxed));
        }
    });
    println!("{report:#?}");
}

/// What it prints, but for the lines of the test's harness.
fn report(variables: &[(&str, String)]) -> String {
    let output = child("child_prints_a_report", variables);
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let start = text.find("Report {").expect("a report");
    let end = text.find("\n}").expect("the report's end");
    text[start..end].to_owned()
}

#[test]
fn the_same_seed_gives_the_same_bytes_whatever_the_environment() {
    let usual = report(&[]);
    assert!(usual.contains("preemptions"), "{usual}");
    for bytes in [1, 100, 5000, 100_000] {
        let other = report(&[("SMP_TEST_PADDING", "x".repeat(bytes))]);
        assert!(usual == other, "with {bytes} bytes more in the environment:\n{usual}\n{other}");
    }
    assert_ne!(usual, report(&[("SEED", "2".into())]));
}

#[test]
#[ignore = "it is run in a process of its own"]
fn child_asks_for_its_parent() {
    let word = Arc::new(AtomicU32::new(0));
    let _ = run(&machine(2), move |_| {
        word.fetch_add(1, Ordering::Relaxed);
        std::hint::black_box(std::os::unix::process::parent_id());
    });
}

#[test]
fn another_system_call_stops_with_its_number() {
    let output = child("child_asks_for_its_parent", &[]);
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(97), "{message}");
    assert!(message.contains("system call 110"), "{message}");
}
