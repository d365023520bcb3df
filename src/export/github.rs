//! GitHub Actions: the step summary, and annotations by workflow commands.
//!
//! Sources: <https://docs.github.com/actions/reference/workflows-and-actions/workflow-commands>: a summary of more than 1 MiB is
//! not shown, and a step has at most 10 annotations of each kind; `%`, line breaks, and in properties `:` and `,`, are escaped.

use super::finding::{Finding, Weight, of_comparison, of_run};
use super::format::{Format, Writer};
use super::markdown::cut;
use super::page;
use crate::compare::Comparison;
use crate::results::Report;
use crate::units::is_steering;

/// Bytes that a step may have in its summary.
pub(crate) const SUMMARY_BYTES: usize = 1024 * 1024;
/// Annotations of each kind that a step may show.
const ANNOTATIONS: usize = 10;
/// Bytes of an annotation's text; GitHub cuts at 64 KiB, a person reads less.
const ANNOTATION_BYTES: usize = 4_096;

pub(super) const FORMAT: Format = Format {
    name: "github-summary",
    about: "the step summary of GitHub Actions in a file (Markdown)",
    run: Writer::Text(|report| Ok(run_summary(report, SUMMARY_BYTES))),
    comparison: Writer::Text(|compared| Ok(comparison_summary(compared, SUMMARY_BYTES))),
};

/// The step summary of a run in Markdown, of at most `limit` bytes.
pub(crate) fn run_summary(report: &Report, limit: usize) -> String {
    cut(&page::run(report), limit)
}

/// The step summary of a comparison in Markdown, of at most `limit` bytes.
pub(crate) fn comparison_summary(comparison: &Comparison, limit: usize) -> String {
    cut(&page::comparison(comparison), limit)
}

/// The annotations of a run, each a line ended: nothing for a run that is as it should be.
pub(crate) fn run_annotations(report: &Report) -> String {
    annotations(&of_run(report))
}

/// The annotations of a comparison, each a line ended.
pub(crate) fn comparison_annotations(comparison: &Comparison) -> String {
    annotations(&of_comparison(comparison))
}

fn annotations(findings: &[Finding]) -> String {
    let mut text = String::new();
    for (weight, command) in [(Weight::Error, "error"), (Weight::Warning, "warning")] {
        let all: Vec<_> = findings.iter().filter(|finding| finding.weight == weight).collect();
        let single = if all.len() > ANNOTATIONS { ANNOTATIONS - 1 } else { all.len() };
        for finding in all.iter().take(single) {
            text += &line(command, &finding.title, &finding.text);
        }
        let rest: Vec<_> = all.iter().skip(single).map(|finding| finding.text.as_str()).collect();
        if !rest.is_empty() {
            let title = format!("{} more", rest.len());
            text += &line(command, &title, &rest.join("\n"));
        }
    }
    text
}

fn line(command: &str, title: &str, text: &str) -> String {
    let text: String = text.chars().filter(|c| *c == '\n' || !is_steering(*c)).collect();
    let mut end = text.len().min(ANNOTATION_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let (kept, mark) = (text.get(..end).unwrap_or_default(), if end < text.len() { " …" } else { "" });
    let title = escape(&format!("squall: {title}")).replace(':', "%3A").replace(',', "%2C");
    format!("::{command} title={title}::{}{mark}\n", escape(kept))
}

fn escape(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::specimen;

    #[test]
    fn annotations_are_commands_of_one_line_each() {
        insta::assert_snapshot!(run_annotations(&specimen::report()), @r#"
::error title=squall%3A budget failed::quickstart pumps: errors < 0.1 %25, measured 0.83 %25
::error title=squall%3A budget failed::quickstart all: p99.9 < 1 s, measured no data: 3 of 3100 samples lie beyond p99.9; 10 are needed
::error title=squall%3A budget failed::quickstart peak (all fleets in burst): p99 < 250 ms, measured 400 ms
::error title=squall%3A promise of delivery broken::quickstart pumps: 100 missing, first pumps-00017 seq 42
::warning title=squall%3A measurement suspect::quickstart: the generator used 80 %25 of a core: give it another
"#);
        insta::assert_snapshot!(comparison_annotations(&specimen::comparison()), @r#"
::error title=squall%3A regression::quickstart steady/meters p99 +12.3 %25 [7.9, 16.9], noise threshold ±5.1 %25, 1.243 ms to 1.396 ms, p 0.0123, 8 pairs
"#);
    }

    #[test]
    fn at_most_ten_of_each_kind_are_given_and_the_last_sums_up_the_rest() {
        for (number, shown, last) in
            [(0, 0, ""), (10, 10, "no 9"), (11, 10, "no 9%0Ano 10"), (500, 10, "no 9%0Ano 10")]
        {
            let finding =
                |weight, n: usize| Finding { weight, title: "a: b, c".into(), text: format!("no {n}") };
            let of = |weight| (0..number).map(move |n| finding(weight, n));
            let findings: Vec<_> = of(Weight::Error).chain(of(Weight::Warning)).collect();
            let text = annotations(&findings);
            let lines = |kind: &str| text.lines().filter(|line| line.starts_with(kind)).count();
            assert_eq!((lines("::error title="), lines("::warning title=")), (shown, shown), "{number}");
            assert!(text.lines().all(|line| line.len() < ANNOTATION_BYTES * 3));
            assert!(text.contains(last), "{text}");
            assert!(number == 0 || text.contains("title=squall%3A a%3A b%2C c::no 0\n"), "{text}");
        }
    }

    #[test]
    fn a_text_cannot_give_commands_of_its_own() {
        let text = line("error", "a\n::b", "100 %\r\n::warning::x\u{1b}[0m");
        assert_eq!(text, "::error title=squall%3A a%0A%3A%3Ab::100 %25%0A::warning::x[0m\n");
    }

    #[test]
    fn a_summary_never_grows_beyond_the_limit() {
        let mut report = specimen::report();
        report.summary = report.summary.iter().cycle().take(20_000).cloned().collect();
        for limit in [SUMMARY_BYTES, 10_000, 100, 0] {
            let text = run_summary(&report, limit);
            assert!(text.len() <= limit, "{} > {limit}", text.len());
        }
        assert!(run_summary(&report, SUMMARY_BYTES).contains("left out"));
    }
}
