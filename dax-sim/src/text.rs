//! Folds prose to a width, sets table rows in columns, and quotes words for messages and for
//! shells. It uses no other module.

/// The lines of `text`, folded to `width` characters. Lines break at blanks, never within a word,
/// so a long word may exceed `width`. Lines after the first begin with as many blanks as the first,
/// and `hang` more.
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

/// How many columns of a word from outside a message shows at most.
const QUOTED: usize = 40;

/// A word from outside, for a message: in backquotes, with what cannot be printed escaped, and cut
/// if it is long. A damaged file may hold a word of any length, or one that never ends.
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

/// Quotes an argument for a shell.
pub(crate) fn for_a_shell(argument: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_=+,./:@%".contains(c);
    if !argument.is_empty() && argument.chars().all(is_plain) {
        return argument.to_owned();
    }
    format!("'{}'", argument.replace('\'', "'\\''"))
}

/// The message about a name that is not among the known ones: the nearest known name, if it is
/// near, and all known names.
pub(crate) fn unknown(what: &str, name: &str, known: &[&str]) -> String {
    let nearest = nearest(name, known).map_or(String::new(), |known| format!("; did you mean `{known}`?"));
    let end = if nearest.is_empty() { ";" } else { "" };
    format!("unknown {what} {}{nearest}{end} known ones: {}", quoted(name), known.join(", "))
}

/// The known name that the fewest changes of a letter lead to, if they are few.
pub(crate) fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let length = name.chars().take(QUOTED + 1).count();
    if length > QUOTED {
        return None;
    }
    let (distance, nearest) =
        known.iter().map(|&known| (distance(name, known), known)).min_by_key(|&(distance, _)| distance)?;
    (distance <= length.max(3) / 3).then_some(nearest)
}

/// How many letters must be inserted, left out or replaced to turn `a` into `b` (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, a) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, &b) in b.iter().enumerate() {
            let exchanged = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = exchanged.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

/// A line of a message that others have made, with its very long words cut.
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
    fn a_name_with_few_wrong_letters_is_known() {
        let known = ["linux-4.11", "linux-4.12", "rwsem", "range-lock"];
        for (name, expected) in [
            ("linux-4.13", Some("linux-4.11")),
            ("rwsm", Some("rwsem")),
            ("rangelock", Some("range-lock")),
            ("ext4", None),
            ("", None),
        ] {
            assert_eq!(nearest(name, &known), expected, "{name}");
        }
        assert_eq!(nearest(&"r".repeat(100_000), &known), None);
        assert_eq!(
            unknown("lock", "rwsam", &["rwsem", "none"]),
            "unknown lock `rwsam`; did you mean `rwsem`? known ones: rwsem, none"
        );
        assert_eq!(unknown("lock", "x", &["rwsem"]), "unknown lock `x`; known ones: rwsem");
        assert_eq!([distance("", "abc"), distance("kitten", "sitting")], [3, 3]);
    }

    #[test]
    fn arguments_are_quoted_where_a_shell_would_change_them() {
        let quoted = ["--threads", "1,2", "a b", "it's", ""].map(for_a_shell);
        assert_eq!(quoted, ["--threads", "1,2", "'a b'", "'it'\\''s'", "''"]);
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
