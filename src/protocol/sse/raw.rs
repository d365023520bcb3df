//! As little as a server of events can do: it begins a stream, and says nothing.

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";

/// One request; whatever comes behind it is passed over.
pub(super) fn answer(bytes: &[u8], output: &mut Vec<u8>) -> Option<usize> {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let parsed = httparse::Request::new(&mut headers).parse(bytes).ok()?;
    if parsed.is_partial() {
        return Some(0);
    }
    output.extend_from_slice(ANSWER);
    Some(bytes.len())
}
