//! Reads Prometheus's text formats: the exposition format 0.0.4 and `OpenMetrics` 1.0.0, of which all that a page of figures holds
//! is understood and nothing else is let pass.

use std::collections::HashMap;

/// What a sample says of its series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SeriesKind {
    /// It only grows while the process that counts lives: its rate is what counts. Sums and counts of histograms too.
    Counter,
    /// A part of a distribution: a cumulative bucket of a histogram, or a quantile of a summary.
    Part,
    /// A value that comes and goes; so is whatever the page does not say more of.
    Gauge,
}

/// A line of the page: one figure at one instant.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct SeriesSample<'t> {
    /// The name of the metric.
    pub(crate) name: &'t str,
    /// What stands in its braces, as it stands there; empty without.
    pub(crate) labels: &'t str,
    pub(crate) kind: SeriesKind,
    /// May be infinite or no number.
    pub(crate) value: f64,
}

/// Why a page cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line} is not of the Prometheus text format: {what}")]
pub(crate) struct ExpositionError {
    /// Counted from 1.
    pub(crate) line: usize,
    pub(crate) what: &'static str,
}

/// What the page declares a family of figures to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Declared {
    Counter,
    Distribution,
    Other,
}

/// Hands the samples of `text` to `take`, in their order.
///
/// # Errors
/// At the first line that is none of the format; samples before it have been handed out.
pub(crate) fn read<'t>(text: &'t str, mut take: impl FnMut(SeriesSample<'t>)) -> Result<(), ExpositionError> {
    let mut families: HashMap<&str, Declared> = HashMap::new();
    let mut ended = false;
    for (nth, line) in text.lines().enumerate() {
        let fault = |what| ExpositionError { line: nth + 1, what };
        let line = line.trim_matches(BLANKS);
        if line.is_empty() {
            continue;
        }
        if ended {
            return Err(fault("something stands behind # EOF"));
        }
        if let Some(comment) = line.strip_prefix('#') {
            let mut words = comment.split_ascii_whitespace();
            match (words.next(), words.next(), words.next()) {
                (Some("EOF"), None, _) => ended = true,
                (Some("TYPE"), Some(name), Some(word)) => drop(families.insert(name, declared(word))),
                (Some("TYPE"), ..) => return Err(fault("a TYPE names a metric and its type")),
                _ => {}
            }
            continue;
        }
        if let Some(sample) = sample(line, &families).map_err(fault)? {
            take(sample);
        }
    }
    Ok(())
}

const BLANKS: [char; 3] = [' ', '\t', '\r'];

fn declared(word: &str) -> Declared {
    match word {
        "counter" => Declared::Counter,
        "histogram" | "summary" => Declared::Distribution,
        _ => Declared::Other,
    }
}

/// The sample in a line; `None` for one that only says since when another counts.
fn sample<'t>(
    line: &'t str,
    families: &HashMap<&str, Declared>,
) -> Result<Option<SeriesSample<'t>>, &'static str> {
    let end = line.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | ':')));
    let (name, rest) = line.split_at(end.unwrap_or(line.len()));
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
        return Err("it begins with no name of a metric");
    }
    let rest = rest.trim_start_matches(BLANKS);
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(inside) => {
            let length = labels(inside)?;
            (inside[..length].trim_matches(BLANKS).trim_end_matches(','), &inside[length + 1..])
        }
        None => ("", rest),
    };
    let (rest, exemplar) = rest.split_once('#').map_or((rest, None), |(rest, more)| (rest, Some(more)));
    if exemplar.is_some_and(|more| !more.trim_start_matches(BLANKS).starts_with('{')) {
        return Err("an exemplar begins with # {");
    }
    let mut words = rest.split(BLANKS).filter(|word| !word.is_empty());
    let value = words.next().ok_or("it has no value")?;
    let value: f64 = value.parse().map_err(|_| "its value is no number")?;
    if words.next().is_some_and(|stamp| stamp.parse::<f64>().is_err()) {
        return Err("its timestamp is no number");
    }
    if words.next().is_some() {
        return Err("something stands behind its timestamp");
    }
    let Some(kind) = kind(name, labels, families) else { return Ok(None) };
    Ok(Some(SeriesSample { name, labels, kind, value }))
}

/// What a sample is, by its own name and by what the page declares of its family; `None` for the instant of its beginning.
fn kind(name: &str, labels: &str, families: &HashMap<&str, Declared>) -> Option<SeriesKind> {
    let of = |ending: &str| name.strip_suffix(ending).and_then(|family| families.get(family)).copied();
    let is = |ending, declared| of(ending) == Some(declared);
    if is("_created", Declared::Counter) || is("_created", Declared::Distribution) {
        return None;
    }
    if is("_bucket", Declared::Distribution) {
        return Some(SeriesKind::Part);
    }
    if is("_sum", Declared::Distribution)
        || is("_count", Declared::Distribution)
        || is("_total", Declared::Counter)
    {
        return Some(SeriesKind::Counter);
    }
    Some(match families.get(name) {
        Some(Declared::Counter) => SeriesKind::Counter,
        Some(Declared::Distribution) if labels.contains("quantile=") => SeriesKind::Part,
        // What is not declared is told by the ending that counters have.
        None if name.ends_with("_total") => SeriesKind::Counter,
        None if name.ends_with("_bucket") && labels.contains("le=") => SeriesKind::Part,
        _ => SeriesKind::Gauge,
    })
}

/// How long the labels are that `text` begins with, up to the brace that ends them.
fn labels(text: &str) -> Result<usize, &'static str> {
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches(BLANKS);
        if rest.starts_with('}') {
            return Ok(text.len() - rest.len());
        }
        let (name, after) = rest.split_once('=').ok_or("a label has no value, or its brace is not closed")?;
        let name = name.trim_end_matches(BLANKS);
        let is_letter = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) || !name.chars().all(is_letter) {
            return Err("the name of a label is none");
        }
        let inside = after.trim_start_matches(BLANKS).strip_prefix('"').ok_or("a label has no quotes")?;
        rest = inside.get(quoted(inside)? + 1..).unwrap_or_default().trim_start_matches(BLANKS);
        match rest.strip_prefix(',') {
            Some(more) => rest = more,
            None if rest.starts_with('}') => {}
            None => return Err("labels are parted by commas, and end with a brace"),
        }
    }
}

/// Where the quote is that ends `text`.
fn quoted(text: &str) -> Result<usize, &'static str> {
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return Ok(at),
            '\\' if !matches!(letters.next(), Some((_, '\\' | '"' | 'n'))) => {
                return Err("a label has an escape that there is not");
            }
            _ => {}
        }
    }
    Err("a quote is not closed")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(text: &str) -> Result<Vec<SeriesSample<'_>>, ExpositionError> {
        let mut found = Vec::new();
        read(text, |sample| found.push(sample))?;
        Ok(found)
    }

    fn told(text: &str) -> Vec<(String, SeriesKind, f64)> {
        let named = |sample: SeriesSample<'_>| {
            (format!("{}{{{}}}", sample.name, sample.labels), sample.kind, sample.value)
        };
        all(text).unwrap().into_iter().map(named).collect()
    }

    #[test]
    fn the_older_format_is_read_as_its_specification_shows_it() {
        // The example of the specification, shortened.
        let text = concat!(
            "# HELP http_requests_total The total number of HTTP requests.\n",
            "# TYPE http_requests_total counter\n",
            "http_requests_total{method=\"post\",code=\"200\"} 1027 1395066363000\n\n",
            "# Escaping in label values:\n",
            "msdos_file_access_time_seconds{path=\"C:\\\\DIR\\\\FILE.TXT\",error=\"Cannot find file:\\n\\\"FILE.TXT\\\"\"} 1.458255915e9\n",
            "metric_without_timestamp_and_labels 12.47\n",
            "something_weird{problem=\"division by zero\"} +Inf -3982045\n",
            "# TYPE http_request_duration_seconds histogram\n",
            "http_request_duration_seconds_bucket{le=\"0.05\"} 24054\n",
            "http_request_duration_seconds_sum 53423\n",
            "http_request_duration_seconds_count 144320\n",
            "# TYPE rpc_duration_seconds summary\n",
            "rpc_duration_seconds{quantile=\"0.01\"} 3102\n",
            "rpc_duration_seconds_count 2693\n",
        );
        let weird = "msdos_file_access_time_seconds{path=\"C:\\\\DIR\\\\FILE.TXT\",error=\"Cannot find file:\\n\\\"FILE.TXT\\\"\"}";
        let expected = [
            ("http_requests_total{method=\"post\",code=\"200\"}", SeriesKind::Counter, 1_027.0),
            (weird, SeriesKind::Gauge, 1.458_255_915e9),
            ("metric_without_timestamp_and_labels{}", SeriesKind::Gauge, 12.47),
            ("something_weird{problem=\"division by zero\"}", SeriesKind::Gauge, f64::INFINITY),
            ("http_request_duration_seconds_bucket{le=\"0.05\"}", SeriesKind::Part, 24_054.0),
            ("http_request_duration_seconds_sum{}", SeriesKind::Counter, 53_423.0),
            ("http_request_duration_seconds_count{}", SeriesKind::Counter, 144_320.0),
            ("rpc_duration_seconds{quantile=\"0.01\"}", SeriesKind::Part, 3_102.0),
            ("rpc_duration_seconds_count{}", SeriesKind::Counter, 2_693.0),
        ];
        assert_eq!(told(text), expected.map(|(name, kind, value)| (name.to_owned(), kind, value)));
    }

    #[test]
    fn open_metrics_is_read_with_its_exemplars_and_its_end() {
        let text = concat!(
            "# TYPE foo counter\n# UNIT foo seconds\n",
            "foo_total{a=\"}#\",} 17.0 1520879607.789 # {trace_id=\"K\"} 0.67\n",
            "foo_created 1520430000.123\n",
            "# TYPE up gauge\nup{} NaN\n# EOF\n",
        );
        let found = told(text);
        assert_eq!(found[0], ("foo_total{a=\"}#\"}".to_owned(), SeriesKind::Counter, 17.0));
        assert_eq!((found.len(), found[1].0.as_str(), found[1].2.is_nan()), (2, "up{}", true));
    }

    #[test]
    fn what_is_not_of_the_format_is_refused_with_its_line() {
        for (text, line, what) in [
            ("a 1\n<html>\n", 2, "it begins with no name of a metric"),
            ("1a 1", 1, "it begins with no name of a metric"),
            ("a", 1, "it has no value"),
            ("a one", 1, "its value is no number"),
            ("a 1 now", 1, "its timestamp is no number"),
            ("a 1 2 3", 1, "something stands behind its timestamp"),
            ("a{b=\"c\" 1", 1, "labels are parted by commas, and end with a brace"),
            ("a{b} 1", 1, "a label has no value, or its brace is not closed"),
            ("a{b=c} 1", 1, "a label has no quotes"),
            ("a{b=\"c} 1", 1, "a quote is not closed"),
            ("a{b=\"\\c\"} 1", 1, "a label has an escape that there is not"),
            ("a{2=\"c\"} 1", 1, "the name of a label is none"),
            ("a 1 # more", 1, "an exemplar begins with # {"),
            ("# TYPE a\n", 1, "a TYPE names a metric and its type"),
            ("# EOF\n\na 1\n", 3, "something stands behind # EOF"),
        ] {
            assert_eq!(all(text), Err(ExpositionError { line, what }), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(
            samples in prop::collection::vec(
                ("[a-zA-Z_:][a-zA-Z0-9_:]{0,8}", prop::collection::vec(("[a-z_][a-z0-9]{0,4}", "\\PC{0,8}"), 0..3), -1e12..1e12_f64),
                0..20,
            )
        ) {
            let label = |(name, value): &(String, String)| {
                format!("{name}=\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
            };
            let rows: Vec<_> = samples
                .iter()
                .map(|(name, labels, value)| {
                    (name.as_str(), labels.iter().map(label).collect::<Vec<_>>().join(","), *value)
                })
                .collect();
            let line = |(name, labels, value): &(&str, String, f64)| match labels.as_str() {
                "" => format!("{name} {value:?}\n"),
                labels => format!("{name} {{ {labels} }}  {value:?} 12\n"),
            };
            let text: String = rows.iter().map(line).collect();
            let read: Vec<_> =
                all(&text).unwrap().iter().map(|one| (one.name, one.labels.to_owned(), one.value)).collect();
            prop_assert_eq!(read, rows);
        }

        #[test]
        fn no_text_brings_it_to_fall(text in "[a-z{}\"\\\\=,#\\n 0-9.é]{0,60}") {
            let _ = all(&text);
        }
    }
}
