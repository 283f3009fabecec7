//! Reports what the rounds showed: a table and JSON.

use std::fmt::Write as _;
use std::time::Duration;

use serde::Serialize;

use super::race::Found;
use super::{Layout, Point, Way};
use crate::compare::stats::{Ratio, Spread};
use crate::report::Host;
use crate::report::json::{Rate, Ratio as Quotient};
use crate::report::number::{self, count};

/// Raised when a reader of the previous form would misunderstand the new one.
const SCHEMA: u32 = 1;

/// A whole run with its circumstances.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) host: Host,
    pub(crate) path: String,
    pub(crate) backing: &'static str,
    /// Whether the mapping has MAP_SYNC.
    pub(crate) map_sync: bool,
    /// How a store is made durable.
    pub(crate) durability: String,
    /// The length of a thread's part, in bytes.
    pub(crate) span: usize,
    pub(crate) duration: Duration,
    pub(crate) rounds: usize,
    pub(crate) threads: Vec<usize>,
    /// Operations per second of each point, round by round.
    pub(crate) rates: Vec<(Point, Vec<f64>)>,
    pub(crate) race: Found,
}

impl Report {
    fn rates(&self, point: Point) -> &[f64] {
        self.rates.iter().find(|(other, _)| *other == point).map_or(&[], |(_, rates)| rates)
    }

    /// The rate on one file as a multiple of the rate on a file each.
    fn quotient(&self, threads: usize, way: Way, durable: bool) -> Option<Ratio> {
        let of = |layout| self.rates(Point { threads, way, layout, durable });
        Ratio::of(of(Layout::OneFile), of(Layout::FileEach))
    }

    /// The way's rate on one file as a multiple of the rate of pwrite over written blocks there.
    fn beside_pwrite(&self, threads: usize, way: Way, durable: bool) -> Option<Ratio> {
        let of = |way| self.rates(Point { threads, way, layout: Layout::OneFile, durable });
        Ratio::of(of(way), of(Way::Overwrite))
    }

    /// The report as text.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        self.write_text(&mut text).expect("a string takes everything");
        text
    }

    fn write_text(&self, out: &mut String) -> std::fmt::Result {
        let kernel = self.host.kernel.as_deref().unwrap_or("of an unknown version");
        let cpu = self.host.cpu.as_ref().map_or(String::new(), |cpu| format!(" ({cpu})"));
        writeln!(
            out,
            "\nThe kernel beside us: {} ({}), Linux {kernel}, {} hardware threads{cpu}",
            self.path, self.backing, self.host.hardware_threads
        )?;
        let sync = if self.map_sync { "MAP_SYNC" } else { "MAP_SHARED, because MAP_SYNC does not work here" };
        writeln!(out, "Mapping: {sync}.")?;
        writeln!(out, "Durable: fdatasync after each write; {} after each store.", self.durability)?;
        if self.backing == "tmpfs" {
            writeln!(
                out,
                "On tmpfs nothing is durable: the second table shows what calls and instructions cost."
            )?;
        }
        writeln!(
            out,
            "4 KiB operations, {} KiB for each thread, closed loop, {} rounds of {} ms.",
            self.span >> 10,
            self.rounds,
            self.duration.as_millis()
        )?;
        for (durable, title) in [(false, "as is"), (true, "durable")] {
            writeln!(out, "\nOperations per second, {title}. The quotient is one file / a file each.")?;
            writeln!(
                out,
                "{:19}  {:>7}  {:>9}  {:>9}  {:>8}  {:>13}  {:>9}",
                "way", "threads", "one file", "file each", "quotient", "interval", "× pwrite"
            )?;
            for way in Way::ALL {
                for &threads in &self.threads {
                    let median = |layout| {
                        Spread::of(self.rates(Point { threads, way, layout, durable }))
                            .map_or("–".to_owned(), |spread| number::rate(spread.median))
                    };
                    let quotient = self.quotient(threads, way, durable);
                    writeln!(
                        out,
                        "{:19}  {threads:>7}  {:>9}  {:>9}  {:>8}  {:>13}  {:>9}",
                        way.name(),
                        median(Layout::OneFile),
                        median(Layout::FileEach),
                        or_dash(quotient, number::ratio),
                        or_dash(quotient, number::interval),
                        or_dash(self.beside_pwrite(threads, way, durable), number::ratio),
                    )?;
                }
            }
        }
        writeln!(
            out,
            "\nThe quotient is the median over rounds of the quotients within a round. The interval holds the\n\
             median with {:.0} %. Below 1 the threads lose by sharing one file: to the inode's lock in pwrite,\n\
             to the lock of the row in stores. × pwrite: the rate on one file as a multiple of the rate of\n\
             `{}` there.",
            crate::compare::stats::order_interval(self.rounds).confidence * 100.0,
            Way::Overwrite.name(),
        )?;
        if let Some(&most) = self.threads.iter().max().filter(|most| **most > 1) {
            let of = |way| or_dash(self.quotient(most, way, false), number::with_interval);
            writeln!(
                out,
                "\nThe rate of {most} threads on one file, as a multiple of their rate on a file each:\n\
                 pwrite over written blocks {}, stores under a range lock {},\n\
                 stores under one RwLock {}.",
                of(Way::Overwrite),
                of(Way::RangeLock),
                of(Way::RwLock),
            )?;
        }
        let Found { writes, seen_as_hole, stale } = self.race;
        writeln!(
            out,
            "The race of write(2) and faults: {} writes into holes, {} of them where a load had found the\n\
             hole, {} stale loads (0 are expected from Linux 4.12 on).",
            count(writes),
            count(seen_as_hole),
            count(stale)
        )?;
        if seen_as_hole == 0 {
            writeln!(
                out,
                "No load found a hole, so this shows nothing: give each thread more bytes (--size)."
            )?;
        }
        Ok(())
    }

    /// The report as one JSON object, with a newline at its end.
    pub(crate) fn json(&self) -> Vec<u8> {
        let results = self.rates.iter().filter_map(|(point, rates)| {
            Some(Entry {
                way: point.way.name(),
                files: if point.layout == Layout::OneFile { "one" } else { "each" },
                threads: point.threads,
                durable: point.durable,
                ops_per_s: Spread::of(rates)?.into(),
            })
        });
        let quotients = self.threads.iter().flat_map(|&threads| {
            Way::ALL.into_iter().flat_map(move |way| {
                [false, true].map(|durable| Quotients {
                    way: way.name(),
                    threads,
                    durable,
                    one_file_to_file_each: self.quotient(threads, way, durable).map(Into::into),
                    to_pwrite_overwrite: self.beside_pwrite(threads, way, durable).map(Into::into),
                })
            })
        });
        let document = Document {
            schema: SCHEMA,
            command: "kernel",
            hardware_threads: self.host.hardware_threads,
            cpu: self.host.cpu.as_deref(),
            kernel: self.host.kernel.as_deref(),
            path: &self.path,
            backing: self.backing,
            map_sync: self.map_sync,
            durable_store: &self.durability,
            bytes_for_each_thread: self.span,
            duration_ms: self.duration.as_millis(),
            rounds: self.rounds,
            results: results.collect(),
            quotients: quotients.collect(),
            race: Race {
                writes_into_holes: self.race.writes,
                seen_as_hole: self.race.seen_as_hole,
                stale_loads: self.race.stale,
            },
        };
        let mut bytes = serde_json::to_vec_pretty(&document).expect("plain data has a JSON form");
        bytes.push(b'\n');
        bytes
    }
}

#[derive(Serialize)]
struct Document<'a> {
    schema: u32,
    command: &'static str,
    hardware_threads: usize,
    cpu: Option<&'a str>,
    kernel: Option<&'a str>,
    path: &'a str,
    backing: &'static str,
    map_sync: bool,
    durable_store: &'a str,
    bytes_for_each_thread: usize,
    duration_ms: u128,
    rounds: usize,
    results: Vec<Entry>,
    quotients: Vec<Quotients>,
    race: Race,
}

#[derive(Serialize)]
struct Entry {
    way: &'static str,
    files: &'static str,
    threads: usize,
    durable: bool,
    ops_per_s: Rate,
}

#[derive(Serialize)]
struct Quotients {
    way: &'static str,
    threads: usize,
    durable: bool,
    one_file_to_file_each: Option<Quotient>,
    /// The rate on one file as a multiple of pwrite's there.
    to_pwrite_overwrite: Option<Quotient>,
}

/// The ratio as `written` writes it, or a dash if there is none.
fn or_dash(ratio: Option<Ratio>, written: impl FnOnce(Ratio) -> String) -> String {
    ratio.map_or_else(|| "–".to_owned(), written)
}

#[derive(Serialize)]
struct Race {
    writes_into_holes: u64,
    seen_as_hole: u64,
    stale_loads: u64,
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn report(stale: u64) -> Report {
        let mut rates = Vec::new();
        for threads in [1, 4] {
            for way in Way::ALL {
                for durable in [false, true] {
                    for layout in [Layout::OneFile, Layout::FileEach] {
                        // A lock on the inode: four threads on one file do what one thread does.
                        let shared = layout == Layout::OneFile && !way.is_store();
                        let rate = if shared { 1e5 } else { 1e5 * threads as f64 };
                        // The machine was twice as fast in the second round.
                        let of_rounds = vec![rate, 2.0 * rate, rate];
                        rates.push((Point { threads, way, layout, durable }, of_rounds));
                    }
                }
            }
        }
        Report {
            host: Host { hardware_threads: 2, cpu: None, kernel: Some("6.1.0".to_owned()), governor: None },
            path: "/dev/shm/file".to_owned(),
            backing: "tmpfs",
            map_sync: false,
            durability: "clwb, sfence".to_owned(),
            span: 8 << 20,
            duration: Duration::from_millis(30),
            rounds: 3,
            threads: vec![1, 4],
            rates,
            race: Found { writes: 4096, seen_as_hole: 1000, stale },
        }
    }

    #[test]
    fn quotients_are_taken_within_a_round() {
        let report = report(0);
        let quotient = report.quotient(4, Way::Overwrite, false).unwrap();
        assert_eq!((quotient.median, quotient.low, quotient.high), (0.25, 0.25, 0.25));
        assert_eq!(report.quotient(4, Way::RangeLock, true).unwrap().median, 1.0);
        assert_eq!(report.beside_pwrite(4, Way::RangeLock, false).unwrap().median, 4.0);
    }

    #[test]
    fn the_text_keeps_within_a_page_and_names_what_was_measured() {
        let text = report(3).text();
        for line in text.lines() {
            assert!(line.chars().count() <= 100, "{line}");
        }
        for part in
            ["/dev/shm/file (tmpfs)", "MAP_SYNC does not work", "clwb, sfence", "0.25×", "3 stale loads"]
        {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(!text.contains("shows nothing"), "{text}");
    }

    #[test]
    fn a_race_that_no_load_took_part_in_is_marked() {
        let mut report = report(0);
        report.race.seen_as_hole = 0;
        let text = report.text();
        assert!(text.contains("No load found a hole, so this shows nothing"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
    }

    #[test]
    fn the_schema_is_kept() {
        let document: Value = serde_json::from_slice(&report(3).json()).unwrap();
        assert_eq!(document["schema"], 1);
        assert_eq!(document["map_sync"], false);
        assert_eq!(document["results"].as_array().unwrap().len(), 2 * 6 * 2 * 2);
        assert_eq!(document["quotients"].as_array().unwrap().len(), 2 * 6 * 2);
        let of = |way: &str| {
            let found = document["quotients"].as_array().unwrap().iter();
            let mut found = found.filter(|q| q["way"] == way && q["threads"] == 4 && q["durable"] == false);
            found.next().unwrap()["one_file_to_file_each"]["median"].clone()
        };
        assert_eq!(of("pwrite, hole"), 0.25);
        assert_eq!(of("store, RangeRwLock"), 1.0);
        assert_eq!(document["race"]["stale_loads"], 3);
    }
}
