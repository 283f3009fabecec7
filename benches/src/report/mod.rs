//! Reports a record to people: tables in Markdown, and plots.

pub mod bounds;
mod digits;
pub mod glance;
pub mod markdown;
pub mod plot;

pub use digits::three_digits;

use crate::rival::Scope;
use crate::workload::{Cell, Contender, WhyNot};

/// The name of a rival, with the marks that a reader of its figures needs.
fn marked(rival: &dyn Contender) -> String {
    let mark = match (rival.scope(), rival.shared()) {
        (Scope::Nothing, _) => " †",
        (Scope::Reference, _) => " §",
        (_, false) => " ‡",
        _ => "",
    };
    format!("{}{mark}", rival.name())
}

/// Why a cell has no figure. `dropped` says that it had samples, none of which counts.
fn empty(rival: &dyn Contender, cell: Cell, dropped: bool) -> String {
    let reason = match rival.why_not(cell.workload) {
        Some(WhyNot::BlocksOnItself) => "(a)",
        Some(WhyNot::TakesSeconds) => "(b)",
        Some(WhyNot::Reference) => "(c)",
        None if dropped => "(d)",
        None => "(e)",
    };
    reason.to_owned()
}

/// What the reasons mean.
fn empty_legend() -> &'static str {
    "\
(a)  a thread that holds one range may block on itself when it asks for another
(b)  this lock takes seconds to take so many ranges
(c)  runs W7 only
(d)  the distance of the CPUs changed during each sample
(e)  not run: left out by an option
"
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
    fn thousands_stand_apart() {
        assert_eq!([0, 999, 1000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
    }
}
