//! `rivals` refuses bad input before it measures anything: with exit code 2, a line on standard
//! error, and nothing on standard output.

use std::fs;
use std::process::{Command, Output, Stdio};

fn rivals(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_rivals")).args(arguments).output().unwrap()
}

/// Runs one short sample with arguments that must be refused. Returns the message.
fn refused(arguments: &[&str]) -> String {
    let short = ["--only", "W1/write", "--rivals", "no lock", "--rounds", "1", "--millis", "1"];
    let output = rivals(&[&short, arguments].concat());
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {error}");
    assert!(output.stdout.is_empty(), "{arguments:?} was measured first");
    assert_eq!(error.lines().count(), 1, "{error}");
    error
}

#[test]
fn a_choice_of_which_nothing_is_left_is_refused() {
    assert!(refused(&["--threads", "99"]).contains("nothing is left to run"));
    assert!(rivals(&["--only", "W2", "--rivals", "token ring"]).stdout.is_empty());
}

#[test]
fn nothing_to_report_is_refused() {
    let output = rivals(&["--rounds", "0"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("--add"));
}

#[test]
fn what_cannot_be_written_is_refused_and_a_refusal_leaves_no_trace() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    fs::write(path("file"), "no markers").unwrap();
    assert!(refused(&["--json", &path("missing/new.json")]).contains("missing/new.json"));
    assert!(refused(&["--json", &path("")]).contains("name a file"));
    assert!(refused(&["--markdown", &path("file")]).contains("figures: begin"));
    assert!(refused(&["--json", &path("new.json"), "--svg", &path("file/plots")]).contains("file/plots"));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    assert_eq!(fs::read_to_string(path("file")).unwrap(), "no markers");
}

#[test]
fn a_reader_may_close_the_pipe_of_the_list() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_rivals"))
        .arg("--list")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
