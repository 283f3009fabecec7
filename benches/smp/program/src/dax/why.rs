//! `smp dax-why`: explains the speed of a variant.

use clap::Args;
use smp_workloads::dax::{Point, Ran};

use super::point::{label, plan, ran};
use crate::plan::Effort;
use crate::point::{MachineOptions, fix_addresses};
use crate::{Error, names, why};

/// The arguments of `smp dax-why`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The variant
    variant: String,
    /// The workload
    workload: String,
    /// CPUs
    cpus: usize,
    /// Which levels of locking use the variant's own kind of lock
    #[arg(long, default_value = "both")]
    level: String,
    /// What lies behind the device
    #[arg(long, default_value = "dram")]
    medium: String,
    #[command(flatten)]
    machine: MachineOptions,
    /// How long to run
    #[arg(long, value_enum, default_value = "standard")]
    effort: Effort,
    /// Rows of each table
    #[arg(long, default_value_t = 12, value_name = "N")]
    rows: usize,
}

pub(crate) fn run(options: &Options) -> Result<(), Error> {
    let cpus = names::cpus(options.cpus)?;
    let medium = super::medium(&options.medium)?;
    let point = Point {
        variant: super::variant(&options.variant)?,
        level: super::level(&options.level)?,
        workload: super::workload(&options.workload)?,
        machine: options.machine.machine()?.with_cpus(cpus).with_medium(medium),
        plan: plan(options.effort),
        judge: false,
    };
    fix_addresses()?;
    let Ran { outcome, report, .. } = ran(&point)?;
    let name = label(point.variant, point.level);
    let title = format!("{name}, {}, {}, {cpus} CPUs", point.workload.name(), options.medium);
    why::print(&title, &outcome, &report, &[], options.rows);
    Ok(())
}
