//! `pr-comment.md`: a comment that a workflow posts on a pull request, found again by a hidden marker so that it is updated
//! instead of posted anew.

use super::format::{Format, Writer};
use super::markdown::cut;
use super::page;
use crate::compare::Comparison;
use crate::results::Report;

/// Characters that GitHub takes in a comment; as bytes, so that it holds for any text.
const LIMIT: usize = 65_536;

pub(super) const FORMAT: Format = Format {
    name: "pr-comment",
    about: "a comment for a pull request, with a hidden marker (Markdown)",
    run: Writer::Text(|report| Ok(run(report))),
    comparison: Writer::Text(|compared| Ok(comparison(compared))),
};

/// A comment on a run, marked `<!-- squall:run:SCENARIO -->`.
pub fn run(report: &Report) -> String {
    marked("run", &report.run.scenario.name, &page::run(report))
}

/// A comment on a comparison, marked `<!-- squall:comparison:SCENARIO -->`.
pub fn comparison(comparison: &Comparison) -> String {
    marked("comparison", &comparison.scenario, &page::comparison(comparison))
}

fn marked(kind: &str, name: &str, page: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_') { c } else { '-' };
    let name: String = name.chars().map(plain).take(100).collect();
    // Two hyphens in a row may end a comment of HTML.
    let name = name.split('-').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("-");
    let marker = format!("<!-- squall:{kind}:{name} -->\n");
    // `cut` leaves out the whole of what does not fit at all; a page's head does.
    let body = cut(page, LIMIT - 1 - marker.len());
    marker + &body
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::specimen;

    #[test]
    fn a_comment_begins_with_its_marker_and_keeps_within_the_limit() {
        let mut report = specimen::report();
        report.summary = report.summary.iter().cycle().take(5_000).cloned().collect();
        let text = run(&report);
        assert!(text.starts_with("<!-- squall:run:quickstart -->\n## "), "{text}");
        assert!(text.len() < LIMIT && text.len() > LIMIT / 2, "{}", text.len());
        let mut compared = specimen::comparison();
        compared.scenario = "a -->\n--b\u{e9}".into();
        let text = comparison(&compared);
        assert!(text.starts_with("<!-- squall:comparison:a-b -->\n## "), "{text}");
    }
}
