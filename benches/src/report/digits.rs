//! Formats numbers. `smp` uses this file, too.

/// Three significant digits, but never fewer than all digits before the point.
pub fn three_digits(value: f64) -> String {
    let decimals = match value.abs() {
        v if v < 0.9995 => 3,
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
    fn numbers_keep_three_digits() {
        assert_eq!(
            [0.1234, 0.9996, 1.0, 12.34, 99.96, 1234.5].map(three_digits),
            ["0.123", "1.00", "1.00", "12.3", "100", "1234"]
        );
    }
}
