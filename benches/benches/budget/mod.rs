//! Sets how long each point is measured, and runs each benchmark of this folder.

use std::time::{Duration, Instant};

use criterion::{Criterion, PlottingBackend};

const WARM_UP: Duration = Duration::from_millis(200);
const MEASUREMENT: Duration = Duration::from_millis(700);
const SAMPLES: usize = 10;
/// Criterion warns at 1000.
const RESAMPLES: usize = 1001;

/// Runs the groups, makes the report, and prints how long both took. Criterion's options on the
/// command line override the budget.
pub(crate) fn run(name: &str, groups: &[fn(&mut Criterion)]) {
    let start = Instant::now();
    let mut criterion = Criterion::default()
        .plotting_backend(PlottingBackend::Plotters)
        .warm_up_time(WARM_UP)
        .measurement_time(MEASUREMENT)
        .sample_size(SAMPLES)
        .nresamples(RESAMPLES)
        .configure_from_args();
    groups.iter().for_each(|group| group(&mut criterion));
    criterion.final_summary();
    // To standard error: other programs read standard output.
    eprintln!("{name}: {:.0} s in all", start.elapsed().as_secs_f64());
}
