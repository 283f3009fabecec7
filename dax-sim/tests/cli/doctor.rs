//! `dax-sim doctor` on memory and on a disk. On real DAX it is tried by `.ci/real-dax`.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;

use super::folders::folders;
use super::{refused, refused_in, run, text};

const ROWS: [&str; 15] = [
    "path",
    "file_system",
    "mount_options",
    "map_sync",
    "dax_attribute",
    "backing",
    "fault_size",
    "fault_size_predicted",
    "block_device",
    "block_device_dax",
    "bad_blocks",
    "persistence_domain",
    "write_back",
    "cores",
    "huge_pages",
];

/// What is said of the path, in JSON.
#[track_caller]
fn doctor(path: &Path) -> Value {
    let output = run(Path::new("/"), &["doctor", path.to_str().unwrap(), "--json"]);
    assert!(output.status.success() && output.stderr.is_empty(), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn a_folder_in_memory_and_one_on_a_disk() {
    for folder in folders() {
        let said = doctor(folder.path());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "something was left behind");
        let rows = said.as_object().unwrap();
        assert_eq!(rows.len(), ROWS.len());
        for name in ROWS {
            let row = rows[name].as_object().unwrap();
            assert_eq!(row.len(), 3, "{name}");
            let words = |field: &str| row[field].as_str().is_some_and(|text| !text.is_empty());
            assert!(words("source") && words("advice") && row.contains_key("value"), "{name}: {row:?}");
        }
        // What else has been asked of the same place.
        let backing = said["backing"]["value"].as_str().unwrap();
        let is_memory = folder.path().starts_with("/dev/shm");
        assert!(is_memory == (backing == "tmpfs"), "{backing}");
        assert_eq!(is_memory, said["file_system"]["value"] == "tmpfs");
        assert_eq!(said["map_sync"]["value"], Value::Bool(backing == "pmem-sync"));
        let size = said["fault_size"]["value"].as_u64().unwrap();
        assert!((4096..=2 << 20).contains(&size), "{size}");
        if is_memory {
            assert_eq!(said["block_device"]["value"], "none");
        }
        let cores = std::thread::available_parallelism().unwrap().get();
        assert_eq!(said["cores"]["value"], cores);
    }
}

#[test]
fn the_users_file_keeps_its_bytes_and_its_holes() {
    for folder in folders() {
        let path = folder.path().join("own");
        let bytes: Vec<u8> = (0..6 << 20).map(|n: u32| (n % 251) as u8).collect();
        fs::write(&path, &bytes).unwrap();
        File::open(&path).unwrap().sync_all().unwrap();
        let said = doctor(&path);
        assert!(said["fault_size"]["value"].is_u64(), "{said}");
        assert!(fs::read(&path).unwrap() == bytes);

        let hole = folder.path().join("hole");
        let file = File::create(&hole).unwrap();
        file.set_len(64 << 20).unwrap();
        file.write_all_at(&[1; 8192], 1 << 20).unwrap();
        file.sync_all().unwrap();
        let blocks = file.metadata().unwrap().blocks();
        let said = doctor(&hole);
        assert!(said["fault_size"]["value"].is_null(), "{said}");
        assert!(said["fault_size"]["advice"].as_str().unwrap().contains("written everywhere"), "{said}");
        assert_eq!(file.metadata().unwrap().blocks(), blocks, "a hole was filled");

        let empty = folder.path().join("empty");
        fs::write(&empty, "").unwrap();
        assert!(doctor(&empty)["fault_size"]["value"].is_null());
        assert_eq!(fs::metadata(&empty).unwrap().len(), 0);
    }
}

#[test]
fn the_table_has_each_row_and_its_advice() {
    let folder = TempDir::new().unwrap();
    for arguments in [&["doctor"][..], &["doctor", "."]] {
        let output = run(folder.path(), arguments);
        assert!(output.status.success(), "{}", text(&output.stderr));
        let said = text(&output.stdout);
        for name in ROWS {
            assert!(said.contains(&name.replace('_', " ")), "{name}: {said}");
        }
        assert!(said.lines().all(|line| line.chars().count() <= 100), "{said}");
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn what_cannot_be_examined_is_refused_in_a_line() {
    let in_a_line = |arguments: &[&str]| {
        let output = run(Path::new("/"), arguments);
        assert_eq!(text(&output.stderr).lines().count(), 1, "{}", text(&output.stderr));
    };
    for (path, named) in [
        ("/dev/null", "a character device"),
        ("/dev/zero", "device-dax"),
        ("no/such", "does not exist"),
        ("/proc/version/x", "does not exist"),
    ] {
        refused(&["doctor", path], &[path, named]);
        refused(&["doctor", path, "--json"], &[path, named]);
        in_a_line(&["doctor", path]);
    }
    let folder = TempDir::new().unwrap();
    let _listening = std::os::unix::net::UnixListener::bind(folder.path().join("socket")).unwrap();
    refused_in(folder.path(), &["doctor", "socket"], &["a socket"]);
    rustix::fs::mkfifoat(rustix::fs::CWD, folder.path().join("pipe"), rustix::fs::Mode::RUSR).unwrap();
    refused_in(folder.path(), &["doctor", "pipe"], &["a named pipe"]);
    std::os::unix::fs::symlink("nowhere", folder.path().join("link")).unwrap();
    refused_in(folder.path(), &["doctor", "link"], &["does not exist"]);
    assert!(!folder.path().join("nowhere").exists());
}

/// Nothing can be made in /proc, and it has no block device.
#[test]
fn a_folder_in_which_no_file_can_be_made() {
    let said = doctor(Path::new("/proc"));
    assert_eq!(said["file_system"]["value"], "proc");
    assert!(said["fault_size"]["value"].is_null() && said["map_sync"]["value"].is_null());
    assert!(said["fault_size"]["advice"].as_str().unwrap().contains("no temporary file"), "{said}");
}
