//! Signals: the run ends, files are as they were, and the exit code tells the signal.

use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::running::{Running, on_device};
use super::{dax_sim, words};

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
            .stdout(Stdio::null())
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
        assert!(said.starts_with("interrupted; "), "{said}");
        assert_eq!(ended, Some(code));
    }
}

/// What was measured until then, marked.
#[test]
fn an_interrupted_run_writes_what_it_has_and_marks_it() {
    let arguments = "--duration-ms 1 --rounds 30 --threads 1 --media-us 0 --variants rwsem,range-lock";
    let folder = TempDir::new().unwrap();
    let mut run = Running::start(heeding_signals(dax_sim(folder.path(), &words(arguments))));
    run.until_it_samples();
    kill_process(Pid::from_child(&run.child), Signal::INT).unwrap();
    let mut shown = String::new();
    run.child.stdout.take().unwrap().read_to_string(&mut shown).unwrap();
    let (said, code) = run.end();
    assert_eq!(code, Some(130), "{said}");
    assert!(said.contains("interrupted; ") && said.contains("marked PARTIAL"), "{said}");
    assert!(shown.contains("! PARTIAL: the run was interrupted after "), "{shown}");
    let page = std::fs::read_to_string(folder.path().join("dax-sim-report/compare.html")).unwrap();
    assert!(page.contains("(partial)</title>") && page.contains("PARTIAL: the run was interrupted"));
    let data = std::fs::read(folder.path().join("dax-sim-report/compare.json")).unwrap();
    let data: serde_json::Value = serde_json::from_slice(&data).unwrap();
    let (done, total) = (&data["run"]["partial"]["done"], &data["run"]["partial"]["total"]);
    assert!(done.as_u64().unwrap() < total.as_u64().unwrap() && total == 248, "{done} of {total}");
}

/// A replay is asked to end within an operation that takes long, and while it reads the file for
/// the digest and the dump.
#[test]
fn a_replay_heeds_a_signal_within_an_operation_and_within_the_digest() {
    let operation = "truncate 0x0 0x8000000000 0x7\nread 0x0 0x8000000000 0x8000000000\n\
                     truncate 0x0 0x0 0x8000000000\n";
    let digest = "truncate 0x0 0x8000000000 0x7\n";
    for (log, dump) in [(operation, ""), (operation, "--dump out"), (digest, ""), (digest, "--dump out")] {
        let folder = TempDir::new().unwrap();
        std::fs::write(folder.path().join("ops"), format!("fsync 0x0 0x0 0x0\n{log}")).unwrap();
        std::fs::write(folder.path().join("out"), "the dump before").unwrap();
        let arguments = format!("replay ops --size-max 512G --file device {dump}");
        let mut run = Running::start(heeding_signals(dax_sim(folder.path(), &words(&arguments))));
        // The size that the second line names is wrong, which is told before the line is done.
        assert!(run.said.next().unwrap().unwrap().contains("ops:2: warning: "));
        kill_process(Pid::from_child(&run.child), Signal::TERM).unwrap();
        let ended = run.end();
        assert_eq!(ended, ("interrupted; nothing was written".to_owned(), Some(143)), "{arguments}");
        assert_eq!(std::fs::read(folder.path().join("out")).unwrap(), b"the dump before");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2, "{arguments}");
    }
}

/// Without a file of the user's nothing is put back, so the signal ends the program at once.
#[test]
fn a_replay_that_is_killed_while_it_dumps_leaves_no_file() {
    let folder = TempDir::new().unwrap();
    let place = folder.path().canonicalize().unwrap();
    std::fs::write(place.join("ops"), "fsync 0x0 0x0 0x0\ntruncate 0x0 0x8000000000 0x7\n").unwrap();
    let arguments = words("replay ops --size-max 512G --dump out");
    let mut run = Running::start(heeding_signals(dax_sim(&place, &arguments)));
    // By then the log is closed. So an open file in the folder is the dump.
    assert!(run.said.next().unwrap().unwrap().contains("ops:2: warning: "));
    let open = format!("/proc/{}/fd", run.child.id());
    let dumps = || {
        let files = std::fs::read_dir(&open).unwrap().filter_map(|entry| entry.ok()?.path().read_link().ok());
        files.into_iter().any(|file| file.starts_with(&place))
    };
    while !dumps() {
        std::thread::yield_now();
    }
    kill_process(Pid::from_child(&run.child), Signal::TERM).unwrap();
    assert_eq!(run.end(), (String::new(), None));
    assert_eq!(std::fs::read_dir(&place).unwrap().count(), 1);
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
        assert!(folder.path().join("dax-sim-report/compare.html").is_file());
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

/// The command heeds signals, also where the tests were started with some of them ignored (`nohup`,
/// `&`).
pub(crate) fn heeding_signals(mut command: Command) -> Command {
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

/// `dax-sim` with the arguments, started by a shell that ignores the signal.
fn ignoring(signal: &str, folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("trap '' {signal}; exec \"$@\""), "sh", env!("CARGO_BIN_EXE_dax-sim")]);
    command.args(arguments).current_dir(folder).stdin(Stdio::null()).env_remove("CARGO_PKG_NAME");
    command
}
