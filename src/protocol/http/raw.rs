//! As little as an HTTP server can do.

const ANSWER: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 11\r\n\r\n{\"ok\":true}";

/// Requests as squall writes them: head, `Content-Length` and body.
pub(super) fn answer(bytes: &[u8], output: &mut Vec<u8>) -> Option<usize> {
    let mut taken = 0;
    loop {
        let rest = bytes.get(taken..)?;
        let mut headers = [httparse::EMPTY_HEADER; 32];
        let mut request = httparse::Request::new(&mut headers);
        let httparse::Status::Complete(head) = request.parse(rest).ok()? else { return Some(taken) };
        let length = request.headers.iter().find(|header| header.name.eq_ignore_ascii_case("content-length"));
        let length = match length {
            Some(header) => std::str::from_utf8(header.value).ok()?.parse().ok()?,
            None => 0_usize,
        };
        let size = head.checked_add(length)?;
        if rest.len() < size {
            return Some(taken);
        }
        output.extend_from_slice(ANSWER);
        taken += size;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_answered_one_by_one_when_they_are_whole() {
        let one = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc";
        let mut output = Vec::new();
        assert_eq!(answer(&one[..one.len() - 1], &mut output), Some(0));
        assert!(output.is_empty());
        let two = [&one[..], &one[..], b"PO"].concat();
        assert_eq!(answer(&two, &mut output), Some(2 * one.len()));
        assert_eq!(output, [ANSWER, ANSWER].concat());
        assert_eq!(answer(b"\0\0\0\0", &mut output), None);
    }
}
