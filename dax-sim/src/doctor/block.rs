//! Describes the block device below a file system, from sysfs.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::{major, minor};

use super::mount::Mount;
use super::{Row, Value};
use crate::pmem::extents_of;

const SECTOR: u64 = 512;

/// A disk, or a partition of one.
#[derive(Clone, Debug)]
pub(super) struct BlockDevice {
    name: String,
    /// The device's own folder in sysfs.
    folder: PathBuf,
    /// The folder of the whole disk in sysfs.
    disk: PathBuf,
    /// The first sector on the disk, and the sector behind the last.
    sectors: Range<u64>,
}

impl BlockDevice {
    /// The device that holds the file. It is found by number, or by the name that was mounted where
    /// the file system has a number of its own (btrfs).
    pub(super) fn of(file: &File, mount: Option<&Mount>) -> Option<BlockDevice> {
        let number = file.metadata().ok()?.dev();
        let number = if major(number) == 0 {
            // tmpfs may also name a device, which has nothing to do with it.
            let mount = mount.filter(|mount| matches!(mount.kind.as_str(), "btrfs" | "bcachefs"))?;
            let found = std::fs::metadata(&mount.what).ok()?;
            found.file_type().is_block_device().then(|| found.rdev())?
        } else {
            number
        };
        BlockDevice::at(Path::new(&format!("/sys/dev/block/{}:{}", major(number), minor(number))))
    }

    fn at(link: &Path) -> Option<BlockDevice> {
        let folder = link.canonicalize().ok()?;
        let name = folder.file_name()?.to_str()?.to_owned();
        let is_partition = folder.join("partition").exists();
        let disk = if is_partition { folder.parent()?.to_path_buf() } else { folder.clone() };
        let number = |file: &str| read(&folder.join(file)).and_then(|text| text.parse::<u64>().ok());
        let start = if is_partition { number("start")? } else { 0 };
        let sectors = start..start.saturating_add(number("size").unwrap_or(u64::MAX));
        Some(BlockDevice { name, folder, disk, sectors })
    }

    /// The byte of the disk at which the device begins.
    pub(super) fn start(&self) -> u64 {
        self.sectors.start * SECTOR
    }

    /// Whether the disk may be mapped directly.
    fn dax(&self) -> Option<bool> {
        Some(read(&self.disk.join("queue/dax"))? == "1")
    }

    /// Bad sectors, counted from the beginning of this device.
    fn bad(&self) -> Option<Vec<Range<u64>>> {
        let all = parse_bad(&read(&self.disk.join("badblocks"))?);
        let Range { start, end } = self.sectors;
        let inside = |bad: Range<u64>| bad.start.max(start) - start..bad.end.min(end).max(start) - start;
        Some(all.into_iter().map(inside).filter(|bad| !bad.is_empty()).collect())
    }

    /// The region of persistent memory that the disk consists of, and its domain. Linux has no file
    /// for a domain that the platform does not state.
    fn persistence_domain(&self) -> Option<(String, &str)> {
        let named = |folder: &Path| Some(folder.file_name()?.to_str()?.starts_with("region"));
        let region = self.disk.ancestors().find(|folder| named(folder) == Some(true))?;
        let domain = read(&region.join("persistence_domain")).unwrap_or_default();
        Some((domain, region.file_name()?.to_str()?))
    }
}

/// The shorter name under which sysfs also has the device.
fn class_path(folder: &Path, file: &str) -> String {
    format!("/sys/class/block/{}{file}", folder.file_name().unwrap_or_default().display())
}

fn read(file: &Path) -> Option<String> {
    std::fs::read_to_string(file).ok().map(|text| text.trim().to_owned())
}

/// `264272 8`: the first sector, and how many.
fn parse_bad(text: &str) -> Vec<Range<u64>> {
    let range = |line: &str| {
        let (first, count) = line.split_once(' ')?;
        let (first, count): (u64, u64) = (first.parse().ok()?, count.trim().parse().ok()?);
        Some(first..first.checked_add(count)?)
    };
    text.lines().filter_map(range).collect()
}

/// Name, dax flag, bad blocks, persistence domain. `file` is given if it is the user's own.
pub(super) fn rows(device: Option<&BlockDevice>, file: Option<&File>) -> [Row; 4] {
    let Some(device) = device else {
        let none = |name, value| {
            Row::new(name, value, "stat(2), st_dev", "the file system has no block device of its own")
        };
        return [
            none("block_device", Value::text("none")),
            none("block_device_dax", Value::Unknown),
            none("bad_blocks", Value::Unknown),
            none("persistence_domain", Value::Unknown),
        ];
    };
    let name = Row::new(
        "block_device",
        Value::text(&device.name),
        &class_path(&device.folder, ""),
        if device.start() == 0 {
            "a whole device"
        } else {
            "a partition: its start counts for 2 MiB pages, too"
        },
    );
    [name, dax(device), bad_blocks(device, file), persistence_domain(device)]
}

fn dax(device: &BlockDevice) -> Row {
    let source = class_path(&device.disk, "/queue/dax");
    let (value, advice) = match device.dax() {
        Some(true) => (Value::Yes(true), "file systems on it can have DAX"),
        Some(false) => (
            Value::Yes(false),
            "no DAX on it; on persistent memory: `ndctl create-namespace -f -e NAMESPACE -m fsdax`",
        ),
        None => (Value::Unknown, "this kernel does not say"),
    };
    Row::new("block_device_dax", value, &source, advice)
}

fn bad_blocks(device: &BlockDevice, file: Option<&File>) -> Row {
    let source = class_path(&device.disk, "/badblocks");
    let Some(bad) = device.bad() else {
        return Row::new("bad_blocks", Value::Unknown, &source, "this device has no list of them");
    };
    let count: u64 = bad.iter().map(|range| range.end - range.start).sum();
    let advice = match file.and_then(|file| in_file(file, &bad)) {
        _ if count == 0 => "none is known".to_owned(),
        Some(Some(offset)) => format!(
            "sectors of 512 bytes, one at offset {offset} of the file: a load there ends in SIGBUS; write(2) to that page"
        ),
        Some(None) => "sectors of 512 bytes, none of them in the file".to_owned(),
        None => {
            "sectors of 512 bytes: a load there ends in SIGBUS; write(2) to the pages, or allocate them anew"
                .to_owned()
        }
    };
    Row::new("bad_blocks", Value::Count(count), &source, &advice)
}

/// The first byte of the file that is on a bad sector. The outer `None` means that it cannot be
/// found out.
fn in_file(file: &File, bad: &[Range<u64>]) -> Option<Option<u64>> {
    let size = file.metadata().ok()?.len();
    let extents = extents_of(file, size)?;
    let hit = |bad: &Range<u64>| {
        let (first, end) = (bad.start * SECTOR, bad.end * SECTOR);
        extents.iter().find_map(|extent| {
            let at = first.max(extent.physical);
            (at < end.min(extent.physical + extent.length)).then(|| extent.logical + (at - extent.physical))
        })
    };
    Some(bad.iter().filter_map(hit).min())
}

fn persistence_domain(device: &BlockDevice) -> Row {
    match device.persistence_domain() {
        Some((domain, region)) => {
            let advice = match domain.as_str() {
                "cpu_cache" => "caches are flushed when power fails: a store is durable without write-back",
                "memory_controller" => "a cache line is durable once it is written back and fenced",
                _ => "the platform does not state it: what is written back may still be lost",
            };
            let value = if domain.is_empty() { Value::text("unknown") } else { Value::Text(domain) };
            let source = format!("/sys/bus/nd/devices/{region}/persistence_domain");
            Row::new("persistence_domain", value, &source, advice)
        }
        None => Row::new(
            "persistence_domain",
            Value::Unknown,
            "/sys/bus/nd/devices/region*/persistence_domain",
            "not a device of persistent memory",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder_of(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        folder
    }

    fn values(rows: &[Row]) -> Vec<Value> {
        rows.iter().map(|row| row.value.clone()).collect()
    }

    #[test]
    fn a_disk_and_its_partition() {
        let sys = folder_of(&[
            ("region0/persistence_domain", "memory_controller\n"),
            ("region1/pmem1/size", "8\n"),
            ("region0/pmem0/size", "1048576\n"),
            ("region0/pmem0/queue/dax", "1\n"),
            ("region0/pmem0/badblocks", "264272 8\n4096 1\n"),
            ("region0/pmem0/pmem0p1/partition", "1\n"),
            ("region0/pmem0/pmem0p1/start", "4097\n"),
            ("region0/pmem0/pmem0p1/size", "260176\n"),
        ]);
        let disk = BlockDevice::at(&sys.path().join("region0/pmem0")).unwrap();
        let domain = Value::text("memory_controller");
        assert_eq!(
            values(&rows(Some(&disk), None)),
            [Value::text("pmem0"), Value::Yes(true), Value::Count(9), domain.clone()]
        );
        let silent = BlockDevice::at(&sys.path().join("region1/pmem1")).unwrap();
        assert_eq!(silent.persistence_domain(), Some((String::new(), "region1")));
        let partition = BlockDevice::at(&sys.path().join("region0/pmem0/pmem0p1")).unwrap();
        assert_eq!(partition.start(), 4097 * SECTOR);
        // Only the first sector of the eight is inside, and the partition's own entry is before it.
        assert_eq!(partition.bad().unwrap(), vec![260175..260176]);
        assert_eq!(
            values(&rows(Some(&partition), None)),
            [Value::text("pmem0p1"), Value::Yes(true), Value::Count(1), domain]
        );
    }

    #[test]
    fn a_disk_that_says_little() {
        let sys = folder_of(&[("sda/size", "8\n")]);
        let disk = BlockDevice::at(&sys.path().join("sda")).unwrap();
        assert_eq!(
            values(&rows(Some(&disk), None)),
            [Value::text("sda"), Value::Unknown, Value::Unknown, Value::Unknown]
        );
        assert_eq!(values(&rows(None, None))[0], Value::text("none"));
    }

    #[test]
    fn bad_lines_are_passed_over() {
        assert_eq!(parse_bad("1 2\n\nx y\n3\n18446744073709551615 9\n7 1"), vec![1..3, 7..8]);
    }
}
