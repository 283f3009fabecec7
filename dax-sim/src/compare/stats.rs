//! Computes from the rounds of one point: medians, their spread, and ratios.

/// A median, with the smallest and the largest value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Spread {
    /// The spread of `values`, or `None` if there are none.
    pub(crate) fn of(values: &[f64]) -> Option<Spread> {
        Some(Spread {
            median: median(values)?,
            min: values.iter().copied().fold(f64::INFINITY, f64::min),
            max: values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        })
    }
}

/// The middle value, or the mean of the two middle ones.
pub(crate) fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 {
        Some(sorted[middle])
    } else if middle > 0 {
        Some(f64::midpoint(sorted[middle - 1], sorted[middle]))
    } else {
        None
    }
}

/// How one variant's throughput compares with another's: the median over rounds of the quotient,
/// and an interval of that median.
///
/// Each quotient is taken within one round, where both sides met the same state of the machine. So
/// a drift from round to round (frequency, neighbours) cancels. In a quotient of two medians it
/// would not cancel.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Ratio {
    pub(crate) median: f64,
    /// Where the interval begins and ends: order statistics of the rounds' quotients, see
    /// [`order_interval`].
    pub(crate) low: f64,
    pub(crate) high: f64,
    /// The probability with which the interval holds the median of all possible rounds.
    pub(crate) confidence: f64,
}

impl Ratio {
    /// The ratio of `rates` to `base`, round by round. Rounds in which the base did nothing are
    /// left out. `None` if there are no others.
    pub(crate) fn of(rates: &[f64], base: &[f64]) -> Option<Ratio> {
        let pairs = rates.iter().zip(base).filter(|&(_, &base)| base > 0.0);
        let mut quotients: Vec<f64> = pairs.map(|(rate, base)| rate / base).collect();
        quotients.sort_by(f64::total_cmp);
        let median = median(&quotients)?;
        let Interval { dropped, confidence } = order_interval(quotients.len());
        let (low, high) = (quotients[dropped], quotients[quotients.len() - 1 - dropped]);
        Some(Ratio { median, low, high, confidence })
    }

    /// Whether the interval holds the median with at least 95 %. With fewer than 6 rounds it never
    /// does.
    pub(crate) fn is_certain(&self) -> bool {
        self.confidence >= CERTAIN
    }
}

/// The probability with which an interval should hold its median.
pub(crate) const CERTAIN: f64 = 0.95;

/// Which of the sorted values bound an interval of their median.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Interval {
    /// How many values lie outside at each end.
    pub(crate) dropped: usize,
    pub(crate) confidence: f64,
}

/// The shortest symmetric interval of order statistics that holds the median with 95 %, whatever
/// the distribution: the number of values below the median is binomial. Fewer than 6 values have no
/// such interval. They get their smallest and largest value, with the confidence of that interval:
/// 94 % for 5 values, 75 % for 3, none for 1.
pub(crate) fn order_interval(values: usize) -> Interval {
    let confidence = |outside: f64| (1.0 - 2.0 * outside).max(0.0);
    // The probability that at most `dropped` values lie below the median.
    let mut term = 0.5_f64.powi(i32::try_from(values).unwrap_or(i32::MAX));
    let mut outside = term;
    let mut dropped = 0;
    loop {
        let next_term = term * (values - dropped) as f64 / (dropped + 1) as f64;
        if confidence(outside + next_term) < CERTAIN {
            return Interval { dropped, confidence: confidence(outside) };
        }
        dropped += 1;
        term = next_term;
        outside += term;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_of_odd_even_and_no_values() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median(&[7.0]), Some(7.0));
        assert_eq!(median(&[]), None);
    }

    #[test]
    fn spread_has_both_ends() {
        assert_eq!(Spread::of(&[3.0, 1.0, 2.0]), Some(Spread { median: 2.0, min: 1.0, max: 3.0 }));
        assert_eq!(Spread::of(&[]), None);
    }

    #[test]
    fn a_ratio_is_taken_within_each_round() {
        // The machine was twice as fast in the second round. The variant was three times its base
        // in each.
        let ratio = Ratio::of(&[3.0, 6.0], &[1.0, 2.0]).unwrap();
        assert_eq!((ratio.median, ratio.low, ratio.high), (3.0, 3.0, 3.0));
        // A quotient of the medians would say 1.0 here.
        let ratio = Ratio::of(&[2.0, 1.0, 4.0], &[1.0, 2.0, 2.0]).unwrap();
        assert_eq!((ratio.median, ratio.low, ratio.high, ratio.confidence), (2.0, 0.5, 2.0, 0.75));
    }

    #[test]
    fn a_ratio_leaves_out_rounds_without_a_base() {
        assert_eq!(Ratio::of(&[2.0, 9.0], &[1.0, 0.0]).unwrap().median, 2.0);
        assert_eq!(Ratio::of(&[2.0], &[0.0]), None);
    }

    #[test]
    fn six_rounds_give_an_interval_of_95_percent() {
        let certain = |rounds| Ratio::of(&vec![2.0; rounds], &vec![1.0; rounds]).unwrap().is_certain();
        assert!(!certain(1) && !certain(5) && certain(6) && certain(100));
    }

    /// The bounds of the sign test, from published tables.
    #[test]
    fn intervals_of_the_median_are_those_of_the_tables() {
        for (values, dropped, confidence) in [
            (1, 0, 0.0),
            (2, 0, 0.5),
            (3, 0, 0.75),
            (5, 0, 0.9375),
            (6, 0, 0.96875),
            (8, 0, 0.9921875),
            (9, 1, 0.9609375),
            (10, 1, 0.978515625),
            (20, 5, 0.9586),
            (100, 39, 0.9648),
            (1000, 468, 0.9538),
        ] {
            let interval = order_interval(values);
            assert_eq!(interval.dropped, dropped, "{values}");
            assert!((interval.confidence - confidence).abs() < 1e-4, "{values}: {}", interval.confidence);
        }
    }
}
