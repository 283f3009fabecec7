//! `smp dax`: runs combinations of dax-sim's variants, workloads and numbers of CPUs.

mod json;
mod point;
mod why;

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use dax_sim::variant::Variant;
use smp_machine::Medium;
use smp_workloads::dax::{Level, Workload};

use crate::job::{Ended, Progress, one_for_each_cpu, run_all};
use crate::plan::Effort;
use crate::point::{LIMIT, MachineOptions, Models};
use crate::record::PointLine;
use crate::{Error, html, names, plot, table};

pub(crate) use point::Job;
pub(crate) use point::{Options as PointOptions, run as run_point};
pub(crate) use why::{Options as WhyOptions, run as why};

const CPUS: [usize; 5] = [1, 2, 8, 64, 256];
const QUICK_CPUS: [usize; 4] = [1, 2, 8, 64];
const QUICK_VARIANTS: [Variant; 4] =
    [Variant::Linux412, Variant::Rwsem, Variant::RangeLock, Variant::Unserialised];

/// The arguments of `smp dax`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Variants, as dax-sim names them [default:
    /// linux-4.11,linux-4.12,rwsem,range-lock,unserialised]
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    variants: Vec<String>,
    /// Workloads, by their names in `smp list` [default: those of the question]
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    workloads: Vec<String>,
    /// Numbers of CPUs, from 1 to 256
    #[arg(long, value_delimiter = ',', value_name = "N")]
    cpus: Vec<usize>,
    /// What lies behind the device: dram, optane, cxl
    #[arg(long, value_delimiter = ',', default_value = "dram", value_name = "NAMES")]
    medium: Vec<String>,
    /// Levels of locking that use the variant's own kind of lock: both, i_mmap_sem, i_rwsem
    #[arg(long, value_delimiter = ',', default_value = "both", value_name = "NAMES")]
    levels: Vec<String>,
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
    /// Seeds of jitter and random numbers; several give several runs
    #[arg(long, value_delimiter = ',', default_value = "1", value_name = "N")]
    seed: Vec<u64>,
    /// A first look in less than a minute
    #[arg(long)]
    quick: bool,
    /// Judges the loads of `read-faults`, while threads linger at schedule points by times drawn
    /// from the seed
    #[arg(long)]
    judge: bool,
    /// Points that run at a time [default: one for each CPU]
    #[arg(long, value_name = "N")]
    jobs: Option<usize>,
    /// Seconds of real time after which a point is given up, with what each CPU waits for
    #[arg(long, default_value_t = LIMIT, value_name = "SECONDS")]
    limit: u64,
    /// Writes the results to this file, in the form of `dax-sim --json`
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Draws plots into this folder
    #[arg(long, value_name = "FOLDER")]
    svg: Option<PathBuf>,
    /// Writes a page with plots and tables
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

const TITLE: &str = "DAX on a simulated machine";
const WHAT: &str = "Virtual time. Each point is the real code of dax-sim, run on a simulated cache-coherent \
    machine with a simulated medium. The machine is a model; it ignores much: see docs/scaling.md.";

/// The workloads that ask the question of 2017.
const WORKLOADS: [Workload; 9] = [
    Workload::NewPages,
    Workload::NewPagesPunched,
    Workload::MapSync,
    Workload::Refaults,
    Workload::HugeRefaults,
    Workload::ReadFaults,
    Workload::Overwrites,
    Workload::Stores,
    Workload::NowAndThen,
];

/// The values with these names.
pub(crate) fn named<T: Copy>(
    what: &str,
    all: &[T],
    name: fn(T) -> &'static str,
    asked: &str,
) -> Result<T, Error> {
    let found = all.iter().copied().find(|&one| name(one) == asked);
    let names: Vec<String> = all.iter().map(|&one| name(one).to_owned()).collect();
    found.ok_or_else(|| names::unknown(what, asked, &names))
}

pub(crate) fn variant(name: &str) -> Result<Variant, Error> {
    named("variant", &Variant::COMPARED, Variant::name, name)
}

pub(crate) fn workload(name: &str) -> Result<Workload, Error> {
    named("workload", &Workload::ALL, Workload::name, name)
}

pub(crate) fn level(name: &str) -> Result<Level, Error> {
    named("level", &Level::ALL, Level::name, name)
}

pub(crate) fn medium(name: &str) -> Result<Medium, Error> {
    let names: Vec<String> = Medium::presets().iter().map(|m| m.name.to_owned()).collect();
    name.parse().map_err(|_| names::unknown("medium", name, &names))
}

fn all<T>(names: &[String], default: &[T], find: fn(&str) -> Result<T, Error>) -> Result<Vec<T>, Error>
where
    T: Clone,
{
    if names.is_empty() {
        return Ok(default.to_vec());
    }
    names.iter().map(|name| find(name)).collect()
}

impl Options {
    fn jobs(&self) -> Result<Vec<Job>, Error> {
        let variants = if self.quick { &QUICK_VARIANTS[..] } else { &Variant::COMPARED };
        let variants = all(&self.variants, variants, variant)?;
        let workloads = if self.judge {
            &[Workload::ReadFaults][..]
        } else if self.quick {
            &WORKLOADS[..1]
        } else {
            &WORKLOADS
        };
        let workloads = all(&self.workloads, workloads, workload)?;
        let levels = all(&self.levels, &[], level)?;
        let media = all(&self.medium, &[], medium)?;
        let cpus = match &self.cpus[..] {
            [] if self.quick => &QUICK_CPUS[..],
            [] => &CPUS,
            given => given,
        };
        cpus.iter().try_for_each(|&cpus| names::cpus(cpus).map(drop))?;
        let mut jobs = Vec::new();
        for machine in self.machines()? {
            for medium in &media {
                for &workload in &workloads {
                    for &level in &levels {
                        for &variant in variants.iter().filter(|&&v| level.matters_to(v)) {
                            for &cpus in cpus {
                                jobs.push(Job {
                                    variant,
                                    level,
                                    workload,
                                    medium: medium.name,
                                    cpus,
                                    machine: machine.clone(),
                                    effort: if self.quick { Effort::Quick } else { Effort::Standard },
                                    judge: self.judge,
                                });
                            }
                        }
                    }
                }
            }
        }
        Ok(jobs)
    }

    fn machines(&self) -> Result<Vec<MachineOptions>, Error> {
        let Options { topology, directory, overlap, seed, set, limit, .. } = self;
        let models =
            Models { topologies: topology, directories: directory, overlaps: overlap, set, limit: *limit };
        models.machines(seed)
    }
}

/// What the judge saw, summed up over seeds, and what is wrong with it.
fn judged(lines: &[PointLine]) -> (String, Vec<String>) {
    let mut table = table::new_table();
    table.set_header([
        "variant",
        "workload",
        "CPUs",
        "runs",
        "with stale loads",
        "stale",
        "could have been",
        "loads",
    ]);
    let (mut rows, mut wrong) = (Vec::<(&PointLine, [u64; 5])>::new(), Vec::new());
    for line in lines {
        let Some(part) = &line.dax else { continue };
        let [loads, exposed, stale] = part.judged;
        let of = [1, u64::from(stale != 0), stale, exposed, loads];
        let same = |row: &&mut (&PointLine, [u64; 5])| {
            let (a, b) = (&row.0.result, &line.result);
            (&a.lock, &a.workload, a.cpus) == (&b.lock, &b.workload, b.cpus)
        };
        match rows.iter_mut().find(same) {
            Some(row) => row.1.iter_mut().zip(of).for_each(|(sum, n)| *sum += n),
            None => rows.push((line, of)),
        }
    }
    for (line, sums) in rows {
        let result = &line.result;
        let name = [result.lock.clone(), result.workload.clone(), result.cpus.to_string()];
        let coherent = line.dax.as_ref().and_then(|part| part.variant.parse::<Variant>().ok());
        if coherent.is_some_and(Variant::is_coherent) && sums[2] != 0 {
            wrong.push(format!("{}: {} stale loads", name.join(", "), sums[2]));
        }
        table.add_row(name.into_iter().chain(sums.map(|n| n.to_string())));
    }
    table::align(&mut table);
    (table.to_string(), wrong)
}

pub(crate) fn run(options: &Options) -> Result<(), Error> {
    let jobs = options.jobs()?;
    let at_once = options.jobs.unwrap_or_else(one_for_each_cpu).max(1);
    let (mut lines, mut failures) = (Vec::<PointLine>::new(), Vec::new());
    for ended in run_all(&jobs, at_once, &Progress::new(jobs.len())) {
        match ended {
            Ended::Line(line) => lines.push(*line),
            Ended::CannotRun(why) => eprintln!("no figure: {why}"),
            Ended::Failed(why) => failures.push(why),
        }
    }
    let mut stdout = io::stdout().lock();
    // A reader of the pipe may have seen enough.
    let _ = writeln!(stdout, "{}", table::tables(&lines));
    if options.judge {
        let (table, wrong) = judged(&lines);
        let _ = writeln!(stdout, "{table}");
        failures.extend(wrong);
    }
    let write = |path: &Path, text: &str| {
        std::fs::write(path, text).map_err(|error| Error::Run(format!("{}: {error}", path.display())))
    };
    if let Some(path) = &options.json {
        write(path, &json::render(&lines, options.judge))?;
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
            write(path, &html::page(TITLE, WHAT, &lines, &plots))?;
        }
    }
    if failures.is_empty() { Ok(()) } else { Err(Error::Run(failures.join("\nsmp: "))) }
}
