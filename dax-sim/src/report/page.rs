//! Writes the whole comparison as one HTML page that needs no other file: plots, style, data and a
//! small script are embedded. The page works without the script.

use std::fmt::Write;

use super::html::{escaped, linked, put};
use super::{Report, json, number, palette, plot, tables, verdict, words};
use crate::variant::Variant;
use crate::workload::Workload;

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// The name of the file with the data, which the page links to.
pub(crate) const DATA: &str = "compare.json";

/// The page.
pub(crate) fn render(report: &Report) -> String {
    let sections = [
        head(report),
        findings(report),
        glossary(report),
        tables::glance(report),
        plots(report),
        tables::latency(report),
        tables::all(report),
        method(report),
        origin(report),
    ]
    .concat();
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>dax-sim: rwsem and range lock compared{}</title>\n\
         <style>\n{STYLE}\n@media (prefers-color-scheme: dark) {{\n{}}}\n</style>\n</head>\n\
         <body>\n<main>\n{sections}</main>\n\
         <script type=\"application/json\" id=\"data\">{}</script>\n<script>\n{SCRIPT}</script>\n</body>\n</html>\n",
        if report.partial.is_some() { " (partial)" } else { "" },
        palette::dark_rules(".plot"),
        // No text of the data may end the element.
        json::compact(report).replace('<', "\\u003c"),
    )
}

fn head(report: &Report) -> String {
    let cpu = report.host.cpu.clone().unwrap_or_else(|| "unknown CPU".to_owned());
    format!(
        "<header>\n<h1>One lock for the whole file, or one for each range?</h1>\n\
         <p class=\"lead\">Page faults, reads and writes of one memory-mapped file were run under different locks. A \
         factor of 2.00× means twice as many calls per second. The numbers in brackets are the factor's interval{}.</p>\n\
         <p class=\"when\">{} · dax-sim {}, commit {} · {}, {} · <a href=\"#run\">the run and its data</a></p>\n</header>\n",
        if report.ratios_are_certain() { " of 95\u{a0}%" } else { "" },
        report.run.date,
        report.run.version,
        report.run.commit,
        report.hardware_threads(),
        escaped(&cpu),
    )
}

/// The address of the explanation of a name.
fn address(report: &Report) -> impl Fn(&str) -> Option<String> {
    let (variants, workloads) = (report.variants(), report.workloads());
    move |name| {
        let variant = variants.iter().any(|variant| variant.name() == name);
        let workload = workloads.iter().any(|workload| workload.name() == name);
        (variant || workload).then(|| format!("{}-{name}", if variant { "variant" } else { "workload" }))
    }
}

fn findings(report: &Report) -> String {
    let mut html = String::from("<section>\n<h2>The verdict</h2>\n<ul class=\"findings\">\n");
    for warning in report.warnings() {
        put(&mut html, format_args!("<li class=\"warning\">{}</li>\n", escaped(&warning)));
    }
    for sentence in verdict::sentences(report) {
        let class = match sentence.kind {
            verdict::Kind::Gain | verdict::Kind::Clean => "clean",
            verdict::Kind::Loss | verdict::Kind::Race => "race",
            verdict::Kind::Neutral => "neutral",
            verdict::Kind::Fault => "fault",
        };
        put(
            &mut html,
            format_args!("<li class=\"{class}\">{}</li>\n", linked(&sentence.text, address(report))),
        );
    }
    html.push_str("</ul>\n");
    if let Some(earlier) = &report.earlier {
        let summary: Vec<String> =
            std::iter::once(earlier.summary(report)).chain(earlier.difference(report)).collect();
        put(
            &mut html,
            format_args!("<h3>Against the earlier run</h3>\n<p>{}</p>\n", escaped(&summary.join(" "))),
        );
        let changes = earlier.changes(report);
        if !changes.is_empty() {
            html.push_str("<ul class=\"changes\">\n");
            changes.iter().for_each(|line| put(&mut html, format_args!("<li>{}</li>\n", escaped(line))));
            html.push_str("</ul>\n");
        }
    }
    html.push_str("</section>\n");
    html
}

/// What the names mean, with the colours of the plots.
fn glossary(report: &Report) -> String {
    let mut html = String::from("<section>\n<h2>What is compared</h2>\n<dl class=\"glossary\">\n");
    for variant in report.variants() {
        put(
            &mut html,
            format_args!(
                "<dt id=\"variant-{variant}\">{}{}</dt><dd>{}</dd>\n",
                plot::key(variant),
                words::marked_name(variant),
                words::variant(variant)
            ),
        );
    }
    html.push_str("</dl>\n<h3>The workloads</h3>\n<dl class=\"glossary\">\n");
    for workload in report.workloads() {
        put(
            &mut html,
            format_args!(
                "<dt id=\"workload-{workload}\">{workload}</dt><dd>{}</dd>\n",
                words::workload(workload)
            ),
        );
    }
    html.push_str("</dl>\n</section>\n");
    html
}

fn plots(report: &Report) -> String {
    let mut html = String::from(
        "<section>\n<h2>Throughput against threads</h2>\n<p class=\"note\">Point at a marker, or tap it, to see its \
         values.</p>\n",
    );
    for workload in report.workloads() {
        put(&mut html, format_args!("<h3>{workload}</h3>\n<p>{}</p>\n", words::workload(workload)));
        html.push_str("<div class=\"plots\">\n");
        for media in report.media() {
            put(&mut html, format_args!("<figure>{}</figure>\n", plot::draw(report, workload, media)));
        }
        html.push_str("</div>\n");
    }
    html.push_str(
        "<p class=\"note\">Points with the same number of threads are set a little apart, so that each can be seen. \
         The axis of threads is logarithmic. The axis of throughput is linear and starts at zero.</p>\n</section>\n",
    );
    html
}

fn method(report: &Report) -> String {
    let mut html = String::from("<section class=\"method\">\n<h2>How the numbers were taken</h2>\n<ul>\n");
    let mut sentences = vec![
        format!(
            "All variants ran in one process, on one device. For each workload, media time and number of threads they ran \
             one directly after the other, in an order that rotates. The run had {}. One more round, of longer \
             samples at the fewest and the most threads, gave the latencies.",
            report.sampling()
        ),
        report.ratios_explained(),
        "A ratio is taken within each round, so that a drift of the machine cancels. \"Faster\", \"slower\" and colours \
         depend on the ratio's interval as it is printed: whether it contains 1."
            .to_owned(),
        format!(
            "The load is a {}: each thread starts its next operation when the last has ended. The figures say nothing \
             about an open load, in which requests arrive by themselves.",
            Report::LOAD_MODEL
        ),
        "CPU-bound points only compute and copy. With media time, each read(2) and write(2) also sleeps for this \
         time while it holds i_rwsem, as it would wait for a device. Such waits can overlap beyond the number of \
         processors. Loads, stores and punches do not sleep."
            .to_owned(),
        format!(
            "The machine has {}. Points with more threads are marked. They show how waiting overlaps, not how \
             the locks behave on more cores: nothing is claimed about more cores.",
            report.hardware_threads()
        ),
        if report.setup.checks {
            "Every block that is written carries a pattern, and every load that must see the pattern is checked. A load \
             that saw older data is counted as a stale read. The interval of the share of stale reads (Wilson's, of 95 %) \
             assumes that reads are independent. A variant without stale reads has shown none in this run, which is \
             evidence, not proof."
        } else {
            "No read was checked, so checks took no time."
        }
        .to_owned(),
    ];
    if report.workloads().contains(&Workload::FaultVsWrite) {
        sentences.push(
            "In fault-vs-write the same schedule points and delays in every variant widen the race window, which chance \
             alone would rarely hit."
                .to_owned(),
        );
    }
    if report.variants().contains(&Variant::RangeLock) {
        sentences.push(
            "rwsem is parking_lot's reader/writer lock, in place of the kernel's reader/writer semaphore. range-lock uses \
             its own lock in place of both i_rwsem and i_mmap_sem, unless options say otherwise."
                .to_owned(),
        );
    }
    for sentence in sentences {
        put(&mut html, format_args!("<li>{}</li>\n", escaped(&sentence)));
    }
    html.push_str("</ul>\n</section>\n");
    html
}

/// The origin of the run: its time, place and program, and its data.
fn origin(report: &Report) -> String {
    let unknown = || "unknown".to_owned();
    let (run, host) = (&report.run, &report.host);
    let mut facts = vec![
        ("Date", run.date.clone()),
        ("Program", format!("dax-sim {}, commit {}", run.version, run.commit)),
        ("Command", run.command.clone()),
        ("Machine", format!("{}, {}", report.hardware_threads(), host.cpu.clone().unwrap_or_else(unknown))),
        ("State of the machine", report.state.as_ref().map_or_else(unknown, |state| state.describe())),
        ("Kernel", host.kernel.clone().unwrap_or_else(unknown)),
    ];
    facts.extend(host.governor.clone().map(|governor| ("Frequency governor", governor)));
    facts.extend([
        ("Device", report.file.describe()),
        (
            "Load",
            format!("{}: each thread starts its next operation when the last has ended", Report::LOAD_MODEL),
        ),
        ("Samples", format!("{}, variants interleaved", report.sampling())),
    ]);
    facts.extend(report.imposed_locks().map(|locks| ("Locks", locks)));
    facts.extend(report.unchecked().map(|unchecked| ("Checks", unchecked.to_owned())));
    facts.extend(report.partial.map(|partial| ("Complete", partial.describe())));
    let mut html = String::from("<section>\n<h2 id=\"run\">The run</h2>\n<dl class=\"facts\">\n");
    for (term, fact) in facts {
        put(&mut html, format_args!("<div><dt>{term}</dt><dd>{}</dd></div>\n", escaped(&fact)));
    }
    write!(
        html,
        "</dl>\n<p><a id=\"download\" href=\"{DATA}\" download=\"dax-sim.json\">All data as JSON</a> \
         ({} results; also in {DATA} beside this page). <code>dax-sim --baseline {DATA}</code> compares a later run \
         with it.</p>\n</section>\n",
        number::count(report.outcomes.len() as u64)
    )
    .expect("writing into a string does not fail");
    html
}

#[cfg(test)]
mod tests {
    use super::super::{Partial, fixture};
    use super::*;

    #[test]
    fn it_is_one_file_that_asks_for_no_other() {
        let html = render(&fixture::report());
        let addresses = html.matches("http").count();
        assert_eq!(addresses, html.matches("http://www.w3.org/2000/svg").count());
        for loader in ["src=", "@import", "url("] {
            assert!(!html.contains(loader), "{loader}");
        }
        let links: Vec<&str> =
            html.split(" href=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        for link in links.iter().filter(|link| **link != DATA) {
            let target = link.strip_prefix('#').expect("the data, or a place on the page");
            assert_eq!(html.matches(&format!(" id=\"{target}\"")).count(), 1, "{link}");
        }
        assert!(links.contains(&DATA));
        assert_eq!(html.matches("<svg class=\"plot\"").count(), fixture::report().panels().len());
    }

    /// A colour of the page, in the light scheme and in the dark one.
    fn colours(name: &str) -> [u32; 2] {
        let found: Vec<u32> = STYLE
            .split(&format!("--{name}: #"))
            .skip(1)
            .map(|rest| u32::from_str_radix(&rest[..6], 16).expect("six digits"))
            .collect();
        found.try_into().expect("one for each scheme")
    }

    /// Of two colours, from 1 to 21 (WCAG 2.2, "contrast ratio").
    fn contrast(one: u32, other: u32) -> f64 {
        let luminance = |colour: u32| {
            let of = |shift: u32, weight: f64| {
                let part = f64::from(colour >> shift & 0xff) / 255.0;
                weight * if part <= 0.04045 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
            };
            of(16, 0.2126) + of(8, 0.7152) + of(0, 0.0722) + 0.05
        };
        let (one, other) = (luminance(one), luminance(other));
        one.max(other) / one.min(other)
    }

    /// A cell of any colour may have stale reads, which a run seldom has in all of them.
    #[test]
    fn text_can_be_read_on_all_colours_of_cells() {
        assert!((contrast(0, 0xff_ff_ff) - 21.0).abs() < 1e-9);
        let pairs =
            [("ink", "much more less paper"), ("bad", "much more less paper"), ("muted", "paper ground")];
        for (text, backgrounds) in pairs {
            for background in backgrounds.split(' ') {
                for (text_colour, colour) in colours(text).into_iter().zip(colours(background)) {
                    let found = contrast(text_colour, colour);
                    assert!(found >= 4.5, "{text} on {background}: {found:.2}, and 4.5 at least");
                }
            }
        }
    }

    #[test]
    fn names_from_outside_are_escaped() {
        let mut report = fixture::report();
        report.run.command = "dax-sim --output '</script><b>'".to_owned();
        let html = render(&report);
        assert!(html.contains("Test &lt;CPU&gt; &amp; Co"));
        assert!(!html.contains("<CPU>") && !html.contains("</script><b>"));
    }

    #[test]
    fn the_verdict_comes_first_and_says_nothing_that_is_explained_only_later() {
        let html = render(&fixture::report());
        let verdict = html.find("The verdict").unwrap();
        assert!(verdict < html.find("<table").unwrap() && verdict < html.find("What is compared").unwrap());
        let before = &html[html.find("<h1>").unwrap()..html.find("What is compared").unwrap()];
        for name in [">range-lock</a>", ">rwsem</a>", ">linux-4.11</a>"] {
            assert!(before.contains(name), "{name} is linked: {before}");
        }
        let text: String = before.to_lowercase();
        for term in ["media", "cpu-bound", "oversubscribed", "stale", "entry", "i_rwsem", "i_mmap_sem"] {
            assert!(!text.contains(term), "{term}: {before}");
        }
    }

    #[test]
    fn the_data_are_set_into_the_page() {
        let mut report = fixture::report();
        report.run.command = "dax-sim --output '</script>'".to_owned();
        let html = render(&report);
        let (_, data) = html.split_once("id=\"data\">").unwrap();
        let (data, _) = data.split_once("</script>").unwrap();
        let data: serde_json::Value = serde_json::from_str(data).unwrap();
        let file: serde_json::Value = serde_json::from_slice(&json::render(&report)).unwrap();
        assert_eq!(data, file);
    }

    #[test]
    fn where_it_comes_from_is_told() {
        let mut report = fixture::report();
        let html = render(&report);
        for words in [
            "2026-11-28 22:00:00 UTC",
            "dax-sim 0.1.0, commit 0123456789ab",
            "dax-sim --rounds 6",
            "load 0.25 before the run",
        ] {
            assert!(html.contains(words), "{words}");
        }
        assert!(!html.contains("PARTIAL") && !html.contains("was busy"));
        report.partial = Some(Partial { done: 5, total: 10 });
        report.state.as_mut().unwrap().others = 0.4;
        let html = render(&report);
        assert!(html.contains("(partial)</title>"));
        for words in ["<li class=\"warning\">PARTIAL: ", "<li class=\"warning\">The machine was busy"] {
            assert!(html.contains(words), "{words}");
        }
    }

    #[test]
    fn the_method_is_told() {
        let html = render(&fixture::report());
        for words in [
            "same schedule points and delays in every variant widen the race window",
            "closed loop",
            "2 hardware threads",
            "6 rounds of 105 ms samples",
            "Incorrect: an upper bound",
            "nothing is claimed",
        ] {
            assert!(html.contains(words), "{words}");
        }
    }
}
