//! `--help`, `--version` and `--list`: no errors, except where they cannot be written.

use std::fs::File;
use std::path::Path;

use tempfile::TempDir;

use super::{dax_sim, run, text};

#[test]
fn help_and_version_are_no_errors() {
    let folder = TempDir::new().unwrap();
    let help = run(folder.path(), &["--help"]);
    assert!(help.status.success());
    for option in ["--file", "--media-us", "--quick", "--json", "compare", "doctor", "exit code", "74"] {
        assert!(text(&help.stdout).contains(option), "{option}");
    }
    assert!(run(folder.path(), &["--version"]).status.success());
    assert!(run(folder.path(), &["compare", "--help"]).status.success());
}

#[test]
fn help_that_cannot_be_printed_is_a_failure() {
    for arguments in [&["--help"][..], &["--version"], &["replay", "--help"]] {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let output = dax_sim(Path::new("."), arguments).stdout(full).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        assert!(text(&output.stderr).contains("standard output"), "{}", text(&output.stderr));
    }
}

#[test]
fn help_that_cannot_be_written_is_an_error() {
    for arguments in [&["--help"][..], &["--version"], &["race", "--help"], &["race", "--list"]] {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let output = dax_sim(Path::new("/"), arguments).stdout(full).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        assert!(text(&output.stderr).starts_with("error: cannot write to standard output"), "{arguments:?}");
    }
}
