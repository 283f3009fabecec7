//! Finds what names on the command line mean, and helps with unknown names.

use std::io::{self, Write};

use smp_machine::{Directory, MOST_CPUS, Machine, Overlap};
use smp_workloads::{Workload, locks};

use crate::Error;

/// The error for an unknown name.
pub(crate) fn unknown(what: &str, name: &str, all: &[String]) -> Error {
    let near = |a: &String| strsim::jaro_winkler(&a.to_lowercase(), &name.to_lowercase());
    let nearest = all.iter().max_by(|a, b| near(a).total_cmp(&near(b))).filter(|a| near(a) > 0.55);
    let guess = nearest.map_or(String::new(), |nearest| format!("did you mean '{nearest}'? "));
    Error::Input(format!("no {what} is called '{name}': {guess}choose of {}", all.join(", ")))
}

/// The lock of that name.
pub(crate) fn lock(name: &str) -> Result<&'static str, Error> {
    let all = locks();
    let found = all.iter().find(|lock| lock.name.eq_ignore_ascii_case(name));
    let names = || all.iter().filter(|l| !l.control).map(|l| l.name.to_owned()).collect::<Vec<_>>();
    found.map(|lock| lock.name).ok_or_else(|| unknown("lock", name, &names()))
}

/// The workloads of that name, or of the group of that name.
pub(crate) fn workloads(name: &str) -> Result<Vec<Workload>, Error> {
    let named = |workload: &Workload| {
        let full = workload.name();
        full.eq_ignore_ascii_case(name)
            || full.split_once('/').is_some_and(|(group, _)| group.eq_ignore_ascii_case(name))
    };
    let found: Vec<_> = Workload::ALL.into_iter().filter(named).collect();
    if found.is_empty() {
        return Err(unknown("workload", name, &Workload::ALL.map(Workload::name)));
    }
    Ok(found)
}

/// The one workload of that name.
pub(crate) fn workload(name: &str) -> Result<Workload, Error> {
    match workloads(name)?[..] {
        [one] => Ok(one),
        ref several => {
            let names: Vec<String> = several.iter().map(|workload| workload.name()).collect();
            Err(Error::Input(format!("'{name}' is several workloads: choose of {}", names.join(", "))))
        }
    }
}

/// The machine of that name.
pub(crate) fn topology(name: &str) -> Result<Machine, Error> {
    let names = || Machine::presets().iter().map(|preset| preset.0.to_owned()).collect::<Vec<_>>();
    Machine::preset(name).ok_or_else(|| unknown("topology", name, &names()))
}

/// The directory of that name.
pub(crate) fn directory(name: &str) -> Result<Directory, Error> {
    let all = [Directory::Blocking, Directory::Pipelined].map(|d| d.name().to_owned());
    name.parse().map_err(|_| unknown("directory", name, &all))
}

/// The overlap of that name.
pub(crate) fn overlap(name: &str) -> Result<Overlap, Error> {
    let all = [Overlap::InOrder, Overlap::Overlapping, Overlap::Ahead].map(|o| o.name().to_owned());
    name.parse().map_err(|_| unknown("overlap", name, &all))
}

/// A number of CPUs that a machine may have.
pub(crate) fn cpus(n: usize) -> Result<usize, Error> {
    if (1..=MOST_CPUS).contains(&n) {
        return Ok(n);
    }
    Err(Error::Input(format!("{n} CPUs: a machine has 1 to {MOST_CPUS}; choose --cpus in between")))
}

/// A number of threads that a machine may have.
pub(crate) fn threads(n: usize) -> Result<usize, Error> {
    const MOST: usize = 1024;
    if (1..=MOST).contains(&n) {
        return Ok(n);
    }
    Err(Error::Input(format!("{n} threads: a run has 1 to {MOST}; choose --threads in between")))
}

/// Locks that cannot be simulated as they are.
const NOT_SHOWN: [(&str, &str); 3] = [
    ("std::sync", "std is not rebuilt with the instrumentation: what waits in it would take no time"),
    ("range-lock 0.2.4", "the crate of that name on crates.io waits in std::sync"),
    ("OFD locks", "they are in the kernel"),
];

/// Prints all names.
pub(crate) fn list(out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "Locks")?;
    for lock in locks().iter().filter(|lock| !lock.control) {
        let order = if lock.fifo { ", in order per conflict" } else { "" };
        writeln!(out, "  {:16} {}{order}", lock.name, lock.what)?;
    }
    writeln!(out, "Not shown")?;
    for (name, why) in NOT_SHOWN {
        writeln!(out, "  {name:16} SKIPPED: {why}")?;
    }
    writeln!(out, "Workloads")?;
    for workload in Workload::ALL {
        writeln!(out, "  {:16} {}", workload.name(), workload.what())?;
    }
    writeln!(out, "Variants of dax-sim, with their own locks at these levels")?;
    let variants = dax_sim::variant::Variant::COMPARED.map(dax_sim::variant::Variant::name);
    writeln!(out, "  {}", variants.join(", "))?;
    writeln!(out, "  {}", smp_workloads::dax::Level::ALL.map(smp_workloads::dax::Level::name).join(", "))?;
    writeln!(out, "Workloads of dax-sim")?;
    for workload in smp_workloads::dax::Workload::ALL {
        writeln!(out, "  {:16} {}", workload.name(), workload.what())?;
    }
    writeln!(out, "Media")?;
    for medium in smp_machine::Medium::presets() {
        writeln!(out, "  {:16} {}", medium.name, medium.what)?;
    }
    writeln!(out, "Topologies")?;
    for (name, what) in Machine::presets() {
        writeln!(out, "  {name:16} {what}")?;
    }
    Ok(())
}
