//! Describes the file system that a file is on, from /proc/self/mountinfo.

use std::fs::File;
use std::os::fd::AsRawFd;

use super::{Row, Value};

const SOURCE: &str = "/proc/self/mountinfo";

/// A line of /proc/self/mountinfo.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Mount {
    /// `ext4`, `tmpfs`.
    pub(super) kind: String,
    /// The options of the mount and of the file system, joined as in /proc/mounts.
    pub(super) options: String,
    /// What was mounted: often a device.
    pub(super) what: String,
    /// Where it was mounted.
    at: String,
}

impl Mount {
    /// The mount by which the file was opened.
    pub(super) fn of(file: &File) -> Option<Mount> {
        let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", file.as_raw_fd())).ok()?;
        let id = info.lines().find_map(|line| line.strip_prefix("mnt_id:"))?.trim();
        let mounts = std::fs::read_to_string(SOURCE).ok()?;
        mounts.lines().find(|line| line.split(' ').next() == Some(id)).and_then(Mount::parse)
    }

    /// `36 35 98:0 /root /mnt rw,noatime master:1 - ext3 /dev/root rw,errors=continue`
    fn parse(line: &str) -> Option<Mount> {
        let (before, after) = line.split_once(" - ")?;
        let before: Vec<&str> = before.split(' ').collect();
        let after: Vec<&str> = after.split(' ').collect();
        let mut options: Vec<&str> = before.get(5)?.split(',').collect();
        for option in after.get(2)?.split(',') {
            if !options.contains(&option) {
                options.push(option);
            }
        }
        Some(Mount {
            kind: unescaped(after.first()?),
            options: options.join(","),
            what: unescaped(after.get(1)?),
            at: unescaped(before.get(4)?),
        })
    }

    /// The value of an option: `always`, of `dax=always`. Empty for an option without a value.
    pub(super) fn option(&self, name: &str) -> Option<&str> {
        self.options.split(',').find_map(|option| match option.split_once('=') {
            Some((found, value)) => (found == name).then_some(value),
            None => (option == name).then_some(""),
        })
    }
}

/// Resolves escapes: a blank is written `\040`.
fn unescaped(text: &str) -> String {
    let mut parts = text.split('\\');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.get(..3).and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => {
                plain.push(char::from(byte));
                plain.push_str(&part[3..]);
            }
            None => {
                plain.push('\\');
                plain.push_str(part);
            }
        }
    }
    plain
}

/// The rows about type and options.
pub(super) fn rows(mount: Option<&Mount>) -> [Row; 2] {
    let Some(mount) = mount else {
        let unknown = |name| Row::new(name, Value::Unknown, SOURCE, "mount /proc to learn it");
        return [unknown("file_system"), unknown("mount_options")];
    };
    let on_it = match mount.kind.as_str() {
        "ext4" | "xfs" => "can have DAX, if its device is persistent memory",
        "tmpfs" => "memory: fast, and gone after a restart",
        _ => "DAX is known of ext4, xfs and virtiofs; here expect the page cache",
    };
    let kind = format!("mounted at `{}` from `{}`; {on_it}", mount.at, mount.what);
    let options = match mount.option("dax") {
        Some("always" | "") => "dax=always: every file is DAX",
        Some("never") => "dax=never: no file is DAX; mount with `-o dax=always`",
        Some(_) => "dax=inode: files are DAX that have the flag, which `chattr +x FOLDER` hands down",
        None if matches!(mount.kind.as_str(), "ext4" | "xfs") => {
            "no dax option: files are DAX that have the flag, if the device can"
        }
        None => "none that concerns DAX",
    };
    [
        Row::new("file_system", Value::text(&mount.kind), SOURCE, &kind),
        Row::new("mount_options", Value::text(&mount.options), SOURCE, options),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read() {
        let line =
            "36 35 98:0 / /mnt/a\\040b\\x rw,noatime master:1 shared:2 - ext4 /dev/pmem0 rw,dax=always,huge";
        let mount = Mount::parse(line).unwrap();
        assert_eq!(
            (mount.kind.as_str(), mount.options.as_str(), mount.what.as_str(), mount.at.as_str()),
            ("ext4", "rw,noatime,dax=always,huge", "/dev/pmem0", "/mnt/a b\\x")
        );
        assert_eq!(mount.option("dax"), Some("always"));
        assert_eq!((mount.option("huge"), mount.option("da")), (Some(""), None));
        for line in ["", "36 35", "36 35 98:0 / /mnt rw", "a - b", "36 35 98:0 / /mnt rw - ext4 /dev/x"] {
            assert_eq!(Mount::parse(line), None, "{line}");
        }
    }

    #[test]
    fn advice_follows_the_options() {
        let with = |options: &str| {
            let mount = Mount {
                kind: "ext4".to_owned(),
                options: options.to_owned(),
                what: "/dev/pmem0".to_owned(),
                at: "/mnt".to_owned(),
            };
            let [_, options] = rows(Some(&mount));
            options.advice
        };
        let said = ["rw,dax", "rw,dax=never", "rw,dax=inode", "rw"].map(with);
        assert!(said[0].contains("every file is DAX"), "{said:?}");
        assert!(said[1].contains("no file is DAX"), "{said:?}");
        assert!(said[2].contains("chattr +x"), "{said:?}");
        assert!(said[3].contains("no dax option"), "{said:?}");
    }

    #[test]
    fn the_mount_of_a_file_is_found() {
        let mount = Mount::of(&File::open("/proc").unwrap()).unwrap();
        assert_eq!((mount.kind.as_str(), mount.at.as_str()), ("proc", "/proc"));
    }
}
