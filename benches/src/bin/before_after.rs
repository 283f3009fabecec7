//! Runs the programs of two versions in turns, and judges the new one. The script
//! `benches/before-after` builds the programs.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use clap::{Parser, ValueEnum};
use comfy_table::Table;
use comfy_table::presets::ASCII_MARKDOWN;

use range_lock_benches::before_after::{self as compared, Compared, LOCKS, Row, Run, Verdict};
use range_lock_benches::placement;
use range_lock_benches::sample::Record;

/// Runs two programs in turns and compares their figures.
#[derive(Debug, Parser)]
struct Options {
    /// What the two programs are
    #[arg(long, value_enum)]
    what: What,
    /// Runs of each program
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=1000))]
    runs: u16,
    /// Rounds in each run of `rivals`
    #[arg(long, default_value_t = 3)]
    rounds: u16,
    /// More arguments for both programs, split at spaces
    #[arg(long, default_value = "", allow_hyphen_values = true)]
    with: String,
    /// Keeps all rows as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Prints all rows, not only those that are worse or have moved
    #[arg(long)]
    all: bool,
    /// Folder for files that are not kept
    #[arg(long, value_name = "DIR")]
    scratch: PathBuf,
    /// The old program, or with `--what instructions` what the old benchmark printed
    old: PathBuf,
    /// The new one
    new: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
enum What {
    /// The comparison with rivals
    Rivals,
    /// `dax-sim`
    DaxSim,
    /// The benchmark `simulator_overhead`
    Overhead,
    /// The output of the benchmark `instructions`
    Instructions,
}

/// How many instructions the fast path may gain.
const FREE: u64 = 2;

/// The workloads that `dax-sim` runs in one process. Each run is so short that the CPUs seldom
/// change their distance meanwhile.
const DAX_SIM_WORKLOADS: [&str; 4] = ["write-disjoint", "write-shared", "fault-vs-write", "read-mostly"];
const DAX_SIM_MEDIA_US: [&str; 2] = ["0", "50"];
const DAX_SIM_SAMPLE: [&str; 4] = ["--rounds", "1", "--duration-ms", "60"];

fn main() -> ExitCode {
    let options = Options::parse();
    let worse = match options.what {
        What::Instructions => instructions(&options),
        _ => in_turns(&options),
    };
    match worse {
        Ok(false) => ExitCode::SUCCESS,
        Ok(true) => ExitCode::from(1),
        Err(message) => {
            eprintln!("before-after: {message}");
            ExitCode::from(2)
        }
    }
}

/// Whether any row is worse.
fn in_turns(options: &Options) -> Result<bool, String> {
    let (mut old, mut new) = (Vec::new(), Vec::new());
    for i in 0..options.runs {
        eprintln!("before-after: pair {} of {}", i + 1, options.runs);
        let (mut of_old, mut of_new) = (Run::new(), Run::new());
        for part in parts(options.what) {
            // Each version begins as often as the other.
            if i % 2 == 0 {
                of_old.extend(run(options, &options.old, &part)?);
                of_new.extend(run(options, &options.new, &part)?);
            } else {
                of_new.extend(run(options, &options.new, &part)?);
                of_old.extend(run(options, &options.old, &part)?);
            }
        }
        old.push(of_old);
        new.push(of_new);
    }
    let rows = compared::compare(&old, &new, placement::cpus().len());
    if rows.is_empty() {
        return Err("no row has a value in both programs in the same state of the CPUs".to_owned());
    }
    if let Some(path) = &options.json {
        let text = serde_json::to_vec_pretty(&rows).map_err(|error| error.to_string())?;
        fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    print(&rows, options.all);
    Ok(rows.iter().any(|row| row.verdict == Verdict::Worse))
}

/// The arguments of each process of one run.
fn parts(what: What) -> Vec<Vec<&'static str>> {
    if what != What::DaxSim {
        return vec![Vec::new()];
    }
    let of = |workload| {
        DAX_SIM_MEDIA_US.map(|us| {
            let part = ["--workloads", workload, "--media-us", us];
            [&part[..], &DAX_SIM_SAMPLE].concat()
        })
    };
    DAX_SIM_WORKLOADS.iter().copied().flat_map(of).collect()
}

fn run(options: &Options, program: &Path, part: &[&str]) -> Result<Run, String> {
    let file = options.scratch.join("run.json");
    let mut command = Command::new(program);
    match options.what {
        What::Rivals => {
            let rounds = options.rounds.to_string();
            command.args(["--rounds", &rounds, "--threads", "1,2", "--rivals", &LOCKS.join(",")]);
            command.arg("--json").arg(&file);
        }
        What::DaxSim => {
            command.args(["compare", "--no-checks", "--threads", "1,2", "--json"]).arg(&file);
            command.arg("--output").arg(options.scratch.join("page"));
        }
        // Criterion runs only benchmarks with this in their names, so none. The tables, which are
        // printed before, are enough.
        What::Overhead | What::Instructions => _ = command.args(["--bench", "tables-only"]),
    }
    command
        .args(part)
        .args(options.with.split_whitespace())
        .current_dir(&options.scratch)
        .stderr(Stdio::inherit());
    let before = placement::hand_over_ns();
    let output = command.output().map_err(|error| format!("{}: {error}", program.display()))?;
    let state = compared::state(before, placement::hand_over_ns());
    if !output.status.success() {
        return Err(format!("{}: {}", program.display(), output.status));
    }
    let unreadable = |error: &dyn std::fmt::Display| format!("{}: {error}", file.display());
    match options.what {
        What::Rivals => {
            Record::read(&file).map(|record| compared::of_rivals(&record)).map_err(|e| unreadable(&e))
        }
        What::DaxSim => {
            let text = fs::read(&file).map_err(|error| unreadable(&error))?;
            let document = serde_json::from_slice(&text).map_err(|error| unreadable(&error))?;
            compared::of_dax_sim(&document, state).ok_or_else(|| unreadable(&"results are missing"))
        }
        What::Overhead | What::Instructions => {
            Ok(compared::of_overhead(&String::from_utf8_lossy(&output.stdout), state))
        }
    }
}

/// A row is worth reading if it is worse, or if its interval does not hold 1.
fn print(rows: &[Compared], all: bool) {
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN).set_header([
        "workload", "of", "threads", "CPUs", "measure", "new/old", "95 %", "pairs", "floor", "",
    ]);
    let moved = |row: &&Compared| {
        all || row.verdict == Verdict::Worse || row.interval[0] > 1.0 || row.interval[1] < 1.0
    };
    for Compared { row, pairs, ratio, interval: [from, to], floor, verdict } in rows.iter().filter(moved) {
        let Row { workload, subject, threads, state, measure } = row;
        let verdict = match verdict {
            Verdict::NotWorse => "not worse",
            Verdict::Worse => "WORSE",
            Verdict::NotJudged => "not judged",
        };
        table.add_row([
            workload.clone(),
            subject.clone(),
            threads.to_string(),
            (*state).to_owned(),
            (*measure).to_owned(),
            format!("{ratio:.3}"),
            format!("{from:.3}-{to:.3}"),
            pairs.to_string(),
            format!("{floor:.2}"),
            verdict.to_owned(),
        ]);
    }
    let count = |verdict| rows.iter().filter(|row| row.verdict == verdict).count();
    let mut states: BTreeMap<&str, usize> = BTreeMap::new();
    rows.iter().for_each(|row| *states.entry(row.row.state).or_default() += 1);
    let states: Vec<String> = states.iter().map(|(state, rows)| format!("{rows} {state}")).collect();
    let hidden = rows.len() - rows.iter().filter(moved).count();
    let _ = writeln!(
        io::stdout(),
        "{table}\n\n{} rows ({}): {} not worse, {} worse, {} not judged. {hidden} rows whose interval holds 1 are not \
         shown.",
        rows.len(),
        states.join(", "),
        count(Verdict::NotWorse),
        count(Verdict::Worse),
        count(Verdict::NotJudged),
    );
}

/// Whether any fast path of the range lock has gained more than [`FREE`] instructions.
fn instructions(options: &Options) -> Result<bool, String> {
    let read = |path: &Path| {
        let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let mut counts = compared::instructions(&text);
        counts.retain(|name, _| !name.starts_with("rwsem"));
        if counts.is_empty() { Err(format!("{}: no counts in it", path.display())) } else { Ok(counts) }
    };
    let (old, new) = (read(&options.old)?, read(&options.new)?);
    let mut any = false;
    for (name, before) in &old {
        let Some(after) = new.get(name) else { return Err(format!("the new commit does not count {name}")) };
        let worse = *after > before + FREE;
        any |= worse;
        let verdict = if worse { "WORSE" } else { "not worse" };
        let _ = writeln!(io::stdout(), "{name:<14} {before:>5} -> {after:>5} instructions  {verdict}");
    }
    Ok(any)
}
