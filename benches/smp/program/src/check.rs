//! `smp check`: checks exclusion and the order of grants of all locks.

use clap::Args;
use smp_machine::{Directory, Machine, Overlap};
use smp_workloads::{Failed, Point, Workload, grants_in_order, locks};

use crate::plan::Effort;
use crate::point::fix_addresses;
use crate::{Error, names};

/// The arguments of `smp check`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Locks, by their names in `smp list` [default: all]
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    locks: Vec<String>,
    /// Numbers of CPUs
    #[arg(long, value_delimiter = ',', default_value = "2,16,64", value_name = "N")]
    cpus: Vec<usize>,
}

/// Workloads in which sections overlap in every way, and threads meet.
const WORKLOADS: [Workload; 7] = [
    Workload::Array { reads: 60 },
    Workload::ReadMostly,
    Workload::HandOver,
    Workload::WholeBeside,
    Workload::Tail,
    Workload::Neighbours,
    Workload::Hundred { interleaved: true },
];
/// Rounds of requests in order, each with a seed of its own.
const ROUNDS: u64 = 4;
/// Requests in a round.
const REQUESTS: usize = 24;

pub(crate) fn run(options: &Options) -> Result<(), Error> {
    let all = locks();
    let names: Vec<&str> = match &options.locks[..] {
        [] => all.iter().filter(|lock| !lock.control).map(|lock| lock.name).collect(),
        named => named.iter().map(|name| names::lock(name)).collect::<Result<_, _>>()?,
    };
    options.cpus.iter().try_for_each(|&cpus| names::cpus(cpus).map(drop))?;
    fix_addresses()?;
    let mut failures = Vec::new();
    for name in names {
        let fifo = all.iter().any(|lock| lock.name == name && lock.fifo);
        let (sections, mut wrong) = exclusion(name, &options.cpus)?;
        let order = if fifo {
            let (pairs, disorder) = order(name)?;
            wrong.extend(disorder);
            format!("{pairs} pairs in order")
        } else {
            "promises no order".to_owned()
        };
        let verdict = if wrong.is_empty() { "ok" } else { "FAILED" };
        println!("{name:16} {sections:9} sections, {order}: {verdict}");
        failures.extend(wrong.into_iter().map(|why| format!("{name}: {why}")));
    }
    if failures.is_empty() { Ok(()) } else { Err(Error::Run(failures.join("\nsmp: "))) }
}

/// The four models that bound the real one.
fn models(machine: &Machine) -> impl Iterator<Item = Machine> + use<> {
    let machine = machine.clone();
    [Directory::Blocking, Directory::Pipelined].into_iter().flat_map(move |directory| {
        let machine = machine.clone().with_directory(directory);
        [Overlap::InOrder, Overlap::Overlapping].map(|overlap| machine.clone().with_overlap(overlap))
    })
}

fn machine() -> Machine {
    Machine::preset("s64").expect("it is a preset")
}

/// Returns how many sections were checked, and what was wrong.
fn exclusion(lock: &str, cpus: &[usize]) -> Result<(u64, Vec<String>), Error> {
    let mut sections = 0;
    let mut wrong = Vec::new();
    // More threads than CPUs, too.
    let sizes = cpus.iter().map(|&cpus| (cpus, cpus)).chain([(2, 8)]);
    for (cpus, threads) in sizes {
        // A queue lock with threads that share CPUs hands over once in a time slice: a hundred
        // pages take seconds.
        let is_long = |workload: &Workload| matches!(workload, Workload::Hundred { .. });
        for workload in WORKLOADS.into_iter().filter(|w| threads == cpus || !is_long(w)) {
            for machine in models(&machine().with_cpus(cpus).with_threads(threads)) {
                let plan = Effort::Quick.plan(workload, true);
                let point = Point { lock: lock.to_owned(), workload, machine, plan };
                match smp_workloads::run(&point) {
                    Ok(ran) => {
                        sections += ran.outcome.checked;
                        let here = |why| format!("{} {cpus} CPUs: {why}", workload.name());
                        wrong.extend(ran.outcome.violations.into_iter().map(here));
                    }
                    Err(Failed::CannotRun(_)) => {}
                    Err(failed) => return Err(Error::Run(format!("{lock} {}: {failed}", workload.name()))),
                }
            }
        }
    }
    Ok((sections, wrong))
}

fn order(lock: &str) -> Result<(usize, Vec<String>), Error> {
    let (mut pairs, mut wrong) = (0, Vec::new());
    for seed in 1..=ROUNDS {
        for machine in models(&machine().with_cpus(REQUESTS).with_seed(seed)) {
            let (more, disorder) =
                grants_in_order(lock, &machine).map_err(|failed| Error::Run(format!("{lock}: {failed}")))?;
            pairs += more;
            wrong.extend(disorder);
        }
    }
    Ok((pairs, wrong))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_that_excludes_nothing_fails() {
        assert_ne!(exclusion("control-none", &[2]).unwrap().1, Vec::<String>::new());
    }

    #[test]
    fn a_lock_that_serves_the_last_first_fails_by_its_order_alone() {
        assert_eq!(exclusion("control-stack", &[2]).unwrap().1, Vec::<String>::new());
        assert_ne!(order("control-stack").unwrap().1, Vec::<String>::new());
    }

    #[test]
    fn locks_exclude_and_keep_the_order_that_they_promise() {
        for lock in locks().iter().filter(|lock| !lock.control) {
            let (sections, wrong) = exclusion(lock.name, &[2]).unwrap();
            assert_eq!(wrong, Vec::<String>::new(), "{}", lock.name);
            assert!(sections > 1000, "{}: {sections} sections", lock.name);
            if lock.fifo {
                assert_eq!(order(lock.name).unwrap().1, Vec::<String>::new(), "{}", lock.name);
            }
        }
    }
}
