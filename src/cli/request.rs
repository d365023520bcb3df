//! What a client asks of one of the small HTTP services of squall's own.

use std::io::{self, Read};

/// Bytes of a request, at most.
pub(super) const MOST: usize = 8 * 1024;

/// Reads from `client` until `parse` makes something of what has come, `None` being too little yet. Gives `None` where the client says
/// no more, or more than [`MOST`] bytes.
///
/// # Errors
/// If the connection breaks, or its time-out passes.
pub(super) fn read<T>(mut client: impl Read, parse: impl Fn(&[u8]) -> Option<T>) -> io::Result<Option<T>> {
    let mut bytes = Vec::new();
    loop {
        let mut chunk = [0; 1024];
        let read = client.read(&mut chunk)?;
        bytes.extend_from_slice(&chunk[..read]);
        match parse(&bytes) {
            Some(asked) => return Ok(Some(asked)),
            None if read == 0 || bytes.len() > MOST => return Ok(None),
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_read_until_it_is_whole_and_no_further_than_its_bound() {
        let whole = |bytes: &[u8]| bytes.ends_with(b"\n").then_some(bytes.len());
        let long = [b'x'; 2 * MOST];
        for (sent, expected) in [(&b"GET\n"[..], Some(4)), (b"GET", None), (b"", None), (&long, None)] {
            assert_eq!(read(sent, whole).unwrap(), expected, "{} bytes", sent.len());
        }
        let mut left = &long[..];
        assert_eq!(read(&mut left, whole).unwrap(), None);
        assert_eq!(long.len() - left.len(), MOST + 1024, "what is beyond the bound is left");
    }
}
