//! What is wrong with a document: every problem with its location, the key, and what to write instead.

use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use super::context::Context;
use super::refusal::{Refusal, harmless, quote};
use super::veil::veiled;

/// Problems listed; a text that is wrong all over is not worth more.
const MOST: usize = 50;
/// Characters of a source line shown around a problem.
const EXCERPT: usize = 100;
/// Everything wrong with one document, in the order of the text, overrides first.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Diagnostics {
    /// Where the text came from, as the user gave it.
    pub file: String,
    /// What is wrong; not empty, at most 50.
    pub problems: Vec<Diagnostic>,
    /// Further problems that are not listed.
    pub omitted: usize,
}

/// One thing wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// Where.
    pub location: Location,
    /// The key concerned, in full (`fleet.meters.rate`); empty where no key is concerned.
    pub key: String,
    /// What is wrong, without a final stop.
    pub message: String,
    /// What to do about it.
    pub help: String,
}

/// Where a problem lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// In the text.
    Text {
        /// From 1.
        line: usize,
        /// In characters, from 1.
        column: usize,
        /// The line, or the part of a long one around the problem.
        excerpt: String,
        /// Column of the problem within the excerpt, from 0.
        offset: usize,
        /// Characters to underline, at least 1.
        width: usize,
    },
    /// In an override, as given on the command line.
    Given(String),
    /// In the text as a whole: something is missing.
    Whole,
}

impl Diagnostic {
    /// Line of the text, from 1, if it lies at one.
    pub const fn line(&self) -> Option<usize> {
        match self.location {
            Location::Text { line, .. } => Some(line),
            Location::Given(_) | Location::Whole => None,
        }
    }

    /// Column of the line, in characters from 1, if it lies at one.
    pub const fn column(&self) -> Option<usize> {
        match self.location {
            Location::Text { column, .. } => Some(column),
            Location::Given(_) | Location::Whole => None,
        }
    }

    fn write(&self, file: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.location {
            Location::Text { line, column, .. } => write!(f, "{file}:{line}:{column}: ")?,
            Location::Given(words) => write!(f, "{words}: ")?,
            Location::Whole => write!(f, "{file}: ")?,
        }
        let said = matches!(&self.location, Location::Given(words) if words.ends_with(&self.key));
        if !self.key.is_empty() && !said {
            write!(f, "{}: ", self.key)?;
        }
        write!(f, "{}; {}", self.message, self.help)?;
        if let Location::Text { line, excerpt, offset, width, .. } = &self.location {
            // Tabs are kept so that the caret stands under its character whatever the terminal's tab width.
            let indent: String =
                excerpt.chars().take(*offset).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
            write!(f, "\n{line:>5} | {excerpt}\n      | {indent}{}", "^".repeat(*width))?;
        }
        Ok(())
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, problem) in self.problems.iter().enumerate() {
            if nth > 0 {
                f.write_str("\n")?;
            }
            problem.write(&self.file, f)?;
        }
        match self.omitted {
            0 => Ok(()),
            more => write!(f, "\nand {more} more"),
        }
    }
}

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// These bytes of the text.
    Text(Range<usize>),
    /// An override, in the user's words.
    Given(Arc<str>),
    /// Nothing in particular.
    Whole,
}

/// Collects problems while a text is checked.
#[derive(Debug)]
pub(crate) struct Reporter<'t> {
    text: &'t str,
    context: Context,
    /// The text without secrets, once something of it is shown.
    veiled: OnceCell<String>,
    lines: Vec<usize>,
    found: Vec<(usize, Diagnostic)>,
    /// Keys that are missing because they are misspelled, which has been said.
    excused: BTreeSet<String>,
    omitted: usize,
}

impl<'t> Reporter<'t> {
    pub(crate) fn new(text: &'t str) -> Self {
        Self::within(text, Context::default())
    }

    /// A report on `text`, which may refer to what is in `context`.
    pub(crate) fn within(text: &'t str, context: Context) -> Self {
        let ends = text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(at, _)| at + 1);
        let lines = std::iter::once(0).chain(ends).collect();
        let (veiled, excused) = (OnceCell::new(), BTreeSet::new());
        Self { text, context, veiled, lines, found: Vec::new(), excused, omitted: 0 }
    }

    /// A report that nobody reads, on what may refer to the same context.
    pub(crate) fn aside(&self) -> Reporter<'static> {
        Reporter::within("", self.context.clone())
    }

    /// What the text may refer to.
    pub(crate) const fn context(&self) -> &Context {
        &self.context
    }

    /// `written` with its environment variables put in.
    pub(crate) fn expand(&self, written: &str) -> Result<String, Refusal> {
        self.context.expand(written)
    }

    pub(crate) fn add(
        &mut self,
        at: &Origin,
        key: &str,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        if self.is_excused(key) {
            return;
        }
        if self.found.len() >= MOST {
            self.omitted += 1;
            return;
        }
        let order = match at {
            Origin::Given(_) => 0,
            Origin::Text(range) => range.start + 1,
            Origin::Whole => usize::MAX,
        };
        let location = self.place(at);
        let problem = Diagnostic { location, key: quote(key), message: message.into(), help: help.into() };
        self.found.push((order, problem));
    }

    /// Where `at` is, as people find it.
    pub(crate) fn place(&self, at: &Origin) -> Location {
        match at {
            Origin::Given(words) => Location::Given(words.to_string()),
            Origin::Text(range) => self.location(range),
            Origin::Whole => Location::Whole,
        }
    }

    /// Nothing is to be said of `key` any more, nor of what lies below it: it is there, misspelled, and that has been reported.
    pub(crate) fn excuse(&mut self, key: &str) {
        self.excused.insert(key.to_owned());
    }

    fn is_excused(&self, key: &str) -> bool {
        let above = key.match_indices('.').filter_map(|(at, _)| key.get(..at));
        !self.excused.is_empty() && above.chain([key]).any(|key| self.excused.contains(key))
    }

    pub(crate) const fn is_clean(&self) -> bool {
        self.found.is_empty()
    }

    /// All problems found, or nothing.
    pub(crate) fn into_diagnostics(mut self, file: &str) -> Option<Diagnostics> {
        if self.is_clean() {
            return None;
        }
        self.found.sort_by_key(|(order, _)| *order);
        let problems = self.found.into_iter().map(|(_, problem)| problem).collect();
        Some(Diagnostics { file: file.to_owned(), problems, omitted: self.omitted })
    }

    fn location(&self, range: &Range<usize>) -> Location {
        let start = range.start.min(self.text.len());
        let line = self.lines.partition_point(|first| *first <= start);
        let first = self.lines.get(line.saturating_sub(1)).copied().unwrap_or(0);
        let content = self.text.get(first..).unwrap_or("").lines().next().unwrap_or("");
        let before = content.char_indices().take_while(|(at, _)| first + at < start).count();
        let length = content.chars().count();
        let within =
            content.char_indices().filter(|(at, _)| (range.start..range.end).contains(&(first + at)));
        let width = within.count();
        let skip = before.saturating_sub(EXCERPT / 2).min(length.saturating_sub(EXCERPT));
        // As many letters in as many lines.
        let whole = self.veiled.get_or_init(|| veiled(self.text));
        let content = whole.split('\n').nth(line.saturating_sub(1)).unwrap_or("").trim_end_matches('\r');
        let excerpt: String = content.chars().skip(skip).take(EXCERPT).map(harmless).collect();
        let offset = before - skip;
        let room = excerpt.chars().count().saturating_sub(offset).max(1);
        Location::Text { line, column: before + 1, excerpt, offset, width: width.clamp(1, room) }
    }
}

/// The one of `known` that `word` was probably meant to be.
pub(crate) fn nearest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let word: String = word.chars().take(64).collect::<String>().to_lowercase().replace('-', "_");
    let limit = (word.chars().count() / 3).clamp(1, 3);
    known
        .into_iter()
        .map(|candidate| (strsim::osa_distance(&word, &candidate.replace('-', "_")), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// The beginning of a remedy: what `word` was probably meant to be of `known`, or nothing.
pub(crate) fn guess<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> String {
    nearest(word, known).map_or_else(String::new, |meant| format!("did you mean `{meant}`? "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, range: Range<usize>) -> String {
        let mut report = Reporter::new(text);
        report.add(&Origin::Text(range), "a.b", "is wrong", "write c");
        report.into_diagnostics("x.toml").unwrap().to_string()
    }

    #[test]
    fn a_caret_stands_under_the_problem() {
        assert_eq!(
            shown("[run]\nrate = \"-5/s\"\n", 13..19),
            "x.toml:2:8: a.b: is wrong; write c\n    2 | rate = \"-5/s\"\n      |        ^^^^^^"
        );
    }

    #[test]
    fn columns_count_characters_and_carets_keep_tabs() {
        let shown = shown("\tµ = 1", 6..7);
        assert_eq!(shown, "x.toml:1:6: a.b: is wrong; write c\n    1 | \tµ = 1\n      | \t    ^");
    }

    #[test]
    fn long_lines_are_cut_around_the_problem_and_control_characters_are_harmless() {
        let text = format!("{}\u{1b}[31mX{}", "a".repeat(5_000), "b".repeat(5_000));
        let shown = shown(&text, 5_005..5_006);
        assert!(shown.lines().all(|line| line.chars().count() < 120), "{shown}");
        assert!(!shown.contains('\u{1b}'));
        let lines: Vec<Vec<char>> = shown.lines().map(|line| line.chars().collect()).collect();
        let caret = lines[2].iter().position(|c| *c == '^').unwrap();
        assert_eq!(lines[1][caret], 'X');
    }

    #[test]
    fn places_past_the_end_are_the_end() {
        assert!(shown("a = ", 4..4).starts_with("x.toml:1:5: "));
        assert!(shown("", 0..0).starts_with("x.toml:1:1: "));
        assert!(shown("a\n", 99..120).starts_with("x.toml:2:1: "));
    }

    #[test]
    fn the_list_is_bounded() {
        let mut report = Reporter::new("");
        for _ in 0..1_000 {
            report.add(&Origin::Whole, "", "m", "h");
        }
        let diagnostics = report.into_diagnostics("x").unwrap();
        assert_eq!((diagnostics.problems.len(), diagnostics.omitted), (MOST, 1_000 - MOST));
        assert!(diagnostics.to_string().ends_with("and 950 more"));
    }

    #[test]
    fn of_what_is_excused_and_of_what_lies_below_it_nothing_more_is_said() {
        let mut report = Reporter::new("");
        report.excuse("fleet.a.tcp");
        for key in ["fleet.a.tcp", "fleet.a.tcp.correlate", "fleet.a.tcpx", "fleet.a", "fleet.b.tcp"] {
            report.add(&Origin::Whole, key, "is missing", "h");
        }
        let keys: Vec<_> = report.found.iter().map(|(_, problem)| problem.key.as_str()).collect();
        assert_eq!(keys, ["fleet.a.tcpx", "fleet.a", "fleet.b.tcp"]);
    }

    #[test]
    fn near_misses_are_recognised_and_far_ones_are_not() {
        let known = ["devices", "rate", "keep_alive", "timeout"];
        for (word, meant) in [
            ("device", Some("devices")),
            ("Rate", Some("rate")),
            ("keep-alive", Some("keep_alive")),
            ("tiemout", Some("timeout")),
            ("colour", None),
        ] {
            assert_eq!(nearest(word, known), meant, "{word}");
        }
    }
}
