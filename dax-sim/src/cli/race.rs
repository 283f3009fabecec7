//! `dax-sim race`: every order of a few operations, and the picture of one that goes wrong.

use std::fmt::Write;
use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::str::FromStr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use clap::Args;
use comfy_table::{ContentArrangement, Table, presets};

use super::value::{self, List};
use super::{BROKEN, Failure, answer, say};
use crate::check::Invariant;
use crate::explore::{self, Cell, Effort, Expected, SCENARIOS, Scenario, Seed, Timeline, scenario};
use crate::fs::CopyRetries;
use crate::pmem::DeviceError;
use crate::report::number;
use crate::variant::Variant;

/// Options of `dax-sim race`.
#[derive(Args, Clone, Debug)]
#[command(after_help = after_help())]
pub(crate) struct RaceOptions {
    /// The scenario; `--list` lists them
    #[arg(value_parser = scenario)]
    scenario: Option<&'static Scenario>,

    /// How faults and I/O are serialised
    #[arg(long, value_name = "V", default_value_t = Variant::Linux411)]
    variant: Variant,

    /// Repeat one schedule, as it was printed
    #[arg(long, value_name = "SEED", value_parser = Seed::from_str)]
    #[arg(conflicts_with_all = ["all", "preemptions", "schedules", "quick"])]
    seed: Option<Seed>,

    /// All scenarios in all variants: a table
    #[arg(long, conflicts_with_all = ["scenario", "variant", "list"])]
    all: bool,

    /// With --all: only these variants
    #[arg(long, value_name = "LIST", value_parser = variants)]
    #[arg(requires = "all", conflicts_with_all = ["scenario", "variant", "list"])]
    variants: Option<List<Variant>>,

    /// List the scenarios
    #[arg(long, conflicts_with_all = ["scenario", "variant", "seed"])]
    list: bool,

    /// All schedules with up to so many preemptions are run [default: 2]
    #[arg(long, value_name = "N", value_parser = preemptions, allow_hyphen_values = true)]
    preemptions: Option<u64>,

    /// And so many at random, half of them uniform, half by priorities (PCT) [default: 10000]
    #[arg(long, value_name = "N", value_parser = schedules, allow_hyphen_values = true)]
    schedules: Option<u64>,

    /// A first look: 400 random schedules, unless told otherwise
    #[arg(long)]
    quick: bool,
}

fn after_help() -> &'static str {
    "The exit code is 0 if everything is as the variant promises, races where it races included; 1 if not."
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
    fn effort(&self) -> Effort {
        let usual = if self.quick { Effort::QUICK } else { Effort::FULL };
        let or = |given: Option<u64>, usual: u32| given.map_or(usual, |given| given as u32);
        Effort {
            preemptions: or(self.preemptions, usual.preemptions),
            random: or(self.schedules, usual.random),
        }
    }
}

/// Runs what was asked for.
pub(super) fn run(options: &RaceOptions) -> Result<ExitCode, Failure> {
    match options.scenario {
        _ if options.list => answer(&list()),
        None if options.all => run_all(options),
        None => Err(Failure::refused(
            "which scenario? Name one (`dax-sim race --list` lists them), or try `--all` of them",
        )),
        Some(scenario) => run_one(options, scenario),
    }
}

fn list() -> String {
    let width = SCENARIOS.iter().map(|scenario| scenario.name.len()).max().unwrap_or(0);
    SCENARIOS.iter().map(|scenario| format!("{:width$}  {}\n", scenario.name, scenario.about)).collect()
}

/// One scenario in one variant: the shortest schedule that goes wrong, or how many went right.
fn run_one(options: &RaceOptions, scenario: &'static Scenario) -> Result<ExitCode, Failure> {
    let variant = options.variant;
    let mut text = format!("{}: {}\nin {variant}: ", scenario.name, scenario.about);
    if let Some(seed) = &options.seed {
        let timeline = Timeline::of(scenario, variant, seed).map_err(refused)?;
        let found = !timeline.failure.findings.is_empty();
        if timeline.failure.seed != *seed {
            let _ = write!(
                text,
                "{seed} is {} here, where some of its steps cannot be taken, or are the usual ones; ",
                timeline.failure.seed
            );
        }
        text.push_str(if found { "this goes wrong\n" } else { "nothing goes wrong in this schedule\n" });
        tell(&mut text, scenario, variant, &timeline);
        answer(&text)?;
        let is_expected = !found || scenario.expected(variant) != Expected::Safe;
        return Ok(if is_expected { ExitCode::SUCCESS } else { ExitCode::from(BROKEN) });
    }
    let cell = explore::explore(scenario, variant, options.effort()).map_err(refused)?;
    match &cell.shortest {
        None => {
            let _ = writeln!(
                text,
                "safe, in {} schedules with up to {} preemptions, and {} at random",
                number::count(cell.exhaustive.run),
                options.effort().preemptions,
                number::count(cell.random.run)
            );
            text.push_str(&copied_again(cell.copy_retries));
        }
        Some(failure) => {
            let _ = writeln!(
                text,
                "{} of {} schedules with up to {} preemptions go wrong, and {} of {} at random; the shortest:",
                number::count(cell.exhaustive.failed),
                number::count(cell.exhaustive.run),
                options.effort().preemptions,
                number::count(cell.random.failed),
                number::count(cell.random.run)
            );
            text.push_str(&copied_again(cell.copy_retries));
            let timeline = Timeline::of(scenario, variant, &failure.seed).map_err(refused)?;
            tell(&mut text, scenario, variant, &timeline);
        }
    }
    answer(&text)?;
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

/// The picture of a schedule, what is wrong in it, and how to see it again.
fn tell(text: &mut String, scenario: &Scenario, variant: Variant, timeline: &Timeline) {
    let _ = writeln!(text, "\n{}", timeline.draw());
    text.push_str(&copied_again(timeline.copy_retries));
    for finding in &timeline.failure.findings {
        let _ = writeln!(text, "{finding}\n  ({}: {})", finding.broken, finding.broken.meaning());
    }
    let again = again(scenario, variant, &timeline.failure.seed);
    let _ = writeln!(text, "{} steps; again with\n{again}", timeline.failure.steps);
}

/// The command that repeats a schedule. A seed says all of it, however the schedule was found.
fn again(scenario: &Scenario, variant: Variant, seed: &Seed) -> String {
    format!("dax-sim race {} --variant {variant} --seed {seed}", scenario.name)
}

/// The table.
fn run_all(options: &RaceOptions) -> Result<ExitCode, Failure> {
    let variants = options.variants.as_ref().map_or(Variant::ALL.to_vec(), |list| list.0.clone());
    let effort = options.effort();
    let cells = explore_all(&variants, effort).map_err(refused)?;
    let mut text = table(&variants, &cells);
    let _ = writeln!(
        text,
        "\nA number: safe, in so many schedules, all with up to {} preemptions and {} at random. Else what is broken, the\n\
         share of the exhaustive schedules in which anything is, and length and seed of the shortest.",
        effort.preemptions,
        number::count(effort.random.into())
    );
    text.push_str(&how_to_repeat(&cells));
    let mut copy_retries = CopyRetries::default();
    cells.iter().for_each(|cell| copy_retries += cell.copy_retries);
    text.push_str(&copied_again(copy_retries));
    let mut meanings: Vec<Invariant> = cells.iter().flat_map(|cell| cell.broken.iter().copied()).collect();
    meanings.sort_unstable();
    meanings.dedup();
    for broken in meanings {
        let _ = writeln!(text, "  {broken:5} {}", broken.meaning());
    }
    let surprises: Vec<&Cell> = cells.iter().filter(|cell| !cell.is_as_expected()).collect();
    for cell in &surprises {
        let (scenario, variant) = (cell.scenario, cell.variant);
        let expected = match scenario.expected(variant) {
            Expected::Safe => "nothing was to go wrong".into(),
            Expected::Broken(invariant) => format!("{invariant} was to be broken"),
            Expected::Anything => "there was to be no panic".into(),
        };
        let _ = writeln!(text, "NOT AS EXPECTED: {} in {variant}: {expected}", scenario.name);
        if let Some(failure) = &cell.shortest {
            let _ = writeln!(text, "{failure}\nagain with {}", again(scenario, variant, &failure.seed));
        }
    }
    if surprises.is_empty() {
        text.push_str("Every cell is as expected.\n");
    }
    answer(&text)?;
    Ok(verdict(surprises.is_empty()))
}

/// Explores all cells, as many at a time as there are CPUs.
fn explore_all(variants: &[Variant], effort: Effort) -> Result<Vec<Cell>, DeviceError> {
    let jobs: Vec<(&'static Scenario, Variant)> = SCENARIOS
        .iter()
        .flat_map(|scenario| variants.iter().map(move |&variant| (scenario, variant)))
        .collect();
    let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let cells = Mutex::new(Vec::new());
    let work = || -> Result<(), DeviceError> {
        while let Some(&(scenario, variant)) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
            let cell = explore::explore(scenario, variant, effort)?;
            cells.lock().expect("nobody panics with it").push(cell);
            let done = done.fetch_add(1, Ordering::Relaxed) + 1;
            // Ten lines in all.
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
    let mut cells = cells.into_inner().expect("nobody panics with it");
    let place = |cell: &Cell| {
        jobs.iter()
            .position(|(scenario, variant)| scenario.name == cell.scenario.name && *variant == cell.variant)
    };
    cells.sort_by_key(place);
    Ok(cells)
}

fn table(variants: &[Variant], cells: &[Cell]) -> String {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY).set_content_arrangement(ContentArrangement::Disabled);
    let heads = variants.iter().map(|variant| variant.name().replace('-', "-\n"));
    table.set_header(std::iter::once("scenario".to_owned()).chain(heads));
    for row in cells.chunks(variants.len()) {
        let names = std::iter::once(row[0].scenario.name.to_owned());
        table.add_row(names.chain(row.iter().map(show)));
    }
    format!("{table}\n")
}

fn show(cell: &Cell) -> String {
    let Some(failure) = &cell.shortest else { return number::count(cell.schedules()) };
    let broken: Vec<&str> = cell.broken.iter().map(|broken| broken.name()).collect();
    let share = cell.exhaustive.failed as f64 / cell.exhaustive.run as f64 * 100.0;
    let mark = if cell.is_as_expected() { "" } else { " !" };
    let seed = failure.seed.to_string();
    let seed = if fits(&seed) { seed } else { format!("{}…", &seed[..LONGEST - 1]) };
    format!("{}{mark} {share:.1} %\n{} at {seed}", broken.join("+"), failure.steps)
}

/// The most characters of a seed that a cell has room for.
const LONGEST: usize = 16;

fn fits(seed: &str) -> bool {
    seed.len() <= LONGEST
}

/// How the schedule of a cell is seen again: once for all, and one by one for those whose seed is cut.
fn how_to_repeat(cells: &[Cell]) -> String {
    let failures: Vec<(&Cell, &Seed)> =
        cells.iter().filter_map(|cell| Some((cell, &cell.shortest.as_ref()?.seed))).collect();
    let command = |&(cell, seed): &(&Cell, &Seed)| again(cell.scenario, cell.variant, seed);
    let Some(first) = failures.first() else { return String::new() };
    let mut text =
        format!("One schedule again, step by step: its row, column and seed, as in\n  {}\n", command(first));
    let cut: Vec<_> = failures.iter().filter(|(_, seed)| !fits(&seed.to_string())).collect();
    if !cut.is_empty() {
        text.push_str("and those whose seed is cut above (…):\n");
        text.extend(cut.into_iter().map(|failure| format!("  {}\n", command(failure))));
    }
    text
}

fn verdict(is_as_expected: bool) -> ExitCode {
    if is_as_expected { ExitCode::SUCCESS } else { ExitCode::from(BROKEN) }
}

fn refused(error: DeviceError) -> Failure {
    Failure::refused(error)
}
