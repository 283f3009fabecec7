//! Prose that fits a width, and columns whose cells do; it uses no other room.

/// The lines of `text`, each of at most `width` characters where its words are: broken at blanks,
/// never within a word. Those after the first begin with as many blanks as the first, and `hang`
/// more.
pub(crate) fn fold(text: &str, width: usize, hang: usize) -> Vec<String> {
    let words = text.trim_start();
    let indent = text.len() - words.len();
    let mut lines = vec![" ".repeat(indent)];
    let mut used = indent;
    let mut is_first = true;
    for word in words.split(' ') {
        let length = word.chars().count();
        if !is_first && used + 1 + length > width {
            used = indent + hang;
            lines.push(" ".repeat(used));
        } else if !is_first {
            lines.last_mut().expect("there is one").push(' ');
            used += 1;
        }
        lines.last_mut().expect("there is one").push_str(word);
        used += length;
        is_first = false;
    }
    lines
}

/// Appends `text`, line by line, each folded to `width` if there is one.
pub(crate) fn push_folded(to: &mut String, text: &str, width: Option<usize>, hang: usize) {
    for line in text.lines() {
        for line in fold(line, width.unwrap_or(usize::MAX), hang) {
            to.push_str(&line);
            to.push('\n');
        }
    }
}

/// Appends one row of a table: cells of several lines, side by side in columns of these widths,
/// `gap` blanks between them.
pub(crate) fn push_row(to: &mut String, cells: &[Vec<String>], widths: &[usize], gap: usize) {
    for line in 0..cells.iter().map(Vec::len).max().unwrap_or(0) {
        let mut row = String::new();
        for (cell, &width) in cells.iter().zip(widths) {
            let text = cell.get(line).map_or("", String::as_str);
            row.push_str(&format!("{text:width$}{:gap$}", ""));
        }
        to.push_str(row.trim_end());
        to.push('\n');
    }
}

/// How many columns of a word from outside a message shows.
const QUOTED: usize = 40;

/// A word from outside, for a message: in backquotes, with what cannot be printed escaped, and cut
/// if it is long. A damaged file may have a word of any length, or none that ends.
pub(crate) fn quoted(word: &str) -> String {
    let mut text = String::from("`");
    let mut used = 0;
    for (shown, c) in word.chars().enumerate() {
        let escaped = c.escape_debug();
        used += escaped.len();
        if used > QUOTED {
            return format!("{text}…` (and {} characters more)", word.chars().count() - shown);
        }
        text.extend(escaped);
    }
    text.push('`');
    text
}

/// A line with its very long words cut, of which others have made a message.
pub(crate) fn with_words_cut(line: &str) -> String {
    /// No name of a file is longer.
    const LONGEST: usize = 4096;
    let cut = |word: &str| match word.chars().count() {
        length if length > LONGEST => {
            let head: String = word.chars().take(QUOTED).collect();
            format!("{head}… (and {} characters more)", length - QUOTED)
        }
        _ => word.to_owned(),
    };
    line.split(' ').map(cut).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_words_are_quoted_cut() {
        let just = "x".repeat(QUOTED);
        assert_eq!(quoted(&just), format!("`{just}`"));
        assert_eq!(quoted(&format!("{just}yz")), format!("`{just}…` (and 2 characters more)"));
        assert_eq!(
            quoted(&"\0".repeat(100_000)),
            format!("`{}…` (and 99980 characters more)", "\\0".repeat(20))
        );
        assert_eq!(quoted("a`\u{200b}"), "`a`\\u{200b}`");
        assert_eq!(quoted(""), "``");
        let line = format!("invalid '{}' for  it", "é".repeat(5000));
        let cut = format!("invalid '{}… (and 4962 characters more) for  it", "é".repeat(39));
        assert_eq!(with_words_cut(&line), cut);
        assert_eq!(with_words_cut("all  right "), "all  right ");
    }

    #[test]
    fn lines_are_broken_between_words_and_hang_below_the_first() {
        assert_eq!(fold("• one two three", 9, 2), ["• one two", "  three"]);
        assert_eq!(fold("  one two three", 7, 2), ["  one", "    two", "    three"]);
        assert_eq!(fold("immeasurable", 4, 2), ["immeasurable"], "no word is broken");
        assert_eq!(fold("", 4, 2), [""]);
    }

    #[test]
    fn cells_of_several_lines_stand_side_by_side() {
        let cells = [vec!["a".to_owned()], vec!["b".to_owned(), "c".to_owned()], vec![]];
        let mut row = String::new();
        push_row(&mut row, &cells, &[3, 1, 5], 2);
        assert_eq!(row, "a    b\n     c\n");
    }
}
