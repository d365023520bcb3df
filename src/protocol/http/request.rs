//! Writing requests: everything but length and payload is built once per endpoint.

use std::io::Write as _;

/// A request up to and including `Content-Length: `, for any number of readings.
pub(in crate::protocol) fn request_head(target: &str, authority: &str) -> Vec<u8> {
    format!(
        "POST {target} HTTP/1.1\r\nHost: {authority}\r\nUser-Agent: squall/{}\r\n\
         Content-Type: application/json\r\nContent-Length: ",
        env!("CARGO_PKG_VERSION"),
    )
    .into_bytes()
}

/// Appends one request with `payload` as its body.
pub(super) fn encode(head: &[u8], payload: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(head);
    // Writing to a vector cannot fail.
    let _ = write!(out, "{}\r\n\r\n", payload.len());
    out.extend_from_slice(payload);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_what_an_independent_parser_reads() {
        let mut bytes = Vec::new();
        encode(&request_head("/v1/readings?x=1", "host:81"), b"{\"seq\":1}", &mut bytes);
        let mut headers = [httparse::EMPTY_HEADER; 8];
        let mut request = httparse::Request::new(&mut headers);
        let httparse::Status::Complete(body) = request.parse(&bytes).unwrap() else { panic!("incomplete") };
        assert_eq!(
            (request.method, request.path, request.version),
            (Some("POST"), Some("/v1/readings?x=1"), Some(1))
        );
        let value = |name: &str| request.headers.iter().find(|header| header.name == name).unwrap().value;
        assert_eq!(value("Host"), b"host:81");
        assert_eq!(value("Content-Type"), b"application/json");
        assert_eq!(value("Content-Length"), b"9");
        assert_eq!(&bytes[body..], b"{\"seq\":1}");
    }
}
