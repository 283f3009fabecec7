//! Each module of the simulator is on a floor, and uses only modules below it.

#[path = "../../range-lock/tests/floors/checks.rs"]
mod checks;
#[path = "../../range-lock/tests/floors/rules.rs"]
#[allow(clippy::collapsible_if, reason = "Rust 1.85, which range-lock is for, has no let chains")]
mod rules;
#[path = "../../range-lock/tests/floors/source.rs"]
#[allow(clippy::collapsible_if, reason = "Rust 1.85, which range-lock is for, has no let chains")]
mod source;

use checks::{are_told, every_rule_holds, planted, the_documentation_quotes};
use rules::Layout;

/// docs/design.md quotes these.
const LAYOUT: Layout = Layout {
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
        &["workload", "explore", "replay", "doctor"],
        &["compare", "kernel", "report", "cli"],
    ],
    free: &[],
    extensions: &[("file", "FileSystem", &["create"])],
    made_by_macros: &[],
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
    let found = planted(
        &LAYOUT,
        &[
            ("fs/pins.rs", "", "use crate::check::Oracle;"),
            // What `check` hands on is defined below.
            ("fs/huge.rs", "", "use crate::check::Finding;"),
        ],
    );
    let upward = "`fs` uses `check`, which stands above it";
    are_told(&found, &[("fs/pins.rs:", upward), ("fs/huge.rs:", upward)]);
}

#[test]
fn a_path_in_a_body_is_found() {
    let found = planted(
        &LAYOUT,
        &[
            ("fs/pins.rs", "self.mark(*block, GIVEN_UP)", "super::super::file::part(block)"),
            ("fs/pages.rs", "offset - offset", "assert!(offset > crate::file::LEAST); offset - offset"),
        ],
    );
    let upward = "`fs` uses `file`, which stands above it";
    are_told(&found, &[("fs/pins.rs:", upward), ("fs/pages.rs:", upward)]);
}

#[test]
fn a_use_under_a_feature_is_found_and_one_in_a_test_is_none() {
    let function = "fn planted() { crate::ext4::planted() }";
    let found = planted(
        &LAYOUT,
        &[
            ("dax/rw.rs", "", &format!("#[cfg(feature = \"planted\")]\n{function}")),
            ("dax/user.rs", "", &format!("#[cfg(test)]\n{function}")),
        ],
    );
    are_told(&found, &[("dax/rw.rs:", "`dax` uses `ext4`, which stands above it")]);
}

#[test]
fn a_use_through_a_pub_use_is_found_where_the_item_is_defined() {
    let found = planted(
        &LAYOUT,
        &[("lib.rs", "", "pub use check::Oracle;"), ("fs/pins.rs", "", "fn planted(_: &crate::Oracle) {}")],
    );
    are_told(&found, &[("fs/pins.rs:", "`fs` uses `check`, which stands above it")]);
}

#[test]
fn a_call_of_a_method_that_a_module_above_adds_is_found() {
    let found = planted(
        &LAYOUT,
        &[
            ("check/metadata.rs", "", "impl FileSystem<'_> { pub(crate) fn planted(&self) {} }"),
            ("fs/commit.rs", "self.journal.commit(", "self.planted(); self.journal.commit("),
            ("fs/uses.rs", "self.check_use(block)", "Self::planted(self)"),
            ("fs/sharing.rs", "self.give_up(extents)", "<FileSystem<'_>>::planted(self)"),
        ],
    );
    let call = "`fs` calls `planted`, which `check` adds at check/metadata.rs:";
    are_told(&found, &[("fs/commit.rs:", call), ("fs/uses.rs:", call), ("fs/sharing.rs:", call)]);
}

#[test]
fn a_cycle_in_a_folder_is_found() {
    let found = planted(&LAYOUT, &[("schedule/thread.rs", "", "use super::ranks::Id;")]);
    let [there, back] = ["`thread` uses `ranks`", "`ranks` uses `thread`"];
    are_told(&found, &[("schedule/thread.rs:", there), ("schedule/ranks.rs:", back)]);
}
