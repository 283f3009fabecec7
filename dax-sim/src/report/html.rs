//! Writes text as HTML. It knows nothing of reports.

use std::fmt::{Arguments, Write};

/// Appends formatted text.
pub(super) fn put(html: &mut String, text: Arguments<'_>) {
    html.write_fmt(text).expect("writing into a string does not fail");
}

/// Text from outside, which may hold anything.
pub(super) fn escaped(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            other => html.push(other),
        }
    }
    html
}

/// Prose with names in backquotes. Names that `address` knows become links.
pub(super) fn linked(text: &str, address: impl Fn(&str) -> Option<String>) -> String {
    let mut html = String::new();
    for (index, part) in text.split('`').enumerate() {
        let part_escaped = escaped(part);
        match (index % 2 == 1).then(|| address(part)) {
            Some(Some(to)) => put(&mut html, format_args!("<a href=\"#{to}\">{part_escaped}</a>")),
            Some(None) => put(&mut html, format_args!("<code>{part_escaped}</code>")),
            None => html.push_str(&part_escaped),
        }
    }
    html
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_backquotes_become_links() {
        let address = |name: &str| (name == "rwsem").then(|| "variant-rwsem".to_owned());
        assert_eq!(
            linked("1 < 2: `rwsem` and `--x`.", address),
            "1 &lt; 2: <a href=\"#variant-rwsem\">rwsem</a> and <code>--x</code>."
        );
    }
}
