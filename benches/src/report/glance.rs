//! Prints a first look, from one sample of each cell: rates in a table that fits a terminal,
//! without a verdict.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use comfy_table::presets::ASCII_MARKDOWN;
use comfy_table::{CellAlignment, Table};

use super::{empty, empty_legend, marked, three_digits};
use crate::sample::{Record, Sample};
use crate::workload::{Cell, Contender, Workload, contenders};

/// How many columns of text a line has if the output is no terminal.
pub const WIDTH: usize = 80;

/// A cell with at least one sample, as a column.
struct Column {
    cell: Cell,
    name: String,
    head: String,
    width: usize,
}

/// The rates of all rivals in all cells that were run. No line is wider than `width`, unless the
/// names of the rivals and one column are.
pub fn figures(record: &Record, width: usize) -> String {
    let mut text = format!(
        "Operations per second of all threads together, from one sample each of {} ms:\n\
         nothing is judged. {} with {} hardware threads,\nLinux {}.\n",
        record.millis, record.host.cpu, record.host.hardware_threads, record.host.kernel
    );
    let columns = columns(record);
    let ran = |rival: &dyn Contender| record.samples.iter().any(|of| of.rival == rival.name());
    let rivals: Vec<Box<dyn Contender>> = contenders().into_iter().filter(|rival| ran(&**rival)).collect();
    // Two bars and four spaces around two columns, then a bar and two spaces for each further
    // column.
    let names = rivals.iter().map(|rival| marked(&**rival).chars().count()).max().unwrap_or(0) + 4;
    let mut rest = columns.as_slice();
    while !rest.is_empty() {
        let mut used = names;
        let fit = rest.iter().take_while(|column| {
            used += column.width + 3;
            used <= width
        });
        let (now, later) = rest.split_at(fit.count().max(1));
        let _ = write!(text, "\n{}\n", table(record, &rivals, now));
        rest = later;
    }
    text.push('\n');
    text.push_str(LEGEND);
    text.push_str(empty_legend());
    text
}

const LEGEND: &str = "\
Above each column: the workload (see docs/benchmarks.md) and its threads.
*    more threads than the machine has hardware threads
†    excludes nothing
‡    readers exclude each other
§    no lock: the most that is possible
";

/// By workload, then by threads, for all numbers of threads with which it was run.
fn columns(record: &Record) -> Vec<Column> {
    let threads: BTreeSet<usize> = record.samples.iter().map(|of| of.threads).collect();
    let cells = |workload| threads.iter().map(move |&threads| Cell { workload, threads });
    Workload::ALL.into_iter().flat_map(cells).filter_map(|cell| column(record, cell)).collect()
}

fn column(record: &Record, cell: Cell) -> Option<Column> {
    let name = cell.workload.name();
    record.samples.iter().find(|of| of.workload == name && of.threads == cell.threads)?;
    let mark = if cell.threads > record.host.hardware_threads { "*" } else { "" };
    let parts = name.split_once('/').map_or((name.as_str(), ""), |(group, kind)| (group, kind));
    let head = format!("{}\n{}\n{}{mark}", parts.0, parts.1, cell.threads);
    let width = head.lines().map(str::len).max().unwrap_or(0).max("12.3M".len());
    Some(Column { cell, head, width, name })
}

fn table(record: &Record, rivals: &[Box<dyn Contender>], columns: &[Column]) -> Table {
    let mut table = Table::new();
    let head = columns.iter().map(|column| column.head.clone());
    table.load_style(ASCII_MARKDOWN).set_header(["".to_owned()].into_iter().chain(head).collect::<Vec<_>>());
    for rival in rivals {
        let mut row = vec![marked(&**rival)];
        row.extend(columns.iter().map(|column| {
            let of = |sample: &&Sample| {
                sample.rival == rival.name()
                    && sample.workload == column.name
                    && sample.threads == column.cell.threads
            };
            let sample = record.samples.iter().find(of);
            sample.map_or_else(|| empty(&**rival, column.cell, false), |sample| rate(sample.ops_per_s))
        }));
        table.add_row(row);
    }
    table.column_iter_mut().skip(1).for_each(|column| column.set_cell_alignment(CellAlignment::Right));
    table
}

/// Three digits and a unit: `12.3M`.
fn rate(per_s: f64) -> String {
    let (unit, name) = match per_s {
        v if v >= 999.5e6 => (1e9, "G"),
        v if v >= 999.5e3 => (1e6, "M"),
        v if v >= 999.5 => (1e3, "k"),
        _ => (1.0, ""),
    };
    format!("{}{name}", three_digits(per_s / unit))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::Host;

    #[test]
    fn rates_have_three_digits_and_a_unit() {
        let rates = [0.5, 16.3, 999.6, 123_456.0, 999_600.0, 24.13e6, 2e9].map(rate);
        assert_eq!(rates, ["0.500", "16.3", "1.00k", "123k", "1.00M", "24.1M", "2.00G"]);
    }

    /// One sample of everything that can be run.
    fn record() -> Record {
        let host = Host { hardware_threads: 2, ..Host::default() };
        let mut record = Record { host, millis: 5, ..Record::default() };
        for cell in Cell::all() {
            for rival in contenders().iter().filter(|rival| rival.why_not(cell.workload).is_none()) {
                record.samples.push(Sample {
                    workload: cell.workload.name(),
                    threads: cell.threads,
                    rival: rival.name().to_owned(),
                    round: 0,
                    hand_over_ns: Some([40.0, 240.0]),
                    ops_per_s: 12.3e6,
                    fairness: 1.0,
                    wait_us: None,
                });
            }
        }
        record
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        let record = record();
        for width in [60, 80, 132] {
            let text = figures(&record, width);
            // The lines around the tables do not adapt.
            let most = |line: &str| if line.starts_with('|') { width } else { width.max(WIDTH) };
            assert!(text.lines().all(|line| line.chars().count() <= most(line)), "{width}:\n{text}");
        }
    }

    #[test]
    fn unusual_numbers_of_threads_have_columns() {
        let mut record = record();
        record.samples.retain(|of| of.workload == "W3" && of.threads == 2);
        record.samples.iter_mut().for_each(|of| of.threads = 3);
        let text = figures(&record, 80);
        assert!(text.contains("12.3M") && text.contains("3*"), "{text}");
    }

    #[test]
    fn every_cell_has_a_rate_or_a_reason_and_none_a_verdict() {
        let text = figures(&record(), 80);
        let rows = || text.lines().filter(|line| line.starts_with("| page locks "));
        assert!(rows().next().is_some());
        for row in rows() {
            assert!(row.split('|').skip(1).all(|cell| cell.is_empty() || !cell.trim().is_empty()), "{row}");
        }
        assert!(text.contains("(a)") && text.contains("(b)") && text.contains("(c)"), "{text}");
        assert!(!text.contains("met") || !text.contains("missed"), "{text}");
    }
}
