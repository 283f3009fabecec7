//! The rooms of the library stand on floors, and each knows only what is below it.

#[allow(clippy::collapsible_if, reason = "Rust 1.85, which range-lock is for, has no let chains")]
mod rules;
#[allow(clippy::collapsible_if, reason = "Rust 1.85, which range-lock is for, has no let chains")]
mod source;

use std::path::Path;

use rules::{House, breaches};

/// docs/design.md quotes these.
const HOUSE: House = House {
    floors: &[
        &["span", "bounds", "mode", "ids", "claim", "owner", "histogram", "interval_tree", "inline_vec"],
        &["spin", "atomics", "parking", "mutex", "sync"],
        &["waiter"],
        &["leaf"],
        &["partition", "blocked"],
        &["request", "inspect"],
        &["lock"],
        &["many", "stats", "deadlock"],
        &["futures"],
        &["data"],
        &["future", "docs", "__private"],
    ],
    free: &["lock"],
    extensions: &[
        (
            "many",
            "RangeLock",
            &["acquire_many", "try_acquire_many", "try_acquire_many_for", "try_acquire_many_until"],
        ),
        ("stats", "RangeLock", &["stats"]),
        ("futures", "RangeLock", &["acquire_many_async"]),
    ],
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
    let found = planted(&[("leaf/entry.rs", "", "use crate::lock::RangeLock;")]);
    are_told(&found, &[("leaf/entry.rs:", "`leaf` uses `lock`, which stands above it")]);
}

#[test]
fn a_path_in_a_body_is_found() {
    let found = planted(&[
        ("leaf.rs", "self.bounds.last = right.bounds.last;", "_ = crate::partition::Settings::DEFAULT;"),
        ("waiter.rs", "waiter.reset(blocking, passes);", "super::leaf::planted();"),
    ]);
    are_told(
        &found,
        &[
            ("leaf.rs:", "`leaf` uses `partition`, which stands above it"),
            ("waiter.rs:", "`waiter` uses `leaf`, which stands above it"),
        ],
    );
}

#[test]
fn a_use_under_a_feature_is_found_and_one_in_a_test_is_none() {
    let function = "fn planted() { crate::deadlock::check(); }";
    let found = planted(&[
        ("blocked.rs", "", &format!("#[cfg(feature = \"deadlock_detection\")]\n{function}")),
        ("partition.rs", "", &format!("#[cfg(test)]\n{function}")),
    ]);
    are_told(&found, &[("blocked.rs:", "`blocked` uses `deadlock`, which stands above it")]);
}

#[test]
fn a_use_through_a_pub_use_is_found_where_the_item_is_defined() {
    let found = planted(&[("request/parts.rs", "", "fn planted(_: &crate::ManyGuard<'_>) {}")]);
    are_told(&found, &[("request/parts.rs:", "`request` uses `many`, which stands above it")]);
}

#[test]
fn a_call_of_a_method_that_a_room_above_adds_is_found() {
    let found = planted(&[
        (
            "lock.rs",
            "self.partition().lock_over(Span::WHOLE)",
            "self.stats(); self.partition().lock_over(Span::WHOLE)",
        ),
        ("lock/builder.rs", "", "fn planted(lock: &RangeLock) { RangeLock::acquire_many([]); }"),
    ]);
    are_told(
        &found,
        &[
            ("lock.rs:", "`lock` calls `stats`, which `stats` adds at stats.rs:"),
            ("lock/builder.rs:", "`lock` calls `acquire_many`, which `many` adds at many.rs:"),
        ],
    );
}

#[test]
fn a_circle_in_a_folder_is_found_but_not_in_lock() {
    let found = planted(&[
        ("leaf/entry.rs", "", "use super::contention::Contention;"),
        ("leaf/contention.rs", "", "use super::entry::Entry;"),
        ("lock/home.rs", "", "use super::guard::Held;"),
        ("lock/guard.rs", "", "use super::home::Home;"),
    ]);
    let [there, back] = ["`entry` uses `contention`", "`contention` uses `entry`"];
    are_told(&found, &[("leaf/entry.rs:", there), ("leaf/contention.rs:", back)]);
}
