//! In which format figures are told: as whoever asks can read them.

use super::family::Family;
use super::{protobuf, text};

/// The content type of the text, and what that of the messages begins with and is in full.
const TEXT: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const PROTOBUF_KIND: &str = "application/vnd.google.protobuf";
const PROTOBUF: &str =
    "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited";

/// The figures as one who sends these `Accept` header fields can read them, and their content type: native histograms are told in
/// Prometheus's own messages only, so that these come first where they are accepted at all.
pub(crate) fn encode<'a>(
    families: &[Family],
    accepts: impl IntoIterator<Item = &'a str>,
) -> (&'static str, Vec<u8>) {
    let mut kinds = accepts.into_iter().flat_map(|value| value.split(','));
    if kinds.any(|kind| kind.trim().starts_with(PROTOBUF_KIND)) {
        (PROTOBUF, protobuf::encode(families))
    } else {
        (TEXT, text::encode(families).into_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prometheus_gets_its_own_messages_and_everybody_else_text() {
        let prometheus = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,\
                          application/openmetrics-text;version=1.0.0;q=0.5";
        for (accepts, kind) in [
            (&[prometheus][..], PROTOBUF),
            (&["text/plain", prometheus], PROTOBUF),
            (&["application/openmetrics-text;version=1.0.0,*/*;q=0.1"], TEXT),
            (&[], TEXT),
        ] {
            assert_eq!(encode(&[], accepts.iter().copied()).0, kind, "{accepts:?}");
        }
    }
}
