//! `smp validate`: compares simulated with measured rates on two CPUs, near and far. It fits a few
//! constants, predicts the other figures, and judges them.

mod fit;
mod measured;
mod verdict;

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;

use crate::Error;
use crate::costs::{self, Named};
use crate::plan::Effort;
use crate::point::named_value;
use crate::table::{align, digits, new_table};

use fit::{LOCKS_FITTED, Set, Spot, arguments, fit, is_fitted, simulate};
use measured::{Cell, LOCKS, Measured, Rates, measure, median};
use verdict::{Row, judge};

/// The arguments of `smp validate`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Measurements: files of `rivals --json` of benches. Without a FILE, it measures first
    #[arg(value_name = "FILE")]
    measured: Vec<PathBuf>,
    /// Rounds to measure; whether the CPUs are near or far depends on the machine
    #[arg(long, default_value_t = 24, value_name = "N")]
    rounds: usize,
    /// Where to keep the measurements, with 0.json and 1.json at the end
    #[arg(long, default_value = "target/validate", value_name = "FILE")]
    keep: PathBuf,
    /// Costs: the file of `smp costs --json` of the same machine. Without a FILE, they are measured
    /// first
    #[arg(long, value_name = "FILE")]
    costs: Option<PathBuf>,
    /// How long to run
    #[arg(long, value_enum, default_value = "standard")]
    effort: Effort,
    /// Seed of jitter and random numbers
    #[arg(long, default_value_t = 1, value_name = "N")]
    seed: u64,
    /// Sets a cost in place of fitting it: NAME=NANOSECONDS, or the unit of that cost
    #[arg(long, value_name = "NAME=VALUE")]
    set: Vec<String>,
}

pub(crate) fn run(options: &Options) -> Result<(), Error> {
    let mut given = options.given()?;
    let mut add = |costs: Named| {
        let given_before = given.clone();
        let is_new = |name: &str| given_before.iter().all(|cost| cost.0 != name);
        given.extend(costs.into_iter().filter(|(name, _)| is_new(name)));
    };
    if let Some(file) = &options.costs {
        add(costs::read(file)?);
    }
    let files = if options.measured.is_empty() {
        if options.costs.is_none() {
            let measured = costs::of_this_machine();
            costs::write(&measured, &options.keep.with_extension("costs.json"))?;
            add(measured);
        }
        measure(options.rounds, &options.keep)?
    } else {
        options.measured.clone()
    };
    let measured = Measured::read(&files)?;
    let set = fit(&measured, &given, options.seed)?;
    let near_set = near(&set, &measured);
    println!("Measured on {}.", measured.host);
    let [far_ns, near_ns] = measured.hand_over_ns.map(|ns| ns.map_or_else(|| "–".to_owned(), digits));
    println!("A line changes hands in {far_ns} ns far, {near_ns} ns near.");
    println!("Measured costs, and set ones: {}.", arguments(&given).join(", "));
    let fitted: Set = set.iter().filter(|cost| !given.contains(cost)).cloned().collect();
    println!(
        "Fitted on W1 and W2 of {}, far: {}.\n",
        LOCKS_FITTED.join(" and "),
        arguments(&fitted).join(", ")
    );

    let rates_of = |near: bool, set: &Set| -> Result<BTreeMap<&Cell, f64>, Error> {
        let figure = |rates: &Rates| median(if near { &rates.near } else { &rates.far });
        let cells: Vec<&Cell> =
            measured.cells.iter().filter(|(_, rates)| figure(rates).is_some()).map(|cell| cell.0).collect();
        let spot = |cell: &&Cell| Spot {
            workload: cell.0.clone(),
            threads: cell.1,
            lock: LOCKS[cell.2].1,
            near,
            set: set.clone(),
        };
        let spots: Vec<Spot> = cells.iter().map(spot).collect();
        let rates = simulate(&spots, measured.cpus, options.effort, options.seed)?;
        Ok(cells.into_iter().zip(rates).filter_map(|(cell, rate)| Some((cell, rate?))).collect())
    };
    let far = rates_of(false, &set)?;
    let near = rates_of(true, &near_set)?;
    let row = |cell: &Cell, rate: Option<&f64>, rates: &[f64]| {
        let (workload, threads, lock) = cell.clone();
        Some(Row {
            fitted: is_fitted(&workload, threads, LOCKS[lock].1),
            workload,
            threads,
            measured: median(rates)?,
            simulated: *rate?,
            oversubscribed: threads > measured.cpus,
        })
    };
    let mut table = new_table();
    table.load_style(comfy_table::presets::ASCII_MARKDOWN);
    let of = ["measured", "simulated", "off by"];
    let head = ["far", "near"].map(|place| of.map(|what| format!("{place}, {what}"))).concat();
    table.set_header(["workload", "threads", "lock"].map(str::to_owned).into_iter().chain(head));
    let mut rows = Vec::new();
    for (cell, rates) in &measured.cells {
        let far = row(cell, far.get(cell), &rates.far);
        let near = row(cell, near.get(cell), &rates.near);
        if far.is_none() && near.is_none() {
            continue;
        }
        let mut line = vec![cell.0.clone(), cell.1.to_string(), LOCKS[cell.2].1.to_owned()];
        line.extend([&far, &near].into_iter().flat_map(texts));
        table.add_row(line);
        rows.extend(far);
    }
    align(&mut table);
    println!("{table}\n");
    println!("Millions of operations a second. \"(fit)\": a constant was fitted on it.\n");
    let criteria = judge(&rows);
    for criterion in &criteria {
        let verdict = if criterion.is_met() { "met" } else { "MISSED" };
        let percent = 100 * criterion.met / criterion.of.max(1);
        println!(
            "* {}: {} of {} ({percent} %, at least {} %): {verdict}",
            criterion.what, criterion.met, criterion.of, criterion.least
        );
    }
    let missed = criteria.iter().filter(|criterion| !criterion.is_met()).count();
    if missed == 0 {
        return Ok(());
    }
    Err(Error::Run(format!("{missed} of {} criteria missed", criteria.len())))
}

/// The measured rate, the simulated rate, and the error.
fn texts(row: &Option<Row>) -> [String; 3] {
    let Some(row) = row else { return ["–", "–", "–"].map(str::to_owned) };
    let fitted = if row.fitted { " (fit)" } else { "" };
    [digits(row.measured), digits(row.simulated), format!("{:+.0} %{fitted}", 100.0 * row.error())]
}

/// The costs of near CPUs: the transfer is shorter in proportion to the hand-over.
fn near(set: &Set, measured: &Measured) -> Set {
    let [Some(far), Some(near)] = measured.hand_over_ns else { return set.clone() };
    let shorter = |(name, ns): &(String, f64)| {
        (name.clone(), if name == "transfer" { (ns * near / far).round() } else { *ns })
    };
    set.iter().map(shorter).collect()
}

impl Options {
    /// The costs that the options set.
    fn given(&self) -> Result<Set, Error> {
        let one = |set: &String| named_value(set).map(|(name, value)| (name.to_owned(), value));
        self.set.iter().map(one).collect()
    }
}
