//! `--help`, `--version` and `--list`: no errors, except where they cannot be written.

use std::fs::File;
use std::path::Path;

use dax_sim::explore::SCENARIOS;
use dax_sim::variant::Variant;
use dax_sim::workload::Workload;
use tempfile::TempDir;

use super::{dax_sim, run, text, words};

#[test]
fn help_and_version_are_no_errors() {
    let folder = TempDir::new().unwrap();
    let help = run(folder.path(), &["--help"]);
    assert!(help.status.success());
    for option in ["--file", "--media-us", "--quick", "--json", "compare", "doctor", "exit code", "74"] {
        assert!(text(&help.stdout).contains(option), "{option}");
    }
    let version = run(folder.path(), &["--version"]);
    let version = text(&version.stdout).trim_end();
    assert!(version.starts_with("dax-sim 0.1.0 (") && version.ends_with(')'), "{version}");
    assert!(run(folder.path(), &["help", "--help"]).status.success());
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

#[test]
fn help_is_grouped_has_examples_and_says_what_names_mean() {
    for command in [&["--help"][..], &["compare", "--help"]] {
        let output = run(Path::new("/"), command);
        let help = text(&output.stdout);
        for part in [
            "\nWhat is compared:\n",
            "\nLoad:\n",
            "\nDevice:\n",
            "\nOutput:\n",
            "\nExamples:\n",
            "--i-rwsem rwsem --variants linux-4.12,rwsem,range-lock",
            "PARTIAL",
        ] {
            assert!(help.contains(part), "{part}:\n{help}");
        }
        for name in Variant::ALL.map(Variant::name).into_iter().chain(Workload::ALL.map(Workload::name)) {
            assert!(help.lines().any(|line| line.trim().starts_with(&format!("{name} "))), "{name}:\n{help}");
        }
    }
    let output = run(Path::new("/"), &["race", "--help"]);
    let help = text(&output.stdout);
    assert!(help.contains("\nSchedules:\n") && help.contains("\nExamples:\n"), "{help}");
}

/// A line for each in a pipe, however long, so that `grep` and `cut` find them.
#[test]
fn names_are_listed_with_their_meaning_and_never_wrapped_in_a_pipe() {
    let output = run(Path::new("/"), &["compare", "--list"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let lines: Vec<&str> = text(&output.stdout).lines().filter(|line| line.starts_with("  ")).collect();
    assert_eq!(lines.len(), Variant::ALL.len() + Workload::ALL.len(), "{lines:#?}");
    for line in lines {
        assert!(line.ends_with('.'), "{line}");
    }
    let output =
        run(Path::new("/"), &words("race --all --preemptions 0 --schedules 2 --variants entry-lock-outside"));
    let table = text(&output.stdout);
    for name in SCENARIOS.iter().map(|scenario| scenario.name.as_str()).chain(["entry-lock-outside"]) {
        assert!(table.contains(name), "{name} is whole:\n{table}");
    }
}

#[test]
fn completions_are_printed_for_each_shell() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = run(Path::new("/"), &["completions", shell]);
        assert!(output.status.success(), "{shell}: {}", text(&output.stderr));
        let script = text(&output.stdout);
        for word in ["race", "ratio-to", "completions"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
    super::refused(&["completions", "tcsh"], &["tcsh", "bash", "see `dax-sim completions --help`"]);
}
