//! Folders for files whose file system matters.

use std::io::Write;

use tempfile::TempDir;

/// A folder on a file system in memory, and one on a disk, where there are.
pub(crate) fn folders() -> Vec<TempDir> {
    let mut folders: Vec<TempDir> = tempfile::tempdir_in("/dev/shm").into_iter().collect();
    let on_disk =
        |folder: &TempDir| rustix::fs::statfs(folder.path()).is_ok_and(|fs| fs.f_type != 0x0102_1994);
    let disk = [std::env::temp_dir(), env!("CARGO_TARGET_TMPDIR").into()];
    let disk = disk.iter().filter_map(|place| tempfile::tempdir_in(place).ok()).find(on_disk);
    assert!(
        disk.is_some() || std::env::var_os("REQUIRE").is_none_or(|value| value != "1"),
        "no folder on a disk"
    );
    if disk.is_none() {
        // Past the capture of the test's output.
        std::io::stderr().write_all(b"######## SKIPPED: no folder on a disk\n").unwrap();
    }
    folders.extend(disk);
    folders
}
