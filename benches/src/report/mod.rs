//! A record as people read it: tables in Markdown, and plots.

pub mod bounds;
pub mod markdown;
pub mod plot;

/// Three significant digits, but never fewer than all in front of the point.
pub fn three_digits(value: f64) -> String {
    let decimals = match value.abs() {
        v if v < 0.9995 => 3,
        v if v < 9.995 => 2,
        v if v < 99.95 => 1,
        _ => 0,
    };
    format!("{value:.decimals$}")
}

/// A count with its thousands apart: `45,678`.
pub fn count(count: usize) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_three_digits() {
        assert_eq!(
            [0.1234, 0.9996, 1.0, 12.34, 99.96, 1234.5].map(three_digits),
            ["0.123", "1.00", "1.00", "12.3", "100", "1234"]
        );
        assert_eq!([0, 999, 1000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
    }
}
