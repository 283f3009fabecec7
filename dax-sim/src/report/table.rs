//! The report on a terminal: as much of it as fits the width, the rest being on the page.

use std::time::Duration;

use comfy_table::presets::NOTHING;
use comfy_table::{Attribute, Cell, CellAlignment, Color, ContentArrangement, Table};

use super::{Report, number, verdict, words};
use crate::text::push_folded;
use crate::variant::Variant;
use crate::workload::{Point, Workload};

/// Blanks between columns.
const GAP: usize = 2;
/// Prose wider than this is tiring to read.
const WIDEST_PROSE: usize = 100;

/// The width of the terminal on standard output; `None` if it is not one, or does not know (0).
pub(crate) fn terminal_width() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok()?;
    Some(usize::from(size.ws_col)).filter(|&width| width > 0)
}

/// Whether the terminal, if it is one, would show escape sequences as they are, or its user wants
/// none.
fn is_plain() -> bool {
    let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    set("NO_COLOR") || std::env::var_os("TERM").is_some_and(|term| term == "dumb")
}

/// The whole report as text of at most `width` columns; as wide as it needs to be if that is
/// `None`.
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
    for finding in verdict::findings(report) {
        let mark = match finding.kind {
            verdict::Kind::Fault => "!",
            _ => "•",
        };
        let line = format!("{mark} {}: {}", finding.subject, finding.text);
        push_folded(&mut text, &line, Some(prose), 2);
    }
    text.push('\n');
    text
}

fn circumstances(report: &Report) -> Vec<String> {
    let cpu = report.host.cpu.as_ref().map_or(String::new(), |cpu| format!(" ({cpu})"));
    let mut lines = vec![
        format!("{}{cpu}; device {}", report.hardware_threads(), report.file.describe()),
        format!(
            "load: {} with so many threads; {}, variants interleaved, medians",
            Report::LOAD_MODEL,
            report.sampling()
        ),
    ];
    lines.extend(report.imposed_locks());
    lines.extend(report.unchecked().map(str::to_owned));
    lines
}

fn legend(report: &Report) -> Vec<String> {
    let mut lines = vec![
        format!(
            "Operations per second and their ratio to {}; spreads and waits at {}; stale reads at any.",
            report.baseline,
            number::threads(report.most_threads())
        ),
        report.ratios_explained(),
    ];
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

/// What a column shows.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Column {
    Variant,
    Throughput { threads: usize },
    Spread,
    Interval,
    WaitP50,
    WaitP99,
    WaitMax,
    Stale,
}

impl Column {
    fn width(self) -> usize {
        match self {
            Column::Variant => 15,
            Column::Throughput { .. } => 11,
            Column::Spread | Column::Interval => 11,
            Column::WaitP50 => 8,
            Column::WaitP99 | Column::WaitMax => 6,
            Column::Stale => 5,
        }
    }

    fn title(self, report: &Report) -> String {
        match self {
            Column::Variant => String::new(),
            Column::Throughput { threads: 1 } => "1 thread".to_owned(),
            Column::Throughput { threads } => report.marked_threads(threads),
            Column::Spread => "min–max".to_owned(),
            Column::Interval => "ratio lo–hi".to_owned(),
            Column::WaitP50 => "wait p50".to_owned(),
            Column::WaitP99 => "p99".to_owned(),
            Column::WaitMax => "max".to_owned(),
            Column::Stale => "stale".to_owned(),
        }
    }

    /// What stands in this column in the row of `variant`.
    fn cell(self, report: &Report, (workload, media): (Workload, Duration), variant: Variant) -> Cell {
        let threads = match self {
            Column::Variant => return name_cell(variant),
            Column::Stale => return stale_cell(report, workload, media, variant),
            Column::Throughput { threads } => threads,
            Column::Spread | Column::Interval | Column::WaitP50 | Column::WaitP99 | Column::WaitMax => {
                report.most_threads()
            }
        };
        let Some(outcome) = report.outcome(Point { workload, variant, threads, media }) else {
            return Cell::new("");
        };
        let (rate, wait) = (outcome.ops_per_s, outcome.wait_us);
        Cell::new(match self {
            Column::Spread => format!("{}–{}", number::rate(rate.min), number::rate(rate.max)),
            Column::Interval => number::interval(report.ratio(outcome)),
            Column::WaitP50 => number::micros(wait.p50),
            Column::WaitP99 => number::micros(wait.p99),
            Column::WaitMax => number::micros(wait.max),
            _ => format!("{:>5} {:>5}", number::rate(rate.median), number::ratio(report.ratio(outcome))),
        })
    }
}

fn name_cell(variant: Variant) -> Cell {
    let cell = Cell::new(format!("  {}", words::marked_name(variant)));
    if variant == Variant::RangeLock { cell.add_attribute(Attribute::Bold) } else { cell }
}

/// Stale reads over all numbers of threads: one at any of them is one too many.
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
    all.extend([Spread, Interval, WaitP50, WaitP99, WaitMax, Stale]);

    // What a reader would miss most comes first.
    let mut wanted = vec![Variant, most, Stale, Interval, WaitP99];
    wanted.extend(throughput.first());
    wanted.extend([WaitP50, WaitMax, Spread]);
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
        let cost = column.width() + GAP;
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
    // Titles of groups are set between the lines afterwards, so no line may be broken or added.
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
                "                    1 thread            2          16*      min–max  ratio lo–hi  wait p50   p99    max  stale",
                "── write-disjoint, CPU-bound ─────────────────────────────────────────────────────────────────────────────────",
                "  linux-4.11     10.0k 1.00×  10.0k 1.00×  10.0k 1.00×  9.50k–10.5k   0.90–1.11×         0  52µs  1.2ms      –",
                "  linux-4.12     10.0k 1.00×  10.0k 1.00×  10.0k 1.00×  9.50k–10.5k   0.90–1.11×         0  52µs  1.2ms      –",
                "  rwsem          10.0k 1.00×  10.0k 1.00×  10.0k 1.00×  9.50k–10.5k   1.00–1.00×         0  52µs  1.2ms      –",
                "  range-lock     9.50k 0.95×  9.50k 0.95×  9.50k 0.95×  9.03k–9.97k   0.86–1.05×         0  52µs  1.2ms      –",
                "  unserialised†  9.50k 0.95×  9.50k 0.95×  9.50k 0.95×  9.03k–9.97k   0.86–1.05×         0  52µs  1.2ms      –",
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
        assert!(narrow.contains("1 thread") && narrow.contains("ratio lo–hi"), "{narrow}");
    }

    #[test]
    fn why_medians_and_ratios_need_not_divide_is_said() {
        let mut report = fixture::report();
        report.baseline = Variant::Linux412;
        let legend = legend(&report);
        assert!(legend[0].contains("their ratio to linux-4.12;"), "{}", legend[0]);
        let said = &legend[1];
        assert!(said.contains("need not divide exactly") && said.contains("with 75 %"), "{said}");
        report.rounds = 20;
        let said = report.ratios_explained();
        assert!(said.contains("without the 5 smallest and the 5 largest") && said.contains("96 %"), "{said}");
        report.rounds = 1;
        assert!(report.ratios_explained().contains("no interval"));
    }

    #[test]
    fn marks_are_explained() {
        assert_eq!(
            legend(&fixture::report())[2..],
            [
                "* more threads than the 2 hardware threads: oversubscribed. \
                 Nothing is claimed about more than 2 hardware threads.",
                "† incorrect: upper bound only.",
            ]
        );
    }
}
