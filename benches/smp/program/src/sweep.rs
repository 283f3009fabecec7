//! `smp sweep`: runs combinations of locks, workloads and numbers of CPUs.

use std::collections::HashSet;
use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;
use smp_machine::{Directory, Machine, Overlap};
use smp_workloads::{Workload, locks};

use crate::job::{Ended, Job, Progress, Task, one_for_each_cpu, run_all};
use crate::plan::Effort;
use crate::point::{LIMIT, MachineOptions, Models};
use crate::record::Record;
use crate::{Error, html, names, plot, table};

/// The default locks, workloads and numbers of CPUs of a sweep.
const LOCKS: [&str; 6] = ["range-lock", "range-lock+cut", "rwsem", "page-locks", "linux-tree", "kogan-list"];
const WORKLOADS: [&str; 10] = ["W2", "W3", "W4", "W7", "W8", "DWOM", "append", "whole", "readers", "hot"];
const CPUS: [usize; 9] = [1, 2, 4, 8, 16, 32, 64, 128, 256];
/// The default workloads of a quick sweep.
const QUICK_WORKLOADS: [&str; 4] = ["W2", "W3", "W7", "DWOM"];
const QUICK_CPUS: [usize; 4] = [1, 4, 16, 64];
/// The seeds of a complete sweep, for the locks and the workloads above.
const SEEDS: [u64; 3] = [1, 2, 3];
/// The numbers of CPUs at which a complete sweep runs all four models, with the same locks and
/// workloads. Ratios are quoted for these.
const QUOTED_CPUS: [usize; 3] = [16, 64, 256];
/// The workloads that a complete sweep runs on the other topologies.
const TOPOLOGY_WORKLOADS: [&str; 3] = ["W2", "W3", "DWOM"];
/// An operation of these workloads touches many parts of a lock. A complete sweep runs them on
/// `CPUS_OF_LONG` CPUs at most: on more, some locks do not end within the limits of a point.
const LONG: [&str; 3] = ["W6/alone", "W10/apart", "W10/interleaved"];
const CPUS_OF_LONG: usize = 64;

/// The arguments of `smp sweep`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Locks, by their names in `smp list`
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    locks: Vec<String>,
    /// Workloads, by their names in `smp list`, or groups of them (W11)
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    workloads: Vec<String>,
    /// Numbers of CPUs, from 1 to 256
    #[arg(long, value_delimiter = ',', value_name = "N")]
    cpus: Vec<usize>,
    /// Number of threads [default: as many as CPUs]
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Topologies, by their names in `smp list`
    #[arg(long, value_delimiter = ',', default_value = "s64", value_name = "NAMES")]
    topology: Vec<String>,
    /// Requests for one line: blocking, pipelined
    #[arg(long, value_delimiter = ',', default_value = "blocking", value_name = "NAMES")]
    directory: Vec<String>,
    /// Accesses of one CPU: in-order, overlapping, ahead
    #[arg(long, value_delimiter = ',', default_value = "in-order", value_name = "NAMES")]
    overlap: Vec<String>,
    /// Changes a cost in all points: NAME=NANOSECONDS, or the unit of that cost
    #[arg(long, value_name = "NAME=VALUE")]
    set: Vec<String>,
    /// Seeds of jitter and random numbers; several give several runs [default: 1]
    #[arg(long, value_delimiter = ',', value_name = "N")]
    seed: Vec<u64>,
    /// A first look in less than a minute
    #[arg(long, conflicts_with = "all")]
    quick: bool,
    /// All locks, workloads and topologies. The default locks and workloads have three seeds, and
    /// at 16, 64 and 256 CPUs the four models of the memory. The others have short windows
    #[arg(long)]
    all: bool,
    /// Checks the exclusion of each section
    #[arg(long)]
    check: bool,
    /// Points that run at a time [default: one for each CPU]
    #[arg(long, value_name = "N")]
    jobs: Option<usize>,
    /// Seconds of real time after which a point is given up, with what each CPU waits for
    #[arg(long, default_value_t = LIMIT, value_name = "SECONDS")]
    limit: u64,
    /// Writes the results
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Draws plots into this directory
    #[arg(long, value_name = "DIR")]
    svg: Option<PathBuf>,
    /// Writes one page with plots and tables
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

pub(crate) fn run(options: &Options) -> Result<(), Error> {
    let jobs = options.jobs()?;
    let at_once = options.jobs.unwrap_or_else(one_for_each_cpu).max(1);
    let (mut lines, mut failures) = (Vec::new(), Vec::new());
    for ended in run_all(&jobs, at_once, &Progress::new(jobs.len())) {
        match ended {
            Ended::Line(line) => lines.push(*line),
            Ended::CannotRun(_) => {}
            Ended::Failed(why) => failures.push(why),
        }
    }

    let mut stdout = io::stdout().lock();
    // A reader of the pipe may have seen enough.
    let _ = writeln!(stdout, "{}", table::tables(&lines));
    let write = |path: &PathBuf, text: &str| {
        std::fs::write(path, text).map_err(|error| Error::Run(format!("{}: {error}", path.display())))
    };
    if let Some(path) = &options.json {
        let record = Record::new(lines.iter().map(|line| line.result.clone()).collect());
        record.write(path).map_err(Error::Run)?;
    }
    if options.svg.is_some() || options.html.is_some() {
        let plots = plot::all(&lines).map_err(|error| Error::Run(format!("cannot draw: {error}")))?;
        if let Some(folder) = &options.svg {
            std::fs::create_dir_all(folder)
                .map_err(|error| Error::Run(format!("{}: {error}", folder.display())))?;
            for plot in &plots {
                write(&folder.join(&plot.file), &plot.svg)?;
            }
        }
        if let Some(path) = &options.html {
            write(path, &html::page("Locks on a simulated machine", html::OF_LOCKS, &lines, &plots))?;
        }
    }
    let violations = lines.iter().filter(|line| !line.violations.is_empty());
    failures.extend(violations.map(|line| {
        let result = &line.result;
        format!("{} {} {} CPUs: {}", result.lock, result.workload, result.cpus, line.violations.join("; "))
    }));
    if failures.is_empty() { Ok(()) } else { Err(Error::Run(failures.join("\nsmp: "))) }
}

/// Every combination of these values.
struct Part<'a> {
    locks: &'a [&'static str],
    workloads: &'a [Workload],
    cpus: &'a [usize],
    machines: Vec<MachineOptions>,
    effort: Effort,
}

impl Options {
    /// The points, each once.
    fn jobs(&self) -> Result<Vec<Job>, Error> {
        let real = locks().into_iter().filter(|lock| !lock.control).map(|lock| lock.name);
        let all_locks: Vec<&'static str> = real.collect();
        let standard_locks = self.named_locks(&LOCKS)?;
        let standard_workloads = self.named_workloads(&WORKLOADS)?;
        let cpus = match &self.cpus[..] {
            [] if self.quick => &QUICK_CPUS[..],
            [] => &CPUS,
            given => given,
        };
        cpus.iter().try_for_each(|&cpus| names::cpus(cpus).map(drop))?;
        self.threads.map_or(Ok(0), names::threads)?;
        let given = Models {
            topologies: &self.topology,
            directories: &self.directory,
            overlaps: &self.overlap,
            set: &self.set,
            limit: self.limit,
        };
        let seeds = |default: &[u64]| if self.seed.is_empty() { default.to_vec() } else { self.seed.clone() };

        if !self.all {
            let workloads =
                if self.quick { self.named_workloads(&QUICK_WORKLOADS)? } else { standard_workloads };
            let machines = given.machines(&seeds(&[1]))?;
            let effort = if self.quick { Effort::Quick } else { Effort::Standard };
            let only = Part { locks: &standard_locks, workloads: &workloads, cpus, machines, effort };
            return Ok(self.jobs_of(&[only]));
        }
        let names = Workload::ALL.map(Workload::name);
        let all_workloads = self.named_workloads(&names.each_ref().map(String::as_str))?;
        let all_locks = self.named_locks(&all_locks)?;
        let quoted_cpus: Vec<usize> =
            cpus.iter().copied().filter(|cpus| QUOTED_CPUS.contains(cpus)).collect();
        let [directories, overlaps] = [
            [Directory::Blocking, Directory::Pipelined].map(Directory::name),
            [Overlap::InOrder, Overlap::Overlapping].map(Overlap::name),
        ]
        .map(|names| names.map(str::to_owned));
        let bounds = Models { directories: &directories, overlaps: &overlaps, ..given };
        let mut parts = vec![
            // The quoted results: the spread over seeds, and the four models.
            Part {
                locks: &standard_locks,
                workloads: &standard_workloads,
                cpus,
                machines: given.machines(&seeds(&SEEDS))?,
                effort: Effort::Standard,
            },
            Part {
                locks: &standard_locks,
                workloads: &standard_workloads,
                cpus: &quoted_cpus,
                machines: bounds.machines(&seeds(&[1]))?,
                effort: Effort::Standard,
            },
            // All other locks and workloads, in short windows.
            Part {
                locks: &all_locks,
                workloads: &all_workloads,
                cpus,
                machines: given.machines(&seeds(&[1]))?,
                effort: Effort::Quick,
            },
        ];
        // The other machines, with all of their CPUs.
        let topology_workloads = self.named_workloads(&TOPOLOGY_WORKLOADS)?;
        let with_cpus = |name: &str| Ok((name.to_owned(), [names::topology(name)?.cpus]));
        let presets = Machine::presets().iter().map(|&(name, _)| with_cpus(name));
        let presets = presets.collect::<Result<Vec<_>, Error>>()?;
        for (name, cpus) in &presets {
            let topologies = std::slice::from_ref(name);
            let machines = Models { topologies, ..given }.machines(&seeds(&[1]))?;
            let (locks, workloads) = (&standard_locks[..], &topology_workloads[..]);
            parts.push(Part { locks, workloads, cpus, machines, effort: Effort::Standard });
        }
        let mut jobs = self.jobs_of(&parts);
        jobs.retain(|job| job.cpus <= CPUS_OF_LONG || !LONG.contains(&job.workload.name().as_str()));
        Ok(jobs)
    }

    fn named_locks(&self, default: &[&'static str]) -> Result<Vec<&'static str>, Error> {
        if self.locks.is_empty() {
            return Ok(default.to_vec());
        }
        self.locks.iter().map(|name| names::lock(name)).collect()
    }

    fn named_workloads(&self, default: &[&str]) -> Result<Vec<Workload>, Error> {
        let given: Vec<&str> = self.workloads.iter().map(String::as_str).collect();
        let names = if given.is_empty() { default } else { &given };
        Ok(names.iter().map(|name| names::workloads(name)).collect::<Result<Vec<_>, _>>()?.concat())
    }

    /// All points of the parts. If two differ only in their effort, the first one is kept.
    fn jobs_of(&self, parts: &[Part<'_>]) -> Vec<Job> {
        let mut jobs: Vec<Job> = Vec::new();
        let mut seen = HashSet::new();
        for &Part { locks, workloads, cpus, ref machines, effort } in parts {
            for machine in machines {
                for &workload in workloads {
                    for &lock in locks {
                        let of_cpus = |&cpus: &usize| Job {
                            lock,
                            workload,
                            cpus,
                            threads: self.threads,
                            machine: machine.clone(),
                            effort,
                            check: self.check,
                        };
                        let is_new =
                            |job: &Job| seen.insert(Job { effort: Effort::Quick, ..job.clone() }.arguments());
                        jobs.extend(cpus.iter().map(of_cpus).filter(is_new));
                    }
                }
            }
        }
        jobs
    }
}
