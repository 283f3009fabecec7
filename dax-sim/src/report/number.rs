//! Numbers as people read them: three significant digits, and units.

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

/// A ratio: `0.98×`, `15.8×`; a dash where there is none.
pub(crate) fn ratio(ratio: Option<Ratio>) -> String {
    ratio.map_or("–".to_owned(), |ratio| format!("{}×", three_digits(ratio.median)))
}

/// The interval of a ratio: `0.91–1.04×`; a dash where there is none.
pub(crate) fn interval(ratio: Option<Ratio>) -> String {
    match ratio {
        Some(Ratio { low, high, confidence, .. }) if confidence > 0.0 => {
            format!("{}–{}×", three_digits(low), three_digits(high))
        }
        _ => "–".to_owned(),
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

/// What a media time is called.
pub(crate) fn media(media: Duration) -> String {
    if media.is_zero() { "CPU-bound".to_owned() } else { format!("{} µs media", media.as_micros()) }
}

/// `1 thread`, `2 threads`.
pub(crate) fn threads(threads: usize) -> String {
    if threads == 1 { "1 thread".to_owned() } else { format!("{threads} threads") }
}

/// Three significant digits, but never fewer than all in front of the point.
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

    #[test]
    fn ratios_and_waits() {
        let of = |median| Some(Ratio { median, low: median * 0.9, high: median * 1.1, confidence: 0.75 });
        assert_eq!([0.979, 1.0, 15.84, 120.3].map(|r| ratio(of(r))), ["0.98×", "1.00×", "15.8×", "120×"]);
        assert_eq!([0.979, 15.84].map(|r| interval(of(r))), ["0.88–1.08×", "14.3–17.4×"]);
        let single = Some(Ratio { confidence: 0.0, ..of(2.0).unwrap() });
        assert_eq!([ratio(None), interval(None), interval(single)], ["–"; 3]);
        assert_eq!(
            [0.0, 0.42, 52.3, 999.6, 1234.0, 2.5e6].map(micros),
            ["0", "0.4µs", "52µs", "1.0ms", "1.2ms", "2.5s"]
        );
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
