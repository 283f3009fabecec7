//! Judges the figures by criteria.

/// One figure: the measured and the simulated rate.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) workload: String,
    pub(super) threads: usize,
    pub(super) measured: f64,
    pub(super) simulated: f64,
    /// Whether a constant was fitted on it.
    pub(super) fitted: bool,
    /// Whether there were more threads than CPUs.
    pub(super) oversubscribed: bool,
}

impl Row {
    /// The relative error of the simulated rate.
    pub(super) fn error(&self) -> f64 {
        self.simulated / self.measured - 1.0
    }

    /// Whether the first criterion covers this workload.
    fn is_short(&self) -> bool {
        self.workload != "W7" && self.workload != "W8"
    }
}

/// One criterion.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Criterion {
    pub(super) what: &'static str,
    pub(super) met: usize,
    pub(super) of: usize,
    /// The least share of figures that must meet it, in percent.
    pub(super) least: usize,
}

impl Criterion {
    /// Whether the criterion is met. A criterion without figures is not met.
    pub(super) fn is_met(&self) -> bool {
        self.of != 0 && self.met * 100 >= self.least * self.of
    }
}

/// Judges the figures of far CPUs.
pub(super) fn judge(far: &[Row]) -> Vec<Criterion> {
    let within = |rows: &[&Row], bound: f64| rows.iter().filter(|row| row.error().abs() <= bound).count();
    let short: Vec<&Row> =
        far.iter().filter(|row| row.is_short() && !row.oversubscribed && !row.fitted).collect();
    let over: Vec<&Row> = far.iter().filter(|row| row.oversubscribed).collect();
    let (right, pairs) = order(far);
    vec![
        Criterion {
            what: "W1 to W4, far, not fitted: within 20 %",
            met: within(&short, 0.20),
            of: short.len(),
            least: 80,
        },
        Criterion {
            what: "W1 to W4, far, not fitted: within 35 %",
            met: within(&short, 0.35),
            of: short.len(),
            least: 95,
        },
        Criterion {
            what: "more threads than CPUs: within 40 %",
            met: within(&over, 0.40),
            of: over.len(),
            least: 100,
        },
        Criterion {
            what: "order of locks that differ by more than 15 %: right",
            met: right,
            of: pairs,
            least: 90,
        },
    ]
}

/// How many pairs of locks have measured rates that differ by more than 15 %, and how many of them
/// are in the same order when simulated.
fn order(rows: &[Row]) -> (usize, usize) {
    let (mut right, mut pairs) = (0, 0);
    for (i, one) in rows.iter().enumerate() {
        for other in &rows[i + 1..] {
            let comparable = (&one.workload, one.threads) == (&other.workload, other.threads);
            let (slow, fast) = (one.measured.min(other.measured), one.measured.max(other.measured));
            if comparable && fast > 1.15 * slow {
                pairs += 1;
                right += usize::from((one.measured < other.measured) == (one.simulated < other.simulated));
            }
        }
    }
    (right, pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(measured: f64, simulated: f64) -> Row {
        let (workload, threads) = ("W3".into(), 2);
        Row { workload, threads, measured, simulated, fitted: false, oversubscribed: false }
    }

    #[test]
    fn only_pairs_that_differ_count() {
        let rows = [row(10.0, 5.0), row(11.0, 4.0), row(20.0, 6.0), row(40.0, 5.5)];
        assert_eq!(order(&rows), (4, 5));
        assert!((rows[0].error() + 0.5).abs() < 1e-9);
    }

    #[test]
    fn fitted_figures_and_other_workloads_do_not_count_as_predicted() {
        let good = row(10.0, 11.0);
        let fitted = Row { fitted: true, ..row(10.0, 10.0) };
        let over = Row { oversubscribed: true, ..row(10.0, 5.0) };
        let other = Row { workload: "W7".into(), ..row(10.0, 1.0) };
        let judged = judge(&[good, fitted, over, other]);
        let counts: Vec<_> = judged.iter().map(|c| (c.met, c.of, c.is_met())).collect();
        assert_eq!(counts[..3], [(1, 1, true), (1, 1, true), (0, 1, false)]);
        assert!(!judge(&[])[0].is_met());
    }
}
