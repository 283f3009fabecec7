//! The name of a schedule: where it departs from the usual one.

use std::fmt;
use std::str::FromStr;

use super::letter;

/// The name of a schedule. A run can repeat the schedule by its seed. In the schedule `12B-30A`,
/// thread B makes the next step after 12 steps, and thread A makes the next step after 30 steps.
/// After any other number of steps, the running thread makes the next step if it can. Otherwise the
/// first thread that can make a step makes the next step. The seed `0` names the schedule in which
/// only the last two rules choose threads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seed(pub(super) Vec<(u32, usize)>);

impl fmt::Display for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("0");
        }
        for (index, &(step, thread)) in self.0.iter().enumerate() {
            write!(f, "{}{step}{}", if index == 0 { "" } else { "-" }, letter(thread))?;
        }
        Ok(())
    }
}

impl FromStr for Seed {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        if text == "0" {
            return Ok(Self::default());
        }
        let part = |part: &str| {
            let (thread, step) = (part.bytes().last()?, part.get(..part.len() - 1)?);
            let thread = thread.checked_sub(b'A').filter(|&thread| thread < 26)?;
            Some((step.parse().ok()?, usize::from(thread)))
        };
        let parts: Option<Vec<(u32, usize)>> = text.split('-').map(part).collect();
        let parts = parts.filter(|parts| parts.is_sorted_by(|a, b| a.0 < b.0));
        parts.map(Self).ok_or_else(|| {
            format!(
                "{} is no seed: expected rising steps, each with the thread that goes on there, as in 12B-30A, or 0",
                crate::text::quoted(text)
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_read_as_it_is_written_and_nothing_else_is_one() {
        for text in ["0", "12B", "0A-12B-400C"] {
            assert_eq!(text.parse::<Seed>().unwrap().to_string(), text);
        }
        for text in ["", "12", "B", "12b", "12B-", "30A-12B", "12B,30A", "-1A", "99999999999A", "12é"] {
            assert!(text.parse::<Seed>().unwrap_err().contains("12B-30A"), "{text}");
        }
    }
}
