//! Formats numbers for people: three significant digits, and units.

use std::time::Duration;

use crate::compare::stats::Ratio;

/// Operations per second: `950`, `18.3k`, `1.21M`.
pub(crate) fn rate(per_second: f64) -> String {
    let (value, unit) = match per_second {
        v if v >= 999.5e6 => (v / 1e9, "G"),
        v if v >= 999.5e3 => (v / 1e6, "M"),
        v if v >= 999.5 => (v / 1e3, "k"),
        v => (v, ""),
    };
    if unit.is_empty() { format!("{value:.0}") } else { format!("{}{unit}", three_digits(value)) }
}

/// A tick of an axis: as [`rate`], without trailing zeros.
pub(crate) fn tick(per_second: f64) -> String {
    let text = rate(per_second);
    let split = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(split);
    let digits =
        if digits.contains('.') { digits.trim_end_matches('0').trim_end_matches('.') } else { digits };
    format!("{digits}{unit}")
}

/// A ratio: `0.98×`, `15.8×`.
pub(crate) fn ratio(ratio: Ratio) -> String {
    format!("{}×", three_digits(ratio.median))
}

/// The interval of a ratio: `0.91–1.04`. A dash if there is none.
pub(crate) fn interval(Ratio { low, high, confidence, .. }: Ratio) -> String {
    if confidence > 0.0 {
        format!("{}–{}", three_digits(low), three_digits(high))
    } else {
        "–".to_owned()
    }
}

/// A ratio with its interval: `0.98× (0.91–1.04)`.
pub(crate) fn with_interval(of: Ratio) -> String {
    format!("{} ({})", ratio(of), interval(of))
}

/// The claim that a ratio supports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Faster,
    Slower,
    /// The interval holds 1, or does not have 95 %.
    Unclear,
}

impl Direction {
    /// Judges by the interval as it is printed: a reader must be able to follow.
    pub(crate) fn of(ratio: Ratio) -> Direction {
        let printed = |bound: f64| three_digits(bound).parse::<f64>().unwrap_or(1.0);
        if !ratio.is_certain() {
            Direction::Unclear
        } else if printed(ratio.low) > 1.0 {
            Direction::Faster
        } else if printed(ratio.high) < 1.0 {
            Direction::Slower
        } else {
            Direction::Unclear
        }
    }
}

/// A share in percent, with two significant digits and as few zeros as possible.
pub(crate) fn percent(share: f64) -> String {
    let percent = share * 100.0;
    match percent {
        0.0 => "0".to_owned(),
        p if p >= 9.95 => format!("{p:.0}"),
        p if p >= 0.995 => format!("{p:.1}"),
        p => {
            let decimals = (1.0 - p.log10().floor()).clamp(1.0, 9.0) as usize;
            format!("{p:.decimals$}")
        }
    }
}

/// A time given in microseconds: `0`, `0.4µs`, `52µs`, `1.2ms`.
pub(crate) fn micros(us: f64) -> String {
    match us {
        us if us < 0.05 => "0".to_owned(),
        us if us < 9.95 => format!("{us:.1}µs"),
        us if us < 999.5 => format!("{us:.0}µs"),
        us if us < 9_950.0 => format!("{:.1}ms", us / 1e3),
        us if us < 999_500.0 => format!("{:.0}ms", us / 1e3),
        us => format!("{:.1}s", us / 1e6),
    }
}

/// A count with its thousands apart: `45,678`.
pub(crate) fn count(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A time that is only roughly known: `9 s`, `2 min`.
pub(crate) fn coarse(time: Duration) -> String {
    let seconds = time.as_secs_f64().ceil();
    if seconds < 120.0 { format!("{seconds:.0} s") } else { format!("{:.0} min", seconds / 60.0) }
}

/// The name of a media time.
pub(crate) fn media(media: Duration) -> String {
    if media.is_zero() { "CPU-bound".to_owned() } else { format!("{} µs media", media.as_micros()) }
}

/// `1 thread`, `2 threads`.
pub(crate) fn threads(threads: usize) -> String {
    if threads == 1 { "1 thread".to_owned() } else { format!("{threads} threads") }
}

/// Three significant digits, but never fewer than all digits before the point.
pub(crate) fn three_digits(value: f64) -> String {
    let decimals = match value.abs() {
        v if v < 9.995 => 2,
        v if v < 99.95 => 1,
        _ => 0,
    };
    format!("{value:.decimals$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_keep_three_digits() {
        let read = [0.0, 7.4, 999.4, 999.6, 18_345.0, 99_960.0, 298_000.0, 1_214_000.0, 2.5e9].map(rate);
        assert_eq!(read, ["0", "7", "999", "1.00k", "18.3k", "100k", "298k", "1.21M", "2.50G"]);
    }

    #[test]
    fn ticks_have_no_trailing_zeros() {
        assert_eq!([0.0, 500.0, 20_000.0, 2.5e6, 100_000.0].map(tick), ["0", "500", "20k", "2.5M", "100k"]);
    }

    fn of(median: f64, low: f64, high: f64) -> Ratio {
        Ratio { median, low, high, confidence: 0.96875 }
    }

    #[test]
    fn ratios_and_waits() {
        let printed = [(0.979, 0.9, 1.1), (15.84, 14.26, 17.42), (120.3, 99.96, 1000.0)]
            .map(|(median, low, high)| with_interval(of(median, low, high)));
        assert_eq!(printed, ["0.98× (0.90–1.10)", "15.8× (14.3–17.4)", "120× (100–1000)"]);
        assert_eq!(with_interval(Ratio { confidence: 0.0, ..of(2.0, 2.0, 2.0) }), "2.00× (–)");
        assert_eq!(
            [0.0, 0.42, 52.3, 999.6, 1234.0, 2.5e6].map(micros),
            ["0", "0.4µs", "52µs", "1.0ms", "1.2ms", "2.5s"]
        );
    }

    #[test]
    fn a_direction_needs_an_interval_that_excludes_1_as_it_is_printed() {
        let direction = |low, high| Direction::of(of(1.0, low, high));
        assert_eq!(direction(1.01, 1.2), Direction::Faster);
        assert_eq!(direction(0.8, 0.99), Direction::Slower);
        assert_eq!(direction(0.9, 1.1), Direction::Unclear);
        assert_eq!(direction(1.004, 1.2), Direction::Unclear, "printed as 1.00");
        assert_eq!(direction(0.8, 0.996), Direction::Unclear);
        let few = Ratio { confidence: 0.9375, ..of(2.0, 1.9, 2.1) };
        assert_eq!(Direction::of(few), Direction::Unclear, "five rounds");
    }

    #[test]
    fn shares_in_percent() {
        let printed = [0.0, 0.5, 0.0123, 0.00071, 0.000_004_2, 1.0].map(percent);
        assert_eq!(printed, ["0", "50", "1.2", "0.071", "0.00042", "100"]);
    }

    proptest::proptest! {
        /// For any rounds: what is printed agrees with itself.
        #[test]
        fn a_printed_ratio_lies_in_its_printed_interval(
            rounds in proptest::collection::vec((0.001..1e7_f64, 0.001..1e7_f64), 2..40)
        ) {
            let (rates, base): (Vec<f64>, Vec<f64>) = rounds.into_iter().unzip();
            let ratio = Ratio::of(&rates, &base).unwrap();
            let printed = with_interval(ratio);
            let (median, interval) = printed.trim_end_matches(')').split_once("× (").unwrap();
            let (low, high) = interval.split_once('–').unwrap();
            let [median, low, high] = [median, low, high].map(|number| number.parse::<f64>().unwrap());
            proptest::prop_assert!(low <= median && median <= high, "{printed}");
            match Direction::of(ratio) {
                Direction::Faster => proptest::prop_assert!(low > 1.0 && ratio.is_certain(), "{printed}"),
                Direction::Slower => proptest::prop_assert!(high < 1.0 && ratio.is_certain(), "{printed}"),
                Direction::Unclear => {
                    proptest::prop_assert!(!ratio.is_certain() || low <= 1.0 && high >= 1.0, "{printed}");
                }
            }
        }
    }

    #[test]
    fn counts_are_grouped() {
        assert_eq!(
            [0, 999, 1000, 45_678, 1_234_567].map(count),
            ["0", "999", "1,000", "45,678", "1,234,567"]
        );
    }

    #[test]
    fn coarse_times() {
        assert_eq!(
            [200, 9_000, 119_000, 150_000].map(|ms| coarse(Duration::from_millis(ms))),
            ["1 s", "9 s", "119 s", "2 min"]
        );
    }
}
