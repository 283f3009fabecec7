//! Draws plots: throughput against threads, and the cost of a free range against how many others
//! are held.

use std::error::Error;
use std::ops::Range;

use plotters::coord::ranged1d::{AsRangedCoord, ValueFormatter};
use plotters::prelude::*;

use super::{count, three_digits};
use crate::placement::Placement;
use crate::rival::Rival;
use crate::rivals::{
    AsItComes, NaiveRangeLock, OneLeaf, PackedPageLocks, ParkingLotRwLock, RangeLock02, RangeMutex01, Shape,
    StdRwLock, Stripe,
};
use crate::sample::{CellName, Record, Spread};

const SIZE: (u32, u32) = (1120, 760);
const TITLE: i32 = 36;
const TEXT: i32 = 26;
const GRID: RGBColor = RGBColor(0xD8, 0xDE, 0xE4);

/// The rivals that are drawn, with colours after Okabe and Ito. The tables have the others.
const DRAWN: [(&str, RGBColor); 8] = [
    (AsItComes::NAME, RGBColor(0x00, 0x8F, 0x68)),
    (OneLeaf::NAME, RGBColor(0x8F, 0xCF, 0xB8)),
    (ParkingLotRwLock::NAME, RGBColor(0x00, 0x72, 0xB2)),
    (StdRwLock::NAME, RGBColor(0x56, 0xB4, 0xE9)),
    (PackedPageLocks::NAME, RGBColor(0xD5, 0x5E, 0x00)),
    (NaiveRangeLock::NAME, RGBColor(0xB6, 0x5C, 0x94)),
    (RangeLock02::NAME, RGBColor(0x77, 0x79, 0x7C)),
    (RangeMutex01::NAME, RGBColor(0xE6, 0xB8, 0x00)),
];

/// The lines of one plot: a rival and its points.
type Line = (&'static str, Vec<(f64, Spread)>);

/// All plots that the record has figures for, as (file name, SVG text).
///
/// # Errors
///
/// If plotters cannot draw, which means a mistake in this module.
pub fn all(record: &Record) -> Result<Vec<(String, String)>, Box<dyn Error>> {
    let mut plots = Vec::new();
    for placement in Placement::ALL {
        let at = format!("{} CPUs", placement.name());
        for (workload, what) in [
            ("W2", "disjoint random 4 KiB writes"),
            ("W2r", "random 4 KiB reads"),
            ("W3", "random 4 KiB of 1 GiB, 95 % reads"),
            ("W4", "reads of one block"),
        ] {
            let lines = lines(|rival| {
                let of = move |threads| {
                    let cell = CellName { workload, threads, placement };
                    let rate = record.spread(cell, rival, |sample| Some(sample.ops_per_s / 1e6))?;
                    Some((threads as f64, rate))
                };
                [1, 2, 4, 8].into_iter().filter_map(of).collect()
            });
            if !lines.is_empty() {
                let title = format!("{workload}, {what}; {at}");
                let plot = draw(
                    &title,
                    &format!("threads (the machine has {})", record.host.hardware_threads),
                    "million operations per second",
                    (0.9..9.0_f64).log_scale().base(2.0),
                    (0.0, plain),
                    &lines,
                )?;
                plots.push((format!("{}-{}.svg", workload.to_lowercase(), placement.name()), plot));
            }
        }
        let lines = lines(|rival| {
            let of = |held: usize| {
                let workload = format!("W5/{held}");
                let cell = CellName { workload: &workload, threads: 1, placement };
                let time = record.spread(cell, rival, |sample| Some(1e9 / sample.ops_per_s))?;
                Some((held as f64, time))
            };
            [100, 10_000, 100_000].into_iter().filter_map(of).collect::<Vec<_>>()
        });
        let lines: Vec<Line> = lines.into_iter().filter(|(_, points)| points.len() > 1).collect();
        if !lines.is_empty() {
            let title = format!("W5, a free range among others that are held; {at}");
            let plot = draw(
                &title,
                "ranges held",
                "nanoseconds for an acquisition and its release",
                (80.0..125_000.0_f64).log_scale(),
                (1.0, one_two_five),
                &lines,
            )?;
            plots.push((format!("w5-{}.svg", placement.name()), plot));
        }
    }
    Ok(plots)
}

fn lines(points: impl Fn(&'static str) -> Vec<(f64, Spread)>) -> Vec<Line> {
    DRAWN.into_iter().map(|(name, _)| (name, points(name))).filter(|(_, points)| !points.is_empty()).collect()
}

/// Draws a plot. `floor` is the smallest value of the y axis. If it is not 0 that axis is
/// logarithmic.
fn draw<X>(
    title: &str,
    x_name: &str,
    y_name: &str,
    x_axis: X,
    (floor, tick): (f64, fn(&f64) -> String),
    lines: &[Line],
) -> Result<String, Box<dyn Error>>
where
    X: AsRangedCoord<Value = f64>,
    X::CoordDescType: ValueFormatter<f64>,
{
    let of_all =
        |of: fn(&Spread) -> f64| lines.iter().flat_map(move |line| line.1.iter().map(move |at| of(&at.1)));
    let top = of_all(|at| at.max).fold(0.0, f64::max) * 1.05;
    let bottom = if floor > 0.0 { of_all(|at| at.min).fold(f64::INFINITY, f64::min) * 0.8 } else { 0.0 };
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        root.fill(&WHITE)?;
        let (plot, legend) = root.split_horizontally(800);
        let mut chart = ChartBuilder::on(&plot);
        chart
            .caption(title, ("sans-serif", TITLE).into_font())
            .margin(16)
            .x_label_area_size(64)
            .y_label_area_size(96);
        if floor > 0.0 {
            series(
                chart.build_cartesian_2d(x_axis, (bottom..top).log_scale())?,
                x_name,
                y_name,
                tick,
                lines,
            )?;
        } else {
            series(chart.build_cartesian_2d(x_axis, linear(bottom..top))?, x_name, y_name, tick, lines)?;
        }
        for (row, (name, points)) in lines.iter().enumerate() {
            let y = 90 + 2 * TEXT * row as i32;
            let style = style(name);
            legend.draw(&PathElement::new([(0, y), (40, y)], style))?;
            let last = points.last().map_or_else(String::new, |(_, spread)| three_digits(spread.median));
            let text = ("sans-serif", TEXT).into_font();
            legend.draw(&Text::new(format!("{name}: {last}"), (50, y - TEXT / 2), text))?;
        }
        root.present()?;
    }
    Ok(svg)
}

fn linear(range: Range<f64>) -> Range<f64> {
    range
}

fn style(rival: &str) -> ShapeStyle {
    let colour = DRAWN.into_iter().find(|(name, _)| *name == rival).map_or(BLACK, |(_, colour)| colour);
    colour.stroke_width(if rival == AsItComes::NAME { 5 } else { 3 })
}

/// A tick of a linear axis.
fn plain(value: &f64) -> String {
    count(value.round() as usize)
}

/// A tick of a logarithmic axis, where only those that begin with 1, 2 or 5 have room.
fn one_two_five(value: &f64) -> String {
    let digits = plain(value);
    if ["1", "2", "5"].contains(&digits.trim_end_matches(['0', ','])) { digits } else { String::new() }
}

fn series<X, Y>(
    mut chart: ChartContext<'_, SVGBackend<'_>, Cartesian2d<X, Y>>,
    x_name: &str,
    y_name: &str,
    tick: fn(&f64) -> String,
    lines: &[Line],
) -> Result<(), Box<dyn Error>>
where
    X: Ranged<ValueType = f64> + ValueFormatter<f64>,
    Y: Ranged<ValueType = f64> + ValueFormatter<f64>,
{
    chart
        .configure_mesh()
        .disable_x_mesh()
        .bold_line_style(GRID)
        .light_line_style(TRANSPARENT)
        .x_desc(x_name)
        .y_desc(y_name)
        .x_labels(4)
        .x_label_formatter(&plain)
        .y_label_formatter(&tick)
        .label_style(("sans-serif", TEXT).into_font())
        .draw()?;
    for (name, points) in lines {
        let style = style(name);
        chart.draw_series(LineSeries::new(points.iter().map(|(x, rate)| (*x, rate.median)), style))?;
        for (x, rate) in points {
            chart.draw_series([PathElement::new([(*x, rate.min), (*x, rate.max)], style)])?;
            chart.draw_series([Circle::new((*x, rate.median), 6, style.filled())])?;
        }
    }
    Ok(())
}
