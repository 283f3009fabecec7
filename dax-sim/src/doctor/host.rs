//! Describes the machine: write-back, CPUs, huge pages.

use super::mount::Mount;
use super::{Row, Value};
use crate::pmem::WriteBack;

/// The rows about the machine.
pub(super) fn rows(mount: Option<&Mount>, is_dax: bool) -> [Row; 3] {
    [write_back(is_dax), cores(), huge_pages(mount, is_dax)]
}

/// The best instruction that the CPU has.
fn write_back(is_dax: bool) -> Row {
    const SOURCE: &str = "CPUID, leaf 7";
    let instruction = WriteBack::detect().name();
    let advice = match (is_dax, instruction) {
        (false, _) => "not needed here: msync makes data durable, if anything does",
        (true, "clwb") => "keeps the line in the cache; sfence waits for it",
        (true, "clflushopt") => "takes the line out of the cache, without an order; sfence waits for it",
        (true, _) => "takes the line out of the cache, one after the other: the slowest of the three",
    };
    Row::new("write_back", Value::text(instruction), SOURCE, advice)
}

fn cores() -> Row {
    const SOURCE: &str = "sched_getaffinity(2)";
    let advice = |count| match count {
        1 => "no two threads run at once: neither scaling nor most races can be seen",
        _ => "more threads than these are oversubscribed, and `compare` marks them",
    };
    match std::thread::available_parallelism() {
        Ok(count) => Row::new("cores", Value::Count(count.get() as u64), SOURCE, advice(count.get())),
        Err(error) => Row::new("cores", Value::Unknown, SOURCE, &error.to_string()),
    }
}

/// On tmpfs the mount decides, elsewhere the machine.
fn huge_pages(mount: Option<&Mount>, is_dax: bool) -> Row {
    const SETTING: &str = "/sys/kernel/mm/transparent_hugepage/enabled";
    if let Some(mount) = mount.filter(|mount| mount.kind == "tmpfs") {
        let huge = mount.option("huge").unwrap_or("never");
        let advice = match huge {
            "never" => "4 KiB pages; for 2 MiB mount with `-o huge=within_size`",
            _ => "2 MiB pages where there is memory for them",
        };
        return Row::new("huge_pages", Value::text(huge), "mount option huge", advice);
    }
    let setting = std::fs::read_to_string(SETTING).ok().and_then(|text| chosen(&text));
    let advice = match (&setting, is_dax) {
        (None, _) => "a kernel without huge pages maps 4 KiB at a time, also on DAX",
        (Some(_), true) => "DAX maps 2 MiB whatever this says, where extents allow it",
        (Some(_), false) => "for anonymous memory; it changes nothing for files",
    };
    Row::new("huge_pages", setting.map_or(Value::Unknown, Value::Text), SETTING, advice)
}

/// `always [madvise] never`
fn chosen(text: &str) -> Option<String> {
    Some(text.split_once('[')?.1.split_once(']')?.0.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_setting_in_brackets_is_the_one() {
        assert_eq!(chosen("always [madvise] never\n").as_deref(), Some("madvise"));
        assert_eq!(chosen("always"), None);
    }
}
