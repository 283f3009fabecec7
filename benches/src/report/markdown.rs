//! Writes the figures as tables in Markdown, which are also readable as text.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use comfy_table::Table;
use comfy_table::presets::ASCII_MARKDOWN;

use super::bounds::{BOUNDS, Limit};
use super::{count, empty, empty_legend, marked, three_digits};
use crate::placement::Placement;
use crate::rival::{Rival, Scope};
use crate::rivals::{AsItComes, ParkingLotRwLock, Shape};
use crate::sample::{CellName, Record, Sample, Spread, Waits};
use crate::workload::{Cell, Contender, Workload, contenders};

/// The rival to which ratios are taken.
const BASE: &str = ParkingLotRwLock::NAME;
const OURS: &str = AsItComes::NAME;
/// With fewer rounds nothing is judged.
const FEWEST: usize = 3;
/// Ratios within this factor of 1 count as level.
const LEVEL: f64 = 0.95;

const BEGIN: &str = "<!-- figures: begin -->";
const END: &str = "<!-- figures: end -->";

/// Puts the figures into a document, between its two markers.
///
/// # Errors
///
/// If the document has no such markers.
pub fn splice(document: &str, figures: &str) -> Result<String, String> {
    let parts = document.split_once(BEGIN).and_then(|(head, rest)| Some((head, rest.split_once(END)?.1)));
    let (head, tail) =
        parts.ok_or_else(|| format!("expected a line '{BEGIN}' and, after it, a line '{END}'"))?;
    Ok(format!("{head}{BEGIN}\n\n{}\n\n{END}{tail}", figures.trim()))
}

/// All figures.
pub fn figures(record: &Record) -> String {
    let mut text = String::new();
    let host = &record.host;
    let _ = writeln!(
        text,
        "Measured on {} with {} hardware threads, Linux {}: {} rounds, {} ms a sample (longer in some workloads).\n",
        host.cpu,
        host.hardware_threads,
        host.kernel,
        record.next_round(),
        record.millis,
    );
    for placement in Placement::ALL {
        if record.samples.iter().any(|sample| sample.placement() == Some(placement)) {
            State { record, placement }.write(&mut text);
        }
    }
    let _ = writeln!(text, "Why a cell has no figure:\n\n```text\n{}```\n", empty_legend());
    text.push_str(&footprints(record));
    text
}

/// The figures of one state of the machine.
struct State<'a> {
    record: &'a Record,
    placement: Placement,
}

/// A column: what stands above it, the workload, the threads.
type Column = (String, String, usize);

fn column(workload: &str, threads: usize) -> Column {
    (workload.to_owned(), workload.to_owned(), threads)
}

impl State<'_> {
    fn write(&self, text: &mut String) {
        let samples = || self.record.samples.iter().filter(|of| of.placement() == Some(self.placement));
        let hand_over = Spread::of(samples().filter_map(|of| Some(of.hand_over_ns?[0])).collect());
        let rounds = samples().map(|of| of.round).collect::<BTreeSet<_>>().len();
        let lost = self.record.samples.iter().filter(|of| of.placement().is_none()).count();
        let _ =
            write!(text, "## {} CPUs\n\n", if self.placement == Placement::Near { "Near" } else { "Far" });
        if let Some(hand_over) = hand_over {
            let _ = writeln!(
                text,
                "A cache line changes hands in {} ns ({} to {}). {rounds} rounds had samples in this state; {lost} of all {} \
                 samples were dropped because the state changed during the sample.\n",
                three_digits(hand_over.median),
                three_digits(hand_over.min),
                three_digits(hand_over.max),
                count(self.record.samples.len()),
            );
        }
        self.bounds(text);
        let ns = |sample: &Sample| Some(1e9 * sample.threads as f64 / sample.ops_per_s);
        let millions = |sample: &Sample| Some(sample.ops_per_s / 1e6);
        let one = ["W1/write", "W1/read", "W6/alone", "W6/met"].map(|workload| column(workload, 1));
        self.table(text, "One thread: nanoseconds for an acquisition and its release", &one, ns);
        let held = [0, 100, 10_000, 100_000].map(|held| (count(held), format!("W5/{held}"), 1));
        self.table(
            text,
            "W5, one thread: nanoseconds for a free range while so many others are held",
            &held,
            ns,
        );
        for (workload, what) in [
            ("W2", "W2, disjoint random 4 KiB writes"),
            ("W2r", "W2r, random 4 KiB reads"),
            ("W3", "W3, random 4 KiB of 1 GiB, 95 % reads"),
            ("W4", "W4, reads of one block"),
        ] {
            let columns = self.by_threads(workload, &[1, 2, 4, 8]);
            self.table(text, &format!("{what}: millions per second by threads"), &columns, millions);
        }
        let arrays = ["W11/60", "W11/95", "W11/100", "W10/apart", "W10/interleaved", "W6/mixed"];
        let arrays = arrays.map(|workload| column(workload, 2));
        self.table(
            text,
            "W11 (an array, by % of reads), W10 (a hundred ranges a thread), W6 (small writes, with the whole domain once per \
             1000): 2 threads, millions per second",
            &arrays,
            millions,
        );
        self.contended(text);
        let thousands = |sample: &Sample| Some(sample.ops_per_s / 1e3);
        let sleeping = self.by_threads("W8", &[16]);
        self.table(
            text,
            "W8, 50 µs of sleep in each section: thousands per second by threads",
            &sleeping,
            thousands,
        );
        self.waits(
            text,
            "W12, a writer of the whole domain among 8 readers that sleep 50 µs: reads, thousands per second, and the \
             writer's wait in µs",
            ("W12", 9),
            1e3,
        );
        self.losses(text);
    }

    /// The number of threads, marked if there are more than the machine has.
    fn threads(&self, threads: usize) -> String {
        format!("{threads}{}", if threads > self.record.host.hardware_threads { "\\*" } else { "" })
    }

    /// A column for each of the usual numbers of threads, and for those that were run beside them.
    fn by_threads(&self, workload: &str, usual: &[usize]) -> Vec<Column> {
        let run = self.record.samples.iter().filter(|of| of.workload == workload).map(|of| of.threads);
        let threads: BTreeSet<usize> = usual.iter().copied().chain(run).collect();
        threads.into_iter().map(|threads| (self.threads(threads), workload.to_owned(), threads)).collect()
    }

    fn cell<'c>(&self, workload: &'c str, threads: usize) -> CellName<'c> {
        CellName { workload, threads, placement: self.placement }
    }

    /// Why a cell has no figure.
    fn empty(&self, rival: &dyn Contender, name: CellName<'_>) -> String {
        let named = |workload: &Workload| workload.name() == name.workload;
        let ran = |sample: &Sample| {
            (&*sample.workload, sample.threads, &*sample.rival) == (name.workload, name.threads, rival.name())
        };
        let dropped = self.record.samples.iter().any(ran);
        let workload = Workload::ALL.into_iter().find(named);
        workload.map_or_else(String::new, |workload| {
            empty(rival, Cell { workload, threads: name.threads }, dropped)
        })
    }

    /// One row for each rival. Each column has the median with its extremes, and the ratio to the
    /// rwsem's rate.
    fn table(
        &self,
        text: &mut String,
        title: &str,
        columns: &[Column],
        value: impl Fn(&Sample) -> Option<f64> + Copy,
    ) {
        let mut table =
            table(["".to_owned()].into_iter().chain(columns.iter().map(|column| column.0.clone())));
        let mut any = false;
        for contender in contenders() {
            let name = contender.name();
            let mut row = vec![escaped(&marked(&*contender))];
            let mut full = false;
            for (_, workload, threads) in columns {
                let cell = self.cell(workload, *threads);
                let none = || self.empty(&*contender, cell);
                let figure = self.record.spread(cell, name, value);
                full |= figure.is_some();
                row.push(figure.map_or_else(none, |figure| {
                    let ratio = self.record.ratio((cell, name), (cell, BASE), rate);
                    format!(
                        "{}{}",
                        spread(figure),
                        ratio.map_or_else(String::new, |r| format!(" ×{}", three_digits(r.median)))
                    )
                }));
            }
            if full {
                table.add_row(row);
                any = true;
            }
        }
        if any {
            let _ = write!(text, "### {title}\n\n{table}\n\n");
        }
    }

    fn contended(&self, text: &mut String) {
        for (_, _, threads) in self.by_threads("W7", &[2, 8]) {
            let title = format!(
                "W7, one block, 200 ns inside, {} threads: millions per second, and waits in µs",
                self.threads(threads)
            );
            self.waits(text, &title, ("W7", threads), 1e6);
        }
    }

    fn waits(&self, text: &mut String, title: &str, (workload, threads): (&str, usize), unit: f64) {
        let mut table =
            table(["", "rate", "slowest / fastest", "wait p50", "p99", "longest"].map(str::to_owned));
        let cell = self.cell(workload, threads);
        for contender in contenders() {
            let name = contender.name();
            let of = |value: &dyn Fn(&Sample) -> Option<f64>| {
                self.record.spread(cell, name, value).map_or_else(String::new, spread)
            };
            let wait = |part: fn(Waits) -> f64| move |sample: &Sample| sample.wait_us.map(part);
            if self.record.of(cell, name).next().is_some() {
                table.add_row([
                    escaped(&marked(&*contender)),
                    of(&|sample| Some(sample.ops_per_s / unit)),
                    of(&|sample| Some(sample.fairness)),
                    of(&wait(|wait| wait.p50)),
                    of(&wait(|wait| wait.p99)),
                    of(&wait(|wait| wait.max)),
                ]);
            }
        }
        if !table.is_empty() {
            let _ = write!(text, "### {title}\n\n{table}\n\n");
        }
    }

    fn bounds(&self, text: &mut String) {
        let mut table = table(["what", "bound", "figure", ""].map(str::to_owned));
        for bound in &BOUNDS {
            if let Some(figure) = bound.figure(self.record, self.placement) {
                let limit = match bound.limit {
                    Limit::AtLeast(least) => format!("≥ {}", three_digits(least)),
                    Limit::AtMost(most) => format!("≤ {}", three_digits(most)),
                };
                let verdict = match bound.limit.is_met(figure.median) {
                    _ if figure.count < FEWEST => "not judged",
                    true => "met",
                    false => "**missed**",
                };
                table.add_row([bound.what.to_owned(), limit, spread(figure), verdict.to_owned()]);
            }
        }
        if !table.is_empty() {
            let _ = write!(text, "### The goals of the lock: ratios within a round\n\n{table}\n\n");
        }
    }

    /// Every cell in which our lock is slower than a rival.
    fn losses(&self, text: &mut String) {
        let mut lines = String::new();
        let locks = contenders();
        let locks = locks.iter().filter(|lock| !matches!(lock.scope(), Scope::Nothing | Scope::Reference));
        for rival in locks.map(|lock| lock.name()).filter(|name| *name != OURS) {
            let lost = Cell::all().into_iter().filter_map(|Cell { workload, threads }| {
                let name = workload.name();
                let cell = self.cell(&name, threads);
                let ratio = self.record.ratio((cell, OURS), (cell, rival), rate)?;
                let (ratio, judged) = (ratio.median, ratio.count >= FEWEST);
                (judged && ratio < LEVEL)
                    .then(|| format!("{name} with {} ×{}", self.threads(threads), three_digits(ratio)))
            });
            let lost: Vec<String> = lost.collect();
            if !lost.is_empty() {
                let _ = writeln!(lines, "* to {rival}: {}", lost.join(", "));
            }
        }
        if !lines.is_empty() {
            let _ = write!(
                text,
                "### Where range-lock is slower: workload and threads, its rate divided by the rate of the rival\n\n{lines}\n"
            );
        }
    }
}

fn rate(sample: &Sample) -> Option<f64> {
    Some(sample.ops_per_s)
}

fn spread(figure: Spread) -> String {
    let Spread { median, min, max, .. } = figure;
    format!("{} [{}–{}]", three_digits(median), three_digits(min), three_digits(max))
}

/// A name may be code that Markdown would take for a tag.
fn escaped(name: &str) -> String {
    name.replace('<', "\\<")
}

fn table(head: impl IntoIterator<Item = String>) -> Table {
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN).set_header(head.into_iter().collect::<Vec<_>>());
    table
}

fn footprints(record: &Record) -> String {
    if record.footprints.is_empty() {
        return String::new();
    }
    let head = ["", "a new lock", "its heap", "a read guard", "a write guard", "heap for each range held"];
    let mut table = table(head.map(str::to_owned));
    for of in &record.footprints {
        table.add_row([
            escaped(&of.rival),
            of.lock.to_string(),
            of.heap.map_or_else(String::new, |bytes| bytes.to_string()),
            of.guards[0].to_string(),
            of.guards[1].to_string(),
            of.per_range.map_or_else(String::new, three_digits),
        ]);
    }
    format!("## Bytes (W9)\n\n{table}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_replace_what_stands_between_the_markers() {
        let document = format!("head\n{BEGIN}\nold\n{END}\ntail\n");
        let once = splice(&document, "new\n").unwrap();
        assert_eq!(once, format!("head\n{BEGIN}\n\nnew\n\n{END}\ntail\n"));
        assert_eq!(splice(&once, "new\n").unwrap(), once);
    }

    #[test]
    fn unusual_numbers_of_threads_have_columns() {
        let sample = Sample {
            workload: "W3".to_owned(),
            threads: 3,
            rival: OURS.to_owned(),
            round: 0,
            hand_over_ns: None,
            ops_per_s: 12.3e6,
            fairness: 1.0,
            wait_us: None,
        };
        let text = figures(&Record { samples: vec![sample], ..Record::default() });
        assert!(text.contains("12.3 [12.3–12.3]"), "{text}");
    }

    #[test]
    fn a_document_without_markers_is_refused() {
        assert!(splice("nothing here", "new").is_err());
        assert!(splice(&format!("{END} before {BEGIN}"), "new").is_err());
    }
}
