//! The program as a user meets it: what it refuses, and what a complete run leaves behind.

mod blocks;
mod doctor;
mod file_size_limit;
mod folders;
mod help;
mod kernel;
mod locks;
mod other_processes;
mod race;
mod refusals;
mod replay;
mod reports;
mod running;
mod signals;
mod terminal;

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// A run of a fraction of a second over two variants.
const TINY: &str = "--duration-ms 2 --rounds 2 --threads 1,2 --media-us 0,20 --variants rwsem,range-lock";

/// `dax-sim`, to be run in `folder`.
fn dax_sim(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dax-sim"));
    command.args(arguments).current_dir(folder).stdin(Stdio::null());
    // As a user starts it: cargo, which runs the tests, is known by this.
    command.env_remove("CARGO_PKG_NAME").env_remove("CARGO_TARGET_DIR");
    command
}

fn run(folder: &Path, arguments: &[&str]) -> Output {
    dax_sim(folder, arguments).output().expect("the program starts")
}

fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

fn text(bytes: &[u8]) -> &str {
    str::from_utf8(bytes).expect("the program writes UTF-8")
}

/// Asserts that `arguments` are refused before anything runs, in few lines that contain all of
/// `named`, and that nothing appears in the folder.
#[track_caller]
fn refused(arguments: &[&str], named: &[&str]) {
    let folder = TempDir::new().unwrap();
    refused_in(folder.path(), arguments, named);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "something was left behind");
}

#[track_caller]
fn refused_in(folder: &Path, arguments: &[&str], named: &[&str]) {
    let output = run(folder, arguments);
    let complaint = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {complaint}");
    assert!(output.stdout.is_empty(), "{arguments:?}: {}", text(&output.stdout));
    assert!((1..=6).contains(&complaint.lines().count()), "{arguments:?}: {complaint}");
    assert!(!complaint.contains("panicked"), "{arguments:?}: {complaint}");
    for part in named {
        assert!(complaint.contains(part), "{arguments:?} should name `{part}`: {complaint}");
    }
}
