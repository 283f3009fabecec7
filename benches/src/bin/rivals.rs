//! Runs the locks through the workloads, all of them in turn within each round, and reports.

use std::fs::{self, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};

use range_lock_benches::measure::Plan;
use range_lock_benches::placement;
use range_lock_benches::report::{glance, markdown, plot};
use range_lock_benches::sample::{Host, Record, Sample};
use range_lock_benches::workload::{Cell, Contender, Workload, contenders};

/// Compares range-lock with its rivals in all workloads of docs/benchmarks.md. The rivals take
/// turns within each round.
///
/// Prints tables in Markdown.
#[derive(Debug, Parser)]
#[command(max_term_width = 100)]
struct Options {
    /// A look in half a minute: one short sample each, in a table that fits the terminal; judges
    /// nothing
    #[arg(long, conflicts_with_all = ["rounds", "millis", "add", "markdown"])]
    quick: bool,
    /// Rounds; 0 only reports what --add names
    #[arg(long, default_value_t = 9, value_name = "N")]
    rounds: usize,
    /// How long a sample takes, in milliseconds (some workloads take a multiple)
    #[arg(long, default_value_t = 40, value_name = "MS", value_parser = clap::value_parser!(u64).range(1..=60_000))]
    millis: u64,
    /// Only these workloads, by the names in the tables or their beginnings: W3,W4,W5/100
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    only: Vec<String>,
    /// Only these rivals, by the names in the tables
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    rivals: Vec<String>,
    /// Only with these numbers of threads
    #[arg(long, value_delimiter = ',', value_name = "N")]
    threads: Vec<usize>,
    /// W2 to W4, W7 and W8 with these numbers of threads, in place of the usual ones
    #[arg(long, value_delimiter = ',', value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    with_threads: Vec<u16>,
    /// Adds the samples that an earlier run has kept, as further rounds
    #[arg(long, value_name = "FILE")]
    add: Vec<PathBuf>,
    /// Keeps the samples
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Draws plots into this folder
    #[arg(long, value_name = "DIR")]
    svg: Option<PathBuf>,
    /// Writes the tables into this document, between its markers
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
    /// Prints the names of workloads and rivals
    #[arg(long)]
    list: bool,
}

/// The exit code if the input is refused, as in clap.
const BAD_INPUT: u8 = 2;

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("rivals: {message}");
            ExitCode::from(BAD_INPUT)
        }
    }
}

fn run(options: &Options) -> Result<(), String> {
    let cells = cells(options)?;
    let rivals = rivals(options)?;
    if options.list {
        // The reader may have closed the pipe.
        let _ = list(&rivals);
        return Ok(());
    }
    // Before anything is measured, so that a mistake in a name costs no time.
    let runs = || cells.iter().any(|cell| rivals.iter().any(|of| of.why_not(cell.workload).is_none()));
    if options.rounds > 0 && !runs() {
        return Err("nothing is left to run; --list prints the workloads with their numbers of threads, \
                    and the rivals; docs/benchmarks.md says which rival is not put to which workload"
            .to_owned());
    }
    if options.rounds == 0 && options.add.is_empty() {
        return Err("--rounds 0 measures nothing, and no --add names what to report; add one".to_owned());
    }
    let document = options.markdown.as_deref().map(document).transpose()?;
    if let Some(path) = &options.json {
        check(path)?;
    }
    if let Some(folder) = &options.svg {
        fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        check(&folder.join("w2-near.svg"))?;
    }
    let mut record = Record { host: Host::this(), ..Record::default() };
    for path in &options.add {
        record.add(Record::read(path).map_err(|error| format!("{}: {error}", path.display()))?);
    }
    measure(options, &cells, &rivals, &mut record);
    let figures =
        if options.quick { glance::figures(&record, terminal_width()) } else { markdown::figures(&record) };
    let _ = writeln!(io::stdout(), "{figures}"); // The reader may have closed the pipe.
    if let Some(path) = &options.json {
        record.write(path).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    if let Some(folder) = &options.svg {
        draw(&record, folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    }
    if let (Some(path), Some(document)) = (&options.markdown, document) {
        let new =
            markdown::splice(&document, &figures).map_err(|error| format!("{}: {error}", path.display()))?;
        fs::write(path, new).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(())
}

/// A document that has the markers.
fn document(path: &Path) -> Result<String, String> {
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    markdown::splice(&text, "").map_err(|error| format!("{}: {error}", path.display()))?;
    check(path)?;
    Ok(text)
}

/// Refuses a file that could not be written at the end. Leaves no trace.
fn check(path: &Path) -> Result<(), String> {
    let is_new = path.symlink_metadata().is_err();
    let opened = OpenOptions::new().write(true).create(true).truncate(false).open(path);
    opened.map_err(|error| format!("{}: {error}; name a file that can be written", path.display()))?;
    if is_new {
        let _ = fs::remove_file(path);
    }
    Ok(())
}

fn list(rivals: &[Box<dyn Contender>]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for workload in Workload::ALL {
        writeln!(out, "{:16} {:?}", workload.name(), workload.threads())?;
    }
    rivals.iter().try_for_each(|rival| writeln!(out, "{}", rival.name()))
}

/// The cells that the options name. Each name must begin at least one.
fn cells(options: &Options) -> Result<Vec<Cell>, String> {
    let named = |cell: &Cell, wanted: &str| {
        let name = cell.workload.name();
        name.eq_ignore_ascii_case(wanted)
            || name.split_once('/').is_some_and(|(group, _)| group.eq_ignore_ascii_case(wanted))
    };
    let all = match &options.with_threads[..] {
        [] => Cell::all(),
        numbers => Cell::all_with(&numbers.iter().map(|&n| usize::from(n)).collect::<Vec<_>>()),
    };
    if let Some(unknown) = options.only.iter().find(|wanted| !all.iter().any(|cell| named(cell, wanted))) {
        let names: Vec<String> = Workload::ALL.iter().map(|workload| workload.name()).collect();
        return Err(format!("no workload is called '{unknown}'; there are {}", names.join(", ")));
    }
    let wanted = |cell: &Cell| {
        (options.only.is_empty() || options.only.iter().any(|wanted| named(cell, wanted)))
            && (options.threads.is_empty() || options.threads.contains(&cell.threads))
    };
    Ok(all.into_iter().filter(wanted).collect())
}

fn rivals(options: &Options) -> Result<Vec<Box<dyn Contender>>, String> {
    let all = contenders();
    if let Some(unknown) = options.rivals.iter().find(|wanted| !all.iter().any(|of| of.name() == **wanted)) {
        let names: Vec<&str> = all.iter().map(|rival| rival.name()).collect();
        return Err(format!("no rival is called '{unknown}'; there are: {}", names.join(", ")));
    }
    let wanted = |name: &str| options.rivals.is_empty() || options.rivals.iter().any(|wanted| wanted == name);
    Ok(all.into_iter().filter(|rival| wanted(rival.name())).collect())
}

/// Every cell with every rival, in turn within each round. Another rival comes first in each round.
fn measure(options: &Options, cells: &[Cell], rivals: &[Box<dyn Contender>], record: &mut Record) {
    let (rounds, millis) = if options.quick { (1, 5) } else { (options.rounds, options.millis) };
    if rounds == 0 {
        return;
    }
    let plan = Plan { warm_up: Duration::from_millis(millis / 8), duration: Duration::from_millis(millis) };
    record.millis = millis;
    // Before there are threads, which keep memory for themselves.
    record.footprints = rivals.iter().filter_map(|rival| rival.footprint()).collect();
    let can = |cell: Cell| rivals.iter().filter(move |rival| rival.why_not(cell.workload).is_none());
    let per_round: usize = cells.iter().map(|&cell| can(cell).count()).sum();
    let progress = progress(rounds * per_round);
    let first = record.next_round();
    let mut before = placement::hand_over_ns();
    for round in first..first + rounds {
        for &cell in cells {
            let count = can(cell).count().max(1);
            for rival in can(cell).cycle().skip(round % count).take(can(cell).count()) {
                progress.set_message(format!("{}, {}", cell.workload.name(), rival.name()));
                let outcome = rival.run(cell, plan);
                let after = placement::hand_over_ns();
                record.samples.push(Sample {
                    workload: cell.workload.name(),
                    threads: cell.threads,
                    rival: rival.name().to_owned(),
                    round,
                    hand_over_ns: before.zip(after).map(|(before, after)| [before, after]),
                    ops_per_s: outcome.ops_per_s(),
                    fairness: outcome.fairness(),
                    wait_us: outcome.waits,
                });
                before = after;
                progress.inc(1);
            }
        }
    }
    progress.finish_and_clear();
}

fn terminal_width() -> usize {
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok();
    size.map(|size| usize::from(size.ws_col)).filter(|&width| width > 0).unwrap_or(glance::WIDTH)
}

/// A bar on a terminal, drawn only when samples come in: a thread that redraws it would run beside
/// the threads under test.
fn progress(total: usize) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:24.green} {percent:>3}%  {eta} left  {wide_msg:.dim}");
    ProgressBar::new(total as u64).with_style(style.expect("the template is a constant"))
}

fn draw(record: &Record, folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    for (name, svg) in plot::all(record).map_err(|error| io::Error::other(error.to_string()))? {
        fs::write(folder.join(name), svg)?;
    }
    Ok(())
}
