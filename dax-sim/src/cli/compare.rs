//! `dax-sim compare`: its options, their defaults, and the steps from them to a finished report.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::str::FromStr;
use std::time::Duration;

use clap::Args;

use super::input::{self, Unread};
use super::interrupt::Interrupt;
use super::locks::LockOptions;
use super::output::{self, OutputDir, OutputFile, same_file};
use super::progress::Progress;
use super::signal::MappedFile;
use super::value::{self, List};
use super::{Failure, answer, say};
use crate::compare::pace::Pace;
use crate::compare::plan::Plan;
use crate::compare::{self, BASE, Order};
use crate::pmem::{Device, DeviceOptions};
use crate::report::earlier::Earlier;
use crate::report::machine::{Host, Watch};
use crate::report::provenance::Provenance;
use crate::report::{BackingFile, Partial, Report, json, page, plot, table, verdict, words};
use crate::text::push_folded;
use crate::variant::Variant;
use crate::workload::{self, Setup, Workload, WorkloadError};

const DEFAULT_SIZE: u64 = 64 << 20;
const DEFAULT_THREADS: [usize; 5] = [1, 2, 4, 8, 16];
const QUICK_THREADS: [usize; 3] = [1, 2, 16];
const DEFAULT_MEDIA_US: [u64; 2] = [0, 50];

/// The time that a run may take without `--duration-ms`. It must end within 90 s, also on a busy
/// machine.
const BUDGET: Duration = Duration::from_secs(75);
/// The same for `--quick`, which must end within 20 s.
const QUICK_BUDGET: Duration = Duration::from_secs(15);
/// The fewest rounds that give an interval of 95 %.
const ROUNDS: usize = 6;
/// If there is time, more rounds tell more than longer samples.
const MORE_ROUNDS: usize = 12;
const ENOUGH_FOR_MORE_ROUNDS: Duration = Duration::from_millis(150);

/// Length of the longest JSON of an earlier run, in bytes: a hundred times that of a large run.
const LONGEST_BASELINE: usize = 64 << 20;

const PAGE: &str = "compare.html";

/// Options of `dax-sim compare`, which are also those of `dax-sim` without a command.
#[derive(Args, Clone, Debug)]
#[command(after_long_help = after_help())]
pub(crate) struct CompareOptions {
    #[arg(long, value_name = "LIST", value_parser = variants, help = variants_help())]
    #[arg(help_heading = WHAT)]
    variants: Option<List<Variant>>,

    #[arg(long, value_name = "LIST", value_parser = workloads, help = workloads_help())]
    #[arg(help_heading = WHAT)]
    workloads: Option<List<Workload>>,

    #[command(flatten)]
    locks: LockOptions,

    /// Base of the factors in tables and plots; the JSON has the ratios to all variants
    ///
    /// A factor is the median over rounds of the ratios within each round. Its interval is made of
    /// order statistics, and holds the true median with 95 % confidence. With fewer than 6 rounds
    /// the interval reaches from the smallest to the largest ratio. Then the confidence is lower,
    /// and the report claims no difference.
    #[arg(long, value_name = "V", default_value_t = BASE, value_parser = Variant::from_str)]
    #[arg(help_heading = WHAT)]
    ratio_to: Variant,

    /// Mark the ratios that have changed since an earlier run, beyond their intervals
    ///
    /// The file is the JSON of the earlier run: the file of its `--json`, or the compare.json next
    /// to its page.
    #[arg(long, value_name = "FILE.json", help_heading = WHAT)]
    baseline: Option<PathBuf>,

    /// List the variants and the workloads with their meaning
    #[arg(long, help_heading = WHAT)]
    list: bool,

    /// Numbers of threads, from 1 to 1024 [default: 1,2,4,8,16]
    #[arg(long, value_name = "LIST", value_parser = threads, allow_hyphen_values = true)]
    #[arg(help_heading = LOAD)]
    threads: Option<List<usize>>,

    /// Media times in microseconds, up to 10000; 0 is CPU-bound [default: 0,50]
    ///
    /// Each read(2) and write(2) sleeps for this time, as an operation on a device does.
    #[arg(long, value_name = "LIST", value_parser = media, allow_hyphen_values = true)]
    #[arg(help_heading = LOAD)]
    media_us: Option<List<u64>>,

    /// How long each sample runs [default: so long that the run takes a little over a minute]
    #[arg(long, value_name = "N", value_parser = duration, allow_hyphen_values = true)]
    #[arg(help_heading = LOAD)]
    duration_ms: Option<u64>,

    /// How often each point is sampled [default: 6, or 12 where there is time]
    ///
    /// One more round gives the latencies, unless only one round is requested.
    #[arg(long, value_name = "N", value_parser = rounds, allow_hyphen_values = true)]
    #[arg(help_heading = LOAD)]
    rounds: Option<u64>,

    /// End within about 20 seconds: threads 1,2,16 and shorter samples, unless other options are
    /// given
    #[arg(long, help_heading = LOAD)]
    quick: bool,

    /// Skip checking the data that is read, so that the timing does not include it
    #[arg(long, help_heading = LOAD)]
    no_checks: bool,

    /// File to map as the device: on pmem, tmpfs or any other file system [default: a temporary
    /// file]
    #[arg(long, value_name = "PATH", help_heading = DEVICE)]
    file: Option<PathBuf>,

    /// Use the file even if it is not empty; its contents are lost
    #[arg(long, requires = "file", help_heading = DEVICE)]
    overwrite: bool,

    /// Size of the device: 64M, 1GiB, … [default: 64M]
    #[arg(long, value_name = "BYTES", value_parser = value::size, allow_hyphen_values = true)]
    #[arg(help_heading = DEVICE)]
    size: Option<u64>,

    /// Folder for the page, its plots and compare.json [default: dax-sim in cargo's target folder
    /// under `cargo run`, otherwise dax-sim-report]
    #[arg(long, value_name = "DIR", help_heading = OUTPUT)]
    output: Option<PathBuf>,

    /// Also write the results to a file of this name, as JSON
    #[arg(long, value_name = "FILE", help_heading = OUTPUT)]
    json: Option<PathBuf>,
}

const WHAT: &str = "What is compared";
const LOAD: &str = "Load";
const DEVICE: &str = "Device";
const OUTPUT: &str = "Output";

fn after_help() -> String {
    format!(
        "Examples:\n\
         \x20 dax-sim --quick\n\
         \x20     a first look, in about 20 seconds\n\
         \x20 dax-sim --workloads write-disjoint --threads 1,2 --media-us 0\n\
         \x20     one workload that does not sleep\n\
         \x20 dax-sim --i-rwsem rwsem --variants linux-4.12,rwsem,range-lock\n\
         \x20     a range lock in place of i_mmap_sem alone, as it was proposed\n\
         \x20 dax-sim --file /mnt/pmem/device --size 1G --json before.json\n\
         \x20     on a file system of yours\n\
         \x20 dax-sim --file /mnt/pmem/device --size 1G --baseline before.json\n\
         \x20     and later: what has changed?\n\n\
         {}\n\
         A signal ends the run early. The run writes the results that are complete, marked PARTIAL.\n\n\
         The exit code is:\n\
         \x20 0    after a complete run\n\
         \x20 1    if the run failed, if another process changed the file, so that figures are void,\n\
         \x20      or if a variant that must not have stale reads had some\n\
         \x20 2    if the arguments were refused\n\
         \x20 74   if the mapped file failed\n\
         \x20 128  plus the signal's number if a signal ended the run",
        // Otherwise clap would fold the lines once more.
        names(table::terminal_width().map_or(HELP_WIDTH, |width| width.min(HELP_WIDTH)).saturating_sub(2))
    )
}

/// The largest width of the help.
const HELP_WIDTH: usize = 100;

/// The variants and workloads with their meaning.
fn names(width: usize) -> String {
    let mut text = String::new();
    let mut group = |title: &str, names: Vec<(&str, &str, bool)>| {
        let longest = names.iter().map(|(name, ..)| name.len()).max().unwrap_or(0);
        text.push_str(&format!("{title}:\n"));
        for (name, meaning, is_default) in names {
            let line = format!("  {name:longest$} {} {meaning}", if is_default { '*' } else { ' ' });
            push_folded(&mut text, &line, Some(width), longest + 3);
        }
        text.push('\n');
    };
    let variants = Variant::ALL
        .map(|variant| (variant.name(), words::variant(variant), Variant::COMPARED.contains(&variant)));
    group("Variants (* compared by default)", variants.to_vec());
    let workloads = Workload::ALL.map(|workload| (workload.name(), words::workload(workload), true));
    group("Workloads (* run by default)", workloads.to_vec());
    text
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
    List::parse(text, Workload::from_str).map(in_order_of(&Workload::ALL))
}

fn variants_help() -> String {
    format!("Variants; `--list` lists all [default: {}]", Variant::COMPARED.map(Variant::name).join(","))
}

fn workloads_help() -> String {
    format!("Workloads [default: {}]", Workload::ALL.map(Workload::name).join(","))
}

/// Tables and plots go from few to many, in whatever order the list was written.
fn sorted<T: Ord>(List(mut items): List<T>) -> List<T> {
    items.sort();
    List(items)
}

/// Tables always list variants and workloads in the same order, in whatever order the list was
/// written.
fn in_order_of<T: Copy + PartialEq>(all: &[T]) -> impl Fn(List<T>) -> List<T> + '_ {
    |List(chosen)| List(all.iter().copied().filter(|item| chosen.contains(item)).collect())
}

impl CompareOptions {
    fn size(&self) -> u64 {
        self.size.unwrap_or(DEFAULT_SIZE)
    }

    /// What to run. An option that was given overrides `--quick`, and `--quick` overrides the
    /// defaults.
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
        let lengths = |rounds| Plan { rounds, ..plan.clone() }.lengths();
        plan.rounds = match self.rounds {
            Some(rounds) => usize::try_from(rounds).unwrap_or(usize::MAX),
            None if self.duration_ms.is_none()
                && Pace::planned_within(budget, lengths(MORE_ROUNDS)) >= ENOUGH_FOR_MORE_ROUNDS =>
            {
                MORE_ROUNDS
            }
            None => ROUNDS,
        };
        plan.pace = match self.duration_ms {
            Some(ms) => Pace::fixed(Duration::from_millis(ms)),
            None => Pace::within(budget, plan.lengths()),
        };
        plan
    }

    /// Without the base's figures there are no ratios, which the user asked for by name.
    fn check_base(&self, plan: &Plan) -> Result<(), Failure> {
        let base = self.ratio_to;
        if base == BASE || plan.variants.contains(&base) {
            return Ok(());
        }
        let variants: Vec<_> = plan.variants.iter().map(|variant| variant.name()).collect();
        let variants = variants.join(",");
        Err(Failure::refused(format!(
            "--ratio-to `{base}` is not among the variants; give `--variants {variants},{base}`"
        )))
    }

    /// The run to compare with, if the options name one.
    fn earlier(&self) -> Result<Option<Earlier>, Failure> {
        let Some(path) = &self.baseline else { return Ok(None) };
        let name = path.display().to_string();
        if let Ok(variant) = name.parse::<Variant>()
            && !path.exists()
        {
            return Err(Failure::refused(format!(
                "--baseline takes the JSON of an earlier run; for factors to a variant give `--ratio-to {variant}`"
            )));
        }
        let refuse = |why: String| Failure::refused(format!("cannot use --baseline `{name}`: {why}"));
        let remedy = "name the JSON of an earlier run, such as compare.json beside its page";
        let text = input::read(path, LONGEST_BASELINE, remedy).map_err(|unread| match unread {
            Unread::Failed(error) => refuse(format!("{error}; {remedy}")),
            Unread::TooLong { .. } => refuse(unread.to_string()),
        })?;
        Earlier::parse(&name, &text).map(Some).map_err(refuse)
    }

    /// Otherwise a device that is too small would be found only in the middle of the run.
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

/// Where results go. All of it is checked before anything runs.
struct Destinations {
    folder: OutputDir,
    json: Option<OutputFile>,
}

impl Destinations {
    fn check(options: &CompareOptions, plan: &Plan) -> Result<Destinations, Failure> {
        let folder = OutputDir::check(&options.output.clone().unwrap_or_else(output::default_folder))?;
        let json = options.json.as_deref().map(OutputFile::check).transpose()?;
        let mut written = vec![("the page", folder.path(PAGE)), ("the page's data", folder.path(page::DATA))];
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
    if options.list {
        return answer(&names(table::terminal_width().unwrap_or(usize::MAX)));
    }
    let plan = options.plan();
    options.check_size(&plan)?;
    options.check_base(&plan)?;
    let earlier = options.earlier()?;
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

    if plan.rounds < ROUNDS {
        say(format_args!(
            "fewer than {ROUNDS} rounds give no interval of 95 %: no difference will be claimed"
        ));
    }
    if !plan.variants.contains(&options.ratio_to) {
        say(format_args!("`{}` is not among the variants: there are no ratios to it", options.ratio_to));
    }

    let (provenance, machine) = (Provenance::now(), Watch::begin());
    let setup = Setup { locks: options.locks.locks(), checks: !options.no_checks, latency: false };
    let progress = Progress::new(&plan);
    let measured = compare::run(
        &plan,
        |Order { point, duration, latency }| {
            if interrupt.signal().is_some() {
                return Ok(None);
            }
            let sample = workload::run_with(&point, Setup { latency, ..setup }, &device, duration);
            // First: it says what has happened. A sample can only say that something has.
            device.check_unchanged().map_err(Failure::broken)?;
            sample.map(Some).map_err(|error| match error {
                WorkloadError::DataLost { .. } => Failure::broken(format!("{}: {error}", name_of(&device))),
                _ => Failure::broken(error),
            })
        },
        |step| progress.show(&step),
    )?;
    progress.finish();
    drop(watched);

    let stopped = (measured.done < measured.total).then(|| interrupt.signal()).flatten();
    if let Some(signal) = stopped
        && measured.outcomes.is_empty()
    {
        return Err(Failure::interrupted(signal, "nothing was written"));
    }
    let report = Report {
        run: provenance,
        host: Host::detect(),
        state: machine.end(),
        partial: stopped.map(|_| Partial { done: measured.done, total: measured.total }),
        earlier,
        file: BackingFile::of(&device),
        duration: plan.pace.planned(),
        shortest: measured.shortest,
        rounds: measured.outcomes.iter().map(|outcome| outcome.rates.len()).min().unwrap_or(plan.rounds),
        setup,
        baseline: options.ratio_to,
        outcomes: measured.outcomes,
    };
    // Only now: a run that ends without figures leaves no folder behind.
    destinations.folder.create()?;
    let page = write_files(&report, &destinations)?;
    print(&report, &page, destinations.json.as_ref())?;
    match stopped {
        Some(signal) => Err(Failure::interrupted(
            signal,
            format_args!("{} of {} samples were written, marked PARTIAL", measured.done, measured.total),
        )),
        None => check_verdict(&report),
    }
}

/// The device's file, in a message.
fn name_of(device: &Device) -> String {
    format!("`{}`", device.path().unwrap_or(Path::new("memfd")).display())
}

/// The exit code also reports a stale read where there must be none, because scripts do not read
/// tables.
fn check_verdict(report: &Report) -> Result<ExitCode, Failure> {
    match verdict::fault(report) {
        None => Ok(ExitCode::SUCCESS),
        Some(fault) => Err(Failure::broken(fault)),
    }
}

/// Writes the page, its data, its plots and the JSON. Returns where the page is.
fn write_files(report: &Report, to: &Destinations) -> Result<PathBuf, Failure> {
    let data = to.folder.path(page::DATA);
    remove_plots_of(&data, &report.files());
    for (workload, media) in report.panels() {
        let svg = plot::standalone(&plot::draw(report, workload, media));
        OutputFile::at(to.folder.path(&plot::file_name(workload, media))).write(svg.as_bytes())?;
    }
    let json = json::render(report);
    OutputFile::at(data).write(&json)?;
    let page = to.folder.path(PAGE);
    OutputFile::at(page.clone()).write(page::render(report).as_bytes())?;
    if let Some(file) = &to.json {
        file.write(&json)?;
    }
    Ok(page)
}

/// Removes the plots that an earlier run wrote beside `data`, which lists them, except those that
/// are about to be replaced. Whatever else is in the folder stays.
fn remove_plots_of(data: &Path, kept: &[String]) {
    let Ok(text) = fs::read(data) else { return };
    for name in json::files(&text) {
        if plot::is_file_name(&name) && !kept.contains(&name) {
            // A plot that is gone already, or cannot be removed, is no reason to lose the run.
            let _ = fs::remove_file(data.with_file_name(name));
        }
    }
}

/// Prints the report. The page's path comes last and can be opened from any folder.
fn print(report: &Report, page: &Path, json: Option<&OutputFile>) -> Result<(), Failure> {
    let absolute =
        |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned()).display().to_string();
    let mut text = table::render(report, table::terminal_width());
    if let Some(json) = json {
        text.push_str(&format!("JSON: {}\n", absolute(json.path())));
    }
    text.push_str(&format!("Page: {}\n", absolute(page)));
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
        assert!(
            failure.message.contains("range-lock returned old data in 1 of 6,005"),
            "{}",
            failure.message
        );
    }

    #[test]
    fn lists_are_put_in_order() {
        let plan = plan("--threads 16,1,16 --variants range-lock,rwsem --workloads read-mostly,write-shared");
        assert_eq!(plan.threads, [1, 16]);
        assert_eq!(plan.variants, [Variant::Rwsem, Variant::RangeLock]);
        assert_eq!(plan.workloads, [Workload::WriteShared, Workload::ReadMostly]);
    }
}
