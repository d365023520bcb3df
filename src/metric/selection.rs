//! Which series of a page are wanted: names and patterns of them.

use super::{SeriesKind, SeriesSample};

/// Patterns of series, in which `*` stands for anything; none of them: all but the parts of distributions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Selection(Vec<String>);

impl Selection {
    pub(crate) const fn new(patterns: Vec<String>) -> Self {
        Self(patterns)
    }

    /// Whether the series of `sample` is wanted: by its name, or, by a pattern with a brace, by its name with its labels as they stand
    /// on the page.
    pub(crate) fn takes(&self, sample: &SeriesSample<'_>) -> bool {
        if self.0.is_empty() {
            return sample.kind != SeriesKind::Part;
        }
        self.0.iter().any(|pattern| {
            if pattern.contains('{') {
                fits(pattern, &format!("{}{{{}}}", sample.name, sample.labels))
            } else {
                fits(pattern, sample.name)
            }
        })
    }
}

/// Whether `text` is as `pattern` says. Takes at most as many steps as the product of their lengths.
fn fits(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut at, mut from) = (0, 0);
    // Behind the last star, and how much of the text it stands for so far.
    let mut star = None;
    while from < text.len() {
        match pattern.get(at) {
            Some(b'*') => {
                at += 1;
                star = Some((at, from));
            }
            Some(letter) if text.get(from) == Some(letter) => (at, from) = (at + 1, from + 1),
            _ => {
                let Some((behind, covered)) = star else { return false };
                (at, from) = (behind, covered + 1);
                star = Some((behind, covered + 1));
            }
        }
    }
    pattern.get(at..).unwrap_or_default().iter().all(|letter| *letter == b'*')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_star_stands_for_anything() {
        for (pattern, text, expected) in [
            ("a", "a", true),
            ("a", "ab", false),
            ("", "", true),
            ("*", "", true),
            ("a*", "abc", true),
            ("*c", "abc", true),
            ("a*c*", "abcabd", true),
            ("*ab*ab", "abxabab", true),
            ("*ab*ab", "ab", false),
            ("a**b", "ab", true),
        ] {
            assert_eq!(fits(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn labels_count_where_a_pattern_names_them() {
        let sample =
            |kind| SeriesSample { name: "req_bucket", labels: "le=\"1\",m=\"get\"", kind, value: 1.0 };
        let takes = |patterns: &[&str], kind| {
            Selection::new(patterns.iter().map(|text| (*text).to_owned()).collect()).takes(&sample(kind))
        };
        assert!(!takes(&[], SeriesKind::Part) && takes(&[], SeriesKind::Gauge));
        assert!(takes(&["req_*"], SeriesKind::Part) && takes(&["x", "*{*m=\"get\"*}"], SeriesKind::Part));
        assert!(!takes(&["*{*m=\"put\"*}", "req"], SeriesKind::Part));
    }

    proptest! {
        /// Against the rule as it reads: a star takes nothing, or one letter more.
        #[test]
        fn it_is_the_plain_recursion(pattern in "[ab*]{0,7}", text in "[ab]{0,9}") {
            fn plain(pattern: &[u8], text: &[u8]) -> bool {
                match (pattern.split_first(), text.split_first()) {
                    (None, rest) => rest.is_none(),
                    (Some((b'*', after)), rest) => {
                        plain(after, text) || rest.is_some_and(|(_, less)| plain(pattern, less))
                    }
                    (Some(_), None) => false,
                    (Some((letter, after)), Some((first, less))) => letter == first && plain(after, less),
                }
            }
            prop_assert_eq!(fits(&pattern, &text), plain(pattern.as_bytes(), text.as_bytes()));
        }
    }
}
