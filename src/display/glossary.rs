//! The words of a report, in one line: those that it uses, as many as fit.

use super::style::Style;

/// Words and their meanings, the first ones first where not all fit: what a text must hold for the word to be used, and the entry.
const WORDS: [(&str, &str); 6] = [
    ("response time", "response: from due to answered"),
    ("service p99", "service: from sent"),
    ("p99", "p99: 1 in 100 is slower"),
    (" wait ", "wait: before it was sent"),
    ("censored", "censored: at least so long"),
    ("backlog", "backlog: due, not yet ended"),
];

/// The entries of the words that stand in `text`, no wider than `width`; `None` where none does.
pub(super) fn glossary(text: &str, width: usize, style: Style) -> Option<String> {
    let mut line = String::new();
    for (word, entry) in WORDS {
        let gap = if line.is_empty() { "" } else { style.dot() };
        let longer = line.chars().count() + gap.chars().count() + entry.chars().count();
        if text.contains(word) && longer <= width {
            line.push_str(gap);
            line.push_str(entry);
        }
    }
    (!line.is_empty()).then_some(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_words_that_are_used_are_explained_and_on_one_line() {
        let text = "response time  p99  service p99\nslowest 1%  queue 3 s, wait 1 s";
        assert_eq!(
            glossary(text, 69, Style::PLAIN).unwrap(),
            "response: from due to answered, service: from sent"
        );
        assert_eq!(
            glossary(text, 110, Style::PLAIN).unwrap(),
            "response: from due to answered, service: from sent, p99: 1 in 100 is slower, wait: before it was sent"
        );
        assert_eq!(glossary("nothing was measured", 80, Style::PLAIN), None);
    }
}
