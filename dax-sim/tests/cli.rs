//! The program as a user meets it: what it refuses, and what a complete run leaves behind.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use dax_sim::explore::Seed;
use dax_sim::variant::Variant;
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use serde_json::Value;
use tempfile::TempDir;

/// A run of a fraction of a second over two variants.
const TINY: &str = "--duration-ms 2 --rounds 2 --threads 1,2 --media-us 0,20 --variants rwsem,range-lock";

/// `dax-sim`, to be run in `folder`.
fn dax_sim(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dax-sim"));
    command.args(arguments).current_dir(folder).stdin(Stdio::null());
    command
}

fn run(folder: &Path, arguments: &[&str]) -> Output {
    dax_sim(folder, arguments).output().expect("the program starts")
}

/// What it prints on a terminal of so many columns.
fn on_terminal(columns: u16, arguments: &[&str]) -> String {
    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("there are terminals");
    grantpt(&terminal).unwrap();
    unlockpt(&terminal).unwrap();
    let size = Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(&terminal, size).unwrap();
    let name = ptsname(&terminal, Vec::new()).unwrap();
    let side = File::options().read(true).write(true).open(name.to_str().unwrap()).unwrap();
    let folder = TempDir::new().unwrap();
    let mut child = dax_sim(folder.path(), arguments)
        .stdout(side)
        .stderr(Stdio::null())
        .spawn()
        .expect("the program starts");
    let mut shown = Vec::new();
    let mut part = [0; 4096];
    // Reading fails once nobody has the other side any more.
    while let Ok(length @ 1..) = rustix::io::read(&terminal, &mut part) {
        shown.extend(&part[..length]);
    }
    assert!(child.wait().unwrap().code().is_some_and(|code| code < 2), "{arguments:?}");
    text(&shown).replace('\r', "")
}

fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

fn text(bytes: &[u8]) -> &str {
    str::from_utf8(bytes).expect("the program writes UTF-8")
}

/// Asserts that `arguments` are refused before anything runs, in few lines that contain all of `named`, and that
/// nothing appears in the folder.
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

#[test]
fn silly_numbers_are_refused() {
    refused(&["--threads", "0"], &["--threads", "0", "from 1 to 1024"]);
    refused(&["--threads", "1,5000"], &["5000", "from 1 to 1024"]);
    refused(&["--threads", "-4"], &["-4"]);
    refused(&["--threads", "many"], &["many", "from 1 to 1024"]);
    refused(&["--threads", ""], &["--threads"]);
    refused(&["--threads", "1,,2"], &["--threads", "empty"]);
    refused(&["--threads", "1\n2\n3\n4\n5\n6\n7\n8"], &["--threads"]);
    refused(&["--media-us", "99999999"], &["99999999", "from 0 to 10000"]);
    refused(&["--duration-ms", "0"], &["--duration-ms", "from 1 to"]);
    refused(&["--rounds", "0"], &["--rounds", "from 1 to"]);
}

#[test]
fn unknown_names_are_answered_with_the_known_ones() {
    refused(
        &["--variants", "linux-6.1"],
        &["linux-6.1", "linux-4.11", "linux-4.12", "rwsem", "range-lock", "unserialised"],
    );
    refused(
        &["--workloads", "fio"],
        &["fio", "write-disjoint", "write-shared", "fault-vs-write", "read-mostly"],
    );
    refused(&["--varients", "rwsem"], &["--varients", "--variants"]);
    refused(&["race-me"], &["race-me"]);
}

#[test]
fn impossible_sizes_are_refused() {
    refused(&["--size", "0"], &["--size", "0", "64M"]);
    refused(&["--size", "1.5G"], &["1.5G", "64M"]);
    refused(&["--size", "-1"], &["-1"]);
    refused(&["--size", "4K"], &["4096", "too small", "--size"]);
    refused(&["--file", "device", "--size", "1000000G"], &[]);
}

#[test]
fn files_that_are_not_ours_to_use_are_refused() {
    let before = fs::read("/etc/passwd").unwrap();
    refused(&["--file", "/etc/passwd"], &["/etc/passwd"]);
    assert_eq!(fs::read("/etc/passwd").unwrap(), before);
    refused(&["--file", "/dev"], &["/dev"]);
    refused(&["--file", "/dev/null"], &["/dev/null"]);
    refused(&["--file", "no/such/folder/device"], &["no/such/folder"]);
    refused(&["--file", "no\nsuch\nfolder/device"], &["`no\\nsuch\\nfolder`"]);
    refused(&["--overwrite"], &["--file"]);

    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("thesis"), "the only copy").unwrap();
    refused_in(folder.path(), &["--file", "thesis"], &["thesis", "--overwrite"]);
    assert_eq!(fs::read(folder.path().join("thesis")).unwrap(), b"the only copy");
    refused_in(folder.path(), &["--file", "thesis/device"], &["no folder `thesis`"]);
    std::os::unix::fs::symlink("nowhere", folder.path().join("link")).unwrap();
    for option in ["--file", "--json"] {
        refused_in(folder.path(), &[option, "link"], &["link", "leads nowhere"]);
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
}

#[test]
fn destinations_that_cannot_be_written_are_refused() {
    refused(&["--json", "no/such/folder/results.json"], &["no/such/folder/results.json"]);
    refused(&["--json", "/proc/results.json"], &["/proc/results.json"]);
    refused(&["--json", "/dev/null"], &["/dev/null", "regular file"]);
    refused(&["--json", "/usr"], &["/usr", "folder"]);
    refused(&["--json", "target/dax-sim/compare.html"], &["compare.html"]);
    refused(&["--output", "/proc/dax-sim"], &["/proc/dax-sim", "--output"]);
    refused(&["--output", "/dev/null"], &["/dev/null", "--output"]);
    refused(&["--json", "same", "--file", "./same"], &["same", "--json"]);
    refused(&["--output", ".", "--file", "compare.html"], &["compare.html", "the page"]);
}

#[test]
fn a_refusal_leaves_earlier_results_alone() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("results.json"), "earlier results").unwrap();
    refused_in(folder.path(), &["--json", "results.json", "--file", "/etc/passwd"], &["/etc/passwd"]);
    assert_eq!(fs::read(folder.path().join("results.json")).unwrap(), b"earlier results");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_replay_prints_what_becomes_of_the_file_and_replaces_the_dump() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("ops"), "# three bytes\nmapwrite 0x1 0x2 0x0\ntruncate 0x0 0x4 0x3\n")
        .unwrap();
    fs::write(folder.path().join("out"), "an older and longer dump").unwrap();
    for variant in Variant::ALL.map(|variant| ["--variant", variant.name()]) {
        let arguments = [&["replay", "ops", "--dump", "out", "--size-max", "4"][..], &variant].concat();
        let output = run(folder.path(), &arguments);
        assert!(output.status.success(), "{}", text(&output.stderr));
        // Written by line 2: 2 * 31 + 1 and 2 * 31 + 2.
        assert_eq!(fs::read(folder.path().join("out")).unwrap(), [0, 63, 64, 0]);
        assert_eq!(
            text(&output.stdout),
            "size   4\nsha256 6529f1ba07f750447e450ce0c53b54ab3c8923bd0adbc0eae0464e0b456fc4fa\n"
        );
        assert!(output.stderr.is_empty());
    }
    fs::write(folder.path().join("ops"), "").unwrap();
    let output = run(folder.path(), &["replay", "ops"]);
    assert!(
        text(&output.stdout).contains("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
    );
}

#[test]
fn a_bad_line_is_named_and_nothing_is_written() {
    for (line, named) in [
        ("wriet 0x0 0x1 0x0", "`wriet`"),
        ("write 0x0 0x1", "the size before"),
        ("write 0x0 1e3 0x0", "`1e3`"),
        ("write 0x0 4096 0x0", "a hexadecimal number such as 0x1000"),
        ("write 0x1000000 0x1 0x0", "--size-max"),
        ("exchange_range 0x0 0x1000 0x1000 0x2000", "not simulated"),
        ("collapse_range 0x0 0x1000 0x1000", "EINVAL"),
        ("mapread 0x0 0x1 0x0", "SIGBUS"),
    ] {
        let folder = TempDir::new().unwrap();
        fs::write(folder.path().join("ops"), format!("fsync 0x0 0x0 0x0\n\n{line}\n")).unwrap();
        refused_in(folder.path(), &["replay", "ops", "--dump", "out"], &["ops:3: expected ", named]);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "{line}");
        let complaint = run(folder.path(), &["replay", "ops"]).stderr;
        assert!(text(&complaint).starts_with("ops:3: "), "{}", text(&complaint));
    }
}

#[test]
fn replays_that_cannot_be_are_refused() {
    refused(&["replay"], &["<FILE>"]);
    refused(&["replay", "no-such-log"], &["no-such-log"]);
    refused(&["replay", "/usr"], &["/usr"]);
    refused(&["replay", "/dev/null", "--variant", "xfs"], &["xfs", "range-lock"]);
    refused(&["replay", "/dev/null", "--size-max", "0"], &["--size-max"]);
    refused(&["replay", "/dev/null", "--size-max", "1T"], &["--size-max", "largest file"]);
    refused(&["replay", "/dev/null", "--dump", "no/such/folder/out"], &["no/such/folder"]);
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("ops"), "").unwrap();
    refused_in(folder.path(), &["replay", "ops", "--dump", "./ops"], &["the log itself"]);
    fs::write(folder.path().join("ops"), "fallocate 0x0 0x4000000000 0x0\n").unwrap();
    refused_in(
        folder.path(),
        &["replay", "ops", "--size-max", "256G"],
        &["--size-max", "274877906944", "free"],
    );
    fs::write(folder.path().join("ops"), "\u{feff}fsync 0x0 0x0 0x0\n").unwrap();
    refused_in(folder.path(), &["replay", "ops"], &["ops:1: expected ", "byte order mark"]);
}

/// A log whose first line names a size begins with a file of that size, and says so first.
#[test]
fn a_tail_is_replayed_from_a_hole_and_says_so() {
    let folder = TempDir::new().unwrap();
    let ops = folder.path().join("ops");
    fs::write(&ops, "collapse_range 0x1000 0x1000 0x8000\n").unwrap();
    let tail = run(folder.path(), &["replay", "ops", "--strict", "--dump", "tail"]);
    assert!(tail.status.success() && tail.stderr.is_empty(), "{}", text(&tail.stderr));
    let (head, result) = text(&tail.stdout).split_once('\n').unwrap();
    assert!(head.starts_with("tail   begins with a hole of 32768 bytes"), "{head}");
    assert!(head.contains("`truncate -s 32768`"), "{head}");
    assert!(result.starts_with("size   28672\nsha256 "), "{result}");
    // The same, made by a line.
    fs::write(&ops, "truncate 0x0 0x8000 0x0\ncollapse_range 0x1000 0x1000 0x8000\n").unwrap();
    let whole = run(folder.path(), &["replay", "ops", "--strict"]);
    assert_eq!(text(&whole.stdout), result);
    fs::write(&ops, "read 0x0 0x0 0x1000001\n").unwrap();
    refused_in(folder.path(), &["replay", "ops"], &["ops:1: expected ", "--size-max", "0x1000001"]);
}

#[test]
fn a_size_that_the_log_does_not_say_is_warned_of_once() {
    let folder = TempDir::new().unwrap();
    let ops = "write 0x0 0x10 0x0\n# edited\nread 0x0 0x10 0x7777\nread 0x0 0x10 0x8888\n";
    fs::write(folder.path().join("ops"), ops).unwrap();
    let output = run(folder.path(), &["replay", "ops"]);
    assert!(output.status.success() && text(&output.stdout).starts_with("size   16\n"));
    let said = text(&output.stderr);
    assert!(
        said.starts_with("ops:3: warning: ") && said.contains("0x7777") && said.contains("0x10"),
        "{said}"
    );
    assert_eq!(said.lines().count(), 1, "{said}");
    let demanded = ["replay", "ops", "--strict", "--dump", "out"];
    refused_in(folder.path(), &demanded, &["ops:3: expected ", "0x7777", "0x10"]);
    assert!(!folder.path().join("out").exists());
}

#[test]
fn ranges_are_trimmed_where_that_is_asked_for() {
    let folder = TempDir::new().unwrap();
    let ops = "write 0x0 0x3000 0x0\ncollapse_range 0x2000 0x2000 0x3000\nread 0x5000 0x1 0x3000\n\
               clone_range 0x4000 0x1000 0x0 0x3000\n";
    fs::write(folder.path().join("ops"), ops).unwrap();
    refused_in(folder.path(), &["replay", "ops"], &["ops:2: expected ", "before the end"]);
    let output = run(folder.path(), &["replay", "ops", "--trim"]);
    assert!(output.status.success() && text(&output.stdout).starts_with("size   12288\n"));
    assert_eq!(text(&output.stderr), "dax-sim: ops: 1 ranges trimmed, 2 operations passed over\n");
}

/// Within 256 MiB of address space, of which the program itself takes most.
#[test]
fn reads_of_any_length_take_little_memory() {
    let folder = TempDir::new().unwrap();
    let whole = "truncate 0x0 0x40000000 0x0\nread 0x0 0x40000000 0x40000000\nmapread 0x0 0x40000000 0x40000000\n\
                 truncate 0x0 0x0 0x40000000\n";
    for (ops, size_max) in [
        ("read 0x0 0x7fffffffff 0x0\n", "512G"),
        ("truncate 0x0 0x10000 0x0\nread 0x1000 0x1000000000 0x10000\ntruncate 0x0 0x0 0x10000\n", "512G"),
        (whole, "1G"),
    ] {
        fs::write(folder.path().join("ops"), ops).unwrap();
        let output = limited(folder.path(), size_max);
        assert!(output.status.success(), "{ops}: {}", text(&output.stderr));
        assert!(text(&output.stdout).starts_with("size   0\n"), "{ops}: {}", text(&output.stdout));
    }
    fs::write(folder.path().join("ops"), "mapread 0x0 0x4000000000 0x0\n").unwrap();
    let output = limited(folder.path(), "512G");
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
    assert!(text(&output.stderr).starts_with("ops:1: expected ") && text(&output.stderr).contains("SIGBUS"));
}

/// A replay of `ops` that may map 256 MiB.
fn limited(folder: &Path, size_max: &str) -> Output {
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -v 262144 && exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_dax-sim")]);
    command.args(["replay", "ops", "--size-max", size_max]).current_dir(folder);
    command.output().expect("there is a shell")
}

#[test]
fn long_words_of_the_command_line_are_quoted_cut() {
    let long = "x".repeat(100_000);
    for arguments in [
        &["--threads", &long][..],
        &["--variants", &long],
        &["--workloads", &long],
        &["--i-rwsem", &long],
        &["race", &long],
        &["race", "write-vs-read-fault", "--seed", &long],
        &[&long],
    ] {
        let output = run(Path::new("."), arguments);
        assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
        let said = text(&output.stderr);
        assert!(said.len() < 2000 && said.contains("characters more"), "{said}");
    }
}

#[test]
fn an_error_names_the_help_of_its_command() {
    for (arguments, help) in [
        (&["--nonsense"][..], "see `dax-sim --help`"),
        (&["compare", "--nonsense"], "see `dax-sim compare --help`"),
        (&["race", "--nonsense"], "see `dax-sim race --help`"),
        (&["replay", "--size-max", "0"], "see `dax-sim replay --help`"),
    ] {
        assert_eq!(text(&run(Path::new("."), arguments).stderr).lines().last(), Some(help));
    }
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
fn logs_that_are_no_text_are_refused_in_few_words() {
    let folder = TempDir::new().unwrap();
    let utf16: Vec<u8> = "write 0x0 0x1 0x0\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    fs::write(folder.path().join("ops"), &utf16).unwrap();
    refused_in(folder.path(), &["replay", "ops"], &["ops:1: expected ", "UTF-16"]);
    for log in [vec![0; 100_000], format!("read 0x{} 0x1 0x0", "1".repeat(200_000)).into_bytes()] {
        fs::write(folder.path().join("ops"), log).unwrap();
        refused_in(folder.path(), &["replay", "ops"], &["ops:1: expected ", "characters more"]);
        assert!(run(folder.path(), &["replay", "ops"]).stderr.len() < 400);
    }
}

/// Its holes take no memory and no room in the dump.
#[test]
fn a_sparse_file_is_replayed_as_one() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("ops"), "truncate 0x0 0x4000000 0x0\nwrite 0x3000000 0x1 0x4000000\n")
        .unwrap();
    let output = run(folder.path(), &["replay", "ops", "--size-max", "64M", "--dump", "out"]);
    let digest = text(&output.stdout).lines().last().map(str::to_owned);
    let dump = folder.path().join("out");
    let contents = fs::read(&dump).unwrap();
    assert_eq!(contents.len(), 0x400_0000);
    assert_eq!((contents[0x300_0000], contents.iter().filter(|byte| **byte != 0).count()), (186, 1));
    assert!(fs::metadata(&dump).unwrap().blocks() * 512 <= 2 << 20);
    assert_eq!(
        digest.as_deref(),
        Some("sha256 11dd70792c7354f809f1b549962bcc11ec0686d53fb883786ee223a65f05bb80")
    );
}

#[test]
fn the_lock_of_one_level_is_chosen_and_told() {
    refused(&["--i-rwsem", "mutex"], &["unknown lock `mutex`", "rwsem, range-lock, none"]);
    let folder = TempDir::new().unwrap();
    let chosen = ["--i-rwsem", "range-lock", "--json", "out.json"];
    let output = run(folder.path(), &[&words(TINY)[..], &chosen].concat());
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("in every variant i_rwsem is `range-lock`"));
    let json: Value = serde_json::from_slice(&fs::read(folder.path().join("out.json")).unwrap()).unwrap();
    assert_eq!(json["host"]["i_rwsem"], "range-lock");
    assert_eq!(json["host"]["i_mmap_sem"], Value::Null);
}

#[test]
fn race_and_replay_take_other_locks_too() {
    refused(&["race", "wake-up", "--i-mmap-sem", "mutex"], &["unknown lock `mutex`"]);
    refused(&["race", "--list", "--i-rwsem", "rwsem"], &["--list", "--i-rwsem"]);
    let folder = TempDir::new().unwrap();
    let race =
        "race write-vs-read-fault --preemptions 1 --schedules 0 --i-rwsem range-lock --i-mmap-sem rwsem";
    let found = run(folder.path(), &words(race));
    assert_eq!(found.status.code(), Some(0), "{}", text(&found.stderr));
    assert!(text(&found.stdout).contains("in linux-4.11 --i-rwsem range-lock --i-mmap-sem rwsem: "));
    let again = text(&found.stdout).lines().last().unwrap();
    assert!(again.contains("--i-rwsem range-lock --i-mmap-sem rwsem --seed "), "{again}");
    assert_eq!(picture(text(&run_as_printed(again).stdout)), picture(text(&found.stdout)));
    fs::write(folder.path().join("ops"), "write 0x0 0x3000 0x0\npunch_hole 0x1000 0x800 0x3000\n").unwrap();
    let outputs = ["rwsem", "range-lock", "none"].map(|lock| {
        let output =
            run(folder.path(), &["replay", "ops", "--i-rwsem", lock, "--i-mmap-sem", lock, "--dump", "out"]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout).to_owned()
    });
    assert!(outputs.iter().all(|output| *output == outputs[0]), "{outputs:?}");
}

#[test]
fn checks_are_switched_off_and_that_is_told() {
    let folder = TempDir::new().unwrap();
    let output = run(folder.path(), &[&words(TINY)[..], &["--no-checks", "--json", "out.json"]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("no read was checked (`--no-checks`)"));
    assert!(!text(&output.stdout).contains("no stale read"), "{}", text(&output.stdout));
    let page = fs::read_to_string(folder.path().join("target/dax-sim/compare.html")).unwrap();
    assert!(page.contains("no read was checked (`--no-checks`)"));
    let json: Value = serde_json::from_slice(&fs::read(folder.path().join("out.json")).unwrap()).unwrap();
    assert_eq!(json["host"]["checks"], false);
    for result in json["results"].as_array().unwrap() {
        assert_eq!(result["checked_reads"], 0);
        assert!(result["ops_per_s"]["median"].as_f64().unwrap() > 0.0);
    }
}

#[test]
fn races_that_cannot_be_are_refused() {
    refused(&["race"], &["which scenario", "--list", "--all"]);
    refused(&["race", "no-such-race"], &["unknown scenario `no-such-race`", "write-vs-read-fault"]);
    refused(&["race", "wake-up", "--variant", "linux-2.6"], &["unknown variant `linux-2.6`", "rwsem-copy"]);
    refused(&["race", "wake-up", "--seed", "12"], &["`12` is no seed", "12B-30A"]);
    refused(&["race", "wake-up", "--seed", "30A-12B"], &["`30A-12B` is no seed", "rising"]);
    refused(&["race", "wake-up", "--seed", "0", "--preemptions", "1"], &["--seed", "--preemptions"]);
    refused(&["race", "wake-up", "--all"], &["--all"]);
    refused(&["race", "wake-up", "--variants", "rwsem"], &["--variants"]);
    refused(&["race", "--variants", "rwsem"], &["--all"]);
    refused(&["race", "wake-up", "--preemptions", "9"], &["9", "from 0 to 4"]);
    refused(&["race", "wake-up", "--schedules", "-1"], &["-1"]);
}

#[test]
fn a_race_is_drawn_and_its_seed_draws_it_again() {
    let folder = TempDir::new().unwrap();
    let race = |arguments: &[&str]| {
        let output = run(folder.path(), &[&["race", "write-vs-read-fault"], arguments].concat());
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", text(&output.stderr));
        text(&output.stdout).to_owned()
    };
    let found = race(&["--quick"]);
    for part in ["linux-4.11", "publishes page 0", "M0 zero page, read-only", "sees 0x0", "I1: ", "--seed "] {
        assert!(found.contains(part), "no `{part}` in {found}");
    }
    let seed = found.trim_end().rsplit(' ').next().unwrap();
    assert!(race(&["--variant", "range-lock", "--seed", seed]).contains("nothing goes wrong"));
    assert!(race(&["--variant", "range-lock", "--quick"]).contains("safe, in"));
    // A is the thread that runs there, and there is no C.
    assert!(race(&["--seed", "5A-9C"]).contains("5A-9C is 0 here"));
}

/// What is drawn, and what is wrong in it.
fn picture(said: &str) -> &str {
    &said[said.find("step ").expect("it is drawn")..]
}

/// Runs a command as it was printed.
fn run_as_printed(line: &str) -> Output {
    let ["dax-sim", arguments @ ..] = &words(line)[..] else { panic!("no command: `{line}`") };
    run(TempDir::new().unwrap().path(), arguments)
}

/// Whatever the schedule was found by: every step of it comes again, and everything that is wrong.
#[test]
fn the_command_in_the_last_line_draws_the_same_schedule_again() {
    let folder = TempDir::new().unwrap();
    for arguments in [
        "race write-vs-read-fault --quick",
        "race read-fault-vs-write-fault --variant linux-4.11 --preemptions 1 --schedules 10",
        // Only at random, where seeds are long.
        "race punch-vs-store --variant unserialised --preemptions 0 --schedules 200",
        "race forced-commit --variant entry-lock-outside --preemptions 1 --schedules 0",
        "race crossing-writers --variant rwsem-copy --preemptions 3 --schedules 0",
        // Two files, whose locks are taken in the order of their addresses.
        "race clone-vs-store --variant entry-lock-outside --preemptions 1 --schedules 10",
        // Nothing goes wrong in it.
        "race wake-up --variant linux-4.12 --seed 3B-9C",
    ] {
        let first = run(folder.path(), &words(arguments));
        let last = text(&first.stdout).lines().last().unwrap();
        let again = run_as_printed(last);
        assert_eq!(picture(text(&again.stdout)), picture(text(&first.stdout)), "{arguments}: {last}");
        assert_eq!(text(&again.stdout).lines().last(), Some(last));
    }
}

#[test]
fn a_cell_of_the_table_is_drawn_by_the_command_below_it() {
    let folder = TempDir::new().unwrap();
    let all = "race --all --variants linux-4.11,unserialised --preemptions 1 --schedules 60";
    let output = run(folder.path(), &words(all));
    let (table, below) = text(&output.stdout).split_once("One schedule again").expect("it says how");
    assert_eq!(
        table.matches("scenario ").count(),
        1,
        "elsewhere than on a terminal there are no blocks\n{table}"
    );
    let commands: Vec<&str> = below.lines().filter(|line| line.trim().starts_with("dax-sim ")).collect();
    let seed = |command: &str| words(command)[6].to_owned();
    assert!(words(table).contains(&seed(commands[0]).as_str()), "{}\n{table}", commands[0]);
    // Those that a cell has no room for.
    assert_eq!(table.matches(" at (below)").count(), commands.len() - 1, "{commands:?}\n{table}");
    assert!(commands.len() > 1, "none is too long");
    for command in commands {
        let drawn = run_as_printed(command);
        assert!(text(&drawn.stdout).contains("this goes wrong"), "{command}: {}", text(&drawn.stderr));
        assert_eq!(text(&drawn.stdout).lines().last(), Some(command.trim()));
    }
}

/// All but the commands, which are to be copied.
#[test]
fn tables_and_pictures_keep_within_the_terminal() {
    for arguments in [
        "race --all --preemptions 0 --schedules 4",
        "race --list",
        "race write-vs-read-fault --quick",
        "race crossing-writers --variant rwsem-copy --seed 0B",
        "race clone-vs-store --variant range-lock --seed 0B",
        "race waiters-of-deleted --variant linux-4.11 --seed 0C-5A",
    ] {
        let piped = run(TempDir::new().unwrap().path(), &words(arguments)).stdout;
        for columns in [60, 80, 120] {
            let shown = on_terminal(columns, &words(arguments));
            for line in shown.lines().filter(|line| !line.contains("dax-sim race ")) {
                let width = line.chars().count();
                assert!(width <= usize::from(columns), "{width} of {columns}: {line}\n{shown}");
            }
            // Nothing is left out: seeds, say.
            let seeds = |text: &str| {
                let is_seed = |word: &&str| word.len() > 1 && word.parse::<Seed>().is_ok();
                let mut seeds: Vec<String> =
                    text.split_whitespace().filter(is_seed).map(str::to_owned).collect();
                seeds.sort();
                seeds
            };
            assert_eq!(seeds(&shown), seeds(text(&piped)), "{arguments} at {columns}:\n{shown}");
        }
    }
}

/// The race in the README is what the program finds and draws, counts included.
#[test]
fn the_race_in_the_readme_is_the_programs() {
    let folder = TempDir::new().unwrap();
    let (_, race) = include_str!("../../README.md").split_once("$ dax-sim race ").expect("there is a race");
    let (arguments, race) = race.split_once('\n').unwrap();
    let (race, _) = race.split_once("```").expect("it ends");
    let output = run(folder.path(), &[&["race"], &words(arguments)[..]].concat());
    assert_eq!(text(&output.stdout), race);
}

#[test]
fn scenarios_are_listed_and_all_of_a_variant_are_told_in_a_table() {
    let folder = TempDir::new().unwrap();
    let list = run(folder.path(), &["race", "--list"]);
    assert_eq!(list.status.code(), Some(0));
    let names: Vec<&str> = text(&list.stdout).lines().map(|line| words(line)[0]).collect();
    assert!(names.len() > 20 && names.contains(&"crossing-writers"), "{names:?}");
    let few = ["race", "--all", "--variants", "rwsem", "--preemptions", "0", "--schedules", "2"];
    let table = run(folder.path(), &few);
    assert_eq!(table.status.code(), Some(0), "{}", text(&table.stderr));
    assert!(names.iter().all(|name| text(&table.stdout).contains(name)));
    assert!(text(&table.stdout).ends_with("Every cell is as expected.\n"));
    // Too few schedules to find what is to be found: that is told, too.
    let few = ["race", "--all", "--variants", "linux-4.11", "--preemptions", "0", "--schedules", "0"];
    let table = run(folder.path(), &few);
    assert_eq!(table.status.code(), Some(1));
    assert!(text(&table.stdout).contains("NOT AS EXPECTED: write-vs-read-fault in linux-4.11: I1"));
}

#[test]
fn help_and_version_are_no_errors() {
    let folder = TempDir::new().unwrap();
    let help = run(folder.path(), &["--help"]);
    assert!(help.status.success());
    for option in ["--file", "--media-us", "--quick", "--json", "compare"] {
        assert!(text(&help.stdout).contains(option), "{option}");
    }
    assert!(run(folder.path(), &["--version"]).status.success());
    assert!(run(folder.path(), &["compare", "--help"]).status.success());
}

#[test]
fn a_complete_run_leaves_a_page_its_plots_and_json() {
    let folder = TempDir::new().unwrap();
    let mut arguments = words(TINY);
    arguments.extend(["--json", "results.json"]);
    let output = run(folder.path(), &arguments);
    assert!(output.status.success(), "{}", text(&output.stderr));

    let report = text(&output.stdout);
    assert_eq!(report.lines().last(), Some("Page: target/dax-sim/compare.html"));
    for part in
        ["hardware thread", "closed loop", "write-disjoint, CPU-bound", "range-lock", "2 rounds of 2 ms"]
    {
        assert!(report.contains(part), "{part}:\n{report}");
    }
    let page = fs::read_to_string(folder.path().join("target/dax-sim/compare.html")).unwrap();
    assert!(page.starts_with("<!doctype html>") && page.ends_with("</html>\n"));
    for plot in ["write-disjoint-cpu-bound.svg", "fault-vs-write-20us.svg"] {
        assert!(folder.path().join("target/dax-sim").join(plot).is_file(), "{plot}");
    }

    let document: Value =
        serde_json::from_slice(&fs::read(folder.path().join("results.json")).unwrap()).unwrap();
    assert_eq!(document["schema"], 1);
    assert_eq!(document["host"]["checks"], true);
    assert!(document["host"]["hardware_threads"].as_u64().unwrap() >= 1);
    assert!(document["file"]["backing"].is_string());
    let results = document["results"].as_array().unwrap();
    assert_eq!(results.len(), 4 * 2 * 2 * 2);
    for result in results {
        assert_eq!(
            keys(result),
            [
                "checked_reads",
                "media_us",
                "ops_per_s",
                "ratio_to_rwsem",
                "ratios",
                "stale_reads",
                "threads",
                "variant",
                "wait_us",
                "workload",
            ]
        );
        assert_eq!(keys(&result["ops_per_s"]), ["max", "median", "min"]);
        assert_eq!(keys(&result["wait_us"]), ["max", "p50", "p99"]);
        let rate = |key: &str| result["ops_per_s"][key].as_f64().unwrap();
        assert!(rate("min") <= rate("median") && rate("median") <= rate("max"));
        if result["variant"] == "rwsem" && rate("min") > 0.0 {
            assert_eq!(result["ratio_to_rwsem"], 1.0);
        }
        let (ratio, other) = (&result["ratios"]["rwsem"], &result["ratios"]["range-lock"]);
        assert_eq!(keys(&result["ratios"]), ["range-lock", "rwsem"]);
        assert_eq!(keys(ratio), ["confidence", "high", "low", "median"]);
        assert_eq!(ratio["median"], result["ratio_to_rwsem"]);
        for ratio in [ratio, other] {
            let [low, median, high] = ["low", "median", "high"].map(|key| ratio[key].as_f64().unwrap());
            assert!(low <= median && median <= high, "{ratio}");
        }
    }
}

fn keys(object: &Value) -> Vec<&str> {
    let mut keys: Vec<&str> = object.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

#[test]
fn a_named_file_is_used_and_what_was_made_is_removed() {
    let folder = TempDir::new().unwrap();
    let mut arguments = words(TINY);
    arguments.extend([
        "--workloads",
        "write-disjoint",
        "--file",
        "device",
        "--json",
        "results.json",
        "--output",
        "out",
    ]);
    let output = run(folder.path(), &arguments);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let document: Value =
        serde_json::from_slice(&fs::read(folder.path().join("results.json")).unwrap()).unwrap();
    assert!(document["file"]["path"].as_str().unwrap().ends_with("device"));
    assert!(!folder.path().join("device").exists());
    assert!(folder.path().join("out/compare.html").is_file());
    assert!(!folder.path().join("target").exists());
}

#[test]
fn ratios_are_quoted_to_the_baseline_that_is_named() {
    let folder = TempDir::new().unwrap();
    let arguments = words(
        "compare --duration-ms 2 --rounds 3 --threads 1 --media-us 0 --variants linux-4.12,range-lock \
         --workloads write-shared --baseline linux-4.12",
    );
    let output = run(folder.path(), &arguments);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(!text(&output.stderr).contains("no ratios"), "{}", text(&output.stderr));
    let report = text(&output.stdout);
    for part in ["their ratio to linux-4.12;", "range-lock against linux-4.12: ", "ratio lo–hi", "with 75 %"]
    {
        assert!(report.contains(part), "{part}:\n{report}");
    }
    let page = fs::read_to_string(folder.path().join("target/dax-sim/compare.html")).unwrap();
    assert!(page.contains("Ratio to linux-4.12") && !page.contains("to rwsem"));
    refused(
        &["--baseline", "unserialised", "--variants", "rwsem"],
        &["--baseline", "--variants rwsem,unserialised"],
    );
}

#[test]
fn without_the_base_there_are_no_ratios() {
    let folder = TempDir::new().unwrap();
    let arguments = words(
        "compare --duration-ms 1 --rounds 1 --threads 1 --media-us 0 --variants range-lock --json results.json",
    );
    let output = run(folder.path(), &arguments);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let said = text(&output.stderr);
    assert!(said.contains("no ratios") && said.contains("one round"), "{said}");
    let document: Value =
        serde_json::from_slice(&fs::read(folder.path().join("results.json")).unwrap()).unwrap();
    assert!(document["results"].as_array().unwrap().iter().all(|result| result["ratio_to_rwsem"].is_null()));
}

#[test]
fn a_reader_that_leaves_early_is_no_error() {
    let folder = TempDir::new().unwrap();
    let mut child = dax_sim(folder.path(), &words(TINY))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(!text(&output.stderr).contains("panicked"));
    assert!(folder.path().join("target/dax-sim/compare.html").is_file());
}

/// The file that the run has made is gone, and the user's own empty one is empty again.
#[test]
fn a_signal_ends_the_run_and_leaves_files_as_they_were() {
    let folder = tempfile::tempdir().unwrap();
    let (new, own) = (folder.path().join("new"), folder.path().join("own"));
    std::fs::write(&own, "").unwrap();
    for file in [&new, &own] {
        let mut run = heeding_signals(Command::new(env!("CARGO_BIN_EXE_dax-sim")))
            .args(["--duration-ms", "20", "--rounds", "1000", "--threads", "1", "--output"])
            .arg(folder.path().join("out"))
            .arg("--file")
            .arg(file)
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        // The device is there once the file has its size.
        while std::fs::metadata(file).map_or(0, |metadata| metadata.len()) == 0 {
            std::thread::yield_now();
        }
        let (signal, code) = if file == &new { (Signal::INT, 130) } else { (Signal::TERM, 143) };
        kill_process(Pid::from_child(&run), signal).unwrap();
        assert_eq!(run.wait().unwrap().code(), Some(code));
    }
    assert!(!new.exists());
    assert_eq!(std::fs::metadata(&own).unwrap().len(), 0);
    assert!(!folder.path().join("out/compare.html").exists());
}

/// The command heeds signals, also where the tests were started with some of them ignored (`nohup`, `&`).
fn heeding_signals(mut command: Command) -> Command {
    use std::os::unix::process::CommandExt;

    let by_default = || {
        for signal in [libc::SIGHUP, libc::SIGINT, libc::SIGTERM] {
            // SAFETY: `signal` is async-signal-safe, and SIG_DFL is no handler.
            unsafe { libc::signal(signal, libc::SIG_DFL) };
        }
        Ok(())
    };
    // SAFETY: between fork and exec only `signal` is called, which is async-signal-safe.
    unsafe { command.pre_exec(by_default) };
    command
}

/// A run of many short samples, and what it says on standard error, which tells how far it is.
struct Running {
    child: std::process::Child,
    said: std::io::Lines<BufReader<std::process::ChildStderr>>,
}

impl Running {
    fn start(mut command: Command) -> Running {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let said = BufReader::new(child.stderr.take().unwrap()).lines();
        Running { child, said }
    }

    /// Reads on until a tenth of the samples is done.
    fn until_it_samples(&mut self) {
        let said = self.said.by_ref().map(Result::unwrap);
        assert!(said.into_iter().any(|line| line.contains("% done")), "it ended before");
    }

    /// Reads on until the samples begin.
    fn until_it_runs(&mut self) {
        let said = self.said.by_ref().map(Result::unwrap);
        assert!(said.into_iter().any(|line| line.contains(" samples of ")), "it ended before");
    }

    /// What it says from now on, and its exit code.
    fn end(mut self) -> (String, Option<i32>) {
        let said: Vec<String> = self.said.by_ref().map(Result::unwrap).collect();
        (said.join("\n"), self.child.wait().unwrap().code())
    }
}

/// `dax-sim` with the arguments, started by a shell that ignores the signal.
fn ignoring(signal: &str, folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("trap '' {signal}; exec \"$@\""), "sh", env!("CARGO_BIN_EXE_dax-sim")]);
    command.args(arguments).current_dir(folder).stdin(Stdio::null());
    command
}

/// What `nohup` does to SIGHUP, and a shell's `&` to SIGINT.
#[test]
fn a_signal_that_was_ignored_stays_ignored() {
    let arguments = "--duration-ms 1 --rounds 30 --threads 1 --media-us 0 --variants rwsem,range-lock";
    for (name, signal) in [("HUP", Signal::HUP), ("INT", Signal::INT), ("TERM", Signal::TERM)] {
        let folder = TempDir::new().unwrap();
        let mut run = Running::start(ignoring(name, folder.path(), &words(arguments)));
        run.until_it_samples();
        kill_process(Pid::from_child(&run.child), signal).unwrap();
        let (said, code) = run.end();
        assert_eq!(code, Some(0), "{name}: {said}");
        assert!(folder.path().join("target/dax-sim/compare.html").is_file());
    }
}

/// The exit code is that of a command that the signal killed.
#[test]
fn the_exit_code_tells_the_signal() {
    let arguments = "--duration-ms 20 --rounds 1000 --threads 1 --media-us 0 --variants rwsem,range-lock";
    for (signal, code) in [(Signal::HUP, 129), (Signal::INT, 130), (Signal::TERM, 143)] {
        let folder = TempDir::new().unwrap();
        let mut run = Running::start(heeding_signals(dax_sim(folder.path(), &words(arguments))));
        // The first line comes when signals are watched.
        assert!(run.said.next().unwrap().unwrap().contains("samples of"));
        kill_process(Pid::from_child(&run.child), signal).unwrap();
        let (said, ended) = run.end();
        assert_eq!((said.as_str(), ended), ("interrupted; nothing was written", Some(code)));
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

/// A folder on a file system in memory, and one on a disk, where there are.
fn folders() -> Vec<TempDir> {
    let mut folders: Vec<TempDir> = tempfile::tempdir_in("/dev/shm").into_iter().collect();
    let on_disk =
        |folder: &TempDir| rustix::fs::statfs(folder.path()).is_ok_and(|fs| fs.f_type != 0x0102_1994);
    let disk = [std::env::temp_dir(), env!("CARGO_TARGET_TMPDIR").into()];
    let disk = disk.iter().filter_map(|place| tempfile::tempdir_in(place).ok()).find(on_disk);
    assert!(
        disk.is_some() || std::env::var_os("REQUIRE").is_none_or(|value| value != "1"),
        "no folder on a disk"
    );
    if disk.is_none() {
        // Past the capture of the test's output.
        std::io::stderr().write_all(b"######## SKIPPED: no folder on a disk\n").unwrap();
    }
    folders.extend(disk);
    folders
}

/// Many short samples of `variants` on the file `device`.
fn on_device(folder: &Path, more: &str) -> Command {
    let arguments = "--duration-ms 25 --rounds 1000 --threads 2 --media-us 0 --file device";
    dax_sim(folder, &[&words(arguments)[..], &words(more)].concat())
}

#[test]
fn a_mapped_file_that_fails_is_told_in_a_line() {
    for folder in folders() {
        let device = folder.path().join("device");
        // The file is the program's, the user's and empty, or the user's and full.
        for (before, more, after) in
            [(None, "", None), (Some(0), "", Some(0)), (Some(64 << 20), "--overwrite", Some(4096))]
        {
            let _ = fs::remove_file(&device);
            if let Some(length) = before {
                fs::write(&device, vec![1; length]).unwrap();
            }
            let more = format!("--workloads fault-vs-write --variants rwsem,range-lock {more}");
            let mut run = Running::start(on_device(folder.path(), &more));
            run.until_it_runs();
            // Nothing but the first page is left of it.
            File::options().write(true).open(&device).unwrap().set_len(4096).unwrap();
            let (said, code) = run.end();
            assert_eq!(code, Some(74), "{said}");
            let lines: Vec<&str> = said.lines().filter(|line| !line.starts_with("dax-sim: ")).collect();
            assert_eq!(lines.len(), 1, "{said}");
            assert!(lines[0].starts_with("error: `device` failed at offset "), "{said}");
            assert!(lines[0].contains("another process made it shorter"), "{said}");
            assert_eq!(fs::metadata(&device).ok().map(|found| found.len()), after, "{before:?} {more}");
        }
    }
}

/// The standard library's handler gets a SIGBUS that another process sends: it lets the first one
/// pass, and the next one ends the program.
#[test]
fn a_sigbus_that_is_sent_does_what_it_did() {
    let folder = TempDir::new().unwrap();
    let mut run = Running::start(on_device(folder.path(), "--variants rwsem,range-lock"));
    run.until_it_runs();
    let pid = Pid::from_child(&run.child);
    while run.child.try_wait().unwrap().is_none() {
        kill_process(pid, Signal::BUS).unwrap();
    }
    let (said, code) = run.end();
    assert_eq!(code, None, "{said}");
    assert!(!said.contains("failed at offset"), "{said}");
}

#[test]
fn what_others_write_is_not_the_variants_fault() {
    use rustix::fs::{FallocateFlags, fallocate};
    use std::os::unix::fs::FileExt;
    let punch = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    for folder in folders() {
        let device = folder.path().join("device");
        let megabytes = vec![0; 64 << 20];
        for round in 0..5 {
            for zeros in [false, true] {
                let more = "--workloads fault-vs-write --variants linux-4.12";
                let mut run = Running::start(on_device(folder.path(), more));
                run.until_it_runs();
                let file = File::options().write(true).open(&device).unwrap();
                // Again and again, for once may fall on pages that are holes.
                while run.child.try_wait().unwrap().is_none() {
                    if zeros {
                        file.write_all_at(&megabytes, 0).unwrap();
                    } else {
                        fallocate(&file, punch, 0, 64 << 20).unwrap();
                    }
                }
                let (said, code) = run.end();
                assert_eq!(code, Some(1), "{round} {zeros}: {said}");
                assert!(said.contains("another process") && said.contains("figures are void"), "{said}");
                assert!(!said.contains("stale read"), "{said}");
                assert!(!device.exists());
            }
        }
    }
}

#[test]
fn a_file_that_shrinks_is_told_even_where_nothing_of_it_was_used() {
    for folder in folders() {
        let device = folder.path().join("device");
        let more = "--workloads write-disjoint --variants rwsem,range-lock";
        let mut run = Running::start(on_device(folder.path(), more));
        run.until_it_runs();
        File::options().write(true).open(&device).unwrap().set_len(32 << 20).unwrap();
        let (said, code) = run.end();
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains("it has 33554432 bytes of 67108864; figures are void"), "{said}");
        assert!(!device.exists());
    }
}

/// Makes every fallocate of the command fail with ENOSPC, as XFS does on a full file system even
/// for what is there already.
fn without_room(command: &mut Command) {
    use std::os::unix::process::CommandExt;
    let step = |code, jt, jf, k| libc::sock_filter { code, jt, jf, k };
    let number = libc::SYS_fallocate as u32;
    // Load the number of the call; if it is fallocate's, fail with the error, otherwise allow it.
    let mut filter = [
        step(0x20, 0, 0, 0),
        step(0x15, 0, 1, number),
        step(0x06, 0, 0, libc::SECCOMP_RET_ERRNO | libc::ENOSPC as u32),
        step(0x06, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let install = move || {
        let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
        // SAFETY: two system calls, of which the second reads `program` and the filter that it
        // leads to.
        let done = unsafe {
            libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
                && libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) == 0
        };
        if done { Ok(()) } else { Err(std::io::Error::last_os_error()) }
    };
    // SAFETY: it makes two system calls and allocates nothing.
    unsafe { command.pre_exec(install) };
}

#[test]
fn a_file_that_has_its_blocks_is_not_reserved_again() {
    use std::os::unix::fs::FileExt;
    let arguments = "--size 4M --threads 1 --variants rwsem --workloads write-disjoint --media-us 0 \
                     --duration-ms 1 --rounds 1 --file device --overwrite";
    for folder in folders() {
        if rustix::fs::statfs(folder.path()).is_ok_and(|fs| fs.f_type == 0x0102_1994) {
            // tmpfs does not tell where a file has blocks, and its fallocate asks for none that are
            // there.
            continue;
        }
        let device = folder.path().join("device");
        let attempt = || {
            let mut command = dax_sim(folder.path(), &words(arguments));
            without_room(&mut command);
            command.output().unwrap()
        };
        fs::write(&device, vec![1; 4 << 20]).unwrap();
        let output = attempt();
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        // As many blocks, and none of them where the device is to be.
        let sparse = File::create(&device).unwrap();
        sparse.write_all_at(&vec![1; 4 << 20], 4 << 20).unwrap();
        let output = attempt();
        assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
        assert!(text(&output.stderr).contains("do not fit"), "{}", text(&output.stderr));
    }
}

#[test]
fn a_device_that_is_no_file_has_a_remedy_of_its_own() {
    refused(&["--file", "/dev/null"], &["a character device", "device-dax", "/dev/pmem", "-o dax"]);
}
