//! As little as a server of lines can do.

/// Sends every line back.
#[expect(clippy::unnecessary_wraps, reason = "other protocols have messages that cannot be answered")]
pub(super) fn echo(bytes: &[u8], output: &mut Vec<u8>) -> Option<usize> {
    let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
    output.extend_from_slice(&bytes[..whole]);
    Some(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_lines_come_back() {
        let mut output = Vec::new();
        assert_eq!(echo(b"one", &mut output), Some(0));
        assert_eq!(echo(b"one\ntwo\nth", &mut output), Some(8));
        assert_eq!(output, b"one\ntwo\n");
    }
}
