//! The tables of the page.

use super::html::{escaped, put};
use super::number::{self, Direction};
use super::{Report, words};
use crate::compare::Outcome;
use crate::variant::Variant;
use crate::workload::{Point, Workload};

/// A variant's name, linked to its explanation.
fn variant_link(variant: Variant) -> String {
    format!("<a href=\"#variant-{variant}\">{}</a>", words::marked_name(variant))
}

fn workload_link(workload: Workload) -> String {
    format!("<a href=\"#workload-{workload}\">{workload}</a>")
}

/// Explains the marks beside numbers and names, as far as they were used.
pub(super) fn marks(report: &Report) -> String {
    let unserialised =
        report.variants().contains(&Variant::Unserialised).then(|| words::UNSERIALISED_MARK.to_owned());
    let changes = report.earlier.as_ref().map(|_| "▲ ▼ beyond the interval of the earlier run".to_owned());
    let marks: Vec<String> =
        report.oversubscription().into_iter().chain(unserialised).chain(changes).collect();
    marks.join(" · ")
}

/// A factor with its interval below it, or the baseline's own rate.
fn factor(report: &Report, outcome: &Outcome) -> String {
    let rate = || format!("{}/s", number::rate(outcome.ops_per_s.median));
    if outcome.point.variant == report.baseline {
        return rate();
    }
    let Some(ratio) = report.ratio(outcome) else { return rate() };
    let change = report.earlier.as_ref().and_then(|earlier| earlier.change(report, outcome));
    let mark = change.map_or(String::new(), |(change, then)| {
        format!(" <abbr title=\"was {}\">{}</abbr>", number::with_interval(then), change.mark())
    });
    format!("{}{mark}<small>{}</small>", number::ratio(ratio), number::interval(ratio))
}

/// The colour of a cell: whether the variant is faster or slower, and how far.
fn class(report: &Report, outcome: &Outcome) -> &'static str {
    let Some(ratio) = report.ratio(outcome) else { return "same" };
    match Direction::of(ratio) {
        _ if outcome.point.variant == Variant::Unserialised => "bound",
        Direction::Faster if ratio.median >= 2.0 => "much",
        Direction::Faster => "more",
        Direction::Slower => "less",
        Direction::Unclear => "same",
    }
}

const COLOURS: &str = "<p class=\"key\"><span class=\"much\">faster, at least 2×</span> \
     <span class=\"more\">faster</span> <span class=\"less\">slower</span> \
     <span>no clear difference: the interval holds 1</span></p>\n";

/// One factor for each panel and variant: the one at the most threads.
pub(super) fn glance(report: &Report) -> String {
    let threads = report.most_threads();
    let variants = report.variants();
    let title = format!("At a glance: factors at {} threads", report.marked_threads(threads));
    let mut html = format!(
        "<section>\n<h2 id=\"glance\">{title}</h2>\n{COLOURS}\
         <div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-labelledby=\"glance\"><table class=\"glance\">\n\
         <caption>Factor to {}, and below it the interval; {}: operations per second</caption>\n\
         <thead><tr><th scope=\"col\">Workload</th>",
        report.baseline, report.baseline
    );
    for &variant in &variants {
        put(&mut html, format_args!("<th scope=\"col\">{}</th>", variant_link(variant)));
    }
    html.push_str("</tr></thead>\n<tbody>\n");
    for (workload, media) in report.panels() {
        put(
            &mut html,
            format_args!(
                "<tr><th scope=\"row\">{} <span>{}</span></th>",
                workload_link(workload),
                number::media(media)
            ),
        );
        for &variant in &variants {
            let Some(outcome) = report.outcome(Point { workload, variant, threads, media }) else {
                html.push_str("<td>–</td>");
                continue;
            };
            let stale = match outcome.stale_reads {
                0 => String::new(),
                stale => format!("<small class=\"stale\">{} stale</small>", number::count(stale)),
            };
            put(
                &mut html,
                format_args!(
                    "<td class=\"{}\">{}{stale}</td>",
                    class(report, outcome),
                    factor(report, outcome)
                ),
            );
        }
        html.push_str("</tr>\n");
    }
    html.push_str("</tbody>\n</table></div>\n");
    let note = format!(
        "{} With media time each read(2) and write(2) sleeps for this time, as for a device. CPU-bound ones do not \
         sleep. Stale: reads of old data. {}",
        report.ratios_explained(),
        marks(report)
    );
    put(&mut html, format_args!("<p class=\"note\">{}</p>\n</section>\n", escaped(note.trim_end())));
    html
}

/// Opens a table in which all panels and variants stand one below the other.
fn open(html: &mut String, id: &str, caption: &str, head: &str) {
    put(
        html,
        format_args!(
            "<div class=\"scroll tall\" tabindex=\"0\" role=\"region\" aria-labelledby=\"{id}\">\
             <table class=\"full\">\n<caption>{caption}</caption>\n<thead>\n{head}</thead>\n"
        ),
    );
}

/// The rows of all outcomes for which `row` returns something, in groups.
fn groups(html: &mut String, report: &Report, columns: usize, row: impl Fn(&Outcome) -> Option<String>) {
    for (workload, media) in report.panels() {
        put(
            html,
            format_args!(
                "<tbody>\n<tr class=\"group\"><th colspan=\"{columns}\" scope=\"rowgroup\"><span>{}, {}</span></th></tr>\n",
                workload_link(workload),
                number::media(media)
            ),
        );
        for variant in report.variants() {
            let outcomes = report
                .threads()
                .into_iter()
                .filter_map(|threads| report.outcome(Point { workload, variant, threads, media }));
            for (index, (outcome, cells)) in
                outcomes.filter_map(|outcome| Some((outcome, row(outcome)?))).enumerate()
            {
                put(
                    html,
                    format_args!(
                        "<tr{}><th scope=\"row\">{}</th><td>{}</td>{cells}</tr>\n",
                        if index == 0 { " class=\"first\"" } else { "" },
                        words::marked_name(variant),
                        report.marked_threads(outcome.point.threads),
                    ),
                );
            }
        }
        html.push_str("</tbody>\n");
    }
    html.push_str("</table></div>\n");
}

fn micros(us: f64) -> String {
    if us < 9.95 { format!("{us:.1}") } else { number::count(us.round() as u64) }
}

/// How long operations took.
pub(super) fn latency(report: &Report) -> String {
    if report.outcomes.iter().all(|outcome| outcome.latency_us.is_none()) {
        return String::new();
    }
    let mut html = String::from(
        "<section>\n<h2 id=\"latency\">How long an operation takes</h2>\n\
         <p class=\"note\">From call to return, in a round of its own after the rounds that measure throughput. Only this \
         round reads a clock for each operation. The load is a closed loop: a thread that waits long starts fewer \
         operations meanwhile. So these percentiles are lower than those of requests that arrive by themselves. \
         Percentiles are exact to one in a hundred. p99.9 needs 1000 operations. Fairness is the operations of the \
         slowest thread divided by those of the fastest, the median over the rounds of throughput. 1.00 is even.</p>\n",
    );
    let head = "<tr><th scope=\"col\">Variant</th><th scope=\"col\">Threads</th><th scope=\"col\">p50</th>\
                <th scope=\"col\">p99</th><th scope=\"col\">p99.9</th><th scope=\"col\">longest</th>\
                <th scope=\"col\">Fairness</th></tr>\n";
    open(&mut html, "latency", "Latency in µs, and fairness over threads", head);
    groups(&mut html, report, 7, |outcome| {
        let latency = outcome.latency_us?;
        Some(format!(
            "<td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td>",
            micros(latency.p50),
            micros(latency.p99),
            latency.p999.map_or("–".to_owned(), micros),
            micros(latency.max),
            outcome.fairness.map_or("–".to_owned(), number::three_digits)
        ))
    });
    html.push_str("</section>\n");
    html
}

/// All outcomes.
pub(super) fn all(report: &Report) -> String {
    let mut html = String::from(
        "<section>\n<h2 id=\"figures\">All figures</h2>\n<p class=\"note\">Waits are for the locks i_rwsem (of \
         read(2) and write(2)) and i_mmap_sem (of page faults). They cover all operations of all rounds of throughput, \
         also operations that need neither lock. The median and 99th percentile are exact to one in a hundred. The \
         rates of all variants are in the data below.</p>\n",
    );
    let head = format!(
        "<tr><th rowspan=\"2\" scope=\"col\">Variant</th><th rowspan=\"2\" scope=\"col\">Threads</th>\
         <th colspan=\"2\" scope=\"colgroup\">Factor to {}</th>\
         <th colspan=\"3\" scope=\"colgroup\">Wait, µs</th><th colspan=\"2\" scope=\"colgroup\">Reads</th></tr>\n\
         <tr><th scope=\"col\">median</th><th scope=\"col\">interval</th>\
         <th scope=\"col\">p50</th><th scope=\"col\">p99</th><th scope=\"col\">max</th>\
         <th scope=\"col\">stale</th><th scope=\"col\">checked</th></tr>\n",
        report.baseline
    );
    let caption = format!("Factors, waits and stale reads; {}: operations per second", report.baseline);
    open(&mut html, "figures", &caption, &head);
    groups(&mut html, report, 9, |outcome| Some(row(report, outcome)));
    put(&mut html, format_args!("<p class=\"note\">{}</p>\n</section>\n", escaped(&marks(report))));
    html
}

fn row(report: &Report, outcome: &Outcome) -> String {
    let wait = outcome.wait_us;
    let stale = if outcome.stale_reads > 0 { " class=\"stale\"" } else { "" };
    let (stale_reads, checked) = match outcome.checked_reads {
        0 => ("–".to_owned(), "–".to_owned()),
        checked => (number::count(outcome.stale_reads), number::count(checked)),
    };
    let ratio = report.ratio(outcome).filter(|_| outcome.point.variant != report.baseline);
    let (factor, interval) = match ratio {
        Some(ratio) => (number::ratio(ratio), number::interval(ratio)),
        None => (format!("{}/s", number::rate(outcome.ops_per_s.median)), String::new()),
    };
    format!(
        "<td>{factor}</td><td class=\"end\">{interval}</td><td>{}</td><td>{}</td><td>{}</td>\
         <td{stale}>{stale_reads}</td><td>{checked}</td>",
        micros(wait.p50),
        micros(wait.p99),
        micros(wait.max),
    )
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;

    #[test]
    fn rows_of_the_full_table() {
        let report = fixture::report();
        let html = all(&report);
        assert_eq!(html.matches("<th scope=\"row\">").count(), report.outcomes.len());
        assert_eq!(
            html.matches("<tr class=\"first\">").count(),
            report.panels().len() * report.variants().len()
        );
        assert!(
            html.contains(
                "<tr><th scope=\"row\">range-lock</th><td>16*</td><td>16.0×</td><td class=\"end\">14.5–17.7</td>\
                 <td>0.0</td><td>52</td><td>1,235</td><td>–</td><td>–</td></tr>"
            ),
            "{html}"
        );
        assert!(html.contains("<td class=\"stale\">7</td><td>1,000</td>"));
    }

    #[test]
    fn only_the_baseline_has_a_rate() {
        let report = fixture::report();
        for html in [all(&report), glance(&report)] {
            let rates = html.matches("/s</td>").count();
            assert!(rates > 0 && html.matches("10.0k/s</td>").count() == rates, "{html}");
        }
    }

    #[test]
    fn colours_have_a_legend_and_follow_the_interval() {
        let report = fixture::report();
        let html = glance(&report);
        assert!(html.contains("<td class=\"much\">16.0×<small>14.5–17.7</small></td>"), "{html}");
        assert!(html.contains("<td class=\"same\">0.95×<small>0.86–1.05</small></td>"), "{html}");
        for class in ["much", "more", "less"] {
            assert!(html.contains(&format!("<span class=\"{class}\">")), "{class}");
        }
    }

    #[test]
    fn latencies_are_of_a_closed_loop_and_only_where_they_were_taken() {
        let mut report = fixture::report();
        let html = latency(&report);
        assert!(html.contains("closed loop"));
        assert!(
            html.contains("<td>16*</td><td>1.2</td><td>63</td><td>456</td><td>1,300</td><td>0.88</td>"),
            "{html}"
        );
        assert!(
            html.contains("<td>1</td><td>1.2</td><td>63</td><td>–</td><td>1,300</td><td>–</td>"),
            "{html}"
        );
        assert!(!html.contains("<td>2</td>"), "{html}");
        report.outcomes.iter_mut().for_each(|outcome| outcome.latency_us = None);
        assert_eq!(latency(&report), "");
    }
}
