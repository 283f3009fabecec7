//! A limit on the size of files (`ulimit -f`): commands end with a message, and leave no file.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Output;

use rustix::process::{Resource, Rlimit, setrlimit};
use tempfile::TempDir;

use super::{dax_sim, text, words};

/// In bytes: the smallest device has less.
const LIMIT: u64 = 3 << 19;

/// A run whose files may have [`LIMIT`] bytes.
fn limited(folder: &Path, arguments: &str, ignores: bool) -> Output {
    let mut command = dax_sim(folder, &words(arguments));
    let limit = move || {
        let action = if ignores { libc::SIG_IGN } else { libc::SIG_DFL };
        // SAFETY: `signal` is async-signal-safe, and neither action is a handler.
        unsafe { libc::signal(libc::SIGXFSZ, action) };
        Ok(setrlimit(Resource::Fsize, Rlimit { current: Some(LIMIT), maximum: Some(LIMIT) })?)
    };
    // SAFETY: between fork and exec only `signal` and `setrlimit` are called, which are
    // async-signal-safe.
    unsafe { command.pre_exec(limit) };
    command.output().expect("the program starts")
}

#[test]
fn a_file_that_may_not_be_as_large_is_told_and_none_is_left() {
    let sparse = "truncate 0x0 0x200000 0x0\n";
    let full = "write 0x0 0x200000 0x0\n";
    for ignores in [false, true] {
        for (log, arguments, code, named) in [
            (
                "",
                "compare --file device --size 64M",
                2,
                &["`device`", "67108864", "smaller size", "ulimit -f"][..],
            ),
            ("", "compare --size 64M", 2, &["67108864", "smaller size", "ulimit -f"]),
            ("", "kernel --file device --threads 1", 1, &["`device`", "--size", "ulimit -f"]),
            (full, "replay ops --file device", 2, &["`device`", "--size-max", "ulimit -f"]),
            (full, "replay ops", 2, &["--size-max", "ulimit -f"]),
            (sparse, "replay ops --dump out", 1, &["`out`", "ulimit -f"]),
        ] {
            let folder = TempDir::new().unwrap();
            fs::write(folder.path().join("ops"), log).unwrap();
            let output = limited(folder.path(), arguments, ignores);
            let said = text(&output.stderr);
            assert_eq!(output.status.code(), Some(code), "{arguments}: {said}");
            assert!(named.iter().all(|part| said.contains(part)), "{arguments}: {said}");
            assert_eq!(said.lines().filter(|line| line.starts_with("error: ")).count(), 1, "{said}");
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "{arguments}: something is left");
        }
        // It reports what it could not find out.
        let folder = TempDir::new().unwrap();
        let output = limited(folder.path(), "doctor .", ignores);
        assert!(output.status.success() && output.stderr.is_empty(), "{}", text(&output.stderr));
        assert!(text(&output.stdout).contains("File too large"), "{}", text(&output.stdout));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
