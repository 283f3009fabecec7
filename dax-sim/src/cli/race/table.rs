//! Draws the table of `race --all`: a row for each scenario, a column for each variant.
//!
//! If the terminal is too narrow for all variants they stand in blocks, one below the other.

use crate::explore::Cell;
use crate::report::number;
use crate::text::push_row;
use crate::variant::Variant;

/// Blanks between columns.
const GAP: usize = 2;

/// The most characters of a seed that a cell has room for.
const LONGEST: usize = 16;

/// The contents of a place: its lines.
type Lines = Vec<String>;

/// A variant: its name, and below it a cell for each scenario.
struct Column {
    head: Lines,
    cells: Vec<Lines>,
    width: usize,
}

/// The cells as a table of at most `width` columns. Without a `width` all variants stand side by
/// side. The cells come scenario by scenario, each in all variants.
pub(super) fn render(variants: &[Variant], cells: &[Cell], width: Option<usize>) -> String {
    let rows: Vec<&[Cell]> = cells.chunks(variants.len()).collect();
    let columns: Vec<Column> = (0..variants.len())
        .map(|at| Column::new(variants[at], rows.iter().map(|row| show(&row[at])).collect(), width.is_some()))
        .collect();
    let widest = columns.iter().map(|column| column.width).max().unwrap_or(0);
    let names = |width: usize| -> Vec<Lines> {
        let names = ["scenario"].into_iter().chain(rows.iter().map(|row| row[0].scenario.name.as_str()));
        names.map(|name| fold_name(name, width)).collect()
    };
    let longest = |names: &[Lines]| names.iter().flatten().map(String::len).max().unwrap_or(0);
    let room = width.map_or(usize::MAX, |width| width.saturating_sub(GAP + widest));
    let names = names(longest(&names(usize::MAX)).min(room));
    let name_width = longest(&names);

    let mut text = String::new();
    for block in blocks(&columns, width.map(|width| width.saturating_sub(name_width))) {
        if !text.is_empty() {
            text.push('\n');
        }
        let widths: Vec<usize> =
            std::iter::once(name_width).chain(block.iter().map(|column| column.width)).collect();
        let mut push = |name: &Lines, lines: &dyn Fn(&Column) -> Lines| {
            let row: Vec<Lines> = std::iter::once(name.clone()).chain(block.iter().map(lines)).collect();
            push_row(&mut text, &row, &widths, GAP);
        };
        push(&names[0], &|column| column.head.clone());
        push(&vec!["─".repeat(name_width)], &|column| vec!["─".repeat(column.width)]);
        for (row, name) in names[1..].iter().enumerate() {
            push(name, &|column| column.cells[row].clone());
        }
    }
    text
}

impl Column {
    /// Names are folded only for a terminal: elsewhere tools search for them.
    fn new(variant: Variant, cells: Vec<Lines>, folded: bool) -> Self {
        let widest =
            |lines: &mut dyn Iterator<Item = &String>| lines.map(|line| line.len()).max().unwrap_or(0);
        let room = if folded { widest(&mut cells.iter().flatten()) } else { usize::MAX };
        let head = fold_name(variant.name(), room);
        let width = widest(&mut head.iter().chain(cells.iter().flatten()));
        Self { head, cells, width }
    }
}

/// The columns in as few blocks as have room, of about equal widths.
fn blocks(columns: &[Column], room: Option<usize>) -> Vec<&[Column]> {
    let Some(room) = room else { return vec![columns] };
    let fewest = fill(columns, room).len();
    let least = (0..room).find(|&room| fill(columns, room).len() == fewest);
    fill(columns, least.unwrap_or(room))
}

/// As many columns in each block as fit, and at least one.
fn fill(columns: &[Column], room: usize) -> Vec<&[Column]> {
    let mut blocks = Vec::new();
    let mut rest = columns;
    while !rest.is_empty() {
        let mut used = 0;
        let fitting = rest.iter().take_while(|column| {
            used += GAP + column.width;
            used <= room
        });
        let (block, others) = rest.split_at(fitting.count().max(1));
        blocks.push(block);
        rest = others;
    }
    blocks
}

/// A name in lines of at most `width` characters where possible, broken after hyphens.
fn fold_name(name: &str, width: usize) -> Lines {
    let mut lines = Lines::new();
    for part in name.split_inclusive('-') {
        match lines.last_mut() {
            Some(line) if line.len() + part.len() <= width => line.push_str(part),
            _ => lines.push(part.to_owned()),
        }
    }
    lines
}

fn show(cell: &Cell) -> Lines {
    let Some(failure) = &cell.shortest else { return vec![number::count(cell.schedules())] };
    let broken: Vec<&str> = cell.broken.iter().map(|broken| broken.name()).collect();
    let share = cell.exhaustive.failed as f64 / cell.exhaustive.run as f64 * 100.0;
    let mark = if cell.is_as_expected() { "" } else { " !" };
    let seed = failure.seed.to_string();
    let seed = if fits(&seed) { seed } else { "(below)".into() };
    vec![format!("{}{mark} {share:.1} %", broken.join("+")), format!("{} at {seed}", failure.steps)]
}

/// Whether a cell has room for the seed. The other seeds stand below the table, each in a line of
/// its own.
pub(super) fn fits(seed: &str) -> bool {
    seed.len() <= LONGEST
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::explore::{Effort, SCENARIOS, explore};

    #[test]
    fn names_are_broken_after_hyphens_where_they_are_too_long() {
        assert_eq!(fold_name("read-fault-vs-write-fault", 14), ["read-fault-vs-", "write-fault"]);
        assert_eq!(fold_name("range-lock", 10), ["range-lock"]);
        assert_eq!(fold_name("unserialised", 3), ["unserialised"]);
    }

    #[test]
    fn a_table_fits_the_terminal_and_has_every_cell_once() {
        let effort = Effort { preemptions: 1, random: 10 };
        let scenarios = &SCENARIOS[..6];
        let cells: Vec<Cell> = scenarios
            .iter()
            .flat_map(|scenario| Variant::ALL.map(|variant| explore(scenario, variant, effort).unwrap()))
            .collect();
        let words = |text: &str| {
            let mut words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
            words.retain(|word| word.starts_with(|c: char| c.is_ascii_digit()));
            // Parts of names that are folded.
            words.retain(|word| !["4.11", "4.12"].contains(&word.as_str()));
            words.sort();
            words
        };
        let all = render(&Variant::ALL, &cells, None);
        assert_eq!(all.matches("scenario").count(), 1, "{all}");
        for width in [40, 60, 80, 120, 200] {
            let table = render(&Variant::ALL, &cells, Some(width));
            let widest = table.lines().map(|line| line.chars().count()).max().unwrap();
            assert!(widest <= width, "{width}:\n{table}");
            assert_eq!(words(&table), words(&all), "{width}:\n{table}");
        }
        let narrow = render(&Variant::ALL, &cells, Some(80));
        assert!(narrow.matches("scenario").count() < 4, "blocks are filled:\n{narrow}");
    }
}
