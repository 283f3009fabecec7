//! The examples as a user runs them: to their end, with odd arguments, without space, and killed in
//! the middle.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

const PROGRAMS: [(&str, &str); 9] = [
    (env!("CARGO_BIN_EXE_async_service"), "the ledger has each sold seat exactly once"),
    (env!("CARGO_BIN_EXE_copy_range"), "overlapping copies did not mix"),
    (env!("CARGO_BIN_EXE_database_file"), "each reader saw whole snapshots"),
    (env!("CARGO_BIN_EXE_disk_image"), "one process reads it, and shares reading"),
    (env!("CARGO_BIN_EXE_fault_race"), "loads again: 0x44415441, what was written"),
    (env!("CARGO_BIN_EXE_map_sync"), "threads counted to"),
    (env!("CARGO_BIN_EXE_page_cache"), "the file has each key once"),
    (env!("CARGO_BIN_EXE_parallel_writers"), "every block and every checksum is right"),
    (env!("CARGO_BIN_EXE_who_waits"), "0 deadlocks are left"),
];
const NBD_SERVER: &str = env!("CARGO_BIN_EXE_nbd_server");
const DATABASE_FILE: &str = env!("CARGO_BIN_EXE_database_file");

/// Long enough on a busy machine. An example that takes longer hangs.
const LONG: &str = "120";

/// Runs a program, which must come to an end.
fn run(program: &str, arguments: &[&str]) -> Output {
    let output =
        Command::new("timeout").args(["-s", "KILL", LONG, program]).args(arguments).output().unwrap();
    assert_eq!(output.status.signal(), None, "{program} {arguments:?} {output:?}");
    assert_ne!(output.status.code(), Some(137), "{program} {arguments:?} hangs: {output:?}");
    output
}

#[test]
fn each_comes_to_its_end() {
    for (program, result) in PROGRAMS {
        let output = run(program, &[]);
        assert!(output.status.success(), "{program}: {output:?}");
        assert!(String::from_utf8_lossy(&output.stdout).contains(result), "{program}: {output:?}");
    }
}

#[test]
fn odd_arguments_are_refused() {
    for (program, arguments) in [
        (NBD_SERVER, &["file"][..]),
        (NBD_SERVER, &["file", "socket", "more"]),
        (env!("CARGO_BIN_EXE_map_sync"), &["one", "two"]),
        (env!("CARGO_BIN_EXE_disk_image"), &["file"]),
        (env!("CARGO_BIN_EXE_disk_image"), &["shared", "file"]),
        (DATABASE_FILE, &["read"]),
        (DATABASE_FILE, &["delete", "file"]),
        (env!("CARGO_BIN_EXE_fault_race"), &["linux-1.0"]),
    ] {
        let output = run(program, arguments);
        assert_eq!(output.status.code(), Some(2), "{program} {arguments:?}: {output:?}");
        assert!(output.stdout.is_empty() && !output.stderr.is_empty(), "{program} {arguments:?}: {output:?}");
    }
}

#[test]
fn files_that_are_not_there_are_named_or_described() {
    for (program, arguments) in [
        (NBD_SERVER, ["/no/such/file", "/no/such/socket"]),
        (env!("CARGO_BIN_EXE_disk_image"), ["exclusive", "/no/such/file"]),
        (DATABASE_FILE, ["write", "/no/such/file"]),
    ] {
        let output = run(program, &arguments);
        assert_eq!(output.status.code(), Some(1), "{program}: {output:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("No such file"), "{program}: {output:?}");
    }
}

/// On a file system of two pages. An example that stores into holes would be killed there.
#[test]
fn without_space_they_end_with_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let script = "mount -t tmpfs -o size=8k tmpfs \"$1\" && export TMPDIR=\"$1\" && shift && exec \"$@\"";
    let in_little_space = |command: &[&str]| {
        let mut all = vec!["-rm", "sh", "-c", script, "sh", folder.path().to_str().unwrap()];
        all.extend(command);
        run("unshare", &all)
    };
    if !in_little_space(&["true"]).status.success() {
        let message = b"######## SKIPPED: no file system can be mounted here (unshare -rm)\n";
        std::io::stderr().write_all(message).unwrap(); // Not to be captured.
        return;
    }
    for name in ["copy_range", "database_file", "disk_image", "map_sync", "page_cache", "parallel_writers"] {
        let (program, _) = PROGRAMS.into_iter().find(|(program, _)| program.ends_with(name)).unwrap();
        let output = in_little_space(&[program]);
        assert!(!output.status.success(), "{name}: {output:?}");
        // A shell's code for a signal is above 128.
        assert!(output.status.code().is_some_and(|code| code < 128), "{name} was killed: {output:?}");
        assert!(!output.stderr.is_empty(), "{name}: {output:?}");
    }
    let output = in_little_space(&[NBD_SERVER]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
}

/// A process that is killed at the end of the test.
struct Killed(Child);

impl Killed {
    fn start(program: &str, arguments: &[&Path]) -> Self {
        Killed(Command::new(program).args(arguments).stderr(Stdio::inherit()).spawn().unwrap())
    }
}

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Connects as soon as a server listens.
fn connect(socket: &Path) -> UnixStream {
    let start = Instant::now();
    loop {
        match UnixStream::connect(socket) {
            Ok(stream) => return stream,
            Err(_) if start.elapsed() < Duration::from_secs(60) => sleep(Duration::from_millis(1)),
            Err(error) => panic!("no server listens: {error}"),
        }
    }
}

fn greet(stream: &mut UnixStream) {
    let mut greeting = [0; 8];
    stream.read_exact(&mut greeting).unwrap();
    assert_eq!(&greeting, b"NBDMAGIC");
}

#[test]
fn a_server_that_was_killed_starts_again_on_its_socket() {
    let folder = tempfile::tempdir().unwrap();
    let (file, socket) = (folder.path().join("disk"), folder.path().join("socket"));
    fs::write(&file, [0; 4096]).unwrap();
    for _ in 0..3 {
        let _server = Killed::start(NBD_SERVER, &[&file, &socket]);
        greet(&mut connect(&socket));
    }
}

/// It admits more when some have left.
#[test]
fn a_server_outlives_more_clients_than_it_may_have_files() {
    let folder = tempfile::tempdir().unwrap();
    let (file, socket) = (folder.path().join("disk"), folder.path().join("socket"));
    fs::write(&file, [0; 4096]).unwrap();
    let script = ["-c", "ulimit -n 32; exec \"$@\" 2>/dev/null", "sh", NBD_SERVER].map(Path::new);
    let _server = Killed::start("sh", &[&script[..], &[&file, &socket]].concat());
    let first = connect(&socket);
    let many: Vec<_> = (0..64).map(|_| connect(&socket)).collect();
    sleep(Duration::from_millis(300)); // It tries in vain.
    drop((first, many));
    greet(&mut connect(&socket));
}

#[test]
fn a_writer_that_was_killed_leaves_a_whole_snapshot() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("numbers.db");
    fs::write(&path, [0; 3 * 4096]).unwrap();
    for milliseconds in [0, 1, 3, 10, 30] {
        let writer = Killed::start(DATABASE_FILE, &[Path::new("write"), &path]);
        sleep(Duration::from_millis(milliseconds));
        drop(writer);
        let bytes = fs::read(&path).unwrap();
        let slot = usize::from(bytes[0]);
        let numbers = &bytes[4096 * (1 + slot)..4096 * (2 + slot)];
        assert!(numbers.chunks(8).all(|number| number == &numbers[..8]), "slot {slot} is torn");
    }
    // Its lock is free again.
    let path = path.to_str().unwrap();
    for role in ["write", "read"] {
        let output = run(DATABASE_FILE, &[role, path]);
        assert!(output.status.success(), "{role}: {output:?}");
    }
}
