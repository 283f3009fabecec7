//! `dax-sim race`: explores every order of a few operations, and draws one that goes wrong.
//!
//! On a terminal all output keeps within its width. Elsewhere lines are as long as they need to be,
//! the same everywhere.

mod table;

use std::fmt::Display;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::str::FromStr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::input::{self, Unread};
use super::locks::LockOptions;
use super::value::{self, List};
use super::{BROKEN, Failure, answer, one_line, progress, say};
use crate::check::Invariant;
use crate::explore::{
    self, Cell, Effort, Expected, LONGEST_SCENARIO, Mark, SCENARIOS, Scenario, Seed, Timeline, scenario,
};
use crate::fs::CopyRetries;
use crate::pmem::DeviceError;
use crate::report::number;
use crate::report::table::{has_colours, terminal_width};
use crate::text::{for_a_shell, push_folded};
use crate::variant::{Locks, Mix, Variant};
use clap::Args;

/// Options of `dax-sim race`.
#[derive(Args, Clone, Debug)]
#[command(after_long_help = after_help())]
pub(crate) struct RaceOptions {
    /// The scenario; `--list` lists them
    #[arg(value_name = "SCENARIO", value_parser = scenario)]
    named: Option<&'static Scenario>,

    /// A scenario of your own, in a file (docs/scenarios.md describes its form)
    #[arg(long, value_name = "FILE", conflicts_with_all = ["named", "list"])]
    scenario: Option<PathBuf>,

    /// How faults and I/O are serialised [default: linux-4.11]
    #[arg(long, value_name = "V", value_parser = Variant::from_str)]
    variant: Option<Variant>,

    #[command(flatten)]
    locks: LockOptions,

    /// Repeat one schedule: SEED as an earlier run printed it
    #[arg(long, value_name = "SEED", value_parser = Seed::from_str, help_heading = SCHEDULES)]
    #[arg(conflicts_with_all = ["all", "preemptions", "schedules", "quick"])]
    seed: Option<Seed>,

    /// All scenarios in all variants, or the one of --scenario: a table
    #[arg(long, conflicts_with_all = ["named", "list"])]
    all: bool,

    /// With --all: only these variants
    #[arg(long, value_name = "LIST", value_parser = variants)]
    #[arg(requires = "all", conflicts_with_all = ["named", "variant", "list"])]
    variants: Option<List<Variant>>,

    /// List the scenarios
    #[arg(long, conflicts_with_all = ["named", "variant", "seed", "i_rwsem", "i_mmap_sem"])]
    list: bool,

    /// Print the scenario in the form of --scenario, and run nothing
    #[arg(long, conflicts_with_all = ["all", "list", "variant", "seed", "preemptions", "schedules", "quick"])]
    print: bool,

    /// Run all schedules with up to N preemptions [default: 2]
    #[arg(long, value_name = "N", value_parser = preemptions, allow_hyphen_values = true)]
    #[arg(help_heading = SCHEDULES)]
    preemptions: Option<u64>,

    /// And N schedules at random, half of them uniform, half by priorities (PCT) [default: 10000]
    #[arg(long, value_name = "N", value_parser = schedules, allow_hyphen_values = true)]
    #[arg(help_heading = SCHEDULES)]
    schedules: Option<u64>,

    /// A first look: 400 random schedules, unless --schedules is given
    #[arg(long, help_heading = SCHEDULES)]
    quick: bool,
}

const SCHEDULES: &str = "Schedules";

fn after_help() -> &'static str {
    "Examples:\n\
     \x20 dax-sim race write-vs-read-fault\n\
     \x20     the race of 2017, as Linux 4.11 had it\n\
     \x20 dax-sim race write-vs-read-fault --variant range-lock\n\
     \x20     the same with a cure: how many schedules are safe\n\
     \x20 dax-sim race --list\n\
     \x20     the scenarios; `dax-sim compare --list` explains the variants\n\
     \x20 dax-sim race --all --quick --variants linux-4.11,range-lock\n\
     \x20     a table of all scenarios\n\
     \x20 dax-sim race write-vs-read-fault --print > my.scenario\n\
     \x20 dax-sim race --scenario my.scenario\n\
     \x20     a scenario of your own, made from one of these\n\n\
     The exit code is:\n\
     \x20 0  if every result is as the variant promises; a variant with known races must show them\n\
     \x20 1  if a result is different, or if the results cannot be written\n\
     \x20 2  if the arguments or the scenario are refused; then nothing runs\n\n\
     On a terminal, tables and pictures fit the width. Colours mark the important places of a picture, unless \
     NO_COLOR is set. In a pipe or a file the output has its full width, and all variants of a table are \
     side by side.\n\n\
     Kara's 2017 e-mail: https://lore.kernel.org/r/20170426085235.GA21738@quack2.suse.cz"
}

fn preemptions(text: &str) -> Result<u64, String> {
    value::number(text, 0..=4, "2")
}

fn schedules(text: &str) -> Result<u64, String> {
    value::number(text, 0..=10_000_000, "10000")
}

fn variants(text: &str) -> Result<List<Variant>, String> {
    List::parse(text, Variant::from_str)
}

impl RaceOptions {
    fn variant(&self) -> Variant {
        self.variant.unwrap_or(Variant::Linux411)
    }

    fn mix(&self, variant: Variant) -> Mix {
        Mix { variant, locks: self.locks.locks() }
    }

    /// The command that repeats a schedule. The seed is enough, however the schedule was found.
    fn again(&self, scenario: &Scenario, variant: Variant, seed: &Seed) -> String {
        let named = self.scenario.as_ref().map_or_else(
            || scenario.name.clone(),
            |path| format!("--scenario {}", for_a_shell(&path.display().to_string())),
        );
        format!("dax-sim race {named} --variant {variant}{} --seed {seed}", self.locks)
    }

    fn effort(&self) -> Effort {
        let usual = if self.quick { Effort::QUICK } else { Effort::FULL };
        let or = |given: Option<u64>, usual: u32| given.map_or(usual, |given| given as u32);
        Effort {
            preemptions: or(self.preemptions, usual.preemptions),
            random: or(self.schedules, usual.random),
        }
    }
}

/// Runs the command.
pub(super) fn run(options: &RaceOptions) -> Result<ExitCode, Failure> {
    let of_file = options.scenario.as_deref().map(read).transpose()?;
    match of_file.or(options.named) {
        _ if options.list => answer(&list()),
        _ if options.all && options.variant.is_some() => {
            let variant = options.variant();
            Err(Failure::refused(format!("--all takes a list of variants; give `--variants {variant}`")))
        }
        Some(scenario) if options.print => answer(&scenario.to_string()),
        Some(scenario) if options.all => run_all(options, std::slice::from_ref(scenario)),
        Some(scenario) => run_one(options, scenario),
        None if options.all => run_all(options, &SCENARIOS),
        None => Err(Failure::refused(
            "which scenario? Name one (`dax-sim race --list` lists them), give one in a file with `--scenario FILE`, \
             or try `--all` of them",
        )),
    }
}

/// The scenario in a file, which lives as long as the program.
fn read(path: &Path) -> Result<&'static Scenario, Failure> {
    let bytes = input::read(path, LONGEST_SCENARIO, "a scenario is a few lines");
    let bytes = bytes.map_err(|unread| match unread {
        Unread::Failed(error) => {
            Failure::refused(format!("cannot read the scenario {}: {error}", path.display()))
        }
        Unread::TooLong { .. } => Failure::at_line(path, 1, unread),
    })?;
    let text = std::str::from_utf8(&bytes).map_err(|error| {
        let line = 1 + bytes[..error.valid_up_to()].iter().filter(|byte| **byte == b'\n').count() as u64;
        let byte = bytes.get(error.valid_up_to()).copied().unwrap_or_default();
        Failure::at_line(
            path,
            line,
            format!("the byte {byte:#04x} is not UTF-8; save the file as plain UTF-8"),
        )
    })?;
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let scenario = explore::parse(&one_line(stem), text);
    let scenario = scenario.map_err(|error| Failure::at_line(path, error.line, error.text))?;
    Ok(Box::leak(Box::new(scenario)))
}

/// The output of the command, in lines that fit the terminal, if it goes to one.
struct Said {
    text: String,
    width: Option<usize>,
}

impl Said {
    fn nothing() -> Said {
        Said { text: String::new(), width: terminal_width() }
    }

    /// Adds text, folded where it does not fit.
    fn prose(&mut self, text: impl Display) {
        self.hanging(text, 2);
    }

    /// The same with further lines indented by `hang`.
    fn hanging(&mut self, text: impl Display, hang: usize) {
        push_folded(&mut self.text, &text.to_string(), self.width, hang);
    }

    /// Adds text unchanged: it fits already, or the user may want to copy it.
    fn verbatim(&mut self, text: impl Display) {
        self.text.push_str(&text.to_string());
        self.text.push('\n');
    }
}

fn list() -> String {
    let width = SCENARIOS.iter().map(|scenario| scenario.name.len()).max().unwrap_or(0);
    let mut said = Said::nothing();
    for scenario in SCENARIOS.iter() {
        said.hanging(format!("{:width$}  {}", scenario.name, scenario.about), width + 2);
    }
    said.text
}

/// Runs one scenario in one variant. Prints the shortest schedule that goes wrong, or how many went
/// right.
fn run_one(options: &RaceOptions, scenario: &'static Scenario) -> Result<ExitCode, Failure> {
    let variant = options.variant();
    let mix = options.mix(variant);
    let mut said = Said::nothing();
    said.prose(format!("{}: {}", scenario.name, scenario.about));
    if let Some(seed) = &options.seed {
        let timeline = Timeline::of(scenario, mix, seed).map_err(refused)?;
        let found = !timeline.failure.findings.is_empty();
        let here = &timeline.failure.seed;
        let other = if here == seed {
            String::new()
        } else {
            format!(
                "{seed} is {here} here, because some of its steps cannot be taken, or are the usual ones; "
            )
        };
        let goes = if found { "this goes wrong" } else { "nothing goes wrong in this schedule" };
        said.prose(format!("in {variant}{}: {other}{goes}", options.locks));
        tell(&mut said, options, scenario, &timeline);
        answer(&said.text)?;
        let is_expected = !found || scenario.expected(mix) != Expected::Safe;
        return Ok(if is_expected { ExitCode::SUCCESS } else { ExitCode::from(BROKEN) });
    }
    let effort = options.effort();
    let cell = explore::explore(scenario, mix, effort).map_err(refused)?;
    let (exhaustive, random) = (cell.exhaustive, cell.random);
    let count = number::count;
    match &cell.shortest {
        None => {
            said.prose(format!(
                "in {variant}{}: safe, in {} schedules with up to {} preemptions, and {} at random",
                options.locks,
                count(exhaustive.run),
                effort.preemptions,
                count(random.run)
            ));
            said.prose(copied_again(cell.copy_retries));
        }
        Some(failure) => {
            said.prose(copied_again(cell.copy_retries));
            said.prose(format!(
                "in {variant}{}: {} of {} schedules with up to {} preemptions go wrong, and {} of {} at random; the shortest:",
                options.locks,
                count(exhaustive.failed),
                count(exhaustive.run),
                effort.preemptions,
                count(random.failed),
                count(random.run)
            ));
            let timeline = Timeline::of(scenario, mix, &failure.seed).map_err(refused)?;
            tell(&mut said, options, scenario, &timeline);
        }
    }
    answer(&said.text)?;
    Ok(verdict(cell.is_as_expected()))
}

/// How often write(2) had to copy again, if it ever had to.
fn copied_again(CopyRetries { retries, bounced, .. }: CopyRetries) -> String {
    if retries == 0 {
        return String::new();
    }
    let (retries, bounced) = (number::count(retries), number::count(bounced));
    format!("write(2) copied again after a short copy: {retries} times, through a bounce buffer: {bounced}\n")
}

/// Codes of colours (ECMA-48): yellow, bold red.
const OVERTAKEN: &str = "33";
const WRONG: &str = "1;31";

fn painted(colour: &str, line: &str) -> String {
    format!("\x1b[{colour}m{line}\x1b[0m")
}

/// Prints the picture of a schedule, what is wrong in it, and how to repeat it.
fn tell(said: &mut Said, options: &RaceOptions, scenario: &Scenario, timeline: &Timeline) {
    let colours = has_colours();
    let paint = |mark: Mark, line: &str| match mark {
        Mark::Overtaken if colours => painted(OVERTAKEN, line),
        Mark::Wrong if colours => painted(WRONG, line),
        _ => line.to_owned(),
    };
    said.verbatim(format!("\n{}", timeline.draw_marked(said.width, paint)));
    if colours && !timeline.failure.findings.is_empty() {
        said.prose("Yellow: after this step another thread comes in between. Red: this must not be seen.");
    }
    said.prose(copied_again(timeline.copy_retries));
    for finding in &timeline.failure.findings {
        let from = said.text.len();
        said.prose(finding);
        if colours {
            let lines: Vec<String> =
                said.text.split_off(from).lines().map(|line| painted(WRONG, line)).collect();
            said.verbatim(lines.join("\n"));
        }
        said.prose(format!("  ({}: {})", finding.broken, finding.broken.meaning()));
    }
    said.prose(format!("{} steps; again with", timeline.failure.steps));
    said.verbatim(options.again(scenario, options.variant(), &timeline.failure.seed));
}

/// Prints the table.
fn run_all(options: &RaceOptions, scenarios: &'static [Scenario]) -> Result<ExitCode, Failure> {
    let variants = options.variants.as_ref().map_or(Variant::ALL.to_vec(), |list| list.0.clone());
    let effort = options.effort();
    let cells = explore_all(options, scenarios, &variants).map_err(refused)?;
    let mut said = Said::nothing();
    said.verbatim(table::render(&variants, &cells, said.width));
    if options.locks.locks() != Locks::default() {
        said.prose(format!("In every variant{}.", options.locks));
    }
    said.prose(format!(
        "A number alone: safe in this many schedules, which are all with up to {} preemptions and {} at random.",
        effort.preemptions,
        number::count(effort.random.into())
    ));
    said.prose(
        "Otherwise: what is broken, the share of the exhaustive schedules that go wrong, and length and seed of the \
         shortest.",
    );
    tell_how_to_repeat(&mut said, options, &cells);
    let mut copy_retries = CopyRetries::default();
    cells.iter().for_each(|cell| copy_retries += cell.copy_retries);
    said.prose(copied_again(copy_retries));
    let mut meanings: Vec<Invariant> = cells.iter().flat_map(|cell| cell.broken.iter().copied()).collect();
    meanings.sort_unstable();
    meanings.dedup();
    for broken in meanings {
        said.hanging(format!("  {broken:5} {}", broken.meaning()), 6);
    }
    let surprises: Vec<&Cell> = cells.iter().filter(|cell| !cell.is_as_expected()).collect();
    for cell in &surprises {
        let (scenario, variant) = (cell.scenario, cell.mix.variant);
        let expected = match scenario.expected(cell.mix) {
            Expected::Safe if variant.is_correct() || cell.broken.contains(&Invariant::NoPanic) => {
                "nothing should go wrong".into()
            }
            Expected::Safe => {
                let broken: Vec<&str> = cell.broken.iter().map(|broken| broken.name()).collect();
                format!(
                    "nothing should go wrong; if the variant is broken here on purpose, the scenario needs the line \
                     `expect {variant} {}`",
                    broken.join(" ")
                )
            }
            Expected::Broken(among) => {
                let also: Vec<String> = among[1..].iter().map(|other| format!(", perhaps {other}")).collect();
                format!("{} should be broken{}, and nothing else", among[0], also.concat())
            }
            Expected::Anything => "there should be no panic".into(),
        };
        said.prose(format!("NOT AS EXPECTED: {} in {variant}: {expected}", scenario.name));
        if let Some(failure) = &cell.shortest {
            said.prose(failure);
            said.verbatim(format!("again with {}", options.again(scenario, variant, &failure.seed)));
        }
    }
    if surprises.is_empty() {
        said.prose("Every cell is as expected.");
    }
    answer(&said.text)?;
    Ok(verdict(surprises.is_empty()))
}

/// Explores all cells, as many at a time as there are CPUs.
fn explore_all(
    options: &RaceOptions,
    scenarios: &'static [Scenario],
    variants: &[Variant],
) -> Result<Vec<Cell>, DeviceError> {
    let jobs: Vec<(&'static Scenario, Variant)> = scenarios
        .iter()
        .flat_map(|scenario| variants.iter().map(move |&variant| (scenario, variant)))
        .collect();
    let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let cells = Mutex::new(Vec::new());
    let bar = progress::bar(jobs.len(), "{bar:24.green} {pos} of {len} cells  {wide_msg:.dim}");
    let work = || -> Result<(), DeviceError> {
        while let Some(&(scenario, variant)) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
            let cell = explore::explore(scenario, options.mix(variant), options.effort())?;
            cells.lock().expect("no thread panics with it").push(cell);
            let done = done.fetch_add(1, Ordering::Relaxed) + 1;
            if let Some(bar) = &bar {
                bar.set_message(format!("{}, {variant}", scenario.name));
                bar.inc(1);
                continue;
            }
            // Prints ten lines in all.
            let tenth = |done: usize| done * 10 / jobs.len();
            if tenth(done) != tenth(done - 1) {
                say(format!("{done} of {} cells explored", jobs.len()));
            }
        }
        Ok(())
    };
    let workers = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    thread::scope(|scope| {
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        workers.into_iter().try_for_each(|worker| worker.join().expect("a worker does not panic"))
    })?;
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    let mut cells = cells.into_inner().expect("no thread panics with it");
    let place = |cell: &Cell| {
        jobs.iter().position(|(scenario, variant)| {
            scenario.name == cell.scenario.name && *variant == cell.mix.variant
        })
    };
    cells.sort_by_key(place);
    Ok(cells)
}

/// Prints how to repeat the schedule of a cell: one example, and then one line for each seed that
/// is too long for its cell.
fn tell_how_to_repeat(said: &mut Said, options: &RaceOptions, cells: &[Cell]) {
    let failures: Vec<(&Cell, &Seed)> =
        cells.iter().filter_map(|cell| Some((cell, &cell.shortest.as_ref()?.seed))).collect();
    let command = |&(cell, seed): &(&Cell, &Seed)| {
        format!("  {}", options.again(cell.scenario, cell.mix.variant, seed))
    };
    let (in_cell, below): (Vec<_>, Vec<_>) =
        failures.into_iter().partition(|(_, seed)| table::fits(&seed.to_string()));
    if let Some(first) = in_cell.first() {
        said.prose("One schedule again, step by step, by its row, column and seed:");
        said.verbatim(command(first));
    }
    if !below.is_empty() {
        said.prose("Schedules whose seed is too long for the table:");
        below.iter().for_each(|failure| said.verbatim(command(failure)));
    }
}

fn verdict(is_as_expected: bool) -> ExitCode {
    if is_as_expected { ExitCode::SUCCESS } else { ExitCode::from(BROKEN) }
}

fn refused(error: DeviceError) -> Failure {
    Failure::refused(error)
}
