//! The protocol of Redis (RESP2), as far as instances speak it: a command is an array of byte strings.

use bytes::{Buf, BytesMut};

/// Words of one command: the most that an instance sends names every device that it knows.
const MOST_WORDS: usize = 250_000;
/// The longest word.
const LONGEST_WORD: usize = 1 << 20;

/// What is not understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

/// Takes a whole command off the front of `bytes`; none if it is not there yet.
///
/// # Errors
/// If what comes is no command, or larger than any that an instance sends.
pub(super) fn take_command(bytes: &mut BytesMut) -> Result<Option<Vec<Vec<u8>>>, Malformed> {
    let Some((count, mut place)) = header(bytes, 0, b'*', MOST_WORDS)? else { return Ok(None) };
    let mut words = Vec::with_capacity(count.min(1_024));
    for _ in 0..count {
        let Some((length, start)) = header(bytes, place, b'$', LONGEST_WORD)? else { return Ok(None) };
        let end = start + length;
        let Some(ending) = bytes.get(end..end + 2) else { return Ok(None) };
        if ending != b"\r\n" {
            return Err(Malformed);
        }
        words.push(bytes[start..end].to_vec());
        place = end + 2;
    }
    bytes.advance(place);
    Ok(Some(words))
}

/// The number behind `sign` at `place`, and where its line ends.
fn header(bytes: &[u8], place: usize, sign: u8, most: usize) -> Result<Option<(usize, usize)>, Malformed> {
    let Some(rest) = bytes.get(place..).filter(|rest| !rest.is_empty()) else { return Ok(None) };
    if rest[0] != sign {
        return Err(Malformed);
    }
    let Some(length) = rest.iter().take(16).position(|byte| *byte == b'\n') else {
        return if rest.len() < 16 { Ok(None) } else { Err(Malformed) };
    };
    let digits = rest[1..length].strip_suffix(b"\r").ok_or(Malformed)?;
    let number = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok());
    let number = number.filter(|number| *number <= most).ok_or(Malformed)?;
    Ok(Some((number, place + length + 1)))
}

/// What an instance is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reply {
    Ok,
    Pong,
    Error(&'static str),
    Number(i64),
    Nothing,
    Bytes(Vec<u8>),
    List(Vec<Self>),
}

impl Reply {
    pub(super) fn text(text: &str) -> Self {
        Self::Bytes(text.as_bytes().to_vec())
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Ok => out.extend_from_slice(b"+OK\r\n"),
            Self::Pong => out.extend_from_slice(b"+PONG\r\n"),
            Self::Error(text) => out.extend_from_slice(format!("-{text}\r\n").as_bytes()),
            Self::Number(number) => out.extend_from_slice(format!(":{number}\r\n").as_bytes()),
            Self::Nothing => out.extend_from_slice(b"$-1\r\n"),
            Self::Bytes(bytes) => {
                out.extend_from_slice(format!("${}\r\n", bytes.len()).as_bytes());
                out.extend_from_slice(bytes);
                out.extend_from_slice(b"\r\n");
            }
            Self::List(replies) => {
                out.extend_from_slice(format!("*{}\r\n", replies.len()).as_bytes());
                for reply in replies {
                    reply.encode(out);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_taken_whole_wherever_they_are_cut() {
        let two = b"*2\r\n$3\r\nGET\r\n$4\r\na\r\nb\r\n*1\r\n$4\r\nPING\r\n";
        for cut in 0..=two.len() {
            let mut bytes = BytesMut::new();
            let mut taken = Vec::new();
            for part in [&two[..cut], &two[cut..]] {
                bytes.extend_from_slice(part);
                while let Some(command) = take_command(&mut bytes).unwrap() {
                    taken.push(command);
                }
            }
            assert_eq!(
                taken,
                [vec![b"GET".to_vec(), b"a\r\nb".to_vec()], vec![b"PING".to_vec()]],
                "cut at {cut}"
            );
        }
        for wrong in [
            "PING\r\n",
            "*x\r\n",
            "*-1\r\n",
            "*250001\r\n",
            "*1\r\n$1048577\r\n",
            "*1\r\n$1\r\nabc",
            "*00000000000000000",
        ] {
            assert_eq!(take_command(&mut BytesMut::from(wrong)), Err(Malformed), "{wrong:?}");
        }
    }

    #[test]
    fn replies_are_written_as_redis_does() {
        let mut out = Vec::new();
        Reply::List(vec![
            Reply::text("a"),
            Reply::Nothing,
            Reply::Number(-1),
            Reply::Ok,
            Reply::Error("ERR no"),
        ])
        .encode(&mut out);
        assert_eq!(out, b"*5\r\n$1\r\na\r\n$-1\r\n:-1\r\n+OK\r\n-ERR no\r\n");
    }
}
