//! Writes one page with all plots and tables. The page loads nothing.

use std::fmt::Write;

use crate::plot::Plot;
use crate::record::PointLine;
use crate::table::{Row, cpu_counts, figures, groups, ratios, rows};

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:72rem;margin:2rem auto;padding:0 1rem}\
    svg{width:100%;height:auto}table{border-collapse:collapse;margin:.5rem 0 1.5rem}\
    th,td{padding:.15rem .7rem;text-align:right;border-bottom:1px solid #d8dee4}\
    th:first-child,td:first-child{text-align:left}summary{cursor:pointer}nav a{margin-right:1em}";

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// The introduction of the page of a sweep.
pub(crate) const OF_LOCKS: &str =
    "Virtual time. Each point is the real code of a lock, run on a simulated cache-coherent machine.";

/// The page.
pub(crate) fn page(title: &str, what: &str, lines: &[PointLine], plots: &[Plot]) -> String {
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>{title}</title>\
         <style>{STYLE}</style></head><body>\n<h1>{title}</h1>\n<p>{what}</p>\n\
         <nav>"
    );
    let groups = groups(lines);
    for (n, group) in groups.iter().enumerate() {
        let _ = write!(page, "<a href=\"#g{n}\">{}</a>", escape(&group.title()));
    }
    page.push_str("</nav>\n");
    for (n, group) in groups.iter().enumerate() {
        let title = group.title();
        let _ = writeln!(page, "<h2 id=\"g{n}\">{}</h2>", escape(&title));
        if let Some(plot) = plots.iter().find(|plot| plot.title == title) {
            page.push_str(&plot.svg);
        }
        for (figure, name) in figures().enumerate() {
            write_table(&mut page, name, figure == 0, lines, rows(lines, group, figure));
        }
    }
    for (title, rows) in ratios(lines) {
        write_table(&mut page, &title, true, lines, rows);
    }
    page.push_str("</body></html>\n");
    page
}

fn write_table(page: &mut String, title: &str, open: bool, lines: &[PointLine], rows: Vec<Row>) {
    if rows.is_empty() {
        return;
    }
    let (open, title) = (if open { " open" } else { "" }, escape(title));
    let _ = write!(page, "<details{open}><summary>{title}</summary><table><tr><th>CPUs</th>");
    for cpus in cpu_counts(lines) {
        let _ = write!(page, "<th>{cpus}</th>");
    }
    page.push_str("</tr>\n");
    for (lock, cells) in rows {
        let _ = write!(page, "<tr><td>{}</td>", escape(&lock));
        for cell in cells {
            let _ = write!(page, "<td>{}</td>", escape(&cell));
        }
        page.push_str("</tr>\n");
    }
    page.push_str("</table></details>\n");
}
