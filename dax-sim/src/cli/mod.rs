//! The command line: parsing, dispatch, and reports of failures. It uses all modules.

mod compare;
mod completions;
mod doctor;
mod input;
mod interrupt;
mod kernel;
mod locks;
mod output;
mod progress;
mod race;
mod replay;
mod signal;
mod value;

use std::ffi::OsString;
use std::fmt::Display;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, Subcommand};

use crate::report::provenance::VERSION;
use crate::text::{nearest, with_words_cut};

/// The arguments were refused before anything ran.
const REFUSED: u8 = 2;
/// The run began, and could not be completed.
const BROKEN: u8 = 1;
/// What shells add to the number of a signal that ended a command.
const SIGNALLED: u8 = 128;

/// Compares a global rwsem with a range lock on a memory-mapped file.
///
/// Without a subcommand this is `dax-sim compare`.
#[derive(Parser, Debug)]
#[command(name = "dax-sim", version = VERSION, args_conflicts_with_subcommands = true, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,

    #[command(flatten)]
    compare: compare::CompareOptions,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Compare the variants: throughput, waiting, stale reads (the default)
    Compare(compare::CompareOptions),
    /// Try every order of the steps of a few operations, and print the shortest that goes wrong
    Race(race::RaceOptions),
    /// Replay a log of operations on one file, as fsx records them, and print the file's final size
    /// and SHA-256
    Replay(replay::ReplayOptions),
    /// Report what a folder or file can do: DAX, MAP_SYNC, the size of faults, bad blocks, and more
    Doctor(doctor::DoctorOptions),
    /// Measure the kernel's own write(2), and stores under locks, on a file of yours
    Kernel(kernel::KernelOptions),
    /// Print a completion script for a shell
    Completions(completions::CompletionOptions),
}

/// Why the program ends without a result.
#[derive(Debug)]
struct Failure {
    code: u8,
    /// Whole lines, as the user sees them.
    message: String,
}

impl Failure {
    /// Nothing has run, and no file of the user's was touched.
    fn refused(message: impl Display) -> Failure {
        Failure { code: REFUSED, message: format!("error: {}", one_line(message)) }
    }

    /// A signal asked the program to end.
    fn interrupted(signal: u8, outcome: impl Display) -> Failure {
        Failure { code: SIGNALLED + signal, message: format!("interrupted; {outcome}") }
    }

    /// Something failed during the run.
    fn broken(message: impl Display) -> Failure {
        Failure { code: BROKEN, message: format!("error: {}", one_line(message)) }
    }

    /// A line of an input is wrong. The message has the form of compilers, so that an editor finds
    /// the place.
    fn at_line(path: &Path, number: u64, message: impl Display) -> Failure {
        let place = one_line(path.display());
        Failure { code: REFUSED, message: format!("{place}:{number}: {}", one_line(message)) }
    }
}

/// The message without line ends and other control characters, which names of files may have.
fn one_line(message: impl Display) -> String {
    let escaped = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    message.to_string().chars().map(escaped).collect()
}

/// Runs the program on the process's arguments.
///
/// The exit code is:
///
/// * 0 after a complete run;
/// * 2 if the program refused the arguments or an input file;
/// * 1 if another failure ended the run after its begin, or if the run had a result that the
///   program does not expect, such as a stale read in a coherent variant;
/// * 128 plus the number of the signal if a signal ended the run (129 for SIGHUP, 130 for SIGINT,
///   143 for SIGTERM);
/// * 74 if the mapped file failed (see `signal`).
pub fn run() -> ExitCode {
    signal::outlive_file_size_limit();
    let cli = match Cli::try_parse_from(arguments()) {
        Ok(cli) => cli,
        Err(error) => return answer_unparsed(&error),
    };
    let result = match cli.command {
        Some(Command::Compare(options)) => compare::run(&options),
        Some(Command::Race(options)) => race::run(&options),
        Some(Command::Replay(options)) => replay::run(&options),
        Some(Command::Doctor(options)) => doctor::run(&options),
        Some(Command::Kernel(options)) => kernel::run(&options),
        Some(Command::Completions(options)) => completions::run(&options),
        None => compare::run(&cli.compare),
    };
    result.unwrap_or_else(|failure| {
        complain(&failure.message);
        ExitCode::from(failure.code)
    })
}

/// Prints help and version, or an error. An error comes without the usage, which would hide the
/// line that says what is wrong.
fn answer_unparsed(error: &clap::Error) -> ExitCode {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        return match written(error.print().and_then(|()| io::stdout().flush())) {
            Ok(code) => code,
            Err(failure) => {
                complain(&failure.message);
                ExitCode::from(failure.code)
            }
        };
    }
    let text = error.to_string();
    let reason: Vec<String> = text
        .lines()
        .take_while(|line| !line.starts_with("Usage:"))
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with("For more information"))
        .map(with_words_cut)
        .collect();
    // A value may have any number of lines of its own.
    let reason = reason.join(if reason.len() <= 5 { "\n" } else { " " });
    let reason = reason.strip_prefix("error: ").unwrap_or(&reason);
    let meant = match meant_command() {
        Some(name) if !reason.contains("similar") => format!("\ndid you mean `dax-sim {name}`?"),
        _ => String::new(),
    };
    complain(format_args!("error: {reason}{meant}\nsee `dax-sim {}--help`", named_command()));
    ExitCode::from(REFUSED)
}

/// The process's arguments; `help --help` is taken as `help`.
fn arguments() -> Vec<OsString> {
    let mut arguments: Vec<OsString> = std::env::args_os().collect();
    let is = |at: usize, names: &[&str]| {
        arguments.get(at).is_some_and(|word| names.iter().any(|name| word == name))
    };
    if is(1, &["help"]) && is(2, &["--help", "-h"]) {
        arguments.truncate(2);
    }
    arguments
}

/// The command that the arguments name, if any, and a blank: each command has its options in its
/// own help.
fn named_command() -> String {
    let command = Cli::command();
    let named = std::env::args_os().skip(1).find_map(|word| {
        let found = command.find_subcommand(word.to_str()?)?;
        Some(found.get_name().to_owned())
    });
    named.map_or_else(String::new, |name| format!("{name} "))
}

/// The command that an unknown first word may have meant.
fn meant_command() -> Option<String> {
    let command = Cli::command();
    let first = std::env::args_os().nth(1)?;
    let first = first.to_str().filter(|first| !first.starts_with('-'))?;
    let names: Vec<&str> = command.get_subcommands().map(clap::Command::get_name).collect();
    nearest(first, &names).filter(|name| *name != first).map(str::to_owned)
}

/// Prints a report on standard output, when everything else is done.
fn answer(text: &str) -> Result<ExitCode, Failure> {
    let mut stdout = io::stdout().lock();
    written(stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()))
}

/// The exit code after a write to standard output.
fn written(result: io::Result<()>) -> Result<ExitCode, Failure> {
    match result {
        // The reader has seen enough. All files are on the disk.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
        Err(error) => Err(Failure::broken(format!("cannot write to standard output: {error}"))),
        Ok(()) => Ok(ExitCode::SUCCESS),
    }
}

/// Reports why the program ends, or what is odd about a line of its input. A closed standard error
/// is no reason to panic.
fn complain(message: impl Display) {
    let _ = writeln!(io::stderr(), "{message}");
}

/// Prints a remark on standard error: standard output is for the report.
fn say(message: impl Display) {
    let _ = writeln!(io::stderr(), "dax-sim: {message}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn options_work_with_and_without_the_subcommand() {
        assert!(Cli::try_parse_from(["dax-sim"]).unwrap().command.is_none());
        assert!(Cli::try_parse_from(["dax-sim", "--quick"]).unwrap().command.is_none());
        assert!(Cli::try_parse_from(["dax-sim", "compare", "--quick"]).unwrap().command.is_some());
        assert!(Cli::try_parse_from(["dax-sim", "--quick", "compare"]).is_err());
    }
}
