//! Markdown as GitHub and GitLab show it: escaped, tables that hold, and cut where a limit is.

use std::fmt::Write as _;

use crate::units::is_steering;

/// `text` as one line without markup in it, in and outside tables; nobody is notified by it.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            // Without its neighbour it names nobody, and no issue.
            '@' | '#' => {
                escaped.push(c);
                escaped.push_str("<!-- -->");
            }
            '\\' | '|' | '`' | '*' | '_' | '[' | ']' | '~' | '$' => {
                escaped.push('\\');
                escaped.push(c);
            }
            '\n' | '\r' | '\t' => escaped.push(' '),
            c if is_steering(c) => {}
            c => escaped.push(c),
        }
    }
    escaped
}

/// A table; the first `left` columns are words, the others figures.
pub(super) fn table(header: &[&str], left: usize, rows: &[Vec<String>]) -> String {
    let mut text = String::new();
    let _ = writeln!(text, "| {} |", header.join(" | "));
    let rule: Vec<_> = (0..header.len()).map(|column| if column < left { "---" } else { "---:" }).collect();
    let _ = writeln!(text, "| {} |", rule.join(" | "));
    for row in rows {
        let cells: Vec<_> = row.iter().map(|cell| escape(cell)).collect();
        let _ = writeln!(text, "| {} |", cells.join(" | "));
    }
    text
}

/// `body` folded under `summary`, which is plain text.
pub(super) fn details(summary: &str, body: &str) -> String {
    format!("<details><summary>{}</summary>\n\n{}\n</details>\n", escape(summary), body.trim_end())
}

/// `text` in at most `limit` bytes: whole lines, and a last one that says that something is missing. What was folded is
/// unfolded by that line.
pub(super) fn cut(text: &str, limit: usize) -> String {
    const SAYS: &str = "\n\n*The rest is left out: there is a limit to what is shown here. The run's files have all of it.*\n";
    const CLOSE: &str = "\n</details>";
    if text.len() <= limit {
        return text.to_owned();
    }
    let room = limit.saturating_sub(SAYS.len() + CLOSE.len());
    let mut kept = String::new();
    for line in text.split_inclusive('\n') {
        if kept.len() + line.len() > room {
            break;
        }
        kept.push_str(line);
    }
    let open = kept.matches("<details>").count() > kept.matches("</details>").count();
    let close = if open { CLOSE } else { "" };
    let whole = format!("{}{close}{SAYS}", kept.trim_end());
    // With next to no room, half a sentence helps nobody.
    if whole.len() <= limit { whole } else { String::new() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_mean_nothing_but_themselves() {
        for (text, escaped) in [
            ("a|b", "a\\|b"),
            ("`c`\n<b>", "\\`c\\` &lt;b&gt;"),
            ("@all #1", "@<!-- -->all #<!-- -->1"),
            ("\u{1b}[31m\0", "\\[31m"),
            ("p99.9 µs", "p99.9 µs"),
        ] {
            assert_eq!(escape(text), escaped);
        }
    }

    proptest! {
        #[test]
        fn a_table_has_as_many_cells_in_every_row(cells in prop::collection::vec(any::<String>(), 3)) {
            let text = table(&["a", "b", "c"], 1, &[cells]);
            prop_assert_eq!(text.lines().count(), 3);
            for line in text.lines() {
                let bars = line.replace("\\\\", "").replace("\\|", "").matches('|').count();
                prop_assert_eq!(bars, 4, "{}", line);
            }
        }

        #[test]
        fn a_cut_text_keeps_within_the_limit_and_says_so(lines in 0_usize..200, limit in 0_usize..4_000) {
            let text = details("all", &"µ line of a table\n".repeat(lines));
            let kept = cut(&text, limit);
            prop_assert!(kept.len() <= limit);
            prop_assert_eq!(kept.matches("<details>").count(), kept.matches("</details>").count());
            prop_assert_eq!(kept == text, text.len() <= limit);
            prop_assert!(kept == text || kept.is_empty() || kept.contains("left out"));
        }
    }
}
