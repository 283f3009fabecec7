//! `--i-rwsem` and `--i-mmap-sem`: another lock at one level, in every command.

use std::fs;

use serde_json::Value;
use tempfile::TempDir;

use super::race::{picture, run_as_printed};
use super::{TINY, refused, run, text, words};

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
