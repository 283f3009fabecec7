//! Each module of the library is on a floor, and uses only modules below it.

mod checks;
#[allow(clippy::collapsible_if, reason = "Rust 1.85, which range-lock is for, has no let chains")]
mod rules;
#[allow(clippy::collapsible_if, reason = "Rust 1.85, which range-lock is for, has no let chains")]
mod source;

use checks::{are_told, every_rule_holds, planted, the_documentation_quotes};
use rules::Layout;

/// docs/design.md quotes these.
const LAYOUT: Layout = Layout {
    floors: &[
        &["span", "bounds", "mode", "ids", "claim", "owner", "histogram", "interval_tree", "inline_vec"],
        &["spin", "atomics", "parking", "mutex", "sync"],
        &["waiter"],
        &["spares"],
        &["leaf"],
        &["partition", "blocked"],
        &["request", "inspect"],
        &["lock"],
        &["many", "stats", "deadlock"],
        &["futures"],
        &["data", "file"],
        &["future", "docs", "__private"],
    ],
    free: &["lock"],
    extensions: &[
        (
            "many",
            "RangeLock",
            &[
                "acquire_many",
                "try_acquire_many",
                "try_acquire_many_for",
                "try_acquire_many_until",
                "acquire_many_arc",
                "try_acquire_many_arc",
                "try_acquire_many_arc_for",
                "try_acquire_many_arc_until",
            ],
        ),
        ("stats", "RangeLock", &["stats"]),
        ("futures", "RangeLock", &["acquire_many_async", "acquire_many_arc_async", "wait_until_free_async"]),
    ],
    made_by_macros: &[(
        "futures",
        &[
            "read_async",
            "read_arc_async",
            "upgradable_read_async",
            "upgradable_read_arc_async",
            "write_async",
            "write_arc_async",
            "upgrade_async",
            "try_upgrade_async",
        ],
    )],
};

#[test]
fn every_module_uses_only_what_is_below_it() {
    every_rule_holds(&LAYOUT);
}

#[test]
fn the_documentation_quotes_the_floors() {
    the_documentation_quotes(&LAYOUT);
}

#[test]
fn a_use_line_upward_is_found() {
    let found = planted(&LAYOUT, &[("leaf/entry.rs", "", "use crate::lock::RangeLock;")]);
    are_told(&found, &[("leaf/entry.rs:", "`leaf` uses `lock`, which stands above it")]);
}

#[test]
fn a_path_in_a_body_is_found() {
    let found = planted(
        &LAYOUT,
        &[
            ("leaf.rs", "slots &= slots - 1;", "_ = crate::partition::Settings::DEFAULT;"),
            ("waiter.rs", "waiter.reset(blocking, passes);", "super::leaf::planted();"),
        ],
    );
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
    let found = planted(
        &LAYOUT,
        &[
            ("blocked.rs", "", &format!("#[cfg(feature = \"deadlock_detection\")]\n{function}")),
            ("partition.rs", "", &format!("#[cfg(test)]\n{function}")),
        ],
    );
    are_told(&found, &[("blocked.rs:", "`blocked` uses `deadlock`, which stands above it")]);
}

#[test]
fn a_use_through_a_pub_use_is_found_where_the_item_is_defined() {
    let found = planted(&LAYOUT, &[("request/parts.rs", "", "fn planted(_: &crate::ManyGuard<'_>) {}")]);
    are_told(&found, &[("request/parts.rs:", "`request` uses `many`, which stands above it")]);
}

#[test]
fn a_call_of_a_method_that_a_module_above_adds_is_found() {
    let found = planted(
        &LAYOUT,
        &[
            (
                "lock.rs",
                "self.partition().lock_over(Span::WHOLE)",
                "self.stats(); self.partition().lock_over(Span::WHOLE)",
            ),
            ("lock/builder.rs", "", "fn planted(lock: &RangeLock) { RangeLock::acquire_many([]); }"),
            ("lock/home.rs", "", "fn planted(lock: &super::RangeLock) { drop(lock.write_async(..)); }"),
            ("request.rs", "", "fn planted<G>(guard: G) { drop(G::upgrade_async(guard)); }"),
        ],
    );
    are_told(
        &found,
        &[
            ("lock.rs:", "`lock` calls `stats`, which `stats` adds at stats.rs:"),
            ("lock/builder.rs:", "`lock` calls `acquire_many`, which `many` adds at many.rs:"),
            ("lock/home.rs:", "`lock` calls `write_async`, which `futures` adds at futures.rs:"),
            ("request.rs:", "`request` calls `upgrade_async`, which `futures` adds at futures.rs:"),
        ],
    );
}

#[test]
fn a_cycle_in_a_folder_is_found_but_not_in_lock() {
    let found = planted(
        &LAYOUT,
        &[
            ("leaf/entry.rs", "", "use super::contention::Contention;"),
            ("leaf/contention.rs", "", "use super::entry::Entry;"),
            ("lock/home.rs", "", "use super::guard::Held;"),
            ("lock/guard.rs", "", "use super::home::Home;"),
        ],
    );
    let [there, back] = ["`entry` uses `contention`", "`contention` uses `entry`"];
    are_told(&found, &[("leaf/entry.rs:", there), ("leaf/contention.rs:", back)]);
}
