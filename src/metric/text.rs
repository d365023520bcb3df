//! Figures in the `OpenMetrics` text format (version 1.0.0): histograms with their classic buckets.

use std::fmt::Write as _;

use super::family::{Family, Kind, Sample, Value};

/// All of them, to the end that the format asks for.
pub(super) fn encode(families: &[Family]) -> String {
    let mut text = String::with_capacity(16 * 1024);
    for family in families {
        let Family { name, help, kind, samples } = family;
        let word = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        // Writing to a string cannot fail.
        let _ = writeln!(text, "# HELP {name} {help}.\n# TYPE {name} {word}");
        for sample in samples {
            write_sample(&mut text, name, *kind, sample);
        }
    }
    text.push_str("# EOF\n");
    text
}

fn write_sample(text: &mut String, name: &str, kind: Kind, Sample { labels, value }: &Sample) {
    match value {
        Value::Number(number) => {
            let ending = if kind == Kind::Counter { "_total" } else { "" };
            let _ = writeln!(text, "{name}{ending}{} {number}", Labels(labels, None));
        }
        Value::Times(times) => {
            for (bound, count) in times.classic() {
                let _ = writeln!(text, "{name}_bucket{} {count}", Labels(labels, Some(bound)));
            }
            let labels = Labels(labels, None);
            let _ =
                writeln!(text, "{name}_sum{labels} {}\n{name}_count{labels} {}", times.sum(), times.count());
        }
    }
}

/// Labels in braces, with the bound of a bucket where there is one.
struct Labels<'l>(&'l [(&'static str, String)], Option<f64>);

impl std::fmt::Display for Labels<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self(labels, bound) = self;
        let escaped = |word: &str| word.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n");
        let mut pairs: Vec<String> =
            labels.iter().map(|(name, word)| format!("{name}=\"{}\"", escaped(word))).collect();
        pairs.extend(bound.map(|bound| {
            if bound.is_infinite() { "le=\"+Inf\"".to_owned() } else { format!("le=\"{bound:?}\"") }
        }));
        if pairs.is_empty() { Ok(()) } else { write!(f, "{{{}}}", pairs.join(",")) }
    }
}
