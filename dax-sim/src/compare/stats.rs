//! What several rounds of one point say together: medians, their spread, and ratios.

/// A median with the smallest and the largest value beside it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Spread {
    /// The spread of `values`; `None` if there are none.
    pub(crate) fn of(values: &[f64]) -> Option<Spread> {
        Some(Spread {
            median: median(values)?,
            min: values.iter().copied().fold(f64::INFINITY, f64::min),
            max: values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        })
    }

    /// Whether the two ranges have a value in common, so that the medians may differ by chance alone.
    pub(crate) fn overlaps(&self, other: &Spread) -> bool {
        self.min <= other.max && other.min <= self.max
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

/// The median over rounds of `rates[round] / base[round]`.
///
/// Each quotient is taken within one round, where both sides met the same state of the machine: a drift from round to
/// round (frequency, neighbours) cancels, which it would not in a quotient of two medians. Rounds in which the base did
/// nothing say nothing and are left out.
pub(crate) fn median_ratio(rates: &[f64], base: &[f64]) -> Option<f64> {
    let quotients: Vec<f64> =
        rates.iter().zip(base).filter(|&(_, &base)| base > 0.0).map(|(rate, base)| rate / base).collect();
    median(&quotients)
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
    fn spreads_overlap_at_their_ends() {
        let low = Spread { median: 1.0, min: 0.0, max: 2.0 };
        let touching = Spread { median: 3.0, min: 2.0, max: 4.0 };
        let high = Spread { median: 5.0, min: 4.5, max: 6.0 };
        assert!(low.overlaps(&touching) && touching.overlaps(&low));
        assert!(!low.overlaps(&high) && !high.overlaps(&low));
    }

    #[test]
    fn ratio_is_taken_within_each_round() {
        // The machine was twice as fast in the second round; the variant was three times its base in each.
        assert_eq!(median_ratio(&[3.0, 6.0], &[1.0, 2.0]), Some(3.0));
        // A quotient of the medians would say 1.0 here.
        assert_eq!(median_ratio(&[2.0, 1.0, 4.0], &[1.0, 2.0, 2.0]), Some(2.0));
    }

    #[test]
    fn ratio_leaves_out_rounds_without_a_base() {
        assert_eq!(median_ratio(&[2.0, 9.0], &[1.0, 0.0]), Some(2.0));
        assert_eq!(median_ratio(&[2.0], &[0.0]), None);
    }
}
