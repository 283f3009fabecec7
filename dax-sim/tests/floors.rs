//! The rooms of the simulator stand on floors, and each knows only what is below it.

#[path = "../../range-lock/tests/floors/rules.rs"]
#[allow(clippy::collapsible_if, reason = "Rust 1.85, which range-lock is for, has no let chains")]
mod rules;
#[path = "../../range-lock/tests/floors/source.rs"]
#[allow(clippy::collapsible_if, reason = "Rust 1.85, which range-lock is for, has no let chains")]
mod source;

use std::path::Path;

use rules::{House, breaches};

/// docs/design.md quotes these.
const HOUSE: House = House {
    floors: &[
        &["pmem", "radix", "per_thread", "error", "variant", "text", "finding"],
        &["schedule"],
        &["mm"],
        &["entries"],
        &["fs"],
        &["dax"],
        &["ext4"],
        &["file"],
        &["check"],
        &["workload", "explore", "replay"],
        &["compare", "report", "cli"],
    ],
    free: &[],
    extensions: &[("file", "FileSystem", &["create"])],
};

#[test]
fn every_room_knows_only_what_is_below_it() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let breaches = breaches(&src, &HOUSE, &|_, text| text);
    assert!(breaches.is_empty(), "{} breaches:\n{}", breaches.len(), breaches.join("\n"));
}

#[test]
fn the_documentation_quotes_the_floors() {
    let design = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/design.md");
    let design = std::fs::read_to_string(design).unwrap();
    for (floor, rooms) in (1..).zip(HOUSE.floors) {
        let rows: Vec<_> = design.lines().filter(|row| row.starts_with(&format!("| {floor} | "))).collect();
        let quoted = |room: &str| {
            rows.iter()
                .any(|row| row.contains(&format!("`{room}/`")) || row.contains(&format!("`{room}.rs`")))
        };
        let missing: Vec<_> = rooms.iter().filter(|room| !quoted(room)).collect();
        assert!(missing.is_empty(), "floor {floor} of docs/design.md lacks {missing:?}");
    }
}

/// What the rules say of the sources with faults planted in them: in each file, `before` becomes
/// `after`, or `after` is put at the end where `before` is empty.
fn planted(faults: &[(&str, &str, &str)]) -> Vec<String> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let found = breaches(&src, &HOUSE, &|file, text| {
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
    found.into_iter().filter(|breach| !breach.starts_with("methods that rooms give")).collect()
}

/// Asserts that these are all breaches, by the places where they begin and by what they say.
#[track_caller]
fn are_told(found: &[String], expected: &[(&str, &str)]) {
    for (place, what) in expected {
        let is_it = |breach: &&String| breach.starts_with(place) && breach.contains(what);
        assert!(found.iter().any(|breach| is_it(&breach)), "{place} is not found: {found:?}");
    }
    let is_expected = |breach: &&String| expected.iter().any(|(place, _)| breach.starts_with(place));
    assert_eq!(found.iter().filter(|breach| !is_expected(breach)).collect::<Vec<_>>(), [""; 0]);
}

#[test]
fn a_use_line_upward_is_found() {
    let found = planted(&[
        ("fs/pins.rs", "", "use crate::check::Oracle;"),
        // What `check` hands on is defined below.
        ("fs/huge.rs", "", "use crate::check::Finding;"),
    ]);
    let upward = "`fs` uses `check`, which stands above it";
    are_told(&found, &[("fs/pins.rs:", upward), ("fs/huge.rs:", upward)]);
}

#[test]
fn a_path_in_a_body_is_found() {
    let found = planted(&[
        ("fs/pins.rs", "self.mark(*block, GIVEN_UP)", "super::super::file::part(block)"),
        ("fs/pages.rs", "offset - offset", "assert!(offset > crate::file::LEAST); offset - offset"),
    ]);
    let upward = "`fs` uses `file`, which stands above it";
    are_told(&found, &[("fs/pins.rs:", upward), ("fs/pages.rs:", upward)]);
}

#[test]
fn a_use_under_a_feature_is_found_and_one_in_a_test_is_none() {
    let function = "fn planted() { crate::ext4::planted() }";
    let found = planted(&[
        ("dax/rw.rs", "", &format!("#[cfg(feature = \"planted\")]\n{function}")),
        ("dax/user.rs", "", &format!("#[cfg(test)]\n{function}")),
    ]);
    are_told(&found, &[("dax/rw.rs:", "`dax` uses `ext4`, which stands above it")]);
}

#[test]
fn a_use_through_a_pub_use_is_found_where_the_item_is_defined() {
    let found = planted(&[
        ("lib.rs", "", "pub use check::Oracle;"),
        ("fs/pins.rs", "", "fn planted(_: &crate::Oracle) {}"),
    ]);
    are_told(&found, &[("fs/pins.rs:", "`fs` uses `check`, which stands above it")]);
}

#[test]
fn a_call_of_a_method_that_a_room_above_adds_is_found() {
    let found = planted(&[
        ("check/metadata.rs", "", "impl FileSystem<'_> { pub(crate) fn planted(&self) {} }"),
        ("fs/commit.rs", "self.journal.commit(", "self.planted(); self.journal.commit("),
        ("fs/uses.rs", "self.check_use(block)", "Self::planted(self)"),
        ("fs/sharing.rs", "self.give_up(extents)", "<FileSystem<'_>>::planted(self)"),
    ]);
    let call = "`fs` calls `planted`, which `check` adds at check/metadata.rs:";
    are_told(&found, &[("fs/commit.rs:", call), ("fs/uses.rs:", call), ("fs/sharing.rs:", call)]);
}

#[test]
fn a_circle_in_a_folder_is_found() {
    let found = planted(&[("schedule/thread.rs", "", "use super::ranks::Id;")]);
    let [there, back] = ["`thread` uses `ranks`", "`ranks` uses `thread`"];
    are_told(&found, &[("schedule/thread.rs:", there), ("schedule/ranks.rs:", back)]);
}
