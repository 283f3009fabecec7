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
    // Reading fails once no process has the other side any more.
    while let Ok(length @ 1..) = rustix::io::read(&terminal, &mut part) {
        shown.extend(&part[..length]);
    }
    assert!(child.wait().unwrap().code().is_some_and(|code| code < 2), "{arguments:?}");
    text(&shown).replace('\r', "")
}
