//! Why a lock is as fast as it is: which lines were fetched, by which functions, and who waited.

use std::collections::HashMap;
use std::ffi::c_void;

use clap::Args;
use smp_machine::{LineReport, Ps, Report, ThreadReport, US};
use smp_workloads::{Outcome, Point, Ran};

use crate::plan::Effort;
use crate::point::{MachineOptions, fix_addresses, ran};
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
    /// Threads: as many as CPUs, unless given
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    #[command(flatten)]
    machine: MachineOptions,
    /// How long to run
    #[arg(long, value_enum, default_value = "standard")]
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
    let mut symbols = Symbols::default();
    println!(
        "{lock}, {}, {cpus} CPUs, {threads} threads: {} M operations a second",
        workload.name(),
        digits(outcome.mops())
    );
    println!(
        "slowest thread to fastest {}, longest wait {} µs; figures below are of the whole run\n",
        digits(outcome.slowest_to_fastest()),
        digits(us(outcome.longest_wait))
    );
    println!("Where the time of the threads went\n{}\n", times(&report));
    println!("What was waited for\n{}\n", kinds(&report, &outcome, options.rows, &mut symbols));
    println!(
        "The lines that were waited for most\n{}\n",
        lines(&report, &outcome, options.rows, &mut symbols)
    );
    println!("The functions that fetched lines\n{}\n", functions(&report, options.rows, &mut symbols));
    println!("How often\n{}", counts(&report, &outcome));
    Ok(())
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

/// What lies in a line. What has no name is called by the crate that fetches it most.
fn what(line: &LineReport, symbols: &mut Symbols) -> String {
    match (line.what, line.by_function.first()) {
        (Some((what, _)), _) => what.to_owned(),
        (None, Some(&(pc, _))) => format!("other memory of {}", symbols.package(pc)),
        (None, None) => "other memory".to_owned(),
    }
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
        let what = match line.what {
            Some((what, n)) => format!("{what} {n}"),
            None => format!("{} at {:#x}", self::what(line, symbols), line.address),
        };
        table.add_row([
            percent(line.waited, whole),
            line.misses.to_string(),
            each(line.misses, outcome.all_ops),
            what,
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

fn counts(report: &Report, outcome: &Outcome) -> String {
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
    if let Some((cuts, joins)) = outcome.changes {
        rows.extend([("cuts of a leaf", cuts), ("joins of leaves", joins)]);
    }
    let mut table = new_table();
    table.set_header(["", "times", "an operation"]);
    for (name, n) in rows {
        table.add_row([name.to_owned(), n.to_string(), each(n, outcome.all_ops)]);
    }
    align(&mut table);
    table.to_string()
}

/// Functions by addresses of instructions.
#[derive(Default)]
struct Symbols(HashMap<u64, Function>);

#[derive(Clone, Default)]
struct Function {
    package: String,
    file: String,
    name: String,
}

impl Symbols {
    /// Where the access of this return address was made: file and function.
    fn name(&mut self, pc: u64) -> String {
        let Function { package, file, name } = self.function(pc);
        format!("{package} {file} {name}")
    }

    /// The crate of that function.
    fn package(&mut self, pc: u64) -> String {
        self.function(pc).package.clone()
    }

    fn function(&mut self, pc: u64) -> &Function {
        self.0.entry(pc).or_insert_with(|| Self::find(pc))
    }

    /// The innermost function that is not of the standard library, with the outermost one of the
    /// same crate that it was inlined into. The debug information has only the last parts of names
    /// of functions that were inlined, so the file tells where they are.
    fn find(pc: u64) -> Function {
        let mut frames: Vec<Function> = Vec::new();
        // The instruction before the return address made the access.
        backtrace::resolve((pc - 1) as *mut c_void, |symbol| {
            let name = symbol.name().map_or(String::new(), |name| shortened(&format!("{name:#}")));
            let path = symbol.filename().map_or(String::new(), |path| path.display().to_string());
            frames.push(Function { package: package(&path), file: file(&path), name });
        });
        let Some(inner) = frames.iter().find(|frame| !frame.package.is_empty()).or(frames.first()) else {
            return Function { name: format!("{pc:#x}"), ..Function::default() };
        };
        let outer = frames.iter().rfind(|frame| frame.package == inner.package).unwrap_or(inner);
        let name = match outer.name == inner.name {
            true => inner.name.clone(),
            false => format!("{} > {} {}", outer.name, inner.file, inner.name),
        };
        Function { package: inner.package.clone(), file: outer.file.clone(), name }
    }
}

/// The directory above `src`, without a version; nothing for the standard library.
fn package(path: &str) -> String {
    let Some((before, _)) = path.rsplit_once("/src/") else { return String::new() };
    if path.contains("/library/") {
        return String::new();
    }
    let name = before.rsplit('/').next().unwrap_or_default();
    match name.rsplit_once('-') {
        Some((name, version)) if version.starts_with(|c: char| c.is_ascii_digit()) => name.to_owned(),
        _ => name.to_owned(),
    }
}

/// The path below `src`.
fn file(path: &str) -> String {
    path.rsplit_once("/src/").map_or(path, |(_, below)| below).to_owned()
}

/// The last part of a name, without generic arguments.
fn shortened(name: &str) -> String {
    let mut depth = 0;
    let mut plain = String::new();
    for c in name.chars() {
        match c {
            '<' => depth += 1,
            '>' if depth > 0 => depth -= 1,
            _ if depth == 0 => plain.push(c),
            _ => {}
        }
    }
    let closure = if plain.ends_with("}") { 2 } else { 1 };
    let parts: Vec<&str> = plain.split("::").filter(|part| !part.is_empty()).collect();
    parts[parts.len().saturating_sub(closure)..].join("::")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short() {
        assert_eq!(shortened("range_lock::partition::table::Table::insert"), "insert");
        assert_eq!(shortened("<a::B<c::D> as e::F>::g"), "g");
        assert_eq!(shortened("a::b::{closure#0}"), "b::{closure#0}");
        assert_eq!(shortened("replace<*const a::B>"), "replace");
    }

    #[test]
    fn paths_name_crate_and_file() {
        assert_eq!(package("/x/registry/src/i/parking_lot_core-0.9.12/src/word_lock.rs"), "parking_lot_core");
        assert_eq!(package("/x/range-lock/src/leaf/entry.rs"), "range-lock");
        assert_eq!(file("/x/range-lock/src/leaf/entry.rs"), "leaf/entry.rs");
        assert_eq!(package("/rustc/5980/library/core/src/cell.rs"), "");
    }
}
