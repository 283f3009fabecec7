//! Draws plots: throughput against CPUs.

use std::error::Error;

use plotters::prelude::*;

use crate::record::PointLine;
use crate::table::{Spread, cpu_counts, digits, groups, lock_names, spread};

const SIZE: (u32, u32) = (1120, 760);
const TITLE: i32 = 32;
const TEXT: i32 = 22;
const GRID: RGBColor = RGBColor(0xD8, 0xDE, 0xE4);

/// Colours after Okabe and Ito. Other locks are grey.
const COLOURS: [(&str, RGBColor); 13] = [
    ("range-lock", RGBColor(0x00, 0x8F, 0x68)),
    ("range-lock+cut", RGBColor(0x00, 0x5F, 0x45)),
    ("one-leaf", RGBColor(0x8F, 0xCF, 0xB8)),
    ("bypass", RGBColor(0x5F, 0xB0, 0x40)),
    ("rwsem", RGBColor(0x00, 0x72, 0xB2)),
    ("page-locks", RGBColor(0xD5, 0x5E, 0x00)),
    ("btree-map", RGBColor(0xB6, 0x5C, 0x94)),
    ("range-mutex", RGBColor(0xE6, 0xB8, 0x00)),
    ("linux-tree", RGBColor(0xCC, 0x33, 0x33)),
    ("kogan-list", RGBColor(0x80, 0x50, 0xA0)),
    ("mcs", RGBColor(0x56, 0xB4, 0xE9)),
    ("ticket", RGBColor(0x40, 0x40, 0x40)),
    ("fair-rwlock", RGBColor(0x90, 0x70, 0x40)),
];

/// One plot.
#[derive(Debug)]
pub(crate) struct Plot {
    pub(crate) title: String,
    pub(crate) file: String,
    pub(crate) svg: String,
}

type Line = (String, Vec<(f64, Spread)>);

/// A plot for each table of throughput.
pub(crate) fn all(lines: &[PointLine]) -> Result<Vec<Plot>, Box<dyn Error>> {
    let mut plots = Vec::new();
    for group in groups(lines) {
        let of_lock = |lock: String| -> Line {
            let point = |cpus: usize| {
                let mops = |line: &PointLine| (line.result.mops > 0.0).then_some(line.result.mops);
                Some((cpus as f64, spread(lines, &group, &lock, cpus, mops)?))
            };
            let points = cpu_counts(lines).into_iter().filter_map(point).collect();
            (lock, points)
        };
        let drawn: Vec<Line> =
            lock_names(lines).into_iter().map(of_lock).filter(|l| !l.1.is_empty()).collect();
        if drawn.is_empty() {
            continue;
        }
        let title = group.title();
        let file = title.replace(", ", "-").replace('/', "-").to_lowercase() + ".svg";
        plots.push(Plot { svg: draw(&title, &drawn)?, title, file });
    }
    Ok(plots)
}

fn style(lock: &str) -> ShapeStyle {
    let colour = COLOURS.iter().find(|(name, _)| *name == lock).map_or(RGBColor(0x99, 0x99, 0x99), |c| c.1);
    colour.stroke_width(if lock == "range-lock" { 5 } else { 3 })
}

/// Both axes are logarithmic: a lock that scales is a straight line.
fn draw(title: &str, lines: &[Line]) -> Result<String, Box<dyn Error>> {
    let values = || lines.iter().flat_map(|line| line.1.iter().map(|point| point.1));
    let top = values().map(|spread| spread.max).fold(0.0, f64::max) * 1.3;
    let bottom = values().map(|spread| spread.min).fold(f64::INFINITY, f64::min) * 0.7;
    let cpus = || lines.iter().flat_map(|line| line.1.iter().map(|point| point.0));
    let (least, most) = (cpus().fold(f64::INFINITY, f64::min), cpus().fold(1.0, f64::max));
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        root.fill(&WHITE)?;
        let (plot, legend) = root.split_horizontally(800);
        let mut chart = ChartBuilder::on(&plot)
            .caption(title, ("sans-serif", TITLE).into_font())
            .margin(16)
            .x_label_area_size(64)
            .y_label_area_size(96)
            .build_cartesian_2d((least * 0.9..most * 1.1).log_scale().base(2.0), (bottom..top).log_scale())?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .bold_line_style(GRID)
            .light_line_style(TRANSPARENT)
            .x_desc("CPUs")
            .y_desc("million operations per second")
            .x_label_formatter(&|cpus| format!("{cpus:.0}"))
            .y_label_formatter(&|rate| tick(*rate))
            .label_style(("sans-serif", TEXT).into_font())
            .draw()?;
        for (lock, points) in lines {
            let style = style(lock);
            chart.draw_series(LineSeries::new(points.iter().map(|(x, rate)| (*x, rate.median)), style))?;
            for (x, rate) in points {
                chart.draw_series([PathElement::new([(*x, rate.min), (*x, rate.max)], style)])?;
                chart.draw_series([Circle::new((*x, rate.median), 5, style.filled())])?;
            }
        }
        for (row, (lock, points)) in lines.iter().enumerate() {
            let y = 80 + 2 * TEXT * row as i32;
            legend.draw(&PathElement::new([(0, y), (40, y)], style(lock)))?;
            let last = points.last().map_or_else(String::new, |(_, spread)| digits(spread.median));
            let text = ("sans-serif", TEXT).into_font();
            legend.draw(&Text::new(format!("{lock}: {last}"), (50, y - TEXT / 2), text))?;
        }
        root.present()?;
    }
    Ok(svg)
}

/// A tick of the axis of rates.
fn tick(rate: f64) -> String {
    if rate >= 1.0 { format!("{rate:.0}") } else { format!("{rate:.3}").trim_end_matches('0').to_owned() }
}
