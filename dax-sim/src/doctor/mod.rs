//! Reports what a path or its file system can do, as rows of facts. Each row says where its fact
//! comes from and what to do about it. It uses the device's questions to the kernel.
//!
//! The user's data stay unchanged. A folder is examined by a temporary file without a name, and the
//! bytes of a file stay as they are.

mod block;
mod fault;
mod host;
mod mount;
mod place;

use std::io;
use std::path::Path;

pub(crate) use place::Refused;

use crate::pmem::{self, Backing};
use block::BlockDevice;
use fault::{Fault, Reason};
use mount::Mount;
use place::Place;

/// How many bytes one entry of the upper page table maps.
const HUGE: u64 = 2 << 20;

/// The value of a fact.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    /// A word or a few.
    Text(String),
    /// A number of what the row's name says.
    Count(u64),
    /// A number of bytes.
    Bytes(u64),
    /// Whether the fact holds.
    Yes(bool),
    /// The machine does not report it.
    Unknown,
}

impl Value {
    fn text(text: &str) -> Value {
        Value::Text(text.to_owned())
    }
}

/// One fact, its source, and what follows from it.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// The name in the JSON: words with underscores between them.
    pub(crate) name: &'static str,
    pub(crate) value: Value,
    /// A path or a call.
    pub(crate) source: String,
    pub(crate) advice: String,
}

impl Row {
    fn new(name: &'static str, value: Value, source: &str, advice: &str) -> Row {
        Row { name, value, source: source.to_owned(), advice: advice.to_owned() }
    }
}

/// All facts about the folder or the regular file.
///
/// # Errors
///
/// One line, if there is no such file or folder, or if `path` is something else.
pub(crate) fn examine(path: &Path) -> Result<Vec<Row>, Refused> {
    let place = Place::find(path)?;
    let mount = Mount::of(place.handle());
    let block = BlockDevice::of(place.handle(), mount.as_ref());
    let probe = place.probe();
    let backing = probe.as_ref().ok().map(Backing::of);
    let is_dax = backing.is_some_and(Backing::is_dax);

    let mut rows = vec![place.row()];
    rows.extend(mount::rows(mount.as_ref()));
    let no_file = probe.as_ref().err().map_or("", String::as_str);
    rows.push(map_sync(probe.as_ref().ok().map(pmem::map_sync), no_file));
    rows.push(dax_attribute(probe.as_ref().ok().map(pmem::dax_attribute), no_file));
    rows.push(what_stands_behind(backing, no_file));
    let (fault, reason) = match &probe {
        Ok(file) => {
            let start = block.as_ref().map_or(0, BlockDevice::start);
            let window = fault::Window::choose(file, !place.is_folder(), start);
            (window.measure(file), window.predict(is_dax))
        }
        Err(why) => (Fault::Unknown(why.clone()), Reason::Unknown(why.clone())),
    };
    let kind = mount.as_ref().map_or("", |mount| &mount.kind);
    rows.push(fault.row(is_dax, place.is_folder()));
    rows.push(reason.row(kind));
    let file = (!place.is_folder()).then_some(probe.as_ref().ok()).flatten();
    rows.extend(block::rows(block.as_ref(), file));
    rows.extend(host::rows(mount.as_ref(), is_dax));
    Ok(rows)
}

fn map_sync(answer: Option<io::Result<()>>, no_file: &str) -> Row {
    const SOURCE: &str = "mmap(MAP_SHARED_VALIDATE | MAP_SYNC)";
    match answer {
        Some(Ok(())) => Row::new(
            "map_sync",
            Value::Yes(true),
            SOURCE,
            "a store is durable once its cache line is written back; no fsync for metadata",
        ),
        Some(Err(error)) => Row::new(
            "map_sync",
            Value::Yes(false),
            SOURCE,
            &format!(
                "refused ({error}): durable after msync or fsync only; on pmem mount with `-o dax=always`"
            ),
        ),
        None => Row::new("map_sync", Value::Unknown, SOURCE, no_file),
    }
}

fn dax_attribute(answer: Option<io::Result<bool>>, no_file: &str) -> Row {
    const SOURCE: &str = "statx(2), STATX_ATTR_DAX";
    let (value, advice) = match answer {
        Some(Ok(true)) => {
            (Value::Yes(true), "loads and stores reach the medium without the page cache".to_owned())
        }
        Some(Ok(false)) => (
            Value::Yes(false),
            "stores reach the page cache; on pmem mount with `-o dax=always`, or `dax=inode` and `chattr +x`"
                .to_owned(),
        ),
        Some(Err(error)) => (Value::Unknown, error.to_string()),
        None => (Value::Unknown, no_file.to_owned()),
    };
    Row::new("dax_attribute", value, SOURCE, &advice)
}

fn what_stands_behind(backing: Option<Backing>, no_file: &str) -> Row {
    let advice = match backing {
        Some(Backing::PmemSync) => "real DAX: `dax-sim compare --file` here stores to the medium itself",
        Some(Backing::Dax) => "real DAX without MAP_SYNC: as on virtio-pmem, msync makes data durable",
        Some(Backing::PageCache) => {
            "the page cache: DAX is simulated on top of it, and msync makes data durable"
        }
        Some(Backing::Tmpfs | Backing::Memfd) => {
            "memory: DAX is simulated on top of it, and nothing is durable"
        }
        None => no_file,
    };
    let value = backing.map_or(Value::Unknown, |backing| Value::text(backing.name()));
    Row::new("backing", value, "map_sync, dax_attribute, statfs(2)", advice)
}
