//! Runs locks on a simulated machine of 1 to 256 CPUs, and reports.

mod check;
mod costs;
mod dax;
#[path = "../../../src/report/digits.rs"]
#[expect(unreachable_pub, reason = "it is public in the benchmarks")]
mod digits;
mod html;
mod job;
mod names;
mod plan;
mod plot;
mod point;
mod record;
mod sweep;
mod symbols;
mod table;
mod validate;
mod why;

use std::io;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Runs locks on a simulated machine of 1 to 256 CPUs, and reports.
#[derive(Debug, Parser)]
#[command(name = "smp", max_term_width = 100)]
struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs locks through workloads at several numbers of CPUs: table, plots, page, JSON
    Sweep(sweep::Options),
    /// Explains the speed of a lock: lines, functions, waits
    Why(why::Options),
    /// Checks exclusion and the order of grants of all locks
    Check(check::Options),
    /// Runs one point in this process and prints it as a line of JSON
    Point(point::Options),
    /// Compares simulated rates with measured ones, near and far, and judges them
    Validate(validate::Options),
    /// Measures the cost of steps on this machine, as costs of the simulated one
    Costs(costs::Options),
    /// Runs dax-sim's variants through workloads at several numbers of CPUs: table, plots, page,
    /// JSON
    Dax(dax::Options),
    /// Runs one point of dax-sim in this process and prints it as a line of JSON
    DaxPoint(dax::PointOptions),
    /// Explains the speed of a variant of dax-sim: lines, functions, waits
    DaxWhy(dax::WhyOptions),
    /// Lists locks, workloads and topologies
    List,
}

/// The exit code if the arguments are wrong, as in clap.
const BAD_INPUT: u8 = 2;

/// Why the program ends without a result.
#[derive(Debug)]
enum Error {
    /// The arguments are wrong: one line, with the remedy.
    Input(String),
    /// Something else failed.
    Run(String),
}

fn main() -> ExitCode {
    let options = Options::parse();
    let result = match &options.command {
        Command::Sweep(options) => sweep::run(options),
        Command::Why(options) => why::run(options),
        Command::Check(options) => check::run(options),
        Command::Point(options) => point::run(options),
        Command::Validate(options) => validate::run(options),
        Command::Costs(options) => costs::run(options),
        Command::Dax(options) => dax::run(options),
        Command::DaxWhy(options) => dax::why(options),
        Command::DaxPoint(options) => dax::run_point(options),
        Command::List => match names::list(&mut io::stdout()) {
            // `smp list | head`: the reader has seen enough.
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Error::Run(error.to_string())),
            _ => Ok(()),
        },
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(Error::Input(message)) => {
            eprintln!("smp: {message}");
            ExitCode::from(BAD_INPUT)
        }
        Err(Error::Run(message)) => {
            eprintln!("smp: {message}");
            ExitCode::FAILURE
        }
    }
}
