//! Fits the constants on W1 and W2 of two locks.

use crate::job::{Ended, Job, Progress, one_for_each_cpu, run_all};
use crate::plan::Effort;
use crate::point::{LIMIT, MachineOptions};
use crate::{Error, names};

use super::measured::{LOCKS, Measured, median};

/// The locks on which the constants are fitted.
pub(super) const LOCKS_FITTED: [&str; 2] = ["range-lock", "page-locks"];

/// Whether a cell was used to fit.
pub(super) fn is_fitted(workload: &str, threads: usize, lock: &str) -> bool {
    (workload == "W2" || workload.starts_with("W1/")) && threads <= 2 && LOCKS_FITTED.contains(&lock)
}

/// The values that are tried for `transfer` and for `window`.
const TRANSFERS: [f64; 11] = [30.0, 40.0, 50.0, 60.0, 70.0, 80.0, 90.0, 100.0, 110.0, 120.0, 140.0];
const WINDOWS: [f64; 10] = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 10.0, 12.0];
/// For how many percent of a transfer an owner keeps a line. It is a guess: the two locks hardly
/// depend on it.
const KEEPS: f64 = 45.0;

/// Named costs, in nanoseconds or their own unit.
pub(super) type Set = Vec<(String, f64)>;

/// The costs as arguments of `--set`.
pub(super) fn arguments(set: &Set) -> Vec<String> {
    set.iter().map(|(name, value)| format!("{name}={value}")).collect()
}

fn with(set: &Set, name: &str, value: f64) -> Set {
    let mut set = set.clone();
    set.retain(|cost| cost.0 != name);
    set.push((name.to_owned(), value));
    set
}

/// One point of the machine of two CPUs.
#[derive(Clone, Debug)]
pub(super) struct Spot {
    pub(super) workload: String,
    pub(super) threads: usize,
    pub(super) lock: &'static str,
    pub(super) near: bool,
    pub(super) set: Set,
}

/// Runs the points. Returns millions of operations per second, or `None` if a lock cannot run a
/// workload.
pub(super) fn simulate(
    spots: &[Spot],
    cpus: usize,
    effort: Effort,
    seed: u64,
) -> Result<Vec<Option<f64>>, Error> {
    let job = |spot: &Spot| {
        Ok(Job {
            lock: spot.lock,
            workload: names::workload(&spot.workload)?,
            cpus: cpus.min(spot.threads),
            threads: Some(spot.threads),
            machine: MachineOptions {
                topology: if spot.near { "near" } else { "far" }.to_owned(),
                directory: "blocking".to_owned(),
                overlap: "ahead".to_owned(),
                seed,
                set: arguments(&spot.set),
                limit: LIMIT,
            },
            effort,
            check: false,
        })
    };
    let jobs = spots.iter().map(job).collect::<Result<Vec<Job>, Error>>()?;
    let ended = run_all(&jobs, one_for_each_cpu(), &Progress::hidden());
    let rate = |ended| match ended {
        Ended::Line(line) => Ok(Some(line.result.mops)),
        Ended::CannotRun(_) => Ok(None),
        Ended::Failed(why) => Err(Error::Run(why)),
    };
    ended.into_iter().map(rate).collect()
}

/// A measured figure to fit: workload, lock, rate.
type Target<'a> = (&'a str, &'static str, f64);

/// The points of these figures, for far CPUs, with these costs.
fn spots(targets: &[Target<'_>], threads: usize, set: &Set) -> Vec<Spot> {
    let spot = |&(workload, lock, _): &Target<'_>| {
        let (workload, set) = (workload.to_owned(), set.clone());
        Spot { workload, threads, lock, near: false, set }
    };
    targets.iter().map(spot).collect()
}

/// The measured figures to fit.
fn targets(measured: &Measured, threads: usize) -> Vec<Target<'_>> {
    let all = measured
        .cells
        .iter()
        .filter(|((workload, n, lock), _)| *n == threads && is_fitted(workload, *n, LOCKS[*lock].1));
    let rate = all.filter_map(|((workload, _, lock), rates)| {
        // One thread is as fast on near CPUs as on far ones.
        let rates = if threads == 1 && rates.far.len() < 3 { &rates.near } else { &rates.far };
        Some((workload.as_str(), LOCKS[*lock].1, median(rates)?))
    });
    rate.collect()
}

/// Fits `hit`, `locked`, `transfer` and `window`, unless they are given.
pub(super) fn fit(measured: &Measured, start: &Set, seed: u64) -> Result<Set, Error> {
    let given = |name: &str| start.iter().any(|cost| cost.0 == name);
    let mut set = start.clone();
    if !given("keeps") {
        set = with(&set, "keeps", KEEPS);
    }
    if !given("hit") {
        set = one_cpu(measured, &set, seed)?;
    }
    let targets = targets(measured, 2);
    if targets.is_empty() || measured.cpus < 2 {
        return Ok(set);
    }
    let error = |set: &Set| -> Result<f64, Error> {
        let spots = spots(&targets, 2, set);
        let rates = simulate(&spots, 2, Effort::Quick, seed)?;
        let off = rates.iter().zip(&targets).map(|(rate, target)| (rate.unwrap_or(0.0) / target.2).ln());
        Ok(off.map(|off| off * off).sum())
    };
    // The lock that finds its lines by a search hardly depends on `window`, so one round is enough.
    for (name, values) in [("transfer", &TRANSFERS[..]), ("window", &WINDOWS), ("transfer", &TRANSFERS)] {
        if given(name) {
            continue;
        }
        let mut best = (f64::MAX, set.clone());
        for &value in values {
            let tried = with(&set, name, value);
            let off = error(&tried)?;
            if off < best.0 {
                best = (off, tried);
            }
        }
        set = best.1;
    }
    Ok(set)
}

/// Fits `hit` and `locked`: the time of an operation is linear in both.
fn one_cpu(measured: &Measured, set: &Set, seed: u64) -> Result<Set, Error> {
    const AT: [f64; 2] = [0.06, 4.6];
    const STEP: [f64; 2] = [0.06, 2.0];
    let targets = targets(measured, 1);
    if targets.is_empty() {
        return Ok(set.clone());
    }
    let costs = |hit, locked| with(&with(set, "hit", hit), "locked", locked);
    let times = |set: &Set| -> Result<Vec<f64>, Error> {
        let spots = spots(&targets, 1, set);
        let rates = simulate(&spots, 1, Effort::Quick, seed)?;
        Ok(rates.into_iter().map(|rate| 1e3 / rate.unwrap_or(f64::INFINITY)).collect())
    };
    let base = times(&costs(AT[0], AT[1]))?;
    let by_hit = times(&costs(AT[0] + STEP[0], AT[1]))?;
    let by_locked = times(&costs(AT[0], AT[1] + STEP[1]))?;
    // Least squares of relative errors, in two unknowns, or in one.
    let fixed = set.iter().find(|cost| cost.0 == "locked").map(|cost| cost.1);
    let (mut a, mut b, mut c, mut p, mut q) = (0.0, 0.0, 0.0, 0.0, 0.0);
    for (n, target) in targets.iter().enumerate() {
        let time = 1e3 / target.2;
        let x = (by_hit[n] - base[n]) / STEP[0] / time;
        let y = (by_locked[n] - base[n]) / STEP[1] / time;
        let known = fixed.map_or(0.0, |locked| y * (locked - AT[1]));
        let rest = (time - base[n]) / time - known;
        (a, b, c) = (a + x * x, b + x * y, c + y * y);
        (p, q) = (p + x * rest, q + y * rest);
    }
    let determinant = a * c - b * b;
    let (hit, locked) = match fixed {
        Some(locked) => (AT[0] + p / a, locked),
        None => (AT[0] + (p * c - q * b) / determinant, AT[1] + (q * a - p * b) / determinant),
    };
    let round = |x: f64| if x.is_finite() { (x.max(0.0) * 1e3).round() / 1e3 } else { 0.0 };
    let set = with(&with(set, "hit", round(hit)), "locked", round(locked));
    // A line stays at least as long as a locked instruction.
    Ok(with(&set, "hold", round(locked).max(5.0)))
}
