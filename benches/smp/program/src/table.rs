//! Writes the tables of a sweep.

use std::fmt::Write;

use comfy_table::{CellAlignment, Table, presets};

pub(crate) use crate::digits::three_digits as digits;
use crate::record::{PointLine, Sample};

/// Which points belong to one table: workload and machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Group {
    pub(crate) workload: String,
    pub(crate) topology: String,
    pub(crate) directory: String,
    pub(crate) overlap: String,
}

impl Group {
    fn of(sample: &Sample) -> Self {
        let Sample { workload, topology, directory, overlap, .. } = sample.clone();
        Group { workload, topology, directory, overlap }
    }

    /// Its heading.
    pub(crate) fn title(&self) -> String {
        let Group { workload, topology, directory, overlap } = self;
        format!("{workload}, {topology}, {directory}, {overlap}")
    }
}

/// All groups, in the order of the lines.
pub(crate) fn groups(lines: &[PointLine]) -> Vec<Group> {
    distinct(lines.iter().map(|line| Group::of(&line.result)))
}

/// All locks, in the order of the lines.
pub(crate) fn lock_names(lines: &[PointLine]) -> Vec<String> {
    distinct(lines.iter().map(|line| line.result.lock.clone()))
}

fn distinct<T: PartialEq>(all: impl Iterator<Item = T>) -> Vec<T> {
    let mut seen = Vec::new();
    for one in all {
        if !seen.contains(&one) {
            seen.push(one);
        }
    }
    seen
}

/// Smallest, median and largest over the seeds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    pub(crate) min: f64,
    pub(crate) median: f64,
    pub(crate) max: f64,
}

impl Spread {
    fn of(mut values: Vec<f64>) -> Option<Spread> {
        values.sort_unstable_by(f64::total_cmp);
        let median = *values.get(values.len() / 2)?;
        Some(Spread { min: values[0], median, max: values[values.len() - 1] })
    }
}

/// One figure of one lock at one number of CPUs.
pub(crate) fn spread(
    lines: &[PointLine],
    group: &Group,
    lock: &str,
    cpus: usize,
    figure: impl Fn(&PointLine) -> Option<f64>,
) -> Option<Spread> {
    let here = |line: &&PointLine| {
        line.result.lock == lock && line.result.cpus == cpus && Group::of(&line.result) == *group
    };
    Spread::of(lines.iter().filter(here).filter_map(figure).collect())
}

/// The numbers of CPUs of all points.
pub(crate) fn cpu_counts(lines: &[PointLine]) -> Vec<usize> {
    let mut counts = distinct(lines.iter().map(|line| line.result.cpus));
    counts.sort_unstable();
    counts
}

type Figure = (&'static str, fn(&PointLine) -> Option<f64>);

/// The figures of the tables.
const FIGURES: [Figure; 4] = [
    ("M operations a second", |line| Some(line.result.mops)),
    ("slowest thread to fastest", |line| Some(line.result.slowest_to_fastest)),
    ("longest wait, µs", |line| Some(line.result.longest_wait_us)),
    ("median wait for the whole domain, µs", |line| line.whole_median_wait_us),
];

/// A row: the lock, then a text for each number of CPUs.
pub(crate) type Row = (String, Vec<String>);

/// Rows of one figure.
pub(crate) fn rows(lines: &[PointLine], group: &Group, figure: usize) -> Vec<Row> {
    let counts = cpu_counts(lines);
    let of_lock = |lock: String| {
        let cell = |&cpus: &usize| {
            spread(lines, group, &lock, cpus, FIGURES[figure].1).map_or_else(|| "–".to_owned(), text)
        };
        let cells: Vec<String> = counts.iter().map(cell).collect();
        (lock, cells)
    };
    let rows = lock_names(lines).into_iter().map(of_lock);
    rows.filter(|(_, cells)| cells.iter().any(|cell| cell != "–")).collect()
}

/// The names of the figures of [`rows`].
pub(crate) fn figures() -> impl Iterator<Item = &'static str> {
    FIGURES.iter().map(|figure| figure.0)
}

/// The median with three digits, with the range if seeds differ by more than a twentieth.
fn text(spread: Spread) -> String {
    let Spread { min, median, max } = spread;
    if max - min > 0.05 * median {
        format!("{} ({}–{})", digits(median), digits(min), digits(max))
    } else {
        digits(median)
    }
}

/// The lock whose ratios to the others are shown.
const OURS: &str = "range-lock";

/// For each workload and topology that was run on several models of the memory: the throughput of
/// `range-lock` divided by that of each rival, and of these ratios the smallest. Title and rows.
pub(crate) fn ratios(lines: &[PointLine]) -> Vec<(String, Vec<Row>)> {
    let groups = groups(lines);
    let mops = |line: &PointLine| Some(line.result.mops);
    let mut tables = Vec::new();
    for (workload, topology) in distinct(groups.iter().map(|g| (g.workload.clone(), g.topology.clone()))) {
        let models: Vec<&Group> =
            groups.iter().filter(|g| g.workload == workload && g.topology == topology).collect();
        if models.len() < 2 {
            continue;
        }
        let ratio = |lock: &str, cpus: usize| -> Option<f64> {
            let of_model = |model: &&Group| {
                let [ours, rival] = [OURS, lock].map(|lock| spread(lines, model, lock, cpus, mops));
                Some(ours?.median / rival?.median)
            };
            models.iter().map(of_model).collect::<Option<Vec<f64>>>()?.into_iter().reduce(f64::min)
        };
        let row = |lock: String| {
            let cell = |&cpus: &usize| ratio(&lock, cpus).map_or_else(|| "–".to_owned(), digits);
            let cells = cpu_counts(lines).iter().map(cell).collect();
            (lock, cells)
        };
        let rows: Vec<_> = lock_names(lines).into_iter().filter(|lock| lock != OURS).map(row).collect();
        let title =
            format!("{workload}, {topology}: {OURS} divided by each, the least of {} models", models.len());
        if !rows.is_empty() && lock_names(lines).iter().any(|lock| lock == OURS) {
            tables.push((title, rows));
        }
    }
    tables
}

/// The tables of throughput, and of waits for the whole domain, for the terminal.
pub(crate) fn tables(lines: &[PointLine]) -> String {
    let mut all = String::new();
    for group in groups(lines) {
        for figure in [0, 3] {
            let title = format!("{}: {}", group.title(), FIGURES[figure].0);
            write_table(&mut all, &title, lines, rows(lines, &group, figure));
        }
    }
    for (title, rows) in ratios(lines) {
        write_table(&mut all, &title, lines, rows);
    }
    all
}

fn write_table(all: &mut String, title: &str, lines: &[PointLine], rows: Vec<Row>) {
    if rows.is_empty() {
        return;
    }
    let mut table = new_table();
    let counts = cpu_counts(lines);
    table.set_header(std::iter::once("CPUs".to_owned()).chain(counts.iter().map(ToString::to_string)));
    for (lock, cells) in rows {
        table.add_row(std::iter::once(lock).chain(cells));
    }
    align(&mut table);
    let _ = writeln!(all, "{title}\n{table}\n");
}

/// A table without frames.
pub(crate) fn new_table() -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table
}

/// Aligns all columns except the first to the right.
pub(crate) fn align(table: &mut Table) {
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_shows_where_seeds_differ() {
        let of = |values: &[f64]| text(Spread::of(values.to_vec()).unwrap());
        assert_eq!(of(&[10.0, 10.1, 10.2]), "10.1");
        assert_eq!(of(&[10.0, 12.0, 11.0]), "11.0 (10.0–12.0)");
        assert_eq!(Spread::of(Vec::new()), None);
    }
}
