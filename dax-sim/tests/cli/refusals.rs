//! What the program refuses before it runs, and what it says then.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::{refused, refused_in, run, text};

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
    refused(&["--variants", "rwsem,linux-4.13"], &["did you mean `linux-4.11`?"]);
    refused(&["--workloads", "write-disjont"], &["did you mean `write-disjoint`?"]);
    refused(&["race", "write-vs-readfault"], &["did you mean `write-vs-read-fault`?"]);
    refused(
        &["replay", "log", "--variant", "rwsm"],
        &["did you mean `rwsem`?", "see `dax-sim replay --help`"],
    );
    refused(&["rase", "wake-up"], &["race"]);
    refused(&["race", "--all", "--variant", "rwsem"], &["--variants rwsem"]);
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
fn a_device_that_is_no_file_has_a_remedy_of_its_own() {
    refused(&["--file", "/dev/null"], &["a character device", "device-dax", "/dev/pmem", "-o dax"]);
}

#[test]
fn destinations_that_cannot_be_written_are_refused() {
    refused(&["--json", "no/such/folder/results.json"], &["no/such/folder/results.json"]);
    refused(&["--json", "/proc/results.json"], &["/proc/results.json"]);
    refused(&["--json", "/dev/null"], &["/dev/null", "regular file"]);
    refused(&["--json", "/usr"], &["/usr", "folder"]);
    refused(&["--json", "dax-sim-report/compare.html"], &["compare.html"]);
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
        (&["--quick", "race"], "see `dax-sim race --help`"),
        (&["replay", "--size-max", "0"], "see `dax-sim replay --help`"),
    ] {
        assert_eq!(text(&run(Path::new("."), arguments).stderr).lines().last(), Some(help));
    }
}

#[test]
fn endless_files_are_read_up_to_a_bound() {
    for (arguments, named) in [
        ("replay /dev/zero", ["`/dev/zero`", "268435456 bytes", "as fsx records it"]),
        ("--baseline /dev/zero", ["`/dev/zero`", "67108864 bytes", "compare.json"]),
        ("race --scenario /dev/zero", ["/dev/zero:1: ", "65536 bytes", "a few lines"]),
    ] {
        refused(&super::words(arguments), &named);
    }
}
