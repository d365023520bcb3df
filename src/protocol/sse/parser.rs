//! Event streams (HTML living standard, §9.2.6), in whatever pieces the bytes arrive.

use std::time::Duration;

use super::super::Failure;

/// Most bytes of one event that are kept: its data, and the line under way.
pub(super) const MOST: usize = 64 * 1024;

/// What buffers keep allocated while a stream is idle, bytes.
const IDLE_KEPT: usize = 256;

/// Longest identifier that is kept: it travels in a header field.
const MOST_ID: usize = 1024;

/// Longest wait that a server can ask for.
const LONGEST_RETRY_MS: u64 = 600_000;

/// Some editors put it before a text.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// One event after another.
#[derive(Debug, Default)]
pub(super) struct Parser {
    /// The beginning of a line that is not whole.
    line: Vec<u8>,
    /// The data of the event under way, a line feed behind each of its lines.
    data: Vec<u8>,
    /// The last event's data have been told.
    is_told: bool,
    /// The last line ended with a carriage return: a line feed right behind it is part of that end.
    after_return: bool,
    /// A first line has come.
    begun: bool,
    /// The last identifier, as far as it has come.
    id: Box<[u8]>,
    retry: Option<Duration>,
}

impl Parser {
    /// One that goes on where `id` was the last event's identifier, and `retry` what was asked for.
    pub(super) fn resuming(id: &[u8], retry: Option<Duration>) -> Self {
        Self { id: id.into(), retry, ..Self::default() }
    }

    /// Takes what `bytes` begin with, up to the end of an event; gives how many were taken, and whether [`Self::data`] has an event.
    ///
    /// # Errors
    /// If an event is too large.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Result<(usize, bool), Failure> {
        if std::mem::take(&mut self.is_told) {
            self.data.clear();
            self.data.shrink_to(IDLE_KEPT);
        }
        let mut taken = 0;
        while let Some(rest @ [first, ..]) = bytes.get(taken..) {
            if std::mem::take(&mut self.after_return) && *first == b'\n' {
                taken += 1;
                continue;
            }
            let end = rest.iter().position(|byte| matches!(byte, b'\r' | b'\n'));
            let part = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
            if self.line.len() + self.data.len() + part.len() > MOST {
                return Err(Failure::protocol("an event is larger than 64 KiB"));
            }
            taken += part.len();
            let Some(end) = end else {
                self.line.extend_from_slice(part);
                break;
            };
            taken += 1;
            self.after_return = rest.get(end) == Some(&b'\r');
            if self.line.is_empty() {
                self.take(part);
            } else {
                let mut line = std::mem::take(&mut self.line);
                line.extend_from_slice(part);
                self.take(&line);
                line.clear();
                line.shrink_to(IDLE_KEPT);
                self.line = line;
            }
            if self.is_told {
                return Ok((taken, true));
            }
        }
        Ok((taken, false))
    }

    /// The data of the event that [`Self::feed`] has just told of.
    pub(super) fn data(&self) -> &[u8] {
        self.data.strip_suffix(b"\n").unwrap_or(&self.data)
    }

    /// The identifier of the last event that had one; empty before the first.
    pub(super) fn last_id(&self) -> &[u8] {
        &self.id
    }

    /// How long the server asks to be left alone before the next connection.
    pub(super) const fn retry(&self) -> Option<Duration> {
        self.retry
    }

    /// One whole line, without its end.
    fn take(&mut self, line: &[u8]) {
        let line = if self.begun { line } else { line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line) };
        self.begun = true;
        if line.is_empty() {
            // What has no data is no event.
            self.is_told = !self.data.is_empty();
            return;
        }
        let colon = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
        let (name, value) = line.split_at(colon);
        let value = value.strip_prefix(b":").unwrap_or_default();
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match name {
            b"data" => {
                self.data.extend_from_slice(value);
                self.data.push(b'\n');
            }
            b"id" if !value.contains(&0) && value.len() <= MOST_ID && *self.id != *value => {
                self.id = value.into();
            }
            b"retry" if !value.is_empty() && value.iter().all(u8::is_ascii_digit) => {
                let asked = std::str::from_utf8(value).ok().and_then(|digits| digits.parse().ok());
                self.retry = Some(Duration::from_millis(asked.unwrap_or(u64::MAX).min(LONGEST_RETRY_MS)));
            }
            // Comments keep a connection alive; types of events are the application's.
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// All events of `stream`, fed in pieces that end at `cuts`.
    fn events(stream: &[u8], cuts: &[usize]) -> (Vec<String>, Parser) {
        let (mut parser, mut found) = (Parser::default(), Vec::new());
        let mut from = 0;
        for to in cuts.iter().copied().chain([stream.len()]) {
            while from < to {
                let (taken, told) = parser.feed(&stream[from..to]).unwrap();
                assert!(taken > 0, "no progress at {from}");
                from += taken;
                if told {
                    found.push(String::from_utf8(parser.data().to_vec()).unwrap());
                }
            }
        }
        (found, parser)
    }

    #[test]
    fn streams_are_read_as_the_standard_says() {
        let table: &[(&str, &[&str], &str)] = &[
            ("data: one\n\ndata: two\n\n", &["one", "two"], ""),
            ("data: one\r\n\r\ndata: two\r\n\r\n", &["one", "two"], ""),
            ("data: one\r\rdata: two\r\r", &["one", "two"], ""),
            ("data: one\r\n\rdata: two\n\r\n", &["one", "two"], ""),
            ("data:one\ndata: two\ndata:  three\n\n", &["one\ntwo\n three"], ""),
            ("data\n\n", &[""], ""),
            ("data:\ndata\n\n", &["\n"], ""),
            (": still here\n\n:\n\n", &[], ""),
            (": a comment\ndata: x\n: another\n\n", &["x"], ""),
            ("event: alert\nid: 7\ndata: {\"seq\":1}\n\n", &["{\"seq\":1}"], "7"),
            ("id: 7\ndata: a\n\nid\ndata: b\n\n", &["a", "b"], ""),
            ("id: 7\n\ndata: a\n\n", &["a"], "7"),
            ("id: 7\0\ndata: a\n\n", &["a"], ""),
            ("\u{feff}data: a\n\ndata: b\n\n", &["a", "b"], ""),
            ("data: a\n\n\u{feff}data: b\n\n", &["a"], ""),
            ("Data: a\ndata : b\nfoo: c\n\n", &[], ""),
            ("data: a:b : c\n\n", &["a:b : c"], ""),
            ("event: nothing\n\ndata: a", &[], ""),
            ("data: a\n", &[], ""),
            ("\n\n\r\r\n\r\n", &[], ""),
        ];
        for (stream, expected, id) in table {
            let (found, parser) = events(stream.as_bytes(), &[]);
            assert_eq!(found, *expected, "{stream:?}");
            assert_eq!(parser.last_id(), id.as_bytes(), "{stream:?}");
        }
    }

    #[test]
    fn a_server_says_when_to_come_back_in_digits() {
        for (line, asked) in [
            ("retry: 1500", Some(1_500)),
            ("retry:0", Some(0)),
            ("retry: 99999999999999999999999", Some(LONGEST_RETRY_MS)),
            ("retry: 1s", None),
            ("retry: -1", None),
            ("retry:", None),
            ("retry", None),
        ] {
            let (_, parser) = events(format!("{line}\n").as_bytes(), &[]);
            assert_eq!(parser.retry(), asked.map(Duration::from_millis), "{line}");
        }
    }

    #[test]
    fn what_is_too_large_is_refused_and_memory_is_given_back() {
        for (head, more) in [("data: ", "x"), ("", "data: some\n"), ("id: ", "7"), (":", ":")] {
            let mut parser = Parser::default();
            parser.feed(head.as_bytes()).unwrap();
            let fed = (0..MOST).try_for_each(|_| parser.feed(more.as_bytes()).map(drop));
            assert!(fed.unwrap_err().reason.sentence.contains("64 KiB"), "{head}{more}");
        }
        let mut parser = Parser::default();
        let large = format!("data: {}\n\n", "x".repeat(MOST / 2));
        for _ in 0..3 {
            let half = large.len() / 2;
            parser.feed(&large.as_bytes()[..half]).unwrap();
            assert!(parser.feed(&large.as_bytes()[half..]).unwrap().1);
        }
        parser.feed(b": beat\n\n").unwrap();
        assert!(parser.line.capacity() + parser.data.capacity() <= 2 * IDLE_KEPT);
    }

    /// A stream of lines with ends of all kinds.
    fn stream() -> impl Strategy<Value = Vec<u8>> {
        let line = prop_oneof![
            Just(String::new()),
            Just("data".to_owned()),
            Just(": beat".to_owned()),
            "[a-z]{0,3}:? ?[a-z:é\u{feff}]{0,4}",
            "(data|id|retry|event):? ?[a-z0-9: é]{0,6}",
        ];
        let end = prop_oneof![Just("\n"), Just("\r"), Just("\r\n")];
        let lines = proptest::collection::vec((line, end), 0..20);
        lines.prop_map(|lines| {
            lines.into_iter().map(|(line, end)| line + end).collect::<String>().into_bytes()
        })
    }

    proptest! {
        #[test]
        fn a_stream_means_the_same_however_it_is_cut(
            stream in stream(), cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..30),
        ) {
            let (whole, parser) = events(&stream, &[]);
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
            cuts.sort_unstable();
            for cuts in [cuts, (0..stream.len()).collect()] {
                let (pieces, again) = events(&stream, &cuts);
                prop_assert_eq!(&pieces, &whole);
                prop_assert_eq!((again.last_id(), again.retry()), (parser.last_id(), parser.retry()));
            }
        }
    }
}
