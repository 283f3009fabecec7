//! `dax-sim kernel`: its options, its rounds, and the steps to a finished report.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use super::interrupt::Interrupt;
use super::output::{OutputFile, same_file};
use super::signal::MappedFile;
use super::value::{self, List};
use super::{Failure, answer, compare, say};
use crate::kernel::race::Found;
use crate::kernel::report::Report;
use crate::kernel::{Bench, Layout, Point, Way};
use crate::pmem::{BLOCK_SIZE, Backing};
use crate::report::{Host, number};

/// The largest part of a thread: 1024 of them are 1 TiB.
const LARGEST: u64 = 1 << 30;
/// The smallest part: a pass over it takes longer than its start.
const SMALLEST: u64 = 64 << 10;
/// How often the race is run over the whole file.
const RACES: usize = 8;

/// Options of `dax-sim kernel`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Threads do 4 KiB operations, each in a part of its own: on one file, and in the same way on a file \
for each thread. The quotient of the two rates shows the cost of sharing a file: the inode's lock \
for pwrite(2), the lock of the row for stores. A second set of samples makes each operation durable: \
by fdatasync, and for stores by writing cache lines back (MAP_SYNC, tmpfs) or msync.

The run makes the files for the threads in the folder of PATH, or of the file to which a link PATH \
leads. At the end it removes these files and PATH. If PATH existed before, the run leaves it empty. \
The run needs twice the bytes of all threads.

The last test tries the race of Kara's 2017 e-mail on this kernel: one thread writes into holes, and \
another thread loads from the same pages. A load that does not find the written bytes is stale, and \
makes the exit code 1.")]
pub(crate) struct KernelOptions {
    /// The file: new or empty; on pmem, tmpfs or any other file system
    #[arg(long, value_name = "PATH")]
    file: PathBuf,

    /// Use the file even if it is not empty; its contents are lost
    #[arg(long)]
    overwrite: bool,

    /// Bytes of each thread: 8M, 1GiB, … a multiple of 4096, from 64K to 1G
    #[arg(long, value_name = "BYTES", value_parser = span, default_value = "8M", allow_hyphen_values = true)]
    size: u64,

    /// Numbers of threads, from 1 to 1024
    #[arg(long, value_name = "LIST", value_parser = compare::threads, default_value = "1,2,4", allow_hyphen_values = true)]
    threads: List<usize>,

    /// How long each sample runs
    #[arg(long, value_name = "N", value_parser = compare::duration, default_value = "30", allow_hyphen_values = true)]
    duration_ms: u64,

    /// How often each point is sampled
    #[arg(long, value_name = "N", value_parser = compare::rounds, default_value = "12", allow_hyphen_values = true)]
    rounds: u64,

    /// Also write the results to a file, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

fn span(text: &str) -> Result<u64, String> {
    match value::size(text)? {
        size if !size.is_multiple_of(BLOCK_SIZE) => {
            Err(format!("{size} is no multiple of {BLOCK_SIZE}; try {}", size.next_multiple_of(BLOCK_SIZE)))
        }
        size if (SMALLEST..=LARGEST).contains(&size) => Ok(size),
        size => Err(format!("{size} is out of bounds; give {SMALLEST} to {LARGEST} bytes, as in 8M")),
    }
}

impl KernelOptions {
    /// What one round samples, in an order that rotates. Layouts and columns that are compared run
    /// one directly after the other.
    fn round(&self, round: usize) -> Vec<Point> {
        let mut points = Vec::new();
        for &threads in &self.threads.0 {
            for (turn, way) in Way::ALL.into_iter().enumerate() {
                for durable in [false, true] {
                    let mut layouts = [Layout::OneFile, Layout::FileEach];
                    layouts.rotate_left((round + turn) % 2);
                    points.extend(layouts.map(|layout| Point { threads, way, layout, durable }));
                }
            }
        }
        points
    }
}

/// Runs the rounds and the race, and prints the report.
pub(super) fn run(options: &KernelOptions) -> Result<ExitCode, Failure> {
    let json = options.json.as_deref().map(OutputFile::check).transpose()?;
    if let Some(json) = json.as_ref().filter(|json| same_file(json.path(), &options.file)) {
        let path = json.path().display();
        return Err(Failure::refused(format!("`{path}` is --file itself; name another file with `--json`")));
    }
    let most = options.threads.0.iter().copied().max().unwrap_or(1);
    let span = usize::try_from(options.size).map_err(Failure::refused)?;
    let interrupt = Interrupt::watch().map_err(Failure::broken)?;
    let bench = Bench::open(&options.file, span, most, options.overwrite).map_err(Failure::refused)?;
    let duration = Duration::from_millis(options.duration_ms);
    let rounds = usize::try_from(options.rounds).unwrap_or(usize::MAX);
    let mut rates: Vec<(Point, Vec<f64>)> =
        options.round(0).into_iter().map(|point| (point, Vec::new())).collect();
    let samples = rates.len() * rounds;
    let watched = MappedFile::watch_files(&bench.files()).map_err(Failure::broken)?;
    say(format_args!(
        "{samples} samples of {} ms, at least {} in all",
        options.duration_ms,
        number::coarse(duration * u32::try_from(samples).unwrap_or(u32::MAX)),
    ));
    if rounds == 1 {
        say("one round shows no spread: the figures cannot tell a difference from chance");
    }
    let check = || {
        interrupt.signal().map_or(Ok(()), |signal| Err(Failure::interrupted(signal, "nothing was written")))
    };
    for round in 0..rounds {
        for point in options.round(round) {
            check()?;
            let rate = bench.sample(point, duration).map_err(|error| failed(options, error))?;
            let (_, of_point) =
                rates.iter_mut().find(|(other, _)| *other == point).expect("every round has all points");
            of_point.push(rate);
        }
    }
    let mut race = Found::default();
    for _ in 0..RACES {
        check()?;
        race += bench.race().map_err(|error| failed(options, error))?;
    }
    drop(watched);
    let report = Report {
        host: Host::detect(),
        path: options.file.display().to_string(),
        backing: bench.backing().name(),
        map_sync: bench.backing() == Backing::PmemSync,
        durability: bench.durability().name(),
        span,
        duration,
        rounds,
        threads: options.threads.0.clone(),
        rates,
        race,
    };
    drop(bench);
    let mut text = report.text();
    if let Some(json) = &json {
        json.write(&report.json())?;
        text.push_str(&format!("JSON: {}\n", json.path().display()));
    }
    let code = answer(&text)?;
    match race.stale {
        0 => Ok(code),
        stale => Err(Failure::broken(format!(
            "{stale} stale loads of `{}`: this kernel loses what write(2) wrote into holes; the cure is Linux 4.12",
            options.file.display()
        ))),
    }
}

/// The error of a run, such as a full file system.
fn failed(options: &KernelOptions, error: std::io::Error) -> Failure {
    let path = options.file.display();
    if error.kind() == ErrorKind::FileTooLarge {
        return Failure::broken(format!(
            "`{path}`, or a file beside it, may not be as large as asked for ({error}); no results were written; \
             give a smaller `--size` or fewer threads, or raise the limit (`ulimit -f`)"
        ));
    }
    Failure::broken(format!("`{path}`: {error}; no results were written"))
}
