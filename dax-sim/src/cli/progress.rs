//! Shows the progress of a run on standard error: a bar on a terminal, a few plain lines elsewhere.

use std::cell::Cell;
use std::io::{self, IsTerminal};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::say;
use crate::compare::Step;
use crate::compare::plan::Plan;
use crate::report::number;

/// A plain line appears each time this many more percent are done.
const PLAIN_EVERY: usize = 10;

/// Shows [`Step`]s.
pub(crate) enum Progress {
    /// Drawn by indicatif, only when steps come in: a thread that redraws it would run beside the
    /// threads under test.
    Bar(ProgressBar),
    /// The last line's share of [`PLAIN_EVERY`] percent.
    Plain { shown: Cell<usize> },
}

impl Progress {
    /// Begins to show the progress of `plan`.
    pub(crate) fn new(plan: &Plan) -> Progress {
        let total = plan.samples();
        let Some(bar) = bar(total, "{bar:24.green} {percent:>3}%  {prefix} left  {wide_msg:.dim}") else {
            let expected = plan.pace.planned() * u32::try_from(plan.lengths()).unwrap_or(u32::MAX);
            say(format_args!(
                "{total} samples of {} ms, at least {} in all",
                plan.pace.planned().as_millis(),
                number::coarse(expected),
            ));
            return Progress::Plain { shown: Cell::new(0) };
        };
        Progress::Bar(bar)
    }

    /// Shows one more step.
    pub(crate) fn show(&self, step: &Step) {
        match self {
            Progress::Bar(bar) => {
                let point = &step.point;
                bar.set_prefix(number::coarse(left(step)));
                bar.set_message(format!(
                    "{}, {}, {}, {}",
                    point.workload.name(),
                    point.variant,
                    number::media(point.media),
                    number::threads(point.threads),
                ));
                bar.inc(1);
            }
            Progress::Plain { shown } => {
                let percent = step.done * 100 / step.total;
                let share = percent / PLAIN_EVERY;
                if share > shown.get() && step.done < step.total {
                    shown.set(share);
                    say(format_args!("{percent} % done, about {} left", number::coarse(left(step))));
                }
            }
        }
    }

    /// Clears the bar, so that the report stands alone.
    pub(crate) fn finish(&self) {
        if let Progress::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}

/// A bar on standard error, if it is a terminal that can move its cursor (TERM=dumb cannot).
pub(crate) fn bar(total: usize, template: &str) -> Option<ProgressBar> {
    let target = ProgressDrawTarget::stderr();
    if !io::stderr().is_terminal() || target.is_hidden() {
        return None;
    }
    let bar = ProgressBar::with_draw_target(Some(total as u64), target);
    let style = ProgressStyle::with_template(template).expect("the template is a constant");
    bar.set_style(style.progress_chars("━╸─"));
    Some(bar)
}

/// The time that is left. Samples cost about the same each, so the mean so far is used.
fn left(step: &Step) -> Duration {
    step.elapsed.mul_f64((step.total - step.done) as f64 / step.done.max(1) as f64)
}
