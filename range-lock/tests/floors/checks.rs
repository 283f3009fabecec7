//! What the crates assert of their floors: that the rules hold, that the documentation quotes the
//! floors, and that planted faults are found.

use std::path::{Path, PathBuf};

use crate::rules::{Layout, NOT_AS_LISTED, breaches};

/// The sources of the crate whose tests these are.
fn src() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// Asserts that no file breaks a rule.
#[track_caller]
pub(crate) fn every_rule_holds(layout: &Layout) {
    let breaches = breaches(&src(), layout, &|_, text| text);
    assert!(breaches.is_empty(), "{} breaches:\n{}", breaches.len(), breaches.join("\n"));
}

/// Asserts that docs/design.md has a row for each module, with the number of its floor.
#[track_caller]
pub(crate) fn the_documentation_quotes(layout: &Layout) {
    let design = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/design.md");
    let design = std::fs::read_to_string(design).unwrap();
    for (floor, modules) in (1..).zip(layout.floors) {
        let rows: Vec<_> = design.lines().filter(|row| row.starts_with(&format!("| {floor} | "))).collect();
        let quoted = |module: &str| {
            rows.iter()
                .any(|row| row.contains(&format!("`{module}/`")) || row.contains(&format!("`{module}.rs`")))
        };
        let missing: Vec<_> = modules.iter().filter(|module| !quoted(module)).collect();
        assert!(missing.is_empty(), "floor {floor} of docs/design.md lacks {missing:?}");
    }
}

/// What the rules say of the sources with faults planted in them: in each file, `before` becomes
/// `after`, or `after` is put at the end where `before` is empty.
pub(crate) fn planted(layout: &Layout, faults: &[(&str, &str, &str)]) -> Vec<String> {
    let src = src();
    let found = breaches(&src, layout, &|file, text| {
        let mut text = text;
        for (name, before, after) in faults {
            if file == src.join(name) {
                assert!(text.contains(before), "{name} has no `{before}` any more");
                text = if before.is_empty() { text + after } else { text.replacen(before, after, 1) };
            }
        }
        text
    });
    // Only what the faults add.
    found.into_iter().filter(|breach| !breach.starts_with(NOT_AS_LISTED)).collect()
}

/// Asserts that these are all breaches, by the places where they begin and by what they say.
#[track_caller]
pub(crate) fn are_told(found: &[String], expected: &[(&str, &str)]) {
    for (place, what) in expected {
        let is_it = |breach: &&String| breach.starts_with(place) && breach.contains(what);
        assert!(found.iter().any(|breach| is_it(&breach)), "{place} is not found: {found:?}");
    }
    let is_expected = |breach: &&String| expected.iter().any(|(place, _)| breach.starts_with(place));
    assert_eq!(found.iter().filter(|breach| !is_expected(breach)).collect::<Vec<_>>(), [""; 0]);
}
