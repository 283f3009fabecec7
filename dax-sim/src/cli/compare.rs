//! `dax-sim compare`: its options, what they default to, and the way from them to a finished
//! report.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::str::FromStr;
use std::time::Duration;

use clap::Args;

use super::interrupt::Interrupt;
use super::locks::LockOptions;
use super::output::{OutputDir, OutputFile, same_file};
use super::progress::Progress;
use super::signal::MappedFile;
use super::value::{self, List};
use super::{Failure, answer, say};
use crate::compare::pace::Pace;
use crate::compare::plan::Plan;
use crate::compare::{self, BASE};
use crate::pmem::{Device, DeviceOptions};
use crate::report::{BackingFile, Host, Report, json, page, plot, table, verdict};
use crate::text::quoted;
use crate::variant::Variant;
use crate::workload::{self, Setup, Workload, WorkloadError};

const DEFAULT_SIZE: u64 = 64 << 20;
const DEFAULT_THREADS: [usize; 5] = [1, 2, 4, 8, 16];
const QUICK_THREADS: [usize; 3] = [1, 2, 16];
const DEFAULT_MEDIA_US: [u64; 2] = [0, 50];
const DEFAULT_OUTPUT: &str = "target/dax-sim";

/// What a run may take without `--duration-ms`; it has to end within 90 s, also on a machine that
/// is busy.
const BUDGET: Duration = Duration::from_secs(75);
/// The same for `--quick`, which has to end within 20 s.
const QUICK_BUDGET: Duration = Duration::from_secs(15);
/// As many rounds give a median and a spread.
const ROUNDS: usize = 3;
/// Where there is time for it, more rounds say more than longer samples do.
const MORE_ROUNDS: usize = 5;
const ENOUGH_FOR_MORE_ROUNDS: Duration = Duration::from_millis(150);

const PAGE: &str = "compare.html";

/// Options of `dax-sim compare`, which are also those of `dax-sim` alone.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
The exit code is 0 after a complete run; 1 if something failed, if figures are void because another \
process changed the file, or if a variant had stale reads that must not have any; 2 if the arguments \
were refused; 74 if the mapped file failed; 128 and the signal's number if a signal ended the run.")]
pub(crate) struct CompareOptions {
    /// File to map as the device: on pmem, tmpfs or any other file system [default: a temporary
    /// file]
    #[arg(long, value_name = "PATH")]
    file: Option<PathBuf>,

    /// Use the file even if it holds something; what it holds is lost
    #[arg(long, requires = "file")]
    overwrite: bool,

    /// Size of the device: 64M, 1GiB, … [default: 64M]
    #[arg(long, value_name = "BYTES", value_parser = value::size, allow_hyphen_values = true)]
    size: Option<u64>,

    /// Numbers of threads, from 1 to 1024 [default: 1,2,4,8,16]
    #[arg(long, value_name = "LIST", value_parser = threads, allow_hyphen_values = true)]
    threads: Option<List<usize>>,

    #[arg(long, value_name = "LIST", value_parser = variants, help = variants_help())]
    variants: Option<List<Variant>>,

    /// Variant to which tables and plots quote ratios; the JSON has the ratios to all
    ///
    /// A ratio is the median over rounds of the ratios within each round. Its interval is of order
    /// statistics: it holds that median with 95 %. Fewer than 6 rounds give their smallest and
    /// largest ratio, with less confidence: 94 % for 5 rounds, 75 % for 3.
    #[arg(long, value_name = "V", default_value_t = BASE)]
    baseline: Variant,

    #[arg(long, value_name = "LIST", value_parser = workloads, help = workloads_help())]
    workloads: Option<List<Workload>>,

    /// Media times in microseconds, up to 10000; 0 is CPU-bound [default: 0,50]
    #[arg(long, value_name = "LIST", value_parser = media, allow_hyphen_values = true)]
    media_us: Option<List<u64>>,

    #[command(flatten)]
    locks: LockOptions,

    /// Skip checking the data that is read, so that the timing does not include it
    #[arg(long)]
    no_checks: bool,

    /// How long each sample runs [default: so that the whole run takes a little over a minute]
    #[arg(long, value_name = "N", value_parser = duration, allow_hyphen_values = true)]
    duration_ms: Option<u64>,

    /// How often each point is sampled [default: 3, or 5 where there is time]
    #[arg(long, value_name = "N", value_parser = rounds, allow_hyphen_values = true)]
    rounds: Option<u64>,

    /// End within about 20 seconds: threads 1,2,16 and shorter samples, unless told otherwise
    #[arg(long)]
    quick: bool,

    /// Also write the results to a file, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    /// Folder for the page and its plots [default: target/dax-sim]
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
}

pub(super) fn threads(text: &str) -> Result<List<usize>, String> {
    List::parse(text, |item| {
        let count = value::number(item, 1..=1024, "1,2,16")?;
        usize::try_from(count).map_err(|error| error.to_string())
    })
    .map(sorted)
}

fn media(text: &str) -> Result<List<u64>, String> {
    List::parse(text, |item| value::number(item, 0..=10_000, "0,50")).map(sorted)
}

pub(super) fn duration(text: &str) -> Result<u64, String> {
    value::number(text, 1..=600_000, "100")
}

pub(super) fn rounds(text: &str) -> Result<u64, String> {
    value::number(text, 1..=1000, "3")
}

fn variants(text: &str) -> Result<List<Variant>, String> {
    List::parse(text, Variant::from_str).map(in_order_of(&Variant::ALL))
}

fn workloads(text: &str) -> Result<List<Workload>, String> {
    let known = || Workload::ALL.map(Workload::name).join(", ");
    List::parse(text, |item| {
        Workload::ALL
            .into_iter()
            .find(|workload| workload.name() == item)
            .ok_or_else(|| format!("unknown workload {}; known ones: {}", quoted(item), known()))
    })
    .map(in_order_of(&Workload::ALL))
}

fn variants_help() -> String {
    let (all, compared) = (Variant::ALL.map(Variant::name), Variant::COMPARED.map(Variant::name));
    format!("Variants, of {} [default: {}]", all.join(", "), compared.join(","))
}

fn workloads_help() -> String {
    format!("Workloads [default: all of {}]", Workload::ALL.map(Workload::name).join(","))
}

/// Tables and plots read from few to many, however the list was written.
fn sorted<T: Ord>(List(mut items): List<T>) -> List<T> {
    items.sort();
    List(items)
}

/// Tables list variants and workloads always in the same order, however the list was written.
fn in_order_of<T: Copy + PartialEq>(all: &[T]) -> impl Fn(List<T>) -> List<T> + '_ {
    |List(chosen)| List(all.iter().copied().filter(|item| chosen.contains(item)).collect())
}

impl CompareOptions {
    fn size(&self) -> u64 {
        self.size.unwrap_or(DEFAULT_SIZE)
    }

    /// What to run. An option that was given wins over `--quick`, and `--quick` over the defaults.
    fn plan(&self) -> Plan {
        let mut plan = Plan {
            workloads: self.workloads.as_ref().map_or(Workload::ALL.to_vec(), |list| list.0.clone()),
            variants: self.variants.as_ref().map_or(Variant::COMPARED.to_vec(), |list| list.0.clone()),
            threads: match &self.threads {
                Some(list) => list.0.clone(),
                None if self.quick => QUICK_THREADS.to_vec(),
                None => DEFAULT_THREADS.to_vec(),
            },
            media: self
                .media_us
                .as_ref()
                .map_or(DEFAULT_MEDIA_US.to_vec(), |list| list.0.clone())
                .into_iter()
                .map(Duration::from_micros)
                .collect(),
            rounds: 1,
            pace: Pace::fixed(Duration::ZERO),
        };
        let budget = if self.quick { QUICK_BUDGET } else { BUDGET };
        let points = plan.samples();
        plan.rounds = match self.rounds {
            Some(rounds) => usize::try_from(rounds).unwrap_or(usize::MAX),
            None if self.duration_ms.is_none()
                && Pace::planned_within(budget, points * MORE_ROUNDS) >= ENOUGH_FOR_MORE_ROUNDS =>
            {
                MORE_ROUNDS
            }
            None => ROUNDS,
        };
        plan.pace = match self.duration_ms {
            Some(ms) => Pace::fixed(Duration::from_millis(ms)),
            None => Pace::within(budget, plan.samples()),
        };
        plan
    }

    /// Without its figures there are no ratios, which were asked for by name.
    fn check_baseline(&self, plan: &Plan) -> Result<(), Failure> {
        let baseline = self.baseline;
        if baseline == BASE || plan.variants.contains(&baseline) {
            return Ok(());
        }
        let variants: Vec<_> = plan.variants.iter().map(|variant| variant.name()).collect();
        let variants = variants.join(",");
        Err(Failure::refused(format!(
            "--baseline `{baseline}` is not among the variants; give `--variants {variants},{baseline}`"
        )))
    }

    /// A device that is too small would only be found out in the middle of the run.
    fn check_size(&self, plan: &Plan) -> Result<(), Failure> {
        let most = plan.threads.iter().copied().max().unwrap_or(1);
        let needed = workload::min_device_size(most);
        if self.size() >= needed {
            return Ok(());
        }
        Err(Failure::refused(format!(
            "a device of {} bytes is too small for {most} threads, which need {needed}; \
             give `--size {}M` or more, or fewer threads",
            self.size(),
            needed.div_ceil(1 << 20),
        )))
    }
}

/// Where results go, checked before anything runs.
struct Destinations {
    folder: OutputDir,
    json: Option<OutputFile>,
}

impl Destinations {
    fn check(options: &CompareOptions, plan: &Plan) -> Result<Destinations, Failure> {
        let folder = OutputDir::check(options.output.as_deref().unwrap_or(Path::new(DEFAULT_OUTPUT)))?;
        let json = options.json.as_deref().map(OutputFile::check).transpose()?;
        let mut written = vec![("the page", folder.path(PAGE))];
        for &workload in &plan.workloads {
            for &media in &plan.media {
                written.push(("a plot", folder.path(&plot::file_name(workload, media))));
            }
        }
        for (_, path) in written.iter().filter(|(_, path)| path.exists()) {
            OutputFile::check(path)?;
        }
        if let Some(json) = &json {
            for (what, path) in &written {
                if same_file(json.path(), path) {
                    return Err(Failure::refused(format!(
                        "--json `{}` is where {what} goes; name another file",
                        json.path().display()
                    )));
                }
            }
            written.push(("--json", json.path().to_owned()));
        }
        if let Some(file) = &options.file {
            for (what, path) in &written {
                if same_file(file, path) {
                    return Err(Failure::refused(format!(
                        "--file `{}` is where {what} is written; name another file",
                        file.display()
                    )));
                }
            }
        }
        Ok(Destinations { folder, json })
    }
}

/// Runs the comparison and writes all its reports.
pub(crate) fn run(options: &CompareOptions) -> Result<ExitCode, Failure> {
    let plan = options.plan();
    options.check_size(&plan)?;
    options.check_baseline(&plan)?;
    let destinations = Destinations::check(options, &plan)?;
    let interrupt = Interrupt::watch().map_err(Failure::broken)?;
    let device = Device::open(&DeviceOptions {
        path: options.file.clone(),
        size: options.size(),
        overwrite: options.overwrite,
    })
    .map_err(Failure::refused)?;
    if let Some(small) = device.small_pages() {
        say(small);
    }
    let watched = MappedFile::watch(&device).map_err(Failure::broken)?;

    if plan.rounds == 1 {
        say("one round shows no spread: the figures cannot tell a difference from chance");
    }
    let baseline = options.baseline;
    if !plan.variants.contains(&baseline) {
        say(format_args!("`{baseline}` is not among the variants: there are no ratios to it"));
    }

    let setup = Setup { locks: options.locks.locks(), checks: !options.no_checks };
    let progress = Progress::new(&plan);
    let measured = compare::run(
        &plan,
        |point, duration| match interrupt.signal() {
            Some(signal) => Err(Failure::interrupted(signal)),
            None => {
                let sample = workload::run_with(point, setup, &device, duration);
                // First: it says what has happened, where a sample can only say that something has.
                device.check_unchanged().map_err(Failure::broken)?;
                sample.map_err(|error| match error {
                    WorkloadError::DataLost { .. } => {
                        Failure::broken(format!("{}: {error}", name_of(&device)))
                    }
                    _ => Failure::broken(error),
                })
            }
        },
        |step| progress.show(&step),
    )?;
    progress.finish();
    drop(watched);

    let report = Report {
        host: Host::detect(),
        file: BackingFile::of(&device),
        duration: plan.pace.planned(),
        shortest: measured.shortest,
        rounds: plan.rounds,
        setup,
        baseline,
        outcomes: measured.outcomes,
    };
    // Not before: a run that ends early leaves no folder behind.
    destinations.folder.create()?;
    let page = write_files(&report, &destinations)?;
    print(&report, &page, destinations.json.as_ref())?;
    check_verdict(&report)
}

/// The device's file, in a message.
fn name_of(device: &Device) -> String {
    format!("`{}`", device.path().unwrap_or(Path::new("memfd")).display())
}

/// A stale read where there must be none is told by the exit code too: scripts do not read tables.
fn check_verdict(report: &Report) -> Result<ExitCode, Failure> {
    match verdict::findings(report).into_iter().find(|finding| finding.kind == verdict::Kind::Fault) {
        None => Ok(ExitCode::SUCCESS),
        Some(fault) => Err(Failure::broken(format!("{}: {}", fault.subject, fault.text))),
    }
}

/// Writes the page, its plots and the JSON, and returns where the page is.
fn write_files(report: &Report, to: &Destinations) -> Result<PathBuf, Failure> {
    for (workload, media) in report.panels() {
        let svg = plot::standalone(&plot::draw(report, workload, media));
        OutputFile::at(to.folder.path(&plot::file_name(workload, media))).write(svg.as_bytes())?;
    }
    let page = to.folder.path(PAGE);
    OutputFile::at(page.clone()).write(page::render(report).as_bytes())?;
    if let Some(file) = &to.json {
        file.write(&json::render(report))?;
    }
    Ok(page)
}

/// Prints the report, and the page's path last.
fn print(report: &Report, page: &Path, json: Option<&OutputFile>) -> Result<(), Failure> {
    let mut text = table::render(report, table::terminal_width());
    if let Some(json) = json {
        text.push_str(&format!("JSON: {}\n", json.path().display()));
    }
    text.push_str(&format!("Page: {}\n", page.display()));
    answer(&text).map(drop)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        options: CompareOptions,
    }

    fn options(args: &str) -> CompareOptions {
        Command::try_parse_from(std::iter::once("dax-sim").chain(args.split_whitespace())).unwrap().options
    }

    fn plan(args: &str) -> Plan {
        options(args).plan()
    }

    #[test]
    fn defaults() {
        let plan = plan("");
        assert_eq!(plan.threads, DEFAULT_THREADS);
        assert_eq!(plan.media, [Duration::ZERO, Duration::from_micros(50)]);
        assert_eq!(plan.variants, Variant::COMPARED);
        assert_eq!(plan.workloads, Workload::ALL);
        assert_eq!(plan.rounds, ROUNDS);
        assert_eq!(options("").size(), 64 << 20);
    }

    #[test]
    fn the_sum_of_all_samples_fits_the_promise() {
        let seconds = |plan: Plan| plan.pace.planned().as_secs_f64() * plan.samples() as f64;
        assert!(seconds(plan("")) < 75.0);
        assert!(seconds(plan("--quick")) < 15.0);
    }

    #[test]
    fn quick_keeps_both_media_times_and_gives_way_to_options() {
        let quick = plan("--quick");
        assert_eq!(quick.threads, QUICK_THREADS);
        assert_eq!(quick.media.len(), 2);
        let told = plan("--quick --threads 3 --media-us 7 --rounds 2 --duration-ms 9");
        assert_eq!(told.threads, [3]);
        assert_eq!(told.media, [Duration::from_micros(7)]);
        assert_eq!((told.rounds, told.pace.planned()), (2, Duration::from_millis(9)));
    }

    #[test]
    fn a_small_selection_is_sampled_more_often() {
        assert_eq!(plan("--workloads write-disjoint --threads 16 --media-us 50").rounds, MORE_ROUNDS);
    }

    #[test]
    fn a_stale_read_where_there_must_be_none_fails_the_run() {
        let mut report = crate::report::fixture::report();
        assert!(check_verdict(&report).is_ok());
        let outcome =
            report.outcomes.iter_mut().find(|outcome| outcome.point.variant == Variant::RangeLock).unwrap();
        (outcome.stale_reads, outcome.checked_reads) = (1, 5);
        let failure = check_verdict(&report).unwrap_err();
        assert_eq!(failure.code, super::super::BROKEN);
        assert!(failure.message.contains("range-lock: 1 stale read"), "{}", failure.message);
    }

    #[test]
    fn lists_are_put_in_order() {
        let plan = plan("--threads 16,1,16 --variants range-lock,rwsem --workloads read-mostly,write-shared");
        assert_eq!(plan.threads, [1, 16]);
        assert_eq!(plan.variants, [Variant::Rwsem, Variant::RangeLock]);
        assert_eq!(plan.workloads, [Workload::WriteShared, Workload::ReadMostly]);
    }
}
