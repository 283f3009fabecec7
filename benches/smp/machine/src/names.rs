//! What lies at which address.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::cpus::aside;

/// Ranges by their first address: size, what it is, and its number.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names(BTreeMap<u64, (u64, &'static str, usize)>);

static NAMES: Mutex<Names> = Mutex::new(Names(BTreeMap::new()));

impl Names {
    /// What lies in the line that begins at this address, first of all.
    pub(crate) fn at(&self, line: u64) -> Option<(&'static str, usize)> {
        let before = self.0.range(..=line).next_back().filter(|(start, named)| line < *start + named.0);
        let (_, &(_, what, index)) = before.or_else(|| self.0.range(line..line + 64).next())?;
        Some((what, index))
    }
}

/// Says what lies at `start` and the `bytes - 1` addresses behind it, for reports: the `index`th
/// `what`. A later name of the same start replaces it.
#[inline(never)]
pub fn name(start: usize, bytes: usize, what: &'static str, index: usize) {
    aside(|| {
        let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
        names.0.insert(start as u64, (bytes as u64, what, index));
    });
}

/// All names so far.
pub(crate) fn all() -> Names {
    NAMES.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_the_name_of_what_begins_it_or_else_of_what_begins_in_it() {
        let names =
            Names(BTreeMap::from([(100, (60, "leaf", 0)), (320, (8, "row", 1)), (330, (8, "row", 2))]));
        assert_eq!(names.at(64), Some(("leaf", 0)));
        assert_eq!(names.at(128), Some(("leaf", 0)));
        assert_eq!(names.at(192), None);
        assert_eq!(names.at(320), Some(("row", 1)));
    }
}
