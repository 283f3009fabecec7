//! Names for what lies at which address.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::cpus::aside;

/// What something is, and its number.
pub type Named = (&'static str, usize);

/// Ranges by their first address: size, name, and number.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names(BTreeMap<u64, (u64, &'static str, usize)>);

static NAMES: Mutex<Names> = Mutex::new(Names(BTreeMap::new()));

impl Names {
    /// What lies in the line that begins at this address, in the order of addresses.
    pub(crate) fn at(&self, line: u64) -> Vec<Named> {
        /// How many ranges may begin between the beginning of a range and its last line.
        const INSIDE: usize = 8;
        let before = self.0.range(..line).rev().take(INSIDE);
        let before = before.filter(|(start, named)| line < *start + named.0).take(1);
        let all = before.chain(self.0.range(line..line + 64));
        all.map(|(_, &(_, what, index))| (what, index)).collect()
    }
}

/// Names what lies at `start` and the `bytes - 1` addresses behind it, for reports: the `index`th
/// `what`. A later name of the same start replaces it.
#[inline(never)]
pub fn name(start: usize, bytes: usize, what: &'static str, index: usize) {
    aside(|| {
        let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
        names.0.insert(start as u64, (bytes as u64, what, index));
    });
}

/// The names of what lies in the line of this address.
pub fn names_at(address: usize) -> Vec<Named> {
    all().at(address as u64 / 64 * 64)
}

/// All names so far.
pub(crate) fn all() -> Names {
    NAMES.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_the_names_of_all_that_lies_in_it() {
        let named = [
            (100, (60, "leaf", 0)),
            (160, (8, "row", 0)),
            (320, (8, "row", 1)),
            (330, (8, "row", 2)),
            (640, (200, "head", 0)),
            (650, (8, "word", 0)),
        ];
        let names = Names(BTreeMap::from(named));
        assert_eq!(names.at(64), [("leaf", 0)]);
        assert_eq!(names.at(128), [("leaf", 0), ("row", 0)]);
        assert_eq!(names.at(192), []);
        assert_eq!(names.at(320), [("row", 1), ("row", 2)]);
        assert_eq!(names.at(640), [("head", 0), ("word", 0)]);
        assert_eq!(names.at(704), [("head", 0)]);
    }
}
