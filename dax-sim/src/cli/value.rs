//! Parses values of the command line: sizes, bounded numbers, lists.
//!
//! Every error says what would have been right. clap puts the option and the value before it.

use crate::text::quoted;
use std::ops::RangeInclusive;

/// A comma-separated list in the order given, each entry once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct List<T>(pub(crate) Vec<T>);

impl<T: PartialEq> List<T> {
    /// Parses the entries of `text` with `entry`. Repeated entries are dropped silently.
    pub(crate) fn parse(
        text: &str,
        mut entry: impl FnMut(&str) -> Result<T, String>,
    ) -> Result<List<T>, String> {
        let mut list = Vec::new();
        for item in text.split(',').map(str::trim) {
            if item.is_empty() {
                return Err("an entry is empty; separate entries by single commas".to_owned());
            }
            let value = entry(item)?;
            if !list.contains(&value) {
                list.push(value);
            }
        }
        Ok(List(list))
    }
}

/// A whole number within `bounds`. `example` shows an accepted value.
pub(crate) fn number(text: &str, bounds: RangeInclusive<u64>, example: &str) -> Result<u64, String> {
    let advice =
        || format!("give a whole number from {} to {}, as in {example}", bounds.start(), bounds.end());
    let value: u64 =
        text.parse().map_err(|_| format!("{} is not such a number; {}", quoted(text), advice()))?;
    if bounds.contains(&value) { Ok(value) } else { Err(format!("{value} is out of bounds; {}", advice())) }
}

/// A number of bytes: `1073741824`, `1G`, `1GiB`, `1 GiB`. Units are powers of 1024, in either
/// case.
pub(crate) fn size(text: &str) -> Result<u64, String> {
    const ADVICE: &str = "give a number of bytes such as 67108864, 64M or 1GiB";
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| format!("not a size; {ADVICE}"))?;
    let unit = unit.trim_start().to_ascii_lowercase();
    let exponent = match unit.strip_suffix("ib").or(unit.strip_suffix('b')).unwrap_or(&unit) {
        "" => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        _ => return Err(format!("unknown unit {}; {ADVICE}", quoted(&unit))),
    };
    match number.checked_mul(1 << (10 * exponent)) {
        None => Err("more than 2^64 bytes; give a size that the file system has room for".to_owned()),
        Some(0) => Err(format!("0 bytes hold nothing; {ADVICE}")),
        Some(bytes) => Ok(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_with_and_without_units() {
        assert_eq!(size("65536"), Ok(65536));
        assert_eq!(size("512b"), Ok(512));
        for text in ["64M", "64m", "64MiB", "64MB", "64 MiB", "65536K"] {
            assert_eq!(size(text), Ok(64 << 20), "{text}");
        }
        assert_eq!(size("2G"), Ok(2 << 30));
        assert_eq!(size("1T"), Ok(1 << 40));
    }

    #[test]
    fn sizes_refused() {
        for text in [
            "0",
            "0G",
            "",
            "M",
            "-1",
            "1.5G",
            "64X",
            "64Mi B",
            "99999999999999999999",
            "18446744073709551615K",
        ] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn lists_keep_their_order_and_drop_repetitions() {
        let parse = |text| List::parse(text, |item| number(item, 1..=9, "3"));
        assert_eq!(parse("4,2, 4 ,1,2"), Ok(List(vec![4, 2, 1])));
        assert_eq!(parse("7"), Ok(List(vec![7])));
        for text in ["", ",", "1,,2", "1,", "0", "10", "x", "1 2"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn number_errors_name_value_and_bounds() {
        let error = number("0", 1..=1024, "16").unwrap_err();
        assert!(error.contains('0') && error.contains("from 1 to 1024") && error.contains("16"), "{error}");
    }
}
