//! Writes the report for a terminal: as much of it as fits the width. The rest is on the page.

use std::io::IsTerminal;
use std::time::Duration;

use comfy_table::presets::NOTHING;
use comfy_table::{Attribute, Cell, CellAlignment, Color, ContentArrangement, Table};

use super::number::{self, Direction};
use super::{Report, verdict, words};
use crate::compare::Outcome;
use crate::text::push_folded;
use crate::variant::Variant;
use crate::workload::{Point, Workload};

/// Blanks between columns.
const GAP: usize = 2;
/// Blanks before the name of a variant.
const INDENT: usize = 1;
/// Wider prose is tiring to read.
const WIDEST_PROSE: usize = 100;

/// The width of the terminal on standard output. `None` if there is none, or it reports 0.
pub(crate) fn terminal_width() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok()?;
    Some(usize::from(size.ws_col)).filter(|&width| width > 0)
}

/// Whether to use colours on standard output.
pub(crate) fn has_colours() -> bool {
    std::io::stdout().is_terminal() && !is_plain()
}

/// Whether the terminal, if there is one, would show escape sequences as text, or its user wants
/// none.
fn is_plain() -> bool {
    let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    set("NO_COLOR") || std::env::var_os("TERM").is_some_and(|term| term == "dumb")
}

/// The whole report as text of at most `width` columns, or as wide as it needs to be without a
/// `width`. The verdict comes last: on a terminal the last lines are the visible ones.
pub(crate) fn render(report: &Report, width: Option<usize>) -> String {
    let prose = width.unwrap_or(WIDEST_PROSE).min(WIDEST_PROSE);
    let mut text = String::from("\n");
    for line in circumstances(report) {
        push_folded(&mut text, &line, Some(prose), 0);
    }
    text.push('\n');
    text.push_str(&figures(report, width));
    text.push('\n');
    for line in legend(report) {
        push_folded(&mut text, &line, Some(prose), 0);
    }
    text.push('\n');
    if let Some(earlier) = &report.earlier {
        for line in std::iter::once(earlier.summary(report)).chain(earlier.difference(report)) {
            push_folded(&mut text, &line, Some(prose), 0);
        }
        for line in earlier.changes(report) {
            push_folded(&mut text, &format!("  {line}"), Some(prose), 2);
        }
        text.push('\n');
    }
    for sentence in verdict::sentences(report) {
        let mark = if sentence.kind == verdict::Kind::Fault { "!" } else { "•" };
        push_folded(&mut text, &format!("{mark} {}", verdict::plain(&sentence.text)), Some(prose), 2);
    }
    for warning in report.warnings() {
        push_folded(&mut text, &format!("! {warning}"), Some(prose), 2);
    }
    text.push('\n');
    text
}

fn circumstances(report: &Report) -> Vec<String> {
    let cpu = report.host.cpu.as_ref().map_or(String::new(), |cpu| format!(" ({cpu})"));
    let run = &report.run;
    let mut lines = vec![
        format!("{}, dax-sim {} (commit {})", run.date, run.version, run.commit),
        format!("{}{cpu}; device {}", report.hardware_threads(), report.file.describe()),
        format!("load: {}; {}, variants interleaved", Report::LOAD_MODEL, report.sampling()),
    ];
    lines.extend(report.state.as_ref().map(|state| format!("machine: {}", state.describe())));
    lines.extend(report.imposed_locks());
    lines
}

fn legend(report: &Report) -> Vec<String> {
    let most = number::threads(report.most_threads());
    let mut lines = vec![
        format!(
            "{} beside its operations per second. The other variants: their factor to it, with its interval in brackets.",
            report.baseline
        ),
        report.ratios_explained(),
        format!(
            "p50 to max: how long an operation took at {most}, from call to return, in a closed loop (the next starts \
             when the last has ended). fair: operations of the slowest thread divided by operations of the fastest. \
             stale: reads of old data, at any number of threads."
        ),
    ];
    if report.earlier.is_some() {
        lines.push("▲ ▼ beyond the interval of the earlier run.".to_owned());
    }
    if let Some(oversubscribed) = report.oversubscription() {
        lines.push(format!(
            "{oversubscribed}. Nothing is claimed about more than {}.",
            report.hardware_threads()
        ));
    }
    if report.variants().contains(&Variant::Unserialised) {
        lines.push(format!("{}.", words::UNSERIALISED_MARK));
    }
    lines
}

/// The content of a column.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Column {
    Variant,
    Throughput { threads: usize },
    P50,
    P99,
    P999,
    Longest,
    Fairness,
    Stale,
}

impl Column {
    fn width(self, report: &Report) -> usize {
        match self {
            Column::Variant => {
                let widths =
                    report.variants().into_iter().map(|variant| words::marked_name(variant).chars().count());
                widths.max().unwrap_or(0) + INDENT
            }
            Column::Throughput { .. } => 17 + usize::from(report.earlier.is_some()),
            Column::P50 | Column::P99 | Column::P999 | Column::Longest => 6,
            Column::Fairness => 4,
            Column::Stale => 5,
        }
    }

    fn title(self, report: &Report) -> String {
        match self {
            Column::Variant => String::new(),
            Column::Throughput { threads } => {
                format!("{} thread{}", report.marked_threads(threads), if threads == 1 { "" } else { "s" })
            }
            Column::P50 => "p50".to_owned(),
            Column::P99 => "p99".to_owned(),
            Column::P999 => "p99.9".to_owned(),
            Column::Longest => "max".to_owned(),
            Column::Fairness => "fair".to_owned(),
            Column::Stale => "stale".to_owned(),
        }
    }

    /// The cell of this column in the row of `variant`.
    fn cell(self, report: &Report, (workload, media): (Workload, Duration), variant: Variant) -> Cell {
        let threads = match self {
            Column::Variant => return name_cell(variant),
            Column::Stale => return stale_cell(report, workload, media, variant),
            Column::Throughput { threads } => threads,
            _ => report.most_threads(),
        };
        let Some(outcome) = report.outcome(Point { workload, variant, threads, media }) else {
            return Cell::new("");
        };
        let latency = outcome.latency_us;
        let micros = |us: Option<f64>| us.map_or("–".to_owned(), number::micros);
        Cell::new(match self {
            Column::P50 => micros(latency.map(|latency| latency.p50)),
            Column::P99 => micros(latency.map(|latency| latency.p99)),
            Column::P999 => micros(latency.and_then(|latency| latency.p999)),
            Column::Longest => micros(latency.map(|latency| latency.max)),
            Column::Fairness => outcome.fairness.map_or("–".to_owned(), number::three_digits),
            _ => return throughput_cell(report, outcome),
        })
    }
}

/// The baseline's rate, or another variant's factor. Never both, because their medians need not
/// divide.
fn throughput_cell(report: &Report, outcome: &Outcome) -> Cell {
    let rate = || format!("{}/s", number::rate(outcome.ops_per_s.median));
    if outcome.point.variant == report.baseline {
        return Cell::new(rate());
    }
    let Some(ratio) = report.ratio(outcome) else { return Cell::new(rate()) };
    let change = report.earlier.as_ref().and_then(|earlier| earlier.change(report, outcome));
    let mark = match change {
        Some((change, _)) => change.mark(),
        None if report.earlier.is_some() => " ",
        None => "",
    };
    let cell = Cell::new(format!("{}{mark}", number::with_interval(ratio)));
    match Direction::of(ratio) {
        Direction::Faster => cell.fg(Color::Green),
        Direction::Slower => cell.fg(Color::Yellow),
        Direction::Unclear => cell,
    }
}

fn name_cell(variant: Variant) -> Cell {
    let cell = Cell::new(format!("{:INDENT$}{}", "", words::marked_name(variant)));
    if variant == Variant::RangeLock { cell.add_attribute(Attribute::Bold) } else { cell }
}

/// Stale reads over all numbers of threads, because one is too many at any of them.
fn stale_cell(report: &Report, workload: Workload, media: Duration, variant: Variant) -> Cell {
    let (mut stale, mut checked) = (0, 0);
    for threads in report.threads() {
        if let Some(outcome) = report.outcome(Point { workload, variant, threads, media }) {
            stale += outcome.stale_reads;
            checked += outcome.checked_reads;
        }
    }
    match (stale, checked) {
        (_, 0) => Cell::new("–"),
        (0, _) => Cell::new("0"),
        (stale, _) => Cell::new(number::rate(stale as f64)).fg(Color::Red),
    }
}

/// The columns that fit into `width`, in their order on the screen.
fn columns(report: &Report, width: Option<usize>) -> Vec<Column> {
    use Column::*;
    let threads = report.threads();
    let throughput: Vec<Column> = threads.iter().map(|&threads| Throughput { threads }).collect();
    let most = Throughput { threads: report.most_threads() };
    let mut all = vec![Variant];
    all.extend(&throughput);
    all.extend([P50, P99, P999, Longest, Fairness, Stale]);

    // What a reader would miss most comes first.
    let mut wanted = vec![Variant, most, Stale, P99];
    wanted.extend(throughput.first());
    wanted.extend([P50, Longest, P999, Fairness]);
    wanted.extend(
        threads
            .iter()
            .rev()
            .find(|&&threads| !report.is_oversubscribed(threads))
            .map(|&threads| Throughput { threads }),
    );
    wanted.extend(throughput.iter().rev());

    let mut chosen: Vec<Column> = Vec::new();
    let mut used = 0;
    for column in wanted {
        let cost = column.width(report) + GAP;
        let needed = matches!(column, Variant) || column == most;
        let fits = width.is_none_or(|width| used + cost <= width + GAP);
        if !chosen.contains(&column) && (fits || needed) {
            chosen.push(column);
            used += cost;
        }
    }
    all.into_iter().filter(|column| chosen.contains(column)).collect()
}

/// One group of rows for each workload and media time, under a common head.
fn figures(report: &Report, width: Option<usize>) -> String {
    let columns = columns(report, width);
    let variants = report.variants();
    let mut table = Table::new();
    if is_plain() {
        table.force_no_tty();
    }
    // Titles of groups are set between the lines afterwards, so the table must not break or add
    // lines.
    table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(
        columns.iter().map(|column| Cell::new(column.title(report)).add_attribute(Attribute::Bold)),
    );
    for (workload, media) in report.panels() {
        for &variant in &variants {
            table.add_row(columns.iter().map(|column| column.cell(report, (workload, media), variant)));
        }
    }
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, if index + 1 < columns.len() { GAP as u16 } else { 0 }));
        if index > 0 {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let lines: Vec<String> = table.lines().collect();
    let Some((head, rows)) = lines.split_first() else { return String::new() };
    let total =
        table.column_max_content_widths().iter().map(|&width| usize::from(width) + GAP).sum::<usize>() - GAP;
    let mut text = format!("{}\n", head.trim_end());
    for ((workload, media), rows) in report.panels().into_iter().zip(rows.chunks(variants.len())) {
        let title = format!("── {}, {} ", workload.name(), number::media(media));
        text.push_str(&format!("{title:─<total$}\n"));
        for row in rows {
            text.push_str(row.trim_end());
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;

    fn widest(text: &str) -> usize {
        text.lines().map(|line| line.chars().count()).max().unwrap_or(0)
    }

    #[test]
    fn a_group_of_the_table() {
        let text = figures(&fixture::report(), None);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[..7],
            [
                "                         1 thread          2 threads        16* threads    p50   p99  p99.9    max  fair  stale",
                "── write-disjoint, CPU-bound ──────────────────────────────────────────────────────────────────────────────────",
                " linux-4.11     1.00× (0.90–1.11)  1.00× (0.90–1.11)  1.00× (0.90–1.11)  1.2µs  63µs      –  1.3ms  0.88      –",
                " linux-4.12     1.00× (0.90–1.11)  1.00× (0.90–1.11)  1.00× (0.90–1.11)  1.2µs  63µs      –  1.3ms  0.88      –",
                " rwsem                    10.0k/s            10.0k/s            10.0k/s  1.2µs  63µs      –  1.3ms  0.88      –",
                " range-lock     0.95× (0.86–1.05)  0.95× (0.86–1.05)  0.95× (0.86–1.05)  1.2µs  63µs      –  1.3ms  0.88      –",
                " unserialised†  0.95× (0.86–1.05)  0.95× (0.86–1.05)  0.95× (0.86–1.05)  1.2µs  63µs      –  1.3ms  0.88      –",
            ]
        );
    }

    #[test]
    fn it_fits_the_terminal_and_keeps_what_matters_most() {
        let report = fixture::report();
        for width in [60, 80, 100, 120] {
            let text = render(&report, Some(width));
            assert!(widest(&text) <= width, "{width}:\n{text}");
            assert!(text.contains("16*") && text.contains("stale"), "{width}:\n{text}");
        }
        let narrow = figures(&report, Some(80));
        assert!(narrow.contains("1 thread") && narrow.contains("p99"), "{narrow}");
        let narrowest = figures(&report, Some(40));
        assert!(widest(&narrowest) <= 40 && narrowest.contains("range-lock"), "{narrowest}");
    }

    #[test]
    fn a_row_has_a_rate_or_a_ratio_and_never_both() {
        let mut report = fixture::report();
        for baseline in [Variant::Rwsem, Variant::Linux412] {
            report.baseline = baseline;
            for line in figures(&report, None).lines().skip(1).filter(|line| !line.starts_with('─')) {
                let is_base = line.trim_start().starts_with(baseline.name());
                assert_eq!((line.contains("/s"), line.contains('×')), (is_base, !is_base), "{line}");
            }
        }
    }

    #[test]
    fn what_a_row_prints_is_explained() {
        let mut report = fixture::report();
        report.baseline = Variant::Linux412;
        let legend = legend(&report);
        assert!(legend[0].starts_with("linux-4.12 beside its operations"), "{}", legend[0]);
        assert!(
            legend[1].contains("divided by that of linux-4.12") && legend[1].contains("with 96 %"),
            "{}",
            legend[1]
        );
        assert!(legend[2].contains("closed loop"), "{}", legend[2]);
        report.rounds = 20;
        let said = report.ratios_explained();
        assert!(said.contains("without the 5 smallest and the 5 largest") && said.contains("95 %"), "{said}");
        report.rounds = 5;
        let said = report.ratios_explained();
        assert!(said.contains("with 93 %") && said.contains("no difference is claimed"), "{said}");
        report.rounds = 1;
        assert!(report.ratios_explained().contains("no interval"));
    }

    #[test]
    fn a_busy_machine_and_an_interrupted_run_are_warned_of_last() {
        let mut report = fixture::report();
        report.state.as_mut().unwrap().others = 0.5;
        report.partial = Some(crate::report::Partial { done: 30, total: 1234 });
        let text = render(&report, Some(80));
        let said: Vec<&str> = text.lines().rev().filter(|line| line.starts_with(['!', '•'])).collect();
        assert!(said[0].starts_with("! The machine was busy"), "{text}");
        assert!(
            said[1].starts_with("! PARTIAL: the run was interrupted after 30 of 1,234 samples"),
            "{text}"
        );
        assert!(said[2].starts_with("• Where page faults"), "{text}");
    }

    #[test]
    fn marks_are_explained() {
        assert_eq!(
            legend(&fixture::report())[3..],
            [
                "* more threads than the 2 hardware threads: oversubscribed. \
                 Nothing is claimed about more than 2 hardware threads.",
                "† incorrect: upper bound only.",
            ]
        );
    }
}
