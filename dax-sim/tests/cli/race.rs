//! `dax-sim race`: scenarios, schedules that are drawn, and the commands that draw them again.

use std::process::Output;

use tempfile::TempDir;

use super::{refused, run, text, words};

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

/// The race in the README is what the program finds and draws, counts included.
#[test]
fn the_race_in_the_readme_is_the_programs() {
    let folder = TempDir::new().unwrap();
    let (_, race) =
        include_str!("../../../README.md").split_once("$ dax-sim race ").expect("there is a race");
    let (arguments, race) = race.split_once('\n').unwrap();
    let (race, _) = race.split_once("```").expect("it ends");
    let output = run(folder.path(), &[&["race"], &words(arguments)[..]].concat());
    assert_eq!(text(&output.stdout), race);
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

/// What is drawn, and what is wrong in it.
pub(crate) fn picture(said: &str) -> &str {
    &said[said.find("step ").expect("it is drawn")..]
}

/// Runs a command as it was printed.
pub(crate) fn run_as_printed(line: &str) -> Output {
    let ["dax-sim", arguments @ ..] = &words(line)[..] else { panic!("no command: `{line}`") };
    run(TempDir::new().unwrap().path(), arguments)
}

/// A scenario that a user wrote is explored, repeated by its last line, and tabulated; what is
/// wrong in it is told with file, line, word and remedy, and nothing runs.
#[test]
fn a_scenario_comes_from_a_file() {
    let folder = TempDir::new().unwrap();
    let race = |arguments: &str| run(folder.path(), &words(arguments));
    let built_in = race("race write-vs-read-fault --print");
    assert_eq!(built_in.status.code(), Some(0));
    let of_built_in = text(&built_in.stdout).to_owned();
    std::fs::write(folder.path().join("mine.scenario"), &of_built_in).unwrap();
    assert_eq!(text(&race("race --scenario mine.scenario --print").stdout), of_built_in);

    let found = race("race --scenario mine.scenario --preemptions 2 --schedules 0");
    assert_eq!(found.status.code(), Some(0), "{}", text(&found.stderr));
    let last = text(&found.stdout).lines().last().unwrap();
    let again = last.strip_prefix("dax-sim ").unwrap();
    assert!(again.starts_with("race --scenario mine.scenario --variant linux-4.11 --seed "), "{again}");
    assert_eq!(picture(text(&race(again).stdout)), picture(text(&found.stdout)));
    let table = race("race --scenario mine.scenario --all --preemptions 1 --schedules 0");
    assert_eq!(table.status.code(), Some(0), "{}", text(&table.stdout));
    assert!(
        text(&table.stdout).contains("mine") && text(&table.stdout).contains("Every cell is as expected.")
    );

    // What goes wrong without being expected is a failure.
    let without = of_built_in.lines().filter(|line| !line.starts_with("expect"));
    std::fs::write(folder.path().join("safe.scenario"), without.collect::<Vec<_>>().join("\n")).unwrap();
    assert_eq!(race("race --scenario safe.scenario --preemptions 2 --schedules 0").status.code(), Some(1));
    let table = race("race --scenario safe.scenario --all --preemptions 2 --schedules 0");
    assert_eq!(table.status.code(), Some(1));
    assert!(text(&table.stdout).contains("`expect linux-4.11 I1"), "{}", text(&table.stdout));

    for (name, bytes, line, part) in [
        ("word", &b"thread A:\npwrit F0 0 8\n"[..], 2, "`pwrit` is not known"),
        ("bytes", b"about it\nfsync \xff\n", 2, "0xff is not UTF-8"),
        ("nuls", &[0; 100], 1, "`\\0` is a control character"),
        ("endless", &[b'\n'; 70_000], 1, "longer than 65536 bytes"),
        ("empty", b"", 1, "add a block `thread A:`"),
    ] {
        std::fs::write(folder.path().join(name), bytes).unwrap();
        let output = race(&format!("race --scenario {name}"));
        let told = text(&output.stderr);
        assert_eq!((output.status.code(), text(&output.stdout)), (Some(2), ""), "{told}");
        assert!(told.starts_with(&format!("{name}:{line}: ")) && told.contains(part), "{told}");
        assert_eq!(told.lines().count(), 1, "{told}");
    }
    for arguments in ["race --scenario nowhere", "race --scenario .", "race wake-up --scenario mine.scenario"]
    {
        assert_eq!(race(arguments).status.code(), Some(2), "{arguments}");
    }
    let endless = run(folder.path(), &words("race --scenario /dev/zero"));
    assert!(text(&endless.stderr).starts_with("/dev/zero:1: "), "{}", text(&endless.stderr));
}
