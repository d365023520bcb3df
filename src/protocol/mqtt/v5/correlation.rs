//! Replies by response topic and correlation data (§4.10): what a reading says, and what its reply says back.

use super::property::{CORRELATION_DATA, Properties, RESPONSE_TOPIC, Value, put};
use crate::protocol::correlator::Match;
use crate::protocol::verdict::Reply;
use crate::record::RunToken;

/// What the correlation data of one device's readings begin with: its name and the run, each with a `/` behind it, then comes the number.
#[derive(Debug)]
pub(super) struct Tag {
    text: Box<str>,
    /// Bytes of the device's name and its `/`.
    device: usize,
    is_of_run: bool,
}

impl Tag {
    pub(super) fn new(device: &str, run: Option<RunToken>) -> Self {
        let token = run.map(|run| run.to_string()).unwrap_or_default();
        let text = format!("{device}/{token}/").into();
        Self { text, device: device.len() + 1, is_of_run: run.is_some() }
    }

    /// Appends the property by which the reply to reading `seq` is known.
    pub(super) fn put(&self, seq: u64, out: &mut Vec<u8>) {
        put(CORRELATION_DATA, Value::Binary(format!("{}{seq}", self.text).as_bytes()), out);
    }

    /// Which reading a message with these properties answers; `None`: none, as far as it says.
    pub(super) fn read(&self, properties: Properties<'_>) -> Option<Match> {
        let data = std::str::from_utf8(properties.binary(CORRELATION_DATA)?).ok()?;
        let Some(seq) = data.strip_prefix(&*self.text) else {
            let own = self.text.get(..self.device).unwrap_or_default();
            return data.starts_with(own).then_some(Match::Stranger);
        };
        let is_number = seq.bytes().all(|byte| byte.is_ascii_digit());
        let seq = is_number.then(|| seq.parse().ok()).flatten()?;
        Some(Match::Named(Reply { named: self.is_of_run, ..Reply::ok(seq) }))
    }
}

/// Appends the property that says where replies are to go.
pub(super) fn put_response_topic(topic: &str, out: &mut Vec<u8>) {
    put(RESPONSE_TOPIC, Value::Text(topic), out);
}

#[cfg(test)]
mod tests {
    use super::super::property::Carrier;
    use super::*;

    fn read(tag: &Tag, data: &[u8]) -> Option<Match> {
        let mut bytes = vec![data.len() as u8 + 3];
        put(CORRELATION_DATA, Value::Binary(data), &mut bytes);
        tag.read(Properties::split(Carrier::Publish, &bytes).unwrap().0)
    }

    #[test]
    fn a_reply_is_known_by_device_run_and_number_and_by_nothing_less() {
        let run = RunToken::of("k3v9x0aa");
        let tag = Tag::new("d/1", run);
        let named = |seq, named| Some(Match::Named(Reply { named, ..Reply::ok(seq) }));
        for (data, expected) in [
            (&b"d/1/k3v9x0aa/7"[..], named(7, true)),
            (b"d/1/k3v9x0aa/18446744073709551615", named(u64::MAX, true)),
            (b"d/1/k3v9x0ab/7", Some(Match::Stranger)),
            (b"d/2/k3v9x0aa/7", None),
            (b"d/1/k3v9x0aa/", None),
            (b"d/1/k3v9x0aa/+7", None),
            (b"d/1/k3v9x0aa/18446744073709551616", None),
            (b"\xff", None),
        ] {
            assert_eq!(read(&tag, data), expected, "{}", String::from_utf8_lossy(data));
        }
        assert_eq!(read(&Tag::new("d", None), b"d//7"), named(7, false));
        let mut out = vec![0];
        tag.put(42, &mut out);
        out[0] = out.len() as u8 - 1;
        assert_eq!(tag.read(Properties::split(Carrier::Publish, &out).unwrap().0), named(42, true));
    }
}
