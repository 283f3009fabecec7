//! The width of what is printed on a terminal.

use std::fs::File;
use std::process::Stdio;

use dax_sim::explore::Seed;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use tempfile::TempDir;

use super::{dax_sim, run, text, words};

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
        for columns in [40, 60, 80, 120] {
            let shown = on_terminal(columns, &words(arguments));
            for line in shown.lines().filter(|line| !line.contains("dax-sim race ")) {
                let width = without_colours(line).chars().count();
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

/// The look-up that is overtaken and the value that must not be seen have a colour, if the user and
/// the terminal want any.
#[test]
fn what_matters_in_a_picture_has_a_colour_on_a_terminal_alone() {
    let arguments = words("race write-vs-read-fault --seed 0B-5A");
    let shown = on_terminal(250, &arguments);
    let coloured =
        |code: &str| -> Vec<&str> { shown.lines().filter(|line| line.starts_with(code)).collect() };
    let (overtaken, wrong) = (coloured("\x1b[33m"), coloured("\x1b[1;31m"));
    assert!(overtaken.len() == 1 && overtaken[0].contains("iomap_begin: looks page 0 up"), "{shown}");
    assert!(wrong.iter().any(|line| line.contains("sees 0x0")), "{shown}");
    assert!(shown.contains("Yellow: after this step"), "{shown}");
    for (name, value) in [("NO_COLOR", "1"), ("TERM", "dumb")] {
        assert!(!on_terminal_with(250, &arguments, &[(name, value)]).contains('\x1b'), "{name}");
    }
    let piped = run(TempDir::new().unwrap().path(), &arguments).stdout;
    assert!(!text(&piped).contains('\x1b') && !text(&piped).contains("Yellow"));
    assert_eq!(
        without_colours(&shown).replace(
            "Yellow: after this step another thread comes in between. Red: this must not be seen.\n",
            ""
        ),
        text(&piped)
    );
}

fn without_colours(text: &str) -> String {
    ["\x1b[33m", "\x1b[1;31m", "\x1b[0m"].iter().fold(text.to_owned(), |text, code| text.replace(code, ""))
}

/// What it prints on a terminal of so many columns.
fn on_terminal(columns: u16, arguments: &[&str]) -> String {
    on_terminal_with(columns, arguments, &[])
}

/// The same with some variables set.
fn on_terminal_with(columns: u16, arguments: &[&str], variables: &[(&str, &str)]) -> String {
    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("there are terminals");
    grantpt(&terminal).unwrap();
    unlockpt(&terminal).unwrap();
    let size = Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(&terminal, size).unwrap();
    let name = ptsname(&terminal, Vec::new()).unwrap();
    let side = File::options().read(true).write(true).open(name.to_str().unwrap()).unwrap();
    let folder = TempDir::new().unwrap();
    let mut child = dax_sim(folder.path(), arguments)
        .env_remove("NO_COLOR")
        .env("TERM", "xterm")
        .envs(variables.iter().copied())
        .stdout(side)
        .stderr(Stdio::null())
        .spawn()
        .expect("the program starts");
    let mut shown = Vec::new();
    let mut part = [0; 4096];
    // Reading fails once no process has the other side any more.
    while let Ok(length @ 1..) = rustix::io::read(&terminal, &mut part) {
        shown.extend(&part[..length]);
    }
    assert!(child.wait().unwrap().code().is_some_and(|code| code < 2), "{arguments:?}");
    text(&shown).replace('\r', "")
}
