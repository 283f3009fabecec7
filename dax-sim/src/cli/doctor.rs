//! `dax-sim doctor`: reports what a folder or a file can do, as a table or as JSON.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use serde::ser::{Serialize, SerializeMap, Serializer};

use super::{Failure, answer, one_line};
use crate::doctor::{self, Row, Value};
use crate::report::table::terminal_width;
use crate::text::{fold, push_folded, push_row};

/// Where `compare` puts its temporary file.
const DEFAULT: &str = "/dev/shm";
/// Blanks between columns.
const GAP: usize = 2;
/// Wider prose is tiring to read.
const WIDEST: usize = 100;
/// The widest column of values: a mount may have many options.
const WIDEST_VALUE: usize = 24;
const LEAST_ADVICE: usize = 20;

/// Options of `dax-sim doctor`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
The command changes no contents. In a folder it examines a temporary file without a name, of 64 MiB, or of \
4 MiB if there is no room for 64 MiB. The bytes of a file stay as they are. The measurement of faults changes \
the time of change of the file. The measurement maps an aligned 2 MiB of the file without a hole.

The exit code is 0 after a report. It is 2 if PATH does not exist, or is neither a file nor a folder.")]
pub(crate) struct DoctorOptions {
    /// A folder or a file [default: /dev/shm, where `compare` puts its temporary file]
    #[arg(value_name = "PATH")]
    path: Option<PathBuf>,

    /// Print JSON: one field for each row, with value, source and advice
    #[arg(long)]
    json: bool,
}

/// Examines the path, and prints what was found.
pub(super) fn run(options: &DoctorOptions) -> Result<ExitCode, Failure> {
    let path = options.path.as_deref().unwrap_or(Path::new(DEFAULT));
    let rows = doctor::examine(path).map_err(Failure::refused)?;
    answer(&if options.json { json(&rows) } else { table(&rows, terminal_width().unwrap_or(WIDEST)) })
}

fn json(rows: &[Row]) -> String {
    let mut text = serde_json::to_string_pretty(&Rows(rows)).expect("plain data has a JSON form");
    text.push('\n');
    text
}

/// The rows in their order, which a map would lose.
struct Rows<'a>(&'a [Row]);

impl Serialize for Rows<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(Some(self.0.len()))?;
        for row in self.0 {
            map.serialize_entry(row.name, &Field(row))?;
        }
        map.end()
    }
}

struct Field<'a>(&'a Row);

impl Serialize for Field<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(Some(3))?;
        match &self.0.value {
            Value::Text(text) => map.serialize_entry("value", text)?,
            Value::Count(number) | Value::Bytes(number) => map.serialize_entry("value", number)?,
            Value::Yes(is_so) => map.serialize_entry("value", is_so)?,
            Value::Unknown => map.serialize_entry("value", &())?,
        }
        map.serialize_entry("source", &self.0.source)?;
        map.serialize_entry("advice", &self.0.advice)?;
        map.end()
    }
}

/// Three columns: the name, the value, and the advice with its source below. Where three do not
/// fit, the advice stands below the name and the value.
fn table(rows: &[Row], width: usize) -> String {
    let names: Vec<String> = rows.iter().map(|row| row.name.replace('_', " ")).collect();
    let values: Vec<String> = rows.iter().map(|row| shown(&row.value)).collect();
    let longest = |column: &[String]| column.iter().map(|cell| cell.chars().count()).max().unwrap_or(0);
    let (first, second) = (longest(&names), longest(&values).min(WIDEST_VALUE));
    let third = width.min(WIDEST).saturating_sub(first + second + 2 * GAP);
    let mut text = String::new();
    if third < LEAST_ADVICE {
        for ((row, name), value) in rows.iter().zip(names).zip(values) {
            let value = one_line(value).replace(',', ", ");
            for line in fold(&format!("{name}: {value}"), width, GAP) {
                text.push_str(&line.replace(", ", ","));
                text.push('\n');
            }
            for below in [one_line(&row.advice), format!("[{}]", one_line(&row.source))] {
                push_folded(&mut text, &format!("{:GAP$}{below}", ""), Some(width), 0);
            }
        }
        return text;
    }
    for ((row, name), value) in rows.iter().zip(names).zip(values) {
        let mut last = fold(&one_line(&row.advice), third, 0);
        last.extend(fold(&format!("[{}]", one_line(&row.source)), third, 0));
        // A list of options has no blanks at which it could be folded.
        let value = one_line(value).replace(',', ", ");
        let value = fold(&value, second, 0).into_iter().map(|line| line.replace(", ", ",")).collect();
        push_row(&mut text, &[vec![name], value, last], &[first, second, third], GAP);
    }
    text
}

fn shown(value: &Value) -> String {
    match value {
        Value::Text(text) => text.clone(),
        Value::Count(number) => number.to_string(),
        Value::Bytes(bytes) if bytes.is_multiple_of(1 << 20) => format!("{} MiB", bytes >> 20),
        Value::Bytes(bytes) if bytes.is_multiple_of(1 << 10) => format!("{} KiB", bytes >> 10),
        Value::Bytes(bytes) => format!("{bytes} bytes"),
        Value::Yes(true) => "yes".to_owned(),
        Value::Yes(false) => "no".to_owned(),
        Value::Unknown => "unknown".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<Row> {
        let row = |name, value| Row {
            name,
            value,
            source: "a call".to_owned(),
            advice: "advice of several words that is folded where the table is narrow".to_owned(),
        };
        vec![
            row("z_first", Value::Text("rw,noatime,dax=always,stripe=512,more".to_owned())),
            row("fault_size", Value::Bytes(2 << 20)),
            row("cores", Value::Count(2)),
            row("map_sync", Value::Yes(false)),
            row("bad_blocks", Value::Unknown),
        ]
    }

    #[test]
    fn the_json_has_a_field_for_each_row_in_order() {
        let text = json(&rows());
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value.as_object().unwrap().len(), 5);
        assert_eq!(value["fault_size"]["value"], 2 << 20);
        assert_eq!(value["map_sync"]["value"], false);
        assert_eq!(value["bad_blocks"]["value"], serde_json::Value::Null);
        assert_eq!(value["cores"]["source"], "a call");
        assert!(text.find("z_first").unwrap() < text.find("cores").unwrap());
    }

    #[test]
    fn the_table_keeps_within_its_width() {
        let text = table(&rows(), 70);
        assert!(text.lines().all(|line| line.chars().count() <= 70), "{text}");
        for part in ["z first", "2 MiB", "[a call]", "unknown", " no "] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }

    #[test]
    fn where_three_columns_do_not_fit_the_advice_stands_below() {
        let text = table(&rows(), 40);
        assert!(text.lines().all(|line| line.chars().count() <= 40), "{text}");
        let expected = "fault size: 2 MiB\n  advice of several words that is folded\n  where the table is narrow\n  [a call]\n";
        assert!(text.contains(expected), "{text}");
    }
}
