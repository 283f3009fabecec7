//! `dax-sim replay`: logs of fsx, what becomes of the file, and the lines that are refused.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Output};

use dax_sim::variant::Variant;
use tempfile::TempDir;

use super::{refused, refused_in, run, text};

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

/// The user's file is the device, and what is printed does not depend on it.
#[test]
fn a_replay_on_a_file_prints_the_same_and_leaves_the_file_as_it_was() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("ops"), "write 0x1 0x3002 0x0\nmapwrite 0x2000 0x1800 0x3003\n").unwrap();
    let without = run(folder.path(), &["replay", "ops"]);
    for own in [false, true] {
        if own {
            fs::write(path("device"), "").unwrap();
        }
        let output = run(folder.path(), &["replay", "ops", "--file", "device"]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        assert_eq!(output.stdout, without.stdout);
        assert_eq!(fs::metadata(path("device")).map_or(1, |found| found.len()), u64::from(!own));
    }
    // Too small, and then large enough.
    fs::write(path("device"), "the only copy").unwrap();
    let replay = ["replay", "ops", "--file", "device"];
    refused_in(folder.path(), &replay, &["device", "not empty", "--overwrite"]);
    let overwriting = [&replay[..], &["--overwrite"]].concat();
    refused_in(folder.path(), &overwriting, &["device", "holds 13", "--size-max"]);
    assert_eq!(fs::read(path("device")).unwrap(), b"the only copy");
    fs::write(path("device"), vec![7; 2 << 20]).unwrap();
    let output = run(folder.path(), &overwriting);
    assert_eq!(output.stdout, without.stdout, "{}", text(&output.stderr));
    assert_eq!(fs::metadata(path("device")).unwrap().len(), 2 << 20);
}

#[test]
fn a_replay_takes_neither_its_log_nor_its_dump_as_the_device() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("ops"), "fsync 0x0 0x0 0x0\n").unwrap();
    let with = |more: &[&'static str]| [&["replay", "ops"][..], more].concat();
    refused_in(folder.path(), &with(&["--file", "./ops", "--overwrite"]), &["--file", "the log itself"]);
    refused_in(folder.path(), &with(&["--file", "out", "--dump", "out"]), &["--file", "--dump"]);
    refused_in(folder.path(), &with(&["--file", "/dev/null"]), &["/dev/null", "a character device"]);
    refused_in(folder.path(), &with(&["--overwrite"]), &["--file"]);
    assert_eq!(fs::read(folder.path().join("ops")).unwrap(), b"fsync 0x0 0x0 0x0\n");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}
