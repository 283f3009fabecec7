//! The whole comparison as one HTML page that needs no other file: plots and style are set into it.

use std::fmt::Write;

use super::{Report, number, palette, plot, verdict, words};
use crate::compare::Outcome;
use crate::variant::Variant;
use crate::workload::Point;

const STYLE: &str = include_str!("page.css");

/// The page.
pub(crate) fn render(report: &Report) -> String {
    let sections =
        [head(report), findings(report), glance(report), plots(report), table(report), method(report)]
            .concat();
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>dax-sim: rwsem and range lock compared</title>\n\
         <style>\n{STYLE}\n@media (prefers-color-scheme: dark) {{\n{}}}\n</style>\n</head>\n\
         <body>\n<main>\n{sections}</main>\n</body>\n</html>\n",
        palette::dark_rules(".plot"),
    )
}

fn head(report: &Report) -> String {
    let unknown = || "unknown".to_owned();
    let mut facts = vec![
        (
            "Machine",
            format!("{}, {}", report.hardware_threads(), report.host.cpu.clone().unwrap_or_else(unknown)),
        ),
        ("Kernel", report.host.kernel.clone().unwrap_or_else(unknown)),
        ("Device", report.file.describe()),
        (
            "Load",
            format!("{}: each thread starts its next operation when the last has ended", Report::LOAD_MODEL),
        ),
        ("Samples", format!("{}, variants interleaved; medians", report.sampling())),
    ];
    facts.extend(report.imposed_locks().map(|locks| ("Locks", locks)));
    facts.extend(report.unchecked().map(|unchecked| ("Checks", unchecked.to_owned())));
    let mut html = String::from(
        "<header>\n<h1>One lock for the whole file, or one for each range?</h1>\n\
         <p class=\"lead\">Page faults, reads and writes on a memory-mapped file, serialised in several ways: \
         what each lets through, and whether its readers see what was written.</p>\n<dl class=\"facts\">\n",
    );
    for (term, fact) in facts {
        put(&mut html, format_args!("<div><dt>{term}</dt><dd>{}</dd></div>\n", escaped(&fact)));
    }
    html.push_str("</dl>\n</header>\n");
    html
}

fn findings(report: &Report) -> String {
    let findings = verdict::findings(report);
    if findings.is_empty() {
        return String::new();
    }
    let mut html = String::from("<section>\n<h2>What it shows</h2>\n<ul class=\"findings\">\n");
    for finding in findings {
        let class = match finding.kind {
            verdict::Kind::Figure => "figure",
            verdict::Kind::Clean => "clean",
            verdict::Kind::Race => "race",
            verdict::Kind::Fault => "fault",
        };
        put(
            &mut html,
            format_args!(
                "<li class=\"{class}\"><strong>{}:</strong> {}</li>\n",
                escaped(&finding.subject),
                escaped(&finding.text)
            ),
        );
    }
    html.push_str("</ul>\n</section>\n");
    html
}

/// One number for each panel and variant: the ratio at the most threads.
fn glance(report: &Report) -> String {
    let threads = report.most_threads();
    let variants = report.variants();
    let mut html = format!(
        "<section>\n<h2>At a glance: throughput at {} threads as a ratio to {}</h2>\n\
         <div class=\"scroll\"><table class=\"glance\">\n<thead><tr><th scope=\"col\">Workload</th>",
        report.marked_threads(threads),
        report.baseline
    );
    for &variant in &variants {
        put(&mut html, format_args!("<th scope=\"col\">{}</th>", words::marked_name(variant)));
    }
    html.push_str("</tr></thead>\n<tbody>\n");
    for (workload, media) in report.panels() {
        put(
            &mut html,
            format_args!(
                "<tr><th scope=\"row\">{} <span>{}</span></th>",
                workload.name(),
                number::media(media)
            ),
        );
        let at = |variant| report.outcome(Point { workload, variant, threads, media });
        for &variant in &variants {
            let cell = at(variant).map_or("<td>–</td>".to_owned(), |outcome| glance_cell(report, outcome));
            html.push_str(&cell);
        }
        html.push_str("</tr>\n");
    }
    html.push_str("</tbody>\n</table></div>\n");
    let note = format!("{} {}", report.ratios_explained(), marks(report));
    put(&mut html, format_args!("<p class=\"note\">{}</p>\n</section>\n", escaped(note.trim_end())));
    html
}

/// Colour is for differences that matter and are larger than the ratio's own interval.
fn glance_cell(report: &Report, outcome: &Outcome) -> String {
    let ratio = report.ratio(outcome);
    let class = match ratio {
        _ if outcome.point.variant == Variant::Unserialised => "bound",
        Some(ratio) if !ratio.differs() => "same",
        Some(ratio) if ratio.median >= 2.0 => "much",
        Some(ratio) if ratio.median >= 1.05 => "more",
        Some(ratio) if ratio.median <= 0.95 => "less",
        _ => "same",
    };
    let interval = match number::interval(ratio) {
        _ if outcome.point.variant == report.baseline => String::new(),
        interval => format!("<small>{interval}</small>"),
    };
    let stale = if outcome.stale_reads > 0 {
        format!("<small class=\"stale\">{} stale</small>", number::count(outcome.stale_reads))
    } else {
        String::new()
    };
    format!("<td class=\"{class}\">{}{interval}{stale}</td>", number::ratio(ratio))
}

fn plots(report: &Report) -> String {
    let mut html = String::from("<section>\n<h2>Throughput against threads</h2>\n");
    for workload in report.workloads() {
        put(
            &mut html,
            format_args!(
                "<h3>{}</h3>\n<p>{}</p>\n<div class=\"plots\">\n",
                workload.name(),
                words::workload(workload)
            ),
        );
        for media in report.media() {
            put(&mut html, format_args!("<figure>{}</figure>\n", plot::draw(report, workload, media)));
        }
        html.push_str("</div>\n");
    }
    html.push_str(
        "<p class=\"note\">Points with the same number of threads are set a little apart, so that they can be told from \
         one another. The axis of threads is logarithmic, that of throughput linear from zero.</p>\n</section>\n",
    );
    html
}

fn table(report: &Report) -> String {
    let mut html = format!(
        "<section>\n<h2>All figures</h2>\n<p class=\"note\">Waits are those for i_rwsem and i_mmap_sem, over all \
         operations of all rounds, also those that need neither; the median and 99th percentile are exact to one in a hundred.</p>\n\
         <div class=\"scroll tall\" tabindex=\"0\"><table class=\"full\">\n<thead>\n\
         <tr><th rowspan=\"2\" scope=\"col\">Variant</th><th rowspan=\"2\" scope=\"col\">Threads</th>\
         <th colspan=\"3\" scope=\"colgroup\">Operations per second</th>\
         <th colspan=\"3\" scope=\"colgroup\">Ratio to {}</th>\
         <th colspan=\"3\" scope=\"colgroup\">Wait, µs</th><th colspan=\"2\" scope=\"colgroup\">Reads</th></tr>\n\
         <tr><th scope=\"col\">median</th><th scope=\"col\">min</th><th scope=\"col\">max</th>\
         <th scope=\"col\">median</th><th scope=\"col\">from</th><th scope=\"col\">to</th>\
         <th scope=\"col\">p50</th><th scope=\"col\">p99</th><th scope=\"col\">max</th>\
         <th scope=\"col\">stale</th><th scope=\"col\">checked</th></tr>\n</thead>\n",
        report.baseline
    );
    for (workload, media) in report.panels() {
        put(
            &mut html,
            format_args!(
                "<tbody>\n<tr class=\"group\"><th colspan=\"13\" scope=\"rowgroup\"><span>{}, {}</span></th></tr>\n",
                workload.name(),
                number::media(media)
            ),
        );
        for variant in report.variants() {
            for (index, threads) in report.threads().into_iter().enumerate() {
                if let Some(outcome) = report.outcome(Point { workload, variant, threads, media }) {
                    html.push_str(&row(report, outcome, index == 0));
                }
            }
        }
        html.push_str("</tbody>\n");
    }
    html.push_str("</table></div>\n");
    put(&mut html, format_args!("<p class=\"note\">{}</p>\n</section>\n", escaped(&marks(report))));
    html
}

fn row(report: &Report, outcome: &Outcome, begins_variant: bool) -> String {
    let Outcome { point, ops_per_s: rate, wait_us: wait, .. } = outcome;
    let class = if begins_variant { " class=\"first\"" } else { "" };
    let whole = |value: f64| number::count(value.round() as u64);
    let micros = |us: f64| if us < 9.95 { format!("{us:.1}") } else { whole(us) };
    let stale = if outcome.stale_reads > 0 { " class=\"stale\"" } else { "" };
    let (stale_reads, checked) = match outcome.checked_reads {
        0 => ("–".to_owned(), "–".to_owned()),
        checked => (number::count(outcome.stale_reads), number::count(checked)),
    };
    let ratio = report.ratio(outcome);
    let bounds = ratio.filter(|ratio| ratio.confidence > 0.0);
    let (low, high) = (bounds.map(|ratio| ratio.low), bounds.map(|ratio| ratio.high));
    let bound = |bound: Option<f64>| bound.map_or("–".to_owned(), number::three_digits);
    format!(
        "<tr{class}><th scope=\"row\">{}</th><td>{}</td><td>{}</td><td class=\"end\">{}</td><td class=\"end\">{}</td>\
         <td>{}</td><td class=\"end\">{}</td><td class=\"end\">{}</td><td>{}</td><td>{}</td><td>{}</td><td{stale}>{stale_reads}</td><td>{checked}</td></tr>\n",
        words::marked_name(point.variant),
        report.marked_threads(point.threads),
        whole(rate.median),
        whole(rate.min),
        whole(rate.max),
        number::ratio(ratio),
        bound(low),
        bound(high),
        micros(wait.p50),
        micros(wait.p99),
        micros(wait.max),
    )
}

fn method(report: &Report) -> String {
    let mut html = String::from("<section class=\"method\">\n<h2>How the numbers were taken</h2>\n<ul>\n");
    for sentence in [
        format!(
            "All variants ran in one process, on one device, interleaved: for each workload, media time and number of \
             threads one directly after the other, in an order that rotates; the whole in {}.",
            report.sampling()
        ),
        report.ratios_explained(),
        "A ratio is taken within each round so that a drift of the machine cancels. Colours and \"within the spread\" go by \
         the ratio's own interval: whether 1 lies in it."
            .to_owned(),
        format!(
            "The load is a {}: so many threads, each starting its next operation when the last has ended. It says \
             nothing of an open load, in which requests arrive by themselves.",
            Report::LOAD_MODEL
        ),
        "CPU-bound points do nothing but compute and copy. With media time, each read(2) and write(2) also sleeps that \
         long while it holds i_rwsem, as it would wait for a device: that is where waiting can overlap beyond the number \
         of processors. Loads, stores and punches do not sleep."
            .to_owned(),
        format!(
            "The machine has {}. Points with more threads are marked; what they show is how waiting overlaps, not how \
             the locks behave on more cores, and nothing is claimed about that.",
            report.hardware_threads()
        ),
        if report.setup.checks {
            "Every block that is written carries a pattern, and every load that must see it is checked; what it did not see \
             is counted as a stale read. A variant without stale reads has shown none in this run. That is evidence, not \
             proof."
        } else {
            "Nothing that was read was checked, so that no time went into it."
        }
        .to_owned(),
        "In fault-vs-write the same schedule points and delays in every variant widen the race window, which chance alone \
         would rarely hit."
            .to_owned(),
    ] {
        put(&mut html, format_args!("<li>{}</li>\n", escaped(&sentence)));
    }
    html.push_str("</ul>\n<h3>The variants</h3>\n<dl class=\"glossary\">\n");
    for variant in report.variants() {
        put(
            &mut html,
            format_args!("<dt>{}</dt><dd>{}</dd>\n", words::marked_name(variant), words::variant(variant)),
        );
    }
    html.push_str("</dl>\n<h3>The workloads</h3>\n<dl class=\"glossary\">\n");
    for workload in report.workloads() {
        put(&mut html, format_args!("<dt>{}</dt><dd>{}</dd>\n", workload.name(), words::workload(workload)));
    }
    html.push_str("</dl>\n</section>\n");
    html
}

/// What the marks beside numbers and names mean, as far as they were used.
fn marks(report: &Report) -> String {
    let unserialised =
        report.variants().contains(&Variant::Unserialised).then(|| words::UNSERIALISED_MARK.to_owned());
    let marks: Vec<String> = report.oversubscription().into_iter().chain(unserialised).collect();
    marks.join(" · ")
}

fn put(html: &mut String, text: std::fmt::Arguments<'_>) {
    html.write_fmt(text).expect("writing into a string does not fail");
}

fn escaped(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            other => html.push(other),
        }
    }
    html
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;

    #[test]
    fn it_is_one_file_that_asks_for_no_other() {
        let html = render(&fixture::report());
        let addresses = html.matches("http").count();
        assert_eq!(addresses, html.matches("http://www.w3.org/2000/svg").count());
        for loader in ["src=", "href=", "@import", "url("] {
            assert!(!html.contains(loader), "{loader}");
        }
        assert_eq!(html.matches("<svg").count(), fixture::report().panels().len());
    }

    #[test]
    fn names_from_outside_are_escaped() {
        let html = render(&fixture::report());
        assert!(html.contains("Test &lt;CPU&gt; &amp; Co"));
        assert!(!html.contains("<CPU>"));
    }

    #[test]
    fn rows_of_the_full_table() {
        let report = fixture::report();
        let html = render(&report);
        assert_eq!(
            html.matches("<tr><th scope=\"row\">").count() + html.matches("<tr class=\"first\">").count(),
            report.outcomes.len() + report.panels().len()
        );
        assert!(html.contains(
            "<tr><th scope=\"row\">range-lock</th><td>16*</td><td>160,000</td><td class=\"end\">152,000</td>\
             <td class=\"end\">168,000</td><td>16.0×</td><td class=\"end\">14.5</td><td class=\"end\">17.7</td><td>0.0</td><td>52</td><td>1,235</td><td>–</td><td>–</td></tr>"
        ));
        assert!(html.contains("<td class=\"stale\">7</td><td>1,000</td>"));
    }

    #[test]
    fn the_method_is_told() {
        let html = render(&fixture::report());
        for words in [
            "same schedule points and delays in every variant widen the race window",
            "closed loop",
            "2 hardware threads",
            "3 rounds of 105 ms samples",
            "Incorrect: an upper bound only",
            "nothing is claimed",
        ] {
            assert!(html.contains(words), "{words}");
        }
    }
}
