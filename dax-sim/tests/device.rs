//! What the device refuses, and that it leaves no trace of a refusal.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use dax_sim::pmem::{BLOCK_SIZE, Backing, Device, DeviceError, DeviceOptions, MIN_DEVICE_SIZE};

const SIZE: u64 = 2 << 20;

fn options(path: impl Into<PathBuf>, size: u64) -> DeviceOptions {
    DeviceOptions { path: Some(path.into()), size, overwrite: false }
}

/// Refused, in one line that names `value`.
fn refusal(options: &DeviceOptions, value: &str) -> DeviceError {
    let error = Device::open(options).expect_err("must be refused");
    let message = error.to_string();
    assert!(message.contains(value), "`{message}` does not name `{value}`");
    assert!(!message.contains('\n'), "`{message}` is more than a line");
    error
}

fn name(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn sizes_that_no_device_can_have() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("device");
    for size in [0, 1, BLOCK_SIZE, MIN_DEVICE_SIZE - BLOCK_SIZE, SIZE + 1, u64::MAX] {
        let error = refusal(&options(&path, size), &size.to_string());
        assert!(matches!(error, DeviceError::BadSize { .. }), "{error}");
        assert!(!path.exists());
    }
    refusal(&DeviceOptions { path: None, size: 0, overwrite: false }, "0 bytes");
}

#[test]
fn sizes_that_the_file_system_cannot_hold() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("device");
    let huge = 1 << 60;
    assert!(matches!(refusal(&options(&path, huge), &huge.to_string()), DeviceError::NoSpace { .. }));
    assert!(!path.exists());
    fs::write(&path, "").unwrap();
    assert!(matches!(refusal(&options(&path, huge), &huge.to_string()), DeviceError::NoSpace { .. }));
    assert_eq!(fs::metadata(&path).unwrap().len(), 0);
    let temporary = DeviceOptions { path: None, size: huge, overwrite: false };
    assert!(matches!(refusal(&temporary, &huge.to_string()), DeviceError::NoSpace { .. }));
}

#[test]
fn what_is_not_a_regular_file() {
    let folder = tempfile::tempdir().unwrap();
    for path in [folder.path(), Path::new("/dev/null"), Path::new("/dev/zero")] {
        for overwrite in [false, true] {
            let options = DeviceOptions { overwrite, ..options(path, SIZE) };
            assert!(matches!(refusal(&options, name(path)), DeviceError::NotRegular { .. }));
        }
    }
    let socket = folder.path().join("socket");
    let _listening = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    assert!(matches!(refusal(&options(&socket, SIZE), "a socket"), DeviceError::NotRegular { .. }));
}

#[test]
fn missing_folders_and_files_in_place_of_folders() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("no/such/folder");
    let error = refusal(&options(missing.join("device"), SIZE), name(&missing));
    assert!(matches!(error, DeviceError::NoFolder { .. }));
    let file = folder.path().join("file");
    fs::write(&file, "x").unwrap();
    assert!(matches!(
        refusal(&options(file.join("device"), SIZE), name(&file)),
        DeviceError::NoFolder { .. }
    ));
    assert_eq!(fs::read(&file).unwrap(), b"x");
}

#[test]
fn files_that_hold_something_are_used_only_if_told_and_large_enough() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("device");
    let contents = vec![7_u8; SIZE as usize];
    fs::write(&path, &contents).unwrap();
    assert!(matches!(refusal(&options(&path, SIZE), "--overwrite"), DeviceError::NotEmpty { .. }));
    let larger = DeviceOptions { overwrite: true, ..options(&path, 2 * SIZE) };
    assert!(matches!(refusal(&larger, &(2 * SIZE).to_string()), DeviceError::TooSmall { .. }));
    assert_eq!(fs::read(&path).unwrap(), contents);

    let device = Device::open(&DeviceOptions { overwrite: true, ..options(&path, SIZE / 2) }).unwrap();
    device.write(0, b"new");
    drop(device);
    let after = fs::read(&path).unwrap();
    assert_eq!((&after[..3], &after[3..]), (&b"new"[..], &contents[3..]));
}

#[test]
fn files_that_may_not_be_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("device");
    fs::write(&path, "").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
    if fs::OpenOptions::new().write(true).open(&path).is_ok() {
        // Permissions do not bind root.
        return;
    }
    assert!(matches!(refusal(&options(&path, SIZE), name(&path)), DeviceError::Denied { .. }));
}

#[test]
fn two_devices_do_not_share_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("device");
    fs::write(&path, vec![0; SIZE as usize]).unwrap();
    let options = DeviceOptions { overwrite: true, ..options(&path, SIZE) };
    let first = Device::open(&options).unwrap();
    assert!(matches!(refusal(&options, name(&path)), DeviceError::InUse { .. }));
    drop(first);
    Device::open(&options).unwrap();
}

#[test]
fn a_device_removes_what_it_created_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let created = folder.path().join("created");
    let device = Device::open(&options(&created, SIZE)).unwrap();
    assert_eq!(fs::metadata(&created).unwrap().len(), SIZE);
    assert_eq!((device.path(), device.size()), (Some(created.as_path()), SIZE));
    drop(device);
    assert!(!created.exists());

    let empty = folder.path().join("empty");
    fs::write(&empty, "").unwrap();
    drop(Device::open(&options(&empty, SIZE)).unwrap());
    assert_eq!(fs::metadata(&empty).unwrap().len(), 0);

    let device = Device::open(&options(&created, SIZE)).unwrap();
    fs::rename(&created, folder.path().join("moved")).unwrap();
    fs::write(&created, "somebody else's").unwrap();
    drop(device);
    assert_eq!(fs::read(&created).unwrap(), b"somebody else's");
}

#[test]
fn a_file_of_another_length_was_changed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("device");
    // A file that is used as it is may be longer than the device.
    for len in [0, SIZE, SIZE + 7] {
        fs::write(&path, vec![1; len as usize]).unwrap();
        let device = Device::open(&DeviceOptions { overwrite: true, ..options(&path, SIZE) }).unwrap();
        device.check_unchanged().unwrap();
        let file = fs::OpenOptions::new().append(true).open(&path).unwrap();
        let found = fs::metadata(&path).unwrap().len();
        for changed in [found + 1, found - 1] {
            file.set_len(changed).unwrap();
            let error = device.check_unchanged().unwrap_err();
            let told = format!("it had {found} bytes, and has {changed}; figures are void");
            assert!(
                matches!(error, DeviceError::Changed { .. }) && error.to_string().contains(&told),
                "{error}"
            );
            file.set_len(found).unwrap();
        }
    }
}

#[test]
fn a_temporary_device_leaves_nothing_even_while_it_is_open() {
    let device = Device::open(&DeviceOptions { path: None, size: SIZE, overwrite: false }).unwrap();
    assert!(device.path().is_none_or(|path| !path.exists()));
    assert!(matches!(device.backing(), Backing::Tmpfs | Backing::Memfd));
    let mut bytes = [1; 5];
    device.read(SIZE - 5, &mut bytes);
    assert_eq!(bytes, [0; 5]);
    device.write(SIZE - 5, b"12345");
    device.read(SIZE - 5, &mut bytes);
    assert_eq!(&bytes, b"12345");
    device.store_u64(64, u64::MAX - 1);
    assert_eq!(device.load_u64(64), u64::MAX - 1);
    device.zero(64, 3);
    assert_eq!(device.load_u64(64).to_le_bytes(), [0, 0, 0, 255, 255, 255, 255, 255]);
    device.flush(0, SIZE);
    device.fence().unwrap();
}

#[test]
#[should_panic(expected = "do not lie inside a device of 2097152 bytes")]
fn an_access_past_the_end_panics() {
    let device = Device::open(&DeviceOptions { path: None, size: SIZE, overwrite: false }).unwrap();
    device.write(SIZE - 4, b"12345");
}
