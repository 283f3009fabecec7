//! Draws one plot for each workload and media time: throughput against threads, a line for each
//! variant.
//!
//! plotters draws it into SVG text. The units are half a pixel of the intended size, since plotters
//! places everything on whole units.

use std::cell::RefCell;
use std::error::Error;
use std::time::Duration;

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::palette::{self, GRID, INK, Look, MUTED, Marker, PAPER, SHADE};
use super::{Report, number, words};
use crate::compare::Outcome;
use crate::compare::stats::Spread;
use crate::variant::Variant;
use crate::workload::{Point, Workload};

const WIDTH: u32 = 1120;
/// Without the legend.
const HEIGHT: u32 = 700;
/// How many units one pixel of the intended size has.
const FINENESS: u32 = 2;

const HEAD: u32 = 116;
const LEGEND_ROW: u32 = 44;
const TITLE_SIZE: u32 = 44;
const TEXT_SIZE: u32 = 34;
const TICK: i32 = 8;
const MARKER: i32 = 9;
const RIM: i32 = 3;
const WHISKER_END: i32 = 7;
/// How near to the middle of a marker a pointer must come.
const REACH: i32 = 18;
/// How far apart points with the same number of threads stand, so that their whiskers can be seen.
const DODGE: i32 = 14;
/// Free space above the highest point, as a share of it.
const HEADROOM: f64 = 1.06;
/// Height of the strip above the plot in which the shaded part has its label.
const STRIP: i32 = 48;
/// Free space to the left and right of the first and last point, as a share of the axis.
const SIDES: f64 = 0.05;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn<T = ()> = Result<T, Box<dyn Error>>;

/// The file name of a plot in a file of its own.
pub(crate) fn file_name(workload: Workload, media: Duration) -> String {
    let media = if media.is_zero() { "cpu-bound".to_owned() } else { format!("{}us", media.as_micros()) };
    format!("{}-{media}.svg", workload.name())
}

/// Whether a plot may have this name.
pub(crate) fn is_file_name(name: &str) -> bool {
    let media = |rest: &str| {
        rest == "cpu-bound" || rest.strip_suffix("us").is_some_and(|us| us.parse::<u64>().is_ok())
    };
    Workload::ALL.into_iter().any(|workload| {
        let rest = name.strip_prefix(workload.name()).and_then(|rest| rest.strip_prefix('-'));
        rest.and_then(|rest| rest.strip_suffix(".svg")).is_some_and(media)
    })
}

/// What the plot shows, for those who cannot see it.
fn description(workload: Workload, media: Duration) -> String {
    format!(
        "{}, {}: operations per second against threads, one line per variant",
        workload.name(),
        number::media(media)
    )
}

/// The height of the head of the legend, a row for each variant, and a margin.
fn legend_height(report: &Report) -> u32 {
    LEGEND_ROW * (report.variants().len() as u32 + 1) + 16
}

/// Draws one plot for a page that styles `svg.plot`.
pub(crate) fn draw(report: &Report, workload: Workload, media: Duration) -> String {
    let mut svg = String::new();
    let height = HEIGHT + legend_height(report);
    let panel = Panel { report, workload, media, markers: RefCell::default() };
    panel
        .draw(&SVGBackend::with_string(&mut svg, (WIDTH, height)).into_drawing_area())
        .expect("drawing into a string does not fail");
    let hits = panel.hits();
    let opening = format!(
        "<svg class=\"plot\" role=\"img\" aria-label=\"{}\" width=\"{}\" height=\"{}\" ",
        description(workload, media),
        WIDTH / FINENESS,
        height / FINENESS,
    );
    let svg = svg.replacen(&format!("<svg width=\"{WIDTH}\" height=\"{height}\" "), &opening, 1);
    svg.replacen("</svg>", &format!("{hits}</svg>"), 1)
}

/// The line and the marker of a variant, small enough to stand in a line of text.
pub(crate) fn key(variant: Variant) -> String {
    let (width, height) = (80, 40);
    let mut svg = String::new();
    let area = SVGBackend::with_string(&mut svg, (width, height)).into_drawing_area();
    let look = palette::look(variant);
    let middle = (width as i32 / 2, height as i32 / 2);
    draw_line(&area, &look, vec![(0, middle.1), (width as i32, middle.1)])
        .and_then(|()| draw_marker(&area, &look, middle))
        .and_then(|()| Ok(area.present()?))
        .expect("drawing into a string does not fail");
    drop(area);
    let opening = format!(
        "<svg class=\"plot key\" aria-hidden=\"true\" width=\"{}\" height=\"{}\" ",
        width / FINENESS,
        height / FINENESS
    );
    svg.replacen(&format!("<svg width=\"{width}\" height=\"{height}\" "), &opening, 1)
}

/// Turns a drawn plot into a file of its own, which follows the reader's preference for light or
/// dark.
pub(crate) fn standalone(svg: &str) -> String {
    let style = format!(
        "<style>text{{font-family:system-ui,sans-serif}}\n@media (prefers-color-scheme:dark){{\n{}}}</style>\n",
        palette::dark_rules("svg"),
    );
    match svg.find(">\n") {
        Some(end) => format!("{}{style}{}", &svg[..end + 2], &svg[end + 2..]),
        None => svg.to_owned(),
    }
}

/// One workload with one media time.
struct Panel<'a> {
    report: &'a Report,
    workload: Workload,
    media: Duration,
    /// Where the points are, in the order in which they are drawn.
    markers: RefCell<Vec<(Point, (i32, i32))>>,
}

impl Panel<'_> {
    /// The values that a pointer finds over each marker, as a title.
    fn hits(&self) -> String {
        let mut hits = String::new();
        for &(point, (x, y)) in self.markers.borrow().iter() {
            let at = self.report.outcomes.iter().position(|outcome| outcome.point == point);
            let Some((index, outcome)) = at.map(|index| (index, &self.report.outcomes[index])) else {
                continue;
            };
            let whole = |rate: f64| number::count(rate.round() as u64);
            let rate = outcome.ops_per_s;
            let ratio = self.report.ratio(outcome).filter(|_| point.variant != self.report.baseline);
            let ratio = ratio.map_or(String::new(), |ratio| {
                format!("\n{} of {}", number::with_interval(ratio), self.report.baseline)
            });
            hits.push_str(&format!(
                "<circle class=\"hit\" data-result=\"{index}\" cx=\"{x}\" cy=\"{y}\" r=\"{REACH}\" \
                 fill=\"transparent\"><title>{}, {}\n{} operations/s, {} to {}{ratio}</title></circle>\n",
                point.variant,
                number::threads(point.threads),
                whole(rate.median),
                whole(rate.min),
                whole(rate.max),
            ));
        }
        hits
    }

    fn draw(&self, root: &Area<'_>) -> Drawn {
        root.fill(&PAPER.light)?;
        let (head, rest) = root.split_vertically(HEAD);
        self.draw_head(&head)?;
        let (plot, legend) = rest.split_vertically(HEIGHT - HEAD);
        self.draw_axes_and_lines(root, &plot)?;
        self.draw_legend(&legend)?;
        root.present()?;
        Ok(())
    }

    fn draw_head(&self, area: &Area<'_>) -> Drawn {
        let title = format!("{}, {}", self.workload.name(), number::media(self.media));
        let title_style = ("sans-serif", TITLE_SIZE as i32, FontStyle::Bold).into_font().color(&INK.light);
        area.draw_text(&title, &title_style, (24, 24))?;
        let subtitle = "operations per second: median, with whiskers from minimum to maximum";
        area.draw_text(subtitle, &text(MUTED.light, HPos::Left, VPos::Top), (24, 78))?;
        Ok(())
    }

    fn draw_axes_and_lines(&self, root: &Area<'_>, area: &Area<'_>) -> Drawn {
        let (left, right) = self.x_ends();
        let mut chart = ChartBuilder::on(area)
            .margin_right(28)
            .margin_left(8)
            .margin_top(STRIP + 8)
            .x_label_area_size(92)
            .y_label_area_size(104)
            .build_cartesian_2d(left..right, 0.0..self.y_top())?;
        let plot = chart.plotting_area().clone();
        let place = |x: f64, y: f64| plot.map_coordinate(&(x, y));
        self.draw_oversubscribed(root, place)?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .bold_line_style(ShapeStyle::from(&GRID.light).stroke_width(2))
            .light_line_style(TRANSPARENT)
            .axis_style(ShapeStyle::from(&MUTED.light).stroke_width(2))
            .y_labels(6)
            .disable_x_axis()
            .set_all_tick_mark_size(TICK)
            .y_label_formatter(&|y| number::tick(*y))
            .label_style(("sans-serif", TEXT_SIZE as i32).into_font().color(&INK.light))
            .draw()?;
        self.draw_thread_axis(root, place)?;
        let variants = self.report.variants();
        for (rank, &variant) in variants.iter().enumerate() {
            let dodge = DODGE * (2 * rank as i32 + 1 - variants.len() as i32) / 2;
            self.draw_variant(root, variant, |threads, rate| {
                let (x, y) = place(log2(threads), rate);
                (x + dodge, y)
            })?;
        }
        Ok(())
    }

    /// The ends of the x axis, which counts doublings of threads.
    fn x_ends(&self) -> (f64, f64) {
        let threads = self.report.threads();
        let (first, last) = (log2(threads.first().copied().unwrap_or(1)), log2(self.report.most_threads()));
        let free = if first < last { (last - first) * SIDES } else { 1.0 };
        (first - free, last + free)
    }

    fn y_top(&self) -> f64 {
        let points =
            self.report.outcomes.iter().filter(|outcome| {
                outcome.point.workload == self.workload && outcome.point.media == self.media
            });
        let highest = points.map(|outcome| outcome.ops_per_s.max).fold(0.0, f64::max);
        if highest > 0.0 { highest * HEADROOM } else { 1.0 }
    }

    /// Draws ticks where there are points, for which plotters' own axes have no option.
    fn draw_thread_axis(&self, root: &Area<'_>, place: impl Fn(f64, f64) -> (i32, i32)) -> Drawn {
        let (left, right) = self.x_ends();
        let axis = ShapeStyle::from(&MUTED.light).stroke_width(2);
        root.draw(&PathElement::new([place(left, 0.0), place(right, 0.0)], axis))?;
        for threads in self.report.threads() {
            let (x, y) = place(log2(threads), 0.0);
            root.draw(&PathElement::new([(x, y), (x, y + TICK)], axis))?;
            let label = self.report.marked_threads(threads);
            root.draw_text(&label, &text(INK.light, HPos::Center, VPos::Top), (x, y + TICK + 8))?;
        }
        let (middle, y) = place(f64::midpoint(left, right), 0.0);
        root.draw_text(
            "threads",
            &text(MUTED.light, HPos::Center, VPos::Top),
            (middle, y + TICK + 8 + TEXT_SIZE as i32),
        )?;
        Ok(())
    }

    /// Shades the part of the axis where threads outnumber the hardware.
    fn draw_oversubscribed(&self, root: &Area<'_>, place: impl Fn(f64, f64) -> (i32, i32)) -> Drawn {
        if !self.report.is_oversubscribed(self.report.most_threads()) {
            return Ok(());
        }
        let (left, right) = self.x_ends();
        // Half-way to the first number of threads that is too many, so that no point stands on the
        // border.
        let from = (self.report.host.hardware_threads as f64 + 0.5).log2().max(left);
        let ((right, top), (from, bottom)) = (place(right, self.y_top()), place(from, 0.0));
        root.draw(&Rectangle::new([(from, top - STRIP), (right, bottom)], SHADE.light.filled()))?;
        let label = format!("more threads than the {}", self.report.hardware_threads());
        root.draw_text(&label, &text(MUTED.light, HPos::Right, VPos::Center), (right - 12, top - STRIP / 2))?;
        Ok(())
    }

    /// Draws one line with its whiskers and markers. `place` returns the position of a number of
    /// threads and operations per second.
    fn draw_variant(
        &self,
        root: &Area<'_>,
        variant: Variant,
        place: impl Fn(usize, f64) -> (i32, i32),
    ) -> Drawn {
        let look = palette::look(variant);
        let points: Vec<(usize, Spread)> = self
            .report
            .threads()
            .into_iter()
            .filter_map(|threads| Some((threads, self.outcome(variant, threads)?.ops_per_s)))
            .collect();
        draw_line(root, &look, points.iter().map(|&(threads, rate)| place(threads, rate.median)).collect())?;
        let whisker = ShapeStyle::from(&look.tone.light).stroke_width(3);
        for (threads, rate) in points {
            let (low, high) = (place(threads, rate.min), place(threads, rate.max));
            root.draw(&PathElement::new([low, high], whisker))?;
            for (x, y) in [low, high] {
                root.draw(&PathElement::new([(x - WHISKER_END, y), (x + WHISKER_END, y)], whisker))?;
            }
            let at = place(threads, rate.median);
            draw_marker(root, &look, at)?;
            let point = Point { workload: self.workload, variant, threads, media: self.media };
            self.markers.borrow_mut().push((point, at));
        }
        Ok(())
    }

    fn outcome(&self, variant: Variant, threads: usize) -> Option<&Outcome> {
        self.report.outcome(Point { workload: self.workload, variant, threads, media: self.media })
    }

    /// Draws the legend below the plot, with the figures at the most threads, where the lines end.
    fn draw_legend(&self, area: &Area<'_>) -> Drawn {
        let most = self.report.most_threads();
        let (threads, baseline) = (self.report.marked_threads(most), self.report.baseline);
        let head = format!("at {threads} threads: factor to {baseline} (interval)");
        let middle = LEGEND_ROW as i32 / 2;
        area.draw_text(&head, &text(MUTED.light, HPos::Left, VPos::Center), (24, middle))?;
        let variants = self.report.variants();
        if variants.contains(&Variant::Unserialised) {
            let style = text(MUTED.light, HPos::Right, VPos::Center);
            area.draw_text(words::UNSERIALISED_MARK, &style, (WIDTH as i32 - 28, middle))?;
        }
        for (index, &variant) in variants.iter().enumerate() {
            self.draw_legend_entry(area, variant, (24, LEGEND_ROW as i32 * (index as i32 + 1) + middle))?;
        }
        Ok(())
    }

    fn draw_legend_entry(&self, area: &Area<'_>, variant: Variant, (x, y): (i32, i32)) -> Drawn {
        let look = palette::look(variant);
        draw_line(area, &look, vec![(x, y), (x + 56, y)])?;
        draw_marker(area, &look, (x + 28, y))?;
        area.draw_text(
            &words::marked_name(variant),
            &text(INK.light, HPos::Left, VPos::Center),
            (x + 72, y),
        )?;
        if let Some(outcome) = self.outcome(variant, self.report.most_threads()) {
            let figures = text(INK.light, HPos::Right, VPos::Center);
            let ratio = self.report.ratio(outcome).filter(|_| variant != self.report.baseline);
            let (factor, interval) = match ratio {
                Some(ratio) => (number::ratio(ratio), format!("({})", number::interval(ratio))),
                None => (format!("{}/s", number::rate(outcome.ops_per_s.median)), String::new()),
            };
            area.draw_text(&factor, &figures, (x + 520, y))?;
            let interval_style = text(INK.light, HPos::Left, VPos::Center);
            area.draw_text(&interval, &interval_style, (x + 544, y))?;
        }
        Ok(())
    }
}

fn draw_line(area: &Area<'_>, look: &Look, points: Vec<(i32, i32)>) -> Drawn {
    let stroke = ShapeStyle::from(&look.tone.light).stroke_width(4);
    if look.dashed {
        for dashes in DashedLineSeries::new(points, 12, 10, stroke) {
            area.draw(&dashes)?;
        }
    } else {
        area.draw(&PathElement::new(points, stroke))?;
    }
    Ok(())
}

/// A marker with a rim of paper, which keeps it apart from the lines that cross it.
fn draw_marker(area: &Area<'_>, look: &Look, at: (i32, i32)) -> Drawn {
    for (size, colour) in [(MARKER + RIM, PAPER.light), (MARKER, look.tone.light)] {
        let corners = match look.marker {
            Marker::Circle => {
                area.draw(&Circle::new(at, size, colour.filled()))?;
                continue;
            }
            Marker::Triangle => vec![(0, -size - 2), (size + 1, size - 1), (-size - 1, size - 1)],
            Marker::Square => vec![
                (-size + 1, -size + 1),
                (size - 1, -size + 1),
                (size - 1, size - 1),
                (-size + 1, size - 1),
            ],
            Marker::Diamond => vec![(0, -size - 3), (size + 3, 0), (0, size + 3), (-size - 3, 0)],
            Marker::Cross => cross(size + 1, size / 2 - 1),
        };
        let corners: Vec<(i32, i32)> = corners.into_iter().map(|(x, y)| (at.0 + x, at.1 + y)).collect();
        area.draw(&Polygon::new(corners, colour.filled()))?;
    }
    Ok(())
}

/// The outline of an x. Its arms reach `reach`, cut off at `width` from the corner of their square.
fn cross(reach: i32, width: i32) -> Vec<(i32, i32)> {
    let (far, near) = (reach, reach - width);
    vec![
        (0, -width),
        (near, -far),
        (far, -near),
        (width, 0),
        (far, near),
        (near, far),
        (0, width),
        (-near, far),
        (-far, near),
        (-width, 0),
        (-far, -near),
        (-near, -far),
    ]
}

fn log2(threads: usize) -> f64 {
    (threads as f64).log2()
}

fn text(colour: RGBColor, horizontal: HPos, vertical: VPos) -> TextStyle<'static> {
    ("sans-serif", TEXT_SIZE as i32).into_font().color(&colour).pos(Pos::new(horizontal, vertical))
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;

    const MEDIA: Duration = Duration::from_micros(50);

    fn drawn(report: &Report) -> String {
        draw(report, Workload::WriteDisjoint, MEDIA)
    }

    #[test]
    fn file_names_say_what_is_in_them() {
        assert_eq!(file_name(Workload::WriteDisjoint, MEDIA), "write-disjoint-50us.svg");
        assert_eq!(file_name(Workload::ReadMostly, Duration::ZERO), "read-mostly-cpu-bound.svg");
        for name in fixture::report().files() {
            assert!(is_file_name(&name), "{name}");
        }
        for name in ["compare.html", "read-mostly.svg", "../read-mostly-50us.svg", "read-mostly-/us.svg"] {
            assert!(!is_file_name(name), "{name}");
        }
    }

    #[test]
    fn the_image_begins_and_ends_as_one() {
        let svg = drawn(&fixture::report());
        assert!(svg.starts_with(concat!(
            r#"<svg class="plot" role="img" "#,
            r#"aria-label="write-disjoint, 50 µs media: operations per second against threads, one line per variant" "#,
            r#"width="560" height="490" viewBox="0 0 1120 980" xmlns="http://www.w3.org/2000/svg">"#,
        )));
        assert!(svg.ends_with("</svg>\n"));
        assert_eq!(svg.matches("<svg").count(), 1);
    }

    #[test]
    fn every_variant_is_named_once_and_marked_at_every_point() {
        let svg = drawn(&fixture::report());
        for name in ["linux-4.11", "linux-4.12", "rwsem", "range-lock", "unserialised†"] {
            assert_eq!(svg.matches(&format!("\n{name}\n")).count(), 1, "{name}");
        }
        // rwsem's circles: one for each number of threads and one in the legend.
        let circle = format!("fill=\"{}\"", palette::hex(palette::look(Variant::Rwsem).tone.light));
        let circles =
            svg.lines().filter(|line| line.starts_with("<circle") && line.contains(&circle)).count();
        assert_eq!(circles, 4);
    }

    #[test]
    fn every_marker_has_its_values() {
        let report = fixture::report();
        let svg = drawn(&report);
        assert_eq!(svg.matches("class=\"hit\"").count(), 3 * Variant::COMPARED.len());
        assert!(
            svg.contains(
                "<title>range-lock, 16 threads\n160,000 operations/s, 152,000 to 168,000\n16.0× (14.5–17.7) of rwsem</title>"
            ),
            "{svg}"
        );
        assert!(svg.contains("<title>rwsem, 1 thread\n10,000 operations/s, 9,500 to 10,500</title>"));
        assert!(svg.contains("\n10.0k/s\n") && svg.contains("\n16.0×\n") && svg.contains("\n(14.5–17.7)\n"));
    }

    #[test]
    fn oversubscribed_points_are_shaded_and_labelled() {
        let mut report = fixture::report();
        let label = "more threads than the 2 hardware threads";
        let shade = palette::hex(SHADE.light);
        let svg = drawn(&report);
        assert!(svg.contains(label) && svg.contains(&shade) && svg.contains("\n16*\n"));
        report.host.hardware_threads = 16;
        let svg = drawn(&report);
        assert!(!svg.contains("more threads") && !svg.contains(&shade) && svg.contains("\n16\n"));
    }

    #[test]
    fn one_number_of_threads_and_no_throughput_are_drawn_too() {
        let mut report = fixture::report();
        report.outcomes.retain(|outcome| outcome.point.threads == 1);
        for outcome in &mut report.outcomes {
            outcome.ops_per_s = Spread { median: 0.0, min: 0.0, max: 0.0 };
        }
        assert!(drawn(&report).contains("<polygon"));
    }

    #[test]
    fn alone_it_brings_its_dark_colours_along() {
        let svg = standalone(&drawn(&fixture::report()));
        let style = svg.find("<style>").unwrap();
        assert!(style < svg.find("<rect").unwrap());
        assert!(svg.contains("prefers-color-scheme:dark"));
    }
}
