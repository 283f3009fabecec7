//! `dax-sim kernel`: what it prints, what it refuses, and that no file is left or harmed.

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Output};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use super::running::Running;
use super::signals::heeding_signals;
use super::{dax_sim, refused, refused_in, run, text, words};

const TINY: &str =
    "kernel --file device --threads 1,2 --size 64K --duration-ms 2 --rounds 2 --json results.json";
const LONG: &str = "kernel --file device --threads 2 --size 64K --duration-ms 20 --rounds 1000";

#[test]
fn a_run_prints_quotients_and_leaves_nothing_but_its_results() {
    let folder = TempDir::new().unwrap();
    let output = run(folder.path(), &words(TINY));
    assert!(output.status.success(), "{}", text(&output.stderr));
    let report = text(&output.stdout);
    for part in ["pwrite, overwrite", "pwrite, append", "pwrite, hole", "store, RangeRwLock", "Mapping:"] {
        assert!(report.contains(part), "{part}: {report}");
    }
    assert!(report.contains(", 0 stale loads"), "{report}");
    let json = fs::read(folder.path().join("results.json")).unwrap();
    let json: Value = serde_json::from_slice(&json).unwrap();
    // Ways, columns and layouts, at two numbers of threads.
    assert_eq!(json["results"].as_array().unwrap().len(), 6 * 2 * 2 * 2);
    for result in json["results"].as_array().unwrap() {
        assert!(result["ops_per_s"]["median"].as_f64().unwrap() > 0.0, "{result}");
    }
    for quotient in json["quotients"].as_array().unwrap() {
        assert!(quotient["one_file_to_file_each"]["low"].as_f64().unwrap() > 0.0, "{quotient}");
    }
    let race = &json["race"];
    assert_eq!(
        (&race["stale_loads"], race["writes_into_holes"].as_u64().unwrap()),
        (&Value::from(0), 8 * 32)
    );
    assert_eq!(entries(&folder), ["results.json"]);
}

#[test]
fn a_file_that_was_there_is_left_empty_and_only_if_told() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("device");
    fs::write(&path, "the only copy").unwrap();
    refused_in(folder.path(), &words(TINY), &["device", "13 bytes", "--overwrite"]);
    assert_eq!(fs::read(&path).unwrap(), b"the only copy");
    let output = run(folder.path(), &[&words(TINY)[..], &["--overwrite"]].concat());
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(fs::metadata(&path).unwrap().len(), 0);
    // An empty file needs no permission.
    assert!(run(folder.path(), &words(TINY)).status.success());
    assert_eq!((fs::metadata(&path).unwrap().len(), entries(&folder).len()), (0, 2));
}

#[test]
fn what_cannot_be_measured_is_refused() {
    refused(&["kernel"], &["--file"]);
    refused(&["kernel", "--file", "/dev"], &["/dev", "a directory"]);
    refused(&["kernel", "--file", "/dev/null"], &["/dev/null", "a character device"]);
    refused(&["kernel", "--file", "no/such/folder/device"], &["no/such/folder"]);
    refused(&["kernel", "--file", "device", "--size", "5000"], &["5000", "8192"]);
    refused(&["kernel", "--file", "device", "--size", "4K"], &["4096", "65536"]);
    refused(&["kernel", "--file", "device", "--threads", "0"], &["--threads", "from 1 to 1024"]);
    refused(&["kernel", "--file", "device", "--threads", "1024", "--size", "1G"], &["2199023255552", "free"]);
    refused(&["kernel", "--file", "device", "--json", "./device"], &["device", "--json"]);
    refused(&["kernel", "--file", "device", "--json", "no/such"], &["no"]);
    let folder = TempDir::new().unwrap();
    let _listening = UnixListener::bind(folder.path().join("device")).unwrap();
    refused_in(folder.path(), &words(TINY), &["device", "a socket"]);
    // What is wrong with the file, or with the place for results, is said in a line.
    for arguments in [
        &["--file", "/dev"][..],
        &["--file", "/dev/null"],
        &["--file", "no/such/folder/device"],
        &["--file", "/etc/passwd"],
        &["--file", "device", "--json", "./device"],
        &["--file", "device", "--json", "no/such"],
        &["--file", "device", "--threads", "1024", "--size", "1G"],
    ] {
        let output = run(TempDir::new().unwrap().path(), &[&["kernel"], arguments].concat());
        let said = text(&output.stderr);
        assert_eq!((output.status.code(), said.lines().count()), (Some(2), 1), "{said}");
    }
}

/// The program with less memory for addresses than it asks for.
fn with_few_addresses(folder: &Path, arguments: &str) -> Output {
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -v 262144 && exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_dax-sim")]);
    command.args(words(arguments)).current_dir(folder).output().unwrap()
}

#[test]
fn a_file_keeps_its_contents_if_it_cannot_be_mapped() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("device"), "the only copy").unwrap();
    let output =
        with_few_addresses(folder.path(), "kernel --file device --overwrite --threads 1 --size 512M");
    let said = text(&output.stderr);
    assert_eq!((output.status.code(), said.lines().count()), (Some(2), 1), "{said}");
    assert_eq!(fs::read(folder.path().join("device")).unwrap(), b"the only copy");
    assert_eq!(entries(&folder), ["device"]);
}

#[test]
fn more_threads_than_the_system_provides_end_the_run_and_leave_no_file() {
    let folder = TempDir::new().unwrap();
    let output = with_few_addresses(folder.path(), "kernel --file device --threads 64 --size 64K --rounds 1");
    let said = text(&output.stderr);
    assert!(said.contains("error: `device`: 64 threads cannot be started"), "{said}");
    assert_eq!((output.status.code(), entries(&folder).len()), (Some(1), 0), "{said}");
}

/// Rates on two file systems would be no quotient.
#[test]
fn the_threads_files_are_beside_the_file_to_which_a_link_leads() {
    let (folder, other) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    fs::write(other.path().join("target"), "").unwrap();
    symlink(other.path().join("target"), folder.path().join("device")).unwrap();
    let mut run = Running::start(heeding_signals(dax_sim(folder.path(), &words(LONG))));
    run.until_it_runs();
    assert_eq!((entries(&folder), entries(&other).len()), (vec!["device".to_owned()], 3));
    kill_process(Pid::from_child(&run.child), Signal::INT).unwrap();
    assert_eq!(run.end().1, Some(130));
    assert_eq!((entries(&folder), entries(&other)), (vec!["device".to_owned()], vec!["target".to_owned()]));
}

/// Those that the run made are gone, and the user's own is empty.
#[test]
fn a_signal_ends_the_run_and_leaves_files_as_they_were() {
    for (signal, code, own) in [(Signal::INT, 130, false), (Signal::TERM, 143, true)] {
        let folder = TempDir::new().unwrap();
        if own {
            fs::write(folder.path().join("device"), "").unwrap();
        }
        let mut command = heeding_signals(Command::new(env!("CARGO_BIN_EXE_dax-sim")));
        command.args(words(LONG)).current_dir(folder.path());
        let mut run = Running::start(command);
        run.until_it_runs();
        assert_eq!(entries(&folder).len(), 3);
        kill_process(Pid::from_child(&run.child), signal).unwrap();
        let (said, ended) = run.end();
        assert_eq!((said.as_str(), ended), ("interrupted; nothing was written", Some(code)));
        assert_eq!(entries(&folder), if own { &["device"][..] } else { &[] });
        assert!(!own || fs::metadata(folder.path().join("device")).unwrap().len() == 0);
    }
}

/// The file is cut again and again under stores into its mapping.
#[test]
fn a_file_that_another_process_cuts_ends_the_run_with_a_message_and_leaves_none() {
    let folder = TempDir::new().unwrap();
    let mut run = Running::start(dax_sim(folder.path(), &words(LONG)));
    run.until_it_runs();
    let file = fs::File::options().write(true).open(folder.path().join("device")).unwrap();
    while run.child.try_wait().unwrap().is_none() {
        file.set_len(0).unwrap();
    }
    let (said, code) = run.end();
    assert!(said.contains("`device` failed at offset") && said.lines().count() == 1, "{said}");
    assert_eq!((code, entries(&folder).len()), (Some(74), 0));
}

/// The file of a thread is cut, which is mapped behind other files.
#[test]
fn the_file_that_fails_is_named_with_the_offset_in_it() {
    for which in [0, 1] {
        let folder = TempDir::new().unwrap();
        let mut run = Running::start(dax_sim(folder.path(), &words(LONG)));
        run.until_it_runs();
        let name =
            entries(&folder).into_iter().filter(|name| name.starts_with(".dax-sim-")).nth(which).unwrap();
        let file = fs::File::options().write(true).open(folder.path().join(&name)).unwrap();
        while run.child.try_wait().unwrap().is_none() {
            file.set_len(0).unwrap();
        }
        let (said, code) = run.end();
        let (before, offset) = said.split_once("` failed at offset ").expect(&said);
        assert!(before.ends_with(&format!("/{name}")) && said.lines().count() == 1, "{said}");
        let offset: u64 = offset.split_once(' ').unwrap().0.parse().unwrap();
        assert!(offset < 64 << 10, "{said}");
        assert_eq!((code, entries(&folder).len()), (Some(74), 0));
    }
}

fn entries(folder: &TempDir) -> Vec<String> {
    let names = fs::read_dir(folder.path()).unwrap();
    let mut names: Vec<_> = names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}
