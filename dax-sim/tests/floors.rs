//! The rooms of the simulator stand on floors, and each knows only what is below it.

#[path = "../../range-lock/tests/floors/rules.rs"]
mod rules;
#[path = "../../range-lock/tests/floors/source.rs"]
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

/// What the rules say of the sources with faults planted in them: in each file, `before` becomes `after`, or
/// `after` is put at the end where `before` is empty.
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

#[track_caller]
fn is_told_of(found: &[String], place: &str, what: &str) {
    let of_place: Vec<_> = found.iter().filter(|breach| breach.starts_with(place)).collect();
    assert!(!of_place.is_empty(), "nothing is told of {place}: {found:?}");
    assert!(of_place.iter().all(|breach| breach.contains(what)), "{found:?}");
    assert_eq!(of_place.len(), found.len(), "of other places, too: {found:?}");
}

#[test]
fn a_use_line_upward_is_found() {
    let found = planted(&[("fs/pins.rs", "", "use crate::check::Oracle;")]);
    is_told_of(&found, "fs/pins.rs:", "`fs` uses `check`, which stands above it");
    // Though what it hands on is defined below.
    let found = planted(&[("fs/pins.rs", "", "use crate::check::Finding;")]);
    is_told_of(&found, "fs/pins.rs:", "`fs` uses `check`, which stands above it");
}

#[test]
fn a_path_in_a_body_is_found() {
    let is_pinned = "self.blocks.load(block) != 0";
    for path in ["super::super::file::part(block)", "assert!(block > crate::file::LEAST)"] {
        let found = planted(&[("fs/pins.rs", is_pinned, &format!("{{ {path}; {is_pinned} }}"))]);
        is_told_of(&found, "fs/pins.rs:", "`fs` uses `file`, which stands above it");
    }
}

#[test]
fn a_use_under_a_feature_is_found_and_one_in_a_test_is_none() {
    let function = "fn planted() { crate::ext4::planted() }";
    let found = planted(&[("dax/rw.rs", "", &format!("#[cfg(feature = \"planted\")]\n{function}"))]);
    is_told_of(&found, "dax/rw.rs:", "`dax` uses `ext4`, which stands above it");
    assert_eq!(planted(&[("dax/rw.rs", "", &format!("#[cfg(test)]\n{function}"))]), [""; 0]);
}

#[test]
fn a_use_through_a_pub_use_is_found_where_the_item_is_defined() {
    let found = planted(&[
        ("lib.rs", "", "pub use check::Oracle;"),
        ("fs/pins.rs", "", "fn planted(_: &crate::Oracle) {}"),
    ]);
    is_told_of(&found, "fs/pins.rs:", "`fs` uses `check`, which stands above it");
}

#[test]
fn a_call_of_a_method_that_a_room_above_adds_is_found() {
    let methods = "impl FileSystem<'_> { pub(crate) fn planted(&self) {} }";
    for call in ["self.planted()", "Self::planted(self)", "<FileSystem<'_>>::planted(self)"] {
        let found = planted(&[
            ("check/metadata.rs", "", methods),
            ("fs/commit.rs", "self.journal.commit(", &format!("{call}; self.journal.commit(")),
        ]);
        is_told_of(&found, "fs/commit.rs:", "`fs` calls `planted`, which `check` adds at check/metadata.rs:");
    }
}

#[test]
fn a_circle_in_a_folder_is_found() {
    let found = planted(&[("schedule/thread.rs", "", "use super::ranks::Id;")]);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found.iter().all(|breach| breach.contains("in schedule, ") && breach.ends_with("in a circle")));
}
