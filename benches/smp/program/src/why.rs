//! `smp why`: explains the speed of a lock: which lines were fetched, by which functions, and which
//! threads waited.

use std::collections::HashMap;

use clap::Args;
use smp_machine::{LineReport, Ps, Report, ThreadReport, US};
use smp_workloads::{Outcome, Point, Ran, locks};

use crate::plan::Effort;
use crate::point::{MachineOptions, fix_addresses, ran};
use crate::symbols::Symbols;
use crate::table::{align, digits, new_table};
use crate::{Error, names};

/// The arguments of `smp why`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The lock
    lock: String,
    /// The workload
    workload: String,
    /// CPUs
    cpus: usize,
    /// Number of threads [default: as many as CPUs]
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    #[command(flatten)]
    machine: MachineOptions,
    /// How long to run
    #[arg(long, value_enum, default_value = "long")]
    effort: Effort,
    /// Rows of each table
    #[arg(long, default_value_t = 12, value_name = "N")]
    rows: usize,
}

pub(crate) fn run(options: &Options) -> Result<(), Error> {
    let lock = names::lock(&options.lock)?;
    let workload = names::workload(&options.workload)?;
    let cpus = names::cpus(options.cpus)?;
    let threads = names::threads(options.threads.unwrap_or(cpus))?;
    let machine = options.machine.machine()?.with_cpus(cpus).with_threads(threads);
    let plan = options.effort.plan(workload, false);
    let point = Point { lock: lock.to_owned(), workload, machine, plan };
    fix_addresses()?;
    let Ran { outcome, report } = ran(&point)?;
    let notes = locks().into_iter().find(|info| info.name == lock).map_or(&[][..], |info| info.notes);
    let title = format!("{lock}, {}, {cpus} CPUs, {threads} threads", workload.name());
    print(&title, &outcome, &report, notes, options.rows);
    Ok(())
}

/// Prints all tables.
pub(crate) fn print(title: &str, outcome: &Outcome, report: &Report, notes: &[&'static str], rows: usize) {
    let mut symbols = Symbols::default();
    println!("{title}: {} M operations a second", digits(outcome.mops()));
    println!(
        "slowest thread to fastest {}, longest wait {} µs; figures below are of the whole run\n",
        digits(outcome.slowest_to_fastest()),
        digits(us(outcome.longest_wait))
    );
    println!("Where the time of the threads went\n{}\n", times(report));
    println!("What was waited for\n{}\n", kinds(report, outcome, rows, &mut symbols));
    println!("The lines that were waited for most\n{}\n", lines(report, outcome, rows, &mut symbols));
    println!("The functions that fetched lines\n{}\n", functions(report, rows, &mut symbols));
    println!("How often\n{}", counts(report, outcome, notes));
}

fn us(ps: Ps) -> f64 {
    ps as f64 / US as f64
}

fn percent(part: Ps, whole: Ps) -> String {
    format!("{} %", digits(100.0 * part as f64 / whole.max(1) as f64))
}

fn each(n: u64, ops: u64) -> String {
    digits(n as f64 / ops.max(1) as f64)
}

/// What lies in a line. Memory without a name is named after the crate that fetches it most.
fn what(line: &LineReport, symbols: &mut Symbols) -> String {
    if line.what.is_empty() {
        return match line.by_function.first() {
            Some(&(pc, _)) => format!("other memory of {}", symbols.package(pc)),
            None => "other memory".to_owned(),
        };
    }
    let mut kinds: Vec<(&str, usize)> = Vec::new();
    for &(what, _) in &line.what {
        match kinds.iter_mut().find(|kind| kind.0 == what) {
            Some(kind) => kind.1 += 1,
            None => kinds.push((what, 1)),
        }
    }
    let text = |(kind, n)| if n == 1 { str::to_owned(kind) } else { format!("several of: {kind}") };
    kinds.into_iter().map(text).collect::<Vec<_>>().join(" + ")
}

/// What lies in a line, with its numbers.
fn which(line: &LineReport, symbols: &mut Symbols) -> String {
    if line.what.is_empty() {
        return format!("{} at {:#x}", what(line, symbols), line.address);
    }
    line.what.iter().map(|(what, n)| format!("{what} {n}")).collect::<Vec<_>>().join(" + ")
}

fn times(report: &Report) -> String {
    type Part = (&'static str, fn(&ThreadReport) -> Ps);
    const PARTS: [Part; 4] = [
        ("running", |t| t.busy),
        ("waiting for lines", |t| t.waiting_for_lines),
        ("asleep", |t| t.asleep),
        ("waiting for a CPU", |t| t.preempted),
    ];
    let of_all = |part: fn(&ThreadReport) -> Ps| report.per_thread.iter().map(part).sum::<Ps>();
    let whole: Ps = PARTS.iter().map(|part| of_all(part.1)).sum();
    let mut table = new_table();
    table.set_header(["", "of all", "least of a thread, µs", "most of a thread, µs"]);
    for (name, part) in PARTS {
        let each = || report.per_thread.iter().map(part);
        let (least, most) = (each().min().unwrap_or(0), each().max().unwrap_or(0));
        table.add_row([name.to_owned(), percent(of_all(part), whole), digits(us(least)), digits(us(most))]);
    }
    align(&mut table);
    table.to_string()
}

#[derive(Default)]
struct Kind {
    lines: u64,
    misses: u64,
    locked: u64,
    waited: Ps,
    most: Ps,
}

fn kinds(report: &Report, outcome: &Outcome, rows: usize, symbols: &mut Symbols) -> String {
    let mut kinds: HashMap<String, Kind> = HashMap::new();
    for line in &report.lines {
        let kind = kinds.entry(what(line, symbols)).or_default();
        kind.lines += 1;
        kind.misses += line.misses;
        kind.locked += line.locked;
        kind.waited += line.waited;
        kind.most = kind.most.max(line.waited);
    }
    let whole: Ps = report.lines.iter().map(|line| line.waited).sum();
    let mut kinds: Vec<_> = kinds.into_iter().collect();
    kinds.sort_by(|a, b| b.1.waited.cmp(&a.1.waited).then_with(|| a.0.cmp(&b.0)));
    let mut table = new_table();
    table.set_header([
        "what",
        "lines",
        "fetches",
        "an operation",
        "locked",
        "of all waits",
        "one line at most",
    ]);
    for (name, kind) in kinds.into_iter().take(rows) {
        table.add_row([
            name,
            kind.lines.to_string(),
            kind.misses.to_string(),
            each(kind.misses, outcome.all_ops),
            kind.locked.to_string(),
            percent(kind.waited, whole),
            percent(kind.most, whole),
        ]);
    }
    align(&mut table);
    table.to_string()
}

fn lines(report: &Report, outcome: &Outcome, rows: usize, symbols: &mut Symbols) -> String {
    let whole: Ps = report.lines.iter().map(|line| line.waited).sum();
    let mut table = new_table();
    table.set_header(["of all waits", "fetches", "an operation", "what", "by"]);
    for line in report.lines.iter().take(rows) {
        let by = by_name(line, symbols);
        let functions: Vec<String> = by.iter().take(3).map(|(name, n)| format!("{name} ({n})")).collect();
        table.add_row([
            percent(line.waited, whole),
            line.misses.to_string(),
            each(line.misses, outcome.all_ops),
            which(line, symbols),
            functions.join(", "),
        ]);
    }
    table.to_string()
}

/// Misses of a line by function, most first.
fn by_name(line: &LineReport, symbols: &mut Symbols) -> Vec<(String, u64)> {
    let mut by: HashMap<String, u64> = HashMap::new();
    for &(pc, misses) in &line.by_function {
        *by.entry(symbols.name(pc)).or_default() += misses;
    }
    sorted(by)
}

fn sorted(by: HashMap<String, u64>) -> Vec<(String, u64)> {
    let mut by: Vec<_> = by.into_iter().collect();
    by.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    by
}

fn functions(report: &Report, rows: usize, symbols: &mut Symbols) -> String {
    let mut by: HashMap<String, u64> = HashMap::new();
    let mut of: HashMap<String, HashMap<String, u64>> = HashMap::new();
    for line in &report.lines {
        for (name, misses) in by_name(line, symbols) {
            *by.entry(name.clone()).or_default() += misses;
            *of.entry(name).or_default().entry(what(line, symbols)).or_default() += misses;
        }
    }
    let whole: u64 = by.values().sum();
    let mut table = new_table();
    table.set_header(["fetches", "of all", "function", "of what"]);
    for (name, misses) in sorted(by).into_iter().take(rows) {
        let of = sorted(of.remove(&name).unwrap_or_default());
        let of: Vec<String> = of.into_iter().take(3).map(|(what, n)| format!("{what} ({n})")).collect();
        table.add_row([misses.to_string(), percent(misses, whole), name, of.join(", ")]);
    }
    table.to_string()
}

fn counts(report: &Report, outcome: &Outcome, notes: &[&'static str]) -> String {
    let counts = &report.counts;
    let mut rows = vec![
        ("operations", outcome.all_ops),
        ("accesses", counts.accesses),
        ("fetches of lines", counts.misses),
        ("sleeps in a futex", counts.sleeps),
        ("wake-ups", counts.wakes),
        ("naps", counts.naps),
        ("yields", counts.yields),
        ("preemptions", counts.preemptions),
    ];
    rows.extend(notes.iter().copied().zip(counts.notes));
    let mut table = new_table();
    table.set_header(["", "times", "an operation"]);
    for (name, n) in rows {
        table.add_row([name.to_owned(), n.to_string(), each(n, outcome.all_ops)]);
    }
    align(&mut table);
    table.to_string()
}
